//! Where events begin and end in a `text/event-stream` body (WHATWG HTML section 9.2.6).
//!
//! Whoever cuts into a stream must do so between two events, or its reader puts together half of
//! one and half of another. [`Scanner`] watches the bytes of a body go by, in whatever pieces they
//! arrive, and says where that may be done. It changes nothing and keeps no bytes but ids.
//!
//! Lines end in LF, CRLF or CR, mixed freely. A CR ends its line at once, for nobody can know
//! whether a LF is to follow; a LF right behind a CR belongs to it. Of the lines:
//!
//! - a *comment* begins with a colon;
//! - a *field line* is any other that is not empty, whether its name is known or not;
//! - a *blank* line ends a block, and dispatches an event if a `data` field was in that block.
//!
//! A *boundary* is a place behind a complete line at which no field line is pending: behind a
//! blank line, and behind comments that follow one. If a CR ended that line, the place behind
//! a LF that belongs to it is a boundary too, and that LF is part of no block.
//!
//! No line and no block is too long: nothing of them is kept but an id, up to [`ID_MAX`] bytes.
//! Whoever collects whole events sets a limit of its own.
//!
//! Tested at every cut of every input, and against a reader that is naive and sees the whole.

mod ids;
#[cfg(any(test, feature = "sim"))]
pub mod naive;

use crate::work;
use ids::Ids;
use memchr::memchr2;
use std::time::Duration;

/// The longest event id that is kept, in bytes.
pub const ID_MAX: usize = 1024;

/// U+FEFF in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How many of a body's first bytes are a byte order mark: 0 or 3. None while more bytes are
/// needed to say. One at the start of a body is no part of its first line (UTF-8 decode, in the
/// Encoding standard); anywhere else it is.
pub fn byte_order_mark(start: &[u8]) -> Option<usize> {
    if start.starts_with(BYTE_ORDER_MARK) {
        Some(BYTE_ORDER_MARK.len())
    } else if BYTE_ORDER_MARK.starts_with(start) {
        None
    } else {
        Some(0)
    }
}

/// What a line that has begun is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Comment,
    Data,
    Id,
    Retry,
    /// A field of which only matters that it is there.
    Other,
}

impl Kind {
    /// The field's name, with its colon. No two of these begin with the same letter, so that the
    /// first byte of a line leaves one name that it can have.
    const fn name(self) -> &'static [u8] {
        match self {
            Kind::Data => b"data:",
            Kind::Id => b"id:",
            Kind::Retry => b"retry:",
            Kind::Comment | Kind::Other => b"",
        }
    }
}

/// How far into a line the scanner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    /// Like `Start`, but a LF that comes first belongs to the line before.
    BehindCr,
    /// In a name: this many bytes of this kind's.
    Name(Kind, u8),
    /// The kind is known, and what follows does not change it.
    Rest(Kind),
}

/// Reads one body after another, as their bytes arrive. See the module's documentation.
///
/// ```
/// use millstream::sse::Scanner;
///
/// let mut scanner = Scanner::new();
/// assert_eq!(scanner.scan(b"data: 1\n\ndata: 2"), Some(9), "just past the first event");
/// assert!(!scanner.between(), "the second has begun");
/// assert_eq!(scanner.scan(b"\n\n"), Some(2));
/// assert_eq!(scanner.events(), 2);
/// ```
#[derive(Debug)]
pub struct Scanner {
    events: u64,
    /// None: what `id` and `retry` say is not kept.
    ids: Option<Box<Ids>>,
    line: Line,
    /// Since the last blank line there was a field line, and one of `data`.
    field: bool,
    data: bool,
    /// Ever since the first body there was one of `id`.
    identified: bool,
}

const _: () = assert!(size_of::<Scanner>() <= 24);

impl Scanner {
    /// A scanner at the first byte of a body, behind a byte order mark if there is one.
    pub const fn new() -> Scanner {
        Scanner {
            events: 0,
            ids: None,
            line: Line::Start,
            field: false,
            data: false,
            identified: false,
        }
    }

    /// A scanner that also keeps the last event id and the reconnection time.
    pub fn with_ids() -> Scanner {
        Scanner { ids: Some(Box::default()), ..Scanner::new() }
    }

