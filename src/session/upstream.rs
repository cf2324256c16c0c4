//! A connection to an origin, and the idle ones of an api kept for its next request.

use crate::config::{Api, Target};
use crate::conn::Conn;
use crate::session::Session;
use crate::slab::Key;
use crate::time::Tick;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

/// A connection to an origin.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub conn: Conn,
    /// Where it leads.
    pub origin: Key<Origin>,
    /// Whose it is.
    pub owner: Owner,
    /// True exactly when the response that it carries leaves it fit for another exchange
    /// (RFC 9112 section 9.3).
    pub persistent: bool,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session whose exchange runs on it.
    Session(Key<Session>),
    /// Nobody's: it waits among its origin's idle connections.
    Pool,
}

/// An api's target as the proxy knows it: what outlives a configuration that has it, too.
#[derive(Debug)]
pub struct Origin {
    /// The api's name.
    pub name: String,
    /// Where it is, as it was configured.
    pub target: Target,
    /// Where to connect to, as the name was last resolved.
    pub addresses: Rc<[SocketAddr]>,
    /// When that was, or when it was last asked for.
    pub resolved: Tick,
    /// Idle connections, the most recently used last,
    pub idle: Vec<Key<Upstream>>,
    /// of which so many are kept.
    pub idle_max: usize,
    /// The address that answered last: the first to be tried.
    pub preferred: usize,
    /// Event streams that are open.
    streams: Rc<Cell<usize>>,
}

impl Origin {
    /// The target of an api, to which nobody has connected yet.
    pub fn of(api: &Api, now: Tick) -> Origin {
        Origin {
            name: api.name.clone(),
            addresses: api.target.addresses.as_slice().into(),
            target: api.target.clone(),
            resolved: now,
            idle: Vec::new(),
            idle_max: api.keepalive_upstream,
            preferred: 0,
            streams: Rc::default(),
        }
    }

    /// True when an api, of another configuration perhaps, is this one and leads to the same place.
    pub fn is_of(&self, api: &Api) -> bool {
        self.name == api.name && self.target.is_same_place(&api.target)
    }

    /// The same api, as a newer configuration has it.
    pub fn update(&mut self, api: &Api, now: Tick) {
        self.addresses = api.target.addresses.as_slice().into();
        (self.resolved, self.idle_max) = (now, api.keepalive_upstream);
    }

    /// Event streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.get()
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
