//! PROXY headers, in which those in front say whose connections they pass on
//! ([`crate::proxy_protocol`]).
//!
//! Where a port expects one, nothing is served without: who could leave it out, or send one of its
//! own, would be whoever it likes. So only a trusted proxy may connect there, and what it says is
//! the client's address from then on, for limits and logs and in X-Forwarded-For. A header need not
//! name one: then the connection keeps the proxy's. That may be a health check, or a client whose
//! address the proxy does not have or does not tell (HAProxy: one of a Unix socket). So nothing is
//! believed there of what requests say of their client.
//!
//! The header is read to its end and not a byte further, so what follows is for TLS, or for the
//! reader of requests, as if nothing had been there.

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

/// True exactly when a connection from `peer` may begin with a header. Otherwise that is told.
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

/// Goes on with what the header says.
fn take<N: Net>(session: &mut Session, header: Header, shared: &mut Shared<N>, now: Tick) -> Next {
    shared.telemetry.stats.proxy_headers.count(header.into());
    match header.client {
        Some(client) => (session.peer, session.port) = (Some(client.ip()), client.port()),
        None => session.is_anonymous = true,
    }
    if session.is_secure {
        // Whoever passes TLS on does not speak it, and may say so.
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
    // Whoever looks whether the port is open closes the connection.
    let usual = came == ProxyHeader::Closed;
    let level = if usual { log::Level::Debug } else { log::Level::Warn };
    shared.log(level, came.word(), &text);
}
