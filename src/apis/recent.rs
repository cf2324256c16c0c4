//! What responses have shown about requests in the last minute.
//!
//! It decides how a repeated request is treated. After a minute, a different response is worth a
//! try.

use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// How long something is remembered. An EventSource reconnects within seconds.
const KEPT: Duration = Duration::from_secs(60);

/// Maximum number of requests remembered for one api. A further one replaces the oldest.
const REQUESTS_MAX: usize = 1024;

/// What was learnt about requests, with their keys, oldest first. See the module.
#[derive(Debug)]
pub struct Recent<K, V>(VecDeque<(Tick, K, V)>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent(VecDeque::new())
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// Remembers what was learnt about a request.
    pub fn note(&mut self, request: K, learnt: V, now: Tick) {
        let over = |(at, ..): &(Tick, K, V)| now.since(*at) >= KEPT;
        while self.0.len() >= REQUESTS_MAX || self.0.front().is_some_and(over) {
            self.0.pop_front();
        }
        self.0.push_back((now, request, learnt));
    }

    /// What was last learnt about a request, if that is remembered.
    pub fn find(&self, request: &K, now: Tick) -> Option<V> {
        let recent = self.0.iter().rev().take_while(|(at, ..)| now.since(*at) < KEPT);
        recent.into_iter().find(|(_, known, _)| known == request).map(|(.., learnt)| learnt.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Veto;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn a_request_is_remembered_for_a_minute() {
        let mut vetoes = Recent::default();
        vetoes.note(1, Veto::Vary, at(0));
        vetoes.note(2, Veto::Private, at(30_000));
        assert_eq!(vetoes.find(&1, at(59_999)), Some(Veto::Vary));
        assert_eq!(vetoes.find(&2, at(59_999)), Some(Veto::Private));
        assert_eq!(vetoes.find(&1, at(60_000)), None);
        assert_eq!(vetoes.find(&2, at(60_000)), Some(Veto::Private));
        assert_eq!(vetoes.find(&3, at(60_000)), None);
        vetoes.note(1, Veto::Coded, at(90_000));
        assert_eq!(vetoes.find(&1, at(90_000)), Some(Veto::Coded));
        assert_eq!(vetoes.find(&2, at(90_000)), None);
        assert_eq!(vetoes.0.len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        (0..=REQUESTS_MAX as u64).for_each(|n| recent.note(n, (), at(n)));
        assert_eq!(recent.0.len(), REQUESTS_MAX);
        let now = at(REQUESTS_MAX as u64);
        assert_eq!((recent.find(&0, now), recent.find(&1, now)), (None, Some(())));
    }
}
