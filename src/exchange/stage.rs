//! How far an exchange has come, and where the rest of its response comes from.
//!
//! These are two values: a stage says what the client has received, a source says where the rest
//! comes from. The valid transitions and pairs are in two tables, [`Stage::next`] and
//! [`Stage::has`]. Every change goes through [`Exchange::enter`], which asserts both.
//! `doc/exchange.svg` is drawn from them.
//!
//! Connecting and awaiting are sources and not stages, because a held or resuming stream passes
//! through them too, long after its client has received a head.

use super::Exchange;
use super::authorizing::Authorizing;
use super::awaiting::Awaiting;
use super::local::Local;
use super::log::{Log, Reader};
use super::queued::Queued;
use crate::coverage;
use crate::pool::{Attempt, Connection};
use crate::slab::Key;
use crate::time::Tick;
use std::rc::Rc;

/// How far an exchange has come: what its client has received of the response, or will once it is
/// sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing except interim responses.
    Unanswered,
    /// A complete local reply, sent or pending.
    Reply,
    /// The head of a response that ends by itself.
    Body,
    /// The head of an event stream, which has no end of its own.
    Stream,
    /// The head of an event stream, written by this process because the upstream has not answered
    /// yet.
    Early,
    /// The head of an event stream, written by this process because no upstream serves it.
    Held,
    /// The head of an event stream that has lost its upstream.
    Resuming,
    /// A 101 (Switching Protocols). The two sides speak another protocol.
    Tunnel,
    /// The complete response, sent or pending.
    Delivering,
}

impl Stage {
    /// All stages.
    #[cfg(feature = "sim")]
    pub const ALL: [Stage; 9] = [
        Stage::Unanswered,
        Stage::Reply,
        Stage::Body,
        Stage::Stream,
        Stage::Early,
        Stage::Held,
        Stage::Resuming,
        Stage::Tunnel,
        Stage::Delivering,
    ];

    /// The stages that may follow. An exchange may also be over after any stage.
    pub const fn next(self) -> &'static [Stage] {
        use Stage::{Body, Delivering, Early, Held, Reply, Resuming, Stream, Tunnel, Unanswered};
        match self {
            Unanswered => &[Reply, Body, Stream, Early, Held, Tunnel],
            Body => &[Delivering, Reply],
            Stream => &[Resuming, Delivering],
            Early => &[Stream, Held, Delivering],
            Held | Resuming => &[Stream, Delivering],
            Reply | Tunnel | Delivering => &[],
        }
    }

    /// True if the stage may have a source of this kind.
    pub const fn has(self, kind: SourceKind) -> bool {
        use Stage::{Body, Delivering, Early, Held, Reply, Resuming, Stream, Tunnel, Unanswered};
        match kind {
            SourceKind::None => matches!(self, Unanswered | Reply | Delivering | Held | Resuming),
            SourceKind::Local => matches!(self, Unanswered | Body | Stream),
            SourceKind::Log => matches!(self, Unanswered | Body | Stream | Early | Held),
            SourceKind::Authorizing => matches!(self, Unanswered),
            SourceKind::Queued | SourceKind::Connecting | SourceKind::Awaiting => {
                matches!(self, Unanswered | Early | Held | Resuming)
            }
            SourceKind::Waiting => matches!(self, Held | Resuming),
            SourceKind::Upstream => matches!(self, Body | Stream | Tunnel),
        }
    }

    /// True if the exchange lasts as long as the client and the upstream keep it open.
    pub const fn is_endless(self) -> bool {
        self.is_stream() || matches!(self, Stage::Tunnel)
    }

    /// True if the client has an event stream, which can be continued or ended.
    pub const fn is_stream(self) -> bool {
        matches!(self, Stage::Stream | Stage::Early | Stage::Held | Stage::Resuming)
    }

    /// True if the client has an event stream that has lost its upstream, or that was opened
    /// because no upstream could serve it.
    pub const fn is_without_upstream(self) -> bool {
        matches!(self, Stage::Held | Stage::Resuming)
    }

    /// True when the exchange ends if its client leaves, because no one needs the response. A local
    /// reply costs nothing to finish, and in a tunnel each direction ends by itself.
    const fn ends_with_client(self) -> bool {
        !matches!(self, Stage::Reply | Stage::Tunnel)
    }
}

/// Where the rest of a response comes from. An exchange may keep one source for days, so whatever
/// is needed only briefly is on the heap.
#[derive(Debug)]
pub enum Source {
    /// None: nothing has been decided yet, or nothing more will come.
    None,
    /// This process.
    Local(Box<Local>),
    /// A log of events that other clients read as well.
    Log(Reader),
    /// An upstream, if the auth server lets the request in.
    Authorizing(Box<Authorizing>),
    /// An upstream, once a connection to it becomes free.
    Queued(Box<Queued>),
    /// An upstream that is being connected to.
    Connecting(Box<Attempt>),
    /// An upstream whose response head is awaited.
    Awaiting(Box<Awaiting>),
    /// An upstream that is sending its response.
    Upstream(Key<Connection>),
    /// An upstream that will be asked again at this moment.
    Waiting(Tick),
}

/// The kinds of [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// [`Source::None`].
    None,
    /// [`Source::Local`].
    Local,
    /// [`Source::Log`].
    Log,
    /// [`Source::Authorizing`].
    Authorizing,
    /// [`Source::Queued`].
    Queued,
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
    /// All kinds of source.
    #[cfg(feature = "sim")]
    pub const ALL: [SourceKind; 9] = [
        SourceKind::None,
        SourceKind::Local,
        SourceKind::Log,
        SourceKind::Authorizing,
        SourceKind::Queued,
        SourceKind::Connecting,
        SourceKind::Awaiting,
        SourceKind::Upstream,
        SourceKind::Waiting,
    ];
}

