//! The Prometheus text format (version 0.0.4), and merging the metrics of several event loops into
//! one text.
//!
//! Each loop reports the same families. Their samples are added up, or one of them is used for all
//! ([`Merge`]).
//!
//! Tested against a strict parser of the text.

use super::{Counter, Histogram};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

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

/// How samples with the same labels, one from each event loop, are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Their sum.
    Sum,
    /// The smallest of them.
    Smallest,
    /// The largest of them.
    Largest,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A time in milliseconds, which is written in seconds.
    Millis(u64),
}

impl Value {
    fn merged(self, other: Value, merge: Merge) -> Value {
        match (merge, self, other) {
            (Merge::Sum, Value::Number(a), Value::Number(b)) => Value::Number(a.saturating_add(b)),
            (Merge::Sum, Value::Millis(a), Value::Millis(b)) => Value::Millis(a.saturating_add(b)),
            // All values of a sample have the same unit.
            (Merge::Sum, a, _) => a,
            (Merge::Smallest, a, b) => a.min(b),
            (Merge::Largest, a, b) => a.max(b),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(number as u64)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Value {
        Value::Number(is.into())
    }
}

impl Display for Value {
    /// Seconds have no more digits than necessary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Millis(ms) if ms % 1000 == 0 => (ms / 1000).fmt(f),
            Value::Millis(ms) => {
                let text = format!("{}.{:03}", ms / 1000, ms % 1000);
                f.write_str(text.trim_end_matches('0'))
            }
        }
    }
}

/// All metrics, family by family.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    families: Vec<Family>,
}

#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    merge: Merge,
    /// Each sample's suffix and labels as in the text, and its value.
    samples: Vec<(String, Value)>,
}

impl Exposition {
    /// Begins a family. Its samples follow. Each family needs its own name. Samples of several
    /// event loops are added up.
    pub fn family(&mut self, name: &'static str, kind: MetricType, help: &'static str) {
        self.family_of(Merge::Sum, name, kind, help);
    }

    /// Begins a family whose samples are merged like this.
    pub fn family_of(
        &mut self,
        merge: Merge,
        name: &'static str,
        kind: MetricType,
        help: &'static str,
    ) {
        self.families.push(Family { name, kind, help, merge, samples: Vec::new() });
    }

    /// Adds a sample to the current family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.add("", labels, None, value.into());
    }

    /// Adds a sample to the family with this name, which has been begun.
    pub fn sample_of(&mut self, family: &str, labels: &[(&str, &str)], value: impl Into<Value>) {
        let family = self.families.iter_mut().find(|known| known.name == family);
        if let Some(family) = family {
            family.samples.push((text_of("", labels, None), value.into()));
        }
    }

    /// Adds the samples of a histogram to the current family. Empty histograms are omitted.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let Histogram { bounds, buckets, longer, sum_ms } = histogram;
        let count = buckets.iter().map(Counter::get).sum::<u64>() + longer.get();
        if count == 0 {
            return;
        }
        let mut below = 0;
        for (bound, bucket) in bounds.iter().zip(buckets) {
            below += bucket.get();
            self.add("_bucket", labels, Some(&Value::Millis(*bound).to_string()), below.into());
        }
        self.add("_bucket", labels, Some("+Inf"), count.into());
        self.add("_sum", labels, None, Value::Millis(sum_ms.get()));
        self.add("_count", labels, None, count.into());
    }

    /// Merges the metrics of another event loop.
    pub fn merge(&mut self, other: &Exposition) {
        for family in &other.families {
            match self.families.iter_mut().find(|known| known.name == family.name) {
                Some(known) => known.merge(family),
                None => self.families.push(family.clone()),
            }
        }
    }

    /// Writes the whole text.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples, .. } in self.families {
            let kind = match kind {
                MetricType::Counter => "counter",
                MetricType::Gauge => "gauge",
                MetricType::Histogram => "histogram",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }

    fn add(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<&str>, value: Value) {
        if let Some(family) = self.families.last_mut() {
            family.samples.push((text_of(suffix, labels, le), value));
        }
    }
}

/// The suffix and the labels of a sample, as the text has them.
fn text_of(suffix: &str, labels: &[(&str, &str)], le: Option<&str>) -> String {
    let mut text = suffix.to_owned();
    let mut before = '{';
    for (name, value) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{before}{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
        before = ',';
    }
    text.push_str(if before == ',' { "}" } else { "" });
    text
}

