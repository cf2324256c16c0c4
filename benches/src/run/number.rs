//! Numbers as people read them: the middle of a few, in three digits.

/// A median with the smallest and the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value.
    pub least: f64,
    /// The value in the middle; between the two in the middle of an even number.
    pub median: f64,
    /// The largest value.
    pub most: f64,
}

impl Spread {
    /// The spread of some values; none of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Self {
            least,
            median,
            most,
        })
    }

    /// True exactly when the two have a value in common, and so were not told apart.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.least <= other.most && other.least <= self.most
    }
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

/// Three significant digits, or all that stand before the point.
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 99.95 => grouped(value, 0),
        size if size >= 9.995 => grouped(value, 1),
        _ => grouped(value, 2),
    }
}

/// So many digits behind the point, and a comma at every thousand before it.
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
