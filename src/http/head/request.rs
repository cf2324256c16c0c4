//! What a request's head says.

use super::super::authority::Authority;
use super::super::fields::{self, FieldStore, Fields};
use super::super::framing::{self, BodyLength};
use super::super::target::Target;
use super::super::upgrade;
use super::start::{self, RequestLine};
use super::{HeadError, HeadLimits, HeadSearch, Version};

/// A request's head, understood. Its parts point into the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'h, 'b> {
    /// The method: a token of at most [`METHOD_MAX`](super::METHOD_MAX) bytes, case-sensitive, not
    /// CONNECT.
    pub method: &'b str,
    /// The target, taken apart.
    pub target: Target<'b>,
    /// The client's version.
    pub version: Version,
    /// All fields.
    pub fields: Fields<'h, 'b>,
    /// The host, and perhaps the port, that the request is meant for: the absolute target's, or
    /// else Host's. `None` only in HTTP/1.0.
    pub authority: Option<&'b str>,
    /// How long the body is. Never [`BodyLength::UntilClose`].
    pub length: BodyLength,
    /// True exactly when the client is ready to send another request on this connection.
    pub persistent: bool,
    /// True exactly when the client may be holding its body back for a 100 (Continue). HTTP/1.0
    /// knows no such thing (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The protocols that the client would rather speak, as the Upgrade field lists them: if
    /// `Connection` lists `upgrade`. [`Offer`](upgrade::Offer) judges them.
    pub upgrade: Option<&'b [u8]>,
    /// True exactly when Accept names `text/event-stream`, with a quality above 0.
    pub accepts_event_stream: bool,
    /// How often OPTIONS or TRACE may still be forwarded (RFC 9110 section 7.6.2).
    pub max_forwards: Option<u64>,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Reads a head. `bytes` are the head and nothing else: what [`HeadSearch::find`] found.
    ///
    /// # Errors
    ///
    /// When it is malformed, ambiguous, or beyond the limits.
    pub fn parse(
        bytes: &'b [u8],
        store: &'h mut FieldStore<'b>,
        limits: &HeadLimits,
    ) -> Result<RequestHead<'h, 'b>, HeadError> {
        let parts = HeadSearch::request().split(bytes, limits)?;
        let RequestLine { method, target, version } = start::request(parts.start, limits)?;
        let fields = super::fields(parts.fields, store, limits)?;
        refuse_lookalikes(fields)?;
        let authority = authority(&target, fields, version)?;
        let length = framing::request(fields, version)?;
        if method == "TRACE" && !length.is_empty() {
            return Err(HeadError::UnexpectedBody);
        }
        let is_http11 = version == Version::Http11;
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
            accepts_event_stream: fields.elements("Accept").any(accepts_event_stream),
            max_forwards: max_forwards(method, fields)?,
        })
    }

    /// True exactly when the method is HEAD: the response has no body, whatever its fields say.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// True exactly when the method is OPTIONS.
    pub fn is_options(&self) -> bool {
        self.method == "OPTIONS"
    }

    /// True exactly when the method is TRACE.
    pub fn is_trace(&self) -> bool {
        self.method == "TRACE"
    }

    /// True exactly when the request may be sent twice (RFC 9110 section 9.2.2), as far as its
    /// method is concerned.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

/// Refuses names that are not those of the framing fields but become them in some gateways.
fn refuse_lookalikes(fields: Fields<'_, '_>) -> Result<(), HeadError> {
    let framing = ["Content-Length", "Transfer-Encoding"];
    let poses = |name: &str, field: &str| {
        fields::same_to_gateway(name, field) && !name.eq_ignore_ascii_case(field)
    };
    let found = fields.iter().any(|(name, _)| framing.iter().any(|field| poses(name, field)));
    if found { Err(HeadError::Lookalike) } else { Ok(()) }
}

/// RFC 9112 section 3.2: one Host in HTTP/1.1, at most one in HTTP/1.0. Section 3.2.2: an absolute
/// target overrides it. Since not everybody does that, the two have to say the same.
fn authority<'b>(
    target: &Target<'b>,
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

/// True exactly when this element of Accept (RFC 9110 section 12.5.1) is `text/event-stream` with a
/// quality above 0.
fn accepts_event_stream(range: &[u8]) -> bool {
    let mut parts = fields::split(range, b';');
    let is_event_stream =
        parts.next().is_some_and(|media| media.eq_ignore_ascii_case(b"text/event-stream"));
    let refused = |parameter: &[u8]| match parameter {
        [b'q' | b'Q', b'=', quality @ ..] => quality.iter().all(|byte| matches!(byte, b'0' | b'.')),
        _ => false,
    };
    is_event_stream && !parts.any(refused)
}

fn max_forwards(method: &str, fields: Fields<'_, '_>) -> Result<Option<u64>, HeadError> {
    if !matches!(method, "OPTIONS" | "TRACE") || fields.get("Max-Forwards").is_none() {
        return Ok(None);
    }
    let value = fields.only("Max-Forwards").ok_or(HeadError::MaxForwards)?;
    framing::decimal(value).map(Some).map_err(|_| HeadError::MaxForwards)
}
