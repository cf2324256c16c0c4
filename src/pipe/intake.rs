//! The half of a pipe that takes a body in.
//!
//! An intake reads a body off a connection, in the scratch, takes its framing away and hands on
//! what has passed as a [`Portion`]. It knows where the body ends, where the events of a stream do
//! ([`Events`]), and for how long its source has been silent. Who gets the portions is no affair of
//! its own.
//!
//! One call reads once, and no more than whoever gets it could keep.

use super::events::{Events, Terms};
use super::io::{Io, Portion, Rest};
use crate::buf::BufPool;
use crate::conn::{Conn, Read};
use crate::http::body::BodyReader;
use crate::http::chunk::{ChunkError, HEADROOM, Piece};
use crate::http::fields::{self, Names};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::time::Tick;
use crate::work;
use std::ops::Range;

/// Why no more can be taken from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// It ended or broke in the middle of its body.
    Cut,
    /// Its framing is wrong.
    Malformed(ChunkError),
    /// Its body is longer than it may be. What made it so is not handed on.
    TooLong,
}

/// What a source had.
enum Found {
    /// Bytes of its body.
    Piece(Piece),
    /// Its end.
    End,
    /// Nothing now.
    Nothing,
}

/// A body on its way in. See the module.
#[derive(Debug)]
pub struct Intake {
    reader: BodyReader,
    /// The payload bytes that the body may have in all.
    body_max: u64,
    /// Payload bytes taken so far.
    taken: u64,
    /// Since when the source has been wanted and silent.
    silent_since: Tick,
    /// Trailer fields that go no further, by their names.
    dropped_trailers: Option<Box<Names>>,
    /// What is known of the body if it is an event stream that can be read.
    events: Option<Events>,
}

impl Intake {
    /// The body of a request, which its client frames as `from` and which may have `body_max` bytes
    /// of payload.
    pub fn request(from: BodyLength, body_max: u64, now: Tick) -> Intake {
        Intake { body_max, ..Intake::of(BodyReader::request(from), now) }
    }

    /// The body of a response. How it is framed is known when its head is: see [`Intake::begin`].
    pub fn response(now: Tick) -> Intake {
        Intake::of(BodyReader::response(BodyLength::UntilClose), now)
    }

    const fn of(reader: BodyReader, now: Tick) -> Intake {
        Intake {
            reader,
            body_max: u64::MAX,
            taken: 0,
            silent_since: now,
            dropped_trailers: None,
            events: None,
        }
    }

    /// The body of a response, or one side of a tunnel, begins here; an event stream goes on where
    /// the one before broke. It may be as long as it likes.
    pub fn begin(&mut self, from: BodyLength, now: Tick) {
        self.reader = BodyReader::response(from);
        self.body_max = u64::MAX;
        self.silent_since = now;
    }

    /// Fields of the trailer section whose names are in this list go no further.
    pub fn drop_trailers(&mut self, names: Option<Box<Names>>) {
        self.dropped_trailers = names;
    }

    /// The body is an event stream that can be read; nothing of it has come.
    pub fn watch_events(&mut self, terms: Terms) {
        self.events = Some(Events::new(terms));
    }

    /// What is known of the events, if the body is an event stream that can be read.
    pub const fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// Likewise.
    pub const fn events_mut(&mut self) -> Option<&mut Events> {
        self.events.as_mut()
    }

    /// Payload bytes taken from the source so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// True exactly when the body was taken to its end: what follows on its connection is something
    /// else. Anything less, and the rest of a body could be taken for a next message.
    pub fn is_complete(&self) -> bool {
        self.reader.ended()
    }

    /// True exactly when some of an event stream is held.
    pub fn holds_any(&self) -> bool {
        self.events.as_ref().is_some_and(Events::holds_any)
    }

    /// True exactly when nothing can be taken before the source brings something.
    pub fn is_quiet(&self) -> bool {
        !self.reader.ended() && !self.events.as_ref().is_some_and(Events::has_free)
    }

    /// Since when the source has been wanted and silent.
    pub const fn silent_since(&self) -> Tick {
        self.silent_since
    }

    /// Only from now on is the source waited for.
    pub const fn restart_clock(&mut self, now: Tick) {
        self.silent_since = now;
    }

    /// Nothing more will be taken: what is held of an event is dropped.
    pub fn stop(&mut self, buffers: &mut BufPool) {
        if let Some(events) = &mut self.events {
            events.forget_held(buffers);
        }
    }

