//! A connection to an origin.

use crate::conn::Conn;
use crate::session::Session;
use crate::session::origin::{Origin, Permit};
use crate::session::stats::ApiStats;
use crate::slab::Key;
use crate::time::{Tick, millis};
use std::rc::Rc;
use std::time::Duration;

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
    /// True exactly when it is among its target's idle connections. It joins them in the turn after
    /// the one in which it became idle.
    pub pooled: bool,
    /// For how many milliseconds it may be idle and still be used again: what the upstream last
    /// said of that, and [`u32::MAX`] if it has said nothing.
    pub idle_max_ms: u32,
}

impl Upstream {
    /// The upstream has said for how long it keeps a connection that is idle, or has not.
    pub fn heed_idle_limit(&mut self, limit: Option<Duration>) {
        if let Some(limit) = limit {
            self.idle_max_ms = u32::try_from(millis(limit)).unwrap_or(u32::MAX);
        }
    }

    /// When it may not be used again, if it is idle from now on and no more than `max` is allowed.
    pub fn idle_until(&self, now: Tick, max: Duration) -> Tick {
        let said = Duration::from_millis(self.idle_max_ms.into());
        now.after(if self.idle_max_ms == u32::MAX { max } else { max.min(said) })
    }

    /// True exactly when no exchange runs on it.
    pub fn is_idle(&self) -> bool {
        self.owner == Owner::Pool
    }
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session whose exchange runs on it.
    Session(Key<Session>),
    /// Nobody's: it is idle.
    Pool,
}
