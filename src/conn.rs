//! A connection: a socket, its known state, and the bytes that were read too early.
//!
//! Nothing else uses a socket directly. Two things live here that are easy to get wrong elsewhere.
//! The operations themselves keep the readiness bits true, including the rules about drained
//! sockets and hang-ups (see [`crate::net`]). And bytes that were read but belong to what comes
//! next (the body after a head, the next request after a body) are kept here until they are needed,
//! so readers need not know whether bytes come from the socket or from an earlier read.

use crate::buf::{Buf, BufPool};
use crate::net::tls::{ClientOf, Server};
use crate::net::{Address, Agreed, ListenerId, Net, Ready, Received, Sent, SockId, Token};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A connection, downstream or upstream. Its owner closes it, exactly once.
#[derive(Debug)]
pub struct Conn {
    sock: SockId,
    /// The readiness that events reported and operations have not yet disproved.
    pub ready: Ready,
    /// True if a write has failed. The kernel reports a reset only once; if a write got it, the
    /// next read sees what looks like an orderly end.
    broken: bool,
    /// True if the connection was prepared for a long life.
    kept_for_long: bool,
    /// Bytes read but not yet consumed. Never an empty buffer.
    ahead: Option<Box<Buf>>,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes were read; at least one.
    Bytes(usize),
    /// The peer has ended its side in an orderly way.
    End,
    /// Nothing can be read now; an event will follow.
    Blocked,
    /// The connection is broken.
    Broken,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// This many bytes were written; at least one.
    Bytes(usize),
    /// Nothing can be written now; an event will follow.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Conn {
    /// Creates a connection whose readiness is not known yet.
    const fn new(sock: SockId) -> Conn {
        Conn { sock, ready: Ready::NONE, broken: false, kept_for_long: false, ahead: None }
    }

    /// A placeholder that is not connected: nothing is ever possible on it.
    pub const fn unconnected() -> Conn {
        Conn::new(SockId(u32::MAX))
    }

    /// Accepts the next waiting client. Also returns its address; None for a Unix socket.
    ///
    /// # Errors
    /// Those of [`Net::accept`].
    pub fn accept<N: Net>(net: &mut N, listener: ListenerId) -> io::Result<(Conn, Option<IpAddr>)> {
        let (sock, peer) = net.accept(listener)?;
        let mut conn = Conn::new(sock);
        // Its first bytes have often arrived with it, so a read is worth trying.
        conn.ready.set(Ready::READ);
        conn.ready.set(Ready::WRITE);
        Ok((conn, peer))
    }

    /// Starts connecting to `address`, with TLS to `server` if there is one, after the `preface`.
    /// [`Conn::connected`] reports the result. Without TLS the caller writes the preface.
    ///
    /// # Errors
    /// Those of [`Net::connect`] and [`Net::secure_as_client`].
    pub fn connect<N: Net>(
        net: &mut N,
        address: &Address,
        server: Option<&ClientOf>,
        preface: &[u8],
    ) -> io::Result<Conn> {
        let sock = net.connect(address)?;
        if let Some(server) = server
            && let Err(error) = net.secure_as_client(sock, server, preface)
        {
            net.close(sock);
            return Err(error);
        }
        Ok(Conn::new(sock))
    }

    /// Begins TLS on a connection that was accepted and is registered with `token`;
    /// [`Conn::shaken`] reports the result. Bytes read before must have been consumed.
    ///
    /// # Errors
    /// Those of [`Net::secure_as_server`].
    pub fn secure<N: Net>(&mut self, net: &mut N, server: &Server, token: Token) -> io::Result<()> {
        assert!(self.ahead.is_none(), "what was read belongs to the handshake");
        net.secure_as_server(self.sock, server, token)?;
        // The TLS layer needs the readiness known so far, and no event will report it again.
        let known = std::mem::replace(&mut self.ready, Ready::NONE);
        self.heard(net, known);
        Ok(())
    }

    /// The result of the TLS handshake: success, or why it failed. None while it is in progress; an
    /// event follows.
    pub fn shaken<N: Net>(&mut self, net: &mut N) -> Option<io::Result<()>> {
        self.ready.has(Ready::WRITE).then(|| net.connected(self.sock))
    }

    /// The addresses of the connection: the peer's and ours. None if it has none.
    pub fn addresses<N: Net>(&self, net: &N) -> Option<[SocketAddr; 2]> {
        net.addresses(self.sock)
    }

