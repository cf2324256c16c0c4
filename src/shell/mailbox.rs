//! Passes values to another thread, and wakes its event loop.

use crate::locked::Passing;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The values, oldest first. A clone is the same mailbox.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    values: Arc<Passing<T>>,
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

    /// Adds a value, and wakes the thread.
    pub(super) fn send(&self, value: T) {
        self.send_all([value]);
    }

    /// Adds values, and wakes the thread, unless it was woken already and has not taken anything
    /// since.
    pub(super) fn send_all(&self, all: impl IntoIterator<Item = T>) {
        if self.values.put(all) {
            // It fails only when the event loop is gone, and then nothing waits for the value.
            let _: io::Result<()> = self.waker.wake();
        }
    }

    /// Takes all values, oldest first.
    pub(super) fn take_all(&self) -> VecDeque<T> {
        self.values.take_all()
    }

    /// Takes the oldest value.
    pub(super) fn take(&self) -> Option<T> {
        self.values.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// However sends interleave, every value is taken, and those of each thread in order.
    #[test]
    fn no_wake_up_is_lost() {
        const EACH: usize = 5000;
        let mut poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let mailbox = Mailbox::of(Arc::new(waker));
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let mailbox = mailbox.clone();
                threads.spawn(move || (0..EACH).for_each(|n| mailbox.send((thread, n))));
            }
            let (mut next, mut events) = ([0; 3], mio::Events::with_capacity(1));
            while next != [EACH; 3] {
                poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
                assert!(!events.is_empty(), "no wake-up after {next:?}");
                for (thread, n) in mailbox.take_all() {
                    assert_eq!(n, next[thread]);
                    next[thread] += 1;
                }
            }
        });
    }
}
