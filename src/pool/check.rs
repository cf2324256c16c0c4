//! Health checks of endpoints: the connection of a check, its request, and its result.
//!
//! A check is an owner like any other, and its connection counts towards `max_upstream`. If there
//! is no room for it, or other owners wait for room, the check is skipped, and a running check
//! gives way: an endpoint that is fully used is evidently serving. A check opens a new connection,
//! because that must work for clients too.
//!
//! The first event loop checks endpoints for all ([`super::news`]).
//!
//! The addresses of a name are checked in turn. An unhealthy address is used only while all
//! addresses of its endpoint are unhealthy, and such an endpoint only while no other one is good.

use super::Pool;
use super::connect::Lead;
use super::connection::{Connection, NO_ADDRESS};
use super::news::Learnt;
use super::owner::Owner;
use super::upstream::Upstream;
use crate::config::{Api, Checks};
use crate::descriptors;
use crate::http::changes::Changes;
use crate::http::fields::write_line;
use crate::net::{Address, Net};
use crate::pipe::Io;
use crate::proxy_protocol;
use crate::slab::Key;
use crate::time::Tick;
use std::io;
use std::rc::Rc;

/// The endpoint that a check is responsible for.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// Its upstream. It may be gone.
    upstream: Key<Upstream>,
    /// Its index.
    endpoint: u8,
}

/// How the endpoints of an upstream are checked.
#[derive(Debug)]
pub struct Checking {
    /// What is requested, and when.
    pub checks: Checks,
    /// The Host of the requests. None: the target's.
    host: Option<String>,
    /// The fields of the requests.
    fields: Changes,
    /// Whether the connections begin with a PROXY header.
    send_proxy: bool,
}

impl Checking {
    /// How the endpoints of an api are checked. None if they are not.
    pub(super) fn of(api: &Api) -> Option<Rc<Checking>> {
        let checks = api.health.checks.clone().filter(|_| api.active)?;
        let (host, fields) = (api.host_header.clone(), api.request_headers.clone());
        Some(Rc::new(Checking { checks, host, fields, send_proxy: api.send_proxy }))
    }

    /// What the connection of a check begins with: a PROXY header that says that it is not a
    /// client's.
    const fn preface(&self) -> &'static [u8] {
        if self.send_proxy { proxy_protocol::LOCAL } else { b"" }
    }
}

/// The outcome of starting a check.
#[derive(Debug)]
pub enum Probe {
    /// A connection to this address is being established.
    Connecting(Key<Connection>, Address),
    /// This address could not be connected to.
    Failed(Address, io::Error),
    /// The check is skipped, because there is no address or no room.
    LeftOut,
}

impl Pool {
    /// Takes the endpoints that this event loop has to check and that have no check yet.
    pub fn take_unchecked(&mut self) -> Vec<Checked> {
        let mut unchecked = Vec::new();
        if !self.role.checks() {
            return unchecked;
        }
        for (upstream, of) in self.upstreams.iter_mut().filter(|(_, of)| of.checking.is_some()) {
            for (endpoint, of) in (0..).zip(&mut of.endpoints) {
                if !std::mem::replace(&mut of.has_check, true) {
                    unchecked.push(Checked { upstream, endpoint });
                }
            }
        }
        unchecked
    }

    /// How an endpoint is checked. None if it is not, or no longer.
    pub fn checking(&self, of: Checked) -> Option<&Rc<Checking>> {
        self.upstreams.get(of.upstream)?.checking.as_ref()
    }

    /// The number of addresses of an endpoint.
    pub fn addresses_to_check(&self, of: Checked) -> usize {
        let upstream = self.upstreams.get(of.upstream);
        upstream.map_or(0, |upstream| upstream.endpoints[of.index()].addresses.len())
    }

    /// Notes that an endpoint is no longer checked.
    pub fn leave_unchecked(&mut self, of: Checked) {
        if let Some(upstream) = self.upstreams.get_mut(of.upstream) {
            upstream.endpoints[of.index()].has_check = false;
        }
    }

