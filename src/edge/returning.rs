//! How far apart clients are told to reconnect.
//!
//! A client that reconnects with TLS costs the event loop a handshake, for which all others wait.
//! So clients that leave together are told times that are far enough apart, wherever they go then:
//! to this process when its upstream is back, or to the one that replaces it.

use crate::time::Tick;
use std::time::Duration;

/// The reciprocal of the share of the loop's time that handshakes of reconnecting clients may take.
const PART: u32 = 4;

/// How long the highest number of clients is remembered: while they leave, there are fewer and
/// fewer.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many clients may reconnect. See the module.
#[derive(Debug, Default)]
pub struct Returning {
    /// The highest number of recent connections with TLS.
    most: usize,
    /// When that number was reached.
    at: Tick,
}

impl Returning {
    /// The time over which to spread the reconnects of clients, if `secure` of them use TLS now and
    /// each handshake takes this long.
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
        // While they leave, the time is the same for the last as for the first.
        assert_eq!(returning.spread(1, rsa, at(60_009)), Duration::from_secs(36));
        assert_eq!(returning.spread(1, rsa, at(60_010)), Duration::from_millis(4));
        assert_eq!(returning.spread(2, rsa, at(60_011)), Duration::from_millis(8));
        let whole = returning.spread(usize::MAX, Duration::MAX, at(60_012));
        assert_eq!(whole, Duration::MAX);
    }
}
