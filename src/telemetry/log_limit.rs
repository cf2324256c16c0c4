//! The rate limit of the log: one line a second for each kind of problem of each api. The next line
//! says how many were left out.

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
type Lines = BTreeMap<String, BTreeMap<&'static str, Logged>>;

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

    /// Logs a problem of an api, unless one of this kind was logged within the same second.
    pub fn log(&mut self, level: log::Level, api: &str, kind: &'static str, text: &str) {
        // The debug level shows every line.
        if level >= log::Level::Debug {
            log::log!(level, "{text}");
            return;
        }
        let second = self.second;
        let left_out = self.logged.with(|logged| {
            if !logged.contains_key(api) {
                logged.insert(api.to_owned(), BTreeMap::new());
            }
            let logged = logged.get_mut(api)?.entry(kind).or_default();
            // Another event loop may be slightly ahead.
            if logged.second == second || logged.second == second + 1 {
                logged.left_out += 1;
                return None;
            }
            logged.second = second;
            Some(std::mem::take(&mut logged.left_out))
        });
        match left_out {
            None => {}
            Some(0) => log::log!(level, "{text}"),
            Some(n) => log::log!(level, "{text} ({n} more like this were not logged)"),
        }
    }
}
