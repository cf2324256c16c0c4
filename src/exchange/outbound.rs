//! A request as it goes upstream, for as long as it may have to be sent (again).

use super::Exchange;
use crate::config::Failed;
use crate::http::forward::OutboundHead;
use crate::http::head::ResponseHead;
use crate::pool::Bound;
use crate::telemetry::Veto;
use crate::time::Tick;

/// What is needed to send a request to one target after another. See the module.
#[derive(Debug)]
pub struct Outbound {
    /// Its head.
    pub head: OutboundHead,
    /// True exactly when it has no body.
    is_bodiless: bool,
    /// The targets that have failed it, as bits.
    failed: u64,
    /// When no further target is asked. [`Tick::NEVER`] until one has failed.
    gives_up: Tick,
    /// The replica that knows its client, if one does.
    pub bound: Option<Bound>,
    /// What the client shows, if the request ends the session of that name.
    pub ends_session: Option<Box<[u8]>>,
    /// How it may share its stream, until that is decided.
    pub shareable: Option<Box<Shareable>>,
    /// The last event that the client has seen, if that was given its id by a log of ours.
    pub own_id: Option<Box<[u8]>>,
}

/// A request that may share its stream with others.
#[derive(Debug)]
pub struct Shareable {
    /// The name of the stream: two requests with the same one go upstream as the same bytes, and
    /// have the same key where that matters.
    pub name: [u8; 32],
    /// The head for all who share.
    pub head: OutboundHead,
    /// The last event that the client has seen, if it says so.
    pub last_event_id: Option<Box<[u8]>>,
    /// The key of the feed that has asked another event loop for the stream, in bits, if one has.
    pub asked: Option<u64>,
}

impl Outbound {
    /// Creates a request that was not sent yet.
    pub const fn new(head: OutboundHead, is_bodiless: bool) -> Outbound {
        let gives_up = Tick::NEVER;
        Outbound {
            head,
            is_bodiless,
            failed: 0,
            gives_up,
            bound: None,
            ends_session: None,
            shareable: None,
            own_id: None,
        }
    }

    /// Asks for what comes behind the event with this id of the upstream's, or for what comes now.
    /// It stays as it is where the operator says what the upstream is told.
    pub fn ask_behind(&mut self, id: Option<&[u8]>) {
        if self.head.is_id_ours() {
            return;
        }
        let head = std::mem::take(&mut self.head).without_last_event_id();
        self.head = match id {
            Some(id) => head.continuing(id),
            None => head,
        };
    }

    /// The targets that have failed the request, as bits.
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// When no further target is asked.
    pub const fn gives_up(&self) -> Tick {
        self.gives_up
    }

    /// Lets all targets be asked again.
    pub const fn start_over(&mut self) {
        (self.failed, self.gives_up) = (0, Tick::NEVER);
    }

    /// Notes that `targets`, as bits, have failed the request. No further one is asked from `due`
    /// on, or earlier if that was said before.
    pub fn note_failed(&mut self, targets: u64, due: Tick) {
        self.failed |= targets;
        self.gives_up = self.gives_up.min(due);
    }
}

impl Exchange {
    /// True exactly when the connection of a response with this head can be used again once its
    /// body was read. One that has begun with who the client is (`send_proxy`) is nobody else's.
    pub fn leaves_reusable(&self, head: &ResponseHead<'_, '_>) -> bool {
        let is_own = self.api().is_some_and(|api| api.send_proxy);
        !is_own && self.facts.leaves_reusable(head)
    }

    /// Counts that the request is not shared, for this reason.
    pub fn count_veto(&self, veto: Veto) {
        if let Some(stats) = &self.record.stats {
            stats.count_veto(veto);
        }
    }

    /// True exactly when the request can be sent again, as far as it is concerned.
    pub fn can_repeat(&self) -> bool {
        let is_bodiless = self.outbound.as_ref().map(|outbound| outbound.is_bodiless);
        is_bodiless.is_some_and(|is_bodiless| is_bodiless || self.upload.keeps_body())
    }

    /// True when the request may have to be sent again after its upstream has failed to answer it.
    fn may_send_again(&self) -> bool {
        let several =
            self.api().is_some_and(|api| api.retry_on.repeats() && api.has_several_targets());
        several && self.can_repeat()
    }

    /// True when it may then have to be sent to another target: no replica alone knows its client.
    pub fn may_ask_another(&self) -> bool {
        let bound = self.outbound.as_ref().and_then(|outbound| outbound.bound);
        bound.is_none_or(|bound| !bound.is_exclusive) && self.may_send_again()
    }

    /// True when the request may be sent again after its upstream has broken off before the head of
    /// its response was complete.
    pub fn may_repeat_after_break(&self) -> bool {
        let listed = self.api().is_some_and(|api| api.retry_on.has(Failed::BadGateway));
        listed && self.may_send_again()
    }

    /// The number of targets that are left to ask should the present one fail.
    pub fn other_targets(&self) -> u32 {
        let (Some(api), Some(outbound)) = (self.api(), &self.outbound) else { return 0 };
        if !self.may_ask_another() {
            return 0;
        }
        (api.backend().targets_to_ask() & !outbound.failed).count_ones().saturating_sub(1)
    }
}
