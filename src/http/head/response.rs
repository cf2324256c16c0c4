//! What a response's head says.

use super::super::fields::{FieldStore, Fields, split};
use super::super::framing::{self, BodyLength};
use super::super::keep_alive;
use super::super::upgrade;
use super::start::{self, StatusLine};
use super::{HeadError, HeadLimits, HeadSearch, Version};
use std::time::Duration;

/// A response's head, understood. Its parts point into the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'h, 'b> {
    /// The upstream's version.
    pub version: Version,
    /// The status: three digits, 100 at least.
    pub status: u16,
    /// The reason phrase, which may be empty and need not be UTF-8.
    pub reason: &'b [u8],
    /// All fields.
    pub fields: Fields<'h, 'b>,
    /// How long the body is.
    pub length: BodyLength,
    /// The Content-Length that describes a body which is not sent: of the response to HEAD, and of
    /// 304 (RFC 9110 section 8.6).
    pub described_length: Option<u64>,
    /// True exactly when the connection can be used for another request after the body.
    pub persistent: bool,
    /// For how long the connection may be idle and still be used for another request, if the
    /// upstream has said that ([`keep_alive`]).
    pub idle_limit: Option<Duration>,
    /// True exactly when the body is an event stream: status 200, media type `text/event-stream`,
    /// whatever its content coding.
    pub is_event_stream: bool,
    /// True exactly when the body has a content coding (RFC 9110 section 8.4): what is in it cannot
    /// be seen, and nothing be added to it.
    pub is_coded: bool,
    /// The protocols that a 101 switches to; as [`upgrade::protocols`] takes them.
    pub upgrade: Option<&'b [u8]>,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Reads a head. `bytes` are the head and nothing else: what [`HeadSearch::find`] found, its
    /// folded lines put together ([`unfold`](super::unfold)). `request_was_head` says whether the
    /// method of its request was HEAD.
    ///
    /// # Errors
    ///
    /// When it is malformed, ambiguous, or beyond the limits.
    pub fn parse(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
        request_was_head: bool,
    ) -> Result<ResponseHead<'h, 'b>, HeadError> {
        let parts = HeadSearch::response().split(bytes, limits)?;
        let StatusLine { version, status, reason } = start::status(parts.start)?;
        let fields = super::fields(parts.fields, store, limits)?;
        let length = framing::response(status, request_was_head, fields)?;
        let describes = status == 304 || request_was_head && status >= 200 && status != 204;
        let described_length = if describes { framing::described_length(fields)? } else { None };
        let delimited = length != BodyLength::UntilClose && !framing::is_faulty(fields, version);
        let idle_limit = keep_alive::idle_limit(fields);
        Ok(ResponseHead {
            version,
            status,
            reason,
            fields,
            length,
            described_length,
            persistent: delimited
                && framing::persistent(fields, version)
                && idle_limit != Some(Duration::ZERO),
            idle_limit,
            is_event_stream: status == 200 && is_event_stream(fields),
            is_coded: fields
                .elements("Content-Encoding")
                .any(|c| !c.eq_ignore_ascii_case(b"identity")),
            upgrade: if status == 101 { upgrade::protocols(fields) } else { None },
        })
    }
}

fn is_event_stream(fields: Fields<'_, '_>) -> bool {
    let media = fields.only("Content-Type").and_then(|value| split(value, b';').next());
    media.is_some_and(|media| media.eq_ignore_ascii_case(b"text/event-stream"))
}
