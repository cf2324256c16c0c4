//! What a phase of an exchange works on, and what it may decide.
//!
//! Phases decide and the proxy performs. A phase sees its exchange, the connections that it runs on
//! and nothing else of the proxy, and answers with a [`Verdict`]; pools, timers and the ends of
//! sessions are the proxy's ([`super::advance`], [`super::finish`]).

use super::finish::Refusal;
use super::hush::Hush;
use super::places::Counters;
use crate::conn::{Conn, Read};
use crate::net::{Net, Ready};
use crate::pipe::{Fault, Flow, Io, Moved, SourceFault};
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Phase};
use crate::session::outcome::Outcome;
use crate::session::upload::Upload;
use crate::session::upstream::Upstream;
use crate::time::Now;
use std::io;
use std::net::IpAddr;

/// An exchange and what it runs on, for the length of a step.
pub(super) struct Scene<'a, N: Net> {
    /// The client's connection.
    pub conn: &'a mut Conn,
    /// Its address; none on a Unix socket.
    pub peer: Option<IpAddr>,
    pub exchange: &'a mut Exchange,
    pub io: Io<'a, N>,
    /// Where a head is written before it is queued.
    pub head_buf: &'a mut Vec<u8>,
    /// The present, for a head that has no date.
    pub date: &'a str,
    /// What counts the streams.
    pub counters: Counters<'a>,
    /// What was logged lately.
    pub hush: &'a mut Hush,
    /// Bytes of a next request that are read while one is being served.
    pub ahead_max: usize,
    /// True exactly when a response is the last on its connection because the process is ending.
    pub draining: bool,
    /// The time of this turn.
    pub now: Now,
}

/// What a step of an exchange came to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Something changed: there may be more to do.
    Moved,
    /// Nothing can be done before an event or a deadline.
    Blocked,
    /// Something changed, and it is plain that nothing more can be done before then.
    Settled,
    /// The connection to the upstream stands, or does not.
    Connected(io::Result<()>),
    /// The upstream ended before a byte of an answer, or a reused connection brought what is none.
    NoAnswer,
    /// The upstream has said all; what is left goes to the client.
    ResponseRead,
    /// The last byte of the response is out.
    Delivered,
    /// The upstream has answered, with something other than an event stream that begins.
    Answered,
    /// The head of an event stream is on its way to the client.
    StreamOpened,
    /// Both sides speak another protocol from here on.
    TunnelOpened,
    /// An event stream has lost its upstream, and can be resumed.
    StreamLost,
    /// An event stream that was to end has come between two events.
    StreamEnd,
    /// The rest of an event stream cannot be had.
    GiveUp,
    /// The upstream's answer is not for the page that waits for it.
    Withheld,
    /// The response cannot be completed: what was taken of it goes out, and then it is cut.
    Cut(Outcome),
    /// It went wrong before the client had an answer: it gets this one.
    Fail(Refusal),
    /// It is over, and so is the client's connection.
    End(Outcome),
}

impl Verdict {
    /// True exactly when the upstream has answered, whatever it has said.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(
            self,
            Verdict::Answered | Verdict::StreamOpened | Verdict::TunnelOpened | Verdict::GiveUp
        )
    }
}

