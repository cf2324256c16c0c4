//! The grammar of the chunked transfer coding, as a state machine that takes one byte at a time.
//!
//! It knows what may come next, not what it means: sizes, limits and trailers are up to the
//! decoder. The state is all it keeps, so bytes may arrive in any pieces.
//!
//! Tested with the decoder.

use super::super::abnf::{is_blank, is_tchar, is_text};
use super::ChunkError;

/// The position in the grammar: what the next byte may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The first digit of a size.
    Start,
    /// More digits, or the end of the size.
    Digits,
    /// Whitespace was read that only another extension can follow.
    BeforeSemicolon,
    /// The name of an extension, or whitespace before it.
    BeforeName,
    /// More of the name, or the end of it.
    Name,
    /// Whitespace was read between a name and what follows it.
    AfterName,
    /// The value of an extension, or whitespace before it.
    BeforeValue,
    /// More of a token value, or the end of it.
    Value,
    /// More of a quoted value.
    Quoted,
    /// The character after a backslash in a quoted value.
    Escaped,
    /// Whatever follows the closing quote.
    AfterQuoted,
    /// The LF that ends a size line.
    LineLf,
    /// Chunk data, the only state that consumes more than one byte at a time.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// A trailer field, or the empty line that ends the body.
    FieldStart,
    /// More of a trailer field's name, or the colon.
    FieldName,
    /// More of a trailer field's value, or the end of it.
    FieldValue,
    /// The LF that ends a trailer field line.
    FieldLf,
    /// The LF of the final empty line.
    EndLf,
    /// The body is complete; nothing may follow.
    Ended,
}

impl State {
    /// The transition function: the state after `byte`.
    pub(super) fn after(self, byte: u8) -> Result<State, ChunkError> {
        use State::*;
        Ok(match (self, byte) {
            // RFC 9112 section 7.1: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
            (Start | Digits, _) if byte.is_ascii_hexdigit() => Digits,
            (Digits | Name | Value | AfterQuoted, b'\r') => LineLf,
            (LineLf, b'\n') => Data,
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Start,

            // Section 7.1.1: chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS value ] )
            (Digits | BeforeSemicolon | Value | AfterQuoted, _) if is_blank(byte) => {
                BeforeSemicolon
            }
            (Digits | BeforeSemicolon | Value | AfterQuoted, b';') => BeforeName,
            (BeforeName, _) if is_blank(byte) => BeforeName,
            (BeforeName | Name, _) if is_tchar(byte) => Name,
            (Name | AfterName, _) if is_blank(byte) => AfterName,
            (Name | AfterName, b';') => BeforeName,
            (Name | AfterName, b'=') => BeforeValue,
            (BeforeValue, _) if is_blank(byte) => BeforeValue,
            (BeforeValue | Value, _) if is_tchar(byte) => Value,

            // RFC 9110 section 5.6.4: quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
            (BeforeValue, b'"') => Quoted,
            (Quoted, b'"') => AfterQuoted,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, _) if is_text(byte) => Quoted,

            // RFC 9112 sections 5 and 7.1.2: *( field-line CRLF ) CRLF
            (FieldStart | FieldName, _) if is_tchar(byte) => FieldName,
            (FieldName, b':') => FieldValue,
            (FieldValue, _) if is_text(byte) => FieldValue,
            (FieldValue, b'\r') => FieldLf,
            (FieldLf, b'\n') => FieldStart,
            (FieldStart, b'\r') => EndLf,
            (EndLf, b'\n') => Ended,

            _ => return Err(self.refusal(byte)),
        })
    }

    /// True if blanks were read after a complete size. The grammar does not allow them at the end
    /// of a size line.
    pub(super) const fn is_behind_blanks(self) -> bool {
        matches!(self, State::BeforeSemicolon | State::AfterName)
    }

    /// The reason for refusing `byte`, which has no transition.
    fn refusal(self, byte: u8) -> ChunkError {
        match self {
            State::LineLf | State::FieldLf | State::EndLf => ChunkError::BareCr,
            State::Data | State::DataCr | State::DataLf | State::Ended => ChunkError::DataEnd,
            State::Start | State::Digits if byte != b'\n' => ChunkError::Size,
            State::FieldStart if is_blank(byte) => ChunkError::TrailerFold,
            _ if byte == b'\n' => ChunkError::BareLf,
            State::FieldStart | State::FieldName => ChunkError::TrailerName,
            State::FieldValue => ChunkError::TrailerValue,
            State::Start
            | State::Digits
            | State::BeforeSemicolon
            | State::BeforeName
            | State::Name
            | State::AfterName
            | State::BeforeValue
            | State::Value
            | State::Quoted
            | State::Escaped
            | State::AfterQuoted => ChunkError::Extension,
        }
    }
}
