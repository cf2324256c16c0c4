//! The method and target of a request as logs show them: without anything that may be a key.
//!
//! Logs and lists are read by people who must not see keys. So the request line is not parsed as
//! the proxy parses it, but in such a way that no reading of it can reveal a key:
//!
//! - Of a line `method SP target SP HTTP-version`, the method is logged, and the target without
//!   userinfo, without anything after a `#`, and without the *secret parameters*.
//! - In any other line, and in an incomplete one, it is unknown where the target is. A method of
//!   RFC 9110 or RFC 5789 is logged, and the path after it up to the first character that is not a
//!   letter, a digit or one of `-._~/`.
//!
//! A parameter is secret if its name is one that may carry a key, in any case, with any punctuation
//! in place of its own, and percent-encoded any number of times. Any character but a letter or a
//! digit may stand before and after the name, because any of them may separate parameters for some
//! server. In a query, the whole part between two `&` that contains such a name is omitted. In a
//! path, a name alone means little: it counts only if a `=` follows, and the path is cut at the
//! first special character of that segment.
//!
//! A `...` at the end stands for what was cut off.
//!
//! Tested against tables, and with keys in every place of randomly built targets.

use crate::http::abnf::{is_tchar, is_token, is_unreserved};
use crate::http::escape::decode;
use crate::http::head::METHOD_MAX;
use memchr::memchr2;
use std::borrow::Cow;

/// Maximum number of bytes kept of a target. A stream that is open for a day keeps them for a day.
const TARGET_MAX: usize = 1024;

/// How often a part is percent-decoded. A part that is encoded more often is treated as secret.
const ESCAPED_MAX: usize = 4;

/// Stands for what was cut off.
const CUT: &str = "...";

/// The methods of RFC 9110 section 9 and RFC 5789.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Appends the method, a space and the target of the request that begins with `head`, however
/// malformed or short. Method and target are empty if unknown. `secrets` are the names of the
/// parameters that may carry a key; none of them is empty.
pub(super) fn push_request_line(head: &[u8], secrets: &[String], shown: &mut String) {
    let head = head.trim_ascii_start();
    let end = memchr2(b'\r', b'\n', head);
    let line = &head[..end.unwrap_or(head.len())];
    let mut words = line.split(|&byte| byte == b' ');
    let version = " HTTP/1.1".len();
    let room = line.len().saturating_sub(version).min(METHOD_MAX + 1 + TARGET_MAX + CUT.len());
    shown.reserve_exact(room);
    match [words.next(), words.next(), words.next(), words.next()] {
        [Some(method), Some(target), Some(version), None]
            if end.is_some() && is_method(method) && version.starts_with(b"HTTP/") =>
        {
            shown.push_str(&String::from_utf8_lossy(method));
            shown.push(' ');
            push_target(target, secrets, shown);
        }
        _ => match malformed(line, end.is_some()) {
            Some((method, path)) => shown.extend([method, " ", &path]),
            None => shown.push(' '),
        },
    }
}

fn is_method(word: &[u8]) -> bool {
    word.len() <= METHOD_MAX && is_token(word)
}

/// The method and path logged for a malformed line.
fn malformed(line: &[u8], finished: bool) -> Option<(&'static str, String)> {
    let length = line.iter().take_while(|&&byte| is_tchar(byte)).count();
    let (word, rest) = line.split_at(length);
    let method = METHODS.into_iter().find(|method| method.as_bytes() == word)?;
    let path = match rest {
        // After two slashes there might be a host, with userinfo before it.
        [b' ', b'/', b'/', ..] => &[],
        [b' ', path @ ..] if path.starts_with(b"/") => path,
        _ => &[],
    };
    let length = path.iter().take_while(|&&byte| byte == b'/' || is_unreserved(byte)).count();
    let length = length.min(TARGET_MAX);
    let whole = path.get(length).map_or(finished, |&byte| byte == b' ');
    let cut = if whole || path.is_empty() { "" } else { CUT };
    Some((method, format!("{}{cut}", String::from_utf8_lossy(&path[..length]))))
}

