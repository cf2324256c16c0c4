//! The listening sockets.
//!
//! A listener's readiness is remembered like any other, so pausing costs nothing: when the process
//! is out of descriptors, accepting pauses for a moment and is then retried. It neither spins nor
//! stops for good. Each listener pauses separately, so that a crowd of clients cannot keep the
//! operator waiting. Listeners with TLS pause together while the limit on handshakes is reached:
//! new clients wait in the kernel's queue.

use crate::config::{ListenAddr, Server};
use crate::conn::Conn;
use crate::descriptors;
use crate::net::{ListenerId, Net};
use crate::session::{Port, Service};
use crate::time::Tick;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// How long accepting pauses when there is no descriptor, or no room for a handshake.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets.
#[derive(Debug)]
pub struct Listeners {
    all: Vec<Listener>,
    /// The index of the client listener that comes first in the next turn.
    first: usize,
    /// Until when listeners with TLS pause, because there was no room for a handshake.
    secure_paused_until: Option<Tick>,
    /// Until when shared listeners are left to other event loops.
    left_until: Option<Tick>,
}

#[derive(Debug)]
struct Listener {
    port: Port,
    ready: bool,
    open: bool,
    /// When accepting is retried, if the last attempt failed.
    paused_until: Option<Tick>,
}

impl Listener {
    const fn new(port: Port, open: bool) -> Listener {
        Listener { port, ready: open, open, paused_until: None }
    }

    /// When a connection can be accepted that may be waiting, given until when listeners with TLS
    /// pause and shared ones are left to others. [`Tick::NEVER`] if none is waiting.
    fn accepts_at(&self, [secure, left]: [Option<Tick>; 2]) -> Tick {
        if !self.ready {
            return Tick::NEVER;
        }
        let secure = secure.filter(|_| self.port.is_secure);
        let left = left.filter(|_| self.port.is_shared);
        self.paused_until.max(secure).max(left).unwrap_or(Tick::ZERO)
    }
}

/// The port for an address of `server.listen`, or of `server.listen_tls` if `is_secure`.
pub fn port_at(server: &Server, address: &ListenAddr, is_secure: bool) -> Port {
    let port = if is_secure { Port::secure(Service::Apis) } else { Port::plain(Service::Apis) };
    Port {
        proxy_protocol: server.proxy_protocol.contains(address),
        is_https: port.is_https || server.forwarded_https.contains(address),
        is_shared: !server.reuse_port || matches!(address, ListenAddr::Unix(_)),
        ..port
    }
}

impl Listeners {
    /// Creates open listeners, in order.
    pub fn new(ports: &[Port]) -> Listeners {
        let all = ports.iter().map(|&port| Listener::new(port, true));
        Listeners { all: all.collect(), first: 0, secure_paused_until: None, left_until: None }
    }

    /// Adds a listener that was opened.
    pub fn open(&mut self, listener: ListenerId, port: Port) {
        let index = listener.0 as usize;
        let closed = || Listener::new(port, false);
        if index >= self.all.len() {
            self.all.resize_with(index + 1, closed);
        }
        self.all[index] = Listener::new(port, true);
    }

    /// Adds a listener at which another event loop accepts. This loop accepts there only when the
    /// listener closes ([`Listeners::ask`]).
    pub fn open_spare(&mut self, listener: ListenerId, port: Port) {
        self.open(listener, port);
        self.all[usize::from(listener.0)].ready = false;
    }

    /// Changes the port of an open listener, for new connections.
    pub fn change(&mut self, listener: ListenerId, port: Port) {
        if let Some(listener) = self.all.get_mut(listener.0 as usize) {
            listener.port = port;
        }
    }

    /// Notes that a listener was closed. Returns its service.
    pub fn close(&mut self, listener: ListenerId) -> Option<Service> {
        let listener = self.all.get_mut(listener.0 as usize)?;
        (listener.open, listener.ready) = (false, false);
        Some(listener.port.service)
    }

    /// Notes that connections are waiting at a listener.
    pub fn on_ready(&mut self, listener: ListenerId) {
        if let Some(listener) = self.all.get_mut(listener.0 as usize) {
            listener.ready = listener.open;
        }
    }

    /// True if another turn could accept more connections.
    pub fn can_accept(&self, now: Tick) -> bool {
        self.resumes_at() <= now
    }

