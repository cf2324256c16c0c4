//! Folded field lines, which continue on lines that begin with whitespace (RFC 9112 section 5.2).
//!
//! Sending them has been forbidden since 2014, but some servers still do. A proxy has to unfold
//! them before it forwards the response.
//!
//! Tested against a line-by-line implementation.

use super::super::abnf::{is_blank, trim_end};
use crate::work;
use memchr::memchr;

/// Joins each folded field line into one line: a single space replaces every line end within it and
/// the whitespace around. Returns the new length of the head in `head`. `head` must be one that
/// [`HeadSearch`](super::HeadSearch) found.
pub fn unfold(head: &mut [u8]) -> usize {
    work::note(head.len());
    let (mut read, mut written) = (0, 0);
    while let Some(found) = memchr(b'\n', &head[read..]) {
        let end = read + found + 1;
        head.copy_within(read..end, written);
        written += end - read;
        read = end;
        let blanks = head[read..].iter().take_while(|&&byte| is_blank(byte)).count();
        if blanks > 0 {
            written = content(&head[..written]);
            head[written] = b' ';
            written += 1;
            read += blanks;
        }
    }
    written
}

/// The length of `lines` without the last line's end and the blanks before that.
fn content(lines: &[u8]) -> usize {
    let line = lines.strip_suffix(b"\n").unwrap_or(lines);
    trim_end(line.strip_suffix(b"\r").unwrap_or(line)).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together() {
        let check = |head: &str, want: &str| {
            let mut bytes = head.as_bytes().to_vec();
            let len = unfold(&mut bytes);
            assert_eq!(
                bytes[..len].escape_ascii().to_string(),
                want.as_bytes().escape_ascii().to_string()
            );
        };
        check("S\r\nA: b\r\n\r\n", "S\r\nA: b\r\n\r\n");
        check("S\r\nA: b\r\n c\r\n\r\n", "S\r\nA: b c\r\n\r\n");
        check("S\r\nA: b \t\r\n \t c\r\nD: e\r\n\r\n", "S\r\nA: b c\r\nD: e\r\n\r\n");
        check("S\r\nA:\r\n\tb\r\n\tc\r\n\r\n", "S\r\nA: b c\r\n\r\n");
        check("S\nA: b\n c\nD: e\r\n f\n\n", "S\nA: b c\nD: e f\n\n");
        check("S\r\nA: b\r\n  c:  d\r\n\r\n", "S\r\nA: b c:  d\r\n\r\n");
    }
}
