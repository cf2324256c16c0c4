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
        self.send_all([value]);
    }

    /// Puts values in, and wakes the thread, which takes all of them whenever it is woken: one that
    /// has not taken the last ones yet has been woken for them.
    pub(super) fn send_all(&self, all: impl IntoIterator<Item = T>) {
        let was_empty = self.values.with(|values| {
            let was_empty = values.is_empty();
            values.extend(all);
            was_empty
        });
        if was_empty {
            // It fails only when the event loop is gone, and nobody waits for the value.
            let _: io::Result<()> = self.waker.wake();
        }
    }

    /// Takes all values, oldest first.
    pub(super) fn take_all(&self) -> VecDeque<T> {
        self.values.with(std::mem::take)
    }

    /// Takes the oldest value.
    pub(super) fn take(&self) -> Option<T> {
        self.values.with(VecDeque::pop_front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Whoever sends whenever, all of it is taken, and in order for each thread.
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
                assert!(!events.is_empty(), "nobody was woken after {next:?}");
                for (thread, n) in mailbox.take_all() {
                    assert_eq!(n, next[thread]);
                    next[thread] += 1;
                }
            }
        });
    }
}
