//! `sticky`: requests of a client that a replica knows go to that replica.
//!
//! A replica is one address of one target. Which replica knows a client is learned from its
//! responses: from a field, from a cookie that it sets, or from the first event of a stream. The
//! table belongs to the api ([`crate::apis`]) and survives a reload, even one that changes the
//! targets. Only a response that is awaited during such a reload teaches nothing, because its
//! upstream is gone by then.
//!
//! With a field or a query parameter no other replica can serve the client. So its request goes to
//! that replica regardless of its health, and to no other; if the replica is gone, the answer is a
//! 404, after which a client of the Model Context Protocol begins a new session. A cookie is only a
//! preference: other replicas are asked if this one is gone, is unhealthy, or has failed the
//! request.

use crate::apis::Apis;
use crate::config::{Api, KnownBy};
use crate::exchange::{Exchange, LocalReply};
use crate::http::cookie;
use crate::http::head::{RequestHead, ResponseHead};
use crate::http::query;
use crate::pool::{Bound, Connection, Pool};
use crate::slab::Key;
use crate::sticky::Sticky;
use crate::telemetry::Cause;
use crate::time::Tick;

/// What a request reveals about its client.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The value by which a replica may know the client.
    value: Vec<u8>,
    /// True if the request ends the session with this value.
    ends: bool,
}

/// What a request reveals about its client, if the api uses that. A repeated value counts as none.
pub(crate) fn shown(api: &Api, head: &RequestHead<'_, '_>) -> Option<Shown> {
    let sticky = api.sticky.as_ref()?;
    let value = match &sticky.by {
        KnownBy::Field(name) => head.fields.only(name)?.to_vec(),
        KnownBy::Cookie(name) => {
            let mut values =
                head.fields.all("Cookie").flat_map(|field| cookie::values(field, name));
            let first = values.next()?;
            if values.next().is_some() {
                return None;
            }
            first.to_vec()
        }
        KnownBy::Query(name) => query::take(head.target.query?, name).ok()??.value.into_owned(),
    };
    let ends = head.method == "DELETE" && sticky.by.ends_with_delete();
    (!value.is_empty()).then_some(Shown { value, ends })
}

/// Binds a request to the replica that knows its client, if one does.
pub(crate) fn bind(exchange: &mut Exchange, shown: Shown, apis: &Apis, now: Tick) {
    let Some(sticky) = exchange.api().and_then(|api| api.sticky.as_ref()) else { return };
    let (age, is_exclusive) = (seconds(sticky.age), sticky.by.is_exclusive());
    let state = exchange.api_state.and_then(|key| apis.get(key));
    let find = |sticky: &mut Sticky| sticky.find(&shown.value, age, now.as_seconds());
    let found = state.and_then(|state| state.totals.sticky.with(find));
    let Some(outbound) = exchange.outbound.as_mut().filter(|_| found.is_some()) else { return };
    outbound.bound = found.map(|replica| Bound { replica, is_exclusive });
    outbound.ends_session = Some(shown.value.into_boxed_slice()).filter(|_| shown.ends);
}

/// Notes which client the replica of a connection knows, according to its response head.
pub(crate) fn learn(
    exchange: &Exchange,
    pool: &Pool,
    apis: &Apis,
    key: Key<Connection>,
    head: &ResponseHead<'_, '_>,
    now: Tick,
) {
    let Some(sticky) = exchange.api().and_then(|api| api.sticky.as_ref()) else { return };
    let ended = exchange.outbound.as_ref().and_then(|outbound| outbound.ends_session.as_ref());
    if let Some(value) = ended.filter(|_| matches!(head.status, 200..=299 | 404)) {
        if let Some(state) = exchange.api_state.and_then(|key| apis.get(key)) {
            state.totals.sticky.with(|sticky| sticky.forget(value));
        }
        return;
    }
    match &sticky.by {
        // An error response may name a session that the replica does not know.
        KnownBy::Field(name) if head.status < 400 => {
            if let Some(value) = head.fields.only(name) {
                note(exchange, pool, apis, key, value, now);
            }
        }
        KnownBy::Cookie(name) => {
            for field in head.fields.all("Set-Cookie") {
                if let Some(value) = cookie::set(field, name) {
                    note(exchange, pool, apis, key, value, now);
                }
            }
        }
        KnownBy::Field(_) | KnownBy::Query(_) => {}
    }
}

/// Notes which client the replica of a connection knows, according to the first event of its
/// stream, once that event has passed.
pub(crate) fn learn_from_event(
    exchange: &mut Exchange,
    pool: &Pool,
    apis: &Apis,
    key: Key<Connection>,
    now: Tick,
) {
    let Some(endpoint) = exchange.response.intake.take_endpoint() else { return };
    let sticky = exchange.api().and_then(|api| api.sticky.as_ref());
    if let Some(KnownBy::Query(name)) = sticky.map(|sticky| &sticky.by)
        && let Some(value) = endpoint.parameter(name)
    {
        note(exchange, pool, apis, key, &value, now);
    }
}

fn note(
    exchange: &Exchange,
    pool: &Pool,
    apis: &Apis,
    key: Key<Connection>,
    value: &[u8],
    now: Tick,
) {
    let Some(sticky) = exchange.api().and_then(|api| api.sticky.as_ref()) else { return };
    let state = exchange.api_state.and_then(|key| apis.get(key));
    let (Some(state), Some(replica)) = (state, pool.replica_of(key)) else { return };
    if !value.is_empty() {
        let (max, age) = (sticky.max, seconds(sticky.age));
        let bind = |sticky: &mut Sticky| {
            sticky.bind(value, replica, max, age, now.as_seconds());
        };
        state.totals.sticky.with(bind);
    }
}

/// The answer if the replica that knows a client is gone.
pub(crate) const fn gone() -> LocalReply {
    let what = "the target of the client's session is gone";
    LocalReply::refused(Cause::TargetGone, 404, what).closing(false)
}

fn seconds(age: std::time::Duration) -> u32 {
    u32::try_from(age.as_secs().max(1)).unwrap_or(u32::MAX)
}
