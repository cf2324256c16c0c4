//! The service manager's protocols: inherited sockets, readiness notification, dropping privileges.
//!
//! The protocols are systemd's `sd_listen_fds(3)` and `sd_notify(3)`. Without a service manager
//! that speaks them, no socket is inherited and nothing is sent.

use crate::config::ListenAddr;
use crate::net::mio::SocketFile;
use listenfd::ListenFd;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

/// Listening sockets that the process has inherited. It keeps them while it runs, because they stay
/// open in the process that passed them, so that no other socket can be bound to their addresses if
/// a reload stops using them and the next one uses them again.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

impl Inherited {
    /// All inherited sockets. Call it once.
    ///
    /// # Errors
    /// If one of them is not a listening stream socket.
    pub fn take() -> io::Result<Inherited> {
        let mut passed = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for index in 0..passed.len() {
            if let Ok(listener) = passed.take_tcp_listener(index) {
                inherited.tcp.extend(listener);
            } else {
                inherited.unix.extend(passed.take_unix_listener(index)?);
            }
        }
        inherited.warn_of_lost_files();
        Ok(inherited)
    }

    /// Logs which Unix sockets no client can find, because their file was removed.
    fn warn_of_lost_files(&self) {
        for bound in self.unix.iter().filter_map(|l| l.local_addr().ok()) {
            if let Some(path) = bound.as_pathname()
                && path.try_exists().is_ok_and(|exists| !exists)
            {
                let path = path.display();
                log::warn!("inherited socket {path} was removed, so no client can connect to it");
            }
        }
    }

    /// True exactly when one of them is bound to an address of the configuration.
    pub(super) fn has(&self, address: &ListenAddr) -> bool {
        match address {
            ListenAddr::Tcp(address) => self.find_tcp(*address).is_some(),
            ListenAddr::Unix(path) => self.find_unix(path).is_some(),
        }
    }

    /// The socket that is bound to an address and port, for a listener.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub(super) fn tcp(&self, address: SocketAddr) -> io::Result<Option<TcpListener>> {
        self.find_tcp(address).map(TcpListener::try_clone).transpose()
    }

    /// The socket that is bound to a path, for a listener.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub(super) fn unix(&self, path: &Path) -> io::Result<Option<UnixListener>> {
        self.find_unix(path).map(UnixListener::try_clone).transpose()
    }

    fn find_tcp(&self, address: SocketAddr) -> Option<&TcpListener> {
        self.tcp.iter().find(|l| l.local_addr().is_ok_and(|bound| bound == address))
    }

    fn find_unix(&self, path: &Path) -> Option<&UnixListener> {
        let is_bound =
            |l: &&UnixListener| l.local_addr().is_ok_and(|bound| bound.as_pathname() == Some(path));
        self.unix.iter().find(is_bound)
    }

    /// The addresses of all of them.
    fn addresses(&self) -> Vec<ListenAddr> {
        let tcp = self.tcp.iter().filter_map(|l| l.local_addr().ok().map(ListenAddr::Tcp));
        let unix = self.unix.iter().filter_map(|l| {
            let bound = l.local_addr().ok()?;
            bound.as_pathname().map(|path| ListenAddr::Unix(path.to_owned()))
        });
        tcp.chain(unix).collect()
    }

    /// A line about each socket that is not for one of these addresses. Clients that connect to it
    /// wait.
    pub(super) fn not_used(&self, addresses: &[ListenAddr]) -> Vec<String> {
        let unused = self.addresses().into_iter().filter(|address| !addresses.contains(address));
        let say = |address| {
            format!("inherited socket is not used: the configuration has no listener {address}")
        };
        unused.map(say).collect()
    }
}

/// Notifies the service manager, if there is one, of a state such as `READY=1` or `STOPPING=1`.
pub fn notify(state: &str) {
    let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
    let Some(path) = path else { return };
    if let Err(error) = send(path.as_encoded_bytes(), state) {
        log::warn!("cannot notify the service manager of {state}: {error}");
    }
}

fn send(path: &[u8], state: &str) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not block the process.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = path.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(|_| ());
    }
    let path = std::ffi::OsStr::from_bytes(path);
    socket.send_to(state.as_bytes(), path).map(|_| ())
}

/// Switches permanently to another user and that user's groups. The user gets `files`, so that the
/// process can remove them when it exits.
///
/// # Errors
/// If there is no such user, the process is neither root nor that user already, or another file has
/// taken the place of one of `files`.
pub fn become_user(name: &str, files: &[&SocketFile]) -> Result<(), String> {
    use nix::unistd::{User, geteuid, initgroups, setgid, setuid};
    let user = User::from_name(name).map_err(|e| e.to_string())?;
    let user = user.ok_or_else(|| format!("there is no user {name}"))?;
    if geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(format!("only root can become {name}"));
    }
    for file in files {
        file.give_to(user.uid, user.gid)
            .map_err(|e| format!("cannot give {} to {name}: {e}", file.path().display()))?;
    }
    let c_name = std::ffi::CString::new(name).map_err(|e| e.to_string())?;
    initgroups(&c_name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|e| e.to_string())
}

/// Prevents programs started by this process from gaining privileges (`PR_SET_NO_NEW_PRIVS`).
pub fn set_no_new_privileges() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        log::warn!("cannot set no_new_privs: {error}");
    }
}
