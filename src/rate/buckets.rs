//! The buckets of many holders. Those used least recently are forgotten.
//!
//! A full bucket need not be kept, so full ones are removed as the table is used. A holder whose
//! bucket is forgotten earlier, for lack of room, starts again with a full one, so a client with
//! more addresses than the table has room for can exceed the rate. nginx has the same limitation.
//!
//! Tested against a plain list.

use super::Bucket;
use crate::slab::{Key, Slab};
use crate::time::Tick;
use std::collections::BTreeMap;

/// Buckets by holder. See the module docs.
#[derive(Debug)]
pub struct Buckets<K> {
    max: usize,
    by_holder: BTreeMap<K, Key<Entry<K>>>,
    entries: Slab<Entry<K>>,
    newest: Option<Key<Entry<K>>>,
    oldest: Option<Key<Entry<K>>>,
    /// The number of buckets forgotten before they were full.
    forgotten: u64,
}

/// A holder's bucket, and its neighbours in the order of use.
#[derive(Debug)]
struct Entry<K> {
    holder: K,
    bucket: Bucket,
    newer: Option<Key<Entry<K>>>,
    older: Option<Key<Entry<K>>>,
}

impl<K: Ord + Copy> Buckets<K> {
    /// Creates an empty table with room for `max` buckets, at least one.
    pub const fn new(max: usize) -> Buckets<K> {
        Buckets {
            max,
            by_holder: BTreeMap::new(),
            entries: Slab::new(),
            newest: None,
            oldest: None,
            forgotten: 0,
        }
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.by_holder.len()
    }

    /// The number of buckets forgotten, for lack of room, before they were full.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The bucket of `holder`.
    pub fn get(&self, holder: K) -> Bucket {
        let entry = self.by_holder.get(&holder).and_then(|key| self.entries.get(*key));
        entry.map_or_else(Bucket::default, |entry| entry.bucket)
    }

    /// Keeps the bucket of `holder`, which becomes the most recently used.
    pub fn put(&mut self, holder: K, bucket: Bucket, now: Tick) {
        if let Some(key) = self.by_holder.get(&holder).copied() {
            self.unlink(key);
            self.entries[key].bucket = bucket;
            self.link(key);
            return;
        }
        // Up to two are removed for each one added, so full ones do not stay for long.
        for _ in 0..2 {
            let Some(oldest) = self.oldest.and_then(|key| self.entries.get(key)) else { break };
            let is_full = oldest.bucket.is_full(now);
            if !is_full && self.len() < self.max {
                break;
            }
            self.forgotten += u64::from(!is_full);
            let holder = oldest.holder;
            self.remove(holder);
        }
        let entry = Entry { holder, bucket, newer: None, older: None };
        let key = self.entries.insert(entry);
        self.by_holder.insert(holder, key);
        self.link(key);
    }

    fn remove(&mut self, holder: K) {
        if let Some(key) = self.by_holder.remove(&holder) {
            self.unlink(key);
            self.entries.remove(key);
        }
    }

    /// Makes an entry the newest.
    fn link(&mut self, key: Key<Entry<K>>) {
        let older = self.newest.replace(key);
        let entry = &mut self.entries[key];
        (entry.newer, entry.older) = (None, older);
        match older {
            Some(older) => self.entries[older].newer = Some(key),
            None => self.oldest = Some(key),
        }
    }

    fn unlink(&mut self, key: Key<Entry<K>>) {
        let Entry { newer, older, .. } = self.entries[key];
        match newer {
            Some(newer) => self.entries[newer].older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.entries[older].newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rate;
    use super::*;
    use fastrand::Rng;
    use std::time::Duration;

    #[test]
    fn as_a_plain_list_has_them() {
        let (mut dice, max) = (Rng::with_seed(12), 8);
        let rate = Rate::new(2, Duration::from_secs(1));
        let (mut buckets, mut list) = (Buckets::new(max), Vec::<(u8, Bucket)>::new());
        let (mut now, mut forgotten, mut longest) = (0, 0, 0);
        for round in 0..50_000 {
            now += if round / 1000 % 2 == 0 { dice.u64(..10) } else { dice.u64(..2000) };
            let (tick, holder) = (Tick::from_millis(now), dice.u8(..20));
            let known = list.iter().position(|(other, _)| *other == holder);
            let bucket = known.map_or_else(Bucket::default, |at| list.remove(at).1);
            assert_eq!(buckets.get(holder), bucket);
            let bucket = bucket.after_one(rate, tick).unwrap_or(bucket);
            if known.is_none() {
                for _ in 0..2 {
                    match list.first() {
                        Some((_, first)) if first.is_full(tick) => drop(list.remove(0)),
                        Some(_) if list.len() >= max => {
                            list.remove(0);
                            forgotten += 1;
                        }
                        Some(_) | None => {}
                    }
                }
            }
            list.push((holder, bucket));
            buckets.put(holder, bucket, tick);
            assert_eq!((buckets.len(), buckets.forgotten()), (list.len(), forgotten));
            assert_eq!(buckets.entries.iter().count(), list.len());
            let mut at = buckets.oldest;
            for (holder, bucket) in &list {
                let entry = &buckets.entries[at.unwrap()];
                assert_eq!((entry.holder, entry.bucket), (*holder, *bucket));
                at = entry.newer;
            }
            assert_eq!(at, None);
            longest = longest.max(list.len());
        }
        assert!(longest == max && forgotten > 1000, "{longest} {forgotten}");
    }

    /// A refused holder stays refused, however many others come.
    #[test]
    fn who_is_refused_is_not_the_oldest() {
        let rate = Rate::new(1, Duration::from_secs(3600));
        let (mut buckets, now) = (Buckets::new(4), Tick::ZERO);
        for holder in 1..100 {
            for holder in [0, holder] {
                let bucket = buckets.get(holder);
                let after = bucket.after_one(rate, now);
                assert_eq!(after.is_ok(), holder != 0 || buckets.len() == 0);
                buckets.put(holder, after.unwrap_or(bucket), now);
            }
        }
        assert_eq!((buckets.len(), buckets.forgotten()), (4, 96));
    }
}
