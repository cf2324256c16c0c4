//! The half of a pipe that gives a body out.
//!
//! An outlet frames the portions of a body for its sink and writes them, in the scratch in which
//! they come. What the sink refuses, or what is to be gathered first, is copied into a pooled
//! buffer that goes back when it is empty. It knows how much is pending and when that is due, for
//! how long its sink has taken nothing, and whether the client of an event stream is between two
//! events, where a comment may be put in. Where the portions come from is no affair of its own.

use super::io::{Io, Moved, Portion, Rest};
use crate::buf::{Buf, BufPool};
use crate::conn::{Conn, Written};
use crate::http::body::BodyWriter;
use crate::http::chunk::HEADROOM;
use crate::http::framing::BodyLength;
use crate::net::{Net, Ready};
use crate::time::{Tick, millis};
use std::time::Duration;

/// How far a direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More may come. Next: `Draining` when the body ends.
    Open,
    /// The body has ended; what is pending still has to go out. Next: `Finished`.
    Draining,
    /// Everything is out.
    Finished,
    /// Nothing is given out any more: the sink does not want the rest.
    Abandoned,
}

impl Flow {
    /// True exactly when nothing more will move.
    pub const fn is_over(self) -> bool {
        matches!(self, Flow::Finished | Flow::Abandoned)
    }
}

/// Where in an event stream that ends which was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody knows, or it is no event stream: nothing may be put in.
    Unknown,
    /// Behind the head.
    Start,
    /// Between two events.
    Between,
    /// Within an event.
    Within,
}

/// The sink is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkGone;

/// A body on its way out. See the module.
#[derive(Debug)]
pub struct Outlet {
    writer: BodyWriter,
    /// Framed for the sink and not yet taken by it. Never an empty buffer.
    pending: Option<Box<Buf>>,
    /// When the sink last took anything; of pending bytes, not before the first of them came.
    still_since: Tick,
    /// Payload bytes framed for the sink so far; none of ours between events are among them.
    given: u64,
    /// Pending bytes are only being gathered, and must go out so many milliseconds after
    /// `still_since`; at once if that is 0.
    gather_ms: u32,
    flow: Flow,
    place: Place,
}

// One event's work reads it all.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Outlet>() <= 48);

impl Outlet {
    /// A body that the head before it announces as `to`; nothing follows if it is `over` already.
    pub fn new(to: BodyLength, over: bool, now: Tick) -> Outlet {
        let mut outlet = Outlet {
            writer: BodyWriter::new(to),
            pending: None,
            still_since: now,
            given: 0,
            gather_ms: 0,
            flow: Flow::Open,
            place: Place::Unknown,
        };
        outlet.begin(to, over);
        outlet
    }

    /// Another body begins, behind what is pending (its head). One that is `over` still has to be
    /// ended if the sink cannot know by the head that it is.
    pub fn begin(&mut self, to: BodyLength, over: bool) {
        let told = matches!(to, BodyLength::Empty | BodyLength::Length(_));
        self.writer = BodyWriter::new(to);
        self.flow = if over && told { Flow::Draining } else { Flow::Open };
    }

    /// The body is an event stream of which nothing was given out; its portions say whether they
    /// end between two events. If it is `verbatim` it begins with what the source brings.
    pub const fn watch_events(&mut self, verbatim: bool) {
        self.place = if verbatim { Place::Between } else { Place::Start };
    }

    /// How far it has come.
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// Payload bytes that were handed on so far, gone out or pending.
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// True exactly when the sink was, or will be, told that the body is complete.
    pub const fn ends_properly(&self) -> bool {
        self.writer.ended()
    }

    /// True exactly when the sink can tell a body that was cut from one that ended.
    pub fn ends_visibly(&self) -> bool {
        self.writer.ends_visibly()
    }

    /// The bytes that are framed for the sink and not yet taken by it.
    pub fn pending(&self) -> &[u8] {
        self.pending.as_ref().map_or(&[], |buf| buf.bytes())
    }

    /// True exactly when it may be added to between two events, and be ended there.
    pub const fn is_between_events(&self) -> bool {
        matches!((self.flow, self.place), (Flow::Open, Place::Start | Place::Between))
    }

    /// True exactly when the client of an event stream has nothing but a head.
    pub const fn wants_first_word(&self) -> bool {
        matches!((self.flow, self.place), (Flow::Open, Place::Start))
    }

    /// True exactly when there is nothing to write, and more may come.
    pub const fn is_quiet(&self) -> bool {
        matches!(self.flow, Flow::Open) && self.pending.is_none() && !self.wants_first_word()
    }

