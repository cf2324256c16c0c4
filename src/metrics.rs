//! Counters, histograms, and their text for Prometheus ([`Exposition`]).
//!
//! Counting adds to an integer behind a shared reference: no lock, no allocation, no lookup by
//! name. Code that counts holds its counters by `Rc`; only the code that writes the text knows
//! names and labels. Each event loop has its own counters.

mod exposition;

use crate::time::millis;
use std::cell::Cell;
use std::fmt;
use std::time::Duration;

pub use exposition::{Exposition, Merge, MetricType, Value};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().saturating_add(n));
    }

    /// The current value.
    pub const fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Responses counted by status. An upstream may use any status from 100 to 999, so the number of
/// distinct ones is limited: any others are counted by class. Status 0 means that there was no
/// response.
#[derive(Debug)]
pub struct Statuses {
    known: [(Cell<u16>, Counter); STATUSES_MAX],
    none: Counter,
    /// The other ones, by their first digit.
    others: [Counter; 10],
}

/// The number of distinct statuses that are counted separately: a few more than IANA has
/// registered.
const STATUSES_MAX: usize = 72;

/// What responses are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A status. 0 if there was no response.
    Status(u16),
    /// The first digit of a status that is not counted separately.
    Class(usize),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Status(status) => write!(f, "{status}"),
            Code::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

impl Default for Statuses {
    fn default() -> Statuses {
        let known = std::array::from_fn(|_| Default::default());
        Statuses { known, none: Counter::default(), others: Default::default() }
    }
}

impl Statuses {
    /// Counts a response with this status.
    pub fn one(&self, status: u16) {
        if status == 0 {
            return self.none.one();
        }
        let slot =
            self.known.iter().find(|(known, _)| matches!(known.get(), 0) || known.get() == status);
        match slot {
            Some((known, counter)) => {
                known.set(status);
                counter.one();
            }
            None => self.others[usize::from(status / 100).min(9)].one(),
        }
    }

    /// All statuses seen with their counts.
    pub fn all(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        let known = self.known.iter();
        let known = known.map(|(status, counter)| (Code::Status(status.get()), counter.get()));
        let others = self.others.iter().enumerate();
        let others = others.map(|(digit, counter)| (Code::Class(digit), counter.get()));
        let all = known.chain([(Code::Status(0), self.none.get())]).chain(others);
        all.filter(|(_, count)| *count > 0)
    }

    /// The number of responses of any status.
    pub fn total(&self) -> u64 {
        self.all().map(|(_, count)| count).sum()
    }
}

/// Durations counted in buckets.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of the buckets in milliseconds, ascending.
    bounds: &'static [u64],
    /// The count for each bound, not cumulative.
    buckets: [Counter; BUCKETS_MAX],
    /// The number of durations above the last bound.
    longer: Counter,
    sum_ms: Counter,
}

/// Maximum number of buckets of a histogram, not counting the unbounded one.
const BUCKETS_MAX: usize = 16;

impl Histogram {
    /// Creates an empty histogram with these upper bounds.
    ///
    /// # Panics
    /// If there are too many.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        assert!(bounds.len() <= BUCKETS_MAX, "too many buckets");
        let (buckets, longer, sum_ms) = Default::default();
        Histogram { bounds, buckets, longer, sum_ms }
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let ms = millis(took);
        let bucket = self.bounds.iter().zip(&self.buckets).find(|(bound, _)| ms <= **bound);
        bucket.map_or(&self.longer, |(_, bucket)| bucket).one();
        self.sum_ms.add(ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_beyond_the_limit_are_counted_by_class() {
        let statuses = Statuses::default();
        for status in (200..275).chain([200, 502, 503, 999, 0]) {
            statuses.one(status);
        }
        let all: Vec<_> = statuses.all().map(|(code, count)| (code.to_string(), count)).collect();
        let of = |code: &str| all.iter().find(|(known, _)| known == code).map(|(_, count)| *count);
        assert_eq!((of("200"), of("201"), of("271"), of("272")), (Some(2), Some(1), Some(1), None));
        assert_eq!(
            (of("2xx"), of("5xx"), of("9xx"), of("0")),
            (Some(3), Some(2), Some(1), Some(1))
        );
        assert_eq!((all.len(), statuses.total()), (STATUSES_MAX + 4, 80));
    }
}
