//! Message bodies, whether a length, a last chunk or the close of the connection delimits them.
//!
//! A [`BodyReader`] removes the framing of what one peer sends, and a [`BodyWriter`] adds framing
//! for the other. Only payload passes between them, so any reader works with any writer: a chunked
//! body reaches an HTTP/1.0 client this way. Both work in place, on the buffer that was read into,
//! and know nothing of the connection.
//!
//! A truncated body never looks like a complete one. The reader distinguishes a [`Cut`] from an
//! end, and a writer refuses to end a body of known length early.
//!
//! Tested with each reader behind each writer, split at every position.

use super::chunk::{self, ChunkDecoder, LAST_CHUNK};
use super::framing::BodyLength;
use std::ops::Range;

pub use super::chunk::{ChunkError, Piece};

/// The connection closed before the body was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

/// Removes the framing of one body as its bytes arrive.
#[derive(Debug)]
pub struct BodyReader(ReadState);

#[derive(Debug)]
enum ReadState {
    /// The number of bytes still to come: 0 once the body has ended, and for an empty body.
    Length(u64),
    Chunked(ChunkDecoder),
    /// Next: `Length(0)`, when the connection closes.
    UntilClose,
}

const _: () = assert!(size_of::<BodyReader>() <= 24);

impl BodyReader {
    /// Creates a reader at the first byte of a request body.
    pub fn request(length: BodyLength) -> BodyReader {
        BodyReader::of(length, ChunkDecoder::request())
    }

    /// Creates a reader at the first byte of a response body.
    pub fn response(length: BodyLength) -> BodyReader {
        BodyReader::of(length, ChunkDecoder::response())
    }

    fn of(length: BodyLength, chunks: ChunkDecoder) -> BodyReader {
        BodyReader(match length {
            BodyLength::Empty => ReadState::Length(0),
            BodyLength::Length(bytes) => ReadState::Length(bytes),
            BodyLength::Chunked => ReadState::Chunked(chunks),
            BodyLength::UntilClose => ReadState::UntilClose,
        })
    }

    /// Reads the next bytes of the body, leaving their payload contiguous in `buf`. Consumes all of
    /// `buf` unless the body ends within it.
    ///
    /// # Errors
    ///
    /// Those of [`ChunkDecoder::decode`]. Other bodies have no framing to get wrong.
    #[inline]
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Piece, ChunkError> {
        let len = match &mut self.0 {
            ReadState::Chunked(decoder) => return decoder.decode(buf),
            ReadState::UntilClose => buf.len(),
            ReadState::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= len as u64;
                len
            }
        };
        Ok(Piece { start: 0, payload: len, consumed: len, ended: self.ended() })
    }

    /// True if the body is complete.
    pub fn ended(&self) -> bool {
        match &self.0 {
            ReadState::Length(left) => *left == 0,
            ReadState::Chunked(decoder) => decoder.ended(),
            ReadState::UntilClose => false,
        }
    }

    /// The number of bytes that can be read without reading into the next message, or `u64::MAX` if
    /// that is unknown.
    pub fn wants(&self) -> u64 {
        match &self.0 {
            ReadState::Length(left) => *left,
            ReadState::Chunked(decoder) if decoder.ended() => 0,
            ReadState::Chunked(_) | ReadState::UntilClose => u64::MAX,
        }
    }

    /// True if the peer may send its next request after this body, at a position not known in
    /// advance.
    pub fn is_followed_by_requests(&self) -> bool {
        matches!(&self.0, ReadState::Chunked(decoder) if decoder.is_of_request())
    }

    /// Handles the end of the connection, after everything the peer sent has been read. It ends a
    /// body delimited by close and makes no difference to one that has already ended.
    ///
    /// # Errors
    ///
    /// Any other body is incomplete (RFC 9112 section 8).
    pub fn eof(&mut self) -> Result<(), Cut> {
        if matches!(self.0, ReadState::UntilClose) {
            self.0 = ReadState::Length(0);
        }
        if self.ended() { Ok(()) } else { Err(Cut) }
    }

    /// Takes the trailer section of a body that has ended. See [`ChunkDecoder::take_trailers`].
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        match &mut self.0 {
            ReadState::Chunked(decoder) => decoder.take_trailers(),
            ReadState::Length(_) | ReadState::UntilClose => None,
        }
    }
}

