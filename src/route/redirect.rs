//! Rewrites the references in Location and Content-Location (RFC 9110 sections 10.2.2 and 8.7) from
//! the server's paths to the client's.
//!
//! A server behind a proxy names itself and its paths as the proxy requests them: with another
//! host, without the prefix that was stripped, or with one that was added. A reference to that
//! server is rewritten to the path by which the client reaches it. References to other servers are
//! not changed. Neither are relative ones, because they are resolved against the end of the path,
//! which is the same on both sides.
//!
//! A server that knows its prefix (X-Forwarded-Prefix) includes it. So a path that begins with a
//! removed prefix is not changed, unless it begins with the target's own path.
//!
//! Tested against tables.

use super::path::{behind, is_below};

/// How a server is reached. Paths begin with a slash and end without one; empty ones are `/`.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// The prefix that a proxy in front of this one removed.
    pub outer: &'a str,
    /// The prefix that this proxy removed.
    pub stripped: &'a str,
    /// The prefix that replaces it.
    pub base: &'a str,
}

/// The scheme of an absolute reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
    /// That of the request: the reference begins with `//`.
    Same,
}

impl Scheme {
    /// True if it may be `https`, or `http` unless `secure`.
    pub fn may_be(self, secure: bool) -> bool {
        self != if secure { Scheme::Http } else { Scheme::Https }
    }
}

/// The reference that a client should get instead of `location`. None if it is passed on unchanged.
/// `is_own` returns whether a scheme and an authority name the server.
pub fn as_seen(
    location: &[u8],
    reach: Reach<'_>,
    is_own: impl Fn(Scheme, &str) -> bool,
) -> Option<Vec<u8>> {
    let (origin, rest) = split(location);
    if let Some((scheme, authority)) = origin
        && !is_own(scheme, str::from_utf8(authority).ok()?)
    {
        return None;
    }
    let (path, tail) = rest.split_at(end_of(rest, b"?#"));
    // A reference without a path is relative, but if it names a server it means the root.
    let path = if path.is_empty() && origin.is_some() { b"/" } else { path };
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut seen = reach.seen(path)?;
    if seen.is_empty() {
        seen.push(b'/');
    }
    seen.extend_from_slice(tail);
    // Browsers would take either of these for the beginning of an authority.
    let is_path = !matches!(seen.get(1), Some(b'/' | b'\\'));
    (is_path && seen != location).then_some(seen)
}

/// True if two authorities are the same with this scheme. The scheme's default port makes no
/// difference.
pub fn is_same_authority(scheme: Scheme, one: &str, other: &str) -> bool {
    let usual = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
        Scheme::Same => "",
    };
    let [one, other] = [one, other].map(|text| text.strip_suffix(usual).unwrap_or(text));
    one.eq_ignore_ascii_case(other)
}

impl Reach<'_> {
    /// The path by which a client reaches a path of the server. None if there is none.
    fn seen(self, path: &[u8]) -> Option<Vec<u8>> {
        let below = |above: &str| behind(path, above.as_bytes()).filter(|rest| is_below(rest));
        let Reach { outer, stripped, base } = self;
        let prefix = [outer, stripped].concat();
        Some(match below(base) {
            Some(rest) if !base.is_empty() => [prefix.as_bytes(), rest].concat(),
            _ if !prefix.is_empty() && below(&prefix).is_some() => path.to_vec(),
            _ if !stripped.is_empty() && below(stripped).is_some() => {
                [outer.as_bytes(), path].concat()
            }
            rest => [prefix.as_bytes(), rest?].concat(),
        })
    }
}

/// The scheme and the authority of a reference, if it has an authority with the scheme `http`,
/// `https` or none, and the rest. With any other scheme the rest is not a path.
fn split(location: &[u8]) -> (Option<(Scheme, &[u8])>, &[u8]) {
    let schemes: [(&[u8], Scheme); 3] =
        [(b"http://", Scheme::Http), (b"https://", Scheme::Https), (b"//", Scheme::Same)];
    for (start, scheme) in schemes {
        if location.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start)) {
            let (authority, rest) =
                location[start.len()..].split_at(end_of(&location[start.len()..], b"/?#\\"));
            return (Some((scheme, authority)), rest);
        }
    }
    (None, location)
}

