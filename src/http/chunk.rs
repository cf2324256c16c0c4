//! The chunked transfer coding, decoding and encoding (RFC 9112 section 7).
//!
//! Decoding happens in place: the payloads of a buffer's chunks are moved together within it.
//! Encoding happens in place, too: the size goes into headroom in front of the payload. So bytes
//! travel from one peer to the other in the memory they arrived in. The upstream's own chunks are
//! not passed through, so that what goes out has exactly one reading.
//!
//! [`ChunkDecoder`] accepts only the grammar: a size line that some parsers repair and others do
//! not can smuggle a message past a proxy. There is one exception: a size line of a response may
//! end with blanks, because some servers (ESPAsyncWebServer, old versions of Apache) reserve room
//! for a size before they know it, and all parsers agree on how to read it. The limits:
//!
//! - a size has at most 16 digits ([`DIGITS_MAX`]) and 63 bits;
//! - a size line with its extensions has at most 256 bytes ([`LINE_MAX`]);
//! - the trailer section has at most 64 lines ([`TRAILER_LINES_MAX`]) and 8 KiB ([`TRAILERS_MAX`]);
//! - lines must not be mostly padding. Each line adds its length to a debt, and each chunk reduces
//!   the debt by 32 bytes ([`LINE_FREE`]) and by its payload. The debt never falls below zero; at
//!   16 KiB ([`DEBT_MAX`]) the message is refused. A bare size, leading zeros included, has at most
//!   18 bytes and builds up no debt, so an upstream may send one byte per chunk forever, as some
//!   text streams do. Only extensions longer than their payload add up, and those serve no purpose
//!   except to make us read.
//!
//! Tested on every input split at every position, and against a naive decoder that sees the whole.

mod grammar;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod naive;

use crate::digits::{HEX_DIGITS, hex_value};
use crate::work;
use grammar::State;
use std::ops::Range;

/// Maximum number of digits in a chunk size; 16 carry 64 bits.
pub const DIGITS_MAX: u16 = 16;
/// Maximum length of a line that begins a chunk, in bytes, with its CRLF.
pub const LINE_MAX: u16 = 256;
/// The number of bytes of each line that need no payload to offset them.
pub const LINE_FREE: u64 = 32;
/// The debt in bytes at which padding is refused.
pub const DEBT_MAX: u16 = 16 * 1024;
/// Maximum size of a trailer section in bytes, without the empty line that ends it.
pub const TRAILERS_MAX: usize = 8 * 1024;
/// Maximum number of field lines in a trailer section.
pub const TRAILER_LINES_MAX: u8 = 64;

/// The number of free bytes that [`frame`] needs in front of a payload: a 64-bit size and CRLF.
pub const HEADROOM: usize = 18;
/// The number of free bytes to keep after a payload, for its CRLF and the last chunk.
pub const TAILROOM: usize = 2 + LAST_CHUNK.len();
/// The last chunk, with an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Frames `payload`, a range of `buf`, as one chunk: the size goes in front, CRLF after. Returns
/// the range of the chunk. Needs at most [`HEADROOM`] bytes in front of the payload and two after
/// it.
///
/// # Panics
///
/// If the payload is empty, because that would be the last chunk, or if there is too little room.
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

/// The result of decoding some bytes of a message body. The payload is made contiguous where most
/// of it already was, so little is moved when chunks are large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The offset of the payload in the buffer.
    pub start: usize,
    /// The length of the payload.
    pub payload: usize,
    /// The number of bytes in the buffer that belong to this body: all of them, unless it has
    /// ended. Any bytes after these belong to the next message and are untouched.
    pub consumed: usize,
    /// True if the body is complete, including its trailer section.
    pub ended: bool,
}

impl Piece {
    /// The range of the payload in the buffer.
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.payload
    }
}

