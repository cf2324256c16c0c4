//! A connection to an origin, and the idle ones of an api kept for its next request.

use crate::conn::Conn;
use crate::session::Session;
use crate::session::stats::ApiStats;
use crate::slab::Key;
use std::cell::Cell;
use std::rc::Rc;

/// A connection to an origin.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub conn: Conn,
    /// The api whose target it leads to.
    pub api: u16,
    /// Whose it is.
    pub owner: Owner,
    /// Where it is counted.
    pub stats: Rc<ApiStats>,
    /// True exactly when the response that it carries leaves it fit for another exchange
    /// (RFC 9112 section 9.3).
    pub persistent: bool,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session whose exchange runs on it.
    Session(Key<Session>),
    /// Nobody's: it waits among its api's idle connections.
    Pool,
}

/// What is known of an api's target beyond its configuration.
#[derive(Debug)]
pub struct Origin {
    /// Idle connections, the most recently used last.
    pub idle: Vec<Key<Upstream>>,
    /// The address that answered last: the first to be tried.
    pub preferred: usize,
    /// Event streams that are open.
    streams: Rc<Cell<usize>>,
    /// What is counted of the api.
    pub stats: Rc<ApiStats>,
}

impl Origin {
    /// Nothing is known yet.
    pub fn new(stats: Rc<ApiStats>) -> Origin {
        Origin { idle: Vec::new(), preferred: 0, streams: Rc::default(), stats }
    }

    /// A place among the streams, if fewer than `max` are open.
    pub fn permit(&self, max: usize) -> Option<Permit> {
        let open = self.streams.get();
        (open < max).then(|| {
            self.streams.set(open + 1);
            Permit(Rc::clone(&self.streams))
        })
    }
}

/// A place among the event streams of an api, for as long as it is held.
#[derive(Debug)]
pub struct Permit(Rc<Cell<usize>>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
