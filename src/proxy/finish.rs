//! How exchanges end: delivered, answered by us, cut short, or left by their client.
//!
//! Every way out passes through here, so that each frees everything: the upstream goes back to its
//! pool or is closed, buffers are given back, and the client's connection waits for its next
//! request, lingers, or closes.

use super::advance::RequestFault;
use super::{Proxy, Step};
use crate::exchange::{Exchange, Facts, Outcome, Phase};
use crate::http::framing::BodyLength;
use crate::http::head::Version;
use crate::http::reply::{self, Reply};
use crate::net::Net;
use crate::pipe::Pipe;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::rc::Rc;
use std::time::Duration;

/// How long a connection is listened to after our last byte, so that the byte arrives.
const LINGER: Duration = Duration::from_secs(5);

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    /// The status, which has a sentence in [`reply`].
    pub status: u16,
    /// True exactly when the connection cannot be used for another request.
    pub close: bool,
    /// True exactly when the request's method was HEAD.
    pub head: bool,
    /// What was wrong, for the log.
    pub what: &'static str,
    /// The configuration key of the limit that refused, if one did.
    pub limit: Option<&'static str>,
    /// Fields that this answer has beyond those that all have.
    pub fields: &'static [(&'static str, &'static str)],
}

/// Methods that pass; which of them is any use to a resource is its origin's to say.
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// When to come back after a 503 (RFC 9110 section 10.2.3), in seconds.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "5");

impl Refusal {
    /// A refusal that closes the connection.
    pub(super) const fn closing(status: u16, what: &'static str) -> Refusal {
        let fields: &[_] = match status {
            405 => &[ALLOW],
            503 => &[RETRY_AFTER],
            _ => &[],
        };
        Refusal { status, close: true, head: false, what, limit: None, fields }
    }

    /// A refusal on account of a limit, which is named.
    pub(super) const fn limited(status: u16, what: &'static str, limit: &'static str) -> Refusal {
        Refusal { limit: Some(limit), ..Refusal::closing(status, what) }
    }

    /// A request body that is longer than it may be.
    pub(super) const fn too_long_body() -> Refusal {
        Refusal::limited(413, "the request body is too long", "server.max_body_bytes")
    }
}

impl<N: Net> Proxy<N> {
    /// Answers a request that gets no exchange with an upstream.
    pub(super) fn refuse(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        let mut exchange = Exchange {
            phase: Phase::Answering,
            request: Pipe::new(BodyLength::Empty, BodyLength::Empty, now),
            response: Pipe::new(BodyLength::Empty, BodyLength::Empty, now),
            facts: Facts::of_refused(refusal.head),
            retry: None,
            config: Rc::clone(&self.config),
            api: None,
            status: 0,
            outcome: Outcome::Complete,
            began: now,
        };
        exchange.facts.persistent = !refusal.close && self.drain.is_none();
        self.write_answer(&mut exchange, refusal, now);
        self.sessions[key].state = State::Active(Box::new(exchange));
        Step::Moved
    }

    /// A connection past the limit: it is answered before it has asked.
    pub(super) fn refuse_connection(&mut self, key: Key<Session>, now: Tick) {
        let limit = "server.max_connections";
        self.refuse(key, Refusal::limited(503, "too many connections", limit), now);
    }

    /// A request head that did not get complete in time.
    pub(super) fn refuse_slow_head(&mut self, key: Key<Session>, now: Tick) -> Step {
        let what = "the request head was not complete in time";
        self.drop_ahead(key);
        self.refuse(key, Refusal::limited(408, what, "server.read_timeout"), now)
    }

    /// A request that cannot be completed.
    pub(super) fn request_failed(
        &mut self,
        key: Key<Session>,
        fault: RequestFault,
        now: Tick,
    ) -> Step {
        let what = "the request body's framing is malformed";
        match fault {
            RequestFault::Gone => self.end(key, Outcome::ClientGone, now),
            RequestFault::Malformed => self.fail(key, Refusal::closing(400, what), now),
            RequestFault::TooLong => self.fail(key, Refusal::too_long_body(), now),
        }
    }

    /// Ends an exchange that went wrong: with an answer of ours if the client has none yet, by
    /// cutting the response short otherwise.
    pub(super) fn fail(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        let Refusal { status, what, limit, .. } = refusal;
        if exchange.status >= 200 {
            log::info!("a response is cut: {what} ({})", limit.unwrap_or("-"));
            let outcome = if status < 500 { Outcome::BadRequestBody } else { Outcome::UpstreamCut };
            return self.cut_response(key, outcome, now);
        }
        let reusable = exchange.facts.persistent && exchange.request.source_complete();
        let close = status < 500 || !reusable;
        let refusal = Refusal { close, head: exchange.facts.head, ..refusal };
        self.answer(key, refusal, now)
    }