    /// Starts a check of an endpoint, at the address whose `turn` it is. The pool may have `room`
    /// other connections.
    pub fn begin_check<N: Net>(
        &mut self,
        of: Checked,
        owner: Owner,
        turn: usize,
        room: usize,
        io: &mut Io<'_, N>,
    ) -> Probe {
        let Some(upstream) = self.upstreams.get_mut(of.upstream) else { return Probe::LeftOut };
        let (max, endpoint) = (upstream.max, &mut upstream.endpoints[of.index()]);
        if endpoint.addresses.is_due(io.now) {
            self.stale_names.push((of.upstream, of.index()));
        }
        if endpoint.waited_for > 0 || !endpoint.has_room(max) {
            return Probe::LeftOut;
        }
        let Some(address) = endpoint.addresses.to_check(turn).cloned() else {
            return Probe::LeftOut;
        };
        let is_full = endpoint.open >= max;
        if is_full && !self.close_idle_of(of.upstream, of.index(), io) {
            return Probe::LeftOut;
        }
        self.close_idle_beyond(room, io);
        if self.connections.len() > room {
            return Probe::LeftOut;
        }
        let upstream = &self.upstreams[of.upstream];
        let (stats, server) = (Rc::clone(&upstream.stats), upstream.endpoints[of.index()].server());
        let lead = Lead {
            owner,
            upstream: Some(of.upstream),
            endpoint: of.endpoint,
            address: NO_ADDRESS,
            stats: &stats,
            room,
            preface: upstream.checking.as_ref().map_or(b"", |checking| checking.preface()),
            gives_way: true,
        };
        match self.begin_connection(&address, server.as_ref(), lead, io) {
            Ok(connection) => {
                self.upstreams[of.upstream].endpoints[of.index()].checker = Some(owner);
                Probe::Connecting(connection, address)
            }
            Err(error) if descriptors::ran_out(&error) => Probe::LeftOut,
            Err(error) => Probe::Failed(address, error),
        }
    }

    /// True exactly when an owner waits for the connection of a check.
    pub fn is_check_in_the_way(&self, of: Checked) -> bool {
        let upstream = self.upstreams.get(of.upstream);
        upstream.is_some_and(|upstream| upstream.endpoints[of.index()].waited_for > 0)
    }

    /// Closes the connection of a check.
    pub fn close_check<N: Net>(
        &mut self,
        of: Checked,
        connection: Key<Connection>,
        io: &mut Io<'_, N>,
    ) {
        if let Some(upstream) = self.upstreams.get_mut(of.upstream) {
            upstream.endpoints[of.index()].checker = None;
        }
        self.close(connection, io);
    }

    /// Writes the request of a check.
    pub fn write_check(&self, of: Checked, out: &mut Vec<u8>) {
        let Some(upstream) = self.upstreams.get(of.upstream) else { return };
        let Some(checking) = &upstream.checking else { return };
        let target = &upstream.endpoints[of.index()].target;
        let own = &target.authority;
        if !target.is_secure {
            out.extend_from_slice(checking.preface());
        }
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(checking.checks.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_line(out, "Host", checking.host.as_ref().unwrap_or(own).as_bytes());
        if !checking.fields.stop("User-Agent") {
            write_line(out, "User-Agent", b"millstream");
        }
        checking.fields.write(out);
        write_line(out, "Connection", b"close");
        out.extend_from_slice(b"\r\n");
    }

    /// Notes the result of a check of an address: that it passed, or why it failed.
    pub fn note_check(
        &mut self,
        of: Checked,
        address: &Address,
        result: Result<(), &str>,
        now: Tick,
    ) {
        let Some(upstream) = self.upstreams.get_mut(of.upstream) else { return };
        let Some(checking) = &upstream.checking else { return };
        let endpoint = &mut upstream.endpoints[of.index()];
        endpoint.stats.checks[usize::from(result.is_ok())].one();
        let known = endpoint.is_healthy();
        let changed = endpoint.addresses.note_check(address, result.is_ok(), &checking.checks);
        let (name, target) = (&upstream.name, &endpoint.target);
        let at = match endpoint.addresses.len() {
            1 => String::new(),
            _ => format!(" at {address}"),
        };
        match (changed, result) {
            (Some(false), Err(why)) => log::warn!("api {name}: {target}{at} is unhealthy: {why}"),
            // The first result is not logged if the endpoint is healthy.
            (Some(true), _) if known.is_some() => log::info!("api {name}: {target}{at} is healthy"),
            _ => {}
        }
        if let Some(is_healthy) = changed {
            self.tell(of.upstream, of.index(), Learnt::Healthy(address.clone(), is_healthy));
        }
        self.look_at_endpoints(Some(of.upstream), now);
    }
}

impl Checked {
    fn index(self) -> usize {
        usize::from(self.endpoint)
    }
}
