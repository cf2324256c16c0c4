//! One session, moved as far as it goes now.
//!
//! [`Proxy::advance`] repeats [`step`](Proxy::step) until the session is blocked, gone, or has used
//! up its portion of the turn, in which case it is queued again, behind the others. A step first
//! tries to move bytes; only when none move does it ask whether a deadline has passed. So a peer
//! that was slow is judged by what it did, never by how late this process came to look.

use super::{Parts, Proxy, Step};
use crate::conn::{Conn, Read};
use crate::exchange::{Exchange, Outcome, Phase};
use crate::net::{Net, Ready};
use crate::pipe::{Fault, Flow, Io};
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::{Now, Tick};
use crate::upstream::Upstream;

impl<N: Net> Proxy<N> {
    /// Moves a session to where it can name what it waits for.
    pub(super) fn advance(&mut self, key: Key<Session>, now: Now) {
        for _ in 0..self.portions.steps_per_turn {
            match self.step(key, now) {
                Step::Moved => self.moves += 1,
                Step::Blocked => {
                    debug_assert_eq!(self.stall(key, now.tick), None);
                    let (deadline, _) = self.next_deadline(key, now.tick);
                    self.timers.at_most(key.index(), deadline);
                    return;
                }
                Step::Gone => {
                    self.moves += 1;
                    return;
                }
            }
        }
        self.enqueue(key);
    }

    fn step(&mut self, key: Key<Session>, now: Now) -> Step {
        let moved = match &self.sessions[key].state {
            State::Idle { .. } | State::Head { .. } => self.step_head(key, now.tick),
            State::Active(_) => self.step_exchange(key, now),
            State::Lingering { .. } => self.step_lingering(key, now.tick),
        };
        if moved == Step::Blocked { self.act_on_deadline(key, now.tick) } else { moved }
    }

