//! Lists in field values (RFC 9110 section 5.6).
//!
//! Tested against tables, and against a byte-by-byte implementation.

use super::super::abnf::trim;
use crate::work;
use memchr::memchr2;

/// The elements of a list, without surrounding whitespace. Empty elements are skipped, and a comma
/// inside a quoted string does not separate (RFC 9110 section 5.6.1).
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(value, b',').filter(|element| !element.is_empty())
}

/// The elements of a list without quoted strings, such as X-Forwarded-For, without surrounding
/// whitespace: every comma separates, and a quotation mark is a character like any other. Empty
/// elements are skipped.
pub fn unquoted_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    work::note(value.len());
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// The parts between separators outside quoted strings, without surrounding whitespace.
pub(in crate::http) fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = part_end(text, separator);
        work::note(end + 1);
        rest = text.get(end + 1..);
        Some(trim(&text[..end]))
    })
}

/// The offset of the first separator outside a quoted string, or the length of `text`.
fn part_end(text: &[u8], separator: u8) -> usize {
    let mut at = 0;
    while let Some(found) = memchr2(separator, b'"', &text[at..]) {
        at += found;
        if text[at] == separator {
            return at;
        }
        at += quoted_len(&text[at..]);
    }
    text.len()
}

/// The length of the quoted string at the start of `text`, with its quotes (RFC 9110 section
/// 5.6.4). An unterminated string extends to the end.
fn quoted_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        // The character after a backslash has no special meaning.
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[track_caller]
    fn check_elements(value: &str, want: &[&str]) {
        let got: Vec<_> = elements(value.as_bytes()).map(|e| str::from_utf8(e).unwrap()).collect();
        assert_eq!(got, want, "{value:?}");
        if !value.contains('"') {
            let naive =
                value.split(',').map(|e| e.trim_matches([' ', '\t'])).filter(|e| !e.is_empty());
            assert!(naive.eq(want.iter().copied()), "{value:?}");
        }
    }

    #[test]
    fn lists() {
        check_elements("", &[]);
        check_elements("a", &["a"]);
        check_elements(" a ,\tb c\t,d", &["a", "b c", "d"]);
        check_elements(", ,a,,b,", &["a", "b"]);
        check_elements("a;q=\"x,y\", b", &["a;q=\"x,y\"", "b"]);
        check_elements("\"a\\\",b\", c", &["\"a\\\",b\"", "c"]);
        check_elements("\"a\\\\\",b", &["\"a\\\\\"", "b"]);
        check_elements("a\\\"b,c\", d", &["a\\\"b,c\"", "d"]);
        check_elements("\"open, b", &["\"open, b"]);
        check_elements("\"open\\", &["\"open\\"]);
    }

    #[test]
    fn lists_without_quoted_strings() {
        let check = |value: &str, want: &[&str]| {
            let got = unquoted_elements(value.as_bytes());
            let got: Vec<_> = got.map(|element| str::from_utf8(element).unwrap()).collect();
            assert_eq!(got, want, "{value:?}");
        };
        check("", &[]);
        check(", a ,,\tb c,", &["a", "b c"]);
        check("\", 1", &["\"", "1"]);
        check("\"a, b\\\", c\", d", &["\"a", "b\\\"", "c\"", "d"]);
    }

    /// Splits byte by byte, tracking two flags.
    fn split_naively(value: &[u8]) -> Vec<&[u8]> {
        let (mut quoted, mut escaped) = (false, false);
        let parts = value.split(|&byte| {
            let literal = escaped;
            escaped = quoted && byte == b'\\' && !literal;
            quoted ^= byte == b'"' && !literal;
            byte == b',' && !quoted
        });
        parts.map(|part| part.trim_ascii()).collect()
    }

    #[test]
    fn lists_agree_with_a_naive_reading() {
        let mut dice = Rng::with_seed(7);
        for _ in 0..20_000 {
            let len = dice.usize(..12);
            let value: Vec<u8> = (0..len).map(|_| b"a,\"\\ "[dice.usize(..5)]).collect();
            let got: Vec<_> = split(&value, b',').collect();
            assert_eq!(got, split_naively(&value), "{}", value.escape_ascii());
        }
    }
}
