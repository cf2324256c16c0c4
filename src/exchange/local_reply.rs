//! Local replies: responses that this process sends instead of an upstream.
//!
//! `response_headers` does not apply to them: it changes what an upstream sends.

use crate::config::Api;
use crate::http::head::HeadError;
use crate::rate::Exceeded;
use crate::telemetry::Cause;
use std::time::Duration;

/// The usual methods. All but CONNECT and TRACE are forwarded. Which of them a resource supports is
/// up to its origin server.
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The delay before a retry after a 429 or a 503 (RFC 9110 section 10.2.3).
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The challenge of a 401 (RFC 6750 section 3).
const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Bearer realm=\"millstream\"");

/// The name and value of a field.
type Field = (&'static str, &'static str);

/// A local reply.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply {
    /// The status code. [`crate::http::reply`] has the text for it.
    pub status: u16,
    /// The reason for the reply.
    pub why: Why,
    /// A description for the log.
    pub what: &'static str,
    /// True if the connection cannot be used for another request.
    pub close: bool,
    /// Fields in addition to those of every reply.
    pub fields: &'static [Field],
    /// The time after which to retry, if that helps.
    pub retry_after: Option<Duration>,
    /// The rate that the request exceeds, if it does.
    pub exceeded: Option<Exceeded>,
    /// True if the client accepts JSON, as far as that is known without its exchange.
    pub json: bool,
}

/// The reason for a local reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request is refused, or no upstream serves it.
    Refused(Cause),
    /// There is no room or no time left. Neither the client nor an upstream is at fault.
    Busy(Cause),
    /// The exchange was ended before it had a response. Its outcome says why.
    Ended,
    /// As `Ended`, because the client is no longer allowed in: it has lost this.
    Revoked(Lost),
    /// The reply to a CORS preflight.
    Preflight,
    /// The request needs no upstream.
    Answered,
}

/// The lost credential by which a client was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its key.
    Key,
    /// Its certificate.
    Certificate,
    /// One of the two.
    KeyOrCertificate,
    /// The consent of the auth server, or it was let in when nothing was required.
    Consent,
}

impl LocalReply {
    const fn new(status: u16, why: Why, what: &'static str) -> LocalReply {
        let fields: &[Field] = match status {
            401 => &[CHALLENGE],
            405 => &[ALLOW],
            _ => &[],
        };
        let retry_after = if matches!(status, 429 | 503) { Some(RETRY_AFTER) } else { None };
        let (exceeded, json) = (None, false);
        LocalReply { status, why, what, close: true, fields, retry_after, exceeded, json }
    }

    /// Refuses a request and closes the connection.
    pub const fn refused(cause: Cause, status: u16, what: &'static str) -> LocalReply {
        LocalReply::new(status, Why::Refused(cause), what)
    }

    /// Passes on an auth server's refusal. All other fields of the reply come from the auth server.
    pub const fn not_let_in(status: u16) -> LocalReply {
        let what = "the auth server refused it";
        let reply = LocalReply::refused(Cause::AuthRefused, status, what);
        LocalReply { fields: &[], retry_after: None, close: false, ..reply }
    }

    /// Refuses a request because the auth server gave no verdict.
    pub const fn not_judged(cause: Cause, what: &'static str) -> LocalReply {
        LocalReply { close: false, ..LocalReply::refused(cause, 503, what) }
    }

    /// Refuses a request because there is no room or no time left.
    pub const fn busy(cause: Cause, what: &'static str) -> LocalReply {
        LocalReply::new(503, Why::Busy(cause), what)
    }

    /// Refuses a request for an event stream because the process is shutting down.
    pub const fn draining() -> LocalReply {
        LocalReply::busy(Cause::Draining, "the proxy is shutting down")
    }

    /// Refuses a request because its client has used up its quota.
    pub const fn over_quota(cause: Cause, what: &'static str) -> LocalReply {
        LocalReply { close: false, ..LocalReply::new(429, Why::Busy(cause), what) }
    }

    /// Refuses a request because it exceeds a rate.
    pub const fn over_rate(cause: Cause, exceeded: Exceeded) -> LocalReply {
        let what = "requests come faster than the limit";
        let reply = LocalReply::over_quota(cause, what);
        LocalReply { retry_after: Some(exceeded.wait), exceeded: Some(exceeded), ..reply }
    }

    /// Ends an exchange that has no response yet.
    pub const fn ended(status: u16, what: &'static str) -> LocalReply {
        LocalReply::new(status, Why::Ended, what)
    }

    /// Ends an exchange that has no response yet and whose client is no longer allowed in.
    pub const fn revoked(lost: Lost) -> LocalReply {
        LocalReply::new(403, Why::Revoked(lost), "it is no longer allowed")
    }

    /// Refuses a request whose body is longer than `api` allows.
    pub const fn too_long_body(api: Option<&Api>) -> LocalReply {
        let cause = match api {
            Some(api) if api.clients.max_body_bytes.is_some() => Cause::ApiMaxBodyBytes,
            Some(_) | None => Cause::MaxBodyBytes,
        };
        LocalReply::refused(cause, 413, "the request body is too long")
    }

