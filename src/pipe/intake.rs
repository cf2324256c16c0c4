//! The half of a pipe that takes a body in.
//!
//! An intake reads a body from a connection into the scratch buffer, removes its framing and
//! returns what may pass as a [`Portion`]. It knows where the body ends, where the events of a
//! stream end ([`Events`]), and how long its source has been silent. It does not know who gets the
//! portions.
//!
//! Each call reads once, and no more than the recipient could keep.

use super::events::{self, Events, Terms};
use super::io::{Io, Portion, Rest};
use super::kept::Kept;
use super::place::Place;
use crate::buf::BufPool;
use crate::conn::{Conn, Read};
use crate::event_log::Run;
use crate::http::body::BodyReader;
use crate::http::chunk::{ChunkError, HEADROOM, Piece};
use crate::http::fields::{self, Names};
use crate::http::framing::BodyLength;
use crate::json::stream_member::StreamMember;
use crate::net::Net;
use crate::sse::endpoint::Endpoint;
use crate::time::Tick;
use crate::work;
use std::ops::Range;

/// The reason why no more can be taken from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// The source ended or broke in the middle of its body.
    Cut,
    /// The framing is wrong.
    Malformed(ChunkError),
    /// The body is longer than allowed. The excess is not passed on.
    TooLong,
}

/// The result of a read.
enum Found {
    /// Bytes of the body.
    Piece(Piece),
    /// The end of the source.
    End,
    /// Nothing for now.
    Nothing,
}

/// A body on its way in. See the module docs.
#[derive(Debug)]
pub struct Intake {
    reader: BodyReader,
    /// The maximum number of payload bytes in the body.
    body_max: u64,
    /// Payload bytes taken so far.
    taken: u64,
    /// Since when the source has been wanted and silent.
    silent_since: Tick,
    /// The names of the trailer fields that are not passed on.
    dropped_trailers: Option<Box<Names>>,
    watch: Watch,
}

/// What is looked for in a body while it passes.
#[derive(Debug)]
enum Watch {
    /// Nothing.
    Nothing,
    /// The boundaries of events: it is an event stream that can be parsed.
    Events(Events),
    /// The same, and what its first event says.
    Endpoint(Box<(Events, Endpoint)>),
    /// Nothing: there is no body from a connection. The events of a log are sent from this place
    /// on.
    Log(Place),
    /// It is a request body: the member with which a JSON body asks for an event stream, and all of
    /// the body, so that it can be sent again.
    Request(Option<StreamMember>, Option<Box<Kept>>),
}

impl Watch {
    const fn events(&self) -> Option<&Events> {
        match self {
            Watch::Events(events) => Some(events),
            Watch::Endpoint(both) => Some(&both.0),
            Watch::Nothing | Watch::Log(_) | Watch::Request(..) => None,
        }
    }

    const fn events_mut(&mut self) -> Option<&mut Events> {
        match self {
            Watch::Events(events) => Some(events),
            Watch::Endpoint(both) => Some(&mut both.0),
            Watch::Nothing | Watch::Log(_) | Watch::Request(..) => None,
        }
    }

    /// True if bytes held or kept earlier may pass.
    fn has_free(&self) -> bool {
        match self {
            Watch::Nothing | Watch::Log(_) => false,
            Watch::Events(events) => events.has_free(),
            Watch::Endpoint(both) => both.0.has_free(),
            Watch::Request(_, kept) => kept.as_ref().is_some_and(|kept| kept.has_left()),
        }
    }

    /// Copies into `out` the bytes held or kept earlier that may pass, as far as there is room.
    /// Returns how many.
    fn take_free(&mut self, out: &mut [u8], buffers: &mut BufPool) -> usize {
        match self {
            Watch::Events(events) => events.take_free(out, buffers),
            Watch::Endpoint(both) => both.0.take_free(out, buffers),
            Watch::Request(_, Some(kept)) => kept.take(out, buffers),
            Watch::Nothing | Watch::Log(_) | Watch::Request(_, None) => 0,
        }
    }

    fn kept(&self) -> Option<&Kept> {
        if let Watch::Request(_, kept) = self { kept.as_deref() } else { None }
    }

    fn kept_mut(&mut self) -> Option<&mut Kept> {
        if let Watch::Request(_, kept) = self { kept.as_deref_mut() } else { None }
    }
}

