//! `Keep-Alive: timeout=5, max=100`: how long a server keeps an idle connection open.
//!
//! No current RFC defines the field (RFC 2068 section 19.7.1 did), but most servers send it:
//! Node.js closes a connection after five idle seconds. A request in flight at that moment is lost,
//! and one that must not be sent twice cannot be retried. So a connection is not reused shortly
//! before its time is up.
//!
//! A value that cannot be parsed is ignored, so the connection is reused like any other.
//!
//! Tested against a table.

use super::fields::{Fields, split};
use super::framing;
use std::time::Duration;

/// Maximum that is subtracted from a server's timeout: the time a request may be in flight.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// How long a connection may be idle and still be reused, according to the response: its `timeout`,
/// less a quarter of it but at most a second. Zero if the server takes no more requests, which it
/// says with `timeout=0` or `max=0`; `max=1` allows one more. None if the response does not say.
pub fn idle_limit(fields: Fields<'_, '_>) -> Option<Duration> {
    let limits = fields.elements("Keep-Alive").filter_map(|element| {
        let mut parts = split(element, b'=');
        let (Some(name), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let number = framing::decimal(unquoted(value)).ok()?;
        if name.eq_ignore_ascii_case(b"timeout") {
            let timeout = Duration::from_secs(number);
            Some(timeout - MARGIN_MAX.min(timeout / 4))
        } else {
            (name.eq_ignore_ascii_case(b"max") && number == 0).then_some(Duration::ZERO)
        }
    });
    limits.min()
}

/// The content of a quoted string without backslashes, or the text itself.
fn unquoted(text: &[u8]) -> &[u8] {
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    inner.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use httparse::Header;

    #[test]
    fn limits() {
        let check = |values: &[&'static str], want: Option<u64>| {
            let line =
                |value: &&'static str| Header { name: "keep-alive", value: value.as_bytes() };
            let lines: Vec<_> = values.iter().map(line).collect();
            let got = idle_limit(Fields::of(&lines));
            assert_eq!(got, want.map(Duration::from_millis), "{values:?}");
        };
        check(&[], None);
        check(&["timeout=5"], Some(4000));
        check(&["timeout=4"], Some(3000));
        check(&["timeout=3"], Some(2250));
        check(&["timeout=1"], Some(750));
        check(&["timeout=60, max=100"], Some(59_000));
        check(&["max=100,timeout=5"], Some(4000));
        check(&[" Timeout = 5 ,, MAX = 1"], Some(4000));
        check(&["timeout=\"5\""], Some(4000));
        check(&["max=100", "timeout=5"], Some(4000));
        check(&["timeout=0"], Some(0));
        check(&["timeout=5, max=0"], Some(0));
        // Apache sends 1 if it takes one more request.
        check(&["timeout=5, max=1"], Some(4000));
        check(&["max=1"], None);
        // The shorter of two times counts.
        check(&["timeout=60, timeout=5"], Some(4000));
        check(&["timeout=31536000"], Some(31_535_999_000));
        for said in [
            "",
            "5",
            "timeout",
            "timeout=",
            "timeout=soon",
            "timeout=-1",
            "timeout=5s",
            "timeout=5.5",
            "timeout=5=6",
            "timeout:5",
            "timeout=5;max=100",
            "timeout=18446744073709551616",
            "\"timeout=5\"",
            "timeouts=5",
            "x=0",
        ] {
            check(&[said], None);
        }
        check(&["timeout=soon, timeout=5"], Some(4000));
    }
}
