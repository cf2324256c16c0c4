//! What the proxy needs from the network, and nothing else.
//!
//! [`Net`] is the seam of the whole program: below it are sockets and epoll ([`mio`]) or an
//! in-memory world with a virtual clock ([`sim`]); above it nobody knows which. It owns the sockets
//! and hands out small ids, so that what is above stays plain data.
//!
//! The contract, which both implementations are tested against:
//!
//! * Sockets never block. A call that would have to wait says [`io::ErrorKind::WouldBlock`].
//! * A socket is registered once, for reading and writing, and never re-registered. Events are
//!   edges: once a read (write) said `WouldBlock`, an event follows when it can succeed again.
//!   Events may be spurious, repeated and reordered; a token may outlive what it stood for.
//! * Where [`Net::short_means_drained`] is true, a read that filled less than its buffer has
//!   drained the socket as well as `WouldBlock` would have, and a write that took less than it was
//!   given has filled it. There is one exception, which costs streams if forgotten: once
//!   [`Ready::HUP`] was seen, an end of stream may stand behind the bytes, and no further edge will
//!   announce it.

pub mod mio;
#[cfg(feature = "sim")]
pub mod sim;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A socket, as its [`Net`] knows it. Small, and reused after [`Net::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SockId(pub(crate) u32);

/// A listening socket: its place in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What comes back with an event. Opaque to the network; [`crate::proxy`] gives it a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What is known of a socket: bits that events set and operations clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(u8);

impl Ready {
    /// Nothing is known to be possible.
    pub const NONE: Ready = Ready(0);
    /// A read may succeed, or tell of an end or an error.
    pub const READ: Ready = Ready(1);
    /// A write may succeed, or tell of an error.
    pub const WRITE: Ready = Ready(2);
    /// The peer has ended its side, or the connection broke. Final: nothing clears it. An event
    /// that brings it brings [`Ready::READ`] too, so that whoever reads learns which of the two it
    /// was.
    pub const HUP: Ready = Ready(4);

    /// True when all bits of `other` are set.
    pub const fn has(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub const fn set(&mut self, other: Ready) {
        self.0 |= other.0;
    }

    /// Clears the bits of `other`. [`Ready::HUP`] is never among them.
    pub const fn clear(&mut self, other: Ready) {
        debug_assert!(other.0 & Ready::HUP.0 == 0);
        self.0 &= !other.0;
    }
}

/// The network. See the module for the contract of events.
pub trait Net {
    /// True where a short read or write proves the socket drained or full (epoll, kqueue).
    fn short_means_drained(&self) -> bool;

    /// The next waiting connection, with its peer's address (none for a unix socket).
    ///
    /// # Errors
    /// `WouldBlock` when none waits; out of descriptors and the like otherwise.
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)>;

    /// Begins to connect. A [`Ready::WRITE`] or [`Ready::HUP`] event says that it has ended one way
    /// or the other; [`Net::connected`] tells which.
    ///
    /// # Errors
    /// Those that are known at once.
    fn connect(&mut self, address: &Address) -> io::Result<SockId>;

    /// Whether a connection begun with [`Net::connect`] stands.
    ///
    /// # Errors
    /// `WouldBlock` while it is still under way; otherwise why it failed.
    fn connected(&mut self, sock: SockId) -> io::Result<()>;

    /// From now on, events of this socket carry this token. Called once for each socket.
    ///
    /// # Errors
    /// When the kernel is out of memory or watches.
    fn register(&mut self, sock: SockId, token: Token) -> io::Result<()>;

    /// Reads once. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock`, or that the connection broke.
    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes once.
    ///
    /// # Errors
    /// `WouldBlock`, or that the connection broke.
    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<usize>;

    /// Ends our side of the connection; bytes written before still arrive. Failures show elsewhere.
    fn shutdown_write(&mut self, sock: SockId);

    /// Closes the connection and gives the id back.
    fn close(&mut self, sock: SockId);

    /// Closes the connection so that the peer cannot take it for an orderly end (a reset). Unix
    /// sockets know no such thing: there it is a close.
    fn abort(&mut self, sock: SockId);

    /// Stops listening. Connections that were not yet accepted are refused by the kernel.
    fn close_listener(&mut self, listener: ListenerId);
}
