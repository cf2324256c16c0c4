//! Character classes and the smallest grammar rules, from RFC 9110 section 5 and RFC 3986 section
//! 2.
//!
//! Tested over all bytes.

/// True if `byte` is a *tchar*, the character of a token: visible ASCII that is not a delimiter
/// (RFC 9110 section 5.6.2).
#[inline]
pub const fn is_tchar(byte: u8) -> bool {
    let delimits = matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']');
    byte.is_ascii_graphic() && !delimits && !matches!(byte, b'{' | b'}')
}

/// True if `text` is a token (RFC 9110 section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// True if `byte` is HTAB, SP, VCHAR or obs-text. These are allowed in a field value (RFC 9110
/// section 5.5), in a reason phrase (RFC 9112 section 4) and, except `"` and `\`, in a quoted
/// string (RFC 9110 section 5.6.4).
#[inline]
pub const fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// True if `byte` is SP or HTAB, the characters of OWS, RWS and BWS (RFC 9110 section 5.6.3).
#[inline]
pub const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns `text` without leading blanks.
pub fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Returns `text` without trailing blanks.
pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Returns `text` without leading and trailing blanks.
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// True if `byte` means the same in a URI whether or not it is percent-encoded (RFC 3986 section
/// 2.3).
#[inline]
pub const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let all = |class: fn(u8) -> bool| (0..=255).filter(|&b| class(b)).collect::<Vec<u8>>();
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~";
        assert_eq!(all(is_tchar), format!("!#$%&'*+-.0123456789{letters}").into_bytes());
        let controls: Vec<u8> = (0..=31).filter(|&b| b != b'\t').chain([127]).collect();
        assert_eq!(all(|byte| !is_text(byte)), controls);
        assert_eq!(all(is_blank), b"\t ");
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
        assert_eq!(all(is_unreserved), format!("-.0123456789{letters}").into_bytes());
    }

    #[test]
    fn tokens() {
        assert!(is_token(b"a-b") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a:"));
    }

    #[test]
    fn blanks() {
        for (text, start, end, both) in [
            ("", "", "", ""),
            (" \t", "", "", ""),
            ("a b", "a b", "a b", "a b"),
            ("\t a \t", "a \t", "\t a", "a"),
            ("\na\r", "\na\r", "\na\r", "\na\r"),
        ] {
            let text = text.as_bytes();
            assert_eq!(trim_start(text), start.as_bytes());
            assert_eq!(trim_end(text), end.as_bytes());
            assert_eq!(trim(text), both.as_bytes());
        }
    }
}
