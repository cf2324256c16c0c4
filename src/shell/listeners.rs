//! Opens the listeners of a configuration, and keeps those that are open already. Either all of
//! them are opened, or none is.
//!
//! The first event loop opens them, and offers those for clients to the others. With `reuse_port`
//! each loop has its own socket, and the kernel distributes the connections. Otherwise all loops
//! share one socket, so that an address in use is still an error, and they balance the connections
//! among themselves ([`crate::edge::Edge::lets_others_go_first`]). Inherited sockets are always
//! shared: connections still queued there when this process ends are accepted by the next one,
//! whereas those queued at another socket would be lost.

use super::service::Inherited;
use super::sys;
use crate::config::{ADMIN_LISTEN, Config, DEMO_LISTEN, LISTEN, ListenAddr, Server};
use crate::descriptors;
use crate::edge::listeners::port_at;
use crate::net::mio::{Listener, MioNet};
use crate::net::{ListenerId, Net};
use crate::session::{Port, Service};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// An open listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) id: ListenerId,
    pub(super) port: Port,
    /// The address in the configuration. Its port may be 0.
    wanted: ListenAddr,
    /// The address that it is bound to, with the port that the system chose. None if it is a Unix
    /// socket.
    bound: Option<SocketAddr>,
    /// In the first event loop: the sockets of the others at the same address, where each loop has
    /// its own. The first loop closes them with this one, after accepting what is queued there,
    /// because a stuck loop could not.
    spares: Vec<ListenerId>,
}

impl Listening {
    /// True if this is its address, as configured or as bound.
    fn is_at(&self, address: &ListenAddr) -> bool {
        self.wanted == *address || self.address() == *address
    }

    /// The address it is bound to.
    fn address(&self) -> ListenAddr {
        self.bound.map_or_else(|| self.wanted.clone(), ListenAddr::Tcp)
    }

    /// True if no other socket can be bound to this address while this one is open.
    fn excludes(&self, address: &ListenAddr) -> bool {
        let (ListenAddr::Tcp(address), Some(bound)) = (address, self.bound) else {
            return self.is_at(address);
        };
        let is_any = |address: SocketAddr| address.ip().is_unspecified();
        let overlap = address.ip() == bound.ip() || is_any(*address) || is_any(bound);
        overlap && address.port() == bound.port() && address.is_ipv4() == bound.is_ipv4()
    }

    /// Its own id and those of its spares.
    pub(super) fn ids(&self) -> impl Iterator<Item = ListenerId> {
        std::iter::once(self.id).chain(self.spares.iter().copied())
    }

    /// The ids of the other event loops' sockets that are closed with this one.
    pub(super) fn spares(&self) -> &[ListenerId] {
        &self.spares
    }
}

/// Opens the listeners of `config` that are not among `present`, and returns all of them. Writes
/// the ports that the system chose into `config`, in place of port 0.
///
/// # Errors
/// If an address cannot be listened on. Listeners that were opened before it are closed again.
pub(super) fn open(
    config: &mut Config,
    present: &[Listening],
    inherited: &Inherited,
    net: &mut MioNet,
) -> Result<Vec<Listening>, String> {
    let mut listening = Vec::new();
    if let Err(error) = open_all(config, present, inherited, net, &mut listening) {
        close_new(&listening, present, net);
        // An inherited socket that is not used may be in the way.
        let not_used = inherited.not_used(&config.addresses());
        return Err([vec![error], not_used].concat().join("\n"));
    }
    Ok(listening)
}

/// Closes those of `listening` that are not among `present`.
pub(super) fn close_new(listening: &[Listening], present: &[Listening], net: &mut MioNet) {
    for new in listening.iter().filter(|new| !has(present, new)) {
        new.ids().for_each(|id| net.close_listener(id));
    }
}

fn has(listening: &[Listening], listener: &Listening) -> bool {
    listening.iter().any(|one| one.id == listener.id)
}

/// The listener among `present` for this address, if it is not among `taken`. A reload may add TLS
/// or remove it, for new connections, but not with port 0, because such an address may occur once
/// with TLS and once without.
fn kept<'p>(
    present: &'p [Listening],
    taken: &[Listening],
    wanted: &ListenAddr,
    port: Port,
) -> Option<&'p Listening> {
    let is_candidate =
        |l: &&Listening| l.is_at(wanted) && l.port.service == port.service && !has(taken, l);
    let is_any_port = matches!(wanted, ListenAddr::Tcp(address) if address.port() == 0);
    let mut candidates = present.iter().filter(is_candidate);
    candidates.find(|l| l.port.is_secure == port.is_secure || !is_any_port)
}

