//! One direction of an exchange: bytes from a source to a sink.
//!
//! A pipe reads a body off one connection, takes its framing away, frames it anew for the other and
//! writes it, all in one scratch buffer that every session shares: the payload is decoded in place,
//! the new chunk-size line goes into headroom in front of it, the line end behind it, and the whole
//! leaves in one write. Only what the sink refuses is copied, into a pooled buffer that goes back
//! when it is empty. So an idle stream holds no buffer, and a stalled one holds one.
//!
//! Back-pressure is not reading: while [`Io::high_water`] bytes are pending, or any at all and an
//! unfinished event is held beside them, the source is left alone, and its peer's window does the
//! rest. While none are pending more is read at once, as a
//! system call costs as much as some thousand bytes. Each direction ends by itself; what the end of
//! one means for the other is the exchange's business.
//!
//! An event stream is a body of which more is known ([`events`]): where it may be added to, and
//! where it may end.

pub mod events;

use crate::buf::{Buf, BufPool};
use crate::conn::{Conn, Read, Written};
use crate::http::body::{BodyReader, BodyWriter, Piece};
use crate::http::chunk::{ChunkError, HEADROOM};
use crate::http::fields::{self, Names};
use crate::http::framing::BodyLength;
use crate::net::{Net, Ready};
use crate::time::{Tick, millis};
use crate::work;
use events::Events;
use std::ops::Range;
use std::time::Duration;

/// What a pipe works with for the length of a call.
#[derive(Debug)]
pub struct Io<'a, N> {
    /// The network.
    pub net: &'a mut N,
    /// [`HEADROOM`], as many bytes as are read at once, and room for what comes behind a payload.
    pub scratch: &'a mut [u8],
    /// Where buffers for refused bytes come from.
    pub buffers: &'a mut BufPool,
    /// The time of this turn.
    pub now: Tick,
    /// A source is not read while this many bytes are pending.
    pub high_water: usize,
    /// How many bytes are read at once while none are pending, if that is more.
    pub window: usize,
    /// How long bytes may be gathered; none: hand them on at once.
    pub flush_interval: Option<Duration>,
}

/// How far a direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The source may bring more. Next: `Draining` when its body ends.
    Open,
    /// The body has ended; what is pending still has to go out. Next: `Finished`.
    Draining,
    /// Everything is out.
    Finished,
    /// Nothing is read or written any more: the sink does not want the rest.
    Abandoned,
}

impl Flow {
    /// A body of no length has ended before it begins, unless the sink is still to be told.
    fn at_start_of(reader: &BodyReader, to: BodyLength) -> Flow {
        let told = matches!(to, BodyLength::Empty | BodyLength::Length(_));
        if reader.ended() && told { Flow::Draining } else { Flow::Open }
    }
}

/// Why a direction cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The source ended or broke in the middle of its body.
    SourceCut,
    /// The source's framing is wrong.
    SourceBad(ChunkError),
    /// The source's body is longer than it may be. What made it so is not passed on.
    SourceTooLong,
    /// The sink is gone.
    SinkGone,
}

/// What a source had.
enum Taken {
    /// Bytes of its body.
    Piece(Piece),
    /// Its end.
    End,
    /// Nothing now.
    Nothing,
}

/// One direction of an exchange. See the module.
#[derive(Debug)]
pub struct Pipe {
    reader: BodyReader,
    writer: BodyWriter,
    /// Framed for the sink and not yet taken by it. Never an empty buffer.
    pending: Option<Box<Buf>>,
    flow: Flow,
    /// Pending bytes are only being gathered, and must go out so many milliseconds after
    /// `stuck_since`; at once if that is 0.
    gather_ms: u32,
    /// Since when the source has been wanted and silent.
    silent_since: Tick,
    /// Since when the sink has taken nothing while bytes were pending.
    stuck_since: Tick,
    /// Payload bytes taken from the source so far.
    taken: u64,
    /// Payload bytes framed for the sink so far; none of ours between events are among them.
    given: u64,
    /// Trailer fields that the head's Connection field named: they end here (RFC 9110 section
    /// 7.6.1).
    dropped_trailers: Option<Box<Names>>,
    /// What is known of the body if it is an event stream that can be added to.
    events: Option<Events>,
}

