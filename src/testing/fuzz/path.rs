//! Routing: which api a request goes to, and which path it requests from the upstream.

use crate::http::target::RequestTarget;
use crate::route::readings::{READINGS_MAX, naive};
use crate::route::{RouteSpec, Router, upstream_path};

/// Lines of text. Up to an empty line, each line is an api: `/listen/path`, or `a.example,b.example
/// /listen/path /base/path`. After it, each line is a request: `a.example /path?query`. An api
/// prefixed with `!` is not active, one with `-` strips its listen path, and one with `=` is
/// guarded. No path climbs, and the router agrees with a naive one.
pub fn route(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let apis: Vec<Api> = lines.by_ref().map_while(Api::read).take(20).collect();
    let specs: Vec<RouteSpec<'_>> = apis
        .iter()
        .map(|api| RouteSpec {
            hosts: &api.hosts,
            listen_path: &api.listen_path,
            active: api.active,
            guarded: api.guarded,
            lists: [None; 3],
        })
        .collect();
    let router = Router::new(&specs, &[]);
    for line in lines.take(20) {
        let (host, target) = line.split_once(' ').unwrap_or(("", line));
        let host = Some(host).filter(|host| !host.is_empty());
        let Ok(target) = RequestTarget::parse("GET", target) else {
            continue;
        };
        let mut path = Vec::new();
        let resolved = target.resolve_path(&mut path);
        let naive = naive_path(target.path);
        if resolved.is_err() {
            continue;
        }
        let path = String::from_utf8(path).unwrap();
        assert_eq!(naive.as_ref(), Some(&path), "{:?}", target.path);
        let found = router.find(host, path.as_bytes());
        assert_eq!(found, naive_find(&apis, host, &path), "{host:?} {path:?} {apis:?}");
        check_climbing(&path);
        if let Some(id) = found
            && let Ok(guarded) = router.is_guarded_otherwise(host, path.as_bytes(), id)
        {
            assert_eq!(
                guarded,
                naive_guarded(&apis, host, &path, id),
                "{host:?} {path:?} {apis:?}"
            );
        }
        if let Some(api) = found.map(|id| &apis[usize::from(id)]) {
            check_upstream(api, &path, target.query);
        }
    }
}

#[derive(Debug)]
struct Api {
    hosts: Vec<String>,
    listen_path: String,
    base: String,
    active: bool,
    guarded: bool,
    strip: bool,
}

impl Api {
    /// None for a line that is not an api. The configuration allows no more than is accepted here.
    fn read(line: &str) -> Option<Api> {
        let flags = line.len() - line.trim_start_matches(['!', '-', '=']).len();
        let (flags, line) = line.split_at(flags);
        let (hosts, paths) = line.split_once(' ').unwrap_or(("", line));
        let (listen_path, base) = paths.split_once(' ').unwrap_or((paths, "/"));
        let plain = |path: &str| {
            let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-_~/@:".contains(&b);
            path.starts_with('/') && path.bytes().all(unreserved) && !path.contains("//")
        };
        let host = |host: &str| !host.contains([':', '[', ']']) && !host.ends_with('.');
        let hosts: Vec<&str> = hosts.split(',').filter(|host| !host.is_empty()).collect();
        let is_api = plain(listen_path) && plain(base) && hosts.iter().all(|h| host(h));
        is_api.then(|| Api {
            hosts: hosts.into_iter().map(str::to_ascii_lowercase).collect(),
            listen_path: listen_path.trim_end_matches('/').to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            active: !flags.contains('!'),
            guarded: flags.contains('='),
            strip: flags.contains('-'),
        })
    }
}

/// The api that matches, if it is active.
fn naive_find(apis: &[Api], host: Option<&str>, path: &str) -> Option<u16> {
    naive_owner(apis, host, path).filter(|&id| apis[usize::from(id)].active)
}

/// True if some reading of a path leads to another api that is guarded or not active, for this host
/// or for one that a reading begins with.
fn naive_guarded(apis: &[Api], host: Option<&str>, path: &str, own: u16) -> bool {
    let all: Vec<String> = naive::readings(path.as_bytes(), READINGS_MAX).into_iter().collect();
    let with_host = all.iter().map(String::as_str).chain([path]);
    let named = with_host.filter_map(|reading| reading.strip_prefix("//")).filter_map(|rest| {
        let authority = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        if authority.is_empty() { None } else { authority.rsplit('@').next() }
    });
    let mut hosts = named.map(Some).chain([host]);
    hosts.any(|host| {
        all.iter().filter_map(|reading| naive_owner(apis, host, reading)).any(|id| {
            let api = &apis[usize::from(id)];
            id != own && (api.guarded || !api.active)
        })
    })
}

