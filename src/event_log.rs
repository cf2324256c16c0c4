//! Events that many clients read, each at its own pace.
//!
//! An [`EventLog`] contains whole events, oldest first, each written once in the form in which it
//! is sent: as a chunk (RFC 9112 section 7.1), or as several if it is long. A reader holds only a
//! *position*, the number of the chunk that it reads next, so a thousand readers of a log cost a
//! thousand numbers. A position always means the same event: chunks are numbered consecutively for
//! as long as the log exists. [`EventLog::read`] returns adjacent chunks, so a reader that has
//! fallen behind gets many events in one write. A reader whose events are no longer held is told
//! so. If the log keeps the last event of each name ([`latest`]), the reader can continue with
//! these.
//!
//! The log holds as many of the last events as the [`Limits`] allow. The last event is always held,
//! however long it is, so that readers that wait for it get it. So are events that arrive together
//! ([`EventLog::begin_portion`]), until the next ones arrive.
//!
//! The bytes are in a ring in which no chunk is split, and the metadata of the chunks is in
//! another. The first has room for one chunk more than its limit, so there is always a place for
//! the next. Both grow to the size they need, and nothing is allocated after that.
//!
//! Tested against a list of all events ever appended.

mod batch;
mod latest;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod model;

pub use batch::Batch;

use crate::http::chunk;
use crate::time::Tick;
use crate::work;
use latest::{Latest, Piece};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Maximum length of a chunk with its framing, in bytes. A reader whose socket accepts only a part
/// of one keeps the rest, in a buffer of the usual size.
pub const CHUNK_MAX: usize = 8 * 1024;

/// Maximum length of a chunk's payload, in bytes.
const PAYLOAD_MAX: usize = CHUNK_MAX - FRAMING_MAX;

/// The framing of the longest chunk: a size of four digits, and two line ends.
const FRAMING_MAX: usize = 4 + 4;

/// The size of the smallest ring in bytes, without the room for one more chunk.
const ROOM_MIN: usize = 4 * 1024;

/// How much a log holds: whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of bytes of all events, with their framing: at most 1 GiB.
    pub bytes: usize,
    /// Maximum number of events; at least one.
    pub events: usize,
    /// Maximum age of an event, in whole seconds.
    pub age: Duration,
}

/// A chunk in the ring.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The hash of its event's id, if it is the last chunk of the event. 0 if there is none.
    id: u64,
    /// Where it begins in the ring.
    start: u32,
    /// When it was appended, in seconds.
    at: u32,
    /// The length of its payload.
    payload: u16,
    /// True if it is the last chunk of its event.
    is_last: bool,
    /// True if its event counts as one: a client dispatches it.
    counts: bool,
}

const _: () = assert!(size_of::<Chunk>() <= 24);

impl Chunk {
    /// Its length, with the framing.
    fn len(self) -> usize {
        framed(self.payload.into())
    }

    const fn start(self) -> usize {
        self.start as usize
    }

    fn end(self) -> usize {
        self.start() + self.len()
    }
}

/// The length of a chunk with a payload of this length.
fn framed(payload: usize) -> usize {
    let digits = 1 + payload.ilog2() as usize / 4;
    digits + 2 + payload + 2
}

/// A log, shared by its writer and its readers. It is taken out of its cell for one call at a time,
/// so no borrow outlives a call.
pub struct LogCell(Cell<Option<Box<EventLog>>>);

impl LogCell {
    /// Creates a log without events.
    pub fn new(limits: Limits) -> LogCell {
        LogCell(Cell::new(Some(Box::new(EventLog::new(limits)))))
    }

    /// Calls `with` with the log, which it may change.
    ///
    /// # Panics
    /// If it is called within another call.
    pub fn with<T>(&self, with: impl FnOnce(&mut EventLog) -> T) -> T {
        let Some(mut log) = self.0.take() else { panic!("a log is taken out twice") };
        let result = with(&mut log);
        self.0.set(Some(log));
        result
    }
}

