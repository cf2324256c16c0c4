//! Formats wall-clock times for people, programs and HTTP. Each line of the access log has a time,
//! so this avoids the standard formatting machinery.

/// Formats a time for people: `2026-11-24 17:52:50.855 UTC`.
pub fn utc(unix_ms: u64) -> String {
    let mut text = *b"0000-00-00 00:00:00.000 UTC";
    put_time(unix_ms, &mut text);
    as_str(&text).to_owned()
}

/// Formats the day of a time in seconds since 1970: `2026-11-24`.
pub fn day(unix_seconds: u64) -> String {
    utc(unix_seconds * 1000)[..10].to_owned()
}

/// Appends a time for programs (RFC 3339): `2026-11-24T17:52:50.855Z`.
pub fn write_rfc3339(unix_ms: u64, out: &mut String) {
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put_time(unix_ms, &mut text);
    out.push_str(as_str(&text));
}

/// Replaces the zeros of `0000-00-00 00:00:00.000`, whatever separates and follows them.
fn put_time(unix_ms: u64, text: &mut [u8]) {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_date(days);
    put(year, &mut text[..4]);
    put(month, &mut text[5..7]);
    put(day, &mut text[8..10]);
    put(ms / 3_600_000, &mut text[11..13]);
    put(ms / 60_000 % 60, &mut text[14..16]);
    put(ms / 1000 % 60, &mut text[17..19]);
    put(ms % 1000, &mut text[20..23]);
}

/// Formats a time for HTTP (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(unix_ms: u64) -> String {
    const DAYS: &[u8] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = |names: &'static [u8], index: u64| {
        let mut names = names.chunks_exact(3);
        usize::try_from(index).ok().and_then(|index| names.nth(index)).unwrap_or(b"   ")
    };
    let (days, seconds) = (unix_ms / 86_400_000, unix_ms / 1000 % 86_400);
    let (year, month, day) = civil_date(days);
    let mut text = *b"Xxx, 00 Xxx 0000 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    text[..3].copy_from_slice(name(DAYS, days % 7));
    put(day, &mut text[5..7]);
    text[8..11].copy_from_slice(name(MONTHS, month - 1));
    put(year, &mut text[12..16]);
    put(seconds / 3600, &mut text[17..19]);
    put(seconds / 60 % 60, &mut text[20..22]);
    put(seconds % 60, &mut text[23..25]);
    as_str(&text).to_owned()
}

/// Fills `place` with the last digits of a number, so years after 9999 are wrong.
fn put(mut number: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn as_str(text: &[u8]) -> &str {
    str::from_utf8(text).unwrap_or_default()
}

/// The current time as formatted by [`imf_fixdate`], reformatted at most once a second.
#[derive(Debug, Default)]
pub struct HttpDate {
    /// The second since 1970 that the text is for, if there is a text.
    second: Option<u64>,
    text: String,
}

impl HttpDate {
    /// Sets the current time; reformats at most once a second.
    pub fn set(&mut self, unix_ms: u64) {
        let second = Some(unix_ms / 1000);
        if self.second != second {
            (self.second, self.text) = (second, imf_fixdate(unix_ms));
        }
    }

    /// The second since 1970 that was set last. 0 if none was.
    pub fn second(&self) -> u64 {
        self.second.unwrap_or_default()
    }

    /// The time that was set last. Empty if none was.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that
/// the leap day is the last, and are grouped into eras of 400 years (146,097 days).
const fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / 146_097 * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The seconds from 1970 to a moment of the Gregorian calendar, in UTC. None if there is no such
/// date, or if it is earlier.
#[cfg(any(feature = "tls", test))]
pub fn unix_seconds([year, month, day]: [u64; 3], [hour, minute, second]: [u64; 3]) -> Option<u64> {
    if !(1970..=9999).contains(&year) || month > 12 || day > 31 {
        return None;
    }
    // Years begin in March, as in `civil_date`.
    let (years, month_from_march) = (year - u64::from(month <= 2), (month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day;
    let leap_days = years / 4 - years / 100 + years / 400;
    let days = (365 * years + leap_days + day_of_year).checked_sub(1 + 719_468)?;
    let is_date = civil_date(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    is_date.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (unix_ms, want) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (951_868_800_000, "2000-03-01 00:00:00.000 UTC"),
            (1_735_689_599_999, "2024-12-31 23:59:59.999 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(utc(unix_ms), want);
            let (date, time) = want.split_once(' ').unwrap();
            let mut rfc3339 = String::new();
            write_rfc3339(unix_ms, &mut rfc3339);
            assert_eq!(rfc3339, format!("{date}T{}", time.replace(" UTC", "Z")));
        }
    }

    /// Compares with a walk through the calendar, day by day.
    #[test]
    fn every_day_of_two_centuries() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..73_000 {
            assert_eq!(civil_date(days), (year, month, day));
            let seconds = unix_seconds([year, month, day], [23, 59, 59]);
            assert_eq!(seconds, Some(days * 86_400 + 86_399));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                4 | 6 | 9 | 11 => 30,
                2 => 28 + u64::from(leap),
                _ => 31,
            };
            (year, month, day) = match (day == last, month) {
                (false, _) => (year, month, day + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn what_is_no_date() {
        for date in [[1969, 12, 31], [2023, 2, 29], [2024, 2, 30], [2024, 0, 1], [2024, 13, 1]] {
            assert_eq!(unix_seconds(date, [0, 0, 0]), None, "{date:?}");
        }
        for date in [[2024, 1, 0], [2024, 4, 31], [1970, 0, 0], [10_000, 1, 1]] {
            assert_eq!(unix_seconds(date, [0, 0, 0]), None, "{date:?}");
        }
        for time in [[24, 0, 0], [0, 60, 0], [0, 0, 60]] {
            assert_eq!(unix_seconds([2024, 2, 29], time), None, "{time:?}");
        }
        assert_eq!(unix_seconds([9999, 12, 31], [23, 59, 59]), Some(253_402_300_799));
    }

    /// The example of RFC 9110 section 5.6.7, and both ends of a leap day.
    #[test]
    fn dates_of_http() {
        for (unix_s, want) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(unix_s * 1000), want);
            let mut date = HttpDate::default();
            for unix_ms in [unix_s * 1000 + 5000, unix_s * 1000, unix_s * 1000 + 999] {
                date.set(unix_ms);
            }
            assert_eq!(date.text(), want);
        }
    }
}
