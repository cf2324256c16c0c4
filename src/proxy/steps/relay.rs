//! Relaying a response, together with the rest of the request.
//!
//! Another step is taken only if something may be left to do. After an event nothing is left
//! ([`has_settled`]), and the stall check of debug builds verifies that.

use super::sticky;
use crate::exchange::{Exchange, LocalReply, Source, Stage, Upload};
use crate::net::Net;
use crate::pipe::{Fault, Flow, Moved, SourceFault};
use crate::pool::Connection;
use crate::proxy::next::{Action, Next};
use crate::proxy::step::{Step, watches_client};
use crate::slab::Key;
use crate::telemetry::{Cause, Failure, Outcome};

/// Why a request cannot be completed.
#[derive(Debug)]
pub(crate) enum RequestFault {
    /// The client ended or broke the connection before the request was complete.
    Gone,
    /// The body is malformed or too long.
    Refused(LocalReply),
}

/// Moves the response towards the client, and the rest of the request towards the upstream.
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>) -> Next {
    let Step { exchange, conn, io, pool, apis, .. } = step;
    let moved = match exchange.response.pump(&mut pool[key].conn, conn, io) {
        Ok(moved) => moved,
        Err(Fault::SinkGone) => return Next::end(Outcome::ClientGone),
        Err(fault) => return lose(step, fault),
    };
    sticky::learn_from_event(exchange, pool, apis, key, io.now);
    if exchange.response.outlet.flow() != Flow::Open {
        return Next::Do(Action::Release);
    }
    if exchange.is_in_grace() && exchange.response.outlet.is_between_events() {
        return Next::Do(Action::Expire);
    }
    let pumped = pump_request(step, key);
    step.exchange.upload.settle();
    match pumped {
        Ok(more) if moved.or(more) == Moved::Yes && has_settled(step, key) => Next::Settled,
        Ok(more) if moved.or(more) == Moved::Yes => Next::Moved,
        Ok(_) => step.watch_client(),
        Err(RequestFault::Gone) => Next::end(Outcome::ClientGone),
        Err(RequestFault::Refused(reply)) => {
            let name = step.exchange.api_name();
            let word = reply.cause().map_or("-", Cause::word);
            let text = format!("response cut: {} ({word}), api {name}", reply.what);
            step.telemetry.log.log(log::Level::Info, name, word, &text);
            Next::Do(Action::Cut(Outcome::BadRequestBody))
        }
    }
}

/// Handles an upstream that broke off or sent a malformed body.
pub(crate) fn lose<N: Net>(step: &mut Step<'_, N>, fault: Fault) -> Next {
    if let Fault::Source(SourceFault::Malformed(error)) = fault {
        let name = step.exchange.api().map_or("", |api| api.name.as_str());
        let text =
            format!("malformed response body from the upstream: {}, api {name}", error.what());
        step.telemetry.log.log(log::Level::Warn, name, error.what(), &text);
    }
    Next::Do(if step.exchange.can_resume() {
        Action::Resume(Failure::Cut)
    } else {
        Action::Cut(Outcome::UpstreamCut)
    })
}

/// True if everything received of the response was sent and nothing else can move, as is usual
/// after an event. This only saves a step, which would find the same.
fn has_settled<N: Net>(step: &Step<'_, N>, key: Key<Connection>) -> bool {
    let Exchange { upload: request, response, .. } = &*step.exchange;
    !step.pool[key].conn.has_input()
        && response.is_quiet()
        && request.done()
        && !step.exchange.is_in_grace()
        && !watches_client(step.conn, step.exchange, step.ahead_max)
}

/// Moves the rest of the request. An upstream that stops reading does not end the exchange: it may
/// respond early, and its response still has to be read (RFC 9112 section 9.5).
pub(crate) fn pump_request<N: Net>(
    step: &mut Step<'_, N>,
    key: Key<Connection>,
) -> Result<Moved, RequestFault> {
    let Step { exchange, conn, io, pool, .. } = step;
    // The usual case while events are relayed.
    let Upload::Moving(request) = &mut exchange.upload else { return Ok(Moved::No) };
    // Only responses are gathered.
    let flush_interval = io.flush_interval.take();
    let pumped = request.pump(conn, &mut pool[key].conn, io);
    io.flush_interval = flush_interval;
    // A client that sends its body is not waiting for 100 (Continue).
    exchange.awaits_continue &= request.intake.taken() == 0;
    match pumped {
        Ok(moved) => Ok(moved),
        Err(Fault::SinkGone) => {
            exchange.upload.stop_sending(io.buffers);
            if let Some(awaiting) = exchange.awaiting_mut() {
                awaiting.since = io.now;
            }
            Ok(Moved::Yes)
        }
        Err(Fault::Source(SourceFault::Cut)) => Err(RequestFault::Gone),
        Err(Fault::Source(SourceFault::TooLong)) => {
            Err(RequestFault::Refused(LocalReply::too_long_body(exchange.api())))
        }
        Err(Fault::Source(SourceFault::Malformed(error))) => {
            let reply = LocalReply::refused(Cause::RequestBody, 400, error.what());
            Err(RequestFault::Refused(reply))
        }
    }
}

/// Handles an upstream that stopped reading the request. If it has begun to respond, it has read
/// enough and may continue. Otherwise it has failed.
pub(crate) fn give_up_request<N: Net>(step: &mut Step<'_, N>) -> Next {
    match step.exchange.stage() {
        Stage::Body | Stage::Stream => {
            step.exchange.upload.abandon(step.io.buffers);
            Next::Moved
        }
        Stage::Tunnel => {
            step.count_failure(Failure::WriteTimeout);
            Next::end(Outcome::UpstreamStalled)
        }
        Stage::Unanswered
        | Stage::Reply
        | Stage::Early
        | Stage::Held
        | Stage::Resuming
        | Stage::Delivering => {
            let what = "the upstream stopped reading the request";
            Next::fail(LocalReply::refused(Cause::WriteTimeout, 504, what))
        }
    }
}

/// Returns the upstream connection once the response was read to its end, no matter how much is
/// still to be sent to the client. If the request is incomplete by then, the upstream does not want
/// the rest, and its connection is closed (RFC 9112 section 9.5).
pub(crate) fn release<N: Net>(step: &mut Step<'_, N>) -> Next {
    let sent = step.exchange.upload.sent();
    if let Some(connection) = step.exchange.take_connection() {
        if sent {
            let idle_max = step.config.server.keepalive_timeout;
            step.pool.release(connection, !step.phase.is_closed(), idle_max, &mut step.io);
        } else {
            step.pool.leave(connection, false, &mut step.io);
        }
    }
    step.exchange.enter(Stage::Delivering, Source::None);
    Next::Moved
}
