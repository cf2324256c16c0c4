//! Tunnels: after 101 (Switching Protocols), bytes pass both ways until both sides have ended.
//!
//! Each direction ends by itself. The end of one side is passed on, and that side is still written
//! to; only a broken connection ends both.
//!
//! A switch to a protocol that was not offered is a 502. So is a switch before the whole request
//! was sent, because it is unknown which protocol the rest would be in. An offer may come with a
//! body (`docker exec` sends one). If the upstream does not switch, its connection is not used
//! again: some servers take the offer for the end of the request.

use crate::exchange::Exchange;
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::pipe::{Fault, Flow, Moved};
use crate::pool::Connection;
use crate::proxy::next::Next;
use crate::proxy::step::Step;
use crate::slab::Key;
use crate::telemetry::Outcome;
use crate::time::Tick;

/// Joins the two connections. The 101 is in the response pipe and is sent first.
pub(crate) fn open(exchange: &mut Exchange, now: Tick) {
    exchange.keep_alive_if(false);
    exchange.outbound = None;
    exchange.response.begin(BodyLength::UntilClose, BodyLength::UntilClose, now);
    exchange.upload.begin_tunnel(now);
}

/// Moves bytes in both directions.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>) -> Next {
    let Step { exchange, conn, io, pool, .. } = step;
    let upstream = &mut pool[key].conn;
    let Exchange { upload: request, response, .. } = &mut **exchange;
    // The upstream stopped reading before it switched.
    let Some(request) = request.pipe_mut() else { return Next::end(Outcome::UpstreamCut) };
    // A side of a tunnel may wait for each byte of the other.
    io.flush_interval = None;
    let before = (request.outlet.flow(), response.outlet.flow());
    let towards_upstream = request.pump(conn, upstream, io);
    let towards_client = response.pump(upstream, conn, io);
    let after = (request.outlet.flow(), response.outlet.flow());
    match (towards_upstream, towards_client) {
        (Err(Fault::Source(_)), _) | (_, Err(Fault::SinkGone)) => {
            return Next::end(Outcome::ClientGone);
        }
        (Err(_), _) | (_, Err(_)) => return Next::end(Outcome::UpstreamCut),
        (Ok(Moved::No), Ok(Moved::No)) if before == after => return Next::Blocked,
        (Ok(_), Ok(_)) => {}
    }
    if after == (Flow::Finished, Flow::Finished) {
        return Next::end(Outcome::Complete);
    }
    if after.0 == Flow::Finished && before.0 != Flow::Finished {
        upstream.shutdown_write(io.net);
    }
    if after.1 == Flow::Finished && before.1 != Flow::Finished {
        conn.shutdown_write(io.net);
    }
    Next::Moved
}
