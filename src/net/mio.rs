//! The real network: non-blocking TCP and Unix sockets with mio's edge-triggered poll.
//!
//! mio's token is only as wide as a pointer, 32 bits on some hosts, so it carries the socket's id,
//! and the [`Token`] is looked up here. An event cannot reach a later socket with the same id: the
//! loop records all events of a poll before it closes anything, and a closed descriptor reports
//! nothing.
//!
//! Only the kernel can detect dead peers: keep-alive probes run on both sides, and on Linux a
//! `TCP_USER_TIMEOUT` of `write_timeout` towards clients, because only the kernel knows whether
//! bytes in its buffers were acknowledged.

use super::{Address, ListenerId, Net, Ready, Received, Sent, SockId, Token};
use mio::event::{Event, Source};
use mio::{Interest, Registry};
use nix::unistd::{Gid, Uid};
use socket2::TcpKeepalive;
use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Keepalive probes for peers that vanish silently, such as a closed laptop or a cut cable. Nothing
/// else detects these on a quiet stream.
pub const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// Lets the kernel close a connection whose peer acknowledges nothing for `write_timeout`. On a
/// listening socket this applies to connections that it accepts from now on. Only Linux can do it.
///
/// # Errors
/// If it is not a TCP socket.
pub fn set_write_timeout(socket: &socket2::Socket, write_timeout: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(write_timeout.min(USER_TIMEOUT_MAX)))?;
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, write_timeout);
    Ok(())
}

/// The maximum that the kernel accepts: it keeps milliseconds in 31 bits.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis((1 << 31) - 1);

/// Whether a short read means that the socket is drained, and a short write that it is full
/// (epoll(7), question 9).
const SHORT_IS_LAST: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// All sockets, indexed by [`SockId`] and registered with one poll.
#[derive(Debug)]
pub struct MioNet {
    registry: Registry,
    listeners: Vec<Option<Listener>>,
    sockets: Vec<Option<Slot>>,
    free: Vec<u32>,
}

/// Poll tokens from here on belong to listeners. The highest is reserved for the shell.
const FIRST_LISTENER: usize = usize::MAX / 2;

#[derive(Debug)]
struct Slot {
    socket: Socket,
    token: Token,
}

/// A listening socket. If it has several descriptors, one of them is its owner: once that closes,
/// nobody can connect, even if another event loop hangs and does not close its own.
#[derive(Debug)]
pub enum Listener {
    /// A socket with an address and a port, and whether this is its owner.
    Tcp(mio::net::TcpListener, bool),
    /// A socket at a path. The owner has the file, which it removes when it closes.
    Unix(mio::net::UnixListener, Option<SocketFile>),
}

/// The file of a Unix socket that this process bound. It is removed with the listener.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// The device and inode. Another process's socket at this path has different ones, because the
    /// kernel keeps the inode for as long as the socket is open.
    identity: (u64, u64),
}

impl SocketFile {
    /// Identifies the file at this path, where a socket was just bound.
    ///
    /// # Errors
    /// If it has already been removed.
    pub fn at(path: PathBuf) -> io::Result<SocketFile> {
        Ok(SocketFile { identity: identity(&fs::symlink_metadata(&path)?), path })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file to a user and a group, if it is still the file that was bound: a user who can
    /// write to its folder may have replaced it by a link to any other file.
    ///
    /// # Errors
    /// If it was replaced, or the process may not change its owner.
    pub fn give_to(&self, user: Uid, group: Gid) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use nix::fcntl::{AtFlags, OFlag, open};
            use nix::sys::stat::Mode;
            // The descriptor stays with this file, whatever the path leads to later.
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = fs::File::from(open(&self.path, flags, Mode::empty())?);
            self.recognize(&file.metadata()?)?;
            let itself = AtFlags::AT_EMPTY_PATH;
            nix::unistd::fchownat(&file, "", Some(user), Some(group), itself)?;
            Ok(())
        }
        #[cfg(not(target_os = "linux"))]
        {
            self.recognize(&fs::symlink_metadata(&self.path)?)?;
            std::os::unix::fs::lchown(&self.path, Some(user.as_raw()), Some(group.as_raw()))
        }
    }

    /// Checks that this is the file that was bound, which has no other name.
    fn recognize(&self, found: &Metadata) -> io::Result<()> {
        let is_alone = found.file_type().is_socket() && found.nlink() == 1;
        if is_alone && identity(found) == self.identity {
            return Ok(());
        }
        Err(io::Error::other("another file has taken its place"))
    }

    /// Removes the file unless another one has replaced it. The socket must still be open.
    fn remove(&self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            // It may have been removed by now, which is fine.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(file)) = self {
            file.remove();
        }
    }
}

