//! The built-in event source: something to look at before there is an event server.
//!
//! `GET /events/` is answered with `data: Message: N - the time is ...`, one event at once and then
//! one each interval, for as long as the client stays. It runs in the same event loop as all else
//! and writes into a response pipe where otherwise an upstream would.

use crate::time::{Now, Tick, date};
use std::time::Duration;

/// The path that is served.
pub const PATH: &str = "/events/";

/// That path, however it is written.
pub const PATHS: [&str; 2] = [PATH, "/events"];

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
        let event =
            format!("data: Message: {} - the time is {}\n\n", self.sent, date::utc(now.unix_ms));
        self.sent += 1;
        // From when it was due, not from now: being a little late must not add up.
        self.next = self.next.after(self.interval).max(now.tick);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
