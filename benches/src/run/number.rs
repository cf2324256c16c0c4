//! Numbers in a readable form: medians with three digits.

/// A median with the smallest and the largest value, and its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value.
    pub least: f64,
    /// The median; the mean of the two middle values if their number is even.
    pub median: f64,
    /// The largest value.
    pub most: f64,
    /// An interval that contains the true median with a confidence of 90 % or more. Fewer than 5
    /// values are not enough for that; then it ranges from the smallest to the largest.
    interval: (f64, f64),
}

impl Spread {
    /// The spread of some values; none if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let outside = outside(values.len());
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Self {
            least,
            median,
            most,
            interval: (values[outside], values[values.len() - 1 - outside]),
        })
    }

    /// True if the intervals of the two medians overlap, so there is no clear difference.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.interval.0 <= other.interval.1 && other.interval.0 <= self.interval.1
    }
}

/// How many of the smallest values, and as many of the largest, are outside of the median's
/// interval: as many as leave a probability of at most 10 % that the median is there, too. Each
/// value is above or below the median with equal probability.
fn outside(count: usize) -> usize {
    let mut ways = 1.0;
    let mut tail = 0.0;
    for beyond in 0..count {
        tail += ways / 2f64.powi(count as i32);
        if 2.0 * tail > 0.1 {
            return beyond.saturating_sub(1);
        }
        ways *= (count - beyond) as f64 / (beyond + 1) as f64;
    }
    0
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = [self.least, self.median, self.most].map(digits);
        match least == most {
            true => write!(f, "{median}"),
            false => write!(f, "{median} ({least}–{most})"),
        }
    }
}

/// Three significant digits, or all digits before the decimal point.
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 99.95 => grouped(value, 0),
        size if size >= 9.995 => grouped(value, 1),
        _ => grouped(value, 2),
    }
}

/// A number with this many decimals, and with commas between thousands.
pub fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut text = String::new();
    for (at, character) in plain.char_indices() {
        let left = whole.saturating_sub(at);
        if left > 0 && left % 3 == 0 && text.ends_with(|before: char| before.is_ascii_digit()) {
            text.push(',');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let told = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.to_string());
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[5.0]).unwrap(), "5.00");
        assert_eq!(told(&[3.0, 1.0, 2.0]).unwrap(), "2.00 (1.00–3.00)");
        assert_eq!(told(&[10.0, 1000.0]).unwrap(), "505 (10.0–1,000)");
        let spread = |least, most| Spread::of(vec![least, most]).unwrap();
        assert!(spread(1.0, 2.0).overlaps(&spread(2.0, 3.0)));
        assert!(!spread(1.0, 2.0).overlaps(&spread(2.1, 3.0)));
        assert!(!spread(2.1, 3.0).overlaps(&spread(1.0, 2.0)));
    }

    #[test]
    fn more_rounds_leave_outliers_outside() {
        for (count, beyond) in [(1, 0), (3, 0), (7, 0), (8, 1), (9, 1), (11, 2), (15, 3)] {
            assert_eq!(outside(count), beyond, "{count}");
        }
        let spread = |rounds, of: f64| {
            let values = (0..rounds).map(|round| of + f64::from(round % 2) / 10.0);
            Spread::of(values.chain([1.0, 5.0]).collect()).unwrap()
        };
        assert!(spread(5, 2.0).overlaps(&spread(5, 3.0)));
        assert!(!spread(6, 2.0).overlaps(&spread(6, 3.0)));
    }

    #[test]
    fn digits_of_all_sizes() {
        for (value, text) in [
            (0.0, "0"),
            (0.004, "0.00"),
            (0.0512, "0.05"),
            (1.234, "1.23"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.6, "1,000"),
            (1234.5, "1,234"),
            (1234567.0, "1,234,567"),
            (-1234.0, "-1,234"),
            (-123.0, "-123"),
        ] {
            assert_eq!(digits(value), text, "{value}");
        }
        assert_eq!(grouped(1234.5, 3), "1,234.500");
    }
}