    /// Refuses a request to `api` whose body has stalled.
    pub const fn stalled_body(api: Option<&Api>) -> LocalReply {
        let cause = match api {
            Some(api) if api.clients.body_timeout.is_some() => Cause::ApiBodyTimeout,
            Some(_) | None => Cause::BodyTimeout,
        };
        LocalReply::refused(cause, 408, "the request body stalled")
    }

    /// Answers a request that needs no upstream.
    pub const fn no_content(what: &'static str) -> LocalReply {
        LocalReply::new(204, Why::Answered, what)
    }

    /// Redirects the client to HTTPS.
    pub const fn redirect() -> LocalReply {
        LocalReply::new(308, Why::Answered, "redirected to https")
    }

    /// Answers a CORS preflight.
    pub const fn preflight() -> LocalReply {
        LocalReply { close: false, ..LocalReply::new(204, Why::Preflight, "CORS preflight") }
    }

    /// The same reply, closing the connection if `close` is true.
    #[must_use]
    pub const fn closing(self, close: bool) -> LocalReply {
        LocalReply { close, ..self }
    }

    /// The same reply, in JSON if `json` is true.
    #[must_use]
    pub const fn in_json_if(self, json: bool) -> LocalReply {
        LocalReply { json, ..self }
    }

    /// The same reply, with this time after which to retry if there is one.
    #[must_use]
    pub fn retrying_after(self, delay: Option<Duration>) -> LocalReply {
        LocalReply { retry_after: delay.or(self.retry_after), ..self }
    }

    /// The cause, if the request was refused.
    pub const fn cause(&self) -> Option<Cause> {
        match self.why {
            Why::Refused(cause) | Why::Busy(cause) => Some(cause),
            Why::Ended | Why::Revoked(_) | Why::Preflight | Why::Answered => None,
        }
    }

    /// The text for the client, if the default for the status does not fit.
    pub const fn sentence(&self) -> Option<&'static str> {
        if self.exceeded.is_some() {
            return Some("Too many requests were sent; try again later.");
        }
        if let Why::Revoked(lost) = self.why {
            return match lost {
                Lost::Key => None,
                Lost::Certificate => Some("This certificate is not valid here."),
                Lost::KeyOrCertificate => Some("This key or certificate is not valid here."),
                Lost::Consent => Some("Access was withdrawn."),
            };
        }
        let Why::Refused(cause) = self.why else { return None };
        let is_of_upstream = matches!(cause, Cause::UpstreamUnavailable);
        if is_of_upstream && matches!(self.status, 408 | 429 | 500) {
            Some("The upstream server cannot serve this now; try again later.")
        } else if matches!(cause, Cause::AuthRefused) {
            Some("Access was denied.")
        } else if matches!(cause, Cause::HttpOnTlsPort) {
            Some("This port expects HTTPS, but the request was plain HTTP; use https://.")
        } else if matches!(cause, Cause::Allow | Cause::Deny) {
            Some("Clients from this address are not served here.")
        } else if matches!(cause, Cause::AllowedOrigins) {
            Some("Pages of this origin may not send requests here.")
        } else if matches!(cause, Cause::NoCertificate) {
            Some("A client certificate is required.")
        } else if matches!(cause, Cause::TargetGone) {
            Some("The server of this session is gone; begin a new one.")
        } else {
            None
        }
    }

    /// True if this process cannot serve the request now, and no upstream is at fault.
    pub const fn is_busy(&self) -> bool {
        matches!(self.why, Why::Busy(_)) || matches!(self.why, Why::Ended) && self.status == 503
    }

    /// Passes on that an upstream cannot serve a request now, with the status of its answer and the
    /// time after which to retry, if it gave one.
    pub fn of_upstream(status: u16, retry_after: Option<Duration>) -> LocalReply {
        let status = if status > 500 { 500 } else { status };
        let what = "the upstream answered that it cannot serve the stream";
        let reply = LocalReply::refused(Cause::UpstreamUnavailable, status, what);
        LocalReply { retry_after, close: false, ..reply }
    }

    /// Refuses a request whose head is invalid.
    pub const fn of_head(error: HeadError) -> LocalReply {
        LocalReply::refused(Cause::of_head(error), error.status(), error.what())
    }

    /// True if an operator should know about it: a server is at fault.
    pub fn is_worth_a_warning(&self) -> bool {
        let is_of_auth_server =
            matches!(self.cause(), Some(Cause::AuthUnavailable | Cause::AuthTimeout));
        is_of_auth_server || self.is_upstream_fault()
    }

    /// True if an upstream is at fault.
    pub fn is_upstream_fault(&self) -> bool {
        matches!(self.status, 502 | 504) || self.cause() == Some(Cause::UpstreamUnavailable)
    }
}
