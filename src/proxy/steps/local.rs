//! Responses that this process writes itself.

use crate::exchange::{Behind, Source, Stage};
use crate::net::Net;
use crate::proxy::next::Next;
use crate::proxy::step::Step;

/// Writes what is due, no faster than the client reads it.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { exchange, io, now, .. } = step;
    let (response, source) = exchange.response_and_source_mut();
    if let Some(local) = source.local_mut()
        && response.pending() == 0
        && let Some((piece, behind)) = local.take(io.high_water, *now)
    {
        match behind {
            Behind::More => response.queue_payload(&piece, io),
            Behind::End => {
                response.queue_last(&piece, io);
                exchange.enter(Stage::Reply, Source::None);
            }
            Behind::Log(log) => {
                response.queue_payload(&piece, io);
                exchange.go_on_with(Source::Log(log.reader()));
            }
        }
        return Next::Moved;
    }
    step.watch_client()
}
