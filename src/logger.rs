//! What the operator reads on standard error: one line a record, with when and how bad.

use crate::time::date;
use log::LevelFilter;
use std::io::Write;
use std::time::SystemTime;

/// Begins to write records of `level` and above; `RUST_LOG` overrides that.
pub fn start(level: LevelFilter) {
    let mut logger = env_logger::Builder::new();
    // What is written is decided by the level that can be changed later.
    logger.filter_level(LevelFilter::Trace).parse_default_env().format(|line, record| {
        #[expect(clippy::disallowed_methods, reason = "for people to read, and nothing else")]
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        writeln!(line, "{} {:5} {}", date::utc(unix_ms), record.level(), record.args())
    });
    logger.init();
    set_level(level);
}

/// From here on records of `level` and above are written, unless `RUST_LOG` says something else.
pub fn set_level(level: LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}
