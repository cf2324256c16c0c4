//! How exchanges end.
//!
//! | what happened | function | what the client sees |
//! |---|---|---|
//! | the last byte was sent | [`finish`] | may send another request, or sees the connection end |
//! | the request was refused | [`refused`] | gets a local reply |
//! | the upstream failed before its response | [`reply()`] | gets a local reply |
//! | the upstream failed during its response | [`cut`] | gets what was received, and sees the cut |
//! | the exchange must end at once | [`end`] | the connection closes or is reset |
//!
//! Every one of them frees everything: the upstream connection is returned to its pool or closed,
//! buffers are returned, and the client's connection waits for its next request, lingers, or
//! closes.
//!
//! A refused request is an exchange too, so it is logged with its api and its reply has the CORS
//! fields. Without those a page could not tell a 401 from a network failure.

use super::request::peer_text;
use crate::access::Told;
use crate::conn::Read;
use crate::exchange::{Begin, Exchange, LocalReply, RequestFacts, Source, Stage, Upload, Why};
use crate::http::framing::BodyLength;
use crate::http::head::Version;
use crate::http::reply::{self, Reply};
use crate::net::{Net, Ready};
use crate::proxy::memory::REPLY_MAX;
use crate::proxy::next::{Action, Next};
use crate::proxy::shared::Shared;
use crate::proxy::step::Step;
use crate::session::{Service, Session};
use crate::telemetry::{Cause, Failure, LogLimit, Outcome};
use crate::time::Tick;

/// Begins the exchange of a request that is refused before it goes to an upstream. `told` is what
/// the logs say about it, as far as it was understood.
pub(crate) fn refused<N: Net>(
    shared: &mut Shared<N>,
    service: Service,
    told: Told,
    is_head: bool,
    refusal: LocalReply,
    now: Tick,
) -> Next {
    let keeps_alive = !refusal.close && !shared.phase.is_draining();
    let exchange = unserved(shared, service, told, is_head, keeps_alive, now);
    Next::Begin(exchange, Some(Action::Reply(refusal)))
}

/// Begins the exchange of a request that is redirected. Its connection is not used again.
pub(crate) fn redirected<N: Net>(
    shared: &mut Shared<N>,
    told: Told,
    is_head: bool,
    location: Box<str>,
    now: Tick,
) -> Next {
    let exchange = unserved(shared, Service::Apis, told, is_head, false, now);
    Next::Begin(exchange, Some(Action::Redirect(location)))
}

/// The exchange of a request that no upstream serves.
fn unserved<N: Net>(
    shared: &mut Shared<N>,
    service: Service,
    told: Told,
    is_head: bool,
    keeps_alive: bool,
    now: Tick,
) -> Box<Exchange> {
    let record = shared.telemetry.record(told, service == Service::Apis, service != Service::Demo);
    Exchange::new(Begin {
        facts: RequestFacts::unknown(is_head),
        keeps_alive,
        upload: Upload::unread(BodyLength::Empty),
        config: &shared.config,
        record,
        now,
    })
}

/// Begins the exchange of a connection beyond the limit. It is answered before it sends a request.
pub(crate) fn refused_connection<N: Net>(
    shared: &mut Shared<N>,
    service: Service,
    now: Tick,
) -> Next {
    let refusal = LocalReply::refused(Cause::MaxConnections, 503, "too many connections");
    refused(shared, service, Told::default(), false, refusal, now)
}

/// Sends a local reply instead of the upstream's response, after any unsent rest of an interim
/// response. The connection is closed after a client error (except 401, 403 and 429) and whenever
/// part of the request is left unread.
pub(crate) fn reply<N: Net>(step: &mut Step<'_, N>, local: LocalReply) -> Next {
    reply_with(step, local, &[])
}

/// Redirects the client to another URL.
pub(crate) fn redirect<N: Net>(step: &mut Step<'_, N>, location: &str) -> Next {
    reply_with(step, LocalReply::redirect(), &[("Location", location)])
}

/// Sends a local reply with additional fields.
pub(crate) fn reply_with<N: Net>(
    step: &mut Step<'_, N>,
    local: LocalReply,
    more: &[(&str, &str)],
) -> Next {
    let seconds = step.retry_after(&local).map(|seconds| seconds.to_string());
    let Step { exchange, io, out, telemetry, .. } = step;
    let whole = exchange.upload.source_complete();
    let stays = whole && (local.status >= 500 || !local.close) && !step.phase.is_draining();
    // An HTTP/1.0 client would need an explicit keep-alive, which is not sent.
    exchange.keep_alive_if(stays && exchange.facts.version == Version::Http11);
    exchange.upload.abandon(io.buffers);
    log_reply(exchange, &mut telemetry.log, &local);
    exchange.cause = local.cause();
    let preflight = local.why == Why::Preflight;
    let cors = exchange.cors_fields(preflight).unwrap_or_default();
    let after = seconds.as_deref().map(|seconds| ("Retry-After", seconds));
    let reply = Reply {
        sentence: local.sentence(),
        json: local.json || exchange.facts.accepts_json,
        fields: &[local.fields, after.as_slice(), &cors, more].concat(),
        date: step.date,
        head_only: exchange.facts.is_head(),
        close: !exchange.keeps_alive(),
        ..Reply::of(local.status)
    };
    reply::write(out, &reply);
    let is_first = preflight || !more.is_empty();
    assert!(is_first || out.len() <= REPLY_MAX, "room was left for a reply of ours");
    exchange.reply(local.status, out, io.buffers, io.now);
    Next::Moved
}

