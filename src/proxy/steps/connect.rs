//! Connecting to an upstream and sending the request.
//!
//! If the number of connections to an upstream is limited, a request may have to wait until one
//! becomes free. A request whose api was removed does not wait, because the connections of that
//! upstream are no longer counted. If only the targets of its api have changed, it waits for a
//! connection to the new ones ([`crate::proxy::reload`]).

use super::{sticky, streams};
use crate::exchange::{Awaiting, Exchange, LocalReply, Source, Stage};
use crate::net::Net;
use crate::pipe::Io;
use crate::pipe::events::Events;
use crate::pool::{Acquired, Attempt, Connection, NoConnection, Place, Pool, Search, Wanted};
use crate::proxy::deadlines;
use crate::proxy::next::{Action, Next};
use crate::proxy::step::Step;
use crate::proxy_protocol;
use crate::slab::Key;
use crate::telemetry::{Cause, LogLimit, Outcome};
use crate::time::Tick;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Checks whether the connection attempt has succeeded or failed.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>, connection: Key<Connection>) -> Next {
    match step.pool[connection].conn.connected(step.io.net) {
        None => step.watch_client(),
        Some(result) => Next::Do(Action::Connected(result)),
    }
}

/// Waits until it is this exchange's turn to get a connection.
#[inline(never)]
pub(crate) fn wait<N: Net>(step: &mut Step<'_, N>, place: Place) -> Next {
    match step.pool.is_turn_of(place) {
        None if is_served(step) => Next::Do(Action::Connect),
        None => turn_away(step),
        Some(true) => Next::Do(Action::Connect),
        Some(false) => step.watch_client(),
    }
}

/// True if the api of the exchange, and with it the api's upstream, still exists.
fn is_served<N: Net>(step: &Step<'_, N>) -> bool {
    step.exchange.api_state.is_some_and(|key| step.apis.get(key).is_some())
}

/// Looks for a connection to one of the upstream's endpoints that have not failed this request: for
/// the first time, after one has failed, or because its turn in the queue has come.
pub(crate) fn connect<N: Net>(step: &mut Step<'_, N>) -> Next {
    let veto = step.exchange.outbound.as_mut().and_then(|outbound| outbound.veto.take());
    if let Some(veto) = veto {
        step.exchange.count_veto(veto);
    }
    let search = match new_search(step.exchange, step.io.now) {
        Ok(search) => search,
        Err(reply) => return Next::fail(reply),
    };
    // The pool takes over the place in the queue and knows which endpoints were tried.
    let search = search.at(step.exchange.leave_queue(step.io.now));
    acquire(step, |pool, wanted, io, log| pool.acquire(wanted, search, io, log))
}

/// Looks for a connection for a stream that waits for its upstream, to any endpoint, including
/// those that failed it before. If it has a place in the queue, it keeps that place.
pub(crate) fn ask_again<N: Net>(step: &mut Step<'_, N>) -> Next {
    if let Some(outbound) = &mut step.exchange.outbound {
        outbound.start_over();
    }
    let place = step.leave_queue();
    match new_search(step.exchange, step.io.now) {
        Ok(search) => {
            acquire(step, |pool, wanted, io, log| pool.acquire(wanted, search.at(place), io, log))
        }
        Err(reply) => Next::fail(reply),
    }
}

/// A search among the endpoints that have not failed the request.
///
/// # Errors
/// The response is overdue: an endpoint that received the request now could not answer it in time.
fn new_search(exchange: &Exchange, now: Tick) -> Result<Search, LocalReply> {
    let outbound = exchange.outbound.as_ref();
    let (failed, due) = outbound.map_or((0, Tick::NEVER), |o| (o.failed(), o.gives_up()));
    if due <= now {
        return Err(deadlines::late_response(exchange));
    }
    let timeout = exchange.api().map_or(Duration::ZERO, |api| api.connect_timeout);
    let bound = outbound.and_then(|outbound| outbound.bound);
    Ok(Search::new(now.after(timeout).min(due)).without(failed).bound_to(bound))
}

/// Continues the search after a failed attempt.
pub(crate) fn go_on<N: Net>(step: &mut Step<'_, N>, search: Search) -> Next {
    acquire(step, |pool, wanted, io, log| pool.acquire_next(wanted, search, io, log))
}

