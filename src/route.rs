//! Routing: from a host and a path to an api, and to the path that goes upstream.
//!
//! A listen path matches whole segments: `/sse` matches `/sse`, `/sse/` and `/sse/x`, never
//! `/ssefoo`. An api with a matching host takes precedence over one without hosts; then the longest
//! listen path wins. An inactive api still takes part: its requests are not served by an api with a
//! shorter path, which was never meant to get them.
//!
//! The routes are sorted by precedence, so the first match wins. There are rarely more than a few
//! dozen, and nothing is faster than scanning a short array.
//!
//! Hosts are compared case-insensitively and without their port. A trailing dot (the root of the
//! DNS) and the spelling of an IPv6 address make no difference.
//!
//! A percent escape of a letter, a digit or `-._~` equals that character, and the digits of an
//! escape are case-insensitive (RFC 3986 section 6.2.2): `/%73se` is `/sse` to every server, and so
//! it is here. The upstream still gets what the client wrote.
//!
//! An api that requires a key, or is not active, guards its paths. So does one with a list of the
//! clients that may use it, against each api that does not have the same. Some servers read a path
//! differently from how it is written ([`mod@readings`]), so a path is refused if any reading of it
//! leads to another api that is guarded. If the path is rewritten on its way upstream, the readings
//! of the result are also compared with the guarded paths of the same server.
//!
//! Guarded paths that an open api reaches on the same server without any special reading are not
//! refused, because the operator may want that. `--check` and the log at startup warn about it.
//!
//! Tested against a naive router, over all subsets of a dozen routes.

mod path;
pub mod readings;
pub mod redirect;

use path::{behind, is_below};
pub use path::{below, normalized};
use readings::{TooManyReadings, readings};
use std::net::Ipv6Addr;

/// The index of an api among the specs that the router was created from.
pub type RouteId = u16;

/// The lists that say who may use an api: the addresses that may, those that may not, and the
/// pages. Each stands for the first api with an equal list. None for an empty list.
pub type Lists = [Option<RouteId>; 3];

/// Maximum number of hosts to consider for one path: the request's own, and others that its
/// readings name.
const HOSTS_MAX: usize = 4;

/// The properties of an api that routing needs.
#[derive(Clone, Copy, Debug)]
pub struct RouteSpec<'s> {
    /// The hosts: names without a trailing dot, or addresses, IPv6 in brackets; no ports. Empty:
    /// any host.
    pub hosts: &'s [String],
    /// The path prefix. Begins with a slash and ends without one; empty for `/`.
    pub listen_path: &'s str,
    /// True if the api serves its requests. If not, nothing does.
    pub active: bool,
    /// True if the api requires something that not every client has: a key.
    pub guarded: bool,
    /// The lists that say who may use it.
    pub lists: Lists,
}

/// A server shared by several apis. At least one of them is guarded, and at least one requests
/// other paths from it than clients request.
#[derive(Clone, Debug)]
pub struct Server(pub Vec<ServerPath>);

/// The paths that an api requests from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPath {
    /// The api.
    pub api: RouteId,
    /// The prefix of these paths, which begins with a slash and ends without one; empty for `/`.
    pub path: String,
    /// True if clients request other paths.
    pub rewritten: bool,
    /// True if the api is guarded or not active.
    pub guarded: bool,
}

/// Finds the api for a request.
#[derive(Debug)]
pub struct Router {
    /// The routes by precedence: those with a host first, then by length of path.
    routes: Vec<Route>,
    /// The lists of each api.
    lists: Vec<Lists>,
    /// The same routes together with the other readings of guarded paths, by precedence. Empty if
    /// no api is guarded.
    readings: Vec<Route>,
    /// The paths of each shared server.
    servers: Vec<Vec<Route>>,
    /// The apis that request other paths from a shared server than clients request, with the
    /// server's index.
    rewriting: Vec<(RouteId, usize)>,
}

/// One host, or all hosts, with one path.
#[derive(Clone, Debug)]
struct Route {
    host: Option<Host<Box<str>>>,
    path: Box<[u8]>,
    /// True if the path has no escapes.
    plain: bool,
    id: RouteId,
    active: bool,
    /// True if not every client is served: the api requires a key or is not active.
    guarded: bool,
}