/// A target, or a reference to one such as a `Location`, as it is logged.
pub fn shown_target(target: &[u8], secrets: &[String]) -> String {
    let mut shown = String::new();
    push_target(target, secrets, &mut shown);
    shown
}

/// Appends a target as it is logged.
fn push_target(target: &[u8], secrets: &[String], shown: &mut String) {
    let (scheme, rest) = without_userinfo(target);
    let rest = rest.split(|&byte| byte == b'#').next().unwrap_or_default();
    let kept = &rest[..rest.len().min(TARGET_MAX)];
    let (scheme, kept) = (String::from_utf8_lossy(scheme), String::from_utf8_lossy(kept));
    let (path, query) = kept.split_once('?').map_or((&*kept, None), |(p, q)| (p, Some(q)));
    shown.push_str(&scheme);
    let whole = push_path(path, secrets, shown);
    if let Some(query) = query {
        push_query(query, secrets, shown);
    }
    if rest.len() > TARGET_MAX && (query.is_some() || whole) {
        shown.push_str(CUT);
    }
}

/// Splits a target into what comes before and after the userinfo (RFC 3986 section 3.2.1), wherever
/// a reader may look for a host.
fn without_userinfo(target: &[u8]) -> (&[u8], &[u8]) {
    let slashes = |from: usize| {
        let rest = target.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|&&byte| byte == b'/').count()
    };
    let scheme = target.iter().position(|byte| !is_unreserved(*byte) && *byte != b'+');
    let authority = match scheme {
        Some(0) if target.starts_with(b"//") => slashes(0),
        Some(0) => return (&[], target),
        Some(end) if target[end..].starts_with(b":/") => slashes(end + 1),
        _ => 0,
    };
    let rest = &target[authority..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    match rest[..end].iter().rposition(|&byte| byte == b'@') {
        Some(at) => (&target[..authority.min(TARGET_MAX)], &rest[at + 1..]),
        None => (&[], target),
    }
}

/// Appends a path without secret parameters. False if its end was cut off.
fn push_path(path: &str, secrets: &[String], shown: &mut String) -> bool {
    if secrets.is_empty() {
        shown.push_str(path);
        return true;
    }
    for (index, segment) in path.split('/').enumerate() {
        shown.push_str(if index > 0 { "/" } else { "" });
        if has_secret(segment, secrets, true) {
            let length = segment.bytes().take_while(|&byte| is_unreserved(byte)).count();
            shown.push_str(&segment[..length]);
            shown.push_str(CUT);
            return false;
        }
        shown.push_str(segment);
    }
    true
}

/// Appends a query without secret parameters.
fn push_query(query: &str, secrets: &[String], shown: &mut String) {
    if secrets.is_empty() {
        shown.push('?');
        return shown.push_str(query);
    }
    let mut separator = '?';
    for part in query.split('&').filter(|part| !has_secret(part, secrets, false)) {
        shown.push(separator);
        shown.push_str(part);
        separator = '&';
    }
}

/// True if a part of a target contains one of these names, followed by a `=` somewhere if
/// `with_value` is set, or is encoded too often to tell.
fn has_secret(part: &str, secrets: &[String], with_value: bool) -> bool {
    let mut text = Cow::Borrowed(part.as_bytes());
    for _ in 0..=ESCAPED_MAX {
        let means = |secret: &String| {
            let behind = behind_name(&text, secret.as_bytes());
            behind.is_some_and(|behind| !with_value || behind.contains(&b'='))
        };
        if secrets.iter().any(means) {
            return true;
        }
        match decode(&text) {
            Cow::Borrowed(_) => return false,
            Cow::Owned(decoded) => text = Cow::Owned(decoded),
        }
    }
    true
}