/// Sends the request if the connection was made, otherwise tries the next address.
pub(crate) fn connected<N: Net>(step: &mut Step<'_, N>, result: io::Result<()>) -> Next {
    let Source::Connecting(attempt) = step.exchange.source() else { return Next::Moved };
    let attempt = **attempt;
    match result {
        Ok(()) => {
            step.pool.connected(attempt);
            note_failed(step.exchange, attempt.search.failed);
            send(step, attempt.connection, false)
        }
        Err(error) => {
            attempt_failed(step, attempt, &error);
            go_on(step, attempt.search)
        }
    }
}

/// Notes the endpoints that failed before the one that connected, as bits.
fn note_failed(exchange: &mut Exchange, failed: u64) {
    if let Some(outbound) = &mut exchange.outbound {
        outbound.note_failed(failed, Tick::NEVER);
    }
}

/// Gives up on the current address because its share of the time has run out.
pub(crate) fn time_out<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Source::Connecting(attempt) = step.exchange.source() else { return Next::Moved };
    let attempt = **attempt;
    attempt_failed(step, attempt, &io::ErrorKind::TimedOut.into());
    if attempt.search.gives_up > step.io.now {
        return go_on(step, attempt.search);
    }
    with_wanted(step, |pool, wanted, io, _| pool.give_up_endpoint(wanted, attempt.search, io.now));
    let what = "connecting to the upstream timed out";
    Next::fail(LocalReply::refused(Cause::ConnectTimeout, 504, what))
}

/// Handles an upstream that closed before the first byte of a response, or sent bytes that belong
/// to another exchange. On a reused connection this can happen without a fault on either side, so
/// the request is sent once more on a new connection if that is safe (RFC 9110 section 9.2.2), or
/// if the operator allows it to be sent again after a break. Otherwise it fails, and the endpoint
/// is not blamed.
pub(crate) fn send_again<N: Net>(step: &mut Step<'_, N>) -> Next {
    let endpoint = step.exchange.connection().map_or(0, |key| step.pool[key].endpoint());
    let awaiting = step.exchange.awaiting_mut();
    let (reused, repeats) = awaiting.map_or((false, false), |a| (a.is_reused, a.retry));
    if !repeats || !step.exchange.can_repeat() {
        if reused {
            // The endpoint is not to blame for what follows.
            step.close_connection();
        }
        let what = "the upstream closed before its response head was complete";
        return Next::fail(LocalReply::refused(Cause::UpstreamClosed, 502, what));
    }
    let search = match new_search(step.exchange, step.io.now) {
        Ok(search) => search.to(endpoint),
        Err(reply) => return Next::fail(reply),
    };
    log::debug!("a reused upstream connection brought no response; sending the request again");
    step.close_connection();
    step.exchange.upload.repeat(step.io.buffers, step.io.now);
    acquire(step, |pool, wanted, io, log| pool.acquire_new(wanted, search, io, log))
}

fn attempt_failed<N: Net>(step: &mut Step<'_, N>, attempt: Attempt, error: &io::Error) {
    with_wanted(step, |pool, wanted, io, log| {
        pool.attempt_failed(wanted, attempt, error, io, log);
    });
    step.exchange.take_connection();
}

/// Asks the pool for a connection and continues with the result.
fn acquire<N: Net>(
    step: &mut Step<'_, N>,
    find: impl FnOnce(
        &mut Pool,
        Wanted<'_>,
        &mut Io<'_, N>,
        &mut LogLimit,
    ) -> Result<Acquired, NoConnection>,
) -> Next {
    match with_wanted(step, find) {
        Some(Ok(Acquired::Reused(connection, failed))) => {
            note_failed(step.exchange, failed);
            send(step, connection, true)
        }
        Some(Ok(Acquired::Connecting(attempt))) => {
            step.exchange.go_on_with(Source::Connecting(Box::new(attempt)));
            Next::Moved
        }
        Some(Ok(Acquired::Queued(place, partly))) => {
            step.exchange.enter_queue(place, partly, step.io.now);
            Next::Moved
        }
        Some(Err(NoConnection::Removed)) => turn_away(step),
        // The client finds out when it reconnects.
        Some(Err(NoConnection::Gone)) if step.exchange.stage().is_without_upstream() => {
            Next::Do(Action::EndStream(Outcome::UpstreamCut))
        }
        Some(Err(NoConnection::Gone)) => Next::fail(sticky::gone()),
        Some(Err(NoConnection::OutOfDescriptors(search, error))) => {
            Next::FreeDescriptor(search, error)
        }
        Some(Err(NoConnection::Unreachable)) | None => {
            let what = "the upstream cannot be reached";
            Next::fail(LocalReply::refused(Cause::UpstreamUnreachable, 502, what))
        }
    }
}

