//! The counters of each api and of the process.
//!
//! An api's counters belong to its name and outlive every configuration that has it; their users
//! hold them by `Rc`. Nothing is counted per client, except by key.

use super::auth_stats::AuthStats;
use super::cause::Cause;
use super::endpoint_stats::EndpointStats;
use super::handshakes::Handshakes;
use super::key_stats::AllKeys;
use super::lately::{Lately, Minute, Problem};
use super::outcome::Outcome;
use super::proxy_headers::ProxyHeaders;
use super::veto::Veto;
use crate::config::StreamKind;
use crate::metrics::{Counter, Histogram, Statuses};
use crate::time::Tick;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// Bucket bounds of the time to the first event, in milliseconds. It may be long.
const FIRST_EVENT: &[u64] =
    &[1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000];

/// Bucket bounds of the duration of a stream, in milliseconds: from a second to a day.
const STREAM: &[u64] =
    &[1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000];

/// Bucket bounds of the duration of any other request, in milliseconds.
const REQUEST: &[u64] =
    &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/// A request that was not served: answered with a status of 500 or above, or saved from that by
/// `on_outage` or an early answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// When the request failed.
    pub at: Tick,
    /// The cause. None if the status is the upstream's own.
    pub cause: Option<Cause>,
    /// The status that the client was sent or, after an early answer, the upstream's.
    pub status: u16,
}

/// The counters of an api's long-lived exchanges: one kind of its event streams, or its tunnels.
#[derive(Debug, Default)]
pub struct LastingStats {
    /// Those that were opened.
    pub opened: Counter,
    /// Those that have ended, by [`Outcome::index`].
    pub closed: [Counter; Outcome::ALL.len()],
}

impl LastingStats {
    /// The number of open ones.
    pub fn open(&self) -> u64 {
        let closed = self.closed.iter().map(Counter::get).sum();
        self.opened.get().saturating_sub(closed)
    }
}

/// The counters of one api.
#[derive(Debug)]
pub struct ApiStats {
    /// Finished requests, including event streams, by the status that the client was sent.
    pub requests: Statuses,
    /// The event streams of each kind.
    streams: [LastingStats; 2],
    /// The tunnels.
    pub tunnels: LastingStats,
    /// Relayed events.
    pub events: Counter,
    /// Payload bytes received from clients.
    pub bytes_in: Counter,
    /// Payload bytes passed on to clients, written or pending.
    pub bytes_out: Counter,
    /// Heartbeats sent to keep quiet streams alive.
    pub heartbeats: Counter,
    /// Requests that were sent to another target after one had failed.
    pub retries: Counter,
    /// Streams that lost their upstream and had to be resumed.
    pub resumes: Counter,
    /// Streams that were resumed.
    pub resumed: Counter,
    /// Streams that were opened without an upstream.
    pub held: Counter,
    /// How often a request or a stream had to wait for an upstream connection.
    pub queued: Counter,
    /// Requests that were answered with an empty stream that says when to reconnect.
    pub spared: Counter,
    /// Streams that were opened before their upstream had answered.
    pub early_answers: Counter,
    /// The verdicts of auth servers on requests and streams.
    pub auth: AuthStats,
    /// Streams whose events come from a shared log.
    pub shared: Counter,
    /// Requests that were not shared although `[api.share]` is configured, by [`Veto`].
    vetoes: [Counter; Veto::ALL.len()],
    /// Events replayed from logs to clients that joined late or came back.
    pub replayed: Counter,
    /// Clients of a shared stream that missed part of it.
    pub gaps: Counter,
    /// The time from a request to the first event of its stream.
    pub first_event: Histogram,
    /// The duration of event streams.
    pub stream_duration: Histogram,
    /// The duration of other requests.
    pub request_duration: Histogram,
    /// Upstream connections that were attempted.
    pub connects: Counter,
    /// Upstream connections that were closed.
    pub disconnects: Counter,
    /// Refused requests, by [`Cause`].
    refusals: [Counter; Cause::ALL.len()],
    /// Requests that were not served.
    pub unserved: Counter,
    /// The last request that was not served.
    last_unserved: Cell<Option<Unserved>>,
    /// What went wrong in the last minute.
    lately: Lately,
}

impl ApiStats {
    fn new() -> ApiStats {
        ApiStats {
            requests: Statuses::default(),
            streams: Default::default(),
            tunnels: LastingStats::default(),
            events: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            heartbeats: Counter::default(),
            retries: Counter::default(),
            resumes: Counter::default(),
            resumed: Counter::default(),
            held: Counter::default(),
            queued: Counter::default(),
            spared: Counter::default(),
            early_answers: Counter::default(),
            auth: AuthStats::default(),
            shared: Counter::default(),
            vetoes: std::array::from_fn(|_| Counter::default()),
            replayed: Counter::default(),
            gaps: Counter::default(),
            first_event: Histogram::new(FIRST_EVENT),
            stream_duration: Histogram::new(STREAM),
            request_duration: Histogram::new(REQUEST),
            connects: Counter::default(),
            disconnects: Counter::default(),
            refusals: std::array::from_fn(|_| Counter::default()),
            unserved: Counter::default(),
            last_unserved: Cell::default(),
            lately: Lately::default(),
        }
    }

    /// Counts a refused request.
    pub fn count_refusal(&self, cause: Cause, now: Tick) {
        self.refusals[cause as usize].one();
        self.lately.count(Problem::Refused(cause), || self.begun(), now);
    }

