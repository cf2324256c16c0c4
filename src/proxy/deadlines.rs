//! When a session has to act though nothing arrives, and what it does then.
//!
//! [`Proxy::next_deadline`] is one list with two readers: the wheel is armed with its minimum, and
//! [`Proxy::act_on`] does what the minimum stands for once it has passed. A deadline whose
//! action cannot be taken yet is [`Tick::NEVER`]; that is what keeps a loop from spinning.

use super::finish::Refusal;
use super::{Parts, Proxy, Step};
use crate::net::Net;
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Phase};
use crate::session::outcome::Outcome;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::time::Duration;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// `read_timeout`: a client connection on which no request has begun.
    FirstByte,
    /// `keepalive_timeout`: a client connection that is idle between two requests.
    Keepalive,
    /// `read_timeout`: a request head that does not get complete.
    RequestHead,
    /// `body_timeout`: a request body that stands still.
    RequestBody,
    /// `write_timeout`: an upstream that takes nothing of the request.
    RequestStuck,
    /// `connect_timeout`: one address's share of it.
    Connect,
    /// `response_timeout`.
    ResponseHead,
    /// `idle_timeout`: an upstream that is silent in mid-body.
    ResponseBody,
    /// `stream_idle_timeout`: an upstream that is silent in mid-stream.
    StreamSilence,
    /// `tunnel_idle_timeout`: nobody has sent anything in a tunnel.
    TunnelIdle,
    /// `heartbeat`: a client that was sent nothing for a while.
    Heartbeat,
    /// `max_stream_age`, a moment in the drain window, or the operator: an event stream or a tunnel
    /// ends, and whatever else was asked of an api that is gone, or with a key that is.
    StreamEnd,
    /// An upstream that was lost is asked again.
    AskAgain,
    /// `resume_timeout`: it is not asked any more.
    GiveUp,
    /// `write_timeout`: a client that takes nothing of the response.
    ResponseStuck,
    /// `flush_interval`: gathered bytes go out.
    Flush,
    /// The built-in source's next event.
    Event,
    /// The end of a lingering close.
    Linger,
    /// `drain.window`.
    Drain,
}

impl Deadline {
    /// The word for it in `/streams`, which millstream(1) explains.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Deadline::Keepalive => "keepalive",
            Deadline::FirstByte => "first_byte",
            Deadline::RequestHead => "request_head",
            Deadline::RequestBody => "request_body",
            Deadline::RequestStuck => "request_stuck",
            Deadline::Connect => "connect",
            Deadline::ResponseHead => "response_head",
            Deadline::ResponseBody => "response_body",
            Deadline::StreamSilence => "stream_silence",
            Deadline::TunnelIdle => "tunnel_idle",
            Deadline::Heartbeat => "heartbeat",
            Deadline::StreamEnd => "stream_end",
            Deadline::AskAgain => "ask_again",
            Deadline::GiveUp => "give_up",
            Deadline::ResponseStuck => "response_stuck",
            Deadline::Flush => "flush",
            Deadline::Event => "event",
            Deadline::Linger => "linger",
            Deadline::Drain => "drain",
        }
    }

    /// When the wheel is to report it. The wheel is late by up to an eighth of the way, which is
    /// nothing to a timeout; what is on time or not at all is looked at earlier, and then again.
    pub(super) fn look_at(self, at: Tick, now: Tick) -> Tick {
        let punctual = [Deadline::Flush, Deadline::Event, Deadline::StreamEnd, Deadline::Drain];
        let punctual = punctual.contains(&self);
        let far = at.since(now) >= Duration::from_millis(64);
        if punctual && far { now.after(at.since(now) / 8 * 7) } else { at }
    }
}

impl<N: Net> Proxy<N> {
    /// The first moment at which a session has to act by itself, and on what account;
    /// [`Tick::NEVER`], on any account, where there is none.
    pub(super) fn next_deadline(&self, key: Key<Session>, now: Tick) -> (Tick, Deadline) {
        let server = &self.config.server;
        let own = match &self.sessions[key].state {
            State::Idle { since, fresh: true, .. } => {
                (since.after(server.read_timeout), Deadline::FirstByte)
            }
            State::Idle { since, fresh: false, .. } => {
                (since.after(server.keepalive_timeout), Deadline::Keepalive)
            }
            State::Head { since, .. } => (since.after(server.read_timeout), Deadline::RequestHead),
            State::Lingering { until, .. } => (*until, Deadline::Linger),
            State::Active(exchange) => self.exchange_deadline(exchange, now),
        };
        let mut earliest = Earliest(own);
        earliest.or(self.drain.unwrap_or(Tick::NEVER), Deadline::Drain);
        earliest.0
    }