impl<N: Net> Scene<'_, N> {
    /// The rest of a response goes out; nothing more is read for it.
    pub(super) fn deliver(&mut self) -> Verdict {
        match self.exchange.response.write_pending(self.conn, &mut self.io) {
            Err(_) => Verdict::End(Outcome::ClientGone),
            Ok(_) if self.exchange.response.flow().is_over() => Verdict::Delivered,
            Ok(Moved::Yes) => Verdict::Moved,
            Ok(Moved::No) => self.watch_client(),
        }
    }

    /// What comes from here: when it is due, and no faster than the client takes it.
    pub(super) fn write_local(&mut self) -> Verdict {
        match self.exchange.response.write_pending(self.conn, &mut self.io) {
            Err(_) => return Verdict::End(Outcome::ClientGone),
            Ok(Moved::Yes) => return Verdict::Moved,
            Ok(Moved::No) => {}
        }
        let Exchange { response, phase, .. } = &mut *self.exchange;
        let most = self.io.high_water;
        if let Phase::Local(local) = phase
            && response.pending() == 0
            && let Some((piece, last)) = local.take(most, self.now)
        {
            if last {
                response.queue_last(&piece, &mut self.io);
                *phase = Phase::Delivering;
            } else {
                response.queue_payload(&piece, &mut self.io);
            }
            return Verdict::Moved;
        }
        self.watch_client()
    }

    /// Both directions at once: the response towards the client, and what is left of the request.
    pub(super) fn relay(&mut self, upstream: &mut Upstream) -> Verdict {
        let moved = match self.pump_response(upstream) {
            Ok(moved) => moved,
            Err(Fault::SinkGone) => return Verdict::End(Outcome::ClientGone),
            Err(fault) => {
                if let Fault::Source(SourceFault::Malformed(error)) = fault {
                    let name = self.exchange.api().map_or("", |api| api.name.as_str());
                    let text = format!("the upstream's body: {}", error.what());
                    self.hush.say(log::Level::Warn, name, error.what(), &text);
                }
                let resumes = self.exchange.can_resume();
                let cut = Verdict::Cut(Outcome::UpstreamCut);
                return if resumes { Verdict::StreamLost } else { cut };
            }
        };
        if self.exchange.response.flow() != Flow::Open {
            return Verdict::ResponseRead;
        }
        if self.exchange.lease_end.closing && self.exchange.response.is_between_events() {
            return Verdict::StreamEnd;
        }
        let pumped = match self.exchange.request {
            // Nearly always, when an event comes.
            Upload::Over { .. } => Ok(Moved::No),
            Upload::Moving(_) => {
                let pumped = self.pump_request(upstream);
                self.exchange.request.settle();
                pumped
            }
        };
        match pumped {
            Ok(more) if moved.or(more) == Moved::Yes => {
                if self.has_settled(upstream) {
                    Verdict::Settled
                } else {
                    Verdict::Moved
                }
            }
            Ok(_) if self.exchange.response.wants_first_word() => {
                self.exchange.response.comment(&mut self.io);
                Verdict::Moved
            }
            Ok(_) => self.watch_client(),
            Err(RequestFault::Gone) => Verdict::End(Outcome::ClientGone),
            Err(RequestFault::Refused(refusal)) => {
                self.hush.refused_body(self.exchange, refusal);
                Verdict::Cut(Outcome::BadRequestBody)
            }
        }
    }

    /// True when all that came of the response went out, and nothing else can move: as it nearly
    /// always is behind an event. Another step would find that out, too.
    fn has_settled(&self, upstream: &Upstream) -> bool {
        let Exchange { request, response, lease_end, .. } = &*self.exchange;
        !upstream.conn.has_input()
            && response.is_quiet()
            && request.done()
            && !lease_end.closing
            && !watches(self.conn, self.exchange, self.ahead_max)
    }

    /// Moves what is left of the request. A sink that is gone is no end: an upstream may answer
    /// early and stop reading, and its answer is still to be read (RFC 9112 section 9.5).
    pub(super) fn pump_request(&mut self, upstream: &mut Upstream) -> Result<Moved, RequestFault> {
        let Some(request) = self.exchange.request.pipe_mut().filter(|pipe| !pipe.flow().is_over())
        else {
            return Ok(Moved::No);
        };
        let pumped = request.pump(self.conn, &mut upstream.conn, &mut self.io);
        // A client that sends its body does not wait to be asked for it.
        self.exchange.facts.awaits_continue &= request.taken() == 0;
        match pumped {
            Ok(moved) => Ok(moved),
            Err(Fault::SinkGone) => {
                self.exchange.request.abandon(self.io.buffers);
                if let Phase::AwaitingHead(awaiting) = &mut self.exchange.phase {
                    awaiting.since = self.io.now;
                }
                upstream.persistent = false;
                Ok(Moved::Yes)
            }
            Err(Fault::Source(SourceFault::Cut)) => Err(RequestFault::Gone),
            Err(Fault::Source(SourceFault::TooLong)) => {
                Err(RequestFault::Refused(Refusal::too_long_body()))
            }
            Err(Fault::Source(SourceFault::Malformed(error))) => {
                let refusal = Refusal::closing(Cause::RequestBody, 400, error.what());
                Err(RequestFault::Refused(refusal))
            }
        }
    }

    fn pump_response(&mut self, upstream: &mut Upstream) -> Result<Moved, Fault> {
        self.exchange.response.pump(&mut upstream.conn, self.conn, &mut self.io)
    }

    /// While a request waits for its answer, or for its answer's rest, its client may leave, or
    /// send the next request. Reading on shows which; a little way only, for the next request is
    /// not wanted yet. (On epoll a hang-up announces itself. This is for where it does not.)
    pub(super) fn watch_client(&mut self) -> Verdict {
        if !watches(self.conn, self.exchange, self.ahead_max) {
            return Verdict::Blocked;
        }
        let room = self.ahead_max - self.conn.ahead().len();
        match self.conn.read(self.io.net, &mut self.io.scratch[..room]) {
            Read::Bytes(n) => {
                self.conn.keep(&self.io.scratch[..n], self.io.buffers);
                Verdict::Moved
            }
            Read::Blocked => Verdict::Blocked,
            // For an answer of ours a client that has ended its side is still a client.
            Read::End if !self.exchange.ends_with_client() => {
                self.conn.ready.clear(Ready::READ);
                Verdict::Blocked
            }
            Read::End | Read::Broken => Verdict::End(Outcome::ClientGone),
        }
    }
}

/// True when reading on from a client that is being served is to be tried.
#[inline]
pub(super) fn watches(conn: &Conn, exchange: &Exchange, ahead_max: usize) -> bool {
    let tunnel = matches!(exchange.phase, Phase::Tunnel(_));
    !tunnel
        && exchange.request.source_done()
        && conn.ready.has(Ready::READ)
        && conn.ahead().len() < ahead_max
}

/// Why a request cannot be completed.
#[derive(Debug)]
pub(super) enum RequestFault {
    /// The client ended or broke the connection in the middle of it.
    Gone,
    /// Its body is malformed or too long.
    Refused(Refusal),
}
