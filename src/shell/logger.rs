//! The log on standard error: one line a record, with the time and the level.
//!
//! The event loop must not wait for whoever reads it, so a worker writes. Lines that find its queue
//! full are dropped and counted, and the next line that finds room reports the count.

use super::clock;
use super::worker::Worker;
use crate::time::date;
use env_logger::Target;
use log::LevelFilter;
use std::io::{self, Write};
use std::sync::OnceLock;

/// Lines that may wait for standard error.
const LINES_MAX: usize = 4096;

/// The worker that writes to standard error. There is one log in a process.
static WORKER: OnceLock<Worker<Line>> = OnceLock::new();

/// A formatted record, and how many were dropped just before it.
struct Line {
    text: Vec<u8>,
    dropped: u64,
}

/// Starts the log with records of `level` and above. `RUST_LOG` overrides the level.
pub fn start(level: LevelFilter) {
    let mut logger = env_logger::Builder::new();
    // The maximum level filters instead, because it can be changed later.
    logger.filter_level(LevelFilter::Trace).parse_default_env().format(|line, record| {
        let time = date::utc(clock::unix_ms());
        writeln!(line, "{time} {:5} {}", record.level(), record.args())
    });
    let write = |line| write(line, &mut io::stderr());
    let worker = WORKER.get_or_init(|| Worker::new("log", LINES_MAX, write));
    logger.target(Target::Pipe(Box::new(Sink { worker, dropped: 0 })));
    logger.init();
    set_level(level);
}

/// Logs records of `level` and above from now on, unless `RUST_LOG` is set.
pub fn set_level(level: LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}

/// Waits a moment until the lines so far are written. Call it before the process exits.
pub fn finish() {
    if let Some(worker) = WORKER.get() {
        worker.finish();
    }
}

/// Queues each line that the logger writes for the worker.
struct Sink<'w> {
    worker: &'w Worker<Line>,
    /// Lines that were dropped since the last that found room.
    dropped: u64,
}

impl Write for Sink<'_> {
    /// Takes the whole line, or drops it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.worker.submit(Line { text: bytes.to_vec(), dropped: self.dropped }) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line. Errors of standard error are ignored: there is nowhere to report them.
fn write(line: Line, out: &mut impl Write) {
    if line.dropped > 0 {
        let _ = writeln!(out, "standard error is too slow: {} log lines dropped", line.dropped);
    }
    let _ = out.write_all(&line.text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn dropped_lines_are_counted() {
        let (lines, written) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let worker = Worker::new("test", 2, move |line| {
            lines.send(line).unwrap();
            gate.recv().unwrap();
        });
        let mut sink = Sink { worker: &worker, dropped: 0 };
        assert!(sink.write(b"a\n").is_ok());
        let mut got = vec![written.recv().unwrap()];
        for line in ["b\n", "c\n", "d\n", "e\n"] {
            assert!(matches!(sink.write(line.as_bytes()), Ok(2)));
        }
        for _ in 0..2 {
            go.send(()).unwrap();
            got.push(written.recv().unwrap());
        }
        assert!(sink.write(b"f\n").is_ok());
        go.send(()).unwrap();
        got.push(written.recv().unwrap());
        go.send(()).unwrap();
        let mut out = Vec::new();
        got.into_iter().for_each(|line| write(line, &mut out));
        assert_eq!(out, b"a\nb\nc\nstandard error is too slow: 2 log lines dropped\nf\n");
    }
}