impl Intake {
    /// Creates an intake for a request body that its client frames as `from` and that may have
    /// `body_max` payload bytes.
    pub fn request(from: BodyLength, body_max: u64, now: Tick) -> Intake {
        Intake { body_max, ..Intake::of(BodyReader::request(from), now) }
    }

    /// Creates an intake for a response body. Its framing is known once there is a head; see
    /// [`Intake::begin`].
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
            watch: Watch::Nothing,
        }
    }

    /// Begins the body of a response or one side of a tunnel, or continues an event stream where
    /// its last body broke. Its length is not limited.
    pub fn begin(&mut self, from: BodyLength, now: Tick) {
        self.reader = BodyReader::response(from);
        self.body_max = u64::MAX;
        self.silent_since = now;
    }

    /// Sets the trailer fields that are not passed on.
    pub fn drop_trailers(&mut self, names: Option<Box<Names>>) {
        self.dropped_trailers = names;
    }

    /// Treats the body, of which nothing has arrived yet, as an event stream.
    pub fn watch_events(&mut self, terms: Terms) {
        self.watch = Watch::Events(Events::new(terms));
    }

    /// Examines the first event of the stream, of which nothing has arrived yet, for an endpoint.
    pub fn watch_endpoint(&mut self) {
        let events = match std::mem::replace(&mut self.watch, Watch::Nothing) {
            Watch::Events(events) => events,
            // Its previous source broke off within that event.
            Watch::Endpoint(both) => both.0,
            other @ (Watch::Nothing | Watch::Log(_) | Watch::Request(..)) => {
                return self.watch = other;
            }
        };
        self.watch = Watch::Endpoint(Box::new((events, Endpoint::default())));
    }

    /// The endpoint in the first event of the stream, once that has passed, if it is being
    /// examined. Later events are not examined.
    #[inline]
    pub fn take_endpoint(&mut self) -> Option<Endpoint> {
        if !matches!(&self.watch, Watch::Endpoint(both) if both.1.is_over()) {
            return None;
        }
        let Watch::Endpoint(both) = std::mem::replace(&mut self.watch, Watch::Nothing) else {
            return None;
        };
        self.watch = Watch::Events(both.0);
        Some(both.1)
    }

    /// Looks for the member with which a JSON request asks for an event stream. Nothing of the body
    /// has arrived yet.
    pub fn watch_stream_member(&mut self) {
        let kept = if let Watch::Request(_, kept) = &mut self.watch { kept.take() } else { None };
        self.watch = Watch::Request(Some(StreamMember::new()), kept);
    }

    /// True if that member has passed.
    pub fn has_stream_member(&self) -> bool {
        matches!(self.watch, Watch::Request(Some(search), _) if search.is_found())
    }

    /// Keeps the request body, of which nothing has arrived yet, if it has at most `max` bytes. It
    /// is framed as `length`.
    pub fn keep(&mut self, length: BodyLength, max: usize) {
        let member = if let Watch::Request(member, _) = self.watch { member } else { None };
        self.watch = Watch::Request(member, Some(Box::new(Kept::new(length, max))));
    }

    /// True if all that has passed of a request body was kept.
    pub fn keeps_all(&self) -> bool {
        self.watch.kept().is_some_and(Kept::is_whole)
    }

    /// True if a buffer is held for a request body.
    #[cfg(feature = "sim")]
    pub fn keeps_any(&self) -> bool {
        self.watch.kept().is_some_and(Kept::holds_any)
    }

    /// Gives up the kept body: it will not be sent again.
    pub fn forget_kept(&mut self, buffers: &mut BufPool) {
        if let Some(kept) = self.watch.kept_mut() {
            kept.give_up(buffers);
        }
    }

    /// Lets the kept body pass once more, and then the rest of it. Returns how it is framed.
    pub(super) fn rewind(&mut self) -> BodyLength {
        let Some(kept) = self.watch.kept_mut().filter(|kept| kept.is_whole()) else {
            unreachable!("only a request whose body was kept is sent again");
        };
        kept.rewind();
        kept.length()
    }

    /// The state of the events, if the body is an event stream that can be parsed.
    pub const fn events(&self) -> Option<&Events> {
        self.watch.events()
    }

    /// Like [`Intake::events`], mutably.
    pub const fn events_mut(&mut self) -> Option<&mut Events> {
        self.watch.events_mut()
    }

    /// Takes events from a log, from this position on, instead of from a connection.
    pub fn follow(&mut self, position: u64) {
        let before = self.events().map(|events| (events.events(), events.has_ids()));
        let (events, has_ids) = before.unwrap_or_default();
        self.watch = Watch::Log(Place::new(position, events, has_ids));
    }

    /// Goes back to taking from a connection.
    pub fn unfollow(&mut self) {
        self.watch = Watch::Nothing;
    }

    /// The place in a log, if one is being read.
    pub const fn place(&self) -> Option<&Place> {
        if let Watch::Log(place) = &self.watch { Some(place) } else { None }
    }

    /// Continues at a later position of a log, between two events.
    pub fn skip_to(&mut self, position: u64) {
        if let Watch::Log(place) = &mut self.watch {
            place.skip_to(position);
        }
    }

    /// Continues with the last event of each name of a log, until the end is reached.
    pub fn catch_up(&mut self) {
        if let Watch::Log(place) = &mut self.watch {
            place.catch_up();
        }
    }

    /// Notes that these chunks of a log were sent.
    pub(super) fn note_run(&mut self, run: &Run<'_>, now: Tick) {
        if let Watch::Log(place) = &mut self.watch {
            place.note(run);
            self.silent_since = now;
        }
    }

    /// The comment that serves as a heartbeat. Empty if the body is not an event stream that can be
    /// parsed. `has_id` says that the client has an id from an earlier stream.
    pub(super) fn comment(&self, has_id: bool) -> &'static [u8] {
        let of_log = self.place().map(Place::has_ids);
        let has_ids = of_log.or_else(|| self.events().map(Events::has_ids));
        has_ids.map_or(b"", |has_ids| events::comment(has_ids || has_id))
    }

    /// The number of events so far. None if they cannot be counted.
    pub fn count(&self) -> Option<u64> {
        let place = self.place().map(Place::events);
        place.or_else(|| self.events().map(Events::events))
    }

    /// Payload bytes taken from the source so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// True if the body was taken to its end, so that the next byte of its connection belongs to
    /// something else. Otherwise the rest of the body could be taken for the next message.
    pub fn is_complete(&self) -> bool {
        self.reader.ended()
    }

    /// True if part of an event stream is held.
    pub fn holds_any(&self) -> bool {
        self.watch.events().is_some_and(Events::holds_any)
    }

    /// True if nothing can be taken before the source sends something.
    pub fn is_quiet(&self) -> bool {
        !self.reader.ended() && !self.watch.has_free()
    }

    /// Since when the source has been wanted and silent.
    pub const fn silent_since(&self) -> Tick {
        self.silent_since
    }

    /// Restarts the clock for the silence of the source.
    pub const fn restart_clock(&mut self, now: Tick) {
        self.silent_since = now;
    }

    /// Stops taking. Drops the held part of an event, and the kept body.
    pub fn stop(&mut self, buffers: &mut BufPool) {
        if let Some(kept) = self.watch.kept_mut() {
            kept.discard(buffers);
        }
        if let Some(events) = self.watch.events_mut() {
            events.forget_held(buffers);
        }
    }

    /// Takes what is available, with at most one read. `waiting` bytes are already pending at the
    /// destination, fewer than [`Io::high_water`]. None if there is nothing now; an event will
    /// follow.
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
        if self.watch.has_free() {
            let out = &mut io.scratch[HEADROOM..HEADROOM + most];
            let n = self.watch.take_free(out, io.buffers);
            return Ok(Some(self.portion(HEADROOM..HEADROOM + n, self.reader.ended())));
        }
        // The body ended earlier, while something was still held.
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
        let bytes = &io.scratch[HEADROOM..][piece.range()];
        let passing = match &mut self.watch {
            Watch::Events(events) => events.admit(bytes, io.buffers),
            Watch::Endpoint(both) => {
                both.1.scan(bytes);
                both.0.admit(bytes, io.buffers)
            }
            Watch::Request(member, kept) => {
                if let Some(member) = member {
                    member.scan(bytes);
                }
                if let Some(kept) = kept {
                    kept.note(bytes, io.buffers);
                }
                piece.payload
            }
            Watch::Nothing | Watch::Log(_) => piece.payload,
        };
        let start = HEADROOM + piece.start;
        Ok(Some(self.portion(start..start + passing, piece.ended)))
    }

    /// Takes whole events, with at most one read, and hands all that are available to `each`.
    /// Returns what follows. None if there is nothing now; an event will follow. An unfinished
    /// event at the end of the body is not an event.
    ///
    /// # Errors
    /// See [`SourceFault`]. [`SourceFault::TooLong`]: an event cannot be held. What has arrived of
    /// it is handed to `each` as well, after the events before it.
    pub fn take_events<N: Net>(
        &mut self,
        source: &mut Conn,
        io: &mut Io<'_, N>,
        each: impl FnOnce(&[u8]),
    ) -> Result<Option<Rest>, SourceFault> {
        let is_over = self.reader.ended();
        if let Some(events) = self.watch.events_mut().filter(|events| events.has_free()) {
            if !events.take_all(io.buffers, each) && !is_over {
                return Err(SourceFault::TooLong);
            }
            return Ok(Some(self.portion(HEADROOM..HEADROOM, is_over).rest));
        }
        let Some(portion) = self.take(source, 0, io)? else { return Ok(None) };
        if !portion.payload.is_empty() {
            each(&io.scratch[portion.payload]);
        }
        if portion.between == Some(false) {
            Err(SourceFault::TooLong)
        } else {
            Ok(Some(portion.rest))
        }
    }

    /// The number of bytes to take next: never more than one buffer could keep in addition to those
    /// waiting, and in bulk no more than the body has. The client decides what follows a request
    /// body, so it is not read in bulk: it would have to be kept.
    fn window<N: Net>(&self, waiting: usize, io: &mut Io<'_, N>) -> usize {
        if waiting > 0 {
            return io.high_water - waiting;
        }
        io.buffers.count_beside(io.net.held_bytes());
        let bulk = if self.reader.is_followed_by_requests() {
            0
        } else {
            io.buffers.share().min(io.window_max)
        };
        bulk.min(self.wanted()).max(io.high_water)
    }

    /// The maximum number of bytes of the source that belong to this body.
    fn wanted(&self) -> usize {
        usize::try_from(self.reader.wants()).unwrap_or(usize::MAX)
    }

    /// Reads once, at most `most` bytes, into the scratch buffer after the headroom.
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
            // No more bytes are copied than this body can have.
            let n = ahead.len().min(most).min(self.wanted());
            work::note(n);
            window[..n].copy_from_slice(&ahead[..n]);
            (false, n)
        };
        let piece = self.reader.read(&mut window[..n]).map_err(SourceFault::Malformed)?;
        // Bytes after this body are saved before framing overwrites them.
        if from_socket {
            source.keep(&window[piece.consumed..n], io.buffers);
        } else {
            source.consume(piece.consumed, io.buffers);
        }
        Ok(Found::Piece(piece))
    }

    /// Handles the end of the body at the source.
    fn take_end(&mut self) -> Result<Portion, SourceFault> {
        let is_announced = self.reader.ended();
        self.reader.eof().map_err(|_| SourceFault::Cut)?;
        // An upstream that crashes closes its connections too.
        let is_torn = !is_announced && self.watch.events().is_some_and(Events::is_torn);
        if is_torn || self.is_to_be_resumed() {
            return Err(SourceFault::Cut);
        }
        if let Some(events) = self.watch.events_mut().filter(|events| events.holds_any()) {
            // The end follows once everything has passed.
            events.admit_rest();
        }
        Ok(self.portion(HEADROOM..HEADROOM, true))
    }

    /// Creates the portion that is in the scratch buffer. If the body has `ended`, the portion says
    /// so once nothing is held, unless the stream should be resumed.
    fn portion(&mut self, payload: Range<usize>, ended: bool) -> Portion {
        let ends = ended && !self.watch.has_free() && !self.holds_any() && !self.is_to_be_resumed();
        let rest = match ends.then(|| self.reader.take_trailers()) {
            None => Rest::More,
            Some(None) => Rest::End,
            Some(Some(trailers)) => {
                let mut kept = Vec::new();
                fields::filter_trailers(&trailers, self.dropped_trailers.as_deref(), &mut kept);
                if let Some(kept) = self.watch.kept_mut() {
                    kept.lose_trailers();
                }
                Rest::Trailers(kept)
            }
        };
        Portion { payload, between: self.watch.events().map(Events::between), rest }
    }

    /// True if the end of the source counts as a break.
    fn is_to_be_resumed(&self) -> bool {
        self.watch.events().is_some_and(Events::outlives_source)
    }
}

#[cfg(test)]
mod tests;
