//! What the event loops of a process have in common: what limits count, the ids of requests, and
//! which loop has which shared stream.
//!
//! All of it changes at the pace of requests and streams that begin and end. Upstream connections,
//! bytes and events are nobody's but their own event loop's; those of a shared stream cross as
//! values ([`super::sharing::mirror`]).

use super::drain::Tally;
use super::sharing::mirror::Crossing;
use crate::apis;
use crate::edge;
use crate::telemetry::LogLimit;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// See the module. A clone is the same.
#[derive(Clone, Debug)]
pub struct Common {
    pub(super) edge: Arc<edge::Totals>,
    pub(super) apis: Arc<apis::Totals>,
    /// The id of the last request.
    pub(super) last_id: Arc<AtomicU64>,
    /// What was logged of late.
    pub(super) log: LogLimit,
    /// What was open as the loops went on in a drain.
    pub(super) drain: Arc<Tally>,
    /// What is on its way between the loops.
    pub(super) crossing: Crossing,
    /// The number of event loops.
    pub(super) loops: usize,
}

impl Common {
    /// What so many event loops have in common. Each gets a clone.
    pub fn of(loops: usize) -> Common {
        let (edge, apis, last_id, log, drain, crossing) = Default::default();
        Common { edge, apis, last_id, log, drain, crossing, loops }
    }
}
