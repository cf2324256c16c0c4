//! The last event id and the reconnection time, for those who want to go on where a stream broke.

use super::{ID_MAX, Kind};
use crate::http::abnf::{is_text, trim};
use memchr::memchr;
use std::mem::swap;
use std::time::Duration;

/// Fed with the values of `id` and `retry` fields, in the pieces they arrive in.
///
/// Ids move from `value` to `next` to `last` by swapping, so that once the three have grown nothing
/// is allocated. An id that cannot be sent is kept as an empty one: it must not leave the older one
/// standing, which would ask for events that the client has seen.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// The last event ID string.
    last: Vec<u8>,
    /// The last event ID buffer, if `pending`; else that is the same as `last`.
    next: Vec<u8>,
    pending: bool,
    /// The id in the present line, as far as it matters. Empty at the start of a line.
    value: Vec<u8>,
    /// The number in the present line, once there is a digit.
    number: Option<u64>,
    /// The value has begun: a space is now a part of it.
    begun: bool,
    /// The field is to be ignored: a NUL in an id, something else than digits in a time.
    wrong: bool,
    retry: Option<Duration>,
}

impl Ids {
    pub(super) fn last(&self) -> Option<&[u8]> {
        Some(&*self.last).filter(|id| !id.is_empty())
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Forgets what is unfinished.
    pub(super) fn forget(&mut self) {
        self.pending = false;
        self.end_value();
    }

    /// Takes bytes of a field's value, from behind the colon.
    pub(super) fn take(&mut self, kind: Kind, mut bytes: &[u8]) {
        if !matches!(kind, Kind::Id | Kind::Retry) {
            return;
        }
        if !self.begun {
            self.begun = !bytes.is_empty();
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        if kind == Kind::Id {
            self.wrong |= memchr(0, bytes).is_some();
            // One more than may be: so much is needed to see that it is too long.
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

    /// A line of this kind is complete.
    pub(super) fn end_line(&mut self, kind: Kind) {
        match kind {
            Kind::Id if !self.wrong => {
                if !can_be_sent(&self.value) {
                    self.value.clear();
                }
                swap(&mut self.value, &mut self.next);
                self.pending = true;
            }
            Kind::Retry if !self.wrong => {
                self.retry = self.number.map(Duration::from_millis).or(self.retry);
            }
            Kind::Id | Kind::Retry => {}
            Kind::Comment | Kind::Data | Kind::Other => return,
        }
        self.end_value();
    }

    /// A blank line: the id is the last one now, whether or not there was an event.
    pub(super) fn end_block(&mut self) {
        if self.pending {
            swap(&mut self.last, &mut self.next);
            self.pending = false;
        }
    }

    fn end_value(&mut self) {
        self.value.clear();
        (self.number, self.begun, self.wrong) = (None, false, false);
    }
}

/// Whether an id can go into a header field and come out the same: no control characters, and
/// no whitespace at its ends, which is not part of a field's value (RFC 9110 section 5.5).
fn can_be_sent(id: &[u8]) -> bool {
    id.len() <= ID_MAX && id.iter().all(|&byte| is_text(byte)) && trim(id).len() == id.len()
}
