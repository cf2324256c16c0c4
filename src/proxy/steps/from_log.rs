//! Responses whose events come from a log that other clients read as well ([`crate::event_log`]).
//!
//! The client has a position in the log and holds nothing else except what its socket refused.
//! While that is pending it reads nothing more, so the log is its queue. It learns from the state
//! of the log what becomes of the stream.

use super::head::head_limits;
use super::{outage, response};
use crate::config::Slow;
use crate::edge::admission;
use crate::event_log::EventLog;
use crate::exchange::{Exchange, LocalReply, LogState, Source, Stage, Why};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, ResponseHead};
use crate::net::Net;
use crate::pipe::Followed;
use crate::pipe::Io;
use crate::pipe::place::Place;
use crate::proxy::next::{Action, Next};
use crate::proxy::step::{Step, watches_client};
use crate::telemetry::{Cause, Outcome};
use std::rc::Rc;

/// Follows the state of the log.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Source::Log(log) = step.exchange.source() else { return Next::Blocked };
    let (stage, state) = (step.exchange.stage(), log.state());
    match state {
        _ if matches!(stage, Stage::Body | Stage::Stream) => read(step),
        LogState::Asked => step.watch_client(),
        LogState::Private(veto) => {
            step.exchange.unfollow();
            step.exchange.count_veto(veto);
            if let Some(outbound) = &mut step.exchange.outbound {
                outbound.shareable = None;
            }
            Next::Do(Action::Share)
        }
        // Only now is it known what this client can get.
        _ if step.exchange.is_undecided() => ask_again(step.exchange),
        LogState::Gone => ask_again(step.exchange),
        LogState::Awaited => step.watch_client(),
        LogState::Held(_) if stage == Stage::Held => step.watch_client(),
        LogState::Held(reply) => Next::Do(Action::Hold(reply)),
        LogState::Open | LogState::Ended(_) | LogState::Broken => begin(step),
        LogState::Failed(reply) => {
            step.exchange.unfollow();
            if reply.why == Why::Ended {
                step.exchange.end_with(Outcome::Removed);
            }
            outage::fail(step, reply)
        }
    }
}

fn ask_again(exchange: &mut Exchange) -> Next {
    exchange.unfollow();
    Next::Do(Action::Share)
}

/// Begins the stream, with the head of the upstream's response if the client has no head yet.
fn begin<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, io, out, .. } = step;
    let Source::Log(log) = exchange.source() else { return Next::Blocked };
    let bytes = Rc::clone(log).head();
    if exchange.stage() == Stage::Unanswered {
        let mut store = FieldStore::new();
        let limits = head_limits(&exchange.config);
        let head = match ResponseHead::parse(&bytes, &mut store, &limits, false) {
            Ok(head) => head,
            Err(error) => {
                let cause = Cause::of_response_head(error);
                return Next::fail(LocalReply::refused(cause, 502, error.what()));
            }
        };
        if let Err(reply) =
            admission::acquire(exchange, step.peer, step.apis, &step.edge.totals.key_streams)
        {
            return Next::fail(reply);
        }
        exchange.keep_alive_if(!step.phase.is_draining());
        let to = BodyLength::untold(exchange.facts.version);
        response::write_final(exchange, &head, to, out, step.date);
        exchange.response.outlet.begin(to, false);
        exchange.watch_events();
        exchange.response.queue(out, io.buffers, io.now);
        exchange.record.status = 200;
    }
    exchange.upload.abandon(io.buffers);
    exchange.outbound = None;
    exchange.forget_resuming();
    exchange.enter_with_source(Stage::Stream);
    tell_retry(exchange, io);
    if let Some(stats) = &exchange.record.stats {
        stats.shared.one();
    }
    Next::Do(Action::Open)
}

/// Tells a joining client the `retry` value that the upstream sent to those already there.
fn tell_retry<N: Net>(exchange: &mut Exchange, io: &mut Io<'_, N>) {
    let Source::Log(log) = exchange.source() else { return };
    let place = exchange.response.intake.place().map(Place::next);
    if let Some(retry) = place.and_then(|at| log.read(|events| events.retry_before(at))) {
        exchange.response.put_in(format!("retry: {retry}\n\n").as_bytes(), io);
    }
}

