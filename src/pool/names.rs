//! The host names of targets, which are resolved again when their addresses are stale.
//!
//! An answer is used for every endpoint with the name, of any api and in any event loop. So all of
//! them have the same addresses, and none has to ask while these are fresh.

use super::Pool;
use super::upstream::Upstream;
use crate::net::{Net, Resolution};
use crate::pipe::Io;
use crate::slab::Key;
use crate::telemetry::LogLimit;
use std::collections::BTreeMap;

/// The endpoints that have a name, by host.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<Named>>);

/// An endpoint that has a name.
#[derive(Clone, Copy, Debug)]
struct Named {
    port: u16,
    upstream: Key<Upstream>,
    /// The index of the endpoint.
    index: usize,
}

impl Names {
    /// Adds the endpoints of an upstream.
    pub(super) fn add(&mut self, key: Key<Upstream>, upstream: &Upstream) {
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            let target = &endpoint.target;
            if target.has_name() {
                let named = Named { port: target.port, upstream: key, index };
                self.0.entry(target.host.clone()).or_default().push(named);
            }
        }
    }

    /// Removes the endpoints of an upstream that is gone.
    pub(super) fn remove(&mut self, key: Key<Upstream>, upstream: &Upstream) {
        for endpoint in &upstream.endpoints {
            let host = &endpoint.target.host;
            let Some(named) = self.0.get_mut(host) else { continue };
            named.retain(|named| named.upstream != key);
            if named.is_empty() {
                self.0.remove(host);
            }
        }
    }

    /// The endpoints that have this name, as upstreams and indices.
    fn of(&self, (host, port): (&str, u16)) -> Vec<(Key<Upstream>, usize)> {
        let named = self.0.get(host).into_iter().flatten();
        named.filter(|n| n.port == port).map(|n| (n.upstream, n.index)).collect()
    }
}

impl Pool {
    /// The next name to resolve again, with the port that its addresses get. Each is returned once.
    pub fn next_stale_name(&mut self) -> Option<(String, u16)> {
        while let Some((key, index)) = self.stale_names.pop() {
            if let Some(upstream) = self.upstreams.get(key) {
                let target = &upstream.endpoints[index].target;
                return Some((target.host.clone(), target.port));
            }
        }
        None
    }

    /// Takes the answer for a name, whichever event loop has asked. If the name could not be
    /// resolved, its endpoints keep their addresses.
    pub fn name_answered<N: Net>(
        &mut self,
        (host, port): (&str, u16),
        answer: &Resolution,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) {
        for (key, index) in self.names.of((host, port)) {
            let Some(upstream) = self.upstreams.get_mut(key) else { continue };
            let (api, endpoint) = (&upstream.name, &mut upstream.endpoints[index]);
            match answer {
                Ok(addresses) => {
                    let Some(what) = endpoint.resolved(addresses, io.now) else { continue };
                    if self.role.writes() {
                        log::info!("api {api}: {host} {what}");
                    }
                    self.leave_addresses(key, index, io);
                }
                Err(error) => {
                    endpoint.addresses.not_resolved(io.now);
                    let means = if endpoint.addresses.is_empty() {
                        "requests to it fail until that succeeds"
                    } else {
                        "keeping the previous addresses"
                    };
                    if self.role.writes() {
                        let text = format!("api {api}: {error}; {means}");
                        log.log(log::Level::Warn, api, "resolve", &text);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::BufPool;
    use crate::config::Config;
    use crate::net::Address;
    use crate::pool::Role;
    use crate::sticky::Secret;
    use crate::telemetry::Stats;
    use crate::testing::sim::{Faults, SimNet};
    use crate::time::Tick;

    #[test]
    fn an_answer_is_for_all_who_have_the_name() {
        let api = |name: &str, url: &str| {
            format!("[[api]]\nname = '{name}'\nlisten_path = '/{name}'\ntarget_url = '{url}'\n")
        };
        let text = [("a", "http://x.test"), ("b", "http://x.test/b"), ("c", "http://x.test:81")]
            .map(|(name, url)| api(name, url));
        let config = Config::parse("x", &text.concat()).unwrap();
        let (mut net, mut scratch) = (SimNet::new(0, Faults::NONE), Vec::new());
        let mut buffers = BufPool::new(8192, 8192, 8192, 0);
        let mut io = Io {
            net: &mut net,
            scratch: &mut scratch,
            buffers: &mut buffers,
            now: Tick::from_millis(60_000),
            high_water: 8192,
            window_max: 8192,
            flush_interval: None,
        };
        let (mut stats, mut log) = (Stats::new(), LogLimit::default());
        let mut pool = Pool::new(16, Secret::default(), Role::Other, Tick::ZERO);
        let keys: Vec<_> = config
            .apis
            .iter()
            .map(|api| pool.upstream_of(api.backend(), &mut stats, &mut io))
            .collect();
        let address = Address::Tcp("10.0.0.1:80".parse().unwrap());
        let answer = Ok(vec![address]);
        pool.name_answered(("x.test", 80), &answer, &mut io, &mut log);
        let mut has = |key| pool.upstreams[key].endpoints[0].addresses.len();
        assert_eq!([keys[0], keys[1], keys[2]].map(&mut has), [1, 1, 0]);
        // A failure to resolve it changes nothing.
        let failed = Err("no such name".to_owned());
        pool.name_answered(("x.test", 80), &failed, &mut io, &mut log);
        let mut has = |key| pool.upstreams[key].endpoints[0].addresses.len();
        assert_eq!([keys[0], keys[1], keys[2]].map(&mut has), [1, 1, 0]);
        // Endpoints that are gone get no addresses.
        pool.remove_upstream(keys[0], &mut io);
        pool.name_answered(("x.test", 80), &answer, &mut io, &mut log);
        assert_eq!(pool.names.of(("x.test", 80)), [(keys[1], 0)]);
        keys[1..].iter().for_each(|key| pool.remove_upstream(*key, &mut io));
        assert!(pool.names.0.is_empty());
    }
}
