//! Rates: how many requests are allowed in a period.
//!
//! This is the generic cell rate algorithm (ITU-T I.371), which is a token bucket in one number:
//! the moment at which the bucket will be full again. Each request moves it one interval ahead. A
//! request that would move it further ahead than a whole bucket takes to refill is refused, and
//! moves nothing.
//!
//! Tested against a bucket that counts its tokens.

mod buckets;

pub use buckets::Buckets;

use crate::time::Tick;
use std::time::Duration;

/// The number of nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// How many requests are allowed in a period, and how many at once: as many as in a second, and at
/// least one. Two rates that allow the same are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// The nanoseconds from one request to the next: at least one, at most an hour.
    interval: u64,
    /// The number of requests allowed at once. At least one.
    burst: u64,
}

/// Why a request is refused: the rate is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// How long it takes until another request is admitted, at least a millisecond.
    pub wait: Duration,
    /// How long an empty bucket takes to refill.
    pub refill: Duration,
}

impl Rate {
    /// Creates a rate of `count` requests, 1 to 1,000,000, in `time`, a second to an hour.
    pub fn new(count: u32, time: Duration) -> Rate {
        let (count, seconds) = (u64::from(count.max(1)), time.as_secs().max(1));
        Rate {
            // Rounded up, so that no more than `count` are allowed.
            interval: (seconds * 1000 * MS).div_ceil(count),
            burst: (count / seconds).max(1),
        }
    }
}

/// What is left of a rate. A new bucket is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it will be full again, in nanoseconds on the clock of [`Tick`].
    full_at: u64,
}

impl Bucket {
    /// The bucket after one more request.
    ///
    /// # Errors
    /// If it is empty.
    pub fn after_one(self, rate: Rate, now: Tick) -> Result<Bucket, Exceeded> {
        let now = now.as_millis().saturating_mul(MS);
        let ahead = self.full_at.saturating_sub(now);
        let most = (rate.burst - 1) * rate.interval;
        if ahead > most {
            let wait = Duration::from_millis((ahead - most).div_ceil(MS));
            let refill = Duration::from_nanos(rate.burst * rate.interval);
            return Err(Exceeded { wait, refill });
        }
        Ok(Bucket { full_at: now.saturating_add(ahead).saturating_add(rate.interval) })
    }

    /// True if it is full, as if there had been no request.
    pub const fn is_full(self, now: Tick) -> bool {
        self.full_at <= now.as_millis().saturating_mul(MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bursts() {
        let check = |count, seconds, burst, interval| {
            let rate = Rate::new(count, Duration::from_secs(seconds));
            assert_eq!(rate, Rate { interval, burst }, "{count} in {seconds} s");
        };
        check(1, 1, 1, 1_000_000_000);
        check(3, 1, 3, 333_333_334);
        check(1_000_000, 1, 1_000_000, 1000);
        check(60, 60, 1, 1_000_000_000);
        check(90, 60, 1, 666_666_667);
        check(120, 60, 2, 500_000_000);
        check(1, 3600, 1, 3_600_000_000_000);
        assert_eq!(Rate::new(60, Duration::from_secs(60)), Rate::new(1, SECOND));
    }

    #[test]
    fn what_is_refused_counts_for_nothing() {
        let (rate, now) = (Rate::new(2, SECOND), Tick::from_millis(10_000));
        let empty = Bucket::default().after_one(rate, now).unwrap().after_one(rate, now).unwrap();
        let late = |ms| now.after(Duration::from_millis(ms));
        let wait = |ms| {
            let [wait, refill] = [500 - ms, 1000].map(Duration::from_millis);
            Err(Exceeded { wait, refill })
        };
        for ms in [0, 1, 250, 499] {
            assert_eq!(empty.after_one(rate, late(ms)), wait(ms));
        }
        assert!(empty.after_one(rate, late(500)).is_ok());
        assert!(!empty.is_full(late(999)) && empty.is_full(late(1000)));
    }

    /// A bucket that counts billionths of a token.
    struct Plain {
        tokens: u64,
        at: u64,
    }

    #[test]
    fn it_is_a_bucket_of_tokens() {
        let mut dice = Rng::with_seed(11);
        for _ in 0..300 {
            // Rates whose intervals are whole nanoseconds.
            let (count, seconds) =
                dice.choice([(1, 1), (2, 1), (20, 1), (1000, 1), (3, 3600), (120, 60)]).unwrap();
            let rate = Rate::new(count, Duration::from_secs(seconds));
            let (token, full) = (rate.interval, rate.burst * rate.interval);
            let mut plain = Plain { tokens: full, at: 0 };
            let (mut bucket, mut now) = (Bucket::default(), 0);
            let longest = 3 * token / MS + 2;
            for _ in 0..300 {
                now += if dice.bool() { 0 } else { dice.u64(..longest) };
                plain.tokens = full.min(plain.tokens + (now - plain.at) * MS);
                plain.at = now;
                assert_eq!(bucket.is_full(Tick::from_millis(now)), plain.tokens == full);
                match bucket.after_one(rate, Tick::from_millis(now)) {
                    Ok(after) => {
                        assert!(plain.tokens >= token);
                        plain.tokens -= token;
                        bucket = after;
                    }
                    Err(Exceeded { wait, .. }) => {
                        assert!(plain.tokens < token);
                        let missing = (token - plain.tokens).div_ceil(MS);
                        assert_eq!(wait, Duration::from_millis(missing));
                    }
                }
            }
        }
    }

    #[test]
    fn no_moment_is_too_late() {
        let rate = Rate::new(1, Duration::from_secs(3600));
        let bucket = Bucket::default().after_one(rate, Tick::NEVER).unwrap();
        assert!(bucket.is_full(Tick::NEVER));
    }
}
