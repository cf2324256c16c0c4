//! The life of an event stream: its beginning, its heartbeats, and its end between two events.
//!
//! Nobody but its two ends knows how long a stream is to last, so the proxy ends one only where it
//! is told to: at `max_stream_age`, at `stream_idle_timeout`, in a drain. Each stream has a *lease*
//! that says until when. When it is up, the stream ends at once if its client is between two
//! events, and otherwise behind the event that is on its way; if that takes too long, or if its
//! bytes cannot be read, it is cut, visibly.
//!
//! A tunnel has a lease, too, and so has any exchange whose api or key is not there any more
//! ([`super::reload`]). Those have no place where they could end, and are cut.

use super::finish::Refusal;
use super::places::Counters;
use super::{Parts, Proxy, Step};
use crate::config::Resume;
use crate::net::Net;
use crate::pipe::events::Terms;
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, LeaseEnd, Phase};
use crate::session::outcome::Outcome;
use crate::session::target_stats::Failure;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::{Tick, millis};
use std::rc::Rc;
use std::time::Duration;

/// How long an unfinished event is waited for when its stream is to end.
const EVENT_GRACE: Duration = Duration::from_secs(10);

impl<N: Net> Proxy<N> {
    /// Places for the stream that a request asks for, if it asks for one.
    pub(super) fn admit_stream(&mut self, key: Key<Session>) -> Result<(), Refusal> {
        let Session { state, peer, .. } = &mut self.sessions[key];
        let exchange = state.exchange_mut();
        if !exchange.facts.wants_events {
            return Ok(());
        }
        if self.drain.is_some() {
            return Err(Refusal::busy(Cause::Draining, "the proxy is about to end"));
        }
        Counters { origins: &self.origins, keys: &self.key_streams }.admit(exchange, *peer)
    }

    /// The head of an event stream is on its way to the client.
    pub(super) fn stream_opened(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        if let Some(age) = exchange.api().and_then(|api| api.streams.max_age) {
            let percent = self.random.u32(80..=100);
            exchange.end_stream_at(now.after(age * percent / 100), Outcome::MaxAge);
        }
        if let Some(deadline) = self.drain {
            let share = self.random.f64();
            exchange.end_stream_at(within(now, deadline, share), Outcome::Drained);
        }
        self.opened(key, now)
    }

    /// What lasts for as long as its ends like is open.
    pub(super) fn opened(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        // Its upstream took its time, and there is another configuration by now.
        if !Rc::ptr_eq(&exchange.config, &self.config) {
            exchange.judge_anew(&self.config, &self.api_origins, self.random.f64(), now);
        }
        self.record_open(key, now);
        Step::Moved
    }

    /// Gives each open stream its moment in the drain window: they end one after the other, and not
    /// together. Answers to POST go on for as long as there is.
    pub(super) fn spread_ends(&mut self, now: Tick, deadline: Tick) {
        let mut streams: Vec<&mut Exchange> = Vec::new();
        for (_, session) in self.sessions.iter_mut() {
            if let State::Active(exchange) = &mut session.state
                && exchange.facts.event_stream
            {
                streams.push(&mut **exchange);
            }
        }
        let (mut rank, count) = (0.0, streams.iter().filter(|e| e.facts.is_get).count());
        for exchange in streams {
            let mut share = 1.0;
            if exchange.facts.is_get {
                share = (rank + self.random.f64()) / f64::from(u32::try_from(count).unwrap_or(1));
                rank += 1.0;
            }
            exchange.end_stream_at(within(now, deadline, share), Outcome::Drained);
        }
    }

    /// A client that was sent nothing for a while is sent a comment.
    pub(super) fn beat(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Parts { session, mut io, .. } = self.parts(key, now);
        let exchange = session.state.exchange_mut();
        exchange.response.comment(&mut io);
        if let Some(stats) = &exchange.record.stats {
            stats.heartbeats.one();
        }
        Step::Moved
    }

