//! The deadlines of a session, and what happens when one passes.
//!
//! [`next`] serves two readers: the timer wheel is armed with the earliest deadline, and [`act`]
//! returns what that deadline does once it has passed. A deadline that cannot act yet is
//! [`Tick::NEVER`]. This keeps the loop from spinning.
//!
//! `body_timeout` applies until the response head arrives; its result is a 408. After that, a
//! paused request body cuts nothing, because two-way streams pause.

use super::next::{Action, Next};
use super::shared::Shared;
use crate::config::{Api, Failed};
use crate::exchange::{Awaiting, Exchange, LocalReply, Source, Stage};
use crate::net::Net;
use crate::session::{Session, State};
use crate::telemetry::{Cause, Outcome};
use crate::time::Tick;
use std::time::Duration;

/// The kinds of deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// `read_timeout`: the PROXY header of a connection is incomplete.
    ProxyHeader,
    /// `tls.handshake_timeout`: the TLS handshake with the client is not over.
    Handshake,
    /// `read_timeout`: no request has begun on a new client connection.
    FirstByte,
    /// `keepalive_timeout`: a client connection is idle between two requests.
    Keepalive,
    /// `read_timeout`: a request head is incomplete.
    RequestHead,
    /// `body_timeout`: a request body has stalled.
    RequestBody,
    /// `write_timeout`: the upstream accepts no bytes of the request.
    RequestStuck,
    /// `queue_timeout`: no connection to the upstream has become free.
    Queue,
    /// `connect_timeout`: the share of one address.
    Connect,
    /// `response_timeout`: the upstream has not sent its response head.
    ResponseHead,
    /// `early_answer`: the client gets the head of an event stream before the upstream's.
    EarlyAnswer,
    /// `first_event_timeout`: the upstream has sent no event.
    FirstEvent,
    /// `stall_timeout`: the upstream has sent no further event.
    Stall,
    /// `idle_timeout`: the upstream is silent in mid-body.
    ResponseBody,
    /// `stream_idle_timeout`: the upstream is silent in mid-stream.
    StreamSilence,
    /// `tunnel_idle_timeout`: neither side of a tunnel has sent anything.
    TunnelIdle,
    /// `heartbeat`: nothing was sent to the client of a stream for a while.
    Heartbeat,
    /// The end of an event stream or a tunnel by `max_stream_age`, an expiring certificate, a drain
    /// or the operator; or of any exchange whose api or key was removed.
    Expiry,
    /// `auth.recheck`: the auth server is asked again about an open stream or tunnel.
    Recheck,
    /// `share.settle`: the client's own stream has been quiet for so long that it continues with
    /// the shared log.
    Settle,
    /// A lost upstream is asked again.
    AskAgain,
    /// `resume_timeout`: a lost upstream is no longer asked.
    GiveUp,
    /// `write_timeout`: the client accepts no bytes of the response.
    ResponseStuck,
    /// `flush_interval`: gathered bytes are sent.
    Flush,
    /// The next event of the built-in source is due.
    Event,
    /// The end of a lingering close.
    Linger,
    /// `drain.window` or `drain.answers`: the session is closed.
    Drain,
}

impl Deadline {
    /// The name of the deadline in `/streams`. millstream(1) explains each.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Deadline::ProxyHeader => "proxy_header",
            Deadline::Handshake => "handshake",
            Deadline::Keepalive => "keepalive",
            Deadline::FirstByte => "first_byte",
            Deadline::RequestHead => "request_head",
            Deadline::RequestBody => "request_body",
            Deadline::RequestStuck => "request_stuck",
            Deadline::Queue => "queue",
            Deadline::Connect => "connect",
            Deadline::ResponseHead => "response_head",
            Deadline::EarlyAnswer => "early_answer",
            Deadline::FirstEvent => "first_event",
            Deadline::Stall => "stall",
            Deadline::ResponseBody => "response_body",
            Deadline::StreamSilence => "stream_silence",
            Deadline::TunnelIdle => "tunnel_idle",
            Deadline::Heartbeat => "heartbeat",
            Deadline::Expiry => "stream_end",
            Deadline::Recheck => "recheck",
            Deadline::Settle => "settle",
            Deadline::AskAgain => "ask_again",
            Deadline::GiveUp => "give_up",
            Deadline::ResponseStuck => "response_stuck",
            Deadline::Flush => "flush",
            Deadline::Event => "event",
            Deadline::Linger => "linger",
            Deadline::Drain => "drain",
        }
    }

    /// True if it must be acted on in time. For a timeout it does not matter that the timer wheel
    /// is late by up to an eighth of the delay.
    const fn is_punctual(self) -> bool {
        // A drain may be waiting only for a linger.
        matches!(
            self,
            Deadline::Flush
                | Deadline::Event
                | Deadline::Expiry
                | Deadline::Drain
                | Deadline::Linger
        )
    }
}

