//! The state of each api that outlives a configuration: its upstream, its open event streams, and
//! its counters.

mod directory;
mod recent;
mod totals;
mod waking;

use crate::auth::verdicts::Verdicts;
use crate::config::{Api, Config, ForwardAuth};
use crate::net::Net;
use crate::pipe::Io;
use crate::pool::{Pool, Upstream};
use crate::slab::{Key, Slab};
use crate::telemetry::{ApiStats, Stats};
pub use directory::{Claim, Claimed, Directory, Name, Place};
use std::rc::Rc;
use std::sync::Arc;
pub use totals::{ApiTotals, Permit, Totals};
use waking::Waking;

/// The state of an api. See the module.
#[derive(Debug)]
pub struct ApiState {
    /// The name of the api.
    pub name: String,
    /// The upstream of its requests.
    pub upstream: Key<Upstream>,
    /// Its counters.
    pub stats: Rc<ApiStats>,
    /// What all event loops count and remember for it together.
    pub totals: Arc<ApiTotals>,
    /// Which event loops have its shared streams, and what its upstream's responses have shown.
    pub directory: Arc<Directory>,
    /// When the streams that wait for the upstream ask it again.
    pub waking: Waking,
    /// The auth server, if there is one.
    pub auth: Option<AuthServer>,
}

/// An auth server, and its verdicts.
#[derive(Debug)]
pub struct AuthServer {
    /// Its upstream.
    pub upstream: Key<Upstream>,
    /// Its verdicts that are still valid.
    pub verdicts: Verdicts,
    /// The settings under which they were given.
    asked: ForwardAuth,
}

impl ApiState {
    /// Creates the state of an api with this upstream, and with nothing remembered.
    pub fn new(api: &Api, upstream: Key<Upstream>, totals: &Totals, stats: &mut Stats) -> ApiState {
        let name = &api.name;
        ApiState {
            name: name.clone(),
            upstream,
            stats: stats.api(name),
            totals: totals.of(name),
            directory: totals.directories.of(api),
            waking: Waking::default(),
            auth: None,
        }
    }

    /// True exactly when this is the upstream of the auth server.
    fn asks(&self, upstream: Key<Upstream>) -> bool {
        self.auth.as_ref().is_some_and(|auth| auth.upstream == upstream)
    }
}

/// The states of all apis, by key and in the order of the configuration.
#[derive(Debug)]
pub struct Apis {
    states: Slab<ApiState>,
    in_order: Vec<Key<ApiState>>,
    totals: Arc<Totals>,
}

impl Apis {
    /// No apis yet. `totals` has what all event loops count together.
    pub fn new(totals: Arc<Totals>) -> Apis {
        Apis { states: Slab::new(), in_order: Vec::new(), totals }
    }

    /// Takes over the apis of a configuration. An api keeps its state while its name and endpoints
    /// stay the same. All other states are removed, and their idle connections are closed.
    pub fn update<N: Net>(
        &mut self,
        config: &Config,
        pool: &mut Pool,
        stats: &mut Stats,
        io: &mut Io<'_, N>,
    ) {
        let of = |api| {
            let key = self.state_of(api, pool, stats, io);
            (key, self.update_auth(key, api, pool, stats, io))
        };
        let (in_order, left): (Vec<_>, Vec<_>) = config.apis.iter().map(of).unzip();
        self.in_order = in_order;
        let mut former: Vec<Key<Upstream>> = left.into_iter().flatten().collect();
        let gone: Vec<Key<ApiState>> = self
            .states
            .iter()
            .map(|(key, _)| key)
            .filter(|key| self.index_of(*key).is_none())
            .collect();
        for key in gone {
            if let Some(state) = self.states.remove(key) {
                pool.remove_upstream(state.upstream, io);
                former.extend(state.auth.map(|auth| auth.upstream));
            }
        }
        // An api with other endpoints may still have the same auth server.
        let asked = |key: &Key<Upstream>| self.states.iter().any(|(_, state)| state.asks(*key));
        for key in former.into_iter().filter(|key| !asked(key)) {
            pool.remove_upstream(key, io);
        }
        stats.forget_endpoints();
    }

    fn state_of<N: Net>(
        &mut self,
        api: &Api,
        pool: &mut Pool,
        stats: &mut Stats,
        io: &mut Io<'_, N>,
    ) -> Key<ApiState> {
        let upstream = pool.upstream_of(api.backend(), stats, io);
        let known = self.states.iter().find(|(_, state)| state.upstream == upstream);
        let key = match known {
            Some((key, _)) => key,
            None => {
                // The totals stay: replicas that still exist still know their clients.
                let state = ApiState::new(api, upstream, &self.totals, stats);
                self.states.insert(state)
            }
        };
        if api.sticky.is_none() {
            self.states[key].totals.sticky.with(std::mem::take);
        }
        key
    }

    /// Takes over the auth server of an api. Returns the upstream of the previous one if that was
    /// another.
    fn update_auth<N: Net>(
        &mut self,
        key: Key<ApiState>,
        api: &Api,
        pool: &mut Pool,
        stats: &mut Stats,
        io: &mut Io<'_, N>,
    ) -> Option<Key<Upstream>> {
        let former = self.states[key].auth.take();
        let left = former.as_ref().map(|former| former.upstream);
        let Some(auth) = api.forward_auth.as_ref().filter(|_| api.active) else { return left };
        let upstream = pool.upstream_of(auth.backend(&api.name), stats, io);
        let same = former.filter(|former| former.upstream == upstream);
        let verdicts = same.filter(|same| same.asked.answers_like(auth));
        let verdicts = verdicts.map(|same| same.verdicts).unwrap_or_default();
        self.states[key].auth = Some(AuthServer { upstream, verdicts, asked: auth.clone() });
        left.filter(|left| *left != upstream)
    }

    /// The key of the api with this index in the configuration.
    pub fn key_at(&self, index: u16) -> Key<ApiState> {
        self.in_order[usize::from(index)]
    }

    /// The index of an api in the present configuration, if it has it.
    pub fn index_of(&self, key: Key<ApiState>) -> Option<usize> {
        self.in_order.iter().position(|known| *known == key)
    }

    /// The state of an api, if it still exists.
    pub fn get(&self, key: Key<ApiState>) -> Option<&ApiState> {
        self.states.get(key)
    }

    /// Mutable [`Apis::get`].
    pub fn get_mut(&mut self, key: Key<ApiState>) -> Option<&mut ApiState> {
        self.states.get_mut(key)
    }

    /// True exactly when a permit is counted for one of the present apis.
    #[cfg(feature = "sim")]
    pub fn count(&self, permit: &Permit) -> bool {
        self.in_order().any(|(_, state)| permit.is_of(&state.totals))
    }

    /// The apis of the present configuration, in its order.
    pub fn in_order(&self) -> impl Iterator<Item = (Key<ApiState>, &ApiState)> {
        self.in_order.iter().map(|key| (*key, &self.states[*key]))
    }
}
