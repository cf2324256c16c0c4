//! What is told of exchanges: numbers while they run, and lines of the access log.
//!
//! To count is to add the difference that a step has made. What a line needs and nothing else
//! does, an exchange keeps in its [`Record`].

use super::Proxy;
use super::finish::Refusal;
use super::outage::is_outage;
use crate::access::{self, Line, Queue};
use crate::net::Net;
use crate::pipe::events::Events;
use crate::session::exchange::{Exchange, FirstEvent, Record};
use crate::session::origin::Place;
use crate::session::stats::{Stats, Unserved};
use crate::session::target_stats::Failure;
use crate::session::{Service, Session};
use crate::slab::Key;
use crate::time::{Tick, millis};
use std::net::IpAddr;
use std::rc::Rc;

/// How far an exchange had come before a step.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    bytes_in: u64,
    bytes_out: u64,
    events: u64,
}

impl Exchange {
    pub(super) fn progress(&self) -> Progress {
        Progress {
            bytes_in: self.request.taken(),
            bytes_out: self.response.given(),
            events: self.response.events().map_or(0, Events::events),
        }
    }

    /// Counts how far it has come since.
    pub(super) fn count_since(&mut self, before: Progress, now: Tick) {
        let after = self.progress();
        let events = after.events - before.events;
        let Some(stats) = &self.record.stats else { return };
        stats.bytes_in.add(after.bytes_in - before.bytes_in);
        stats.bytes_out.add(after.bytes_out - before.bytes_out);
        stats.events.add(events);
        if events > 0 && before.events == 0 {
            stats.first_event.observe(now.since(self.began));
            self.record.first_event = FirstEvent::after(now.since(self.began));
        }
    }
}

impl<N: Net> Proxy<N> {
    /// What is kept of a request, for whoever tells of it. `request` is its
    /// [`request_line`](Proxy::request_line).
    pub(super) fn record_of(&mut self, service: Service, request: Box<str>) -> Record {
        self.last_id += 1;
        Record {
            id: self.last_id,
            request,
            first_event: FirstEvent::NONE,
            status: 0,
            stats: (service == Service::Apis).then(|| Rc::clone(&self.stats.no_api)),
            told: service != Service::Demo,
            open: false,
        }
    }

    /// What is told of the request that begins with `head`, right or wrong, complete or not: its
    /// method and target without what may be a key, whichever api that is for. There may be none of
    /// its path. Empty if nobody is told.
    pub(super) fn request_line(&self, head: &[u8]) -> Box<str> {
        let told = self.config.log.access.is_some() || self.config.admin.is_some();
        if told || log::log_enabled!(log::Level::Debug) {
            access::request_line(head, &self.secret_parameters)
        } else {
            Box::default()
        }
    }

    /// An event stream is open, or a tunnel.
    pub(super) fn record_open(&mut self, key: Key<Session>, now: Tick) {
        let Session { peer, state, .. } = &mut self.sessions[key];
        let exchange = state.exchange_mut();
        if !exchange.is_endless() {
            return;
        }
        exchange.record.open = true;
        if let Some(stats) = &exchange.record.stats {
            let tunnel = exchange.record.is_tunnel();
            let opened = if tunnel { &stats.tunnels_opened } else { &stats.opened };
            opened.one();
            if let Some(name) = exchange.key_name().filter(|_| !tunnel) {
                self.stats.keys.of(name).opened.one();
            }
            self.access.tell(exchange, *peer, "open", self.unix_ms, now);
        }
    }

    /// The target that a session asks, while its api is there.
    pub(super) fn place_of(&mut self, key: Key<Session>) -> Option<&Place> {
        let exchange = self.sessions[key].state.exchange_mut();
        self.origins.get(exchange.origin?)?.places.get(usize::from(exchange.place))
    }

    /// The target that a session asks has failed it.
    pub(super) fn count_failure(&mut self, key: Key<Session>, failure: Failure, now: Tick) {
        if let Some(place) = self.place_of(key) {
            place.stats.count_failure(failure, now);
        }
    }

    /// The target that a session asks has not answered it, and was not asked in vain to connect.
    pub(super) fn count_refused(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) {
        let cause = refusal.cause.filter(|_| refusal.is_upstreams());
        if let Some(failure) = cause.and_then(Failure::of_response) {
            self.count_unanswered(key, failure, now);
        }
    }

    /// The target that a session asks has answered, perhaps only that it cannot serve.
    pub(super) fn count_answer(&mut self, key: Key<Session>, now: Tick) {
        let status = self.sessions[key].state.exchange_mut().record.status;
        if is_outage(status) {
            self.count_unanswered(key, Failure::Unavailable, now);
        } else if let Some(place) = self.place_of(key) {
            place.stats.mark_answered(now);
        }
    }

    fn count_unanswered(&mut self, key: Key<Session>, failure: Failure, now: Tick) {
        if let Some(place) = self.place_of(key) {
            place.stats.count_failure(failure, now);
            place.stats.mark_failing(now);
        }
    }

    /// An exchange is over.
    pub(super) fn record_end(&mut self, exchange: &Exchange, peer: Option<IpAddr>, now: Tick) {
        let Record { stats, open, told, status, .. } = &exchange.record;
        if let Some(stats) = stats {
            let took = now.since(exchange.began);
            stats.requests.one(*status);
            let ending = exchange.ending();
            match (open, exchange.record.is_tunnel()) {
                (true, true) => stats.tunnels_closed[ending.index()].one(),
                (true, false) => {
                    stats.closed[ending.index()].one();
                    stats.stream_duration.observe(took);
                }
                (false, _) => stats.request_duration.observe(took),
            }
            if *open {
                stats.note_end(ending, now);
            }
            let cause = exchange.cause;
            if let Some(cause) = cause {
                stats.count_refusal(cause, now);
            }
            if *status >= 500 {
                stats.count_unserved(Unserved { at: now, cause, status: *status });
            }
        }
        if let Some(name) = exchange.key_name() {
            let stats = self.stats.keys.of(name);
            let streams = u64::from(*open && !exchange.record.is_tunnel());
            stats.requests.one();
            stats.closed.add(streams);
            stats.bytes_in.add(exchange.request.taken());
            stats.bytes_out.add(exchange.response.given());
        }
        if *told {
            let event = if *open { "end" } else { "request" };
            self.access.tell(exchange, peer, event, self.unix_ms, now);
        }
    }

    /// Lines of the access log, which somebody has to take away after each turn.
    pub const fn access(&mut self) -> &mut Queue {
        &mut self.access
    }

    /// What is counted.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl Queue {
    fn tell(
        &mut self,
        exchange: &Exchange,
        peer: Option<IpAddr>,
        event: &'static str,
        unix_ms: u64,
        now: Tick,
    ) {
        let Some(form) = exchange.config.log.access else { return };
        let Record { id, request, first_event, status, .. } = &exchange.record;
        let reason = (event != "open").then(|| exchange.reason());
        let line = Line {
            unix_ms,
            event,
            id: *id,
            api: exchange.api().map(|api| api.name.as_str()),
            client: exchange.client(peer),
            key: exchange.key_name().map(|name| &**name),
            request,
            status: *status,
            reason: reason.as_deref(),
            events: exchange.response.events().map(Events::events),
            bytes_in: exchange.request.taken(),
            bytes_out: exchange.response.delivered(),
            first_event_ms: first_event.ms(),
            duration_ms: millis(now.since(exchange.began)),
        };
        self.push(&line, form);
    }
}
