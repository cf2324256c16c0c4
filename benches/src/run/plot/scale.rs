//! The position of a value between the left and the right end of a plot, and the values that label
//! the axis.
//!
//! Values that range over more than a decade get a logarithmic scale, on which equal ratios have
//! equal distances; others get a linear one that begins at zero, so twice the distance is twice the
//! value. Zero has no position on a logarithmic scale: it is placed at the left end, with a gap
//! after it.

use crate::run::number::grouped;

/// A logarithmic scale is used if the largest value is more than this many times the smallest.
const SPREAD: f64 = 12.0;
/// With up to this many decades, each has ticks at 1, 2 and 5; with more, only at 1.
const FINE_DECADES: f64 = 2.8;
/// The gap between zero and the rest of a logarithmic scale, as a share of the whole.
const GAP: f64 = 0.08;

/// A scale, from its left end (0) to its right end (1).
#[derive(Debug)]
pub struct Scale {
    axis: Axis,
    ticks: Vec<Round>,
}

#[derive(Debug)]
enum Axis {
    /// From zero to this value.
    Linear(f64),
    /// Between powers of ten. `start` is the position of the first, which leaves room for zero if
    /// needed.
    Logarithmic { least: f64, most: f64, start: f64 },
}

/// A round value: a factor and a power of ten.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    times: u32,
    power: i32,
}

impl Round {
    fn value(self) -> f64 {
        // A division keeps 0.1 exact.
        match self.power {
            power if power < 0 => f64::from(self.times) / 10f64.powi(-power),
            power => f64::from(self.times) * 10f64.powi(power),
        }
    }

    fn label(self) -> String {
        let decimals = usize::try_from(-self.power).unwrap_or(0);
        match self.times {
            0 => "0".into(),
            _ => grouped(self.value(), decimals),
        }
    }
}

impl Scale {
    /// A scale that has room for all of these values.
    pub fn of(values: &[f64]) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max);
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let least = positive.fold(f64::INFINITY, f64::min);
        let has_zero = values.iter().any(|value| *value <= 0.0);
        match most / least > SPREAD {
            true => Self::logarithmic(least, most, has_zero),
            false => Self::linear(most),
        }
    }

    fn linear(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        // The smallest step of 1, 2 or 5 times a power of ten that divides the range into at most 6
        // parts.
        let mut step = Round {
            times: 1,
            power: most.log10().floor() as i32 - 1,
        };
        while most / step.value() > 6.0 {
            step = after(step);
        }
        let steps = (most / step.value() - 1e-9).ceil() as u32;
        let ticks = (0..=steps).map(|number| Round {
            times: number * step.times,
            ..step
        });
        let ticks: Vec<_> = ticks.collect();
        let end = ticks.last().map_or(most, |tick| tick.value());
        Self {
            axis: Axis::Linear(end),
            ticks,
        }
    }

    fn logarithmic(least: f64, most: f64, has_zero: bool) -> Self {
        let decade = Round {
            times: 1,
            power: least.log10().floor() as i32,
        };
        let mut ticks = vec![decade];
        let mut last = decade;
        while last.value() < most * (1.0 - 1e-9) {
            last = after(last);
            ticks.push(last);
        }
        let needed = ticks.iter().rposition(|tick| tick.value() <= least);
        ticks.drain(..needed.unwrap_or(0));
        let (first, end) = (ticks[0].value(), last.value());
        if (end / first).log10() > FINE_DECADES {
            ticks.retain(|tick| tick.times == 1);
        }
        let start = if has_zero { GAP } else { 0.0 };
        if has_zero {
            ticks.insert(0, Round { times: 0, power: 0 });
        }
        Self {
            axis: Axis::Logarithmic {
                least: first,
                most: end,
                start,
            },
            ticks,
        }
    }

    /// The position of a value.
    pub fn place(&self, value: f64) -> f64 {
        match self.axis {
            Axis::Linear(end) => value / end,
            Axis::Logarithmic { .. } if value <= 0.0 => 0.0,
            Axis::Logarithmic { least, most, start } => {
                start + (1.0 - start) * (value / least).ln() / (most / least).ln()
            }
        }
    }

    /// The labels of the axis, with their positions.
    pub fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let tick = |tick: &Round| (self.place(tick.value()), tick.label());
        self.ticks.iter().map(tick)
    }

    /// True if equal distances are equal ratios.
    pub fn is_logarithmic(&self) -> bool {
        matches!(self.axis, Axis::Logarithmic { .. })
    }
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn after(round: Round) -> Round {
    let (times, power) = match round.times {
        1 => (2, round.power),
        2 => (5, round.power),
        _ => (1, round.power + 1),
    };
    Round { times, power }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], labels: &str) {
        let scale = Scale::of(values);
        let told: Vec<_> = scale.ticks().map(|(_, label)| label).collect();
        assert_eq!(told.join(" "), labels, "{values:?}");
        for value in values {
            let place = scale.place(*value);
            assert!(
                (0.0..=1.0).contains(&place),
                "{value} of {values:?} at {place}"
            );
        }
        let places: Vec<_> = scale.ticks().map(|(place, _)| place).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    }

    #[test]
    fn linear_scales_begin_at_zero() {
        check(&[], "0 0.2 0.4 0.6 0.8 1.0");
        check(&[0.0], "0 0.2 0.4 0.6 0.8 1.0");
        check(&[18.9, 22.4, 25.6], "0 5 10 15 20 25 30");
        check(&[0.9, 1.34], "0 0.5 1.0 1.5");
        check(&[1.0, 12.0], "0 2 4 6 8 10 12");
        check(&[0.00025], "0 0.00005 0.00010 0.00015 0.00020 0.00025");
        check(&[41_000.0, 65_000.0], "0 20,000 40,000 60,000 80,000");
        assert!(!Scale::of(&[1.0, 2.0]).is_logarithmic());
    }

    #[test]
    fn wide_spreads_are_logarithmic() {
        check(
            &[79.0, 14_047.0],
            "50 100 200 500 1,000 2,000 5,000 10,000 20,000",
        );
        check(&[79.0, 44_047.0], "100 1,000 10,000");
        check(&[3.0, 60.0], "2 5 10 20 50 100");
        check(&[1.0, 100.0], "1 2 5 10 20 50 100");
        check(&[0.02, 0.3], "0.02 0.05 0.1 0.2 0.5");
        check(&[0.0, 160.0, 3082.0], "0 100 200 500 1,000 2,000 5,000");
        check(&[0.5, 20_000.0], "1 10 100 1,000 10,000");
        assert!(Scale::of(&[1.0, 20.0]).is_logarithmic());
    }

    #[test]
    fn equal_ratios_are_equally_far_apart() {
        let scale = Scale::of(&[1.0, 10.0, 100.0]);
        let places = [1.0, 10.0, 100.0].map(|value| scale.place(value));
        assert_eq!(places[0], 0.0);
        assert!((places[1] - 0.5).abs() < 1e-9 && (places[2] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn zero_is_left_of_all_on_a_logarithmic_scale() {
        let scale = Scale::of(&[0.0, 1.0, 100.0]);
        assert_eq!((scale.place(0.0), scale.place(1.0)), (0.0, GAP));
    }
}
