//! Normalizes the hosts, ports and paths in the configuration, so that they can be compared (RFC
//! 3986).

use crate::http::abnf::is_unreserved;
use crate::http::escape::{self, ESCAPE_LEN};
use crate::http::target::RequestTarget;
use crate::route::readings::readings;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Splits `host[:port]`. The host may be an IPv6 address in brackets; it is not checked here.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    // A colon inside brackets belongs to the address.
    let end_of_host = authority.find(']').unwrap_or(0);
    let Some(colon) = authority[end_of_host..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(end_of_host + colon);
    let port = &port[1..];
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port != 0 => Ok((host, Some(port))),
        Ok(_) | Err(_) => Err(NO_PORT),
    }
}

/// Normalizes a host: a name in lower case without a trailing dot, an IPv4 address, or an IPv6
/// address in brackets in its shortest form.
pub(crate) fn host(text: &str) -> Result<String, &'static str> {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|a| a.parse::<Ipv6Addr>().ok());
        return address
            .map(|a| format!("[{a}]"))
            .ok_or("not an IPv6 address; write one like [::1]");
    }
    if !text.is_ascii() {
        return Err("not ASCII; write an international name in its encoded form, with \"xn--\"");
    }
    if text == "*" {
        return Err("\"*\" is not a host; leave the key out to match every host");
    }
    if text.contains('*') {
        return Err("wildcards are not supported in a host; list each host");
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("not a host; write a name, an IPv4 address, or an IPv6 address in brackets");
    }
    // No top-level domain begins with a digit, but resolvers accept 127.1 and 0x7f.1 as addresses.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err("not an IPv4 address; write all four numbers, like 127.0.0.1");
    }
    Ok(name)
}

/// Normalizes a path by removing its trailing slash: `/a/b` for `/a/b/`, and an empty string for
/// `/`.
pub(crate) fn path(text: &str) -> Result<String, &'static str> {
    let rest =
        text.strip_prefix('/').ok_or("a path begins with a slash; write \"/\" or \"/a/b\"")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return if text.len() <= "/".len() { Ok(String::new()) } else { Err(EMPTY_SEGMENT) };
    }
    for segment in rest.split('/') {
        characters(segment, b"")?;
        if segment.is_empty() {
            return Err(EMPTY_SEGMENT);
        }
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        if dots == "." || dots == ".." {
            return Err(
                "\".\" and \"..\" mean other paths; write the path that is meant, without them",
            );
        }
    }
    let path = format!("/{rest}");
    let resolved = RequestTarget::parse("GET", &path).and_then(|t| t.resolve_path(&mut Vec::new()));
    resolved.map_err(|_| REFUSED)?;
    readings(path.as_bytes()).map_err(
        |_| "this path can be read in too many ways; write it with fewer escapes and \";\"",
    )?;
    Ok(path)
}

/// Checks a query without its question mark.
pub(crate) fn query(text: &str) -> Result<String, &'static str> {
    characters(text, b"/?")?;
    Ok(text.to_owned())
}

const NO_PORT: &str = "not a port; write a number from 1 to 65535 after the colon, and an IPv6 \
    address in brackets";
const REFUSED: &str = "requests for this path are refused; \
     write it without encoded control characters, and without dots beside \";\", %2F or %5C";
const EMPTY_SEGMENT: &str = "two slashes in a row; write one";

/// Checks that all characters are allowed in a path segment (RFC 3986 section 3.3), or are among
/// `more`.
fn characters(text: &str, more: &[u8]) -> Result<(), &'static str> {
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let plain = is_unreserved(*byte) || b"!$&'()*+,;=:@".contains(byte) || more.contains(byte);
        rest = if escape::first(rest).is_some() {
            &rest[ESCAPE_LEN..]
        } else if plain {
            behind
        } else {
            return Err("a character that must be escaped; write % and two hex digits for it");
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        let check = |text, host, port| assert_eq!(split_port(text), Ok((host, port)), "{text}");
        check("a", "a", None);
        check("a:80", "a", Some(80));
        check("[::1]", "[::1]", None);
        check("[::1]:65535", "[::1]", Some(65_535));
        check("", "", None);
        for text in ["a:", "a:0", "a:65536", "a:+1", "a:1:2", "::1", "[::1]:", "a:b", "a: 1"] {
            assert!(split_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let check = |text, want: &str| assert_eq!(host(text).as_deref(), Ok(want), "{text}");
        check("A.Example", "a.example");
        check("a.example.", "a.example");
        check("localhost", "localhost");
        check("my_service-1", "my_service-1");
        check("127.0.0.1", "127.0.0.1");
        check("1.a", "1.a");
        check("[::1]", "[::1]");
        check("[0:0:0:0:0:0:0:1]", "[::1]");
        check("[2001:DB8::A]", "[2001:db8::a]");
        let long = ["a"; 128].join(".");
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a..",
            "a b",
            "a/b",
            "a:1",
            "ä",
            "a%41",
            "a@b",
            "*",
            "*.a",
            "127.1",
            "1",
            "256.0.0.1",
            "0x7f.1",
            "1.2.3.4.5",
            "01.2.3.4",
            "[::1",
            "[]",
            "[a]",
            "[127.0.0.1]",
            "[fe80::1%1]",
            "[::1]x",
            long.as_str(),
            &"a".repeat(64),
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths() {
        let check = |text, want: &str| assert_eq!(path(text).as_deref(), Ok(want), "{text}");
        check("/", "");
        check("/sse", "/sse");
        check("/sse/", "/sse");
        check("/a/b/", "/a/b");
        check("/a%2Fb/~x;y=1,@:!$&'()*+", "/a%2Fb/~x;y=1,@:!$&'()*+");
        check("/...", "/...");
        check("/.a/b..", "/.a/b..");
        for text in [
            "",
            "sse",
            "//",
            "/a//b",
            "/a//",
            "///",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E.",
            "/a/.%2e/",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/%",
            "/%4",
            "/%4g",
            "/{id}",
            "/a\\b",
            "/a\0",
            "/%12",
            "/a%0B/",
            "/a%7f",
            "/..%2f",
            "/a%5C../b",
            "/..;x",
            "/%2e;",
        ] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn queries() {
        for text in ["", "a=1&b=/x?y", "%20"] {
            assert_eq!(query(text).as_deref(), Ok(text));
        }
        for text in ["#", "a b", "%2", "\"", "[x]"] {
            assert!(query(text).is_err(), "{text}");
        }
    }
}
