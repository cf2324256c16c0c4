//! Conversion of TOML values: what each type of key accepts, and the errors for anything else.

use super::units;
use crate::config::error::Wrong;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// Converts a boolean.
pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| "not true or false; write one of them, without quotes".into())
}

/// Converts a string.
pub(crate) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Wrong> {
    value.as_str().ok_or_else(|| "not a string; write it in double quotes".into())
}

/// Converts the name of a file. An empty string means that there is none.
pub(crate) fn file(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    match text(value)? {
        "" => Ok(None),
        path if path.contains(char::is_control) => {
            Err("not a file name; write one like \"ca.pem\"".into())
        }
        path => Ok(Some(path.to_owned())),
    }
}

/// Converts a list, each element with `each`.
pub(crate) fn list<T>(
    value: &DeValue<'_>,
    example: &str,
    mut each: impl FnMut(&DeValue<'_>) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let values = value.as_array().ok_or_else(|| format!("not a list; write {example}"))?;
    let at = |wrong: Wrong, start| Wrong { at: wrong.at.or(Some(start)), ..wrong };
    values.iter().map(|v| each(v.get_ref()).map_err(|wrong| at(wrong, v.span().start))).collect()
}

/// Converts a whole number within a range.
pub(crate) fn count(
    within: RangeInclusive<usize>,
) -> impl FnOnce(&DeValue<'_>) -> Result<usize, Wrong> {
    move |value| {
        let (low, high) = (within.start(), within.end());
        let right = format!("write a whole number from {low} to {high}");
        let integer = value.as_integer().ok_or_else(|| format!("not a whole number; {right}"))?;
        let number = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        number.filter(|n| within.contains(n)).ok_or_else(|| format!("out of range; {right}").into())
    }
}

/// Converts a number of bytes within a range.
pub(crate) fn size(within: RangeInclusive<u64>) -> impl FnOnce(&DeValue<'_>) -> Result<u64, Wrong> {
    move |value| {
        let bytes = match (value.as_integer(), value.as_str()) {
            (Some(integer), _) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            (None, Some(text)) => Some(units::size(text)?),
            (None, None) => return Err(units::NO_SIZE.into()),
        };
        bytes.filter(|bytes| within.contains(bytes)).ok_or_else(|| {
            let [low, high] = [within.start(), within.end()].map(|n| units::show_size(*n));
            format!("out of range; write a size from {low} to {high}").into()
        })
    }
}

/// Like [`size`], for an amount of memory.
pub(crate) fn memory(
    within: RangeInclusive<usize>,
) -> impl FnOnce(&DeValue<'_>) -> Result<usize, Wrong> {
    move |value| {
        let bytes = size(*within.start() as u64..=*within.end() as u64)(value)?;
        usize::try_from(bytes).map_err(|_| units::NO_SIZE.into())
    }
}

/// Converts a duration that is not zero.
pub(crate) fn duration(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    let duration = duration_or_zero(value)?;
    if duration.is_zero() {
        return Err("zero and \"never\" are not possible; write \"1ms\" to \"8760h\"".into());
    }
    Ok(duration)
}

/// Converts a time limit. Zero means that there is none.
pub(crate) fn limit(value: &DeValue<'_>) -> Result<Option<Duration>, Wrong> {
    Ok(Some(duration_or_zero(value)?).filter(|duration| !duration.is_zero()))
}

/// Converts a duration that may be zero.
pub(crate) fn duration_or_zero(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    if value.is_integer() || value.is_float() {
        return Err(units::NO_UNIT.into());
    }
    let text = value.as_str().ok_or(units::NO_DURATION)?;
    Ok(units::duration(text)?)
}

/// Converts a duration of whole seconds, which may be zero.
pub(crate) fn whole_seconds(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    let duration = duration_or_zero(value)?;
    if duration.subsec_nanos() == 0 {
        return Ok(duration);
    }
    let more = duration.as_secs() + 1;
    Err(format!("not a whole number of seconds; write \"{more}s\", for example").into())
}

const NO_NAME: &str =
    "not a name; write 1 to 64 ASCII letters, digits or punctuation, but no quote or backslash";

/// Checks a name that logs and metrics can put in quotes.
pub(crate) fn printable(name: &str) -> Result<String, &'static str> {
    let fits = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if name.trim() != name || !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        return Err(NO_NAME);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn check<T: Debug>(
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Wrong>,
        toml: &str,
        want: &str,
    ) {
        let value = DeValue::parse(toml).unwrap();
        let got = match read(value.get_ref()) {
            Ok(value) => format!("{value:?}"),
            Err(Wrong { what, at: None }) => what,
            Err(Wrong { what, at: Some(at) }) => format!("{at}: {what}"),
        };
        assert_eq!(got, want, "{toml}");
    }

    #[test]
    fn flags_and_strings() {
        check(flag, "true", "true");
        check(flag, "\"true\"", "not true or false; write one of them, without quotes");
        check(flag, "1", "not true or false; write one of them, without quotes");
        check(|v| text(v).map(str::to_owned), "'a'", "\"a\"");
        check(|v| text(v).map(str::to_owned), "1", "not a string; write it in double quotes");
    }

    #[test]
    fn lists_say_which_of_their_values_is_wrong() {
        let flags = |v: &DeValue<'_>| list(v, "[true]", flag);
        check(flags, "[true, false]", "[true, false]");
        check(flags, "[]", "[]");
        check(flags, "true", "not a list; write [true]");
        check(flags, "[true, 7]", "7: not true or false; write one of them, without quotes");
    }

    #[test]
    fn counts() {
        let wrong = "out of range; write a whole number from 8 to 256";
        for (toml, want) in [("8", "8"), ("256", "256"), ("0x10", "16"), ("1_0", "10")] {
            check(count(8..=256), toml, want);
        }
        for toml in ["7", "257", "-9", "99999999999999999999999"] {
            check(count(8..=256), toml, wrong);
        }
        for toml in ["\"9\"", "9.0", "true", "[9]"] {
            check(count(8..=256), toml, "not a whole number; write a whole number from 8 to 256");
        }
    }

    #[test]
    fn sizes() {
        let wrong = "out of range; write a size from \"1KiB\" to \"1MiB\"";
        for (toml, want) in [("1024", "1024"), ("\"1KiB\"", "1024"), ("\"1MiB\"", "1048576")] {
            check(memory(1 << 10..=1 << 20), toml, want);
        }
        for toml in
            ["1023", "-1", "\"0\"", "\"2MiB\"", "99999999999999999999", "\"99999999999GiB\""]
        {
            check(memory(1 << 10..=1 << 20), toml, wrong);
        }
        for toml in ["true", "1.5", "\"1PiB\""] {
            check(memory(1 << 10..=1 << 20), toml, units::NO_SIZE);
        }
    }

    #[test]
    fn durations() {
        check(duration, "\"1ms\"", "1ms");
        check(
            duration,
            "\"0s\"",
            "zero and \"never\" are not possible; write \"1ms\" to \"8760h\"",
        );
        check(limit, "\"0s\"", "None");
        check(limit, "\"1ms\"", "Some(1ms)");
        check(limit, "0", units::NO_UNIT);
        check(duration_or_zero, "\"0s\"", "0ns");
        check(whole_seconds, "\"0s\"", "0ns");
        check(whole_seconds, "\"60000ms\"", "60s");
        let wrong = "not a whole number of seconds; write \"2s\", for example";
        check(whole_seconds, "\"1500ms\"", wrong);
        check(duration, "10", units::NO_UNIT);
        check(duration, "1.5", units::NO_UNIT);
        check(duration, "\"10\"", units::NO_UNIT);
        check(duration, "true", units::NO_DURATION);
        check(duration, "\"1w\"", units::NO_DURATION);
    }
}
