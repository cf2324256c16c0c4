//! How exchanges end.
//!
//! | what happened | here | the client |
//! |---|---|---|
//! | the last byte is out | [`Proxy::finish`] | may ask again, or sees our end |
//! | no exchange came of it | [`Proxy::refuse`] | gets an answer of ours |
//! | it failed before an answer | [`Proxy::answer`] | gets an answer of ours |
//! | it failed within the answer | [`Proxy::cut_response`] | gets what there is, and sees the cut |
//! | it is over at once | [`Proxy::end`] | is closed |
//!
//! Every way out frees everything: the upstream goes back to its pool or is closed, buffers are
//! given back, and the client's connection waits for its next request, lingers, or closes.

use super::{Proxy, Step};
use crate::cors::Grant;
use crate::http::framing::BodyLength;
use crate::http::head::Version;
use crate::http::reply::{self, Reply};
use crate::http::upgrade::Offer;
use crate::net::{Net, Ready};
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Facts, Phase};
use crate::session::outcome::Outcome;
use crate::session::row::Links;
use crate::session::target_stats::Failure;
use crate::session::upload::Upload;
use crate::session::{Service, Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::time::Duration;

/// How long a connection is listened to after our last byte, so that the byte arrives.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// No answer of ours is longer than this, in bytes; but for that to a preflight, in front of which
/// there is nothing.
pub(super) const ANSWER_MAX: usize = 1024;

/// Methods that pass; which of them is any use to a resource is its origin's to say.
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// When to come back after a 429 or a 503 (RFC 9110 section 10.2.3), in seconds.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "5");

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    /// The status, which has a sentence in [`reply`].
    pub status: u16,
    /// True exactly when the connection cannot be used for another request.
    pub close: bool,
    /// True exactly when the answer goes without its body, as to HEAD.
    pub head_only: bool,
    /// Why, for the access log and the log. None for an answer that refuses nothing.
    pub cause: Option<Cause>,
    /// What was wrong, for the log.
    pub what: &'static str,
    /// True exactly when it is this process that does not serve it now, and no upstream is to
    /// blame.
    pub busy: bool,
    /// True exactly when a browser asks what a page may do, and is told.
    pub preflight: bool,
    /// Fields that this answer has beyond those that all have.
    pub fields: &'static [(&'static str, &'static str)],
}

impl Refusal {
    /// A refusal that closes the connection.
    pub(super) const fn closing(cause: Cause, status: u16, what: &'static str) -> Refusal {
        Refusal { cause: Some(cause), ..Refusal::without_cause(status, what) }
    }

    const fn without_cause(status: u16, what: &'static str) -> Refusal {
        let fields: &[_] = match status {
            401 => &[super::gate::CHALLENGE],
            405 => &[ALLOW],
            429 | 503 => &[RETRY_AFTER],
            _ => &[],
        };
        let (head_only, busy, preflight, cause) = (false, false, false, None);
        Refusal { status, close: true, head_only, cause, what, busy, preflight, fields }
    }

    /// No refusal, but an answer of ours all the same: there is nothing to be asked of an upstream.
    pub(super) const fn no_content(what: &'static str) -> Refusal {
        Refusal::without_cause(204, what)
    }

    /// A refusal because there is no room, or no time left.
    pub(super) const fn busy(cause: Cause, what: &'static str) -> Refusal {
        Refusal { busy: true, ..Refusal::closing(cause, 503, what) }
    }

    /// A refusal because a client has its part already.
    pub(super) const fn crowded(cause: Cause, what: &'static str) -> Refusal {
        Refusal { busy: true, close: false, ..Refusal::closing(cause, 429, what) }
    }

    /// What who waits for an answer is told when it is to wait no more. How its exchange has ended
    /// says why.
    pub(super) const fn ended(status: u16, what: &'static str) -> Refusal {
        Refusal { busy: status == 503, ..Refusal::without_cause(status, what) }
    }

    /// True exactly when an upstream is to blame.
    pub(super) fn is_upstreams(&self) -> bool {
        matches!(self.status, 502 | 504) || self.cause == Some(Cause::UpstreamUnavailable)
    }

    /// A request body that is longer than it may be.
    pub(super) const fn too_long_body() -> Refusal {
        Refusal::closing(Cause::MaxBodyBytes, 413, "the request body is too long")
    }
}

