//! Finds the end of a head as its bytes arrive.

use super::super::abnf::{is_blank, trim_start};
use super::start::{self, Start};
use super::{HeadError, HeadLimits, unfold};
use crate::buf::narrow;
use crate::work;
use memchr::memchr2;

/// Maximum number of empty lines before a request (RFC 9112 section 2.2 asks to accept at least
/// one).
const LEADING_MAX: u8 = 4;

/// An incremental search for the end of a head that looks at no byte twice.
///
/// A line of a request ends with CRLF, one of a response with CRLF or LF. A CR anywhere else is an
/// error, and each error is reported as soon as it can be seen. A field line may be folded
/// ([`HeadSearch::joined`]) in a response, but not in a request. The start line is checked once it
/// is complete, unless a whole request head is, which is parsed next anyway. Of the fields, only
/// the number is checked.
#[derive(Clone, Debug)]
pub struct HeadSearch {
    side: Side,
    /// The number of complete lines, without those skipped.
    lines: u16,
    /// The offset of the current line.
    line: u32,
    /// The number of bytes that need not be looked at again.
    searched: u32,
}

const _: () = assert!(size_of::<HeadSearch>() == 12);

/// The kind of head, with the state that only this kind needs.
#[derive(Clone, Copy, Debug)]
enum Side {
    Request {
        /// The number of empty lines skipped.
        leading: u8,
    },
    Response {
        /// True if some field line is folded.
        folded: bool,
    },
}

impl Side {
    const fn start(self) -> Start {
        match self {
            Side::Request { .. } => Start::Request,
            Side::Response { .. } => Start::Response,
        }
    }
}

impl HeadSearch {
    /// Creates a search for the end of a request head.
    pub const fn request() -> HeadSearch {
        HeadSearch::of(Side::Request { leading: 0 })
    }

    /// Creates a search for the end of a response head.
    pub const fn response() -> HeadSearch {
        HeadSearch::of(Side::Response { folded: false })
    }

    const fn of(side: Side) -> HeadSearch {
        HeadSearch { side, lines: 0, line: 0, searched: 0 }
    }

    /// True if some field lines are folded.
    pub const fn is_folded(&self) -> bool {
        matches!(self.side, Side::Response { folded: true })
    }

    /// The head that was found, as it is parsed: its folded lines are joined in place.
    pub fn joined<'b>(&self, head: &'b mut [u8]) -> &'b [u8] {
        let length = if self.is_folded() { unfold(head) } else { head.len() };
        &head[..length]
    }

    /// Searches what is new in `bytes`, which holds all bytes of the head so far. Returns the
    /// length of the head once it is complete, with its empty line and any skipped lines. Until
    /// then `bytes` is shorter than `limits.head_bytes`.
    ///
    /// # Errors
    ///
    /// If this is not a head, or one beyond the limits.
    pub fn find(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        let bytes = &bytes[..bytes.len().min(limits.head_bytes)];
        // A reload may have lowered the limits.
        if self.searched as usize > bytes.len() {
            return Err(HeadError::TooLarge);
        }
        if self.searched == 0 {
            start::check_first(self.side.start(), bytes)?;
        }
        let had_start = self.lines > 0;
        let found = self.find_end(bytes, limits);
        if !had_start {
            self.check_start(bytes, &found, limits)?;
        }
        match found? {
            None if bytes.len() == limits.head_bytes => Err(HeadError::TooLarge),
            end => Ok(end),
        }
    }

    /// Advances line by line, and returns the length of the head once its last line is complete.
    fn find_end(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        loop {
            let searched = self.searched as usize;
            let Some(found) = memchr2(b'\r', b'\n', &bytes[searched..]) else {
                work::note(bytes.len() - searched);
                self.searched = narrow(bytes.len());
                return Ok(None);
            };
            let at = searched + found;
            work::note(found + 1);
            let Some(next) = self.line_end(at, bytes)? else {
                self.searched = narrow(at);
                return Ok(None);
            };
            let line = &bytes[self.line as usize..at];
            self.line = narrow(next);
            self.searched = self.line;
            if self.take(line, limits)? {
                return Ok(Some(next));
            }
        }
    }

    /// Checks the start line if it has just become complete, or otherwise its beginning. Its errors
    /// take precedence over whatever was `found` after it.
    fn check_start(
        &self,
        bytes: &[u8],
        found: &Result<Option<usize>, HeadError>,
        limits: &HeadLimits,
    ) -> Result<(), HeadError> {
        let begins = match self.side {
            // The parser checks it next.
            Side::Request { .. } if matches!(found, Ok(Some(_))) => return Ok(()),
            Side::Request { leading } => usize::from(leading) * b"\r\n".len(),
            Side::Response { .. } => 0,
        };
        let rest = &bytes[begins..];
        if self.lines > 0 {
            let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            start::check(self.side.start(), &rest[..end], limits)
        } else if found.is_ok() {
            start::check_unfinished(self.side.start(), rest, limits)
        } else {
            Ok(())
        }
    }

    /// The offset after the line end that begins with the CR or LF at `at`. `None` if more bytes
    /// are needed to tell.
    fn line_end(&self, at: usize, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        match (&bytes[at..], self.side.start()) {
            ([b'\r', b'\n', ..], _) => Ok(Some(at + 2)),
            ([b'\r', _, ..], _) => Err(HeadError::BareCr),
            ([b'\r'], _) => Ok(None),
            (_, Start::Response) => Ok(Some(at + 1)),
            (_, Start::Request) => Err(HeadError::BareLf),
        }
    }

    /// Takes a complete line. Returns true if it is the last.
    fn take(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, HeadError> {
        match line {
            _ if self.lines == 0 => {
                if let Side::Request { leading } = &mut self.side
                    && line.is_empty()
                {
                    *leading += 1;
                    let too_many = *leading > LEADING_MAX;
                    return if too_many { Err(HeadError::EmptyLines) } else { Ok(false) };
                }
            }
            [] => return Ok(true),
            [b' ' | b'\t', ..] => return self.continue_field(line),
            _ if usize::from(self.lines) > limits.head_fields => {
                return Err(HeadError::TooManyFields);
            }
            _ => {}
        }
        self.lines = self.lines.saturating_add(1);
        Ok(false)
    }

    /// Takes a line that begins with whitespace.
    fn continue_field(&mut self, line: &[u8]) -> Result<bool, HeadError> {
        match &mut self.side {
            Side::Response { folded } if self.lines > 1 && continues(line) => {
                *folded = true;
                Ok(false)
            }
            Side::Request { .. } | Side::Response { .. } => Err(HeadError::Fold),
        }
    }
}

/// True if this line continues a field line (RFC 9112 section 5.2). Some parsers take a line of
/// nothing but whitespace for the end of the head.
fn continues(line: &[u8]) -> bool {
    line.first().is_some_and(|&byte| is_blank(byte)) && !trim_start(line).is_empty()
}
