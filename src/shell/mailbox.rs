//! Values for another thread, whose event loop is woken for them.

use crate::locked::Locked;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The values, oldest first. A clone is the same mailbox.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    values: Arc<Locked<VecDeque<T>>>,
    waker: Arc<mio::Waker>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        Mailbox { values: Arc::clone(&self.values), waker: Arc::clone(&self.waker) }
    }
}

impl<T> Mailbox<T> {
    /// An empty mailbox of the thread that `waker` wakes.
    pub(super) fn of(waker: Arc<mio::Waker>) -> Mailbox<T> {
        Mailbox { values: Arc::default(), waker }
    }

    /// Puts a value in, and wakes the thread.
    pub(super) fn send(&self, value: T) {
        self.values.with(|values| values.push_back(value));
        // It fails only when the event loop is gone, and nobody waits for the value.
        let _: io::Result<()> = self.waker.wake();
    }

    /// Takes the oldest value.
    pub(super) fn take(&self) -> Option<T> {
        self.values.with(VecDeque::pop_front)
    }
}
