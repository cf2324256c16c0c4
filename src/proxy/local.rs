//! Responses that this process writes itself.

use super::next::Next;
use super::step::Step;
use crate::exchange::{Source, Stage};
use crate::net::Net;

/// Writes what is due, no faster than the client reads it.
#[inline(never)]
pub(super) fn run<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, io, now, .. } = step;
    let (response, source) = exchange.response_and_source_mut();
    if let Some(local) = source.local_mut()
        && response.pending() == 0
        && let Some((piece, last)) = local.take(io.high_water, *now)
    {
        if last {
            response.queue_last(&piece, io);
            exchange.enter(Stage::Reply, Source::None);
        } else {
            response.queue_payload(&piece, io);
        }
        return Next::Moved;
    }
    step.watch_client()
}
