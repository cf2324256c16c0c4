//! Where the process listens, and for whom. What a configuration wants and is there already is
//! kept as it is; the rest is opened, all of it or nothing.

use super::service::Inherited;
use super::sys;
use crate::config::{Config, ListenAddr};
use crate::descriptors;
use crate::net::mio::MioNet;
use crate::net::{ListenerId, Net};
use crate::session::Service;
use std::net::SocketAddr;

/// An open listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) id: ListenerId,
    pub(super) service: Service,
    /// Where it is to listen, as the configuration says it,
    wanted: ListenAddr,
    /// and where it does: of port 0 the system makes another one.
    bound: Option<SocketAddr>,
}

/// Opens what `config` wants and `present` does not have. Where it says port 0, it says afterwards
/// which port that has become.
///
/// # Errors
/// What cannot be listened on; nothing is open then that was not before.
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
    let mut open = |wanted: &ListenAddr, service: Service| {
        let is_this = |l: &&Listening| l.wanted == *wanted && l.service == service;
        let listener = match present.iter().find(is_this) {
            Some(present) => present.clone(),
            None => sys::listen(wanted, reuse_port, write_timeout, inherited)
                .and_then(|listener| {
                    let bound = listener.address()?;
                    let id = net.add_listener(listener)?;
                    Ok(Listening { id, service, wanted: wanted.clone(), bound })
                })
                .map_err(|e| format!("cannot listen on {wanted}: {}", descriptors::explain(&e)))?,
        };
        let bound = listener.bound;
        listening.push(listener);
        Ok::<_, String>(bound)
    };
    for address in &mut config.server.listen {
        if let Some(bound) = open(address, Service::Apis)? {
            *address = ListenAddr::Tcp(bound);
        }
    }
    if let Some(admin) = &mut config.admin
        && let Some(bound) = open(&admin.listen, Service::Admin)?
    {
        admin.listen = ListenAddr::Tcp(bound);
    }
    if let Some(demo) = &mut config.demo {
        let wanted = ListenAddr::Tcp(demo.listen);
        demo.listen = open(&wanted, Service::Demo)?.unwrap_or(demo.listen);
    }
    Ok(())
}
