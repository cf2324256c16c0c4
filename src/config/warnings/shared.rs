//! Apis that lead to the same servers: finds paths on which one api reaches what another protects.

use crate::config::{Api, Config};
use crate::net::Address;
use crate::route::{self, Lists, RouteId, RouteSpec, Router, Server, ServerPath};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Maximum number of breaches to report.
const BREACHES_MAX: usize = 100;

/// The clients that an api serves, in descending order of their number, without regard to its
/// lists of addresses and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Served {
    /// Everybody who can connect.
    Everybody,
    /// Clients with a certificate or a key, or that `auth.url` lets in.
    Some,
    /// Nobody: the api is not active.
    Nobody,
}

/// A path on which one api reaches what another serves to fewer clients.
#[derive(Debug)]
pub(crate) struct Breach<'c> {
    pub open: &'c Api,
    /// The path that clients of `open` request.
    pub path: String,
    /// The path that goes upstream.
    pub upstream_path: String,
    pub guarded: &'c Api,
}

impl Config {
    /// Creates the router for these apis, which returns indices into [`Config::apis`].
    pub fn router(&self) -> Router {
        let lists = self.lists();
        let specs = self.apis.iter().zip(&lists).map(|(api, lists)| RouteSpec {
            hosts: &api.hosts,
            listen_path: &api.listen_path,
            active: api.active,
            guarded: api.served() != Served::Everybody,
            lists: *lists,
        });
        let specs: Vec<_> = specs.collect();
        let guarded = |id: &RouteId| self.api(*id).served() != Served::Everybody;
        let guards = |id: &RouteId| guarded(id) || lists[usize::from(*id)] != [None; 3];
        let rewrites = |id: &RouteId| self.api(*id).rewrites_paths();
        let servers = self.servers().into_iter();
        let servers = servers.filter(|ids| ids.iter().any(guards) && ids.iter().any(rewrites));
        let servers = servers.map(|ids| {
            let paths = ids.iter().map(|id| {
                let api = self.api(*id);
                let (path, rewritten) = (api.upstream_path(), api.rewrites_paths());
                ServerPath { api: *id, path, rewritten, guarded: guarded(id) }
            });
            Server(paths.collect())
        });
        Router::new(&specs, &servers.collect::<Vec<_>>())
    }

    /// The lists of each api that say which clients and pages may use it.
    fn lists(&self) -> Vec<Lists> {
        let clients = || self.apis.iter().map(|api| &api.clients);
        let allow = firsts(clients().map(|own| Some(&own.allow).filter(|list| !list.is_empty())));
        let deny = firsts(clients().map(|own| Some(&own.deny).filter(|list| !list.is_empty())));
        let pages = clients().map(|own| &own.allowed_origins);
        let pages = firsts(pages.map(|list| Some(list).filter(|list| !list.is_empty())));
        let addresses = allow.into_iter().zip(deny);
        addresses.zip(pages).map(|((allow, deny), pages)| [allow, deny, pages]).collect()
    }

    fn api(&self, id: RouteId) -> &Api {
        &self.apis[usize::from(id)]
    }

    fn ids(&self) -> impl Iterator<Item = RouteId> {
        (0..=RouteId::MAX).zip(&self.apis).map(|(id, _)| id)
    }

    /// The apis that lead to each server. Each name counts as a server, even if another name has
    /// the same address, because they may be two sites.
    fn servers(&self) -> Vec<Vec<RouteId>> {
        let mut servers: BTreeMap<(String, u16), Vec<RouteId>> = BTreeMap::new();
        let targets =
            || self.ids().flat_map(|id| self.api(id).targets.iter().map(move |t| (id, t)));
        for (id, target) in targets() {
            match target.addresses.as_slice() {
                [address] if !target.has_name() => {
                    servers.entry(server_key(address)).or_default().push(id);
                }
                _ => {
                    let name = (target.host.trim_end_matches('.').to_owned(), target.port);
                    servers.entry(name).or_default().push(id);
                }
            }
        }
        // A name and its address are the same server.
        for (id, target) in targets().filter(|(_, target)| target.has_name()) {
            for key in target.addresses.iter().map(server_key) {
                if let Some(ids) = servers.get_mut(&key)
                    && !ids.contains(&id)
                {
                    ids.push(id);
                }
            }
        }
        servers.into_values().collect()
    }

    /// Finds the pairs of apis of which one reaches what the other serves to fewer clients.
    pub(crate) fn breaches(&self) -> Vec<Breach<'_>> {
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

