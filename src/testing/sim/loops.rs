//! Several event loops on one network. Each has its own sockets, and all accept on the same
//! listeners. The first to accept gets the connection.

use super::SimNet;
use crate::net::ListenerId;

impl SimNet {
    /// Sets how many event loops use the network in turn.
    pub const fn share_among(&mut self, loops: usize) {
        self.loops = loops;
    }

    /// Gives the network to the event loop with this index.
    pub const fn lend_to(&mut self, event_loop: usize) {
        self.event_loop = event_loop;
    }

    /// True if no event loop accepts on a listener.
    pub(super) fn is_closed(&self, listener: ListenerId) -> bool {
        (0..self.loops).all(|index| self.closed_listeners.contains(&(index, listener)))
    }

    /// Tells all event loops that accept on a listener that a connection waits there.
    pub(super) fn tell_of(&mut self, listener: ListenerId) {
        let closed = &self.closed_listeners;
        let all = (0..self.loops).map(|index| (index, listener));
        self.listener_edges.extend(all.filter(|edge| !closed.contains(edge)));
    }
}
