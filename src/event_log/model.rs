//! A list of all events that a log ever had. What the log holds is computed from it each time.

use super::{CHUNK_MAX, Limits};
use crate::time::Tick;

/// The model. See the module docs.
#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    /// All events ever appended, each with the second in which it arrived.
    all: Vec<(u32, Vec<u8>)>,
    /// The number of those that are no longer held.
    gone: usize,
}

impl Model {
    pub(crate) const fn new(limits: Limits) -> Model {
        Model { limits, all: Vec::new(), gone: 0 }
    }

    pub(crate) fn append(&mut self, event: &[u8], now: Tick) {
        self.all.push((now.as_seconds(), event.to_vec()));
        let last = self.all.len() - 1;
        let fits = |from: usize| {
            let held = &self.all[from..];
            let bytes: usize = held.iter().map(|(_, event)| chunked(event).len()).sum();
            bytes <= self.limits.bytes && held.len() <= self.limits.events
        };
        self.gone = (self.gone..last).find(|from| fits(*from)).unwrap_or(last);
        self.expire(now);
    }

    pub(crate) fn expire(&mut self, now: Tick) {
        let age = self.limits.age.as_secs();
        let over = |(at, _): &(u32, _)| u64::from(now.as_seconds() - at) > age;
        while self.all.get(self.gone).is_some_and(over) {
            self.gone += 1;
        }
    }

    /// The held events, as chunks.
    pub(crate) fn held(&self) -> Vec<u8> {
        self.all[self.gone..].iter().flat_map(|(_, event)| chunked(event)).collect()
    }

    /// Those events without the chunks.
    pub(crate) fn plain(&self) -> Vec<u8> {
        self.all[self.gone..].iter().flat_map(|(_, event)| event.clone()).collect()
    }

    /// The position of the first chunk of each held event, and of the next event.
    pub(crate) fn positions(&self) -> Vec<u64> {
        let mut position = 0;
        let mut all = vec![0];
        for (_, event) in &self.all {
            position += pieces(event).count() as u64;
            all.push(position);
        }
        all.split_off(self.gone)
    }
}

/// The payloads of an event's chunks.
pub(crate) fn pieces(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.chunks(CHUNK_MAX - 8)
}

/// An event in the chunked coding.
pub(crate) fn chunked(event: &[u8]) -> Vec<u8> {
    let chunk =
        |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    pieces(event).flat_map(chunk).collect()
}
