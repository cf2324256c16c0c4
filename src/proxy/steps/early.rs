//! Early answers: event streams that are opened before the upstream has answered.
//!
//! A model may think for minutes before its head arrives, and many servers send the head only with
//! the first event. Until then a client has no response and gets no heartbeats, so it or an
//! intermediary may give up. With `early_answer` it gets a head from this proxy after that time,
//! then heartbeats, then the upstream's events.
//!
//! The price is the upstream's status. If the upstream then has no event stream for this client,
//! whether it answers otherwise or fails, the stream is ended according to its kind, and the log
//! says what the client did not see. So there is no early answer where the client does better
//! without one: a GET that recently met such an answer waits for the upstream's own
//! ([`crate::apis`]), and so does a request from a page that is not known to be allowed to read the
//! stream ([`grants`]). With `on_outage = "hold"` a subscription whose upstream fails is held.

use super::ends::log_reply;
use super::{grants, streams};
use crate::edge::admission;
use crate::exchange::{Exchange, LocalReply, Stage};
use crate::http::head::ResponseHead;
use crate::net::Net;
use crate::proxy::next::{Action, Next};
use crate::proxy::step::Step;
use crate::telemetry::{Outcome, Telemetry, Unserved};
use crate::time::Tick;
use std::fmt::Write;
use std::time::Duration;

/// The fields of a lost answer that the log shows.
const SHOWN: [&str; 4] = ["Content-Type", "Content-Encoding", "Retry-After", "Location"];

/// The fields of a lost answer that the log names. Their values may be secret.
const NAMED: [&str; 2] = ["WWW-Authenticate", "Set-Cookie"];

/// The maximum number of bytes of a value that the log shows.
const SHOWN_MAX: usize = 100;

/// Opens an event stream before the upstream has answered. Does nothing if the client is better off
/// with the upstream's own answer, however long that takes.
pub(crate) fn answer<N: Net>(step: &mut Step<'_, N>) -> Next {
    if !may_answer(step) {
        step.exchange.allow_early_answer(false);
        return Next::Moved;
    }
    log::debug!("no upstream response yet; answering early");
    streams::begin_with_own_head(step);
    step.exchange.enter_with_source(Stage::Early);
    if let Some(stats) = &step.exchange.record.stats {
        stats.early_answers.one();
    }
    streams::open(step);
    Next::Moved
}

/// True if the client may get an event stream: its last request did not turn out otherwise, its
/// page may read the stream, and there is room for one.
fn may_answer<N: Net>(step: &mut Step<'_, N>) -> bool {
    let state = step.exchange.api_state.and_then(|key| step.apis.get(key));
    let knows =
        |request| state.is_some_and(|state| state.directory.is_unstreamed(request, step.io.now));
    if fingerprint(step.exchange).is_some_and(knows) {
        return false;
    }
    grants::recall(step);
    grants::may_be_read(step.exchange)
        && admission::acquire(step.exchange, step.peer, step.apis, &step.edge.totals.key_streams)
            .is_ok()
}

/// The fingerprint of a request that its client, perhaps an EventSource, would repeat. None for any
/// other request.
fn fingerprint(exchange: &Exchange) -> Option<u64> {
    let outbound = exchange.outbound.as_deref().filter(|_| exchange.facts.is_get());
    outbound.map(|outbound| outbound.head.fingerprint())
}

/// Ends a stream whose upstream answered with something other than an event stream.
pub(crate) fn end_without_stream(
    exchange: &mut Exchange,
    telemetry: &mut Telemetry,
    head: &ResponseHead<'_, '_>,
    now: Tick,
) -> Next {
    let (name, failed) = (exchange.api_name(), head.status >= 500);
    let level = if failed { log::Level::Warn } else { log::Level::Info };
    let what = told(head, telemetry);
    let text = format!("answered early, then the upstream answered {what}, api {name}");
    telemetry.log.log(level, name, Outcome::NoStream.word(), &text);
    if failed && let Some(stats) = &exchange.record.stats {
        stats.count_unserved(Unserved { at: now, cause: None, status: head.status });
    }
    exchange.extras_mut().upstream_status = Some(head.status);
    Next::Do(Action::EndStream(Outcome::NoStream))
}

