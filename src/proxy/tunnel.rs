//! After 101 (Switching Protocols): bytes both ways, until both sides have ended.
//!
//! Each direction ends by itself. A side that has said all has its end passed on, and is still
//! written to; only a broken connection ends both.

use super::scene::{Scene, Verdict};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::pipe::{Fault, Flow, Moved};
use crate::session::outcome::Outcome;
use crate::session::upstream::Upstream;

impl<N: Net> Scene<'_, N> {
    /// Joins the two connections; the 101 is in the response pipe and goes out in front.
    pub(super) fn open_tunnel(&mut self) {
        let now = self.io.now;
        self.exchange.facts.persistent = false;
        let (from, to) = (BodyLength::UntilClose, BodyLength::UntilClose);
        self.exchange.response.begin(from, to, now);
        if let Some(request) = self.exchange.request.pipe_mut() {
            request.begin(from, to, now);
        }
    }

    pub(super) fn run_tunnel(&mut self, upstream: &mut Upstream) -> Verdict {
        // The upstream has stopped reading before it switched.
        let Some(request) = self.exchange.request.pipe_mut() else {
            return Verdict::End(Outcome::UpstreamCut);
        };
        let response = &mut self.exchange.response;
        let before = (request.flow(), response.flow());
        let towards_upstream = request.pump(self.conn, &mut upstream.conn, &mut self.io);
        let towards_client = response.pump(&mut upstream.conn, self.conn, &mut self.io);
        let after = (request.flow(), response.flow());
        match (towards_upstream, towards_client) {
            (Err(Fault::Source(_)), _) | (_, Err(Fault::SinkGone)) => {
                return Verdict::End(Outcome::ClientGone);
            }
            (Err(_), _) | (_, Err(_)) => return Verdict::End(Outcome::UpstreamCut),
            (Ok(Moved::No), Ok(Moved::No)) if before == after => return Verdict::Blocked,
            (Ok(_), Ok(_)) => {}
        }
        if after == (Flow::Finished, Flow::Finished) {
            return Verdict::End(Outcome::Complete);
        }
        if after.0 == Flow::Finished && before.0 != Flow::Finished {
            upstream.conn.shutdown_write(self.io.net);
        }
        if after.1 == Flow::Finished && before.1 != Flow::Finished {
            self.conn.shutdown_write(self.io.net);
        }
        Verdict::Moved
    }
}