impl Router {
    /// Creates the router for these apis, of which there may be at most 65,536.
    pub fn new(specs: &[RouteSpec<'_>], servers: &[Server]) -> Router {
        let mut routes = Vec::new();
        for (id, spec) in (0..=RouteId::MAX).zip(specs) {
            let guarded = spec.guarded || !spec.active;
            let path = spec.listen_path.as_bytes();
            let route = Route { active: spec.active, ..Route::new(id, path, guarded) };
            if spec.hosts.is_empty() {
                insert(&mut routes, route.clone());
            }
            for host in spec.hosts {
                insert(
                    &mut routes,
                    Route { host: Some(Host::of(host).to_owned()), ..route.clone() },
                );
            }
        }
        let lists: Vec<Lists> = specs.iter().map(|spec| spec.lists).collect();
        let differ = lists.windows(2).any(|two| two[0] != two[1]);
        let guards =
            |route: &&Route| route.guarded || differ && lists[usize::from(route.id)] != [None; 3];
        let mut readings = Vec::new();
        if routes.iter().any(|route| guards(&route)) {
            readings.clone_from(&routes);
            for route in routes.iter().filter(guards) {
                for path in self::readings(&route.path).unwrap_or_default() {
                    let path = path.strip_suffix(b"/").unwrap_or(&path).into();
                    insert(&mut readings, Route { path, plain: false, ..route.clone() });
                }
            }
        }
        let mut rewriting = Vec::new();
        let servers = servers.iter().enumerate().map(|(number, Server(paths))| {
            let mut routes = Vec::new();
            for ServerPath { api, path, rewritten, guarded } in paths {
                rewriting.extend(rewritten.then_some((*api, number)));
                insert(&mut routes, Route::new(*api, path.as_bytes(), *guarded));
            }
            routes
        });
        Router { routes, lists, readings, servers: servers.collect(), rewriting }
    }

    /// Finds the api for a request to `authority`, the client's host and optional port, and `path`,
    /// without query and with its dot segments resolved. None if no api matches, or if the one that
    /// does is not active.
    pub fn find(&self, authority: Option<&str>, path: &[u8]) -> Option<RouteId> {
        let route = best(&self.routes, authority.map(Host::of), path)?;
        route.active.then_some(route.id)
    }

    /// Like [`Router::find`], but also returns an api that is not active.
    pub fn owner(&self, authority: Option<&str>, path: &[u8]) -> Option<RouteId> {
        best(&self.routes, authority.map(Host::of), path).map(|route| route.id)
    }

    /// True if some server may read this request, which belongs to `own`, as one for another api
    /// that is guarded. A host that some reading of the path names, as in `//host/path`, may be the
    /// host of any of its readings.
    ///
    /// # Errors
    ///
    /// If the path has too many readings to examine.
    pub fn is_guarded_otherwise(
        &self,
        authority: Option<&str>,
        path: &[u8],
        own: RouteId,
    ) -> Result<bool, TooManyReadings> {
        if self.readings.is_empty() {
            return Ok(false);
        }
        let guards = |host: Option<&str>, path: &[u8]| {
            let route = best(&self.readings, host.map(Host::of), path);
            route.is_some_and(|route| self.is_guarded_against(route, own))
        };
        let others = readings(path)?;
        // A guarded path may have readings of its own.
        if self.readings.len() > self.routes.len() && guards(authority, path) {
            return Ok(true);
        }
        let all = || others.iter().map(Vec::as_slice);
        let mut hosts = vec![authority];
        for named in all().chain([path]).filter_map(readings::authority) {
            // None is equivalent to a name that no api has.
            let named = Some(named).filter(|named| self.has_host(named));
            if !hosts.contains(&named) {
                hosts.push(named);
            }
        }
        if hosts.len() > HOSTS_MAX {
            return Err(TooManyReadings);
        }
        Ok(hosts.iter().any(|host| all().any(|path| guards(*host, path))))
    }

    /// True if a route leads to another api that does not serve all clients of `own`.
    fn is_guarded_against(&self, route: &Route, own: RouteId) -> bool {
        let of = |id: RouteId| self.lists.get(usize::from(id)).copied().unwrap_or_default();
        let mut lists = of(route.id).into_iter().zip(of(own));
        let is_listed = lists.any(|(list, own)| list.is_some() && list != own);
        route.id != own && (route.guarded || is_listed)
    }

    /// True if some api has a host of this name.
    fn has_host(&self, name: &str) -> bool {
        let name = Host::of(name);
        self.readings.iter().any(|route| route.host.as_ref().is_some_and(|own| own.is(name)))
    }

    /// True if `own` requests other paths from a server than clients request and another api guards
    /// paths of that server, so that [`Router::is_guarded_upstream`] is needed.
    pub fn shares_servers(&self, own: RouteId) -> bool {
        self.rewriting.iter().any(|(api, _)| *api == own)
    }

    /// True if a server of `own` may read `path`, which is requested from it, as a path that
    /// another api guards, although as written it is not one.
    ///
    /// # Errors
    ///
    /// If the path has too many readings to examine.
    pub fn is_guarded_upstream(&self, path: &[u8], own: RouteId) -> Result<bool, TooManyReadings> {
        let others = readings(path)?;
        let servers = self.rewriting.iter().filter(|(api, _)| *api == own);
        let mut servers = servers.filter_map(|(_, number)| self.servers.get(*number));
        Ok(servers.any(|server| {
            let asked = best(server, None, path).map(|route| route.id);
            let found = others.iter().filter_map(|path| best(server, None, path));
            let mut found = found.filter(|route| self.is_guarded_against(route, own));
            found.any(|route| Some(route.id) != asked)
        }))
    }
}

impl Route {
    fn new(id: RouteId, path: &[u8], guarded: bool) -> Route {
        let plain = !path.contains(&b'%');
        Route { host: None, path: path.into(), plain, id, active: true, guarded }
    }
}

/// Inserts a route by precedence, so that the first match wins.
fn insert(routes: &mut Vec<Route>, route: Route) {
    let rank = |route: &Route| (route.host.is_none(), usize::MAX - route.path.len());
    let behind = routes.partition_point(|other| rank(other) <= rank(&route));
    routes.insert(behind, route);
}

fn best<'r>(routes: &'r [Route], host: Option<Host<&str>>, path: &[u8]) -> Option<&'r Route> {
    let plain = !path.contains(&b'%');
    let matches = |route: &&Route| {
        let rest = if plain && route.plain {
            path.strip_prefix(&*route.path)
        } else {
            behind(path, &route.path)
        };
        rest.is_some_and(is_below)
            && route.host.as_ref().is_none_or(|own| host.is_some_and(|host| own.is(host)))
    };
    routes.iter().find(matches)
}

