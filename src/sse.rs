//! Finds the boundaries of events in a `text/event-stream` body (WHATWG HTML section 9.2.6).
//!
//! Something may be inserted into a stream only between two events, or its reader would combine
//! parts of different events. [`Scanner`] inspects the bytes of a body, in whatever pieces they
//! arrive, and finds these places. It changes nothing and keeps no bytes except ids.
//!
//! Lines end in LF, CRLF or CR, mixed freely. A CR ends its line at once, because it is not known
//! whether an LF follows; an LF directly after a CR belongs to it. There are three kinds of lines:
//!
//! - a *comment* begins with a colon;
//! - a *field line* is any other non-empty line, whether its name is known or not;
//! - a *blank* line ends a block, and dispatches an event if the block had a `data` field.
//!
//! A *boundary* is the position after a complete line when no field line is pending: after a blank
//! line, and after comments that follow one. If a CR ended that line, the position after an LF that
//! belongs to it is a boundary, too, and that LF is not part of any block.
//!
//! Lines and blocks may have any length, because nothing of them is kept except an id of up to
//! [`ID_MAX`] bytes. Code that collects whole events sets its own limit.
//!
//! Tested on every input split at every position, and against a naive reader that sees the whole.

mod blocks;
pub mod endpoint;
mod ids;
#[cfg(any(test, feature = "sim"))]
pub mod naive;

pub use blocks::{Block, each_block};
pub use ids::can_be_sent;

use crate::work;
use ids::Ids;
use memchr::memchr2;
use std::time::Duration;

/// Maximum length of an event id that is kept, in bytes.
pub const ID_MAX: usize = 1024;

/// U+FEFF in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The length of the byte order mark at the start of a body: 0 or 3. None while more bytes are
/// needed to tell. At the start of a body it is not part of the first line (UTF-8 decode, in the
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

/// The kind of a line, as determined by its field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldKind {
    Comment,
    Data,
    Id,
    Retry,
    /// Any other field, known or not; it matters only that there is one.
    Other,
}

impl FieldKind {
    /// The name of the field, with its colon. No two begin with the same letter, so the first byte
    /// of a line determines the only possible name.
    const fn name(self) -> &'static [u8] {
        match self {
            FieldKind::Data => b"data:",
            FieldKind::Id => b"id:",
            FieldKind::Retry => b"retry:",
            FieldKind::Comment | FieldKind::Other => b"",
        }
    }
}

/// The scanner's position in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineState {
    Start,
    /// Like `Start`, but an LF that comes first belongs to the previous line.
    BehindCr,
    /// In the name: this many bytes match the name of this kind.
    Name(FieldKind, u8),
    /// After the name: the kind is known, and the rest of the line cannot change it.
    Rest(FieldKind),
}

/// Scans one body after another as their bytes arrive. See the module docs.
///
/// ```
/// use millstream::leaves::Scanner;
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
    /// The values of `id` and `retry`, if they are kept.
    ids: Option<Box<Ids>>,
    line: LineState,
    /// True if there was a field line since the last blank line.
    field: bool,
    /// True if there was a `data` field since the last blank line.
    data: bool,
    /// True if there was an `id` field in any body.
    identified: bool,
}

const _: () = assert!(size_of::<Scanner>() <= 24);

impl Scanner {
    /// Creates a scanner at the first byte of a body, after its byte order mark if it has one.
    pub const fn new() -> Scanner {
        Scanner {
            events: 0,
            ids: None,
            line: LineState::Start,
            field: false,
            data: false,
            identified: false,
        }
    }

    /// Creates a scanner that also keeps the last event id and the reconnection time.
    pub fn with_ids() -> Scanner {
        Scanner { ids: Some(Box::default()), ..Scanner::new() }
    }

    /// Notes that the stream was requested from the event after this id, if ids are kept. None of
    /// it has arrived yet. The id counts as the last one until there is an event or another id.
    pub fn begin_behind(&mut self, id: &[u8]) {
        if let Some(ids) = &mut self.ids {
            ids.begin_behind(id);
            self.identified = true;
        }
    }

