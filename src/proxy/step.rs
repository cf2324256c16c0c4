//! What a step of an exchange works on.
//!
//! A step sees one exchange, its client's connection, and the state that all sessions share. It
//! never sees another session; whatever affects other sessions is left to [`super::advance`].

use super::background::auth_requests::AuthRequests;
use super::next::Next;
use super::phase::Phase;
use crate::apis::Apis;
use crate::config::Config;
use crate::conn::{Conn, Read};
use crate::edge::Edge;
use crate::exchange::{Exchange, LocalReply, Log, Stage};
use crate::net::{Net, Ready};
use crate::pipe::Io;
use crate::pool::{Endpoint, Owner, Place, Pool};
use crate::rate::Exceeded;
use crate::session::Service;
use crate::telemetry::{Failure, Outcome, Telemetry};
use crate::time::{Now, millis};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// An exchange and its surroundings, borrowed for one step.
#[derive(Debug)]
pub(super) struct Step<'a, N: Net> {
    /// The owner of the exchange.
    pub owner: Owner,
    /// The log that it fills, if the exchange belongs to a feed.
    pub fills: Option<&'a Rc<Log>>,
    /// The service that the client is using.
    pub service: Service,
    /// The client's connection.
    pub conn: &'a mut Conn,
    /// The client's address. None on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The client's port if its PROXY header gives one, otherwise 0.
    pub port: u16,
    /// True if the client connection uses TLS.
    pub is_secure: bool,
    pub exchange: &'a mut Exchange,
    pub io: Io<'a, N>,
    /// The buffer for a head. It is empty when a step begins.
    pub out: &'a mut Vec<u8>,
    pub pool: &'a mut Pool,
    pub edge: &'a mut Edge,
    pub apis: &'a mut Apis,
    /// The requests to auth servers.
    pub auth_requests: &'a mut AuthRequests,
    pub telemetry: &'a mut Telemetry,
    /// The current configuration. The exchange may have begun under an earlier one.
    pub config: &'a Rc<Config>,
    /// How far the proxy is through its shutdown.
    pub phase: &'a Phase,
    pub random: &'a mut fastrand::Rng,
    /// The value of the Date field in this turn.
    pub date: &'a str,
    /// The number of bytes of a following request to read while one is being served.
    pub ahead_max: usize,
    /// The time of this turn.
    pub now: Now,
}

impl<N: Net> Step<'_, N> {
    /// Reads a little from the client while its request waits for the response or the rest of it,
    /// because the client may leave or send its next request. The amount is limited, because the
    /// next request is not needed yet. (epoll reports a hang-up anyway; this is for platforms that
    /// do not.)
    pub(super) fn watch_client(&mut self) -> Next {
        if !watches_client(self.conn, self.exchange, self.ahead_max) {
            return Next::Blocked;
        }
        let room = self.ahead_max - self.conn.ahead().len();
        match self.conn.read(self.io.net, &mut self.io.scratch[..room]) {
            Read::Bytes(n) => {
                self.conn.keep(&self.io.scratch[..n], self.io.buffers);
                Next::Moved
            }
            Read::Blocked => Next::Blocked,
            // A client that has shut down its sending side can still read a local reply.
            Read::End if !self.exchange.ends_with_client() => {
                self.conn.ready.clear(Ready::READ);
                Next::Blocked
            }
            Read::End | Read::Broken => Next::end(Outcome::ClientGone),
        }
    }

    /// The TLS version that the client uses, if any.
    pub(super) fn tls_version(&self) -> Option<&'static str> {
        self.conn.agreed(self.io.net).map(|agreed| agreed.version)
    }

    /// Leaves the upstream's queue if the exchange is waiting there for a connection. Returns the
    /// place it had.
    pub(super) fn leave_queue(&mut self) -> Option<Place> {
        let place = self.exchange.leave_queue(self.io.now)?;
        self.pool.leave_queue(place);
        Some(place)
    }

    /// Closes the upstream connection that the exchange holds or waits for, and cancels its pending
    /// auth request, if any.
    pub(super) fn close_connection(&mut self) {
        self.leave_queue();
        close_connection(self.exchange, self.pool, self.auth_requests, &mut self.io);
    }

    /// The endpoint that the exchange is connected to, while its upstream exists.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.pool.endpoint_of(self.exchange.connection()?)
    }

    /// Counts a failure of the endpoint that the exchange is connected to.
    pub(super) fn count_failure(&self, failure: Failure) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.stats.count_failure(failure, self.io.now);
        }
    }

    /// A block with the `retry` field that tells an event stream's client when to reconnect: when
    /// the rate that it exceeded has room again, if it exceeded one. Other clients leave as well,
    /// spread over a time of length `leave`.
    pub(super) fn retry_field(&mut self, exceeded: Option<Exceeded>, leave: Duration) -> String {
        let (first, last) = match exceeded {
            Some(Exceeded { wait, refill }) => (wait, wait + refill),
            None => (self.config.drain.retry_min, self.longest_return(leave)),
        };
        let times = millis(first)..=millis(last);
        format!("retry: {}\n\n", self.random.u64(times))
    }

    /// [`Edge::longest_return`].
    pub(super) fn longest_return(&mut self, leave: Duration) -> Duration {
        self.edge.longest_return(self.config, leave, self.now.tick)
    }

    /// The value of Retry-After for a reply, in seconds, if it has one.
    pub(super) fn retry_after(&mut self, reply: &LocalReply) -> Option<u64> {
        // Rounded up, so that no client comes back too early.
        let least = millis(reply.retry_after?).div_ceil(1000);
        if reply.status != 503 {
            return Some(least);
        }
        // The client did not cause this, so others are affected too.
        let spread = millis(self.spread_of_returns()) / 1000;
        Some(least + if spread == 0 { 0 } else { self.random.u64(0..=spread) })
    }

    fn spread_of_returns(&mut self) -> Duration {
        self.edge.spread_of_returns(self.config.tls.handshake_cost(), self.now.tick)
    }
}

/// True if it is worth reading from a client that is being served.
#[inline]
pub(super) fn watches_client(conn: &Conn, exchange: &Exchange, ahead_max: usize) -> bool {
    exchange.stage() != Stage::Tunnel
        && exchange.upload.source_done()
        && conn.ready.has(Ready::READ)
        && conn.ahead().len() < ahead_max
}

/// Closes the upstream connection that an exchange holds and cancels its pending auth request, if
/// any.
pub(super) fn close_connection<N: Net>(
    exchange: &mut Exchange,
    pool: &mut Pool,
    auth_requests: &mut AuthRequests,
    io: &mut Io<'_, N>,
) {
    if let Some(authorizing) = exchange.take_authorizing() {
        auth_requests.cancel(authorizing.request, pool, io);
    }
    if let Some(connection) = exchange.take_connection() {
        pool.leave(connection, exchange.upload.sent(), io);
    }
}
