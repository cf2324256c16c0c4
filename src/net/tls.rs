//! TLS around any network.
//!
//! [`TlsNet`] keeps the contract of [`Net`] for sockets that are secured
//! ([`Net::secure_as_client`], [`Net::secure_as_server`]) and passes everything through for those
//! that are not, so nothing above can tell them apart. An idle secured socket costs a [`Session`],
//! which is the library's state and three empty slots. Reading and writing use two scratch buffers
//! that all sockets share. Each read and write of the caller takes one of the network below, unless
//! the peer's records are larger than the read.
//!
//! **Handshakes are driven here and hidden from the layers above.** During a handshake, events of
//! the socket are not passed on. They queue the socket, and [`Net::shake_hands`] advances a few
//! handshakes in each turn, because a step costs as much as some ten events. When the handshake is
//! over, the caller is told as [`Net::connect`] promises: ready to write, and hung up if it failed.
//! An accepted connection is treated alike: it is being established until the handshake is over. If
//! that fails, a plain connection is left, on which a client that speaks plain HTTP can be
//! answered.
//!
//! **Bytes read too early** wait in the session's buffers: an unfinished record, as it arrived, and
//! the rest of a record that the caller did not have enough room for. A read that leaves such a
//! rest reports that it has not drained the socket.
//!
//! **Bytes that the socket refuses are already encrypted.** A record cannot be taken back, so it
//! waits here, and the caller, which keeps the plaintext ([`Net::committed`]), offers the same
//! bytes again. They count as written as their records are sent, and the last of them when all
//! records have been sent. So pending bytes, their deadlines and the ends after them mean the same
//! with and without TLS, at the price of twice the memory while a peer is slow. To limit that, only
//! one record at a time is encrypted for a socket that was full.
//!
//! **An end counts only if the peer announces it** (`close_notify`). Otherwise it is an error, like
//! a reset: an attacker who can cut a connection must not be able to truncate what is sent on it.
//! Likewise our ends are announced, and our cuts ([`Net::note_cut`], [`Net::abort`]) are not.

mod client;
mod engine;
mod explain;
mod handshake;
mod lean;
mod pair;
mod pem;
mod revocation;
mod server;
mod session;
mod shared;
mod terms;
mod ticket_keys;
mod ticketer;
mod tickets;
mod x509;

pub use client::{Client, ClientOf};
#[cfg(feature = "sim")]
pub use engine::{Done, Engine, Sealed};
pub use pair::Pair;
pub use revocation::RevocationLists;
pub use server::Server;
pub use terms::{
    Clients, ClientsError, PairError, RevocationList, ServerTerms, Terms, Tickets, Trust,
};
pub use ticket_keys::TicketKeys;
#[cfg(feature = "sim")]
pub use x509::Certificate;

use super::{Address, Agreed, ListenerId, Net, Ready, Received, Sent, SockId, Token};
#[cfg(not(feature = "sim"))]
use engine::Engine;
use handshake::Shaken;
use session::{Phase, Session};
use shared::Shared;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The subject of a certificate in DER, as text (RFC 4514) in visible ASCII characters and spaces.
/// Empty if there is none.
pub fn subject_of(certificate: &[u8]) -> String {
    x509::subject(certificate).unwrap_or_default()
}

/// The last second in which a certificate in DER is valid, since 1970. `u64::MAX` if it cannot be
/// read.
pub fn last_second_of(certificate: &[u8]) -> u64 {
    x509::last_second(certificate).unwrap_or(u64::MAX)
}

/// The protocol that is spoken over TLS (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// A network with TLS around it. See the module docs.
#[derive(Debug)]
pub struct TlsNet<N> {
    inner: N,
    /// The sessions of secured sockets, by their ids.
    sessions: Vec<Option<Box<Session>>>,
    /// What all sessions share.
    shared: Shared,
    /// Sockets whose handshakes may advance. An id may belong to another socket by now.
    shaking: VecDeque<SockId>,
    /// Events of sockets whose handshakes have ended, until they are fetched.
    shaken: VecDeque<(Token, Ready)>,
}

/// Puts TLS around a network, with room for `sockets_max` sockets.
pub fn around<N>(inner: N, sockets_max: usize) -> TlsNet<N> {
    TlsNet {
        inner,
        sessions: Vec::with_capacity(sockets_max),
        shared: Shared::new(),
        shaking: VecDeque::new(),
        shaken: VecDeque::new(),
    }
}

/// The network below. Its sockets must not be read or written there.
pub const fn inner<N>(net: &mut TlsNet<N>) -> &mut N {
    &mut net.inner
}

impl<N: Net> TlsNet<N> {
    /// The session of a socket, with what it needs. None if the socket is not secured.
    fn session(&mut self, sock: SockId) -> Option<(&mut Session, &mut N, &mut Shared)> {
        let session = self.sessions.get_mut(sock.0 as usize)?.as_deref_mut()?;
        Some((session, &mut self.inner, &mut self.shared))
    }

    /// Queues a socket whose handshake may advance.
    fn queue(&mut self, sock: SockId) {
        if let Some((session, ..)) = self.session(sock)
            && !std::mem::replace(&mut session.is_queued, true)
        {
            self.shaking.push_back(sock);
        }
    }

    /// Gives a socket a session.
    fn begin(&mut self, sock: SockId, engine: Engine, phase: Phase) -> &mut Session {
        let index = sock.0 as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        self.sessions[index].insert(Box::new(Session::new(engine, phase)))
    }

    fn forget(&mut self, sock: SockId) -> Option<Box<Session>> {
        self.sessions.get_mut(sock.0 as usize)?.take()
    }