    fn exchange_deadline(&self, exchange: &Exchange, now: Tick) -> (Tick, Deadline) {
        let high_water = self.portions.high_water;
        let server = &exchange.config.server;
        let (request, response) = (exchange.request.pipe(), &exchange.response);
        let stuck = response.stuck_deadline(now, high_water, server.write_timeout);
        let mut earliest = Earliest((stuck, Deadline::ResponseStuck));
        earliest.or(response.flush_deadline(now, high_water), Deadline::Flush);
        match &exchange.phase {
            Phase::Local(local) if response.pending() == 0 => {
                earliest.or(local.next(), Deadline::Event);
            }
            Phase::Answering | Phase::Delivering | Phase::Local(_) => {}
            Phase::Holding(until) => earliest.or(*until, Deadline::AskAgain),
            Phase::Connecting(attempt) => earliest.or(attempt.deadline, Deadline::Connect),
            Phase::AwaitingHead(awaiting) => {
                request_deadlines(&mut earliest, exchange, high_water, now);
                // A client that asked for 100 (Continue) holds its body back until somebody speaks.
                // And once the response has begun, a body may take as long as the response.
                if let Some(request) = request.filter(|_| !exchange.facts.awaits_continue) {
                    let silent = request.silence_deadline(high_water, server.body_timeout);
                    earliest.or(silent, Deadline::RequestBody);
                }
                let idle = exchange.request.done() || exchange.facts.awaits_continue;
                if let Some(limit) = exchange.api().and_then(|api| api.response_timeout)
                    && idle
                {
                    // An upload may take its time: the answer is due when nothing else is.
                    let since =
                        request.map_or(awaiting.since, |r| r.active_at().max(awaiting.since));
                    earliest.or(since.after(limit), Deadline::ResponseHead);
                }
            }
            Phase::Relaying(_) => {
                request_deadlines(&mut earliest, exchange, high_water, now);
                let (limit, deadline) = match exchange.api() {
                    Some(api) if exchange.facts.event_stream => {
                        (api.streams.idle_timeout, Deadline::StreamSilence)
                    }
                    api => (api.and_then(|api| api.idle_timeout), Deadline::ResponseBody),
                };
                if let Some(limit) = limit {
                    earliest.or(response.silence_deadline(high_water, limit), deadline);
                }
            }
            Phase::Tunnel(_) => {
                request_deadlines(&mut earliest, exchange, high_water, now);
                if let Some(limit) = exchange.api().and_then(|api| api.tunnel_idle_timeout) {
                    earliest.or(exchange.active_at().after(limit), Deadline::TunnelIdle);
                }
            }
        }
        if exchange.is_leased() {
            earliest.or(exchange.lease, Deadline::StreamEnd);
        }
        stream_deadlines(&mut earliest, exchange);
        earliest.0
    }

    /// Does what a deadline stands for, now that it has passed and nothing else moves.
    pub(super) fn act_on(&mut self, deadline: Deadline, key: Key<Session>, now: Tick) -> Step {
        match deadline {
            Deadline::Flush | Deadline::Event => {
                unreachable!("what is due is done by the step before, {deadline:?}")
            }
            Deadline::FirstByte | Deadline::Keepalive | Deadline::Linger => self.close_session(key),
            Deadline::RequestHead => self.refuse_slow_head(key, now),
            Deadline::RequestBody => {
                let what = "the request body stood still";
                self.answer(key, Refusal::closing(Cause::BodyTimeout, 408, what), now)
            }
            Deadline::RequestStuck => self.give_up_request(key, now),
            Deadline::Connect => self.connect_timed_out(key, now),
            Deadline::ResponseHead => {
                let what = "the upstream did not answer in time";
                self.answer(key, Refusal::closing(Cause::ResponseTimeout, 504, what), now)
            }
            Deadline::ResponseBody => self.cut_response(key, Outcome::UpstreamIdle, now),
            Deadline::TunnelIdle => self.end(key, Outcome::UpstreamIdle, now),
            Deadline::StreamSilence => self.stream_silent(key, now),
            Deadline::Heartbeat => self.beat(key, now),
            Deadline::StreamEnd => self.end_by_lease(key, now),
            Deadline::AskAgain => self.ask_again(key, now),
            Deadline::GiveUp => self.end_between_events(key, Outcome::UpstreamCut, now),
            Deadline::ResponseStuck => self.end(key, Outcome::SlowClient, now),
            Deadline::Drain => self.end_for_drain(key, now),
        }
    }

    /// The upstream takes nothing of a request. One that has begun to answer has read enough and
    /// may go on answering; another has failed.
    fn give_up_request(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Parts { session, io, .. } = self.parts(key, now);
        let exchange = session.state.exchange_mut();
        match exchange.phase {
            Phase::Relaying(_) => {
                exchange.request.abandon(io.buffers);
                Step::Moved
            }
            Phase::Tunnel(_) => self.end(key, Outcome::UpstreamIdle, now),
            Phase::Answering
            | Phase::Local(_)
            | Phase::Holding(_)
            | Phase::Connecting(_)
            | Phase::AwaitingHead(_)
            | Phase::Delivering => {
                let what = "the upstream takes nothing of the request";
                self.answer(key, Refusal::closing(Cause::WriteTimeout, 504, what), now)
            }
        }
    }
}

/// The earliest of some deadlines; of two at the same moment, the one that was named first.
struct Earliest((Tick, Deadline));

impl Earliest {
    fn or(&mut self, at: Tick, deadline: Deadline) {
        if at < self.0.0 {
            self.0 = (at, deadline);
        }
    }
}

/// An event stream's client is sent something now and then.
fn stream_deadlines(earliest: &mut Earliest, exchange: &Exchange) {
    if !exchange.is_open_stream() {
        return;
    }
    if let Some(interval) = exchange.api().and_then(|api| api.streams.heartbeat) {
        earliest.or(exchange.response.heartbeat_deadline(interval), Deadline::Heartbeat);
    }
    if let Some(revival) = exchange.revival.as_ref().filter(|revival| revival.lost.is_some()) {
        earliest.or(revival.gives_up, Deadline::GiveUp);
    }
}

/// A request must not get stuck, and nothing of it may be gathered for too long.
fn request_deadlines(earliest: &mut Earliest, exchange: &Exchange, high_water: usize, now: Tick) {
    let server = &exchange.config.server;
    let Some(request) = exchange.request.pipe() else { return };
    let stuck = request.stuck_deadline(now, high_water, server.write_timeout);
    earliest.or(stuck, Deadline::RequestStuck);
    earliest.or(request.flush_deadline(now, high_water), Deadline::Flush);
}
