//! What all sessions share: two scratch buffers, and a pool of buffers for bytes that wait.

use super::engine::Sealed;
use crate::buf::{Buf, BufPool};

/// Maximum number of bytes that are encrypted or read at once.
pub(super) const AT_ONCE: usize = 64 * 1024;

/// Maximum number of bytes in a record.
pub(super) const RECORD_MAX: usize = 16 * 1024;

/// The size of a record's header, and the most that a record may have beyond its payload (RFC 5246
/// section 6.2.3).
pub(super) const HEADER: usize = 5;
const OVERHEAD_MAX: usize = HEADER + 2048;

/// The size of the buffer for reading: an unfinished record, and all that is read at once after it.
const SCRATCH: usize = AT_ONCE + RECORD_MAX + OVERHEAD_MAX;

/// Minimum number of bytes to request from the network below.
const READ_MIN: usize = 2048;

/// How many bytes of spare buffers to keep, for each size.
const SPARE_BYTES: usize = 128 * 1024;

/// What all sessions share. See the module docs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) raw: Box<[u8]>,
    pub(super) sealed: Sealed,
    pub(super) buffers: BufPool,
}

impl Shared {
    pub(super) fn new() -> Shared {
        // Whatever a session holds has passed through a scratch buffer, and is at most twice its
        // size.
        let buffers = BufPool::new(RECORD_MAX + OVERHEAD_MAX, SCRATCH, 2 * SCRATCH, SPARE_BYTES);
        Shared { raw: vec![0; SCRATCH].into_boxed_slice(), sealed: Sealed::default(), buffers }
    }

    /// The size of all buffers that sessions hold, in bytes.
    pub(super) const fn held_bytes(&self) -> usize {
        self.buffers.lent_bytes()
    }

    /// Puts the bytes that a session has not decrypted into the scratch buffer. Returns their
    /// number.
    pub(super) fn load(&mut self, unopened: &mut Option<Box<Buf>>) -> usize {
        let Some(buf) = unopened.take() else { return 0 };
        let n = buf.len();
        self.raw[..n].copy_from_slice(buf.bytes());
        self.buffers.give_back(buf);
        n
    }

    /// Keeps the first `n` bytes of the scratch buffer for the next call.
    pub(super) fn store(&mut self, n: usize, unopened: &mut Option<Box<Buf>>) {
        if n > 0 {
            self.buffers.append(unopened, &self.raw[..n]);
        }
    }

    /// How much to read after the first `have` bytes, for a caller that has `room` for that many:
    /// at least the rest of the record.
    pub(super) fn read_next(&self, have: usize, room: usize) -> usize {
        let record = match self.raw[..have] {
            [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        let wanted = room.max(record).saturating_sub(have).max(READ_MIN);
        wanted.min(self.raw.len() - have)
    }

    /// Returns a buffer if it is empty.
    pub(super) fn give_back_empty(&mut self, slot: &mut Option<Box<Buf>>) {
        if let Some(buf) = slot.take_if(|buf| buf.is_empty()) {
            self.buffers.give_back(buf);
        }
    }
}