/// Returns what follows the first place where a name occurs by itself, in any case and with any
/// punctuation.
fn behind_name<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let same = |(sent, meant): (&u8, &u8)| {
        sent.eq_ignore_ascii_case(meant) || !is_word(Some(sent)) && !is_word(Some(meant))
    };
    let start = text.windows(name.len()).enumerate().position(|(at, sent)| {
        let alone = at == 0 || !is_word(text.get(at - 1));
        alone && !is_word(text.get(at + name.len())) && sent.iter().zip(name).all(same)
    })?;
    Some(&text[start + name.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    fn shown(head: &str) -> String {
        let mut shown = String::new();
        let secrets = ["access_token".to_owned(), "k".to_owned()];
        push_request_line(head.as_bytes(), &secrets, &mut shown);
        shown
    }

    fn check(target: &str, want: &str) {
        assert_eq!(shown(&format!("GET {target} HTTP/1.1\r\n")), format!("GET {want}"), "{target}");
    }

    #[test]
    fn well_formed_lines() {
        assert_eq!(shown("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET /");
        assert_eq!(shown("\r\nx-y!~ /a%20b HTTP/9\nx"), "x-y!~ /a%20b");
        assert_eq!(shown("OPTIONS * HTTP/1.1\r\n"), "OPTIONS *");
        assert_eq!(shown("GET /\u{e9} HTTP/1.1\r\n"), "GET /\u{e9}");
        let mut line = String::new();
        push_request_line(b"GET /\xff HTTP/1.1\r\n", &[], &mut line);
        assert_eq!(line, "GET /\u{fffd}");
        let long = "x".repeat(3000);
        let cut = &long[..TARGET_MAX - 1];
        assert_eq!(shown(&format!("GET /{long} HTTP/1.1\r\n")), format!("GET /{cut}..."));
    }

    #[test]
    fn malformed_lines() {
        let check = |head: &str, want: &str| assert_eq!(shown(head), want, "{head:?}");
        check("", " ");
        check("\r\n", " ");
        check("GET", "GET ");
        check("GET\r\n", "GET ");
        check("GET /\r\n", "GET /");
        check("GET /", "GET /...");
        check("GET /a b HTTP/1.1\r\n", "GET /a");
        check("GET /a HTTP/1.1", "GET /a");
        check("GET /a?k=KEY HTTP/1.1", "GET /a...");
        check("GET /a;x/b\r\n", "GET /a...");
        check("GET //u:KEY@a/ x\r\n", "GET ");
        check("GET  /a HTTP/1.1\r\n", "GET ");
        check("GET\t/s?access_token=KEY HTTP/1.1\r\n", "GET ");
        check("GET\0/KEY HTTP/1.1\r\n", "GET ");
        check("GET http://u:KEY@a/ x\r\n", "GET ");
        check("GET/KEY / HTTP/1.1\r\n", "GET ");
        // Tokens and targets that may be anything, and may contain a key.
        check("KEY\r\n", " ");
        check("KEY / x\r\n", " ");
        check("Bearer KEY\r\n", " ");
        check("Authorization: Bearer KEY\r\n", " ");
        check("access_token=KEY HTTP/1.1\r\n", " ");
        check("\u{16}\u{3}\u{1}KEY / HTTP/1.1\r\n", " ");
        check(&format!("{} / HTTP/1.1\r\n", "K".repeat(METHOD_MAX + 1)), " ");
        let long = "x".repeat(3000);
        check(&format!("GET /{long}"), &format!("GET /{}...", &long[..TARGET_MAX - 1]));
    }

    #[test]
    fn secret_parameters_of_queries() {
        check("/a?x=1&access_token=KEY&y=2", "/a?x=1&y=2");
        check("/a?access_token=KEY", "/a");
        check("/a?k", "/a");
        check("/a?&&k=KEY&", "/a?&&");
        check("/a?x=%31&%61ccess%5Ftoken=KEY", "/a?x=%31");
        check("/a?Access_Token=KEY&ACCESS-TOKEN=KEY&access.token=KEY&access%20token=KEY", "/a");
        check("/a?access_token[]=KEY&access_token%5B0%5D=KEY&user[access_token]=KEY", "/a");
        check("/a?x=1;access_token=KEY", "/a");
        check("/a?access_token=KEY;x=1", "/a");
        check("/a?x=1,k=KEY&y=1?k=KEY&z=1%26k=KEY&w=1%2526k=KEY&v=2", "/a?v=2");
        check("/a??k=KEY", "/a");
        check("/a?x=1?k=KEY?y", "/a");
        check("/a?x=1&amp;k=KEY", "/a?x=1");
        check("/a?q=%7B%22access_token%22:%22KEY%22%7D&q={\"k\":\"KEY\"}", "/a");
        check("/a?+k=KEY&%20k%20=KEY&%00k=KEY&k%3DKEY&k:KEY", "/a");
        // Text that is escaped more often than any server unescapes.
        check("/a?x=%2525252525254b", "/a");
        check("/a?x=%25252541&y=%25", "/a?x=%25252541&y=%25");
        // Other names.
        check("/a?kk=1&xk=2&accesstoken=3", "/a?kk=1&xk=2&accesstoken=3");
        check("/k?100%&%zz", "/k?100%&%zz");
    }

    #[test]
    fn secret_parameters_of_paths() {
        check("/s;access_token=KEY", "/s...");
        check("/s;access_token=KEY/more/KEY?x=1", "/s...?x=1");
        check("/a/s;v=1;Access_Token=KEY;w", "/a/s...");
        check("/access_token=KEY", "/access_token...");
        check("/s%3Baccess_token%3DKEY", "/s...");
        check("/s%253Bk%253DKEY", "/s...");
        check("/cb%23access_token=KEY", "/cb...");
        check("/a/k=KEY?k=KEY&x=1", "/a/k...?x=1");
        check("/oauth/access_token/k", "/oauth/access_token/k");
        check("/k;a=b/c", "/k...");
        check("/a=k", "/a=k");
    }

    #[test]
    fn fragments_and_userinfo() {
        check("/a#access_token=KEY", "/a");
        check("/a?x=1#KEY?y", "/a?x=1");
        check("http://u:KEY@a.example/b", "http://a.example/b");
        check("http://KEY@a.example", "http://a.example");
        check("http://u@b:KEY@a.example/@c", "http://a.example/@c");
        check("http://u:K#Y@a.example/b", "http://a.example/b");
        check("http:///u:KEY@a/", "http:///a/");
        check("http:/u:KEY@a/", "http:/a/");
        check("HTTPS://u:KEY@a?x=@y", "HTTPS://a?x=@y");
        check("u:KEY@a.example:443", "a.example:443");
        check("//u:KEY@a.example/b", "//a.example/b");
        check("http://a.example/b@c?d@e", "http://a.example/b@c?d@e");
        check("/@a/b", "/@a/b");
        check(&format!("http://u:{}@a/", "K".repeat(5000)), "http://a/");
    }

    /// Puts a key in each place where a server might look for one, among other parts of targets.
    #[test]
    fn no_key_is_shown() {
        let mut dice = Rng::with_seed(7);
        let separators =
            [";", "&", "?", ",", "%26", "%3B", "%253b", "|", ":", "%0a", "[", "\u{e9}"];
        let names =
            ["access_token", "ACCESS_TOKEN", "a%63cess_token", "access-token", "%256b", "K"];
        let values = ["=KEY", "%3DKEY", "%253dKEY", "[]=KEY", "[a]=KEY", " =KEY", "==KEY"];
        let others = ["a", "b=c", "100%", "/d", "/e;f=g", "?h", "#", "%2f", "", "http://x", "//"];
        for _ in 0..20_000 {
            let mut target = "/".to_owned();
            for _ in 0..dice.u64(..4) {
                target.push_str(others[dice.usize(..others.len())]);
            }
            target.push_str(separators[dice.usize(..separators.len())]);
            target.push_str(names[dice.usize(..names.len())]);
            target.push_str(values[dice.usize(..values.len())]);
            for _ in 0..dice.u64(..3) {
                target.push_str(separators[dice.usize(..separators.len())]);
                target.push_str(others[dice.usize(..others.len())]);
            }
            for version in [" HTTP/1.1\r\n", " HTTP/1.1", "\r\n", "\t"] {
                let shown = shown(&format!("GET {target}{version}"));
                assert!(!shown.contains("KEY"), "{target} is shown as {shown}");
            }
        }
    }
}
