//! Points in time as values.
//!
//! The proxy never reads a clock: the shell reads it once per turn and passes the time down. So a
//! test controls the time, and a run can be repeated to the millisecond.

pub mod date;

use std::time::Duration;

/// Converts a duration to whole milliseconds, rounded down. Saturates.
pub fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
}

/// A point on the monotonic clock: whole milliseconds since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The seconds since the clock started, at most `u32::MAX`.
    pub fn as_seconds(self) -> u32 {
        u32::try_from(self.as_millis() / 1000).unwrap_or(u32::MAX)
    }

    /// The moment when the clock started.
    pub const ZERO: Tick = Tick(0);
    /// Later than any moment: the deadline of anything that has none.
    pub const NEVER: Tick = Tick(u64::MAX);

    /// The moment this many milliseconds after the clock started.
    pub const fn from_millis(millis: u64) -> Tick {
        Tick(millis)
    }

    /// The number of milliseconds since the clock started.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `duration` later, rounded up to a whole tick so that no deadline is early.
    /// [`Tick::NEVER`] on overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Tick {
        // In 64 bits, because this runs in each step; `as_nanos` has 128.
        let part = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
        Tick(duration.as_secs().saturating_mul(1000).saturating_add(part).saturating_add(self.0))
    }

    /// The time since `earlier`. Zero if that is not earlier.
    pub const fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The times that the shell read at the start of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The monotonic clock, which deadlines are compared with.
    pub tick: Tick,
    /// The wall clock in milliseconds since 1970-01-01 UTC, only for people to read.
    pub unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_round_up_and_saturate() {
        let t = Tick::from_millis(5);
        assert_eq!(t.after(Duration::from_micros(1)), Tick::from_millis(6));
        assert_eq!(t.after(Duration::from_millis(2)), Tick::from_millis(7));
        assert_eq!(t.after(Duration::MAX), Tick::NEVER);
        assert_eq!(Tick::NEVER.after(Duration::from_secs(1)), Tick::NEVER);
    }

    #[test]
    fn since_never_goes_below_zero() {
        let (a, b) = (Tick::from_millis(3), Tick::from_millis(10));
        assert_eq!(b.since(a), Duration::from_millis(7));
        assert_eq!(a.since(b), Duration::ZERO);
    }
}