impl fmt::Debug for LogCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|log| log.fmt(f))
    }
}

/// Events that many clients read. See the module docs. A clone has the same events at the same
/// positions, and follows the original with [`EventLog::take`].
#[derive(Clone)]
pub struct EventLog {
    limits: Limits,
    ring: Box<[u8]>,
    /// The chunks of the events that are held, oldest first.
    chunks: VecDeque<Chunk>,
    /// The position of the first of them.
    first: u64,
    /// The position from which on nothing may be dropped, because no reader can have read it yet.
    portion: u64,
    /// The number of held events.
    events: usize,
    /// The length of all chunks.
    bytes: usize,
    /// The key for the hashes of ids, so that nobody can choose ids that collide.
    secret: RandomState,
    /// The hash of the id directly after which the held events begin: that of the last dropped
    /// event, or of the event after which the stream was requested. None if that event had no id,
    /// or if there was none.
    begins_behind: Option<u64>,
    /// True if an event carried an id.
    has_ids: bool,
    /// The last event of each name, if these are kept.
    latest: Option<Box<Latest>>,
    /// The reconnection time that the stream last set, in milliseconds, and the position after it.
    retry: Option<(u64, u64)>,
}

/// What a reader gets.
#[derive(Debug)]
pub enum Reading<'a> {
    /// These chunks.
    Run(Run<'a>),
    /// Nothing: there is no further event yet.
    Nothing,
    /// Nothing: the next event for this reader is no longer held.
    Lost,
}

/// Adjacent chunks.
#[derive(Debug)]
pub struct Run<'a> {
    log: &'a EventLog,
    /// The index of the first chunk among those of the log.
    first: usize,
    /// The index after the last.
    end: usize,
    /// The only chunk, if it is not in the ring.
    kept: Option<&'a Piece>,
    /// The position after the last.
    next: u64,
}

impl EventLog {
    /// Creates a log without events. It takes no memory yet.
    pub fn new(limits: Limits) -> EventLog {
        assert!(limits.events > 0 && limits.bytes <= 1 << 30, "no log can be within {limits:?}");
        EventLog {
            limits,
            ring: Box::default(),
            chunks: VecDeque::new(),
            first: 0,
            portion: u64::MAX,
            events: 0,
            bytes: 0,
            secret: RandomState::new(),
            begins_behind: None,
            has_ids: false,
            latest: None,
            retry: None,
        }
    }

    /// Keeps the last event of each name, for readers that fall behind. The log must be new.
    pub fn keep_latest(&mut self) {
        debug_assert_eq!(self.end(), 0);
        self.latest = Some(Box::default());
    }

    /// Everything appended from now on is held until this is called again. Without a call, readers
    /// can read after each event.
    pub fn begin_portion(&mut self) {
        self.portion = self.end();
    }

    /// True if something has been appended since [`EventLog::begin_portion`] was called.
    pub fn has_portion(&self) -> bool {
        self.portion < self.end()
    }

    /// True if more is held than the limits allow.
    pub const fn is_overfull(&self) -> bool {
        self.bytes > self.limits.bytes || self.events > self.limits.events
    }

    /// Notes that the log begins after the event that carried this id.
    pub fn begin_behind(&mut self, id: &[u8]) {
        debug_assert_eq!(self.end(), 0);
        self.begins_behind = Some(self.hash(id));
        self.has_ids = true;
    }

    /// The position of the oldest held event, or of the next one if none is held.
    pub const fn oldest(&self) -> u64 {
        self.first
    }

    /// The position of the next event.
    pub fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    /// Notes that the last block sets the reconnection time, in milliseconds.
    pub fn note_retry(&mut self, retry: u64) {
        self.retry = Some((retry, self.end()));
    }

    /// The reconnection time in milliseconds for a reader that begins at this position, unless a
    /// later block sets it.
    pub fn retry_before(&self, position: u64) -> Option<u64> {
        self.retry.filter(|(_, behind)| *behind <= position).map(|(retry, _)| retry)
    }

