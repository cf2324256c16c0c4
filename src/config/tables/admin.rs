//! `[admin]` and `[demo]`: what this process itself serves, and where.

use super::listen::{self, ListenAddr};
use crate::config::Server;
use crate::config::error::Wrong;
use crate::config::file::host;
use crate::config::table::Table;
use crate::config::values::value::{duration, list, text};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The default of `admin.listen`.
pub const ADMIN_LISTEN: ListenAddr = listen::loopback(9090);

/// The default of `demo.listen`.
pub const DEMO_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// `[admin]`: the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Its address. Not one of [`Server::addresses`], except with port 0.
    pub listen: ListenAddr,
    /// The address of the listener for probes, if there is one. Neither one of
    /// [`Server::addresses`] nor `listen`, except with port 0.
    pub probes: Option<ListenAddr>,
    /// The host names for which it answers, in lower case, without port and trailing dot. It also
    /// answers for localhost and all IP addresses.
    pub hosts: Vec<String>,
}

/// `[demo]`: the built-in event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Its address. Neither one of [`Server::addresses`] nor one of [`Admin`]'s, except with port
    /// 0.
    pub listen: SocketAddr,
    /// The time from one event to the next.
    pub interval: Duration,
}

/// Reads `[admin]`. Its addresses must not be those of a listener of `server`.
pub(crate) fn admin(t: &mut Table<'_, '_>, server: &Server) -> Option<Admin> {
    let listen = own_listener(t, ADMIN_LISTEN, ListenAddr::parse, &of_server(server));
    let probes = t.take("probes", |value| match value.as_str() {
        Some("") => Ok(None),
        _ => {
            let address = ListenAddr::parse(text(value)?)?;
            is_free(&address, &[of_server(server), vec![("admin.listen", &listen)]].concat())?;
            Ok(Some(address))
        }
    });
    let hosts = t.take("hosts", |value| list(value, "[\"millstream\"]", host));
    Some(Admin { listen, probes: probes.flatten(), hosts: hosts.unwrap_or_default() })
}

/// Reads `[demo]`. Its address must not be that of a listener of `server` or `admin`.
pub(crate) fn demo(t: &mut Table<'_, '_>, server: &Server, admin: Option<&Admin>) -> Option<Demo> {
    let others = [of_server(server), of_admin(admin)].concat();
    Some(Demo {
        listen: own_listener(t, DEMO_LISTEN, listen::ip_and_port, &others),
        interval: t.take("interval", duration).unwrap_or(Duration::from_secs(1)),
    })
}

/// Reads `listen`, an address that must not be that of another listener. Neither must its default.
fn own_listener<A: Clone + Into<ListenAddr>>(
    t: &mut Table<'_, '_>,
    default: A,
    read: impl FnOnce(&str) -> Result<A, &'static str>,
    others: &Listeners<'_>,
) -> A {
    let is_default = !t.has("listen");
    let listen = t.take("listen", |value| {
        let address = read(text(value)?)?;
        is_free(&address.clone().into(), others)?;
        Ok(address)
    });
    let address = default.clone().into();
    if is_default && let Err(wrong) = is_free(&address, others) {
        t.missing("listen", &format!("its default is {address}: {}", wrong.what));
    }
    listen.unwrap_or(default)
}

/// Addresses to listen on, with their keys.
type Listeners<'a> = Vec<(&'static str, &'a ListenAddr)>;

/// Checks that no other listener has this address, unless its port is 0.
fn is_free(address: &ListenAddr, others: &Listeners<'_>) -> Result<(), Wrong> {
    let is_taken = |other: &ListenAddr| other == address && !listen::is_any_port(address);
    match others.iter().find(|(_, other)| is_taken(other)) {
        None => Ok(()),
        Some((key, _)) => Err(format!("{key} already has this address; write another one").into()),
    }
}

/// The listeners for clients.
fn of_server(server: &Server) -> Listeners<'_> {
    let plain = server.listen.iter().map(|address| ("server.listen", address));
    plain.chain(server.listen_tls.iter().map(|address| ("server.listen_tls", address))).collect()
}

/// The listeners for operators.
fn of_admin(admin: Option<&Admin>) -> Listeners<'_> {
    let listen = admin.map(|admin| ("admin.listen", &admin.listen));
    let probes = admin.and_then(|admin| admin.probes.as_ref());
    listen.into_iter().chain(probes.map(|probes| ("admin.probes", probes))).collect()
}