/// Adds framing to one body as its payload arrives.
#[derive(Debug)]
pub struct BodyWriter(WriteState);

#[derive(Debug)]
enum WriteState {
    /// The length announced by the head, less what has been written. Next: `Ended`.
    Body(BodyLength),
    /// The end of the body has been framed. `visibly`: the peer can tell this end from a cut.
    Ended { visibly: bool },
}

const _: () = assert!(size_of::<BodyWriter>() <= 16);

impl BodyWriter {
    /// Creates a writer at the first byte of a body whose head announced `length`.
    pub fn new(length: BodyLength) -> BodyWriter {
        BodyWriter(WriteState::Body(length))
    }

    /// Frames `payload`, a range of `buf`, and also the end of the body if it has `ended`. Returns
    /// the range of `buf` to send, which may be empty. It starts at most [`chunk::HEADROOM`]
    /// bytes before the payload and ends at most [`chunk::TAILROOM`] bytes after it.
    ///
    /// # Panics
    ///
    /// If the body would be longer or shorter than announced, or continue after its end: the peer
    /// would misread whatever follows.
    pub fn frame(&mut self, buf: &mut [u8], payload: Range<usize>, ended: bool) -> Range<usize> {
        let framed = match self.announced() {
            BodyLength::Empty => {
                assert!(payload.is_empty(), "payload for a body that has none");
                payload
            }
            BodyLength::Length(left) => {
                let len = payload.len() as u64;
                assert!(len <= *left, "{len} bytes of payload, {left} announced");
                *left -= len;
                assert!(!ended || *left == 0, "the body ends {left} bytes early");
                payload
            }
            BodyLength::Chunked => frame_chunked(buf, payload, ended),
            BodyLength::UntilClose => payload,
        };
        if ended {
            self.end();
        }
        framed
    }

    /// The announced length of a body that has not ended.
    fn announced(&mut self) -> &mut BodyLength {
        match &mut self.0 {
            WriteState::Body(length) => length,
            WriteState::Ended { .. } => panic!("a body goes on behind its end"),
        }
    }

    fn end(&mut self) {
        self.0 = WriteState::Ended { visibly: self.ends_visibly() };
    }

    /// Ends a body with a trailer section. `trailers` are field lines, each with its CRLF. Only the
    /// chunked coding can carry them; otherwise they are dropped (RFC 9110 section 6.5.1).
    ///
    /// # Panics
    ///
    /// If the body has ended.
    pub fn end_with(&mut self, trailers: &[u8], out: &mut Vec<u8>) {
        if *self.announced() == BodyLength::Chunked {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(trailers);
            out.extend_from_slice(b"\r\n");
        }
        self.end();
    }

    /// True if the body is in the chunked coding and has not ended.
    pub fn writes_chunks(&self) -> bool {
        matches!(self.0, WriteState::Body(BodyLength::Chunked))
    }

    /// True if the end of the body has been framed.
    pub const fn ended(&self) -> bool {
        matches!(self.0, WriteState::Ended { .. })
    }

    /// True if the peer can tell a truncated body from a complete one. If it cannot, only a
    /// connection reset makes the cut visible.
    pub fn ends_visibly(&self) -> bool {
        match self.0 {
            WriteState::Body(length) => length != BodyLength::UntilClose,
            WriteState::Ended { visibly } => visibly,
        }
    }
}

