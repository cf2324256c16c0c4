//! Writes lines to an output that may take only a part of them, such as a file on a full disk.
//!
//! After an incomplete line, the next one begins on a line of its own, so that only one is lost.

use std::borrow::Cow;
use std::io::{self, Write};

/// Text from outside as it may be shown on a terminal: with control characters escaped, except for
/// the ends of lines if it may have several.
pub(super) fn escaped(text: &str, has_lines: bool) -> Cow<'_, str> {
    let is_wrong = |c: char| c.is_control() && !(has_lines && c == '\n');
    if !text.contains(is_wrong) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if is_wrong(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Why an output did not take all lines.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) error: io::Error,
    /// The number of lines whose end was not written.
    pub(super) lines: u64,
}

/// Writes lines, each with its end. `is_within_line` tells whether the output ends within a line,
/// and is updated.
///
/// # Errors
/// If the output takes no more.
pub(super) fn write(
    lines: &[u8],
    is_within_line: &mut bool,
    out: &mut impl Write,
) -> Result<(), Unwritten> {
    let unwritten = |rest: &[u8], error| {
        let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        Err(Unwritten { error, lines })
    };
    if *is_within_line {
        if let Err(error) = out.write_all(b"\n") {
            return unwritten(lines, error);
        }
        *is_within_line = false;
    }
    let mut rest = lines;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return unwritten(rest, io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                *is_within_line = rest[n - 1] != b'\n';
                rest = &rest[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return unwritten(rest, error),
        }
    }
    Ok(())
}

/// A disk with room for some bytes, and what was written to it.
#[cfg(test)]
pub(super) struct Disk {
    pub(super) room: usize,
    pub(super) written: Vec<u8>,
}

#[cfg(test)]
impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room);
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= n;
        self.written.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever the disk is full, the next line begins on a line of its own, and those that are not
    /// complete are counted.
    #[test]
    fn a_line_without_its_end_is_lost_alone() {
        let (lines, later) = (b"ab\ncd\nef\n", b"gh\n");
        let cases = [
            (0, 3, "gh\n"),
            (1, 3, "a\ngh\n"),
            (2, 3, "ab\ngh\n"),
            (3, 2, "ab\ngh\n"),
            (4, 2, "ab\nc\ngh\n"),
            (8, 1, "ab\ncd\nef\ngh\n"),
            (9, 0, "ab\ncd\nef\ngh\n"),
        ];
        for (room, lost, want) in cases {
            let (mut disk, mut is_within) = (Disk { room, written: Vec::new() }, false);
            let written = write(lines, &mut is_within, &mut disk);
            assert_eq!(written.map_or_else(|unwritten| unwritten.lines, |()| 0), lost, "{room}");
            // There is no room even for a line end.
            let again = write(later, &mut is_within, &mut disk);
            assert_eq!(again.map_err(|unwritten| unwritten.lines), Err(1), "{room}");
            disk.room = 100;
            assert!(write(later, &mut is_within, &mut disk).is_ok() && !is_within, "{room}");
            assert_eq!(str::from_utf8(&disk.written), Ok(want), "{room}");
        }
    }
}
