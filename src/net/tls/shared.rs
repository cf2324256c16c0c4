//! What all sessions share: two scratches, and buffers for what waits.

use super::engine::Sealed;
use crate::buf::{Buf, BufPool};

/// The most bytes that are sealed or read at once.
pub(super) const AT_ONCE: usize = 64 * 1024;

/// The most bytes in a record.
pub(super) const RECORD_MAX: usize = 16 * 1024;

/// The bytes of a record's header, and the most that it may have beyond its payload (RFC 5246
/// section 6.2.3).
pub(super) const HEADER: usize = 5;
const OVERHEAD_MAX: usize = HEADER + 2048;

/// The room for what is read: all that is read at once behind an unfinished record.
const SCRATCH: usize = AT_ONCE + RECORD_MAX + OVERHEAD_MAX;

/// The least number of bytes to ask the network below for.
const READ_MIN: usize = 2048;

/// The bytes of spare buffers to keep, for each size.
const SPARE_BYTES: usize = 128 * 1024;

/// What all sessions share. See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) raw: Box<[u8]>,
    pub(super) sealed: Sealed,
    pub(super) buffers: BufPool,
}

impl Shared {
    pub(super) fn new() -> Shared {
        // What waits of one session has been in a scratch, twice at most.
        let buffers = BufPool::new(RECORD_MAX + OVERHEAD_MAX, SCRATCH, 2 * SCRATCH, SPARE_BYTES);
        Shared { raw: vec![0; SCRATCH].into_boxed_slice(), sealed: Sealed::default(), buffers }
    }

    /// The bytes of all buffers that sessions hold.
    pub(super) const fn held_bytes(&self) -> usize {
        self.buffers.lent_bytes()
    }

    /// Puts what a session has not opened into the scratch. Returns the number of bytes.
    pub(super) fn load(&mut self, unopened: &mut Option<Box<Buf>>) -> usize {
        let Some(buf) = unopened.take() else { return 0 };
        let n = buf.len();
        self.raw[..n].copy_from_slice(buf.bytes());
        self.buffers.give_back(buf);
        n
    }

    /// Keeps the first bytes of the scratch for the next time.
    pub(super) fn store(&mut self, n: usize, unopened: &mut Option<Box<Buf>>) {
        if n > 0 {
            self.buffers.append(unopened, &self.raw[..n]);
        }
    }

    /// How much to read behind what is there for a caller who has room for so many bytes: what is
    /// missing of the record, at least.
    pub(super) fn read_next(&self, have: usize, room: usize) -> usize {
        let record = match self.raw[..have] {
            [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        let wanted = room.max(record).saturating_sub(have).max(READ_MIN);
        wanted.min(self.raw.len() - have)
    }

    /// Returns a buffer of which all was taken.
    pub(super) fn give_back_empty(&mut self, slot: &mut Option<Box<Buf>>) {
        if let Some(buf) = slot.take_if(|buf| buf.is_empty()) {
            self.buffers.give_back(buf);
        }
    }
}
