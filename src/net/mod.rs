//! The operations that the proxy needs from the network.
//!
//! [`Net`] divides the program: below it are sockets and epoll ([`mio`]) or an in-memory network
//! with a virtual clock (`testing::sim`), and nothing above it can tell which of them it is. It
//! owns the sockets and hands out small ids, so that everything above is plain data.
//!
//! The contract that both implementations are tested against:
//!
//! * Sockets never block. A call that would have to wait returns [`io::ErrorKind::WouldBlock`].
//! * A socket is registered once, for reading and writing, and never re-registered. Events are
//!   edge-triggered: once a read or write returned `WouldBlock`, an event follows when it can
//!   succeed again. Events may be spurious, repeated and reordered; a token may outlive its socket.
//! * A read reports whether it drained the socket, and a write whether it filled it
//!   ([`Received::drained`], [`Sent::full`]). Either promises the same as `WouldBlock`: an event
//!   follows when the operation can succeed again. A network that cannot tell reports false, and
//!   the next call returns `WouldBlock`. With epoll a short read or write shows it, but not if
//!   something is decoded between the socket and the caller.
//! * There is one exception, without which streams would hang: once [`Ready::HUP`] was seen, the
//!   end of the stream may follow the bytes of a read that drained the socket, and no further edge
//!   announces it. [`crate::conn::Conn`] handles this for all callers.
//!
//! * A caller whose bytes were refused offers them again, before any others, or writes no more:
//!   they may already be on their way in a form that cannot be taken back. [`Net::committed`] says
//!   how many of them are. The others may be dropped.
//!
//! Knowing that a read drained its socket saves one system call for each event.
//!
//! [`tls`] is a network around another one. Unlike the others, it takes part in events
//! ([`Net::heard`]) and has work of its own to do ([`Net::shake_hands`]).

mod fault;
pub mod mio;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
pub mod tls;

