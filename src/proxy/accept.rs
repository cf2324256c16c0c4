//! Arrivals: accepting connections, never more than there is room for, and everything before a
//! request is served: its head, the connection to its upstream, and the head of the response.
//!
//! All other sessions come first, and arrivals get a bounded number of steps in each turn, so a
//! storm of them delays an event of an open stream only by the time of a few steps. That number is
//! small in a turn in which streams were active, and doubles with each turn in which they were not:
//! without streams, short turns would only cost more polls. Among the arrivals, connections already
//! accepted come before those still waiting at a listener, but at least one of the latter is
//! accepted.
//!
//! A client that has left an open stream is deferred like an arrival: closing its connection and
//! the upstream's takes as long as ten events, and it waits for neither. Clients leave in crowds
//! just as they arrive.
//!
//! At most `tls.max_handshakes` TLS handshakes run at a time. Further clients wait in the kernel's
//! queue until a handshake is finished, or has taken so long that it makes room. So clients that
//! say nothing cannot keep others out for long, and a crowd that reconnects is not refused.
//!
//! The admin listener comes first in each turn and has its own portion, so that a crowd of clients
//! cannot keep the operator waiting.

use super::shared::Shared;
use super::steps::{ends, handshake, proxy_header};
use super::{Portions, Proxy, session_token};
use crate::descriptors;
use crate::edge::listeners::Accepted;
use crate::net::{ListenerId, Net, Ready};
use crate::session::{Service, Session, Standing};
use crate::slab::Key;
use crate::telemetry::Cause;
use crate::time::{Now, Tick};

/// Whether there is room for one more handshake.
#[derive(Clone, Copy)]
enum Room {
    /// There are fewer handshakes than the limit.
    Free,
    /// Only by closing this session.
    Of(Key<Session>),
    /// There is none.
    None,
}

impl<N: Net> Proxy<N> {
    /// Accepts connections that wait at the admin listener.
    pub(super) fn accept_operators(&mut self, now: Now) {
        self.accept_some(self.shared.portions.arrivals_per_turn, true, now);
    }

    /// Spends this turn's steps for arrivals. `streamed` says whether a stream was advanced in this
    /// turn.
    pub(super) fn serve_arrivals(&mut self, streamed: bool, now: Now) {
        let Portions { arrivals_per_turn: most, arrivals_beside_streams: few, .. } =
            self.shared.portions;
        self.arrivals = if streamed { few } else { (2 * self.arrivals).clamp(few.min(most), most) };
        let left = self.arrivals.saturating_sub(self.tasks.deferred_len());
        self.accept_some(left.max(1), false, now);
        for _ in 0..self.tasks.deferred_len().min(self.arrivals) {
            if let Some(key) = self.tasks.next_deferred() {
                self.advance(key, now);
            }
        }
    }

    /// Accepts at most `left` waiting connections, of operators or of clients.
    fn accept_some(&mut self, mut left: usize, operators: bool, now: Now) {
        if !self.shared.edge.listeners.can_accept(now.tick) {
            return;
        }
        for index in self.shared.edge.listeners.in_turn(operators) {
            while left > 0 && self.shared.edge.listeners.is_ready(index, now.tick) {
                left -= 1;
                let edge = &mut self.shared.edge;
                if edge.listeners.is_shared(index)
                    && let Some(until) = edge.lets_others_go_first(now.tick)
                {
                    edge.listeners.leave_to_others(until);
                    break;
                }
                self.accept_one(index, now);
            }
        }
    }

    /// Accepts all connections that wait at a closing listener, as long as there are room and
    /// descriptors, because the kernel resets those that are left. This may exceed the limit on
    /// handshakes for once.
    pub(super) fn empty_queue(&mut self, listener: ListenerId, now: Now) {
        let index = usize::from(listener.0);
        self.shared.edge.listeners.ask(index);
        while self.shared.edge.has_room() && self.shared.edge.listeners.may_have_more(index) {
            self.accept_in(Room::Free, index, now);
        }
    }

    /// Accepts a connection at a listener, if there is room for its handshake.
    fn accept_one(&mut self, index: usize, now: Now) {
        let is_secure = self.shared.edge.listeners.is_secure(index);
        let room = if is_secure { self.room_for_handshake(now.tick) } else { Room::Free };
        if matches!(room, Room::None) {
            self.shared.edge.listeners.pause_secure(now.tick);
            return;
        }
        self.accept_in(room, index, now);
    }

