//! What is remembered about a request once its head is gone: the facts about it, and who sent it.

use super::authorizing::LetIn;
use crate::auth;
use crate::config::{StreamKind, Streams};
use crate::cors::Grant;
use crate::cors::grants::Page;
use crate::http::client_address::ClientAddress;
use crate::http::framing::BodyLength;
use crate::http::head::{RequestHead, ResponseHead, Version};
use crate::http::upgrade::Offer;
use crate::quota::Shares;
use std::sync::Arc;

/// What matters about a request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// HEAD.
    Head,
    /// GET, without a body.
    Get,
    /// Any other, and a GET with a body.
    Other,
}

/// The facts about a request. They do not change while it is served.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts {
    /// The client's HTTP version.
    pub version: Version,
    /// What kind of request it is.
    method: Method,
    /// True if the request may be sent twice: it has an idempotent method and no body (RFC 9110
    /// section 9.2.2).
    pub retryable: bool,
    /// The protocol that the request offers to switch to, if the offer is forwarded.
    pub upgrade: Offer,
    /// The kind of an event stream in response to it.
    pub kind: StreamKind,
    /// True if its head says that the response may be an event stream, or its api says that every
    /// response may.
    pub may_stream: bool,
    /// True if errors are reported in JSON.
    pub accepts_json: bool,
    /// True if this is the client's last request on the connection (RFC 9112 section 9.6).
    pub is_last: bool,
    /// What CORS grants to the page that sent it.
    pub grant: Grant,
}

impl RequestFacts {
    /// The facts about a request for an api with these settings. Its offer to `upgrade` is
    /// forwarded.
    pub fn of(
        head: &RequestHead<'_, '_>,
        upgrade: Offer,
        grant: Grant,
        streams: &Streams,
    ) -> RequestFacts {
        let facts = RequestFacts::of_local(head);
        let asks = head.accepts_event_stream || streams.always && !head.is_head();
        RequestFacts {
            upgrade,
            kind: streams.kind.unwrap_or(facts.kind),
            may_stream: asks && upgrade == Offer::NOTHING,
            grant,
            ..facts
        }
    }

    /// The facts about a request that this process answers.
    pub fn of_local(head: &RequestHead<'_, '_>) -> RequestFacts {
        let method = match head.method {
            "HEAD" => Method::Head,
            "GET" if head.length.is_empty() => Method::Get,
            _ => Method::Other,
        };
        let subscribes = method == Method::Get;
        RequestFacts {
            version: head.version,
            method,
            retryable: head.is_idempotent() && head.length.is_empty(),
            upgrade: Offer::NOTHING,
            kind: if subscribes { StreamKind::Subscription } else { StreamKind::Answer },
            may_stream: false,
            accepts_json: head.accepts_json,
            is_last: !head.persistent,
            grant: Grant::Nothing,
        }
    }

    /// The facts about the request of a feed, which asks for a subscription like a client.
    pub const fn of_feed() -> RequestFacts {
        RequestFacts {
            version: Version::Http11,
            method: Method::Get,
            retryable: true,
            upgrade: Offer::NOTHING,
            kind: StreamKind::Subscription,
            may_stream: true,
            accepts_json: false,
            is_last: false,
            grant: Grant::Nothing,
        }
    }

    /// The facts about a request that was not understood.
    pub const fn unknown(is_head: bool) -> RequestFacts {
        RequestFacts {
            version: Version::Http11,
            method: if is_head { Method::Head } else { Method::Other },
            retryable: false,
            upgrade: Offer::NOTHING,
            kind: StreamKind::Answer,
            may_stream: false,
            accepts_json: false,
            is_last: false,
            grant: Grant::Nothing,
        }
    }

    /// True if the connection of a response with this head can be reused once its body was read.
    ///
    /// Some servers send a body where there must be none (HEAD, 204, 304), and send it late. It
    /// would become the beginning of the next response. Others take the offer of another protocol
    /// for the end of the request, and the body after it for the next request.
    pub fn leaves_reusable(&self, head: &ResponseHead<'_, '_>) -> bool {
        head.persistent && head.length != BodyLength::Empty && self.upgrade == Offer::NOTHING
    }

    /// True if the method is HEAD: the response has no body, whatever its fields say.
    pub const fn is_head(&self) -> bool {
        matches!(self.method, Method::Head)
    }

    /// True if it is a GET without a body, which can be repeated.
    pub const fn is_get(&self) -> bool {
        matches!(self.method, Method::Get)
    }

    /// True if it is a GET without a body that may be answered with an event stream.
    pub const fn wants_events(&self) -> bool {
        self.is_get() && self.may_stream
    }
}

/// Who sent a request, if more is known than the address of the connection.
#[derive(Debug, Default)]
pub struct Caller {
    /// The client's own address, if a trusted proxy reported it, or reported something else.
    pub client: Option<ClientAddress>,
    /// The key that admitted the request, if it needed one.
    pub key: Option<Arc<auth::Key>>,
    /// The subject of the client's certificate, if it was asked for one.
    pub subject: Option<Box<str>>,
    /// True if it presented one that was verified.
    pub has_certificate: bool,
    /// Counts the exchange as a stream of its address and its key, if these are limited.
    pub shares: Shares,
    /// The page of another origin that sent the request, if the upstream decides what the page may
    /// read and that may have to be checked.
    pub page: Option<Box<Page>>,
    /// What the client asked for, if redirects are rewritten for it.
    pub asked: Option<Box<Asked>>,
    /// What is kept about a request that an auth server has let in.
    pub let_in: Option<Box<LetIn>>,
}

/// The server that a client asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The host, with its port if there was one.
    pub host: Box<str>,
    /// True if the URL was `https://`.
    pub is_secure: bool,
    /// The prefix that a trusted proxy removed from the path. It has no trailing slash.
    pub prefix: Box<str>,
}

impl Caller {
    /// True when anything is set.
    pub fn is_known(&self) -> bool {
        let known = self.client.is_some() || self.key.is_some() || self.page.is_some();
        let known = known || self.asked.is_some() || self.has_certificate || self.let_in.is_some();
        known || self.shares.held() != [0, 0]
    }
}
