//! The other ends of connections: clients and origins, driven by a test.
//!
//! On secured connections, a [`Far`] end speaks TLS for them.

use super::far::{AHEAD, Far};
use super::{Front, Heard, Link, LinkState, Peer, SimNet};
use crate::net::ListenerId;
use std::net::{IpAddr, SocketAddr};

impl SimNet {
    /// From now on `front`, if there is one, connects in place of clients.
    pub fn put_in_front(&mut self, front: Option<Front>) {
        self.front = front;
    }

    /// A client connects, or the front in its place. None if the listener is closed.
    pub fn client(&mut self, listener: ListenerId, from: Option<IpAddr>) -> Option<Peer> {
        let front = self.front.clone().filter(|front| front.listeners.contains(&listener));
        let (Some(front), Some(client)) = (front, from) else {
            return self.direct_client(listener, from);
        };
        let peer = self.direct_client(listener, Some(front.address))?;
        self.links[peer.0].preface = (front.says)(&mut self.rng, client).into();
        Some(peer)
    }

    /// A client connects directly, without the front. None if the listener is closed.
    pub fn direct_client(&mut self, listener: ListenerId, from: Option<IpAddr>) -> Option<Peer> {
        if self.is_closed(listener) {
            return None;
        }
        let index = self.link(LinkState::Established, None);
        self.waiting.entry(listener.0).or_default().push_back((index, from));
        self.tell_of(listener);
        Some(Peer(index))
    }

    /// A client connects and speaks TLS. None if the listener is closed.
    pub fn secured_client(&mut self, listener: ListenerId, from: Option<IpAddr>) -> Option<Peer> {
        let peer = self.client(listener, from)?;
        self.links[peer.0].far = Some(Box::new(Far::client(&self.clients)));
        Some(peer)
    }

    /// From now on connections that the proxy opens to these addresses begin with a PROXY header.
    pub fn expect_headers(&mut self, at: Vec<SocketAddr>) {
        self.hears_headers = at;
    }

    /// The part received of the PROXY header with which the proxy began a connection.
    pub fn announced(&self, peer: Peer) -> Option<&[u8]> {
        self.links[peer.0].announced.as_deref()
    }

    /// Takes the PROXY header from the received bytes, before anything else is read.
    fn hear_header(&mut self, index: usize) {
        let capacity = self.faults.capacity;
        let Link { announced, to_peer, edge, .. } = &mut self.links[index];
        let Some(header) = announced else { return };
        let length = |header: &[u8]| match header {
            [_, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, ..] => {
                16 + usize::from(*high) * 256 + usize::from(*low)
            }
            _ => 16,
        };
        while header.len() < length(header) && !to_peer.bytes.is_empty() {
            *edge |= to_peer.bytes.len() >= capacity;
            header.extend(to_peer.bytes.pop_front());
        }
    }

    /// The next connection that the proxy opened to `address`, if any.
    pub fn origin(&mut self, address: SocketAddr) -> Option<Peer> {
        self.arrived.get_mut(&address)?.pop_front().map(Peer)
    }

    /// The peer sends. Returns the number of bytes that its socket accepted: zero on a broken
    /// connection.
    pub fn send(&mut self, peer: Peer, bytes: &[u8]) -> usize {
        if self.links[peer.0].far.is_some() {
            return self.send_secured(peer, bytes);
        }
        let capacity = self.faults.capacity;
        let link = &mut self.links[peer.0];
        if !link.takes_bytes() || !link.preface.is_empty() {
            return 0;
        }
        let n = bytes.len().min(capacity.saturating_sub(link.to_proxy.bytes.len()));
        link.to_proxy.bytes.extend(&bytes[..n]);
        link.edge |= n > 0;
        n
    }

