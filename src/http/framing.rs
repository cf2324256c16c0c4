//! How long a body is (RFC 9112 section 6.3), and whether the connection outlives it (section 9.3).
//!
//! Here requests are smuggled or not. The rules are the RFC's, in its order; where it lets a
//! recipient repair a request, or read on until the connection closes, the request is refused:
//!
//! - Content-Length is one field of digits. Neither equal values nor a list of them is taken.
//! - Transfer-Encoding is `chunked` and nothing else, never together with Content-Length, and never
//!   in HTTP/1.0.
//! - Lengths have 63 bits, so that sums and differences of them fit.
//!
//! A response goes to somebody who sees nothing of what its upstream wrote about its length, so
//! what has one reading is read:
//!
//! - Content-Length may be there several times, or be a list, with one value (RFC 9110 section
//!   8.6).
//! - `chunked` is chunked, beside a Content-Length (RFC 9112 section 6.3, rule 3) and in HTTP/1.0
//!   too. Section 6.1 calls both faulty: the connection is not used again ([`is_faulty`]).
//! - Everything else is refused. Of different lengths, and of a length that is no number, nobody
//!   knows which is meant. Any other coding would have to be undone, or passed on to a client that
//!   never said that it takes it; one on top of `chunked` leaves the end unknown; and what is no
//!   list of codings is anybody's guess.
//!
//! Tested against tables of what has been used against other proxies.

use super::abnf::is_token;
use super::fields::{Fields, split};
use super::version::Version;

/// How the length of a message body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No body at all.
    Empty,
    /// This many bytes, as a Content-Length said; it may have said 0.
    Length(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection closes. Responses only.
    UntilClose,
}

impl BodyLength {
    /// True exactly when no byte of a body follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, BodyLength::Empty | BodyLength::Length(0))
    }

    /// How a response body ends whose length nobody knows when it begins: in chunks, where the
    /// client's version has them (RFC 9112 section 6.1).
    pub const fn untold(client_version: Version) -> BodyLength {
        match client_version {
            Version::Http11 => BodyLength::Chunked,
            Version::Http10 => BodyLength::UntilClose,
        }
    }
}

/// Why the length of a body cannot be known for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// A Content-Length that is no number: signs, spaces, lists.
    LengthMalformed,
    /// A Content-Length of more than 63 bits.
    LengthTooLarge,
    /// More than one Content-Length in a request.
    LengthRepeated,
    /// More than one length in a response, and not the same.
    LengthsDiffer,
    /// Content-Length and Transfer-Encoding.
    LengthAndCoding,
    /// Transfer-Encoding in HTTP/1.0.
    CodingInHttp10,
    /// A Transfer-Encoding that is no list of codings, or gives parameters to `chunked`.
    CodingMalformed,
    /// A coding on top of `chunked`, which may be another `chunked`.
    ChunkedNotLast,
    /// Some coding other than `chunked`.
    CodingUnknown,
}

impl FramingError {
    /// The status to refuse a request with (RFC 9112 section 6.1 for the 501).
    pub const fn status(self) -> u16 {
        if matches!(self, FramingError::CodingUnknown) { 501 } else { 400 }
    }

    /// What is wrong, as a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            FramingError::LengthMalformed => "Content-Length is no number",
            FramingError::LengthTooLarge => "Content-Length has more than 63 bits",
            FramingError::LengthRepeated => "more than one Content-Length",
            FramingError::LengthsDiffer => "different values of Content-Length",
            FramingError::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            FramingError::CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            FramingError::CodingMalformed => "malformed Transfer-Encoding",
            FramingError::ChunkedNotLast => "a transfer coding follows chunked",
            FramingError::CodingUnknown => "unknown transfer coding",
        }
    }
}

/// The length of a request's body. The rules are numbered as in RFC 9112 section 6.3.
///
/// # Errors
///
/// Whenever somebody might read these fields differently, see [`FramingError`].
pub fn request(fields: Fields<'_, '_>, version: Version) -> Result<BodyLength, FramingError> {
    // Rules 1 and 2 are about responses. Rules 3, 4 and 5: both fields, a coding that is not the
    // one we know, a length that is none.
    Ok(match declared(fields, version)? {
        // Rule 4.
        Declared::Chunked => BodyLength::Chunked,
        // Rule 6.
        Declared::Length(length) => BodyLength::Length(length),
        // Rule 7.
        Declared::Nothing => BodyLength::Empty,
    })
}

