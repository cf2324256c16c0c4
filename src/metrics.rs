//! Counters, histograms, and their text for Prometheus ([`Exposition`]).
//!
//! Counting adds to an integer behind a shared reference: no lock, no allocation, no lookup by
//! name. Code that counts holds its counters by `Rc`; only the code that writes the text knows
//! names and labels. Each event loop has its own counters.

mod exposition;

use crate::time::millis;
use std::cell::Cell;
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
/// distinct ones is limited: any others are counted as status 0.
#[derive(Debug, Default)]
pub struct Statuses {
    known: [(Cell<u16>, Counter); 24],
    rest: Counter,
}

impl Statuses {
    /// Counts a response with this status.
    pub fn one(&self, status: u16) {
        let slot =
            self.known.iter().find(|(known, _)| matches!(known.get(), 0) || known.get() == status);
        match slot {
            Some((known, counter)) if status != 0 => {
                known.set(status);
                counter.one();
            }
            Some(_) | None => self.rest.one(),
        }
    }

    /// All statuses seen with their counts.
    pub fn all(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let known = self.known.iter().map(|(status, counter)| (status.get(), counter.get()));
        known.chain([(0, self.rest.get())]).filter(|(_, count)| *count > 0)
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
    fn statuses_are_counted_each_by_itself_until_there_are_too_many() {
        let statuses = Statuses::default();
        for status in (200..230).chain([200, 502, 0]) {
            statuses.one(status);
        }
        let all: Vec<_> = statuses.all().collect();
        assert_eq!((all[0], all[1], all.len()), ((200, 2), (201, 1), 25));
        assert_eq!(all[24], (0, 8));
        assert_eq!(statuses.total(), 33);
    }
}