/// The earliest deadline of a session.
pub(super) fn next<N: Net>(session: &Session, shared: &Shared<N>, now: Tick) -> Earliest {
    let server = &shared.config.server;
    let mut earliest = match &session.state {
        State::ProxyHeader { since, .. } => {
            let end = shared.phase.end_of_silence(*since);
            Earliest::new(since.after(server.read_timeout).min(end), Deadline::ProxyHeader)
        }
        State::Handshake { since, .. } => {
            let end = shared.phase.end_of_silence(*since);
            let timeout = shared.tls.handshake_timeout;
            Earliest::new(since.after(timeout).min(end), Deadline::Handshake)
        }
        State::Idle { since, fresh: true, .. } => {
            let end = shared.phase.end_of_silence(*since);
            Earliest::new(since.after(server.read_timeout).min(end), Deadline::FirstByte)
        }
        State::Idle { since, fresh: false, .. } => {
            Earliest::new(since.after(server.keepalive_timeout), Deadline::Keepalive)
        }
        State::Head { since, .. } => {
            Earliest::new(since.after(server.read_timeout), Deadline::RequestHead)
        }
        State::Lingering { until, .. } => Earliest::new(*until, Deadline::Linger),
        State::Active(exchange) => of_exchange(exchange, shared.portions.high_water, now),
    };
    earliest.or(shared.phase.end_of(session), Deadline::Drain);
    earliest
}

/// The earliest deadline of an exchange.
pub(super) fn of_exchange(exchange: &Exchange, high_water: usize, now: Tick) -> Earliest {
    let response = &exchange.response;
    let stuck =
        response.outlet.stuck_deadline(now, high_water, exchange.config.server.write_timeout);
    let mut earliest = Earliest::new(stuck, Deadline::ResponseStuck);
    earliest.or(response.outlet.flush_deadline(now, high_water), Deadline::Flush);
    match exchange.source() {
        // Those who will answer have their own time limits.
        Source::None | Source::Local(_) | Source::Log(_) | Source::Authorizing(_) => {}
        Source::Waiting(until) => earliest.or(*until, Deadline::AskAgain),
        Source::Queued(queued) => {
            earliest.or(queued.gives_up, Deadline::Queue);
            earliest.or(queued.asks_again, Deadline::AskAgain);
            let due = exchange.outbound.as_ref().map_or(Tick::NEVER, |o| o.gives_up());
            earliest.or(due, Deadline::ResponseHead);
        }
        Source::Connecting(attempt) => earliest.or(attempt.deadline, Deadline::Connect),
        Source::Awaiting(awaiting) => {
            of_request(&mut earliest, exchange, high_water, now);
            of_answer(&mut earliest, exchange, awaiting, high_water);
        }
        Source::Upstream(_) => {
            of_request(&mut earliest, exchange, high_water, now);
            of_silence(&mut earliest, exchange, high_water);
            of_events(&mut earliest, exchange, high_water);
            if exchange.is_fresh() {
                earliest.or(exchange.settles_at(), Deadline::Settle);
            }
        }
    }
    if let Source::Local(local) = exchange.source()
        && response.pending() == 0
    {
        earliest.or(local.next(), Deadline::Event);
    }
    earliest.or(exchange.early_answer_at(), Deadline::EarlyAnswer);
    if exchange.has_expiry() {
        earliest.or(exchange.expires_at(), Deadline::Expiry);
        earliest.or(exchange.recheck_at(), Deadline::Recheck);
    }
    of_stream(&mut earliest, exchange);
    earliest
}

/// Adds the deadline of a request that is being sent: it must not get stuck.
fn of_request(earliest: &mut Earliest, exchange: &Exchange, high_water: usize, now: Tick) {
    let server = &exchange.config.server;
    let Some(request) = exchange.upload.pipe() else { return };
    let stuck = request.outlet.stuck_deadline(now, high_water, server.write_timeout);
    earliest.or(stuck, Deadline::RequestStuck);
}

