//! PROXY headers, in which a proxy in front names the client whose connection it passes on
//! ([`crate::proxy_protocol`]).
//!
//! On a port that expects the header, nothing is served without one: a client that could omit it,
//! or send its own, could claim any address. So only trusted proxies may connect there, and the
//! address in the header is the client's address from then on, in limits, logs and X-Forwarded-For.
//! A header need not contain an address; then the connection keeps the proxy's. That may be a
//! health check, or a client whose address the proxy does not know or does not pass on (HAProxy: a
//! client on a Unix socket). So what requests on such a connection say about their client is not
//! trusted.
//!
//! The header is read to its end and not a byte further, so the TLS handshake or the request reader
//! sees the rest as if there had been no header.

use super::ends::refused_connection;
use super::request::peer_text;
use crate::conn::Read;
use crate::net::{Net, Ready};
use crate::proxy::next::Next;
use crate::proxy::shared::Shared;
use crate::proxy_protocol::{self, Found, Header, Wrong};
use crate::session::Session;
use crate::telemetry::ProxyHeader;
use crate::time::Tick;
use std::net::IpAddr;

/// True if a connection from `peer` may begin with a header. If not, that is logged.
pub(crate) fn may_come<N: Net>(peer: Option<IpAddr>, shared: &mut Shared<N>) -> bool {
    let is_trusted = shared.config.server.trusted_proxies.contains(peer);
    if !is_trusted {
        note(peer, shared, ProxyHeader::Untrusted, "it is no trusted proxy");
    }
    is_trusted
}

/// Waits for the end of the header.
#[inline(never)]
pub(crate) fn run<N: Net>(session: &mut Session, shared: &mut Shared<N>, now: Tick) -> Next {
    let (conn, peer) = (&mut session.conn, session.peer);
    match proxy_protocol::find(conn.ahead()) {
        Ok(Found::Missing(_)) if !conn.ready.has(Ready::READ) => Next::Blocked,
        Ok(Found::Missing(missing)) => {
            let (io, _) = shared.memory.split(&mut shared.net, None, now);
            let most = missing.min(io.scratch.len());
            match conn.read(io.net, &mut io.scratch[..most]) {
                Read::Bytes(n) => {
                    conn.keep(&io.scratch[..n], io.buffers);
                    Next::Moved
                }
                Read::Blocked => Next::Blocked,
                Read::End | Read::Broken => {
                    note(peer, shared, ProxyHeader::Closed, "it closed the connection");
                    Next::Close
                }
            }
        }
        Ok(Found::Whole(header)) => {
            conn.forget_ahead(&mut shared.memory.buffers);
            take(session, header, shared, now)
        }
        Err(wrong) => {
            let why = match wrong {
                Wrong::Absent => "it sent something else",
                Wrong::Malformed => "it is malformed",
                Wrong::TooLong => "it is too long",
            };
            note(peer, shared, wrong.into(), why);
            Next::Close
        }
    }
}

/// Continues with the contents of the header.
fn take<N: Net>(session: &mut Session, header: Header, shared: &mut Shared<N>, now: Tick) -> Next {
    shared.telemetry.stats.proxy_headers.count(header.into());
    match header.client {
        Some(client) => (session.peer, session.port) = (Some(client.ip()), client.port()),
        None => session.is_anonymous = true,
    }
    if session.is_secure {
        // A proxy that passes TLS through does not speak it, and may say so.
        return Next::ShakeHands;
    }
    session.is_https = header.is_tls.unwrap_or(session.is_https);
    if session.is_refused() {
        refused_connection(shared, session.service, now)
    } else {
        Next::Fresh
    }
}

/// Ends a connection whose header was not complete in time.
pub(crate) fn time_out<N: Net>(session: &Session, shared: &mut Shared<N>) -> Next {
    note(session.peer, shared, ProxyHeader::Timeout, "it was not complete in time");
    Next::Close
}

fn note<N: Net>(peer: Option<IpAddr>, shared: &mut Shared<N>, came: ProxyHeader, why: &str) {
    shared.telemetry.stats.proxy_headers.count(came);
    let text = format!("no PROXY header from {}: {why} ({})", peer_text(peer), came.word());
    // A probe of whether the port is open closes the connection like this.
    let usual = came == ProxyHeader::Closed;
    let level = if usual { log::Level::Debug } else { log::Level::Warn };
    shared.log(level, came.word(), &text);
}
