//! What a page of another origin may read of a stream when a head of ours began it, and no
//! `[api.cors]` says so ([`crate::cors::grants`]).

use super::next::{Action, Next};
use super::step::Step;
use crate::config::{Api, OnOutage, Resume};
use crate::cors::grants::{Credentials, Page};
use crate::exchange::Exchange;
use crate::http::forward;
use crate::http::head::{RequestHead, ResponseHead};
use crate::net::Net;
use crate::telemetry::{Cause, Outcome};

/// The page that a request comes from, if a stream for it may have a head of ours, or be resumed,
/// and the upstream says which pages may read it.
pub(super) fn page_of(api: &Api, head: &RequestHead<'_, '_>) -> Option<Box<Page>> {
    let streams = &api.streams;
    let outlives = streams.on_outage != OnOutage::Error || streams.resume != Resume::Never;
    if api.cors.is_some() || !outlives || head.method != "GET" {
        return None;
    }
    let origin = head.fields.only("Origin")?;
    let has = |name| head.fields.get(name).is_some();
    let credentials = match (has("Cookie"), has("Authorization")) {
        (true, _) => Credentials::Cookie,
        (false, true) => Credentials::Authorization,
        (false, false) => Credentials::None,
    };
    Page::of(origin, credentials)
}

/// Notes what the upstream's event stream grants to the page that asked for it, as the client gets
/// to see it.
pub(super) fn read(exchange: &mut Exchange, head: &ResponseHead<'_, '_>) {
    let Some(page) = exchange.page() else { return };
    let changes = exchange.api().map(|api| &api.response_headers);
    let value = |name| forward::passed_on(name, head, changes);
    let origin = value("Access-Control-Allow-Origin");
    let latest = page.granted(origin, value("Access-Control-Allow-Credentials"));
    if let Some(page) = exchange.page_mut() {
        page.latest = latest;
    }
}

/// The upstream's own head goes to the client, with what it grants.
pub(super) fn pass_on(exchange: &mut Exchange) {
    if let Some(page) = exchange.page_mut() {
        page.told = page.latest;
    }
}

/// True exactly when the upstream's answer may go out behind the head that the client has.
pub(super) fn may_read_latest(exchange: &Exchange) -> bool {
    exchange.page().is_none_or(Page::may_read_latest)
}

/// A head of ours is about to be written: it grants what the upstream last granted.
pub(super) fn recall<N: Net>(step: &mut Step<'_, N>) {
    let state = step.exchange.api_state.and_then(|key| step.apis.get(key));
    if let Some(page) = step.exchange.page_mut()
        && let Some(state) = state
    {
        page.told = state.grants.find(page);
    }
}

/// The upstream has answered: what it grants is remembered if the answer is an event stream.
pub(super) fn note_answer<N: Net>(step: &mut Step<'_, N>) -> Next {
    if step.exchange.stage().is_stream() {
        remember(step);
    }
    Next::WakeWaiting
}

fn remember<N: Net>(step: &mut Step<'_, N>) {
    let state = step.exchange.api_state.and_then(|key| step.apis.get_mut(key));
    if let Some(page) = step.exchange.page()
        && let Some(state) = state
    {
        state.grants.note(page);
    }
    // Only a stream that may be resumed is judged again.
    if step.exchange.resume().is_none()
        && let Some(caller) = &mut step.exchange.caller
    {
        caller.page = None;
    }
}

/// The upstream has answered, and does not let the page read what the client was promised: the
/// stream ends without a byte of the answer.
pub(super) fn withhold<N: Net>(step: &mut Step<'_, N>) -> Next {
    remember(step);
    step.exchange.cause = Some(Cause::Withheld);
    let name = step.exchange.api_name();
    let what = "the upstream no longer lets the waiting page's origin read it";
    let text = format!("stream ended: {what}, api {name}");
    step.telemetry.log.log(log::Level::Warn, name, what, &text);
    Next::Do(Action::EndStream(Outcome::UpstreamCut))
}
