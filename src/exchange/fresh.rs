//! A client that reads the current state from its own upstream stream before it continues with a
//! log (`join = "fresh"`).

use super::Exchange;
use super::log::Log;
use super::stage::{Source, Stage};
use crate::pipe::events::Events;
use crate::time::Tick;
use std::rc::Weak;

/// How a client continues once its own stream is quiet. See the module docs.
#[derive(Debug)]
pub struct Fresh {
    /// The log. A client whose stream may never be quiet keeps neither the log nor its upstream
    /// stream alive.
    pub log: Weak<Log>,
    /// The position of the log when the client asked.
    pub position: u64,
}

impl Exchange {
    /// True if the client continues with a log once its own stream is quiet.
    pub fn is_fresh(&self) -> bool {
        self.extras().is_some_and(|extras| extras.fresh.is_some())
    }

    /// When its own stream has been quiet for long enough after an event. [`Tick::NEVER`] if the
    /// client does not continue with a log, or is not between two events.
    pub fn settles_at(&self) -> Tick {
        let is_own = matches!((self.stage(), self.source()), (Stage::Stream, Source::Upstream(_)));
        let response = &self.response;
        let is_between = response.outlet.is_between_events() && response.is_quiet();
        let events = response.intake.events();
        // Before the first event it has not delivered the current state.
        let has_begun = |events: &Events| events.events() > 0 && !events.holds_any();
        let is_quiet = is_between && events.is_some_and(has_begun);
        if !self.is_fresh() || !is_own || !is_quiet || self.is_in_grace() {
            return Tick::NEVER;
        }
        let settle = self.api().and_then(|api| api.share.as_ref()).map(|share| share.settle);
        settle.map_or(Tick::NEVER, |settle| response.intake.silent_since().after(settle))
    }
}
