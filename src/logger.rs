//! What the operator reads on standard error: one line a record, with when and how bad.
//!
//! The loop must not wait for whoever reads it, so a thread writes: lines that find no room in its
//! queue are dropped and counted, and the count is said when there is room again.

use crate::mailbox::Mailbox;
use crate::time::{date, millis};
use env_logger::Target;
use log::LevelFilter;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::thread::Builder;
use std::time::{Duration, SystemTime};

/// Lines that wait for standard error.
const LINES_MAX: usize = 4096;

/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the thread is told.
static WORDS: OnceLock<Mailbox<Words>> = OnceLock::new();

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
    let words = WORDS.get_or_init(|| Mailbox::new(LINES_MAX));
    let thread = Builder::new().name("log".to_owned());
    // Without a thread, lines are written where they come from.
    if thread.spawn(|| write_all(words, &mut io::stderr())).is_ok() {
        logger.target(Target::Pipe(Box::new(Lines { thread: words.clone(), dropped: 0 })));
    }
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
    if let Some(words) = WORDS.get() {
        words.settle(PATIENCE);
    }
}

/// Where the logger writes.
struct Lines {
    thread: Mailbox<Words>,
    dropped: u64,
}

impl Write for Lines {
    /// Takes all of it, or drops it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.thread.post(Words(bytes.to_vec(), self.dropped)) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what it is told. What standard error does not take is lost: there is nobody to tell.
fn write_all(words: &Mailbox<Words>, out: &mut impl Write) {
    while let Some(Words(lines, dropped)) = words.wait() {
        if dropped > 0 {
            let _ = writeln!(out, "{dropped} lines had no room here, and were dropped");
        }
        let _ = out.write_all(&lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_have_no_room_are_counted() {
        let words = Mailbox::new(2);
        let mut lines = Lines { thread: words.clone(), dropped: 0 };
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            assert!(matches!(lines.write(line.as_bytes()), Ok(2)));
        }
        let mut out = Vec::new();
        for word in [words.take(), words.take()] {
            let Some(Words(line, dropped)) = word else { panic!("no line") };
            out.extend(line);
            assert_eq!(dropped, 0);
        }
        assert!(lines.write(b"e\n").is_ok());
        words.close();
        write_all(&words, &mut out);
        assert_eq!(out, b"a\nb\n2 lines had no room here, and were dropped\ne\n");
    }
}
