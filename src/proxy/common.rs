//! What the event loops of a process share: the counts behind limits, the ids of requests, and
//! which loop has which shared stream.
//!
//! All of it changes only when requests and streams begin or end. Upstream connections, bytes and
//! events belong to a single event loop; those of a shared stream cross as values
//! ([`super::sharing::mirror`]).

use super::drain::Tally;
use super::sharing::mirror::Crossing;
use crate::apis;
use crate::edge;
use crate::telemetry::LogLimit;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// See the module docs. Clones share the same state.
#[derive(Clone, Debug)]
pub struct Common {
    pub(super) edge: Arc<edge::Totals>,
    pub(super) apis: Arc<apis::Totals>,
    /// The id of the last request.
    pub(super) last_id: Arc<AtomicU64>,
    /// What was logged recently.
    pub(super) log: LogLimit,
    /// What was open in each event loop at each step of a drain.
    pub(super) drain: Arc<Tally>,
    /// What is in transit between event loops.
    pub(super) crossing: Crossing,
    /// The number of event loops.
    pub(super) loops: usize,
}

impl Common {
    /// Creates the shared state of this many event loops. Each gets a clone.
    pub fn of(loops: usize) -> Common {
        let (edge, apis, last_id, log, drain, crossing) = Default::default();
        Common { edge, apis, last_id, log, drain, crossing, loops }
    }
}
