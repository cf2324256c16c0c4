//! The event boundaries of a stream, as tracked by an intake.
//!
//! The bytes of an event stream are passed on at once, like those of any other response, and
//! scanned on the way. So it is always known whether the bytes passed on end between two events:
//! only there can a heartbeat be inserted or the stream be ended.
//!
//! If only whole events may pass (in a stream that may be resumed or is about to be ended, or if
//! bytes are gathered anyway), an unfinished one is held here until it is complete. That adds no
//! latency, because a client can do nothing with half an event, but it takes memory while an event
//! is arriving. An event that is longer than [`Terms::event_max`], or than the process has memory
//! for ([`BufPool::may_hold`]), is passed on as it arrives. Until it ends the client is within an
//! event, so nothing is inserted, and a break there is a visible cut. For a log that many clients
//! read, memory is always granted ([`Holding::Always`]): otherwise clients that make others hold
//! much could end the streams of its readers.
//!
//! A byte order mark at the start is removed: if a heartbeat preceded it, the mark would end up in
//! the middle, as part of a field name. If nothing can precede it ([`Terms::verbatim`]) it is
//! passed on.

use crate::buf::{Buf, BufPool, narrow};
use crate::sse::{BYTE_ORDER_MARK, Scanner, byte_order_mark};
use std::time::Duration;

/// Which unfinished events are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// None: bytes pass as they arrive.
    Nothing,
    /// Those that the process has memory for: only whole events should pass.
    WhileRoom,
    /// All: only whole events may pass, however much memory other streams hold.
    Always,
}

/// The terms for treating an event stream.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The maximum length of an event that is still held, in bytes.
    pub event_max: usize,
    /// True if ids are recorded, so that the stream can be resumed.
    pub resumable: bool,
    /// True if the stream is resumed even if its source ends it.
    pub outlives_source: bool,
    /// Which unfinished events are held. A resumable stream holds at least those that there is room
    /// for.
    pub holding: Holding,
    /// True if the client gets the bytes of the source and none of ours.
    pub verbatim: bool,
    /// True if readers are told about gaps, so that the stream may be resumed without an id.
    pub tells_gaps: bool,
}

/// The handling of a byte order mark at the start of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The first bytes may be a byte order mark, which is removed. Next: `Known`.
    Strip,
    /// The first bytes may be a byte order mark, which is passed on; this many of its bytes have
    /// arrived. Next: `Known`.
    Keep(u8),
    /// It is known whether there is one.
    Known,
}

/// The state of an event stream. See the module docs.
#[derive(Debug)]
pub struct Events {
    scanner: Scanner,
    /// Bytes taken from the source that wait for the end of their event, or for room. Never an
    /// empty buffer.
    held: Option<Box<Buf>>,
    /// The number of held bytes, from the start, that may pass.
    free: u32,
    event_max: u32,
    holding: Holding,
    resumable: bool,
    outlives_source: bool,
    tells_gaps: bool,
    /// True if the bytes passed on so far end between two events.
    between: bool,
    /// True if the bytes that may pass end between two events.
    free_between: bool,
    start: Start,
}

const _: () = assert!(size_of::<Events>() <= 48);

/// The comment that serves as a heartbeat. `has_ids` says that the client has had an id. The
/// decoder of httpx-sse, used by the Python clients of model APIs, takes an empty line for an
/// event once it has seen an id. By the standard, an empty line before the first id of a stream
/// clears the id with which its client has come. Clients that only look for empty lines and do not
/// know comments need one.
pub(super) const fn comment(has_ids: bool) -> &'static [u8] {
    if has_ids { b":\n" } else { b":\n\n" }
}

