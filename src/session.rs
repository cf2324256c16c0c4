//! Who holds what: a client's connection, the exchange that runs on it, and the upstream's.
//!
//! Plain data, and states that own what they need. What moves it is [`crate::proxy`].

pub mod addresses;
pub mod cause;
pub mod exchange;
pub mod idle;
pub mod key_stats;
pub mod lately;
pub mod local;
pub mod origin;
pub mod outcome;
pub mod places;
pub mod row;
pub mod stats;
pub mod target_stats;
pub mod upload;
pub mod upstream;

use crate::conn::Conn;
use crate::http::head::HeadSearch;
use crate::session::exchange::Exchange;
use crate::session::row::Links;
use crate::time::Tick;
use std::net::IpAddr;

/// A client's connection and what it is doing.
#[derive(Debug)]
pub struct Session {
    /// The downstream connection.
    pub conn: Conn,
    /// What it is doing.
    pub state: State,
    /// Who serves it: which listener it came in by.
    pub service: Service,
    /// The client's address; none on a unix socket.
    pub peer: Option<IpAddr>,
    /// True exactly when it stands in the run queue.
    pub queued: bool,
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
        /// Its place among those that may be closed to make room.
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

impl State {
    /// The links of a state that may be closed to make room.
    pub const fn links_mut(&mut self) -> Option<&mut Links> {
        match self {
            State::Idle { links, .. } | State::Lingering { links, .. } => Some(links),
            State::Head { .. } | State::Active(_) => None,
        }
    }

    /// The links of such a state.
    #[cfg(feature = "sim")]
    pub const fn links(&self) -> Option<Links> {
        match self {
            State::Idle { links, .. } | State::Lingering { links, .. } => Some(*links),
            State::Head { .. } | State::Active(_) => None,
        }
    }

    /// The exchange of a session that is known to have one.
    ///
    /// # Panics
    /// In any other state. Which steps run in which state is decided in one place
    /// ([`crate::proxy`]'s `advance`), so that is a mistake of ours and nothing a peer can bring
    /// about.
    pub fn exchange_mut(&mut self) -> &mut Exchange {
        match self {
            State::Active(exchange) => exchange,
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => {
                unreachable!("a step of an exchange where there is none")
            }
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
