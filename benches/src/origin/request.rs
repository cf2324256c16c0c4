//! What a request wants, read off its path.
//!
//!     /paced?rate=10&size=100     events at an even pace, each stream with a phase of its own
//!     /saturate?size=100&batch=1  so many events in one write, as fast as the socket takes them
//!     /burst?n=20                 a head, and n events for each request of /wake; /idle is n=1
//!     /tokens?n=200&gap_ms=5      n events, the first at once, then the end, as a language model
//!                                 answers; POST too
//!     /short                      a body of 13 bytes
//!     /wake                       tells all waiting streams
//!     /tally                      how many streams are open, how many events were sent, and how
//!                                 many handshakes there were
//!
//! `id` numbers the stream and returns in each of its events. `room` limits the bytes that may wait
//! in the kernel: a hundred slow readers would else drive it to drop packets of everybody.

use crate::event::Stamp;
use crate::sys::{MILLISECOND, Outcome, SECOND};

/// A complete request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// What is to be answered.
    pub wanted: Wanted,
    /// The stream's number.
    pub id: u32,
    /// The size of an event.
    pub size: usize,
    /// The bytes that may wait in the kernel for a reader that is slow; 0: as it likes.
    pub room: usize,
}

/// The kinds of answers.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    /// A body of 13 bytes.
    Short,
    /// An event stream.
    Stream(Temper),
    /// An event on all waiting streams.
    Wake,
    /// What there is and was, in words.
    Tally,
}

/// When a stream's events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// So many at each wake.
    Waiting {
        /// Events in a wake.
        burst: u32,
    },
    /// One each period.
    Paced {
        /// Nanoseconds.
        period: u64,
    },
    /// One after the other, until there are so many.
    Counted {
        /// Events in the whole stream.
        events: u32,
        /// Nanoseconds between two.
        gap: u64,
    },
    /// Whenever there is room.
    Saturated {
        /// Events in a write.
        batch: u32,
    },
}

impl Temper {
    /// Nanoseconds from the request to the first event, if a clock decides.
    pub fn first_delay(self, id: u32) -> Option<u64> {
        match self {
            Self::Paced { period } => Some(spread(period, id)),
            Self::Counted { .. } => Some(0),
            Self::Waiting { .. } | Self::Saturated { .. } => None,
        }
    }

    /// Nanoseconds from an event to the next one, if a clock decides.
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
    /// Reads a request once it is there with its body; `None` until then.
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
