//! Parsing of response heads.

use super::super::fields::{FieldStore, Fields};
use super::super::framing::{self, BodyLength};
use super::super::keep_alive;
use super::super::upgrade;
use super::start::{self, StatusLine};
use super::{HeadError, HeadLimits};
use std::time::Duration;

/// A parsed response head. Its parts borrow the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'h, 'b> {
    /// The status: three digits, at least 100.
    pub status: u16,
    /// The reason phrase, which may be empty and need not be UTF-8.
    pub reason: &'b [u8],
    /// All fields.
    pub fields: Fields<'h, 'b>,
    /// The length of the body.
    pub length: BodyLength,
    /// The Content-Length that describes a body that is not sent: of a response to HEAD, or of a
    /// 304 (RFC 9110 section 8.6).
    pub described_length: Option<u64>,
    /// True if the connection can be reused after the body.
    pub persistent: bool,
    /// How long the connection may be idle and still be reused, if the upstream said so
    /// ([`keep_alive`]).
    pub idle_limit: Option<Duration>,
    /// True if the body is an event stream: status 200 and media type `text/event-stream`, whatever
    /// the content coding.
    pub is_event_stream: bool,
    /// True if the body has a content coding (RFC 9110 section 8.4), so that its content can be
    /// neither inspected nor added to.
    pub is_coded: bool,
    /// The protocols that a 101 switches to, as given by [`upgrade::protocols`].
    pub upgrade: Option<&'b [u8]>,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Parses a head. `bytes` must be exactly the head that a [`HeadSearch`](super::HeadSearch)
    /// found, with its folded lines [`joined`](super::HeadSearch::joined). `request_was_head` says
    /// whether the request's method was HEAD.
    ///
    /// # Errors
    ///
    /// If it is malformed, ambiguous, or beyond the limits.
    pub fn parse(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
        request_was_head: bool,
    ) -> Result<ResponseHead<'h, 'b>, HeadError> {
        let (line, rest) = super::split_start(bytes)?;
        let StatusLine { version, status, reason } = start::status(line)?;
        let fields = super::fields(rest, store, limits)?;
        let length = framing::response(status, request_was_head, fields)?;
        let describes = status == 304 || request_was_head && status >= 200 && status != 204;
        let described_length = if describes { framing::described_length(fields)? } else { None };
        let delimited = length != BodyLength::UntilClose && !framing::is_faulty(fields, version);
        let idle_limit = keep_alive::idle_limit(fields);
        Ok(ResponseHead {
            status,
            reason,
            fields,
            length,
            described_length,
            persistent: delimited
                && framing::persistent(fields, version)
                && idle_limit != Some(Duration::ZERO),
            idle_limit,
            is_event_stream: status == 200 && fields.has_media_type("text/event-stream"),
            is_coded: fields
                .elements("Content-Encoding")
                .any(|c| !c.eq_ignore_ascii_case(b"identity")),
            upgrade: if status == 101 { upgrade::protocols(fields) } else { None },
        })
    }

    /// Parses bytes that may be anything: searches them, and then parses them if they are exactly a
    /// head without folded lines.
    ///
    /// # Errors
    ///
    /// See [`HeadSearch`](super::HeadSearch) and [`ResponseHead::parse`].
    #[cfg(any(test, feature = "sim"))]
    pub fn of_wire(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
        request_was_head: bool,
    ) -> Result<ResponseHead<'h, 'b>, HeadError> {
        let mut search = super::HeadSearch::response();
        match search.find(bytes, limits)? {
            Some(_) if search.is_folded() => Err(HeadError::Fold),
            Some(end) if end == bytes.len() => {
                ResponseHead::parse(bytes, store, limits, request_was_head)
            }
            Some(_) | None => Err(HeadError::NotOneHead),
        }
    }
}