impl Pipe {
    /// A direction whose source is a client that frames its body as `from`, and whose sink wants it
    /// as `to`.
    pub fn new(from: BodyLength, to: BodyLength, now: Tick) -> Pipe {
        let reader = BodyReader::request(from);
        Pipe {
            flow: Flow::at_start_of(&reader, to),
            reader,
            writer: BodyWriter::new(to),
            pending: None,
            gather_ms: 0,
            silent_since: now,
            stuck_since: now,
            taken: 0,
            given: 0,
            dropped_trailers: None,
            events: None,
        }
    }

    /// How far it has come.
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// Payload bytes taken from the source so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Payload bytes of the source that were handed on so far, gone out or pending.
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// Likewise, without those that are still pending; of these, framing counts as payload.
    pub fn delivered(&self) -> u64 {
        self.given.saturating_sub(self.pending() as u64)
    }

    /// True when nothing more will be taken from the source, whether it has ended or not.
    pub fn source_done(&self) -> bool {
        self.flow != Flow::Open
    }

    /// True when the source's body was taken to its end: what follows on its connection is
    /// something else. Anything less, and the rest of a body could be taken for a next message.
    pub fn source_complete(&self) -> bool {
        self.reader.ended()
    }

    /// True when nothing more will be read or written.
    pub fn done(&self) -> bool {
        matches!(self.flow, Flow::Finished | Flow::Abandoned)
    }

    /// True exactly when what is read may belong to something behind the body.
    pub fn may_end_anywhere(&self) -> bool {
        self.reader.may_end_anywhere()
    }

    /// True when the sink can tell a body that was cut from one that ended.
    pub fn ends_visibly(&self) -> bool {
        self.writer.ends_visibly()
    }

    /// How many bytes are framed for the sink and not yet taken by it.
    pub fn pending(&self) -> usize {
        self.pending_bytes().len()
    }

    /// The bytes that are framed for the sink and not yet taken by it.
    pub fn pending_bytes(&self) -> &[u8] {
        self.pending.as_ref().map_or(&[], |buf| buf.bytes())
    }

    /// Appends bytes that are the sink's as they stand (a head), due at once.
    ///
    /// The caller has made sure that they fit into a buffer.
    pub fn queue(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        self.append(bytes, buffers, now);
        self.gather_ms = 0;
    }

    /// Takes back what is pending: a head that has not been sent, to be written anew.
    pub fn take_pending(&mut self, buffers: &mut BufPool) -> Vec<u8> {
        let pending = self.pending_bytes().to_vec();
        self.release(buffers);
        pending
    }