    /// The numbers of refused requests, by cause, including zeros.
    pub fn refusals(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL.into_iter().zip(self.refusals.iter().map(Counter::get))
    }

    /// Counts a request that is not shared.
    pub fn count_veto(&self, veto: Veto) {
        self.vetoes[veto as usize].one();
    }

    /// The numbers of requests that were not shared, by the vetoes that occurred.
    pub fn vetoes(&self) -> impl Iterator<Item = (Veto, u64)> + '_ {
        let all = Veto::ALL.into_iter().zip(self.vetoes.iter().map(Counter::get));
        all.filter(|(_, count)| *count > 0)
    }

    /// Counts a request that was not served.
    pub fn count_unserved(&self, last: Unserved) {
        self.unserved.one();
        self.last_unserved.set(Some(last));
        self.lately.count(Problem::Unserved, || self.begun(), last.at);
    }

    /// Notes how an event stream or a tunnel ended. A problem is reported for a minute.
    pub fn note_end(&self, outcome: Outcome, now: Tick) {
        if outcome.is_failure() {
            self.lately.count(Problem::Cut(outcome), || self.begun(), now);
        }
    }

    /// What went wrong in the last minute.
    pub fn minute(&self, now: Tick) -> Minute {
        self.lately.minute(self.begun(), now)
    }

    /// The last request that was not served, if there was one.
    pub const fn last_unserved(&self) -> Option<Unserved> {
        self.last_unserved.get()
    }

    /// The event streams of one kind.
    pub const fn streams(&self, kind: StreamKind) -> &LastingStats {
        match kind {
            StreamKind::Subscription => &self.streams[0],
            StreamKind::Answer => &self.streams[1],
        }
    }

    /// The number of event streams that were opened.
    pub fn opened(&self) -> u64 {
        self.streams.iter().map(|streams| streams.opened.get()).sum()
    }

    /// The number of event streams that ended in this way.
    pub fn closed(&self, outcome: Outcome) -> u64 {
        self.streams.iter().map(|streams| streams.closed[outcome.index()].get()).sum()
    }

    /// The number of open event streams.
    pub fn open(&self) -> u64 {
        self.streams.iter().map(LastingStats::open).sum()
    }

    /// The number of open tunnels.
    pub fn open_tunnels(&self) -> u64 {
        self.tunnels.open()
    }

    /// The number of requests that are finished, or have opened an event stream or a tunnel.
    pub fn begun(&self) -> u64 {
        self.requests.total() + self.open() + self.open_tunnels()
    }

    /// The number of upstream connections that are open or being made.
    pub fn upstream_connections(&self) -> u64 {
        self.connects.get().saturating_sub(self.disconnects.get())
    }
}

/// The counters of all apis and of the process.
#[derive(Debug)]
pub struct Stats {
    apis: BTreeMap<Rc<str>, Rc<ApiStats>>,
    /// The counters of endpoints, by api and displayed target. They are removed when no
    /// configuration in use has the endpoint.
    endpoints: BTreeMap<(String, String), Weak<EndpointStats>>,
    /// The counters by key name.
    pub keys: AllKeys,
    /// The requests that no api served.
    pub no_api: Rc<ApiStats>,
    /// How often accepting had to pause.
    pub accept_pauses: Counter,
    /// The TLS handshakes with clients.
    pub handshakes: Handshakes,
    /// The PROXY headers of clients' connections.
    pub proxy_headers: ProxyHeaders,
}

impl Stats {
    /// Creates empty counters.
    pub fn new() -> Stats {
        let no_api = Rc::new(ApiStats::new());
        Stats {
            apis: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            keys: AllKeys::default(),
            no_api,
            accept_pauses: Counter::default(),
            handshakes: Handshakes::default(),
            proxy_headers: ProxyHeaders::default(),
        }
    }

    /// The counters of the api with this name. They are created if missing.
    pub fn api(&mut self, name: &str) -> Rc<ApiStats> {
        if let Some(stats) = self.apis.get(name) {
            return Rc::clone(stats);
        }
        let stats = Rc::new(ApiStats::new());
        self.apis.insert(name.into(), Rc::clone(&stats));
        stats
    }

    /// The counters of an api's endpoint, by its displayed target. They are created if missing, and
    /// exist as long as they are referenced.
    pub fn endpoint(&mut self, api: &str, displayed: String) -> Rc<EndpointStats> {
        let name = (api.to_owned(), displayed);
        if let Some(stats) = self.endpoints.get(&name).and_then(Weak::upgrade) {
            return stats;
        }
        let stats = Rc::new(EndpointStats::default());
        self.endpoints.insert(name, Rc::downgrade(&stats));
        stats
    }

    /// Removes the counters of endpoints that are no longer referenced.
    pub fn forget_endpoints(&mut self) {
        self.endpoints.retain(|_, stats| stats.strong_count() > 0);
    }

    /// The counters of all endpoints of configurations in use, with their api and displayed target.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &str, Rc<EndpointStats>)> {
        let endpoints = self.endpoints.iter();
        endpoints.filter_map(|((api, name), stats)| Some((&**api, &**name, stats.upgrade()?)))
    }

    /// The counters of all apis that ever existed, by name. Requests that no api served are under
    /// the empty name, which no api has.
    pub fn all(&self) -> impl Iterator<Item = (&str, &ApiStats)> {
        let apis = self.apis.iter().map(|(name, stats)| (&**name, &**stats));
        [("", &*self.no_api)].into_iter().chain(apis)
    }
}

impl Default for Stats {
    fn default() -> Stats {
        Stats::new()
    }
}