    /// Puts an answer of ours in place of the one that the upstream did not give.
    pub(super) fn answer(&mut self, key: Key<Session>, refusal: Refusal, now: Tick) -> Step {
        self.close_upstream_of(key);
        let State::Active(mut exchange) = self.take_state(key, now) else {
            return Step::Blocked;
        };
        if !exchange.request.source_complete() || refusal.close {
            exchange.facts.persistent = false;
            exchange.request.abandon(&mut self.buffers);
        }
        exchange.request.release(&mut self.buffers);
        // What an interim response left unsent goes out in front.
        exchange.phase = Phase::Answering;
        self.write_answer(&mut exchange, refusal, now);
        self.sessions[key].state = State::Active(exchange);
        Step::Moved
    }

    fn write_answer(&mut self, exchange: &mut Exchange, refusal: Refusal, now: Tick) {
        let Refusal { status, what, limit, head: head_only, fields, .. } = refusal;
        match limit {
            Some(limit) => log::info!("{status}: {what} ({limit})"),
            None => log::debug!("{status}: {what}"),
        }
        self.head.clear();
        let close = !exchange.facts.persistent;
        reply::write(&mut self.head, &Reply { fields, head_only, close, ..Reply::of(status) });
        exchange.status = status;
        exchange.response.queue(&self.head, &mut self.buffers, now);
        exchange.response.cut();
    }

    /// The last byte of a response is out: what becomes of the client's connection.
    pub(super) fn finish(&mut self, key: Key<Session>, now: Tick) -> Step {
        self.close_upstream_of(key);
        let draining = self.drain.is_some();
        let State::Active(mut exchange) = self.take_state(key, now) else {
            return Step::Blocked;
        };
        log_end(&exchange, now);
        exchange.request.release(&mut self.buffers);
        exchange.response.release(&mut self.buffers);
        let complete = exchange.outcome == Outcome::Complete;
        if complete && exchange.facts.persistent && exchange.request.source_complete() && !draining
        {
            return Step::Moved;
        }
        if !complete && !exchange.response.ends_visibly() {
            return self.abort_session(key);
        }
        self.linger(key, now)
    }

    /// Ends our side and listens for a while, unless the client is known to have nothing to say.
    fn linger(&mut self, key: Key<Session>, now: Tick) -> Step {
        let session = &mut self.sessions[key];
        let silent = !session.conn.has_input() && session.conn.hung_up();
        if silent {
            return self.close_session(key);
        }
        self.net.shutdown_write(session.conn.sock);
        session.state = State::Lingering { until: now.after(LINGER) };
        self.drop_ahead(key);
        Step::Moved
    }

    /// The response cannot be completed. What was taken of it still goes out, and then the client's
    /// connection ends in a way that shows that something is missing.
    pub(super) fn cut_response(&mut self, key: Key<Session>, outcome: Outcome, now: Tick) -> Step {
        self.close_upstream_of(key);
        let Some((_, exchange, _, io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        exchange.outcome = outcome;
        exchange.facts.persistent = false;
        exchange.phase = Phase::Delivering;
        exchange.request.abandon(io.buffers);
        exchange.response.cut();
        Step::Moved
    }

    /// The drain window is over.
    pub(super) fn end_for_drain(&mut self, key: Key<Session>, now: Tick) -> Step {
        match self.exchange(key) {
            Some(_) => self.end(key, Outcome::Drained, now),
            None => self.close_session(key),
        }
    }

    /// Ends an exchange and its client's connection, now.
    pub(super) fn end(&mut self, key: Key<Session>, outcome: Outcome, now: Tick) -> Step {
        if let Some(exchange) = self.exchange(key) {
            exchange.outcome = outcome;
            log_end(exchange, now);
        }
        // A response that ends with its connection must not look complete when it is not.
        let visible = self.exchange(key).is_none_or(|exchange| exchange.response.ends_visibly());
        if visible || outcome == Outcome::Complete {
            self.close_session(key)
        } else {
            self.abort_session(key)
        }
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
        self.timers.disarm(key.index());
        let mut session = self.sessions.remove(key)?;
        if let State::Active(exchange) = &mut session.state {
            exchange.request.release(&mut self.buffers);
            exchange.response.release(&mut self.buffers);
        }
        Some(session)
    }

    /// Takes a session's state out of it and leaves it idle.
    fn take_state(&mut self, key: Key<Session>, now: Tick) -> State {
        std::mem::replace(&mut self.sessions[key].state, State::Idle { since: now })
    }

    fn drop_ahead(&mut self, key: Key<Session>) {
        let conn = &mut self.sessions[key].conn;
        conn.consume(conn.ahead().len(), &mut self.buffers);
    }
}

fn log_end(exchange: &Exchange, now: Tick) {
    let api = exchange.api.and_then(|api| exchange.config.apis.get(usize::from(api)));
    log::debug!(
        "api={} status={} reason={} bytes_in={} bytes_out={} duration_ms={}",
        api.map_or("-", |api| api.name.as_str()),
        exchange.status,
        exchange.outcome.word(),
        exchange.request.taken(),
        exchange.response.taken(),
        now.since(exchange.began).as_millis(),
    );
}

impl Facts {
    /// What is known of a request that was not understood.
    const fn of_refused(head: bool) -> Facts {
        Facts {
            version: Version::Http11,
            head,
            persistent: false,
            repeatable: false,
            upgrade: false,
            awaits_continue: false,
            event_stream: false,
        }
    }
}
