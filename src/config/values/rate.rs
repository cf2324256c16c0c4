//! Rates: a whole number per unit of time, like "20/s".

use super::units;
use super::value::text;
use crate::config::error::Wrong;
use crate::rate::Rate;
use std::time::Duration;
use toml::de::DeValue;

/// The units of time, in seconds.
const TIMES: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// The largest number in a rate.
const MOST: u32 = 1_000_000;

const NO_RATE: &str = "not a rate; write a whole number, a slash, and s, m or h, like \"20/s\"";

/// Reads a rate. An empty string means that there is none.
pub(crate) fn rate(value: &DeValue<'_>) -> Result<Option<Rate>, Wrong> {
    if value.is_integer() {
        return Err(NO_TIME.into());
    }
    let text = text(value).map_err(|_| NO_RATE)?;
    if text.is_empty() {
        return Ok(None);
    }
    let (number, rest) = units::split(text).ok_or(NO_RATE)?;
    let Some(unit) = rest.strip_prefix('/') else { return Err(without_slash(rest).into()) };
    let found = TIMES.iter().find(|(name, _)| *name == unit);
    let (_, seconds) = found.ok_or_else(|| wrong_time(unit))?;
    match number.parse() {
        Ok(0) => Err("no request would pass; write \"\" for no limit, or active = false".into()),
        Ok(count @ 1..=MOST) => Ok(Some(Rate::new(count, Duration::from_secs(*seconds)))),
        Ok(_) | Err(_) => Err("more than a million; write at most 1000000, or \"\"".into()),
    }
}

const NO_TIME: &str = "a rate needs a time; write \"20/s\", \"100/m\" or \"1000/h\"";

/// Describes what is wrong if the number is not followed by a slash.
fn without_slash(rest: &str) -> &'static str {
    match rest.trim() {
        "" => NO_TIME,
        "r/s" | "r/m" | "rps" | "rpm" | "req/s" => "the number comes first, then /s, /m or /h",
        rest if rest.starts_with(['.', ',']) => {
            "not a whole number; write it in a longer time, like \"30/m\" for one in two seconds"
        }
        _ => NO_RATE,
    }
}

/// Describes what is wrong with a unit of time.
fn wrong_time(unit: &str) -> &'static str {
    match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "m" | "h" => "units are lower case, without spaces, like \"20/s\"",
        "sec" | "second" | "seconds" => "the unit of seconds is s; write \"20/s\"",
        "min" | "minute" | "minutes" => "the unit of minutes is m; write \"100/m\"",
        "hour" | "hours" | "hr" => "the unit of hours is h; write \"1000/h\"",
        "d" | "day" | "days" => "the longest time is an hour; write \"100/h\"",
        rest if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            "the time is one second, minute or hour; write s, m or h without a number"
        }
        _ => NO_RATE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Option<Rate>, String> {
        rate(DeValue::parse(toml).unwrap().get_ref()).map_err(|wrong| wrong.what)
    }

    #[test]
    fn rates() {
        for (text, count, seconds) in
            [("1/s", 1, 1), ("100/m", 100, 60), ("007/h", 7, 3600), ("1000000/s", MOST, 1)]
        {
            let want = Rate::new(count, Duration::from_secs(seconds));
            assert_eq!(read(&format!("'{text}'")), Ok(Some(want)), "{text}");
        }
        assert_eq!(read("''"), Ok(None));
    }

    #[test]
    fn what_people_write_instead() {
        let check = |toml: &str, want: &str| {
            let told = read(toml).unwrap_err();
            assert!(told.starts_with(want), "{toml}: {told}");
        };
        for toml in ["20", "'20'", "'20 '"] {
            check(toml, "a rate needs a time");
        }
        for toml in ["true", "'s'", "'/s'", "'-1/s'", "'+1/s'", "'20/w'", "'20/'", "'20ms'"] {
            check(toml, "not a rate");
        }
        check("'20r/s'", "the number comes first");
        check("'0.5/s'", "not a whole number");
        check("'20/S'", "units are lower case");
        check("'20/ s'", "units are lower case");
        check("'20/sec'", "the unit of seconds is s");
        check("'20/min'", "the unit of minutes is m");
        check("'20/hour'", "the unit of hours is h");
        check("'20/d'", "the longest time is an hour");
        check("'20/10s'", "the time is one second");
        check("'0/s'", "no request would pass");
        check("'1000001/s'", "more than a million");
        check("'99999999999999999999/s'", "more than a million");
    }
}
