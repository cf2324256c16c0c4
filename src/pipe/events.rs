//! What an intake knows of an event stream: where its events end.
//!
//! The bytes of an event stream pass at once, like any other response's, and are scanned on their
//! way. So it is known at each moment whether what has passed ends between two events: there, and
//! nowhere else, a comment can be put in or the stream be ended.
//!
//! Where only whole events are to pass (a stream that may be resumed, bytes that are gathered
//! anyway, a stream that is about to be ended) an unfinished one is held here until its end has
//! come. That adds nothing to the latency of events, for a client can do nothing with half of one;
//! it does hold memory, while an event is on its way. An event that is longer than
//! [`Terms::event_max`], or than what the process has left for it ([`BufPool::may_hold`]), passes
//! as it comes. Until its end the client is within it, so nothing is put in, and a break there is a
//! visible cut; behind it all is as before.
//!
//! A byte order mark at the start is taken off: a comment that goes first would put it in the
//! middle, where it is part of a field's name. Where nothing goes first ([`Terms::verbatim`]) it
//! passes.

use crate::buf::{Buf, BufPool, narrow};
use crate::sse::{BYTE_ORDER_MARK, Scanner, byte_order_mark};
use std::time::Duration;

/// What an event stream is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The length of an event that is still held, in bytes.
    pub event_max: usize,
    /// True exactly when ids are kept, to resume the stream by.
    pub resumable: bool,
    /// True exactly when an end of its source is no end to it: it is resumed then, too.
    pub outlives_source: bool,
    /// True exactly when only whole events are to pass.
    pub whole: bool,
    /// True exactly when the client gets the bytes of the source and none of ours among them.
    pub verbatim: bool,
}

/// What is known of the first bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// They may be a byte order mark, which is taken off. Next: `Known`.
    Strip,
    /// They may be a byte order mark, which passes; so many of its bytes have come. Next: `Known`.
    Keep(u8),
    /// Whether they are one.
    Known,
}

/// What is known of an event stream. See the module.
#[derive(Debug)]
pub struct Events {
    scanner: Scanner,
    /// Taken from the source, and waiting for the end of its event or for room. Never an empty
    /// buffer.
    held: Option<Box<Buf>>,
    /// So many of its first bytes may pass.
    free: u32,
    event_max: u32,
    /// True exactly when only whole events are to pass.
    whole: bool,
    resumable: bool,
    outlives_source: bool,
    /// True exactly when what has passed ends between two events.
    between: bool,
    /// True exactly when those that may pass end between two events.
    free_between: bool,
    start: Start,
}

const _: () = assert!(size_of::<Events>() <= 48);

impl Events {
    /// A stream of which nothing has come yet.
    pub fn new(terms: Terms) -> Events {
        Events {
            scanner: if terms.resumable { Scanner::with_ids() } else { Scanner::new() },
            held: None,
            free: 0,
            event_max: u32::try_from(terms.event_max).unwrap_or(u32::MAX),
            whole: terms.whole || terms.resumable,
            resumable: terms.resumable,
            outlives_source: terms.outlives_source,
            between: true,
            free_between: true,
            start: if terms.verbatim { Start::Keep(0) } else { Start::Strip },
        }
    }

    /// True exactly when what has passed ends between two events.
    pub const fn between(&self) -> bool {
        self.between
    }

    /// Events that came so far.
    pub const fn events(&self) -> u64 {
        self.scanner.events()
    }

    /// A comment, as it harms nobody. The decoder of httpx-sse, which the Python clients of models'
    /// APIs have adopted, takes an empty line for an event of its own once it has seen an id; those
    /// who look for empty lines only, and know no comments, need one.
    pub const fn comment(&self) -> &'static [u8] {
        if self.scanner.has_ids() { b":\n" } else { b":\n\n" }
    }

    /// The id by which the rest of this stream can be asked for, if it can be: not while the client
    /// has half an event.
    pub fn resume_from(&self) -> Option<&[u8]> {
        self.scanner.last_id().filter(|_| self.resumable && self.between)
    }

    /// True exactly when an end of the source is to be taken for a break.
    pub(super) fn outlives_source(&self) -> bool {
        self.outlives_source && self.resume_from().is_some()
    }

    /// How long the upstream wants its clients to wait before they come back.
    pub fn retry(&self) -> Option<Duration> {
        self.scanner.retry()
    }

    /// From here on only whole events pass: the stream is about to be ended.
    pub const fn want_whole(&mut self) {
        self.whole = true;
    }

    /// Another body goes on where this one broke. The unfinished event is forgotten.
    pub fn restart(&mut self, buffers: &mut BufPool) {
        debug_assert_eq!(self.free, 0, "a source is read when nothing that came before may pass");
        self.scanner.restart();
        self.forget_held(buffers);
        self.start = Start::Strip;
    }

    /// Forgets what is held.
    pub(super) fn forget_held(&mut self, buffers: &mut BufPool) {
        self.free = 0;
        if let Some(held) = self.held.take() {
            buffers.let_go(held);
        }
    }

    /// Looks at what came. So many of its first bytes pass now; the rest is held. Nothing that came
    /// before may pass.
    pub(super) fn admit(&mut self, payload: &[u8], buffers: &mut BufPool) -> usize {
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

    /// Scans what came, behind a byte order mark that passes. The last boundary among it.
    fn scan(&mut self, payload: &[u8]) -> Option<usize> {
        let Start::Keep(seen) = self.start else { return self.scanner.scan(payload) };
        let expected = &BYTE_ORDER_MARK[usize::from(seen)..];
        let more = payload.iter().zip(expected).take_while(|(byte, mark)| byte == mark).count();
        if more == expected.len() {
            self.start = Start::Known;
        } else if more < payload.len() {
            // It was none: these bytes belong to the first line.
            self.start = Start::Known;
            self.scanner.scan(&BYTE_ORDER_MARK[..usize::from(seen) + more]);
        } else {
            self.start = Start::Keep(seen + u8::try_from(more).unwrap_or(0));
        }
        self.scanner.scan(&payload[more..]).map(|boundary| more + boundary)
    }

    /// The first bytes of a body, until it is known whether they are a byte order mark.
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

    /// How many of `len` bytes that were scanned may pass, the last boundary among them given and
    /// the bytes of their event that are held already; and whether they end between two events.
    fn passing(
        &self,
        boundary: Option<usize>,
        len: usize,
        held: usize,
        buffers: &BufPool,
    ) -> (usize, bool) {
        // An event that has begun to pass goes on passing.
        if self.whole && (boundary.is_some() || self.between) {
            let unfinished = boundary.map_or(held + len, |boundary| len - boundary);
            let stays = if held > 0 { held + len } else { unfinished };
            if unfinished <= self.event_max as usize
                && buffers.may_hold(self.held.as_deref(), stays)
            {
                return (boundary.unwrap_or(0), true);
            }
        }
        (len, self.start == Start::Known && self.scanner.between())
    }

    /// The source has ended: what is held passes as it is, and that is the end.
    pub(super) fn admit_rest(&mut self) {
        if let Some(held) = &self.held {
            (self.free, self.free_between) = (narrow(held.len()), false);
        }
    }

    /// True exactly when something that is held may pass.
    pub(super) const fn has_free(&self) -> bool {
        self.free > 0
    }

    /// True exactly when something is held.
    pub const fn holds_any(&self) -> bool {
        self.held.is_some()
    }

    /// Puts what may pass into `out`, as far as there is room. How much that was.
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
