//! Writes the access log to standard output, which may be slow, full, or closed.
//!
//! The event loop must not wait for it, so a worker does the writing: it takes batches of lines
//! from a short queue. While the worker is behind, lines stay in the access log's own queue, which
//! counts the lines it has no room for ([`Queue`]). A failure of standard output never ends the
//! process: lines that cannot be written are dropped, and the log says how many.

use super::worker::Worker;
use crate::access::Queue;
use crate::locked::Locked;
use crate::time::Tick;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The pause between two batches: waking a thread costs more than writing a line.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);

/// The pause before the next batch when the worker is still writing the previous one.
const BUSY_INTERVAL: Duration = Duration::from_millis(200);

/// Batches that may wait for the worker. It is given one only when it is idle, so that lines
/// gather into one batch; the second place is for the last lines before the process exits.
const BATCHES_MAX: usize = 2;

struct Batch {
    lines: String,
    /// How many lines were dropped before these because the queue was full.
    dropped: u64,
}

impl Batch {
    /// The number of lines in it.
    fn count(&self) -> u64 {
        self.lines.lines().count() as u64
    }
}

/// The event loop's side of the access log's output.
#[derive(Debug)]
pub(super) struct Output {
    worker: Worker<Batch>,
    /// No batch is taken before this time.
    next_batch: Tick,
    /// Lines that the worker could not write, and that the queue has not counted yet.
    lost: Arc<AtomicU64>,
    failing: Failing,
}

/// While writes fail: how many lines all event loops have lost since the last successful write.
type Failing = Arc<Locked<Option<u64>>>;

impl Output {
    /// Output to standard output, with nothing to write yet.
    pub(super) fn to_stdout() -> Output {
        Output::with(Failing::default())
    }

    /// The output of another event loop. A failure that both run into is logged once.
    pub(super) fn another(&self) -> Output {
        Output::with(Arc::clone(&self.failing))
    }

    fn with(failing: Failing) -> Output {
        let lost = Arc::new(AtomicU64::new(0));
        let (of_writer, failed) = (Arc::clone(&lost), Arc::clone(&failing));
        let mut writer = Writer { out: io::stdout(), lost: of_writer, failing: failed };
        let worker = Worker::new("access log", BATCHES_MAX, move |batch| writer.write(batch));
        Output { worker, next_batch: Tick::ZERO, lost, failing }
    }

    /// Hands the lines in `queue` to the worker, unless it is busy or was given a batch just now.
    /// Returns when to call this again: never, if no line is left.
    pub(super) fn take_from(&mut self, queue: &mut Queue, now: Tick) -> Tick {
        if self.lost.load(Ordering::Relaxed) > 0 {
            queue.count_lost(self.lost.swap(0, Ordering::Relaxed));
        }
        if queue.is_empty() {
            return Tick::NEVER;
        }
        if self.next_batch > now {
            return self.next_batch;
        }
        if self.worker.is_busy() {
            self.next_batch = now.after(BUSY_INTERVAL);
            return self.next_batch;
        }
        self.next_batch = now.after(BATCH_INTERVAL);
        let (lines, dropped) = queue.take();
        // An idle worker has room, so this fails only when no thread can be started.
        if let Err(batch) = self.worker.submit(Batch { lines, dropped }) {
            // The lines that were dropped before it are counted already.
            queue.count_lost(batch.count());
        }
        Tick::NEVER
    }

    /// Hands over the last lines, and waits a moment until they are written.
    pub(super) fn finish(self, queue: &mut Queue) {
        let (lines, dropped) = queue.take();
        if !lines.is_empty() || dropped > 0 {
            // If the worker is that far behind, these lines are lost with the process.
            let _ = self.worker.submit(Batch { lines, dropped });
        }
        self.worker.finish();
    }
}

/// The worker's side.
struct Writer<W> {
    out: W,
    /// The counter of [`Output::lost`].
    lost: Arc<AtomicU64>,
    failing: Failing,
}

impl<W: Write> Writer<W> {
    fn write(&mut self, batch: Batch) {
        let dropped = batch.dropped;
        if dropped > 0 {
            log::warn!("standard output is too slow: {dropped} access log lines dropped");
        }
        let written = self.out.write_all(batch.lines.as_bytes()).and_then(|()| self.out.flush());
        if written.is_err() {
            self.lost.fetch_add(batch.count(), Ordering::Relaxed);
        }
        let lost = self.failing.with(|failing| match (&written, &mut *failing) {
            (Ok(()), _) => failing.take(),
            (Err(_), Some(n)) => {
                *n += batch.count();
                None
            }
            (Err(_), None) => failing.replace(batch.count()).or(Some(0)),
        });
        match (written, lost) {
            (Ok(()), Some(n)) => log::warn!("access log resumed: {n} lines dropped"),
            (Err(error), Some(_)) => {
                log::warn!("cannot write the access log, dropping lines: {error}");
            }
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each write succeeds, and what was written.
    struct Flaky(Vec<bool>, Vec<u8>);

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.0.remove(0) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writing_goes_on_after_a_failure() {
        let lost = Arc::new(AtomicU64::new(0));
        let out = Flaky(vec![true, false, false, true], Vec::new());
        let failing = Failing::default();
        let mut writer = Writer { out, lost: Arc::clone(&lost), failing: Arc::clone(&failing) };
        for (n, lost) in [(0, None), (1, Some(1)), (2, Some(2)), (3, None)] {
            writer.write(Batch { lines: format!("{n}\n"), dropped: n });
            assert_eq!(failing.with(|failing| *failing), lost);
        }
        assert_eq!((writer.out.1.as_slice(), lost.load(Ordering::Relaxed)), (&b"0\n3\n"[..], 2));
    }
}
