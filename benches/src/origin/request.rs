//! The requests of the load, parsed from their paths.
//!
//!     /paced?rate=10&size=100     events at a fixed rate, each stream with its own phase
//!     /saturate?size=100&batch=1  batches of events in one write, as fast as the socket accepts
//!                                 them
//!     /burst?n=20                 a head, and n events for each request of /wake; /idle is n=1
//!     /tokens?n=200&gap_ms=5      n events, the first at once, and then the end, like the answer
//!                                 of a language model; POST too
//!     /short                      a body of 13 bytes
//!     /wake                       wakes all waiting streams
//!     /tally                      the number of open streams, of events sent, and of handshakes
//!
//! `id` is the number of the stream, and is in each of its events. `room` limits the bytes that may
//! wait in the kernel: without it, a hundred slow readers would make it drop packets of all
//! connections.

use crate::event::Stamp;
use crate::sys::{MILLISECOND, Outcome, SECOND};

/// A complete request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// What is requested.
    pub wanted: Wanted,
    /// The stream's number.
    pub id: u32,
    /// The size of an event.
    pub size: usize,
    /// The bytes that may wait in the kernel for a slow reader; 0 for the kernel's default.
    pub room: usize,
}

/// The kinds of responses.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    /// A body of 13 bytes.
    Short,
    /// An event stream.
    Stream(Temper),
    /// A burst on all waiting streams.
    Wake,
    /// The origin's counts, as text.
    Tally,
}

/// When the events of a stream are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// A burst at each wake.
    Waiting {
        /// Events in a burst.
        burst: u32,
    },
    /// One per period.
    Paced {
        /// Nanoseconds.
        period: u64,
    },
    /// One after the other, up to a number.
    Counted {
        /// Events in the whole stream.
        events: u32,
        /// Nanoseconds between two events.
        gap: u64,
    },
    /// Whenever there is room.
    Saturated {
        /// Events in a write.
        batch: u32,
    },
}

impl Temper {
    /// Nanoseconds from the request to the first event, if it has a fixed time.
    pub fn first_delay(self, id: u32) -> Option<u64> {
        match self {
            Self::Paced { period } => Some(spread(period, id)),
            Self::Counted { .. } => Some(0),
            Self::Waiting { .. } | Self::Saturated { .. } => None,
        }
    }

    /// Nanoseconds from an event to the next one, if that has a fixed time.
    pub fn gap(self, event: Stamp) -> Option<u64> {
        match self {
            Self::Paced { period } => Some(period),
            Self::Counted { gap, .. } if event.sequence == 0 => Some(spread(gap, event.stream)),
            Self::Counted { gap, .. } => Some(gap),
            Self::Waiting { .. } | Self::Saturated { .. } => None,
        }
    }
}

/// Half to one and a half gaps: streams that begin at the same moment are spread evenly over their
/// gap, by the golden ratio.
fn spread(gap: u64, id: u32) -> u64 {
    let phase = u64::from(id.wrapping_mul(0x9E37_79B9));
    gap / 2 + (gap >> 8) * (phase >> 8) / (1 << 16)
}

impl Request {
    /// Parses a request once it is complete with its body; `None` until then.
    pub fn read(bytes: &[u8]) -> Outcome<Option<Self>> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
        let length = |line: &str| -> Option<usize> {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        };
        if bytes.len() - end < head.lines().find_map(length).unwrap_or(0) {
            return Ok(None);
        }
        let target = head.split(' ').nth(1).ok_or("no target")?;
        Self::from_target(target).map(Some)
    }

    fn from_target(target: &str) -> Outcome<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let number = |name: &str, otherwise: u64| -> u64 {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs
                .into_iter()
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse().ok());
            value.unwrap_or(otherwise)
        };
        let wanted = match path {
            "/idle" => Wanted::Stream(Temper::Waiting { burst: 1 }),
            "/burst" => Wanted::Stream(Temper::Waiting {
                burst: number("n", 20) as u32,
            }),
            "/paced" => Wanted::Stream(Temper::Paced {
                period: SECOND / number("rate", 10).max(1),
            }),
            "/saturate" => Wanted::Stream(Temper::Saturated {
                batch: number("batch", 1) as u32,
            }),
            "/tokens" => Wanted::Stream(Temper::Counted {
                events: number("n", 200) as u32,
                gap: number("gap_ms", 5) * MILLISECOND,
            }),
            "/short" => Wanted::Short,
            "/wake" => Wanted::Wake,
            "/tally" => Wanted::Tally,
            _ => return Err(format!("no such path: {path}")),
        };
        Ok(Self {
            wanted,
            id: number("id", 0) as u32,
            size: number("size", 100) as usize,
            room: number("room", 0) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_complete() {
        let wire =
            b"POST /tokens?n=3&gap_ms=1&id=7 HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi";
        for cut in 0..wire.len() {
            assert_eq!(Request::read(&wire[..cut]), Ok(None), "{cut}");
        }
        let temper = Temper::Counted {
            events: 3,
            gap: MILLISECOND,
        };
        let want = Request {
            wanted: Wanted::Stream(temper),
            id: 7,
            size: 100,
            room: 0,
        };
        assert_eq!(Request::read(wire), Ok(Some(want)));
        assert!(Request::read(b"GET /nonsense HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn phases_are_spread_over_the_period() {
        let temper = Temper::Paced { period: SECOND };
        let mut delays: Vec<u64> = (0..1000).filter_map(|id| temper.first_delay(id)).collect();
        delays.sort_unstable();
        let widest = delays.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(3 * MILLISECOND), "{widest:?}");
        assert!(delays.last() < Some(&(3 * SECOND / 2)));
    }
}
