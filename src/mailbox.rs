//! What one thread hands to another: a queue behind a lock.
//!
//! The channels of the standard library take no lock, and cost the program six kilobytes for each
//! type that goes through one. What goes through these goes a few dozen times a second, and the
//! lock is held for as long as it takes to move a value.
//!
//! Tested with two threads, and with one.

use std::collections::VecDeque;
use std::fmt;
#[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// One end of a queue, which has as many ends as there are clones of this.
pub struct Mailbox<T>(Arc<Shared<T>>);

struct Shared<T> {
    #[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
    letters: Mutex<Letters<T>>,
    changed: Condvar,
}

struct Letters<T> {
    queue: VecDeque<T>,
    max: usize,
    /// True exactly when the last letter that was waited for has been given to somebody, who has
    /// not come for the next one yet.
    being_read: bool,
    closed: bool,
}

impl<T> Mailbox<T> {
    /// An empty one, with room for `max` letters.
    pub fn new(max: usize) -> Mailbox<T> {
        let letters = Letters { queue: VecDeque::new(), max, being_read: false, closed: false };
        Mailbox(Arc::new(Shared { letters: letters.into(), changed: Condvar::new() }))
    }

    /// Puts a letter in.
    ///
    /// # Errors
    /// The letter comes back when there is no room for it, or the box is closed.
    pub fn post(&self, letter: T) -> Result<(), T> {
        let mut letters = self.open();
        if letters.closed || letters.queue.len() >= letters.max {
            return Err(letter);
        }
        letters.queue.push_back(letter);
        drop(letters);
        self.0.changed.notify_all();
        Ok(())
    }

    /// The next letter, if there is one.
    pub fn take(&self) -> Option<T> {
        let letter = self.open().queue.pop_front();
        self.0.changed.notify_all();
        letter
    }

    /// Waits for the next letter. None when there will be no more. Whoever asks again has done with
    /// the one before; only one thread may.
    pub fn wait(&self) -> Option<T> {
        let mut letters = self.open();
        letters.being_read = false;
        self.0.changed.notify_all();
        while letters.queue.is_empty() && !letters.closed {
            letters = self.0.changed.wait(letters).unwrap_or_else(PoisonError::into_inner);
        }
        let letter = letters.queue.pop_front();
        letters.being_read = letter.is_some();
        letter
    }

    /// True when some letter has not been read to its end.
    pub fn is_busy(&self) -> bool {
        self.open().is_busy()
    }

    /// Waits until all letters have been read, for so long at most.
    pub fn settle(&self, patience: Duration) {
        let letters = self.open();
        drop(self.0.changed.wait_timeout_while(letters, patience, |l| l.is_busy()));
    }

    /// No more letters are taken. Those that are in it can still be read.
    pub fn close(&self) {
        self.open().closed = true;
        self.0.changed.notify_all();
    }

    /// Nothing can have gone wrong between the lines above.
    fn open(&self) -> MutexGuard<'_, Letters<T>> {
        self.0.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Letters<T> {
    fn is_busy(&self) -> bool {
        self.being_read || !self.queue.is_empty()
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        Mailbox(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.open();
        let (waiting, closed) = (letters.queue.len(), letters.closed);
        f.debug_struct("Mailbox").field("waiting", &waiting).field("closed", &closed).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mailbox = Mailbox::new(usize::MAX);
        let reader = mailbox.clone();
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            while let Some(letter) = reader.wait() {
                read.push(letter);
            }
            read
        });
        for letter in 0..1000 {
            assert_eq!(mailbox.post(letter), Ok(()));
        }
        mailbox.settle(Duration::MAX);
        assert!(!mailbox.is_busy());
        mailbox.close();
        assert_eq!(mailbox.post(1000), Err(1000));
        assert_eq!(reader.join().unwrap(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_box_takes_no_more() {
        let mailbox = Mailbox::new(2);
        assert_eq!([1, 2, 3].map(|letter| mailbox.post(letter)), [Ok(()), Ok(()), Err(3)]);
        assert!(mailbox.is_busy());
        assert_eq!((mailbox.take(), mailbox.post(3), mailbox.take()), (Some(1), Ok(()), Some(2)));
        // The one that is waited for is being read until the next is.
        assert_eq!((mailbox.wait(), mailbox.take(), mailbox.is_busy()), (Some(3), None, true));
        mailbox.settle(Duration::from_millis(1));
        mailbox.close();
        assert_eq!((mailbox.wait(), mailbox.is_busy()), (None, false));
    }
}
