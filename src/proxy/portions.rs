//! How much is done at once, so that no session waits long for another.

use crate::http::chunk::{HEADROOM, TAILROOM};

/// The limits on what one turn or step does. The defaults are for production; the simulator draws
/// others, down to one, to reach every boundary.
#[derive(Clone, Debug)]
pub struct Portions {
    /// The number of pending bytes at which a source is no longer read.
    pub high_water: usize,
    /// The number of bytes to read at once while none are pending, if that is more than
    /// `high_water`. It is reduced while other sessions hold many bytes
    /// ([`crate::buf::BufPool::share`]).
    pub window_max: usize,
    /// The number of steps that a session may take before the others get their turn.
    pub steps_per_turn: usize,
    /// The number of steps that one turn spends on arrivals and on clients that have left
    /// ([`super::accept`]), and of connections that it accepts.
    pub arrivals_per_turn: usize,
    /// The same in a turn in which open streams are active.
    pub arrivals_beside_streams: usize,
    /// The number of TLS handshakes that one turn advances, after the sessions that have something
    /// to do. A handshake step is expensive: it costs about as much as ten events.
    pub handshakes_per_turn: usize,
    /// The same in a turn in which open streams are active.
    pub handshakes_beside_streams: usize,
    /// The number of readers of logs that one turn wakes.
    pub readers_per_turn: usize,
    /// The number of bytes of a log that another event loop may still have to take while the log's
    /// stream is read further.
    pub crossing_max: usize,
    /// The number of timers that one turn expires.
    pub timers_per_turn: usize,
    /// The number of bytes of a following request to read while one is being served. Bytes that
    /// arrived with the body are kept as well.
    pub ahead_max: usize,
}

impl Default for Portions {
    fn default() -> Portions {
        Portions {
            // With framing, a buffer for it is 8 KiB.
            high_water: 8 * 1024 - HEADROOM - TAILROOM,
            window_max: 64 * 1024,
            steps_per_turn: 8,
            arrivals_per_turn: 32,
            arrivals_beside_streams: 4,
            handshakes_per_turn: 4,
            handshakes_beside_streams: 1,
            readers_per_turn: 1024,
            crossing_max: 64 * 1024,
            timers_per_turn: 1024,
            ahead_max: 4 * 1024,
        }
    }
}
