//! Outcomes of TLS handshakes with clients.
//!
//! The network drives the handshakes ([`crate::net::tls`]). A session that waits for its own has a
//! deadline, counts as a client, and is among the first to make room for others.

use super::ends::{refused, refused_connection};
use super::request::peer_text;
use crate::access::Told;
use crate::conn::Conn;
use crate::exchange::LocalReply;
use crate::http::client_cert::Shown;
use crate::net::{Net, TlsError, tls};
use crate::proxy::certificates;
use crate::proxy::next::Next;
use crate::proxy::shared::Shared;
use crate::session::{Session, Standing};
use crate::telemetry::{Cause, Handshake};
use crate::time::Tick;
use std::io;

/// Waits for the handshake to finish.
#[inline(never)]
pub(crate) fn run<N: Net>(session: &mut Session, shared: &mut Shared<N>, now: Tick) -> Next {
    match session.conn.shaken(&mut shared.net) {
        None => Next::Blocked,
        Some(Ok(())) => {
            let agreed = session.conn.agreed(&shared.net);
            let ended = agreed.as_ref().map_or(Handshake::Full, Handshake::of);
            shared.telemetry.stats.handshakes.count(ended);
            match session.standing {
                // The handshake may have begun under earlier terms.
                Standing::Served | Standing::Unjudged => Next::Fresh,
                Standing::Outdated => Next::Linger,
                Standing::Refused => refused_connection(shared, session.service, now),
            }
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Next::Blocked,
        Some(Err(error)) => failed(session, shared, &error, now),
    }
}

/// What the client presented, if clients are asked for a certificate. Without TLS that is nothing,
/// whatever a proxy in front says.
pub(crate) fn shown<N: Net>(conn: &Conn, is_secure: bool, shared: &Shared<N>) -> Option<Shown> {
    shared.tls.verify_client.as_ref()?;
    if !is_secure {
        return Some(Shown::Nothing);
    }
    let certificate = conn.agreed(&shared.net).and_then(|agreed| agreed.certificate);
    Some(certificate.map_or(Shown::Nothing, |der| Shown::Certificate {
        der: der.into(),
        subject: tls::subject_of(der).into(),
    }))
}

/// True if a connection may take another request: its client was let in on terms that still hold,
/// and its certificate has been neither revoked nor expired since.
pub(crate) fn takes_request<N: Net>(session: &mut Session, shared: &Shared<N>) -> bool {
    if session.standing == Standing::Unjudged {
        certificates::judge(session, shared);
    }
    session.standing != Standing::Outdated && !has_expired(session, shared)
}

/// True if the client presented a certificate that has expired.
fn has_expired<N: Net>(session: &Session, shared: &Shared<N>) -> bool {
    if !session.is_secure || shared.tls.verify_client.is_none() {
        return false;
    }
    let certificate = session.conn.agreed(&shared.net).and_then(|agreed| agreed.certificate);
    certificate.is_some_and(|der| tls::last_second_of(der) < shared.date.second())
}

/// Ends a connection whose handshake failed. The client may still have to read the reason.
fn failed<N: Net>(
    session: &mut Session,
    shared: &mut Shared<N>,
    error: &io::Error,
    now: Tick,
) -> Next {
    let ended = TlsError::fault_of(error).map_or(Handshake::Closed, Handshake::from);
    note(session, shared, ended, &error.to_string());
    if ended == Handshake::PlainHttp {
        shared.edge.note_plain(session);
        let what = "plain HTTP where TLS is spoken";
        let refusal = LocalReply::refused(Cause::HttpOnTlsPort, 400, what);
        return refused(shared, session.service, Told::default(), false, refusal, now);
    }
    if ended == Handshake::Closed { Next::Close } else { Next::Linger }
}

/// Ends a connection whose handshake did not finish in time.
pub(crate) fn time_out<N: Net>(session: &Session, shared: &mut Shared<N>) -> Next {
    note(session, shared, Handshake::Timeout, "it did not finish in time");
    Next::Close
}

/// Notes that a connection is closed during its handshake to make room for another handshake. If it
/// would have been refused anyway, that is the reason.
pub(crate) fn make_room<N: Net>(session: &Session, shared: &mut Shared<N>) {
    let refused = session.is_refused();
    let ended = if refused { Handshake::MaxConnections } else { Handshake::MaxHandshakes };
    note(session, shared, ended, "it made room for another");
}

/// Notes that a connection is closed during its handshake to make room for another connection.
pub(crate) fn make_room_for_connection<N: Net>(session: &Session, shared: &mut Shared<N>) {
    note(session, shared, Handshake::MaxConnections, "it made room for another");
}

fn note<N: Net>(session: &Session, shared: &mut Shared<N>, ended: Handshake, why: &str) {
    shared.telemetry.stats.handshakes.count(ended);
    let client = peer_text(session.peer);
    let text = format!("no TLS handshake with {client}: {why} ({})", ended.word());
    // A probe of whether the port is open closes the connection like this.
    let usual = matches!(ended, Handshake::Closed | Handshake::PlainHttp);
    let level = if usual { log::Level::Debug } else { log::Level::Info };
    shared.log(level, ended.word(), &text);
}
