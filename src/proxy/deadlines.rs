//! When a session has to act though nothing arrives, and what it does then.
//!
//! [`Proxy::next_deadline`] is one list with two readers: the wheel is armed with its minimum, and
//! [`Proxy::act_on_deadline`] does what the minimum stands for once it has passed. A deadline whose
//! action cannot be taken yet is [`Tick::NEVER`]; that is what keeps a loop from spinning.

use super::finish::Refusal;
use super::{Proxy, Step};
use crate::config::{Api, Config};
use crate::exchange::{Exchange, Outcome, Phase};
use crate::net::Net;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// No deadline is set.
    None,
    /// `keepalive_timeout`: an idle client connection.
    Keepalive,
    /// `read_timeout`: a request head that does not get complete.
    RequestHead,
    /// `read_timeout`: a request body that stands still.
    RequestBody,
    /// `write_timeout`: an upstream that takes nothing of the request.
    RequestStuck,
    /// `connect_timeout`: one address's share of it.
    Connect,
    /// `response_timeout`.
    ResponseHead,
    /// `idle_timeout`: an upstream that is silent in mid-body.
    ResponseBody,
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

impl<N: Net> Proxy<N> {
    /// The first moment at which a session has to act by itself, and on what account.
    pub(super) fn next_deadline(&self, key: Key<Session>, now: Tick) -> (Tick, Deadline) {
        let server = &self.config.server;
        let own = match &self.sessions[key].state {
            State::Idle { since } => (since.after(server.keepalive_timeout), Deadline::Keepalive),
            State::Head { since, .. } => (since.after(server.read_timeout), Deadline::RequestHead),
            State::Lingering { until } => (*until, Deadline::Linger),
            State::Active(exchange) => self.exchange_deadline(exchange, now),
        };
        let drain = (self.drain.unwrap_or(Tick::NEVER), Deadline::Drain);
        if drain.0 < own.0 { drain } else { own }
    }

    fn exchange_deadline(&self, exchange: &Exchange, now: Tick) -> (Tick, Deadline) {
        let high_water = self.portions.high_water;
        let config = &*exchange.config;
        let (request, response) = (&exchange.request, &exchange.response);
        let stuck = response.stuck_deadline(now, high_water, config.server.write_timeout);
        let flush = response.flush_deadline(now, high_water);
        let mut first = First::new(stuck, Deadline::ResponseStuck);
        first.or(flush, Deadline::Flush);
        match &exchange.phase {
            Phase::Answering | Phase::Delivering => {}
            Phase::Local(events) if response.pending() == 0 => {
                first.or(events.next(), Deadline::Event);
            }
            Phase::Local(_) => {}
            Phase::Connecting(attempt) => first.or(attempt.deadline, Deadline::Connect),
            Phase::AwaitingHead(awaiting) => {
                request_deadlines(&mut first, exchange, high_water, now);
                // An upload may take its time; the answer is due when it has nothing to do but
                // answer.
                let since = awaiting.since.max(request.active_at());
                if let Some(api) = api(config, exchange) {
                    first.or(since.after(api.response_timeout), Deadline::ResponseHead);
                }
            }
            Phase::Relaying(_) => {
                request_deadlines(&mut first, exchange, high_water, now);
                if let Some(api) = api(config, exchange).filter(|_| !exchange.facts.event_stream) {
                    let silent = response.silence_deadline(high_water, api.idle_timeout);
                    first.or(silent, Deadline::ResponseBody);
                }
            }
            Phase::Tunnel(_) => {
                let limit = config.server.write_timeout;
                first.or(request.stuck_deadline(now, high_water, limit), Deadline::RequestStuck);
                first.or(request.flush_deadline(now, high_water), Deadline::Flush);
            }
        }
        first.0
    }

    /// Does what the first deadline stands for, if it has passed. Called when nothing else moves.
    pub(super) fn act_on_deadline(&mut self, key: Key<Session>, now: Tick) -> Step {
        let (at, deadline) = self.next_deadline(key, now);
        if at > now {
            return Step::Blocked;
        }
        match deadline {
            // These two move by themselves as soon as they are due; the step before has seen to it.
            Deadline::None | Deadline::Flush | Deadline::Event => Step::Blocked,
            Deadline::Keepalive | Deadline::Linger => self.close_session(key),
            Deadline::RequestHead => self.refuse_slow_head(key, now),
            Deadline::RequestBody => {
                let what = "the request body stood still";
                self.fail(key, Refusal::limited(408, what, "server.read_timeout"), now)
            }
            Deadline::RequestStuck => {
                let what = "the upstream takes nothing of the request";
                self.fail(key, Refusal::limited(504, what, "server.write_timeout"), now)
            }
            Deadline::Connect => self.connect_timed_out(key, now),
            Deadline::ResponseHead => {
                let what = "the upstream did not answer in time";
                self.fail(key, Refusal::limited(504, what, "response_timeout"), now)
            }
            Deadline::ResponseBody => {
                log::info!("idle_timeout: the upstream was silent in the middle of a response");
                self.cut_response(key, Outcome::UpstreamIdle, now)
            }
            Deadline::ResponseStuck => {
                log::info!("server.write_timeout: the client takes nothing");
                self.end(key, Outcome::SlowClient, now)
            }
            Deadline::Drain => self.end_for_drain(key, now),
        }
    }
}

/// The earliest of some deadlines.
struct First((Tick, Deadline));

impl First {
    const fn new(at: Tick, deadline: Deadline) -> First {
        First((at, deadline))
    }

    fn or(&mut self, at: Tick, deadline: Deadline) {
        if at < self.0.0 {
            self.0 = (at, deadline);
        }
    }
}

/// A request body may neither stand still nor get stuck. But a client that asked for 100 (Continue)
/// holds its body back until somebody speaks; the response's own deadline bounds that.
fn request_deadlines(first: &mut First, exchange: &Exchange, high_water: usize, now: Tick) {
    let server = &exchange.config.server;
    let request = &exchange.request;
    let stuck = request.stuck_deadline(now, high_water, server.write_timeout);
    first.or(stuck, Deadline::RequestStuck);
    first.or(request.flush_deadline(now, high_water), Deadline::Flush);
    if !exchange.facts.awaits_continue {
        let silent = request.silence_deadline(high_water, server.read_timeout);
        first.or(silent, Deadline::RequestBody);
    }
}

fn api<'c>(config: &'c Config, exchange: &Exchange) -> Option<&'c Api> {
    config.apis.get(usize::from(exchange.api?))
}
