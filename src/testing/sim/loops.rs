//! Several event loops on one network: each has its sockets, and all accept at the same listeners.
//! Whoever is first takes a connection.

use super::SimNet;
use crate::net::ListenerId;

impl SimNet {
    /// So many event loops use the network, one after the other.
    pub const fn share_among(&mut self, loops: usize) {
        self.loops = loops;
    }

    /// The event loop with this index uses the network from now on.
    pub const fn lend_to(&mut self, event_loop: usize) {
        self.event_loop = event_loop;
    }

    /// True exactly when no event loop accepts at a listener.
    pub(super) fn is_closed(&self, listener: ListenerId) -> bool {
        (0..self.loops).all(|index| self.closed_listeners.contains(&(index, listener)))
    }

    /// Somebody waits at a listener, of which all event loops are told that accept there.
    pub(super) fn tell_of(&mut self, listener: ListenerId) {
        let closed = &self.closed_listeners;
        let all = (0..self.loops).map(|index| (index, listener));
        self.listener_edges.extend(all.filter(|edge| !closed.contains(edge)));
    }
}
