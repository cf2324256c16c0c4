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

use crate::admin::api_now::{ApiNow, Details, Troubles};
use crate::admin::workers::{Asked, WorkerNow};
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

/// What is counted for all apis together: the name of each number in a tick, in order.
const NUMBERS: [&str; 6] = ["connections", "streams", "tunnels", "events", "bytes_out", "requests"];

/// The current state, in one event loop or in several.
#[derive(Clone, Debug)]
pub struct LiveNow {
    /// How far the process is on its way to its end.
    pub drain: DrainNow,
    /// The certificates that are not valid, or not for long.
    pub expiries: Vec<Expiry>,
    /// The apis, in the order of the configuration.
    pub apis: Vec<ApiNow>,
    /// The event loops, where there are several.
    pub workers: Vec<WorkerNow>,
    /// In the order of [`NUMBERS`].
    numbers: [u64; NUMBERS.len()],
    /// The problems of requests without an api.
    troubles: Troubles,
    /// The number of streams and tunnels that have ended, in the order of [`Outcome::ALL`].
    closed: [u64; Outcome::ALL.len()],
}

/// How far the process is on its way to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainNow {
    /// True exactly when the process is draining.
    pub draining: bool,
    /// When the port closes, in milliseconds since 1970. None if that is not decided, or if it is
    /// closed.
    pub closes_at: Option<u64>,
    /// When everything is over at the latest, once the port is closed, in milliseconds since 1970.
    pub ends_at: Option<u64>,
}

impl LiveNow {
    /// The state of an event loop with so many client connections and these counters, to which its
    /// apis, certificates and drain are to be added.
    pub fn of(stats: &Stats, connections: usize, now: Tick) -> LiveNow {
        let all = || stats.all().map(|(_, stats)| stats);
        let sum = |of: fn(&ApiStats) -> u64| all().map(of).sum::<u64>();
        LiveNow {
            drain: DrainNow::default(),
            expiries: Vec::new(),
            apis: Vec::new(),
            workers: Vec::new(),
            numbers: [
                connections as u64,
                sum(ApiStats::open),
                sum(ApiStats::open_tunnels),
                sum(|stats| stats.events.get()),
                sum(|stats| stats.bytes_out.get()),
                sum(ApiStats::begun),
            ],
            troubles: Troubles::of(&stats.no_api, now),
            closed: Outcome::ALL.map(|outcome| {
                let closed = |stats: &ApiStats| {
                    stats.closed(outcome) + stats.tunnels.closed[outcome.index()].get()
                };
                all().map(closed).sum()
            }),
        }
    }

    /// Takes in the state of another event loop, which serves the same apis.
    pub fn merge(&mut self, other: LiveNow) {
        self.numbers.iter_mut().zip(other.numbers).for_each(|(own, other)| *own += other);
        self.closed.iter_mut().zip(other.closed).for_each(|(own, other)| *own += other);
        self.troubles.merge(other.troubles);
        // Both are of one configuration: a loop is told of another one before it is asked.
        for (own, other) in self.apis.iter_mut().zip(other.apis) {
            own.merge(other);
        }
        self.workers.extend(other.workers);
    }

    /// Notes which event loops have not answered. What is known of them is from before.
    pub fn note_silent(&mut self, asked: &Asked) {
        for &(number, time) in &asked.silent {
            let known = self.workers.iter_mut().find(|worker| worker.number == number);
            match known {
                Some(known) => known.silent_for = Some(time),
                None => self.workers.push(WorkerNow {
                    number,
                    silent_for: Some(time),
                    ..WorkerNow::default()
                }),
            }
        }
        self.workers.sort_by_key(|worker| worker.number);
    }
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

    /// Notes that the tick which is due is being made.
    pub fn begin(&mut self, now: Tick) {
        // Counted from when it was due, so that small delays do not add up.
        self.next = self.next.after(INTERVAL).max(now);
        if self.until < now {
            self.next = Tick::NEVER;
        }
    }

    /// Makes the next tick from the state of all event loops.
    pub fn make(&mut self, state: &LiveNow, now: Now) -> Vec<u8> {
        self.last_id += 1;
        tick(self.last_id, state, now)
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

fn tick(id: u64, state: &LiveNow, now: Now) -> Vec<u8> {
    let LiveNow { drain, expiries, apis, workers, numbers, troubles, closed } = state;
    let mut details = Details::all();
    let mut out = format!("event: tick\nid: {id}\ndata: ");
    let mut json = Json::new(&mut out);
    json.begin('{');
    json.name("t").number(now.unix_ms);
    json.name("draining").boolean(drain.draining);
    if let Some(at) = drain.closes_at {
        json.name("closes_at").number(at);
    }
    if let Some(at) = drain.ends_at {
        json.name("ends_at").number(at);
    }
    if !expiries.is_empty() {
        json.name("expiries").begin('[');
        for Expiry { text, is_valid } in expiries.iter().take(EXPIRIES_MAX) {
            json.begin('{');
            json.name("text").string(text);
            json.name("is_valid").boolean(*is_valid);
            json.end('}');
        }
        json.end(']');
    }
    for (name, number) in NUMBERS.into_iter().zip(numbers) {
        json.name(name).number(*number);
    }
    troubles.write(&mut json, &mut details, now);
    json.name("apis").begin('[');
    for api in apis.iter().take(APIS_MAX) {
        api.write(&mut json, &mut details, now);
    }
    json.end(']');
    if !workers.is_empty() {
        json.name("workers").begin('[');
        workers.iter().for_each(|worker| worker.write(&mut json));
        json.end(']');
    }
    json.name("closed").begin('{');
    for (outcome, count) in Outcome::ALL.into_iter().zip(closed).filter(|(_, count)| **count > 0) {
        json.name(outcome.word()).number(*count);
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
        let state = ApiState::new(&config.apis[0], key, &Totals::default(), &mut stats);
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
        let mut live = LiveNow::of(&stats, 2, at(5).tick);
        live.apis = vec![ApiNow::of(&state, upstream, None, streams, at(5).tick)];
        let event = tick(1, &live, at(5));
        let want = "event: tick\nid: 1\ndata: {\"t\":5000,\"draining\":false,\"connections\":2,\
            \"streams\":2,\"tunnels\":4,\"events\":7,\"bytes_out\":0,\"requests\":7,\
            \"minute\":{\"requests\":1,\"refused\":{\"no_api\":1}},\
            \"apis\":[{\"name\":\"a b\",\"streams\":2,\"tunnels\":4,\"events\":7,\
            \"bytes_out\":0,\"opened\":3,\"requests\":6,\"upstreams\":0,\"idle_upstreams\":0,\
            \"targets\":1}],\"closed\":{\"client_gone\":2}}\n\n";
        assert_eq!(std::str::from_utf8(&event), Ok(want));
        let expiry = Expiry { text: "a.pem expires".to_owned(), is_valid: true };
        let event = tick(1, &LiveNow { expiries: vec![expiry; 9], ..live }, at(5));
        let object = "{\"text\":\"a.pem expires\",\"is_valid\":true}";
        let want = format!("false,\"expiries\":[{}],\"connections\":2,", [object; 4].join(","));
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
        let mut ticks = Ticks::new();
        assert_eq!(ticks.next(), Tick::NEVER);
        ticks.is_heard(at(10).tick);
        let mut seconds = 10;
        while ticks.next() != Tick::NEVER {
            assert_eq!(ticks.next(), at(seconds).tick);
            ticks.begin(at(seconds).tick);
            seconds += 1;
        }
        assert_eq!(seconds, 132);
    }
}
