//! What is counted by the names of keys.
//!
//! A key that is gone from the file keeps its numbers while there is room. What finds no room is
//! counted under the empty name, which no key has.

use crate::metrics::Counter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keys whose numbers are kept apart.
const KEYS_MAX: usize = 10_000;

/// What is counted of one key.
#[derive(Debug, Default)]
pub struct KeyStats {
    /// Requests that are over, event streams and tunnels included.
    pub requests: Counter,
    /// Event streams that were opened.
    pub opened: Counter,
    /// Event streams that have ended.
    pub closed: Counter,
    /// Payload that clients have sent in requests that are over.
    pub bytes_in: Counter,
    /// Payload that clients were handed in requests that are over.
    pub bytes_out: Counter,
}

impl KeyStats {
    /// Event streams that are open.
    pub const fn open(&self) -> u64 {
        self.opened.get().saturating_sub(self.closed.get())
    }
}

/// The numbers of all keys that were used. See the module.
#[derive(Debug, Default)]
pub struct AllKeys(BTreeMap<Arc<str>, KeyStats>);

impl AllKeys {
    /// Those of the key of this name.
    pub fn of(&mut self, name: &Arc<str>) -> &KeyStats {
        let has_room = self.0.len() < KEYS_MAX || self.0.contains_key(name);
        let name = if has_room { Arc::clone(name) } else { "".into() };
        self.0.entry(name).or_default()
    }

    /// Makes room, if there is none, by forgetting keys that are not known any more.
    pub fn make_room(&mut self, known: impl Iterator<Item = Arc<str>>) {
        if self.0.len() < KEYS_MAX {
            return;
        }
        let known: BTreeSet<Arc<str>> = known.collect();
        self.0.retain(|name, stats| name.is_empty() || known.contains(name) || stats.open() > 0);
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &KeyStats)> {
        self.0.iter().map(|(name, stats)| (&**name, stats))
    }

    /// True exactly when no key was used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_to_them() {
        let name = |n: usize| Arc::<str>::from(format!("key {n}"));
        let mut keys = AllKeys::default();
        for n in 0..KEYS_MAX + 5 {
            keys.of(&name(n)).requests.one();
        }
        keys.of(&name(1)).opened.one();
        assert_eq!(keys.0.len(), KEYS_MAX + 1);
        assert_eq!(keys.of(&"".into()).requests.get(), 5);
        // Of those that are gone, one has a stream that is open.
        let known = [name(7), name(KEYS_MAX + 1)];
        keys.make_room(known.iter().cloned());
        let left: Vec<&str> = keys.all().map(|(name, _)| name).collect();
        assert_eq!(left, ["", "key 1", "key 7"]);
        keys.make_room([].into_iter());
        assert_eq!(keys.0.len(), 3, "there is room");
        keys.of(&known[1]).requests.one();
        assert_eq!(keys.of(&known[1]).requests.get(), 1);
    }
}
