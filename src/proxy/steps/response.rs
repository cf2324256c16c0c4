//! Responses, from the upstream's first byte until they are being relayed.
//!
//! The connection of a HEAD, a 204 or a 304 is not reused. Some servers send a body after such a
//! response, too late for anyone to notice in time, and the next client would get it as its
//! response. So each of these costs a connection: a 304 takes three times the CPU time it takes on
//! a reused one. This side closes the connection, so its port stays in TIME_WAIT for a minute, and
//! with Linux's defaults at most 470 a second can go to one address (except on the loopback, or
//! with `net.ipv4.tcp_tw_reuse = 1`). For a HEAD the request says `Connection: close`, so the
//! server closes.

use super::head::{Found, find_head, head_limits};
use super::relay::{RequestFault, pump_request};
use super::{grants, lookahead, outage, redirects, retry, sticky, tunnel};
use crate::apis::Apis;
use crate::config::{Failed, OnOutage};
use crate::conn::Conn;
use crate::edge::{Edge, admission};
use crate::exchange::{Awaiting, Exchange, LocalReply, Lookahead, Source, Stage};
use crate::http::forward::{self, Respond};
use crate::http::framing::BodyLength;
use crate::http::head::{self, FieldStore, HeadError, HeadSearch, ResponseHead, Version};
use crate::net::Net;
use crate::pipe::{Flow, Io, Moved};
use crate::pool::Connection;
use crate::proxy::next::{Action, Next};
use crate::proxy::sharing::{feed, fresh};
use crate::proxy::step::Step;
use crate::slab::Key;
use crate::telemetry::{Cause, Failure, Outcome, is_outage};
use crate::time::Tick;
use std::net::IpAddr;

/// Sends the request and awaits the response head.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>) -> Next {
    match pump_request(step, key) {
        Ok(Moved::Yes) => Next::Moved,
        // While the client reads nothing, no further heads are read for it.
        Ok(Moved::No) if step.exchange.response.pending() >= step.io.high_water => {
            step.watch_client()
        }
        Ok(Moved::No) => {
            let next = read_head(step, key);
            if matches!(next, Next::Blocked) { step.watch_client() } else { next }
        }
        Err(RequestFault::Gone) => Next::end(Outcome::ClientGone),
        Err(RequestFault::Refused(reply)) => Next::fail(reply),
    }
}

/// Reads the response head and acts on it once it is complete.
fn read_head<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>) -> Next {
    let Step { exchange, io, out, pool, apis, telemetry, .. } = step;
    let limits = head_limits(&exchange.config);
    let conn = &mut pool[key].conn;
    let Some(awaiting) = exchange.awaiting_mut() else { return Next::Blocked };
    let waited = awaiting.has_head();
    let found = if waited {
        lookahead::await_event(conn, awaiting, &limits, io)
    } else {
        await_head(conn, awaiting, &limits, io)
    };
    let bytes = match found {
        Ok(bytes) => bytes,
        Err(next) => return next,
    };
    let search = std::mem::replace(&mut awaiting.search, HeadSearch::response());
    awaiting.begin();
    let bytes = search.joined(bytes);
    exchange.keep_alive_if(!step.phase.is_draining());
    let mut store = FieldStore::new();
    let parsed = ResponseHead::parse(bytes, &mut store, &limits, exchange.facts.is_head());
    let head = match parsed {
        Ok(head) => head,
        Err(error) => return bad_head(error),
    };
    if let Some(failed) = Failed::of_status(head.status)
        && retry::is_due(exchange, pool, failed, step.now.tick)
    {
        if let Some(endpoint) = pool.endpoint_of(key) {
            endpoint.stats.count_failure(Failure::Unavailable, step.now.tick);
        }
        return Next::Do(Action::AskAnother(failed));
    }
    if head.status >= 200 {
        sticky::learn(exchange, pool, apis, key, &head, step.now.tick);
    }
    if !waited && lookahead::keeps_back(exchange, &head) {
        let lookahead = Lookahead::new(bytes, head.length);
        return lookahead::begin(exchange, &pool[key].conn, lookahead, io);
    }
    if let Some(log) = step.fills {
        return feed::answered(exchange, pool, key, (&head, bytes), log, out, step.now.tick);
    }
    if exchange.stage().is_stream() {
        let next = outage::join(exchange, pool, telemetry, key, &head, step.now.tick);
        if exchange.stage() == Stage::Stream {
            exchange.upload.forget_body(io.buffers);
        }
        return next;
    }
    fresh::judge(exchange, &head);
    let passes = pass(exchange, step.peer, &head, apis, step.edge);
    let stage = passes.and_then(|()| {
        forward_head(exchange, &mut pool[key], &head, out, step.date, step.now.tick)
            .map_err(|what| LocalReply::refused(Cause::UpstreamMalformed, 502, what))
    });
    let status = head.status;
    let stage = match stage {
        Ok(stage) => stage,
        Err(reply) => return Next::fail(reply),
    };
    exchange.response.queue(out, io.buffers, io.now);
    stage.map_or(Next::Moved, |stage| begin(step, key, stage, status))
}

