//! When the streams that wait for an upstream ask it again.
//!
//! Streams that have lost their upstream ask again after waits that grow. When one is answered, the
//! others need not wait on, and ask soon: spread over a time that is the longer the more they are,
//! and doubles as long as no stream that was answered gets on.

use crate::time::Tick;
use std::time::Duration;

/// Of the streams that are woken together, one asks in this time, on average.
const EACH: Duration = Duration::from_millis(1);

/// The shortest time over which streams are spread that are woken together.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waking {
    /// True exactly when streams may wait that were not woken yet.
    awaited: bool,
    /// When the last of those that were woken together asks.
    woken_until: Tick,
    /// How often streams were woken since one last got on.
    wakes: u32,
}

impl Waking {
    /// A stream waits, and has asked in vain before.
    pub const fn note_waiting(&mut self) {
        self.awaited = true;
    }

    /// A stream that was answered got on before it was lost.
    pub const fn note_progress(&mut self) {
        self.wakes = 0;
    }

    /// True exactly when streams that wait are to be woken as soon as the upstream answers. Never
    /// while those that were woken last are still asking.
    pub fn is_due(&self, now: Tick) -> bool {
        self.awaited && self.woken_until <= now
    }

    /// The upstream has answered, and so many streams are woken: over how long a time.
    pub fn wake(&mut self, waiting: usize, now: Tick) -> Duration {
        let count = u32::try_from(waiting).unwrap_or(u32::MAX);
        let time = EACH.saturating_mul(count).max(SHORTEST);
        let time = time.saturating_mul(1 << self.wakes.min(16)).min(LONGEST);
        self.awaited = false;
        self.woken_until = now.after(time);
        self.wakes += 1;
        time
    }
}
