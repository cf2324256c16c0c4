//! Keeping event streams open while their upstream cannot serve them.
//!
//! A browser's EventSource gives up for good when it gets an error, and when many streams break,
//! all their clients reconnect at once. `on_outage` prevents the former: the client gets an empty
//! stream that says when to reconnect (*retry*), or a stream that stays silent until the upstream
//! is back (*hold*). `resume` prevents the latter: the upstream is asked for the rest, with the id
//! of the last complete event. Held and broken streams wait and ask in the same way: repeatedly,
//! after random delays that grow, or soon after another stream was answered.
//!
//! A delay is 50 to 100 % of a time that starts at 500 ms, or the upstream's `retry`, and doubles
//! up to 5 s. An upstream that accepts a stream and drops it at once does not reset the count. When
//! one stream is answered, the others that asked in vain ask soon ([`crate::apis`]); one walk over
//! the sessions finds them.
//!
//! A client that exceeds a rate is not an outage, but it is told when to come back as well: at a
//! random time after the rate has room again, so that clients refused together return apart.
//!
//! `resume_timeout` limits all this. `resume = "always"` also bridges an upstream that ends its
//! streams on purpose, as many do every few minutes.
//!
//! Pages of any origin may read the empty stream of *retry*: it is the same for everyone, and a
//! browser would otherwise turn it into an error. With credentials it needs a grant from the
//! upstream, or a page could learn from the response whether its user has a key.

use super::ends::log_reply;
use super::{early, grants, retry, streams};
use crate::apis::ApiState;
use crate::config::{OnOutage, Resume};
use crate::exchange::{Exchange, LocalReply, Resumption, Source, Stage};
use crate::http::framing::BodyLength;
use crate::http::head::{ResponseHead, Version};
use crate::http::reply::{self, StreamHead};
use crate::net::Net;
use crate::pool::{Connection, Pool};
use crate::proxy::Proxy;
use crate::proxy::memory::REPLY_MAX;
use crate::proxy::next::{Action, Next};
use crate::proxy::shared::Shared;
use crate::proxy::sharing::feed::Feed;
use crate::proxy::step::Step;
use crate::session::Session;
use crate::slab::Key;
use crate::telemetry::{Cause, Failure, Outcome, Telemetry, Unserved, is_outage};
use crate::time::Tick;
use std::time::Duration;

/// Handles an upstream that failed before its response. Closes its connection and decides what the
/// client gets: an error, or what `on_outage` says.
pub(crate) fn fail<N: Net>(step: &mut Step<'_, N>, reply: LocalReply) -> Next {
    if reply.is_upstream_fault()
        && let Some(failure) = reply.cause().and_then(Failure::of_response)
        && let Some(endpoint) = step.endpoint()
    {
        endpoint.stats.count_failure(failure, step.io.now);
        endpoint.stats.mark_failing(step.io.now);
    }
    if let Some(failed) = retry::failure(&reply)
        && retry::is_due(step.exchange, step.pool, failed, step.io.now)
    {
        return Next::Do(Action::AskAnother(failed));
    }
    step.close_connection();
    let has_head = step.exchange.is_answered_early();
    let is_outage = is_outage(reply.status) || reply.is_busy();
    if is_outage && step.exchange.stage().is_without_upstream() {
        log::debug!("asking the upstream again failed: {}; trying later", reply.what);
        return Next::Do(Action::AskLater);
    }
    // During a drain a stream would be held only until its turn to end.
    let may_hold = is_outage && !reply.is_busy() && (has_head || !step.phase.is_closed());
    let policy = match reply.exceeded {
        Some(_) => step.exchange.on_exceeded_rate(),
        None => step.exchange.on_outage(),
    };
    Next::Do(match policy {
        OnOutage::Hold if may_hold => Action::Hold(reply),
        _ if has_head => Action::EndEarly(reply),
        OnOutage::Hold | OnOutage::Retry if is_outage => Action::ReplyWithRetry(reply),
        OnOutage::Hold | OnOutage::Retry | OnOutage::Error => Action::Reply(reply),
    })
}

