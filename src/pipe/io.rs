//! What the two halves of a pipe work with, and what they hand each other.

use crate::buf::BufPool;
use crate::time::Tick;
use std::ops::Range;
use std::time::Duration;

/// What a pipe works with for the length of a call.
#[derive(Debug)]
pub struct Io<'a, N> {
    /// The network.
    pub net: &'a mut N,
    /// [`HEADROOM`](crate::http::chunk::HEADROOM), as many bytes as are read at once, and room for
    /// what comes behind a payload.
    pub scratch: &'a mut [u8],
    /// Where buffers for refused bytes come from.
    pub buffers: &'a mut BufPool,
    /// The time of this turn.
    pub now: Tick,
    /// A source is not read while this many bytes are pending.
    pub high_water: usize,
    /// How many bytes are read in bulk at most, while none are pending, if that is more. Less while
    /// others hold much ([`BufPool::share`]).
    pub window_max: usize,
    /// How long bytes may be gathered; none: hand them on at once.
    pub flush_interval: Option<Duration>,
}

/// Whether a call has moved anything: bytes, or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It has: there may be more to do.
    Yes,
    /// It has not: nothing can be done before an event or a deadline.
    No,
}

impl Moved {
    /// Whether either of two calls has moved anything.
    pub const fn or(self, other: Moved) -> Moved {
        match self {
            Moved::Yes => Moved::Yes,
            Moved::No => other,
        }
    }
}

/// A piece of a body without its framing, on its way through the scratch.
#[derive(Debug)]
pub struct Portion {
    /// Where in the scratch it stands; the headroom is in front of it. It may be empty.
    pub payload: Range<usize>,
    /// Whether it ends between two events; none where nobody can know.
    pub between: Option<bool>,
    /// What follows it.
    pub rest: Rest,
}

/// What follows a portion of a body.
#[derive(Debug)]
pub enum Rest {
    /// More of the body, or nobody knows.
    More,
    /// Nothing: the body has ended.
    End,
    /// The trailer section that ends the body: field lines, each with its CRLF.
    Trailers(Vec<u8>),
}
