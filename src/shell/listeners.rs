//! Opens the listeners of a configuration, and keeps those that are open already. Either all of
//! them open, or none does.

use super::service::Inherited;
use super::sys;
use crate::config::{Config, ListenAddr};
use crate::descriptors;
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
        for new in listening.iter().filter(|new| !present.contains(new)) {
            net.close_listener(new.id);
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
        let is_open = |l: &&Listening| l.wanted == *wanted && l.port == port;
        let listener = match present.iter().find(is_open) {
            Some(present) => present.clone(),
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
    let server = &mut config.server;
    for (addresses, port) in [
        (&mut server.listen, Port::plain(Service::Apis)),
        (&mut server.listen_tls, Port::secure(Service::Apis)),
    ] {
        for address in addresses {
            if let Some(bound) = open(address, port)? {
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
