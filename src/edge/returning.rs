//! How far apart clients come back that are told when to.
//!
//! Who speaks TLS costs the event loop a handshake, and everybody else waits for that. So those who
//! leave together are told times that are far enough apart, wherever they go then: to this process
//! when its upstream is back, or to the one that takes its place.

use crate::time::Tick;
use std::time::Duration;

/// What part of the loop's time the handshakes of all that come back may take: a quarter.
const PART: u32 = 4;

/// How long it is remembered how many there were. While they leave, fewer and fewer are left.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The clients that may come back. See the module.
#[derive(Debug, Default)]
pub struct Returning {
    /// The most that spoke TLS at one time, of late.
    most: usize,
    /// When there were that many.
    at: Tick,
}

impl Returning {
    /// Over how long a time to spread the returns of clients, `secure` of which speak TLS now, if a
    /// handshake takes as long as this.
    pub fn spread(&mut self, secure: usize, handshake: Duration, now: Tick) -> Duration {
        if secure >= self.most || now.since(self.at) >= REMEMBERED {
            (self.most, self.at) = (secure, now);
        }
        let most = u32::try_from(self.most).unwrap_or(u32::MAX);
        handshake.saturating_mul(most.saturating_mul(PART))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn handshakes_take_a_quarter_of_the_time() {
        let (mut returning, rsa) = (Returning::default(), Duration::from_millis(1));
        assert_eq!(returning.spread(0, rsa, at(0)), Duration::ZERO);
        assert_eq!(returning.spread(9000, rsa, at(10)), Duration::from_secs(36));
        // They leave, and each is told as much as the first one.
        assert_eq!(returning.spread(1, rsa, at(60_009)), Duration::from_secs(36));
        assert_eq!(returning.spread(1, rsa, at(60_010)), Duration::from_millis(4));
        assert_eq!(returning.spread(2, rsa, at(60_011)), Duration::from_millis(8));
        let whole = returning.spread(usize::MAX, Duration::MAX, at(60_012));
        assert_eq!(whole, Duration::MAX);
    }
}
