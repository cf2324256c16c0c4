//! `[admin]` and `[demo]`: what this process serves by itself, and where.

use super::listen::{self, ListenAddr};
use crate::config::Server;
use crate::config::error::Wrong;
use crate::config::file::host;
use crate::config::table::Table;
use crate::config::values::value::{duration, list, text};
use std::net::SocketAddr;
use std::time::Duration;

/// `[admin]`: the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Its address. Not one of [`Server::addresses`], except for port 0.
    pub listen: ListenAddr,
    /// The address of the listener for probes, if there is one. None of [`Server::addresses`], nor
    /// `listen`, except for port 0.
    pub probes: Option<ListenAddr>,
    /// The names by which it may be asked, in lower case, without port and trailing dot. All IP
    /// addresses and localhost are welcome, too.
    pub hosts: Vec<String>,
}

/// `[demo]`: the built-in event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Its address. Neither one of [`Server::addresses`] nor [`Admin::listen`], except for port 0.
    pub listen: SocketAddr,
    /// The time from one event to the next.
    pub interval: Duration,
}

/// Reads `[admin]`. No listener of `server` may have its addresses.
pub(crate) fn admin(t: &mut Table<'_, '_>, server: &Server) -> Option<Admin> {
    let default = listen::loopback(9090);
    let listen = own_listener(t, default, ListenAddr::parse, &of_server(server));
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

/// Reads `[demo]`. No listener of these may have its address.
pub(crate) fn demo(t: &mut Table<'_, '_>, server: &Server, admin: Option<&Admin>) -> Option<Demo> {
    let default = SocketAddr::from(([127, 0, 0, 1], 8000));
    let others = [of_server(server), of_admin(admin)].concat();
    Some(Demo {
        listen: own_listener(t, default, listen::ip_and_port, &others),
        interval: t.take("interval", duration).unwrap_or(Duration::from_secs(1)),
    })
}

/// Reads `listen`, the address of a listener that no other one may have, its default neither.
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

/// Checks that no other listener has this address, except for port 0.
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
