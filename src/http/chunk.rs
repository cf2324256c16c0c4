//! The chunked transfer coding, both ways (RFC 9112 section 7).
//!
//! Reading happens in place: the payload of a buffer's chunks moves together within that buffer.
//! Writing happens in place: the size goes in front of the payload, into room kept free for it.
//! So a proxy takes bytes from one peer and hands them to the other in the memory they arrived in.
//! The upstream's own chunks are not passed through, since what is written here can be read in
//! one way only, whatever was read.
//!
//! [`ChunkDecoder`] accepts the grammar and nothing else: a size line that one parser repairs and
//! another does not is how a message is smuggled past a proxy. There is one exception. A size line
//! of a response may end with blanks: some servers (ESPAsyncWebServer, old versions of Apache)
//! leave room for a size before they know it. Everybody reads that in one way. Its limits:
//!
//! - a size has at most 16 digits ([`DIGITS_MAX`]) and 63 bits;
//! - a size line with its extensions has at most 256 bytes ([`LINE_MAX`]);
//! - the trailer section has at most 64 lines ([`TRAILER_LINES_MAX`]) and 8 KiB
//!   ([`TRAILERS_MAX`]);
//! - lines may not be mostly padding. An account is kept: each line is charged its length and each
//!   chunk is credited 32 bytes ([`LINE_FREE`]) and its payload once more. The debt never falls
//!   below zero, and at 16 KiB ([`DEBT_MAX`]) the message is refused. A size alone, leading zeros
//!   and all, is at most 18 bytes and so runs up no debt: an upstream may send one byte a
//!   chunk for ever, as some that stream text do. Only extensions longer than what they
//!   are attached to add up, and they have no use here but to make us read.
//!
//! Tested at every cut of every input, and against a decoder that is naive and sees the whole.

mod grammar;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod naive;

use crate::digits::{HEX_DIGITS, hex_value};
use crate::work;
use grammar::State;
use std::ops::Range;

/// The most digits of a chunk size; 16 carry 64 bits.
pub const DIGITS_MAX: u16 = 16;
/// The most bytes of a line that begins a chunk, with its CRLF.
pub const LINE_MAX: u16 = 256;
/// The bytes of a line for which its chunk owes no payload.
pub const LINE_FREE: u64 = 32;
/// The debt at which padding is refused, in bytes.
pub const DEBT_MAX: u16 = 16 * 1024;
/// The most bytes of a trailer section, without the empty line that ends it.
pub const TRAILERS_MAX: usize = 8 * 1024;
/// The most field lines of a trailer section.
pub const TRAILER_LINES_MAX: u8 = 64;

/// Free bytes that [`frame`] needs in front of a payload: a size of 64 bits, and CRLF.
pub const HEADROOM: usize = 18;
/// Free bytes to keep behind a payload: for its CRLF, and for the last chunk that may follow it.
pub const TAILROOM: usize = 2 + LAST_CHUNK.len();
/// The last chunk, with an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Makes `payload`, a range of `buf`, one chunk: its size goes in front, CRLF behind. Returns the
/// range of the chunk. Needs [`HEADROOM`] in front of the payload, at most, and two bytes behind.
///
/// # Panics
///
/// With an empty payload, because that would be the last chunk; with too little room.
pub fn frame(buf: &mut [u8], payload: Range<usize>) -> Range<usize> {
    assert!(!payload.is_empty(), "a chunk of size zero ends the body");
    buf[payload.end..payload.end + 2].copy_from_slice(b"\r\n");
    let mut start = payload.start - 2;
    buf[start..payload.start].copy_from_slice(b"\r\n");
    let mut size = payload.len();
    while size > 0 {
        start -= 1;
        buf[start] = HEX_DIGITS[size % 16];
        size /= 16;
    }
    start..payload.end + 2
}

/// What reading some bytes of a message body came to. The payload lies in one piece, where the most
/// of it lay: of a body in large chunks little is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the buffer the payload begins.
    pub start: usize,
    /// How many bytes of payload there are from there on.
    pub payload: usize,
    /// How many bytes of the buffer belonged to this body: all, unless it has ended. Those behind
    /// belong to the next message and have not been touched.
    pub consumed: usize,
    /// True exactly when the body, its trailer section included, is complete.
    pub ended: bool,
}

impl Piece {
    /// Where in the buffer the payload is.
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.payload
    }
}

