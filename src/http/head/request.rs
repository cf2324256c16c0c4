//! Parsing of request heads.

use super::super::authority::Authority;
use super::super::fields::{self, FieldStore, Fields};
use super::super::framing::{self, BodyLength};
use super::super::target::RequestTarget;
use super::super::upgrade;
use super::start::{self, RequestLine};
use super::{HeadError, HeadLimits, Version};

/// A parsed request head. Its parts borrow the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'h, 'b> {
    /// The method: a token of at most [`METHOD_MAX`](super::METHOD_MAX) bytes, case-sensitive, not
    /// CONNECT.
    pub method: &'b str,
    /// The parsed target.
    pub target: RequestTarget<'b>,
    /// The client's version.
    pub version: Version,
    /// All fields.
    pub fields: Fields<'h, 'b>,
    /// The host and optional port that the request is for: the absolute target's, or otherwise
    /// Host's. `None` only in HTTP/1.0.
    pub authority: Option<&'b str>,
    /// The length of the body. Never [`BodyLength::UntilClose`].
    pub length: BodyLength,
    /// True if the client keeps the connection open for another request.
    pub persistent: bool,
    /// True if the client may be waiting for a 100 (Continue) before it sends its body. Never in
    /// HTTP/1.0 (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The protocols in the Upgrade field, if `Connection` lists `upgrade`.
    /// [`Offer`](upgrade::Offer) evaluates them.
    pub upgrade: Option<&'b [u8]>,
    /// True if Accept lists `text/event-stream` with a quality above 0.
    pub accepts_event_stream: bool,
    /// True if Accept lists `application/json` (and not only a wildcard).
    pub accepts_json: bool,
    /// How many more times OPTIONS or TRACE may be forwarded (RFC 9110 section 7.6.2).
    pub max_forwards: Option<u64>,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Parses a head. `bytes` must be exactly the head that a [`HeadSearch`](super::HeadSearch)
    /// found.
    ///
    /// # Errors
    ///
    /// If it is malformed, ambiguous, or beyond the limits.
    pub fn parse(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
    ) -> Result<RequestHead<'h, 'b>, HeadError> {
        let (line, rest) = super::split_start(bytes)?;
        let RequestLine { method, target, version } = start::request(line, limits)?;
        let fields = super::fields(rest, store, limits)?;
        refuse_lookalikes(fields)?;
        let authority = authority(&target, fields, version)?;
        let length = framing::request(fields, version)?;
        if method == "TRACE" && !length.is_empty() {
            return Err(HeadError::UnexpectedBody);
        }
        let is_http11 = version == Version::Http11;
        let [accepts_event_stream, accepts_json] =
            accepted(fields, ["text/event-stream", "application/json"]);
        Ok(RequestHead {
            method,
            target,
            version,
            fields,
            authority,
            length,
            persistent: framing::persistent(fields, version),
            expects_continue: is_http11 && fields.lists("Expect", "100-continue"),
            upgrade: if is_http11 { upgrade::protocols(fields) } else { None },
            accepts_event_stream,
            accepts_json,
            max_forwards: max_forwards(method, fields)?,
        })
    }

    /// Parses bytes that may be anything: searches them, and then parses them if they are exactly a
    /// head.
    ///
    /// # Errors
    ///
    /// See [`HeadSearch`](super::HeadSearch) and [`RequestHead::parse`].
    #[cfg(any(test, feature = "sim"))]
    pub fn of_wire(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
    ) -> Result<RequestHead<'h, 'b>, HeadError> {
        match super::HeadSearch::request().find(bytes, limits)? {
            Some(end) if end == bytes.len() => RequestHead::parse(bytes, store, limits),
            Some(_) | None => Err(HeadError::NotOneHead),
        }
    }

    /// True if the method is HEAD, so that the response has no body, whatever its fields say.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// True if the method is OPTIONS.
    pub fn is_options(&self) -> bool {
        self.method == "OPTIONS"
    }

    /// True if the method is TRACE.
    pub fn is_trace(&self) -> bool {
        self.method == "TRACE"
    }

    /// True if the method allows sending the request twice (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

/// Refuses names that some gateways would take for those of framing fields.
fn refuse_lookalikes(fields: Fields<'_, '_>) -> Result<(), HeadError> {
    for field in ["Content-Length", "Transfer-Encoding"] {
        let poses =
            |name: &str| fields::same_to_gateway(name, field) && !name.eq_ignore_ascii_case(field);
        if fields.may_have_like(field) && fields.iter().any(|(name, _)| poses(name)) {
            return Err(HeadError::Lookalike);
        }
    }
    Ok(())
}

/// Determines the authority. RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one in
/// HTTP/1.0. Section 3.2.2: an absolute target overrides it. Since not everybody implements that,
/// the two must agree.
fn authority<'b>(
    target: &RequestTarget<'b>,
    fields: Fields<'_, 'b>,
    version: Version,
) -> Result<Option<&'b str>, HeadError> {
    let mut hosts = fields.all("Host");
    let host = match hosts.next() {
        Some(value) => Some(Authority::parse(value).ok_or(HeadError::HostMalformed)?),
        None if version == Version::Http11 => return Err(HeadError::HostMissing),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(HeadError::HostRepeated);
    }
    if let (Some(host), Some(authority)) = (host, target.authority)
        && !authority.agrees(&host, target.default_port)
    {
        return Err(HeadError::HostDiffers);
    }
    Ok(target.authority.or(host).map(|authority| authority.text))
}

/// Which of these media types Accept lists by their names.
fn accepted<const N: usize>(fields: Fields<'_, '_>, types: [&str; N]) -> [bool; N] {
    let mut accepted = [false; N];
    for range in fields.elements("Accept") {
        for (is_accepted, media_type) in accepted.iter_mut().zip(types) {
            *is_accepted |= accepts(range, media_type);
        }
    }
    accepted
}

/// True if this element of Accept (RFC 9110 section 12.5.1) is a media type with a quality above 0.
fn accepts(range: &[u8], media_type: &str) -> bool {
    let refused = |parameter: &[u8]| match parameter {
        [b'q' | b'Q', b'=', quality @ ..] => quality.iter().all(|byte| matches!(byte, b'0' | b'.')),
        _ => false,
    };
    fields::parameters(range, media_type)
        .is_some_and(|parameters| !fields::split(parameters, b';').any(refused))
}

fn max_forwards(method: &str, fields: Fields<'_, '_>) -> Result<Option<u64>, HeadError> {
    if !matches!(method, "OPTIONS" | "TRACE") || fields.get("Max-Forwards").is_none() {
        return Ok(None);
    }
    let value = fields.only("Max-Forwards").ok_or(HeadError::MaxForwards)?;
    framing::decimal(value).map(Some).map_err(|_| HeadError::MaxForwards)
}
