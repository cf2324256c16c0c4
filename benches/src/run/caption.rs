//! Captions of figures that are shown without a table's heading, and which direction is better.

/// The caption of a figure.
#[derive(Debug, PartialEq)]
pub struct Caption {
    /// What it is.
    pub what: &'static str,
    /// Its unit; none for a count.
    pub unit: &'static str,
    /// Which direction is better: `less` or `more`.
    pub better: &'static str,
}

impl Caption {
    /// The caption of one of the load's figures.
    pub fn of(figure: &str) -> Option<Self> {
        let (what, unit) = match figure {
            "cpu_event_us" => ("CPU per event", "µs"),
            "cpu_response_us" => ("CPU per request", "µs"),
            "cpu_gb_ms" => ("CPU per GB", "ms"),
            "rest_us_per_s" => ("CPU per second of rest", "µs"),
            "memory_stream" => ("memory per stream", "bytes"),
            "memory_slow" => ("memory per slow stream", "bytes"),
            "memory_grown" => ("memory grown in 20 reloads", "KiB"),
            "wake_ms" => ("time until all streams have their events", "ms"),
            "delay_p99_us" => ("delay of an event, 99th percentile", "µs"),
            "beside_p99_us" => ("delay of an event beside others, 99th percentile", "µs"),
            "storm_p99_us" => ("delay of an event in the storm, 99th percentile", "µs"),
            "storm_ms" => ("time until all new streams have their first event", "ms"),
            "busy_percent" => ("share of the core in use", "%"),
            "jitter_p99_us" => ("jitter, 99th percentile", "µs"),
            "peak_percent" => ("most streams that ended within 100 ms", "%"),
            "events_s" => ("events per second", "thousands"),
            _ => return None,
        };
        let better = match figure {
            "events_s" => "more",
            _ => "less",
        };
        Some(Self { what, unit, better })
    }
}

impl std::fmt::Display for Caption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            "" => write!(f, "{}", self.what),
            unit => write!(f, "{}, {unit}", self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario;

    #[test]
    fn all_that_is_drawn_is_a_column_and_has_a_caption() {
        for scenario in scenario::ALL {
            assert!(!scenario.drawn.is_empty(), "{}", scenario.name);
            for figure in scenario.drawn {
                let is_shown = scenario
                    .columns
                    .iter()
                    .any(|column| column.figure == *figure);
                assert!(is_shown, "{} has no column {figure}", scenario.name);
                assert!(Caption::of(figure).is_some(), "{figure} has no caption");
            }
        }
    }
}
