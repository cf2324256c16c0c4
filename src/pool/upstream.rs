//! A service that requests go to, and its endpoints.
//!
//! Of several endpoints the one with the fewest connections in use is chosen, and of those the
//! least recently chosen one. An endpoint that could not be connected to is skipped for a while,
//! unless all others are skipped as well.

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
    /// Its endpoints, in the configuration's order. Never none.
    pub endpoints: Vec<Endpoint>,
    /// Idle connections that are kept, to each of them.
    pub(super) idle_max: usize,
}

impl Upstream {
    /// The upstream of an api, to which nobody has connected yet.
    pub fn of(api: &Api, stats: &mut Stats, now: Tick) -> Upstream {
        let mut endpoint =
            |target| Endpoint::new(target, stats.endpoint(&api.name, format!("{target}")), now);
        Upstream {
            name: api.name.clone(),
            endpoints: api.targets.iter().map(&mut endpoint).collect(),
            idle_max: api.keepalive_upstream,
        }
    }

    /// True when an api, of another configuration perhaps, has this name and leads to the same
    /// endpoints.
    pub fn is_of(&self, api: &Api) -> bool {
        self.name == api.name
            && self.endpoints.len() == api.targets.len()
            && self
                .endpoints
                .iter()
                .zip(&api.targets)
                .all(|(endpoint, target)| endpoint.target.is_same_place(target))
    }

    /// Takes over what a newer configuration says of the same api.
    pub(super) fn update(&mut self, api: &Api, now: Tick) {
        self.idle_max = api.keepalive_upstream;
        for (endpoint, target) in self.endpoints.iter_mut().zip(&api.targets) {
            endpoint.addresses.update(&target.addresses, now);
        }
    }

    /// Idle connections, to all of its endpoints.
    pub fn idle(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.idle.len()).sum()
    }

    /// The endpoint to be asked next, by its index, but for those whose bits are set in `failed`.
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

/// One of an upstream's endpoints: where it is, whether it serves, and who is connected to it.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is, as it was configured.
    pub target: Target,
    /// What is counted of it.
    pub stats: Rc<EndpointStats>,
    /// Where to connect to, as the name was last resolved.
    pub(super) addresses: Addresses,
    /// Idle connections to it.
    pub(super) idle: Idle<Connection>,
    /// Until when the upstream's other endpoints are asked first.
    passed_over_until: Tick,
    /// When it was last chosen, as a number that grows with each choice.
    pub(super) chosen: u64,
    /// Connections that somebody owns.
    pub(super) in_use: usize,
}

impl Endpoint {
    /// An endpoint to which nobody has connected yet.
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

    /// Nobody could connect to it: it is passed over for a while.
    pub fn pass_over(&mut self, now: Tick) {
        self.passed_over_until = now.after(PASS_OVER);
        self.stats.mark_failing(now);
    }

    /// Until when the upstream's other endpoints are asked first.
    pub const fn passed_over_until(&self) -> Tick {
        self.passed_over_until
    }

    /// True exactly when the upstream's other endpoints are asked first.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.passed_over_until > now
    }

    /// A connection to the address that was tried last stands.
    pub(super) fn connected(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        self.passed_over_until = Tick::ZERO;
    }

    /// Its name has these addresses now. What to log of that, if they are others than before, and
    /// so worth a try.
    pub(super) fn resolved(&mut self, addresses: &[Address]) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        let others = self.addresses.resolved(addresses);
        if others {
            self.passed_over_until = Tick::ZERO;
        }
        let what = if had_none { "has been resolved" } else { "has new addresses" };
        others.then_some(what)
    }
}