/// The offset of the first of these bytes, or the length.
fn end_of(text: &[u8], bytes: &[u8]) -> usize {
    text.iter().position(|byte| bytes.contains(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what a client gets for the `location` of a server that is reached as `internal:8000`.
    #[track_caller]
    fn check(reach: Reach<'_>, location: &str, want: &str) {
        let is_own = |scheme, authority: &str| {
            scheme != Scheme::Https && is_same_authority(scheme, authority, "internal:8000")
        };
        let seen = as_seen(location.as_bytes(), reach, is_own);
        let seen =
            seen.map_or_else(|| location.to_owned(), |seen| String::from_utf8(seen).unwrap());
        assert_eq!(seen, want, "{location} {reach:?}");
    }

    #[test]
    fn where_nothing_is_stripped() {
        let reach = Reach { outer: "", stripped: "", base: "" };
        check(reach, "http://internal:8000/api/x?a=/b#c", "/api/x?a=/b#c");
        check(reach, "HTTP://Internal:8000/api", "/api");
        check(reach, "//internal:8000/api", "/api");
        check(reach, "http://internal:8000", "/");
        check(reach, "http://internal:8000?a", "/?a");
        for stays in [
            "/api/x",
            "/other",
            "x",
            "../x",
            "?x",
            "#x",
            "",
            "http://internal/api",
            "https://internal:8000/api",
            "http://internal:8000.evil.example/",
            "http://internal:8000@evil.example/",
            "http://user@internal:8000/",
            "ftp://internal:8000/x",
            "mailto:a@internal",
            "javascript:alert(1)",
            // These would be taken for another server.
            "http://internal:8000//evil.example/",
            "http://internal:8000/\\evil.example/",
            "//internal:8000//evil.example",
            "http://internal:8000\\@evil.example/",
        ] {
            check(reach, stays, stays);
        }
    }

    #[test]
    fn where_a_path_is_stripped() {
        let reach = Reach { outer: "", stripped: "/api", base: "" };
        check(reach, "/login?next=/x", "/api/login?next=/x");
        check(reach, "/", "/api/");
        check(reach, "http://internal:8000/login", "/api/login");
        check(reach, "http://internal:8000", "/api/");
        check(reach, "/apis/x", "/api/apis/x");
        check(reach, "//x/y", "//x/y");
        check(reach, "http://internal:8000//x", "/api//x");
        // The server knows its prefix.
        check(reach, "/api/login", "/api/login");
        check(reach, "/%61pi", "/%61pi");
        check(reach, "http://internal:8000/api?x", "/api?x");
        check(reach, "x", "x");
        let root = Reach { outer: "", stripped: "", base: "" };
        check(root, "/x", "/x");
        check(root, "http://internal:8000/x", "/x");
    }

    #[test]
    fn where_a_path_is_put_in_front() {
        let reach = Reach { outer: "", stripped: "/api", base: "/v1" };
        check(reach, "/v1/login", "/api/login");
        check(reach, "/v1", "/api");
        check(reach, "/v1?x", "/api?x");
        check(reach, "/v10/login", "/v10/login");
        check(reach, "/login", "/login");
        check(reach, "http://internal:8000/login", "http://internal:8000/login");
        check(reach, "/api/login", "/api/login");
        let same = Reach { outer: "", stripped: "/api", base: "/api" };
        check(same, "/api/login", "/api/login");
        let longer = Reach { outer: "", stripped: "/api", base: "/api/v1" };
        check(longer, "/api/v1/login", "/api/login");
        let kept = Reach { outer: "", stripped: "", base: "/v1" };
        check(kept, "/v1/api/x", "/api/x");
        check(kept, "/v1", "/");
        check(kept, "/v1//x", "/v1//x");
    }

    #[test]
    fn where_a_proxy_in_front_has_stripped_a_path() {
        let reach = Reach { outer: "/outer", stripped: "/api", base: "" };
        check(reach, "/login", "/outer/api/login");
        check(reach, "http://internal:8000/login", "/outer/api/login");
        check(reach, "/outer/api/login", "/outer/api/login");
        check(reach, "/api/login", "/outer/api/login");
        check(reach, "/outer", "/outer/api/outer");
        let outer = Reach { outer: "/outer", stripped: "", base: "/v1" };
        check(outer, "/v1/x", "/outer/x");
        check(outer, "/outer/x", "/outer/x");
        check(outer, "/x", "/x");
    }

    #[test]
    fn ports() {
        let same = |scheme, one, other| is_same_authority(scheme, one, other);
        assert!(same(Scheme::Http, "a", "A:80") && same(Scheme::Https, "a:443", "a"));
        assert!(!same(Scheme::Http, "a", "a:443") && !same(Scheme::Same, "a", "a:80"));
        assert!(!same(Scheme::Http, "a:8080", "a") && !same(Scheme::Http, "a:80", "b"));
    }
}
