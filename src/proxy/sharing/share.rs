//! `[api.share]`: which requests share an upstream stream, and which responses can be shared.
//!
//! Requests share a stream if they go upstream as the same bytes. Of a client's own fields and
//! parameters only the listed ones are sent ([`forward::shared`]), so an upstream cannot tell apart
//! the clients that share. If something that is not sent might matter, the client asks for itself:
//! a wrong guess would show it another client's data.

use crate::auth;
use crate::config::{Api, Compression, Ids, Share, StreamKind};
use crate::exchange::{RequestFacts, Shareable, own_ids};
use crate::http::client_cert::Shown;
use crate::http::fields::{Nominated, is_named, write_line};
use crate::http::forward::{self, Forward};
use crate::http::head::{RequestHead, ResponseHead};
use crate::sse::can_be_sent;
use crate::telemetry::Veto;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Decides whether a request may share its stream. None if it is not a request for a subscription
/// to an api that shares streams. `path` is resolved, `query` is that of the request without its
/// key, and `to` is how the request would be forwarded by itself. `out` is an empty buffer.
pub(crate) fn judge(
    head: &RequestHead<'_, '_>,
    api: &Api,
    facts: RequestFacts,
    (path, query): (&[u8], Option<&str>),
    key: Option<&auth::Key>,
    to: &Forward<'_>,
    out: &mut Vec<u8>,
) -> Option<Result<Shareable, Veto>> {
    let share = api.share.as_ref()?;
    // With `streams = "always"` any GET may get an event stream, but this one may want a page.
    let asks = facts.wants_events() && head.accepts_event_stream;
    if !asks || facts.kind == StreamKind::Answer {
        return None;
    }
    if let Some(veto) = veto_of_request(head, api, share, to) {
        return Some(Err(veto));
    }
    let last_event_id = match last_event_id(head, to) {
        Ok(id) => id.map(Box::from),
        Err(veto) => return Some(Err(veto)),
    };
    let query = query.and_then(|query| forward::shared_query(query, share.query.as_deref()));
    let target = api.upstream_target(path, query.as_deref().map(str::as_bytes));
    let to = Forward { path_and_query: &target, ..*to };
    out.clear();
    let head = forward::shared(out, head, &to, &share.headers);
    let mut hasher = Sha256::new();
    hasher.update(head.bytes());
    if share.per_key
        && let Some(key) = key
    {
        hasher.update(key.hash);
    }
    let name = hasher.finalize().into();
    Some(Ok(Shareable { name, head, last_event_id, asked: None, is_decided: false }))
}

/// Why a request is not shared, judging by the request itself.
fn veto_of_request(
    head: &RequestHead<'_, '_>,
    api: &Api,
    share: &Share,
    to: &Forward<'_>,
) -> Option<Veto> {
    let is_listed = |name: &str| share.headers.iter().any(|field| is_named(field, name));
    let has = |name: &str| head.fields.get(name).is_some();
    let carriers = to.key.map(|key| key.carriers);
    let has_other_cookie = || {
        head.fields
            .all("Cookie")
            .any(|value| carriers.is_none_or(|carriers| carriers.cookies_without(value).is_some()))
    };
    let has_other_authorization = || {
        head.fields.all("Authorization").any(|value| {
            !carriers.is_some_and(|carriers| carriers.take_line("Authorization", value))
        })
    };
    let tells_who = to.key.is_some_and(|key| key.bearer.is_some())
        || to.shown.is_some_and(|shown| *shown != Shown::Nothing);
    let vetoes = [
        (Veto::Sticky, api.sticky.is_some()),
        (Veto::AuthUrl, api.forward_auth.is_some()),
        (Veto::SendProxy, api.send_proxy),
        (Veto::Compression, api.streams.compression == Compression::Pass),
        (Veto::Range, has("Range")),
        (Veto::Cookie, !is_listed("Cookie") && has_other_cookie()),
        (Veto::Authorization, !is_listed("Authorization") && has_other_authorization()),
        (Veto::Key, !share.per_key && tells_who),
        (Veto::Origin, api.cors.is_none() && has("Origin")),
    ];
    vetoes.into_iter().find(|(_, applies)| *applies).map(|(veto, _)| veto)
}

/// The last event that a client has seen, if it says so.
fn last_event_id<'b>(
    head: &RequestHead<'_, 'b>,
    to: &Forward<'b>,
) -> Result<Option<&'b [u8]>, Veto> {
    let mut ids = head.fields.all("Last-Event-ID").chain(to.last_event_id);
    let (first, others) = (ids.next(), ids.next());
    match first {
        Some(id) if others.is_some() || !can_be_sent(id) => Err(Veto::LastEventId),
        id => Ok(id.filter(|id| !id.is_empty())),
    }
}

/// The last event that a client has seen, if one of our logs gave it its id, which means nothing to
/// an upstream.
pub(crate) fn own_id(head: &RequestHead<'_, '_>, api: &Api, to: &Forward<'_>) -> Option<Box<[u8]>> {
    api.share.as_ref().filter(|share| share.ids == Ids::Own)?;
    let mut ids = head.fields.all("Last-Event-ID").chain(to.last_event_id);
    ids.find(|id| own_ids::parse(id).is_some()).map(Box::from)
}

/// Why the response of an upstream is not shared, if it is not.
pub(crate) fn veto_of_answer(
    head: &ResponseHead<'_, '_>,
    api: &Api,
    share: &Share,
) -> Option<Veto> {
    let is_known = |name: &[u8]| {
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        let listed = share.headers.iter().any(|field| is(field));
        listed || is("Accept") || is("Accept-Encoding") || is("Origin") && api.cors.is_some()
    };
    let is_private = |directive: &[u8]| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"private")
    };
    let vetoes = [
        (Veto::NoStream, !head.is_event_stream),
        (Veto::Coded, head.is_coded),
        (Veto::SetCookie, head.fields.get("Set-Cookie").is_some()),
        (Veto::Private, head.fields.elements("Cache-Control").any(is_private)),
        (Veto::Vary, !head.fields.elements("Vary").all(is_known)),
    ];
    vetoes.into_iter().find(|(_, applies)| *applies).map(|(veto, _)| veto)
}

/// The delay in the upstream's Retry-After, if that is a number of seconds.
pub(crate) fn retry_after(head: &ResponseHead<'_, '_>) -> Option<Duration> {
    let value = str::from_utf8(head.fields.only("Retry-After")?).ok()?;
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_: &u32| is_number)
        .map(|seconds| Duration::from_secs(seconds.into()))
}

/// True if a response that is not shared may go to the client that it was requested for, as if that
/// client had asked for itself. Not if it says that the request is wrong, or that it varies: the
/// client's own request may have contained more.
pub(crate) fn is_for_first(head: &ResponseHead<'_, '_>, veto: Veto) -> bool {
    veto != Veto::Vary && !(400..500).contains(&head.status) && head.fields.get("Vary").is_none()
}

/// Writes the head of a response for later clients as well: without the fields that concern only
/// this message or this connection.
pub(crate) fn write_lasting(head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 200 ");
    out.extend_from_slice(head.reason);
    out.extend_from_slice(b"\r\n");
    let nominated = Nominated::by(head.fields);
    for (name, value) in head.fields.iter() {
        let is = |field: &&str| is_named(name, field);
        let passes = ["Date", "Age", "Content-Length", "Trailer", "Expires"].iter().any(is);
        if !passes && !nominated.ends(name) {
            write_line(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}