    /// The peer reads at most `max` bytes.
    pub fn hear(&mut self, peer: Peer, max: usize) -> Heard {
        self.hear_header(peer.0);
        if self.links[peer.0].far.is_some() {
            return self.hear_secured(peer, max);
        }
        let capacity = self.faults.capacity;
        let link = &mut self.links[peer.0];
        if !link.to_peer.bytes.is_empty() {
            let was_full = link.to_peer.bytes.len() >= capacity;
            let n = max.min(link.to_peer.bytes.len());
            let bytes: Vec<u8> = link.to_peer.bytes.drain(..n).collect();
            link.edge |= was_full;
            return if n == 0 { Heard::Nothing } else { Heard::Bytes(bytes) };
        }
        match link.state {
            LinkState::Reset => Heard::Reset,
            LinkState::Connecting | LinkState::Established | LinkState::Refused => {
                if link.to_peer.ended { Heard::End } else { Heard::Nothing }
            }
        }
    }

    /// The peer ends its side (FIN) and continues to read. With TLS it announces that first.
    pub fn finish(&mut self, peer: Peer) {
        if self.links[peer.0].far.is_some() {
            return self.finish_secured(peer);
        }
        self.truncate(peer);
    }

    /// The peer, which speaks TLS, announces its end without ending its side.
    pub fn announce_end(&mut self, peer: Peer) {
        if let Some(far) = self.links[peer.0].far.as_mut().filter(|far| far.is_open()) {
            far.close();
        }
        self.pump(peer.0);
    }

    /// The peer ends its side (FIN) without announcing it. What it has not sent is lost.
    pub fn truncate(&mut self, peer: Peer) {
        let link = &mut self.links[peer.0];
        link.to_proxy.ended = true;
        link.edge = true;
    }

    /// The peer closes: a FIN if it has read everything, a reset otherwise.
    pub fn leave(&mut self, peer: Peer) {
        if !self.is_unheard(peer) {
            self.finish(peer);
            self.links[peer.0].peer_closed = true;
        } else {
            self.reset(peer);
        }
    }

    /// The peer resets the connection (RST). What it had sent can still be read.
    pub fn reset(&mut self, peer: Peer) {
        let link = &mut self.links[peer.0];
        link.state = LinkState::Reset;
        link.to_peer.bytes.clear();
        link.edge = true;
    }

    /// True if the peer speaks TLS.
    pub fn is_secured(&self, peer: Peer) -> bool {
        self.links[peer.0].far.is_some()
    }

    /// True if the proxy has closed its end.
    pub fn closed(&self, peer: Peer) -> bool {
        !self.links[peer.0].socket_open
    }
}

/// Peers on secured connections.
impl SimNet {
    /// True if the far end of a connection can proceed by itself: the front can send its header, or
    /// TLS can proceed.
    pub(super) fn can_pump(&self, index: usize) -> bool {
        let link = &self.links[index];
        if !link.preface.is_empty() {
            return link.takes_bytes() && link.to_proxy.bytes.len() < self.faults.capacity;
        }
        let Some(far) = &link.far else { return false };
        let hears = far.heard.len() < AHEAD && !link.to_peer.bytes.is_empty();
        let has_room = link.to_proxy.bytes.len() < self.faults.capacity;
        let says = if far.unsent.is_empty() { far.ends } else { has_room };
        hears || (says && link.takes_bytes())
    }

    /// Does what the far end of a connection can do by itself: read, and send what waits.
    pub(super) fn pump(&mut self, index: usize) {
        if !self.can_pump(index) {
            return;
        }
        self.hear_header(index);
        let capacity = self.faults.capacity;
        let link = &mut self.links[index];
        if !link.preface.is_empty() {
            let most = link.preface.len().min(capacity - link.to_proxy.bytes.len());
            let n = self.rng.size(1, most);
            link.to_proxy.bytes.extend(link.preface.drain(..n));
            link.edge = true;
            return;
        }
        let Some(far) = &mut link.far else { return };
        if far.heard.len() < AHEAD && !link.to_peer.bytes.is_empty() {
            link.edge |= link.to_peer.bytes.len() >= capacity;
            far.take(link.to_peer.bytes.drain(..));
        }
        if !link.takes_bytes() {
            return;
        }
        let Some(far) = &mut link.far else { return };
        let n = far.unsent.len().min(capacity.saturating_sub(link.to_proxy.bytes.len()));
        link.to_proxy.bytes.extend(far.unsent.drain(..n));
        link.edge |= n > 0;
        if far.ends && far.unsent.is_empty() {
            link.to_proxy.ended = true;
            link.edge = true;
        }
    }

