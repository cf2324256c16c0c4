//! What responses have recently shown about requests.
//!
//! It decides how a repeated request is treated. A minute after the client was to repeat it, a
//! different response is worth a try.

use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// How long something is remembered after its clients were to reconnect. An EventSource that is not
/// told when to reconnect does so within seconds.
const KEPT: Duration = Duration::from_secs(60);

/// Maximum number of requests remembered for one api. A further one replaces the oldest.
const REQUESTS_MAX: usize = 1024;

/// What was learnt about requests, with their keys, and until when it is remembered, oldest first.
/// See the module.
#[derive(Debug)]
pub struct Recent<K, V>(VecDeque<(Tick, K, V)>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent(VecDeque::new())
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// Remembers what was learnt about a request whose clients reconnect after at most `told`.
    pub fn note(&mut self, request: K, learnt: V, told: Duration, now: Tick) {
        let over = |(until, ..): &(Tick, K, V)| now >= *until;
        while self.0.len() >= REQUESTS_MAX || self.0.front().is_some_and(over) {
            self.0.pop_front();
        }
        self.0.push_back((now.after(told.saturating_add(KEPT)), request, learnt));
    }

    /// What was last learnt about a request, if that is remembered.
    pub fn find(&self, request: &K, now: Tick) -> Option<V> {
        let last = self.0.iter().rev().find(|(_, known, _)| known == request);
        last.filter(|(until, ..)| now < *until).map(|(.., learnt)| learnt.clone())
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
        let note = |vetoes: &mut Recent<_, _>, request, veto, now| {
            vetoes.note(request, veto, Duration::ZERO, now);
        };
        note(&mut vetoes, 1, Veto::Vary, at(0));
        note(&mut vetoes, 2, Veto::Private, at(30_000));
        assert_eq!(vetoes.find(&1, at(59_999)), Some(Veto::Vary));
        assert_eq!(vetoes.find(&2, at(59_999)), Some(Veto::Private));
        assert_eq!(vetoes.find(&1, at(60_000)), None);
        assert_eq!(vetoes.find(&2, at(60_000)), Some(Veto::Private));
        assert_eq!(vetoes.find(&3, at(60_000)), None);
        note(&mut vetoes, 1, Veto::Coded, at(90_000));
        assert_eq!(vetoes.find(&1, at(90_000)), Some(Veto::Coded));
        assert_eq!(vetoes.find(&2, at(90_000)), None);
        assert_eq!(vetoes.0.len(), 1);
    }

    #[test]
    fn a_request_is_remembered_until_its_clients_are_back() {
        let mut recent = Recent::default();
        recent.note(1, (), Duration::from_secs(90), at(0));
        recent.note(2, (), Duration::ZERO, at(0));
        recent.note(3, (), Duration::MAX, at(0));
        let finds = |recent: &Recent<_, _>, now| [1, 2, 3].map(|n| recent.find(&n, now).is_some());
        assert_eq!(finds(&recent, at(59_999)), [true; 3]);
        assert_eq!(finds(&recent, at(149_999)), [true, false, true]);
        assert_eq!(finds(&recent, at(150_000)), [false, false, true]);
        // The last response counts.
        recent.note(3, (), Duration::ZERO, at(150_000));
        assert_eq!(finds(&recent, at(210_000)), [false; 3]);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        (0..=REQUESTS_MAX as u64).for_each(|n| recent.note(n, (), Duration::ZERO, at(n)));
        assert_eq!(recent.0.len(), REQUESTS_MAX);
        let now = at(REQUESTS_MAX as u64);
        assert_eq!((recent.find(&0, now), recent.find(&1, now)), (None, Some(())));
    }
}