/// Adds the deadlines of an awaited response head: the request body must not stall, and the
/// response must arrive in time.
fn of_answer(earliest: &mut Earliest, exchange: &Exchange, awaiting: &Awaiting, high_water: usize) {
    let request = exchange.upload.pipe();
    // A client that asked for 100 (Continue) holds its body back until it gets an answer. Once the
    // response has begun, the body may take as long as the response.
    if !exchange.awaits_continue
        && let Some(request) = request
    {
        let own = exchange.api().and_then(|api| api.clients.body_timeout);
        let limit = own.unwrap_or(exchange.config.server.body_timeout);
        earliest.or(request.silence_deadline(high_water, limit), Deadline::RequestBody);
    }
    if is_uploading(exchange) {
        return;
    }
    let Some(api) = exchange.api() else { return };
    if !awaiting.has_head() {
        let since = since(exchange, awaiting.since);
        let due = response_due(exchange, awaiting);
        if due != Tick::NEVER {
            let own = due.since(since) / targets_to_ask(exchange, api);
            earliest.or(since.after(own), Deadline::ResponseHead);
        }
    }
    earliest.or(first_event_due(exchange, awaiting), Deadline::FirstEvent);
}

/// True if the request body is in progress. An upload may take its time: the response is due once
/// nothing else is in progress.
fn is_uploading(exchange: &Exchange) -> bool {
    !exchange.upload.done() && !exchange.awaits_continue
}

/// When the first event is due, whichever target was asked. [`Tick::NEVER`] if there is no limit.
pub(super) fn first_event_due(exchange: &Exchange, awaiting: &Awaiting) -> Tick {
    let limit = exchange.api().and_then(|api| api.streams.first_event_timeout);
    match limit.filter(|_| exchange.may_stream()) {
        Some(limit) => since(exchange, awaiting.sent).after(limit),
        None => Tick::NEVER,
    }
}

/// Since when the response has been awaited: `since`, or when the request was sent if that is
/// later.
fn since(exchange: &Exchange, since: Tick) -> Tick {
    exchange.upload.pipe().map_or(since, |request| request.active_at().max(since))
}

/// When the awaited response head is due, whichever target sends it. [`Tick::NEVER`] if there is no
/// limit, or if the request is still being sent.
pub(super) fn response_due(exchange: &Exchange, awaiting: &Awaiting) -> Tick {
    let limit = exchange.api().and_then(|api| response_timeout(exchange, api));
    let limit = limit.filter(|_| !is_uploading(exchange));
    let due = limit.map_or(Tick::NEVER, |limit| since(exchange, awaiting.since).after(limit));
    exchange.outbound.as_ref().map_or(due, |outbound| due.min(outbound.gives_up()))
}

/// The number of targets, including the current one, that share the time until the response is due.
fn targets_to_ask(exchange: &Exchange, api: &Api) -> u32 {
    1 + if api.retry_on.has(Failed::Timeout) { exchange.other_targets() } else { 0 }
}

/// How long the response head may take. Many servers send it only with the first event, so the
/// response to a subscription has a separate limit.
fn response_timeout(exchange: &Exchange, api: &Api) -> Option<Duration> {
    if exchange.facts.wants_events() { api.streams.response_timeout } else { api.response_timeout }
}

/// Adds the deadline for the next event of a stream. An upstream that is not being read is not
/// late.
fn of_events(earliest: &mut Earliest, exchange: &Exchange, high_water: usize) {
    let (Some(clock), Some(api)) = (exchange.event_clock(), exchange.api()) else { return };
    if exchange.stage() != Stage::Stream || !exchange.response.wants_source(high_water) {
        return;
    }
    if let Some(limit) = api.streams.stall_timeout {
        earliest.or(clock.since.after(limit), Deadline::Stall);
    }
    if let Some(limit) = api.streams.first_event_timeout
        && !clock.ticked
    {
        earliest.or(clock.asked.after(limit), Deadline::FirstEvent);
    }
}

/// Adds the deadline for an upstream that is silent after it has begun to respond.
fn of_silence(earliest: &mut Earliest, exchange: &Exchange, high_water: usize) {
    let Some(api) = exchange.api() else { return };
    if exchange.stage() == Stage::Tunnel {
        if let Some(limit) = api.tunnel_idle_timeout {
            earliest.or(exchange.active_at().after(limit), Deadline::TunnelIdle);
        }
        return;
    }
    let (limit, deadline) = if exchange.stage().is_stream() {
        (api.streams.idle_timeout, Deadline::StreamSilence)
    } else {
        (api.idle_timeout, Deadline::ResponseBody)
    };
    if let Some(limit) = limit {
        earliest.or(exchange.response.silence_deadline(high_water, limit), deadline);
    }
}

/// Adds the deadlines of an event stream: the next heartbeat, and the end of the attempts to resume
/// it.
fn of_stream(earliest: &mut Earliest, exchange: &Exchange) {
    if !exchange.stage().is_stream() {
        return;
    }
    if let Some(interval) = exchange.api().and_then(|api| api.streams.heartbeat) {
        earliest.or(exchange.response.outlet.heartbeat_deadline(interval), Deadline::Heartbeat);
    }
    if exchange.stage().is_without_upstream()
        && let Some(resume) = exchange.resume()
    {
        earliest.or(resume.gives_up(), Deadline::GiveUp);
    }
}

