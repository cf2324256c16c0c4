//! A connection as its owner holds it: a socket, what is known of it, and what was read too early.
//!
//! Nobody else asks anything of a socket. Two things live here that are easy to get wrong anywhere
//! else. The readiness bits are kept true by the operations themselves, including the rules about
//! drained sockets and hang-ups (see [`crate::net`]). And bytes that a read brought along, though
//! they belong to what comes next (the body behind a head, the next request behind a body), wait
//! here until they are asked for; so whoever reads need not know whether bytes come from the socket
//! or from its past.

use crate::buf::{Buf, BufPool};
use crate::net::{Address, ListenerId, Net, Ready, Received, Sent, SockId, Token};
use std::io;
use std::net::IpAddr;

/// A connection, downstream or upstream. Whoever holds it closes it, once.
#[derive(Debug)]
pub struct Conn {
    sock: SockId,
    /// What events said and operations have not yet disproved.
    pub ready: Ready,
    /// True exactly when a write has failed. The kernel tells of a reset once, and if a write was
    /// told, the next read finds what looks like an orderly end.
    broken: bool,
    /// True exactly when it was prepared for a long life.
    kept_for_long: bool,
    /// Read, and not yet consumed. Never an empty buffer.
    ahead: Option<Box<Buf>>,
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes, at least one.
    Bytes(usize),
    /// The peer has ended its side in an orderly way.
    End,
    /// Nothing now; an event will follow.
    Blocked,
    /// The connection is broken.
    Broken,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing now; an event will follow.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Conn {
    /// A connection of which nothing is known yet.
    const fn new(sock: SockId) -> Conn {
        Conn { sock, ready: Ready::NONE, broken: false, kept_for_long: false, ahead: None }
    }

    /// A connection that leads nowhere, for tests that move no bytes.
    #[cfg(test)]
    pub(crate) const fn unconnected() -> Conn {
        Conn::new(SockId(u32::MAX))
    }

    /// The next client that waits, with its address (none for a unix socket).
    ///
    /// # Errors
    /// Those of [`Net::accept`].
    pub fn accept<N: Net>(net: &mut N, listener: ListenerId) -> io::Result<(Conn, Option<IpAddr>)> {
        let (sock, peer) = net.accept(listener)?;
        let mut conn = Conn::new(sock);
        // It can be written to, and its first bytes have often come with it.
        conn.ready.set(Ready::READ);
        conn.ready.set(Ready::WRITE);
        Ok((conn, peer))
    }

    /// Begins to connect to `address`; [`Conn::connected`] tells how that ends.
    ///
    /// # Errors
    /// Those of [`Net::connect`].
    pub fn connect<N: Net>(net: &mut N, address: &Address) -> io::Result<Conn> {
        net.connect(address).map(Conn::new)
    }

    /// How connecting has ended: in a connection, or why not. None while it is under way; an event
    /// follows. The network is asked only why: a connection that stands can be written to.
    pub fn connected<N: Net>(&mut self, net: &mut N) -> Option<io::Result<()>> {
        if self.hung_up() {
            return Some(net.connected(self.sock));
        }
        self.ready.has(Ready::WRITE).then_some(Ok(()))
    }

    /// Prepares a connection to an upstream for a long life, once: see [`Net::keep_for_long`].
    pub fn keep_for_long<N: Net>(&mut self, net: &mut N) {
        if !std::mem::replace(&mut self.kept_for_long, true) {
            net.keep_for_long(self.sock);
        }
    }

    /// From now on, events of this connection carry `token`. Called once.
    ///
    /// # Errors
    /// Those of [`Net::register`].
    pub fn register<N: Net>(&self, net: &mut N, token: Token) -> io::Result<()> {
        net.register(self.sock, token)
    }

    /// What is believed of which socket, for the simulator to compare with what is so.
    #[cfg(feature = "sim")]
    pub const fn belief(&self) -> (SockId, Ready) {
        (self.sock, self.ready)
    }

    /// Bytes that were read and not yet consumed.
    pub fn ahead(&self) -> &[u8] {
        self.ahead.as_ref().map_or(&[], |buf| buf.bytes())
    }

    /// True when there is something to take: bytes from before, or a socket that may have some.
    pub fn has_input(&self) -> bool {
        self.ahead.is_some() || self.ready.has(Ready::READ)
    }

    /// True when the peer has ended its side or the connection broke, as far as is known.
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

    /// Throws away what was read and not consumed.
    pub fn forget_ahead(&mut self, buffers: &mut BufPool) {
        if let Some(buf) = self.ahead.take() {
            buffers.give_back(buf);
        }
    }

    /// Keeps bytes that were read and that nobody wants yet, behind those already kept.
    pub fn keep(&mut self, bytes: &[u8], buffers: &mut BufPool) {
        if !bytes.is_empty() {
            buffers.append(&mut self.ahead, bytes);
        }
    }

    /// Reads once from the socket, past anything in [`Conn::ahead`], and keeps the bits true.
    pub fn read<N: Net>(&mut self, net: &mut N, buf: &mut [u8]) -> Read {
        debug_assert!(!buf.is_empty());
        match net.read(self.sock, buf) {
            Ok(Received { n: 0, .. }) => {
                self.ready.set(Ready::HUP);
                if self.broken { Read::Broken } else { Read::End }
            }
            Ok(Received { n, drained }) => {
                // The sticky hang-up: an end may stand behind these bytes, and no edge announces
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

    /// Writes once, and keeps the bits true. `bytes` must not be empty.
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

    /// Ends our side of the connection, behind what was written. Failures show when it is read.
    pub fn shutdown_write<N: Net>(&mut self, net: &mut N) {
        net.shutdown_write(self.sock);
    }

    /// Closes the socket and gives back what was kept.
    pub fn close<N: Net>(mut self, net: &mut N, buffers: &mut BufPool) {
        net.close(self.sock);
        self.forget_ahead(buffers);
    }

    /// Closes the socket so that the peer cannot take it for an orderly end.
    pub fn abort<N: Net>(mut self, net: &mut N, buffers: &mut BufPool) {
        net.abort(self.sock);
        self.forget_ahead(buffers);
    }
}
