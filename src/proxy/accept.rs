//! Taking connections in: a bounded number a turn, and never more than there is room for.
//!
//! A listener's readiness is remembered like any other, so that pausing costs nothing: when the
//! process is out of descriptors, accepting rests for a moment and is then tried again. It neither
//! spins nor ends.

use super::{Proxy, admin, session_token};
use crate::conn::Conn;
use crate::net::{ListenerId, Net, Ready, out_of_descriptors};
use crate::session::{Service, Session, State};
use crate::time::Tick;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// How long accepting rests when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections past the limit that are answered with 503 at a time; more are closed unheard.
const REFUSALS_MAX: usize = 64;

/// Sessions that are looked at to find an idle one whose place a new one can have.
const RECLAIM_LOOKS: u32 = 64;

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    resumes_at: Option<Tick>,
    /// True exactly when the last attempt to accept has failed.
    rests: bool,
    /// Where the search for an idle session goes on: it walks round the slab like a clock's hand.
    hand: u32,
}

#[derive(Debug)]
struct Listener {
    service: Service,
    ready: bool,
    open: bool,
}

impl Listeners {
    pub(super) fn new(services: &[Service]) -> Listeners {
        let all = services.iter().map(|&service| Listener { service, ready: true, open: true });
        Listeners { all: all.collect(), resumes_at: None, rests: false, hand: 0 }
    }

    pub(super) fn open(&mut self, listener: ListenerId, service: Service) {
        let index = listener.0 as usize;
        let closed = || Listener { service, ready: false, open: false };
        if index >= self.all.len() {
            self.all.resize_with(index + 1, closed);
        }
        self.all[index] = Listener { service, ready: true, open: true };
    }

    pub(super) fn close(&mut self, listener: ListenerId) {
        if let Some(listener) = self.all.get_mut(listener.0 as usize) {
            (listener.open, listener.ready) = (false, false);
        }
    }

    pub(super) fn on_ready(&mut self, listener: ListenerId) {
        if let Some(listener) = self.all.get_mut(listener.0 as usize) {
            listener.ready = listener.open;
        }
    }

    /// True when another turn would accept more.
    pub(super) fn can_accept(&self, now: Tick) -> bool {
        self.resumes_at.is_none_or(|at| at <= now) && self.all.iter().any(|l| l.ready)
    }

    /// When accepting goes on after a pause.
    pub(super) fn resumes_at(&self) -> Tick {
        let waiting = self.all.iter().any(|l| l.ready);
        self.resumes_at.filter(|_| waiting).unwrap_or(Tick::NEVER)
    }

    pub(super) fn close_all(&mut self, which: impl Fn(Service) -> bool) -> Vec<ListenerId> {
        let mut closed = Vec::new();
        for (index, listener) in (0..).zip(&mut self.all).filter(|(_, l)| which(l.service)) {
            if std::mem::replace(&mut listener.open, false) {
                listener.ready = false;
                closed.push(ListenerId(index));
            }
        }
        closed
    }
}

impl<N: Net> Proxy<N> {
    /// Accepts what waits, as far as this turn's portion goes.
    pub(super) fn accept_some(&mut self, now: Tick) {
        if !self.listeners.can_accept(now) {
            return;
        }
        self.listeners.resumes_at = None;
        let mut left = self.portions.accepts_per_turn;
        for index in 0..self.listeners.all.len() {
            while left > 0 && self.listeners.all[index].ready {
                left -= 1;
                if let Err(error) = self.accept_one(index, now) {
                    self.rest(&error, now);
                    return;
                }
            }
        }
        if std::mem::replace(&mut self.listeners.rests, false) {
            log::warn!("accepting goes on");
        }
    }

    /// Accepts whatever waits, as far as there is room and descriptors are left.
    pub(super) fn accept_all(&mut self, now: Tick) {
        for index in 0..self.listeners.all.len() {
            self.listeners.all[index].ready = self.listeners.all[index].open;
            while self.listeners.all[index].ready && self.connections() < self.connections_max {
                if self.accept_one(index, now).is_err() {
                    break;
                }
            }
        }
    }

    fn rest(&mut self, error: &io::Error, now: Tick) {
        self.listeners.resumes_at = Some(now.after(PAUSE));
        self.stats.accept_pauses.one();
        if !std::mem::replace(&mut self.listeners.rests, true) {
            log::warn!("accepting rests, and is tried again each {PAUSE:?}: {error}");
        }
    }

    fn accept_one(&mut self, index: usize, now: Tick) -> io::Result<()> {
        let id = ListenerId(u16::try_from(index).unwrap_or(u16::MAX));
        match self.net.accept(id) {
            Ok((sock, peer)) => {
                self.moves += 1;
                self.admit(Conn::new(sock), peer, self.listeners.all[index].service, now);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.listeners.all[index].ready = false;
                Ok(())
            }
            // The client left before it was accepted: that is its own affair.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            Err(e) if out_of_descriptors(&e) && self.close_some_idle() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Makes a session of a new connection, if there is room.
    fn admit(&mut self, mut conn: Conn, peer: Option<IpAddr>, service: Service, now: Tick) {
        let is_admin = service == Service::Admin;
        let crowded = self.desk.connections >= admin::CONNECTIONS_MAX;
        if is_admin && crowded && !self.make_room_for_operator() {
            let text = "connection closed: too many of them to the admin listener";
            self.hush.say(log::Level::Warn, "", "admin.listen", text);
            conn.close(&mut self.net, &mut self.buffers);
            return;
        }
        let full = !is_admin && self.connections() >= self.connections_max && !self.reclaim();
        if full && self.connections() >= self.connections_max + REFUSALS_MAX {
            let max = self.connections_max;
            let text = format!("connection closed: server.max_connections ({max})");
            self.hush.say(log::Level::Warn, "", "server.max_connections", &text);
            conn.close(&mut self.net, &mut self.buffers);
            return;
        }
        // It can be written to, and its first bytes have often come with it.
        conn.ready.set(Ready::READ);
        conn.ready.set(Ready::WRITE);
        let sock = conn.sock;
        let state = State::Idle { since: now, fresh: true };
        self.desk.connections += usize::from(is_admin);
        let key = self.sessions.insert(Session { conn, state, service, peer, queued: false });
        if let Err(error) = self.net.register(sock, session_token(key)) {
            let text = format!("connection closed: {error}");
            self.hush.say(log::Level::Error, "", "register", &text);
            self.close_session(key);
            return;
        }
        if full {
            self.refuse_connection(key, now);
        }
        self.enqueue(key);
    }

    /// Closes an idle session to make room for a new one. False when none was found.
    fn reclaim(&mut self) -> bool {
        for _ in 0..RECLAIM_LOOKS.min(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)) {
            let hand = self.listeners.hand;
            self.listeners.hand = if hand >= self.sessions.slots() { 0 } else { hand + 1 };
            let Some(key) = self.sessions.key_at(hand) else {
                continue;
            };
            // One that was just accepted is about to ask something.
            let Session { state, service, .. } = &self.sessions[key];
            let idle = matches!(state, State::Idle { fresh: false, .. });
            if idle && *service != Service::Admin {
                self.close_session(key);
                return true;
            }
        }
        false
    }
}
