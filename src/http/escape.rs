//! Percent-encoding (RFC 3986 section 2.1): a `%` and two hexadecimal digits stand for one byte.
//!
//! The caller decides what an incomplete escape means: in a request target it is an error, in a
//! query parameter plain text.
//!
//! Tested against tables, and with every pair of bytes after a `%`.

use crate::digits::hex_value;
use memchr::memchr_iter;
use std::borrow::Cow;

/// The length of an escape in bytes.
pub const ESCAPE_LEN: usize = "%41".len();

/// The byte encoded by the escape at the start of `text`. None if `text` does not start with an
/// escape.
#[inline]
pub fn first(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => Some(hex_value(*high)? << 4 | hex_value(*low)?),
        _ => None,
    }
}

/// Decodes every escape once and keeps a `%` that begins none. Borrows the text if it has no
/// escape.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut taken) = (Vec::new(), 0);
    for percent in memchr_iter(b'%', text) {
        if let Some(byte) = first(&text[percent..]) {
            out.extend_from_slice(&text[taken..percent]);
            out.push(byte);
            taken = percent + ESCAPE_LEN;
        }
    }
    if taken == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[taken..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, want) in [
            ("", ""),
            ("a+b", "a+b"),
            ("%61", "a"),
            ("x%2fy%2Fz", "x/y/z"),
            ("%2541", "%41"),
            ("%%41%", "%A%"),
            ("%4", "%4"),
            ("%+1%-1% 1%1x", "%+1%-1% 1%1x"),
        ] {
            let decoded = decode(text.as_bytes());
            assert_eq!(*decoded, *want.as_bytes(), "{text}");
            assert_eq!(matches!(decoded, Cow::Borrowed(_)), text == want, "{text}");
        }
        assert_eq!(*decode(b"%c3%A9"), *"\u{e9}".as_bytes());
    }

    /// Compares every pair with the standard library, which would also accept a sign.
    #[test]
    fn every_pair() {
        for pair in 0..=u16::MAX {
            let [high, low] = pair.to_be_bytes();
            let digits = [high, low].iter().all(u8::is_ascii_hexdigit).then_some([high, low]);
            let want = digits
                .map(|digits| u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
            assert_eq!(first(&[b'%', high, low, b'x']), want, "{high:#x} {low:#x}");
        }
    }
}
