//! The built-in event source: something to look at before there is an event server.
//!
//! `GET /events/` is answered with `data: Message: N - the time is ...`, one event at once and then
//! one each interval, for as long as the client stays. It runs in the same event loop as all else
//! and writes into a response pipe where otherwise an upstream would.

use crate::time::{Now, Tick};
use std::time::Duration;

/// The one path that is served.
pub const PATH: &str = "/events/";

/// Writes the head of the response into `out`; `chunked` unless the client knows only HTTP/1.0, or
/// wants no body.
pub fn write_head(out: &mut Vec<u8>, chunked: bool) {
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n",
    );
    let framing: &[u8] = if chunked { b"Transfer-Encoding: chunked\r\n" } else { b"" };
    out.extend_from_slice(framing);
    out.extend_from_slice(b"\r\n");
}

/// One client's events.
#[derive(Debug)]
pub struct Events {
    sent: u64,
    next: Tick,
    interval: Duration,
}

impl Events {
    /// A stream whose first event is due at once.
    pub const fn new(now: Tick, interval: Duration) -> Events {
        Events { sent: 0, next: now, interval }
    }

    /// When the next event is due.
    pub const fn next(&self) -> Tick {
        self.next
    }

    /// The event that is due, if one is. A reader who could not keep up misses events, not time.
    pub fn take(&mut self, now: Now) -> Option<String> {
        if now.tick < self.next {
            return None;
        }
        let event = format!("data: Message: {} - the time is {}\n\n", self.sent, utc(now.unix_ms));
        self.sent += 1;
        // From when it was due, not from now: being a little late must not add up.
        self.next = self.next.after(self.interval).max(now.tick);
        Some(event)
    }
}

/// A moment as people write it: `2026-11-24 17:52:50.855 UTC`.
fn utc(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that
/// the leap day is a year's last, and come in eras of 400 (146,097 days each).
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
        }
    }

    /// The naive oracle: walk the calendar day by day.
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

    #[test]
    fn one_event_at_once_and_one_each_interval() {
        let at = |ms| Now { tick: Tick::from_millis(ms), unix_ms: 0 };
        let mut events = Events::new(Tick::ZERO, Duration::from_secs(1));
        assert!(
            events.take(at(0)).is_some_and(|e| e.starts_with("data: Message: 0 - the time is"))
        );
        assert_eq!(events.take(at(999)), None);
        assert!(events.take(at(1000)).is_some_and(|e| e.ends_with(" UTC\n\n")));
        assert_eq!(events.next(), Tick::from_millis(2000));
    }
}