/// Why a chunked body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A size that is missing, or followed by what can neither continue nor end it.
    Size,
    /// A size of more than [`DIGITS_MAX`] digits.
    SizeTooLong,
    /// A size of more than 63 bits.
    SizeTooLarge,
    /// An extension that does not follow RFC 9112 section 7.1.1.
    Extension,
    /// A line longer than [`LINE_MAX`].
    LineTooLong,
    /// Extensions out of all proportion to the payload, see [`DEBT_MAX`].
    Padding,
    /// A CR that no LF follows.
    BareCr,
    /// A LF that no CR precedes.
    BareLf,
    /// The data of a chunk is not followed by CRLF, so its size was wrong.
    DataEnd,
    /// A trailer field line that begins with whitespace (RFC 9112 section 5.2).
    TrailerFold,
    /// The name of a trailer field is no token, or no colon follows it at once.
    TrailerName,
    /// The value of a trailer field contains a control character.
    TrailerValue,
    /// A trailer section longer than [`TRAILERS_MAX`].
    TrailersTooLong,
    /// More trailer field lines than [`TRAILER_LINES_MAX`].
    TrailersTooMany,
}

impl ChunkError {
    /// What is wrong, as a phrase for the log.
    pub fn what(self) -> &'static str {
        match self {
            ChunkError::Size => "chunk size is not a hexadecimal number",
            ChunkError::SizeTooLong => "chunk size has more than 16 digits",
            ChunkError::SizeTooLarge => "chunk size has more than 63 bits",
            ChunkError::Extension => "malformed chunk extension",
            ChunkError::LineTooLong => "chunk extensions are too long",
            ChunkError::Padding => "more chunk extensions than payload",
            ChunkError::BareCr => "CR without LF in chunked coding",
            ChunkError::BareLf => "LF without CR in chunked coding",
            ChunkError::DataEnd => "chunk data is not as long as its size says",
            ChunkError::TrailerFold => "trailer field line begins with whitespace",
            ChunkError::TrailerName => "malformed trailer field name",
            ChunkError::TrailerValue => "control character in a trailer field",
            ChunkError::TrailersTooLong => "trailer section is too long",
            ChunkError::TrailersTooMany => "too many trailer fields",
        }
    }
}

/// Reads one chunked body, as its bytes arrive.
///
/// ```
/// use millstream::http::chunk::ChunkDecoder;
///
/// let mut bytes = *b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET";
/// let piece = ChunkDecoder::request().decode(&mut bytes)?;
/// assert_eq!(&bytes[piece.range()], b"hello world");
/// assert!(piece.ended);
/// assert_eq!(&bytes[piece.consumed..], b"GET", "the next message");
/// # Ok::<(), millstream::http::chunk::ChunkError>(())
/// ```
#[derive(Debug)]
pub struct ChunkDecoder {
    /// Bytes of chunk data still to come; while its size is read, the size so far.
    left: u64,
    trailers: Option<Box<Trailers>>,
    /// Bytes of the present size line so far.
    line: u16,
    /// See the module's documentation; below [`DEBT_MAX`].
    debt: u16,
    state: State,
    /// True exactly when a size line may end with blanks.
    ends_with_blanks: bool,
}

const _: () = assert!(size_of::<ChunkDecoder>() <= 24);

/// Nearly no message has any.
#[derive(Debug, Default)]
struct Trailers {
    lines: u8,
    bytes: Vec<u8>,
}

impl ChunkDecoder {
    /// A decoder at the first byte of a request's body.
    pub const fn request() -> ChunkDecoder {
        ChunkDecoder::of(false)
    }

    /// A decoder at the first byte of a response's body.
    pub const fn response() -> ChunkDecoder {
        ChunkDecoder::of(true)
    }

    const fn of(ends_with_blanks: bool) -> ChunkDecoder {
        let (trailers, state) = (None, State::Start);
        ChunkDecoder { left: 0, trailers, line: 0, debt: 0, state, ends_with_blanks }
    }

    /// True exactly when the body is a request's.
    pub const fn is_of_request(&self) -> bool {
        !self.ends_with_blanks
    }

