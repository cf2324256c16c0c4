//! How many event streams a client's address has open, or a key: a share counts for as long as it
//! is held.
//!
//! Each table has an entry for those only who have a stream open, so it is never longer than there
//! are streams.
//!
//! A share is given back by `Drop`, through a `Cell` whose map is taken out and put back. So none
//! can be forgotten, and there is no borrow that could be held at the wrong moment.

use crate::auth::Hash;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

/// How many streams each one has open.
#[derive(Debug)]
pub struct Counts<K: Ord + Copy>(Rc<Table<K>>);

struct Table<K>(Cell<BTreeMap<K, usize>>);

impl<K: Ord> Table<K> {
    /// Lets `look` at the entries, or change them.
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<K, usize>) -> T) -> T {
        let mut entries = self.0.take();
        let seen = look(&mut entries);
        self.0.set(entries);
        seen
    }
}

impl<K: Ord> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.with(|entries| entries.len()))
    }
}

impl<K: Ord + Copy> Default for Counts<K> {
    fn default() -> Counts<K> {
        Counts(Rc::new(Table(Cell::default())))
    }
}

impl<K: Ord + Copy> Counts<K> {
    /// A share for `holder`, if it has fewer than `max`.
    pub fn acquire(&self, holder: K, max: usize) -> Option<Share<K>> {
        let granted = self.0.with(|entries| {
            let open = entries.get(&holder).copied().unwrap_or(0);
            if open < max {
                entries.insert(holder, open + 1);
            }
            open < max
        });
        granted.then(|| Share { table: Rc::clone(&self.0), holder })
    }

    /// All shares that are held.
    pub fn held(&self) -> usize {
        self.0.with(|entries| entries.values().sum())
    }
}

/// One's share of the streams, for as long as it is held.
#[derive(Debug)]
pub struct Share<K: Ord + Copy> {
    table: Rc<Table<K>>,
    holder: K,
}

impl<K: Ord + Copy> Drop for Share<K> {
    fn drop(&mut self) {
        self.table.with(|entries| match entries.get_mut(&self.holder) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) | None => drop(entries.remove(&self.holder)),
        });
    }
}

/// A share of the streams of an address, and one of those of a key, where there are limits.
#[derive(Debug, Default)]
pub struct Shares {
    /// Among those of the client's address.
    pub address: Option<Share<Network>>,
    /// Among those of the key that let it in.
    pub key: Option<Share<Hash>>,
}

impl Shares {
    /// How many shares of addresses these are, and how many of keys.
    pub fn held(&self) -> [usize; 2] {
        [usize::from(self.address.is_some()), usize::from(self.key.is_some())]
    }
}

/// What counts as one client address: an IPv4 address, or the half of an IPv6 address that one
/// network has, for one client may have all of the other half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// All of it.
    V4(u32),
    /// Its first 64 bits.
    V6(u64),
}

impl Network {
    /// Where this address belongs. An IPv4 address is the same written as IPv6.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Network::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_while_they_are_held() {
        let counts = Counts::default();
        let a = counts.acquire('a', 2);
        let b = counts.acquire('a', 2);
        assert!(a.is_some() && b.is_some() && counts.acquire('a', 2).is_none());
        let c = counts.acquire('c', 1);
        assert!(c.is_some() && counts.acquire('c', 0).is_none());
        assert_eq!(counts.held(), 3);
        drop(a);
        assert!(counts.acquire('a', 1).is_none());
        assert!(counts.acquire('a', 2).is_some(), "and given back at once");
        drop((b, c));
        assert_eq!(counts.held(), 0);
        assert_eq!(format!("{counts:?}"), "Counts(0 entries)", "nobody is remembered");
        assert!(counts.acquire('a', 0).is_none());
        assert_eq!(format!("{counts:?}"), "Counts(0 entries)");
    }

    #[test]
    fn networks() {
        let check = |a: &str, b: &str, same: bool| {
            let [a, b] = [a, b].map(|text| Network::of(text.parse().unwrap()));
            assert_eq!(a == b, same, "{a:?} {b:?}");
        };
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("192.0.2.7", "::ffff:192.0.2.7", true);
        check("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
        check("0.0.0.0", "::", false);
    }
}
