//! What only event streams have: a permit, and what it takes to resume them.

use crate::apis::Permit;
use crate::time::Tick;
use std::time::Duration;

/// How long the first wait is before a lost upstream is asked again, if the upstream has not said
/// what it wants: from half of this to all of it.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// It is no shorter, though: an upstream that ends each stream at once would be asked all the time.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What only event streams have, and requests that want one. See the module.
#[derive(Debug, Default)]
pub struct Stream {
    /// Counts it among the open streams of its api, if it is one of them.
    pub permit: Option<Permit>,
    /// What it takes to ask the upstream again, if that is to be done.
    pub resume: Option<Box<Resumption>>,
}

/// What it takes to ask an upstream again for an event stream.
#[derive(Debug)]
pub struct Resumption {
    /// When it is not tried any more; [`Tick::NEVER`] until an upstream was lost that had been
    /// there.
    gives_up: Tick,
    /// How often it was tried since the stream last got on.
    attempts: u32,
    /// When an upstream was last there.
    served: Tick,
    /// How many events had come by then. If no other has come, and it is lost soon after, it
    /// counts as never having been there.
    events: u64,
}

impl Resumption {
    /// No upstream was asked yet.
    pub const fn new() -> Resumption {
        Resumption { gives_up: Tick::NEVER, attempts: 0, served: Tick::ZERO, events: 0 }
    }

    /// When it is not tried any more.
    pub const fn gives_up(&self) -> Tick {
        self.gives_up
    }

    /// True exactly when an upstream was lost that had been there: what is asked for is the rest of
    /// a stream.
    pub fn is_of_broken_stream(&self) -> bool {
        self.gives_up != Tick::NEVER
    }

    /// True exactly when the upstream was asked in vain since the stream last got on.
    pub const fn has_asked_in_vain(&self) -> bool {
        self.attempts > 1
    }

    /// The upstream is there, after so many events.
    pub const fn note_served(&mut self, events: u64, now: Tick) {
        (self.served, self.events) = (now, events);
    }

    /// The upstream was lost after so many events, and is asked again for `patience` at most. True
    /// when the stream got on in between: an upstream that takes a stream and drops it at once does
    /// not count.
    pub fn note_lost(&mut self, events: u64, patience: Duration, now: Tick) -> bool {
        let got_on = events > self.events || now.since(self.served) > LONGEST_WAIT;
        if got_on || !self.is_of_broken_stream() {
            (self.gives_up, self.attempts) = (now.after(patience), 0);
        }
        got_on
    }

    /// How long to wait before the upstream is asked the next time: doubled with each attempt,
    /// beginning with what it `wants`. `share` from 0 to 1 makes it a random one, so that not all
    /// streams ask together.
    pub fn next_wait(&mut self, wants: Option<Duration>, share: f64) -> Duration {
        let first = wants.unwrap_or(FIRST_WAIT).max(SHORTEST_WAIT);
        let longest = first.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_WAIT);
        self.attempts += 1;
        longest.mul_f64(0.5 + share / 2.0)
    }
}

impl Default for Resumption {
    fn default() -> Resumption {
        Resumption::new()
    }
}
