//! One secured socket: its engine, the bytes that wait in either direction, and how it ends.

use super::engine::{Done, Engine};
use super::explain::explain;
use super::shared::{AT_ONCE, RECORD_MAX, Shared};
use crate::buf::Buf;
use crate::net::{Net, Ready, Received, Sent, SockId, TlsError, TlsFault, Token};
use std::io;

/// The maximum number of bytes of records without payload that a peer may send in a row. A read
/// continues until it has payload or the socket is drained, and each record takes time. The library
/// limits empty records in a row and key updates in a row, but either resets the other's count.
const WITHOUT_PAYLOAD_MAX: usize = AT_ONCE;

/// The progress of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The connection below is being established. Next: `Shaking`, `Failed`.
    Connecting,
    /// The connection was accepted, and the client has not sent its ClientHello. Next: `Shaking`,
    /// `Failed`.
    Accepted,
    /// The handshake is under way. Next: `Open`, `Failed`.
    Shaking,
    /// Application data can be exchanged.
    Open,
    /// It could not be established.
    Failed,
}

impl Phase {
    /// True while application data cannot be exchanged yet.
    const fn is_handshaking(self) -> bool {
        matches!(self, Phase::Connecting | Phase::Accepted | Phase::Shaking)
    }
}

/// Why there is nothing more to read.
#[derive(Debug)]
pub(super) enum End {
    /// The peer has announced its end.
    Closed,
    /// The connection below has ended, and the peer has not announced that.
    Truncated,
    /// The peer sent something that it must not send.
    Wrong(TlsError),
    /// The connection below is broken: the kind of the error, and the system's number for it.
    Broken(io::ErrorKind, Option<i32>),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Broken(error.kind(), error.raw_os_error())
    }
}

impl End {
    fn result(&self) -> io::Result<Received> {
        match self {
            End::Closed => Ok(Received { n: 0, drained: false }),
            End::Truncated => Err(io::ErrorKind::UnexpectedEof.into()),
            End::Wrong(error) => Err(error.clone().into()),
            End::Broken(_, Some(number)) => Err(io::Error::from_raw_os_error(*number)),
            End::Broken(kind, None) => Err((*kind).into()),
        }
    }
}

/// One secured socket. See the module docs.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) engine: Engine,
    /// The token of its events.
    pub(super) token: Token,
    /// Records that were read but not decrypted. Never an empty buffer.
    pub(super) unopened: Option<Box<Buf>>,
    /// Data that was decrypted but not yet read by the caller. Never an empty buffer.
    pub(super) opened: Option<Box<Buf>>,
    /// Records that the socket refused. Never an empty buffer.
    pub(super) unsent: Option<Box<Buf>>,
    /// How many bytes of records have been decrypted since the last payload.
    without_payload: usize,
    /// How many of the caller's bytes are in unsent records and do not count as written yet.
    owed: usize,
    /// How many bytes of unsent records have been sent since the caller last wrote.
    left: usize,
    /// Those bytes, as they were offered.
    #[cfg(debug_assertions)]
    offered: Vec<u8>,
    pub(super) end: Option<End>,
    /// The caller knows of the end.
    #[cfg(feature = "sim")]
    end_told: bool,
    pub(super) phase: Phase,
    /// The readiness reported by events during the handshake.
    pub(super) ready: Ready,
    /// True if it is queued for the next step of its handshake.
    pub(super) is_queued: bool,
    /// True if the unopened bytes may contain a whole record.
    pub(super) has_record: bool,
    /// True if the socket did not accept all of the records encrypted last.
    was_full: bool,
    /// True if our end must still be announced to the peer. It has not been yet, and what was sent
    /// is not cut off.
    announces_end: bool,
    /// True if our side ends once the unsent records have been sent.
    ends_then: bool,
}

impl Session {
    /// A session that has just begun.
    pub(super) const fn new(engine: Engine, phase: Phase) -> Session {
        Session {
            engine,
            token: Token(0),
            unopened: None,
            opened: None,
            unsent: None,
            without_payload: 0,
            owed: 0,
            left: 0,
            #[cfg(debug_assertions)]
            offered: Vec::new(),
            end: None,
            #[cfg(feature = "sim")]
            end_told: false,
            phase,
            ready: Ready::NONE,
            is_queued: false,
            has_record: false,
            was_full: false,
            announces_end: true,
            ends_then: false,
        }
    }

