//! Counters, histograms, and the Prometheus text format (version 0.0.4).
//!
//! Counting adds to an integer behind a shared reference: no lock, no allocation, no lookup by
//! name. Code that counts holds its counters by `Rc`; only the code that writes the text knows
//! names and labels.
//!
//! Tested against a strict parser of that text.

use crate::time::millis;
use std::cell::Cell;
use std::fmt::{Display, Write};
use std::time::Duration;

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
/// different ones is bounded: those beyond it are counted as status 0.
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

/// The type of a metric family, as the format names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// A value that only grows.
    Counter,
    /// A value that can go up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// A writer of the text, family by family.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family. Its samples follow. Each family needs its own name.
    pub fn family(&mut self, name: &'static str, kind: MetricType, help: &str) {
        self.name = name;
        let kind = match kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a sample of the current family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Writes the samples of a histogram in the current family. Empty histograms are omitted.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let Histogram { bounds, buckets, longer, sum_ms } = histogram;
        let count = buckets.iter().map(Counter::get).sum::<u64>() + longer.get();
        if count == 0 {
            return;
        }
        let mut below = 0;
        for (bound, bucket) in bounds.iter().zip(buckets) {
            below += bucket.get();
            self.line("_bucket", labels, Some(&seconds(*bound)), below);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, seconds(sum_ms.get()));
        self.line("_count", labels, None, count);
    }

    /// Returns the whole text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        le: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
            let _ = write!(self.text, "{before}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
            before = ',';
        }
        let _ = writeln!(self.text, "{} {value}", if before == ',' { "}" } else { "" });
    }
}

/// Formats milliseconds as seconds, with no more digits than necessary.
pub fn seconds(ms: u64) -> String {
    let (whole, rest) = (ms / 1000, ms % 1000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
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

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(&[5, 1000, 1500]);
        for ms in [0, 5, 6, 1000, 1001, 2000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut text = Exposition::default();
        text.family("x_seconds", MetricType::Histogram, "How long.");
        text.histogram(&[("api", "a")], &histogram);
        text.histogram(&[("api", "quiet")], &Histogram::new(&[1]));
        let want = "\
# HELP x_seconds How long.
# TYPE x_seconds histogram
x_seconds_bucket{api=\"a\",le=\"0.005\"} 2
x_seconds_bucket{api=\"a\",le=\"1\"} 4
x_seconds_bucket{api=\"a\",le=\"1.5\"} 5
x_seconds_bucket{api=\"a\",le=\"+Inf\"} 6
x_seconds_sum{api=\"a\"} 4.012
x_seconds_count{api=\"a\"} 6
";
        assert_eq!(text.into_text(), want);
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.family("x_total", MetricType::Counter, "Things.");
        text.sample(&[], 1);
        text.sample(&[("a", "q\"b\\n\nz"), ("b", "")], 2);
        let want = "# HELP x_total Things.\n# TYPE x_total counter\nx_total 1\n\
            x_total{a=\"q\\\"b\\\\n\\nz\",b=\"\"} 2\n";
        assert_eq!(text.into_text(), want);
    }
}
