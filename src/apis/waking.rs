//! When streams that wait for an upstream ask it again.
//!
//! Streams that have lost their upstream ask again after growing waits. When one of them gets a
//! response, the others need not wait any longer: they ask soon, spread over a time proportional to
//! their number. This time doubles with each wake-up, until a stream that got a response makes
//! progress.

use crate::time::Tick;
use std::time::Duration;

/// The average time between two streams that are woken together.
const EACH: Duration = Duration::from_millis(1);

/// The shortest time over which woken streams are spread.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest time over which woken streams are spread.
const LONGEST: Duration = Duration::from_secs(5);

/// The schedule for waking the streams of an api. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waking {
    /// True exactly when streams may be waiting that were not woken yet.
    awaited: bool,
    /// When the last of the woken streams will ask.
    woken_until: Tick,
    /// How often streams were woken since one last made progress.
    wakes: u32,
}

impl Waking {
    /// Notes that a stream is waiting after an unsuccessful attempt.
    pub const fn note_waiting(&mut self) {
        self.awaited = true;
    }

    /// Notes that a stream made progress before it lost its upstream again.
    pub const fn note_progress(&mut self) {
        self.wakes = 0;
    }

    /// True exactly when waiting streams are to be woken when the upstream responds. Never while
    /// those woken last are still asking.
    pub fn is_due(&self, now: Tick) -> bool {
        self.awaited && self.woken_until <= now
    }

    /// Notes that the upstream has responded and `waiting` streams are woken. Returns the time over
    /// which to spread them.
    pub fn wake(&mut self, waiting: usize, now: Tick) -> Duration {
        let count = u32::try_from(waiting).unwrap_or(u32::MAX);
        let shortest = EACH.saturating_mul(count).max(SHORTEST);
        let time = shortest.saturating_mul(1 << self.wakes.min(16)).min(LONGEST);
        self.awaited = false;
        self.woken_until = now.after(time);
        self.wakes += 1;
        time
    }
}
