//! A naive wheel: an ordered map. Tests and the fuzzer compare the real one with it.

use crate::time::Tick;
use std::collections::BTreeMap;

/// The behaviour of a wheel without slots, rings and bits: promises in the order in which they fall
/// due.
#[derive(Debug)]
pub(crate) struct Model {
    since: u64,
    /// The owners by border, width of the slot, and order of insertion.
    queue: BTreeMap<(u64, u64, u64), u32>,
    /// The moment promised to each owner, and its key in the queue.
    pub(crate) promises: BTreeMap<u32, (u64, (u64, u64, u64))>,
    inserted: u64,
}

impl Model {
    pub(crate) fn new(since: u64) -> Model {
        Model { since, queue: BTreeMap::new(), promises: BTreeMap::new(), inserted: 0 }
    }

    pub(crate) fn at_most(&mut self, index: u32, at: Tick) {
        if at == Tick::NEVER {
            return;
        }
        let farthest = 63 * 8_u64.pow(6);
        let at = at.as_millis().min(self.since + farthest);
        let due = at.max(self.since);
        let width = (0..7).map(|n| 8_u64.pow(n)).find(|g| due - self.since <= 63 * g).unwrap_or(0);
        let key = (due.div_ceil(width) * width, width, self.inserted);
        // An owner that would not be reported earlier keeps its promise.
        if let Some((earlier, former)) = self.promises.get(&index)
            && *earlier <= at
            && former.0 <= key.0
        {
            return;
        }
        self.disarm(index);
        self.inserted += 1;
        self.queue.insert(key, index);
        self.promises.insert(index, (at, key));
    }

    pub(crate) fn disarm(&mut self, index: u32) {
        if let Some((_, key)) = self.promises.remove(&index) {
            self.queue.remove(&key);
        }
    }

    pub(crate) fn armed(&self, index: u32) -> Tick {
        self.promises.get(&index).map_or(Tick::NEVER, |&(at, _)| Tick::from_millis(at))
    }

    pub(crate) fn next(&self) -> Tick {
        self.queue.keys().next().map_or(Tick::NEVER, |key| Tick::from_millis(key.0))
    }

    pub(crate) fn expire(&mut self, now: Tick, max: usize) -> Vec<u32> {
        let due: Vec<u32> =
            self.queue.range(..(now.as_millis() + 1, 0, 0)).map(|(_, &i)| i).collect();
        let due = &due[..due.len().min(max)];
        due.iter().for_each(|&index| self.disarm(index));
        self.since = self.since.max(now.min(self.next()).as_millis());
        due.to_vec()
    }
}
