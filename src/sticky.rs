//! Which replica knows a client: a table from a value that the client sends, such as its session
//! id, to the replica that issued it.
//!
//! The values are kept as hashes with a key that only this process knows, so the table reveals
//! nothing, and nobody can make entries collide. It has a maximum length: the least recently used
//! entry is dropped to make room. Entries that were not used for a while are ignored, and removed
//! only when the table is used, so an unused table costs nothing. An entry takes about 60 bytes.
//!
//! Tested against a plain list.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// An address of a target, as hashes. Hashes of different processes are equal only by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The target.
    pub target: u32,
    /// One of the addresses of its host.
    pub address: u32,
}

/// The key for these hashes, chosen at random when it is created.
#[derive(Clone, Debug, Default)]
pub struct Secret(RandomState);

impl Secret {
    /// Hashes a value.
    #[expect(clippy::cast_possible_truncation, reason = "some of its bits")]
    pub fn hash(&self, of: impl Hash) -> u32 {
        self.0.hash_one(of) as u32
    }
}

/// The table. See the module docs.
#[derive(Debug, Default)]
pub struct Sticky {
    key: RandomState,
    /// The entries, in no order.
    entries: Vec<Entry>,
    /// The index of each entry.
    by_value: BTreeMap<u64, u32>,
    /// The least and the most recently used entry, if there are any.
    ends: Option<[u32; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    value: u64,
    replica: Replica,
    /// When it was last used, in seconds.
    used: u32,
    /// The entries used just before and after it. Its own index at the ends.
    older: u32,
    newer: u32,
}

const _: () = assert!(size_of::<Entry>() <= 32);

impl Sticky {
    /// The replica that knows a client with this `value`, if the entry was used within the last
    /// `age` seconds. Marks it as used `now`.
    pub fn find(&mut self, value: &[u8], age: u32, now: u32) -> Option<Replica> {
        let index = *self.by_value.get(&self.key.hash_one(value))?;
        let Entry { used, replica, .. } = self.entries[index as usize];
        if now.saturating_sub(used) > age {
            self.remove(index);
            return None;
        }
        self.unlink(index);
        self.link(index, now);
        Some(replica)
    }

    /// Notes that a replica knows a client with this value. At most `max` entries are kept, and the
    /// oldest are dropped if they were not used within the last `age` seconds.
    pub fn bind(&mut self, value: &[u8], replica: Replica, max: usize, age: u32, now: u32) {
        let value = self.key.hash_one(value);
        if let Some(index) = self.by_value.get(&value).copied() {
            self.unlink(index);
            self.entries[index as usize].replica = replica;
            return self.link(index, now);
        }
        while let Some([oldest, _]) = self.ends {
            let is_over = now.saturating_sub(self.entries[oldest as usize].used) > age;
            if self.entries.len() < max && !is_over {
                break;
            }
            self.remove(oldest);
        }
        let Ok(index) = u32::try_from(self.entries.len()) else { return };
        self.entries.push(Entry { value, replica, used: now, older: index, newer: index });
        self.by_value.insert(value, index);
        self.link(index, now);
    }

    /// Forgets a client.
    pub fn forget(&mut self, value: &[u8]) {
        if let Some(index) = self.by_value.get(&self.key.hash_one(value)).copied() {
            self.remove(index);
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn at(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index as usize]
    }

    /// Makes an unlinked entry the most recently used.
    fn link(&mut self, index: u32, now: u32) {
        let before = self.ends.map_or(index, |[_, newest]| newest);
        self.at(before).newer = index;
        let entry = self.at(index);
        (entry.used, entry.older, entry.newer) = (now, before, index);
        self.ends = Some([self.ends.map_or(index, |[oldest, _]| oldest), index]);
    }

    /// Removes an entry from the order of use.
    fn unlink(&mut self, index: u32) {
        let Some([mut oldest, mut newest]) = self.ends else { return };
        let Entry { older, newer, .. } = *self.at(index);
        if oldest == index && newest == index {
            self.ends = None;
            return;
        }
        if oldest == index {
            oldest = newer;
            self.at(newer).older = newer;
        } else if newest == index {
            newest = older;
            self.at(older).newer = older;
        } else {
            self.at(older).newer = newer;
            self.at(newer).older = older;
        }
        self.ends = Some([oldest, newest]);
    }

    /// Removes an entry. The last one takes its place.
    fn remove(&mut self, index: u32) {
        self.unlink(index);
        let entry = self.entries.swap_remove(index as usize);
        self.by_value.remove(&entry.value);
        let Some(moved) = self.entries.get(index as usize).copied() else { return };
        self.by_value.insert(moved.value, index);
        let Ok(former) = u32::try_from(self.entries.len()) else { return };
        let own = |neighbour| if neighbour == former { index } else { neighbour };
        let (older, newer) = (own(moved.older), own(moved.newer));
        (self.at(index).older, self.at(index).newer) = (older, newer);
        if older != index {
            self.at(older).newer = index;
        }
        if newer != index {
            self.at(newer).older = index;
        }
        self.ends = self.ends.map(|ends| ends.map(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    const fn replica(number: u32) -> Replica {
        Replica { target: number, address: number }
    }

    #[test]
    fn as_a_plain_list_has_them() {
        let mut dice = Rng::with_seed(11);
        for (max, age) in [(1, 100), (2, 100), (5, 3), (40, 20), (1000, 0)] {
            let mut sticky = Sticky::default();
            // The most recently used is last.
            let mut list: Vec<(u8, u32, u32)> = Vec::new();
            let mut now = 0;
            for _ in 0..3000 {
                now += u32::from(dice.u8(..4) == 0);
                let value = dice.u8(..60);
                let known = list.iter().position(|(known, ..)| *known == value);
                let known = known.map(|index| list.remove(index));
                let fresh = known.filter(|(.., used)| now - used <= age);
                match dice.u8(..8) {
                    0..4 => {
                        let found = sticky.find(&[value], age, now);
                        assert_eq!(found, fresh.map(|(_, number, _)| replica(number)));
                        list.extend(fresh.map(|(value, number, _)| (value, number, now)));
                    }
                    4 => sticky.forget(&[value]),
                    _ => {
                        let number = dice.u32(..3);
                        sticky.bind(&[value], replica(number), max, age, now);
                        if known.is_none() {
                            let over = list.partition_point(|(.., used)| now - used > age);
                            list.drain(..over.max((list.len() + 1).saturating_sub(max)));
                        }
                        list.push((value, number, now));
                    }
                }
                assert_eq!(sticky.len(), list.len());
                let mut order = Vec::new();
                let mut at = sticky.ends.map(|[oldest, _]| oldest);
                while let Some(index) = at {
                    let entry = sticky.entries[index as usize];
                    order.push((entry.replica.target, entry.used));
                    at = Some(entry.newer).filter(|newer| *newer != index);
                }
                assert!(
                    order.into_iter().eq(list.iter().map(|(_, number, used)| (*number, *used)))
                );
            }
        }
    }
}