    /// True exactly when another portion could be kept.
    pub fn has_room(&self, high_water: usize) -> bool {
        self.flow == Flow::Open && self.pending().len() < high_water
    }

    /// True exactly when the sink is behind: it owes more than what is only being gathered.
    pub const fn is_behind(&self) -> bool {
        self.pending.is_some() && self.gather_ms == 0
    }

    /// Appends bytes that are the sink's as they stand (a head), due at once.
    ///
    /// The caller has made sure that they fit into a buffer.
    pub fn queue(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        self.append(bytes, buffers, now);
        self.gather_ms = 0;
    }

    /// Appends payload that does not stand in the scratch, due at once.
    pub fn queue_payload<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        self.given += payload.len() as u64;
        self.insert(payload, ended, io);
    }

    /// Appends payload that is no part of what is relayed, due at once: a comment between two
    /// events, or last words with which the body ends.
    ///
    /// # Panics
    /// If that is not between two events.
    pub fn put_in<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        assert!(self.is_between_events(), "something is put in within an event");
        self.place = Place::Between;
        self.insert(payload, ended, io);
    }

    fn insert<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        let range = HEADROOM..HEADROOM + payload.len();
        io.scratch[range.clone()].copy_from_slice(payload);
        let framed = self.writer.frame(io.scratch, range, ended);
        self.append(&io.scratch[framed], io.buffers, io.now);
        self.gather_ms = 0;
    }

    /// Frames a portion and hands it on: to the sink as far as it takes it, the rest to a buffer.
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
        if let Some(between) = between.filter(|_| !payload.is_empty()) {
            self.place = if between { Place::Between } else { Place::Within };
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

    /// Writes what is pending and due, once.
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
        // Whatever is left waits for the sink now.
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

    /// `Finished` follows on `Draining` when the last byte is out. Whether it just did.
    fn settle(&mut self) -> Moved {
        if self.flow == Flow::Draining && self.pending.is_none() {
            self.flow = Flow::Finished;
            return Moved::Yes;
        }
        Moved::No
    }

    /// Takes no more and lets what is pending go out. A body that has not ended by now stays
    /// unended.
    pub fn drain(&mut self) {
        self.flow = Flow::Draining;
        self.settle();
    }

    /// Gives out nothing more.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        self.flow = Flow::Abandoned;
        self.release(buffers);
    }

    /// Gives a buffer back, whatever is in it.
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

    /// True exactly when pending bytes may go out now.
    fn is_due(&self, now: Tick, high_water: usize) -> bool {
        self.flush_at() <= now || self.flow != Flow::Open || self.pending().len() >= high_water
    }

    /// True exactly when bytes wait for nothing but the sink.
    pub fn wants_sink(&self, now: Tick, high_water: usize) -> bool {
        self.pending.is_some() && self.is_due(now, high_water)
    }

    /// When gathered bytes are to go out; [`Tick::NEVER`] when they wait for something else.
    pub fn flush_deadline(&self, now: Tick, high_water: usize) -> Tick {
        if self.pending.is_some() && !self.is_due(now, high_water) {
            self.flush_at()
        } else {
            Tick::NEVER
        }
    }

    /// When the sink will have taken nothing for `limit` though bytes wait for it.
    pub fn stuck_deadline(&self, now: Tick, high_water: usize, limit: Duration) -> Tick {
        if self.wants_sink(now, high_water) { self.still_since.after(limit) } else { Tick::NEVER }
    }

    /// When the client of an event stream will have been sent nothing for `interval`; never while
    /// there is no place for a comment.
    pub fn heartbeat_deadline(&self, interval: Duration) -> Tick {
        if self.is_between_events() && self.pending.is_none() {
            self.still_since.after(interval)
        } else {
            Tick::NEVER
        }
    }

    /// When the sink last took anything; of pending bytes, not before the first of them came.
    pub const fn still_since(&self) -> Tick {
        self.still_since
    }

    /// Only from now on is the sink waited for.
    pub const fn restart_clock(&mut self, now: Tick) {
        if self.gather_ms == 0 {
            self.still_since = now;
        }
    }
}

/// Writes once; how many bytes the sink has taken.
fn write<N: Net>(sink: &mut Conn, bytes: &[u8], net: &mut N) -> Result<usize, SinkGone> {
    match sink.write(net, bytes) {
        Written::Bytes(n) => Ok(n),
        Written::Blocked => Ok(0),
        Written::Broken => Err(SinkGone),
    }
}

#[cfg(test)]
mod tests;
