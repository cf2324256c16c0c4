//! When an upstream cannot serve an event stream, and the client is not to suffer for it.
//!
//! A browser's EventSource that is answered with an error gives up for ever, and one whose stream
//! breaks comes back together with all others. `on_outage` spares it the first: it gets an empty
//! stream that says when to come back (*retry*), or a stream that stays silent until the upstream
//! is there (*hold*). `resume` spares it the second: the upstream is asked for the rest, with the
//! id of the last event that was complete. Held and broken streams wait in the same phase and ask
//! in the same way: again and again, after random times that grow, or soon after another one was
//! answered.

use super::finish::{ANSWER_MAX, Refusal};
use super::scene::{Scene, Verdict};
use super::{Parts, Proxy, Step};
use crate::config::{OnOutage, Resume};
use crate::http::forward;
use crate::http::framing::BodyLength;
use crate::http::head::{ResponseHead, Version};
use crate::http::reply::{self, StreamHead};
use crate::net::Net;
use crate::pipe::Moved;
use crate::pipe::events::Events;
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Phase, Revival};
use crate::session::outcome::Outcome;
use crate::session::stats::Unserved;
use crate::session::target_stats::Failure;
use crate::session::upload::Upload;
use crate::session::upstream::Upstream;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::time::Duration;

/// How long the first wait is at most, and half of that at least, if the upstream has not said
/// what it likes.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// It is no shorter, though: an upstream that ends each stream at once would be asked all the time.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Statuses by which an upstream, or we in its place, says that it cannot serve now.
pub(super) const fn is_outage(status: u16) -> bool {
    matches!(status, 502..=504)
}

impl Exchange {
    /// What its client gets when there is no upstream for it, if not an error.
    fn way_out(&self) -> OnOutage {
        let api = self.api().filter(|_| self.facts.wants_events);
        api.map_or(OnOutage::Error, |api| api.streams.on_outage)
    }

    /// True when an outage that its upstream answers with is not passed on.
    pub(super) fn is_spared(&self, status: u16) -> bool {
        is_outage(status) && self.way_out() != OnOutage::Error
    }

    /// True when its event stream is to be resumed if it breaks.
    pub(super) fn wants_resuming(&self) -> bool {
        let resume = self.api().map_or(Resume::Never, |api| api.streams.resume);
        self.facts.is_get && resume != Resume::Never
    }

    /// Keeps the request, as it was written for the upstream, if it may have to be sent again.
    pub(super) fn keep_for_revival(&mut self, request: &[u8]) {
        let Some(api) = self.api() else { return };
        let holds = self.facts.wants_events && api.streams.on_outage == OnOutage::Hold;
        if holds || self.wants_resuming() {
            self.revival = Some(Box::new(Revival {
                request: request.into(),
                lost: None,
                gives_up: Tick::NEVER,
                attempts: 0,
                served: Tick::ZERO,
                events: 0,
            }));
        }
    }

    /// True exactly when its stream waits, and has asked in vain.
    fn asked_in_vain(&self) -> bool {
        let attempts = self.revival.as_ref().map_or(0, |revival| revival.attempts);
        matches!(self.phase, Phase::Holding(_)) && attempts > 1
    }

    /// The upstream is there. Its stream may be resumed once more, or not.
    pub(super) fn is_served(&mut self, now: Tick) {
        let events = self.response.events().map(Events::events);
        let resumes = events.is_some() && self.wants_resuming();
        self.revival = self.revival.take().filter(|_| resumes);
        if let Some(revival) = &mut self.revival {
            revival.lost = None;
            (revival.served, revival.events) = (now, events.unwrap_or(0));
        }
    }
}

impl<N: Net> Scene<'_, N> {
    /// A stream without a source, for as long as its client stays.
    pub(super) fn hold(&mut self) -> Verdict {
        match self.exchange.response.write_pending(self.conn, &mut self.io) {
            Err(_) => Verdict::End(Outcome::ClientGone),
            Ok(Moved::Yes) => Verdict::Moved,
            Ok(Moved::No) => self.watch_client(),
        }
    }
}

