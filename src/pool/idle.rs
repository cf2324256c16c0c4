//! The idle connections to a target. The most recently used one is reused first.
//!
//! An upstream that restarts closes all of them at once. Searching for each would take quadratic
//! time, so the key of a closed connection, which is no longer valid in the slab, stays until it is
//! popped. When more than half of the keys are of closed connections, these are removed together.
//!
//! Tested against a plain list.

use crate::slab::{Key, Slab};
use crate::work;

/// How many keys of closed connections are tolerated before they are removed.
const CLOSED_SPARE: usize = 8;

/// The keys of the idle connections to one target. The connections are in a slab. See the module.
#[derive(Debug)]
pub(super) struct Idle<T> {
    /// All keys, the most recently used last. Some may be closed.
    keys: Vec<Key<T>>,
    /// The number of keys whose connections are open.
    open: usize,
}

impl<T> Idle<T> {
    /// Creates an empty set.
    pub(super) const fn new() -> Idle<T> {
        Idle { keys: Vec::new(), open: 0 }
    }

    /// The number of idle connections.
    pub(super) const fn len(&self) -> usize {
        self.open
    }

    /// Adds a connection that has become idle.
    pub(super) fn push(&mut self, key: Key<T>) {
        self.keys.push(key);
        self.open += 1;
    }

    /// Removes and returns the most recently used connection.
    pub(super) fn pop(&mut self, connections: &Slab<T>) -> Option<Key<T>> {
        while let Some(key) = self.keys.pop() {
            work::note(1);
            if connections.get(key).is_some() {
                self.open -= 1;
                return Some(key);
            }
        }
        None
    }

    /// Removes and returns the most recently used connection that `fits`.
    pub(super) fn pop_where(
        &mut self,
        connections: &Slab<T>,
        fits: impl Fn(&T) -> bool,
    ) -> Option<Key<T>> {
        work::note(self.keys.len());
        let found = self.keys.iter().rposition(|&key| connections.get(key).is_some_and(&fits))?;
        self.open -= 1;
        Some(self.keys.remove(found))
    }

    /// Notes that one of them was closed and removed from the slab.
    pub(super) fn forget_closed(&mut self, connections: &Slab<T>) {
        self.open -= 1;
        if self.keys.len() > 2 * self.open + CLOSED_SPARE {
            work::note(self.keys.len());
            self.keys.retain(|&key| connections.get(key).is_some());
        }
    }

    /// All keys, so that the connections can be closed.
    pub(super) fn into_keys(self) -> impl Iterator<Item = Key<T>> {
        self.keys.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn as_a_plain_list_has_them() {
        let (mut dice, mut slab) = (Rng::with_seed(3), Slab::new());
        let (mut idle, mut list) = (Idle::new(), Vec::new());
        for _ in 0..20_000 {
            match dice.u64(..7) {
                0 | 1 => {
                    let key = slab.insert(dice.u8(..));
                    idle.push(key);
                    list.push(key);
                }
                2 => assert_eq!(idle.pop(&slab), list.pop()),
                3 => {
                    let odd = |value: &u8| value % 2 == 1;
                    let nth = list.iter().rposition(|key| odd(&slab[*key]));
                    let found = nth.map(|nth| list.remove(nth));
                    assert_eq!(idle.pop_where(&slab, odd), found);
                }
                _ if list.is_empty() => {}
                _ => {
                    let key = list.remove(dice.usize(..list.len()));
                    slab.remove(key);
                    idle.forget_closed(&slab);
                    assert!(idle.keys.len() <= 2 * idle.open + CLOSED_SPARE);
                }
            }
            assert_eq!(idle.len(), list.len());
        }
    }
}
