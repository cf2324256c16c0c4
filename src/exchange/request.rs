//! What must be remembered of a request when its head is gone: what it is, and who asks.

use crate::auth;
use crate::cors::Grant;
use crate::cors::grants::Page;
use crate::http::head::{RequestHead, Version};
use crate::http::upgrade::Offer;
use crate::quota::Shares;
use std::net::IpAddr;
use std::sync::Arc;

/// What a request is. None of it changes while it is served.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts {
    /// The client's HTTP version.
    pub version: Version,
    /// True exactly when the method is HEAD: the response has no body, whatever its fields say.
    pub is_head: bool,
    /// True exactly when the request may be sent twice: an idempotent method, and no body (RFC 9110
    /// section 9.2.2).
    pub retryable: bool,
    /// Which other protocol the request offers the upstream, if that is let through.
    pub upgrade: Offer,
    /// True exactly when it is a GET without a body: the client of an event stream will come back
    /// if it ends.
    pub is_get: bool,
    /// True exactly when it is such a GET and accepts event streams.
    pub wants_events: bool,
    /// True exactly when the client asks nothing more on this connection (RFC 9112 section 9.6).
    pub is_last: bool,
    /// What the page that asked for it is granted.
    pub grant: Grant,
}

impl RequestFacts {
    /// Those of a request whose offer to `upgrade` is let through.
    pub fn of(head: &RequestHead<'_, '_>, upgrade: Offer, grant: Grant) -> RequestFacts {
        let is_get = head.method == "GET" && head.length.is_empty();
        RequestFacts {
            version: head.version,
            is_head: head.is_head(),
            retryable: head.is_idempotent() && head.length.is_empty(),
            upgrade,
            is_get,
            wants_events: is_get && head.accepts_event_stream && upgrade == Offer::NOTHING,
            is_last: !head.persistent,
            grant,
        }
    }

    /// Those of a request that was not understood.
    pub const fn unknown(is_head: bool) -> RequestFacts {
        RequestFacts {
            version: Version::Http11,
            is_head,
            retryable: false,
            upgrade: Offer::NOTHING,
            is_get: false,
            wants_events: false,
            is_last: false,
            grant: Grant::Nothing,
        }
    }
}

/// Who has asked for something, where more is known than the address of a connection.
#[derive(Debug, Default)]
pub struct Caller {
    /// The client's own address, if a trusted proxy has told it.
    pub client: Option<IpAddr>,
    /// The key that let it in, if it needed one.
    pub key: Option<Arc<auth::Key>>,
    /// Counts it among the streams of its address and its key, where these are limited.
    pub shares: Shares,
    /// The page of another origin that asked, while what it may read is the upstream's affair and
    /// may have to be judged.
    pub page: Option<Box<Page>>,
}

impl Caller {
    /// True when anything is known.
    pub fn is_known(&self) -> bool {
        let known = self.client.is_some() || self.key.is_some() || self.page.is_some();
        known || self.shares.held() != [0, 0]
    }
}
