//! A network in memory, for tests: sockets are queues of bytes, and a seed decides what goes wrong.
//!
//! [`SimNet`] keeps the contract of [`Net`] and no more. In *strict* mode there is an edge only
//! after an operation returned `WouldBlock`, reads and writes are cut short at random, and a
//! hang-up is not announced. In *epoll* mode every arrival is an edge, a short read or write means
//! that the socket is drained or full, and a FIN causes [`Ready::HUP`]. Both modes deliver events
//! late, twice, spuriously and in any order, according to the seed and the [`Faults`]. The test
//! drives the other ends, clients and origins, by the methods that take a [`Peer`].

mod events;
mod far;
mod loops;
mod peers;

use super::rng::Rng;
use super::toy::{self, Shows};
use crate::net::{Address, ListenerId, Net, Ready, Received, Sent, SockId, Token};
pub use events::SimEvent;
use far::Far;
use nix::errno::Errno;
use rustls::{ClientConfig, ServerConfig};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The faults of the network, in percent unless stated otherwise.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The mode: true for epoll, false for strict.
    pub epoll: bool,
    /// An event is delivered in a later turn than possible.
    pub delayed: u64,
    /// An event is delivered twice, or a socket reports something for no reason.
    pub spurious: u64,
    /// A read or write is cut short (only if the contract allows it).
    pub short: u64,
    /// Accepting or connecting finds no free descriptor.
    pub no_descriptor: u64,
    /// The maximum number of sockets of the proxy. Another one finds no free descriptor.
    pub descriptors: usize,
    /// The capacity of each socket's queue in bytes.
    pub capacity: usize,
}

impl Faults {
    /// A network without faults, for scripted conversations.
    pub const NONE: Faults = Faults {
        epoll: true,
        delayed: 0,
        spurious: 0,
        short: 0,
        no_descriptor: 0,
        descriptors: usize::MAX,
        capacity: 64 * 1024,
    };
}

/// What happens to connections to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Connections are accepted.
    Listening,
    /// Connections are refused, as by a host on which nothing listens.
    Refusing,
    /// Nothing answers.
    Silent,
    /// There is no route to the host.
    Unreachable,
}

/// The far end of a connection: a client or an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(usize);

/// The result of a peer's read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// These bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// An orderly end.
    End,
    /// A reset.
    Reset,
}

/// A load balancer in front of some listeners, which connects to them in place of clients.
#[derive(Clone, Debug)]
pub struct Front {
    /// The listeners.
    pub listeners: Vec<ListenerId>,
    /// Its address.
    pub address: IpAddr,
    /// What it sends first for a client with this address.
    pub says: fn(&mut Rng, IpAddr) -> Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Queue {
    bytes: VecDeque<u8>,
    /// The writer has ended; the reader sees that after the bytes.
    ended: bool,
    /// The reader has seen that.
    end_read: bool,
}

/// A connection. The proxy holds one end as a socket, the test holds the other as a [`Peer`].
#[derive(Debug)]
struct Link {
    to_proxy: Queue,
    to_peer: Queue,
    state: LinkState,
    address: Option<SocketAddr>,
    /// The far end speaks TLS.
    far: Option<Box<Far>>,
    /// Bytes sent before anything of the peer's.
    preface: VecDeque<u8>,
    /// The part received of the PROXY header that the proxy sends first, if one is expected.
    announced: Option<Vec<u8>>,
    token: Option<Token>,
    /// The event loop whose socket it is.
    event_loop: usize,
    /// Strict mode: the last read or write returned `WouldBlock`, so an edge is owed.
    owed: Ready,
    /// Epoll mode: something arrived that no event has reported yet.
    edge: bool,
    socket_open: bool,
    /// A read or a write has returned the reset, which happens once.
    reset_told: bool,
    /// The peer has closed completely: a write to it breaks the connection.
    peer_closed: bool,
}

impl Link {
    /// True if the proxy holds the socket, or TLS at the far end has bytes to read.
    fn is_live(&self) -> bool {
        self.socket_open || (self.far.is_some() && !self.to_peer.bytes.is_empty())
    }