/// Of the apis that match: one with a host before one without, then the longer path, then the
/// first.
fn naive_owner(apis: &[Api], host: Option<&str>, path: &str) -> Option<u16> {
    let name = host.map(|host| host.split(':').next().unwrap_or_default().to_ascii_lowercase());
    let name = name.map(|name| name.strip_suffix('.').unwrap_or(&name).to_owned());
    let mut best: Option<(bool, usize, u16)> = None;
    for (id, api) in (0..).zip(apis) {
        let by_host = name.as_ref().is_some_and(|name| api.hosts.contains(name));
        let by_path = naive_rest(path, &api.listen_path).is_some();
        let better = best.is_none_or(|(h, len, _)| (by_host, api.listen_path.len()) > (h, len));
        if by_path && (by_host || api.hosts.is_empty()) && better {
            best = Some((by_host, api.listen_path.len(), id));
        }
    }
    best.map(|(.., id)| id)
}

/// The rest of a path after as many segments as the listen path has, if those are the same.
fn naive_rest<'p>(path: &'p str, listen_path: &str) -> Option<&'p str> {
    let segments = listen_path.matches('/').count();
    let end = path.match_indices('/').nth(segments).map_or(path.len(), |(at, _)| at);
    (soften(&path[..end]) == soften(listen_path)).then(|| &path[end..])
}

/// RFC 3986 section 6.2.2: escapes of unreserved characters decoded, the others in upper case.
fn soften(text: &str) -> String {
    let mut out = text.to_owned();
    for byte in (0..=u8::MAX).filter(|_| text.contains('%')) {
        let plain = char::from(byte);
        let unreserved = plain.is_ascii_alphanumeric() || "-._~".contains(plain);
        let escape = format!("%{byte:02X}");
        let kept = if unreserved { plain.to_string() } else { escape.clone() };
        let (high, low) = (&escape[1..2], &escape[2..]);
        for high in [high.to_owned(), high.to_lowercase()] {
            for low in [low.to_owned(), low.to_lowercase()] {
                // Marked as already decoded, or "%2541" would be decoded twice.
                out = out.replace(&format!("%{high}{low}"), &kept.replace('%', "\0"));
            }
        }
    }
    out
}

/// RFC 3986 section 5.2.4, with a stack of segments. None if the path climbs above the root.
fn naive_path(path: &str) -> Option<String> {
    let mut stack: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        match dots.as_str() {
            "." | ".." => {
                if dots == ".." {
                    stack.pop()?;
                }
                if at + 1 == segments.len() {
                    stack.push("");
                }
            }
            _ => stack.push(segment),
        }
    }
    Some(stack.iter().flat_map(|segment| ["/", segment]).collect())
}

/// Checks that no upstream finds a dot segment in this path: whether it decodes escapes before or
/// after it splits the path, and whether or not it removes parameters.
fn check_climbing(path: &str) {
    let decoded = decode(path);
    let before = decoded.split(['/', '\\']).map(str::to_owned);
    let after = path.split('/').map(decode);
    let cut = |segment: String| segment.split(';').next().unwrap_or_default().to_owned();
    let bare = path.split('/').map(|segment| decode(&cut(segment.to_owned())));
    for segment in before.chain(after).chain(bare) {
        let hides = matches!(segment.as_str(), "." | "..") || matches!(&*cut(segment), "." | "..");
        assert!(!hides, "{path:?} climbs for some");
    }
}

/// Decodes every escape once.
fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let escape = text.len() - behind.len();
        let digits = text.get(escape..escape + 2).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = &behind[2..];
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Checks that the base, the path or the rest of it, and the query go upstream.
fn check_upstream(api: &Api, path: &str, query: Option<&str>) {
    let mut out = Vec::new();
    let query_bytes = query.map(str::as_bytes);
    let (listen_path, base) = (&api.listen_path, &api.base);
    upstream_path(listen_path, api.strip, base, None, path.as_bytes(), query_bytes, &mut out);
    let out = String::from_utf8(out).unwrap();
    let rest = naive_rest(path, listen_path).filter(|_| api.strip).unwrap_or(path);
    let slash = if base.is_empty() && rest.is_empty() { "/" } else { "" };
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    assert_eq!(out, format!("{base}{rest}{slash}{query}"));
    assert!(out.starts_with('/') && out.bytes().all(|byte| byte.is_ascii_graphic()), "{out:?}");
    let again = RequestTarget::parse("GET", &out).expect("what goes upstream is a target");
    let mut resolved = Vec::new();
    again.resolve_path(&mut resolved).expect("with a path");
    assert_eq!(str::from_utf8(&resolved), Ok(again.path), "there is nothing left to resolve");
    let below = again.path == base || again.path.starts_with(&format!("{base}/"));
    assert!(below, "{out:?} is not below {base:?}");
}
