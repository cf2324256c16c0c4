//! Field lines that go on in further ones, which begin with whitespace (RFC 9112 section 5.2).
//!
//! Nobody has been allowed to send them since 2014, and some servers still do. Whoever passes a
//! response on has to put the lines together.
//!
//! Tested against a reading line by line.

use super::super::abnf::{is_blank, trim_end};
use crate::work;
use memchr::memchr;

/// Makes one field line of each that goes on in further ones: one space takes the place of the line
/// end between them and of all whitespace around it. Returns the length of the head, which is what
/// `head` begins with from then on. It is a head that [`HeadSearch`](super::HeadSearch) has found.
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

/// The length of `lines` without the end of the last one, and without blanks in front of that.
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
