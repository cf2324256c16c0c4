//! The owners that wait for a connection to an upstream whose endpoints have reached their limit.
//!
//! They are in order of arrival. A waiter that could not connect to some of the endpoints waits
//! only for the others, so the first in the queue is not always the next to be served. A waiter
//! that is called, cannot connect, and has to wait again gets its former place.
//!
//! Many may leave at once, and removing each would take quadratic time. So waiters that leave are
//! only marked as left. They are removed when they are at the front, or when they are more than
//! half of all.
//!
//! Tested against a plain list.

use super::owner::Owner;
use crate::work;
use std::collections::VecDeque;

/// How many waiters that have left are tolerated before they are removed.
const LEFT_SPARE: usize = 8;

/// The endpoints to which a connection is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// The endpoints that may be asked at all, as bits.
    pub(super) among: u64,
    /// The endpoints that could not be connected to, or have failed the request, as bits.
    pub(super) failed: u64,
    /// True exactly when a certain replica is wanted, whether or not others get requests.
    pub(super) is_bound: bool,
}

impl Wants {
    /// The endpoints that are left to ask, as bits.
    pub(super) const fn left(self) -> u64 {
        self.among & !self.failed
    }
}

/// An owner that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    /// The owner.
    pub(super) owner: Owner,
    /// The endpoints it waits for.
    pub(super) wants: Wants,
    number: u64,
    /// True exactly when it has left the queue.
    left: bool,
}

/// The queue of one upstream. See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// All waiters in the order of their numbers. Some may have left.
    waiters: VecDeque<Waiter>,
    /// How many of them have left.
    left: usize,
    /// The number of the next place.
    next: u64,
}

impl Queue {
    /// The number of waiters.
    pub(super) fn len(&self) -> usize {
        self.waiters.len() - self.left
    }

    /// Adds a waiter, at the end or at its former place `before`. Returns the number of the place.
    pub(super) fn join(&mut self, owner: Owner, wants: Wants, before: Option<u64>) -> u64 {
        let number = before.unwrap_or(self.next);
        self.next = self.next.max(number + 1);
        let index = self.waiters.partition_point(|waiter| waiter.number < number);
        let waiter = Waiter { owner, wants, number, left: false };
        match self.waiters.get_mut(index).filter(|waiter| waiter.number == number) {
            Some(own) => {
                self.left -= usize::from(own.left);
                *own = waiter;
            }
            None => self.waiters.insert(index, waiter),
        }
        number
    }

    /// Removes and returns the waiter at this place, if there is one.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waiter> {
        let index = self.index_of(number)?;
        let waiter = self.waiters[index];
        self.waiters[index].left = true;
        self.left += 1;
        while self.waiters.front().is_some_and(|waiter| waiter.left) {
            self.waiters.pop_front();
            self.left -= 1;
        }
        if self.left > self.len() + LEFT_SPARE {
            work::note(self.waiters.len());
            self.waiters.retain(|waiter| !waiter.left);
            self.left = 0;
        }
        Some(waiter)
    }

    /// The waiter at this place, if there is one.
    pub(super) fn get(&self, number: u64) -> Option<&Waiter> {
        self.index_of(number).map(|index| &self.waiters[index])
    }

    /// Lets waiters that could not connect to an endpoint wait for it again, because it is back.
    pub(super) fn forgive(&mut self, endpoint: u32) {
        work::note(self.waiters.len());
        self.waiters.iter_mut().for_each(|waiter| waiter.wants.failed &= !(1 << endpoint));
    }

    /// Lets waiters ask these endpoints from now on, except those that want a certain replica. A
    /// waiter that all of these have failed may ask them again.
    pub(super) fn ask_among(&mut self, asked: u64) {
        work::note(self.waiters.len());
        for Waiter { wants, .. } in self.waiters.iter_mut().filter(|w| !w.wants.is_bound) {
            wants.among = asked;
            if wants.left() == 0 {
                wants.failed = 0;
            }
        }
    }

    /// All waiters, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().inspect(|_| work::note(1)).filter(|waiter| !waiter.left)
    }

    /// All waiters in front of this place, in order.
    pub(super) fn before(&self, number: u64) -> impl Iterator<Item = &Waiter> {
        self.iter().take_while(move |waiter| waiter.number < number)
    }

    fn index_of(&self, number: u64) -> Option<usize> {
        let index = self.waiters.binary_search_by_key(&number, |waiter| waiter.number).ok()?;
        (!self.waiters[index].left).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;
    use fastrand::Rng;

    #[test]
    fn as_a_plain_list_has_them() {
        let (mut dice, mut slab) = (Rng::with_seed(5), Slab::new());
        let (mut queue, mut list) = (Queue::default(), Vec::<(u64, Owner)>::new());
        let mut called = Vec::new();
        let wants = |failed| Wants { among: u64::MAX, failed, is_bound: false };
        for round in 0..20_000 {
            let joins = if round / 500 % 2 == 0 { 4 } else { 2 };
            match dice.u64(..8) {
                n if n < joins => {
                    let owner = Owner::of(slab.insert(()));
                    list.push((queue.join(owner, wants(n), None), owner));
                }
                6 if !called.is_empty() => {
                    let (number, owner) = called.swap_remove(dice.usize(..called.len()));
                    assert_eq!(queue.join(owner, wants(1), Some(number)), number);
                    let index = list.partition_point(|(other, _)| *other < number);
                    list.insert(index, (number, owner));
                }
                _ if list.is_empty() => assert!(queue.leave(round).is_none()),
                n => {
                    let index = if n == 7 { 0 } else { dice.usize(..list.len()) };
                    let (number, owner) = list.remove(index);
                    assert_eq!(queue.leave(number).map(|waiter| waiter.owner), Some(owner));
                    assert!(queue.leave(number).is_none() && queue.get(number).is_none());
                    called.push((number, owner));
                    assert!(queue.left <= queue.len() + LEFT_SPARE);
                }
            }
            assert_eq!(queue.len(), list.len());
            assert!(queue.iter().map(|w| (w.number, w.owner)).eq(list.iter().copied()));
            if let Some((number, owner)) = list.last() {
                assert_eq!(queue.get(*number).map(|waiter| waiter.owner), Some(*owner));
                assert_eq!(queue.before(*number).count(), list.len() - 1);
            }
        }
    }
}
