//! The last event id and the reconnection time, for resuming a stream where it broke.

use super::{FieldKind, ID_MAX};
use crate::http::abnf::{is_text, trim};
use memchr::memchr;
use std::mem::swap;
use std::time::Duration;

/// The state of ids, fed with the values of `id` and `retry` fields in the pieces in which they
/// arrive.
///
/// Ids move from `value` to `next` to `last` by swapping, so that nothing is allocated once the
/// three have grown. An id that cannot be sent is stored as an empty one: the previous id must not
/// stay valid, because it would ask for events that the client has seen.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// The last event ID string.
    last: Vec<u8>,
    /// True if the stream was requested with that id, and nothing has arrived since that shows
    /// whether the server understood it.
    asked: bool,
    /// The last event ID buffer, if `pending`; otherwise it equals `last`.
    next: Vec<u8>,
    pending: bool,
    /// The id in the current line, up to the length that matters. Empty at the start of a line.
    value: Vec<u8>,
    /// The number in the current line, once there is a digit.
    number: Option<u64>,
    /// True if the value has begun, so that a space is part of it.
    begun: bool,
    /// True if the field is ignored: an id with a NUL, or a time with a non-digit.
    wrong: bool,
    retry: Option<Duration>,
}

impl Ids {
    pub(super) fn last(&self) -> Option<&[u8]> {
        Some(&*self.last).filter(|id| !id.is_empty())
    }

    /// Sets the last event ID string to this, if it can be sent.
    pub(super) fn begin_behind(&mut self, id: &[u8]) {
        self.last.clear();
        if can_be_sent(id) {
            self.last.extend_from_slice(id);
        }
        self.asked = true;
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Forgets an unfinished line and block.
    pub(super) fn forget(&mut self) {
        self.pending = false;
        self.end_value();
    }

    /// Takes bytes of a field's value, starting after the colon.
    pub(super) fn take(&mut self, kind: FieldKind, mut bytes: &[u8]) {
        if !matches!(kind, FieldKind::Id | FieldKind::Retry) {
            return;
        }
        if !self.begun {
            self.begun = !bytes.is_empty();
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        if kind == FieldKind::Id {
            self.wrong |= memchr(0, bytes).is_some();
            // One byte above the limit is enough to see that the id is too long.
            let room = ID_MAX + 1 - self.value.len();
            self.value.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        for byte in bytes {
            self.wrong |= !byte.is_ascii_digit();
            let digit = u64::from(byte.wrapping_sub(b'0'));
            self.number = Some(self.number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        }
    }

    /// Ends a line of this kind.
    pub(super) fn end_line(&mut self, kind: FieldKind) {
        match kind {
            FieldKind::Id if !self.wrong => {
                if !can_be_sent(&self.value) {
                    self.value.clear();
                }
                swap(&mut self.value, &mut self.next);
                self.pending = true;
            }
            FieldKind::Retry if !self.wrong => {
                self.retry = self.number.map(Duration::from_millis).or(self.retry);
            }
            FieldKind::Id | FieldKind::Retry => {}
            FieldKind::Comment | FieldKind::Data | FieldKind::Other => return,
        }
        self.end_value();
    }

    /// Ends a block: the id becomes the last one, whether or not it was an `event`. If the first
    /// event has no id, it may be any event, because servers that do not know the requested id
    /// continue with current events. So that id is not used again.
    pub(super) fn end_block(&mut self, event: bool) {
        if self.pending {
            swap(&mut self.last, &mut self.next);
        } else if self.asked && event {
            self.last.clear();
        }
        self.asked &= !self.pending && !event;
        self.pending = false;
    }

    fn end_value(&mut self) {
        self.value.clear();
        (self.number, self.begun, self.wrong) = (None, false, false);
    }
}

/// True if an id survives transport in a header field: it has no control characters, and no
/// whitespace at its ends, which a field value would lose (RFC 9110 section 5.5).
pub fn can_be_sent(id: &[u8]) -> bool {
    id.len() <= ID_MAX && id.iter().all(|&byte| is_text(byte)) && trim(id).len() == id.len()
}
