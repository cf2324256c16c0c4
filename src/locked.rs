//! State shared by event loops: a value that each locks only briefly; a limited number of places;
//! values that one loop passes to another.
//!
//! None of this is on the data path. It holds only what is counted for the whole process, and is
//! used when requests and streams begin and end. With one event loop there is no contention.
//!
//! `races/` tries all interleavings of threads, by compiling this file with loom's synchronisation
//! primitives.

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

/// A value that several event loops change. See the module docs.
#[cfg_attr(not(loom), expect(clippy::disallowed_types, reason = "several threads change it"))]
#[derive(Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Calls `look` with exclusive access to the value. `look` must be short, and must not lock
    /// another value, so that locks cannot deadlock.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        // A panic anywhere ends the process, so no thread continues with the state it left behind.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: fmt::Debug> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| value.fmt(f))
    }
}

/// A limited number of places. Each place taken is given back once.
#[derive(Debug, Default)]
pub struct Places(AtomicUsize);

impl Places {
    /// The number of places taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes one of `max` places. False if all are taken.
    pub fn take(&self, max: usize) -> bool {
        // The number guards no other memory, and each update sees the latest value.
        let another = |taken| (taken < max).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Values passed to one thread, oldest first.
#[derive(Debug)]
pub struct Passing<T>(Locked<VecDeque<T>>);

impl<T> Default for Passing<T> {
    fn default() -> Passing<T> {
        Passing(Locked::default())
    }
}

impl<T> Passing<T> {
    /// Adds values. Returns true if the thread must be woken. A thread that has not taken the
    /// previous values yet has already been woken for them.
    pub fn put(&self, all: impl IntoIterator<Item = T>) -> bool {
        self.0.with(|values| {
            let was_empty = values.is_empty();
            values.extend(all);
            was_empty && !values.is_empty()
        })
    }

    /// Takes all values. The thread does so whenever it is woken.
    pub fn take_all(&self) -> VecDeque<T> {
        self.0.with(std::mem::take)
    }

    /// Takes the oldest value. The thread does so until there is none.
    pub fn take(&self) -> Option<T> {
        self.0.with(VecDeque::pop_front)
    }
}