    /// The number of held events.
    pub const fn len(&self) -> usize {
        self.events
    }

    /// The memory that it uses, in bytes.
    pub fn memory(&self) -> usize {
        let latest = self.latest.as_ref().map_or(0, |latest| latest.memory());
        self.ring.len() + self.chunks.capacity() * size_of::<Chunk>() + latest
    }

    /// True if an event carried an id, or the log begins after one that did.
    pub const fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// The number of events from this position on that clients dispatch.
    pub fn events_from(&self, position: u64) -> u64 {
        let gone = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.chunks.iter().skip(gone).map(|chunk| u64::from(chunk.counts)).sum()
    }

    /// The position after the last event that carried this id. None if neither a held event did nor
    /// the last one before these, or if the id is empty.
    pub fn find(&self, id: &[u8]) -> Option<u64> {
        let hash = self.hash(id);
        if id.is_empty() {
            return None;
        }
        let back = self.chunks.iter().rev().position(|chunk| chunk.id == hash);
        let begins = || (self.begins_behind == Some(hash)).then_some(self.first);
        back.map(|back| self.end() - back as u64).or_else(begins)
    }

    fn hash(&self, id: &[u8]) -> u64 {
        self.secret.hash_one(id).max(1)
    }

    /// Appends an event, which ends with an empty line and carries this id, if any. Drops events
    /// that are too old, or that there is no more room for.
    ///
    /// # Panics
    /// If the event is empty or longer than 1 GiB.
    pub fn append(&mut self, event: &[u8], id: Option<&[u8]>, now: Tick) {
        self.append_block(event, id, None, now);
        if let Some(last) = self.chunks.back_mut() {
            last.counts = true;
        }
    }

    /// The same for an event with this name. A block without one does not count as an event, and is
    /// not kept as the last of a name.
    pub fn append_block(
        &mut self,
        event: &[u8],
        id: Option<&[u8]>,
        name: Option<&[u8]>,
        now: Tick,
    ) {
        assert!(!event.is_empty() && event.len() <= 1 << 30, "an event of {} bytes", event.len());
        work::note(event.len());
        let needed: usize = event.chunks(PAYLOAD_MAX).map(|payload| framed(payload.len())).sum();
        self.make_room(needed, name.map(|name| self.hash(name)), now);
        let mut payloads = event.chunks(PAYLOAD_MAX).peekable();
        while let Some(payload) = payloads.next() {
            self.put(payload, payloads.peek().is_none(), now);
        }
        self.events += 1;
        let id = id.map_or(0, |id| self.hash(id));
        self.has_ids |= id != 0;
        if let Some(last) = self.chunks.back_mut() {
            (last.id, last.counts) = (id, name.is_some());
        }
    }

    /// Makes room for an event of this many bytes, with its framing, and with a name of this hash.
    fn make_room(&mut self, needed: usize, name: Option<u64>, now: Tick) {
        let most = self.limits.bytes.max(needed);
        if let (Some(latest), Some(name)) = (&mut self.latest, name) {
            latest.replace(name);
        }
        self.expire(now);
        let is_full = |log: &EventLog| log.bytes + needed > most || log.events >= log.limits.events;
        while is_full(self) && self.first < self.portion {
            self.drop_oldest();
        }
        self.limit_latest(now);
        let position = self.end();
        if let (Some(latest), Some(name)) = (&mut self.latest, name) {
            latest.note(name, position);
        }
        self.resize(needed, most.max(self.bytes + needed));
    }

    /// Drops the events that are too old.
    pub fn expire(&mut self, now: Tick) {
        let since = self.since(now);
        let is_old = |log: &EventLog| log.chunks.front().is_some_and(|chunk| chunk.at < since);
        while is_old(self) && self.first < self.portion {
            self.drop_oldest();
        }
        self.limit_latest(now);
    }

    /// The second before which events are too old.
    fn since(&self, now: Tick) -> u32 {
        let age = u32::try_from(self.limits.age.as_secs()).unwrap_or(u32::MAX);
        now.as_seconds().saturating_sub(age)
    }

