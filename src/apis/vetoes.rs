//! The streams of an api that turned out to be not for sharing.
//!
//! Whether an answer is the same for everybody is known only when it is there. For a minute after
//! one that was not, nobody waits for another one: each request for it goes its own way.

use crate::telemetry::Veto;
use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a veto is remembered.
const KEPT: Duration = Duration::from_secs(60);

/// Maximum number of vetoes remembered for one api. Another one replaces the oldest.
const VETOES_MAX: usize = 1024;

/// The names of such streams, and why they are not shared, oldest first. See the module.
#[derive(Debug, Default)]
pub struct Vetoes(VecDeque<(Tick, [u8; 32], Veto)>);

impl Vetoes {
    /// Remembers why the stream of this name is not shared.
    pub fn note(&mut self, name: &[u8; 32], veto: Veto, now: Tick) {
        let over = |(at, ..): &(Tick, _, _)| now.since(*at) >= KEPT;
        while self.0.len() >= VETOES_MAX || self.0.front().is_some_and(over) {
            self.0.pop_front();
        }
        self.0.push_back((now, *name, veto));
    }

    /// Why the stream of this name is not shared, if that is remembered.
    pub fn find(&self, name: &[u8; 32], now: Tick) -> Option<Veto> {
        let recent = self.0.iter().rev().take_while(|(at, ..)| now.since(*at) < KEPT);
        recent.into_iter().find(|(_, known, _)| known == name).map(|(.., veto)| *veto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn a_veto_is_remembered_for_a_minute() {
        let mut vetoes = Vetoes::default();
        vetoes.note(&[1; 32], Veto::Vary, at(0));
        vetoes.note(&[2; 32], Veto::Private, at(30_000));
        assert_eq!(vetoes.find(&[1; 32], at(59_999)), Some(Veto::Vary));
        assert_eq!(vetoes.find(&[1; 32], at(60_000)), None);
        assert_eq!(vetoes.find(&[2; 32], at(60_000)), Some(Veto::Private));
        assert_eq!(vetoes.find(&[3; 32], at(60_000)), None);
        vetoes.note(&[1; 32], Veto::Coded, at(90_000));
        assert_eq!(vetoes.find(&[1; 32], at(90_000)), Some(Veto::Coded));
        assert_eq!(vetoes.0.len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut vetoes = Vetoes::default();
        let name = |n: usize| [n.to_le_bytes(); 4].concat().try_into().unwrap();
        (0..=VETOES_MAX).for_each(|n| vetoes.note(&name(n), Veto::Vary, at(n as u64)));
        assert_eq!(vetoes.0.len(), VETOES_MAX);
        let now = at(VETOES_MAX as u64);
        assert_eq!(
            (vetoes.find(&name(0), now), vetoes.find(&name(1), now)),
            (None, Some(Veto::Vary))
        );
    }
}