/// A listener of the first event loop, for another one.
#[derive(Debug)]
pub(super) struct Offer {
    of_first: Listening,
    /// A socket, unless the other loop has one already.
    socket: Option<Listener>,
}

/// Offers another event loop those of `listening` that are for clients. They are open in the first
/// loop, to which `net` belongs. The other loop already has those in `present`.
///
/// # Errors
/// If no descriptor is left, or an address cannot be listened on once more.
pub(super) fn offer(
    config: &Config,
    listening: &mut [Listening],
    present: &[Listening],
    net: &mut MioNet,
) -> Result<Vec<Offer>, String> {
    let write_timeout = config.server.write_timeout;
    let of_clients = listening.iter_mut().filter(|l| l.port.service == Service::Apis);
    let offers = of_clients.map(|listening| {
        let socket = match listening.bound {
            _ if has(present, listening) => Ok(None),
            Some(bound) if !listening.port.is_shared => {
                own(bound, write_timeout, &mut listening.spares, net).map(Some)
            }
            Some(_) | None => net.share_listener(listening.id).map(Some),
        };
        let Listening { wanted, port, .. } = &*listening;
        let socket = socket.map_err(|e| cannot_listen(wanted, *port, "", &e))?;
        let of_first = Listening { spares: Vec::new(), ..listening.clone() };
        Ok(Offer { of_first, socket })
    });
    offers.collect()
}

/// Opens another socket at an address, for another event loop. The first loop owns it, as a spare.
fn own(
    bound: SocketAddr,
    write_timeout: Duration,
    spares: &mut Vec<ListenerId>,
    net: &mut MioNet,
) -> io::Result<Listener> {
    let socket = sys::listen(&ListenAddr::Tcp(bound), true, write_timeout, &Inherited::default())?;
    let of_other = socket.another()?;
    spares.push(net.add_spare(socket)?);
    Ok(of_other)
}

/// Takes the listeners that the first event loop offers.
///
/// # Errors
/// If an address cannot be listened on. Listeners that were taken before it are closed again.
pub(super) fn take(
    offers: Vec<Offer>,
    present: &[Listening],
    net: &mut MioNet,
) -> Result<Vec<Listening>, String> {
    let mut listening = Vec::new();
    for Offer { of_first, socket } in offers {
        let Some(socket) = socket else {
            let known = kept(present, &listening, &of_first.wanted, of_first.port);
            let id = known.map(|known| known.id);
            listening.extend(id.map(|id| Listening { id, ..of_first }));
            continue;
        };
        match net.add_listener(socket) {
            Ok(id) => listening.push(Listening { id, ..of_first }),
            Err(error) => {
                close_new(&listening, present, net);
                let Listening { wanted, port, .. } = of_first;
                return Err(cannot_listen(&wanted, port, " in all workers", &error));
            }
        }
    }
    Ok(listening)
}

fn open_all(
    config: &mut Config,
    present: &[Listening],
    inherited: &Inherited,
    net: &mut MioNet,
    listening: &mut Vec<Listening>,
) -> Result<(), String> {
    let server = &config.server.clone();
    let mut open = |wanted: &ListenAddr, port: Port| {
        let listener = match kept(present, listening, wanted, port) {
            Some(kept) => {
                let port = Port { is_shared: kept.port.is_shared, ..port };
                Listening { port, wanted: wanted.clone(), ..kept.clone() }
            }
            None => {
                // The system does not refuse to share an inherited socket.
                let is_taken = || listening.iter().chain(present).any(|l| l.is_at(wanted));
                let opened = if inherited.has(wanted) && is_taken() {
                    Err(io::ErrorKind::AddrInUse.into())
                } else {
                    open_new(wanted, port, server, inherited, net)
                };
                opened.map_err(|error| {
                    let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
                    let own = in_the_way(wanted, listening, present).filter(|_| is_in_use);
                    cannot_listen(wanted, port, "", &error) + &own.unwrap_or_default()
                })?
            }
        };
        let bound = listener.bound;
        listening.push(listener);
        Ok::<_, String>(bound)
    };
    for (wanted, is_secure) in [(&server.listen, false), (&server.listen_tls, true)] {
        let Server { listen, listen_tls, .. } = &mut config.server;
        let addresses = if is_secure { listen_tls } else { listen };
        for (wanted, address) in wanted.iter().zip(addresses) {
            let port = port_at(server, wanted, is_secure);
            let port = Port { is_shared: port.is_shared || inherited.has(wanted), ..port };
            if let Some(bound) = open(wanted, port)? {
                *address = ListenAddr::Tcp(bound);
            }
        }
    }
    if let Some(admin) = &mut config.admin
        && let Some(bound) = open(&admin.listen, Port::plain(Service::Admin))?
    {
        admin.listen = ListenAddr::Tcp(bound);
    }
    if let Some(probes) = config.admin.as_mut().and_then(|admin| admin.probes.as_mut())
        && let Some(bound) = open(probes, Port::plain(Service::Probes))?
    {
        *probes = ListenAddr::Tcp(bound);
    }
    if let Some(demo) = &mut config.demo {
        let wanted = ListenAddr::Tcp(demo.listen);
        let bound = open(&wanted, Port::plain(Service::Demo))?;
        demo.listen = bound.unwrap_or(demo.listen);
    }
    Ok(())
}

