//! What several event loops change: a value, one after the other and each only for a moment; a
//! number of places; values that one passes on to another.
//!
//! Nothing on the way of a byte is behind one: only what limits count for the process as a whole,
//! at the pace of the requests and streams that begin and end. With one event loop nobody waits.
//!
//! All orders in which threads may come here are played by `races/`, which compiles this file with
//! the synchronisation of loom.

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::collections::VecDeque;
use std::fmt;
#[cfg(not(loom))]
#[expect(
    clippy::disallowed_types,
    reason = "this is where several threads may change something"
)]
use std::sync::Mutex;
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A value that several event loops change. See the module.
#[cfg_attr(not(loom), expect(clippy::disallowed_types, reason = "several threads change it"))]
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

/// Places of which there is a number. Whoever has one leaves it once.
#[derive(Debug, Default)]
pub struct Places(AtomicUsize);

impl Places {
    /// The number of those that are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes one of `max`. False if all are taken.
    pub fn take(&self, max: usize) -> bool {
        // Nothing else is told by the number, and of one number all know the last change.
        let another = |taken| (taken < max).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another).is_ok()
    }

    /// Gives one back.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Values that are passed on to one thread, oldest first.
#[derive(Debug)]
pub struct Passing<T>(Locked<VecDeque<T>>);

impl<T> Default for Passing<T> {
    fn default() -> Passing<T> {
        Passing(Locked::default())
    }
}

impl<T> Passing<T> {
    /// Puts values in. True exactly when the thread is to be woken: one that has not taken the last
    /// ones yet has been woken for them.
    pub fn put(&self, all: impl IntoIterator<Item = T>) -> bool {
        self.0.with(|values| {
            let was_empty = values.is_empty();
            values.extend(all);
            was_empty && !values.is_empty()
        })
    }

    /// Takes all values, which the thread does whenever it is woken.
    pub fn take_all(&self) -> VecDeque<T> {
        self.0.with(std::mem::take)
    }

    /// Takes the oldest value, which the thread does until there is none.
    pub fn take(&self) -> Option<T> {
        self.0.with(VecDeque::pop_front)
    }
}
