//! A slab: owns all values of one type, which refer to each other by key.
//!
//! Sessions, connections and exchanges refer to one another, and any of them may be removed at any
//! time. References would make that a web of counted pointers. Here each value lives in a slab, and
//! a [`Key`] is two integers: the index of its slot and the generation of that slot. Removing a
//! value moves its slot to the next generation, so an old key finds nothing, never the next value.
//! That is how events queued for a closed socket are ignored.
//!
//! Slots are reused last in, first out, while they are still in the cache. A slot that has used all
//! of its generations (about two billion) is retired, so that "never" above means never.
//!
//! Tested against a naive model: a list of everything that was ever inserted.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// The last generation of a slot. It has 31 bits, so that the top bit of [`Key::to_bits`] stays
/// free.
const LAST_GENERATION: u32 = u32::MAX >> 1;

/// Names one value in a [`Slab`] for as long as it is there, and nothing afterwards.
///
/// A key is valid only for its own slab; in another one it may name a different value. The type
/// parameter keeps the slabs of a program apart.
pub struct Key<T> {
    index: u32,
    generation: NonZeroU32,
    names: PhantomData<fn() -> T>,
}

const _: () = assert!(size_of::<Option<Key<String>>>() == 8);

impl<T> Key<T> {
    /// The index of the value's slot. Many values share an index, one after the other.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The key as an integer, for tokens that travel through the kernel. The top bit is zero and
    /// free for the user, but must be zero again for [`Key::from_bits`].
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_bits`] converted. None if no key has these bits.
    pub fn from_bits(bits: u64) -> Option<Key<T>> {
        let generation = u32::try_from(bits >> 32).ok().filter(|&g| g <= LAST_GENERATION)?;
        let index = u32::try_from(bits & u64::from(u32::MAX)).ok()?;
        Some(Key::new(index, NonZeroU32::new(generation)?))
    }

    fn new(index: u32, generation: NonZeroU32) -> Key<T> {
        Key { index, generation, names: PhantomData }
    }
}

/// A collection of values of one type. See the module docs.
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The indices of vacant slots that may be reused, the next one last.
    vacant: Vec<u32>,
    len: usize,
}

struct Slot<T> {
    /// The generation of the value in the slot, or of the next value if it is vacant.
    generation: NonZeroU32,
    tenant: Option<T>,
}

impl<T> Slab<T> {
    /// Creates an empty slab. It allocates on the first insertion.
    pub const fn new() -> Slab<T> {
        Slab { slots: Vec::new(), vacant: Vec::new(), len: 0 }
    }

    /// Reserves room for this many values. It takes address space, not memory, on systems that
    /// provide memory on first use. Growing later would copy everything and leave the old block
    /// behind as a hole.
    pub fn reserve(&mut self, things: usize) {
        self.slots.reserve_exact(things);
    }

    /// Inserts a value.
    ///
    /// # Panics
    ///
    /// With more than 2^32 slots, which the limits on connections prevent.
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.len += 1;
        if let Some(index) = self.vacant.pop() {
            let slot = &mut self.slots[index as usize];
            slot.tenant = Some(value);
            return Key::new(index, slot.generation);
        }
        let Ok(index) = u32::try_from(self.slots.len()) else {
            panic!("a slab has at most 2^32 slots");
        };
        let generation = NonZeroU32::MIN;
        self.slots.push(Slot { generation, tenant: Some(value) });
        Key::new(index, generation)
    }

    /// The value that `key` names, if it is still here.
    #[inline]
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation { slot.tenant.as_ref() } else { None }
    }

    /// The value that `key` names, if it is still here, mutably.
    #[inline]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.tenant.as_mut() } else { None }
    }

    /// Removes and returns the value that `key` names, if it is still here. Afterwards `key` names
    /// nothing.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.tenant.take()?;
        self.len -= 1;
        if let Some(next) = slot.generation.checked_add(1).filter(|g| g.get() <= LAST_GENERATION) {
            slot.generation = next;
            self.vacant.push(key.index);
        }
        Some(value)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The key of the value in slot `index`, if there is one.
    pub fn key_at(&self, index: u32) -> Option<Key<T>> {
        let slot = self.slots.get(index as usize)?;
        slot.tenant.as_ref().map(|_| Key::new(index, slot.generation))
    }

    /// Iterates over all values with their keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            slot.tenant.as_ref().map(|tenant| (Key::new(index, slot.generation), tenant))
        })
    }

    /// Like [`Slab::iter`], mutably.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key<T>, &mut T)> {
        (0..).zip(&mut self.slots).filter_map(|(index, slot)| {
            let generation = slot.generation;
            slot.tenant.as_mut().map(|tenant| (Key::new(index, generation), tenant))
        })
    }
}

/// Indexing is for keys that cannot be stale; otherwise use [`Slab::get`].
impl<T> Index<Key<T>> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, key: Key<T>) -> &T {
        let Some(value) = self.get(key) else { panic!("stale key {key:?}") };
        value
    }
}

impl<T> IndexMut<Key<T>> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        let Some(value) = self.get_mut(key) else { panic!("stale key {key:?}") };
        value
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

// Derived, these would require the same traits of T, although a key contains no T.

impl<T> Clone for Key<T> {
    fn clone(&self) -> Key<T> {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Key<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Key<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Key<T>) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn a_key_never_names_another_thing() {
        for seed in 0..20 {
            check(seed, 2000);
        }
    }

    /// Compares with a model: all values ever inserted, with their keys, and None for removed ones.
    fn check(seed: u64, steps: u64) {
        let mut dice = Rng::with_seed(seed);
        let mut slab = Slab::new();
        let mut all: Vec<(Key<u64>, Option<u64>)> = Vec::new();
        for step in 0..steps {
            if all.is_empty() || dice.u64(..2) == 0 {
                all.push((slab.insert(step), Some(step)));
            } else {
                // Mostly recent ones, so that fresh and stale keys alternate.
                let back = dice.usize(..all.len().min(30)) + 1;
                let at = all.len() - back;
                let (key, value) = &mut all[at];
                assert_eq!(slab.remove(*key), value.take(), "seed {seed} step {step}");
            }
            let (key, value) = all[dice.usize(..all.len())];
            assert_eq!(slab.get(key), value.as_ref(), "seed {seed} step {step}");
            assert_eq!(slab.get_mut(key).copied(), value, "seed {seed} step {step}");
            assert_eq!(Key::from_bits(key.to_bits()), Some(key));
        }
        let mut live: Vec<_> = all.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        live.sort();
        assert!(slab.iter().map(|(key, &value)| (key, value)).eq(live.iter().copied()));
        assert_eq!(slab.len(), live.len());
        assert!(live.iter().all(|&(key, _)| slab.key_at(key.index()) == Some(key)));
    }

    #[test]
    fn slots_are_reused_last_in_first_out() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(keys[2]);
        slab.remove(keys[0]);
        assert_eq!(slab.key_at(0), None);
        assert_eq!(slab.insert(5).index(), 0);
        assert_eq!(slab.insert(6).index(), 2);
        assert_eq!(slab.insert(7).index(), 4);
        assert_eq!(slab.key_at(5), None);
    }

    #[test]
    fn a_slot_that_has_seen_all_generations_is_retired() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        slab.remove(first);
        slab.slots[0].generation = NonZeroU32::new(LAST_GENERATION).unwrap();
        let last = slab.insert('b');
        assert_eq!((last.index(), last.to_bits() >> 63), (0, 0));
        assert_eq!(slab.remove(last), Some('b'));
        assert_eq!(slab.insert('c').index(), 1);
        assert_eq!((slab.get(first), slab.get(last), slab.key_at(0)), (None, None, None));
    }

    #[test]
    fn only_bits_of_keys_are_keys() {
        for bits in [0, u64::from(u32::MAX), 1 << 63 | 1 << 32, u64::MAX] {
            assert_eq!(Key::<()>::from_bits(bits), None, "{bits:#x}");
        }
        let bits = u64::MAX >> 1;
        assert_eq!(Key::<()>::from_bits(bits).unwrap().to_bits(), bits);
    }

    #[test]
    #[should_panic = "stale key 0v1"]
    fn to_index_with_a_stale_key_is_our_own_mistake() {
        let mut slab = Slab::new();
        let key = slab.insert(());
        slab.remove(key);
        slab.insert(());
        slab[key] = ();
    }

    #[test]
    fn indexing_reads_and_writes() {
        let mut slab = Slab::new();
        let key = slab.insert(1);
        slab[key] += 1;
        assert_eq!(slab[key], 2);
        assert_eq!(format!("{slab:?}"), "{0v1: 2}");
    }
}