impl Family {
    fn merge(&mut self, other: &Family) {
        for ((labels, value), place) in other.samples.iter().zip(self.places(other)) {
            match place {
                Some(place) => {
                    let known = &mut self.samples[place].1;
                    *known = known.merged(*value, self.merge);
                }
                None => self.samples.push((labels.clone(), *value)),
            }
        }
    }

    /// The indices in this family of the samples of another one. Event loops report nearly the same
    /// samples in the same order, so each nearly always follows the one before.
    fn places(&self, other: &Family) -> Vec<Option<usize>> {
        let mut known = BTreeMap::new();
        let mut next = 0;
        let mut place = |(labels, _): &(String, Value)| {
            let mut place = next;
            if self.samples.get(next).is_none_or(|(known, _)| known != labels) {
                if known.is_empty() {
                    for (place, (labels, _)) in self.samples.iter().enumerate() {
                        known.insert(labels.as_str(), place);
                    }
                }
                place = *known.get(labels.as_str())?;
            }
            next = place + 1;
            Some(place)
        };
        other.samples.iter().map(&mut place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
        text.sample(&[], 1_u64);
        text.sample(&[("a", "q\"b\\n\nz"), ("b", "")], 2_u64);
        let want = "# HELP x_total Things.\n# TYPE x_total counter\nx_total 1\n\
            x_total{a=\"q\\\"b\\\\n\\nz\",b=\"\"} 2\n";
        assert_eq!(text.into_text(), want);
    }

    #[test]
    fn samples_are_merged_in_any_order() {
        let told = |samples: &[(&str, u64)]| {
            let mut told = Exposition::default();
            told.family("x", MetricType::Gauge, "Things.");
            samples.iter().for_each(|(a, value)| told.sample(&[("a", a)], *value));
            told
        };
        for (one, other, want) in [
            (&[("a", 1), ("b", 2), ("c", 3)][..], &[("a", 1), ("b", 1), ("c", 1)][..], "a2b3c4"),
            (&[("a", 1), ("b", 2), ("c", 3)], &[("b", 1), ("c", 1), ("a", 1)], "a2b3c4"),
            (&[("a", 1), ("c", 3)], &[("b", 1), ("c", 1), ("d", 1)], "a1c4b1d1"),
            (&[], &[("b", 1), ("a", 1)], "b1a1"),
            (&[("a", 1)], &[], "a1"),
        ] {
            let mut all = told(one);
            all.merge(&told(other));
            let text = all.into_text();
            let lines = text.lines().filter_map(|line| line.strip_prefix("x{a=\""));
            let got: String = lines.map(|line| line.replace("\"} ", "")).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn what_loops_tell_is_merged() {
        let told = |open: u64, since: u64, api: &str, took: &[u64]| {
            let mut told = Exposition::default();
            told.family("open", MetricType::Gauge, "Open.");
            told.sample(&[("api", "a")], open);
            told.sample(&[("api", api)], 1_u64);
            told.family_of(Merge::Smallest, "since", MetricType::Gauge, "Since.");
            told.sample(&[], Value::Millis(since));
            told.family_of(Merge::Largest, "draining", MetricType::Gauge, "Draining.");
            told.sample(&[], open > 2);
            told.family("took_seconds", MetricType::Histogram, "How long.");
            let histogram = Histogram::new(&[500]);
            took.iter().for_each(|ms| histogram.observe(Duration::from_millis(*ms)));
            told.histogram(&[], &histogram);
            told
        };
        let mut all = told(2, 1500, "b", &[]);
        all.merge(&told(3, 1250, "c", &[400, 600]));
        all.merge(&told(4, 2000, "b", &[700]));
        let text = all.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let want = [
            "open{api=\"a\"} 9",
            "open{api=\"b\"} 2",
            "open{api=\"c\"} 1",
            "since 1.25",
            "draining 1",
            "took_seconds_bucket{le=\"0.5\"} 1",
            "took_seconds_bucket{le=\"+Inf\"} 3",
            "took_seconds_sum 1.7",
            "took_seconds_count 3",
        ];
        assert_eq!(samples, want);
    }
}