    /// Takes what there is, with one read at most. So many bytes are `waiting` already where it
    /// goes, fewer than [`Io::high_water`]. None when there is nothing now; an event will follow.
    ///
    /// # Errors
    /// See [`SourceFault`].
    pub fn take<N: Net>(
        &mut self,
        source: &mut Conn,
        waiting: usize,
        io: &mut Io<'_, N>,
    ) -> Result<Option<Portion>, SourceFault> {
        let most = self.window(waiting, io);
        if let Some(events) = self.events.as_mut().filter(|events| events.has_free()) {
            let n = events.take_free(&mut io.scratch[HEADROOM..HEADROOM + most], io.buffers);
            return Ok(Some(self.portion(HEADROOM..HEADROOM + n, self.reader.ended())));
        }
        // It has ended before, and something was still held then.
        if self.reader.ended() {
            return self.take_end().map(Some);
        }
        let piece = match self.read(source, most, io)? {
            Found::Piece(piece) => piece,
            Found::End => return self.take_end().map(Some),
            Found::Nothing => return Ok(None),
        };
        self.taken += piece.payload as u64;
        if self.taken > self.body_max {
            return Err(SourceFault::TooLong);
        }
        self.silent_since = io.now;
        let passing = match &mut self.events {
            Some(events) => events.admit(&io.scratch[HEADROOM..][piece.range()], io.buffers),
            None => piece.payload,
        };
        let start = HEADROOM + piece.start;
        Ok(Some(self.portion(start..start + passing, piece.ended)))
    }

    /// How many bytes are taken next: never more than one buffer could keep beside those that are
    /// waiting, and of what is read in bulk no more than this body has. What comes behind a body
    /// and is its client's to choose is not read in bulk, for it has to be kept.
    fn window<N: Net>(&self, waiting: usize, io: &Io<'_, N>) -> usize {
        if waiting > 0 {
            return io.high_water - waiting;
        }
        let bulk = if self.reader.is_followed_by_requests() {
            0
        } else {
            io.buffers.share().min(io.window_max)
        };
        bulk.min(self.wanted()).max(io.high_water)
    }

    /// How many bytes of the source are of this body at most.
    fn wanted(&self) -> usize {
        usize::try_from(self.reader.wants()).unwrap_or(usize::MAX)
    }

    /// Reads once, at most so many bytes, into the scratch behind the headroom.
    fn read<N: Net>(
        &mut self,
        source: &mut Conn,
        most: usize,
        io: &mut Io<'_, N>,
    ) -> Result<Found, SourceFault> {
        if !source.has_input() {
            return Ok(Found::Nothing);
        }
        let window = &mut io.scratch[HEADROOM..HEADROOM + most];
        let ahead = source.ahead();
        let (from_socket, n) = if ahead.is_empty() {
            match source.read(io.net, window) {
                Read::Bytes(n) => (true, n),
                Read::End => return Ok(Found::End),
                Read::Blocked => return Ok(Found::Nothing),
                Read::Broken => return Err(SourceFault::Cut),
            }
        } else {
            // No more is copied than this body can have.
            let n = ahead.len().min(most).min(self.wanted());
            work::note(n);
            window[..n].copy_from_slice(&ahead[..n]);
            (false, n)
        };
        let piece = self.reader.read(&mut window[..n]).map_err(SourceFault::Malformed)?;
        // What is behind this body is saved before framing writes there.
        if from_socket {
            source.keep(&window[piece.consumed..n], io.buffers);
        } else {
            source.consume(piece.consumed, io.buffers);
        }
        Ok(Found::Piece(piece))
    }

    /// The source has ended its body.
    fn take_end(&mut self) -> Result<Portion, SourceFault> {
        self.reader.eof().map_err(|_| SourceFault::Cut)?;
        if self.is_to_be_resumed() {
            return Err(SourceFault::Cut);
        }
        if let Some(events) = self.events.as_mut().filter(|events| events.holds_any()) {
            // The end follows when all of it has passed.
            events.admit_rest();
        }
        Ok(self.portion(HEADROOM..HEADROOM, true))
    }

    /// What has passed, and stands in the scratch. The body may have `ended` behind it; that is
    /// said when nothing of it is held, and not at all if it is to go on.
    fn portion(&mut self, payload: Range<usize>, ended: bool) -> Portion {
        let ends = ended && !self.holds_any() && !self.is_to_be_resumed();
        let rest = match ends.then(|| self.reader.take_trailers()) {
            None => Rest::More,
            Some(None) => Rest::End,
            Some(Some(trailers)) => {
                let mut kept = Vec::new();
                fields::filter_trailers(&trailers, self.dropped_trailers.as_deref(), &mut kept);
                Rest::Trailers(kept)
            }
        };
        Portion { payload, between: self.events.as_ref().map(Events::between), rest }
    }

    /// True exactly when an end of the source is to be taken for a break.
    fn is_to_be_resumed(&self) -> bool {
        self.events.as_ref().is_some_and(Events::outlives_source)
    }
}

#[cfg(test)]
mod tests;