    /// Scans the next bytes. Returns the offset just past the last boundary in them. None if there
    /// is none.
    pub fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        work::note(bytes.len());
        let (mut at, mut boundary) = (0, None);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let end = match rest[0] {
                b'\n' if self.line == LineState::BehindCr => {
                    at += 1;
                    self.line = LineState::Start;
                    if !self.field {
                        boundary = Some(at);
                    }
                    continue;
                }
                // Half of all lines are blank; searching them costs more than looking at one byte.
                b'\n' | b'\r' => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(end) = end else {
                self.take(rest);
                break;
            };
            at += end + 1;
            self.take_line(&rest[..end]);
            self.line = if rest[end] == b'\r' { LineState::BehindCr } else { LineState::Start };
            if !self.field {
                boundary = Some(at);
            }
        }
        boundary
    }

    /// True if the bytes scanned so far end between two events. Also true at the very start.
    pub const fn between(&self) -> bool {
        matches!(self.line, LineState::Start | LineState::BehindCr) && !self.field
    }

    /// The number of events dispatched so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// True if there was an `id` field, whether or not ids are kept.
    pub const fn has_ids(&self) -> bool {
        self.identified
    }

    /// The last event ID string, as of the last complete block. None if it is empty, cannot be sent
    /// in a header field, or is longer than [`ID_MAX`], or if ids are not kept.
    pub fn last_id(&self) -> Option<&[u8]> {
        self.ids.as_ref()?.last()
    }

    /// The reconnection time set by the last complete and valid `retry` field. None if there was
    /// none, or if ids are not kept.
    pub fn retry(&self) -> Option<Duration> {
        self.ids.as_ref()?.retry()
    }

    /// Begins a new body: the unfinished event is forgotten, with the id it would have had.
    /// Everything else that was kept and counted stays.
    pub fn restart(&mut self) {
        if let Some(ids) = &mut self.ids {
            ids.forget();
        }
        (self.line, self.field, self.data) = (LineState::Start, false, false);
    }

    /// Takes a whole line, or the rest of one.
    fn take_line(&mut self, line: &[u8]) {
        if self.at_line_start() {
            // The usual lines are recognised at once; others are treated like lines in pieces.
            if line.is_empty() {
                return self.end_block();
            }
            if line.starts_with(FieldKind::Data.name()) {
                (self.field, self.data) = (true, true);
                return;
            }
            if self.ids.is_none() && line.starts_with(FieldKind::Id.name()) {
                (self.field, self.identified) = (true, true);
                return;
            }
        }
        self.take(line);
        self.end_line();
    }

    fn at_line_start(&self) -> bool {
        matches!(self.line, LineState::Start | LineState::BehindCr)
    }

    /// Takes some bytes of a line.
    fn take(&mut self, mut bytes: &[u8]) {
        while let [byte, behind @ ..] = bytes {
            self.line = match self.line {
                LineState::Start | LineState::BehindCr => match byte {
                    b':' => LineState::Rest(FieldKind::Comment),
                    b'd' => LineState::Name(FieldKind::Data, 1),
                    b'i' => LineState::Name(FieldKind::Id, 1),
                    b'r' if self.ids.is_some() => LineState::Name(FieldKind::Retry, 1),
                    _ => LineState::Rest(FieldKind::Other),
                },
                LineState::Name(kind, len) => match kind.name()[usize::from(len)..] {
                    [b':'] if *byte == b':' => LineState::Rest(kind),
                    [next, ..] if *byte == next => LineState::Name(kind, len + 1),
                    _ => LineState::Rest(FieldKind::Other),
                },
                LineState::Rest(kind) => {
                    if let Some(ids) = &mut self.ids {
                        ids.take(kind, bytes);
                    }
                    return;
                }
            };
            bytes = behind;
        }
    }

    /// Ends a line that is not blank.
    fn end_line(&mut self) {
        let kind = match self.line {
            // A line that consists only of a name is that field with an empty value.
            LineState::Name(kind, len) if kind.name().len() == usize::from(len) + 1 => kind,
            LineState::Rest(kind) => kind,
            LineState::Start | LineState::BehindCr | LineState::Name(..) => FieldKind::Other,
        };
        self.field |= kind != FieldKind::Comment;
        self.data |= kind == FieldKind::Data;
        self.identified |= kind == FieldKind::Id;
        if let Some(ids) = &mut self.ids {
            ids.end_line(kind);
        }
    }

    fn end_block(&mut self) {
        self.events += u64::from(self.data);
        if let Some(ids) = &mut self.ids {
            ids.end_block(self.data);
        }
        (self.field, self.data) = (false, false);
    }
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner::new()
    }
}

#[cfg(test)]
mod tests;
