//! `uri-host [ ":" port ]`: the value of Host, and the authority of an absolute target.
//!
//! It decides which api serves a request, and the upstream may choose a site by it. RFC 3986
//! section 3.2.2 lets a registered name contain percent escapes and eleven punctuation marks. No
//! name in use has them and parsers disagree about them, so they are refused, as is user
//! information. A port may be empty (section 3.2.3), and then means the scheme's default.
//!
//! Tested against a table.

use super::abnf::is_unreserved;
use std::net::Ipv6Addr;

/// Maximum length of a host in bytes: a domain name has at most 253 and perhaps a trailing dot.
pub const HOST_MAX: usize = 255;

/// A host with an optional port, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'b> {
    /// The whole authority, such as `a.example:8080`.
    pub text: &'b str,
    /// A registered name, an IPv4 address, or an IPv6 address in brackets. Never empty.
    pub host: &'b str,
    /// The port, if one was sent and is not empty.
    pub port: Option<u16>,
}

impl<'b> Authority<'b> {
    /// Parses all of `text`. `None` unless it is a host with an optional port.
    pub fn parse(text: &'b [u8]) -> Option<Authority<'b>> {
        let text = str::from_utf8(text).ok()?;
        let (host, rest) = match text.find(']') {
            Some(bracket) => text.split_at(bracket + 1),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some("") => None,
            Some(digits) => Some(parse_port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        is_host(host).then_some(Authority { text, host, port })
    }

    /// True if both name the same host and port, given the scheme's default port (RFC 9110 section
    /// 4.2.3).
    pub fn agrees(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default_port);
        self.host.eq_ignore_ascii_case(other.host) && port(self) == port(other)
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn is_host(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match literal {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // An IPv4 address consists of unreserved characters, too (RFC 3986 section 2.3).
        None => (1..=HOST_MAX).contains(&host.len()) && host.bytes().all(is_unreserved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, Option<u16>)>) {
        let got = Authority::parse(text.as_bytes());
        assert_eq!(got.map(|a| (a.host, a.port)), want, "{text:?}");
        assert!(got.is_none_or(|a| a.text == text));
    }

    #[test]
    fn hosts() {
        check("a.example", Some(("a.example", None)));
        check("A.Example.:8080", Some(("A.Example.", Some(8080))));
        check("a_b~c-1", Some(("a_b~c-1", None)));
        check("127.0.0.1:0", Some(("127.0.0.1", Some(0))));
        check("a:65535", Some(("a", Some(65535))));
        check("a:", Some(("a", None)));
        check("a:00080", Some(("a", Some(80))));
        check("[::1]", Some(("[::1]", None)));
        check("[2001:db8::A]:443", Some(("[2001:db8::A]", Some(443))));
        check("[::ffff:1.2.3.4]", Some(("[::ffff:1.2.3.4]", None)));
    }

    #[test]
    fn what_is_no_host() {
        let long = "a".repeat(HOST_MAX + 1);
        for text in [
            "",
            ":80",
            "a:b",
            "a:+1",
            "a:-1",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a@b",
            "u:p@b",
            "a%2eb",
            "a;b",
            "a!b",
            "a$b",
            "a'b",
            "a*b",
            "*",
            "a\tb",
            "a\0b",
            "é",
            "\u{7f}",
            "::1",
            "[",
            "]",
            "[]",
            "[::1",
            "::1]",
            "[::1]a",
            "a[::1]",
            "[::1]]",
            "[[::1]]",
            "[::1%25eth0]",
            "[v1.a]",
            "[1.2.3.4]",
            "[a]",
            "[::1] ",
            " a",
            "http://a",
            "<a>",
            "\"a\"",
            &long,
        ] {
            check(text, None);
        }
        assert_eq!(Authority::parse(b"\xff"), None);
    }

    #[test]
    fn agreement() {
        for (a, b, port, want) in [
            ("a.example", "A.EXAMPLE", 80, true),
            ("a.example", "a.example:80", 80, true),
            ("a.example:443", "a.example", 443, true),
            ("a.example:80", "a.example", 443, false),
            ("a.example:8080", "a.example", 80, false),
            ("a.example", "a.example.", 80, false),
            ("a.example", "b.example", 80, false),
        ] {
            let [a, b] = [a, b].map(|text| Authority::parse(text.as_bytes()).unwrap());
            assert_eq!(a.agrees(&b, port), want, "{a:?} {b:?}");
            assert_eq!(b.agrees(&a, port), want, "{b:?} {a:?}");
        }
    }
}
