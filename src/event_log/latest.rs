//! The last event of each name, also of those that a log does not hold any more.
//!
//! Who has fallen behind a log can go on with these, in the order in which they came, and is up to
//! date when it has read them all. It needs nothing but its position for that: an event that comes
//! while it reads takes the place of the former one of its name, further on.
//!
//! What is kept beside the ring is within the same limits as the ring itself. Beyond them the
//! oldest goes.

use super::{Chunk, Limits};
use std::collections::BTreeMap;

/// The last events by their names. See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    /// The position of each, by the hash of its name.
    positions: BTreeMap<u64, u64>,
    /// Each, by the position of its first chunk.
    events: BTreeMap<u64, Event>,
    /// The number of those that are kept here.
    kept: usize,
    /// Their length.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Event {
    name: u64,
    /// Its chunks. None are here while the log holds it.
    chunks: Box<[Piece]>,
}

/// A chunk that is kept.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// What is known of it. It begins at the start of its bytes.
    pub(super) chunk: Chunk,
    /// The chunk with its framing.
    pub(super) bytes: Box<[u8]>,
}

impl Latest {
    /// Another event of this name comes. The one before is not the last any more.
    pub(super) fn replace(&mut self, name: u64) {
        if let Some(position) = self.positions.remove(&name) {
            self.forget(position);
        }
    }

    /// An event of this name is in the log from this position on.
    pub(super) fn note(&mut self, name: u64, position: u64) {
        self.positions.insert(name, position);
        self.events.insert(position, Event { name, chunks: Box::default() });
    }

    /// True exactly when the event at this position is the last of its name.
    pub(super) fn has(&self, position: u64) -> bool {
        self.events.contains_key(&position)
    }

    /// The hash of the name of the event at this position, if that is the last of its name.
    pub(super) fn name_at(&self, position: u64) -> Option<u64> {
        self.events.get(&position).map(|event| event.name)
    }

    /// Keeps the event at this position, which is the last of its name and which the log is about
    /// to drop.
    pub(super) fn keep(&mut self, position: u64, chunks: Box<[Piece]>) {
        let Some(event) = self.events.get_mut(&position) else { return };
        self.kept += 1;
        self.bytes += chunks.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        event.chunks = chunks;
    }

    /// Drops those that are beyond the limits, or that came before `since`, in seconds.
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

    /// The position of the first of them from this one on.
    pub(super) fn next(&self, position: u64) -> Option<u64> {
        self.events.range(position..).next().map(|(position, _)| *position)
    }

    /// The chunk at this position, if it is kept.
    pub(super) fn chunk(&self, position: u64) -> Option<&Piece> {
        let (start, event) = self.events.range(..=position).next_back()?;
        event.chunks.get(usize::try_from(position - start).ok()?)
    }

    /// How many bytes of memory it takes, about.
    pub(super) fn memory(&self) -> usize {
        let each = size_of::<(u64, u64)>() + size_of::<(u64, Event)>();
        self.events.len() * each + self.bytes + self.kept * size_of::<Piece>()
    }
}
