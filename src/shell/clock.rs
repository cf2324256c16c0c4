//! The clocks. No other file reads a clock; everywhere else the time is an argument.

use crate::time::{Now, Tick, millis};
use std::time::{Instant, SystemTime};

/// How often the wall clock is read, in milliseconds. In between it is assumed to advance with the
/// monotonic clock. When it is read again, it may have been set back.
const WALL_INTERVAL_MS: u64 = 100;

/// The clocks of an event loop, which reads the time once per turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    /// The wall clock when it was last read, in milliseconds since 1970.
    unix_ms: u64,
    /// When the wall clock was last read.
    read_at: Tick,
}

#[expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]
impl Clock {
    /// A clock whose [`Tick::ZERO`] is now.
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now(), unix_ms: unix_ms(), read_at: Tick::ZERO }
    }

    /// The time now.
    pub(super) fn now(&mut self) -> Now {
        let tick = Tick::from_millis(millis(self.started.elapsed()));
        if tick.as_millis() - self.read_at.as_millis() >= WALL_INTERVAL_MS {
            (self.unix_ms, self.read_at) = (unix_ms(), tick);
        }
        Now { tick, unix_ms: self.unix_ms + (tick.as_millis() - self.read_at.as_millis()) }
    }
}

/// The wall clock, in milliseconds since 1970. A clock set to an earlier time reads as 0.
#[expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]
pub fn unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    millis(unix.unwrap_or_default())
}
