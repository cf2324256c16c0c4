//! What the operator reads on standard error: one line a record, with when and how bad.
//!
//! The loop must not wait for whoever reads it, so a clerk writes: lines that find no room in his
//! queue are dropped and counted, and the count is said when there is room again.

use super::worker::Clerk;
use crate::time::{date, millis};
use env_logger::Target;
use log::LevelFilter;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Lines that wait for standard error.
const LINES_MAX: usize = 4096;

/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who writes.
static CLERK: OnceLock<Clerk<Words>> = OnceLock::new();

/// Lines, and how many had no room in front of them.
struct Words(Vec<u8>, u64);

/// Begins to write records of `level` and above; `RUST_LOG` overrides that.
pub fn start(level: LevelFilter) {
    let mut logger = env_logger::Builder::new();
    // What is written is decided by the level that can be changed later.
    logger.filter_level(LevelFilter::Trace).parse_default_env().format(|line, record| {
        #[expect(clippy::disallowed_methods, reason = "for people to read, and nothing else")]
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_ms = millis(unix);
        writeln!(line, "{} {:5} {}", date::utc(unix_ms), record.level(), record.args())
    });
    let write = |words| write(words, &mut io::stderr());
    let clerk = CLERK.get_or_init(|| Clerk::new("log", LINES_MAX, write));
    logger.target(Target::Pipe(Box::new(Lines { clerk, dropped: 0 })));
    logger.init();
    set_level(level);
}

/// From here on records of `level` and above are written, unless `RUST_LOG` says something else.
pub fn set_level(level: LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}

/// Waits a moment until the lines so far are written: the process is about to end.
pub fn finish() {
    if let Some(clerk) = CLERK.get() {
        clerk.settle(PATIENCE);
    }
}

/// Where the logger writes.
struct Lines<'c> {
    clerk: &'c Clerk<Words>,
    dropped: u64,
}

impl Write for Lines<'_> {
    /// Takes all of it, or drops it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.clerk.post(Words(bytes.to_vec(), self.dropped)) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes some lines. What standard error does not take is lost: there is nobody to tell.
fn write(Words(lines, dropped): Words, out: &mut impl Write) {
    if dropped > 0 {
        let _ = writeln!(out, "{dropped} lines had no room here, and were dropped");
    }
    let _ = out.write_all(&lines);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn lines_that_have_no_room_are_counted() {
        let (words, written) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let clerk = Clerk::new("test", 2, move |line| {
            words.send(line).unwrap();
            gate.recv().unwrap();
        });
        let mut lines = Lines { clerk: &clerk, dropped: 0 };
        assert!(lines.write(b"a\n").is_ok());
        let mut got = vec![written.recv().unwrap()];
        for line in ["b\n", "c\n", "d\n", "e\n"] {
            assert!(matches!(lines.write(line.as_bytes()), Ok(2)));
        }
        for _ in 0..2 {
            go.send(()).unwrap();
            got.push(written.recv().unwrap());
        }
        assert!(lines.write(b"f\n").is_ok());
        go.send(()).unwrap();
        got.push(written.recv().unwrap());
        go.send(()).unwrap();
        let mut out = Vec::new();
        got.into_iter().for_each(|words| write(words, &mut out));
        assert_eq!(out, b"a\nb\nc\n2 lines had no room here, and were dropped\nf\n");
    }
}