/// Replies with an empty stream that says when to reconnect.
pub(crate) fn reply_with_retry<N: Net>(step: &mut Step<'_, N>, refused: LocalReply) -> Next {
    let body = step.retry_field(refused.exceeded, Duration::ZERO);
    grants::recall(step);
    let Step { exchange, io, out, phase, date, telemetry, .. } = step;
    log_reply(exchange, &mut telemetry.log, &refused);
    exchange.cause = refused.cause();
    // If the api or the key was removed, the outcome is already set.
    if exchange.outcome().is_complete() {
        exchange.end_with(Outcome::Spared);
    }
    if let Some(stats) = &exchange.record.stats {
        stats.spared.one();
        if refused.status >= 500 {
            stats.count_unserved(Unserved { at: io.now, cause: refused.cause(), status: 200 });
        }
    }
    exchange.upload.abandon(io.buffers);
    exchange.keep_alive_if(exchange.facts.version == Version::Http11 && !phase.is_draining());
    let mut fields = exchange.stream_cors_fields();
    if exchange.cors().is_none() && exchange.page().is_none_or(|page| page.told.is_none()) {
        // The reply is the same for everyone, and there is no upstream to say who may read it.
        fields.insert(0, ("Access-Control-Allow-Origin", "*"));
    }
    let head = StreamHead {
        length: BodyLength::Length(body.len() as u64),
        date,
        close: !exchange.keeps_alive(),
        fields: &fields,
    };
    reply::write_stream_head(out, &head);
    out.extend_from_slice(body.as_bytes());
    assert!(out.len() <= REPLY_MAX, "room was left for a reply of ours");
    exchange.reply(200, out, io.buffers, io.now);
    Next::Moved
}

/// Opens an event stream that has no upstream yet, or keeps open one that was answered early.
pub(crate) fn hold<N: Net>(step: &mut Step<'_, N>, refused: LocalReply) -> Next {
    log_reply(step.exchange, &mut step.telemetry.log, &refused);
    if !step.exchange.is_answered_early() {
        grants::recall(step);
        streams::begin_with_own_head(step);
    }
    let Step { exchange, io, .. } = step;
    exchange.upload.abandon(io.buffers);
    // A reader of a log waits for the feed.
    let asks = !matches!(exchange.source(), Source::Log(_));
    if asks {
        exchange.enter(Stage::Held, Source::Waiting(io.now));
    } else {
        exchange.enter_with_source(Stage::Held);
    }
    if let Some(stats) = &exchange.record.stats {
        stats.held.one();
        if let Some(cause) = refused.cause() {
            stats.count_refusal(cause, io.now);
        }
        stats.count_unserved(Unserved { at: io.now, cause: refused.cause(), status: 200 });
    }
    exchange.extras_mut().resume = Some(Resumption::of_held(refused.cause()));
    streams::open(step);
    if asks { Next::Do(Action::AskLater) } else { Next::Moved }
}

/// Prepares to resume an event stream that has lost its upstream.
pub(crate) fn resume<N: Net>(step: &mut Step<'_, N>, failure: Failure) -> Next {
    step.count_failure(failure);
    log_loss(step, failure);
    step.close_connection();
    let Step { exchange, io, apis, .. } = step;
    let patience = exchange.api().map_or(Duration::ZERO, |api| api.streams.resume_timeout);
    let mut count = 0;
    if let Some(events) = exchange.response.intake.events_mut() {
        events.restart(io.buffers);
        count = events.events();
    }
    let progressed = exchange.resume_mut().is_some_and(|r| r.note_lost(count, patience, io.now));
    if progressed && let Some(state) = exchange.api_state.and_then(|key| apis.get_mut(key)) {
        state.waking.note_progress();
    }
    if let Some(stats) = &exchange.record.stats {
        stats.resumes.one();
    }
    exchange.enter(Stage::Resuming, Source::Waiting(io.now));
    Next::Do(Action::AskLater)
}

