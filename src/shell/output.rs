//! The access log's way to standard output, which may be slow, full, or gone.
//!
//! The loop must not wait for it, so a clerk does: he takes batches of lines from a short queue and
//! writes them, and knows nothing else. While he is behind, lines wait where they came from, and
//! those that have no room there are counted ([`Queue`]). Nothing that happens to standard output
//! ends the process; what cannot be written is dropped, and the log says how much.

use super::worker::Clerk;
use crate::access::Queue;
use crate::time::Tick;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// From one batch to the next: to wake a thread costs more than to write a line.
const REST: Duration = Duration::from_millis(20);

/// How long a clerk who is behind is left alone.
const BEHIND: Duration = Duration::from_millis(200);

struct Batch {
    lines: String,
    /// Lines that had no room in front of these.
    dropped: u64,
}

impl Batch {
    /// How many lines it has.
    fn count(&self) -> u64 {
        self.lines.lines().count() as u64
    }
}

/// The near end of the way.
#[derive(Debug)]
pub(super) struct Output {
    clerk: Clerk<Batch>,
    /// Until then lines gather where they are.
    rests_until: Tick,
    /// Lines that could not be written, and that nobody has counted yet.
    lost: Arc<AtomicU64>,
}

impl Output {
    /// The way to standard output. Nothing is to be written yet.
    pub(super) fn to_stdout() -> Output {
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { out: io::stdout(), losses: Arc::clone(&lost), lost: None };
        // While he is busy lines had better wait where they are, and become one batch. One more,
        // for the last, which do not wait.
        let clerk = Clerk::new("access log", 2, move |batch| writer.write(batch));
        Output { clerk, rests_until: Tick::ZERO, lost }
    }

    /// Takes the lines that wait, unless the clerk is behind or has just been given some. When
    /// this is to be tried again, if lines are left.
    pub(super) fn take_from(&mut self, queue: &mut Queue, now: Tick) -> Tick {
        if self.lost.load(Ordering::Relaxed) > 0 {
            queue.count_lost(self.lost.swap(0, Ordering::Relaxed));
        }
        if queue.is_empty() {
            return Tick::NEVER;
        }
        if self.rests_until > now {
            return self.rests_until;
        }
        if self.clerk.is_busy() {
            self.rests_until = now.after(BEHIND);
            return self.rests_until;
        }
        self.rests_until = now.after(REST);
        let (lines, dropped) = queue.take();
        // There is room, as he is not busy.
        if let Err(batch) = self.clerk.post(Batch { lines, dropped }) {
            // Those that had no room in front of it are counted already.
            queue.count_lost(batch.count());
        }
        Tick::NEVER
    }

    /// Has the last lines written, and waits for that a moment.
    pub(super) fn finish(self, queue: &mut Queue) {
        let (lines, dropped) = queue.take();
        if !lines.is_empty() || dropped > 0 {
            // If he is behind it is too late for these.
            let _ = self.clerk.post(Batch { lines, dropped });
        }
        self.clerk.settle(PATIENCE);
    }
}

/// The far end.
struct Writer<W> {
    out: W,
    /// As [`Output::lost`].
    losses: Arc<AtomicU64>,
    /// How many lines were lost since the last that was written, if any were.
    lost: Option<u64>,
}

impl<W: Write> Writer<W> {
    fn write(&mut self, batch: Batch) {
        let dropped = batch.dropped;
        if dropped > 0 {
            log::warn!("{dropped} access lines were dropped: standard output is too slow");
        }
        let written = self.out.write_all(batch.lines.as_bytes()).and_then(|()| self.out.flush());
        if written.is_err() {
            self.losses.fetch_add(batch.count(), Ordering::Relaxed);
        }
        match (written, &mut self.lost) {
            (Ok(()), None) => {}
            (Ok(()), Some(n)) => {
                log::warn!("standard output takes access lines again; {n} were dropped");
                self.lost = None;
            }
            (Err(_), Some(n)) => *n += batch.count(),
            (Err(error), None) => {
                log::warn!("standard output takes no access lines, they are dropped: {error}");
                self.lost = Some(batch.count());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Full or gone for a while.
    struct Moody(Vec<bool>, Vec<u8>);

    impl Write for Moody {
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
    fn it_goes_on_trying() {
        let losses = Arc::new(AtomicU64::new(0));
        let out = Moody(vec![true, false, false, true], Vec::new());
        let mut writer = Writer { out, losses: Arc::clone(&losses), lost: None };
        for (n, lost) in [(0, None), (1, Some(1)), (2, Some(2)), (3, None)] {
            writer.write(Batch { lines: format!("{n}\n"), dropped: n });
            assert_eq!(writer.lost, lost);
        }
        assert_eq!((writer.out.1.as_slice(), losses.load(Ordering::Relaxed)), (&b"0\n3\n"[..], 2));
    }
}
