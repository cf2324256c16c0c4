//! Asking an upstream again: for an event stream that it could not serve, or for the missing rest.

use super::{Exchange, Resumption};
use crate::config::{Api, OnOutage, Resume};
use crate::pipe::events::Events;
use crate::time::Tick;

impl Exchange {
    /// The state of resuming, if the upstream may be asked again.
    pub fn resume(&self) -> Option<&Resumption> {
        self.extras()?.resume.as_ref()
    }

    /// Mutable [`Exchange::resume`].
    pub fn resume_mut(&mut self) -> Option<&mut Resumption> {
        self.extras.as_mut()?.resume.as_mut()
    }

    /// True if the event stream should be resumed if it breaks.
    pub fn wants_resuming(&self) -> bool {
        let resume = self.api().map_or(Resume::Never, |api| api.streams.resume);
        self.facts.is_get() && resume != Resume::Never
    }

    /// What the client gets when no upstream can serve it. An answer is never replaced by an empty
    /// stream, which its client would take for all of it.
    pub fn on_outage(&self) -> OnOutage {
        match self.api() {
            Some(api) if self.subscribes() => api.streams.on_outage,
            Some(_) | None => OnOutage::Error,
        }
    }

    /// What the client gets if its request exceeds a rate. An error ends a browser's EventSource
    /// for good, so a request for a subscription gets one only if the operator has configured that.
    pub fn on_exceeded_rate(&self) -> OnOutage {
        let spares = |api: &Api| !api.streams.rates_are_errors;
        match self.api() {
            Some(api) if self.subscribes() && spares(api) => OnOutage::Retry,
            Some(_) | None => OnOutage::Error,
        }
    }

    /// True if the client asks for a subscription.
    fn subscribes(&self) -> bool {
        self.facts.wants_events() && !self.is_answer()
    }

    /// True when the request may have to be sent again after its response has begun or failed, for
    /// an event stream to be resumed or held.
    fn may_ask_again(&self) -> bool {
        self.wants_resuming() || self.on_outage() == OnOutage::Hold || self.resume().is_some()
    }

    /// Forgets the request that was sent upstream, unless it may be needed again: to send it, or to
    /// remember the result of an early answer.
    pub fn forget_outbound(&mut self) {
        let ends = self.outbound.as_ref().is_some_and(|outbound| outbound.ends_session.is_some());
        let may_again = self.may_ask_again() || self.may_ask_another();
        if !may_again && !self.may_answer_early && !ends {
            self.outbound = None;
        }
    }

    /// True when the rest of the stream can be requested without the client noticing, or with a gap
    /// that it is told about.
    pub fn can_resume(&self) -> bool {
        self.response.intake.events().is_some_and(Events::may_resume)
            && self.resume().is_some()
            && !self.is_in_grace()
    }

    /// Stops asking the upstream again for this exchange.
    pub fn forget_resuming(&mut self) {
        if let Some(extras) = &mut self.extras {
            extras.resume = None;
        }
    }

    /// Notes that an upstream has answered. The request is kept if the response is an event stream
    /// that should be resumed.
    pub fn note_served(&mut self, now: Tick) {
        let events = self.response.intake.events().map(Events::events);
        match events {
            Some(events) if self.wants_resuming() => {
                self.extras_mut().resume.get_or_insert_default().note_served(events, now);
            }
            Some(_) | None => {
                self.outbound = None;
                self.forget_resuming();
            }
        }
    }
}
