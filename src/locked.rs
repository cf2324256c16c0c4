//! A value that several event loops change, one after the other and each only for a moment.
//!
//! Nothing on the way of a byte is behind one: only what limits count for the process as a whole,
//! at the pace of the requests and streams that begin and end. With one event loop nobody waits.

use std::fmt;
#[expect(
    clippy::disallowed_types,
    reason = "this is where several threads may change something"
)]
use std::sync::Mutex;
use std::sync::PoisonError;

/// The value. See the module.
#[expect(clippy::disallowed_types, reason = "this is where several threads may change something")]
#[derive(Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Looks at the value, and perhaps changes it, while nobody else does. `look` must be short,
    /// and must not look at another one: the order of two locks is then no question.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        // A panic anywhere ends the process, so nobody goes on with what it has left behind.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: fmt::Debug> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| value.fmt(f))
    }
}
