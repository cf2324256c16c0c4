//! The length of a message body (RFC 9112 section 6.3) and whether the connection persists after it
//! (section 9.3).
//!
//! Request smuggling is prevented here. The rules are the RFC's, in its order. Where the RFC lets a
//! recipient repair a request, or read until the connection closes, the request is refused:
//!
//! - Content-Length is one field of digits. Repeated values are refused even if they are equal.
//! - Transfer-Encoding is `chunked` and nothing else, never together with Content-Length, and never
//!   in HTTP/1.0.
//! - Lengths have 63 bits, so that their sums and differences fit 64.
//!
//! The client never sees how the upstream framed its response, so whatever has exactly one reading
//! is accepted:
//!
//! - Content-Length may be repeated, or be a list, as long as all values are equal (RFC 9110
//!   section 8.6).
//! - `chunked` is also accepted together with Content-Length (RFC 9112 section 6.3, rule 3) and in
//!   HTTP/1.0. Section 6.1 calls both faulty, so the connection is not reused ([`is_faulty`]).
//! - Everything else is refused. Conflicting or non-numeric lengths have no certain meaning. Any
//!   other coding would have to be decoded, or passed on to a client that never asked for it; a
//!   coding applied after `chunked` hides the end; and a malformed list of codings could mean
//!   anything.
//!
//! Tested against tables of attacks on other proxies.

use super::abnf::is_token;
use super::fields::{Fields, split};
use super::version::Version;

/// How the end of a message body is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    Empty,
    /// The body has this many bytes, as declared by Content-Length; possibly 0.
    Length(u64),
    /// The body ends with the last chunk.
    Chunked,
    /// The body ends when the connection closes. Responses only.
    UntilClose,
}

impl BodyLength {
    /// True if no body byte follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, BodyLength::Empty | BodyLength::Length(0))
    }

    /// The framing for a response body of unknown length: chunks, if the client's version supports
    /// them (RFC 9112 section 6.1).
    pub const fn untold(client_version: Version) -> BodyLength {
        match client_version {
            Version::Http11 => BodyLength::Chunked,
            Version::Http10 => BodyLength::UntilClose,
        }
    }
}

/// The reason why the length of a body is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// Content-Length is not a number: it has signs, spaces or a list.
    LengthMalformed,
    /// Content-Length has more than 63 bits.
    LengthTooLarge,
    /// A request has more than one Content-Length.
    LengthRepeated,
    /// A response has Content-Length values that differ.
    LengthsDiffer,
    /// A request has both Content-Length and Transfer-Encoding.
    LengthAndCoding,
    /// Transfer-Encoding is used in HTTP/1.0.
    CodingInHttp10,
    /// Transfer-Encoding is not a list of codings, or gives parameters to `chunked`.
    CodingMalformed,
    /// A coding was applied after `chunked`, possibly another `chunked`.
    ChunkedNotLast,
    /// A coding other than `chunked` was used.
    CodingUnknown,
}

impl FramingError {
    /// The status with which to refuse a request (RFC 9112 section 6.1 for the 501).
    pub const fn status(self) -> u16 {
        if matches!(self, FramingError::CodingUnknown) { 501 } else { 400 }
    }

    /// Describes the error in a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            FramingError::LengthMalformed => "Content-Length is not a number",
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

/// Determines the length of a request body. The rules are numbered as in RFC 9112 section 6.3.
///
/// # Errors
///
/// If these fields could be read in more than one way. See [`FramingError`].
pub fn request(fields: Fields<'_, '_>, version: Version) -> Result<BodyLength, FramingError> {
    // Rules 1 and 2 are about responses. Rules 3, 4 and 5: both fields are present, the coding is
    // not one we know, or the length is not a number.
    Ok(match declared(fields, version)? {
        // Rule 4.
        Declared::Chunked => BodyLength::Chunked,
        // Rule 6.
        Declared::Length(length) => BodyLength::Length(length),
        // Rule 7.
        Declared::Nothing => BodyLength::Empty,
    })
}

/// Determines the length of a response body. The rules are numbered as in RFC 9112 section 6.3.
///
/// If rule 1 says that there is no body, the fields may still describe the one that GET would have
/// got (HEAD, 304), and are checked. In interim responses and 204 they are ignored: they are not
/// allowed there (RFC 9110 section 8.6, RFC 9112 section 6.1), but often sent.
///
/// # Errors
///
/// If these fields could be read in more than one way. See [`FramingError`].
pub fn response(
    status: u16,
    request_was_head: bool,
    fields: Fields<'_, '_>,
) -> Result<BodyLength, FramingError> {
    // Rule 1. Rule 2 is about CONNECT, which is not supported.
    if status < 200 || status == 204 {
        return Ok(BodyLength::Empty);
    }
    // Rules 3, 4 and 5: the coding is not one we know, or the length is not a number.
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

/// True if the sender of a message keeps the connection open for another one (RFC 9112 section
/// 9.3).
pub fn persistent(fields: Fields<'_, '_>, version: Version) -> bool {
    match version {
        _ if fields.lists("Connection", "close") => false,
        Version::Http11 => true,
        Version::Http10 => fields.lists("Connection", "keep-alive"),
    }
}

/// True if a response declares its length in a way that RFC 9112 section 6.1 calls faulty. The end
/// of the body is known, but the connection must be closed after it.
pub fn is_faulty(fields: Fields<'_, '_>, version: Version) -> bool {
    fields.get("Transfer-Encoding").is_some()
        && (version == Version::Http10 || fields.get("Content-Length").is_some())
}

/// The length declared by a response whose body is not sent. None if it declares chunks or nothing.
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

/// The value of a request's Content-Length, if it has one.
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

/// The common value of a response's Content-Length fields, if there are any.
fn agreed_length(fields: Fields<'_, '_>) -> Result<Option<u64>, FramingError> {
    let mut agreed = None;
    for value in fields.all("Content-Length") {
        for text in split(value, b',') {
            let length = decimal(text)?;
            if agreed.is_some_and(|other| other != length) {
                return Err(FramingError::LengthsDiffer);
            }
            agreed = Some(length);
        }
    }
    Ok(agreed)
}

/// Parses `1*DIGIT` as a number of at most 63 bits.
pub(super) fn decimal(text: &[u8]) -> Result<u64, FramingError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::LengthMalformed);
    }
    let number = text.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    number.filter(|number| number >> 63 == 0).ok_or(FramingError::LengthTooLarge)
}

/// What the framing fields declare, if they are consistent.
enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads the framing fields of a request.
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

/// Reads the framing fields of a response.
fn declared_by_upstream(fields: Fields<'_, '_>) -> Result<Declared, FramingError> {
    if fields.get("Transfer-Encoding").is_none() {
        return Ok(agreed_length(fields)?.map_or(Declared::Nothing, Declared::Length));
    }
    only_chunked(fields)?;
    Ok(Declared::Chunked)
}

/// Checks that `chunked` is the only transfer coding listed. Unlike in other lists, empty elements
/// are not skipped: they may hide something that was removed.
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