/// The comparable part of an authority.
#[derive(Clone, Copy, Debug)]
enum Host<Name> {
    /// A name or an IPv4 address.
    Name(Name),
    V6(Ipv6Addr),
}

impl<'a> Host<&'a str> {
    /// Parses `host[:port]`. Anything that is not a host counts as a name that no api has.
    fn of(authority: &'a str) -> Host<&'a str> {
        if let Some((address, _)) = authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            return address.parse().map_or(Host::Name(authority), Host::V6);
        }
        let name = authority.split_once(':').map_or(authority, |(name, _)| name);
        Host::Name(name.strip_suffix('.').unwrap_or(name))
    }

    fn to_owned(self) -> Host<Box<str>> {
        match self {
            Host::Name(name) => Host::Name(name.into()),
            Host::V6(address) => Host::V6(address),
        }
    }
}

impl Host<Box<str>> {
    fn is(&self, other: Host<&str>) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            (Host::V6(a), Host::V6(b)) => *a == b,
            (Host::Name(_), Host::V6(_)) | (Host::V6(_), Host::Name(_)) => false,
        }
    }
}

/// Appends to `out` the path and query that go upstream: the target's path `base`, then the
/// request's `path`, without its `listen_path` if `strip` is set; then the target's query and the
/// request's.
///
/// `listen_path` and `base` begin with a slash and end without one, or are empty; `listen_path`
/// must match `path`. The rest consists of the client's own bytes.
pub fn upstream_path(
    listen_path: &str,
    strip: bool,
    base: &str,
    base_query: Option<&str>,
    path: &[u8],
    query: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let stripped = if strip { behind(path, listen_path.as_bytes()) } else { None };
    let rest = stripped.unwrap_or(path);
    out.extend_from_slice(base.as_bytes());
    out.extend_from_slice(rest);
    if base.is_empty() && rest.is_empty() {
        out.push(b'/');
    }
    let base_query = base_query.map(str::as_bytes);
    let queries = match (base_query, query) {
        (Some(own), None | Some(b"")) => [b"?", own, b"", b""],
        (Some(own), Some(query)) => [b"?", own, b"&", query],
        (None, Some(query)) => [b"?", query, b"", b""],
        (None, None) => return,
    };
    for part in queries {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Api {
        hosts: Vec<String>,
        listen_path: &'static str,
        active: bool,
        guarded: bool,
        lists: Lists,
    }

    fn router(apis: &[Api]) -> Router {
        let specs = apis.iter().map(|api| RouteSpec {
            hosts: &api.hosts,
            listen_path: api.listen_path,
            active: api.active,
            guarded: api.guarded,
            lists: api.lists,
        });
        Router::new(&specs.collect::<Vec<_>>(), &[])
    }

    fn api(hosts: &[&str], listen_path: &'static str) -> Api {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Api { hosts, listen_path, active: true, guarded: false, lists: [None; 3] }
    }

    /// Examines all apis and states the rule differently.
    fn find_naively(apis: &[Api], host: Option<&str>, path: &str) -> Option<RouteId> {
        let mut best: Option<((bool, usize), RouteId)> = None;
        for (id, api) in (0..).zip(apis) {
            let by_host = host.is_some_and(|host| api.hosts.iter().any(|own| own == host));
            let mut segments = path.split('/');
            let by_path = api.listen_path.split('/').all(|own| segments.next() == Some(own));
            let rank = (by_host, api.listen_path.len());
            let better = best.is_none_or(|(other, _)| rank > other);
            if by_path && (by_host || api.hosts.is_empty()) && better {
                best = Some((rank, id));
            }
        }
        best.map(|(_, id)| id).filter(|&id| apis[usize::from(id)].active)
    }

    #[test]
    fn agrees_with_the_naive_router() {
        let hosts: [&[&str]; 3] = [&[], &["a"], &["b", "c"]];
        let all: Vec<Api> = hosts
            .iter()
            .flat_map(|hosts| ["", "/s", "/s/t", "/ss"].map(|path| api(hosts, path)))
            .collect();
        let paths = ["/", "/s", "/s/", "/s/t", "/s/tt", "/s/t/u", "/ss", "/sss", "//s", "*", ""];
        for set in 0u32..1 << all.len() {
            for inactive in [0, 0b0101_1010_0110, !0b0101_1010_0110] {
                let is_in = |mask: u32, n: usize| mask >> n & 1 == 1;
                let apis: Vec<Api> = (0..all.len())
                    .filter(|&n| is_in(set, n))
                    .map(|n| Api { active: !is_in(inactive, n), ..all[n].clone() })
                    .collect();
                let router = router(&apis);
                for host in [None, Some("a"), Some("b"), Some("c"), Some("d")] {
                    for path in paths {
                        let want = find_naively(&apis, host, path);
                        let got = router.find(host, path.as_bytes());
                        assert_eq!(got, want, "{host:?} {path} {apis:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn hosts() {
        let check = |own: &str, authority: &str, want: bool| {
            let found = router(&[api(&[own], "")]).find(Some(authority), b"/");
            assert_eq!(found.is_some(), want, "{own} {authority}");
        };
        for authority in ["a.example", "A.eXample", "a.example:8080", "a.example.", "a.example.:80"]
        {
            check("a.example", authority, true);
        }
        for authority in ["", ":80", ".", "b.a.example", "a.example..", "aXexample", "[a.example]"]
        {
            check("a.example", authority, false);
        }
        check("127.0.0.1", "127.0.0.1:1", true);
        check("127.0.0.1", "127.0.0.2:1", false);
        for authority in ["[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[0::0001]:1"] {
            check("[::1]", authority, true);
        }
        for authority in ["::1", "[::2]", "[::1", "[]", "[::1%1]", "[::ffff:127.0.0.1]"] {
            check("[::1]", authority, false);
        }
    }

    #[test]
    fn an_api_that_is_not_active_keeps_its_place() {
        let mut apis = [api(&[], "/a"), api(&[], "/a/b")];
        assert_eq!(router(&apis).find(None, b"/a/b"), Some(1));
        apis[1].active = false;
        assert_eq!(router(&apis).find(None, b"/a/b"), None);
        assert_eq!(router(&apis).find(None, b"/a/bc"), Some(0));
    }

    #[test]
    fn other_readings_of_guarded_paths() {
        let guarded = |hosts: &[&str], path| Api { guarded: true, ..api(hosts, path) };
        let apis = [
            api(&[], ""),
            guarded(&[], "/secret"),
            guarded(&[], "/%40admin"),
            guarded(&["b.example"], ""),
            api(&["b.example"], "/open"),
            guarded(&["c.example"], "/v;1"),
        ];
        let router = router(&apis);
        let check = |host: &str, path: &str, want: bool| {
            let own = router.find(Some(host), path.as_bytes()).unwrap();
            let got = router.is_guarded_otherwise(Some(host), path.as_bytes(), own);
            assert_eq!(got, Ok(want), "{host} {path}");
        };
        check("a.example", "/secret;/x", true);
        check("a.example", "/secret/x;y", false);
        check("a.example", "/secrets;y", false);
        // All readings of the configured path count, too.
        check("a.example", "/@admin/x", true);
        check("a.example", "/%40admin/x", false);
        check("a.example", "/%2540admin", true);
        check("c.example", "/v/x", true);
        check("a.example", "/v/x", false);
        // A path that some servers use in place of Host.
        check("a.example", "//b.example/x", true);
        check("a.example", "//d.example/x", false);
        check("b.example", "/open%2f..x", false);
        check("b.example", "/open;/", false);
        let many: String = (0..9).map(|number| format!("//{number}")).collect();
        assert_eq!(router.is_guarded_otherwise(None, many.as_bytes(), 0), Ok(false));
        let too_many = "//x".repeat(200);
        let got = router.is_guarded_otherwise(None, too_many.as_bytes(), 0);
        assert_eq!(got, Err(TooManyReadings));
        let open = [api(&[], ""), api(&[], "/secret")].map(|api| RouteSpec {
            hosts: &[],
            listen_path: api.listen_path,
            active: true,
            guarded: false,
            lists: [None; 3],
        });
        let open = Router::new(&open, &[]);
        assert_eq!(open.is_guarded_otherwise(None, too_many.as_bytes(), 0), Ok(false));
    }

    /// A list guards against every api that does not have the same one.
    #[test]
    fn other_readings_of_paths_for_some_clients() {
        let listed = |lists, path| Api { lists, ..api(&[], path) };
        let apis = [
            api(&[], ""),
            listed([Some(1), None, None], "/a"),
            listed([Some(1), None, Some(2)], "/b"),
            listed([Some(3), None, None], "/c"),
        ];
        let router = router(&apis);
        let check = |path: &str, want: bool| {
            let own = router.find(None, path.as_bytes()).unwrap();
            let got = router.is_guarded_otherwise(None, path.as_bytes(), own);
            assert_eq!(got, Ok(want), "{path}");
        };
        check("//x/a", true);
        check("//x/y", false);
        check("/a/%2e%2e/b", true);
        check("/b/%2e%2e/a", false);
        check("/b/%2e%2e/c", true);
        check("/a/%2e%2e/c", true);
        check("/a/%2e%2e/x", false);
    }

    #[test]
    fn the_same_lists_guard_nothing() {
        let same = ["", "/a"].map(|path| Api { lists: [Some(0), None, None], ..api(&[], path) });
        let too_many = "//x".repeat(200);
        let got = router(&same).is_guarded_otherwise(None, too_many.as_bytes(), 0);
        assert_eq!(got, Ok(false));
    }

    #[test]
    fn paths_that_go_upstream() {
        let check = |listen_path, base, path: &str, kept: &str, stripped: &str| {
            for (strip, want) in [(false, kept), (true, stripped)] {
                let mut out = b"GET ".to_vec();
                upstream_path(listen_path, strip, base, None, path.as_bytes(), None, &mut out);
                let got = String::from_utf8(out).unwrap();
                assert_eq!(got, format!("GET {want}"), "{listen_path} {base} {path} {strip}");
            }
        };
        check("", "", "/", "/", "/");
        check("", "", "/x/", "/x/", "/x/");
        check("", "/base", "/x", "/base/x", "/base/x");
        check("/sse", "", "/sse", "/sse", "/");
        check("/sse", "", "/sse/", "/sse/", "/");
        check("/sse", "", "/sse/x", "/sse/x", "/x");
        check("/sse", "", "/sse//x", "/sse//x", "//x");
        check("/sse", "", "/sse/sse", "/sse/sse", "/sse");
        check("/sse", "/base", "/sse", "/base/sse", "/base");
        check("/sse", "/base", "/sse/", "/base/sse/", "/base/");
        check("/sse", "/base", "/sse/%2Fx", "/base/sse/%2Fx", "/base/%2Fx");
    }

    #[test]
    fn queries_that_go_upstream() {
        let check = |own: Option<&str>, query: Option<&str>, want: &str| {
            let mut out = Vec::new();
            let query = query.map(str::as_bytes);
            upstream_path("", false, "", own, b"/", query, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        };
        check(None, None, "/");
        check(None, Some(""), "/?");
        check(None, Some("a=1?&"), "/?a=1?&");
        check(Some("key=x"), None, "/?key=x");
        check(Some("key=x"), Some(""), "/?key=x");
        check(Some("key=x"), Some("a=1"), "/?key=x&a=1");
    }
}
