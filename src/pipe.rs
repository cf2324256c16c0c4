//! One direction of an exchange: bytes from a source to a sink.
//!
//! A pipe consists of two halves and the pump that joins them. The *intake* ([`intake`]) takes a
//! body in: it reads from one connection and removes the framing. The *outlet* ([`outlet`]) sends
//! it out: it frames the body anew and writes it to the other connection. Neither knows the other;
//! a [`Portion`](io::Portion) goes from one to the other, and the pump decides when.
//!
//! All of it happens in one scratch buffer that every session shares: the payload is decoded in
//! place, the new chunk-size line goes into headroom before it, the line end after it, and
//! everything is sent in one write. Only bytes that the sink refuses are copied, into a pooled
//! buffer that is returned when it is empty. So an idle stream holds no buffer, and a stalled one
//! holds one.
//!
//! Back-pressure means not reading: while [`Io::high_water`] bytes are pending, or any bytes
//! together with a held unfinished event, the source is not read, and TCP flow control slows its
//! peer. While none are pending, more is read at once, because a system call costs as much as a few
//! thousand bytes. Each direction ends by itself; the exchange decides what that means for the
//! other direction.
//!
//! For an event stream more is known ([`events`]): where something may be inserted, and where it
//! may end.

pub mod events;
pub mod intake;
pub mod io;
pub mod kept;
pub mod outlet;
pub mod place;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

pub use intake::SourceFault;
pub use io::{Io, Moved, Rest};
pub use outlet::{Flow, SinkGone};

use crate::buf::BufPool;
use crate::conn::Conn;
use crate::event_log::{EventLog, Reading};
use crate::http::fields::Names;
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::time::Tick;
use events::Terms;
use intake::Intake;
use outlet::Outlet;
use place::Place;
use std::time::Duration;

/// The reason why a direction cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The rest of the body cannot be obtained from the source.
    Source(SourceFault),
    /// The sink's connection is broken.
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

/// The result of reading a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Some of it was sent.
    Moved,
    /// Nothing was sent: there is no more yet, or earlier bytes are still pending.
    Blocked,
    /// The log no longer holds what comes next.
    Lost,
}

/// One direction of an exchange. See the module docs.
#[derive(Debug)]
pub struct Pipe {
    /// The half that takes the body in.
    pub intake: Intake,
    /// The half that sends it out.
    pub outlet: Outlet,
}

impl Pipe {
    /// Creates a pipe from a client to an upstream, for a request body that is framed as `length`
    /// on both sides and may have `body_max` bytes in all.
    pub fn request(length: BodyLength, body_max: u64, now: Tick) -> Pipe {
        let intake = Intake::request(length, body_max, now);
        let outlet = Outlet::new(length, intake.is_complete(), now);
        Pipe { intake, outlet }
    }

    /// Creates a pipe to a client. Its framing is known once there is a response head; see
    /// [`Pipe::begin`].
    pub fn response(now: Tick) -> Pipe {
        Pipe { intake: Intake::response(now), outlet: Outlet::new(BodyLength::Empty, false, now) }
    }

    /// Sends a request again whose body was kept, in place of whatever is pending.
    ///
    /// # Panics
    /// If its body was not kept.
    pub fn repeat_request(&mut self, buffers: &mut BufPool, now: Tick) {
        self.outlet.abandon(buffers);
        let length = self.intake.rewind();
        self.outlet = Outlet::new(length, false, now);
        self.restart_clocks(now);
    }

    /// Begins the body of a response, after whatever is pending (its head). With `UntilClose` on
    /// both sides the two connections are joined as a tunnel (RFC 9110 section 7.8).
    pub fn begin(&mut self, from: BodyLength, to: BodyLength, now: Tick) {
        self.intake.begin(from, now);
        self.outlet.begin(to, self.intake.is_complete());
    }

    /// Continues an event stream from another source, whose body is framed as `from`.
    pub fn change_source(&mut self, from: BodyLength, now: Tick) {
        self.intake.begin(from, now);
    }

    /// Sends the events of a log from this position on, once its body begins.
    pub fn follow(&mut self, position: u64) {
        self.intake.follow(position);
    }

