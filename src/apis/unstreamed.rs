//! The requests of an api that were opened as event streams before the upstream had answered, and
//! whose answers were no event streams.
//!
//! A browser's EventSource gives up when it sees such an answer. It does not see one behind a head
//! of ours, so it comes back. Then it must get the upstream's own answer, or it would come back for
//! ever.

use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a request is remembered. An EventSource comes back within seconds.
const KEPT: Duration = Duration::from_secs(60);

/// Maximum number of requests remembered for one api. Another one replaces the oldest.
const REQUESTS_MAX: usize = 1024;

/// The fingerprints of such requests of the last minute, oldest first. See the module.
#[derive(Debug, Default)]
pub struct Unstreamed(VecDeque<(Tick, u64)>);

impl Unstreamed {
    /// Remembers a request with this fingerprint.
    pub fn note(&mut self, fingerprint: u64, now: Tick) {
        let over = |(at, _): &(Tick, u64)| now.since(*at) >= KEPT;
        while self.0.len() >= REQUESTS_MAX || self.0.front().is_some_and(over) {
            self.0.pop_front();
        }
        self.0.push_back((now, fingerprint));
    }

    /// True exactly when a request with this fingerprint is remembered.
    pub fn has(&self, fingerprint: u64, now: Tick) -> bool {
        let recent = self.0.iter().rev().take_while(|(at, _)| now.since(*at) < KEPT);
        recent.into_iter().any(|(_, known)| *known == fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn a_request_is_remembered_for_a_minute() {
        let mut unstreamed = Unstreamed::default();
        unstreamed.note(1, at(0));
        unstreamed.note(2, at(30_000));
        assert!(unstreamed.has(1, at(59_999)) && unstreamed.has(2, at(59_999)));
        assert!(!unstreamed.has(1, at(60_000)) && unstreamed.has(2, at(60_000)));
        assert!(!unstreamed.has(3, at(60_000)));
        unstreamed.note(1, at(90_000));
        assert!(unstreamed.has(1, at(90_000)) && !unstreamed.has(2, at(90_000)));
        assert_eq!(unstreamed.0.len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut unstreamed = Unstreamed::default();
        (0..=REQUESTS_MAX as u64).for_each(|n| unstreamed.note(n, at(n)));
        assert_eq!(unstreamed.0.len(), REQUESTS_MAX);
        let now = at(REQUESTS_MAX as u64);
        assert!(!unstreamed.has(0, now) && unstreamed.has(1, now));
    }
}
