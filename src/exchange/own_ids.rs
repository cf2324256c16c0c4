//! The ids that a log gives its events in place of the upstream's (`ids = "own"`): the log's unique
//! epoch, and a number.

use crate::digits::Digits;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;

/// The ids of the events of a log. See the module docs.
pub struct OwnIds {
    /// Distinguishes the ids from those of any other log.
    pub epoch: u64,
    /// The number of the last event.
    last: Cell<u64>,
    /// The upstream's id at the time of that event. Empty if it had none.
    upstream: Cell<Vec<u8>>,
}

/// The number of digits of an epoch.
const EPOCH_DIGITS: usize = 16;

impl OwnIds {
    /// The ids of a log without events.
    pub const fn new(epoch: u64) -> OwnIds {
        OwnIds { epoch, last: Cell::new(0), upstream: Cell::new(Vec::new()) }
    }

    /// Inserts the field with the id of the next event into the event's `text`, before the empty
    /// line that ends it. Returns the range of the id.
    pub(super) fn write_next(&self, text: &mut Vec<u8>) -> Range<usize> {
        self.last.set(self.last.get() + 1);
        text.truncate(text.len() - b"\n".len());
        text.extend_from_slice(b"id: ");
        let start = text.len();
        let epoch = Digits::hexadecimal(self.epoch);
        text.extend(std::iter::repeat_n(b'0', EPOCH_DIGITS - epoch.as_str().len()));
        text.extend_from_slice(epoch.as_str().as_bytes());
        text.push(b'-');
        text.extend_from_slice(Digits::decimal(self.last.get()).as_str().as_bytes());
        let end = text.len();
        text.extend_from_slice(b"\n\n");
        start..end
    }

    /// Sets the upstream's last id. An empty one counts as none.
    pub(super) fn note_upstream(&self, id: &[u8]) {
        let mut known = self.upstream.take();
        known.clear();
        known.extend_from_slice(id);
        self.upstream.set(known);
    }

    /// Adopts the number of the last event, and the upstream's id, of the log that this one copies.
    pub fn go_on(&self, (number, upstream): &(u64, Box<[u8]>)) {
        self.last.set(*number);
        self.note_upstream(upstream);
    }

    /// The number of the last event, and the upstream's id at that time.
    pub fn last(&self) -> (u64, Box<[u8]>) {
        let known = self.upstream.take();
        let id = known.as_slice().into();
        self.upstream.set(known);
        (self.last.get(), id)
    }
}

impl fmt::Debug for OwnIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.last.get())
    }
}

/// The epoch and the number of an id of this form.
pub fn parse(id: &[u8]) -> Option<(u64, u64)> {
    let (epoch, number) = str::from_utf8(id).ok()?.split_once('-')?;
    let is_epoch = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if epoch.len() != EPOCH_DIGITS || !epoch.bytes().all(is_epoch) {
        return None;
    }
    let is_number = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    Some((epoch, number.parse().ok().filter(|_| is_number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_an_id_that_is_read_again() {
        let ids = OwnIds::new(0xabc);
        for number in 1..1000 {
            let mut text = b"data: a\n\n".to_vec();
            let id = ids.write_next(&mut text);
            let want = format!("0000000000000abc-{number}");
            assert_eq!(text, format!("data: a\nid: {want}\n\n").into_bytes());
            assert_eq!(parse(&text[id]), Some((0xabc, number)));
        }
    }

    #[test]
    fn what_is_no_id_of_ours() {
        let others = [
            "",
            "-",
            "1",
            "0000000000000abc",
            "0000000000000abc-",
            "0000000000000abc-0",
            "0000000000000abc-01",
            "0000000000000abc-+1",
            "0000000000000ABC-1",
            "00000000000000abc-1",
            "000000000000+abc-1",
            "0000000000000abc-1-1",
            "0000000000000abc-99999999999999999999",
        ];
        for id in others {
            assert_eq!(parse(id.as_bytes()), None, "{id}");
        }
    }

    #[test]
    fn the_upstream_s_id_is_that_of_the_last_event() {
        let ids = OwnIds::new(1);
        ids.note_upstream(b"7");
        ids.write_next(&mut b"data\n\n".to_vec());
        assert_eq!(ids.last(), (1, b"7"[..].into()));
        ids.note_upstream(b"");
        assert_eq!(ids.last(), (1, b""[..].into()));
    }
}
