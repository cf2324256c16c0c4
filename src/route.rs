//! From a host and a path to an api, and to the path that goes upstream.
//!
//! A listen path matches on the borders of segments: `/sse` matches `/sse`, `/sse/` and `/sse/x`,
//! never `/ssefoo`. Of several apis one with a matching host goes before one without, and then the
//! longest listen path wins. An api that is not active keeps its place: what it would have got goes
//! to nobody, and not to an api with a shorter path, which never asked for it.
//!
//! The routes lie in the order in which they win, so the first match is the answer. A walk through
//! a short array is faster than anything clever, and there are rarely more than a few dozen.
//!
//! Hosts are compared without their port, in any case; a dot at the end of a name (it stands for
//! the root of the DNS) makes no difference, nor does the way in which an IPv6 address is written.
//!
//! A percent escape of a letter, a digit or `-._~` is that character, and the digits of an escape
//! have no case (RFC 3986 section 6.2.2): `/%73se` is `/sse` to whoever serves it, so it is here.
//! What goes upstream is still what the client wrote.
//!
//! Tested against a naive router, over all sets of a dozen routes.

use std::net::Ipv6Addr;

/// An api, by its position among the specs that the router was made from.
pub type RouteId = u16;

/// What is to be known of an api to route to it.
#[derive(Clone, Copy, Debug)]
pub struct RouteSpec<'s> {
    /// Names without a dot at their end, or addresses, IPv6 in brackets; no ports. Empty: any host.
    pub hosts: &'s [String],
    /// Begins with a slash and ends without one; empty for `/`.
    pub listen_path: &'s str,
    /// False: its requests go to nobody.
    pub active: bool,
}

/// Finds the api of a request.
#[derive(Debug)]
pub struct Router {
    /// The one that wins first: those with a host, then those with longer paths.
    routes: Vec<Route>,
}

/// One host (or all of them) and one path.
#[derive(Debug)]
struct Route {
    host: Option<Host<Box<str>>>,
    path: Box<[u8]>,
    /// True exactly when the path has no escapes.
    plain: bool,
    /// None if it is not active.
    id: Option<RouteId>,
}

impl Router {
    /// The router for these apis, of which at most 65,536 can be numbered.
    pub fn new(specs: &[RouteSpec<'_>]) -> Router {
        // The first that matches is the one that is looked for.
        let rank = |route: &Route| (route.host.is_none(), usize::MAX - route.path.len());
        let mut routes: Vec<Route> = Vec::new();
        let mut add = |route: Route| {
            let behind = routes.partition_point(|other| rank(other) <= rank(&route));
            routes.insert(behind, route);
        };
        for (id, spec) in (0..=RouteId::MAX).zip(specs) {
            let route = |host: Option<&String>| Route {
                host: host.map(|host| Host::of(host).to_owned()),
                path: spec.listen_path.as_bytes().into(),
                plain: !spec.listen_path.contains('%'),
                id: spec.active.then_some(id),
            };
            if spec.hosts.is_empty() {
                add(route(None));
            }
            spec.hosts.iter().for_each(|host| add(route(Some(host))));
        }
        Router { routes }
    }

    /// The api for a request to `authority`, the host and perhaps the port as the client sent them,
    /// and `path`, without query, its dot segments resolved. None if there is no api, or if the one
    /// that matches is not active.
    pub fn find(&self, authority: Option<&str>, path: &[u8]) -> Option<RouteId> {
        let host = authority.map(Host::of);
        let plain = !path.contains(&b'%');
        let matches = |route: &&Route| {
            let rest = match plain && route.plain {
                true => path.strip_prefix(&*route.path),
                false => behind(path, &route.path),
            };
            rest.is_some_and(|rest| rest.first().is_none_or(|&b| b == b'/'))
                && route.host.as_ref().is_none_or(|own| host.is_some_and(|host| own.is(host)))
        };
        self.routes.iter().find(matches)?.id
    }
}

/// What `path` has behind `listen_path`, if that is how it begins.
fn behind<'p>(path: &'p [u8], listen_path: &[u8]) -> Option<&'p [u8]> {
    let (mut rest, mut wanted) = (path, listen_path);
    while let Some((want, next)) = first(wanted) {
        let (got, left) = first(rest)?;
        if got != want {
            return None;
        }
        (rest, wanted) = (left, next);
    }
    Some(rest)
}

