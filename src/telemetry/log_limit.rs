//! The rate limit of the log: one line a second for each kind of problem of each api, at each
//! level. The next line of the same kind says how many were left out. Nothing wakes the process to
//! write that number if none follows: the access log and the metrics have every request.

use crate::locked::Locked;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rate limit. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogLimit {
    logged: Arc<Locked<Lines>>,
    /// The current second, since 1970.
    second: u64,
}

/// The lines logged recently. There is an entry for each kind of problem that each api ever had.
type Lines = BTreeMap<String, BTreeMap<(log::Level, &'static str), Logged>>;

#[derive(Debug, Default)]
struct Logged {
    second: u64,
    /// The number of lines omitted since.
    left_out: u64,
}

impl LogLimit {
    /// Prepares for a turn.
    pub const fn begin_turn(&mut self, unix_ms: u64) {
        self.second = unix_ms / 1000;
    }

    /// Logs a problem of an api, unless one of this kind was logged within the same second. A line
    /// that the log does not show takes no place.
    pub fn log(&mut self, level: log::Level, api: &str, kind: &'static str, text: &str) {
        // The debug level shows every line.
        if level >= log::Level::Debug {
            log::log!(level, "{text}");
            return;
        }
        if !log::log_enabled!(level) {
            return;
        }
        match self.left_out(level, api, kind) {
            None => {}
            Some(0) => log::log!(level, "{text}"),
            Some(n) => log::log!(level, "{text} ({n} more like this were not logged)"),
        }
    }

    /// The number of lines omitted since the last one of this kind, if another one is due.
    fn left_out(&self, level: log::Level, api: &str, kind: &'static str) -> Option<u64> {
        let second = self.second;
        self.logged.with(|logged| {
            if !logged.contains_key(api) {
                logged.insert(api.to_owned(), BTreeMap::new());
            }
            let logged = logged.get_mut(api)?.entry((level, kind)).or_default();
            // Another event loop may be slightly ahead.
            if logged.second == second || logged.second == second + 1 {
                logged.left_out += 1;
                return None;
            }
            logged.second = second;
            Some(std::mem::take(&mut logged.left_out))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn a_line_leaves_out_only_its_like() {
        let mut limit = LogLimit::default();
        limit.begin_turn(5000);
        // Nothing is shown without a logger, so this takes no place.
        limit.log(Level::Info, "a", "no_stream", "text");
        assert!(limit.logged.with(|logged| logged.is_empty()));
        let due = |limit: &LogLimit, level, api| limit.left_out(level, api, "no_stream");
        assert_eq!(due(&limit, Level::Info, "a"), Some(0));
        assert_eq!(due(&limit, Level::Warn, "a"), Some(0));
        assert_eq!(due(&limit, Level::Warn, "b"), Some(0));
        assert_eq!(due(&limit, Level::Warn, "a"), None);
        limit.begin_turn(6000);
        assert_eq!(due(&limit, Level::Warn, "a"), Some(1));
    }
}