    /// Appends payload that comes from this process, where otherwise a source would bring it.
    pub fn queue_payload<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.taken += payload.len() as u64;
        self.given += payload.len() as u64;
        self.insert(payload, false, io);
    }

    /// Likewise; it is the last.
    pub fn queue_last<N: Net>(&mut self, payload: &[u8], io: &mut Io<'_, N>) {
        self.taken += payload.len() as u64;
        self.given += payload.len() as u64;
        self.insert(payload, true, io);
        self.take_no_more(io.buffers);
    }

    /// Appends payload that no source has brought, and perhaps the end of the body, due at once.
    fn insert<N: Net>(&mut self, payload: &[u8], ended: bool, io: &mut Io<'_, N>) {
        let range = HEADROOM..HEADROOM + payload.len();
        io.scratch[range.clone()].copy_from_slice(payload);
        let framed = self.writer.frame(io.scratch, range, ended);
        self.append(&io.scratch[framed], io.buffers, io.now);
        self.gather_ms = 0;
    }

    /// True when the sink was, or will be, told that the body is complete.
    pub fn ends_properly(&self) -> bool {
        self.writer.ended()
    }

    /// The body of a response begins: what is pending (its head) stays in front of it. With
    /// `UntilClose` on both sides the two ends are joined as they are, as a tunnel (RFC 9110
    /// section 7.8).
    pub fn begin(&mut self, from: BodyLength, to: BodyLength, now: Tick) {
        self.reader = BodyReader::response(from);
        self.writer = BodyWriter::new(to);
        self.flow = Flow::at_start_of(&self.reader, to);
        self.silent_since = now;
    }

    /// Fields of the trailer section whose names are in this list will not be passed on.
    pub fn drop_trailers(&mut self, names: Option<Box<Names>>) {
        self.dropped_trailers = names;
    }

    /// Moves what can be moved now, at most one write and one read. True when anything moved. The
    /// body may have at most `body_max` bytes in all.
    ///
    /// # Errors
    /// See [`Fault`]. Bytes that were taken before it stay pending.
    pub fn pump<N: Net>(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        body_max: u64,
        io: &mut Io<'_, N>,
    ) -> Result<bool, Fault> {
        // What came along with a head goes out with it, in one write.
        if !source.ahead().is_empty() && self.take_in(source, sink, body_max, io)? {
            return Ok(true);
        }
        let wrote = self.write_pending(sink, io)?;
        let took = self.take_in(source, sink, body_max, io)?;
        Ok(wrote || took)
    }

    /// Writes what is pending and due. True when bytes, or the end, got through.
    ///
    /// # Errors
    /// [`Fault::SinkGone`].
    pub fn write_pending<N: Net>(
        &mut self,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<bool, Fault> {
        let (due, wanted) = (self.due(io.now, io.high_water), self.wants_source(io.high_water));
        let Some(buf) = &mut self.pending else {
            return Ok(self.settle());
        };
        if !due || !sink.ready.has(Ready::WRITE) {
            return Ok(false);
        }
        match sink.write(io.net, buf.bytes()) {
            Written::Bytes(n) => {
                self.stuck_since = io.now;
                self.gather_ms = 0;
                if !wanted {
                    self.silent_since = io.now;
                }
                buf.consume(n);
                if buf.is_empty() {
                    self.release(io.buffers);
                    self.settle();
                } else {
                    io.buffers.shrink(&mut self.pending);
                }
                if let Some(events) = &mut self.events {
                    events.note_sent(io.now);
                }
                Ok(true)
            }
            Written::Blocked => {
                // It waits for the sink now.
                self.gather_ms = 0;
                Ok(false)
            }
            Written::Broken => Err(Fault::SinkGone),
        }
    }

    /// Reads once and passes on what came. True when bytes, or the end, were taken.
    fn take_in<N: Net>(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        body_max: u64,
        io: &mut Io<'_, N>,
    ) -> Result<bool, Fault> {
        if !self.wants_source(io.high_water) {
            return Ok(false);
        }
        let most = self.window(io);
        if let Some(events) = self.events.as_mut().filter(|events| events.has_free()) {
            let n = events.take_free(&mut io.scratch[HEADROOM..HEADROOM + most], io.buffers);
            let ended = self.reader.ended() && self.can_end();
            self.pass_on(HEADROOM..HEADROOM + n, ended, sink, io)?;
            return Ok(true);
        }
        // It has ended before, and something was still held then.
        if self.reader.ended() {
            return self.take_end(sink, io);
        }
        let piece = match self.read_piece(source, most, io)? {
            Taken::Piece(piece) => piece,
            Taken::End => return self.take_end(sink, io),
            Taken::Nothing => return Ok(false),
        };
        self.taken += piece.payload as u64;
        if self.taken > body_max {
            return Err(Fault::SourceTooLong);
        }
        self.silent_since = io.now;
        let passing = match &mut self.events {
            Some(events) => events.admit(&io.scratch[HEADROOM..][piece.range()], io.buffers),
            None => piece.payload,
        };
        let start = HEADROOM + piece.start;
        self.pass_on(start..start + passing, piece.ended && self.can_end(), sink, io)?;
        Ok(true)
    }

    /// How many bytes are read next: never more than one buffer could hold if the sink refused them
    /// all, and of what is read in bulk no more than this body has.
    fn window<N: Net>(&self, io: &Io<'_, N>) -> usize {
        match self.pending() {
            0 => {
                let wanted = usize::try_from(self.reader.wants()).unwrap_or(usize::MAX);
                io.window.min(wanted).max(io.high_water)
            }
            pending => io.high_water - pending,
        }
    }

    /// Reads once, at most so many bytes, into the scratch behind the headroom.
    fn read_piece<N: Net>(
        &mut self,
        source: &mut Conn,
        most: usize,
        io: &mut Io<'_, N>,
    ) -> Result<Taken, Fault> {
        if !source.has_input() {
            return Ok(Taken::Nothing);
        }
        let window = &mut io.scratch[HEADROOM..HEADROOM + most];
        let ahead = source.ahead();
        let (from_socket, n) = if ahead.is_empty() {
            match source.read(io.net, window) {
                Read::Bytes(n) => (true, n),
                Read::End => return Ok(Taken::End),
                Read::Blocked => return Ok(Taken::Nothing),
                Read::Broken => return Err(Fault::SourceCut),
            }
        } else {
            // No more is copied than this body can have.
            let wanted = usize::try_from(self.reader.wants()).unwrap_or(usize::MAX);
            let n = ahead.len().min(most).min(wanted);
            work::note(n);
            window[..n].copy_from_slice(&ahead[..n]);
            (false, n)
        };
        let piece = self.reader.read(&mut window[..n]).map_err(Fault::SourceBad)?;
        // What is behind this body is saved before framing writes there.
        if from_socket {
            source.keep(&window[piece.consumed..n], io.buffers);
        } else {
            source.consume(piece.consumed, io.buffers);
        }
        Ok(Taken::Piece(piece))
    }

    /// The source has ended its body.
    fn take_end<N: Net>(&mut self, sink: &mut Conn, io: &mut Io<'_, N>) -> Result<bool, Fault> {
        self.reader.eof().map_err(|_| Fault::SourceCut)?;
        if self.is_to_be_resumed() {
            return Err(Fault::SourceCut);
        }
        if let Some(events) = self.events.as_mut().filter(|events| events.holds_any()) {
            // The end follows when all of it has passed.
            events.admit_rest();
            return Ok(true);
        }
        self.pass_on(HEADROOM..HEADROOM, true, sink, io)?;
        Ok(true)
    }

    /// True when an end of the source can be passed on as one.
    fn can_end(&self) -> bool {
        !self.holds_any() && !self.is_to_be_resumed()
    }

    fn is_to_be_resumed(&self) -> bool {
        self.events().is_some_and(Events::outlives_source)
    }

    /// Frames the payload that stands in the scratch and hands it on: to the sink as far as it
    /// takes it, the rest to a buffer.
    fn pass_on<N: Net>(
        &mut self,
        payload: Range<usize>,
        ended: bool,
        sink: &mut Conn,
        io: &mut Io<'_, N>,
    ) -> Result<(), Fault> {
        self.given += payload.len() as u64;
        let trailers = if ended { self.reader.take_trailers() } else { None };
        let framed = self.writer.frame(io.scratch, payload, ended && trailers.is_none());
        let mut rest = &io.scratch[framed];
        if ended {
            self.flow = Flow::Draining;
        }
        let gather = io.flush_interval.filter(|_| !ended);
        let idle_sink = self.pending.is_none() && sink.ready.has(Ready::WRITE);
        if gather.is_none() && idle_sink && !rest.is_empty() {
            match sink.write(io.net, rest) {
                Written::Bytes(n) => {
                    rest = &rest[n..];
                    if let Some(events) = &mut self.events {
                        events.note_sent(io.now);
                    }
                }
                Written::Blocked => {}
                Written::Broken => return Err(Fault::SinkGone),
            }
        }
        if self.pending.is_none() {
            self.gather_ms =
                gather.map_or(0, |interval| u32::try_from(millis(interval)).unwrap_or(u32::MAX));
        }
        self.append(rest, io.buffers, io.now);
        if let Some(trailers) = trailers {
            self.append_end(&trailers, io);
        }
        self.settle();
        Ok(())
    }

    /// Ends a body that has a trailer section, with what may be passed on of it.
    fn append_end<N: Net>(&mut self, trailers: &[u8], io: &mut Io<'_, N>) {
        let (mut filtered, mut end) = (Vec::new(), Vec::new());
        fields::filter_trailers(trailers, self.dropped_trailers.as_deref(), &mut filtered);
        self.writer.end_with(&filtered, &mut end);
        self.append(&end, io.buffers, io.now);
    }

    fn append(&mut self, bytes: &[u8], buffers: &mut BufPool, now: Tick) {
        if bytes.is_empty() {
            return;
        }
        if self.pending.is_none() {
            self.stuck_since = now;
        }
        buffers.append(&mut self.pending, bytes);
    }

    fn flush_at(&self) -> Tick {
        match self.gather_ms {
            0 => Tick::ZERO,
            ms => self.stuck_since.after(Duration::from_millis(ms.into())),
        }
    }

    /// True when pending bytes may go out now.
    fn due(&self, now: Tick, high_water: usize) -> bool {
        self.flush_at() <= now || self.flow != Flow::Open || self.pending() >= high_water
    }

    /// True when it has nothing to do until the source brings something.
    pub fn is_quiet(&self) -> bool {
        let held = self.events().is_some_and(|events| events.has_free() || events.is_unspoken());
        self.flow == Flow::Open && self.pending.is_none() && !self.reader.ended() && !held
    }

    /// True exactly when more bytes of the source would be taken, or of what is held.
    pub fn wants_source(&self, high_water: usize) -> bool {
        self.flow == Flow::Open && self.pending() < high_water && !self.is_behind()
    }

    /// True when bytes wait for nothing but the sink.
    pub fn wants_sink(&self, now: Tick, high_water: usize) -> bool {
        self.pending.is_some() && self.due(now, high_water)
    }

    /// `Finished` follows on `Draining` when the last byte is out. True when it just did.
    fn settle(&mut self) -> bool {
        let finished = self.flow == Flow::Draining && self.pending.is_none();
        if finished {
            self.flow = Flow::Finished;
        }
        finished
    }

    /// Gives up this direction: nothing more is read or written.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        self.flow = Flow::Abandoned;
        self.release(buffers);
        if let Some(events) = &mut self.events {
            events.forget_held(buffers);
        }
    }

    /// Takes no more from the source and lets what is pending go out. A body that has not ended by
    /// now stays unended, and an event that is held is dropped.
    pub fn take_no_more(&mut self, buffers: &mut BufPool) {
        self.flow = Flow::Draining;
        if let Some(events) = &mut self.events {
            events.forget_held(buffers);
        }
        self.settle();
    }

    /// Gives a buffer back, whatever is in it.
    fn release(&mut self, buffers: &mut BufPool) {
        if let Some(buf) = self.pending.take() {
            buffers.give_back(buf);
        }
    }

    /// When gathered bytes are to go out; [`Tick::NEVER`] when they wait for something else.
    pub fn flush_deadline(&self, now: Tick, high_water: usize) -> Tick {
        if self.pending.is_some() && !self.due(now, high_water) {
            self.flush_at()
        } else {
            Tick::NEVER
        }
    }

    /// When the sink will have taken nothing for `limit` though bytes wait for it.
    pub fn stuck_deadline(&self, now: Tick, high_water: usize, limit: Duration) -> Tick {
        if self.wants_sink(now, high_water) { self.stuck_since.after(limit) } else { Tick::NEVER }
    }

    /// When the source will have been silent for `limit` though bytes are wanted from it.
    pub fn silence_deadline(&self, high_water: usize, limit: Duration) -> Tick {
        if self.wants_source(high_water) { self.silent_since.after(limit) } else { Tick::NEVER }
    }

    /// Starts the clocks of both deadlines anew: only from now on are source and sink waited for.
    pub fn restart_clocks(&mut self, now: Tick) {
        self.silent_since = now;
        if self.gather_ms == 0 {
            self.stuck_since = now;
        }
    }

    /// Since when nothing has passed: the sink has taken nothing of what is pending, or else the
    /// source has brought nothing.
    pub const fn still_since(&self) -> Tick {
        if self.pending.is_some() { self.stuck_since } else { self.silent_since }
    }

    /// When it last took or handed on a byte.
    pub fn active_at(&self) -> Tick {
        self.silent_since.max(self.stuck_since)
    }
}