    /// What the TLS handshake has agreed on. See [`Net::agreed`].
    pub fn agreed<'a, N: Net>(&self, net: &'a N) -> Option<Agreed<'a>> {
        net.agreed(self.sock)
    }

    /// True if `server` would accept the certificate of a TLS connection's peer. See
    /// [`Net::accepts_certificate`].
    pub fn is_accepted_by<N: Net>(&self, net: &N, server: &Server, unix_ms: u64) -> bool {
        net.accepts_certificate(self.sock, server, unix_ms)
    }

    /// Records an event. Returns true if something may be possible now.
    pub fn heard<N: Net>(&mut self, net: &mut N, ready: Ready) -> bool {
        let ready = net.heard(self.sock, ready);
        self.ready.set(ready);
        ready != Ready::NONE
    }

    /// The result of connecting: success, or why it failed. None while it is in progress; an event
    /// follows. The network is asked only for the reason of a failure: an established connection is
    /// writable.
    pub fn connected<N: Net>(&mut self, net: &mut N) -> Option<io::Result<()>> {
        if self.hung_up() {
            return Some(net.connected(self.sock));
        }
        self.ready.has(Ready::WRITE).then_some(Ok(()))
    }

    /// Prepares an upstream connection for a long life, once. See [`Net::keep_for_long`].
    pub fn keep_for_long<N: Net>(&mut self, net: &mut N) {
        if !std::mem::replace(&mut self.kept_for_long, true) {
            net.keep_for_long(self.sock);
        }
    }

    /// Registers the connection, so that its events carry `token`. Called once.
    ///
    /// # Errors
    /// Those of [`Net::register`].
    pub fn register<N: Net>(&self, net: &mut N, token: Token) -> io::Result<()> {
        net.register(self.sock, token)
    }

    /// The socket with its assumed readiness, which the simulator compares with its own.
    #[cfg(feature = "sim")]
    pub const fn belief(&self) -> (SockId, Ready) {
        (self.sock, self.ready)
    }

    /// The bytes that were read but not yet consumed.
    pub fn ahead(&self) -> &[u8] {
        self.ahead.as_ref().map_or(&[], |buf| buf.bytes())
    }

    /// True if there may be something to read: bytes kept earlier, or a readable socket.
    pub fn has_input(&self) -> bool {
        self.ahead.is_some() || self.ready.has(Ready::READ)
    }

    /// True if the peer is known to have ended its side, or the connection is known to be broken.
    pub const fn hung_up(&self) -> bool {
        self.ready.has(Ready::HUP)
    }

    /// Marks the first `n` bytes of [`Conn::ahead`] as consumed.
    pub fn consume(&mut self, n: usize, buffers: &mut BufPool) {
        let Some(mut buf) = self.ahead.take() else {
            assert!(n == 0, "only what was read can be consumed");
            return;
        };
        buf.consume(n);
        if buf.is_empty() {
            buffers.give_back(buf);
        } else {
            self.ahead = Some(buf);
        }
    }

    /// Discards the bytes that were read but not consumed.
    pub fn forget_ahead(&mut self, buffers: &mut BufPool) {
        if let Some(buf) = self.ahead.take() {
            buffers.give_back(buf);
        }
    }

    /// Keeps bytes that were read but are not needed yet, after those already kept.
    pub fn keep(&mut self, bytes: &[u8], buffers: &mut BufPool) {
        if !bytes.is_empty() {
            buffers.append(&mut self.ahead, bytes);
        }
    }

    /// Reads once from the socket, ignoring [`Conn::ahead`], and updates the readiness.
    pub fn read<N: Net>(&mut self, net: &mut N, buf: &mut [u8]) -> Read {
        debug_assert!(!buf.is_empty());
        match net.read(self.sock, buf) {
            Ok(Received { n: 0, .. }) => {
                self.ready.set(Ready::HUP);
                if self.broken { Read::Broken } else { Read::End }
            }
            Ok(Received { n, drained }) => {
                // After a hang-up, an end may follow these bytes without another edge to announce
                // it.
                if drained && !self.ready.has(Ready::HUP) {
                    self.ready.clear(Ready::READ);
                }
                Read::Bytes(n)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Ready::READ);
                Read::Blocked
            }
            Err(_) => {
                self.ready.set(Ready::HUP);
                Read::Broken
            }
        }
    }

    /// Writes the unsent rest of a short request, and removes what was sent. Returns true if
    /// anything was. What a broken connection does not accept is dropped: the response may have
    /// arrived before.
    pub fn write_unsent<N: Net>(&mut self, net: &mut N, unsent: &mut Vec<u8>) -> bool {
        if unsent.is_empty() {
            return false;
        }
        match self.write_if_ready(net, unsent) {
            Written::Bytes(n) => {
                unsent.drain(..n);
                return true;
            }
            Written::Blocked => {}
            Written::Broken => unsent.clear(),
        }
        false
    }

    /// Like [`Conn::write`], if the connection is ready for it.
    pub fn write_if_ready<N: Net>(&mut self, net: &mut N, bytes: &[u8]) -> Written {
        if self.ready.has(Ready::WRITE) { self.write(net, bytes) } else { Written::Blocked }
    }

    /// Writes once and updates the readiness. `bytes` must not be empty.
    pub fn write<N: Net>(&mut self, net: &mut N, bytes: &[u8]) -> Written {
        debug_assert!(!bytes.is_empty());
        match net.write(self.sock, bytes) {
            Ok(Sent { n, full }) => {
                if full {
                    self.ready.clear(Ready::WRITE);
                }
                Written::Bytes(n)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Ready::WRITE);
                Written::Blocked
            }
            Err(_) => {
                self.broken = true;
                Written::Broken
            }
        }
    }

    /// How many of the bytes that the last write did not accept must be offered again. See
    /// [`Net::committed`].
    pub fn committed<N: Net>(&self, net: &N) -> usize {
        net.committed(self.sock)
    }

    /// Notes that what was written is cut short, so that its end is not announced. See
    /// [`Net::note_cut`].
    pub fn note_cut<N: Net>(&self, net: &mut N) {
        net.note_cut(self.sock);
    }

    /// Shuts down our side of the connection after the bytes already written. Failures show up when
    /// it is read.
    pub fn shutdown_write<N: Net>(&mut self, net: &mut N) {
        net.shutdown_write(self.sock);
    }

    /// Closes the socket and returns the buffer of kept bytes.
    pub fn close<N: Net>(mut self, net: &mut N, buffers: &mut BufPool) {
        net.close(self.sock);
        self.forget_ahead(buffers);
    }

    /// Closes the socket so that the peer cannot mistake this for an orderly end.
    pub fn abort<N: Net>(mut self, net: &mut N, buffers: &mut BufPool) {
        net.abort(self.sock);
        self.forget_ahead(buffers);
    }
}
