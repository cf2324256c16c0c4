//! A service that requests go to, and its endpoints.
//!
//! Of several endpoints the one with the fewest connections in use is asked, and of those the one
//! that was not asked last. One that nobody could connect to is passed over for a while: it is
//! asked only when all others are passed over as well.
//!
//! Endpoints differ in host and port only. So a request's path is the same for all of them, and
//! only its Host depends on which one is asked. Connections in use are what is compared, because
//! each open stream is one.

use super::endpoint::Endpoint;
use crate::config::Api;
use crate::telemetry::Stats;
use crate::time::Tick;

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