/// The first character of a path, and the rest. True beside it if it is an escape that must stay
/// one.
fn first(path: &[u8]) -> Option<((u8, bool), &[u8])> {
    if let [b'%', high, low, rest @ ..] = path
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        let byte = high << 4 | low;
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        return Some(((byte, !unreserved), rest));
    }
    let (byte, rest) = path.split_first()?;
    Some(((*byte, false), rest))
}

fn digit(hex: u8) -> Option<u8> {
    u8::try_from(char::from(hex).to_digit(16)?).ok()
}

/// What is compared of an authority.
#[derive(Clone, Copy, Debug)]
enum Host<Name> {
    /// A name or an IPv4 address.
    Name(Name),
    V6(Ipv6Addr),
}

impl<'a> Host<&'a str> {
    /// Takes `host[:port]` apart. What is no host is a name that no api has.
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

/// Writes the path and query that go upstream behind what `out` has: the target's path `base`, then
/// the request's `path`, without its `listen_path` if that is to `strip`; then the target's query
/// and the request's.
///
/// `listen_path` and `base` begin with a slash and end without one, or are empty; `path` is one
/// that `listen_path` matched. All else is the client's bytes.
pub fn upstream_path(
    listen_path: &str,
    strip: bool,
    base: &str,
    base_query: Option<&str>,
    path: &[u8],
    query: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let stripped = behind(path, listen_path.as_bytes()).filter(|_| strip);
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

/// A path as a server reads it that takes escaped slashes for slashes, and several for one. None if
/// it has none of these.
pub fn read_otherwise(path: &[u8]) -> Option<Vec<u8>> {
    if !path.contains(&b'%') && !path.windows(2).any(|two| two == b"//") {
        return None;
    }
    let (mut read, mut rest) = (Vec::with_capacity(path.len()), path);
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = match rest {
            [b'%', b'2', b'f' | b'F', behind @ ..] | [b'%', b'5', b'c' | b'C', behind @ ..] => {
                (b'/', behind)
            }
            _ => (byte, behind),
        };
        if byte != b'/' || read.last() != Some(&b'/') {
            read.push(byte);
        }
        rest = behind;
    }
    (read != path).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Api {
        hosts: Vec<String>,
        listen_path: &'static str,
        active: bool,
    }

    fn router(apis: &[Api]) -> Router {
        let specs = apis.iter().map(|api| RouteSpec {
            hosts: &api.hosts,
            listen_path: api.listen_path,
            active: api.active,
        });
        Router::new(&specs.collect::<Vec<_>>())
    }

    fn api(hosts: &[&str], listen_path: &'static str) -> Api {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Api { hosts, listen_path, active: true }
    }

    /// Looks at all of them, and says the rule in other words.
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

    #[test]
    fn escapes() {
        let check = |path: &str, listen_path: &str, want: Option<&str>| {
            let got = behind(path.as_bytes(), listen_path.as_bytes());
            assert_eq!(got, want.map(str::as_bytes), "{path} {listen_path}");
        };
        check("/%73se/%41", "/sse", Some("/%41"));
        check("/s%73%65", "/sse", Some(""));
        check("/a%2Fb/c", "/a%2fb", Some("/c"));
        check("/a/b", "/a%2Fb", None);
        check("/aA", "/a%41", Some(""));
        check("/%2573se", "/sse", None);
        check("/s%7", "/sse", None);
        check("/x", "", Some("/x"));
    }

    #[test]
    fn what_others_may_read() {
        let check = |path: &str, want: Option<&str>| {
            let read = read_otherwise(path.as_bytes());
            assert_eq!(read.as_deref(), want.map(str::as_bytes), "{path}");
        };
        check("/a/b/", None);
        check("/a%2eb%2", None);
        check("//a", Some("/a"));
        check("/a///b//", Some("/a/b/"));
        check("/a%2Fb%2f%5c/c", Some("/a/b/c"));
        check("/%2f%2F", Some("/"));
    }
}
