//! One direction of an exchange: bytes from a source to a sink.
//!
//! A pipe is two halves and the pump that joins them. The *intake* ([`intake`]) takes a body in: it
//! reads it off one connection and takes its framing away. The *outlet* ([`outlet`]) gives it out:
//! it frames the body anew and writes it to the other. Neither knows the other; what goes from one
//! to the other is a [`Portion`](io::Portion), and who says when is here.
//!
//! All of it happens in one scratch buffer that every session shares: the payload is decoded in
//! place, the new chunk-size line goes into headroom in front of it, the line end behind it, and
//! the whole leaves in one write. Only what the sink refuses is copied, into a pooled buffer that
//! goes back when it is empty. So an idle stream holds no buffer, and a stalled one holds one.
//!
//! Back-pressure is not reading: while [`Io::high_water`] bytes are pending, or any at all and an
//! unfinished event is held beside them, the source is left alone, and its peer's window does the
//! rest. While none are pending more is read at once, as a system call costs as much as some
//! thousand bytes. Each direction ends by itself; what the end of one means for the other is the
//! exchange's business.
//!
//! An event stream is a body of which more is known ([`events`]): where it may be added to, and
//! where it may end.

pub mod events;
pub mod intake;
pub mod io;
pub mod outlet;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

pub use intake::SourceFault;
pub use io::{Io, Moved};
pub use outlet::Flow;

use crate::buf::BufPool;
use crate::conn::Conn;
use crate::http::fields::Names;
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::time::Tick;
use events::{Events, Terms};
use intake::Intake;
use outlet::{Outlet, SinkGone};
use std::time::Duration;

/// Why a direction cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No more of the body can be had.
    Source(SourceFault),
    /// The sink is gone.
    SinkGone,
}

impl From<SourceFault> for Fault {
    fn from(fault: SourceFault) -> Fault {
        Fault::Source(fault)
    }
}

impl From<SinkGone> for Fault {
    fn from(SinkGone: SinkGone) -> Fault {
        Fault::SinkGone
    }
}

/// One direction of an exchange. See the module.
#[derive(Debug)]
pub struct Pipe {
    /// What takes the body in.
    pub intake: Intake,
    /// What gives it out.
    pub outlet: Outlet,
}

impl Pipe {
    /// From a client to an upstream: a request whose body is framed as `length` on both sides, and
    /// may have `body_max` bytes in all.
    pub fn request(length: BodyLength, body_max: u64, now: Tick) -> Pipe {
        let intake = Intake::request(length, body_max, now);
        let outlet = Outlet::new(length, intake.is_complete(), now);
        Pipe { intake, outlet }
    }

    /// To a client. What the response is to be is known when its head is: see [`Pipe::begin`].
    pub fn response(now: Tick) -> Pipe {
        Pipe { intake: Intake::response(now), outlet: Outlet::new(BodyLength::Empty, false, now) }
    }

    /// The body of a response begins: what is pending (its head) stays in front of it. With
    /// `UntilClose` on both sides the two ends are joined as they are, as a tunnel (RFC 9110
    /// section 7.8).
    pub fn begin(&mut self, from: BodyLength, to: BodyLength, now: Tick) {
        self.intake.begin(from, now);
        self.outlet.begin(to, self.intake.is_complete());
    }

    /// Another source brings the rest of an event stream: a body that it frames as `from`.
    pub fn change_source(&mut self, from: BodyLength, now: Tick) {
        self.intake.begin(from, now);
    }

    /// The body, which begins now, is an event stream that can be read.
    pub fn watch_events(&mut self, terms: Terms) {
        self.intake.watch_events(terms);
        self.outlet.watch_events(terms.verbatim);
    }

    /// Fields of the trailer section whose names are in this list will not be passed on.
    pub fn drop_trailers(&mut self, names: Option<Box<Names>>) {
        self.intake.drop_trailers(names);
    }

