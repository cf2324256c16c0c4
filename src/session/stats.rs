//! What is counted: for each api, and for the process.
//!
//! An api's numbers belong to its name and outlive every configuration that has it: whoever needs
//! them holds them by `Rc`. Nothing is counted by client.

use crate::metrics::{Counter, Histogram, Statuses};
use crate::session::exchange::Outcome;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Upper bounds in milliseconds: the first event of a stream may be long in coming.
const FIRST_EVENT: &[u64] =
    &[1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000];

/// A stream may last a second or a day.
const STREAM: &[u64] =
    &[1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000];

/// Everything else is over soon.
const REQUEST: &[u64] =
    &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/// What is counted of one api.
#[derive(Debug)]
pub struct ApiStats {
    /// Requests that are over, event streams included, by the status that the client was sent.
    pub requests: Statuses,
    /// Event streams that were opened,
    pub opened: Counter,
    /// and those that have ended, by [`Outcome::index`].
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
    /// Streams that have lost their upstream and were to be resumed,
    pub resumes: Counter,
    /// and those that got on.
    pub resumed: Counter,
    /// Streams that were opened though there was no upstream for them.
    pub held: Counter,
    /// From a request to the first event of its stream.
    pub first_event: Histogram,
    /// How long event streams lasted.
    pub stream_duration: Histogram,
    /// How long other requests took.
    pub request_duration: Histogram,
    /// Upstream connections that were made, or tried,
    pub connects: Counter,
    /// and those that were closed.
    pub disconnects: Counter,
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
            first_event: Histogram::new(FIRST_EVENT),
            stream_duration: Histogram::new(STREAM),
            request_duration: Histogram::new(REQUEST),
            connects: Counter::default(),
            disconnects: Counter::default(),
        }
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
    /// Requests that no api has served.
    pub no_api: Rc<ApiStats>,
    /// How often accepting had to rest.
    pub accept_pauses: Counter,
}

impl Stats {
    /// Nothing was counted.
    pub fn new() -> Stats {
        let no_api = Rc::new(ApiStats::new());
        Stats { apis: BTreeMap::new(), no_api, accept_pauses: Counter::default() }
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
