//! Latencies in a table of fixed size: 32 steps per power of two, so the error is at most 3 %.

const STEPS: u64 = 32;
const ROWS: usize = 40;

/// Counts of durations, in nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            counts: vec![0; ROWS * STEPS as usize],
            total: 0,
        }
    }

    /// Adds a duration.
    pub fn add(&mut self, nanoseconds: u64) {
        let last = self.counts.len() - 1;
        self.counts[step_of(nanoseconds).min(last)] += 1;
        self.total += 1;
    }

    /// The number of durations.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The smallest duration that at least this share (0 to 1) of all do not exceed; 0 if there are
    /// none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle_of(step);
            }
        }
        0
    }
}

/// Durations below 64 have a step each; each power of two above has 32.
fn step_of(nanoseconds: u64) -> usize {
    let row = u64::from((nanoseconds / STEPS).checked_ilog2().unwrap_or(0));
    (row * STEPS + (nanoseconds >> row)) as usize
}

fn middle_of(step: usize) -> u64 {
    let step = step as u64;
    let row = (step / STEPS).saturating_sub(1);
    ((step - row * STEPS) << row) + (1 << row) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_within_three_percent() {
        let mut value = 1u64;
        while value < 1 << 40 {
            let found = middle_of(step_of(value));
            assert!(
                found.abs_diff(value) * 32 <= value,
                "{value} is counted as {found}"
            );
            assert!(step_of(value + 1) >= step_of(value));
            value += value / 7 + 1;
        }
    }

    #[test]
    fn quantiles_of_one_to_a_thousand() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|value| histogram.add(value));
        for (share, want) in [(0.001, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(share);
            assert!(found.abs_diff(want) * 32 <= want, "{share}: {found}");
        }
        assert_eq!(histogram.total(), 1000);
    }
}
