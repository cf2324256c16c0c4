//! How far an exchange has come, and where the rest of its response comes from.
//!
//! The two are apart: a stage says what the client has, a source who is to bring more. All that
//! may follow what stands in two tables, [`Stage::next`] and [`Stage::has`], and every change goes
//! through [`Exchange::enter`], which asserts both. `doc/exchange.svg` is drawn from them.
//!
//! Connecting and awaiting are sources, not stages: a stream that is held or resumed passes through
//! them too, when its client has long had its head.

use super::Exchange;
use super::awaiting::Awaiting;
use super::local::Local;
use crate::coverage;
use crate::pool::{Attempt, Connection};
use crate::slab::Key;
use crate::time::Tick;

/// How far an exchange has come: what its client has of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing, but perhaps interim responses.
    Unanswered,
    /// All of a local reply, sent or pending.
    Reply,
    /// The head of a response that has an end of its own.
    Body,
    /// The head of an event stream, which goes on for as long as its ends like.
    Stream,
    /// The head of an event stream that this process has written: no upstream has answered yet.
    Held,
    /// The head of an event stream that has lost its upstream.
    Resuming,
    /// A 101 (Switching Protocols): the two sides speak another protocol.
    Tunnel,
    /// All that the response will have, sent or pending.
    Delivering,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 8] = [
        Stage::Unanswered,
        Stage::Reply,
        Stage::Body,
        Stage::Stream,
        Stage::Held,
        Stage::Resuming,
        Stage::Tunnel,
        Stage::Delivering,
    ];

    /// The stages that may follow. An exchange may be over after any of them.
    pub const fn next(self) -> &'static [Stage] {
        use Stage::{Body, Delivering, Held, Reply, Resuming, Stream, Tunnel, Unanswered};
        match self {
            Unanswered => &[Reply, Body, Stream, Held, Tunnel],
            Body => &[Delivering, Reply],
            Stream => &[Resuming, Delivering],
            Held | Resuming => &[Stream, Delivering],
            Reply | Tunnel | Delivering => &[],
        }
    }

    /// True exactly when the stage may have a source of this kind.
    pub const fn has(self, kind: SourceKind) -> bool {
        use Stage::{Body, Delivering, Held, Reply, Resuming, Stream, Tunnel, Unanswered};
        match kind {
            SourceKind::None => matches!(self, Unanswered | Reply | Delivering | Held | Resuming),
            SourceKind::Local => matches!(self, Unanswered | Body | Stream),
            SourceKind::Connecting | SourceKind::Awaiting => {
                matches!(self, Unanswered | Held | Resuming)
            }
            SourceKind::Waiting => matches!(self, Held | Resuming),
            SourceKind::Upstream => matches!(self, Body | Stream | Tunnel),
        }
    }

    /// True exactly when the exchange is open for as long as its ends like.
    pub const fn is_endless(self) -> bool {
        self.is_stream() || matches!(self, Stage::Tunnel)
    }

    /// True exactly when the client has an event stream, which may be added to, or be ended.
    pub const fn is_stream(self) -> bool {
        matches!(self, Stage::Stream | Stage::Held | Stage::Resuming)
    }

    /// True exactly when the client has an event stream, and no upstream is there for it.
    pub const fn is_without_upstream(self) -> bool {
        matches!(self, Stage::Held | Stage::Resuming)
    }

    /// True when the client's leaving ends the exchange: there is nobody left to do the work for.
    /// Not for a local reply, which costs nothing to finish, nor for a tunnel, in which each
    /// direction ends by itself.
    const fn ends_with_client(self) -> bool {
        !matches!(self, Stage::Reply | Stage::Tunnel)
    }
}

/// Where the rest of a response comes from. What is needed for a moment only is on the heap: an
/// exchange may stand where it stands for days.
#[derive(Debug)]
pub enum Source {
    /// Nowhere: nothing has been decided yet, or nothing more will come.
    None,
    /// This process.
    Local(Box<Local>),
    /// An upstream, as soon as it is connected to.
    Connecting(Box<Attempt>),
    /// An upstream, as soon as its response head is there.
    Awaiting(Box<Awaiting>),
    /// An upstream.
    Upstream(Key<Connection>),
    /// An upstream, which is asked again at this moment.
    Waiting(Tick),
}

/// Which variant of [`Source`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// [`Source::None`].
    None,
    /// [`Source::Local`].
    Local,
    /// [`Source::Connecting`].
    Connecting,
    /// [`Source::Awaiting`].
    Awaiting,
    /// [`Source::Upstream`].
    Upstream,
    /// [`Source::Waiting`].
    Waiting,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [SourceKind; 6] = [
        SourceKind::None,
        SourceKind::Local,
        SourceKind::Connecting,
        SourceKind::Awaiting,
        SourceKind::Upstream,
        SourceKind::Waiting,
    ];
}

impl Source {
    /// Which variant it is.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Source::None => SourceKind::None,
            Source::Local(_) => SourceKind::Local,
            Source::Connecting(_) => SourceKind::Connecting,
            Source::Awaiting(_) => SourceKind::Awaiting,
            Source::Upstream(_) => SourceKind::Upstream,
            Source::Waiting(_) => SourceKind::Waiting,
        }
    }

    /// The connection that it holds, if it holds one.
    pub const fn connection(&self) -> Option<Key<Connection>> {
        match self {
            Source::Connecting(attempt) => Some(attempt.connection),
            Source::Awaiting(awaiting) => Some(awaiting.connection),
            Source::Upstream(connection) => Some(*connection),
            Source::None | Source::Local(_) | Source::Waiting(_) => None,
        }
    }

    /// What this process writes, if that is it.
    pub const fn local(&self) -> Option<&Local> {
        if let Source::Local(local) = self { Some(local) } else { None }
    }

    /// As [`Source::local`], to write the next piece.
    pub const fn local_mut(&mut self) -> Option<&mut Local> {
        if let Source::Local(local) = self { Some(local) } else { None }
    }
}

impl Exchange {
    /// How far it has come.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Where the rest of the response comes from.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// As [`Exchange::source`], to change what it knows.
    pub const fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Goes on to another stage, or to another source in the same stage.
    ///
    /// # Panics
    /// If the tables of this module do not have it. Peers cannot bring that about.
    pub fn enter(&mut self, stage: Stage, source: Source) {
        coverage::note("Stage", &[&self.stage, &stage]);
        let follows = stage == self.stage || self.stage.next().contains(&stage);
        assert!(follows, "{stage:?} does not follow {:?}", self.stage);
        assert!(stage.has(source.kind()), "{stage:?} has no such source");
        (self.stage, self.source) = (stage, source);
    }

    /// Takes out the connection that it holds, if it holds one. It has no source until another one
    /// is entered.
    pub fn take_connection(&mut self) -> Option<Key<Connection>> {
        let connection = self.source.connection();
        if connection.is_some() {
            self.source = Source::None;
        }
        connection
    }

    /// True exactly when it may stand where it does while nothing happens.
    pub const fn is_settled(&self) -> bool {
        let has_none = matches!(self.source, Source::None);
        self.stage.has(self.source.kind()) && !(has_none && self.stage.is_without_upstream())
    }

    /// Goes on with another source in the same stage.
    ///
    /// # Panics
    /// As [`Exchange::enter`].
    pub fn go_on_with(&mut self, source: Source) {
        self.enter(self.stage, source);
    }

    /// True when the client's leaving ends it.
    pub const fn ends_with_client(&self) -> bool {
        match self.source.local() {
            Some(local) => local.ends_with_client(),
            None => self.stage.ends_with_client(),
        }
    }
}