/// The length of a response's body. The rules are numbered as in RFC 9112 section 6.3.
///
/// Where rule 1 says that there is no body, the fields may still describe one: that of the same
/// response to GET (HEAD, 304). They are judged then, but not in interim responses and in 204,
/// which must not have them (RFC 9110 section 8.6, RFC 9112 section 6.1), and too often do.
///
/// # Errors
///
/// Whenever somebody might read these fields differently, see [`FramingError`].
pub fn response(
    status: u16,
    request_was_head: bool,
    fields: Fields<'_, '_>,
) -> Result<BodyLength, FramingError> {
    // Rule 1. Rule 2 is about CONNECT, which is not spoken here.
    if status < 200 || status == 204 {
        return Ok(BodyLength::Empty);
    }
    // Rules 3, 4 and 5: a coding that is not the one we know, a length that is none.
    let declared = declared_by_upstream(fields)?;
    if request_was_head || status == 304 {
        return Ok(BodyLength::Empty);
    }
    Ok(match declared {
        // Rule 4.
        Declared::Chunked => BodyLength::Chunked,
        // Rule 6.
        Declared::Length(length) => BodyLength::Length(length),
        // Rule 8.
        Declared::Nothing => BodyLength::UntilClose,
    })
}

/// True exactly when the sender of a message is ready to use the connection for the next one
/// (RFC 9112 section 9.3).
pub fn persistent(fields: Fields<'_, '_>, version: Version) -> bool {
    match version {
        _ if fields.lists("Connection", "close") => false,
        Version::Http11 => true,
        Version::Http10 => fields.lists("Connection", "keep-alive"),
    }
}

/// True exactly when a response says how long its body is in a way that RFC 9112 section 6.1 calls
/// faulty. The end of the body is known, and yet the connection is closed behind it.
pub fn is_faulty(fields: Fields<'_, '_>, version: Version) -> bool {
    fields.get("Transfer-Encoding").is_some()
        && (version == Version::Http10 || fields.get("Content-Length").is_some())
}

/// The length that a response describes whose body is not sent. None where it describes chunks.
///
/// # Errors
///
/// If that is not a single number of 63 bits.
pub fn described_length(fields: Fields<'_, '_>) -> Result<Option<u64>, FramingError> {
    Ok(match declared_by_upstream(fields)? {
        Declared::Length(length) => Some(length),
        Declared::Chunked | Declared::Nothing => None,
    })
}

/// The value of Content-Length, if there is such a field in a request.
fn content_length(fields: Fields<'_, '_>) -> Result<Option<u64>, FramingError> {
    let mut values = fields.all("Content-Length");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(FramingError::LengthRepeated);
    }
    decimal(value).map(Some)
}

/// The one value of all Content-Length fields of a response, if there are any.
fn agreed_length(fields: Fields<'_, '_>) -> Result<Option<u64>, FramingError> {
    let mut agreed = None;
    for text in fields.all("Content-Length").flat_map(|value| split(value, b',')) {
        let length = decimal(text)?;
        if agreed.is_some_and(|other| other != length) {
            return Err(FramingError::LengthsDiffer);
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

/// The number that digits stand for: `1*DIGIT` and nothing else, 63 bits.
pub(super) fn decimal(text: &[u8]) -> Result<u64, FramingError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::LengthMalformed);
    }
    let number = text.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    number.filter(|number| number >> 63 == 0).ok_or(FramingError::LengthTooLarge)
}

/// What the framing fields say, when they say one thing.
enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// What a request says.
fn declared(fields: Fields<'_, '_>, version: Version) -> Result<Declared, FramingError> {
    if fields.get("Transfer-Encoding").is_none() {
        return Ok(content_length(fields)?.map_or(Declared::Nothing, Declared::Length));
    }
    if fields.get("Content-Length").is_some() {
        return Err(FramingError::LengthAndCoding);
    }
    if version == Version::Http10 {
        return Err(FramingError::CodingInHttp10);
    }
    only_chunked(fields)?;
    Ok(Declared::Chunked)
}

/// What a response says.
fn declared_by_upstream(fields: Fields<'_, '_>) -> Result<Declared, FramingError> {
    if fields.get("Transfer-Encoding").is_none() {
        return Ok(agreed_length(fields)?.map_or(Declared::Nothing, Declared::Length));
    }
    only_chunked(fields)?;
    Ok(Declared::Chunked)
}

/// Checks that `chunked` is the one transfer coding, of all that the fields list. Unlike in other
/// lists, empty elements are not passed over: they may hide what was there.
fn only_chunked(fields: Fields<'_, '_>) -> Result<(), FramingError> {
    let (mut chunked, mut unknown) = (false, false);
    for coding in fields.all("Transfer-Encoding").flat_map(|value| split(value, b',')) {
        let mut parts = split(coding, b';');
        let name = parts.next().unwrap_or_default();
        let is_chunked = name.eq_ignore_ascii_case(b"chunked");
        if !is_token(name) || is_chunked && parts.next().is_some() {
            return Err(FramingError::CodingMalformed);
        }
        if chunked {
            return Err(FramingError::ChunkedNotLast);
        }
        chunked = is_chunked;
        unknown |= !is_chunked;
    }
    if unknown { Err(FramingError::CodingUnknown) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