/// Reads until the response head is complete. Until then, returns what to do next.
fn await_head<'a, N: Net>(
    conn: &mut Conn,
    awaiting: &mut Awaiting,
    limits: &head::HeadLimits,
    io: &'a mut Io<'_, N>,
) -> Result<&'a mut [u8], Next> {
    Err(match find_head(conn, &mut awaiting.search, limits, io) {
        Found::Complete(bytes) => return Ok(bytes),
        Found::More => Next::Moved,
        Found::Blocked => Next::Blocked,
        Found::Ended(false) => Next::Do(Action::SendAgain),
        Found::Ended(true) => {
            let what = "the upstream closed before its response head was complete";
            Next::fail(LocalReply::refused(Cause::UpstreamClosed, 502, what))
        }
        Found::Wrong(_, bytes) if awaiting.is_of_another(bytes) => Next::Do(Action::SendAgain),
        Found::Wrong(error, _) => bad_head(error),
    })
}

/// Decides whether a response goes to the client. It does not if `on_outage` replaces it, or if it
/// is an event stream for which there is no room.
fn pass(
    exchange: &mut Exchange,
    peer: Option<IpAddr>,
    head: &ResponseHead<'_, '_>,
    apis: &Apis,
    edge: &Edge,
) -> Result<(), LocalReply> {
    if is_outage(head.status) && exchange.on_outage() != OnOutage::Error {
        let what = "the upstream answered that it is unavailable";
        return Err(LocalReply::refused(Cause::UpstreamUnavailable, head.status, what));
    }
    if head.is_event_stream {
        admission::acquire(exchange, peer, apis, &edge.totals.key_streams)?;
        grants::read(exchange, head);
        grants::pass_on(exchange);
    }
    Ok(())
}

/// Starts relaying the rest of a response whose head was queued for the client.
fn begin<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>, stage: Stage, status: u16) -> Next {
    let Step { exchange, io, pool, .. } = step;
    exchange.upload.forget_body(io.buffers);
    exchange.enter(stage, Source::Upstream(key));
    exchange.record.status = status;
    pool.note_answer(key, status, io.now);
    if stage == Stage::Tunnel {
        tunnel::open(exchange, io.now);
        return Next::Do(Action::Open);
    }
    Next::Do(Action::NoteAnswer)
}

fn bad_head(error: HeadError) -> Next {
    Next::fail(LocalReply::refused(Cause::of_response_head(error), 502, error.what()))
}