/// Logs that an event stream has lost its upstream, which its client does not see. Where `resume`
/// is "always", the upstream may also have ended a subscription properly, so that is no warning.
fn log_loss<N: Net>(step: &mut Step<'_, N>, failure: Failure) {
    let target = step.endpoint().map(|endpoint| format!(" {}", endpoint.target));
    let Step { exchange, telemetry, .. } = step;
    let always = exchange.api().is_some_and(|api| api.streams.resume == Resume::Always);
    let is_usual = failure == Failure::Cut && always && !exchange.is_answer();
    let level = if is_usual { log::Level::Info } else { log::Level::Warn };
    let (target, word, name) = (target.unwrap_or_default(), failure.word(), exchange.api_name());
    let text =
        format!("an event stream lost its upstream{target} ({word}); resuming it, api {name}");
    telemetry.log.log(level, name, word, &text);
}

/// Logs that a stream ends because it could not be resumed in time, if that is so.
pub(crate) fn log_given_up<N: Net>(step: &mut Step<'_, N>) {
    let Step { exchange, telemetry, io, .. } = step;
    let is_late = exchange.resume().is_some_and(|resume| resume.gives_up() <= io.now);
    if !exchange.stage().is_without_upstream() || !is_late {
        return;
    }
    let name = exchange.api_name();
    let text = format!("an event stream was not resumed within api.resume_timeout, api {name}");
    telemetry.log.log(log::Level::Warn, name, "api.resume_timeout", &text);
}

/// Schedules the next attempt to ask the upstream.
pub(crate) fn schedule<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, io, apis, random, .. } = step;
    exchange.upload.abandon(io.buffers);
    let wants = exchange.response.intake.events().and_then(|events| events.retry());
    let api_state = exchange.api_state;
    let mut wait = Duration::ZERO;
    if let Some(resume) = exchange.resume_mut() {
        wait = resume.next_wait(wants, random.f64());
        if resume.has_asked_in_vain()
            && let Some(state) = api_state.and_then(|key| apis.get_mut(key))
        {
            state.waking.note_waiting();
        }
    }
    exchange.go_on_with(Source::Waiting(io.now.after(wait)));
    Next::Moved
}

/// The api whose upstream has answered an exchange, unless it answered that it is unavailable.
pub(crate) fn answered(exchange: &Exchange) -> Option<Key<ApiState>> {
    exchange.api_state.filter(|_| exchange.record.status < 500)
}

impl<N: Net> Proxy<N> {
    /// Lets other streams that asked the upstream of this api in vain ask again soon, now that it
    /// has answered. The delay is random so that they do not all ask at once. A stream that has not
    /// asked in vain keeps its first delay, because the upstream may have chosen it.
    pub(crate) fn wake_waiting(&mut self, answered: Option<Key<ApiState>>, now: Tick) {
        let Proxy { tasks, feeds, shared: Shared { apis, random, .. }, .. } = self;
        let Some(state) = answered.and_then(|api| apis.get_mut(api)) else { return };
        if !state.waking.is_due(now) {
            return;
        }
        let waits = |exchange: &Exchange| {
            exchange.api_state == answered
                && matches!(exchange.source(), Source::Waiting(_))
                && exchange.resume().is_some_and(|resume| resume.has_asked_in_vain())
        };
        let sessions = tasks.iter().filter(|(_, session)| session.exchange().is_some_and(waits));
        let sessions: Vec<Key<Session>> = sessions.map(|(key, _)| key).collect();
        let others = feeds.tasks.iter().filter(|(_, feed)| waits(&feed.exchange));
        let others: Vec<Key<Feed>> = others.map(|(key, _)| key).collect();
        let time = state.waking.wake(sessions.len() + others.len(), now);
        let mut ask_soon = |exchange: Option<&mut Exchange>| {
            if let Some(Source::Waiting(until)) = exchange.map(|exchange| exchange.source_mut()) {
                *until = (*until).min(now.after(time.mul_f64(0.1 + 0.9 * random.f64())));
            }
        };
        for key in sessions {
            ask_soon(tasks[key].exchange_mut());
            tasks.wake(key);
        }
        for key in others {
            ask_soon(Some(&mut feeds.tasks[key].exchange));
            feeds.tasks.wake(key);
        }
    }
}