    /// Takes the next bytes of the body and leaves their payload in one piece of `buf`. Takes all
    /// of them, unless the body ends among them.
    ///
    /// # Errors
    ///
    /// What the peer sent is not chunked coding. The payload in front of the mistake is lost with
    /// it, the decoder is of no further use, and neither is the connection.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Piece, ChunkError> {
        work::note(buf.len());
        let (mut payload, mut consumed) = (0..0, 0);
        while consumed < buf.len() && !self.ended() {
            if self.state == State::Data {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX);
                let end = consumed + len.min(buf.len() - consumed);
                payload = join(buf, payload, consumed..end);
                self.pass_data(end - consumed);
                consumed = end;
            } else if let Some(len) = self.between_data(&buf[consumed..])? {
                consumed += len;
            } else {
                self.step(buf[consumed])?;
                consumed += 1;
            }
        }
        let Range { start, end } = payload;
        Ok(Piece { start, payload: end - start, consumed, ended: self.ended() })
    }

    /// True exactly when the last chunk and the trailer section have been read.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The trailer section of a body that has ended: field lines that are well-formed and end with
    /// CRLF each. None if there were none, or if they have been taken. Whether their names may
    /// appear in trailers is not judged here.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        if self.ended() { self.trailers.take().map(|trailers| trailers.bytes) } else { None }
    }

    /// What nearly always stands between the data of two chunks is seen at once: CRLF, and a size
    /// without extensions. How long it is; None if it is something else, or not all of it is there:
    /// that is taken step by step.
    fn between_data(&mut self, bytes: &[u8]) -> Result<Option<usize>, ChunkError> {
        let mut at = 0;
        if self.state == State::DataCr && bytes.starts_with(b"\r\n") {
            self.state = State::Start;
            at = 2;
        }
        if self.state == State::Start
            && let Some((size, line)) = plain_size_line(&bytes[at..])
        {
            (self.left, self.line, self.state) = (size, line - 1, State::Data);
            self.end_line()?;
            at += usize::from(line);
        }
        Ok((at > 0).then_some(at))
    }

    fn pass_data(&mut self, len: usize) {
        self.left -= len as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
    }

    /// Takes one byte that is not chunk data: the grammar says where it leads, and what it means is
    /// done here.
    fn step(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match self.state {
            state if self.ends_with_blanks && state.is_behind_blanks() && byte == b'\r' => {
                State::LineLf
            }
            state => state.after(byte)?,
        };
        match self.state {
            State::Digits => {
                self.lengthen_line()?;
                self.add_digit(byte)
            }
            State::BeforeSemicolon
            | State::BeforeName
            | State::Name
            | State::AfterName
            | State::BeforeValue
            | State::Value
            | State::Quoted
            | State::Escaped
            | State::AfterQuoted
            | State::LineLf => self.lengthen_line(),
            State::Data => self.end_line(),
            State::FieldName | State::FieldValue | State::FieldLf => self.keep_trailer(byte),
            State::FieldStart => self.end_trailer(byte),
            State::Start | State::DataCr | State::DataLf | State::EndLf | State::Ended => Ok(()),
        }
    }

    fn lengthen_line(&mut self) -> Result<(), ChunkError> {
        self.line += 1;
        if self.line > LINE_MAX { Err(ChunkError::LineTooLong) } else { Ok(()) }
    }

    fn add_digit(&mut self, digit: u8) -> Result<(), ChunkError> {
        // Nothing but digits is in the line yet.
        if self.line > DIGITS_MAX {
            return Err(ChunkError::SizeTooLong);
        }
        if self.left >> 59 != 0 {
            return Err(ChunkError::SizeTooLarge);
        }
        let value = hex_value(digit).ok_or(ChunkError::Size)?;
        self.left = self.left << 4 | u64::from(value);
        Ok(())
    }

    /// The line is complete, and the size known: data follows, or with size zero the trailers.
    fn end_line(&mut self) -> Result<(), ChunkError> {
        self.lengthen_line()?;
        let owed = self.debt + self.line;
        let credit = LINE_FREE.saturating_add(self.left);
        self.debt = owed.saturating_sub(u16::try_from(credit).unwrap_or(u16::MAX));
        if self.debt >= DEBT_MAX {
            return Err(ChunkError::Padding);
        }
        self.line = 0;
        if self.left == 0 {
            self.state = State::FieldStart;
        }
        Ok(())
    }

    fn keep_trailer(&mut self, byte: u8) -> Result<(), ChunkError> {
        let trailers = self.trailers.get_or_insert_default();
        trailers.bytes.push(byte);
        if trailers.bytes.len() > TRAILERS_MAX { Err(ChunkError::TrailersTooLong) } else { Ok(()) }
    }

    fn end_trailer(&mut self, lf: u8) -> Result<(), ChunkError> {
        self.keep_trailer(lf)?;
        let trailers = self.trailers.get_or_insert_default();
        trailers.lines += 1;
        if trailers.lines > TRAILER_LINES_MAX { Err(ChunkError::TrailersTooMany) } else { Ok(()) }
    }
}

/// Makes one piece of two that stand apart, by moving the smaller one to the larger.
fn join(buf: &mut [u8], front: Range<usize>, back: Range<usize>) -> Range<usize> {
    work::note(if front.is_empty() { 0 } else { front.len().min(back.len()) });
    if front.is_empty() {
        back
    } else if front.len() < back.len() {
        let start = back.start - front.len();
        buf.copy_within(front, start);
        start..back.end
    } else {
        let end = front.end + back.len();
        buf.copy_within(back, front.end);
        front.start..end
    }
}

/// The size on a line that has nothing else, and the length of that line. None if the size is zero
/// or long.
fn plain_size_line(bytes: &[u8]) -> Option<(u64, u16)> {
    let mut size = 0;
    for (digits, &byte) in (0..8).zip(bytes) {
        let Some(digit) = hex_value(byte) else {
            let ends = bytes[usize::from(digits)..].starts_with(b"\r\n");
            return if ends && size > 0 { Some((size, digits + 2)) } else { None };
        };
        size = size << 4 | u64::from(digit);
    }
    None
}

#[cfg(test)]
mod tests;