impl<N: Net> Proxy<N> {
    /// Answers a request that gets no exchange with an upstream. `request` is what is told of it,
    /// as far as it was understood.
    pub(super) fn refuse(
        &mut self,
        key: Key<Session>,
        request: Box<str>,
        refusal: Refusal,
        now: Tick,
    ) -> Step {
        let mut facts = Facts::of_refused(refusal.head_only);
        facts.persistent = !refusal.close && self.drain.is_none();
        let phase = Phase::Answering;
        let record = self.record_of(self.sessions[key].service, request);
        let none = Upload::untaken(BodyLength::Empty);
        let exchange = Exchange::new(facts, none, None, &self.config, phase, record, now);
        self.write_answer(key, exchange, refusal, now)
    }

    /// A connection past the limit: it is answered before it has asked.
    pub(super) fn refuse_connection(&mut self, key: Key<Session>, now: Tick) {
        let refusal = Refusal::closing(Cause::MaxConnections, 503, "too many connections");
        self.refuse(key, Box::default(), refusal, now);
    }

    /// A request head that did not get complete in time.
    pub(super) fn refuse_slow_head(&mut self, key: Key<Session>, now: Tick) -> Step {
        let what = "the request head was not complete in time";
        let request = self.request_line(self.sessions[key].conn.ahead());
        self.drop_ahead(key);
        self.refuse(key, request, Refusal::closing(Cause::ReadTimeout, 408, what), now)
    }

    /// Puts an answer of ours in place of the one that the upstream did not give. What the client
    /// did wrong costs it the connection, unless it only was not let in, and so does the rest of a
    /// request that nobody reads.
    pub(super) fn answer(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        self.close_upstream_of(key);
        self.count_refused(key, refusal, now);
        if let Some(step) = self.spare(key, refusal, now) {
            return step;
        }
        let mut exchange = self.take_exchange(key, now);
        let whole = exchange.request.source_complete();
        let stays = whole && (refusal.status >= 500 || !refusal.close) && self.drain.is_none();
        exchange.facts.persistent &= stays;
        exchange.request.abandon(&mut self.buffers);
        let refusal = Refusal { head_only: exchange.facts.is_head, ..refusal };
        self.write_answer(key, exchange, refusal, now)
    }

    /// Queues an answer behind what an interim response left unsent.
    fn write_answer(
        &mut self,
        key: Key<Session>,
        mut exchange: Box<Exchange>,
        refusal: Refusal,
        now: Tick,
    ) -> Step {
        let Refusal { status, head_only, preflight, .. } = refusal;
        self.hush.refusal(&exchange, refusal);
        exchange.cause = refusal.cause;
        // A client of HTTP/1.0 would have to be told that it may ask again; it is not.
        exchange.facts.persistent &= exchange.facts.version == Version::Http11;
        let close = !exchange.facts.persistent;
        self.head_buf.clear();
        let date = self.date.text();
        let cors = exchange.cors_fields(preflight).unwrap_or_default();
        let fields = &[refusal.fields, &cors].concat();
        let reply = Reply { fields, date, head_only, close, ..Reply::of(status) };
        reply::write(&mut self.head_buf, &reply);
        let room = if preflight { self.head_room } else { ANSWER_MAX };
        assert!(self.head_buf.len() <= room, "room was left for an answer of ours");
        exchange.answer(status, &self.head_buf, &mut self.buffers, now);
        self.sessions[key].state = State::Active(exchange);
        Step::Moved
    }

    /// The last byte of a response is out: what becomes of the client's connection.
    pub(super) fn finish(&mut self, key: Key<Session>, now: Tick) -> Step {
        let mut exchange = self.take_exchange(key, now);
        let peer = self.sessions[key].peer;
        self.record_end(&exchange, peer, now);
        exchange.request.abandon(&mut self.buffers);
        let complete = exchange.outcome.is_complete() || exchange.response.ends_properly();
        let whole = exchange.request.source_complete();
        if complete && exchange.facts.persistent && whole && self.drain.is_none() {
            self.reclaimable.add(&mut self.sessions, key);
            return Step::Moved;
        }
        if !complete && !exchange.response.ends_visibly() {
            return self.abort_session(key);
        }
        self.linger(key, now)
    }

