//! After 101 (Switching Protocols): bytes both ways, until both sides have ended.
//!
//! Each direction ends by itself. A side that has said all has its end passed on, and is still
//! written to; only a broken connection ends both.

use super::{Proxy, Step};
use crate::exchange::{Outcome, Phase};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::pipe::{Fault, Flow};
use crate::session::Session;
use crate::slab::Key;
use crate::time::Tick;
use crate::upstream::Upstream;

impl<N: Net> Proxy<N> {
    /// Joins the two connections; the 101 is in the response pipe and goes out in front.
    pub(super) fn open_tunnel(&mut self, key: Key<Session>, upstream: Key<Upstream>, now: Tick) {
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        exchange.facts.persistent = false;
        exchange.phase = Phase::Tunnel(upstream);
        exchange.request.begin(BodyLength::UntilClose, BodyLength::UntilClose, now);
        exchange.response.begin(BodyLength::UntilClose, BodyLength::UntilClose, now);
    }

    pub(super) fn run_tunnel(
        &mut self,
        key: Key<Session>,
        upstream: Key<Upstream>,
        now: Tick,
    ) -> Step {
        let Some((conn, exchange, upstreams, mut io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        let origin = &mut upstreams[upstream].conn;
        let before = (exchange.request.flow(), exchange.response.flow());
        let towards_origin = exchange.request.pump(conn, origin, &mut io);
        let towards_client = exchange.response.pump(origin, conn, &mut io);
        let after = (exchange.request.flow(), exchange.response.flow());
        let (client, origin) = (conn.sock, origin.sock);
        match (towards_origin, towards_client) {
            (Err(Fault::SourceCut), _) | (_, Err(Fault::SinkGone)) => {
                return self.end(key, Outcome::ClientGone, now);
            }
            (Err(_), _) | (_, Err(_)) => return self.end(key, Outcome::UpstreamCut, now),
            (Ok(false), Ok(false)) if before == after => return Step::Blocked,
            (Ok(_), Ok(_)) => {}
        }
        if after == (Flow::Finished, Flow::Finished) {
            return self.end(key, Outcome::Complete, now);
        }
        if after.0 == Flow::Finished && before.0 != Flow::Finished {
            self.net.shutdown_write(origin);
        }
        if after.1 == Flow::Finished && before.1 != Flow::Finished {
            self.net.shutdown_write(client);
        }
        Step::Moved
    }
}