    /// The lease is up, or was and the event is complete.
    pub(super) fn end_by_lease(&mut self, key: Key<Session>, now: Tick) -> Step {
        let window = self.config.drain.window;
        let exchange = self.sessions[key].state.exchange_mut();
        let LeaseEnd { outcome, closing } = exchange.lease_end;
        if !closing {
            // A tenth of the window was left free for this.
            let grace = if outcome.spares_nothing() { window / 10 } else { EVENT_GRACE };
            exchange.lease = now.after(grace.min(EVENT_GRACE));
            exchange.lease_end.closing = true;
        }
        if exchange.is_open_stream() {
            return self.end_stream(key, !closing, now);
        }
        match &exchange.phase {
            _ if closing => self.end(key, outcome, now),
            Phase::Connecting(_) | Phase::AwaitingHead(_) => {
                exchange.outcome = outcome;
                exchange.facts.persistent = false;
                let refusal = if outcome == Outcome::Revoked {
                    Refusal::ended(403, "its key is not known any more")
                } else {
                    Refusal::ended(503, "its api is gone")
                };
                self.answer(key, refusal, now)
            }
            Phase::Relaying(_) => self.cut_response(key, outcome, now),
            Phase::Tunnel(_) => self.end(key, outcome, now),
            // What there is of an answer is on its way, or is about to be.
            Phase::Answering | Phase::Local(_) | Phase::Holding(_) | Phase::Delivering => {
                Step::Moved
            }
        }
    }

    /// Ends an event stream between two events if it `waits` for the end of the one that is on its
    /// way, or need not.
    fn end_stream(&mut self, key: Key<Session>, waits: bool, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let outcome = exchange.lease_end.outcome;
        if exchange.response.is_between_events() {
            return self.end_between_events(key, outcome, now);
        }
        let stuck = exchange.response.pending() > 0;
        match exchange.response.events_mut().filter(|_| waits) {
            Some(events) => {
                events.want_whole();
                Step::Moved
            }
            // The operator does not wait for a client that takes nothing, which has had its time.
            None if outcome == Outcome::Ended && stuck => self.end(key, outcome, now),
            None if outcome.spares_nothing() && !waits => self.end(key, outcome, now),
            None => self.cut_response(key, outcome, now),
        }
    }

    /// The upstream of a stream has been silent for too long.
    pub(super) fn stream_silent(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        if exchange.can_resume() {
            return self.stream_lost(key, Failure::Idle, now);
        }
        if exchange.response.is_between_events() {
            self.count_failure(key, Failure::Idle, now);
            return self.end_between_events(key, Outcome::UpstreamIdle, now);
        }
        self.cut_response(key, Outcome::UpstreamIdle, now)
    }

    /// Ends a stream in an orderly way. A client that will come back is told when, if many others
    /// will come back with it.
    pub(super) fn end_between_events(
        &mut self,
        key: Key<Session>,
        outcome: Outcome,
        now: Tick,
    ) -> Step {
        self.close_upstream_of(key);
        let is_get = self.sessions[key].state.exchange_mut().facts.is_get;
        let together =
            matches!(outcome, Outcome::Drained | Outcome::Removed | Outcome::UpstreamCut);
        let last_words = if together && is_get { self.retry_field() } else { String::new() };
        let Parts { session, mut io, .. } = self.parts(key, now);
        let exchange = session.state.exchange_mut();
        exchange.response.end_between_events(last_words.as_bytes(), &mut io);
        exchange.request.abandon(io.buffers);
        exchange.outcome = outcome;
        exchange.phase = Phase::Delivering;
        Step::Moved
    }

    /// The field that tells an event stream's client when to come back, as a block of its own.
    pub(super) fn retry_field(&mut self) -> String {
        let drain = &self.config.drain;
        let retry = self.random.u64(millis(drain.retry_min)..=millis(drain.retry_max));
        format!("retry: {retry}\n\n")
    }
}

impl Exchange {
    /// True when the rest of its stream can be asked for without its client's noticing.
    pub(super) fn can_resume(&self) -> bool {
        let has_id = self.response.events().is_some_and(|e| e.resume_from().is_some());
        has_id && self.revival.is_some() && !self.lease_end.closing
    }

    /// True when it is to end now.
    pub(super) fn is_to_end(&self, now: Tick) -> bool {
        self.lease <= now && self.is_leased()
    }

    /// The response that has begun is an event stream, and its bytes can be understood.
    pub(super) fn watch_events(&mut self) {
        let streams = self.api().map(|api| &api.streams);
        let resumable = self.wants_resuming();
        let always = streams.is_some_and(|streams| streams.resume == Resume::Always);
        let terms = Terms {
            event_max: streams.map_or(usize::MAX, |streams| streams.event_max),
            resumable,
            outlives_source: resumable && always,
            whole: self.config.server.flush_interval.is_some(),
        };
        self.response.watch_events(terms);
    }
}

/// A moment within what is left of the drain window; the last tenth stays free for goodbyes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a window, in milliseconds"
)]
pub(super) fn within(now: Tick, deadline: Tick, share: f64) -> Tick {
    let window = deadline.since(now).as_millis() as f64;
    now.after(Duration::from_millis((window * 0.9 * share) as u64))
}
