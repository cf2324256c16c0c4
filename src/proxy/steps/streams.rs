//! The life of an event stream: its opening, its heartbeats, and its end between two events.
//!
//! Only the client and the upstream know how long a stream should last, so the proxy ends one only
//! where it is told to: at `max_stream_age`, at `stream_idle_timeout`, in a drain, and when the
//! certificate that admitted the client expires. When an exchange expires
//! ([`Exchange::expires_at`]), its stream ends at once if its client is between two events, and
//! otherwise after the current event. If that takes too long, or if the stream's bytes cannot be
//! parsed, it is cut visibly.
//!
//! A subscription ends properly: its client comes back. An answer happens once, and its client must
//! not mistake a part of it for the whole. So it is cut visibly, after `end_event` if there is one:
//! a chunked body gets no last chunk, and the connection is closed in an orderly way, so that the
//! client gets everything that was sent.
//!
//! A tunnel may expire too, and so may any exchange whose api or key was removed
//! ([`crate::proxy::reload`]). These have no boundary at which they could end, and are cut.
//!
//! The time of these ends is decided elsewhere: in a drain ([`crate::proxy::drain`]) or a reload.

use super::{early, ends, outage};
use crate::config::OnOutage;
use crate::exchange::{Exchange, LocalReply, Lost, Source, Stage};
use crate::http::framing::BodyLength;
use crate::http::reply::{self, StreamHead};
use crate::net::Net;
use crate::pipe::Io;
use crate::proxy::certificates;
use crate::proxy::memory::REPLY_MAX;
use crate::proxy::next::{Action, Next};
use crate::proxy::phase::{Phase, spread_of_ends};
use crate::proxy::step::Step;
use crate::telemetry::{Failure, Outcome};
use std::rc::Rc;
use std::time::Duration;

/// How long to wait for an unfinished event when its stream is to end.
const EVENT_GRACE: Duration = Duration::from_secs(10);

/// Notes that the client has an open event stream or tunnel, if it has. A stream that was open
/// before and was resumed is not counted again.
pub(crate) fn open<N: Net>(step: &mut Step<'_, N>) {
    let tls = step.tls_version();
    let Step { exchange, conn, pool, apis, telemetry, config, random, .. } = step;
    let now = step.io.now;
    if !exchange.stage().is_endless() {
        return;
    }
    if let Some(connection) = exchange.connection() {
        pool[connection].conn.keep_for_long(step.io.net);
    }
    if exchange.record.open {
        return;
    }
    exchange.record.open = true;
    if exchange.stage().is_stream() {
        let age = exchange.api().and_then(|api| api.streams.max_age);
        if let Some(age) = age.filter(|_| !exchange.is_answer()) {
            let percent = random.u32(80..=100);
            exchange.expire_stream_at(now.after(age * percent / 100), Outcome::MaxAge);
        }
        if let Phase::Closed(ends) = step.phase {
            ends.set(exchange, random.f64(), now);
        }
    }
    certificates::expire(exchange, conn, step.io.net, (config, apis), step.now);
    // The configuration may have changed while the upstream was answering.
    if !Rc::ptr_eq(&exchange.config, config) {
        crate::proxy::reload::judge_anew(exchange, config, apis, random.f64(), now);
    }
    super::recheck::schedule(exchange, config, apis, random, now);
    telemetry.opened(&exchange.report(step.peer, tls), now);
}

/// Begins an event stream with a head written by this proxy and a heartbeat. Without `[api.cors]`
/// to say which pages may read it, the head grants what the upstream last granted this page
/// ([`super::grants`]).
pub(crate) fn begin_with_own_head<N: Net>(step: &mut Step<'_, N>) {
    let Step { exchange, io, out, phase, date, .. } = step;
    let length = BodyLength::untold(exchange.facts.version);
    exchange.keep_alive_if(length == BodyLength::Chunked && !phase.is_draining());
    let (close, fields) = (!exchange.keeps_alive(), &exchange.stream_cors_fields());
    reply::write_stream_head(out, &StreamHead { length, date, close, fields });
    assert!(out.len() <= REPLY_MAX, "room was left for a head of ours");
    exchange.response.begin(BodyLength::UntilClose, length, io.now);
    exchange.watch_events();
    exchange.response.queue(out, io.buffers, io.now);
    put_in_heartbeat(exchange, io);
    exchange.record.status = 200;
}

