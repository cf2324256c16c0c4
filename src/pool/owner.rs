//! Who a connection is lent to, or waits for one: a number.

use crate::slab::Key;
use std::num::NonZeroU64;

/// Where the kind of an owner stands: in the highest bit, which a key leaves free, and in the
/// highest of its index, because there are not two billion of anything.
const KIND: u64 = 1 << 63 | 1 << 31;

/// A health check.
const CHECK: u64 = 1 << 63;

/// A feed of a log.
const FEED: u64 = 1 << 31;

/// A request that asks who may come in.
const AUTH_REQUEST: u64 = CHECK | FEED;

/// The owner of a connection. Only the caller knows who it is; it is informed of the connection's
/// events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(NonZeroU64);

impl Owner {
    /// The owner with this key: a client.
    pub fn of<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, 0)
    }

    /// The owner with this key, of another kind: a check of an endpoint's health.
    pub fn of_check<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, CHECK)
    }

    /// The owner with this key, of another kind: a feed of a log.
    pub fn of_feed<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, FEED)
    }

    /// The owner with this key, of another kind: a request that asks who may come in.
    pub fn of_auth_request<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, AUTH_REQUEST)
    }

    fn of_kind<T>(key: Key<T>, kind: u64) -> Owner {
        let bits = key.to_bits();
        assert!(bits & KIND == 0, "there are more of something than there can be");
        let Some(bits) = NonZeroU64::new(bits | kind) else {
            unreachable!("no generation of a key is zero");
        };
        Owner(bits)
    }

    /// The key again, for the caller that knows its type. None if it is one of another kind.
    pub fn key<T>(self) -> Option<Key<T>> {
        self.key_of_kind(0)
    }

    /// The key of a check again. None if it is no check.
    pub fn check<T>(self) -> Option<Key<T>> {
        self.key_of_kind(CHECK)
    }

    /// The key of a feed again. None if it is no feed.
    pub fn feed<T>(self) -> Option<Key<T>> {
        self.key_of_kind(FEED)
    }

    /// The key of a request that asks who may come in. None if it is none.
    pub fn auth_request<T>(self) -> Option<Key<T>> {
        self.key_of_kind(AUTH_REQUEST)
    }

    fn key_of_kind<T>(self, kind: u64) -> Option<Key<T>> {
        let bits = self.0.get();
        if bits & KIND == kind { Key::from_bits(bits & !KIND) } else { None }
    }
}