/// Opens a listener that is not open yet.
fn open_new(
    wanted: &ListenAddr,
    port: Port,
    server: &Server,
    inherited: &Inherited,
    net: &mut MioNet,
) -> io::Result<Listening> {
    // Any of several processes can serve a client, but an operator addresses one of them.
    let reuse_port = server.reuse_port && port.service == Service::Apis;
    let listener = sys::listen(wanted, reuse_port, server.write_timeout, inherited)?;
    let bound = listener.address()?;
    let id = net.add_listener(listener)?;
    Ok(Listening { id, port, wanted: wanted.clone(), bound, spares: Vec::new() })
}

/// The error for an address that cannot be listened on. It names the key.
fn cannot_listen(wanted: &ListenAddr, port: Port, place: &str, error: &io::Error) -> String {
    let default = match port.service {
        Service::Apis if !port.is_secure => Some(LISTEN),
        Service::Admin => Some(ADMIN_LISTEN),
        Service::Demo => Some(ListenAddr::Tcp(DEMO_LISTEN)),
        Service::Apis | Service::Probes => None,
    };
    let is_default = if default.as_ref() == Some(wanted) { ", its default" } else { "" };
    let (key, why) = (key_of(port), descriptors::explain(error));
    format!("{key}: cannot listen on {wanted}{is_default}{place}: {why}")
}

/// Names the listener of this process that is in the way of an address, if there is one: one of
/// those `opened` for the same configuration, or of those `present` before.
fn in_the_way(wanted: &ListenAddr, opened: &[Listening], present: &[Listening]) -> Option<String> {
    let excludes = |listening: &&Listening| listening.excludes(wanted);
    if let Some(other) = opened.iter().find(excludes) {
        let (key, address) = (key_of(other.port), other.address());
        return Some(format!("; {key} also has {address}; leave out one of them"));
    }
    let own = present.iter().find(excludes)?;
    let (key, address) = (key_of(own.port), own.address());
    Some(format!("; this process itself listens on {address} ({key}); restart"))
}

