//! What these programs need from Linux: epoll, nonblocking sockets, one clock, one core, and enough
//! descriptors.
//!
//! Everything here is a thin, safe wrapper, so the programs themselves are readable. The clock is
//! CLOCK_MONOTONIC, which all processes on a host share: the origin's time in an event can be
//! subtracted from the time at which the load reads it.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
pub use rustix::event::epoll::EventFlags as Ready;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CpuSet;
use rustix::time::{ClockId, Timespec};

/// One millisecond in nanoseconds, the unit of all times here.
pub const MILLISECOND: u64 = 1_000_000;
/// One second.
pub const SECOND: u64 = 1_000_000_000;

/// The result of anything that can fail. The error is one readable line.
pub type Outcome<T> = Result<T, String>;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * SECOND + time.tv_nsec.unsigned_abs()
}

/// Raises the soft limit of open files to the hard limit, and returns it.
pub fn raise_descriptor_limit() -> Outcome<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("cannot raise the open-file limit: {error}"))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The PATH for programs: Debian installs proxies in folders that are only on root's PATH.
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Ties this process, and all that it starts from now on, to one core.
pub fn pin_to(core: usize) -> Outcome<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores)
        .map_err(|error| format!("cannot run on core {core} alone: {error}"))
}

/// Makes this thread's timers exact: by default the kernel may add 50 µs, half of what is measured
/// here.
pub fn sharpen_timers() -> Outcome<()> {
    rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN))
        .map_err(|error| format!("cannot set the timer slack: {error}"))
}

/// Lowers the priority of this process by this nice value.
pub fn give_way(steps: i32) -> Outcome<()> {
    let changed = rustix::process::nice(steps);
    changed
        .map(drop)
        .map_err(|error| format!("cannot change the priority: {error}"))
}

/// Makes this process end when its parent ends, even after an `exec`.
pub fn end_with_parent() -> Outcome<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| format!("cannot follow the parent's end: {error}"))
}

/// A listening socket with a long backlog, because thousands of streams are opened within a second.
pub fn listen(address: SocketAddr) -> Outcome<TcpListener> {
    let open = || -> Result<OwnedFd, Errno> {
        let socket = stream_socket(address)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, 4096)?;
        Ok(socket)
    };
    open()
        .map(TcpListener::from)
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Starts connecting, with a receive buffer of this size instead of the kernel's choice. It may not
/// be connected yet: a write that fails is tried again when the socket is writable.
pub fn connect(address: SocketAddr, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = stream_socket(address)?;
    if let Some(size) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
    }
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(TcpStream::from(socket))
}

/// Accepts a waiting connection, if there is one. Its socket is nonblocking and has no delay.
pub fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::accept_with(listener, flags).ok()?;
    sockopt::set_tcp_nodelay(&socket, true).ok()?;
    Some(TcpStream::from(socket))
}

/// Limits what the kernel buffers for a slow reader to about this size, instead of megabytes.
pub fn limit_send_buffer(socket: impl AsFd, size: usize) -> io::Result<()> {
    Ok(sockopt::set_socket_send_buffer_size(socket, size)?)
}

fn stream_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// One epoll instance.
pub struct Poller {
    epoll: OwnedFd,
}

/// An event of a socket: its token, and what it is ready for.
pub type Event = (usize, Ready);

impl Poller {
    /// A poller without sockets.
    pub fn new() -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|error| format!("cannot create an epoll instance: {error}"))?;
        Ok(Self { epoll })
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, socket: impl AsFd, token: usize, interest: Ready) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(token as u64),
            interest,
        )?)
    }

    /// Changes what a socket is watched for.
    pub fn change(&self, socket: impl AsFd, token: usize, interest: Ready) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(token as u64),
            interest,
        )?)
    }

    /// Stops watching a socket.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until `deadline` (forever if there is none), and fills `events` with what is ready.
    pub fn wait(&self, events: &mut Events, deadline: Option<u64>) -> Outcome<()> {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_sub(now());
            Timespec {
                tv_sec: (left / SECOND) as i64,
                tv_nsec: (left % SECOND) as i64,
            }
        });
        events.0.clear();
        let buffer = rustix::buffer::spare_capacity(&mut events.0);
        match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(format!("cannot poll: {error}")),
        }
    }
}

/// The results of a wait, allocated once.
#[derive(Default)]
pub struct Events(Vec<epoll::Event>);

impl Events {
    /// Room for 1,024 sockets that are ready at the same time.
    pub fn new() -> Self {
        Self(Vec::with_capacity(1024))
    }

    /// The sockets that are ready, in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.0
            .iter()
            .map(|event| (event.data.u64() as usize, event.flags))
    }
}
