//! What goes wrong again and again is not said again and again: one line a second of each kind and
//! api, and how many there were besides.

use super::finish::Refusal;
use crate::session::cause::Cause;
use crate::session::exchange::Exchange;
use crate::session::outcome::Outcome;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What was said lately. It has an entry for each kind of trouble that an api ever had.
#[derive(Debug, Default)]
pub(super) struct Hush {
    said: BTreeMap<Rc<str>, BTreeMap<&'static str, Said>>,
    /// The second that this turn is in.
    second: u64,
}

#[derive(Debug, Default)]
struct Said {
    second: u64,
    /// What was left out since.
    left_out: u64,
}

impl Hush {
    /// A turn begins.
    pub(super) const fn begin_turn(&mut self, unix_ms: u64) {
        self.second = unix_ms / 1000;
    }

    /// Says something of an api, unless this was said within the same second.
    pub(super) fn say(&mut self, level: log::Level, api: &str, kind: &'static str, text: &str) {
        // Whoever wants to see each of them can.
        if level >= log::Level::Debug {
            log::log!(level, "{text}");
            return;
        }
        if !self.said.contains_key(api) {
            self.said.insert(api.into(), BTreeMap::new());
        }
        let Some(kinds) = self.said.get_mut(api) else { return };
        let said = kinds.entry(kind).or_default();
        if said.second == self.second {
            said.left_out += 1;
            return;
        }
        said.second = self.second;
        match std::mem::take(&mut said.left_out) {
            0 => log::log!(level, "{text}"),
            n => log::log!(level, "{text} ({n} more like this were not logged)"),
        }
    }

    /// Each cause is said once a second of each api, at the default level: what an upstream did
    /// wrong as a warning, all else as what clients do now and then.
    pub(super) fn refusal(&mut self, exchange: &Exchange, refusal: Refusal) {
        let Refusal { status, what, .. } = refusal;
        let name = exchange.api().map_or("", |api| api.name.as_str());
        let api = if name.is_empty() { String::new() } else { format!(", api {name}") };
        let Some(cause) = refusal.cause else {
            log::debug!("{status}: {what}{api}");
            return;
        };
        let text = format!("{status}: {what} ({}){api}", cause.word());
        let level = if refusal.is_upstreams() { log::Level::Warn } else { log::Level::Info };
        self.say(level, name, cause.word(), &text);
    }

    /// The rest of a request is refused within its response, which is cut.
    pub(super) fn refused_body(&mut self, exchange: &Exchange, refusal: Refusal) {
        let name = exchange.api().map_or("-", |api| api.name.as_str());
        let word = refusal.cause.map_or("-", Cause::word);
        let text = format!("a response is cut: {} ({word}), api {name}", refusal.what);
        self.say(log::Level::Info, name, word, &text);
    }

    /// What its client did not ask for is said at the default level.
    pub(super) fn cut(&mut self, exchange: &Exchange, outcome: Outcome) {
        if let Some(why) = outcome.told() {
            let name = exchange.api().map_or("-", |api| api.name.as_str());
            let tunnel = exchange.record.is_tunnel();
            let what = if tunnel { "a tunnel is closed" } else { "a response is cut" };
            let text = format!("{what}: {why}, api {name}");
            self.say(log::Level::Warn, name, why, &text);
        }
    }
}