    /// True if the peer can still send.
    fn takes_bytes(&self) -> bool {
        self.state == LinkState::Established && !self.to_proxy.ended && self.socket_open
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Connecting,
    Established,
    Refused,
    Reset,
}

/// The network. Sockets and peers share an index: each connection has one of each.
#[derive(Debug)]
pub struct SimNet {
    /// The random number generator, which the test may use, too.
    pub rng: Rng,
    /// Faults that may be changed during a run.
    pub faults: Faults,
    links: Vec<Link>,
    /// The links that can still change by themselves, in their order. The others are over.
    live: Vec<usize>,
    /// By listener: links that are not accepted yet, and their clients' addresses.
    waiting: BTreeMap<u16, VecDeque<(usize, Option<IpAddr>)>>,
    /// The number of event loops. All of them accept on the same listeners.
    loops: usize,
    /// The event loop that currently uses the network.
    event_loop: usize,
    /// Which event loop has closed which listener.
    closed_listeners: Vec<(usize, ListenerId)>,
    hosts: BTreeMap<SocketAddr, Host>,
    /// The addresses where TLS is spoken, and how.
    secured: BTreeMap<SocketAddr, Arc<ServerConfig>>,
    /// How clients speak TLS.
    clients: Arc<ClientConfig>,
    front: Option<Front>,
    /// The addresses where connections begin with PROXY headers.
    hears_headers: Vec<SocketAddr>,
    /// By address: links that the proxy made and the test has not taken yet.
    arrived: BTreeMap<SocketAddr, VecDeque<usize>>,
    /// Listeners with new connections, each with an event loop that has no event about them yet.
    listener_edges: Vec<(usize, ListenerId)>,
    /// Socket ids that were closed and can be reused.
    free: Vec<u32>,
    /// The link of each socket id that is in use.
    by_sock: Vec<Option<usize>>,
    /// How often all descriptors were in use when another was needed.
    pub shortages: usize,
}

impl SimNet {
    /// Creates an empty network whose random faults depend on `seed`.
    pub fn new(seed: u64, faults: Faults) -> SimNet {
        SimNet {
            rng: Rng::new(seed),
            faults,
            links: Vec::new(),
            live: Vec::new(),
            waiting: BTreeMap::new(),
            loops: 1,
            event_loop: 0,
            closed_listeners: Vec::new(),
            hosts: BTreeMap::new(),
            secured: BTreeMap::new(),
            clients: Arc::new(toy::client_config(None)),
            front: None,
            hears_headers: Vec::new(),
            arrived: BTreeMap::new(),
            listener_edges: Vec::new(),
            free: Vec::new(),
            by_sock: Vec::new(),
            shortages: 0,
        }
    }

    /// Sets whether there are free descriptors from now on.
    pub fn set_descriptors(&mut self, free: bool) {
        self.faults.no_descriptor = if free { 0 } else { 100 };
    }

    /// Sets what happens to connections to `address` from now on. Unknown addresses refuse.
    pub fn set_host(&mut self, address: SocketAddr, host: Host) {
        self.hosts.insert(address, host);
        if host == Host::Silent {
            return;
        }
        for index in 0..self.links.len() {
            let link = &self.links[index];
            let waits = link.state == LinkState::Connecting && link.socket_open;
            if waits && link.address == Some(address) {
                self.settle(index, host);
            }
        }
    }

    /// Sets whether TLS is spoken at `address` from now on, and with which certificate.
    pub fn secure(&mut self, address: SocketAddr, shows: Option<Shows>) {
        self.secured.remove(&address);
        self.secured
            .extend(shows.map(|shows| (address, Arc::new(toy::server_config(shows, None)))));
    }