/// What happens to a session and its exchange when its time in a drain is over.
pub(super) const fn drain(exchange: Option<&Exchange>) -> Next {
    if exchange.is_some() { Next::end(Outcome::Drained) } else { Next::Close }
}

/// What happens when a deadline of a session, or of its exchange, has passed and nothing else
/// moves.
pub(super) fn act(deadline: Deadline, exchange: Option<&Exchange>) -> Next {
    let refuse = |cause, status, what| Action::Fail(LocalReply::refused(cause, status, what));
    Next::Do(match deadline {
        Deadline::Flush | Deadline::Event => {
            unreachable!("what is due is done by the step before, {deadline:?}")
        }
        Deadline::FirstByte | Deadline::Keepalive | Deadline::Linger => return Next::Close,
        Deadline::ProxyHeader => return Next::TimeOutProxyHeader,
        Deadline::Handshake => return Next::TimeOutHandshake,
        Deadline::RequestHead => return Next::TimeOutHead,
        Deadline::RequestBody => {
            let api = exchange.and_then(|exchange| exchange.api());
            Action::Fail(LocalReply::stalled_body(api))
        }
        Deadline::RequestStuck => Action::GiveUpRequest,
        Deadline::Queue => Action::Fail(LocalReply::busy(
            Cause::QueueTimeout,
            "no connection to the upstream became free in time",
        )),
        Deadline::Connect => Action::TimeOutConnect,
        Deadline::ResponseHead => match exchange {
            Some(exchange) => Action::Fail(late_response(exchange)),
            None => unreachable!("only an exchange awaits a response"),
        },
        Deadline::EarlyAnswer => Action::AnswerEarly,
        Deadline::FirstEvent if !has_stream(exchange) => {
            refuse(Cause::FirstEventTimeout, 504, "the upstream sent no event in time")
        }
        Deadline::FirstEvent | Deadline::Stall => Action::StreamSilent(Outcome::UpstreamStalled),
        Deadline::ResponseBody => Action::Cut(Outcome::UpstreamIdle),
        Deadline::TunnelIdle => Action::End(Outcome::UpstreamIdle),
        Deadline::StreamSilence => Action::StreamSilent(Outcome::UpstreamIdle),
        Deadline::Heartbeat => Action::Heartbeat,
        Deadline::Expiry => Action::Expire,
        Deadline::Recheck => Action::Recheck,
        Deadline::Settle => Action::Settle,
        Deadline::AskAgain => Action::AskAgain,
        Deadline::GiveUp => Action::EndStream(Outcome::UpstreamCut),
        Deadline::ResponseStuck => Action::End(Outcome::SlowClient),
        Deadline::Drain => return drain(exchange),
    })
}

/// The reply if the response head did not arrive in time.
pub(super) fn late_response(exchange: &Exchange) -> LocalReply {
    let subscribes = exchange.facts.wants_events();
    let cause = if subscribes { Cause::StreamResponseTimeout } else { Cause::ResponseTimeout };
    LocalReply::refused(cause, 504, "the upstream did not respond in time")
}

/// True if an upstream has answered the request with an event stream.
fn has_stream(exchange: Option<&Exchange>) -> bool {
    exchange.is_some_and(|exchange| exchange.stage() == Stage::Stream)
}

/// The earliest of several deadlines. Of two at the same moment, the one added first wins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Earliest {
    /// When it passes. [`Tick::NEVER`] if there is none.
    pub at: Tick,
    /// What it is for.
    pub deadline: Deadline,
    /// The earliest of the deadlines that must be punctual.
    punctual: Tick,
}

impl Earliest {
    fn new(at: Tick, deadline: Deadline) -> Earliest {
        let punctual = if deadline.is_punctual() { at } else { Tick::NEVER };
        Earliest { at, deadline, punctual }
    }

    #[inline]
    fn or(&mut self, at: Tick, deadline: Deadline) {
        if at < self.at {
            (self.at, self.deadline) = (at, deadline);
        }
        if deadline.is_punctual() && at < self.punctual {
            self.punctual = at;
        }
    }

    /// When the timer wheel should report it. If a deadline must be punctual, even if another one
    /// is earlier, this is before its time, and then again.
    pub(super) fn look_at(&self, now: Tick) -> Tick {
        let left = self.punctual.since(now);
        if self.punctual == Tick::NEVER || left < Duration::from_millis(64) {
            return self.at;
        }
        self.at.min(now.after(left / 8 * 7))
    }
}
