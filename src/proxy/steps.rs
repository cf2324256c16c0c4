//! The steps of a request and its response, one module per step.
//!
//! A step works on one session or its exchange and returns what to do next ([`super::next`]).

pub(super) mod authorize;
pub(super) mod connect;
pub(super) mod demo;
pub(super) mod early;
pub(super) mod ends;
pub(super) mod from_log;
pub(super) mod grants;
pub(super) mod handshake;
pub(super) mod head;
pub(super) mod last_event_id;
pub(super) mod local;
pub(super) mod lookahead;
pub(super) mod outage;
pub(super) mod proxy_header;
pub(super) mod recheck;
pub(super) mod redirects;
pub(super) mod relay;
pub(super) mod request;
pub(super) mod response;
pub(super) mod retry;
pub(super) mod sticky;
pub(super) mod streams;
pub(super) mod to_https;
pub(super) mod tunnel;
