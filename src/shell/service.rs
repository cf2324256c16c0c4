//! What the process and whoever manages it have to do with each other: sockets that are handed
//! over, word of being ready or about to end, and an account with fewer rights to run under.
//!
//! The protocols are systemd's `sd_listen_fds(3)` and `sd_notify(3)`; without such a manager
//! nothing of this happens.

use crate::config::ListenAddr;
use listenfd::ListenFd;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

/// Sockets that were open when the process was started, and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

impl Inherited {
    /// All of them. Once.
    ///
    /// # Errors
    /// When one of them is no stream socket, or was taken before.
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
        Ok(inherited)
    }

    /// The one that listens on an address and port.
    pub(super) fn tcp(&mut self, address: std::net::SocketAddr) -> Option<TcpListener> {
        let is_there = |l: &TcpListener| l.local_addr().is_ok_and(|bound| bound == address);
        self.tcp.iter().position(is_there).map(|index| self.tcp.swap_remove(index))
    }

    /// The one that listens on a path.
    pub(super) fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let is_there =
            |l: &UnixListener| l.local_addr().is_ok_and(|bound| bound.as_pathname() == Some(path));
        self.unix.iter().position(is_there).map(|index| self.unix.swap_remove(index))
    }

    /// Where those listen that nobody has taken: nobody answers there.
    pub fn left(&self) -> Vec<ListenAddr> {
        let tcp = self.tcp.iter().filter_map(|l| l.local_addr().ok().map(ListenAddr::Tcp));
        let unix = self.unix.iter().filter_map(|l| {
            let bound = l.local_addr().ok()?;
            bound.as_pathname().map(|path| ListenAddr::Unix(path.to_owned()))
        });
        tcp.chain(unix).collect()
    }
}

/// Tells the service manager, if there is one that listens, what is up: `READY=1`, `STOPPING=1`.
pub fn notify(state: &str) {
    let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
    let Some(path) = path else { return };
    if let Err(error) = send(path.as_encoded_bytes(), state) {
        log::warn!("the service manager is not told {state}: {error}");
    }
}

fn send(path: &[u8], state: &str) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let socket = UnixDatagram::unbound()?;
    // A manager that does not listen is not waited for.
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

/// Goes on as another user, with that user's groups and no way back. The socket files at `paths`
/// become that user's, so that they can be taken away at the end.
///
/// # Errors
/// When there is no such user, or the process has not the right.
pub fn become_user(name: &str, paths: &[&Path]) -> Result<(), String> {
    use nix::unistd::{User, geteuid, initgroups, setgid, setuid};
    let user = User::from_name(name).map_err(|e| e.to_string())?;
    let user = user.ok_or_else(|| format!("there is no user {name}"))?;
    if geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(format!("only root can become {name}"));
    }
    for path in paths {
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let c_name = std::ffi::CString::new(name).map_err(|e| e.to_string())?;
    initgroups(&c_name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|e| e.to_string())
}

/// No program that this process might ever start can have more rights than it has.
pub fn renounce_privileges() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        log::warn!("new privileges are not renounced: {error}");
    }
}
