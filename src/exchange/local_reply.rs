//! Replies of our own, in place of an upstream's answer.
//!
//! `response_headers` does not touch them: it is about what an upstream says.

use crate::http::head::HeadError;
use crate::telemetry::Cause;

/// Methods that pass; which of them is any use to a resource is its origin's to say.
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// When to come back after a 429 or a 503 (RFC 9110 section 10.2.3), in seconds.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "5");

/// How a key is asked for (RFC 6750 section 3).
const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Bearer realm=\"millstream\"");

/// A field of a reply: its name and its value.
type Field = (&'static str, &'static str);

/// A reply of our own.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply {
    /// The status, which has a sentence in [`crate::http::reply`].
    pub status: u16,
    /// What it is for.
    pub why: Why,
    /// What was wrong, for the log.
    pub what: &'static str,
    /// True exactly when the connection cannot be used for another request.
    pub close: bool,
    /// Fields that it has beyond those that all have.
    pub fields: &'static [Field],
}

/// What a local reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request is refused, or no upstream serves it.
    Refused(Cause),
    /// There is no room, or no time left: nobody did anything wrong.
    Busy(Cause),
    /// Whoever waits for an answer is told to wait no more. How its exchange has ended says why.
    Ended,
    /// A browser asks what a page may do, and is told.
    Preflight,
    /// There is nothing to be asked of an upstream.
    Answered,
}

impl LocalReply {
    const fn new(status: u16, why: Why, what: &'static str) -> LocalReply {
        let fields: &[Field] = match status {
            401 => &[CHALLENGE],
            405 => &[ALLOW],
            429 | 503 => &[RETRY_AFTER],
            _ => &[],
        };
        LocalReply { status, why, what, close: true, fields }
    }

    /// Refuses a request, and closes the connection.
    pub const fn refused(cause: Cause, status: u16, what: &'static str) -> LocalReply {
        LocalReply::new(status, Why::Refused(cause), what)
    }

    /// Refuses a request because there is no room, or no time left.
    pub const fn busy(cause: Cause, what: &'static str) -> LocalReply {
        LocalReply::new(503, Why::Busy(cause), what)
    }

    /// Refuses a request because its client has its part already.
    pub const fn over_quota(cause: Cause, what: &'static str) -> LocalReply {
        LocalReply { close: false, ..LocalReply::new(429, Why::Busy(cause), what) }
    }

    /// Tells whoever waits for an answer to wait no more.
    pub const fn ended(status: u16, what: &'static str) -> LocalReply {
        LocalReply::new(status, Why::Ended, what)
    }

    /// A request body that is longer than it may be.
    pub const fn too_long_body() -> LocalReply {
        LocalReply::refused(Cause::MaxBodyBytes, 413, "the request body is too long")
    }

    /// There is nothing to be asked of an upstream.
    pub const fn no_content(what: &'static str) -> LocalReply {
        LocalReply::new(204, Why::Answered, what)
    }

    /// A browser asks what a page may do.
    pub const fn preflight() -> LocalReply {
        LocalReply { close: false, ..LocalReply::new(204, Why::Preflight, "CORS preflight") }
    }

    /// As it is, on a connection that closes exactly when `close` says so.
    #[must_use]
    pub const fn closing(self, close: bool) -> LocalReply {
        LocalReply { close, ..self }
    }

    /// Why the request was refused, if it was.
    pub const fn cause(&self) -> Option<Cause> {
        match self.why {
            Why::Refused(cause) | Why::Busy(cause) => Some(cause),
            Why::Ended | Why::Preflight | Why::Answered => None,
        }
    }

    /// True exactly when it is this process that does not serve the request now, and no upstream is
    /// to blame.
    pub const fn is_busy(&self) -> bool {
        matches!(self.why, Why::Busy(_)) || matches!(self.why, Why::Ended) && self.status == 503
    }

    /// Refuses a request whose head is wrong.
    pub const fn of_head(error: HeadError) -> LocalReply {
        LocalReply::refused(Cause::of_head(error), error.status(), error.what())
    }

    /// True exactly when an upstream is to blame.
    pub fn is_upstreams(&self) -> bool {
        matches!(self.status, 502 | 504) || self.cause() == Some(Cause::UpstreamUnavailable)
    }
}
