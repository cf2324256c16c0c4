//! Compares paths character by character.
//!
//! A percent escape of a letter, a digit or `-._~` equals that character, and the digits of an
//! escape are case-insensitive (RFC 3986 section 6.2.2).
//!
//! Tested against tables.

use crate::http::abnf::is_unreserved;
use crate::http::escape::{self, ESCAPE_LEN};

/// The rest of `path` after the prefix `above`. None if `path` is not below `above`.
pub fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = behind(path.as_bytes(), above.as_bytes()).filter(|rest| is_below(rest))?;
    path.get(path.len() - rest.len()..)
}

/// True if `rest`, which follows a prefix, begins a new segment or is empty.
pub(super) fn is_below(rest: &[u8]) -> bool {
    rest.first().is_none_or(|&byte| byte == b'/')
}

/// The rest of `path` after `listen_path`, if it begins with that.
pub(super) fn behind<'p>(path: &'p [u8], listen_path: &[u8]) -> Option<&'p [u8]> {
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

/// The first character of a path and the rest. The flag is true if the character is an escape that
/// must stay one.
fn first(path: &[u8]) -> Option<((u8, bool), &[u8])> {
    if let Some(byte) = escape::first(path) {
        return Some(((byte, !is_unreserved(byte)), &path[ESCAPE_LEN..]));
    }
    let (byte, rest) = path.split_first()?;
    Some(((*byte, false), rest))
}

/// Normalizes a path: removes needless escapes and writes the others in upper case (RFC 3986
/// section 6.2.2).
pub fn normalized(path: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(path.len()), path);
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent..];
        let len = match first(rest.as_bytes()) {
            Some(((byte, false), _)) if byte != b'%' => {
                out.push(char::from(byte));
                ESCAPE_LEN
            }
            Some(((_, true), _)) => {
                out.push_str(&rest[..ESCAPE_LEN].to_ascii_uppercase());
                ESCAPE_LEN
            }
            Some(_) | None => {
                out.push('%');
                1
            }
        };
        rest = &rest[len..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needless_escapes() {
        let check = |path: &str, want: &str| {
            assert_eq!(normalized(path), want, "{path}");
            assert_eq!(behind(path.as_bytes(), want.as_bytes()), Some(&b""[..]), "{path}");
        };
        check("", "");
        check("/a/b", "/a/b");
        check("/%73ecret/%41%2d%7E", "/secret/A-~");
        check("/a%2fb%40%25", "/a%2Fb%40%25");
        check("/%2573%", "/%2573%");
        check("/%zz%7", "/%zz%7");
        check("/\u{e9}%73", "/\u{e9}s");
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
}
