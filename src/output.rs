//! The access log's way to standard output, which may be slow, full, or gone.
//!
//! The loop must not wait for it, so a thread does: it takes batches of lines from a short queue
//! and writes them, and knows nothing else. While it is behind, lines wait where they came from,
//! and those that have no room there are counted ([`Queue`]). Nothing that happens to standard
//! output ends the process; what cannot be written is dropped, and the log says how much.

use crate::access::Queue;
use crate::mailbox::Mailbox;
use crate::time::Tick;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use std::time::Duration;

/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// From one batch to the next: to wake the thread costs more than to write a line.
const REST: Duration = Duration::from_millis(20);

/// How long a thread that is behind is left alone.
const BEHIND: Duration = Duration::from_millis(200);

struct Batch {
    lines: String,
    /// Lines that had no room in front of these.
    dropped: u64,
}

/// The near end of the queue.
#[derive(Debug)]
pub struct Output {
    batches: Mailbox<Batch>,
    /// Until then lines gather where they are.
    rests_until: Tick,
    /// Lines that could not be written, and that nobody has counted yet.
    lost: Arc<AtomicU64>,
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start() -> io::Result<Output> {
        // While the thread is busy lines had better wait where they are, and become one batch. One
        // more, for the last, which do not wait.
        let batches = Mailbox::new(2);
        let lost = Arc::new(AtomicU64::new(0));
        let (incoming, losses) = (batches.clone(), Arc::clone(&lost));
        let run = move || write_all(&incoming, &losses, &mut io::stdout());
        Builder::new().name("access log".to_owned()).spawn(run)?;
        Ok(Output { batches, rests_until: Tick::ZERO, lost })
    }

    /// Takes the lines that wait, unless the thread is behind or has just been given some. When
    /// this is to be tried again, if lines are left.
    pub fn take_from(&mut self, queue: &mut Queue, now: Tick) -> Tick {
        if self.lost.load(Ordering::Relaxed) > 0 {
            queue.count_lost(self.lost.swap(0, Ordering::Relaxed));
        }
        if queue.is_empty() {
            return Tick::NEVER;
        }
        if self.rests_until > now {
            return self.rests_until;
        }
        if self.batches.is_busy() {
            self.rests_until = now.after(BEHIND);
            return self.rests_until;
        }
        self.rests_until = now.after(REST);
        let (lines, dropped) = queue.take();
        // There is room, as it is not busy.
        let _ = self.batches.post(Batch { lines, dropped });
        Tick::NEVER
    }

    /// Has the last lines written, and waits for that a moment.
    pub fn finish(self, queue: &mut Queue) {
        let (lines, dropped) = queue.take();
        // If the thread is behind it is too late for these.
        let _ = self.batches.post(Batch { lines, dropped });
        self.batches.settle(PATIENCE);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.batches.close();
    }
}

/// Writes batches for as long as there are any.
fn write_all(incoming: &Mailbox<Batch>, losses: &AtomicU64, out: &mut impl Write) {
    let mut lost: Option<usize> = None;
    while let Some(Batch { lines, dropped }) = incoming.wait() {
        if dropped > 0 {
            log::warn!("{dropped} access lines were dropped: standard output is too slow");
        }
        let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        if written.is_err() {
            losses.fetch_add(lines.lines().count() as u64, Ordering::Relaxed);
        }
        match (written, &mut lost) {
            (Ok(()), None) => {}
            (Ok(()), Some(n)) => {
                log::warn!("standard output takes access lines again; {n} were dropped");
                lost = None;
            }
            (Err(_), Some(n)) => *n += lines.lines().count(),
            (Err(error), None) => {
                log::warn!("standard output takes no access lines, they are dropped: {error}");
                lost = Some(lines.lines().count());
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
        let incoming = Mailbox::new(8);
        for n in 0..4 {
            assert!(incoming.post(Batch { lines: format!("{n}\n"), dropped: n }).is_ok());
        }
        incoming.close();
        let mut out = Moody(vec![true, false, false, true], Vec::new());
        let losses = AtomicU64::new(0);
        write_all(&incoming, &losses, &mut out);
        assert_eq!(losses.into_inner(), 2);
        assert_eq!((out.1.as_slice(), incoming.is_busy()), (&b"0\n3\n"[..], false));
    }
}
