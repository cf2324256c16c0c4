//! Quotas on open event streams, for each client address and each key. A share counts for as long
//! as it is held, in any event loop.
//!
//! A table has entries only for holders with open streams, so it is never longer than the number of
//! streams.
//!
//! `Drop` returns a share, so none can leak.

use crate::auth::Hash;
use crate::http::client_address::ClientAddress;
use crate::locked::Locked;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The number of open streams of each holder. Clones share the same quota.
#[derive(Clone)]
pub struct Quota<K: Ord + Copy>(Arc<Table<K>>);

type Table<K> = Locked<BTreeMap<K, usize>>;

impl<K: Ord + Copy> fmt::Debug for Quota<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.0.with(|entries| entries.len()))
    }
}

impl<K: Ord + Copy> Default for Quota<K> {
    fn default() -> Quota<K> {
        Quota(Arc::default())
    }
}

impl<K: Ord + Copy> Quota<K> {
    /// Acquires a share for `holder` if it has fewer than `max`.
    pub fn acquire(&self, holder: K, max: usize) -> Option<Share<K>> {
        let granted = self.0.with(|entries| {
            let open = entries.get(&holder).copied().unwrap_or(0);
            if open < max {
                entries.insert(holder, open + 1);
            }
            open < max
        });
        granted.then(|| Share { table: Arc::clone(&self.0), holder })
    }

    /// The number of shares held.
    #[cfg(feature = "sim")]
    pub fn held(&self) -> usize {
        self.0.with(|entries| entries.values().sum())
    }
}

/// A holder's share of a quota: one open stream, counted until it is dropped.
pub struct Share<K: Ord + Copy> {
    table: Arc<Table<K>>,
    holder: K,
}

impl<K: Ord + Copy + fmt::Debug> fmt::Debug for Share<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a share of {:?}", self.holder)
    }
}

impl<K: Ord + Copy> Drop for Share<K> {
    fn drop(&mut self) {
        self.table.with(|entries| match entries.get_mut(&self.holder) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) | None => drop(entries.remove(&self.holder)),
        });
    }
}

/// The shares of one stream: in the quotas of its client's address and its key, if these have
/// limits.
#[derive(Debug, Default)]
pub struct Shares {
    /// The share in the quota of the client's address.
    pub address: Option<Share<Network>>,
    /// The share in the quota of the key.
    pub key: Option<Share<Hash>>,
}

impl Shares {
    /// The number of shares of addresses, and of keys.
    pub fn held(&self) -> [usize; 2] {
        [usize::from(self.address.is_some()), usize::from(self.key.is_some())]
    }
}

/// The unit that counts as one client address: an IPv4 address, or the network half of an IPv6
/// address, because one client may own all of the other half. All clients with unknown addresses
/// count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
    /// Any address that is not known.
    Unknown,
}

impl Network {
    /// Determines the network of a client. None on a Unix socket, where clients are not counted.
    pub fn of_client(client: ClientAddress) -> Option<Network> {
        match client {
            ClientAddress::Ip(address) => Some(Network::of(address)),
            ClientAddress::Unix => None,
            ClientAddress::Unknown => Some(Network::Unknown),
        }
    }

    /// Determines the network of an address. IPv4-mapped IPv6 addresses count as IPv4.
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
        let counts = Quota::default();
        let a = counts.acquire('a', 2);
        let b = counts.acquire('a', 2);
        assert!(a.is_some() && b.is_some() && counts.acquire('a', 2).is_none());
        let c = counts.acquire('c', 1);
        assert!(c.is_some() && counts.acquire('c', 0).is_none());
        assert_eq!(counts.held(), 3);
        drop(a);
        assert!(counts.acquire('a', 1).is_none());
        assert!(counts.acquire('a', 2).is_some(), "and returned at once");
        drop((b, c));
        assert_eq!(counts.held(), 0);
        assert_eq!(format!("{counts:?}"), "0 entries", "no holder is left");
        assert!(counts.acquire('a', 0).is_none());
        assert_eq!(format!("{counts:?}"), "0 entries");
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
        let of = Network::of_client;
        let known = ClientAddress::Ip("1.1.1.1".parse().unwrap());
        assert_eq!(of(known), Some(Network::V4(0x0101_0101)));
        assert_eq!(of(ClientAddress::Unix), None);
        assert_eq!(of(ClientAddress::Unknown), Some(Network::Unknown));
    }
}
