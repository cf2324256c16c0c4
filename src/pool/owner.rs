//! Who a connection is lent to, or waits for one: a number.

use crate::slab::Key;
use std::num::NonZeroU64;

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

    /// The key again, for the caller that knows its type.
    pub fn key<T>(self) -> Option<Key<T>> {
        Key::from_bits(self.0.get())
    }
}