    /// When another turn could accept more connections. [`Tick::NEVER`] if none is waiting.
    pub fn resumes_at(&self) -> Tick {
        let ready = self.all.iter().filter(|listener| listener.ready);
        let at = ready.map(|listener| listener.accepts_at(self.pauses()));
        at.min().unwrap_or(Tick::NEVER)
    }

    /// The indices of the listeners for operators, or of all others, in the order of this turn. The
    /// first one changes from turn to turn.
    pub fn in_turn(&mut self, operators: bool) -> Vec<usize> {
        let (count, first) = (self.all.len(), self.first);
        if !operators {
            self.first = (first + 1) % count;
        }
        let in_turn = (0..count).map(|n| (first + n) % count);
        let is_one = |index: &usize| self.all[*index].port.service.is_for_operators() == operators;
        in_turn.filter(is_one).collect()
    }

    /// The open listeners of some services.
    pub fn open_ones(&self, which: impl Fn(Service) -> bool) -> Vec<ListenerId> {
        let open = (0..).zip(&self.all).filter(|(_, l)| l.open && which(l.port.service));
        open.map(|(index, _)| ListenerId(index)).collect()
    }

    /// Marks a listener as ready if it is open, and ends its own pause.
    pub fn ask(&mut self, index: usize) {
        if let Some(listener) = self.all.get_mut(index) {
            (listener.ready, listener.paused_until) = (listener.open, None);
        }
    }

    /// True exactly when a listener may have another connection, after [`Listeners::ask`].
    pub fn may_have_more(&self, index: usize) -> bool {
        self.all.get(index).is_some_and(|listener| listener.accepts_at([None; 2]) == Tick::ZERO)
    }

    /// True exactly when a listener may have a connection that can be accepted now.
    pub fn is_ready(&self, index: usize, now: Tick) -> bool {
        self.all[index].accepts_at(self.pauses()) <= now
    }

    /// Until when listeners with TLS pause, and shared ones are left to others.
    const fn pauses(&self) -> [Option<Tick>; 2] {
        [self.secure_paused_until, self.left_until]
    }

    /// True exactly when other event loops accept at the same socket.
    pub fn is_shared(&self, index: usize) -> bool {
        self.all[index].port.is_shared
    }

    /// Leaves shared listeners to other event loops until this time.
    pub const fn leave_to_others(&mut self, until: Tick) {
        self.left_until = Some(until);
    }

    /// True exactly when a listener is for TLS.
    pub fn is_secure(&self, index: usize) -> bool {
        self.all[index].port.is_secure
    }

    /// Pauses the listeners with TLS, because the limit on handshakes is reached.
    pub fn pause_secure(&mut self, now: Tick) {
        self.secure_paused_until = Some(now.after(PAUSE));
    }

    /// Ends the pause of listeners with TLS, because a handshake has ended.
    pub const fn resume_secure(&mut self) {
        self.secure_paused_until = None;
    }

    /// Accepts a connection at a listener. None if none is waiting.
    ///
    /// # Errors
    /// Any error of `accept`, such as that no descriptor is left.
    pub fn accept<N: Net>(&mut self, index: usize, net: &mut N) -> io::Result<Option<Accepted>> {
        let Ok(id) = u16::try_from(index) else { panic!("a listener's id has 16 bits") };
        let listener = &mut self.all[index];
        match Conn::accept(net, ListenerId(id)) {
            Ok((conn, peer)) => Ok(Some(Accepted { conn, peer, port: listener.port })),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
                Ok(None)
            }
            // The client left before it was accepted, which is not a failure to accept.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Ends the pause of a listener, because accepting has succeeded. Returns what to log if it was
    /// paused.
    pub fn resume(&mut self, index: usize) -> Option<&'static str> {
        self.all[index].paused_until.take().map(|_| "accept resumed")
    }

    /// Pauses a listener, because accepting has failed. Returns what to log if it was not paused
    /// yet.
    pub fn pause(&mut self, index: usize, error: &io::Error, now: Tick) -> Option<String> {
        let paused = self.all[index].paused_until.replace(now.after(PAUSE));
        let why = || format!("accept failed, pausing {PAUSE:?}: {}", descriptors::explain(error));
        paused.is_none().then(why)
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub conn: Conn,
    /// The peer's address. None on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The listener's port.
    pub port: Port,
}
