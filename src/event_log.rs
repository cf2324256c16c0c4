//! Events that many clients read, each at its own pace.
//!
//! An [`EventLog`] has whole events, oldest first, each written once in the form in which it goes
//! out: as a chunk (RFC 9112 section 7.1), or several if it is long. A reader holds nothing but a
//! *position*, the number of the chunk that it reads next, so a thousand readers of a log cost a
//! thousand numbers. A position never means another event: chunks are numbered on for as long as
//! the log exists. [`EventLog::read`] returns the chunks that lie together, so that a reader who
//! is behind gets many events in one write. A reader whose events are gone is told so. Where the
//! log keeps the last event of each name ([`latest`]) it can go on with these.
//!
//! What is held is the longest run of the last events that is within the [`Limits`]. The last event
//! is held in any case, however long it is: those who wait for it shall have it. So are those that
//! come together ([`EventLog::begin_portion`]), until the next ones do.
//!
//! The bytes are in a ring in which no chunk is split, and what is known of each chunk is in
//! another. The first has room for one more chunk than its limit says, so a place is always found.
//! Both grow until they are as large as they have to be, and then nothing is allocated any more.
//!
//! Tested against a list of all events that there ever were.

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

/// Maximum length of a chunk with its framing, in bytes. A reader whose socket takes a part of one
/// keeps the rest, in a buffer of the usual size.
pub const CHUNK_MAX: usize = 8 * 1024;

/// Maximum length of a chunk's payload, in bytes.
const PAYLOAD_MAX: usize = CHUNK_MAX - FRAMING_MAX;

/// The framing of the longest chunk: a size of four digits, and two line ends.
const FRAMING_MAX: usize = 4 + 4;

/// The room of the smallest ring, in bytes.
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
    /// The hash of the id that its event carries, if it is the last of that. 0 if there is none.
    id: u64,
    /// Where it begins in the ring.
    start: u32,
    /// When it came, in seconds.
    at: u32,
    /// The length of its payload.
    payload: u16,
    /// True exactly when it is the last of its event.
    is_last: bool,
    /// True exactly when that counts as an event: a client dispatches one.
    counts: bool,
}

const _: () = assert!(size_of::<Chunk>() <= 24);

impl Chunk {
    /// Its length with its framing.
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

/// A log that those hold on to who write or read it. It is taken out for one call at a time, so no
/// borrow can be held at the wrong moment.
pub struct LogCell(Cell<Option<Box<EventLog>>>);

impl LogCell {
    /// Creates a log without events.
    pub fn new(limits: Limits) -> LogCell {
        LogCell(Cell::new(Some(Box::new(EventLog::new(limits)))))
    }

    /// Calls `with` with the log, which it may change.
    ///
    /// # Panics
    /// Within another call.
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

/// Events that many clients read. See the module. A clone has the same events at the same
/// positions, and goes on like it with [`EventLog::take`].
#[derive(Clone)]
pub struct EventLog {
    limits: Limits,
    ring: Box<[u8]>,
    /// The chunks of the events that are held, oldest first.
    chunks: VecDeque<Chunk>,
    /// The position of the first of them.
    first: u64,
    /// The position from which on nothing may be dropped, because no reader could have read it.
    portion: u64,
    /// The number of events that are held.
    events: usize,
    /// The length of all chunks.
    bytes: usize,
    /// The key of the hashes of ids, so that nobody can choose two that are the same.
    secret: RandomState,
    /// The hash of the id behind which the log begins, if it does not begin with its stream.
    begins_behind: Option<u64>,
    /// True exactly when an event carried an id.
    has_ids: bool,
    /// The last event of each name, if these are kept.
    latest: Option<Box<Latest>>,
    /// When to come back, as the stream last said, in milliseconds, and behind which position.
    retry: Option<(u64, u64)>,
}

/// What a reader gets.
#[derive(Debug)]
pub enum Reading<'a> {
    /// These chunks.
    Run(Run<'a>),
    /// Nothing: there is no further event yet.
    Nothing,
    /// Nothing: what it would have read is not held any more.
    Lost,
}

/// Chunks that lie together.
#[derive(Debug)]
pub struct Run<'a> {
    log: &'a EventLog,
    /// The index of the first chunk in the ring.
    first: usize,
    /// The index behind the last.
    end: usize,
    /// The only one, if it is not in the ring.
    kept: Option<&'a Piece>,
    /// The position behind the last.
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

    /// Keeps the last event of each name, for those who fall behind. No event has come yet.
    pub fn keep_latest(&mut self) {
        debug_assert_eq!(self.end(), 0);
        self.latest = Some(Box::default());
    }

    /// All that is appended from here on is held until this is called again. Without that, readers
    /// can read after each event.
    pub fn begin_portion(&mut self) {
        self.portion = self.end();
    }