    /// Accepts a connection at a listener. If that fails, the listener pauses.
    fn accept_in(&mut self, room: Room, index: usize, now: Now) {
        match self.shared.edge.listeners.accept(index, &mut self.shared.net) {
            Ok(accepted) => {
                if let Some(text) = self.shared.edge.listeners.resume(index) {
                    self.shared.log(log::Level::Warn, "accept_resumed", text);
                }
                match accepted {
                    Some(accepted) => {
                        self.moves += 1;
                        self.take_in(accepted, room, now);
                    }
                    None => self.shared.edge.note_nobody_waits(),
                }
            }
            Err(error) => {
                let freed = descriptors::ran_out(&error)
                    && (self.shared.close_some_idle_connection(now.tick) || self.reclaim(now.tick));
                if !freed {
                    let paused = self.shared.edge.listeners.pause(index, &error, now.tick);
                    if let Some(text) = paused {
                        self.shared.log(log::Level::Warn, "accept_failed", &text);
                    }
                    self.shared.telemetry.stats.accept_pauses.one();
                }
            }
        }
    }

    /// Takes in a connection if its peer may connect to this port. A peer that may not displaces no
    /// one.
    fn take_in(&mut self, accepted: Accepted, room: Room, now: Now) {
        if accepted.port.proxy_protocol && !proxy_header::may_come(accepted.peer, &mut self.shared)
        {
            let Shared { net, memory, .. } = &mut self.shared;
            return accepted.conn.close(net, &mut memory.buffers);
        }
        if let Room::Of(key) = room {
            handshake::make_room(&self.tasks[key], &mut self.shared);
            self.close(key);
        }
        self.admit(accepted, now);
    }

    /// Looks for room for one more handshake. One that has taken a while makes room.
    fn room_for_handshake(&mut self, now: Tick) -> Room {
        let Proxy { tasks, shared, .. } = self;
        // Each event loop has its share.
        let max = shared.tls.max_handshakes.div_ceil(shared.loops);
        if shared.edge.handshakes() < max {
            return Room::Free;
        }
        shared.edge.reclaimable.choose_handshake(tasks, now).map_or(Room::None, Room::Of)
    }

    /// Begins the TLS handshake with a client. Returns false if that fails.
    pub(super) fn shake_hands_with(&mut self, key: Key<Session>) -> bool {
        let Proxy { tasks, shared, .. } = self;
        let secured = shared.secure(&mut tasks[key].conn, session_token(key));
        if let Err(error) = &secured {
            let text = format!("connection closed: cannot speak TLS: {error}");
            shared.log(log::Level::Error, "secure", &text);
        }
        secured.is_ok()
    }

    /// Takes a place for a client connection, closing another connection if necessary.
    fn take_place(&mut self, now: Tick) -> bool {
        let takes = |proxy: &mut Self| proxy.shared.edge.take_place();
        takes(self) || self.reclaim(now) && takes(self)
    }

    /// Creates the session of a new connection, if there is room.
    fn admit(&mut self, accepted: Accepted, now: Now) {
        let Accepted { conn, peer, port } = accepted;
        let service = port.service;
        if self.shared.edge.is_full_of(service) && !self.make_room_for_operator(service) {
            let key = if service == Service::Admin { "admin.listen" } else { "admin.probes" };
            let text = format!("connection closed: too many connections to {key}");
            self.shared.log(log::Level::Warn, key, &text);
            conn.close(&mut self.shared.net, &mut self.shared.memory.buffers);
            return;
        }
        let full = !service.is_for_operators() && !self.take_place(now.tick);
        // It may leave before it can be told.
        if full && service == Service::Apis {
            let nobody = &self.shared.telemetry.stats.no_api;
            nobody.count_refusal(Cause::MaxConnections, now.tick);
        }
        if full && !self.shared.edge.may_refuse() {
            let max = self.shared.edge.clients_max();
            let text = format!("connection closed: server.max_connections ({max}) is reached");
            self.shared.log(log::Level::Warn, "server.max_connections", &text);
            conn.close(&mut self.shared.net, &mut self.shared.memory.buffers);
            return;
        }
        let standing = if full { Standing::Refused } else { Standing::Served };
        let session = Session { standing, ..Session::new(conn, port, peer, now.tick) };
        self.shared.edge.note_begun(&session);
        let key = self.tasks.insert(session);
        let conn = &self.tasks[key].conn;
        if let Err(error) = conn.register(&mut self.shared.net, session_token(key)) {
            let text = format!("connection closed: cannot watch its socket: {error}");
            self.shared.log(log::Level::Error, "register", &text);
            self.close(key);
            return;
        }
        self.shared.edge.reclaimable.add(&mut self.tasks, key);
        let has_header = port.proxy_protocol;
        if port.is_secure && !has_header {
            // An event will report when the ClientHello has arrived.
            self.tasks[key].conn.ready = Ready::NONE;
            if !self.shake_hands_with(key) {
                self.close(key);
                return;
            }
        }
        // A TLS client can be sent a refusal only after the handshake, and with a PROXY header the
        // client is known only after that header.
        if full && !port.is_secure && !has_header {
            let next = ends::refused_connection(&mut self.shared, service, now.tick);
            self.follow(next, key, now);
        }
        self.shared.close_idle_connections(now.tick);
        if service.is_for_operators() {
            self.tasks.wake(key);
        } else {
            self.tasks.wake_deferred(key);
        }
    }
}
