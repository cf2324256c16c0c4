//! A connection as its owner holds it: a socket, what is known of it, and what was read too early.
//!
//! Two things live here that are easy to get wrong anywhere else. The readiness bits are kept true
//! by the operations themselves, including the rule that lets a short read stand for `WouldBlock`
//! (see [`crate::net`]). And bytes that a read brought along, though they belong to what comes
//! next (the body behind a head, the next request behind a body), wait here until they are asked
//! for; so whoever reads need not know whether bytes come from the socket or from its past.

use crate::buf::{Buf, BufPool};
use crate::net::{Net, Ready, SockId};
use std::io;

/// A connection, downstream or upstream. Whoever holds it closes it, once.
#[derive(Debug)]
pub struct Conn {
    /// The socket.
    pub sock: SockId,
    /// What events said and operations have not yet disproved.
    pub ready: Ready,
    /// True exactly when a write has failed. The kernel tells of a reset once, and if a write was
    /// told, the next read finds what looks like an orderly end.
    broken: bool,
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
    pub const fn new(sock: SockId) -> Conn {
        Conn { sock, ready: Ready::NONE, broken: false, ahead: None }
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
            Ok(0) => {
                self.ready.set(Ready::HUP);
                if self.broken { Read::Broken } else { Read::End }
            }
            Ok(n) => {
                let short = n < buf.len() && net.short_means_drained();
                // The sticky hang-up: an end may stand behind these bytes, and no edge announces
                // it.
                if short && !self.ready.has(Ready::HUP) {
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
            Ok(n) => {
                if n < bytes.len() && net.short_means_drained() {
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

    /// Closes the socket and gives back what was kept.
    pub fn close<N: Net>(self, net: &mut N, buffers: &mut BufPool) {
        net.close(self.sock);
        self.forget(buffers);
    }

    /// Closes the socket so that the peer cannot take it for an orderly end.
    pub fn abort<N: Net>(self, net: &mut N, buffers: &mut BufPool) {
        net.abort(self.sock);
        self.forget(buffers);
    }

    fn forget(self, buffers: &mut BufPool) {
        if let Some(buf) = self.ahead {
            buffers.give_back(buf);
        }
    }
}
