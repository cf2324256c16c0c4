//! The state of awaiting a response head.

use super::lookahead::Lookahead;
use crate::http::head::{HeadSearch, INTERIMS_MAX};
use crate::pool::Connection;
use crate::slab::Key;
use crate::time::Tick;

/// The first bytes of every response (RFC 9112 section 4).
const BEGINNING: &[u8] = b"HTTP/";

/// A response head that is awaited.
#[derive(Debug)]
pub struct Awaiting {
    /// The connection that the request went out on.
    pub connection: Key<Connection>,
    /// The search for the end of the head.
    pub search: HeadSearch,
    /// When the request went out.
    pub sent: Tick,
    /// Since when the head is all that is waited for.
    pub since: Tick,
    /// True exactly when the request went out on a connection that was used before, and no response
    /// has begun: if the connection ends now, that is no fault of the server.
    pub is_reused: bool,
    /// True exactly when the request may then be sent again.
    pub retry: bool,
    /// The number of interim responses so far.
    interims: u8,
    /// The head, if it has come and waits for the first event.
    pub lookahead: Option<Box<Lookahead>>,
}

impl Awaiting {
    /// Begins to await a head on a connection that was used before or not.
    pub fn new(connection: Key<Connection>, is_reused: bool, now: Tick) -> Awaiting {
        Awaiting {
            connection,
            search: HeadSearch::response(),
            sent: now,
            since: now,
            is_reused,
            retry: is_reused,
            interims: 0,
            lookahead: None,
        }
    }

    /// Notes that a head has come.
    pub const fn begin(&mut self) {
        (self.is_reused, self.retry) = (false, false);
    }

    /// True exactly when these bytes, which are no head, belong to the exchange before this one,
    /// however that ended.
    pub fn is_of_another(&self, bytes: &[u8]) -> bool {
        self.retry && !bytes.starts_with(BEGINNING)
    }

    /// True exactly when the head has come and waits for the first event.
    pub const fn has_head(&self) -> bool {
        self.lookahead.is_some()
    }

    /// Counts an interim response and restarts the wait.
    ///
    /// # Errors
    /// There were more than 32.
    pub fn count_interim(&mut self, now: Tick) -> Result<(), &'static str> {
        self.interims += 1;
        self.since = now;
        if self.interims > INTERIMS_MAX {
            return Err("the upstream sent too many interim responses");
        }
        Ok(())
    }
}
