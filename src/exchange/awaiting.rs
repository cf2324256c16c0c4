//! The state of awaiting a response head.

use super::lookahead::Lookahead;
use crate::http::head::{HeadSearch, INTERIMS_MAX};
use crate::pool::Connection;
use crate::slab::Key;
use crate::time::Tick;

/// The first bytes of every response (RFC 9112 section 4).
const BEGINNING: &[u8] = b"HTTP/";

/// An awaited response head.
#[derive(Debug)]
pub struct Awaiting {
    /// The connection that the request was sent on.
    pub connection: Key<Connection>,
    /// The search for the end of the head.
    pub search: HeadSearch,
    /// When the request was sent.
    pub sent: Tick,
    /// Since when only the head is awaited.
    pub since: Tick,
    /// True if the request was sent on a reused connection and no response has begun: if the
    /// connection ends now, the server is not at fault.
    pub is_reused: bool,
    /// True if the request may then be sent again.
    pub retry: bool,
    /// The number of interim responses so far.
    interims: u8,
    /// The head, if it has arrived and waits for the first event.
    pub lookahead: Option<Box<Lookahead>>,
}

impl Awaiting {
    /// Starts awaiting a head on a new or reused connection.
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

    /// Notes that a head has arrived.
    pub const fn begin(&mut self) {
        (self.is_reused, self.retry) = (false, false);
    }

    /// True if these bytes, which are not a head, belong to the previous exchange on the
    /// connection, however that ended.
    pub fn is_of_another(&self, bytes: &[u8]) -> bool {
        self.retry && !bytes.starts_with(BEGINNING)
    }

    /// True if the head has arrived and waits for the first event.
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
