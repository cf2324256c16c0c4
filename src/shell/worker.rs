//! A worker thread that runs queued jobs one at a time, off the event loop, and exits when idle.
//!
//! The event loop must not wait for a disk, a name server, or a slow reader of the log. A worker
//! waits instead. A second thread costs something even while it sleeps: the kernel then has to take
//! a reference to the file in every system call on a descriptor. So the thread exits after a second
//! without work, and the next job starts another one. A process that only passes events on has one
//! thread.
//!
//! Jobs wait in a queue behind a lock, which is held only to move a job. The channels of the
//! standard library take no lock, but each item type adds six kilobytes to the binary; a few dozen
//! jobs a second pass through here.
//!
//! Tested with threads that start and exit.

use std::collections::VecDeque;
use std::fmt;
#[expect(
    clippy::disallowed_types,
    reason = "shared between threads; locked only to move a job"
)]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How long an idle worker thread stays alive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the process waits for a worker's last jobs when it exits.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The stack of a thread, in bytes. It is enough for the system's resolver.
const STACK: usize = 512 * 1024;

/// A worker; see the module. Jobs that are queued when it is dropped are still run.
pub(super) struct Worker<T>(Arc<Shared<T>>);

/// What the worker's thread and its owner share.
struct Shared<T> {
    name: &'static str,
    queue_max: usize,
    idle_timeout: Duration,
    #[expect(
        clippy::disallowed_types,
        reason = "shared between threads; locked only to move a job"
    )]
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Runs a job. While a thread exists, the thread has it.
    run: Option<Box<dyn FnMut(T) + Send>>,
    /// True exactly when a thread is running, or has been started.
    has_thread: bool,
    /// True exactly when a job is being run.
    busy: bool,
    /// True exactly when the worker was dropped.
    closed: bool,
}

/// Starts building a thread of this name, with a stack that is large enough for any job.
pub(super) fn thread(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(STACK)
}

impl<T: Send + 'static> Worker<T> {
    /// A worker that calls `run` with each job. At most `queue_max` jobs wait.
    pub(super) fn new(
        name: &'static str,
        queue_max: usize,
        run: impl FnMut(T) + Send + 'static,
    ) -> Worker<T> {
        Worker::with_idle_timeout(IDLE_TIMEOUT, name, queue_max, run)
    }

    fn with_idle_timeout(
        idle_timeout: Duration,
        name: &'static str,
        queue_max: usize,
        run: impl FnMut(T) + Send + 'static,
    ) -> Worker<T> {
        let (queue, run) = (VecDeque::new(), Some(Box::new(run) as Box<_>));
        let state = State { queue, run, has_thread: false, busy: false, closed: false };
        let changed = Condvar::new();
        Worker(Arc::new(Shared { name, queue_max, idle_timeout, state: state.into(), changed }))
    }

    /// Queues a job.
    ///
    /// # Errors
    /// Returns the job if the queue is full, or no thread can be started.
    pub(super) fn submit(&self, job: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.queue.len() >= self.0.queue_max {
            return Err(job);
        }
        if !state.has_thread {
            let shared = Arc::clone(&self.0);
            // The thread waits for the lock before it looks at the queue.
            if thread(self.0.name).spawn(move || shared.work()).is_err() {
                return Err(job);
            }
            state.has_thread = true;
        }
        state.queue.push_back(job);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Worker<T> {
    /// True exactly when a job is queued or being run.
    pub(super) fn is_busy(&self) -> bool {
        self.0.lock().is_busy()
    }

    /// Waits until every job has been run, for a second at most: the process is about to exit.
    pub(super) fn finish(&self) {
        self.wait_until_idle(FINISH_TIMEOUT);
    }

    fn wait_until_idle(&self, timeout: Duration) {
        let state = self.0.lock();
        drop(self.0.changed.wait_timeout_while(state, timeout, |state| state.is_busy()));
    }
}

impl<T> Shared<T> {
    /// Runs jobs until none has come for the idle timeout.
    fn work(&self) {
        let mut state = self.lock();
        let Some(mut run) = state.run.take() else {
            unreachable!("a second thread for one worker");
        };
        loop {
            let idle = |state: &mut State<T>| state.queue.is_empty() && !state.closed;
            let waited = self.changed.wait_timeout_while(state, self.idle_timeout, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let Some(job) = state.queue.pop_front() else { break };
            state.busy = true;
            drop(state);
            run(job);
            state = self.lock();
            state.busy = false;
            self.changed.notify_all();
        }
        (state.run, state.has_thread) = (Some(run), false);
        self.changed.notify_all();
    }

    /// Locks the state. No code panics while holding the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn is_busy(&self) -> bool {
        self.busy || !self.queue.is_empty()
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, queued) = (self.0.name, self.0.lock().queue.len());
        f.debug_struct("Worker").field("name", &name).field("queued", &queued).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_run_in_order() {
        let (done, results) = mpsc::channel();
        let worker = Worker::new("test", usize::MAX, move |n| done.send(n).unwrap());
        for n in 0..1000 {
            assert_eq!(worker.submit(n), Ok(()));
        }
        worker.wait_until_idle(Duration::MAX);
        assert!(!worker.is_busy());
        assert!(results.try_iter().eq(0..1000));
        assert_eq!(worker.submit(1000), Ok(()));
        drop(worker);
        assert_eq!((results.recv(), results.recv()), (Ok(1000), Err(mpsc::RecvError)));
    }

    #[test]
    fn a_full_queue_returns_the_job() {
        let (begin, begun) = mpsc::channel();
        let (end, ending) = mpsc::channel();
        let worker = Worker::new("test", 2, move |n: u32| {
            begin.send(n).unwrap();
            ending.recv().unwrap();
        });
        assert_eq!((worker.submit(0), begun.recv()), (Ok(()), Ok(0)));
        assert_eq!([1, 2, 3].map(|n| worker.submit(n)), [Ok(()), Ok(()), Err(3)]);
        worker.wait_until_idle(Duration::from_millis(1));
        assert!(worker.is_busy());
        for n in 1..=2 {
            end.send(()).unwrap();
            assert_eq!(begun.recv(), Ok(n));
        }
        end.send(()).unwrap();
        worker.wait_until_idle(Duration::MAX);
        assert!(!worker.is_busy());
    }

    #[test]
    fn an_idle_thread_exits_and_a_job_starts_another() {
        let (done, results) = mpsc::channel();
        let mut sum = 0;
        let worker = Worker::with_idle_timeout(Duration::ZERO, "test", 1, move |n| {
            sum += n;
            done.send(sum).unwrap();
        });
        for (n, want) in [(1, 1), (2, 3), (3, 6)] {
            assert_eq!((worker.submit(n), results.recv()), (Ok(()), Ok(want)));
            let state = worker.0.lock();
            drop(worker.0.changed.wait_while(state, |state| state.has_thread).unwrap());
        }
    }
}