    /// True exactly when something has come since then.
    pub fn has_portion(&self) -> bool {
        self.portion < self.end()
    }

    /// True exactly when more is held than the limits say.
    pub const fn is_overfull(&self) -> bool {
        self.bytes > self.limits.bytes || self.events > self.limits.events
    }

    /// Notes that the first event is the one behind the last that carried this id.
    pub fn begin_behind(&mut self, id: &[u8]) {
        debug_assert_eq!(self.end(), 0);
        self.begins_behind = Some(self.hash(id));
        self.has_ids = true;
    }

    /// The position of the oldest event that is held; of the next one, if none is.
    pub const fn oldest(&self) -> u64 {
        self.first
    }

    /// The position of the next event.
    pub fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    /// Notes that the last block says when to come back, in milliseconds.
    pub fn note_retry(&mut self, retry: u64) {
        self.retry = Some((retry, self.end()));
    }

    /// When to come back, in milliseconds, for who begins at this position and gets nothing more
    /// that says it.
    pub fn retry_before(&self, position: u64) -> Option<u64> {
        self.retry.filter(|(_, behind)| *behind <= position).map(|(retry, _)| retry)
    }

    /// The number of events that are held.
    pub const fn len(&self) -> usize {
        self.events
    }

    /// How many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        let latest = self.latest.as_ref().map_or(0, |latest| latest.memory());
        self.ring.len() + self.chunks.capacity() * size_of::<Chunk>() + latest
    }

    /// True exactly when an event carried an id, or the log begins behind one that did.
    pub const fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// The number of events from this position on that count.
    pub fn events_from(&self, position: u64) -> u64 {
        let gone = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.chunks.iter().skip(gone).map(|chunk| u64::from(chunk.counts)).sum()
    }

    /// The position behind the last event that carried this id. None if none of those that are held
    /// did. An empty id is none.
    pub fn find(&self, id: &[u8]) -> Option<u64> {
        let hash = self.hash(id);
        if id.is_empty() {
            return None;
        }
        let back = self.chunks.iter().rev().position(|chunk| chunk.id == hash);
        let begins = || (self.first == 0 && self.begins_behind == Some(hash)).then_some(0);
        back.map(|back| self.end() - back as u64).or_else(begins)
    }

    fn hash(&self, id: &[u8]) -> u64 {
        self.secret.hash_one(id).max(1)
    }

    /// Appends an event, which ends with an empty line and carries this id, if any. Drops those
    /// that are too old, or for which there is no room any more.
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
    /// none of those of which the last is kept.
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

    /// Prepares for an event of this many bytes with its framing, and with a name of this hash.
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

    /// What came before this second is too old.
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
                break;
            }
        }
        if let Some(latest) = self.latest.as_mut().filter(|_| keeps) {
            latest.keep(position, kept.into());
        }
    }

    /// Makes the ring large enough for `needed` more bytes, and no larger than for `most`.
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

    /// Where the next chunk goes: behind the last one, or to the start of the ring.
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

    /// What a reader gets who has read up to `position`: at most `most` bytes, unless the first
    /// chunk is longer.
    ///
    /// # Panics
    /// If no chunk before that position ever existed.
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

    /// The same for a reader who gets of each name the last event only, one chunk at a time. It may
    /// be behind what is held. [`Reading::Nothing`]: none is left, so it can go on at the end.
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

    /// True exactly when a reader at this position gets something, if only that it is too late.
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

    /// The chunks, as a body in the chunked coding has them.
    pub fn bytes(&self) -> &'a [u8] {
        match self.kept {
            Some(piece) => &piece.bytes,
            None => &self.log.ring[self.log.chunks[self.first].start()..self.last().end()],
        }
    }

    /// What is in each chunk.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes: &[u8] = self.kept.map_or(&self.log.ring, |piece| &piece.bytes);
        self.chunks()
            .map(|chunk| &bytes[chunk.end() - 2 - usize::from(chunk.payload)..chunk.end() - 2])
    }

    /// The first of these chunks, and how long they are: those that have the first `written` bytes,
    /// and at least one, and those behind that are of the same event. The bytes are those of the
    /// chunks if they are `framed`, and else of what is in them.
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

    /// The number of events that end in these chunks, and count.
    pub fn events(&self) -> u64 {
        self.chunks().map(|chunk| u64::from(chunk.counts)).sum()
    }

    /// True exactly when the last chunk is the end of an event.
    pub fn ends_between_events(&self) -> bool {
        self.last().is_last
    }

    /// True exactly when an event of their log carried an id.
    pub const fn has_ids(&self) -> bool {
        self.log.has_ids()
    }

    /// The position behind these chunks.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// True exactly when nothing is behind these chunks yet.
    pub fn is_at_end(&self) -> bool {
        self.next == self.log.end()
    }
}

/// An offset in a ring, none of which is longer than 2 GiB.
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