    /// The peer sends. It can do so once the handshake is complete and everything before has been
    /// sent.
    pub(super) fn send_secured(&mut self, peer: Peer, bytes: &[u8]) -> usize {
        self.pump(peer.0);
        let capacity = self.faults.capacity;
        let link = &mut self.links[peer.0];
        let Some(far) = &mut link.far else { return 0 };
        let broken = link.state != LinkState::Established || !link.socket_open;
        if broken || far.ends || far.failed || !far.is_open() || !far.unsent.is_empty() {
            return 0;
        }
        let n = bytes.len().min(capacity);
        far.seal(&bytes[..n]);
        self.pump(peer.0);
        n
    }

    /// The peer reads at most `max` bytes.
    pub(super) fn hear_secured(&mut self, peer: Peer, max: usize) -> Heard {
        self.pump(peer.0);
        let link = &mut self.links[peer.0];
        let Some(far) = &mut link.far else { return Heard::Nothing };
        let n = max.min(far.heard.len());
        if !far.heard.is_empty() {
            return if n == 0 {
                Heard::Nothing
            } else {
                Heard::Bytes(far.heard.drain(..n).collect())
            };
        }
        match link.state {
            LinkState::Reset => Heard::Reset,
            _ if far.failed => Heard::Reset,
            _ if far.closed => Heard::End,
            // An end that was not announced is a cut.
            _ if link.to_peer.ended => Heard::Reset,
            LinkState::Connecting | LinkState::Established | LinkState::Refused => Heard::Nothing,
        }
    }

    /// The peer ends its side and continues to read.
    pub(super) fn finish_secured(&mut self, peer: Peer) {
        self.pump(peer.0);
        if let Some(far) = &mut self.links[peer.0].far {
            if far.is_open() {
                far.close();
            }
            far.ends = true;
        }
        self.pump(peer.0);
    }

    /// True if the peer has not read everything received.
    pub(super) fn is_unheard(&mut self, peer: Peer) -> bool {
        self.pump(peer.0);
        let link = &self.links[peer.0];
        !link.to_peer.bytes.is_empty() || link.far.as_ref().is_some_and(|far| !far.heard.is_empty())
    }

    /// Changes a byte that the peer has sent and the proxy has not read. False if there is none at
    /// this offset.
    pub fn spoil(&mut self, peer: Peer, at: usize) -> bool {
        let byte = self.links[peer.0].to_proxy.bytes.get_mut(at);
        byte.map(|byte| *byte ^= 1).is_some()
    }

    /// Injects bytes that the far end of a secured connection has not sent.
    pub fn inject(&mut self, peer: Peer, bytes: &[u8]) {
        let link = &mut self.links[peer.0];
        if link.takes_bytes() && link.preface.is_empty() {
            link.to_proxy.bytes.extend(bytes);
            link.edge |= !bytes.is_empty();
        }
    }

    /// The peer sends this many records without payload, if its connection is secured.
    pub fn send_without_payload(&mut self, peer: Peer, records: usize) {
        if let Some(far) = self.links[peer.0].far.as_mut().filter(|far| far.is_open()) {
            (0..records).for_each(|_| far.seal_without_payload());
        }
        self.pump(peer.0);
    }

    /// The peer changes its keys for sending, if its connection is secured.
    pub fn change_keys(&mut self, peer: Peer) {
        if let Some(far) = self.links[peer.0].far.as_mut().filter(|far| far.is_open()) {
            far.change_keys();
        }
        self.pump(peer.0);
    }
}
