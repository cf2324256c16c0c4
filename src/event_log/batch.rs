//! Events of a log, for a clone of it that is elsewhere.
//!
//! They are as they lie in the log: framed, and with the hashes of their ids. So a position means
//! the same in both, and so does an id.

use super::{Chunk, EventLog};
use crate::time::Tick;
use crate::work;

/// Events that have come to a log, oldest first. See the module.
#[derive(Debug)]
pub struct Batch {
    /// The position of the first.
    position: u64,
    /// Their chunks, with the framing.
    bytes: Box<[u8]>,
    /// What is known of each chunk. Where it begins in a ring means nothing.
    chunks: Box<[Chunk]>,
    /// The hashes of names, by the positions of the events that are the last of theirs.
    names: Box<[(u64, u64)]>,
    /// When to come back, as the stream last said, and behind which position.
    retry: Option<(u64, u64)>,
}

impl Batch {
    /// The number of bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl EventLog {
    /// The events from this position on. None if some of them are not held any more.
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

    /// Appends the events of a batch from the log of which this is a clone. Drops those that are
    /// too old, or for which there is no room any more.
    ///
    /// # Panics
    /// If others are missing in between.
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