    /// Sets which certificate clients that speak TLS present from now on if they are asked for one.
    pub fn clients_show(&mut self, shows: Option<Shows>) {
        self.clients = Arc::new(toy::client_config(shows));
    }

    /// The number of an event loop's sockets connected, or connecting, to these addresses.
    pub fn open_to(&self, addresses: &[SocketAddr], event_loop: usize) -> usize {
        let is_one = |link: &&Link| {
            link.event_loop == event_loop && link.address.is_some_and(|to| addresses.contains(&to))
        };
        let live = self.live.iter().map(|index| &self.links[*index]);
        live.filter(is_one).filter(|link| link.socket_open).count()
    }

    /// The number of sockets that the proxy holds.
    pub fn open_sockets(&self) -> usize {
        self.by_sock.iter().filter(|slot| slot.is_some()).count()
    }

    fn link(&mut self, state: LinkState, address: Option<SocketAddr>) -> usize {
        let mut owed = Ready::READ;
        owed.set(Ready::WRITE);
        let server = address.and_then(|address| self.secured.get(&address));
        self.links.push(Link {
            far: server.map(|server| Box::new(Far::server(server))),
            preface: VecDeque::new(),
            announced: address.filter(|to| self.hears_headers.contains(to)).map(|_| Vec::new()),
            to_proxy: Queue::default(),
            to_peer: Queue::default(),
            state,
            address,
            token: None,
            event_loop: self.event_loop,
            owed,
            edge: true,
            socket_open: true,
            reset_told: false,
            peer_closed: false,
        });
        self.live.push(self.links.len() - 1);
        self.links.len() - 1
    }

    fn settle(&mut self, index: usize, host: Host) {
        let link = &mut self.links[index];
        link.edge = true;
        match host {
            Host::Silent => {}
            Host::Refusing | Host::Unreachable => link.state = LinkState::Refused,
            Host::Listening => {
                link.state = LinkState::Established;
                if let Some(address) = link.address {
                    self.arrived.entry(address).or_default().push_back(index);
                }
            }
        }
    }

    /// True if there is no descriptor for another socket.
    fn ran_out(&mut self) -> bool {
        let used_up = self.by_sock.len() - self.free.len() >= self.faults.descriptors;
        self.shortages += usize::from(used_up);
        used_up || self.rng.chance(self.faults.no_descriptor)
    }

    fn sock_for(&mut self, index: usize) -> SockId {
        if let Some(free) = self.free.pop() {
            self.by_sock[free as usize] = Some(index);
            return SockId(free);
        }
        self.by_sock.push(Some(index));
        SockId(u32::try_from(self.by_sock.len() - 1).unwrap_or(u32::MAX))
    }

    fn at(&mut self, sock: SockId) -> &mut Link {
        let index = self.by_sock[sock.0 as usize].unwrap_or(usize::MAX);
        &mut self.links[index]
    }

    fn close_link(&mut self, sock: SockId, with_reset: bool) {
        let Some(index) = self.by_sock[sock.0 as usize].take() else {
            unreachable!("a socket is closed once")
        };
        self.free.push(sock.0);
        let link = &mut self.links[index];
        link.socket_open = false;
        link.token = None;
        link.to_peer.ended = true;
        // Closing with unread input sends a reset, as on Linux.
        if with_reset || !link.to_proxy.bytes.is_empty() {
            link.state = LinkState::Reset;
        }
    }
}

impl Net for SimNet {
    fn accept(&mut self, listener: ListenerId) -> io::Result<(SockId, Option<IpAddr>)> {
        let waiting = self.waiting.entry(listener.0).or_default();
        let Some(&(index, from)) = waiting.front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if self.ran_out() {
            return Err(Errno::EMFILE.into());
        }
        self.waiting.entry(listener.0).or_default().pop_front();
        self.links[index].event_loop = self.event_loop;
        Ok((self.sock_for(index), from))
    }