    /// Sends what a log has, with at most one write, once nothing is pending.
    ///
    /// # Errors
    /// [`SinkGone`].
    pub fn read_log<N: Net>(
        &mut self,
        log: &EventLog,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Followed, SinkGone> {
        let Some(place) = self.intake.place().filter(|_| self.outlet.is_quiet()) else {
            return Ok(Followed::Blocked);
        };
        io.buffers.count_beside(io.net.held_bytes());
        let most = io.buffers.share().min(io.window_max).max(io.high_water);
        let reading = if place.catches_up() {
            log.read_latest(place.next(), place.is_between_events())
        } else {
            log.read(place.next(), most)
        };
        match reading {
            Reading::Nothing if log.has(place.next()) => {
                self.intake.skip_to(log.end());
                Ok(Followed::Moved)
            }
            Reading::Nothing => Ok(Followed::Blocked),
            Reading::Lost => Ok(Followed::Lost),
            Reading::Run(run) => {
                let given = self.outlet.give_run(&run, sink, io)?;
                self.intake.note_run(&given, io.now);
                Ok(Followed::Moved)
            }
        }
    }

    /// True if a reader that has missed part of a log can continue with later events: it is between
    /// two events.
    pub fn may_skip(&self) -> bool {
        self.intake.place().is_some_and(Place::is_between_events)
    }

    /// True if a log has something for this client.
    pub fn is_behind(&self, log: &EventLog) -> bool {
        self.intake.place().is_some_and(|place| log.has(place.next()))
    }

    /// Treats the body, which begins now, as an event stream.
    pub fn watch_events(&mut self, terms: Terms) {
        self.intake.watch_events(terms);
        self.outlet.watch_events();
    }

    /// Sets the trailer fields that are not passed on.
    pub fn drop_trailers(&mut self, names: Option<Box<Names>>) {
        self.intake.drop_trailers(names);
    }

    /// Moves what can be moved now, with at most one write and one read.
    ///
    /// # Errors
    /// See [`Fault`]. Bytes taken before the fault stay pending.
    pub fn pump<N: Net>(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<Moved, Fault> {
        // The bytes that came with a head are sent with it, in one write.
        if !source.ahead().is_empty() && self.pass_on(source, sink, io)? == Moved::Yes {
            return Ok(Moved::Yes);
        }
        let wrote = self.write_pending(sink, io)?;
        let passed = self.pass_on(source, sink, io)?;
        Ok(wrote.or(passed))
    }

    /// Takes a portion in and sends it out.
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

    /// Writes pending bytes that are due, once.
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

    /// Appends bytes that the sink gets as they are, such as a head, due at once.
    ///
    /// The caller makes sure that they fit into a buffer.
    pub fn queue(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        self.outlet.queue(bytes, buffers, now);
    }

    /// Appends payload that this process generates in place of a source.
    pub fn queue_payload<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.outlet.queue_payload(payload, false, io);
    }

    /// Like [`Pipe::queue_payload`], and ends the body.
    pub fn queue_last<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.outlet.queue_payload(payload, true, io);
        self.take_no_more(io.buffers);
    }

    /// Inserts a comment into an event stream.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn comment<N: Net>(&mut self, io: &mut Io<'_, N>) {
        let comment = self.intake.comment(self.outlet.has_id);
        self.outlet.put_in(comment, false, io);
    }

    /// Inserts an event into an event stream.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn put_in<N: Net>(&mut self, event: &[u8], io: &mut Io<'_, N>) {
        self.outlet.put_in(event, false, io);
    }

    /// Ends an event stream whose source has more to send, after some last words. A held unfinished
    /// event is dropped.
    ///
    /// # Panics
    /// If it is not between two events.
    pub fn end_between_events<N: Net>(&mut self, last_words: &[u8], io: &mut Io<'_, N>) {
        self.outlet.put_in(last_words, true, io);
        self.take_no_more(io.buffers);
    }

    /// Stops reading from the source and lets pending bytes be sent. A body that has not ended
    /// stays unended, and a held event is dropped.
    pub fn take_no_more(&mut self, buffers: &mut BufPool) {
        self.intake.stop(buffers);
        self.outlet.drain();
    }

    /// Gives up this direction: nothing more is read or written.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        self.intake.stop(buffers);
        self.outlet.abandon(buffers);
    }

    /// Payload bytes sent so far, without those still pending, where framing counts as payload.
    pub fn delivered(&self) -> u64 {
        self.outlet.given().saturating_sub(self.pending() as u64)
    }

    /// The number of bytes framed for the sink but not yet accepted by it.
    pub fn pending(&self) -> usize {
        self.pending_bytes().len()
    }

    /// The bytes framed for the sink but not yet accepted by it.
    pub fn pending_bytes(&self) -> &[u8] {
        self.outlet.pending()
    }

    /// True if there is nothing to do until the source sends something.
    pub fn is_quiet(&self) -> bool {
        self.outlet.is_quiet() && self.intake.is_quiet()
    }

    /// True if the source, or what is held, would be read. While the sink has not accepted what
    /// came before a held event, more would only be held as well.
    pub fn wants_source(&self, high_water: usize) -> bool {
        let only_to_hold = self.outlet.is_behind() && self.intake.holds_any();
        self.outlet.has_room(high_water) && !only_to_hold
    }

    /// When the source will have been silent for `limit` although it is wanted.
    pub fn silence_deadline(&self, high_water: usize, limit: Duration) -> Tick {
        if self.wants_source(high_water) {
            self.intake.silent_since().after(limit)
        } else {
            Tick::NEVER
        }
    }

    /// Restarts the clocks for the silence of the source and the sink.
    pub const fn restart_clocks(&mut self, now: Tick) {
        self.intake.restart_clock(now);
        self.outlet.restart_clock(now);
    }

    /// Since when nothing has moved: the sink has accepted none of the pending bytes, or else the
    /// source has sent nothing.
    pub fn quiet_since(&self) -> Tick {
        if self.pending() > 0 { self.outlet.still_since() } else { self.intake.silent_since() }
    }

    /// When a byte last moved in or out.
    pub fn active_at(&self) -> Tick {
        self.intake.silent_since().max(self.outlet.still_since())
    }
}
