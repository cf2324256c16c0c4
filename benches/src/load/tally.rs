//! What a load counts, and how it tells it: one line of `name=value`.

use crate::histogram::Histogram;

/// What was counted since the last reset.
pub struct Tally {
    /// Events, each of them checked.
    pub events: u64,
    /// What a proxy says for itself, as its heartbeats.
    pub comments: u64,
    /// Responses that are complete, or of which the client had enough.
    pub responses: u64,
    /// Requests without a whole response.
    pub failures: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the stamp of an event to its reading.
    pub delays: Histogram,
    /// By how much the delays of two events that follow each other differ: the gap between them is
    /// so much longer or shorter for the client than it was for the origin.
    pub jitters: Histogram,
    /// From the sending of a request to the reading of the first event.
    pub firsts: Histogram,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            events: 0,
            comments: 0,
            responses: 0,
            failures: 0,
            bytes: 0,
            delays: Histogram::new(),
            jitters: Histogram::new(),
            firsts: Histogram::new(),
        }
    }
}

/// The line that is told in the end.
pub struct Report(Vec<String>);

impl Report {
    /// A line without words.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// The line.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }

    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push(format!("{name}={value}"));
    }

    /// Adds a sum's share for each of so many, if there are any.
    pub fn add_share(&mut self, name: &str, value: f64, among: u64) {
        if among > 0 {
            self.add(name, value / among as f64);
        }
    }

    /// Adds what was counted in so many seconds.
    pub fn add_tally(&mut self, tally: &Tally, seconds: f64) {
        self.add("events", tally.events as f64);
        self.add("comments", tally.comments as f64);
        self.add("failures", tally.failures as f64);
        self.add("events_s", tally.events as f64 / seconds);
        self.add("responses_s", tally.responses as f64 / seconds);
        self.add("gb_s", tally.bytes as f64 / 1e9 / seconds);
        self.add_quantiles("delay", &tally.delays);
        self.add_quantiles("jitter", &tally.jitters);
        self.add_quantiles("first", &tally.firsts);
    }

    /// Adds a median and what lies above it, in microseconds.
    pub fn add_quantiles(&mut self, name: &str, of: &Histogram) {
        if of.total() > 0 {
            for (part, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
                self.add(
                    &format!("{name}_{part}_us"),
                    of.quantile(share) as f64 / 1e3,
                );
            }
        }
    }
}
