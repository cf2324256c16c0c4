//! What the process asks of its operating system beside the connections, which are
//! [`crate::net::mio`]'s: descriptors, signals, and sockets that listen.

use super::service::Inherited;
use crate::config::ListenAddr;
use crate::net::mio::{KEEPALIVE, Listener, SocketFile};
use mio::net::UnixStream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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

/// A file that has reached the limit on its size takes no more, as on a full disk; it does not end
/// the process (SIGXFSZ).
pub fn outlive_file_size_limit() {
    // It arrives somewhere, and so does nothing else; the write that it is about fails.
    let arrived = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, arrived) {
        log::warn!("a limit on the size of files will end the process: {error}");
    }
}

/// SIGTERM, SIGINT and SIGHUP, as something to poll.
#[derive(Debug)]
pub struct Signals {
    end: UnixStream,
    reload: UnixStream,
}

/// How often each kind of signal has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// SIGTERM and SIGINT.
    pub end: usize,
    /// SIGHUP.
    pub reload: usize,
}

impl Signals {
    /// From now on these signals do not end the process; they arrive here.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals { end: arrivals(&[SIGTERM, SIGINT])?, reload: arrivals(&[SIGHUP])? })
    }

    /// What to register with the poll.
    pub fn sources(&mut self) -> [&mut UnixStream; 2] {
        [&mut self.end, &mut self.reload]
    }

    /// What has arrived since the last time.
    pub fn take(&mut self) -> Arrived {
        Arrived { end: count(&mut self.end), reload: count(&mut self.reload) }
    }
}

/// A byte arrives for each of these signals.
fn arrivals(signals: &[i32]) -> io::Result<UnixStream> {
    let (receiver, sender) = std::os::unix::net::UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for &signal in signals {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(UnixStream::from_std(receiver))
}

fn count(arrivals: &mut UnixStream) -> usize {
    let mut bytes = [0; 16];
    let mut count = 0;
    while let Ok(n @ 1..) = arrivals.read(&mut bytes) {
        count += n;
    }
    count
}

/// Listens on an address of the configuration, with a socket that the process was started with, if
/// one of those is there. A peer that acknowledges nothing for
/// `write_timeout` is given up by the kernel, which alone knows of it while there is room in its
/// buffers.
///
/// # Errors
/// When the address is taken, or not this host's, or not allowed.
pub fn listen(
    address: &ListenAddr,
    reuse_port: bool,
    write_timeout: Duration,
    inherited: &mut Inherited,
) -> io::Result<Listener> {
    match address {
        ListenAddr::Tcp(address) => {
            let socket = match inherited.tcp(*address) {
                Some(listener) => Socket::from(listener),
                None => bind_tcp(*address, reuse_port)?,
            };
            listen_tcp(socket, write_timeout).map(Listener::Tcp)
        }
        ListenAddr::Unix(path) => match inherited.unix(path) {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(mio::net::UnixListener::from_std(listener), None))
            }
            None => {
                let listener = listen_unix(path)?;
                Ok(Listener::Unix(listener, Some(SocketFile::at(path.clone())?)))
            }
        },
    }
}

fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
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
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn listen_tcp(socket: Socket, write_timeout: Duration) -> io::Result<mio::net::TcpListener> {
    // What is accepted inherits these.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// A socket file that nobody listens on is what a run before left behind: it is replaced. Any other
/// file is somebody's.
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
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// A number that is another one in each process.
pub fn seed() -> u64 {
    // The one source of randomness that std has: the keys of its hash maps.
    RandomState::new().hash_one(std::process::id())
}
