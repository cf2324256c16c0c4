//! The counters by key name.
//!
//! A removed key keeps its counters while there is room. If there is no room for a new key, it is
//! counted under the empty name, which no key has. While streams that are counted there are open,
//! no key leaves it, so that each stream ends under the name under which it was opened.

use crate::metrics::Counter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The maximum number of keys with separate counters.
const KEYS_MAX: usize = 10_000;

/// The counters of one key.
#[derive(Debug, Default)]
pub struct KeyStats {
    /// Finished requests, including event streams and tunnels.
    pub requests: Counter,
    /// Opened event streams.
    pub opened: Counter,
    /// Ended event streams.
    pub closed: Counter,
    /// Payload bytes received from clients, in finished requests.
    pub bytes_in: Counter,
    /// Payload bytes passed on to clients, in finished requests.
    pub bytes_out: Counter,
}

impl KeyStats {
    /// The number of open event streams.
    pub const fn open(&self) -> u64 {
        self.opened.get().saturating_sub(self.closed.get())
    }
}

/// The counters of all keys that were used. See the module docs.
#[derive(Debug, Default)]
pub struct AllKeys(BTreeMap<Arc<str>, KeyStats>);

impl AllKeys {
    /// The counters of the key with this name.
    pub fn of(&mut self, name: &Arc<str>) -> &KeyStats {
        let is_free = || self.0.get("").is_none_or(|unnamed| unnamed.open() == 0);
        let has_room = self.0.contains_key(name) || self.0.len() < KEYS_MAX && is_free();
        let name = if has_room { Arc::clone(name) } else { "".into() };
        self.0.entry(name).or_default()
    }

    /// If there is no room, makes some by removing keys that are no longer `known`.
    pub fn make_room(&mut self, known: impl Iterator<Item = Arc<str>>) {
        if self.0.len() < KEYS_MAX {
            return;
        }
        let known: BTreeSet<Arc<str>> = known.collect();
        self.0.retain(|name, stats| name.is_empty() || known.contains(name) || stats.open() > 0);
    }

    /// All counters, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &KeyStats)> {
        self.0.iter().map(|(name, stats)| (&**name, stats))
    }

    /// True if no key was used.
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
        // One of the removed keys has an open stream.
        let known = [name(7), name(KEYS_MAX + 1)];
        keys.make_room(known.iter().cloned());
        let left: Vec<&str> = keys.all().map(|(name, _)| name).collect();
        assert_eq!(left, ["", "key 1", "key 7"]);
        keys.make_room([].into_iter());
        assert_eq!(keys.0.len(), 3, "there is room");
        keys.of(&known[1]).requests.one();
        assert_eq!(keys.of(&known[1]).requests.get(), 1);
    }

    #[test]
    fn a_stream_ends_under_the_name_under_which_it_was_opened() {
        let name = |n: usize| Arc::<str>::from(format!("key {n}"));
        let mut keys = AllKeys::default();
        for n in 0..KEYS_MAX {
            keys.of(&name(n)).requests.one();
        }
        let late = name(KEYS_MAX);
        keys.of(&late).opened.one();
        keys.make_room([late.clone()].into_iter());
        assert_eq!(keys.of(&"".into()).open(), 1);
        keys.of(&late).closed.one();
        assert_eq!(keys.of(&"".into()).open(), 0);
        keys.of(&late).requests.one();
        assert_eq!(keys.0[&late].requests.get(), 1, "there is room");
    }
}
