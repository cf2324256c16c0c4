//! A connection to an upstream's endpoint.

use super::owner::Owner;
use super::upstream::Upstream;
use crate::conn::Conn;
use crate::slab::Key;
use crate::telemetry::ApiStats;
use crate::time::{Tick, millis};
use std::rc::Rc;
use std::time::Duration;

/// The number of an address that does not matter, or that the endpoint no longer has.
pub(super) const NO_ADDRESS: u8 = u8::MAX;

/// A connection to an upstream's endpoint.
#[derive(Debug)]
pub struct Connection {
    /// The connection itself.
    pub conn: Conn,
    /// True exactly when it persists after the current response (RFC 9112 section 9.3).
    pub persistent: bool,
    /// True exactly when it is among its endpoint's idle connections. It joins them in the turn
    /// after it has become idle.
    pub(super) pooled: bool,
    /// The index of the endpoint it leads to.
    pub(super) endpoint: u8,
    /// The number of the endpoint's address that it leads to, or [`NO_ADDRESS`].
    pub(super) address: u8,
    /// How long the upstream keeps an idle connection, according to its last response, in
    /// milliseconds. [`u32::MAX`] if it has not said.
    pub(super) idle_max_ms: u32,
    /// The upstream that it leads to. It may be gone.
    pub(super) upstream: Option<Key<Upstream>>,
    /// The owner. None while it is idle.
    pub(super) owner: Option<Owner>,
    /// The counters of its api.
    pub(super) stats: Rc<ApiStats>,
}

impl Connection {
    /// The index of the endpoint it leads to.
    pub fn endpoint(&self) -> usize {
        usize::from(self.endpoint)
    }

    /// Notes how long the upstream keeps an idle connection, if the response says so.
    pub fn note_idle_limit(&mut self, limit: Option<Duration>) {
        if let Some(limit) = limit {
            self.idle_max_ms = u32::try_from(millis(limit)).unwrap_or(u32::MAX);
        }
    }

    /// Until when it may be reused if it is idle from `now` on, at most `max` later.
    pub(super) fn idle_until(&self, now: Tick, max: Duration) -> Tick {
        let said = Duration::from_millis(self.idle_max_ms.into());
        now.after(if self.idle_max_ms == u32::MAX { max } else { max.min(said) })
    }
}
