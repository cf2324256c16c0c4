//! `/events`: the live page's event stream. It has one `hello`, then a `tick` with totals each
//! second; the page computes rates.
//!
//! A tick is written once for all viewers, into a log, which keeps those of the last two minutes
//! for new viewers. A viewer that reads nothing for that long misses some. Without viewers there is
//! no work: ticks are made only while the page is open somewhere, and for two minutes afterwards,
//! in case a viewer reconnects.
//!
//! For a tick, the sessions are walked once to count the streams that are held, resuming or stuck.
//! A tick names at most 400 causes and targets, because 120 ticks are kept.

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

/// Maximum number of bytes kept: enough for 120 ordinary ticks, but only for some of maximum
/// length.
const KEPT_BYTES: usize = 8 << 20;

/// How long ticks are still made after the last viewer has left.
const AFTERWARDS: Duration = Duration::from_secs(120);

/// Maximum number of apis in a tick: those in trouble, then the first in the configuration. The
/// metrics have all of them.
const APIS_MAX: usize = 100;

/// Maximum number of certificates in a tick: those that are not valid, and those that expire first.
const EXPIRIES_MAX: usize = 4;

/// Maximum length of the error of a reload in a tick.
const REFUSAL_MAX: usize = 300;

/// The numbers of all apis together in a tick, by name and in order.
const NUMBERS: [&str; 6] = ["connections", "streams", "tunnels", "events", "bytes_out", "requests"];

/// The current state of one event loop, or the merged state of several.
#[derive(Clone, Debug)]
pub struct LiveNow {
    /// The progress of a drain.
    pub drain: DrainNow,
    /// The certificates and revocation lists that are not valid, or expire soon.
    pub expiries: Vec<Expiry>,
    /// Why the last reload was refused, if it was.
    pub reload_refused: Option<String>,
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

/// The progress of a drain.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainNow {
    /// True exactly when the process is draining.
    pub draining: bool,
    /// When the listeners for clients close, in milliseconds since 1970. None if no drain has
    /// begun, or if they are closed.
    pub closes_at: Option<u64>,
    /// When the drain is over at the latest, in milliseconds since 1970. None before the listeners
    /// for clients are closed.
    pub ends_at: Option<u64>,
}

