//! Somebody who does one thing after another beside the loop, for as long as there is any.
//!
//! The loop must not wait for a disk, for a name server, or for whoever reads the log; a clerk
//! does, on a thread. That costs something even while it sleeps: with a second thread in the
//! process each system call has to make sure of its descriptor. So a clerk goes when nothing has
//! come for a while, and the next thing to do starts another thread. A process that does nothing
//! but hand on events has one.
//!
//! Things wait in a queue behind a lock, which is held for as long as it takes to move one. The
//! channels of the standard library take no lock, and cost the program six kilobytes for each type
//! that goes through one; through this go a few dozen things a second.
//!
//! Tested with threads that come and go.

use std::collections::VecDeque;
use std::fmt;
#[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How long a clerk stays who has nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// Enough for the system's resolver.
const STACK: usize = 512 * 1024;

/// See the module. When it is dropped, what waits is still done.
pub(super) struct Clerk<T>(Arc<Office<T>>);

struct Office<T> {
    name: &'static str,
    queue_max: usize,
    idle: Duration,
    #[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
    desk: Mutex<Desk<T>>,
    changed: Condvar,
}

struct Desk<T> {
    queue: VecDeque<T>,
    /// What is done with each thing; whoever does it has this.
    work: Option<Box<dyn FnMut(T) + Send>>,
    /// True exactly when there is a thread, or will be.
    staffed: bool,
    /// True exactly when something is being done.
    busy: bool,
    closed: bool,
}

impl<T: Send + 'static> Clerk<T> {
    /// Somebody who will do `work` with each thing, and has room for `queue_max` that wait.
    pub(super) fn new(
        name: &'static str,
        queue_max: usize,
        work: impl FnMut(T) + Send + 'static,
    ) -> Clerk<T> {
        Clerk::with_patience(IDLE, name, queue_max, work)
    }

    fn with_patience(
        idle: Duration,
        name: &'static str,
        queue_max: usize,
        work: impl FnMut(T) + Send + 'static,
    ) -> Clerk<T> {
        let (queue, work) = (VecDeque::new(), Some(Box::new(work) as Box<_>));
        let desk = Desk { queue, work, staffed: false, busy: false, closed: false };
        let changed = Condvar::new();
        Clerk(Arc::new(Office { name, queue_max, idle, desk: desk.into(), changed }))
    }

    /// Has something done.
    ///
    /// # Errors
    /// It comes back when there is no room for it, or no thread can be had.
    pub(super) fn post(&self, thing: T) -> Result<(), T> {
        let mut desk = self.0.desk();
        if desk.queue.len() >= self.0.queue_max {
            return Err(thing);
        }
        desk.queue.push_back(thing);
        if desk.staffed {
            drop(desk);
            self.0.changed.notify_all();
            return Ok(());
        }
        let office = Arc::clone(&self.0);
        let thread = Builder::new().name(self.0.name.to_owned()).stack_size(STACK);
        // The thread has to wait for the desk.
        desk.staffed = thread.spawn(move || office.work()).is_ok();
        if desk.staffed { Ok(()) } else { desk.queue.pop_back().map_or(Ok(()), Err) }
    }
}

impl<T> Clerk<T> {
    /// True when something is not done yet.
    pub(super) fn is_busy(&self) -> bool {
        self.0.desk().is_busy()
    }

    /// Waits until all is done, for so long at most.
    pub(super) fn settle(&self, patience: Duration) {
        let desk = self.0.desk();
        drop(self.0.changed.wait_timeout_while(desk, patience, |desk| desk.is_busy()));
    }
}

impl<T> Office<T> {
    /// Does what there is to do, and waits a while for more.
    fn work(&self) {
        let mut desk = self.desk();
        let Some(mut work) = desk.work.take() else { return };
        loop {
            let nothing = |desk: &mut Desk<T>| desk.queue.is_empty() && !desk.closed;
            let waited = self.changed.wait_timeout_while(desk, self.idle, nothing);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
            let Some(thing) = desk.queue.pop_front() else { break };
            desk.busy = true;
            drop(desk);
            work(thing);
            desk = self.desk();
            desk.busy = false;
            self.changed.notify_all();
        }
        (desk.work, desk.staffed) = (Some(work), false);
        self.changed.notify_all();
    }

    /// Nothing can go wrong while somebody has it.
    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Desk<T> {
    fn is_busy(&self) -> bool {
        self.busy || !self.queue.is_empty()
    }
}

impl<T> Drop for Clerk<T> {
    fn drop(&mut self) {
        self.0.desk().closed = true;
        self.0.changed.notify_all();
    }
}

impl<T> fmt::Debug for Clerk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, waiting) = (self.0.name, self.0.desk().queue.len());
        f.debug_struct("Clerk").field("name", &name).field("waiting", &waiting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn things_are_done_in_order() {
        let (done, see) = mpsc::channel();
        let clerk = Clerk::new("test", usize::MAX, move |n| done.send(n).unwrap());
        for n in 0..1000 {
            assert_eq!(clerk.post(n), Ok(()));
        }
        clerk.settle(Duration::MAX);
        assert!(!clerk.is_busy());
        assert!(see.try_iter().eq(0..1000));
        assert_eq!(clerk.post(1000), Ok(()));
        drop(clerk);
        assert_eq!((see.recv(), see.recv()), (Ok(1000), Err(mpsc::RecvError)));
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let (begin, begun) = mpsc::channel();
        let (end, ending) = mpsc::channel();
        let clerk = Clerk::new("test", 2, move |n: u32| {
            begin.send(n).unwrap();
            ending.recv().unwrap();
        });
        assert_eq!((clerk.post(0), begun.recv()), (Ok(()), Ok(0)));
        assert_eq!([1, 2, 3].map(|n| clerk.post(n)), [Ok(()), Ok(()), Err(3)]);
        clerk.settle(Duration::from_millis(1));
        assert!(clerk.is_busy());
        for n in 1..=2 {
            end.send(()).unwrap();
            assert_eq!(begun.recv(), Ok(n));
        }
        end.send(()).unwrap();
        clerk.settle(Duration::MAX);
        assert!(!clerk.is_busy());
    }

    #[test]
    fn who_has_nothing_to_do_goes_and_comes_back() {
        let (done, see) = mpsc::channel();
        let mut sum = 0;
        let clerk = Clerk::with_patience(Duration::ZERO, "test", 1, move |n| {
            sum += n;
            done.send(sum).unwrap();
        });
        for (n, want) in [(1, 1), (2, 3), (3, 6)] {
            assert_eq!((clerk.post(n), see.recv()), (Ok(()), Ok(want)));
            let desk = clerk.0.desk();
            drop(clerk.0.changed.wait_while(desk, |desk| desk.staffed).unwrap());
        }
    }
}
