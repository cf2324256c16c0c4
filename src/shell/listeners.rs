//! Opens the listeners of a configuration, and keeps those that are open already. Either all of
//! them open, or none does.

use super::service::Inherited;
use super::sys;
use crate::config::{Config, ListenAddr, Server};
use crate::descriptors;
use crate::edge::listeners::port_at;
use crate::net::mio::MioNet;
use crate::net::{ListenerId, Net};
use crate::session::{Port, Service};
use std::net::SocketAddr;

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
}

/// Opens the listeners of `config` that are not among `present`, and returns all of them. Writes
/// the ports that the system chose into `config`, in place of port 0.
///
/// # Errors
/// The address that cannot be listened on. Listeners that were opened before it are closed again.
pub(super) fn open(
    config: &mut Config,
    present: &[Listening],
    inherited: &mut Inherited,
    net: &mut MioNet,
) -> Result<Vec<Listening>, String> {
    let mut listening = Vec::new();
    let opened = open_all(config, present, inherited, net, &mut listening);
    if opened.is_err() {
        for new in &listening {
            if present.iter().all(|present| present.id != new.id) {
                net.close_listener(new.id);
            }
        }
    }
    opened.map(|()| listening)
}

fn open_all(
    config: &mut Config,
    present: &[Listening],
    inherited: &mut Inherited,
    net: &mut MioNet,
    listening: &mut Vec<Listening>,
) -> Result<(), String> {
    let (reuse_port, write_timeout) = (config.server.reuse_port, config.server.write_timeout);
    let mut open = |wanted: &ListenAddr, port: Port| {
        // Where the system chooses the port, an address can be one with TLS and one without.
        let is_open = |l: &&Listening| {
            let serves = (l.port.service, l.port.is_secure);
            l.wanted == *wanted && serves == (port.service, port.is_secure)
        };
        let listener = match present.iter().find(is_open) {
            Some(present) => Listening { port, ..present.clone() },
            None => sys::listen(wanted, reuse_port, write_timeout, inherited)
                .and_then(|listener| {
                    let bound = listener.address()?;
                    let id = net.add_listener(listener)?;
                    Ok(Listening { id, port, wanted: wanted.clone(), bound })
                })
                .map_err(|e| format!("cannot listen on {wanted}: {}", descriptors::explain(&e)))?,
        };
        let bound = listener.bound;
        listening.push(listener);
        Ok::<_, String>(bound)
    };
    let server = config.server.clone();
    for (wanted, is_secure) in [(&server.listen, false), (&server.listen_tls, true)] {
        let Server { listen, listen_tls, .. } = &mut config.server;
        let addresses = if is_secure { listen_tls } else { listen };
        for (wanted, address) in wanted.iter().zip(addresses) {
            if let Some(bound) = open(wanted, port_at(&server, wanted, is_secure))? {
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
        demo.listen = open(&wanted, Port::plain(Service::Demo))?.unwrap_or(demo.listen);
    }
    Ok(())
}
