//! Records what the proxy logs for the test on the current thread.

use std::cell::Cell;

struct Journal;

thread_local! {
    static LINES: Cell<Option<Vec<String>>> = const { Cell::new(None) };
}

/// Starts recording on this thread.
pub(crate) fn start() {
    // It fails if it is already set.
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
    LINES.set(Some(Vec::new()));
}

/// Adds a line if this thread is recording.
pub(crate) fn note(line: impl FnOnce() -> String) {
    if let Some(mut lines) = LINES.take() {
        lines.push(line());
        LINES.set(Some(lines));
    }
}

/// The lines logged since the last call.
pub(crate) fn take() -> Vec<String> {
    let lines = LINES.take();
    LINES.set(lines.is_some().then(Vec::new));
    lines.unwrap_or_default()
}

impl log::Log for Journal {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Debug
    }

    fn log(&self, record: &log::Record<'_>) {
        note(|| format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}
