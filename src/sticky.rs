//! Which replica knows a client: a table from what the client shows, such as the id of its session,
//! to the replica that gave it to the client.
//!
//! What clients show is kept as a hash with a key that only this process knows, so the table tells
//! nobody anything, and nobody can choose where in it something goes. It has a maximum length: the
//! entry that was used least recently makes room. Entries that were not used for a while are as
//! good as gone; nobody looks for them, so the table costs nothing while nobody uses it. An entry
//! takes about 60 bytes.
//!
//! Tested against a plain list.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// An address of a target, as hashes. Two of them are the same in different processes by chance
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The target.
    pub target: u32,
    /// One of the addresses of its host.
    pub address: u32,
}

/// The key of hashes, drawn when it is made.
#[derive(Clone, Debug, Default)]
pub struct Secret(RandomState);

impl Secret {
    /// The hash of something.
    #[expect(clippy::cast_possible_truncation, reason = "some of its bits")]
    pub fn hash(&self, of: impl Hash) -> u32 {
        self.0.hash_one(of) as u32
    }
}

/// The table. See the module.
#[derive(Debug, Default)]
pub struct Sticky {
    key: RandomState,
    /// The entries, in no order.
    entries: Vec<Entry>,
    /// The index of each entry.
    by_value: BTreeMap<u64, u32>,
    /// The entries that were used first and last, if there are any.
    ends: Option<[u32; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    value: u64,
    replica: Replica,
    /// When it was last used, in seconds.
    used: u32,
    /// The entries used before and after. Its own index at the ends.
    older: u32,
    newer: u32,
}

const _: () = assert!(size_of::<Entry>() <= 32);

impl Sticky {
    /// The replica that knows a client with this `value`, if that was used within the last `age`
    /// seconds. It is used `now`.
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

    /// Notes that a replica knows a client with this value. At most `max` entries are kept, and
    /// at the end of the table none that was not used within the last `age` seconds.
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

    /// Makes an entry that is in no order the newest one.
    fn link(&mut self, index: u32, now: u32) {
        let before = self.ends.map_or(index, |[_, newest]| newest);
        self.at(before).newer = index;
        let entry = self.at(index);
        (entry.used, entry.older, entry.newer) = (now, before, index);
        self.ends = Some([self.ends.map_or(index, |[oldest, _]| oldest), index]);
    }

    /// Takes an entry out of the order.
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

    /// Removes an entry. The last one gets its place.
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