/// Ends an exchange whose last byte was sent, and decides what happens to the client's connection.
pub(crate) fn finish<N: Net>(step: &mut Step<'_, N>) -> Next {
    let tls = step.tls_version();
    let Step { exchange, io, .. } = step;
    step.telemetry.ended(&exchange.report(step.peer, tls), io.now);
    exchange.upload.abandon(io.buffers);
    let complete = exchange.outcome().is_complete() || exchange.response.outlet.ends_properly();
    let whole = exchange.upload.source_complete();
    if !complete {
        step.conn.note_cut(io.net);
    }
    if complete && exchange.keeps_alive() && whole && !step.phase.is_closed() {
        Next::Idle
    } else if !complete && !exchange.response.outlet.ends_visibly() {
        Next::Abort
    } else if step.is_secure && !exchange.response.outlet.ends_visibly() {
        // The TLS close_notify is a separate message and may have to wait for buffer space.
        Next::Linger
    } else if exchange.facts.is_last && whole && !step.conn.has_input() {
        // No more input can arrive that would reset the connection and lose our last bytes.
        Next::Close
    } else {
        Next::Linger
    }
}

/// Cuts a response that cannot be completed. What was received of it is still sent, and then the
/// client's connection ends in a way that shows that something is missing.
pub(crate) fn cut<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    if let Some(failure) = Failure::of_cut(outcome) {
        step.count_failure(failure);
    }
    break_off(step, outcome)
}

/// Like [`cut`], if the upstream's failure is already counted or it has not failed.
pub(crate) fn break_off<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    // A client that takes nothing is left at once ([`end`]).
    if outcome == Outcome::SlowClient {
        note_cut(step, outcome, Some("the client fell behind what api.share holds"));
    } else {
        log_cut(step, outcome);
    }
    break_off_silently(step, outcome)
}

/// Like [`break_off`], if the cut is already logged.
pub(crate) fn break_off_silently<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    step.close_connection();
    let Step { exchange, io, .. } = step;
    exchange.upload.abandon(io.buffers);
    exchange.end_with(outcome);
    exchange.keep_alive_if(false);
    exchange.enter(Stage::Delivering, Source::None);
    exchange.response.take_no_more(io.buffers);
    Next::Moved
}

/// Ends an exchange and its client's connection at once.
pub(crate) fn end<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    log_cut(step, outcome);
    leave(step, outcome)
}

/// Like [`end`], but logs no cut, because no response has begun.
pub(crate) fn leave<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    step.leave_queue();
    let tls = step.tls_version();
    let Step { exchange, telemetry, .. } = step;
    exchange.end_with(outcome);
    telemetry.ended(&exchange.report(step.peer, tls), step.io.now);
    // A close_notify from the client is answered (RFC 5246 section 7.2.1). That is no cut by us.
    if !outcome.is_complete() && outcome != Outcome::ClientGone {
        step.conn.note_cut(step.io.net);
    }
    // A response delimited by connection close must not look complete when it is not.
    let visible = outcome.is_complete() || exchange.response.outlet.ends_visibly();
    if visible { Next::Close } else { Next::Abort }
}

/// Logs a local reply, at most once a second per cause and api. A failure of an upstream or an auth
/// server is a warning; anything else is informational.
pub(crate) fn log_reply(exchange: &Exchange, log: &mut LogLimit, reply: &LocalReply) {
    let LocalReply { status, what, .. } = reply;
    let name = exchange.api().map_or("", |api| api.name.as_str());
    let api = if name.is_empty() { String::new() } else { format!(", api {name}") };
    let Some(cause) = reply.cause() else {
        log::debug!("{status}: {what}{api}");
        return;
    };
    let before = if exchange.is_answered_early() { "answered early, then " } else { "" };
    let text = format!("{before}{status}: {what} ({}){api}", cause.word());
    let level = if reply.is_worth_a_warning() { log::Level::Warn } else { log::Level::Info };
    log.log(level, name, cause.word(), &text);
}

/// Logs and counts a cut response, unless clients routinely cause such cuts.
pub(crate) fn log_cut<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) {
    let tunnel = step.exchange.record.is_tunnel();
    let reason = if tunnel { outcome.tunnel_reason() } else { outcome.cut_reason() };
    note_cut(step, outcome, reason);
}

fn note_cut<N: Net>(step: &mut Step<'_, N>, outcome: Outcome, reason: Option<&'static str>) {
    let is_of_client = !step.service.is_for_operators();
    step.telemetry.cut_in_drain += u64::from(is_of_client && outcome == Outcome::Drained);
    let Some(reason) = reason else { return };
    let log = &mut step.telemetry.log;
    if !is_of_client {
        let text = format!("an operator's connection was closed: {reason}");
        return log.log(log::Level::Info, "", reason, &text);
    }
    let name = step.exchange.api_name();
    let tunnel = step.exchange.record.is_tunnel();
    let what = if tunnel { "tunnel closed" } else { "response cut" };
    let mut text = format!("{what}: {reason}, api {name}");
    if outcome == Outcome::SlowClient {
        text += &format!(", client {}", peer_text(step.exchange.client(step.peer).ip()));
    }
    log.log(log::Level::Warn, name, reason, &text);
}

/// Discards what the client still sends until it has seen our end of the connection.
#[inline(never)]
pub(crate) fn linger<N: Net>(
    session: &mut Session,
    until: Tick,
    shared: &mut Shared<N>,
    now: Tick,
) -> Next {
    // A client that never stops sending does not extend this.
    if until <= now {
        return Next::Close;
    }
    if !session.conn.ready.has(Ready::READ) {
        return Next::Blocked;
    }
    let (io, _) = shared.memory.split(&mut shared.net, None, now);
    match session.conn.read(io.net, io.scratch) {
        Read::Bytes(_) => Next::Moved,
        Read::Blocked => Next::Blocked,
        Read::End | Read::Broken => Next::Close,
    }
}
