//! Asking another target after one has failed a request.
//!
//! An endpoint that cannot be connected to costs a request nothing: the pool tries the next one.
//! `retry_on` lists what else counts as a failure. The request is then sent a second time, which is
//! allowed because the operator says so, as long as no byte of an upstream's answer has gone to the
//! client. A head written by this proxy, heartbeats and interim responses do not count as such. The
//! request must still be available: it has no body, or `retry_body` let its body be kept.
//!
//! Each target is asked once, and all of them within the response timeout. If `timeout` is in the
//! list, the remaining targets share the remaining time. A target that has failed is avoided for a
//! while, whether or not this request could be sent again.
//!
//! A client can only get another target's answer while it has no head. So if `first_event_timeout`
//! is in the list, the head of an event stream waits for the first event
//! ([`crate::exchange::Lookahead`]).

use super::connect;
use crate::config::{Api, Failed};
use crate::exchange::{Exchange, LocalReply, Source};
use crate::net::Net;
use crate::pool::Pool;
use crate::proxy::deadlines::response_due;
use crate::proxy::next::Next;
use crate::proxy::step::Step;
use crate::telemetry::{Cause, Failure};
use crate::time::Tick;

/// What `retry_on` calls the failure that this reply is about. None if the upstream was not sent
/// the request, is not at fault, or has answered: then its status was checked.
pub(crate) fn failure(reply: &LocalReply) -> Option<Failed> {
    let cause = reply.cause().filter(|_| reply.is_upstream_fault())?;
    if cause == Cause::FirstEventTimeout {
        return Some(Failed::FirstEventTimeout);
    }
    let failures = [
        (Failure::ResponseTimeout, Failed::Timeout),
        (Failure::WriteTimeout, Failed::Timeout),
        (Failure::Closed, Failed::BadGateway),
        (Failure::Malformed, Failed::BadGateway),
    ];
    let failure = Failure::of_response(cause)?;
    failures.iter().find(|(known, _)| *known == failure).map(|(_, failed)| *failed)
}

/// True if a request whose target has `failed` should go to another one. If `retry_on` lists the
/// failure, other requests avoid this target for a while.
pub(crate) fn is_due(exchange: &Exchange, pool: &mut Pool, failed: Failed, now: Tick) -> bool {
    let Source::Awaiting(awaiting) = exchange.source() else { return false };
    let applies = |api: &Api| api.retry_on.has(failed) && api.has_several_targets();
    let listed = exchange.api().is_some_and(applies);
    if listed {
        pool.note_failure(awaiting.connection, now);
    }
    listed && is_possible(exchange, now)
}

/// True if there is another target that the request could be sent to now.
pub(crate) fn is_possible(exchange: &Exchange, now: Tick) -> bool {
    let Source::Awaiting(awaiting) = exchange.source() else { return false };
    exchange.other_targets() > 0 && now < response_due(exchange, awaiting)
}

/// Sends the request to another target.
pub(crate) fn ask_another<N: Net>(step: &mut Step<'_, N>, failed: Failed) -> Next {
    let Source::Awaiting(awaiting) = step.exchange.source() else { return Next::Moved };
    let due = response_due(step.exchange, awaiting);
    let endpoint = step.pool[awaiting.connection].endpoint();
    step.close_connection();
    let Step { exchange, io, telemetry, .. } = step;
    if let Some(outbound) = &mut exchange.outbound {
        outbound.note_failed(1 << endpoint, due);
    }
    exchange.upload.repeat(io.buffers, io.now);
    if let Some(stats) = &exchange.record.stats {
        stats.retries.one();
    }
    if let Some(api) = exchange.api() {
        let target = &api.targets[endpoint];
        let (name, word) = (&api.name, failed.word());
        let text = format!("api {name}: {target} failed ({word}); asking another target");
        telemetry.log.log(log::Level::Warn, name, word, &text);
    }
    connect::connect(step)
}