impl LiveNow {
    /// The state of an event loop with this number of client connections and these counters. Its
    /// apis, expiries, drain and refused reload are to be added.
    pub fn of(stats: &Stats, connections: usize, now: Tick) -> LiveNow {
        let all = || stats.all().map(|(_, stats)| stats);
        let sum = |of: fn(&ApiStats) -> u64| all().map(of).sum::<u64>();
        LiveNow {
            drain: DrainNow::default(),
            expiries: Vec::new(),
            reload_refused: None,
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

    /// Merges the state of another event loop, which serves the same apis.
    pub fn merge(&mut self, other: LiveNow) {
        self.numbers.iter_mut().zip(other.numbers).for_each(|(own, other)| *own += other);
        self.closed.iter_mut().zip(other.closed).for_each(|(own, other)| *own += other);
        self.troubles.merge(other.troubles);
        // Both have the same configuration: a loop gets a new one before it is asked.
        for (own, other) in self.apis.iter_mut().zip(other.apis) {
            own.merge(other);
        }
        self.workers.extend(other.workers);
    }

    /// Notes which event loops have not answered. Their states are older ones.
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
    /// When the next tick is due. [`Tick::NEVER`] while there are no viewers.
    next: Tick,
    /// When ticks stop unless there is a viewer.
    until: Tick,
}

impl Ticks {
    /// No ticks yet, and no viewers.
    pub const fn new() -> Ticks {
        Ticks { last_id: 0, next: Tick::NEVER, until: Tick::ZERO }
    }

    /// How many ticks are kept.
    pub const fn limits() -> Limits {
        Limits { bytes: KEPT_BYTES, events: KEPT, age: AFTERWARDS }
    }

    /// When the next tick is due.
    pub const fn next(&self) -> Tick {
        self.next
    }

    /// Notes that there is a viewer, new or not.
    pub fn is_heard(&mut self, now: Tick) {
        self.until = now.after(AFTERWARDS);
        if self.next == Tick::NEVER {
            self.next = now;
        }
    }

    /// Notes that the tick that is due is being made.
    pub fn begin(&mut self, now: Tick) {
        // Counted from when this one was due, so that small delays do not add up.
        self.next = self.next.after(INTERVAL).max(now);
        if self.until < now {
            self.next = Tick::NEVER;
        }
    }

    /// Makes the next tick from the merged state of all event loops.
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
    let LiveNow { drain, expiries, apis, workers, numbers, troubles, closed, .. } = state;
    let mut details = Details::all();
    let mut out = format!("event: tick\nid: {id}\ndata: ");
    let mut json = Json::new(&mut out);
    json.begin('{');
    json.name("t").number(now.unix_ms);
    // The wall clock may have been set since the start.
    json.name("up_ms").number(now.tick.as_millis());
    json.name("draining").boolean(drain.draining);
    if let Some(at) = drain.closes_at {
        json.name("closes_at").number(at);
    }
    if let Some(at) = drain.ends_at {
        json.name("ends_at").number(at);
    }
    if let Some(why) = &state.reload_refused {
        json.name("reload_refused").string(first_line(why));
    }
    if !expiries.is_empty() {
        json.name("expiries").begin('[');
        for Expiry { text, is_valid, .. } in most_urgent(expiries) {
            json.begin('{');
            json.name("text").string(text);
            json.name("is_valid").boolean(*is_valid);
            json.end('}');
        }
        json.end(']');
        write_rest(&mut json, "more_expiries", expiries.len(), EXPIRIES_MAX);
    }
    for (name, number) in NUMBERS.into_iter().zip(numbers) {
        json.name(name).number(*number);
    }
    troubles.write(&mut json, &mut details, now);
    json.name("apis").begin('[');
    most_troubled(apis, now.tick).for_each(|api| api.write(&mut json, &mut details, now));
    json.end(']');
    write_rest(&mut json, "more_apis", apis.len(), APIS_MAX);
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

/// The first of several errors, as far as a tick has room for it.
fn first_line(errors: &str) -> &str {
    let line = errors.lines().next().unwrap_or_default();
    let end = (0..=REFUSAL_MAX.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    &line[..end.unwrap_or(0)]
}

/// Writes the number of entries that a tick has no room for, if there are any.
fn write_rest(json: &mut Json<'_>, name: &str, count: usize, max: usize) {
    if count > max {
        json.name(name).number((count - max) as u64);
    }
}

/// The certificates that fit in a tick: those that are not valid first, then by date.
fn most_urgent(expiries: &[Expiry]) -> Vec<&Expiry> {
    let mut out: Vec<&Expiry> = expiries.iter().collect();
    out.sort_by_key(|expiry| (expiry.is_valid, expiry.at));
    out.truncate(EXPIRIES_MAX);
    out
}

/// The apis that fit in a tick, in the order of the configuration. Those in trouble displace
/// others.
fn most_troubled(apis: &[ApiNow], now: Tick) -> impl Iterator<Item = &ApiNow> {
    let troubled = apis.iter().filter(|api| api.is_in_trouble(now)).count();
    let mut left = APIS_MAX.saturating_sub(troubled);
    let fits = move |api: &&ApiNow| {
        let fits = api.is_in_trouble(now) || left > 0;
        left -= usize::from(fits && !api.is_in_trouble(now));
        fits
    };
    apis.iter().filter(fits).take(APIS_MAX)
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
        let want = "event: tick\nid: 1\ndata: {\"t\":5000,\"up_ms\":5000,\"draining\":false,\
            \"connections\":2,\"streams\":2,\"tunnels\":4,\"events\":7,\"bytes_out\":0,\
            \"requests\":7,\"minute\":{\"requests\":1,\"refused\":{\"no_api\":1}},\
            \"apis\":[{\"name\":\"a b\",\"streams\":2,\"tunnels\":4,\"events\":7,\
            \"bytes_out\":0,\"opened\":3,\"requests\":6,\"upstreams\":0,\"idle_upstreams\":0,\
            \"targets\":1}],\"closed\":{\"client_gone\":2}}\n\n";
        assert_eq!(std::str::from_utf8(&event), Ok(want));
        let expiry = Expiry { text: "a.pem expires".to_owned(), is_valid: true, at: 9 };
        let refused = format!("{}ä\nb", "x".repeat(299));
        let live = LiveNow { expiries: vec![expiry], reload_refused: Some(refused), ..live };
        let event = tick(1, &live, at(5));
        let object = "{\"text\":\"a.pem expires\",\"is_valid\":true}";
        let refused = format!("\"reload_refused\":\"{}\"", "x".repeat(299));
        let want = format!("false,{refused},\"expiries\":[{object}],\"connections\":2,");
        assert!(str::from_utf8(&event).unwrap().contains(&want), "{event:?}");
        let hello = String::from_utf8(hello(9, Some("http://x/"), &["a", "b"])).unwrap();
        assert!(hello.starts_with("event: hello\ndata: {\"version\":\"0."), "{hello}");
        let rest = ",\"started_unix_ms\":9,\"apis\":[\"a\",\"b\"],\"reasons\":[\"complete\",";
        assert!(
            hello.contains(rest) && hello.ends_with("],\"demo\":\"http://x/\"}\n\n"),
            "{hello}"
        );
    }

    /// Problems are not left out in favour of what is fine.
    #[test]
    fn a_tick_tells_the_worst_first() {
        let count = APIS_MAX + 2;
        let api = |n: usize| {
            let keys = format!("name = '{n}'\nlisten_path = '/{n}'\n");
            format!("[[api]]\n{keys}target_url = 'http://10.0.0.1'\n")
        };
        let config = Config::parse("x", &(0..count).map(api).collect::<String>());
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let (mut stats, mut upstreams) = (Stats::new(), Slab::new());
        let mut apis = Vec::new();
        for api in &config.apis {
            let upstream = Upstream::of(api.backend(), &mut stats, Tick::ZERO);
            let key = upstreams.insert(upstream);
            let state = ApiState::new(api, key, &Totals::default(), &mut stats);
            if ["0", "101"].contains(&api.name.as_str()) {
                state.stats.count_refusal(Cause::MaxStreams, at(5).tick);
            }
            apis.push(ApiNow::of(&state, &upstreams[key], None, [0; 7], at(5).tick));
        }
        let expiry = |text: &str, is_valid, at| Expiry { text: text.to_owned(), is_valid, at };
        let expiries = vec![
            expiry("later", true, 8),
            expiry("soon", true, 7),
            expiry("in a while", true, 9),
            expiry("long ago", false, 1),
            expiry("in a month", true, 10),
            expiry("of late", false, 4),
        ];
        let live = LiveNow { apis, expiries, ..LiveNow::of(&stats, 0, at(5).tick) };
        let event = String::from_utf8(tick(1, &live, at(5))).unwrap();
        let told = |name: &str| -> Vec<&str> {
            let parts = event.split(name).skip(1);
            parts.map(|part| part.split('"').next().unwrap()).collect()
        };
        assert_eq!(told("\"text\":\""), ["long ago", "of late", "soon", "later"]);
        assert!(event.contains("],\"more_expiries\":2,"), "{event}");
        let names = told("{\"name\":\"");
        assert_eq!((names.len(), names[98], names[99]), (APIS_MAX, "98", "101"));
        assert!(event.contains("],\"more_apis\":2,"), "{event}");
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
