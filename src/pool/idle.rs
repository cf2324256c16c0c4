//! The idle connections to a target, of which the one that was used last is used first.
//!
//! An upstream that restarts ends all of them at once. To look for each of them here would cost the
//! square of their number, so the key of a connection that was closed stays until it is met: it
//! names nothing in the slab any more. When such keys are more than half of all, they are taken out
//! together.
//!
//! Tested against a plain list.

use crate::slab::{Key, Slab};
use crate::work;

/// Keys of closed connections that are not worth a search.
const CLOSED_SPARE: usize = 8;

/// Idle connections to one target, which live in a slab. See the module.
#[derive(Debug)]
pub(super) struct Idle<T> {
    /// The most recently used last. Some of them may be closed.
    keys: Vec<Key<T>>,
    /// How many of them are open.
    open: usize,
}

impl<T> Idle<T> {
    /// None are idle yet.
    pub(super) const fn new() -> Idle<T> {
        Idle { keys: Vec::new(), open: 0 }
    }

    /// How many connections are idle.
    pub(super) const fn len(&self) -> usize {
        self.open
    }

    /// A connection has become idle.
    pub(super) fn push(&mut self, key: Key<T>) {
        self.keys.push(key);
        self.open += 1;
    }

    /// Takes out the one that was used last.
    pub(super) fn pop(&mut self, upstreams: &Slab<T>) -> Option<Key<T>> {
        while let Some(key) = self.keys.pop() {
            work::note(1);
            if upstreams.get(key).is_some() {
                self.open -= 1;
                return Some(key);
            }
        }
        None
    }

    /// One of them was closed, and is not in the slab any more.
    pub(super) fn forget_closed(&mut self, upstreams: &Slab<T>) {
        self.open -= 1;
        if self.keys.len() > 2 * self.open + CLOSED_SPARE {
            work::note(self.keys.len());
            self.keys.retain(|&key| upstreams.get(key).is_some());
        }
    }

    /// All of them, to be closed.
    pub(super) fn into_keys(self) -> impl Iterator<Item = Key<T>> {
        self.keys.into_iter()
    }
}

impl<T> Default for Idle<T> {
    fn default() -> Idle<T> {
        Idle::new()
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
            match dice.u64(..5) {
                0 | 1 => {
                    let key = slab.insert(());
                    idle.push(key);
                    list.push(key);
                }
                2 => assert_eq!(idle.pop(&slab), list.pop()),
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