/// The upstream answers for a stream whose client has long had its head: what becomes of that.
pub(super) fn join(
    exchange: &mut Exchange,
    upstream: &mut Upstream,
    head: &ResponseHead<'_, '_>,
    now: Tick,
) -> Verdict {
    let fail = |cause, what| Verdict::Fail(Refusal::closing(cause, 502, what));
    match head.status {
        101 => fail(Cause::UpstreamMalformed, "the upstream switches protocols"),
        100..200 => match exchange.phase.awaiting_mut().count_interim(now) {
            Ok(()) => Verdict::Moved,
            Err(what) => fail(Cause::UpstreamMalformed, what),
        },
        200 if head.is_event_stream && !head.is_coded => {
            exchange.read_grant(head);
            if !exchange.may_read_latest() {
                return Verdict::Withheld;
            }
            upstream.persistent = head.persistent;
            upstream.heed_idle_limit(head.idle_limit);
            exchange.drop_trailers(head);
            exchange.response.change_source(head.length, now);
            exchange.phase = Phase::Relaying(exchange.phase.awaiting_mut().upstream);
            let broke = exchange.revival.as_ref().is_some_and(|r| r.gives_up != Tick::NEVER);
            if let Some(stats) = exchange.record.stats.as_ref().filter(|_| broke) {
                stats.resumed.one();
            }
            exchange.is_served(now);
            Verdict::Answered
        }
        408 | 429 | 500..=599 => {
            fail(Cause::UpstreamUnavailable, "the upstream cannot serve the stream")
        }
        // What it is its client shall see for itself, when it comes back.
        _ => Verdict::GiveUp,
    }
}

