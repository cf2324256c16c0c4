//! What is counted: for each api, and for the process.
//!
//! An api's numbers belong to its name and outlive every configuration that has it: whoever needs
//! them holds them by `Rc`. Nothing is counted by client, other than
//! by its key.

use super::cause::Cause;
use super::endpoint_stats::EndpointStats;
use super::key_stats::AllKeys;
use super::lately::{Lately, Minute, Trouble};
use super::outcome::Outcome;
use crate::metrics::{Counter, Histogram, Statuses};
use crate::time::Tick;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// Upper bounds in milliseconds: the first event of a stream may be long in coming.
const FIRST_EVENT: &[u64] =
    &[1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000];

/// A stream may last a second or a day.
const STREAM: &[u64] =
    &[1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000];

/// Everything else is over soon.
const REQUEST: &[u64] =
    &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/// A request that was not served: answered with a status of 500 or above, or spared that by
/// `on_outage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// When that turned out.
    pub at: Tick,
    /// Why. None if the status is the upstream's own answer.
    pub cause: Option<Cause>,
    /// The status that its client was sent.
    pub status: u16,
}

/// What is counted of one api.
#[derive(Debug)]
pub struct ApiStats {
    /// Requests that are over, event streams included, by the status that the client was sent.
    pub requests: Statuses,
    /// Event streams that were opened.
    pub opened: Counter,
    /// Event streams that have ended, by [`Outcome::index`].
    pub closed: [Counter; Outcome::ALL.len()],
    /// Tunnels that were opened.
    pub tunnels_opened: Counter,
    /// Tunnels that have ended, by [`Outcome::index`].
    pub tunnels_closed: [Counter; Outcome::ALL.len()],
    /// Events that were relayed.
    pub events: Counter,
    /// Payload that clients have sent.
    pub bytes_in: Counter,
    /// Payload that was handed to clients.
    pub bytes_out: Counter,
    /// Comments that kept a quiet stream alive.
    pub heartbeats: Counter,
    /// Streams that lost their upstream and had to be resumed.
    pub resumes: Counter,
    /// Streams that were resumed.
    pub resumed: Counter,
    /// Streams that were opened though there was no upstream for them.
    pub held: Counter,
    /// Requests that were answered by an empty stream, which says when to come back.
    pub spared: Counter,
    /// From a request to the first event of its stream.
    pub first_event: Histogram,
    /// How long event streams lasted.
    pub stream_duration: Histogram,
    /// How long other requests took.
    pub request_duration: Histogram,
    /// Upstream connections that were attempted.
    pub connects: Counter,
    /// Upstream connections that were closed.
    pub disconnects: Counter,
    /// Requests that were refused, by [`Cause`].
    refusals: [Counter; Cause::ALL.len()],
    /// Requests that were not served.
    pub unserved: Counter,
    /// The last request that was not served.
    last_unserved: Cell<Option<Unserved>>,
    /// What of all this went wrong in the last minute.
    lately: Lately,
}

impl ApiStats {
    fn new() -> ApiStats {
        ApiStats {
            requests: Statuses::default(),
            opened: Counter::default(),
            closed: Default::default(),
            tunnels_opened: Counter::default(),
            tunnels_closed: Default::default(),
            events: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            heartbeats: Counter::default(),
            resumes: Counter::default(),
            resumed: Counter::default(),
            held: Counter::default(),
            spared: Counter::default(),
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

    /// A request was refused.
    pub fn count_refusal(&self, cause: Cause, now: Tick) {
        self.refusals[cause as usize].one();
        self.lately.count(Trouble::Refused(cause), || self.begun(), now);
    }

    /// How many requests were refused, by the causes that there were.
    pub fn refusals(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let all = Cause::ALL.into_iter().zip(self.refusals.iter().map(Counter::get));
        all.filter(|(_, count)| *count > 0)
    }

    /// A request was not served.
    pub fn count_unserved(&self, last: Unserved) {
        self.unserved.one();
        self.last_unserved.set(Some(last));
        self.lately.count(Trouble::Unserved, || self.begun(), last.at);
    }

    /// An event stream or a tunnel has ended so. Where that should not be it is of interest for a
    /// minute.
    pub fn note_end(&self, outcome: Outcome, now: Tick) {
        if outcome.is_trouble() {
            self.lately.count(Trouble::Cut(outcome), || self.begun(), now);
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

    /// Event streams that are open.
    pub fn open(&self) -> u64 {
        let closed = self.closed.iter().map(Counter::get).sum();
        self.opened.get().saturating_sub(closed)
    }

    /// Tunnels that are open.
    pub fn open_tunnels(&self) -> u64 {
        let closed = self.tunnels_closed.iter().map(Counter::get).sum();
        self.tunnels_opened.get().saturating_sub(closed)
    }

    /// Requests that have begun an event stream or a tunnel, or are over.
    pub fn begun(&self) -> u64 {
        self.requests.total() + self.open() + self.open_tunnels()
    }

    /// Upstream connections that are open or in the making.
    pub fn upstreams(&self) -> u64 {
        self.connects.get().saturating_sub(self.disconnects.get())
    }
}

/// What is counted of all apis, and of the process.
#[derive(Debug)]
pub struct Stats {
    apis: BTreeMap<Rc<str>, Rc<ApiStats>>,
    /// Targets, by the names of their apis and by how they are displayed. Those that no
    /// configuration in use has are gone.
    endpoints: BTreeMap<(String, String), Weak<EndpointStats>>,
    /// What is counted by the names of keys.
    pub keys: AllKeys,
    /// Requests that no api has served.
    pub no_api: Rc<ApiStats>,
    /// How often accepting had to pause.
    pub accept_pauses: Counter,
}

impl Stats {
    /// Nothing was counted.
    pub fn new() -> Stats {
        let no_api = Rc::new(ApiStats::new());
        Stats {
            apis: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            keys: AllKeys::default(),
            no_api,
            accept_pauses: Counter::default(),
        }
    }

    /// The numbers of the api of this name: those that there are, or new ones.
    pub fn api(&mut self, name: &str) -> Rc<ApiStats> {
        if let Some(stats) = self.apis.get(name) {
            return Rc::clone(stats);
        }
        let stats = Rc::new(ApiStats::new());
        self.apis.insert(name.into(), Rc::clone(&stats));
        stats
    }

    /// The numbers of an api's endpoint that is displayed so: those that there are, or new ones.
    /// They last for as long as somebody holds them.
    pub fn endpoint(&mut self, api: &str, displayed: String) -> Rc<EndpointStats> {
        let name = (api.to_owned(), displayed);
        if let Some(stats) = self.endpoints.get(&name).and_then(Weak::upgrade) {
            return stats;
        }
        let stats = Rc::new(EndpointStats::default());
        self.endpoints.insert(name, Rc::downgrade(&stats));
        stats
    }

    /// Forgets the endpoints that nobody holds any more.
    pub fn forget_endpoints(&mut self) {
        self.endpoints.retain(|_, stats| stats.strong_count() > 0);
    }

    /// Those of all endpoints that a configuration in use has: by the names of their apis, and by
    /// how they are displayed.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &str, Rc<EndpointStats>)> {
        let endpoints = self.endpoints.iter();
        endpoints.filter_map(|((api, name), stats)| Some((&**api, &**name, stats.upgrade()?)))
    }

    /// Those of all apis there ever were, by name; what no api has served is under the empty name,
    /// which no api has.
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
