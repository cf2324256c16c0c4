//! What the proxy needs from the network, and nothing else.
//!
//! [`Net`] is the seam of the whole program: below it are sockets and epoll ([`mio`]) or an
//! in-memory world with a virtual clock (`testing::sim`); above it nobody knows which. It owns the
//! sockets and hands out small ids, so that what is above stays plain data.
//!
//! The contract, which both implementations are tested against:
//!
//! * Sockets never block. A call that would have to wait says [`io::ErrorKind::WouldBlock`].
//! * A socket is registered once, for reading and writing, and never re-registered. Events are
//!   edges: once a read (write) said `WouldBlock`, an event follows when it can succeed again.
//!   Events may be spurious, repeated and reordered; a token may outlive what it stood for.
//! * A read says whether it has drained the socket, and a write whether it has filled it
//!   ([`Received::drained`], [`Sent::full`]). Either promises what `WouldBlock` would have: an
//!   event follows when the operation can succeed again. A network that does not know says no, and
//!   the next call says `WouldBlock`. On epoll a short read or write is enough to know; where
//!   something is decoded between the socket and the caller it is not.
//! * There is one exception, which costs streams if forgotten: once [`Ready::HUP`] was seen, an end
//!   of stream may stand behind the bytes of a read that drained the socket, and no further edge
//!   announces it. [`crate::conn::Conn`] heeds that for everybody.
//!
//! Knowing that a read drained its socket spares one system call an event.

pub mod mio;

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

/// The addresses of a name, each once and at least one, or why there are none.
pub type Resolution = Result<Vec<Address>, String>;

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

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number of bytes; 0 at the end of the stream.
    pub n: usize,
    /// True when nothing is left to be read: an event follows when there is more.
    pub drained: bool,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of bytes that were taken, the first ones.
    pub n: usize,
    /// True when nothing more would be taken: an event follows when there is room.
    pub full: bool,
}

/// The network. See the module for the contract of events.
pub trait Net {
    /// The next waiting connection, with its peer's address (none for a unix socket).
    ///
    /// # Errors
    /// `WouldBlock` when none waits; out of descriptors and the like otherwise.
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)>;

    /// Begins to connect. A [`Ready::WRITE`] event without [`Ready::HUP`] says that the connection
    /// stands, and comes no earlier; of one with it [`Net::connected`] tells how it has ended.
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

    /// Prepares a connection that was begun with [`Net::connect`] for a long life: what is small
    /// leaves at once though something before it is under way, and a peer that has vanished without
    /// a word is noticed. A connection that carries one small request needs neither.
    fn keep_for_long(&mut self, sock: SockId);

    /// Reads once. No byte is the end of the stream; `buf` must not be empty.
    ///
    /// # Errors
    /// `WouldBlock`, or that the connection broke.
    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<Received>;

    /// Writes once. `bytes` must not be empty.
    ///
    /// # Errors
    /// `WouldBlock`, or that the connection broke.
    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<Sent>;

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