    /// The result of connecting and of the handshake.
    pub(super) fn connected(&self) -> io::Result<()> {
        match (self.phase, &self.end) {
            (Phase::Open, _) => Ok(()),
            (Phase::Failed, Some(end)) => end.result().map(|_| ()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Handles an event, and returns the part of it that is for the caller. None if the handshake
    /// may advance instead.
    pub(super) fn heard<N: Net>(
        &mut self,
        mut ready: Ready,
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> Option<Ready> {
        match self.phase {
            // A client speaks first, so room for writing does not matter.
            Phase::Accepted if !ready.has(Ready::READ) => return Some(Ready::NONE),
            Phase::Connecting | Phase::Accepted | Phase::Shaking => {
                self.ready.set(ready);
                return None;
            }
            Phase::Open if ready.has(Ready::WRITE) && self.unsent.is_some() => {
                // Records that count as written are sent without the caller.
                match self.send_unsent(sock, net, shared) {
                    Ok(left) => self.left += left,
                    // The caller notices.
                    Err(_) => return Some(ready),
                }
                if self.unsent.is_some() && self.left == 0 && !ready.has(Ready::HUP) {
                    ready.clear(Ready::WRITE);
                }
            }
            Phase::Open | Phase::Failed => {}
        }
        Some(ready)
    }

    /// Reads once. See [`Net::read`].
    pub(super) fn read<N: Net>(
        &mut self,
        buf: &mut [u8],
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> io::Result<Received> {
        if self.phase.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(waiting) = &mut self.opened {
            let n = waiting.len().min(buf.len());
            buf[..n].copy_from_slice(&waiting.bytes()[..n]);
            waiting.consume(n);
            shared.give_back_empty(&mut self.opened);
            return Ok(Received { n, drained: false });
        }
        let mut drained = false;
        while self.end.is_none() {
            let mut have = shared.load(&mut self.unopened);
            if !std::mem::take(&mut self.has_record) {
                let most = shared.read_next(have, buf.len());
                if most == 0 {
                    self.end = Some(too_long());
                    break;
                }
                match net.read(sock, &mut shared.raw[have..][..most]) {
                    Ok(Received { n: 0, .. }) => self.end = Some(End::Truncated),
                    Ok(Received { n, drained: all }) => {
                        have += n;
                        drained = all;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        shared.store(have, &mut self.unopened);
                        return Err(error);
                    }
                    Err(error) => self.end = Some(error.into()),
                }
            }
            let n = self.open(buf, have, sock, net, shared);
            if n > 0 {
                let all = self.opened.is_none() && !self.has_record && self.end.is_none();
                return Ok(Received { n, drained: drained && all });
            }
        }
        #[cfg(feature = "sim")]
        {
            self.end_told = true;
        }
        self.end.as_ref().map_or(Err(io::ErrorKind::WouldBlock.into()), End::result)
    }

    /// Decrypts the records in the scratch buffer, which holds `have` bytes. Returns how many bytes
    /// of `buf` were filled.
    fn open<N: Net>(
        &mut self,
        buf: &mut [u8],
        have: usize,
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> usize {
        let Shared { raw, sealed, buffers } = shared;
        sealed.clear();
        let (mut filled, opened) = (0, &mut self.opened);
        let take = |payload: &[u8]| {
            let n = payload.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&payload[..n]);
            filled += n;
            if n < payload.len() {
                buffers.append(opened, &payload[n..]);
            }
            filled < buf.len()
        };
        let done = self.engine.open(&mut raw[..have], sealed, take);
        let left = have - done.used;
        raw.copy_within(done.used..have, 0);
        self.has_record = left > 0 && filled == buf.len();
        self.without_payload = if filled > 0 { 0 } else { self.without_payload + done.used };
        self.note(done);
        if self.end.is_none() && self.without_payload > WITHOUT_PAYLOAD_MAX {
            let text = "it sent too many records without payload".to_owned();
            self.give_up(TlsError { fault: TlsFault::Incompatible, text });
        }
        // Nothing follows an end.
        if self.end.is_none() {
            shared.store(left, &mut self.unopened);
        }
        self.keep_sealed(shared);
        if self.owed == 0 {
            // If this fails, so does the next read or write.
            let _ = self.send_unsent(sock, net, shared);
        }
        filled
    }

    /// Notes how a call to the engine ended.
    fn note(&mut self, done: Done) {
        if let Some(error) = done.failed {
            self.give_up(explain(&error));
        } else if done.closed && self.end.is_none() {
            self.end = Some(End::Closed);
        }
    }

    fn give_up(&mut self, error: TlsError) {
        log::debug!("a secured connection is given up: {error}");
        self.end = Some(End::Wrong(error));
    }

    /// Writes once. See [`Net::write`].
    pub(super) fn write<N: Net>(
        &mut self,
        bytes: &[u8],
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> io::Result<Sent> {
        match (self.phase, &self.end) {
            (Phase::Open, None | Some(End::Closed | End::Truncated)) => {}
            (phase, _) if phase.is_handshaking() => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            _ => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        if self.unsent.is_some() || self.owed > 0 {
            self.assert_offered_again(bytes);
            let left = std::mem::take(&mut self.left) + self.send_unsent(sock, net, shared)?;
            match (self.credit(left), self.unsent.is_some()) {
                // The unsent records contained nothing of the caller's, and have just been sent.
                (0, false) => {}
                (0, true) => return Err(io::ErrorKind::WouldBlock.into()),
                (n, full) => return Ok(Sent { n, full }),
            }
        }
        let most = if self.was_full { RECORD_MAX } else { AT_ONCE };
        let bytes = &bytes[..bytes.len().min(most)];
        if !self.seal(Some(bytes), shared) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.send_sealed(bytes, sock, net, shared)
    }

    /// Encrypts bytes, or the announcement of the end, into records in the scratch buffer. False if
    /// the connection cannot continue.
    fn seal(&mut self, bytes: Option<&[u8]>, shared: &mut Shared) -> bool {
        let have = shared.load(&mut self.unopened);
        let Shared { raw, sealed, buffers } = shared;
        sealed.clear();
        let take = |payload: &[u8]| {
            buffers.append(&mut self.opened, payload);
            true
        };
        let input = &mut raw[..have];
        let done = match bytes {
            Some(bytes) => self.engine.seal(bytes, input, sealed, take),
            None => self.engine.close(input, sealed, take),
        };
        raw.copy_within(done.used..have, 0);
        shared.store(have - done.used, &mut self.unopened);
        let goes_on = done.failed.is_none();
        self.note(done);
        goes_on
    }

    /// Sends the records in the scratch buffer, which contain these bytes.
    fn send_sealed<N: Net>(
        &mut self,
        bytes: &[u8],
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> io::Result<Sent> {
        let mut left = 0;
        while left < shared.sealed.bytes().len() {
            match net.write(sock, &shared.sealed.bytes()[left..]) {
                Ok(Sent { n, full }) => {
                    left += n;
                    if full {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let unsent = &shared.sealed.bytes()[left..];
        self.was_full = !unsent.is_empty();
        if unsent.is_empty() {
            return Ok(Sent { n: bytes.len(), full: false });
        }
        shared.buffers.append(&mut self.unsent, unsent);
        self.owed = bytes.len();
        #[cfg(debug_assertions)]
        self.offered.extend_from_slice(bytes);
        match self.credit(left) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(Sent { n, full: true }),
        }
    }

    /// How many of the caller's bytes count as written now that this many bytes of records have
    /// been sent. The last one counts only when all records have been sent.
    fn credit(&mut self, left: usize) -> usize {
        let all = self.unsent.is_none();
        let n = if all { self.owed } else { left.min(self.owed.saturating_sub(1)) };
        self.owed -= n;
        #[cfg(debug_assertions)]
        self.offered.drain(..n);
        n
    }

    /// The number of bytes that the caller has to offer again. See [`Net::committed`].
    pub(super) const fn owed(&self) -> usize {
        self.owed
    }

    /// A caller may offer more than before, but not different bytes.
    fn assert_offered_again(&self, bytes: &[u8]) {
        assert!(bytes.len() >= self.owed, "bytes that were offered are offered again");
        #[cfg(debug_assertions)]
        assert!(bytes.starts_with(&self.offered), "the same bytes are offered again");
    }

    /// Moves the records in the scratch buffer after those that are unsent.
    pub(super) fn keep_sealed(&mut self, shared: &mut Shared) {
        let Shared { sealed, buffers, .. } = shared;
        if !sealed.bytes().is_empty() {
            buffers.append(&mut self.unsent, sealed.bytes());
            sealed.clear();
        }
    }

    /// Sends unsent records until the socket refuses. Returns how many bytes were sent.
    pub(super) fn send_unsent<N: Net>(
        &mut self,
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> io::Result<usize> {
        let mut left = 0;
        while let Some(unsent) = &mut self.unsent {
            match net.write(sock, unsent.bytes()) {
                Ok(Sent { n, full }) => {
                    left += n;
                    unsent.consume(n);
                    shared.give_back_empty(&mut self.unsent);
                    if full {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.ends_then && self.unsent.is_none() {
            self.ends_then = false;
            net.shutdown_write(sock);
        }
        Ok(left)
    }

    /// Notes that what the peer was sent is cut off. See [`Net::note_cut`].
    pub(super) const fn note_cut(&mut self) {
        self.announces_end = false;
    }

    /// Ends our side. See [`Net::shutdown_write`].
    pub(super) fn shutdown_write<N: Net>(
        &mut self,
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) {
        self.announce_end(sock, net, shared);
        if self.unsent.is_some() {
            self.ends_then = true;
        } else {
            net.shutdown_write(sock);
        }
    }

    /// Announces our end to the peer, if everything before it has been sent.
    pub(super) fn announce_end<N: Net>(&mut self, sock: SockId, net: &mut N, shared: &mut Shared) {
        let is_sound = matches!(self.end, None | Some(End::Closed));
        if self.phase != Phase::Open || !is_sound || self.owed > 0 || !self.announces_end {
            return;
        }
        self.announces_end = false;
        self.seal(None, shared);
        self.keep_sealed(shared);
        // If this fails, the connection is broken anyway.
        let _ = self.send_unsent(sock, net, shared);
    }

    /// Returns all buffers. True if there was something to read in them.
    pub(super) fn give_back(&mut self, shared: &mut Shared) -> bool {
        let unread = self.opened.is_some() || self.has_record;
        for slot in [&mut self.unopened, &mut self.opened, &mut self.unsent] {
            slot.take().into_iter().for_each(|buf| shared.buffers.give_back(buf));
        }
        unread
    }

    /// What must be true of the socket below if its owner believes this about it. None if it waits
    /// for nothing.
    #[cfg(feature = "sim")]
    pub(super) fn beneath(&self, believed: Ready) -> Option<Ready> {
        match self.phase {
            _ if self.is_queued => None,
            Phase::Connecting => Some(Ready::NONE),
            Phase::Accepted => Some(Ready::WRITE),
            Phase::Shaking if self.unsent.is_none() => Some(Ready::WRITE),
            Phase::Shaking if self.engine.is_handshaking() => Some(Ready::NONE),
            // Only the last records are left to send.
            Phase::Shaking => Some(Ready::READ),
            Phase::Failed => None,
            Phase::Open => {
                let untold = self.end.is_some() && !self.end_told;
                let unread = self.opened.is_some() || self.has_record || untold;
                assert!(!unread || believed.has(Ready::READ), "unread bytes are forgotten");
                Some(believed)
            }
        }
    }
}

/// The end of a peer that needs more memory than any message should.
pub(super) fn too_long() -> End {
    let text = "it sent a message that is too long".to_owned();
    End::Wrong(TlsError { fault: TlsFault::Incompatible, text })
}