impl Events {
    /// Creates the state at the start of a stream.
    pub fn new(terms: Terms) -> Events {
        Events {
            scanner: if terms.resumable { Scanner::with_ids() } else { Scanner::new() },
            held: None,
            free: 0,
            event_max: u32::try_from(terms.event_max).unwrap_or(u32::MAX),
            holding: if terms.resumable && terms.holding == Holding::Nothing {
                Holding::WhileRoom
            } else {
                terms.holding
            },
            resumable: terms.resumable,
            outlives_source: terms.outlives_source,
            tells_gaps: terms.tells_gaps,
            between: true,
            free_between: true,
            start: if terms.verbatim { Start::Keep(0) } else { Start::Strip },
        }
    }

    /// True if the bytes passed on so far end between two events.
    pub const fn between(&self) -> bool {
        self.between
    }

    /// Notes that the stream continues after an event with this id. See [`Scanner::begin_behind`].
    pub fn begin_behind(&mut self, id: &[u8]) {
        self.scanner.begin_behind(id);
    }

    /// The number of events so far.
    pub const fn events(&self) -> u64 {
        self.scanner.events()
    }

    /// True if the stream has had an id.
    pub const fn has_ids(&self) -> bool {
        self.scanner.has_ids()
    }

    /// The id from which the rest of this stream can be requested. None if it cannot, or while the
    /// client has half an event.
    pub fn resume_from(&self) -> Option<&[u8]> {
        if self.resumable && self.between { self.scanner.last_id() } else { None }
    }

    /// True if the rest can be requested, or new events if readers are told about the gap.
    pub fn may_resume(&self) -> bool {
        self.resume_from().is_some() || self.resumable && self.between && self.tells_gaps
    }

    /// True if the end of the source counts as a break.
    pub(super) fn outlives_source(&self) -> bool {
        self.outlives_source && self.may_resume()
    }

    /// True if the source has ended within a held event, and the rest can be requested. If it
    /// cannot, the partial event passes, and its reader discards it.
    pub(super) fn is_torn(&self) -> bool {
        self.holds_any() && !self.scanner.between() && self.may_resume()
    }

    /// The reconnection time that the upstream asks for.
    pub fn retry(&self) -> Option<Duration> {
        self.scanner.retry()
    }

    /// Lets only whole events pass from now on: the stream is about to be ended.
    pub const fn want_whole(&mut self) {
        if let Holding::Nothing = self.holding {
            self.holding = Holding::WhileRoom;
        }
    }

    /// Continues with another body where this one broke. Discards the unfinished event.
    pub fn restart(&mut self, buffers: &mut BufPool) {
        debug_assert_eq!(self.free, 0, "a source is read when nothing that came before may pass");
        self.scanner.restart();
        self.forget_held(buffers);
        self.start = Start::Strip;
    }

    /// Discards the held bytes.
    pub(super) fn forget_held(&mut self, buffers: &mut BufPool) {
        self.free = 0;
        if let Some(held) = self.held.take() {
            buffers.let_go(held);
        }
    }

    /// Scans new bytes. Returns how many of them, from the start, pass now; the rest is held. No
    /// bytes held earlier may still be free to pass.
    pub fn admit(&mut self, payload: &[u8], buffers: &mut BufPool) -> usize {
        if payload.is_empty() {
            return 0;
        }
        if self.start == Start::Strip {
            match byte_order_mark(payload) {
                Some(0) if self.held.is_none() => self.start = Start::Known,
                _ => return self.begin(payload, buffers),
            }
        }
        let boundary = self.scan(payload);
        let held = self.held.as_ref().map_or(0, |held| held.len());
        let (passing, between) = self.passing(boundary, payload.len(), held, buffers);
        if held > 0 {
            if passing > 0 {
                (self.free, self.free_between) = (narrow(held + passing), between);
            }
            buffers.hold(&mut self.held, payload);
            return 0;
        }
        if passing > 0 {
            self.between = between;
        }
        if passing < payload.len() {
            buffers.hold(&mut self.held, &payload[passing..]);
        }
        passing
    }

