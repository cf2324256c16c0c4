//! Which clients may send which requests to an api.

use super::access::{allowed_origins, parameter};
use crate::config::table::Table;
use crate::config::values::networks::{Networks, networks};
use crate::config::values::rate::rate;
use crate::config::values::value::{duration, size};
use crate::rate::Rate;
use std::time::Duration;

/// Which clients may send which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// The addresses of the clients that may send requests, unless they are in `deny`. Empty: all.
    pub allow: Networks,
    /// The addresses of the clients that may not send requests.
    pub deny: Networks,
    /// How many requests may go upstream. None: no limit.
    pub max_requests: Option<Rate>,
    /// How many requests one client address may send; an IPv6 /64 counts as one. None: no limit.
    pub max_requests_per_ip: Option<Rate>,
    /// The origins of the pages that may send requests. Empty: all.
    pub allowed_origins: Vec<String>,
    /// Maximum length of a request body in bytes. None: the limit in `[server]`.
    pub max_body_bytes: Option<u64>,
    /// How long a request body may stall. None: the time in `[server]`.
    pub body_timeout: Option<Duration>,
    /// The query parameter that replaces the field Last-Event-ID. None: there is none.
    pub last_event_id_query: Option<String>,
}

impl Clients {
    /// The keys of its lists of clients and pages that are not empty and that `other` does not have
    /// equally.
    pub(crate) fn lists_unlike(&self, other: &Clients) -> Vec<&'static str> {
        let unlike = [
            ("allow", !self.allow.is_empty() && self.allow != other.allow),
            ("deny", !self.deny.is_empty() && self.deny != other.deny),
            (
                "allowed_origins",
                !self.allowed_origins.is_empty() && self.allowed_origins != other.allowed_origins,
            ),
        ];
        unlike.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect()
    }
}

/// Reads the keys of an api that are about its clients.
pub(crate) fn clients(t: &mut Table<'_, '_>) -> Clients {
    let max_body_bytes = t.take("max_body_bytes", size(0..=1 << 62));
    Clients {
        allow: t.take("allow", networks).unwrap_or_default(),
        deny: t.take("deny", networks).unwrap_or_default(),
        max_requests: t.take("max_requests", rate).flatten(),
        max_requests_per_ip: t.take("max_requests_per_ip", rate).flatten(),
        allowed_origins: t.take("allowed_origins", allowed_origins).unwrap_or_default(),
        max_body_bytes: max_body_bytes.map(|max| if max == 0 { u64::MAX } else { max }),
        body_timeout: t.take("body_timeout", duration),
        last_event_id_query: t.take("last_event_id_query", parameter).filter(|p| !p.is_empty()),
    }
}