fn frame_chunked(buf: &mut [u8], payload: Range<usize>, ended: bool) -> Range<usize> {
    let mut framed = payload;
    if !framed.is_empty() {
        framed = chunk::frame(buf, framed);
    }
    if ended {
        buf[framed.end..framed.end + LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
        framed.end += LAST_CHUNK.len();
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::super::chunk::{HEADROOM, TAILROOM};
    use super::*;
    use crate::testing::pieces::{in_one_piece, in_pieces};

    const PAYLOAD: &[u8] = b"data: a\n\ndata: b\n\n";

    /// Feeds all of `wire` to `reader` in pieces. Returns the payload and the number of bytes left
    /// over.
    fn read(reader: &mut BodyReader, wire: &[u8], pieces: &[Range<usize>]) -> (Vec<u8>, usize) {
        let (mut payload, mut left) = (Vec::new(), wire.len());
        for range in pieces {
            let wants = reader.wants();
            let mut buf = wire[range.clone()].to_vec();
            let piece = reader.read(&mut buf).unwrap();
            payload.extend_from_slice(&buf[piece.range()]);
            left -= piece.consumed;
            assert!(piece.consumed as u64 <= wants);
            assert!(piece.ended || piece.consumed == buf.len());
            assert_eq!(piece.ended, reader.ended());
            assert_eq!(buf[piece.consumed..], wire[range.start + piece.consumed..range.end]);
        }
        (payload, left)
    }

    /// Frames a payload that arrives in pieces. The end comes with the last piece, or alone.
    fn write(length: BodyLength, payload: &[u8], pieces: &[Range<usize>], alone: bool) -> Vec<u8> {
        let mut writer = BodyWriter::new(length);
        let mut wire = Vec::new();
        let mut send = |piece: &[u8], ended: bool| {
            let mut buf = vec![0; HEADROOM + piece.len() + TAILROOM];
            let range = HEADROOM..HEADROOM + piece.len();
            buf[range.clone()].copy_from_slice(piece);
            let framed = writer.frame(&mut buf, range, ended);
            wire.extend_from_slice(&buf[framed]);
        };
        for (at, range) in pieces.iter().enumerate() {
            send(&payload[range.clone()], !alone && at + 1 == pieces.len());
        }
        if alone || pieces.is_empty() {
            send(b"", true);
        }
        wire
    }

    /// Passes a body through a writer and its reader twice: cut in all ways before writing, then
    /// after.
    fn check(length: BodyLength, payload: &[u8]) {
        let whole = write(length, payload, &in_one_piece(payload.len()), false);
        let behind = if length == BodyLength::UntilClose { &b""[..] } else { b"GET / HTTP/1.1" };
        let both = [&whole, behind].concat();
        let check_read = |wire: &[u8], pieces: &[Range<usize>]| {
            let mut reader = BodyReader::request(length);
            let (got, left) = read(&mut reader, wire, pieces);
            assert_eq!(got, payload, "{length:?} {pieces:?}");
            assert_eq!(left, behind.len(), "{length:?} {pieces:?}");
            assert_eq!(reader.eof(), Ok(()));
            assert!(reader.ended());
            assert_eq!((reader.wants(), reader.take_trailers()), (0, None));
        };
        in_pieces(both.len(), |pieces| check_read(&both, pieces));
        for alone in [true, false] {
            in_pieces(payload.len(), |pieces| {
                let wire = [&write(length, payload, pieces, alone), behind].concat();
                check_read(&wire, &in_one_piece(wire.len()));
            });
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        check(BodyLength::Empty, b"");
        for payload in [&b""[..], b"x", PAYLOAD] {
            check(BodyLength::Length(payload.len() as u64), payload);
            check(BodyLength::Chunked, payload);
            check(BodyLength::UntilClose, payload);
        }
    }

    #[test]
    fn any_reader_feeds_any_writer() {
        let known = BodyLength::Length(PAYLOAD.len() as u64);
        let all = [known, BodyLength::Chunked, BodyLength::UntilClose];
        for from in all {
            let wire = write(from, PAYLOAD, &in_one_piece(PAYLOAD.len()), false);
            for to in all {
                in_pieces(wire.len(), |pieces| {
                    let relayed = relay(from, to, &wire, pieces);
                    let whole = in_one_piece(relayed.len());
                    let (payload, _) = read(&mut BodyReader::request(to), &relayed, &whole);
                    assert_eq!(payload, PAYLOAD, "{from:?} to {to:?}, {pieces:?}");
                });
            }
        }
    }

    /// Reads into a buffer with headroom and sends from that buffer, as the proxy does.
    fn relay(from: BodyLength, to: BodyLength, wire: &[u8], pieces: &[Range<usize>]) -> Vec<u8> {
        let (mut reader, mut writer) = (BodyReader::request(from), BodyWriter::new(to));
        let mut scratch = [0; HEADROOM + 100 + TAILROOM];
        let mut sent = Vec::new();
        for range in pieces.iter().filter(|range| !range.is_empty()) {
            let end = HEADROOM + range.len();
            scratch[HEADROOM..end].copy_from_slice(&wire[range.clone()]);
            let piece = reader.read(&mut scratch[HEADROOM..end]).unwrap();
            let Range { start, end } = piece.range();
            let payload = HEADROOM + start..HEADROOM + end;
            let framed = writer.frame(&mut scratch, payload, piece.ended);
            sent.extend_from_slice(&scratch[framed]);
        }
        let ended = reader.ended();
        assert_eq!(reader.eof(), Ok(()));
        if !ended {
            let framed = writer.frame(&mut scratch, HEADROOM..HEADROOM, true);
            sent.extend_from_slice(&scratch[framed]);
        }
        sent
    }

    #[test]
    fn a_cut_is_no_end() {
        for length in [BodyLength::Length(PAYLOAD.len() as u64), BodyLength::Chunked] {
            let wire = write(length, PAYLOAD, &[0..9, 9..PAYLOAD.len()], false);
            for cut in 0..wire.len() {
                let mut reader = BodyReader::request(length);
                read(&mut reader, &wire[..cut], &in_one_piece(cut));
                assert_eq!(reader.eof(), Err(Cut), "{length:?} cut at {cut}");
            }
            assert!(BodyWriter::new(length).ends_visibly());
        }
        assert!(!BodyWriter::new(BodyLength::UntilClose).ends_visibly());
        assert_eq!(BodyReader::request(BodyLength::Empty).eof(), Ok(()));
        assert_eq!(BodyReader::request(BodyLength::UntilClose).eof(), Ok(()));
    }

    #[test]
    fn trailers_read_back() {
        for trailers in ["", "A: b\r\n", "A: b\r\nC: d\r\n"] {
            let mut wire = b"1\r\nx\r\n".to_vec();
            BodyWriter::new(BodyLength::Chunked).end_with(trailers.as_bytes(), &mut wire);
            in_pieces(wire.len(), |pieces| {
                let mut reader = BodyReader::request(BodyLength::Chunked);
                assert_eq!(read(&mut reader, &wire, pieces), (b"x".to_vec(), 0));
                assert_eq!(reader.take_trailers().unwrap_or_default(), trailers.as_bytes());
            });
        }
    }

    #[test]
    #[should_panic = "4 bytes of payload, 3 announced"]
    fn to_write_more_than_announced_is_our_own_mistake() {
        BodyWriter::new(BodyLength::Length(3)).frame(&mut [0; 4], 0..4, false);
    }

    #[test]
    #[should_panic = "the body ends 1 bytes early"]
    fn to_write_less_than_announced_is_our_own_mistake() {
        BodyWriter::new(BodyLength::Length(3)).frame(&mut [0; 4], 0..2, true);
    }

    #[test]
    #[should_panic = "payload for a body that has none"]
    fn to_write_where_there_is_no_body_is_our_own_mistake() {
        BodyWriter::new(BodyLength::Empty).frame(&mut [0; 4], 0..2, false);
    }

    #[test]
    #[should_panic = "a body goes on behind its end"]
    fn to_write_behind_the_end_is_our_own_mistake() {
        let mut writer = BodyWriter::new(BodyLength::UntilClose);
        writer.frame(&mut [0; 4], 0..4, true);
        writer.frame(&mut [0; 4], 0..4, false);
    }
}