    /// Moves what can be moved now, at most one write and one read.
    ///
    /// # Errors
    /// See [`Fault`]. Bytes that were taken before it stay pending.
    pub fn pump<N: Net>(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Moved, Fault> {
        // What came along with a head goes out with it, in one write.
        if !source.ahead().is_empty() && self.pass_on(source, sink, io)? == Moved::Yes {
            return Ok(Moved::Yes);
        }
        let wrote = self.write_pending(sink, io)?;
        let passed = self.pass_on(source, sink, io)?;
        Ok(wrote.or(passed))
    }

    /// Takes a portion in, and gives it out.
    fn pass_on<N: Net>(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Moved, Fault> {
        if !self.wants_source(io.high_water) {
            return Ok(Moved::No);
        }
        let Some(portion) = self.intake.take(source, self.outlet.pending().len(), io)? else {
            return Ok(Moved::No);
        };
        self.outlet.give(portion, sink, io)?;
        Ok(Moved::Yes)
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
        if self.pending() == 0 {
            return self.outlet.write_pending(sink, io);
        }
        let wanted = self.wants_source(io.high_water);
        let moved = self.outlet.write_pending(sink, io)?;
        if moved == Moved::Yes && !wanted {
            self.intake.restart_clock(io.now);
        }
        Ok(moved)
    }

    /// Appends bytes that are the sink's as they stand (a head), due at once.
    ///
    /// The caller has made sure that they fit into a buffer.
    pub fn queue(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        self.outlet.queue(bytes, buffers, now);
    }

    /// Appends payload that comes from this process, where otherwise a source would bring it.
    pub fn queue_payload<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.outlet.queue_payload(payload, false, io);
    }

    /// Likewise; it is the last.
    pub fn queue_last<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.outlet.queue_payload(payload, true, io);
        self.take_no_more(io.buffers);
    }

    /// Adds a comment to an event stream.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn comment<N: Net>(&mut self, io: &mut Io<'_, N>) {
        let comment = self.intake.events().map_or(&b""[..], Events::comment);
        self.outlet.put_in(comment, false, io);
    }

    /// Ends an event stream whose source has more to say, with some last words. An unfinished event
    /// that was held is dropped.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn end_between_events<N: Net>(&mut self, last_words: &[u8], io: &mut Io<'_, N>) {
        self.outlet.put_in(last_words, true, io);
        self.take_no_more(io.buffers);
    }

    /// Takes no more from the source and lets what is pending go out. A body that has not ended by
    /// now stays unended, and an event that is held is dropped.
    pub fn take_no_more(&mut self, buffers: &mut BufPool) {
        self.intake.stop(buffers);
        self.outlet.drain();
    }

    /// Gives up this direction: nothing more is read or written.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        self.intake.stop(buffers);
        self.outlet.abandon(buffers);
    }

    /// Likewise, without those that are still pending; of these, framing counts as payload.
    pub fn delivered(&self) -> u64 {
        self.outlet.given().saturating_sub(self.pending() as u64)
    }

    /// How many bytes are framed for the sink and not yet taken by it.
    pub fn pending(&self) -> usize {
        self.pending_bytes().len()
    }

    /// The bytes that are framed for the sink and not yet taken by it.
    pub fn pending_bytes(&self) -> &[u8] {
        self.outlet.pending()
    }

    /// True exactly when it has nothing to do until the source brings something.
    pub fn is_quiet(&self) -> bool {
        self.outlet.is_quiet() && self.intake.is_quiet()
    }

    /// True exactly when more bytes of the source would be taken, or of what is held. While the
    /// sink is behind with what came before an event that is held, more would only be held as well.
    pub fn wants_source(&self, high_water: usize) -> bool {
        let only_to_hold = self.outlet.is_behind() && self.intake.holds_any();
        self.outlet.has_room(high_water) && !only_to_hold
    }

    /// When the source will have been silent for `limit` though bytes are wanted from it.
    pub fn silence_deadline(&self, high_water: usize, limit: Duration) -> Tick {
        if self.wants_source(high_water) {
            self.intake.silent_since().after(limit)
        } else {
            Tick::NEVER
        }
    }

    /// Only from now on are source and sink waited for.
    pub const fn restart_clocks(&mut self, now: Tick) {
        self.intake.restart_clock(now);
        self.outlet.restart_clock(now);
    }

    /// Since when nothing has passed: the sink has taken nothing of what is pending, or else the
    /// source has brought nothing.
    pub fn still_since(&self) -> Tick {
        if self.pending() > 0 { self.outlet.still_since() } else { self.intake.silent_since() }
    }

    /// When it last took or gave out a byte.
    pub fn active_at(&self) -> Tick {
        self.intake.silent_since().max(self.outlet.still_since())
    }
}
