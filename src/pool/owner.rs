//! Who a connection is lent to, or waits for one: a number.

use crate::slab::Key;
use std::num::NonZeroU64;

/// The highest bit, which a key leaves free, marks those that are no clients.
const NO_CLIENT_BIT: u64 = 1 << 63;

/// Of these, the highest bit of the index marks requests to auth servers: neither has two
/// billion of them.
const AUTH_BIT: u64 = 1 << 31;

/// The owner of a connection. Only the caller knows who it is; it is informed of the connection's
/// events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(NonZeroU64);

impl Owner {
    /// The owner with this key.
    pub fn of<T>(key: Key<T>) -> Owner {
        let Some(bits) = NonZeroU64::new(key.to_bits()) else {
            unreachable!("no generation of a key is zero");
        };
        Owner(bits)
    }

    /// The owner with this key, of another kind: a check of an endpoint's health.
    pub fn of_check<T>(key: Key<T>) -> Owner {
        assert!(key.to_bits() & AUTH_BIT == 0, "more checks than there can be");
        Owner(Owner::of(key).0 | NO_CLIENT_BIT)
    }

    /// The owner with this key, of a third kind: a request that asks who may come in.
    pub fn of_auth_request<T>(key: Key<T>) -> Owner {
        Owner(Owner::of_check(key).0 | AUTH_BIT)
    }

    /// The key of a check again. None if it is no check.
    pub fn check<T>(self) -> Option<Key<T>> {
        self.key_of_kind(NO_CLIENT_BIT)
    }

    /// The key of a request that asks who may come in. None if it is none.
    pub fn auth_request<T>(self) -> Option<Key<T>> {
        self.key_of_kind(NO_CLIENT_BIT | AUTH_BIT)
    }

    fn key_of_kind<T>(self, kind: u64) -> Option<Key<T>> {
        let both = NO_CLIENT_BIT | AUTH_BIT;
        let is_it = self.0.get() & both == kind;
        if is_it { Key::from_bits(self.0.get() & !both) } else { None }
    }

    /// The key again, for the caller that knows its type. None if it is one of another kind.
    pub fn key<T>(self) -> Option<Key<T>> {
        Key::from_bits(self.0.get())
    }
}
