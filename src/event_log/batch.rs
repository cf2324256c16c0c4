//! Events of a log, for a clone of it in another event loop.
//!
//! They are copied as they are in the log: framed, and with the hashes of their ids. So positions
//! and ids mean the same in both.

use super::{Chunk, EventLog};
use crate::time::Tick;
use crate::work;

/// Events that were appended to a log, oldest first. See the module docs.
#[derive(Debug)]
pub struct Batch {
    /// The position of the first event.
    position: u64,
    /// Their chunks, with the framing.
    bytes: Box<[u8]>,
    /// The metadata of each chunk. Its start in the ring is meaningless here.
    chunks: Box<[Chunk]>,
    /// The positions of events that are the last of their name, with the hash of the name.
    names: Box<[(u64, u64)]>,
    /// The reconnection time that the stream last set, in milliseconds, and the position after it.
    retry: Option<(u64, u64)>,
}

impl Batch {
    /// The number of bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl EventLog {
    /// The events from this position on. None if some of them are no longer held.
    pub fn events_since(&self, position: u64) -> Option<Batch> {
        let first = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let chunks: Box<[Chunk]> = self.chunks.iter().skip(first).copied().collect();
        let mut bytes = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
        for chunk in &chunks {
            bytes.extend_from_slice(&self.ring[chunk.start()..chunk.end()]);
        }
        work::note(bytes.len());
        let name = |at| self.latest.as_ref()?.name_at(at).map(|name| (at, name));
        let names = (position..self.end()).filter_map(name).collect();
        Some(Batch { position, bytes: bytes.into(), chunks, names, retry: self.retry })
    }

    /// Appends the events of a batch from the log that this is a clone of. Drops events that are
    /// too old, or that there is no more room for.
    ///
    /// # Panics
    /// If events before the batch are missing.
    pub fn take(&mut self, batch: &Batch, now: Tick) {
        assert_eq!(batch.position, self.end(), "a batch goes where it comes from");
        work::note(batch.len());
        let (mut from, mut names) = (0, batch.names.iter().peekable());
        for event in batch.chunks.split_inclusive(|chunk| chunk.is_last) {
            let position = self.end();
            let name = names.next_if(|(at, _)| *at == position).map(|(_, name)| *name);
            self.make_room(event.iter().map(|chunk| chunk.len()).sum(), name, now);
            for chunk in event {
                let bytes = &batch.bytes[from..from + chunk.len()];
                from += bytes.len();
                self.place_chunk(*chunk, bytes);
            }
            self.events += 1;
        }
        self.retry = batch.retry;
    }

    /// Adds a framed chunk to the ring, which has room for it.
    fn place_chunk(&mut self, chunk: Chunk, bytes: &[u8]) {
        let start = self.place(bytes.len());
        self.ring[start..][..bytes.len()].copy_from_slice(bytes);
        self.chunks.push_back(Chunk { start: super::narrow(start), ..chunk });
        self.bytes += bytes.len();
        self.has_ids |= chunk.id != 0;
    }
}