    fn step_exchange(&mut self, key: Key<Session>, now: Now) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        let ends_with_client = exchange.ends_with_client();
        if ends_with_client && self.sessions[key].conn.hung_up() {
            return self.end(key, Outcome::ClientGone, now.tick);
        }
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        match exchange.phase {
            Phase::Answering | Phase::Delivering => self.deliver(key, now.tick),
            Phase::Local(_) => self.write_events(key, now),
            Phase::Connecting(attempt) => self.finish_connect(key, attempt, now.tick),
            Phase::AwaitingHead(_) => self.await_head(key, now.tick),
            Phase::Relaying(upstream) => self.relay(key, upstream, now.tick),
            Phase::Tunnel(upstream) => self.run_tunnel(key, upstream, now.tick),
        }
    }

    /// The rest of a response goes out; nothing more is read for it.
    fn deliver(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Some((conn, exchange, _, mut io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        match exchange.response.write_pending(conn, &mut io) {
            Err(_) => self.end(key, Outcome::ClientGone, now),
            Ok(moved) if exchange.response.done() => {
                let _ = moved;
                self.finish(key, now)
            }
            Ok(true) => Step::Moved,
            Ok(false) => self.watch_client(key, now),
        }
    }

    /// The built-in source: events when they are due, for as long as the client takes them.
    fn write_events(&mut self, key: Key<Session>, now: Now) -> Step {
        let Some((conn, exchange, _, mut io)) = self.parts_of_exchange(key, now.tick) else {
            return Step::Blocked;
        };
        match exchange.response.write_pending(conn, &mut io) {
            Err(_) => return self.end(key, Outcome::ClientGone, now.tick),
            Ok(true) => return Step::Moved,
            Ok(false) => {}
        }
        if let (Phase::Local(events), 0) = (&mut exchange.phase, exchange.response.pending())
            && let Some(event) = events.take(now)
        {
            exchange.response.queue_payload(event.as_bytes(), &mut io);
            return Step::Moved;
        }
        self.watch_client(key, now.tick)
    }

    /// Both directions at once: the response towards the client, and what is left of the request.
    fn relay(&mut self, key: Key<Session>, upstream: Key<Upstream>, now: Tick) -> Step {
        let Some((conn, exchange, upstreams, mut io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        let origin = &mut upstreams[upstream];
        let moved = match exchange.response.pump(&mut origin.conn, conn, &mut io) {
            Ok(moved) => moved,
            Err(Fault::SinkGone) => return self.end(key, Outcome::ClientGone, now),
            Err(Fault::SourceCut | Fault::SourceBad(_)) => {
                return self.cut_response(key, Outcome::UpstreamCut, now);
            }
        };
        if exchange.response.flow() != Flow::Open {
            return self.response_read(key, upstream, now);
        }
        match pump_request(conn, exchange, origin, &mut io) {
            Ok(more) if moved || more => Step::Moved,
            Ok(_) => self.watch_client(key, now),
            Err(fault) => self.request_failed(key, fault, now),
        }
    }

    /// While a request waits for its answer, or for its answer's rest, its client may leave, or
    /// send the next request. Reading on shows which; a little way only, for the next request is
    /// not wanted yet. (On epoll a hang-up announces itself. This is for where it does not.)
    pub(super) fn watch_client(&mut self, key: Key<Session>, now: Tick) -> Step {
        let ahead_max = self.portions.ahead_max;
        let Parts { session, io, .. } = self.parts(key, now);
        let State::Active(exchange) = &session.state else {
            return Step::Blocked;
        };
        if !watches(&session.conn, exchange, ahead_max) {
            return Step::Blocked;
        }
        let room = ahead_max - session.conn.ahead().len();
        match session.conn.read(io.net, &mut io.scratch[..room]) {
            Read::Bytes(n) => {
                session.conn.keep(&io.scratch[..n], io.buffers);
                Step::Moved
            }
            Read::Blocked => Step::Blocked,
            // For an answer of ours a client that has ended its side is still a client.
            Read::End | Read::Broken if exchange.ends_with_client() => {
                self.end(key, Outcome::ClientGone, now)
            }
            Read::End => {
                session.conn.ready.clear(Ready::READ);
                Step::Blocked
            }
            Read::Broken => self.end(key, Outcome::ClientGone, now),
        }
    }

    /// Throws away what the client still sends, until it has seen our end.
    fn step_lingering(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Parts { session, io, .. } = self.parts(key, now);
        if !session.conn.ready.has(Ready::READ) {
            return Step::Blocked;
        }
        match session.conn.read(io.net, io.scratch) {
            Read::Bytes(_) => Step::Moved,
            Read::Blocked => Step::Blocked,
            Read::End | Read::Broken => self.close_session(key),
        }
    }
}

/// True when reading on from a client that is being served is to be tried.
pub(super) fn watches(conn: &Conn, exchange: &Exchange, ahead_max: usize) -> bool {
    let tunnel = matches!(exchange.phase, Phase::Tunnel(_));
    !tunnel
        && exchange.request.source_done()
        && conn.ready.has(Ready::READ)
        && conn.ahead().len() < ahead_max
}

/// Why a request cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFault {
    /// The client ended or broke the connection in the middle of it.
    Gone,
    /// The framing of its body is wrong.
    Malformed,
    /// Its body is longer than `max_body_bytes`.
    TooLong,
}

/// Moves what is left of the request. A sink that is gone is no end: an upstream may answer early
/// and stop reading, and its answer is still to be read (RFC 9112 section 9.5).
pub(super) fn pump_request<N: Net>(
    conn: &mut Conn,
    exchange: &mut Exchange,
    origin: &mut Upstream,
    io: &mut Io<'_, N>,
) -> Result<bool, RequestFault> {
    if exchange.request.done() {
        return Ok(false);
    }
    let limit = exchange.config.server.max_body_bytes;
    match exchange.request.pump(conn, &mut origin.conn, io) {
        Ok(_) if limit.is_some_and(|limit| exchange.request.taken() > limit) => {
            Err(RequestFault::TooLong)
        }
        Ok(moved) => Ok(moved),
        Err(Fault::SinkGone) => {
            exchange.request.abandon(io.buffers);
            origin.persistent = false;
            Ok(true)
        }
        Err(Fault::SourceCut) => Err(RequestFault::Gone),
        Err(Fault::SourceBad(_)) => Err(RequestFault::Malformed),
    }
}