/// Inserts a heartbeat, `heartbeat_event` or a comment, if the api's streams have any.
///
/// # Panics
/// If the stream is not between two events.
pub(crate) fn put_in_heartbeat<N: Net>(exchange: &mut Exchange, io: &mut Io<'_, N>) {
    let Exchange { config, api, response, .. } = exchange;
    let api = api.and_then(|index| config.apis.get(usize::from(index)));
    let Some(streams) = api.map(|api| &api.streams) else { return };
    match &streams.heartbeat_event {
        Some(event) => response.put_in(event.as_bytes(), io),
        None if streams.heartbeat.is_some() => response.comment(io),
        None => {}
    }
}

/// Sends a heartbeat to a client that has been sent nothing for a while.
pub(crate) fn send_heartbeat<N: Net>(step: &mut Step<'_, N>) -> Next {
    put_in_heartbeat(step.exchange, &mut step.io);
    if let Some(stats) = &step.exchange.record.stats {
        stats.heartbeats.one();
    }
    Next::Moved
}

/// Ends an exchange that has expired. Called when it expires, and again when the grace is over or
/// the event is complete.
pub(crate) fn expire<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, config, io, .. } = step;
    let Some(outcome) = exchange.expires_with() else { return Next::Moved };
    // An answer gets all the time that a drain allows, in whole events.
    let has_had_grace = outcome == Outcome::Drained && exchange.is_answer();
    let was_ending = exchange.is_in_grace() || has_had_grace;
    if !was_ending {
        // The last tenth of the window is reserved for this.
        let window = config.drain.window;
        let grace = if outcome.ends_everything() { window / 10 } else { EVENT_GRACE };
        exchange.begin_grace(io.now.after(grace.min(EVENT_GRACE)));
    }
    match (exchange.stage(), exchange.source()) {
        (stage, _) if stage.is_stream() => expire_stream(exchange, outcome, was_ending),
        (Stage::Unanswered, _) if outcome == Outcome::Drained => send_away(step),
        _ if was_ending => Next::end(outcome),
        (
            Stage::Unanswered,
            Source::Authorizing(_)
            | Source::Log(_)
            | Source::Queued(_)
            | Source::Connecting(_)
            | Source::Awaiting(_),
        ) => turn_away(exchange, outcome),
        (Stage::Body, Source::Upstream(_)) => Next::Do(Action::Cut(outcome)),
        (Stage::Tunnel, _) => Next::end(outcome),
        // The response is being sent, or is about to be.
        _ => Next::Moved,
    }
}

/// Refuses a request whose api or key was removed.
pub(crate) fn turn_away(exchange: &mut Exchange, outcome: Outcome) -> Next {
    exchange.end_with(outcome);
    exchange.keep_alive_if(false);
    Next::fail(if outcome == Outcome::Revoked {
        LocalReply::revoked(match (exchange.key().is_some(), exchange.is_certified()) {
            (true, false) => Lost::Key,
            (false, true) => Lost::Certificate,
            (true, true) => Lost::KeyOrCertificate,
            (false, false) => Lost::Consent,
        })
    } else {
        LocalReply::ended(503, "its api was removed")
    })
}

/// Ends the request for a subscription that has no response yet, in a drain. The client should come
/// back, and it is told when if the operator wants that. An error would make a browser give up for
/// good; a closed connection does not.
fn send_away<N: Net>(step: &mut Step<'_, N>) -> Next {
    if step.exchange.on_outage() == OnOutage::Error {
        return ends::leave(step, Outcome::Drained);
    }
    step.close_connection();
    Next::Do(Action::ReplyWithRetry(LocalReply::draining()))
}