impl Listener {
    /// The address and port of the socket. None for a Unix socket.
    ///
    /// # Errors
    /// If the kernel is out of memory.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Listener::Tcp(listener, _) => listener.local_addr().map(Some),
            Listener::Unix(..) => Ok(None),
        }
    }

    /// Another descriptor for the same socket, which is not its owner.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn another(&self) -> io::Result<Listener> {
        match self {
            Listener::Tcp(listener, _) => {
                let socket = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
                Ok(Listener::Tcp(mio::net::TcpListener::from_std(socket), false))
            }
            Listener::Unix(listener, _) => {
                let socket = UnixListener::from(listener.as_fd().try_clone_to_owned()?);
                Ok(Listener::Unix(mio::net::UnixListener::from_std(socket), None))
            }
        }
    }

    /// Stops listening on a socket for everyone who has it open.
    fn end(&self) {
        let socket = match self {
            Listener::Tcp(listener, _) => socket2::SockRef::from(listener),
            Listener::Unix(listener, _) => socket2::SockRef::from(listener),
        };
        // If this fails, it stops when the last descriptor is closed.
        let _: io::Result<()> = socket.shutdown(Shutdown::Read);
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl MioNet {
    /// Creates an empty network with room for `sockets_max` sockets. Events come from the poll that
    /// `registry` belongs to.
    pub fn new(registry: Registry, sockets_max: usize) -> MioNet {
        let sockets = Vec::with_capacity(sockets_max);
        MioNet { registry, listeners: Vec::new(), sockets, free: Vec::new() }
    }

    /// Registers a listening socket and returns its id.
    ///
    /// # Errors
    /// If the kernel is out of memory or watches.
    pub fn add_listener(&mut self, mut listener: Listener) -> io::Result<ListenerId> {
        let id = self.next_listener()?;
        let source: &mut dyn Source = match &mut listener {
            Listener::Tcp(l, _) => l,
            Listener::Unix(l, _) => l,
        };
        let token = mio::Token(FIRST_LISTENER + usize::from(id.0));
        self.registry.register(source, token, Interest::READABLE)?;
        self.keep_listener(id, listener);
        Ok(id)
    }

    /// Keeps a listening socket without registering it, and returns its id.
    ///
    /// # Errors
    /// If there are already as many as possible.
    pub fn add_spare(&mut self, listener: Listener) -> io::Result<ListenerId> {
        let id = self.next_listener()?;
        self.keep_listener(id, listener);
        Ok(id)
    }

    /// The id of the listening socket that is added next.
    fn next_listener(&self) -> io::Result<ListenerId> {
        // A closed descriptor reports nothing, so its slot can be reused.
        let free = self.listeners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listeners.len());
        Ok(ListenerId(u16::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?))
    }

    fn keep_listener(&mut self, id: ListenerId, listener: Listener) {
        match self.listeners.get_mut(usize::from(id.0)) {
            Some(place) => *place = Some(listener),
            None => self.listeners.push(Some(listener)),
        }
    }

    /// Another descriptor for the same listening socket, for another poll.
    ///
    /// # Errors
    /// If no descriptor is left.
    ///
    /// # Panics
    /// If there is no such listener.
    pub fn share_listener(&self, id: ListenerId) -> io::Result<Listener> {
        match self.listeners.get(usize::from(id.0)).and_then(Option::as_ref) {
            Some(listener) => listener.another(),
            None => panic!("no listener has this id"),
        }
    }

    /// The listener or socket of an event. None if it is not ours or has been closed.
    pub fn source_of(&self, event: &Event) -> Option<EventSource> {
        let mio::Token(token) = event.token();
        if let Some(index) = token.checked_sub(FIRST_LISTENER) {
            self.listeners.get(index)?.as_ref()?;
            return Some(EventSource::Listener(ListenerId(u16::try_from(index).ok()?)));
        }
        let slot = self.sockets.get(token)?.as_ref()?;
        Some(EventSource::Socket(slot.token, ready_bits(event)))
    }

    /// Sets the limit of [`set_write_timeout`] for connections that a listener accepts from now on.
    pub fn limit_writes_at(&self, id: ListenerId, write_timeout: Duration) {
        if let Some(Some(Listener::Tcp(listener, _))) = self.listeners.get(usize::from(id.0)) {
            // This cannot fail: it is an open TCP socket.
            let _ = set_write_timeout(&socket2::SockRef::from(listener), write_timeout);
        }
    }

    /// The files of the Unix sockets that this process bound.
    pub fn socket_files(&self) -> impl Iterator<Item = &SocketFile> {
        self.listeners.iter().flatten().filter_map(|listener| match listener {
            Listener::Unix(_, file) => file.as_ref(),
            Listener::Tcp(..) => None,
        })
    }

    fn keep(&mut self, socket: Socket) -> SockId {
        let slot = Some(Slot { socket, token: Token(0) });
        if let Some(index) = self.free.pop() {
            self.sockets[index as usize] = slot;
            return SockId(index);
        }
        self.sockets.push(slot);
        let Ok(id) = u32::try_from(self.sockets.len() - 1) else {
            panic!("the open-file limit is far below 2^32");
        };
        SockId(id)
    }

    fn socket(&mut self, sock: SockId) -> io::Result<&mut Socket> {
        match self.sockets.get_mut(sock.0 as usize) {
            Some(Some(slot)) => Ok(&mut slot.socket),
            Some(None) | None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Dropping the socket closes it, which also removes it from epoll.
    fn forget(&mut self, sock: SockId) -> Option<Socket> {
        let slot = self.sockets.get_mut(sock.0 as usize)?.take();
        assert!(slot.is_some(), "a socket is closed once");
        self.free.push(sock.0);
        slot.map(|slot| slot.socket)
    }
}

/// The source of an event.
#[derive(Clone, Copy, Debug)]
pub enum EventSource {
    /// Connections are waiting to be accepted.
    Listener(ListenerId),
    /// A registered socket may have become readable, writable or closed.
    Socket(Token, Ready),
}

/// Converts a poll event to readiness bits.
fn ready_bits(event: &Event) -> Ready {
    let mut ready = Ready::NONE;
    if event.is_readable() {
        ready.set(Ready::READ);
    }
    if event.is_writable() {
        ready.set(Ready::WRITE);
    }
    if event.is_read_closed() {
        ready.set(Ready::HUP);
        ready.set(Ready::READ);
    }
    if event.is_error() || event.is_write_closed() {
        ready.set(Ready::HUP);
        ready.set(Ready::READ);
        ready.set(Ready::WRITE);
    }
    ready
}

/// Retries a call that a signal interrupted, since its edge would not be repeated.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Net for MioNet {
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)> {
        let listener = self.listeners.get(listener.0 as usize).and_then(Option::as_ref);
        let accepted = match listener {
            Some(Listener::Tcp(l, _)) => uninterrupted(|| l.accept())
                .map(|(stream, peer)| (Socket::Tcp(stream), Some(peer.ip()))),
            Some(Listener::Unix(l, _)) => {
                uninterrupted(|| l.accept()).map(|(stream, _)| (Socket::Unix(stream), None))
            }
            None => return Err(io::ErrorKind::WouldBlock.into()),
        };
        match accepted {
            Ok((socket, peer)) => Ok((self.keep(socket), peer)),
            // The owner has closed the listener.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }

    fn connect(&mut self, address: &Address) -> io::Result<SockId> {
        let address = match address {
            Address::Tcp(address) => *address,
            // Connecting to a Unix socket succeeds or fails at once.
            Address::Unix(path) => {
                return Ok(self.keep(Socket::Unix(mio::net::UnixStream::connect(path)?)));
            }
        };
        Ok(self.keep(Socket::Tcp(mio::net::TcpStream::connect(address)?)))
    }

    fn addresses(&self, sock: SockId) -> Option<[SocketAddr; 2]> {
        let Socket::Tcp(stream) = &self.sockets.get(sock.0 as usize)?.as_ref()?.socket else {
            return None;
        };
        Some([stream.peer_addr().ok()?, stream.local_addr().ok()?])
    }

    fn connected(&mut self, sock: SockId) -> io::Result<()> {
        let Socket::Tcp(stream) = self.socket(sock)? else {
            return Ok(());
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(e) => Err(e),
        }
    }

    fn register(&mut self, sock: SockId, token: Token) -> io::Result<()> {
        let index = sock.0 as usize;
        let Some(Some(slot)) = self.sockets.get_mut(index) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        slot.token = token;
        let source: &mut dyn Source = match &mut slot.socket {
            Socket::Tcp(s) => s,
            Socket::Unix(s) => s,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(source, mio::Token(index), interest)
    }

    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<Received> {
        let socket = self.socket(sock)?;
        let n = uninterrupted(|| match socket {
            Socket::Tcp(s) => s.read(buf),
            Socket::Unix(s) => s.read(buf),
        })?;
        Ok(Received { n, drained: SHORT_IS_LAST && n < buf.len() })
    }

    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<Sent> {
        let socket = self.socket(sock)?;
        let n = uninterrupted(|| match socket {
            Socket::Tcp(s) => s.write(bytes),
            Socket::Unix(s) => s.write(bytes),
        })?;
        Ok(Sent { n, full: SHORT_IS_LAST && n < bytes.len() })
    }

    fn keep_for_long(&mut self, sock: SockId) {
        if let Ok(Socket::Tcp(stream)) = self.socket(sock) {
            // These fail only if the connection is broken, which the next read reports.
            let _ = stream.set_nodelay(true);
            let _ = socket2::SockRef::from(&*stream).set_tcp_keepalive(&KEEPALIVE);
        }
    }

    fn shutdown_write(&mut self, sock: SockId) {
        // This fails only if the connection is broken, which the next read reports.
        let _ = match self.socket(sock) {
            Ok(Socket::Tcp(s)) => s.shutdown(Shutdown::Write),
            Ok(Socket::Unix(s)) => s.shutdown(Shutdown::Write),
            Err(e) => Err(e),
        };
    }

    fn close(&mut self, sock: SockId) {
        drop(self.forget(sock));
    }

    fn abort(&mut self, sock: SockId) {
        if let Some(Socket::Tcp(stream)) = self.forget(sock) {
            // Closing with a linger time of zero makes TCP send a reset instead of a FIN.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn close_listener(&mut self, listener: ListenerId) {
        let listener = self.listeners.get_mut(listener.0 as usize).and_then(Option::take);
        let Some(mut listener) = listener else { return };
        // Another event loop may have the same socket open, and this poll would still report its
        // events. This fails only if it was not registered.
        let _: io::Result<()> = match &mut listener {
            Listener::Tcp(listener, _) => self.registry.deregister(listener),
            Listener::Unix(listener, _) => self.registry.deregister(listener),
        };
        if let Listener::Tcp(_, true) | Listener::Unix(_, Some(_)) = &listener {
            listener.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The owner stays the same here, because only root can change it.
    #[test]
    fn only_the_file_that_was_bound_is_given_away() {
        let folder = std::env::temp_dir().join(format!("millstream-given-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let [path, other] = ["a.sock", "other.sock"].map(|name| folder.join(name));
        let [_listener, _other] = [&path, &other].map(|path| UnixListener::bind(path).unwrap());
        let file = SocketFile::at(path.clone()).unwrap();
        let give = |file: &SocketFile| file.give_to(Uid::current(), Gid::current());
        let check = |file: &SocketFile, what: &str| assert!(give(file).is_err(), "{what}");
        give(&file).unwrap();
        fs::remove_file(&path).unwrap();
        check(&file, "it is gone");
        symlink(&other, &path).unwrap();
        check(&file, "a symbolic link");
        check(&SocketFile::at(path.clone()).unwrap(), "a symbolic link from the beginning");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&other, &path).unwrap();
        check(&file, "a hard link");
        check(&SocketFile::at(path).unwrap(), "a hard link from the beginning");
        fs::remove_dir_all(folder).unwrap();
    }
}
