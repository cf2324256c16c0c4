//! A service that requests go to, and its endpoints.
//!
//! Of several endpoints the one with the fewest connections in use is asked, and of those the one
//! that was asked least recently. An endpoint that could not be connected to is passed over for a
//! while: it is asked only when all others are passed over as well.
//!
//! Endpoints differ in host and port only. So a request's path is the same for all of them, and
//! only its Host depends on which one is asked. Connections in use are compared, because each open
//! stream is one.

use super::addresses::{Addresses, PASS_OVER, Tried};
use super::connection::Connection;
use super::idle::Idle;
use crate::config::{Api, Target};
use crate::net::Address;
use crate::telemetry::{EndpointStats, Stats};
use crate::time::Tick;
use std::rc::Rc;

/// A service that requests go to. See the module.
#[derive(Debug)]
pub struct Upstream {
    /// The name of its api.
    pub name: String,
    /// Its endpoints, in the order of the configuration. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// The number of idle connections to keep, per endpoint.
    pub(super) idle_max: usize,
}

impl Upstream {
    /// Creates the upstream of an api, without connections.
    pub fn of(api: &Api, stats: &mut Stats, now: Tick) -> Upstream {
        let mut endpoint =
            |target| Endpoint::new(target, stats.endpoint(&api.name, format!("{target}")), now);
        Upstream {
            name: api.name.clone(),
            endpoints: api.targets.iter().map(&mut endpoint).collect(),
            idle_max: api.keepalive_upstream,
        }
    }

    /// True when `api`, perhaps of another configuration, has this name and the same endpoints.
    pub fn is_of(&self, api: &Api) -> bool {
        self.name == api.name
            && self.endpoints.len() == api.targets.len()
            && self
                .endpoints
                .iter()
                .zip(&api.targets)
                .all(|(endpoint, target)| endpoint.target.is_same_place(target))
    }

    /// Takes over a newer configuration of the same api.
    pub(super) fn update(&mut self, api: &Api, now: Tick) {
        self.idle_max = api.keepalive_upstream;
        for (endpoint, target) in self.endpoints.iter_mut().zip(&api.targets) {
            endpoint.addresses.update(&target.addresses, now);
        }
    }

    /// The number of idle connections to all of its endpoints.
    pub fn idle(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.idle.len()).sum()
    }

    /// The index of the endpoint to ask next, among those whose bits are not set in `failed`.
    pub(super) fn choose(&mut self, failed: u64, now: Tick) -> Option<usize> {
        let latest = self.endpoints.iter().map(|endpoint| endpoint.chosen).max().unwrap_or(0);
        let left = (0..).zip(&mut self.endpoints).filter(|(index, _)| failed >> index & 1 == 0);
        let (index, endpoint) = left.min_by_key(|(_, endpoint)| {
            (endpoint.passed_over_until().max(now), endpoint.in_use, endpoint.chosen)
        })?;
        endpoint.chosen = latest + 1;
        Some(index)
    }
}

/// One of an upstream's endpoints: its target, its health and its connections.
#[derive(Debug)]
pub struct Endpoint {
    /// The target as configured.
    pub target: Target,
    /// Its counters.
    pub stats: Rc<EndpointStats>,
    /// Its addresses, as last resolved.
    pub(super) addresses: Addresses,
    /// Idle connections to it.
    pub(super) idle: Idle<Connection>,
    /// Until when the upstream's other endpoints are preferred.
    passed_over_until: Tick,
    /// When it was last chosen, as a number that grows with each choice.
    pub(super) chosen: u64,
    /// The number of connections that have an owner.
    pub(super) in_use: usize,
}

impl Endpoint {
    /// Creates an endpoint without connections.
    pub(super) fn new(target: &Target, stats: Rc<EndpointStats>, now: Tick) -> Endpoint {
        Endpoint {
            addresses: Addresses::of(target, now),
            target: target.clone(),
            stats,
            idle: Idle::new(),
            passed_over_until: Tick::ZERO,
            chosen: 0,
            in_use: 0,
        }
    }

    /// Passes over the endpoint for a while, because it could not be connected to.
    pub fn pass_over(&mut self, now: Tick) {
        self.passed_over_until = now.after(PASS_OVER);
        self.stats.mark_failing(now);
    }

    /// Until when the upstream's other endpoints are preferred.
    pub const fn passed_over_until(&self) -> Tick {
        self.passed_over_until
    }

    /// True exactly when the upstream's other endpoints are preferred.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.passed_over_until > now
    }

    /// Notes that a connection to the address tried last was made.
    pub(super) fn connected(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        self.passed_over_until = Tick::ZERO;
    }

    /// Takes the addresses to which its name resolves. If they have changed, returns what to log,
    /// and the endpoint is not passed over any more.
    pub(super) fn resolved(&mut self, addresses: &[Address]) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        if !self.addresses.resolved(addresses) {
            return None;
        }
        self.passed_over_until = Tick::ZERO;
        Some(if had_none { "has been resolved" } else { "has new addresses" })
    }
}