/// Remembers a request that was answered early in vain, until its client has repeated it. After a
/// failure of the upstream an early answer is worth another try.
pub(crate) fn remember<N: Net>(step: &mut Step<'_, N>) {
    let told = step.longest_return(Duration::ZERO);
    let exchange = &*step.exchange;
    let status = exchange.extras().and_then(|extras| extras.upstream_status);
    let state = exchange.api_state.and_then(|key| step.apis.get(key));
    if status.is_some_and(|status| status < 500)
        && let (Some(state), Some(request)) = (state, fingerprint(exchange))
    {
        state.directory.note_unstreamed(request, told, step.io.now);
    }
}

/// Describes an answer: its status, and what else the client would have needed to know.
fn told(head: &ResponseHead<'_, '_>, telemetry: &Telemetry) -> String {
    let mut out = head.status.to_string();
    let mut separator = " (";
    for name in SHOWN.into_iter().chain(NAMED) {
        let Some(value) = head.fields.get(name) else { continue };
        // The type and coding of the body matter only with status 200.
        if name.starts_with("Content-") && head.status != 200 {
            continue;
        }
        out.push_str(separator);
        out.push_str(name);
        if SHOWN.contains(&name) {
            let shown;
            let value = if name == "Location" {
                shown = telemetry.tell_location(value);
                shown.as_bytes()
            } else {
                value
            };
            let value = &value[..value.len().min(SHOWN_MAX)];
            // Writing to a string cannot fail.
            let _ = write!(out, ": {}", value.escape_ascii());
        }
        separator = ", ";
    }
    if separator == ", " {
        out.push(')');
    }
    out
}

/// Ends a stream whose upstream failed before it answered, or whose request failed.
pub(crate) fn end<N: Net>(step: &mut Step<'_, N>, reply: &LocalReply) -> Next {
    let Step { exchange, telemetry, io, .. } = step;
    log_reply(exchange, &mut telemetry.log, reply);
    let (cause, status) = (reply.cause(), reply.status);
    exchange.cause = cause;
    if status >= 500
        && let Some(stats) = &exchange.record.stats
    {
        stats.count_unserved(Unserved { at: io.now, cause, status });
    }
    // Another status is not about the body: the replica is gone, for example.
    let is_of_body = matches!(status, 400 | 408 | 413);
    let outcome = if is_of_body { Outcome::BadRequestBody } else { Outcome::NoStream };
    Next::Do(Action::EndStream(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http::head::{FieldStore, HeadLimits};
    use crate::telemetry::LogLimit;
    use std::sync::Arc;

    #[test]
    fn what_the_log_says_of_an_answer() {
        let limits = HeadLimits { head_bytes: 1024, head_fields: 20, target_bytes: 100 };
        let text = "[log]\nredact_query = ['token']\n[demo]\n";
        let config = Config::parse("x", text).unwrap_or_else(|errors| panic!("{errors}"));
        let telemetry = Telemetry::new(&config, Arc::default(), LogLimit::default());
        let check = |head: &str, want: &str| {
            let wire = format!("HTTP/1.1 {head}\n\n").replace('\n', "\r\n");
            let mut store = FieldStore::new();
            let parsed = ResponseHead::of_wire(wire.as_bytes(), &mut store, &limits, false);
            assert_eq!(told(&parsed.unwrap(), &telemetry), want);
        };
        check("204 No Content", "204");
        check("429 No\nRetry-After: 7\nContent-Type: text/html", "429 (Retry-After: 7)");
        check(
            "200 OK\nContent-Encoding: gzip\nContent-Type: text/event-stream",
            "200 (Content-Type: text/event-stream, Content-Encoding: gzip)",
        );
        check(
            "303 See Other\nLocation: /in?code=secret\nSet-Cookie: id=secret\nSet-Cookie: b=c",
            "303 (Location: /in, Set-Cookie)",
        );
        check("303 See Other\nLocation: //me:secret@a/in", "303 (Location: //a/in)");
        check("303 See Other\nLocation: /in;token=secret/x", "303 (Location: /in...)");
        check("401 No\nWWW-Authenticate: Basic realm=\"a\"", "401 (WWW-Authenticate)");
        check("302 Found\nLocation: /\u{e4}\"", "302 (Location: /\\xc3\\xa4\\\")");
        let long = "x".repeat(SHOWN_MAX + 1);
        let shown = format!("302 (Location: {})", &long[1..]);
        check(&format!("302 Found\nLocation: {long}"), &shown);
    }
}
