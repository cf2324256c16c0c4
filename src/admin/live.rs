//! `/events`: the live page's event stream. One `hello`, then a `tick` with totals each second; the
//! page computes rates.
//!
//! A tick is written once for all listeners, into a log, and those of the last two minutes are kept
//! there for new ones. A listener that reads none for so long misses some. Without listeners there
//! is no work: ticks are made only while somebody listens and for two minutes afterwards, in case
//! they reconnect.
//!
//! A tick takes one walk over the sessions, which counts the streams that are held, resumed or
//! stuck. It names at most 400 causes and targets, because 120 ticks are kept.

use crate::admin::api_now::{ApiNow, Details, write_troubles};
use crate::config::Expiry;
use crate::event_log::Limits;
use crate::json::Json;
use crate::telemetry::{ApiStats, Outcome, Stats};
use crate::time::{Now, Tick};
use std::time::Duration;

/// The time from one tick to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of ticks kept.
const KEPT: usize = 120;

/// Maximum number of bytes kept: some of the longest ticks that there can be, or all of the usual.
const KEPT_BYTES: usize = 8 << 20;

/// How long ticks are still made after the last listener left.
const AFTERWARDS: Duration = Duration::from_secs(120);

/// Maximum number of apis in a tick: the first ones of the configuration. The metrics have them
/// all.
const APIS_MAX: usize = 100;

/// Maximum number of certificates in a tick.
const EXPIRIES_MAX: usize = 4;

/// The process-wide part of a tick.
#[derive(Clone, Debug)]
pub struct ProcessNow {
    /// True exactly when the process is draining.
    pub draining: bool,
    /// When the port closes, in milliseconds since 1970. None if that is not decided, or if it is
    /// closed.
    pub closes_at: Option<u64>,
    /// When everything is over at the latest, once the port is closed, in milliseconds since 1970.
    pub ends_at: Option<u64>,
    /// The number of client connections.
    pub connections: usize,
    /// The certificates that are not valid, or not for long.
    pub expiries: Vec<Expiry>,
}

/// The number of the last tick, and the time of the next.
#[derive(Debug)]
pub struct Ticks {
    last_id: u64,
    /// When the next tick is due. [`Tick::NEVER`] while nobody listens.
    next: Tick,
    /// When ticks stop unless somebody listens.
    until: Tick,
}

impl Ticks {
    /// Creates an empty history.
    pub const fn new() -> Ticks {
        Ticks { last_id: 0, next: Tick::NEVER, until: Tick::ZERO }
    }

    /// How much of them is kept.
    pub const fn limits() -> Limits {
        Limits { bytes: KEPT_BYTES, events: KEPT, age: AFTERWARDS }
    }

    /// When the next tick is due.
    pub const fn next(&self) -> Tick {
        self.next
    }

    /// Notes that somebody is listening, for the first time or still.
    pub fn is_heard(&mut self, now: Tick) {
        self.until = now.after(AFTERWARDS);
        if self.next == Tick::NEVER {
            self.next = now;
        }
    }

