//! Who a connection is lent to, or waits for one: a number.

use crate::slab::Key;
use std::num::NonZeroU64;

/// The highest bit, which a key leaves free, marks checks.
const CHECK_BIT: u64 = 1 << 63;

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
        Owner(Owner::of(key).0 | CHECK_BIT)
    }

    /// The key of a check again. None if it is no check.
    pub fn check<T>(self) -> Option<Key<T>> {
        let is_check = self.0.get() & CHECK_BIT != 0;
        if is_check { Key::from_bits(self.0.get() & !CHECK_BIT) } else { None }
    }

    /// The key again, for the caller that knows its type. None if it is that of a check.
    pub fn key<T>(self) -> Option<Key<T>> {
        Key::from_bits(self.0.get())
    }
}
