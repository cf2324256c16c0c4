//! When to look at whom again: a timer wheel that is hardly ever touched.
//!
//! A proxy's deadlines are nearly all put off before they come: every event on a stream moves that
//! stream's idle deadline. So an owner (a session, by its slab index) keeps its deadlines as plain
//! fields, and the wheel keeps one *promise* for it: to report it no later than about then. Putting
//! off a deadline touches a field and not the wheel. When the promise falls due, the owner finds
//! out whether any of its deadlines has really come, and asks for a new promise at the earliest.
//!
//! The wheel has seven levels of 64 slots. A slot of level 0 is one tick (a millisecond) wide, and
//! a slot of each further level eight times wider than one of the level before. A promise is filed
//! in the finest level that reaches far enough, under the slot border at or behind its moment, and
//! stays there: it is never early, and late by less than one slot, which is about an eighth of the
//! time waited at most. So flushes are exact to the millisecond, and heartbeats of 15 s share slots
//! of half a second and go out together. Eight times, not 64, because of that eighth. Seven levels,
//! because 63 slots of 8^6 ms make four and a half hours, and few deadlines are farther away. One
//! that is comes early: it is reported at the end of the reach, and its owner asks again.
//!
//! An ordered tree would make each move cost its depth. A cascading wheel would move each entry
//! several times to be exact about deadlines that are going to be put off.
//!
//! A slot is a ring of links, and so is its order: first promised, first reported. One bit says of
//! each slot whether anybody is in it, so that the next moment of interest is found by seven
//! rotations, and an idle process sleeps through all the empty slots.
//!
//! Tested against an ordered map, over long runs with jumps of the clock.

#[cfg(any(test, feature = "sim"))]
pub(crate) mod model;

use crate::time::Tick;

/// Levels, each of [`SLOTS`] slots, each [`COARSER`] times as wide as those of the level before.
const LEVELS: u32 = 7;
/// One bit of a `u64` for each.
const SLOTS: u32 = 64;
/// A power of two, given as that power: 8.
const COARSER: u32 = 3;
/// How many slots ahead a level reaches. All of them but one: the border that is nearest may be
/// the moment itself, and two borders must never share a slot.
const AHEAD: u64 = SLOTS as u64 - 1;
/// How far ahead the wheel reaches, in ticks: four and a half hours.
const REACH: u64 = AHEAD << (COARSER * (LEVELS - 1));
/// Links below this are the heads of the slots' rings; the owner with index i has the link that
/// is i higher.
const HEADS: u32 = LEVELS * SLOTS;

/// Where there is no occupied slot: [`Tick::NEVER`], and no head.
const NOBODY: (u64, u32) = (u64::MAX, u32::MAX);

/// A place in the ring of a slot: the positions of its neighbours.
#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

// What one owner costs.
const _: () = assert!(size_of::<Link>() + size_of::<Tick>() == 16);

/// One promise for each owner at most. See the module's documentation.
///
/// ```
/// use millstream::time::Tick;
/// use millstream::wheel::Wheel;
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
    /// Whatever is due before this moment has been reported, so every occupied slot's border is at
    /// or behind it, and within its level's reach. That is what makes a slot mean one border only.
    since: u64,
    /// The border of the first occupied slot, and the head of its ring. Of several with the same
    /// border, the finest; [`NOBODY`] while there is none.
    soonest: (u64, u32),
    /// One word for each level, one bit for each slot: is anybody in it?
    occupied: [u64; LEVELS as usize],
    /// The heads of the rings, then the owners' links. Those of owners without a promise are stale.
    links: Vec<Link>,
    /// By owner. [`Tick::NEVER`]: no promise, and not in any ring.
    promises: Vec<Tick>,
}

impl Wheel {
    /// A wheel without promises. `now` is not after the first moment it will be asked about.
    pub fn new(now: Tick) -> Wheel {
        Wheel {
            since: now.as_millis(),
            soonest: NOBODY,
            occupied: [0; LEVELS as usize],
            links: (0..HEADS).map(|head| Link { prev: head, next: head }).collect(),
            promises: Vec::new(),
        }
    }

    /// Sets room aside for promises to so many owners, as [`crate::slab::Slab::reserve`] does.
    pub fn reserve(&mut self, owners: usize) {
        self.links.reserve_exact(owners);
        self.promises.reserve_exact(owners);
    }

    /// Promises to report the owner `index` at `at` or up to one slot later; at once if `at` has
    /// passed. A promise for an earlier moment stays as it is. [`Tick::NEVER`] asks for nothing.
    ///
    /// Memory grows with the highest index, 16 bytes for each.
    pub fn at_most(&mut self, index: u32, at: Tick) {
        if self.armed(index) <= at {
            return;
        }
        self.disarm(index);
        self.grow_to(index);
        let at = at.as_millis().min(self.since + REACH);
        self.promises[index as usize] = Tick::from_millis(at);
        let slot = self.slot(at.max(self.since));
        self.link(index, slot.1);
        self.soonest = self.soonest.min(slot);
    }

    /// Takes the promise back, if there is one.
    pub fn disarm(&mut self, index: u32) {
        if self.armed(index) == Tick::NEVER {
            return;
        }
        self.promises[index as usize] = Tick::NEVER;
        let Link { prev, next } = self.links[(HEADS + index) as usize];
        self.links[prev as usize].next = next;
        self.links[next as usize].prev = prev;
        if prev == next {
            // It was alone, between the head and the head.
            self.occupied[(prev / SLOTS) as usize] &= !(1 << (prev % SLOTS));
            if prev == self.soonest.1 {
                self.soonest = self.first();
            }
        }
    }

    /// The moment promised to `index`, not rounded to any slot; [`Tick::NEVER`] if there is none.
    pub fn armed(&self, index: u32) -> Tick {
        self.promises.get(index as usize).copied().unwrap_or(Tick::NEVER)
    }

    /// Calls `due` with each owner whose slot has come by `now`, earliest first, and forgets the
    /// promise. Stops after `max` of them; the others stay due. Returns how many it has reported.
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

    /// The moment from which on [`Wheel::expire`] has something to report; [`Tick::NEVER`] while
    /// there are no promises.
    pub const fn next(&self) -> Tick {
        Tick::from_millis(self.soonest.0)
    }

    /// The owner that will be reported first, if there is any.
    pub fn first_owner(&self) -> Option<u32> {
        (self.soonest != NOBODY).then(|| self.links[self.soonest.1 as usize].next - HEADS)
    }

    /// What [`Wheel::soonest`] is to be, by a look at all levels.
    fn first(&self) -> (u64, u32) {
        (0..LEVELS).filter_map(|level| self.first_of(level)).min().unwrap_or(NOBODY)
    }

    /// The first occupied slot of one level.
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

    /// The slot for `at`, which is within the reach: on the finest level that reaches it, the first
    /// whose border is not before it. That border, and the head of the ring.
    fn slot(&self, at: u64) -> (u64, u32) {
        let mut level = 0;
        while at - self.since > AHEAD << (COARSER * level) {
            level += 1;
        }
        let border = at.div_ceil(1 << (COARSER * level));
        (border << (COARSER * level), level * SLOTS + slot_of(border))
    }

    /// Puts the owner last in the ring of `head`.
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
            self.promises.resize(owners, Tick::NEVER);
            self.links.resize(HEADS as usize + owners, Link { prev: 0, next: 0 });
        }
    }
}

/// Borders take the slots of their level in turn.
#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
fn slot_of(border: u64) -> u32 {
    (border % u64::from(SLOTS)) as u32
}

#[cfg(test)]
mod tests;
