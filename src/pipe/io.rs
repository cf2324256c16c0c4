//! The environment of a pipe's two halves, and what they pass to each other.

use crate::buf::BufPool;
use crate::time::Tick;
use std::ops::Range;
use std::time::Duration;

/// The environment of one call of a pipe.
#[derive(Debug)]
pub struct Io<'a, N> {
    /// The network.
    pub net: &'a mut N,
    /// A shared buffer: [`HEADROOM`](crate::http::chunk::HEADROOM), room for as many bytes as are
    /// read at once, and room for what follows a payload.
    pub scratch: &'a mut [u8],
    /// The pool for buffers that hold refused bytes.
    pub buffers: &'a mut BufPool,
    /// The time of this turn.
    pub now: Tick,
    /// The number of pending bytes at which a source is no longer read.
    pub high_water: usize,
    /// The maximum number of bytes read in bulk while none are pending, if it is larger. Less is
    /// read while others hold much ([`BufPool::share`]).
    pub window_max: usize,
    /// How long bytes may be gathered. None if they are passed on at once.
    pub flush_interval: Option<Duration>,
}

/// Whether a call has moved bytes or reached an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Something moved, so there may be more to do.
    Yes,
    /// Nothing moved, and nothing can be done before an event or a deadline.
    No,
}

impl Moved {
    /// Combines the results of two calls: whether either has moved anything.
    pub const fn or(self, other: Moved) -> Moved {
        match self {
            Moved::Yes => Moved::Yes,
            Moved::No => other,
        }
    }
}

/// A part of a body without its framing, in the scratch buffer.
#[derive(Debug)]
pub struct Portion {
    /// The range of the payload in the scratch buffer, which may be empty. The headroom precedes
    /// it.
    pub payload: Range<usize>,
    /// Whether the payload ends between two events. None if that is unknown.
    pub between: Option<bool>,
    /// What follows the payload.
    pub rest: Rest,
}

/// What follows a portion of a body.
#[derive(Debug)]
pub enum Rest {
    /// More of the body may follow.
    More,
    /// Nothing follows: the body has ended.
    End,
    /// The body has ended with this trailer section: field lines, each with its CRLF.
    Trailers(Vec<u8>),
}