    /// Makes the tick that is due from the current state.
    pub fn make(
        &mut self,
        process: &ProcessNow,
        stats: &Stats,
        apis: &[ApiNow<'_>],
        now: Now,
    ) -> Vec<u8> {
        self.last_id += 1;
        // Counted from when it was due, so that small delays do not add up.
        self.next = self.next.after(INTERVAL).max(now.tick);
        if self.until < now.tick {
            self.next = Tick::NEVER;
        }
        tick(self.last_id, process, stats, apis, now)
    }
}

impl Default for Ticks {
    fn default() -> Ticks {
        Ticks::new()
    }
}

/// Formats the first event. `demo` is the URL of one of the demo's event streams, if there is one.
pub fn hello(started_unix_ms: u64, demo: Option<&str>, apis: &[&str]) -> Vec<u8> {
    let mut out = String::from("event: hello\ndata: ");
    let mut json = Json::new(&mut out);
    json.begin('{');
    json.name("version").string(env!("CARGO_PKG_VERSION"));
    json.name("started_unix_ms").number(started_unix_ms);
    json.name("apis").begin('[');
    apis.iter().take(APIS_MAX).for_each(|name| json.string(name));
    json.end(']');
    json.name("reasons").begin('[');
    Outcome::ALL.iter().for_each(|outcome| json.string(outcome.word()));
    json.end(']');
    if let Some(demo) = demo {
        json.name("demo").string(demo);
    }
    json.end('}');
    out.push_str("\n\n");
    out.into_bytes()
}

fn tick(id: u64, process: &ProcessNow, stats: &Stats, apis: &[ApiNow<'_>], now: Now) -> Vec<u8> {
    let all = || stats.all().map(|(_, stats)| stats);
    let sum = |of: fn(&ApiStats) -> u64| all().map(of).sum::<u64>();
    let mut details = Details::all();
    let mut out = format!("event: tick\nid: {id}\ndata: ");
    let mut json = Json::new(&mut out);
    json.begin('{');
    json.name("t").number(now.unix_ms);
    json.name("draining").boolean(process.draining);
    if let Some(at) = process.closes_at {
        json.name("closes_at").number(at);
    }
    if let Some(at) = process.ends_at {
        json.name("ends_at").number(at);
    }
    json.name("connections").number(process.connections as u64);
    if !process.expiries.is_empty() {
        json.name("expiries").begin('[');
        for Expiry { text, is_valid } in process.expiries.iter().take(EXPIRIES_MAX) {
            json.begin('{');
            json.name("text").string(text);
            json.name("is_valid").boolean(*is_valid);
            json.end('}');
        }
        json.end(']');
    }
    json.name("streams").number(sum(ApiStats::open));
    json.name("tunnels").number(sum(ApiStats::open_tunnels));
    json.name("events").number(sum(|stats| stats.events.get()));
    json.name("bytes_out").number(sum(|stats| stats.bytes_out.get()));
    json.name("requests").number(sum(ApiStats::begun));
    write_troubles(&stats.no_api, &mut json, &mut details, now);
    json.name("apis").begin('[');
    for api in apis.iter().take(APIS_MAX) {
        api.write(&mut json, &mut details, now);
    }
    json.end(']');
    json.name("closed").begin('{');
    for outcome in Outcome::ALL {
        let closed =
            |stats: &ApiStats| stats.closed(outcome) + stats.tunnels.closed[outcome.index()].get();
        let count: u64 = all().map(closed).sum();
        if count > 0 {
            json.name(outcome.word()).number(count);
        }
    }
    json.end('}');
    json.end('}');
    out.push_str("\n\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::streams::StreamState;
    use crate::apis::{ApiState, Totals};
    use crate::config::{Config, StreamKind};
    use crate::pool::Upstream;
    use crate::slab::Slab;
    use crate::telemetry::Cause;

    const PROCESS: ProcessNow = ProcessNow {
        draining: false,
        closes_at: None,
        ends_at: None,
        connections: 2,
        expiries: Vec::new(),
    };

    fn at(seconds: u64) -> Now {
        Now { tick: Tick::from_millis(seconds * 1000), unix_ms: seconds * 1000 }
    }

    #[test]
    fn events_are_json() {
        let mut stats = Stats::new();
        let text = "[[api]]\nname = 'a b'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'";
        let config = Config::parse("x", text).unwrap();
        let mut upstreams = Slab::new();
        let key = upstreams.insert(Upstream::of(config.apis[0].backend(), &mut stats, Tick::ZERO));
        let state = ApiState::new("a b", key, &Totals::default(), &mut stats);
        let api = &state.stats;
        api.streams(StreamKind::Answer).opened.add(3);
        api.tunnels.opened.add(5);
        api.tunnels.closed[Outcome::ClientGone.index()].one();
        api.streams(StreamKind::Answer).closed[Outcome::ClientGone.index()].one();
        api.events.add(7);
        stats.no_api.requests.one(404);
        stats.no_api.count_refusal(Cause::NoApi, at(5).tick);
        let streams = [0; StreamState::ALL.len()];
        let upstream = &upstreams[key];
        let apis = [ApiNow { state: &state, upstream, auth_server: None, streams }];
        let event = tick(1, &PROCESS, &stats, &apis, at(5));
        let want = "event: tick\nid: 1\ndata: {\"t\":5000,\"draining\":false,\"connections\":2,\
            \"streams\":2,\"tunnels\":4,\"events\":7,\"bytes_out\":0,\"requests\":7,\
            \"minute\":{\"requests\":1,\"refused\":{\"no_api\":1}},\
            \"apis\":[{\"name\":\"a b\",\"streams\":2,\"tunnels\":4,\"events\":7,\
            \"bytes_out\":0,\"opened\":3,\"requests\":6,\"upstreams\":0,\"idle_upstreams\":0,\
            \"targets\":1}],\"closed\":{\"client_gone\":2}}\n\n";
        assert_eq!(std::str::from_utf8(&event), Ok(want));
        let expiry = Expiry { text: "a.pem expires".to_owned(), is_valid: true };
        let process = ProcessNow { expiries: vec![expiry; 9], ..PROCESS };
        let event = tick(1, &process, &stats, &[], at(5));
        let object = "{\"text\":\"a.pem expires\",\"is_valid\":true}";
        let want = format!("\"connections\":2,\"expiries\":[{}],", [object; 4].join(","));
        assert!(str::from_utf8(&event).unwrap().contains(&want), "{event:?}");
        let hello = String::from_utf8(hello(9, Some("http://x/"), &["a", "b"])).unwrap();
        assert!(hello.starts_with("event: hello\ndata: {\"version\":\"0."), "{hello}");
        let rest = ",\"started_unix_ms\":9,\"apis\":[\"a\",\"b\"],\"reasons\":[\"complete\",";
        assert!(
            hello.contains(rest) && hello.ends_with("],\"demo\":\"http://x/\"}\n\n"),
            "{hello}"
        );
    }

    #[test]
    fn ticks_are_made_while_somebody_listens_and_a_little_longer() {
        let (mut ticks, stats) = (Ticks::new(), Stats::new());
        assert_eq!(ticks.next(), Tick::NEVER);
        ticks.is_heard(at(10).tick);
        let mut seconds = 10;
        while ticks.next() != Tick::NEVER {
            assert_eq!(ticks.next(), at(seconds).tick);
            ticks.make(&PROCESS, &stats, &[], at(seconds));
            seconds += 1;
        }
        assert_eq!(seconds, 132);
    }
}
