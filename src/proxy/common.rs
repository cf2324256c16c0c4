//! What the event loops of a process have in common: what limits count, and the ids of requests.
//!
//! All of it is counted at the pace of requests and streams that begin and end. Connections, bytes
//! and events are nobody's but their own event loop's.

use crate::{apis, edge};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// See the module. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Common {
    pub(super) edge: Arc<edge::Totals>,
    pub(super) apis: Arc<apis::Totals>,
    /// The id of the last request.
    pub(super) last_id: Arc<AtomicU64>,
}