    /// True if `believed` is right about a socket. `truth` judges the network below.
    #[cfg(feature = "sim")]
    pub fn is_truthful(
        &self,
        sock: SockId,
        believed: Ready,
        truth: impl Fn(&N, SockId, Ready) -> bool,
    ) -> bool {
        let session = self.sessions.get(sock.0 as usize).and_then(Option::as_deref);
        let beneath = session.map_or(Some(believed), |session| session.beneath(believed));
        beneath.is_none_or(|beneath| truth(&self.inner, sock, beneath))
    }
}

impl<N: Net> Net for TlsNet<N> {
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)> {
        self.inner.accept(listener)
    }

    fn connect(&mut self, address: &Address) -> io::Result<SockId> {
        self.inner.connect(address)
    }

    fn secure_as_client(
        &mut self,
        sock: SockId,
        server: &ClientOf,
        preface: &[u8],
    ) -> io::Result<()> {
        let engine = server.begin().map_err(|error| explain::explain(&error))?;
        self.begin(sock, Engine::Client(engine), Phase::Connecting);
        if let Some((session, _, shared)) = self.session(sock)
            && !preface.is_empty()
        {
            shared.buffers.append(&mut session.unsent, preface);
        }
        Ok(())
    }

    fn addresses(&self, sock: SockId) -> Option<[SocketAddr; 2]> {
        self.inner.addresses(sock)
    }

    fn secure_as_server(&mut self, sock: SockId, server: &Server, token: Token) -> io::Result<()> {
        let engine = server.begin().map_err(|error| explain::explain(&error))?;
        let session = self.begin(sock, Engine::Server(engine), Phase::Accepted);
        session.token = token;
        Ok(())
    }

    fn agreed(&self, sock: SockId) -> Option<Agreed<'_>> {
        let session = self.sessions.get(sock.0 as usize)?.as_deref()?;
        (session.phase == Phase::Open).then(|| session.engine.agreed())
    }

    fn accepts_certificate(&self, sock: SockId, server: &Server, unix_ms: u64) -> bool {
        let session = self.sessions.get(sock.0 as usize).and_then(Option::as_deref);
        session.is_some_and(|session| server.accepts(session.engine.certificates(), unix_ms))
    }

    fn connected(&mut self, sock: SockId) -> io::Result<()> {
        let Some((session, ..)) = self.session(sock) else { return self.inner.connected(sock) };
        let result = session.connected();
        if session.phase == Phase::Failed
            && let Some(mut session) = self.forget(sock)
        {
            session.give_back(&mut self.shared);
        }
        result
    }

    fn register(&mut self, sock: SockId, token: Token) -> io::Result<()> {
        if let Some((session, ..)) = self.session(sock) {
            session.token = token;
        }
        self.inner.register(sock, token)
    }

    fn keep_for_long(&mut self, sock: SockId) {
        self.inner.keep_for_long(sock);
    }

    fn heard(&mut self, sock: SockId, ready: Ready) -> Ready {
        let Some((session, inner, shared)) = self.session(sock) else { return ready };
        session.heard(ready, sock, inner, shared).unwrap_or_else(|| {
            self.queue(sock);
            Ready::NONE
        })
    }

    fn shake_hands(&mut self, most: usize) -> bool {
        for _ in 0..most.min(self.shaking.len()) {
            let Some(sock) = self.shaking.pop_front() else { break };
            let Some((session, inner, shared)) = self.session(sock) else { continue };
            if !std::mem::take(&mut session.is_queued) {
                continue;
            }
            if session.shake(sock, inner, shared) == Shaken::Ended {
                let told = (session.token, session.ready);
                self.shaken.push_back(told);
            }
        }
        !self.shaking.is_empty()
    }

    fn next_ready(&mut self) -> Option<(Token, Ready)> {
        self.shaken.pop_front()
    }

    fn held_bytes(&self) -> usize {
        self.shared.held_bytes()
    }

    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<Received> {
        match self.session(sock) {
            Some((session, inner, shared)) => session.read(buf, sock, inner, shared),
            None => self.inner.read(sock, buf),
        }
    }

    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<Sent> {
        match self.session(sock) {
            Some((session, inner, shared)) => session.write(bytes, sock, inner, shared),
            None => self.inner.write(sock, bytes),
        }
    }

    fn committed(&self, sock: SockId) -> usize {
        let session = self.sessions.get(sock.0 as usize).and_then(Option::as_deref);
        session.map_or(0, Session::owed)
    }

    fn note_cut(&mut self, sock: SockId) {
        if let Some((session, ..)) = self.session(sock) {
            session.note_cut();
        }
    }

    fn shutdown_write(&mut self, sock: SockId) {
        match self.session(sock) {
            Some((session, inner, shared)) => session.shutdown_write(sock, inner, shared),
            None => self.inner.shutdown_write(sock),
        }
    }

    fn close(&mut self, sock: SockId) {
        let Some(mut session) = self.forget(sock) else { return self.inner.close(sock) };
        session.announce_end(sock, &mut self.inner, &mut self.shared);
        // Unread bytes turn a close into a reset, wherever they wait.
        if session.give_back(&mut self.shared) {
            self.inner.abort(sock);
        } else {
            self.inner.close(sock);
        }
    }

    fn abort(&mut self, sock: SockId) {
        if let Some(mut session) = self.forget(sock) {
            session.give_back(&mut self.shared);
        }
        self.inner.abort(sock);
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.inner.close_listener(listener);
    }
}

#[cfg(test)]
mod tests;
