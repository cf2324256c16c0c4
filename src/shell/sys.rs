//! Interfaces to the operating system: the open-file limit, signals, listening sockets and resource
//! usage. Connections are handled by [`crate::net::mio`].

use super::service::Inherited;
use crate::admin::metrics::Usage;
use crate::config::ListenAddr;
use crate::confines;
use crate::net::mio::{KEEPALIVE, Listener, SocketFile, set_write_timeout};
use mio::net::UnixStream;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How many connections may wait to be accepted. The kernel has its own limit (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Raises the soft limit on open files to the hard one, and returns it.
///
/// # Errors
/// If the system does not report the limit.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)
}

/// Handles SIGXFSZ, so that a write to a file at its size limit fails, as on a full disk, and does
/// not kill the process.
pub fn survive_file_size_limit() {
    // A handler that only sets a flag is enough: the write then returns an error.
    let arrived = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, arrived) {
        log::warn!(
            "cannot handle SIGXFSZ; a file at its size limit will kill the process: {error}"
        );
    }
}

/// SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 and SIGUSR2 as event sources for a poll.
#[derive(Debug)]
pub struct Signals {
    stop: UnixStream,
    quit: UnixStream,
    reload: UnixStream,
    user: UnixStream,
}

/// How often each kind of signal has arrived since the last call.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// SIGTERM and SIGINT: stop.
    pub stop: usize,
    /// SIGQUIT: drain, as nginx does. Repeating it does not speed up the drain.
    pub quit: usize,
    /// SIGHUP: reload.
    pub reload: usize,
    /// SIGUSR1 and SIGUSR2: ignored, but they would kill a process that does not catch them.
    /// Logrotate and admins send them because other servers then reopen their logs or start a new
    /// binary.
    pub user: usize,
}

impl Signals {
    /// Catches these signals from now on.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            stop: arrivals(&[SIGTERM, SIGINT])?,
            quit: arrivals(&[SIGQUIT])?,
            reload: arrivals(&[SIGHUP])?,
            user: arrivals(&[SIGUSR1, SIGUSR2])?,
        })
    }

    /// The sources to register with a poll. One becomes readable when a signal arrives.
    pub fn sources(&mut self) -> [&mut UnixStream; 4] {
        [&mut self.stop, &mut self.quit, &mut self.reload, &mut self.user]
    }

    /// Takes the signals that have arrived since the last call.
    pub fn take(&mut self) -> Arrived {
        let Signals { stop, quit, reload, user } = self;
        let [stop, quit, reload, user] = [stop, quit, reload, user].map(count);
        Arrived { stop, quit, reload, user }
    }
}

/// Returns a stream that receives a byte for each of these signals.
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

/// Listens on an address of the configuration, at an inherited socket if one is bound there,
/// otherwise at a new one. On Linux the kernel closes a connection whose peer acknowledges nothing
/// for `write_timeout`, because only the kernel can see that while its buffers have room.
///
/// # Errors
/// If the address is in use, is not one of this host, or needs a privilege.
pub fn listen(
    address: &ListenAddr,
    reuse_port: bool,
    write_timeout: Duration,
    inherited: &Inherited,
) -> io::Result<Listener> {
    match address {
        ListenAddr::Tcp(address) => {
            // The process that passed an inherited socket keeps using it.
            let (socket, is_own) = match inherited.tcp(*address)? {
                Some(listener) => (Socket::from(listener), false),
                None => (bind_tcp(*address, reuse_port)?, true),
            };
            Ok(Listener::Tcp(listen_tcp(socket, write_timeout)?, is_own))
        }
        ListenAddr::Unix(path) => match inherited.unix(path)? {
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
    // A restart must not wait for connections of the previous process that linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // So that "0.0.0.0:80" and "[::]:80" can both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn listen_tcp(socket: Socket, write_timeout: Duration) -> io::Result<mio::net::TcpListener> {
    // Accepted connections inherit these.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    set_write_timeout(&socket, write_timeout)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// Listens on a path. A socket file without a listener was left behind by a crashed process, and is
/// replaced. Any other file is kept, and is an error.
fn listen_unix(path: &Path) -> io::Result<mio::net::UnixListener> {
    confines::may_bind(path)?;
    match mio::net::UnixListener::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            mio::net::UnixListener::bind(path)
        }
        other => other,
    }
}

/// True if a socket file has no listener. This does not wait for a listener that is too busy to
/// accept.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let is_refused = |e: io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(is_refused)
}

/// What Linux reports about the process. It stays open, because a confined process cannot open it.
static STATUS: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/status").ok());

/// Opens what [`usage`] reads.
#[cfg(target_os = "linux")]
pub(super) fn prepare_usage() {
    LazyLock::force(&STATUS);
}

/// The processor time of the process or of a thread. None if the system does not report it.
fn cpu_of(who: UsageWho) -> Option<Duration> {
    let usage = getrusage(who).ok()?;
    let duration = |time: TimeVal| {
        let [seconds, micros] = [time.tv_sec(), time.tv_usec()].map(|n| u64::try_from(n).ok());
        Some(Duration::from_secs(seconds?) + Duration::from_micros(micros?))
    };
    Some(duration(usage.user_time())? + duration(usage.system_time())?)
}

/// The processor time of this thread so far. None if the system does not report it.
pub fn cpu_of_thread() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return cpu_of(UsageWho::RUSAGE_THREAD);
    #[cfg(not(target_os = "linux"))]
    None
}

/// What the process has used so far. None if the system does not report it.
pub fn usage() -> Option<Usage> {
    let cpu = cpu_of(UsageWho::RUSAGE_SELF)?;
    // The kernel generates it on reading, so this does not block. The line is "VmRSS: 2048 kB".
    let mut status = [0; 8192];
    let read = STATUS.as_ref().and_then(|file| file.read_at(&mut status, 0).ok()).unwrap_or(0);
    let status = String::from_utf8_lossy(&status[..read]);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Some(Usage { cpu, resident_bytes: kib.map(|kib| 1024 * kib) })
}

/// Returns a random number to seed the proxy's random choices.
pub fn seed() -> u64 {
    // The keys of hash maps are the only random numbers in std.
    RandomState::new().hash_one(std::process::id())
}
