//! Writes the configuration's summary and the access log to standard output, which may be slow,
//! full, or closed.
//!
//! The event loop must not wait for it, so a worker does the writing: it takes batches of lines
//! from a short queue. While the worker is behind, lines stay in the access log's own queue, which
//! counts the lines it has no room for ([`Queue`]). A failure of standard output never ends the
//! process: lines that cannot be written are dropped, and the log says how many.

use super::lines::{self, Unwritten};
use super::worker::Worker;
use crate::access::Queue;
use crate::locked::Locked;
use crate::time::Tick;
use std::io::{self, StdoutLock, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// True for lines of the access log, which are counted when they are lost.
    is_log: bool,
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
    standing: Arc<Standing>,
}

/// The state of standard output, to which all event loops write.
#[derive(Debug, Default)]
struct Standing {
    /// While writes fail: how many lines all event loops have lost since the last successful write.
    failing: Locked<Option<u64>>,
    /// Whether it ends within a line. Only the holder of its lock reads and writes this.
    is_within_line: AtomicBool,
}

impl Output {
    /// Output to standard output, with nothing to write yet.
    pub(super) fn to_stdout() -> Output {
        Output::with(Arc::default())
    }

    /// The output of another event loop. A failure that both run into is logged once.
    pub(super) fn another(&self) -> Output {
        Output::with(Arc::clone(&self.standing))
    }

    fn with(standing: Arc<Standing>) -> Output {
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { lost: Arc::clone(&lost), standing: Arc::clone(&standing) };
        let write = move |batch| writer.write(&batch, &mut Unbuffered(io::stdout().lock()));
        let worker = Worker::new("access log", BATCHES_MAX, write);
        Output { worker, next_batch: Tick::ZERO, lost, standing }
    }

    /// Hands the summary of the configuration to the worker, before any line of the access log.
    pub(super) fn begin_with(&self, summary: String) {
        // An idle worker has room, so this fails only when no thread can be started.
        let _ = self.worker.submit(Batch { lines: summary, is_log: false, dropped: 0 });
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
        if let Err(batch) = self.worker.submit(Batch { lines, is_log: true, dropped }) {
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
            let _ = self.worker.submit(Batch { lines, is_log: true, dropped });
        }
        self.worker.finish();
    }
}

/// Standard output without the standard library's buffer, which hides how much was written.
struct Unbuffered<'o>(StdoutLock<'o>);

impl Write for Unbuffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The worker's side.
struct Writer {
    /// The counter of [`Output::lost`].
    lost: Arc<AtomicU64>,
    standing: Arc<Standing>,
}

impl Writer {
    fn write(&self, batch: &Batch, out: &mut impl Write) {
        let dropped = batch.dropped;
        if dropped > 0 {
            log::warn!("standard output is too slow: {dropped} access log lines dropped");
        }
        let mut is_within_line = self.standing.is_within_line.load(Ordering::Relaxed);
        let written = lines::write(batch.lines.as_bytes(), &mut is_within_line, out);
        self.standing.is_within_line.store(is_within_line, Ordering::Relaxed);
        let lost = match &written {
            Err(Unwritten { lines, .. }) if batch.is_log => *lines,
            Ok(()) | Err(_) => 0,
        };
        self.lost.fetch_add(lost, Ordering::Relaxed);
        let to_say = self.standing.failing.with(|failing| match (&written, &mut *failing) {
            (Ok(()), _) => failing.take(),
            (Err(_), Some(n)) => {
                *n += lost;
                None
            }
            (Err(_), None) => failing.replace(lost).or(Some(0)),
        });
        match (written, to_say) {
            (Ok(()), Some(n)) => log::warn!("access log resumed: {n} lines dropped"),
            (Err(Unwritten { error, .. }), Some(_)) => {
                log::warn!("cannot write the access log, dropping lines: {error}");
            }
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines::Disk;
    use super::*;

    #[test]
    fn writing_goes_on_after_a_failure() {
        let writer = Writer { lost: Arc::default(), standing: Arc::default() };
        let mut disk = Disk { room: 0, written: Vec::new() };
        // Each batch has two lines of three bytes.
        let cases = [(6, None), (0, Some(2)), (4, Some(3)), (2, Some(5)), (100, None)];
        for (n, (room, lost)) in (0..).zip(cases) {
            disk.room = room;
            let lines = format!("{n}a\n{n}b\n");
            writer.write(&Batch { lines, is_log: true, dropped: n }, &mut disk);
            assert_eq!(writer.standing.failing.with(|failing| *failing), lost, "{n}");
        }
        let want = "0a\n0b\n2a\n2\n3\n4a\n4b\n";
        assert_eq!(str::from_utf8(&disk.written), Ok(want));
        assert_eq!(writer.lost.load(Ordering::Relaxed), 5);
    }
}
