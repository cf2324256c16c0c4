//! A request as it goes upstream, for as long as it may have to be sent (again).

use super::Exchange;
use crate::config::Failed;
use crate::http::forward::OutboundHead;
use crate::http::head::ResponseHead;
use crate::pool::Bound;
use crate::telemetry::Veto;
use crate::time::Tick;

/// What is needed to send a request to one target after another. See the module docs.
#[derive(Debug)]
pub struct Outbound {
    /// Its head.
    pub head: OutboundHead,
    /// True if it has no body.
    is_bodiless: bool,
    /// The targets that get requests, as bits. None: those of its configuration that have a weight.
    asked: Option<u64>,
    /// The targets that have failed it, as bits.
    failed: u64,
    /// The time from which no further target is asked. [`Tick::NEVER`] until one has failed.
    gives_up: Tick,
    /// The replica that knows its client, if one does.
    pub bound: Option<Bound>,
    /// The value that names the client's session, if the request ends that session.
    pub ends_session: Option<Box<[u8]>>,
    /// How it may share its stream, until that has begun.
    pub shareable: Option<Box<Shareable>>,
    /// The last event that the client has seen, if one of our logs gave it its id.
    pub own_id: Option<Box<[u8]>>,
    /// Why it does not share its stream, judging by the request itself, until that is counted.
    pub veto: Option<Veto>,
}

/// A request that may share its stream with others.
#[derive(Debug)]
pub struct Shareable {
    /// The name of the stream. Two requests with the same name go upstream as the same bytes, and
    /// have the same key where that matters.
    pub name: [u8; 32],
    /// The head for all clients that share the stream.
    pub head: OutboundHead,
    /// The last event that the client has seen, if it says so.
    pub last_event_id: Option<Box<[u8]>>,
    /// The key, as bits, of the feed that has asked another event loop for the stream, if one has.
    pub asked: Option<u64>,
    /// True if it is known what this client gets, once the stream begins.
    pub is_decided: bool,
}

impl Outbound {
    /// Creates a request that has not been sent yet.
    pub const fn new(head: OutboundHead, is_bodiless: bool) -> Outbound {
        let gives_up = Tick::NEVER;
        Outbound {
            head,
            is_bodiless,
            asked: None,
            failed: 0,
            gives_up,
            bound: None,
            ends_session: None,
            shareable: None,
            own_id: None,
            veto: None,
        }
    }

    /// Asks for the events after the one with this upstream id, or for those from now on. Does
    /// nothing if the operator configures what the upstream is sent.
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

    /// The time from which no further target is asked.
    pub const fn gives_up(&self) -> Tick {
        self.gives_up
    }

    /// Lets all targets be asked again.
    pub const fn start_over(&mut self) {
        (self.failed, self.gives_up) = (0, Tick::NEVER);
    }

    /// Forgets which targets get requests and which have failed this one, because they were
    /// replaced.
    pub const fn forget_targets(&mut self) {
        (self.asked, self.failed) = (None, 0);
    }

    /// Notes which targets get requests, as bits, because a reload may have changed their weights.
    /// None: those of its own configuration.
    pub const fn note_asked(&mut self, asked: Option<u64>) {
        self.asked = asked;
    }

    /// Notes that `targets`, as bits, have failed the request. No further one is asked from `due`
    /// on, or from an earlier time if one was set before.
    pub fn note_failed(&mut self, targets: u64, due: Tick) {
        self.failed |= targets;
        self.gives_up = self.gives_up.min(due);
    }
}

impl Exchange {
    /// True if the connection of a response with this head can be reused once its body was read. A
    /// connection that begins by naming its client (`send_proxy`) is never reused.
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

    /// True if the request itself allows sending it again.
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

    /// True when it may then be sent to another target: it is not bound exclusively to one replica.
    pub fn may_ask_another(&self) -> bool {
        let bound = self.outbound.as_ref().and_then(|outbound| outbound.bound);
        bound.is_none_or(|bound| !bound.is_exclusive) && self.may_send_again()
    }

    /// True when the request may be sent again after its upstream broke off before the head of its
    /// response was complete.
    pub fn may_repeat_after_break(&self) -> bool {
        let listed = self.api().is_some_and(|api| api.retry_on.has(Failed::BadGateway));
        listed && self.may_send_again()
    }

    /// The number of targets left to ask if the current one fails.
    pub fn other_targets(&self) -> u32 {
        let (Some(api), Some(outbound)) = (self.api(), &self.outbound) else { return 0 };
        if !self.may_ask_another() {
            return 0;
        }
        let asked = outbound.asked.unwrap_or_else(|| api.backend().targets_to_ask());
        (asked & !outbound.failed).count_ones().saturating_sub(1)
    }
}
