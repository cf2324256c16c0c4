//! A timer wheel that is rarely touched: one promise per owner to report it in time.
//!
//! Nearly all of a proxy's deadlines are postponed before they are reached: every event on a stream
//! moves that stream's idle deadline. So an owner (a session, by its slab index) keeps its
//! deadlines as plain fields, and the wheel keeps one *promise* for it: to report it no later than
//! about then. Postponing a deadline changes a field, not the wheel. When the promise falls due,
//! the owner checks whether any of its deadlines has really been reached, and asks for a new
//! promise for the earliest one. A promise made when its moment was far away is kept late. So if an
//! owner asks for a later moment that is near by now, a new promise replaces the old one if it
//! would be kept earlier.
//!
//! The wheel has seven levels of 64 slots. A slot of level 0 is one tick (a millisecond) wide, and
//! a slot of each further level eight times wider than one of the level before. A promise goes to
//! the finest level that reaches far enough, at the first slot border not before its moment, and
//! stays there: it is never early, and late by less than one slot, which is at most about an eighth
//! of the time waited. So flushes are exact to the millisecond, and heartbeats of 15 s share slots
//! of half a second and are sent together. The factor is eight, not 64, to keep the lateness to an
//! eighth. There are seven levels because 63 slots of 8^6 ms make four and a half hours, and few
//! deadlines are farther away. A deadline that is farther away is reported early, at the end of the
//! reach, and its owner asks again.
//!
//! An ordered tree would make each move cost O(log n). A cascading wheel would move each entry
//! several times to be exact about deadlines that will be postponed anyway.
//!
//! A slot is a ring of links in the order of the promises: first promised, first reported. One bit
//! per slot says whether it is occupied, so seven rotations find the next occupied slot, and an
//! idle process sleeps through all empty ones.
//!
//! Tested against an ordered map, over long runs with jumps of the clock.

#[cfg(any(test, feature = "sim"))]
pub(crate) mod model;

use crate::time::Tick;

/// The number of levels, each of [`SLOTS`] slots, which are 2^[`COARSER`] times as wide as those of
/// the level before.
const LEVELS: u32 = 7;
/// The number of slots of a level: one bit of a `u64` each.
const SLOTS: u32 = 64;
/// The base-two logarithm of the factor between levels: 2^3 is 8.
const COARSER: u32 = 3;
/// The number of bits for the number of a level.
const LEVEL_BITS: u32 = 3;
/// How many slots ahead a level reaches: all but one, because the nearest border may be the current
/// moment, and two borders must never share a slot.
const AHEAD: u64 = SLOTS as u64 - 1;
/// How far ahead the wheel reaches, in ticks: four and a half hours.
const REACH: u64 = AHEAD << (COARSER * (LEVELS - 1));
/// The number of links that are heads of the slots' rings. The link of the owner with index `i` is
/// the `i`th after these.
const HEADS: u32 = LEVELS * SLOTS;

/// Stands for no occupied slot: [`Tick::NEVER`], and no head.
const NOBODY: (u64, u32) = (u64::MAX, u32::MAX);

/// A position in the ring of a slot: the indices of its neighbours.
#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

// The memory for each owner.
const _: () = assert!(size_of::<Link>() + size_of::<Promise>() == 16);

/// A wheel with at most one promise per owner. See the module docs.
///
/// ```
/// use millstream::leaves::{Tick, Wheel};
///
/// let mut wheel = Wheel::new(Tick::ZERO);
/// wheel.at_most(7, Tick::from_millis(20));
/// wheel.at_most(7, Tick::from_millis(500)); // put off: the earlier promise stays
/// assert_eq!(wheel.next(), Tick::from_millis(20));
///
/// let mut due = Vec::new();
/// wheel.expire(Tick::from_millis(20), usize::MAX, |owner| due.push(owner));
/// assert_eq!(due, [7]);
/// assert_eq!(wheel.next(), Tick::NEVER);
/// ```
#[derive(Debug)]
pub struct Wheel {
    /// Everything due before this moment was reported. So the border of every occupied slot is not
    /// before it, and is within the reach of its level, so each slot stands for exactly one border.
    since: u64,
    /// The border of the first occupied slot and the head of its ring. Of several with the same
    /// border, the finest. [`NOBODY`] while there is none.
    soonest: (u64, u32),
    /// One word per level and one bit per slot: whether it is occupied.
    occupied: [u64; LEVELS as usize],
    /// The heads of the rings, followed by the owners' links. Links of owners without a promise are
    /// stale.
    links: Vec<Link>,
    /// The promise of each owner. Without one it is in no ring.
    promises: Vec<Promise>,
}

/// An owner's promise: the moment, and in the lowest bits the level of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Promise(u64);

impl Promise {
    const NONE: Promise = Promise(u64::MAX);

    fn new(at: u64, level: u32) -> Promise {
        Promise((at << LEVEL_BITS) | u64::from(level))
    }

    const fn at(self) -> Tick {
        if self.0 == u64::MAX { Tick::NEVER } else { Tick::from_millis(self.0 >> LEVEL_BITS) }
    }

    /// The border of the slot, at which the owner is reported. `u64::MAX` for no promise.
    const fn border(self) -> u64 {
        let level = self.0 % (1 << LEVEL_BITS);
        if self.0 == u64::MAX { self.0 } else { border(self.0 >> LEVEL_BITS, level) }
    }
}

impl Wheel {
    /// Creates a wheel without promises. `now` must not be after the first moment it is asked
    /// about.
    pub fn new(now: Tick) -> Wheel {
        Wheel {
            since: now.as_millis(),
            soonest: NOBODY,
            occupied: [0; LEVELS as usize],
            links: (0..HEADS).map(|head| Link { prev: head, next: head }).collect(),
            promises: Vec::new(),
        }
    }

