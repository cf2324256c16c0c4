//! Durations and sizes: a whole number with a unit, like "250ms" or "64KiB".

use std::time::Duration;

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: [(&str, u64); 4] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// The longest duration that can be configured: a year.
pub(crate) const LONGEST: Duration = Duration::from_secs(8760 * 3600);

/// Parses a number with a unit: `ms`, `s`, `m` or `h`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    match split(text) {
        Some((_, "")) => Err(NO_UNIT),
        Some((number, unit)) => {
            let millis = scale(number, unit, &DURATIONS, wrong_duration(unit))?;
            Some(Duration::from_millis(millis)).filter(|d| *d <= LONGEST).ok_or(TOO_LONG)
        }
        None => Err(NO_DURATION),
    }
}

/// Parses a number with a unit, `KiB`, `MiB`, `GiB` or `TiB`, or a plain number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    match split(text) {
        Some((number, "")) => number.parse().map_err(|_| NO_SIZE),
        Some((number, unit)) => scale(number, unit, &SIZES, wrong_size(unit)),
        None => Err(NO_SIZE),
    }
}

/// Formats a size in the largest unit that leaves no remainder, so that [`size`] can parse it.
pub(crate) fn show_size(bytes: u64) -> String {
    match SIZES.iter().rfind(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale)) {
        Some((unit, scale)) => format!("\"{}{unit}\"", bytes / scale),
        None => bytes.to_string(),
    }
}

pub(crate) const NO_UNIT: &str = "a duration needs a unit; write \"10s\" or \"500ms\"";
const TOO_LONG: &str = "longer than a year; write at most \"8760h\"";
pub(crate) const NO_DURATION: &str =
    "not a duration; write a whole number and ms, s, m or h, like \"10s\" or \"500ms\"";
pub(crate) const NO_SIZE: &str =
    "not a size; write a number of bytes, or one with KiB, MiB, GiB or TiB, like \"64KiB\"";

/// Describes what is wrong with a unit of time. People write all of these.
fn wrong_duration(unit: &str) -> &'static str {
    match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "s" | "m" | "h" => "units are lower case, directly after the number, like \"10s\"",
        "sec" | "secs" | "second" | "seconds" => "the unit of seconds is s; write \"10s\"",
        "min" | "mins" | "minute" | "minutes" => "the unit of minutes is m; write \"5m\"",
        "hr" | "hrs" | "hour" | "hours" => "the unit of hours is h; write \"2h\"",
        "msec" | "millis" | "milliseconds" => "the unit of milliseconds is ms; write \"250ms\"",
        "d" | "day" | "days" => "there is no unit for days; write \"24h\" for one",
        "us" | "ns" | "\u{b5}s" => "the shortest duration is a millisecond; write \"1ms\" or more",
        rest if rest.starts_with(['.', ',']) => {
            "not a whole number; write \"1500ms\" for 1.5 seconds"
        }
        rest if rest.contains(|c: char| c.is_ascii_digit()) => {
            "more than one unit; write \"90s\" for a minute and a half"
        }
        _ => NO_DURATION,
    }
}

/// Describes what is wrong with a unit of size. People write all of these.
fn wrong_size(unit: &str) -> &'static str {
    match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "1024 bytes are written KiB, right after the number, like \"64KiB\"",
        "m" | "mb" | "mib" => "1024 KiB are written MiB, right after the number, like \"1MiB\"",
        "g" | "gb" | "gib" => "1024 MiB are written GiB, right after the number, like \"1GiB\"",
        "t" | "tb" | "tib" => "1024 GiB are written TiB, right after the number, like \"1TiB\"",
        "b" | "bytes" => "bytes have no unit; write only the number",
        rest if rest.starts_with(['.', ',']) => {
            "not a whole number; write it in the next smaller unit"
        }
        _ => NO_SIZE,
    }
}

/// Splits off leading digits. None if there are none.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn scale(
    number: &str,
    unit: &str,
    units: &[(&str, u64)],
    wrong: &'static str,
) -> Result<u64, &'static str> {
    let (_, scale) = units.iter().find(|(name, _)| *name == unit).ok_or(wrong)?;
    // The text is all digits, so a number that does not parse is too large.
    Ok(number.parse().unwrap_or(u64::MAX).saturating_mul(*scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, want: Result<u64, &str>| {
            assert_eq!(duration(text), want.map(Duration::from_millis), "{text:?}");
        };
        check("0s", Ok(0));
        check("250ms", Ok(250));
        check("15s", Ok(15_000));
        check("5m", Ok(300_000));
        check("2h", Ok(7_200_000));
        check("007s", Ok(7_000));
        check("8760h", Ok(365 * 24 * 3_600_000));
        check("8761h", Err(TOO_LONG));
        check("99999999999999999999999h", Err(TOO_LONG));
        check("18446744073709551615ms", Err(TOO_LONG));
        check("10", Err(NO_UNIT));
        check("0", Err(NO_UNIT));
        for text in ["", "s", " 1s", "-1s", "+1s", "1w", "٣s"] {
            check(text, Err(NO_DURATION));
        }
    }

    #[test]
    fn units_that_people_write_instead() {
        let check = |text: &str, want: &str| {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            let told = [duration(text).unwrap_err(), wrong_size(unit)];
            assert!(told.iter().any(|told| told.starts_with(want)), "{text}: {told:?}");
        };
        for text in ["1s ", "1 s", "1S", "5M", "250 Ms"] {
            check(text, "units are lower case, directly after the number");
        }
        check("10sec", "the unit of seconds is s");
        check("10 Seconds", "the unit of seconds is s");
        check("1min", "the unit of minutes is m");
        check("2hours", "the unit of hours is h");
        check("1msec", "the unit of milliseconds is ms");
        check("1d", "there is no unit for days");
        check("1µs", "the shortest duration is a millisecond");
        check("1.5s", "not a whole number; write \"1500ms\"");
        check("1,5s", "not a whole number; write \"1500ms\"");
        check("1m30s", "more than one unit");
        for text in ["64KB", "64kib", "64K", "64 KiB"] {
            check(text, "1024 bytes are written KiB");
        }
        check("1MB", "1024 KiB are written MiB");
        check("1g", "1024 MiB are written GiB");
        check("10B", "bytes have no unit");
        check("1.5MiB", "not a whole number; write it in the next");
    }

    #[test]
    fn sizes() {
        let check = |text, want| assert_eq!(size(text), want, "{text:?}");
        check("0", Ok(0));
        check("1000", Ok(1000));
        check("64KiB", Ok(65_536));
        check("1MiB", Ok(1 << 20));
        check("3GiB", Ok(3 << 30));
        check("99999999999999GiB", Ok(u64::MAX));
        check("99999999999999999999999", Err(NO_SIZE));
        for text in ["", "KiB", "-1", "1PiB", "٣KiB"] {
            check(text, Err(NO_SIZE));
        }
        assert!(["1KB", "1kib", "1K", "1 KiB", "1.5MiB", "1B"].iter().all(|t| size(t).is_err()));
    }

    #[test]
    fn a_size_is_shown_as_it_is_read() {
        for bytes in [0, 1, 1000, 1024, 1025, 16 << 10, 1 << 20, 3 << 30, (1 << 30) + 1024] {
            assert_eq!(size(show_size(bytes).trim_matches('"')), Ok(bytes));
        }
        assert_eq!(show_size(16 << 10), "\"16KiB\"");
    }
}