/// Checks whether a response head is valid at this point, and writes the client's head to `out`.
/// Returns the stage that the exchange enters with it. None for an interim response, which is
/// followed by another head (RFC 9110 section 15.2).
fn forward_head(
    exchange: &mut Exchange,
    connection: &mut Connection,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    date: &str,
    now: Tick,
) -> Result<Option<Stage>, &'static str> {
    let offer = exchange.facts.upgrade;
    match head.status {
        101 if !offer.is_met_by(head.upgrade, &exchange.config.server.upgrade) => {
            Err("the upstream switched to a protocol that was not offered")
        }
        // It is unknown which protocol the rest of the body would be in (RFC 9110 section 7.8).
        101 if !exchange.upload.sent() => {
            Err("the upstream switched protocols before the request was complete")
        }
        101 => {
            forward::write_response(out, head, &respond(exchange, BodyLength::Empty, true));
            Ok(Some(Stage::Tunnel))
        }
        100..200 => forward_interim(exchange, head, out, now).map(|()| None),
        _ => {
            forward_final(exchange, connection, head, out, date, now);
            // A stream that has already ended is an ordinary response.
            let goes_on = exchange.response.outlet.flow() == Flow::Open;
            let stream = head.is_event_stream && goes_on;
            Ok(Some(if stream { Stage::Stream } else { Stage::Body }))
        }
    }
}

fn forward_interim(
    exchange: &mut Exchange,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    now: Tick,
) -> Result<(), &'static str> {
    if let Some(awaiting) = exchange.awaiting_mut() {
        awaiting.count_interim(now)?;
    }
    if head.status == 100 {
        // The client sends its body from now on.
        exchange.awaits_continue = false;
        if let Some(request) = exchange.upload.pipe_mut() {
            request.restart_clocks(now);
        }
    }
    // HTTP/1.0 has no interim responses (RFC 9110 section 15.2).
    if exchange.facts.version == Version::Http11 {
        forward::write_response(out, head, &respond(exchange, BodyLength::Empty, false));
    }
    Ok(())
}

fn forward_final(
    exchange: &mut Exchange,
    connection: &mut Connection,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    date: &str,
    now: Tick,
) {
    connection.persistent = exchange.leaves_reusable(head);
    connection.note_idle_limit(head.idle_limit);
    exchange.drop_trailers(head);
    let is_readable = head.is_event_stream && !head.is_coded;
    // After a resume the rest comes from another body, and its length was not announced.
    let keeps_length = !(is_readable && exchange.wants_resuming());
    let to = match (head.length, exchange.facts.version) {
        (length @ (BodyLength::Empty | BodyLength::Length(_)), _) if keeps_length => length,
        (_, version) => BodyLength::untold(version),
    };
    if head.is_event_stream {
        exchange.start_event_clock(now);
    } else {
        admission::release(exchange);
    }
    write_final(exchange, head, to, out, date);
    exchange.response.begin(head.length, to, now);
    if is_readable && matches!(to, BodyLength::Chunked | BodyLength::UntilClose) {
        exchange.watch_events();
        if exchange.is_known_by_query() {
            exchange.response.intake.watch_endpoint();
        }
    }
    exchange.note_served(now);
}

/// Writes the head of a final response whose body is sent to the client with this framing.
pub(crate) fn write_final(
    exchange: &mut Exchange,
    head: &ResponseHead<'_, '_>,
    to: BodyLength,
    out: &mut Vec<u8>,
    date: &str,
) {
    let anti_buffering =
        head.is_event_stream && exchange.api().is_some_and(|api| api.streams.anti_buffering);
    // A client that was not asked for its body may or may not send it, so its next request could
    // not be told apart from the body.
    exchange.keep_alive_if(to != BodyLength::UntilClose && !exchange.awaits_continue);
    exchange.awaits_continue = false;
    let cors = exchange.cors().map(|(policy, grant)| policy.origin_fields(grant));
    let (date, cors) = (Some(date), cors.as_ref());
    let replaced = &redirects::rewritten(exchange, head);
    let respond = Respond { date, anti_buffering, cors, replaced, ..respond(exchange, to, false) };
    forward::write_response(out, head, &respond);
}

fn respond(exchange: &Exchange, length: BodyLength, upgrade: bool) -> Respond<'_> {
    Respond {
        length,
        persistent: exchange.keeps_alive(),
        client_version: exchange.facts.version,
        upgrade,
        protocols: &exchange.config.server.upgrade,
        date: None,
        anti_buffering: false,
        changes: exchange.api().map(|api| &api.response_headers),
        cors: None,
        replaced: &[],
    }
}
