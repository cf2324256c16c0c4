//! The last event of each name, even if a log no longer holds it.
//!
//! A reader that has fallen behind a log can continue with these, in the order in which they were
//! appended, and is up to date when it has read them all. Its position is all it needs for that: an
//! event appended in the meantime replaces the previous one of its name, at a later position.
//!
//! What is kept beside the ring has the same limits as the ring itself. Beyond them, the oldest
//! events are dropped.

use super::{Chunk, Limits};
use std::collections::BTreeMap;

/// The last events by name. See the module docs.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    /// The position of each event, by the hash of its name.
    positions: BTreeMap<u64, u64>,
    /// Each event, by the position of its first chunk.
    events: BTreeMap<u64, Event>,
    /// The number of events kept here and no longer in the ring.
    kept: usize,
    /// Their length in bytes.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Event {
    name: u64,
    /// Its chunks. Empty while the log holds it.
    chunks: Box<[Piece]>,
}

/// A chunk that is kept.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Its metadata. It begins at the start of `bytes`.
    pub(super) chunk: Chunk,
    /// The chunk with its framing.
    pub(super) bytes: Box<[u8]>,
}

impl Latest {
    /// Notes that another event of this name follows, so the previous one is no longer the last.
    pub(super) fn replace(&mut self, name: u64) {
        if let Some(position) = self.positions.remove(&name) {
            self.forget(position);
        }
    }

    /// Notes that the last event of this name is at this position in the log.
    pub(super) fn note(&mut self, name: u64, position: u64) {
        self.positions.insert(name, position);
        self.events.insert(position, Event { name, chunks: Box::default() });
    }

    /// True if the event at this position is the last of its name.
    pub(super) fn has(&self, position: u64) -> bool {
        self.events.contains_key(&position)
    }

    /// The hash of the name of the event at this position, if that is the last of its name.
    pub(super) fn name_at(&self, position: u64) -> Option<u64> {
        self.events.get(&position).map(|event| event.name)
    }

    /// Keeps the event at this position, which is the last of its name, and which the log is
    /// dropping.
    pub(super) fn keep(&mut self, position: u64, chunks: Box<[Piece]>) {
        let Some(event) = self.events.get_mut(&position) else { return };
        self.kept += 1;
        self.bytes += chunks.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        event.chunks = chunks;
    }

    /// Drops events beyond the limits, or appended before `since`, in seconds.
    pub(super) fn limit(&mut self, limits: &Limits, since: u32) {
        while let Some((position, event)) = self.events.first_key_value() {
            let Some(piece) = event.chunks.first() else { return };
            let is_over = self.kept > limits.events || self.bytes > limits.bytes;
            if !is_over && piece.chunk.at >= since {
                return;
            }
            let (position, name) = (*position, event.name);
            self.positions.remove(&name);
            self.forget(position);
        }
    }

    fn forget(&mut self, position: u64) {
        let Some(event) = self.events.remove(&position) else { return };
        self.kept -= usize::from(!event.chunks.is_empty());
        self.bytes -= event.chunks.iter().map(|piece| piece.bytes.len()).sum::<usize>();
    }

    /// The position of the first of these events from this position on.
    pub(super) fn next(&self, position: u64) -> Option<u64> {
        self.events.range(position..).next().map(|(position, _)| *position)
    }

    /// The chunk at this position, if it is kept.
    pub(super) fn chunk(&self, position: u64) -> Option<&Piece> {
        let (start, event) = self.events.range(..=position).next_back()?;
        event.chunks.get(usize::try_from(position - start).ok()?)
    }

    /// The memory that it uses, in bytes, approximately.
    pub(super) fn memory(&self) -> usize {
        let each = size_of::<(u64, u64)>() + size_of::<(u64, Event)>();
        self.events.len() * each + self.bytes + self.kept * size_of::<Piece>()
    }
}