/// Skips an interim response that is not forwarded.
pub(crate) fn pass_over_interim(exchange: &mut Exchange, status: u16, now: Tick) -> Next {
    let fail = |what| Next::fail(LocalReply::refused(Cause::UpstreamMalformed, 502, what));
    if status == 101 {
        return fail("the upstream switched protocols");
    }
    match exchange.awaiting_mut().map(|awaiting| awaiting.count_interim(now)) {
        Some(Err(what)) => fail(what),
        Some(Ok(())) | None => Next::Moved,
    }
}

/// Continues with the body of this response as an event stream. Its head is not forwarded here.
pub(crate) fn take_body(
    exchange: &mut Exchange,
    connection: &mut Connection,
    key: Key<Connection>,
    head: &ResponseHead<'_, '_>,
    now: Tick,
) {
    connection.persistent = exchange.leaves_reusable(head);
    connection.note_idle_limit(head.idle_limit);
    exchange.response.change_source(head.length, now);
    if let Some(stats) = &exchange.record.stats
        && exchange.resume().is_some_and(|resume| resume.is_of_broken_stream())
    {
        stats.resumed.one();
    }
    exchange.start_event_clock(now);
    exchange.enter(Stage::Stream, Source::Upstream(key));
    exchange.note_served(now);
}

/// Acts on the upstream's response for a stream whose client already has its head.
pub(crate) fn join(
    exchange: &mut Exchange,
    pool: &mut Pool,
    telemetry: &mut Telemetry,
    key: Key<Connection>,
    head: &ResponseHead<'_, '_>,
    now: Tick,
) -> Next {
    let fail = |cause, what| Next::fail(LocalReply::refused(cause, 502, what));
    match head.status {
        100..200 => pass_over_interim(exchange, head.status, now),
        200 if head.is_event_stream && !head.is_coded => {
            grants::read(exchange, head);
            if !grants::may_read_latest(exchange) {
                return Next::Do(Action::Withhold);
            }
            exchange.drop_trailers(head);
            take_body(exchange, &mut pool[key], key, head, now);
            let events = exchange.response.intake.events();
            if exchange.is_known_by_query() && events.is_some_and(|events| events.events() == 0) {
                exchange.response.intake.watch_endpoint();
            }
            pool.note_answer(key, exchange.record.status, now);
            Next::Do(Action::NoteAnswer)
        }
        status if exchange.is_answered_early() => {
            if is_outage(status) && exchange.on_outage() != OnOutage::Error {
                let what = "the upstream answered that it is unavailable";
                return Next::fail(LocalReply::refused(Cause::UpstreamUnavailable, status, what));
            }
            pool.note_answer(key, status, now);
            early::end_without_stream(exchange, telemetry, head, now)
        }
        408 | 429 | 500..=599 => {
            fail(Cause::UpstreamUnavailable, "the upstream cannot serve the stream")
        }
        // The client gets this response itself when it reconnects.
        status => {
            let name = exchange.api_name();
            let text = format!("an event stream ends: the upstream answered {status}, api {name}");
            telemetry.log.log(log::Level::Info, name, "no event stream", &text);
            pool.note_answer(key, exchange.record.status, now);
            Next::Do(Action::EndStream(Outcome::UpstreamCut))
        }
    }
}
