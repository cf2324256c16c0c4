//! Taking connections in: a bounded number a turn, and never more than there is room for.
//!
//! A listener's readiness is remembered like any other, so that pausing costs nothing: when the
//! process is out of descriptors, accepting rests for a moment and is then tried again. It neither
//! spins nor ends. The operator's listener comes first in each turn and has a portion of its own,
//! and each listener rests by itself, so no crowd of clients keeps the operator waiting.

use super::{Proxy, session_token};
use crate::conn::Conn;
use crate::descriptors;
use crate::net::{ListenerId, Net};
use crate::session::row::Links;
use crate::session::{Service, Session, State};
use crate::time::Tick;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// How long accepting rests when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// The listener that is asked first in the next turn, among those for clients.
    first: usize,
}

#[derive(Debug)]
struct Listener {
    service: Service,
    ready: bool,
    open: bool,
    /// When it is tried again, if the last attempt to accept has failed.
    rests_until: Option<Tick>,
}

impl Listener {
    const fn new(service: Service, open: bool) -> Listener {
        Listener { service, ready: open, open, rests_until: None }
    }

    /// True exactly when something may be accepted now.
    fn can_accept(&self, now: Tick) -> bool {
        self.ready && self.rests_until.is_none_or(|until| until <= now)
    }
}

impl Listeners {
    pub(super) fn new(services: &[Service]) -> Listeners {
        let all = services.iter().map(|&service| Listener::new(service, true));
        Listeners { all: all.collect(), first: 0 }
    }

    pub(super) fn open(&mut self, listener: ListenerId, service: Service) {
        let index = listener.0 as usize;
        let closed = || Listener::new(service, false);
        if index >= self.all.len() {
            self.all.resize_with(index + 1, closed);
        }
        self.all[index] = Listener::new(service, true);
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
        self.all.iter().any(|listener| listener.can_accept(now))
    }

    /// When accepting goes on after a pause.
    pub(super) fn resumes_at(&self) -> Tick {
        let resting = self.all.iter().filter(|listener| listener.ready);
        resting.filter_map(|listener| listener.rests_until).min().unwrap_or(Tick::NEVER)
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
    /// Accepts what waits, as far as this turn's portion goes: first what the operator's listener
    /// has, then that of the others, of which another one is first in each turn.
    pub(super) fn accept_some(&mut self, now: Tick) {
        if !self.listeners.can_accept(now) {
            return;
        }
        let (count, first) = (self.listeners.all.len(), self.listeners.first);
        for operator in [true, false] {
            let mut left = self.portions.accepts_per_turn;
            for index in (0..count).map(|n| (first + n) % count) {
                if (self.listeners.all[index].service == Service::Admin) == operator {
                    self.accept_from(index, &mut left, now);
                }
            }
        }
        self.listeners.first = (first + 1) % count;
    }

    /// Accepts what waits at one listener, or has it rest for a while.
    fn accept_from(&mut self, index: usize, left: &mut usize, now: Tick) {
        while *left > 0 && self.listeners.all[index].can_accept(now) {
            *left -= 1;
            let result = self.accept_one(index, now);
            let Listener { rests_until, .. } = &mut self.listeners.all[index];
            match result {
                Ok(()) if rests_until.take().is_some() => log::warn!("accepting goes on"),
                Ok(()) => {}
                Err(error) => {
                    if rests_until.replace(now.after(PAUSE)).is_none() {
                        let error = descriptors::explain(&error);
                        log::warn!("accepting rests, and is tried again each {PAUSE:?}: {error}");
                    }
                    self.stats.accept_pauses.one();
                }
            }
        }
    }

    /// Accepts whatever waits, as far as there is room and descriptors are left.
    pub(super) fn accept_all(&mut self, now: Tick) {
        for index in 0..self.listeners.all.len() {
            self.listeners.all[index].ready = self.listeners.all[index].open;
            while self.listeners.all[index].ready && self.has_room() {
                if self.accept_one(index, now).is_err() {
                    break;
                }
            }
        }
    }

    /// True exactly when there may be another client connection.
    fn has_room(&self) -> bool {
        self.connections() - self.refused < self.budget.clients
    }

    fn accept_one(&mut self, index: usize, now: Tick) -> io::Result<()> {
        let id = ListenerId(u16::try_from(index).unwrap_or(u16::MAX));
        match Conn::accept(&mut self.net, id) {
            Ok((conn, peer)) => {
                self.moves += 1;
                self.admit(conn, peer, self.listeners.all[index].service, now);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.listeners.all[index].ready = false;
                Ok(())
            }
            // The client left before it was accepted: that is its own affair.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            Err(e) if descriptors::ran_out(&e) && self.free_descriptor(now) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Makes a session of a new connection, if there is room.
    fn admit(&mut self, conn: Conn, peer: Option<IpAddr>, service: Service, now: Tick) {
        let is_admin = service == Service::Admin;
        let crowded = self.desk.connections >= descriptors::OPERATOR;
        if is_admin && crowded && !self.make_room_for_operator() {
            let text = "connection closed: too many of them to the admin listener";
            self.hush.say(log::Level::Warn, "", "admin.listen", text);
            conn.close(&mut self.net, &mut self.buffers);
            return;
        }
        let full = !is_admin && !self.has_room() && !self.reclaim(now);
        if full && self.refused >= self.budget.refusals {
            let max = self.budget.clients;
            let text = format!("connection closed: server.max_connections ({max})");
            self.hush.say(log::Level::Warn, "", "server.max_connections", &text);
            conn.close(&mut self.net, &mut self.buffers);
            return;
        }
        let state = State::Idle { since: now, fresh: true, links: Links::NONE };
        self.desk.connections += usize::from(is_admin);
        self.refused += usize::from(full);
        let session = Session { conn, state, service, peer, queued: false, refused: full };
        let key = self.sessions.insert(session);
        let conn = &self.sessions[key].conn;
        if let Err(error) = conn.register(&mut self.net, session_token(key)) {
            let text = format!("connection closed: {error}");
            self.hush.say(log::Level::Error, "", "register", &text);
            self.close_session(key);
            return;
        }
        if full {
            self.refuse_connection(key, now);
        }
        self.reclaimable.add(&mut self.sessions, key);
        self.close_idle_beyond(self.budget.connections);
        self.enqueue(key);
    }
}