impl<N: Net> Proxy<N> {
    /// There is no upstream for an exchange. What is done for its client, if it is to be spared the
    /// error.
    pub(super) fn spare(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Option<Step> {
        let exchange = self.sessions[key].state.exchange_mut();
        if !is_outage(refusal.status) && !refusal.busy {
            return None;
        }
        if exchange.is_held() {
            log::debug!("asking again failed: {}", refusal.what);
            return Some(self.wait(key, now));
        }
        let way_out = exchange.way_out();
        if way_out != OnOutage::Error {
            self.hush.refusal(exchange, refusal);
        }
        match way_out {
            OnOutage::Error => None,
            OnOutage::Hold if !refusal.busy => Some(self.begin_hold(key, refusal, now)),
            OnOutage::Hold | OnOutage::Retry => Some(self.answer_with_retry(key, refusal, now)),
        }
    }

    /// An empty stream that says when to come back.
    fn answer_with_retry(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        let body = self.retry_field();
        self.recall_grant(key);
        let mut exchange = self.take_exchange(key, now);
        exchange.cause = refusal.cause;
        // An api or a key that is gone has said so.
        if exchange.outcome.is_complete() {
            exchange.outcome = Outcome::Spared;
        }
        if let Some(stats) = &exchange.record.stats {
            stats.spared.one();
            stats.count_unserved(Unserved { at: now, cause: refusal.cause, status: 200 });
        }
        exchange.request.abandon(&mut self.buffers);
        exchange.facts.persistent &=
            exchange.facts.version == Version::Http11 && self.drain.is_none();
        self.head_buf.clear();
        let mut fields = exchange.stream_cors_fields();
        if exchange.cors().is_none() && exchange.page().is_none_or(|page| page.told.is_none()) {
            // It is the same for everybody, and the upstream would have said who may read it.
            fields.insert(0, ("Access-Control-Allow-Origin", "*"));
        }
        let head = StreamHead {
            length: BodyLength::Length(body.len() as u64),
            date: self.date.text(),
            close: !exchange.facts.persistent,
            fields: &fields,
        };
        reply::write_stream_head(&mut self.head_buf, &head);
        self.head_buf.extend_from_slice(body.as_bytes());
        assert!(self.head_buf.len() <= ANSWER_MAX, "room was left for an answer of ours");
        exchange.answer(200, &self.head_buf, &mut self.buffers, now);
        self.sessions[key].state = State::Active(exchange);
        Step::Moved
    }

    /// A stream that has no source yet.
    fn begin_hold(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        self.recall_grant(key);
        let Parts { session, mut io, head_buf, date, .. } = self.parts(key, now);
        let exchange = session.state.exchange_mut();
        let length = BodyLength::untold(exchange.facts.version);
        exchange.facts.persistent &= length == BodyLength::Chunked;
        head_buf.clear();
        let close = !exchange.facts.persistent;
        let fields = &exchange.stream_cors_fields();
        reply::write_stream_head(head_buf, &StreamHead { length, date, close, fields });
        exchange.request.abandon(io.buffers);
        exchange.response.begin(BodyLength::UntilClose, length, now);
        exchange.watch_events();
        exchange.response.queue(head_buf, io.buffers, now);
        exchange.response.comment(&mut io);
        exchange.record.status = 200;
        exchange.facts.event_stream = true;
        if let Some(stats) = &exchange.record.stats {
            stats.held.one();
            stats.count_unserved(Unserved { at: now, cause: refusal.cause, status: 200 });
        }
        if let Some(revival) = &mut exchange.revival {
            revival.lost = Some(now);
        }
        self.stream_opened(key, now);
        self.wait(key, now)
    }

    /// A stream has lost its upstream, and can be resumed.
    pub(super) fn stream_lost(&mut self, key: Key<Session>, failure: Failure, now: Tick) -> Step {
        self.close_upstream_of(key);
        self.count_failure(key, failure, now);
        let exchange = self.sessions[key].state.exchange_mut();
        let patience = exchange.api().map_or(Duration::ZERO, |api| api.streams.resume_timeout);
        let Some(revival) = &mut exchange.revival else {
            unreachable!("a stream is resumed by what it takes to revive it");
        };
        let Some(events) = exchange.response.events_mut() else {
            unreachable!("only event streams are resumed");
        };
        events.restart(&mut self.buffers);
        // An upstream that takes a stream and drops it at once is none.
        let got_on = events.events() > revival.events || now.since(revival.served) > LONGEST_WAIT;
        if got_on && let Some(origin) = exchange.origin.and_then(|key| self.origins.get_mut(key)) {
            origin.got_on();
        }
        if got_on || revival.gives_up == Tick::NEVER {
            (revival.gives_up, revival.attempts) = (now.after(patience), 0);
        }
        revival.lost = Some(now);
        if let Some(stats) = &exchange.record.stats {
            stats.resumes.one();
        }
        log::debug!("a stream has lost its upstream, and is resumed");
        self.wait(key, now)
    }

    /// Until it is asked again: a random time, so that not all streams ask together, of a length
    /// that doubles with each attempt.
    fn wait(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        exchange.request.abandon(&mut self.buffers);
        let wished = exchange.response.events().and_then(|events| events.retry());
        let Some(revival) = &mut exchange.revival else {
            unreachable!("a stream is held by what it takes to revive it");
        };
        let longest = wished.unwrap_or(FIRST_WAIT).max(SHORTEST_WAIT);
        let longest = longest.saturating_mul(1 << revival.attempts.min(16)).min(LONGEST_WAIT);
        revival.attempts += 1;
        if revival.attempts > 1
            && let Some(origin) = exchange.origin.and_then(|key| self.origins.get_mut(key))
        {
            origin.note_waiting();
        }
        let wait = longest.mul_f64(0.5 + self.random.f64() / 2.0);
        exchange.phase = Phase::Holding(now.after(wait));
        Step::Moved
    }

    /// An upstream has answered: other streams that asked it in vain, and wait, ask again soon. How
    /// soon is random, so that not all ask together. A first wait is as long as the upstream likes
    /// it, and stays so.
    pub(super) fn wake_waiting(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let (answered, status) = (exchange.origin, exchange.record.status);
        let origin = answered.and_then(|key| self.origins.get_mut(key));
        let Some(origin) = origin.filter(|o| status < 500 && o.is_to_wake(now)) else {
            return Step::Moved;
        };
        let waits = |session: &Session| match &session.state {
            State::Active(exchange) => exchange.origin == answered && exchange.asked_in_vain(),
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => false,
        };
        let waiting = self.sessions.iter().filter(|(_, session)| waits(session));
        let waiting: Vec<Key<Session>> = waiting.map(|(key, _)| key).collect();
        let time = origin.wake(waiting.len(), now);
        for key in waiting {
            let soon = now.after(time.mul_f64(0.1 + 0.9 * self.random.f64()));
            if let Phase::Holding(until) = &mut self.sessions[key].state.exchange_mut().phase {
                *until = soon.min(*until);
                self.enqueue(key);
            }
        }
        Step::Moved
    }

    /// The wait is over: the upstream is asked for the rest.
    pub(super) fn ask_again(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let Some(revival) = &exchange.revival else {
            unreachable!("a held stream knows what to ask for");
        };
        let last_id = exchange.response.events().and_then(|events| events.resume_from());
        self.head_buf.clear();
        forward::write_request_again(&mut self.head_buf, &revival.request, None, last_id);
        exchange.request = Upload::of_head(&self.head_buf, &mut self.buffers, now);
        let found = self.find_upstream(key, now);
        self.enter(key, found, now)
    }
}