/// Why a chunked body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A size is missing, or followed by something that can neither continue nor end it.
    Size,
    /// A size has more than [`DIGITS_MAX`] digits.
    SizeTooLong,
    /// A size has more than 63 bits.
    SizeTooLarge,
    /// An extension does not follow RFC 9112 section 7.1.1.
    Extension,
    /// A line is longer than [`LINE_MAX`].
    LineTooLong,
    /// Extensions are out of proportion to the payload. See [`DEBT_MAX`].
    Padding,
    /// A CR is not followed by LF.
    BareCr,
    /// An LF is not preceded by CR.
    BareLf,
    /// The data of a chunk is not followed by CRLF, so its size was wrong.
    DataEnd,
    /// A trailer field line begins with whitespace (RFC 9112 section 5.2).
    TrailerFold,
    /// The name of a trailer field is not a token immediately followed by a colon.
    TrailerName,
    /// The value of a trailer field contains a control character.
    TrailerValue,
    /// The trailer section is longer than [`TRAILERS_MAX`].
    TrailersTooLong,
    /// The trailer section has more than [`TRAILER_LINES_MAX`] field lines.
    TrailersTooMany,
}

impl ChunkError {
    /// Describes the error in a phrase for the log.
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

/// Decodes one chunked body as its bytes arrive.
///
/// ```
/// use millstream::leaves::ChunkDecoder;
///
/// let mut bytes = *b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET";
/// let piece = ChunkDecoder::request().decode(&mut bytes).expect("a well-formed body");
/// assert_eq!(&bytes[piece.range()], b"hello world");
/// assert!(piece.ended);
/// assert_eq!(&bytes[piece.consumed..], b"GET", "the next message");
/// ```
#[derive(Debug)]
pub struct ChunkDecoder {
    /// Bytes of chunk data still to come. While a size is being read, the size so far.
    left: u64,
    trailers: Option<Box<Trailers>>,
    /// The number of bytes of the current size line so far.
    line: u16,
    /// The padding debt, below [`DEBT_MAX`]. See the module docs.
    debt: u16,
    state: State,
    /// True if a size line may end with blanks.
    ends_with_blanks: bool,
}

const _: () = assert!(size_of::<ChunkDecoder>() <= 24);

/// The trailer section, which almost no message has.
#[derive(Debug, Default)]
struct Trailers {
    lines: u8,
    bytes: Vec<u8>,
}

impl ChunkDecoder {
    /// Creates a decoder at the first byte of a request body.
    pub const fn request() -> ChunkDecoder {
        ChunkDecoder::of(false)
    }

    /// Creates a decoder at the first byte of a response body.
    pub const fn response() -> ChunkDecoder {
        ChunkDecoder::of(true)
    }

    const fn of(ends_with_blanks: bool) -> ChunkDecoder {
        let (trailers, state) = (None, State::Start);
        ChunkDecoder { left: 0, trailers, line: 0, debt: 0, state, ends_with_blanks }
    }

    /// True if the body belongs to a request.
    pub const fn is_of_request(&self) -> bool {
        !self.ends_with_blanks
    }

    /// Decodes the next bytes of the body, leaving their payload contiguous in `buf`. Consumes all
    /// of `buf` unless the body ends within it.
    ///
    /// # Errors
    ///
    /// If the peer did not send valid chunked coding. The payload before the mistake is lost, and
    /// neither the decoder nor the connection can be used any more.
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

    /// True if the last chunk and the trailer section have been read.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes the trailer section of a body that has ended: well-formed field lines, each with its
    /// CRLF. None if there is none or it was already taken. Whether the names are allowed in
    /// trailers is not checked here.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        if self.ended() { self.trailers.take().map(|trailers| trailers.bytes) } else { None }
    }

    /// Recognises the usual bytes between two chunks' data at once: CRLF, then a size without
    /// extensions. Returns their length. None if they are anything else or incomplete, and must be
    /// taken byte by byte.
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

    /// Takes one byte that is not chunk data: the grammar gives the next state, and its effect
    /// happens here.
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
        // The line contains nothing but digits so far.
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

    /// Ends a size line whose size is known: data follows, or trailers if the size is zero.
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

/// Joins two separate ranges by moving the smaller one next to the larger.
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

/// The size on a line without extensions, and the length of that line. None if the size is zero or
/// long.
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
