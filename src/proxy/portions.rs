//! How much is done at once, so that nobody waits long for anybody else.

use crate::http::chunk::{HEADROOM, TAILROOM};

/// The sizes of the loop's portions. The defaults are for production; the simulator draws others,
/// down to one, to meet every boundary.
#[derive(Clone, Debug)]
pub struct Portions {
    /// A source is not read while this many bytes of it are pending.
    pub high_water: usize,
    /// Bytes that are read at once while none are pending, if that is more. Less while others hold
    /// much ([`crate::buf::BufPool::share`]).
    pub window_max: usize,
    /// Steps that a session may take before the others have their turn.
    pub steps_per_turn: usize,
    /// Connections that one turn accepts.
    pub accepts_per_turn: usize,
    /// Request heads that one turn waits for and judges. Whoever has a request already comes first,
    /// so that a storm of arrivals does not keep the events of open streams waiting.
    pub arrivals_per_turn: usize,
    /// Timers that one turn expires.
    pub timers_per_turn: usize,
    /// Bytes of a next request that are read on purpose while one is being served; those that came
    /// with its body are kept too.
    pub ahead_max: usize,
}

impl Default for Portions {
    fn default() -> Portions {
        Portions {
            // A buffer for it has 8 KiB with the framing.
            high_water: 8 * 1024 - HEADROOM - TAILROOM,
            window_max: 64 * 1024,
            steps_per_turn: 8,
            accepts_per_turn: 16,
            arrivals_per_turn: 16,
            timers_per_turn: 1024,
            ahead_max: 4 * 1024,
        }
    }
}