/// Ends an event stream between two events: after the current event, or visibly cut if that takes
/// too long.
fn expire_stream(exchange: &mut Exchange, outcome: Outcome, was_ending: bool) -> Next {
    if exchange.response.outlet.is_between_events() {
        return Next::Do(Action::EndStream(outcome));
    }
    let stuck = exchange.response.pending() > 0;
    // A log holds whole events, so the rest of this one follows.
    if !was_ending && exchange.response.intake.place().is_some() {
        return Next::Moved;
    }
    match exchange.response.intake.events_mut() {
        Some(events) if !was_ending => {
            events.want_whole();
            Next::Moved
        }
        // The operator does not wait for a client that reads nothing and has had its time.
        _ if outcome == Outcome::Ended && stuck => Next::end(outcome),
        _ if outcome.ends_everything() && was_ending => Next::end(outcome),
        _ => Next::Do(Action::Cut(outcome)),
    }
}

/// Handles a stream whose upstream was silent, or sent no event, for too long.
pub(crate) fn silent<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    let response = &step.exchange.response;
    let is_between_events = match (step.fills, response.intake.events()) {
        // A feed has no client. Its log holds whole events.
        (Some(_), Some(events)) => events.between(),
        (..) => response.outlet.is_between_events(),
    };
    Next::Do(if step.exchange.can_resume() {
        Action::Resume(Failure::Idle)
    } else if is_between_events {
        step.count_failure(Failure::Idle);
        log_end(step, outcome);
        Action::EndStream(outcome)
    } else {
        Action::Cut(outcome)
    })
}

/// Logs that a subscription is ended because of a time limit. An answer is logged when it is cut.
fn log_end<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) {
    if let Some(reason) = outcome.cut_reason().filter(|_| !step.exchange.is_answer()) {
        let name = step.exchange.api_name();
        let text = format!("stream ended: {reason}, api {name}");
        step.telemetry.log.log(log::Level::Info, name, outcome.word(), &text);
    }
}

/// Ends a stream between two events: a subscription properly, an answer with a visible cut.
pub(crate) fn end_between_events<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    if outcome == Outcome::NoStream {
        early::remember(step);
    }
    if step.exchange.is_answer() { end_answer(step, outcome) } else { end_properly(step, outcome) }
}

/// Ends a subscription. Its client will reconnect and is told when, because it is unknown how many
/// others end for the same reason.
fn end_properly<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    outage::log_given_up(step);
    step.close_connection();
    // Streams with these outcomes end throughout the window.
    let leave = if matches!(outcome, Outcome::Drained | Outcome::Removed) {
        spread_of_ends(step.config.drain.window)
    } else {
        Duration::ZERO
    };
    let farewell = step.retry_field(None, leave);
    let Step { exchange, io, .. } = step;
    exchange.response.end_between_events(farewell.as_bytes(), io);
    exchange.upload.abandon(io.buffers);
    exchange.end_with(outcome);
    exchange.enter(Stage::Delivering, Source::None);
    Next::Moved
}

/// Cuts a stream that the upstream broke off for all its readers, just as it is cut for a single
/// client, but after telling when to come back. The break itself is logged and counted once, for
/// the feed.
pub(crate) fn cut_shared<N: Net>(step: &mut Step<'_, N>) -> Next {
    let farewell = step.retry_field(None, Duration::ZERO);
    let Step { exchange, io, .. } = step;
    if exchange.response.outlet.ends_visibly() {
        exchange.response.put_in(farewell.as_bytes(), io);
    }
    ends::break_off_silently(step, Outcome::UpstreamCut)
}

/// Ends an answer: it is cut after `end_event`, if there is one. If only a reset can show the cut,
/// the event is left out, because a reset may discard it.
fn end_answer<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    let Step { exchange, io, .. } = step;
    let event = exchange.api().and_then(|api| api.streams.end_event.clone());
    if let Some(event) = event
        && exchange.response.outlet.ends_visibly()
    {
        exchange.response.put_in(event.as_bytes(), io);
    }
    ends::break_off(step, outcome)
}
