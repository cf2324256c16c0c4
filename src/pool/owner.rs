//! The owner of a connection, or of a place in the queue for one: a number.

use crate::slab::Key;
use std::num::NonZeroU64;

/// The bits that hold the kind of an owner: the highest bit, which keys do not use, and the highest
/// bit of a key's index, because there are never two billion of anything.
const KIND: u64 = 1 << 63 | 1 << 31;

/// A health check.
const CHECK: u64 = 1 << 63;

/// A feed of a log.
const FEED: u64 = 1 << 31;

/// A request to an auth server.
const AUTH_REQUEST: u64 = CHECK | FEED;

/// The owner of a connection. Only the caller knows what it stands for. It is informed of the
/// connection's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(NonZeroU64);

impl Owner {
    /// The owner with this key: a client.
    pub fn of<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, 0)
    }

    /// The owner with this key, of another kind: a health check.
    pub fn of_check<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, CHECK)
    }

    /// The owner with this key, of another kind: a feed of a log.
    pub fn of_feed<T>(key: Key<T>) -> Owner {
        Owner::of_kind(key, FEED)
    }

    /// The owner with this key, of another kind: a request to an auth server.
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

    /// The key of a client; the caller knows its type. None if it is of another kind.
    pub fn key<T>(self) -> Option<Key<T>> {
        self.key_of_kind(0)
    }

    /// The key of a health check. None if it is of another kind.
    pub fn check<T>(self) -> Option<Key<T>> {
        self.key_of_kind(CHECK)
    }

    /// The key of a feed. None if it is of another kind.
    pub fn feed<T>(self) -> Option<Key<T>> {
        self.key_of_kind(FEED)
    }

    /// The key of a request to an auth server. None if it is of another kind.
    pub fn auth_request<T>(self) -> Option<Key<T>> {
        self.key_of_kind(AUTH_REQUEST)
    }

    fn key_of_kind<T>(self, kind: u64) -> Option<Key<T>> {
        let bits = self.0.get();
        if bits & KIND == kind { Key::from_bits(bits & !KIND) } else { None }
    }
}
