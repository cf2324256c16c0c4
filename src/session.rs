//! A client's connection, and what it is doing.

use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::http::head::HeadSearch;
use crate::time::Tick;
use std::net::IpAddr;

/// No session has this index.
pub const NOBODY: u32 = u32::MAX;

/// The neighbours of a session among those that may be closed to make room, by their indices
/// ([`crate::edge::row`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// The one before it.
    pub previous: u32,
    /// The one behind it.
    pub next: u32,
}

impl Links {
    /// It stands in no row.
    pub const NONE: Links = Links { previous: NOBODY, next: NOBODY };
}

/// A client's connection. See the module.
#[derive(Debug)]
pub struct Session {
    /// The connection itself.
    pub conn: Conn,
    /// What it is doing.
    pub state: State,
    /// Who serves it: which listener it came in by.
    pub service: Service,
    /// The client's address; none on a unix socket.
    pub peer: Option<IpAddr>,
    /// True exactly when it was accepted only to be told that there is no room.
    pub refused: bool,
}

/// What a session is doing.
#[derive(Debug)]
pub enum State {
    /// Nothing: the next request has not begun. Next: `Head`, or closed.
    Idle {
        /// Since when.
        since: Tick,
        /// True exactly when it has never asked anything: it is about to.
        fresh: bool,
        /// Its neighbours among those that may be closed to make room.
        links: Links,
    },
    /// A request head is arriving. Next: `Active`.
    Head {
        /// How far it was searched for its end.
        search: HeadSearch,
        /// Since its first byte.
        since: Tick,
    },
    /// A request is being served. Next: `Idle`, `Lingering`, or closed.
    Active(Box<Exchange>),
    /// Our last byte is out and our side is ended. What the client still sends is read and thrown
    /// away: closing with unread input would reset the connection, and the answer with it (RFC 9112
    /// section 9.6). Next: closed.
    Lingering {
        /// When patience ends.
        until: Tick,
        /// As in `Idle`.
        links: Links,
    },
}

impl Session {
    /// A connection that was accepted just now.
    pub const fn new(conn: Conn, service: Service, peer: Option<IpAddr>, now: Tick) -> Session {
        let state = State::Idle { since: now, fresh: true, links: Links::NONE };
        Session { conn, state, service, peer, refused: false }
    }

    /// True exactly when a client's next request is not there yet, or has not been judged. The
    /// operator's requests are as urgent as what is open.
    pub fn is_arriving(&self) -> bool {
        let waits = matches!(self.state, State::Idle { .. } | State::Head { .. });
        waits && self.service != Service::Admin
    }

    /// The exchange that is being served, if one is.
    pub fn exchange(&self) -> Option<&Exchange> {
        match &self.state {
            State::Active(exchange) => Some(exchange),
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => None,
        }
    }

    /// As [`Session::exchange`], to move it.
    pub fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        match &mut self.state {
            State::Active(exchange) => Some(exchange),
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => None,
        }
    }
}

impl State {
    /// The state of a connection whose last request has been served.
    pub const fn idle(now: Tick) -> State {
        State::Idle { since: now, fresh: false, links: Links::NONE }
    }

    /// The links of a state that may be closed to make room.
    pub const fn links_mut(&mut self) -> Option<&mut Links> {
        match self {
            State::Idle { links, .. } | State::Lingering { links, .. } => Some(links),
            State::Head { .. } | State::Active(_) => None,
        }
    }

    /// As [`State::links_mut`], to look at them.
    #[cfg(feature = "sim")]
    pub const fn links(&self) -> Option<Links> {
        match self {
            State::Idle { links, .. } | State::Lingering { links, .. } => Some(*links),
            State::Head { .. } | State::Active(_) => None,
        }
    }
}

/// Who serves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The proxy's apis.
    Apis,
    /// The built-in event source.
    Demo,
    /// The operator.
    Admin,
}
