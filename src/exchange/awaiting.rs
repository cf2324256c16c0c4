//! What is known of a response head while it is awaited.

use crate::http::head::HeadSearch;
use crate::pool::Connection;
use crate::slab::Key;
use crate::time::Tick;

/// Interim responses that are passed on before one final one; an upstream that sends more is
/// broken.
const INTERIMS_MAX: u8 = 32;

/// A response head that is awaited.
#[derive(Debug)]
pub struct Awaiting {
    /// The connection that the request went out on.
    pub connection: Key<Connection>,
    /// How far the answer was searched for the end of the head.
    pub search: HeadSearch,
    /// Since when the head has been waited for: nothing else was under way.
    pub since: Tick,
    /// True exactly when the request may be sent again: on a reused connection, until an answer
    /// has begun.
    pub retry: bool,
    /// Interim responses so far.
    interims: u8,
}

impl Awaiting {
    /// Nothing of a head is there yet. `retry` says whether the request may be sent again.
    pub fn new(connection: Key<Connection>, retry: bool, now: Tick) -> Awaiting {
        Awaiting { connection, search: HeadSearch::response(), since: now, retry, interims: 0 }
    }

    /// Counts another interim response. The waiting begins anew.
    ///
    /// # Errors
    /// There is an end to them.
    pub fn count_interim(&mut self, now: Tick) -> Result<(), &'static str> {
        self.interims += 1;
        self.since = now;
        if self.interims > INTERIMS_MAX {
            return Err("the upstream sent too many interim responses");
        }
        Ok(())
    }
}
