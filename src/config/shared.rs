//! Apis that lead to the same servers, and the paths by which one api reaches what another one
//! guards.

use super::{Api, Config};
use crate::net::Address;
use crate::route::{self, RouteId, RouteSpec, Router, Server, ServerPath};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The search stops at this number of breaches.
const BREACHES_MAX: usize = 100;

/// Who may use an api. A greater value means fewer clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    /// Everybody who can connect.
    Everybody,
    /// Clients with a key.
    Keys,
    /// Nobody: it is not active.
    Nobody,
}

/// A path by which one api reaches what another one serves to fewer clients.
#[derive(Debug)]
pub(super) struct Breach<'c> {
    pub open: &'c Api,
    /// The path that clients of `open` request.
    pub path: String,
    /// The path that the server is asked for.
    pub upstream_path: String,
    pub guarded: &'c Api,
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

    /// For each server, the apis that lead to it. A name counts as a server of its own, even if
    /// another name has the same address: those may be two sites.
    fn servers(&self) -> Vec<Vec<RouteId>> {
        let mut servers: BTreeMap<(String, u16), Vec<RouteId>> = BTreeMap::new();
        let targets =
            || self.ids().flat_map(|id| self.api(id).targets.iter().map(move |t| (id, t)));
        for (id, target) in targets() {
            match target.addresses.as_slice() {
                [address] if !target.has_name() => {
                    servers.entry(place(address)).or_default().push(id);
                }
                _ => {
                    let name = (target.host.trim_end_matches('.').to_owned(), target.port);
                    servers.entry(name).or_default().push(id);
                }
            }
        }
        // A name and its address are the same server.
        for (id, target) in targets().filter(|(_, target)| target.has_name()) {
            for place in target.addresses.iter().map(place) {
                if let Some(ids) = servers.get_mut(&place)
                    && !ids.contains(&id)
                {
                    ids.push(id);
                }
            }
        }
        servers.into_values().collect()
    }

    /// Finds where an api reaches what another one serves to fewer clients, once for each two apis.
    pub(super) fn breaches(&self) -> Vec<Breach<'_>> {
        let router = self.router();
        let mut pairs: Vec<(RouteId, RouteId)> = Vec::new();
        let mut breaches = Vec::new();
        for server in self.servers() {
            let mut by_path: BTreeMap<String, Vec<RouteId>> = BTreeMap::new();
            for id in &server {
                by_path.entry(self.api(*id).upstream_path()).or_default().push(*id);
            }
            for guarded in &server {
                for open in related(&by_path, &self.api(*guarded).upstream_path()) {
                    let pair = (open, *guarded);
                    if breaches.len() < BREACHES_MAX && !pairs.contains(&pair) {
                        let breach = self.breach(open, *guarded, &router);
                        pairs.extend(breach.is_some().then_some(pair));
                        breaches.extend(breach);
                    }
                }
            }
        }
        breaches
    }

    /// The part of `guarded` that `open` reaches, if there is one: the paths of their server that
    /// clients can request by both.
    fn breach(&self, open: RouteId, guarded: RouteId, router: &Router) -> Option<Breach<'_>> {
        let apis = [self.api(open), self.api(guarded)];
        if apis[0].served() >= apis[1].served() {
            return None;
        }
        let [a, b] = apis.map(Api::upstream_path);
        let contains = route::below(&b, &a).is_some();
        if !contains && apis[1].served() == Served::Nobody {
            // What another api would serve if it were active is the business of that api.
            return None;
        }
        let upstream_path = if contains { b } else { a };
        let [path, guarded_path] = apis.map(|api| api.listen_path_to(&upstream_path));
        let (path, guarded_path) = (path?, guarded_path?);
        let opens = |host: Option<&str>| router.owner(host, path.as_bytes()) == Some(open);
        let guards =
            |host: Option<&str>| router.owner(host, guarded_path.as_bytes()) == Some(guarded);
        // A server that sees the client's Host may have a different site for each.
        let reaches = if apis.iter().all(|api| api.preserve_host_header) {
            self.hosts_of(apis[0]).any(|host| opens(host) && guards(host))
        } else {
            self.hosts_of(apis[0]).any(opens) && self.hosts_of(apis[1]).any(guards)
        };
        reaches.then_some(Breach { open: apis[0], path, upstream_path, guarded: apis[1] })
    }

    /// The hosts that an api matches. None stands for a host that no api has.
    fn hosts_of<'c>(&'c self, api: &'c Api) -> impl Iterator<Item = Option<&'c str>> {
        let serves_all = api.hosts.is_empty();
        let others = if serves_all { self.apis.as_slice() } else { &[] };
        let any = serves_all.then_some(None);
        let named = api.hosts.iter().chain(others.iter().flat_map(|other| &other.hosts));
        any.into_iter().chain(named.map(|host| Some(host.as_str())))
    }
}

/// The entries with this path, with a path above it, or with a path below it.
fn related(by_path: &BTreeMap<String, Vec<RouteId>>, path: &str) -> Vec<RouteId> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let above = ends.filter_map(|end| by_path.get(&path[..end]));
    let start = format!("{path}/");
    let below = by_path.range(start.clone()..).take_while(|(other, _)| other.starts_with(&start));
    above.chain(below.map(|(_, ids)| ids)).flatten().copied().collect()
}

/// Normalises an address. All loopback addresses are the same, and so is the unspecified address,
/// which reaches the loopback: most servers listen on all of them.
fn place(address: &Address) -> (String, u16) {
    match address {
        Address::Tcp(address) => {
            let ip = address.ip().to_canonical();
            let local = ip.is_loopback() || ip.is_unspecified();
            let ip = if local { Ipv4Addr::LOCALHOST.into() } else { ip };
            (ip.to_string(), address.port())
        }
        Address::Unix(path) => {
            let plain: PathBuf = path.components().collect();
            (format!("unix:{}", plain.display()), 0)
        }
    }
}

impl Api {
    /// Who may use this api.
    pub(super) fn served(&self) -> Served {
        match (self.active, &self.auth) {
            (false, _) => Served::Nobody,
            (true, Some(_)) => Served::Keys,
            (true, None) => Served::Everybody,
        }
    }

    /// The path that its servers are asked for, for `listen_path`, without needless escapes. It
    /// begins with a slash and ends without one; empty for `/`.
    fn upstream_path(&self) -> String {
        let kept = if self.strip_listen_path { "" } else { &self.listen_path };
        route::normalized(&(self.target().path.clone() + kept))
    }

    /// True exactly when its servers are asked for other paths than the clients request.
    fn rewrites_paths(&self) -> bool {
        self.upstream_path() != route::normalized(&self.listen_path)
    }

    /// The path that clients request, for one that its servers are asked for.
    fn listen_path_to(&self, upstream_path: &str) -> Option<String> {
        let rest = route::below(upstream_path, &self.upstream_path())?;
        Some(self.listen_path.clone() + rest)
    }
}
