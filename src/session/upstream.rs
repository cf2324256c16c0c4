//! A connection to an origin.

use crate::conn::Conn;
use crate::session::Session;
use crate::session::origin::{Origin, Permit};
use crate::session::stats::ApiStats;
use crate::slab::Key;
use std::rc::Rc;

/// A connection to an origin.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub conn: Conn,
    /// Where it leads: to one of an origin's targets,
    pub origin: Key<Origin>,
    /// by its index.
    pub place: u16,
    /// That target is in use, while somebody owns this.
    pub in_use: Option<Permit>,
    /// Whose it is.
    pub owner: Owner,
    /// Where it is counted.
    pub stats: Rc<ApiStats>,
    /// True exactly when the response that it carries leaves it fit for another exchange
    /// (RFC 9112 section 9.3).
    pub persistent: bool,
}

impl Upstream {
    /// True exactly when no exchange runs on it.
    pub fn is_idle(&self) -> bool {
        matches!(self.owner, Owner::Returned | Owner::Pool)
    }
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session whose exchange runs on it.
    Session(Key<Session>),
    /// Nobody's since this turn: it will be among its target's idle connections in the next one.
    Returned,
    /// Nobody's: it is among its target's idle connections.
    Pool,
}