    fn limit_latest(&mut self, now: Tick) {
        let since = self.since(now);
        if let Some(latest) = &mut self.latest {
            latest.limit(&self.limits, since);
        }
    }

    fn drop_oldest(&mut self) {
        let position = self.first;
        let keeps = self.latest.as_ref().is_some_and(|latest| latest.has(position));
        let mut kept = Vec::new();
        while let Some(chunk) = self.chunks.pop_front() {
            self.first += 1;
            self.bytes -= chunk.len();
            if keeps {
                work::note(chunk.len());
                let bytes = self.ring[chunk.start()..chunk.end()].into();
                kept.push(Piece { chunk: Chunk { start: 0, ..chunk }, bytes });
            }
            if chunk.is_last {
                self.events -= 1;
                self.begins_behind = (chunk.id != 0).then_some(chunk.id);
                break;
            }
        }
        if let Some(latest) = self.latest.as_mut().filter(|_| keeps) {
            latest.keep(position, kept.into());
        }
    }

    /// Makes the ring large enough for `needed` more bytes, but for at most `most` in total.
    fn resize(&mut self, needed: usize, most: usize) {
        let (room, wanted) = (self.ring.len().saturating_sub(CHUNK_MAX), self.bytes + needed);
        if (wanted..=most).contains(&room) {
            return;
        }
        let room = wanted.max(2 * room).max(ROOM_MIN).min(most);
        let mut ring = vec![0; room + CHUNK_MAX].into_boxed_slice();
        let mut at = 0;
        for chunk in &mut self.chunks {
            let len = chunk.len();
            ring[at..at + len].copy_from_slice(&self.ring[chunk.start()..chunk.end()]);
            chunk.start = narrow(at);
            at += len;
        }
        work::note(at);
        self.ring = ring;
    }

    /// Adds a chunk to the ring, which has room for it.
    fn put(&mut self, payload: &[u8], is_last: bool, now: Tick) {
        let len = framed(payload.len());
        let start = self.place(len);
        let body = start + len - 2 - payload.len();
        self.ring[body..][..payload.len()].copy_from_slice(payload);
        let chunk = chunk::frame(&mut self.ring, body..body + payload.len());
        debug_assert_eq!(chunk, start..start + len);
        let (start, at) = (narrow(start), now.as_seconds());
        let Ok(payload) = u16::try_from(payload.len()) else {
            unreachable!("a payload is no longer than {PAYLOAD_MAX}");
        };
        self.chunks.push_back(Chunk { id: 0, start, at, payload, is_last, counts: false });
        self.bytes += len;
    }

    /// Where the next chunk goes: after the last one, or to the start of the ring.
    fn place(&self, len: usize) -> usize {
        let (Some(oldest), Some(last)) = (self.chunks.front(), self.chunks.back()) else {
            return 0;
        };
        let is_wrapped = last.start < oldest.start;
        let (at, end) = match is_wrapped {
            true => (last.end(), oldest.start()),
            false if last.end() + len <= self.ring.len() => (last.end(), self.ring.len()),
            false => (0, oldest.start()),
        };
        assert!(at + len <= end, "a ring has room for one more chunk than is held");
        at
    }

