//! The half of a pipe that sends a body out.
//!
//! An outlet frames the portions of a body for its sink and writes them from the scratch buffer
//! that holds them. Bytes that the sink refuses, or that should be gathered first, are copied into
//! a pooled buffer, which is returned when it is empty. It knows how much is pending and when that
//! is due, how long its sink has accepted nothing, and whether the client of an event stream is
//! between two events, where a comment may be inserted. It does not know where the portions come
//! from.

use super::io::{Io, Moved, Portion, Rest};
use crate::buf::{Buf, BufPool};
use crate::conn::{Conn, Written};
use crate::event_log::Run;
use crate::http::body::BodyWriter;
use crate::http::chunk::HEADROOM;
use crate::http::framing::BodyLength;
use crate::net::{Net, Ready};
use crate::time::{Tick, millis};
use std::time::Duration;

/// How long the head of an event stream may be all that its client was sent. Intermediaries may
/// withhold a head until some of its body follows. But most streams begin with an event, and a
/// client that does not expect a comment before it should not get one.
const ALONE_MAX: Duration = Duration::from_millis(100);

/// The progress of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More may follow. Next: `Draining` when the body ends.
    Open,
    /// The body has ended, but bytes are still pending. Next: `Finished`.
    Draining,
    /// Everything was sent.
    Finished,
    /// Nothing more is sent, because the sink does not want the rest.
    Abandoned,
}

impl Flow {
    /// True if nothing more will move.
    pub const fn is_over(self) -> bool {
        matches!(self, Flow::Finished | Flow::Abandoned)
    }
}

/// Where the bytes sent so far end in an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Unknown, or not an event stream: nothing may be inserted.
    Unknown,
    /// Directly after the head.
    Start,
    /// Between two events.
    Between,
    /// Within an event.
    Within,
}

/// The sink's connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkGone;

/// A body on its way out. See the module docs.
#[derive(Debug)]
pub struct Outlet {
    writer: BodyWriter,
    /// Bytes framed for the sink but not yet accepted by it. Never an empty buffer.
    pending: Option<Box<Buf>>,
    /// When the sink last accepted anything; for pending bytes, not earlier than the first of them
    /// arrived.
    still_since: Tick,
    /// Payload bytes framed for the sink so far, without those that we insert between events.
    given: u64,
    /// How long after `still_since` the pending bytes, which are only being gathered, must be sent,
    /// in milliseconds. 0: at once.
    gather_ms: u32,
    flow: Flow,
    position: Position,
    /// True if the client of an event stream has an id from an earlier one.
    pub has_id: bool,
}

// Each event reads all of it.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Outlet>() <= 48);

impl Outlet {
    /// Creates an outlet for a body that its head announces as `to`. If it is `over`, nothing
    /// follows.
    pub fn new(to: BodyLength, over: bool, now: Tick) -> Outlet {
        let mut outlet = Outlet {
            writer: BodyWriter::new(to),
            pending: None,
            still_since: now,
            given: 0,
            gather_ms: 0,
            flow: Flow::Open,
            position: Position::Unknown,
            has_id: false,
        };
        outlet.begin(to, over);
        outlet
    }

    /// Begins another body after whatever is pending (its head). If it is `over`, its end must
    /// still be written unless its head announces a length.
    pub fn begin(&mut self, to: BodyLength, over: bool) {
        let told = matches!(to, BodyLength::Empty | BodyLength::Length(_));
        self.writer = BodyWriter::new(to);
        self.flow = if over && told { Flow::Draining } else { Flow::Open };
    }

    /// Treats the body, of which nothing was sent yet, as an event stream. Its portions say whether
    /// they end between two events.
    pub const fn watch_events(&mut self) {
        self.position = Position::Start;
    }

    /// The progress of this direction.
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// Payload bytes framed so far, sent or pending.
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// True if the sink was told, or will be told, that the body is complete.
    pub const fn ends_properly(&self) -> bool {
        self.writer.ended()
    }

    /// True if the sink can tell a truncated body from a complete one.
    pub fn ends_visibly(&self) -> bool {
        self.writer.ends_visibly()
    }

    /// The bytes framed for the sink but not yet accepted by it.
    pub fn pending(&self) -> &[u8] {
        self.pending.as_ref().map_or(&[], |buf| buf.bytes())
    }

    /// True if the stream is between two events, so that something may be inserted or the stream be
    /// ended.
    pub const fn is_between_events(&self) -> bool {
        matches!((self.flow, self.position), (Flow::Open, Position::Start | Position::Between))
    }