/// Sends what the log has, no faster than the client reads it.
fn read<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, conn, io, .. } = step;
    if exchange.is_in_grace() && exchange.response.outlet.is_between_events() {
        return Next::Do(Action::Expire);
    }
    if exchange.response.outlet.is_quiet() && exchange.take_gap() {
        tell_gap(exchange, io);
        return Next::Moved;
    }
    let is_stream = exchange.stage() == Stage::Stream;
    let (response, source) = exchange.response_and_source_mut();
    let Source::Log(log) = source else { return Next::Blocked };
    let followed = log.read(|events| response.read_log(events, conn, io));
    match followed {
        Err(_) => Next::end(Outcome::ClientGone),
        Ok(Followed::Blocked) => {
            let is_done = response.pending() == 0;
            if let (LogState::Ended(outcome), true) = (log.state(), is_done) {
                Next::Do(Action::EndStream(outcome))
            } else if let (LogState::Broken, true) = (log.state(), is_done) {
                Next::Do(Action::CutShared)
            } else {
                step.watch_client()
            }
        }
        Ok(Followed::Lost) if is_stream => lose(step),
        Ok(Followed::Lost) if response.may_skip() => {
            response.intake.skip_to(log.read(EventLog::oldest));
            Next::Moved
        }
        // The rest of the event is gone from the log.
        Ok(Followed::Lost) => Next::Do(Action::Cut(Outcome::SlowClient)),
        Ok(Followed::Moved) if has_settled(step) => Next::Settled,
        Ok(Followed::Moved) => Next::Moved,
    }
}

/// True if there is something to do about the log that its readers have been told of.
pub(crate) fn can_go_on(exchange: &Exchange) -> bool {
    let Source::Log(log) = exchange.source() else { return true };
    let is_new = match (exchange.stage(), log.state()) {
        (Stage::Body | Stage::Stream, state) if state.has_ended() => true,
        (Stage::Body | Stage::Stream, _) => {
            exchange.has_gap() || log.read(|events| exchange.response.is_behind(events))
        }
        (_, LogState::Asked) => false,
        _ if exchange.is_undecided() => true,
        (_, LogState::Awaited) | (Stage::Held, LogState::Held(_)) => false,
        _ => true,
    };
    is_new && log.is_told()
}

/// Does what `slow` says for a client that was too slow: the log no longer holds what it would have
/// been sent next. In the middle of an event this is a visible cut.
fn lose<N: Net>(step: &mut Step<'_, N>) -> Next {
    let exchange = &mut *step.exchange;
    if let Some(stats) = &exchange.record.stats {
        stats.gaps.one();
    }
    if let Source::Log(log) = exchange.source() {
        log.counts.gaps.one();
    }
    if !exchange.response.may_skip() {
        return Next::Do(Action::Cut(Outcome::SlowClient));
    }
    let slow = exchange.api().and_then(|api| api.share.as_ref()).map_or(Slow::End, |s| s.slow);
    let (response, source) = exchange.response_and_source_mut();
    match (slow, source) {
        (Slow::Skip, Source::Log(log)) => {
            response.intake.skip_to(log.read(EventLog::oldest));
        }
        (Slow::Latest, _) => response.intake.catch_up(),
        (Slow::End | Slow::Skip, _) => return Next::Do(Action::EndStream(Outcome::SlowClient)),
    }
    exchange.extras_mut().has_gap = true;
    Next::Moved
}

/// Tells a client that it has missed events, if an event is configured for that.
fn tell_gap<N: Net>(exchange: &mut Exchange, io: &mut Io<'_, N>) {
    let Exchange { config, api, response, .. } = exchange;
    let api = api.and_then(|index| config.apis.get(usize::from(index)));
    if let Some(event) = api.and_then(|api| api.share.as_ref()?.gap_event.as_ref()) {
        response.put_in(event.as_bytes(), io);
    }
}

/// Tells a client whose own upstream stream begins that it has missed events, if it has.
pub(crate) fn tell_gap_before<N: Net>(step: &mut Step<'_, N>) {
    let Step { exchange, io, .. } = step;
    let is_readable = exchange.response.intake.events().is_some();
    if is_readable && exchange.response.outlet.is_between_events() && exchange.take_gap() {
        tell_gap(exchange, io);
    }
}

/// True if everything in the log was sent and nothing else can move, as is usual after an event.
/// This only saves a step, which would find the same.
fn has_settled<N: Net>(step: &Step<'_, N>) -> bool {
    let Exchange { response, .. } = &*step.exchange;
    let Source::Log(log) = step.exchange.source() else { return false };
    response.outlet.is_quiet()
        && !log.read(|events| response.is_behind(events))
        && !log.state().has_ended()
        && !step.exchange.is_in_grace()
        && !watches_client(step.conn, step.exchange, step.ahead_max)
}