    /// The part of `guarded` that `open` reaches, if any: a path of their common server that
    /// clients can request through both.
    fn breach(&self, open: RouteId, guarded: RouteId, router: &Router) -> Option<Breach<'_>> {
        let apis = [self.api(open), self.api(guarded)];
        if !apis[1].is_guarded_against(apis[0]) {
            return None;
        }
        let [a, b] = apis.map(Api::upstream_path);
        let contains = route::below(&b, &a).is_some();
        if !contains && apis[1].served() == Served::Nobody {
            // A part of what an inactive api would serve may belong to another api.
            return None;
        }
        let upstream_path = if contains { b } else { a };
        let [path, guarded_path] = apis.map(|api| api.listen_path_to(&upstream_path));
        let (path, guarded_path) = (path?, guarded_path?);
        let opens = |host: Option<&str>| router.owner(host, path.as_bytes()) == Some(open);
        let guards =
            |host: Option<&str>| router.owner(host, guarded_path.as_bytes()) == Some(guarded);
        // A server that gets the client's Host may have a site for each host.
        let reaches = if apis.iter().all(|api| api.preserve_host_header) {
            self.hosts_of(apis[0]).any(|host| opens(host) && guards(host))
        } else {
            self.hosts_of(apis[0]).any(opens) && self.hosts_of(apis[1]).any(guards)
        };
        reaches.then_some(Breach { open: apis[0], path, upstream_path, guarded: apis[1] })
    }

    /// The hosts that an api serves. None stands for any host that no api names.
    fn hosts_of<'c>(&'c self, api: &'c Api) -> impl Iterator<Item = Option<&'c str>> {
        let serves_all = api.hosts.is_empty();
        let others = if serves_all { self.apis.as_slice() } else { &[] };
        let any = serves_all.then_some(None);
        let named = api.hosts.iter().chain(others.iter().flat_map(|other| &other.hosts));
        any.into_iter().chain(named.map(|host| Some(host.as_str())))
    }
}

/// For the list of each api, the first api with an equal list. None for an api without a list.
fn firsts<'l, L: PartialEq + 'l>(
    lists: impl Iterator<Item = Option<&'l L>>,
) -> Vec<Option<RouteId>> {
    let mut known: Vec<(&L, RouteId)> = Vec::new();
    let firsts = (0..=RouteId::MAX).zip(lists).map(|(id, list)| {
        let list = list?;
        let same = known.iter().find(|(other, _)| *other == list).map(|(_, first)| *first);
        if same.is_none() {
            known.push((list, id));
        }
        same.or(Some(id))
    });
    firsts.collect()
}

/// The apis at this path, above it, and below it.
fn related(by_path: &BTreeMap<String, Vec<RouteId>>, path: &str) -> Vec<RouteId> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let above = ends.filter_map(|end| by_path.get(&path[..end]));
    let start = format!("{path}/");
    let below = by_path.range(start.clone()..).take_while(|(other, _)| other.starts_with(&start));
    above.chain(below.map(|(_, ids)| ids)).flatten().copied().collect()
}

/// A canonical key for an address. All loopback addresses count as one, because most servers listen
/// on all of them, and so does the unspecified address, which reaches the loopback too.
fn server_key(address: &Address) -> (String, u16) {
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
    /// The clients that it serves.
    pub(crate) fn served(&self) -> Served {
        match (self.active, self.is_guarded()) {
            (false, _) => Served::Nobody,
            (true, true) => Served::Some,
            (true, false) => Served::Everybody,
        }
    }

    /// True if it does not serve all clients and pages that `open` serves.
    fn is_guarded_against(&self, open: &Api) -> bool {
        let is_listed = || !self.clients.lists_unlike(&open.clients).is_empty();
        open.served() < self.served() || self.active && open.active && is_listed()
    }

    /// The path that goes upstream for `listen_path`, without unnecessary escapes. Begins with a
    /// slash and ends without one; empty for `/`.
    fn upstream_path(&self) -> String {
        let kept = if self.strip_listen_path { "" } else { &self.listen_path };
        route::normalized(&(self.target().path.clone() + kept))
    }

    /// True exactly when other paths go upstream than clients request.
    fn rewrites_paths(&self) -> bool {
        self.upstream_path() != route::normalized(&self.listen_path)
    }

    /// The path that clients request to reach `upstream_path`.
    fn listen_path_to(&self, upstream_path: &str) -> Option<String> {
        let rest = route::below(upstream_path, &self.upstream_path())?;
        Some(self.listen_path.clone() + rest)
    }
}