/// Refuses a request whose api was removed, or ends its early answer. A stream that waits for its
/// upstream ends when it expires.
fn turn_away<N: Net>(step: &mut Step<'_, N>) -> Next {
    match step.exchange.stage() {
        Stage::Unanswered => streams::turn_away(step.exchange, Outcome::Removed),
        Stage::Early => Next::Do(Action::EndStream(Outcome::Removed)),
        Stage::Held
        | Stage::Resuming
        | Stage::Reply
        | Stage::Body
        | Stage::Stream
        | Stage::Tunnel
        | Stage::Delivering => Next::fail(LocalReply::ended(503, "its api was removed")),
    }
}

/// Runs `act` on the pool for this exchange. Returns None if it has no api.
fn with_wanted<N: Net, T>(
    step: &mut Step<'_, N>,
    act: impl FnOnce(&mut Pool, Wanted<'_>, &mut Io<'_, N>, &mut LogLimit) -> T,
) -> Option<T> {
    let preface = preface(step).unwrap_or_default();
    let Step { owner, exchange, io, pool, edge, apis, telemetry, .. } = step;
    let wanted = Wanted {
        owner: *owner,
        upstream: exchange.api_state.and_then(|key| apis.get(key)).map(|state| state.upstream),
        backend: exchange.api()?.backend(),
        stats: exchange.record.stats.as_ref()?,
        room: edge.upstream_connections_beside(),
        gives_way: false,
        // A stream that waits for its upstream asks repeatedly.
        logs: !exchange.stage().is_without_upstream(),
        preface: &preface,
    };
    Some(act(pool, wanted, io, &mut telemetry.log))
}

/// The PROXY header that identifies the client to the upstream. None unless `send_proxy` is set.
fn preface<N: Net>(step: &Step<'_, N>) -> Option<Vec<u8>> {
    step.exchange.api().filter(|api| api.send_proxy)?;
    let [peer, own] = step.conn.addresses(step.io.net).map_or([None; 2], |both| both.map(Some));
    let address = step.exchange.client(step.peer).ip();
    let of = |known: Option<IpAddr>| known.map(|known| known.to_canonical());
    // The port is unknown if another proxy named the client.
    let port = if of(address) == of(peer.map(|peer| peer.ip())) {
        peer.map_or(0, |peer| peer.port())
    } else if of(address) == of(step.peer) {
        step.port
    } else {
        0
    };
    let client = address.map(|address| SocketAddr::new(address, port));
    let mut header = Vec::new();
    proxy_protocol::write(&mut header, client, own);
    Some(header)
}

/// Sends the request on an established connection and awaits the response.
fn send<N: Net>(step: &mut Step<'_, N>, connection: Key<Connection>, reused: bool) -> Next {
    let preface = preface(step);
    let Step { exchange, io, out, pool, .. } = step;
    if let (Some(api), Some(outbound)) = (exchange.api(), &exchange.outbound) {
        let target = &api.targets[pool[connection].endpoint()];
        let host = &target.authority;
        if let Some(preface) = preface.filter(|_| !target.is_secure) {
            out.extend_from_slice(&preface);
        }
        let id = exchange.response.intake.events().and_then(Events::resume_from);
        let id = if exchange.stage() == Stage::Resuming && !outbound.head.is_id_ours() {
            // The client already has the events it asked for, and the stream may have reset its ids
            // since.
            Some(id.unwrap_or_default())
        } else {
            id.filter(|_| exchange.stage().is_without_upstream())
        };
        outbound.head.write(out, host, id);
    }
    if !exchange.upload.source_done() {
        // The body must not wait until the head has been acknowledged.
        pool[connection].conn.keep_for_long(io.net);
    }
    exchange.upload.send_head(out, &mut pool[connection].conn, io);
    // A buffered body may be sent again after a break if the operator allows it.
    let retry = reused && (exchange.facts.retryable || exchange.may_repeat_after_break());
    if !retry {
        exchange.forget_outbound();
    }
    let mut awaiting = Awaiting::new(connection, reused, io.now);
    awaiting.retry = retry;
    exchange.go_on_with(Source::Awaiting(Box::new(awaiting)));
    Next::Moved
}