pub use fault::{Agreed, TlsError, TlsFault};

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The id of a socket within its [`Net`]. Small, and reused after [`Net::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SockId(pub(crate) u32);

/// The id of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

/// The addresses of a name, at least one and each only once, or the reason why there are none.
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

/// The value that an event carries. Opaque to the network; [`crate::proxy`] assigns its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// The readiness of a socket: bits that events set and operations clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(u8);

impl Ready {
    /// No operation is known to be possible.
    pub const NONE: Ready = Ready(0);
    /// A read may succeed, or report an end or an error.
    pub const READ: Ready = Ready(1);
    /// A write may succeed, or report an error.
    pub const WRITE: Ready = Ready(2);
    /// The peer has ended its side, or the connection is broken. Never cleared. An event with this
    /// bit also has [`Ready::READ`], so that a read finds out which of the two it was.
    pub const HUP: Ready = Ready(4);

    /// True if all bits of `other` are set.
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

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number of bytes read; 0 at the end of the stream.
    pub n: usize,
    /// True only if nothing is left to read: an event follows when there is more.
    pub drained: bool,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of bytes written, from the start.
    pub n: usize,
    /// True only if nothing more can be written: an event follows when there is room.
    pub full: bool,
}

/// A network. See the module docs for the contract.
pub trait Net {
    /// Accepts the next waiting connection. Also returns its peer's address, or None for a Unix
    /// socket.
    ///
    /// # Errors
    /// `WouldBlock` if none is waiting; otherwise a lack of descriptors or the like.
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)>;

    /// Starts to connect. A [`Ready::WRITE`] event without [`Ready::HUP`] means that the connection
    /// is established, and never arrives earlier. After one with both, [`Net::connected`] returns
    /// the result of the attempt.
    ///
    /// # Errors
    /// Those that are known at once.
    fn connect(&mut self, address: &Address) -> io::Result<SockId>;

    /// Secures a connection that was started with [`Net::connect`], before it is registered. It is
    /// then established only after the handshake. The `preface` is sent before the handshake,
    /// unencrypted.
    ///
    /// # Errors
    /// `Unsupported` if this network cannot do that.
    fn secure_as_client(
        &mut self,
        _sock: SockId,
        _server: &tls::ClientOf,
        _preface: &[u8],
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The addresses of a connection: the peer's and our own. None if it has none.
    fn addresses(&self, _sock: SockId) -> Option<[SocketAddr; 2]> {
        None
    }

    /// Secures an accepted connection. It has been registered with `token`, or will be before
    /// anything waits for it. From then on it counts as being established: a [`Ready::WRITE`] event
    /// means that the handshake has ended, and [`Net::connected`] returns how.
    ///
    /// # Errors
    /// `Unsupported` if this network cannot do that.
    fn secure_as_server(
        &mut self,
        _sock: SockId,
        _server: &tls::Server,
        _token: Token,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What the handshake of a secured connection agreed on. None if it is not complete, or if the
    /// connection is not secured.
    fn agreed(&self, _sock: SockId) -> Option<Agreed<'_>> {
        None
    }

    /// True if `server` would accept the certificate that the peer of a connection presented. That
    /// it has expired by `unix_ms` does not count against it. Also true if `server` requests no
    /// certificate.
    fn accepts_certificate(&self, _sock: SockId, _server: &tls::Server, _unix_ms: u64) -> bool {
        true
    }

    /// Checks whether a connection is established. It was started with [`Net::connect`], or
    /// accepted and secured.
    ///
    /// # Errors
    /// `WouldBlock` while it is in progress; otherwise why it failed. If the handshake failed, the
    /// connection is unsecured from then on, and the bytes read so far are lost. So a client that
    /// speaks plain HTTP ([`TlsFault::PlainHttp`]) can be answered.
    fn connected(&mut self, sock: SockId) -> io::Result<()>;

    /// Registers a socket, so that its events carry `token`. Called once for each socket.
    ///
    /// # Errors
    /// If the kernel is out of memory or watches.
    fn register(&mut self, sock: SockId, token: Token) -> io::Result<()>;

    /// Prepares a connection that was started with [`Net::connect`] for a long life: small writes
    /// are sent at once even while earlier ones are unacknowledged, and a peer that vanishes
    /// silently is detected. A connection for one small request needs neither.
    fn keep_for_long(&mut self, sock: SockId);

    /// Handles an event of the network below, and returns what remains of it for the owner of the
    /// socket.
    fn heard(&mut self, _sock: SockId, ready: Ready) -> Ready {
        ready
    }

    /// Advances at most `most` handshakes. Returns true if more of them could advance.
    fn shake_hands(&mut self, _most: usize) -> bool {
        false
    }

    /// The next event caused by [`Net::shake_hands`].
    fn next_ready(&mut self) -> Option<(Token, Ready)> {
        None
    }

    /// The size of the buffers that the network itself holds, in bytes.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Reads once. Zero bytes mean the end of the stream; `buf` must not be empty.
    ///
    /// # Errors
    /// `WouldBlock`, or why the connection is broken.
    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<Received>;

    /// Writes once. `bytes` must not be empty.
    ///
    /// # Errors
    /// `WouldBlock`, or why the connection is broken.
    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<Sent>;

    /// The number of refused bytes of the last write that have to be offered again, because they
    /// are already on their way.
    fn committed(&self, _sock: SockId) -> usize {
        0
    }

    /// Notes that the bytes written are cut off: a network that can announce an end does not
    /// announce this one.
    fn note_cut(&mut self, _sock: SockId) {}

    /// Ends our side of the connection after the bytes already written. Failures show up in later
    /// calls.
    fn shutdown_write(&mut self, sock: SockId);

    /// Closes the connection and releases its id.
    fn close(&mut self, sock: SockId);

    /// Closes the connection so that the peer cannot mistake this for an orderly end: with a reset.
    /// Unix sockets have no resets, so there it is a plain close.
    fn abort(&mut self, sock: SockId);

    /// Stops listening. The kernel resets connections that were not accepted yet.
    fn close_listener(&mut self, listener: ListenerId);
}
