//! Apis that lead to the same servers: by which paths one of them reaches what another one guards.

use super::{Api, Config};
use crate::net::Address;
use crate::route::{RouteId, RouteSpec, Router, Server, ServerPath};
use std::collections::BTreeMap;

/// Who is served by an api, the fewer the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    /// Who can connect.
    Everybody,
    /// Who has a key.
    Keys,
    /// It is not active.
    Nobody,
}

impl Config {
    /// The router of these apis: it answers with an index into [`Config::apis`].
    pub fn router(&self) -> Router {
        let specs = self.apis.iter().map(|api| RouteSpec {
            hosts: &api.hosts,
            listen_path: &api.listen_path,
            active: api.active,
            guarded: api.served() != Served::Everybody,
        });
        let specs: Vec<_> = specs.collect();
        let guards = |id: &RouteId| self.api(*id).served() != Served::Everybody;
        let rewrites = |id: &RouteId| self.api(*id).rewrites_paths();
        let servers = self.servers().into_iter();
        let servers = servers.filter(|ids| ids.iter().any(guards) && ids.iter().any(rewrites));
        let servers = servers.map(|ids| {
            let paths = ids.iter().map(|id| {
                let api = self.api(*id);
                let (path, rewritten) = (api.upstream_path(), api.rewrites_paths());
                ServerPath { api: *id, path, rewritten, guarded: guards(id) }
            });
            Server(paths.collect())
        });
        Router::new(&specs, &servers.collect::<Vec<_>>())
    }

    fn api(&self, id: RouteId) -> &Api {
        &self.apis[usize::from(id)]
    }

    fn ids(&self) -> impl Iterator<Item = RouteId> {
        (0..=RouteId::MAX).zip(&self.apis).map(|(id, _)| id)
    }

    /// For each server, the apis that lead to it. A name stands for a server of its own, even if
    /// another one has the same address: those are two sites.
    fn servers(&self) -> Vec<Vec<RouteId>> {
        let mut servers: BTreeMap<(String, u16), Vec<RouteId>> = BTreeMap::new();
        let targets =
            || self.ids().flat_map(|id| self.api(id).targets.iter().map(move |t| (id, t)));
        for (id, target) in targets() {
            let place = (target.host.trim_end_matches('.').to_owned(), target.port);
            servers.entry(place).or_default().push(id);
        }
        // A name and its address are one place.
        for (id, target) in targets().filter(|(_, target)| target.has_name()) {
            for place in target.addresses.iter().filter_map(place) {
                if let Some(ids) = servers.get_mut(&place) {
                    ids.push(id);
                }
            }
        }
        servers.into_values().collect()
    }
}

/// An address, as a target has it that is no name.
fn place(address: &Address) -> Option<(String, u16)> {
    match address {
        Address::Tcp(address) => Some((address.ip().to_string(), address.port())),
        Address::Unix(_) => None,
    }
}

impl Api {
    /// Who is served.
    pub(super) fn served(&self) -> Served {
        match (self.active, &self.auth) {
            (false, _) => Served::Nobody,
            (true, Some(_)) => Served::Keys,
            (true, None) => Served::Everybody,
        }
    }

    /// The path that its servers are asked for, for `listen_path`: it begins with a slash and ends
    /// without one; empty for `/`.
    fn upstream_path(&self) -> String {
        let kept = if self.strip_listen_path { "" } else { &self.listen_path };
        self.target().path.clone() + kept
    }

    /// True exactly when its servers are asked for other paths than clients ask for.
    fn rewrites_paths(&self) -> bool {
        self.upstream_path() != self.listen_path
    }
}
