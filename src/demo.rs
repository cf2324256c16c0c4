//! The built-in event source, for trying things out before there is an event server.
//!
//! `GET /events/` is answered with a stream of `data: Message: N - the time is ...`: one event at
//! once, and then one every interval until the client leaves. It runs in the event loop and fills a
//! response pipe, as an upstream would.

use crate::time::{Now, Tick, date};
use std::time::Duration;

/// The path of the event stream.
pub const PATH: &str = "/events/";

/// All spellings of that path.
pub const PATHS: [&str; 2] = [PATH, "/events"];

/// Appends the head of the response to `out`. Pass `chunked` unless the client speaks only HTTP/1.0
/// or wants no body.
pub fn write_head(out: &mut Vec<u8>, chunked: bool) {
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n",
    );
    let framing: &[u8] = if chunked { b"Transfer-Encoding: chunked\r\n" } else { b"" };
    out.extend_from_slice(framing);
    out.extend_from_slice(b"\r\n");
}

/// The event stream of one client.
#[derive(Debug)]
pub struct Events {
    sent: u64,
    next: Tick,
    interval: Duration,
}

impl Events {
    /// Begins a stream whose first event is due at `now`.
    pub const fn new(now: Tick, interval: Duration) -> Events {
        Events { sent: 0, next: now, interval }
    }

    /// When the next event is due.
    pub const fn next(&self) -> Tick {
        self.next
    }

    /// Takes the event that is due, if there is one. A reader that does not keep up misses events,
    /// but the times in them stay right.
    pub fn take(&mut self, now: Now) -> Option<String> {
        if now.tick < self.next {
            return None;
        }
        let event =
            format!("data: Message: {} - the time is {}\n\n", self.sent, date::utc(now.unix_ms));
        self.sent += 1;
        // The interval counts from when the event was due, so that small delays do not add up.
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
