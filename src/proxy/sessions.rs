//! Changing the state of a session, and removing sessions.

use super::Proxy;
use super::steps::handshake;
use crate::edge::admission;
use crate::edge::reclaim::LINGER;
use crate::net::Net;
use crate::session::{Links, Session, State};
use crate::slab::Key;
use crate::time::Tick;

impl<N: Net> Proxy<N> {
    /// Changes the state of a session.
    pub(super) fn enter(&mut self, key: Key<Session>, state: State) {
        let Proxy { tasks, shared, .. } = self;
        shared.edge.reclaimable.remove(tasks, key);
        shared.edge.note_left(&tasks[key]);
        tasks[key].state = state;
        shared.edge.note_entered(&tasks[key]);
        shared.edge.reclaimable.add(tasks, key);
    }

    /// Removes a session and closes its connection.
    pub(super) fn close(&mut self, key: Key<Session>) {
        if let Some(session) = self.remove(key) {
            session.conn.close(&mut self.shared.net, &mut self.shared.memory.buffers);
        }
    }

    /// Shuts down our side of a connection and reads on until the client's end.
    pub(super) fn linger(&mut self, key: Key<Session>, now: Tick) {
        let conn = &mut self.tasks[key].conn;
        conn.shutdown_write(&mut self.shared.net);
        conn.forget_ahead(&mut self.shared.memory.buffers);
        self.enter(key, State::Lingering { until: now.after(LINGER), links: Links::NONE });
    }

    /// Closes a session to make room for a new one. Returns false if none can be closed.
    pub(super) fn reclaim(&mut self, now: Tick) -> bool {
        let Proxy { tasks, shared, .. } = self;
        let Some(key) = shared.edge.reclaimable.choose(tasks, now) else { return false };
        if tasks[key].is_shaking_hands() {
            handshake::make_room_for_connection(&tasks[key], shared);
        }
        self.close(key);
        true
    }

    pub(super) fn remove(&mut self, key: Key<Session>) -> Option<Session> {
        let Proxy { tasks, shared, .. } = self;
        shared.edge.reclaimable.remove(tasks, key);
        let mut session = tasks.remove(key)?;
        shared.edge.note_over(&session);
        if let State::Active(exchange) = &mut session.state {
            // A client that sees its connection end may return at once, and to another event loop.
            admission::release(exchange);
            shared.close_connection(exchange);
            exchange.upload.abandon(&mut shared.memory.buffers);
            exchange.response.abandon(&mut shared.memory.buffers);
        }
        Some(session)
    }
}
