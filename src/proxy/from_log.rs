//! Responses whose events come from a log that others read, too ([`crate::event_log`]).
//!
//! The client has a place in the log and holds nothing else, but what its socket has refused. While
//! that is pending nothing more is read, so the log is its queue.

use super::next::{Action, Next};
use super::step::{Step, watches_client};
use crate::exchange::{Exchange, Source};
use crate::net::Net;
use crate::pipe::Followed;
use crate::telemetry::Outcome;

/// Gives out what the log has, no faster than the client reads it.
#[inline(never)]
pub(super) fn run<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, conn, io, .. } = step;
    let (response, source) = exchange.response_and_source_mut();
    let Source::Log(log) = source else { return Next::Blocked };
    let followed = log.with(|log| response.read_log(log, conn, io));
    match followed {
        Err(_) => Next::end(Outcome::ClientGone),
        Ok(Followed::Blocked) => step.watch_client(),
        Ok(Followed::Lost) if response.may_skip() => {
            response.intake.skip_to(log.with(|log| log.oldest()));
            Next::Moved
        }
        // The rest of the event is gone.
        Ok(Followed::Lost) => Next::Do(Action::Cut(Outcome::SlowClient)),
        Ok(Followed::Moved) if has_settled(step) => Next::Settled,
        Ok(Followed::Moved) => Next::Moved,
    }
}

/// True when all that the log has was sent and nothing else can move, as is usual after an event.
/// Another step would find that out, too.
fn has_settled<N: Net>(step: &Step<'_, N>) -> bool {
    let Exchange { response, .. } = &*step.exchange;
    let Source::Log(log) = step.exchange.source() else { return false };
    response.outlet.is_quiet()
        && !log.with(|log| response.is_behind(log))
        && !watches_client(step.conn, step.exchange, step.ahead_max)
}
