//! The log on standard error: one line per record, with the time and the level, as text or as JSON.
//!
//! The event loop must not wait for a slow reader, so a worker does the writing. Lines that find
//! its queue full are dropped and counted, and the next line that finds room reports the count.

use super::clock;
use super::lines;
use super::worker::Worker;
use crate::access::Form;
use crate::config::Log;
use crate::json::Json;
use crate::time::date;
use env_logger::Target;
use log::{Level, LevelFilter, Record};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Lines that may wait for standard error.
const LINES_MAX: usize = 4096;

/// The worker that writes to standard error. There is one log in a process.
static WORKER: OnceLock<Worker<Line>> = OnceLock::new();

/// True exactly when each line is an object in JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// A formatted record, and how many were dropped just before it.
struct Line {
    text: Vec<u8>,
    dropped: u64,
}

/// Starts the log. `RUST_LOG` overrides the level, unless it is empty.
pub fn start(config: &Log) {
    let mut logger = filter(variable().as_deref(), config.level);
    logger.format(|line, record| line.write_all(formatted(record).as_bytes()));
    let mut is_within_line = false;
    let write = move |line| write(&line, &mut is_within_line, &mut io::stderr());
    let worker = WORKER.get_or_init(|| Worker::new("log", LINES_MAX, write));
    logger.target(Target::Pipe(Box::new(Sink { worker, dropped: 0 })));
    logger.init();
    configure(config);
}

/// Logs as configured from now on. If `RUST_LOG` is set, it keeps deciding the level.
pub fn configure(config: &Log) {
    IS_JSON.store(config.format == Form::Json, Relaxed);
    if variable().is_none() {
        log::set_max_level(config.level);
    }
}

/// The value of `RUST_LOG`. An empty one counts as none, because some service files set it to
/// nothing.
fn variable() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty())
}

/// A logger with the levels that `RUST_LOG` sets. Modules that it does not name, and a level that
/// does not exist, leave the configured level in place.
fn filter(variable: Option<&str>, level: LevelFilter) -> env_logger::Builder {
    let mut logger = env_logger::Builder::new();
    match variable {
        Some(variable) => logger.filter_level(level).parse_filters(variable),
        // The maximum level filters instead, because it can be changed later.
        None => logger.filter_level(LevelFilter::Trace),
    };
    logger
}

/// A record as a line.
fn formatted(record: &Record<'_>) -> String {
    if IS_JSON.load(Relaxed) {
        return json(record.level(), &record.args().to_string());
    }
    text(record.level(), &record.args().to_string())
}

/// A line of text. What peers sent may be part of the message, and must not become a line of its
/// own or a command to a terminal.
fn text(level: Level, message: &str) -> String {
    let message = lines::escaped(message, false);
    format!("{} {level:5} {message}\n", date::utc(clock::unix_ms()))
}

/// A line with one object.
fn json(level: Level, message: &str) -> String {
    let mut line = String::new();
    let mut time = String::new();
    date::write_rfc3339(clock::unix_ms(), &mut time);
    let mut json = Json::new(&mut line);
    json.begin('{');
    json.name("time").string(&time);
    json.name("level").string(&level.as_str().to_ascii_lowercase());
    json.name("message").string(message);
    json.end('}');
    line.push('\n');
    line
}

/// Waits briefly until the lines so far are written. Call it before the process exits.
pub fn finish() {
    if let Some(worker) = WORKER.get() {
        worker.finish();
    }
}

/// Queues each line that the logger writes for the worker.
struct Sink<'w> {
    worker: &'w Worker<Line>,
    /// Lines dropped since the last one that found room.
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
fn write(line: &Line, is_within_line: &mut bool, out: &mut impl Write) {
    if line.dropped > 0 {
        let what = format!("standard error is too slow: {} log lines dropped", line.dropped);
        let text = if IS_JSON.load(Relaxed) { json(Level::Warn, &what) } else { what + "\n" };
        let _ = lines::write(text.as_bytes(), is_within_line, out);
    }
    let _ = lines::write(&line.text, is_within_line, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::{Log as _, Metadata};
    use std::sync::mpsc;

    #[test]
    fn a_variable_that_names_no_level_leaves_the_configured_one() {
        let shows = |variable, level| {
            let of_ours = Metadata::builder().target("millstream::proxy").level(level).build();
            filter(Some(variable), LevelFilter::Info).build().enabled(&of_ours)
        };
        for (variable, debug, info) in [
            ("debug", true, true),
            ("warn", false, false),
            ("inof", false, true),
            ("mio=trace", false, true),
            ("millstream=debug", true, true),
        ] {
            let shown = (shows(variable, Level::Debug), shows(variable, Level::Info));
            assert_eq!(shown, (debug, info), "{variable}");
        }
    }

    #[test]
    fn as_json() {
        let line = json(Level::Warn, "api \"a\": no\n\u{1b}[0m");
        let (time, rest) = line.split_once(',').unwrap();
        assert!(time.starts_with("{\"time\":\"20") && time.ends_with("Z\""), "{time}");
        let want = r#""level":"warn","message":"api \"a\": no\u000a\u001b[0m"}"#;
        assert_eq!(rest.trim_end(), want);
        assert!(line.ends_with("}\n"));
    }

    #[test]
    fn as_text() {
        let line = text(Level::Warn, "caf\u{e9}:\r\nno\u{1b}[0m \u{9b}\t\\");
        let want = "caf\u{e9}:\\r\\nno\\u{1b}[0m \\u{9b}\\t\\\n";
        assert_eq!(line.split_once(" UTC WARN  ").map(|(_, rest)| rest), Some(want), "{line}");
    }

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
        got.iter().for_each(|line| write(line, &mut false, &mut out));
        assert_eq!(out, b"a\nb\nc\nstandard error is too slow: 2 log lines dropped\nf\n");
    }
}