    /// Looks at the next bytes. Returns the offset just past the last boundary among them, None if
    /// there is none.
    pub fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        work::note(bytes.len());
        let (mut at, mut boundary) = (0, None);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let end = match rest[0] {
                b'\n' if self.line == Line::BehindCr => {
                    at += 1;
                    self.line = Line::Start;
                    if !self.field {
                        boundary = Some(at);
                    }
                    continue;
                }
                // Half of all lines are blank; to search in them costs more than to look.
                b'\n' | b'\r' => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(end) = end else {
                self.take(rest);
                break;
            };
            at += end + 1;
            self.take_line(&rest[..end]);
            self.line = if rest[end] == b'\r' { Line::BehindCr } else { Line::Start };
            if !self.field {
                boundary = Some(at);
            }
        }
        boundary
    }

    /// True exactly when what was scanned so far ends between two events; at the very start too.
    pub const fn between(&self) -> bool {
        matches!(self.line, Line::Start | Line::BehindCr) && !self.field
    }

    /// How many events were dispatched so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// True once there was an `id` field, whether ids are kept or not.
    pub const fn has_ids(&self) -> bool {
        self.identified
    }

    /// The last event ID string, as of the last block that is complete. None if it is empty, if
    /// it cannot be sent in a header field, if it is longer than [`ID_MAX`]; and without ids.
    pub fn last_id(&self) -> Option<&[u8]> {
        self.ids.as_ref()?.last()
    }

    /// The reconnection time, as the last complete line set it that is a valid `retry` field. None
    /// if there was none; and without ids.
    pub fn retry(&self) -> Option<Duration> {
        self.ids.as_ref()?.retry()
    }

    /// A new body begins: the event that is unfinished is forgotten, with the id it would have had.
    /// What was kept and counted stays.
    pub fn restart(&mut self) {
        if let Some(ids) = &mut self.ids {
            ids.forget();
        }
        (self.line, self.field, self.data) = (Line::Start, false, false);
    }

    /// Takes all of a line, or what is left of it.
    fn take_line(&mut self, line: &[u8]) {
        if self.at_line_start() {
            // What nearly all lines are is seen at once; the rest goes the way of lines in pieces.
            if line.is_empty() {
                return self.end_block();
            }
            if line.starts_with(Kind::Data.name()) {
                (self.field, self.data) = (true, true);
                return;
            }
            if self.ids.is_none() && line.starts_with(Kind::Id.name()) {
                (self.field, self.identified) = (true, true);
                return;
            }
        }
        self.take(line);
        self.end_line();
    }

    fn at_line_start(&self) -> bool {
        matches!(self.line, Line::Start | Line::BehindCr)
    }

    /// Takes bytes of a line, a part of it at least.
    fn take(&mut self, mut bytes: &[u8]) {
        while let [byte, behind @ ..] = bytes {
            self.line = match self.line {
                Line::Start | Line::BehindCr => match byte {
                    b':' => Line::Rest(Kind::Comment),
                    b'd' => Line::Name(Kind::Data, 1),
                    b'i' => Line::Name(Kind::Id, 1),
                    b'r' if self.ids.is_some() => Line::Name(Kind::Retry, 1),
                    _ => Line::Rest(Kind::Other),
                },
                Line::Name(kind, len) => match kind.name()[usize::from(len)..] {
                    [b':'] if *byte == b':' => Line::Rest(kind),
                    [next, ..] if *byte == next => Line::Name(kind, len + 1),
                    _ => Line::Rest(Kind::Other),
                },
                Line::Rest(kind) => {
                    if let Some(ids) = &mut self.ids {
                        ids.take(kind, bytes);
                    }
                    return;
                }
            };
            bytes = behind;
        }
    }

    /// The line is complete, and not a blank one.
    fn end_line(&mut self) {
        let kind = match self.line {
            // A line that is a name and nothing else is that field with an empty value.
            Line::Name(kind, len) if kind.name().len() == usize::from(len) + 1 => kind,
            Line::Rest(kind) => kind,
            Line::Start | Line::BehindCr | Line::Name(..) => Kind::Other,
        };
        self.field |= kind != Kind::Comment;
        self.data |= kind == Kind::Data;
        self.identified |= kind == Kind::Id;
        if let Some(ids) = &mut self.ids {
            ids.end_line(kind);
        }
    }

    fn end_block(&mut self) {
        self.events += u64::from(self.data);
        (self.field, self.data) = (false, false);
        if let Some(ids) = &mut self.ids {
            ids.end_block();
        }
    }
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner::new()
    }
}

#[cfg(test)]
mod tests;