    /// Reserves room for this many owners, as [`crate::slab::Slab::reserve`] does.
    pub fn reserve(&mut self, owners: usize) {
        self.links.reserve_exact(owners);
        self.promises.reserve_exact(owners);
    }

    /// Promises to report the owner `index` at `at` or up to one slot later, or at once if `at` has
    /// passed. An earlier promise stays, unless it waits for the end of a longer slot.
    /// [`Tick::NEVER`] has no effect.
    ///
    /// Memory grows with the highest index, by 16 bytes for each.
    pub fn at_most(&mut self, index: u32, at: Tick) {
        let former = self.promise(index);
        if former.at() <= at && former.border() <= at.as_millis() {
            return;
        }
        if at == Tick::NEVER {
            return;
        }
        let at = at.as_millis().min(self.since + REACH);
        let (level, slot) = self.slot(at.max(self.since));
        if former.at().as_millis() <= at && former.border() <= slot.0 {
            return;
        }
        self.disarm(index);
        self.grow_to(index);
        self.promises[index as usize] = Promise::new(at, level);
        self.link(index, slot.1);
        self.soonest = self.soonest.min(slot);
    }

    /// Withdraws the promise, if there is one.
    pub fn disarm(&mut self, index: u32) {
        if self.promise(index) == Promise::NONE {
            return;
        }
        self.promises[index as usize] = Promise::NONE;
        let Link { prev, next } = self.links[(HEADS + index) as usize];
        self.links[prev as usize].next = next;
        self.links[next as usize].prev = prev;
        if prev == next {
            // It was alone: both neighbours are the head.
            self.occupied[(prev / SLOTS) as usize] &= !(1 << (prev % SLOTS));
            if prev == self.soonest.1 {
                self.soonest = self.first();
            }
        }
    }

    /// The moment promised to `index`, not rounded to a slot. [`Tick::NEVER`] if there is none.
    pub fn armed(&self, index: u32) -> Tick {
        self.promise(index).at()
    }

    fn promise(&self, index: u32) -> Promise {
        self.promises.get(index as usize).copied().unwrap_or(Promise::NONE)
    }

    /// Calls `due` with each owner whose slot is due by `now`, earliest first, and removes its
    /// promise. Stops after `max` owners; the rest stay due. Returns how many it reported.
    pub fn expire(&mut self, now: Tick, max: usize, mut due: impl FnMut(u32)) -> usize {
        let mut reported = 0;
        while reported < max && self.soonest.0 <= now.as_millis() {
            let index = self.links[self.soonest.1 as usize].next - HEADS;
            self.disarm(index);
            due(index);
            reported += 1;
        }
        self.since = self.since.max(now.as_millis().min(self.soonest.0));
        reported
    }

    /// The first moment at which [`Wheel::expire`] has something to report. [`Tick::NEVER`] while
    /// there are no promises.
    pub const fn next(&self) -> Tick {
        Tick::from_millis(self.soonest.0)
    }

    /// The owner that will be reported first, if there is one.
    pub fn first_owner(&self) -> Option<u32> {
        (self.soonest != NOBODY).then(|| self.links[self.soonest.1 as usize].next - HEADS)
    }

    /// Computes [`Wheel::soonest`] from all levels.
    fn first(&self) -> (u64, u32) {
        (0..LEVELS).filter_map(|level| self.first_of(level)).min().unwrap_or(NOBODY)
    }

    /// The border and the head of the first occupied slot of a level.
    fn first_of(&self, level: u32) -> Option<(u64, u32)> {
        let occupied = self.occupied[level as usize];
        if occupied == 0 {
            return None;
        }
        let width = COARSER * level;
        let nearest = self.since.div_ceil(1 << width);
        let slots_on = occupied.rotate_right(slot_of(nearest)).trailing_zeros();
        let border = nearest + u64::from(slots_on);
        Some((border << width, level * SLOTS + slot_of(border)))
    }

    /// The slot for `at`, which must be within the reach: on the finest level that reaches it, the
    /// first whose border is not before it. Returns the level, and the border with the head of the
    /// ring.
    fn slot(&self, at: u64) -> (u32, (u64, u32)) {
        let mut level = 0;
        while at - self.since > AHEAD << (COARSER * level) {
            level += 1;
        }
        let border = border(at, u64::from(level));
        (level, (border, level * SLOTS + slot_of(border >> (COARSER * level))))
    }

    /// Appends the owner to the ring of `head`.
    fn link(&mut self, index: u32, head: u32) {
        let link = HEADS + index;
        let last = self.links[head as usize].prev;
        self.links[link as usize] = Link { prev: last, next: head };
        self.links[last as usize].next = link;
        self.links[head as usize].prev = link;
        self.occupied[(head / SLOTS) as usize] |= 1 << (head % SLOTS);
    }

    fn grow_to(&mut self, index: u32) {
        let owners = index as usize + 1;
        if owners > self.promises.len() {
            self.promises.resize(owners, Promise::NONE);
            self.links.resize(HEADS as usize + owners, Link { prev: 0, next: 0 });
        }
    }
}

/// The first border of a level that is not before a moment.
const fn border(at: u64, level: u64) -> u64 {
    let width = COARSER as u64 * level;
    at.div_ceil(1 << width) << width
}

/// The index of a border's slot: borders take the slots of their level in turn.
#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
fn slot_of(border: u64) -> u32 {
    (border % u64::from(SLOTS)) as u32
}

#[cfg(test)]
mod tests;
