//! The rate limit of the log: one line a second for each kind of problem of each api. The next line
//! says how many were left out.

use std::collections::BTreeMap;
use std::rc::Rc;

/// The lines logged recently. There is an entry for each kind of problem that each api ever had.
#[derive(Debug, Default)]
pub struct LogLimit {
    logged: BTreeMap<Rc<str>, BTreeMap<&'static str, Logged>>,
    /// The present second, since 1970.
    second: u64,
}

#[derive(Debug, Default)]
struct Logged {
    second: u64,
    /// The number of lines left out since.
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
        if !self.logged.contains_key(api) {
            self.logged.insert(api.into(), BTreeMap::new());
        }
        let Some(kinds) = self.logged.get_mut(api) else { return };
        let logged = kinds.entry(kind).or_default();
        if logged.second == self.second {
            logged.left_out += 1;
            return;
        }
        logged.second = self.second;
        match std::mem::take(&mut logged.left_out) {
            0 => log::log!(level, "{text}"),
            n => log::log!(level, "{text} ({n} more like this were not logged)"),
        }
    }
}