impl Source {
    /// The kind of the source.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Source::None => SourceKind::None,
            Source::Local(_) => SourceKind::Local,
            Source::Log(_) => SourceKind::Log,
            Source::Authorizing(_) => SourceKind::Authorizing,
            Source::Queued(_) => SourceKind::Queued,
            Source::Connecting(_) => SourceKind::Connecting,
            Source::Awaiting(_) => SourceKind::Awaiting,
            Source::Upstream(_) => SourceKind::Upstream,
            Source::Waiting(_) => SourceKind::Waiting,
        }
    }

    /// The connection that the source holds, if it holds one.
    pub const fn connection(&self) -> Option<Key<Connection>> {
        match self {
            Source::Connecting(attempt) => Some(attempt.connection),
            Source::Awaiting(awaiting) => Some(awaiting.connection),
            Source::Upstream(connection) => Some(*connection),
            Source::None
            | Source::Local(_)
            | Source::Log(_)
            | Source::Authorizing(_)
            | Source::Queued(_)
            | Source::Waiting(_) => None,
        }
    }

    /// The question about the request to an auth server, if this is it.
    pub const fn authorizing(&self) -> Option<&Authorizing> {
        if let Source::Authorizing(authorizing) = self { Some(authorizing) } else { None }
    }

    /// Mutable [`Source::authorizing`].
    pub const fn authorizing_mut(&mut self) -> Option<&mut Authorizing> {
        if let Source::Authorizing(authorizing) = self { Some(authorizing) } else { None }
    }

    /// The local source, if this is one.
    pub const fn local(&self) -> Option<&Local> {
        if let Source::Local(local) = self { Some(local) } else { None }
    }

    /// The log that is read, or that will be once its preface has been sent.
    pub fn log(&self) -> Option<&Rc<Log>> {
        match self {
            Source::Log(log) => Some(log),
            Source::Local(local) => local.log_behind(),
            Source::None
            | Source::Authorizing(_)
            | Source::Queued(_)
            | Source::Connecting(_)
            | Source::Awaiting(_)
            | Source::Upstream(_)
            | Source::Waiting(_) => None,
        }
    }

    /// Mutable [`Source::local`].
    pub const fn local_mut(&mut self) -> Option<&mut Local> {
        if let Source::Local(local) = self { Some(local) } else { None }
    }
}

impl Exchange {
    /// How far the exchange has come.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Where the rest of the response comes from.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Mutable [`Exchange::source`].
    pub const fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Changes the stage, or the source within the same stage.
    ///
    /// # Panics
    /// If the tables of this module do not allow it. No peer can cause that.
    pub fn enter(&mut self, stage: Stage, source: Source) {
        coverage::note("Stage", &[&self.stage, &stage]);
        let follows = stage == self.stage || self.stage.next().contains(&stage);
        assert!(follows, "{stage:?} does not follow {:?}", self.stage);
        assert!(stage.has(source.kind()), "{stage:?} has no such source");
        (self.stage, self.source) = (stage, source);
    }

    /// Changes the stage and keeps the source.
    ///
    /// # Panics
    /// See [`Exchange::enter`].
    pub fn enter_with_source(&mut self, stage: Stage) {
        let source = std::mem::replace(&mut self.source, Source::None);
        self.enter(stage, source);
    }

    /// Takes out the connection that the exchange holds, if it holds one. The source is then `None`
    /// until another one is entered.
    pub fn take_connection(&mut self) -> Option<Key<Connection>> {
        let connection = self.source.connection();
        if connection.is_some() {
            self.source = Source::None;
        }
        connection
    }

    /// Takes out the question about the request to an auth server, if there is one. The source is
    /// then `None` until another one is entered.
    pub fn take_authorizing(&mut self) -> Option<Box<Authorizing>> {
        self.source.authorizing()?;
        let source = std::mem::replace(&mut self.source, Source::None);
        if let Source::Authorizing(authorizing) = source { Some(authorizing) } else { None }
    }

    /// True if the exchange may stay in this state while nothing happens.
    pub const fn is_settled(&self) -> bool {
        let has_none = matches!(self.source, Source::None);
        self.stage.has(self.source.kind()) && !(has_none && self.stage.is_without_upstream())
    }

    /// True if either the whole request or none of it has been sent to an upstream, and no response
    /// has begun.
    pub fn is_arriving(&self) -> bool {
        self.stage == Stage::Unanswered
            && match self.source {
                Source::Authorizing(_)
                | Source::Queued(_)
                | Source::Connecting(_)
                | Source::Log(_) => true,
                Source::Awaiting(_) => self.upload.done(),
                Source::None | Source::Local(_) | Source::Upstream(_) | Source::Waiting(_) => false,
            }
    }

    /// Changes the source within the same stage.
    ///
    /// # Panics
    /// See [`Exchange::enter`].
    pub fn go_on_with(&mut self, source: Source) {
        self.enter(self.stage, source);
    }

    /// True when the exchange ends if its client leaves.
    pub const fn ends_with_client(&self) -> bool {
        match self.source.local() {
            Some(local) => local.ends_with_client(),
            None => self.stage.ends_with_client(),
        }
    }
}
