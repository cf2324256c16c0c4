//! The life of an event stream: its beginning, its heartbeats, and its end between two events.
//!
//! Nobody but its two ends knows how long a stream is to last, so the proxy ends one only where it
//! is told to: at `max_stream_age`, at `stream_idle_timeout`, in a drain. When an exchange expires
//! ([`Exchange::expires_at`]), its stream ends at once if its client is between two events, and
//! otherwise behind the event that is on its way; if that takes too long, or if its bytes cannot be
//! read, it is cut, visibly.
//!
//! A tunnel may expire, too, and so may any exchange whose api or key is not there any more
//! ([`super::reload`]). Those have no place where they could end, and are cut.
//!
//! In a drain each stream has a slot of its own in nine tenths of the window, and a random moment
//! in it; the last tenth is for goodbyes. Tunnels go on until the window is over, for there is no
//! place in them where an end does no harm.

use super::drain::within;
use super::next::{Action, Next};
use super::step::Step;
use crate::exchange::{Exchange, LocalReply, Source, Stage};
use crate::net::Net;
use crate::telemetry::{Failure, Outcome};
use std::rc::Rc;
use std::time::Duration;

/// How long an unfinished event is waited for when its stream is to end.
const EVENT_GRACE: Duration = Duration::from_secs(10);

/// An event stream or a tunnel is open, if that is what the client has. What is done for it once is
/// done unless it has been open before.
pub(super) fn open<N: Net>(step: &mut Step<'_, N>) {
    let Step { exchange, pool, apis, telemetry, config, random, .. } = step;
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
    if exchange.stage().is_stream() {
        if let Some(age) = exchange.api().and_then(|api| api.streams.max_age) {
            let percent = random.u32(80..=100);
            exchange.expire_stream_at(now.after(age * percent / 100), Outcome::MaxAge);
        }
        if let Some(deadline) = step.drain {
            let share = random.f64();
            exchange.expire_stream_at(within(now, deadline, share), Outcome::Drained);
        }
    }
    // Its upstream took its time, and there is another configuration by now.
    if !Rc::ptr_eq(&exchange.config, config) {
        super::reload::judge_anew(exchange, config, apis, random.f64(), now);
    }
    exchange.record.open = true;
    telemetry.opened(&exchange.report(step.peer), now);
}

/// A client that was sent nothing for a while is sent a comment.
pub(super) fn send_heartbeat<N: Net>(step: &mut Step<'_, N>) -> Next {
    step.exchange.response.comment(&mut step.io);
    if let Some(stats) = &step.exchange.record.stats {
        stats.heartbeats.one();
    }
    Next::Moved
}

/// The moment has come at which an exchange is to end, or it had come, and the grace is over or the
/// event is complete.
pub(super) fn expire<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, config, io, .. } = step;
    let Some(outcome) = exchange.expires_with() else { return Next::Moved };
    let was_ending = exchange.is_in_grace();
    if !was_ending {
        // A tenth of the window was left free for this.
        let window = config.drain.window;
        let grace = if outcome.spares_nothing() { window / 10 } else { EVENT_GRACE };
        exchange.begin_grace(io.now.after(grace.min(EVENT_GRACE)));
    }
    match (exchange.stage(), exchange.source()) {
        (Stage::Stream | Stage::Held | Stage::Resuming, _) => {
            expire_stream(exchange, outcome, was_ending)
        }
        _ if was_ending => Next::end(outcome),
        (Stage::Unanswered, Source::Connecting(_) | Source::Awaiting(_)) => {
            exchange.end_with(outcome);
            exchange.keep_alive_if(false);
            Next::fail(if outcome == Outcome::Revoked {
                LocalReply::ended(403, "its key was revoked")
            } else {
                LocalReply::ended(503, "its api was removed")
            })
        }
        (Stage::Body, Source::Upstream(_)) => Next::Do(Action::Cut(outcome)),
        (Stage::Tunnel, _) => Next::end(outcome),
        // What there is of an answer is on its way, or is about to be.
        _ => Next::Moved,
    }
}

/// Ends an event stream between two events: behind the one that is on its way, or else visibly.
fn expire_stream(exchange: &mut Exchange, outcome: Outcome, was_ending: bool) -> Next {
    if exchange.response.outlet.is_between_events() {
        return Next::Do(Action::EndStream(outcome));
    }
    let stuck = exchange.response.pending() > 0;
    match exchange.response.intake.events_mut() {
        Some(events) if !was_ending => {
            events.want_whole();
            Next::Moved
        }
        // The operator does not wait for a client that takes nothing, which has had its time.
        _ if outcome == Outcome::Ended && stuck => Next::end(outcome),
        _ if outcome.spares_nothing() && was_ending => Next::end(outcome),
        _ => Next::Do(Action::Cut(outcome)),
    }
}

/// The upstream of a stream has been silent for too long.
pub(super) fn silent<N: Net>(step: &mut Step<'_, N>) -> Next {
    Next::Do(if step.exchange.can_resume() {
        Action::Resume(Failure::Idle)
    } else if step.exchange.response.outlet.is_between_events() {
        step.count_failure(Failure::Idle);
        Action::EndStream(Outcome::UpstreamIdle)
    } else {
        Action::Cut(Outcome::UpstreamIdle)
    })
}

/// Ends a stream in an orderly way. A client that will come back is told when, if many others will
/// come back with it.
pub(super) fn end_between_events<N: Net>(step: &mut Step<'_, N>, outcome: Outcome) -> Next {
    step.close_connection();
    let together = matches!(outcome, Outcome::Drained | Outcome::Removed | Outcome::UpstreamCut);
    let comes_back = together && step.exchange.facts.is_get;
    let farewell = if comes_back { step.retry_field() } else { String::new() };
    let Step { exchange, io, .. } = step;
    exchange.response.end_between_events(farewell.as_bytes(), io);
    exchange.upload.abandon(io.buffers);
    exchange.end_with(outcome);
    exchange.enter(Stage::Delivering, Source::None);
    Next::Moved
}
