//! What the proxy's poll reports: which operations have become possible, late, twice and in any
//! order, as the seed and the faults decide.

use super::{Link, LinkState, SimNet};
use crate::net::{ListenerId, Ready, SockId, Token};

/// An event for the proxy.
#[derive(Clone, Copy, Debug)]
pub enum SimEvent {
    /// Connections wait to be accepted.
    Listener(ListenerId),
    /// A registered socket.
    Socket(Token, Ready),
}

impl SimNet {
    /// The events in this turn for the event loop that uses the network. The seed decides their
    /// order and delays. Without faults everything is reported at once.
    pub fn events(&mut self) -> Vec<SimEvent> {
        let mut events = Vec::new();
        let edges = std::mem::take(&mut self.listener_edges);
        for edge in edges {
            if edge.0 != self.event_loop || self.rng.chance(self.faults.delayed) {
                self.listener_edges.push(edge);
            } else {
                events.push(SimEvent::Listener(edge.1));
            }
        }
        self.live.retain(|index| self.links[*index].is_live());
        for index in 0..self.live.len() {
            let index = self.live[index];
            if self.links[index].event_loop == self.event_loop {
                self.pump(index);
                self.event(index, &mut events);
            }
        }
        for i in (1..events.len()).rev() {
            let j = usize::try_from(self.rng.below(i as u64 + 1)).unwrap_or(0);
            if self.faults.delayed > 0 {
                events.swap(i, j);
            }
        }
        events
    }

    /// True if a later call of [`SimNet::events`] will report something.
    pub fn has_events(&self) -> bool {
        !self.listener_edges.is_empty()
            || self.live.iter().any(|index| {
                let link = &self.links[*index];
                (link.token.is_some() && self.owes(link)) || self.can_pump(*index)
            })
    }

    fn owes(&self, link: &Link) -> bool {
        if self.faults.epoll {
            return link.edge && link.state != LinkState::Connecting;
        }
        let possible = self.possible(link);
        (possible.has(Ready::READ) && link.owed.has(Ready::READ))
            || (possible.has(Ready::WRITE) && link.owed.has(Ready::WRITE))
    }

    fn event(&mut self, index: usize, events: &mut Vec<SimEvent>) {
        let Some(token) = self.links[index].token else {
            return;
        };
        let spurious = self.rng.chance(self.faults.spurious);
        if !self.owes(&self.links[index]) {
            if spurious && self.links[index].state == LinkState::Established {
                let bit = if self.rng.chance(50) { Ready::READ } else { Ready::WRITE };
                events.push(SimEvent::Socket(token, bit));
            }
            return;
        }
        if self.rng.chance(self.faults.delayed) {
            return;
        }
        let mut ready = self.possible(&self.links[index]);
        let link = &mut self.links[index];
        if self.faults.epoll {
            link.edge = false;
        } else {
            let mut due = Ready::NONE;
            for bit in [Ready::READ, Ready::WRITE] {
                if ready.has(bit) && link.owed.has(bit) {
                    due.set(bit);
                    link.owed.clear(bit);
                }
            }
            if ready.has(Ready::HUP) {
                due.set(Ready::HUP);
            }
            ready = due;
        }
        events.push(SimEvent::Socket(token, ready));
        if spurious {
            events.push(SimEvent::Socket(token, ready));
        }
    }

    /// The operations that would succeed now, or report an end. Only epoll reports a hang-up,
    /// except that of a connection that cannot be established.
    fn possible(&self, link: &Link) -> Ready {
        let mut ready = Ready::NONE;
        match link.state {
            LinkState::Connecting => {}
            LinkState::Refused | LinkState::Reset => {
                ready.set(Ready::READ);
                ready.set(Ready::WRITE);
                if self.faults.epoll || link.state == LinkState::Refused {
                    ready.set(Ready::HUP);
                }
            }
            LinkState::Established => {
                if !link.to_proxy.bytes.is_empty() || link.to_proxy.ended {
                    ready.set(Ready::READ);
                }
                if link.to_peer.bytes.len() < self.faults.capacity {
                    ready.set(Ready::WRITE);
                }
                if link.to_proxy.ended && self.faults.epoll {
                    ready.set(Ready::HUP);
                }
            }
        }
        ready
    }

    /// True if the proxy is right about a socket: for each clear bit, the operation is impossible,
    /// or an event that sets it is due. An end that was read need not be read again.
    pub fn is_truthful(&self, sock: SockId, believed: Ready) -> bool {
        let Some(index) = self.by_sock[sock.0 as usize] else {
            return false;
        };
        let link = &self.links[index];
        let mut possible = self.possible(link);
        if link.to_proxy.end_read {
            possible.clear(Ready::READ);
        }
        let coming = self.owes(link);
        [Ready::READ, Ready::WRITE].into_iter().all(|bit| {
            let owed = if self.faults.epoll { coming } else { coming && link.owed.has(bit) };
            believed.has(bit) || !possible.has(bit) || owed
        })
    }
}
