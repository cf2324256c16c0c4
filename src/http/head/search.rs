//! Where a head ends, found as its bytes arrive.

use super::super::abnf::{is_blank, trim_start};
use super::start::{self, Start};
use super::{HeadError, HeadLimits};
use crate::buf::narrow;
use crate::work;
use memchr::{memchr, memchr2};

/// How many empty lines may stand before a request (RFC 9112 section 2.2 asks for one at least).
const LEADING_MAX: u8 = 4;

/// Looks for the end of a head, in pieces, and looks at no byte twice.
///
/// A line of a request ends with CRLF, one of a response with CRLF or LF. A CR anywhere else is an
/// error, and each error is one as soon as it can be seen. A field line may go on in further lines
/// ([`HeadSearch::is_folded`]) in a response, and not in a request. That the line of a request is a
/// request line is seen when it is complete; of what the fields say only their number is judged.
#[derive(Clone, Debug)]
pub struct HeadSearch {
    side: Side,
    /// Lines that are complete, those skipped not among them.
    lines: u16,
    /// Where the present line begins.
    line: u32,
    /// How many bytes need not be looked at again.
    searched: u32,
}

const _: () = assert!(size_of::<HeadSearch>() == 12);

/// Whose head it is, and what is only found in such a head.
#[derive(Clone, Copy, Debug)]
enum Side {
    Request {
        /// Empty lines that were skipped.
        leading: u8,
    },
    Response {
        /// True exactly when a field line has gone on in another one.
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

/// The two parts of a complete head.
pub(super) struct Parts<'b> {
    /// The request line or status line, without its end.
    pub start: &'b [u8],
    /// The field lines and the empty line.
    pub fields: &'b [u8],
}

impl HeadSearch {
    /// A search for the end of a request's head.
    pub const fn request() -> HeadSearch {
        HeadSearch::of(Side::Request { leading: 0 })
    }

    /// A search for the end of a response's head.
    pub const fn response() -> HeadSearch {
        HeadSearch::of(Side::Response { folded: false })
    }

    const fn of(side: Side) -> HeadSearch {
        HeadSearch { side, lines: 0, line: 0, searched: 0 }
    }

    /// True exactly when field lines go on in further ones: they have to be put together before the
    /// head is read ([`unfold`](super::unfold)).
    pub const fn is_folded(&self) -> bool {
        matches!(self.side, Side::Response { folded: true })
    }

    /// Looks at what is new in `bytes`, which are all bytes of the head so far, from its first.
    /// Returns the length of the head, its empty line and any skipped lines included, once that is
    /// there. Until then `bytes` is shorter than `limits.head_bytes`.
    ///
    /// # Errors
    ///
    /// When this is no head, or one beyond the limits.
    pub fn find(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        self.find_if(start::check, bytes, limits)
    }

    /// Likewise, where `judge` says whether the start line is one.
    fn find_if(
        &mut self,
        judge: impl Fn(Start, &[u8], &HeadLimits) -> Result<(), HeadError>,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        let bytes = &bytes[..bytes.len().min(limits.head_bytes)];
        // The limits may have become smaller since.
        if self.searched as usize > bytes.len() {
            return Err(HeadError::TooLarge);
        }
        loop {
            let searched = self.searched as usize;
            let Some(found) = memchr2(b'\r', b'\n', &bytes[searched..]) else {
                work::note(bytes.len() - searched);
                self.searched = narrow(bytes.len());
                break;
            };
            let at = searched + found;
            work::note(found + 1);
            let Some(next) = self.line_end(at, bytes)? else {
                self.searched = narrow(at);
                break;
            };
            let line = &bytes[self.line as usize..at];
            self.line = narrow(next);
            self.searched = self.line;
            if self.lines == 0 && !self.is_leading(line) {
                judge(self.side.start(), line, limits)?;
            }
            if self.take(line, limits)? {
                return Ok(Some(next));
            }
        }
        if self.lines == 0 {
            start::check_unfinished(self.side.start(), &bytes[self.line as usize..], limits)?;
        }
        if bytes.len() == limits.head_bytes { Err(HeadError::TooLarge) } else { Ok(None) }
    }

    /// Where the line goes on that has a CR or LF at `at`; `None` if that remains to be seen.
    fn line_end(&self, at: usize, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        match (&bytes[at..], self.side.start()) {
            ([b'\r', b'\n', ..], _) => Ok(Some(at + 2)),
            ([b'\r', _, ..], _) => Err(HeadError::BareCr),
            ([b'\r'], _) => Ok(None),
            (_, Start::Response) => Ok(Some(at + 1)),
            (_, Start::Request) => Err(HeadError::BareLf),
        }
    }

    /// Takes a complete line. True exactly when it is the last.
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

    /// True exactly when this line is an empty one in front of a request.
    const fn is_leading(&self, line: &[u8]) -> bool {
        self.lines == 0 && line.is_empty() && matches!(self.side, Side::Request { .. })
    }

    /// Takes apart `bytes`, which are exactly a head. Whoever reads the start line judges it.
    pub(super) fn split<'b>(
        mut self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Parts<'b>, HeadError> {
        if self.find_if(|_, _, _| Ok(()), bytes, limits)? != Some(bytes.len()) {
            return Err(HeadError::NotOneHead);
        }
        let leading = match self.side {
            Side::Request { leading } => leading,
            Side::Response { folded: false } => 0,
            Side::Response { folded: true } => return Err(HeadError::Fold),
        };
        let bytes = &bytes[2 * usize::from(leading)..];
        let end = memchr(b'\n', bytes).ok_or(HeadError::NotOneHead)?;
        let line = &bytes[..end];
        let start = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Parts { start, fields: &bytes[end + 1..] })
    }
}

/// True exactly when this line continues a field line (RFC 9112 section 5.2). Some take a line of
/// nothing but whitespace for the end of the head.
fn continues(line: &[u8]) -> bool {
    line.first().is_some_and(|&byte| is_blank(byte)) && !trim_start(line).is_empty()
}