    /// True if there is nothing to write and more may follow.
    pub const fn is_quiet(&self) -> bool {
        matches!(self.flow, Flow::Open) && self.pending.is_none()
    }

    /// True if another portion could be buffered.
    pub fn has_room(&self, high_water: usize) -> bool {
        self.flow == Flow::Open && self.pending().len() < high_water
    }

    /// True if the sink is behind: the pending bytes are not just being gathered.
    pub const fn is_behind(&self) -> bool {
        self.pending.is_some() && self.gather_ms == 0
    }

    /// Appends bytes that the sink gets as they are, such as a head, due at once.
    ///
    /// The caller makes sure that they fit into a buffer.
    pub fn queue(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        self.append(bytes, buffers, now);
        self.gather_ms = 0;
    }

    /// Appends payload that is not in the scratch buffer, due at once.
    pub fn queue_payload<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        self.given += payload.len() as u64;
        self.insert(payload, ended, io);
    }

    /// Inserts payload that is not relayed, due at once: a comment between two events, or last
    /// words that end the body.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn put_in<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        assert!(self.is_between_events(), "something is put in within an event");
        self.position = Position::Between;
        self.insert(payload, ended, io);
    }

    fn insert<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        let range = HEADROOM..HEADROOM + payload.len();
        io.scratch[range.clone()].copy_from_slice(payload);
        let framed = self.writer.frame(io.scratch, range, ended);
        self.append(&io.scratch[framed], io.buffers, io.now);
        self.gather_ms = 0;
    }

    /// Frames a portion and writes as much as the sink accepts; the rest is buffered.
    ///
    /// # Errors
    /// [`SinkGone`].
    pub fn give<N: Net>(
        &mut self,
        portion: Portion,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<(), SinkGone> {
        let Portion { payload, between, rest } = portion;
        if let Some(between) = between
            && !payload.is_empty()
        {
            self.position = if between { Position::Between } else { Position::Within };
        }
        self.given += payload.len() as u64;
        let framed = self.writer.frame(io.scratch, payload, matches!(rest, Rest::End));
        let gather = match rest {
            Rest::More => io.flush_interval,
            Rest::End | Rest::Trailers(_) => {
                self.flow = Flow::Draining;
                None
            }
        };
        let mut bytes = &io.scratch[framed];
        if self.pending.is_none() {
            if gather.is_none() && !bytes.is_empty() && sink.ready.has(Ready::WRITE) {
                let n = write(sink, bytes, io.net)?;
                if n > 0 {
                    self.still_since = io.now;
                }
                bytes = &bytes[n..];
            }
            self.gather_ms =
                gather.map_or(0, |interval| u32::try_from(millis(interval)).unwrap_or(u32::MAX));
        }
        self.append(bytes, io.buffers, io.now);
        if let Rest::Trailers(trailers) = rest {
            let mut end = Vec::new();
            self.writer.end_with(&trailers, &mut end);
            self.append(&end, io.buffers, io.now);
        }
        self.settle();
        Ok(())
    }

    /// Writes chunks of a log, as far as the sink accepts them. If the body is not chunked, only
    /// their payload is written. If the sink accepts part of an event, the rest of it is buffered;
    /// everything after it stays in the log. What the sink has sealed counts as accepted, and is
    /// buffered until it has been sent. Returns the chunks that were sent or buffered, at least
    /// one. Nothing may be pending.
    ///
    /// # Errors
    /// [`SinkGone`].
    pub fn give_run<'a, N: Net>(
        &mut self,
        run: &Run<'a>,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Run<'a>, SinkGone> {
        debug_assert!(self.is_quiet());
        let mut end = HEADROOM;
        let is_framed = self.writer.writes_chunks();
        let bytes = if is_framed {
            run.bytes()
        } else {
            for payload in run.payloads() {
                io.scratch[end..end + payload.len()].copy_from_slice(payload);
                end += payload.len();
            }
            &io.scratch[HEADROOM..end]
        };
        let n = if sink.ready.has(Ready::WRITE) { write(sink, bytes, io.net)? } else { 0 };
        if n > 0 {
            self.still_since = io.now;
        }
        self.gather_ms = 0;
        let (front, len) = run.front(n + sink.committed(io.net), is_framed);
        self.append(&bytes[n..len], io.buffers, io.now);
        self.given += front.payloads().map(|payload| payload.len() as u64).sum::<u64>();
        self.position =
            if front.ends_between_events() { Position::Between } else { Position::Within };
        Ok(front)
    }

    /// Writes pending bytes that are due, once.
    ///
    /// # Errors
    /// [`SinkGone`].
    pub fn write_pending<N: Net>(
        &mut self,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Moved, SinkGone> {
        if self.pending.is_none() {
            return Ok(self.settle());
        }
        if !self.is_due(io.now, io.high_water) || !sink.ready.has(Ready::WRITE) {
            return Ok(Moved::No);
        }
        let n = write(sink, self.pending(), io.net)?;
        // Whatever is left now waits for the sink.
        self.gather_ms = 0;
        if n == 0 {
            return Ok(Moved::No);
        }
        self.still_since = io.now;
        if let Some(buf) = &mut self.pending {
            buf.consume(n);
            if buf.is_empty() {
                self.release(io.buffers);
                self.settle();
            } else {
                io.buffers.shrink(&mut self.pending);
            }
        }
        Ok(Moved::Yes)
    }

    fn append(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        if bytes.is_empty() {
            return;
        }
        if self.pending.is_none() {
            self.still_since = now;
        }
        buffers.append(&mut self.pending, bytes);
    }

    /// Moves from `Draining` to `Finished` once the last byte was sent. Returns whether it just
    /// did.
    fn settle(&mut self) -> Moved {
        if self.flow == Flow::Draining && self.pending.is_none() {
            self.flow = Flow::Finished;
            return Moved::Yes;
        }
        Moved::No
    }

    /// Accepts no more and lets pending bytes be sent. A body that has not ended stays unended.
    pub fn drain(&mut self) {
        self.flow = Flow::Draining;
        self.settle();
    }

    /// Sends nothing more.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        self.flow = Flow::Abandoned;
        self.release(buffers);
    }

    /// Returns the buffer, whatever it contains.
    fn release(&mut self, buffers: &mut BufPool) {
        if let Some(buf) = self.pending.take() {
            buffers.give_back(buf);
        }
    }

    fn flush_at(&self) -> Tick {
        match self.gather_ms {
            0 => Tick::ZERO,
            ms => self.still_since.after(Duration::from_millis(ms.into())),
        }
    }

    /// True if pending bytes may be sent now.
    fn is_due(&self, now: Tick, high_water: usize) -> bool {
        self.flush_at() <= now || self.flow != Flow::Open || self.pending().len() >= high_water
    }

    /// True if bytes are waiting only for the sink.
    pub fn wants_sink(&self, now: Tick, high_water: usize) -> bool {
        self.pending.is_some() && self.is_due(now, high_water)
    }

    /// When gathered bytes must be sent. [`Tick::NEVER`] if they wait for anything else.
    pub fn flush_deadline(&self, now: Tick, high_water: usize) -> Tick {
        if self.pending.is_some() && !self.is_due(now, high_water) {
            self.flush_at()
        } else {
            Tick::NEVER
        }
    }

    /// When the sink will have accepted nothing for `limit` although bytes are waiting for it.
    pub fn stuck_deadline(&self, now: Tick, high_water: usize, limit: Duration) -> Tick {
        if self.wants_sink(now, high_water) { self.still_since.after(limit) } else { Tick::NEVER }
    }

    /// When the client of an event stream will have been sent nothing for `interval`, or nothing
    /// but a head for [`ALONE_MAX`]. [`Tick::NEVER`] while a heartbeat cannot be inserted.
    pub fn heartbeat_deadline(&self, interval: Duration) -> Tick {
        if !self.is_between_events() || self.pending.is_some() {
            return Tick::NEVER;
        }
        let alone = self.position == Position::Start;
        self.still_since.after(if alone { interval.min(ALONE_MAX) } else { interval })
    }

    /// When the sink last accepted anything; for pending bytes, not earlier than the first of them
    /// arrived.
    pub const fn still_since(&self) -> Tick {
        self.still_since
    }

    /// Restarts the clock for the stillness of the sink.
    pub const fn restart_clock(&mut self, now: Tick) {
        if self.gather_ms == 0 {
            self.still_since = now;
        }
    }
}

/// Writes once. Returns the number of bytes that the sink accepted.
fn write<N: Net>(sink: &mut Conn, bytes: &[u8], net: &mut N) -> Result<usize, SinkGone> {
    match sink.write(net, bytes) {
        Written::Bytes(n) => Ok(n),
        Written::Blocked => Ok(0),
        Written::Broken => Err(SinkGone),
    }
}

#[cfg(test)]
mod tests;