    /// Ends our side and listens for a while, unless the client is known to have ended its own.
    fn linger(&mut self, key: Key<Session>, now: Tick) -> Step {
        let session = &mut self.sessions[key];
        let drained = !session.conn.ready.has(Ready::READ);
        if drained && session.conn.hung_up() {
            return self.close_session(key);
        }
        session.conn.shutdown_write(&mut self.net);
        session.state = State::Lingering { until: now.after(LINGER), links: Links::NONE };
        self.reclaimable.add(&mut self.sessions, key);
        self.drop_ahead(key);
        Step::Moved
    }

    /// The response cannot be completed. What was taken of it still goes out, and then the client's
    /// connection ends in a way that shows that something is missing.
    pub(super) fn cut_response(&mut self, key: Key<Session>, outcome: Outcome, now: Tick) -> Step {
        self.close_upstream_of(key);
        if let Some(failure) = Failure::of_cut(outcome) {
            self.count_failure(key, failure, now);
        }
        let exchange = self.sessions[key].state.exchange_mut();
        self.hush.cut(exchange, outcome);
        exchange.outcome = outcome;
        exchange.facts.persistent = false;
        exchange.phase = Phase::Delivering;
        exchange.request.abandon(&mut self.buffers);
        exchange.response.take_no_more(&mut self.buffers);
        Step::Moved
    }

    /// The drain window is over.
    pub(super) fn end_for_drain(&mut self, key: Key<Session>, now: Tick) -> Step {
        match &self.sessions[key].state {
            State::Active(_) => self.end(key, Outcome::Drained, now),
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => {
                self.close_session(key)
            }
        }
    }

    /// Ends an exchange and its client's connection, now.
    pub(super) fn end(&mut self, key: Key<Session>, outcome: Outcome, now: Tick) -> Step {
        let mut exchange = self.take_exchange(key, now);
        self.hush.cut(&exchange, outcome);
        exchange.outcome = outcome;
        let peer = self.sessions[key].peer;
        self.record_end(&exchange, peer, now);
        let visible = outcome.is_complete() || exchange.response.ends_visibly();
        self.sessions[key].state = State::Active(exchange);
        // A response that ends with its connection must not look complete when it is not.
        if visible { self.close_session(key) } else { self.abort_session(key) }
    }

    /// Closes a client's connection and frees all that it holds.
    pub(super) fn close_session(&mut self, key: Key<Session>) -> Step {
        if let Some(session) = self.remove_session(key) {
            session.conn.close(&mut self.net, &mut self.buffers);
        }
        Step::Gone
    }

    /// Likewise, but so that the client cannot take it for an orderly end.
    fn abort_session(&mut self, key: Key<Session>) -> Step {
        if let Some(session) = self.remove_session(key) {
            session.conn.abort(&mut self.net, &mut self.buffers);
        }
        Step::Gone
    }

    fn remove_session(&mut self, key: Key<Session>) -> Option<Session> {
        self.close_upstream_of(key);
        self.reclaimable.remove(&mut self.sessions, key);
        self.timers.disarm(key.index());
        let mut session = self.sessions.remove(key)?;
        self.desk.connections -= usize::from(session.service == Service::Admin);
        self.refused -= usize::from(session.refused);
        if let State::Active(exchange) = &mut session.state {
            exchange.request.abandon(&mut self.buffers);
            exchange.response.abandon(&mut self.buffers);
        }
        Some(session)
    }

    /// Takes a session's exchange out of it and leaves it idle.
    pub(super) fn take_exchange(&mut self, key: Key<Session>, now: Tick) -> Box<Exchange> {
        let idle = State::Idle { since: now, fresh: false, links: Links::NONE };
        match std::mem::replace(&mut self.sessions[key].state, idle) {
            State::Active(exchange) => exchange,
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => {
                unreachable!("an exchange ends once")
            }
        }
    }

    fn drop_ahead(&mut self, key: Key<Session>) {
        let conn = &mut self.sessions[key].conn;
        conn.consume(conn.ahead().len(), &mut self.buffers);
    }
}

impl Facts {
    /// What is known of a request that was not understood.
    const fn of_refused(is_head: bool) -> Facts {
        Facts {
            version: Version::Http11,
            is_head,
            persistent: false,
            retryable: false,
            upgrade: Offer::NOTHING,
            awaits_continue: false,
            is_get: false,
            wants_events: false,
            event_stream: false,
            grant: Grant::Nothing,
        }
    }
}