    fn connect(&mut self, address: &Address) -> io::Result<SockId> {
        let Address::Tcp(address) = *address else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if self.ran_out() {
            return Err(Errno::EMFILE.into());
        }
        let host = self.hosts.get(&address).copied().unwrap_or(Host::Refusing);
        if host == Host::Unreachable {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let index = self.link(LinkState::Connecting, Some(address));
        self.settle(index, host);
        Ok(self.sock_for(index))
    }

    fn connected(&mut self, sock: SockId) -> io::Result<()> {
        match self.at(sock).state {
            LinkState::Established => Ok(()),
            LinkState::Connecting => Err(io::ErrorKind::WouldBlock.into()),
            LinkState::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            LinkState::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn register(&mut self, sock: SockId, token: Token) -> io::Result<()> {
        let link = self.at(sock);
        link.token = Some(token);
        link.edge = true;
        Ok(())
    }

    fn read(&mut self, sock: SockId, buf: &mut [u8]) -> io::Result<Received> {
        let epoll = self.faults.epoll;
        let cut = !self.faults.epoll && self.rng.chance(self.faults.short);
        let most = if cut { self.rng.between(1, buf.len().max(1) as u64) } else { u64::MAX };
        let link = self.at(sock);
        if !link.to_proxy.bytes.is_empty() {
            let n = buf.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            let n = n.min(link.to_proxy.bytes.len());
            for (to, from) in buf.iter_mut().zip(link.to_proxy.bytes.drain(..n)) {
                *to = from;
            }
            return Ok(Received { n, drained: epoll && n < buf.len() });
        }
        let end = Received { n: 0, drained: false };
        match link.state {
            LinkState::Reset | LinkState::Refused if link.reset_told => Ok(end),
            LinkState::Reset | LinkState::Refused => {
                link.reset_told = true;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            LinkState::Established if link.to_proxy.ended => {
                link.to_proxy.end_read = true;
                Ok(end)
            }
            LinkState::Established | LinkState::Connecting => {
                link.owed.set(Ready::READ);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn write(&mut self, sock: SockId, bytes: &[u8]) -> io::Result<Sent> {
        let (capacity, epoll) = (self.faults.capacity, self.faults.epoll);
        let cut = !self.faults.epoll && self.rng.chance(self.faults.short);
        let most = if cut { self.rng.between(1, bytes.len().max(1) as u64) } else { u64::MAX };
        let link = self.at(sock);
        match link.state {
            LinkState::Reset | LinkState::Refused => {
                link.reset_told = true;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            LinkState::Established if link.peer_closed => {
                link.state = LinkState::Reset;
                link.edge = true;
                Ok(Sent { n: bytes.len(), full: false })
            }
            LinkState::Established | LinkState::Connecting => {
                let room = capacity.saturating_sub(link.to_peer.bytes.len());
                let n = bytes.len().min(room).min(usize::try_from(most).unwrap_or(usize::MAX));
                if n == 0 || link.state == LinkState::Connecting {
                    link.owed.set(Ready::WRITE);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                link.to_peer.bytes.extend(&bytes[..n]);
                Ok(Sent { n, full: epoll && n < bytes.len() })
            }
        }
    }

    fn keep_for_long(&mut self, _: SockId) {}

    fn shutdown_write(&mut self, sock: SockId) {
        self.at(sock).to_peer.ended = true;
    }

    fn close(&mut self, sock: SockId) {
        self.close_link(sock, false);
    }

    fn abort(&mut self, sock: SockId) {
        self.close_link(sock, true);
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.closed_listeners.push((self.event_loop, listener));
        if !self.is_closed(listener) {
            return;
        }
        for (index, _) in self.waiting.remove(&listener.0).unwrap_or_default() {
            self.links[index].state = LinkState::Reset;
            self.links[index].socket_open = false;
        }
    }
}