    /// What a reader at `position` gets: at most `most` bytes, unless the first chunk is longer.
    ///
    /// # Panics
    /// If the position is after the end.
    pub fn read(&self, position: u64, most: usize) -> Reading<'_> {
        assert!(position <= self.end(), "a position in front of what was written");
        let Some(first) = position.checked_sub(self.first) else { return Reading::Lost };
        let Ok(first) = usize::try_from(first) else { unreachable!("as many chunks as are held") };
        let Some(chunk) = self.chunks.get(first) else { return Reading::Nothing };
        let (start, mut end, mut behind) = (chunk.start(), chunk.end(), first + 1);
        while let Some(chunk) = self.chunks.get(behind)
            && chunk.start() == end
            && chunk.end() - start <= most
        {
            (end, behind) = (chunk.end(), behind + 1);
        }
        let next = self.first + behind as u64;
        Reading::Run(Run { log: self, first, end: behind, kept: None, next })
    }

    /// The same for a reader that gets only the last event of each name, one chunk at a time. Its
    /// events may no longer be held. [`Reading::Nothing`]: no event is left, so it can continue at
    /// the end.
    pub fn read_latest(&self, position: u64, is_between: bool) -> Reading<'_> {
        let next = self.latest.as_ref().and_then(|latest| latest.next(position));
        let position = match next {
            Some(next) if is_between => next,
            None if is_between => return Reading::Nothing,
            _ => position,
        };
        let kept = self.latest.as_ref().and_then(|latest| latest.chunk(position));
        match kept {
            Some(_) => Reading::Run(Run { log: self, first: 0, end: 0, kept, next: position + 1 }),
            None => self.read(position, 0),
        }
    }

    /// True if a reader at this position gets something, even if it is only [`Reading::Lost`].
    pub fn has(&self, position: u64) -> bool {
        position < self.end()
    }
}

impl<'a> Run<'a> {
    fn chunks(&self) -> impl Iterator<Item = Chunk> + use<'a> {
        let kept = self.kept.map(|piece| piece.chunk);
        kept.into_iter().chain(self.log.chunks.range(self.first..self.end).copied())
    }

    fn last(&self) -> Chunk {
        self.kept.map_or_else(|| self.log.chunks[self.end - 1], |piece| piece.chunk)
    }

    /// The chunks, framed as in the chunked coding.
    pub fn bytes(&self) -> &'a [u8] {
        match self.kept {
            Some(piece) => &piece.bytes,
            None => &self.log.ring[self.log.chunks[self.first].start()..self.last().end()],
        }
    }

    /// The payload of each chunk.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes: &[u8] = self.kept.map_or(&self.log.ring, |piece| &piece.bytes);
        self.chunks()
            .map(|chunk| &bytes[chunk.end() - 2 - usize::from(chunk.payload)..chunk.end() - 2])
    }

    /// The first of these chunks, and their length: those with the first `written` bytes, at least
    /// one, and the rest of the last event among them. Bytes are counted with the framing if it is
    /// `framed`, and otherwise without.
    pub fn front(&self, written: usize, framed: bool) -> (Run<'a>, usize) {
        let (mut len, mut count, mut is_whole) = (0, 0, false);
        for chunk in self.chunks() {
            if is_whole && len >= written {
                break;
            }
            len += if framed { chunk.len() } else { chunk.payload.into() };
            (count, is_whole) = (count + 1, chunk.is_last);
        }
        let left = self.chunks().count() - count;
        let (end, next) = (self.end - left, self.next - left as u64);
        (Run { end, next, ..*self }, len)
    }

    /// The number of events that end in these chunks and that clients dispatch.
    pub fn events(&self) -> u64 {
        self.chunks().map(|chunk| u64::from(chunk.counts)).sum()
    }

    /// True if the last chunk ends an event.
    pub fn ends_between_events(&self) -> bool {
        self.last().is_last
    }

    /// True if an event of their log carried an id.
    pub const fn has_ids(&self) -> bool {
        self.log.has_ids()
    }

    /// The position after these chunks.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// True if nothing follows these chunks yet.
    pub fn is_at_end(&self) -> bool {
        self.next == self.log.end()
    }
}

/// An offset in a ring. No ring is longer than 2 GiB.
#[expect(clippy::cast_possible_truncation, reason = "no ring is longer than 2 GiB")]
fn narrow(at: usize) -> u32 {
    debug_assert!(u32::try_from(at).is_ok());
    at as u32
}

impl fmt::Debug for EventLog {
    /// Shows counts but never contents, which belong to a peer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventLog { events, bytes, first, .. } = self;
        write!(f, "EventLog {{ {events} events, {bytes} bytes, from {first} }}")
    }
}

#[cfg(test)]
mod tests;