/// The key for the address of a listener.
const fn key_of(port: Port) -> &'static str {
    match port.service {
        Service::Apis if port.is_secure => "server.listen_tls",
        Service::Apis => "server.listen",
        Service::Admin => "admin.listen",
        Service::Probes => "admin.probes",
        Service::Demo => "demo.listen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    /// Listeners taken before it are closed again.
    #[test]
    fn one_that_no_poll_takes_is_an_error() {
        let poll = mio::Poll::new().unwrap();
        let mut net = MioNet::new(poll.registry().try_clone().unwrap(), 8);
        let offer = |socket| {
            let wanted = ListenAddr::Tcp("127.0.0.1:80".parse().unwrap());
            let (id, port) = (ListenerId(0), Port::plain(Service::Apis));
            let of_first = Listening { id, port, wanted, bound: None, spares: Vec::new() };
            let socket = mio::net::TcpListener::from_std(socket);
            Offer { of_first, socket: Some(Listener::Tcp(socket, true)) }
        };
        let good = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let regular = File::open(std::env::current_exe().unwrap()).unwrap();
        let no_socket = std::net::TcpListener::from(OwnedFd::from(regular));
        let offers = vec![offer(good()), offer(no_socket)];
        let error = take(offers, &[], &mut net).unwrap_err();
        let want = "server.listen: cannot listen on 127.0.0.1:80 in all workers: ";
        assert!(error.starts_with(want), "{error}");
        let taken = take(vec![offer(good())], &[], &mut net).unwrap();
        assert_eq!(taken[0].id, ListenerId(0), "the slot is free again");
    }

    fn listening(id: u16, port: Port, wanted: &str, bound: Option<&str>) -> Listening {
        let wanted = match wanted.strip_prefix("unix:") {
            Some(path) => ListenAddr::Unix(path.into()),
            None => tcp(wanted),
        };
        let bound = bound.map(|bound| bound.parse().unwrap());
        Listening { id: ListenerId(id), port, wanted, bound, spares: Vec::new() }
    }

    fn tcp(address: &str) -> ListenAddr {
        ListenAddr::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_listener_is_kept_for_its_address() {
        let (plain, secure) = (Port::plain(Service::Apis), Port::secure(Service::Apis));
        let admin = Port::plain(Service::Admin);
        let any = "127.0.0.1:0";
        let none: &[Listening] = &[];
        let present = [
            listening(0, plain, any, Some("127.0.0.1:40000")),
            listening(1, secure, any, Some("127.0.0.1:40001")),
            listening(2, plain, "127.0.0.1:80", Some("127.0.0.1:80")),
            listening(3, admin, "127.0.0.1:90", Some("127.0.0.1:90")),
        ];
        let cases = [
            (any, plain, none, Some(0)),
            (any, secure, none, Some(1)),
            (any, admin, none, None),
            ("127.0.0.1:40001", secure, none, Some(1)),
            ("127.0.0.1:40001", plain, none, Some(1)),
            // These are taken already.
            ("127.0.0.1:40000", plain, &present[..1], None),
            (any, plain, &present[..1], None),
            ("127.0.0.1:80", secure, none, Some(2)),
            ("127.0.0.1:90", admin, none, Some(3)),
            ("127.0.0.1:90", plain, none, None),
            ("127.0.0.1:81", plain, none, None),
        ];
        for (address, port, taken, want) in cases {
            let found = kept(&present, taken, &tcp(address), port).map(|listener| listener.id.0);
            assert_eq!(found, want, "{address} {port:?}");
        }
    }

    #[test]
    fn what_of_its_own_is_in_the_way_is_named() {
        let (plain, admin) = (Port::plain(Service::Apis), Port::plain(Service::Admin));
        let opened = [listening(0, plain, "0.0.0.0:80", Some("0.0.0.0:80"))];
        let present = [
            listening(1, admin, "127.0.0.1:0", Some("127.0.0.1:90")),
            listening(2, plain, "[::]:91", Some("[::]:91")),
            listening(3, admin, "unix:/run/a", None),
        ];
        let both = "; server.listen also has 0.0.0.0:80; leave out one of them";
        let restart = |address: &str, key: &str| {
            Some(format!("; this process itself listens on {address} ({key}); restart"))
        };
        let cases = [
            (tcp("127.0.0.1:80"), Some(both.to_owned())),
            (tcp("127.0.0.1:90"), restart("127.0.0.1:90", "admin.listen")),
            (tcp("0.0.0.0:90"), restart("127.0.0.1:90", "admin.listen")),
            (tcp("[::1]:91"), restart("[::]:91", "server.listen")),
            (ListenAddr::Unix("/run/a".into()), restart("unix:/run/a", "admin.listen")),
            (tcp("127.0.0.2:90"), None),
            (tcp("0.0.0.0:91"), None),
            (ListenAddr::Unix("/run/b".into()), None),
        ];
        for (address, want) in cases {
            assert_eq!(in_the_way(&address, &opened, &present), want, "{address}");
        }
    }

    /// A default is named as such, because it may not be in the file.
    #[test]
    fn an_error_names_the_key() {
        let (plain, secure) = (Port::plain(Service::Apis), Port::secure(Service::Apis));
        let [admin, probes, demo] =
            [Service::Admin, Service::Probes, Service::Demo].map(Port::plain);
        let cases = [
            (plain, 81, "server.listen: cannot listen on 127.0.0.1:81: "),
            (plain, 8080, "server.listen: cannot listen on 127.0.0.1:8080, its default: "),
            (secure, 8080, "server.listen_tls: cannot listen on 127.0.0.1:8080: "),
            (admin, 9090, "admin.listen: cannot listen on 127.0.0.1:9090, its default: "),
            (probes, 9090, "admin.probes: cannot listen on 127.0.0.1:9090: "),
            (demo, 8000, "demo.listen: cannot listen on 127.0.0.1:8000, its default: "),
        ];
        for (port, number, want) in cases {
            let address = ListenAddr::Tcp(([127, 0, 0, 1], number).into());
            let error = cannot_listen(&address, port, "", &io::ErrorKind::AddrInUse.into());
            assert!(error.starts_with(want), "{error}");
        }
    }
}
