//! A connection to an upstream's endpoint.

use super::upstream::Upstream;
use crate::conn::Conn;
use crate::slab::Key;
use crate::telemetry::ApiStats;
use crate::time::{Tick, millis};
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

/// Whose a connection is. Who that is only its owner knows: it is told of the connection's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(NonZeroU64);

impl Owner {
    /// Who has this key.
    pub fn of<T>(key: Key<T>) -> Owner {
        let Some(bits) = NonZeroU64::new(key.to_bits()) else {
            unreachable!("no generation of a key is zero");
        };
        Owner(bits)
    }

    /// The key again, for whoever knows whose it is.
    pub fn key<T>(self) -> Option<Key<T>> {
        Key::from_bits(self.0.get())
    }
}

/// A connection to an upstream's endpoint.
#[derive(Debug)]
pub struct Connection {
    /// The connection itself.
    pub conn: Conn,
    /// True exactly when the response that it carries leaves it fit for another exchange
    /// (RFC 9112 section 9.3).
    pub persistent: bool,
    /// True exactly when it is among its endpoint's idle connections. It joins them in the turn
    /// after the one in which it became idle.
    pub(super) pooled: bool,
    /// Which of the upstream's endpoints it leads to.
    pub(super) endpoint: u16,
    /// For how many milliseconds it may be idle and still be used again: what the upstream last
    /// said of that, and [`u32::MAX`] if it has said nothing.
    pub(super) idle_max_ms: u32,
    /// Where it leads to, unless that is gone.
    pub(super) upstream: Option<Key<Upstream>>,
    /// Whose it is. None while it is idle.
    pub(super) owner: Option<Owner>,
    /// Where it is counted.
    pub(super) stats: Rc<ApiStats>,
}

impl Connection {
    /// Which of its upstream's endpoints it leads to, by its index.
    pub fn endpoint(&self) -> usize {
        usize::from(self.endpoint)
    }

    /// Notes for how long the upstream keeps a connection that is idle, if it has said so.
    pub fn heed_idle_limit(&mut self, limit: Option<Duration>) {
        if let Some(limit) = limit {
            self.idle_max_ms = u32::try_from(millis(limit)).unwrap_or(u32::MAX);
        }
    }

    /// When it may not be used again, if it is idle from now on and no more than `max` is allowed.
    pub(super) fn idle_until(&self, now: Tick, max: Duration) -> Tick {
        let said = Duration::from_millis(self.idle_max_ms.into());
        now.after(if self.idle_max_ms == u32::MAX { max } else { max.min(said) })
    }
}
