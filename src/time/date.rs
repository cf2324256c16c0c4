//! Formats wall-clock times for people, programs and HTTP.

/// Formats a time for people: `2026-11-24 17:52:50.855 UTC`.
pub fn utc(unix_ms: u64) -> String {
    let mut out = String::with_capacity(32);
    write(unix_ms, [" ", " UTC"], &mut out);
    out
}

/// Appends a time for programs (RFC 3339): `2026-11-24T17:52:50.855Z`.
pub fn write_rfc3339(unix_ms: u64, out: &mut String) {
    write(unix_ms, ["T", "Z"], out);
}

fn write(unix_ms: u64, [between, behind]: [&str; 2], out: &mut String) {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_date(days);
    for (number, before, place) in [
        (year, "", 1000),
        (month, "-", 10),
        (day, "-", 10),
        (ms / 3_600_000, between, 10),
        (ms / 60_000 % 60, ":", 10),
        (ms / 1000 % 60, ":", 10),
        (ms % 1000, ".", 100),
    ] {
        write_number(number, before, place, out);
    }
    out.push_str(behind);
}

/// Formats a time for HTTP (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(unix_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (unix_ms / 86_400_000, unix_ms / 1000 % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // 1970-01-01 was a Thursday.
    let [weekday, month] = [(DAYS.as_slice(), days % 7), (MONTHS.as_slice(), month - 1)]
        .map(|(names, index)| usize::try_from(index).map_or("", |index| names[index]));
    let mut out = String::with_capacity(32);
    out.push_str(weekday);
    write_number(day, ", ", 10, &mut out);
    out.push(' ');
    out.push_str(month);
    for (number, before, place) in
        [(year, " ", 1000), (hour, " ", 10), (minute, ":", 10), (second, ":", 10)]
    {
        write_number(number, before, place, &mut out);
    }
    out.push_str(" GMT");
    out
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

    /// The time that was set last. Empty before.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Appends the digits of `number`, starting at the digit with the value `place`; they are wrong
/// after the year 9999. It runs for each line of the access log, so it avoids the formatting
/// machinery.
fn write_number(number: u64, before: &str, mut place: u64, out: &mut String) {
    out.push_str(before);
    while place > 0 {
        let digit = (number / place % 10) as u8;
        out.push(char::from(b'0' + digit));
        place /= 10;
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that
/// the leap day comes last, and come in eras of 400 (146,097 days each).
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

    /// The naive oracle walks the calendar day by day.
    #[test]
    fn every_day_of_two_centuries() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..73_000 {
            assert_eq!(civil_date(days), (year, month, day));
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