    /// Scans new bytes, except a byte order mark that is passed on. Returns the last boundary.
    fn scan(&mut self, payload: &[u8]) -> Option<usize> {
        let Start::Keep(seen) = self.start else { return self.scanner.scan(payload) };
        let expected = &BYTE_ORDER_MARK[usize::from(seen)..];
        let more = payload.iter().zip(expected).take_while(|(byte, mark)| byte == mark).count();
        if more == expected.len() {
            self.start = Start::Known;
        } else if more < payload.len() {
            // This is not a byte order mark, so the bytes belong to the first line.
            self.start = Start::Known;
            self.scanner.scan(&BYTE_ORDER_MARK[..usize::from(seen) + more]);
        } else {
            let Ok(more) = u8::try_from(more) else { panic!("a byte order mark has three bytes") };
            self.start = Start::Keep(seen + more);
        }
        self.scanner.scan(&payload[more..]).map(|boundary| more + boundary)
    }

    /// Holds the first bytes of a body until it is known whether they are a byte order mark.
    fn begin(&mut self, payload: &[u8], buffers: &mut BufPool) -> usize {
        buffers.hold(&mut self.held, payload);
        let mark = self.held.as_ref().and_then(|held| byte_order_mark(held.bytes()));
        let Some(mark) = mark else { return 0 };
        self.start = Start::Known;
        buffers.pass(&mut self.held, mark);
        if let Some(held) = &self.held {
            let (boundary, len) = (self.scanner.scan(held.bytes()), held.len());
            let (passing, between) = self.passing(boundary, len, 0, buffers);
            (self.free, self.free_between) = (narrow(passing), between);
        }
        0
    }

    /// How many of `len` scanned bytes may pass, and whether they end between two events.
    /// `boundary` is the last boundary among them, and `held` the number of bytes of their event
    /// that are already held.
    fn passing(
        &self,
        boundary: Option<usize>,
        len: usize,
        held: usize,
        buffers: &BufPool,
    ) -> (usize, bool) {
        // An event that has started to pass continues to pass.
        if self.holding != Holding::Nothing && (boundary.is_some() || self.between) {
            let unfinished = boundary.map_or(held + len, |boundary| len - boundary);
            let stays = if held > 0 { held + len } else { unfinished };
            let has_room = || buffers.may_hold(self.held.as_deref(), stays);
            if unfinished <= self.event_max as usize
                && (self.holding == Holding::Always || has_room())
            {
                return (boundary.unwrap_or(0), true);
            }
        }
        (len, self.start == Start::Known && self.scanner.between())
    }

    /// Lets the held bytes pass as they are, because the source has ended.
    pub(super) fn admit_rest(&mut self) {
        if let Some(held) = &self.held {
            (self.free, self.free_between) = (narrow(held.len()), false);
        }
    }

    /// True if some held bytes may pass.
    pub(super) const fn has_free(&self) -> bool {
        self.free > 0
    }

    /// True if some bytes are held.
    pub const fn holds_any(&self) -> bool {
        self.held.is_some()
    }

    /// Takes all held bytes that may pass. Returns false if they do not end between two events.
    pub(super) fn take_all(&mut self, buffers: &mut BufPool, take: impl FnOnce(&[u8])) -> bool {
        let free = self.free as usize;
        if let Some(held) = &self.held {
            take(&held.bytes()[..free]);
        }
        buffers.pass(&mut self.held, free);
        (self.free, self.between) = (0, self.free_between);
        self.between
    }

    /// Moves into `out` the held bytes that may pass, as far as there is room. Returns how many.
    pub(super) fn take_free(&mut self, out: &mut [u8], buffers: &mut BufPool) -> usize {
        let Some(held) = &self.held else { return 0 };
        let n = out.len().min(self.free as usize);
        out[..n].copy_from_slice(&held.bytes()[..n]);
        buffers.pass(&mut self.held, n);
        self.free -= narrow(n);
        self.between = self.free == 0 && self.free_between;
        n
    }
}
