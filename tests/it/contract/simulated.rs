//! The simulated network, as the contract's tests want it.

use super::{Far, LISTENER, Told, Wires};
use millstream::testing::sim::{Faults, Heard, Host, Peer, SimEvent, SimNet};
use std::net::SocketAddr;

/// A simulated network, and its peers in the order in which they came to be.
pub(super) struct Simulated {
    net: SimNet,
    peers: Vec<Peer>,
}

const SEEDS: u64 = 20;

impl Simulated {
    /// One network after the other: both contracts, without faults and with all that only cost
    /// time.
    pub(super) fn each(mut on: impl FnMut(Simulated)) {
        for epoll in [true, false] {
            on(Simulated::new(0, Faults { epoll, ..Faults::NONE }));
            let faults = Faults { epoll, delayed: 30, spurious: 30, short: 30, ..Faults::NONE };
            (0..SEEDS).for_each(|seed| on(Simulated::new(seed, faults.clone())));
        }
    }

    fn new(seed: u64, faults: Faults) -> Simulated {
        let mut simulated = Simulated { net: SimNet::new(seed, faults), peers: Vec::new() };
        let (origin, nobody) = (simulated.origin(), simulated.nobody());
        simulated.net.set_host(origin, Host::Listening);
        simulated.net.set_host(nobody, Host::Refusing);
        simulated
    }

    fn meet(&mut self, peer: Peer) -> Far {
        self.peers.push(peer);
        Far(self.peers.len() - 1)
    }
}

impl Wires for Simulated {
    type Net = SimNet;

    fn net(&mut self) -> &mut SimNet {
        &mut self.net
    }

    fn tells_of_hang_ups(&self) -> bool {
        self.net.faults.epoll
    }

    fn events(&mut self) -> Vec<Told> {
        let told = |event| match event {
            SimEvent::Listener(id) => Told::Listener(id),
            SimEvent::Socket(token, ready) => Told::Socket(token, ready),
        };
        self.net.events().into_iter().map(told).collect()
    }

    fn client(&mut self) -> Option<Far> {
        let peer = self.net.client(LISTENER, "127.0.0.1".parse().ok())?;
        Some(self.meet(peer))
    }

    fn origin(&self) -> SocketAddr {
        "10.0.0.1:80".parse().unwrap()
    }

    fn nobody(&self) -> SocketAddr {
        "10.0.0.2:80".parse().unwrap()
    }

    fn arrived(&mut self) -> Option<Far> {
        let peer = self.net.origin(self.origin())?;
        Some(self.meet(peer))
    }

    fn send(&mut self, far: Far, bytes: &[u8]) -> usize {
        self.net.send(self.peers[far.0], bytes)
    }

    fn hear(&mut self, far: Far) -> Heard {
        self.net.hear(self.peers[far.0], usize::MAX)
    }

    fn finish(&mut self, far: Far) {
        self.net.finish(self.peers[far.0]);
    }

    fn leave(&mut self, far: Far) {
        self.net.leave(self.peers[far.0]);
    }

    fn reset(&mut self, far: Far) {
        self.net.reset(self.peers[far.0]);
    }
}
