//! What the process asks of its operating system beside the connections, which are
//! [`crate::net::mio`]'s: descriptors, signals, and sockets that listen.

use crate::config::ListenAddr;
use crate::net::mio::{KEEPALIVE, Listener};
use mio::net::UnixStream;
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Connections that may wait to be accepted; the kernel has its own limit (`somaxconn`) as well.
const BACKLOG: i32 = 4096;

/// Raises the soft limit on open files to the hard one. What it is now.
///
/// # Errors
/// When the system does not say.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)
}

/// SIGTERM and SIGINT, as something to poll.
#[derive(Debug)]
pub struct Signals {
    stream: UnixStream,
}

impl Signals {
    /// From now on these signals do not end the process; they arrive here.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new() -> io::Result<Signals> {
        let (receiver, sender) = std::os::unix::net::UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGTERM, sender.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, sender)?;
        Ok(Signals { stream: UnixStream::from_std(receiver) })
    }

    /// What to register with the poll.
    pub fn source(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// How many have arrived since the last time.
    pub fn take(&mut self) -> usize {
        let mut bytes = [0; 16];
        let mut count = 0;
        while let Ok(n @ 1..) = self.stream.read(&mut bytes) {
            count += n;
        }
        count
    }
}

/// Listens on an address of the configuration. A peer that acknowledges nothing for
/// `write_timeout` is given up by the kernel, which alone knows of it while there is room in its
/// buffers.
///
/// # Errors
/// When the address is taken, or not this host's, or not allowed.
pub fn listen(
    address: &ListenAddr,
    reuse_port: bool,
    write_timeout: Duration,
) -> io::Result<Listener> {
    match address {
        ListenAddr::Tcp(address) => {
            listen_tcp(*address, reuse_port, write_timeout).map(Listener::Tcp)
        }
        ListenAddr::Unix(path) => {
            listen_unix(path).map(|listener| Listener::Unix(listener, path.clone()))
        }
    }
}

fn listen_tcp(
    address: SocketAddr,
    reuse_port: bool,
    write_timeout: Duration,
) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the run before.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // "0.0.0.0:80" and "[::]:80" are two addresses, and can both be listened on.
        socket.set_only_v6(true)?;
    }
    // What is accepted inherits these.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// A socket file that nobody listens on is what a run before left behind: it is replaced.
fn listen_unix(path: &Path) -> io::Result<mio::net::UnixListener> {
    match mio::net::UnixListener::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            mio::net::UnixListener::bind(path)
        }
        other => other,
    }
}

fn is_abandoned(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}
