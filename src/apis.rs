//! What is known of each api beyond its configuration, and outlives that: where its requests go,
//! how many event streams it has, what pages may read, and what is counted.

mod waking;

use crate::config::{Api, Config};
use crate::cors::grants::Grants;
use crate::net::Net;
use crate::pipe::Io;
use crate::pool::{Pool, Upstream};
use crate::quota::{Network, Quota};
use crate::slab::{Key, Slab};
use crate::telemetry::{ApiStats, Stats};
use crate::time::Tick;
use std::cell::Cell;
use std::rc::Rc;
use waking::Waking;

/// What is known of an api. See the module.
#[derive(Debug)]
pub struct ApiState {
    /// Its name.
    pub name: String,
    /// Where its requests go.
    pub upstream: Key<Upstream>,
    /// What is counted of it.
    pub stats: Rc<ApiStats>,
    /// Event streams that are open, by their clients' addresses; where that is limited.
    pub addresses: Quota<Network>,
    /// What its upstream last let pages of other origins read, where no `[api.cors]` says so.
    pub grants: Grants,
    /// When streams that wait for the upstream ask it again, all together.
    pub waking: Waking,
    /// Event streams that are open.
    streams: Rc<Cell<usize>>,
}

/// Counts an event stream of an api as open for as long as it is held.
#[derive(Debug)]
pub struct Permit(Rc<Cell<usize>>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl ApiState {
    /// An api of which only its name is known, and where its requests go.
    pub fn new(name: &str, upstream: Key<Upstream>, stats: &mut Stats) -> ApiState {
        ApiState {
            name: name.to_owned(),
            upstream,
            stats: stats.api(name),
            addresses: Quota::default(),
            grants: Grants::default(),
            waking: Waking::default(),
            streams: Rc::default(),
        }
    }

    /// Counts another event stream as open, if fewer than `max` are.
    pub fn permit(&self, max: usize) -> Option<Permit> {
        (self.streams() < max).then(|| {
            self.streams.set(self.streams.get() + 1);
            Permit(Rc::clone(&self.streams))
        })
    }

    /// Event streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.get()
    }
}

/// The state of each api, by key and in the order of the configuration.
#[derive(Debug, Default)]
pub struct Apis {
    states: Slab<ApiState>,
    in_order: Vec<Key<ApiState>>,
}

impl Apis {
    /// Takes over the apis of a configuration. What is known of one stays with it under its name,
    /// as long as it leads to the same endpoints; what the configuration does not have is
    /// forgotten, with the idle connections to it.
    pub fn update<N: Net>(
        &mut self,
        config: &Config,
        pool: &mut Pool,
        stats: &mut Stats,
        io: &mut Io<'_, N>,
    ) {
        let in_order =
            config.apis.iter().map(|api| self.state_of(api, pool, stats, io.now)).collect();
        self.in_order = in_order;
        let gone: Vec<Key<ApiState>> = self
            .states
            .iter()
            .map(|(key, _)| key)
            .filter(|key| self.index_of(*key).is_none())
            .collect();
        for key in gone {
            if let Some(state) = self.states.remove(key) {
                pool.remove_upstream(state.upstream, io);
            }
        }
        stats.forget_endpoints();
    }

    fn state_of(
        &mut self,
        api: &Api,
        pool: &mut Pool,
        stats: &mut Stats,
        now: Tick,
    ) -> Key<ApiState> {
        let upstream = pool.upstream_of(api, stats, now);
        let known = self.states.iter().find(|(_, state)| state.upstream == upstream);
        match known {
            Some((key, _)) => key,
            None => self.states.insert(ApiState::new(&api.name, upstream, stats)),
        }
    }

    /// The api with this index in the configuration.
    pub fn key_at(&self, index: u16) -> Key<ApiState> {
        self.in_order[usize::from(index)]
    }

    /// The index that an api has in the present configuration, if that has it.
    pub fn index_of(&self, key: Key<ApiState>) -> Option<usize> {
        self.in_order.iter().position(|known| *known == key)
    }

    /// An api, if it is still there.
    pub fn get(&self, key: Key<ApiState>) -> Option<&ApiState> {
        self.states.get(key)
    }

    /// As [`Apis::get`], to change it.
    pub fn get_mut(&mut self, key: Key<ApiState>) -> Option<&mut ApiState> {
        self.states.get_mut(key)
    }

    /// Those of the present configuration, in its order.
    pub fn in_order(&self) -> impl Iterator<Item = (Key<ApiState>, &ApiState)> {
        self.in_order.iter().map(|key| (*key, &self.states[*key]))
    }
}
