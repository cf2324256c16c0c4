//! The counts of a load, and their report: one line of `name=value`.

use crate::histogram::Histogram;

/// Counts since the last reset.
pub struct Tally {
    /// Events, each of them checked.
    pub events: u64,
    /// Anything inserted by a proxy, such as heartbeats.
    pub comments: u64,
    /// Responses that are complete, or whose clients have left as planned.
    pub responses: u64,
    /// Requests without a complete response.
    pub failures: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the time in an event to its reading.
    pub delays: Histogram,
    /// The difference between the delays of two successive events: the gap between them is this
    /// much longer or shorter for the client than for the origin.
    pub jitters: Histogram,
    /// From the sending of a request to the reading of its first event.
    pub firsts: Histogram,
}

impl Tally {
    /// All counts are zero.
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

/// The line that is printed at the end.
pub struct Report(Vec<String>);

impl Report {
    /// An empty line.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// The line.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }

    /// Adds a value.
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push(format!("{name}={value}"));
    }

    /// Adds a sum divided by a count, unless that is zero.
    pub fn add_share(&mut self, name: &str, value: f64, among: u64) {
        if among > 0 {
            self.add(name, value / among as f64);
        }
    }

    /// Adds what was counted in this number of seconds.
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

    /// Adds the median and higher quantiles, in microseconds.
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
