//! The simulated network for the contract tests.

use super::{Far, LISTENER, Secured, Told, Wires};
use millstream::testing::sim::{Faults, Heard, Host, Peer, SimEvent, SimNet};
use millstream::testing::tls::{self, TlsNet};
use millstream::testing::toy::Shows;
use std::net::SocketAddr;

/// A simulated network as the program uses it, and its peers in the order of creation.
pub(super) struct Simulated {
    net: TlsNet<SimNet>,
    peers: Vec<Peer>,
    secured: Secured,
    epoll: bool,
}

const SEEDS: u64 = 20;

impl Simulated {
    /// Calls it with each network: both contracts, without faults and with all faults that only
    /// cost time.
    pub(super) fn each(secured: &Secured, mut on: impl FnMut(Simulated)) {
        for epoll in [true, false] {
            on(Simulated::new(0, Faults { epoll, ..Faults::NONE }, secured));
            let faults = Faults { epoll, delayed: 30, spurious: 30, short: 30, ..Faults::NONE };
            (0..SEEDS).for_each(|seed| on(Simulated::new(seed, faults.clone(), secured)));
        }
    }

    fn new(seed: u64, faults: Faults, secured: &Secured) -> Simulated {
        let epoll = faults.epoll;
        let net = tls::around(SimNet::new(seed, faults), 0);
        let mut simulated = Simulated { net, peers: Vec::new(), secured: secured.clone(), epoll };
        let (origin, nobody) = (simulated.origin(), simulated.nobody());
        simulated.beneath().set_host(origin, Host::Listening);
        simulated.beneath().set_host(nobody, Host::Refusing);
        let shows = matches!(secured, Secured::Origin(_)).then_some(Shows::Good);
        simulated.beneath().secure(origin, shows);
        simulated
    }

    fn beneath(&mut self) -> &mut SimNet {
        tls::inner(&mut self.net)
    }

    fn meet(&mut self, peer: Peer) -> Far {
        self.peers.push(peer);
        Far(self.peers.len() - 1)
    }
}

impl Wires for Simulated {
    type Net = TlsNet<SimNet>;

    fn net(&mut self) -> &mut TlsNet<SimNet> {
        &mut self.net
    }

    fn tells_of_hang_ups(&self) -> bool {
        self.epoll
    }

    fn events(&mut self) -> Vec<Told> {
        let told = |event| match event {
            SimEvent::Listener(id) => Told::Listener(id),
            SimEvent::Socket(token, ready) => Told::Socket(token, ready),
        };
        self.beneath().events().into_iter().map(told).collect()
    }

    fn client(&mut self) -> Option<Far> {
        let from = "127.0.0.1".parse().ok();
        let peer = match self.secured {
            Secured::Clients(_) => self.beneath().secured_client(LISTENER, from)?,
            Secured::Nobody | Secured::Origin(_) => self.beneath().client(LISTENER, from)?,
        };
        Some(self.meet(peer))
    }

    fn secured(&self) -> &Secured {
        &self.secured
    }

    fn origin(&self) -> SocketAddr {
        "10.0.0.1:80".parse().unwrap()
    }

    fn nobody(&self) -> SocketAddr {
        "10.0.0.2:80".parse().unwrap()
    }

    fn arrived(&mut self) -> Option<Far> {
        let address = self.origin();
        let peer = self.beneath().origin(address)?;
        Some(self.meet(peer))
    }

    fn send(&mut self, far: Far, bytes: &[u8]) -> usize {
        tls::inner(&mut self.net).send(self.peers[far.0], bytes)
    }

    fn hear(&mut self, far: Far) -> Heard {
        tls::inner(&mut self.net).hear(self.peers[far.0], usize::MAX)
    }

    fn finish(&mut self, far: Far) {
        tls::inner(&mut self.net).finish(self.peers[far.0]);
    }

    fn leave(&mut self, far: Far) {
        tls::inner(&mut self.net).leave(self.peers[far.0]);
    }

    fn reset(&mut self, far: Far) {
        tls::inner(&mut self.net).reset(self.peers[far.0]);
    }
}
