//! CORS for streams whose head this proxy writes, for apis without `[api.cors]`: what the upstream
//! grants to pages of other origins ([`crate::cors::grants`]).

use crate::config::{Api, OnOutage, Resume};
use crate::cors::grants::{Credentials, Page};
use crate::exchange::Exchange;
use crate::http::forward;
use crate::http::head::{RequestHead, ResponseHead};
use crate::net::Net;
use crate::proxy::next::{Action, Next};
use crate::proxy::step::Step;
use crate::telemetry::{Cause, Outcome};

/// The page that a request comes from. None unless its stream may get a head from this proxy or be
/// resumed, and the upstream decides which pages may read it.
pub(crate) fn page_of(
    api: &Api,
    head: &RequestHead<'_, '_>,
    may_answer_early: bool,
) -> Option<Box<Page>> {
    if api.cors.is_some() || !may_answer_early && head.method != "GET" {
        return None;
    }
    let origin = head.fields.only("Origin")?;
    let streams = &api.streams;
    let outlives = streams.on_outage != OnOutage::Error || streams.resume != Resume::Never;
    let may_be_told_to_wait = || api.has_rates() && !streams.rates_are_errors;
    if !may_answer_early && !outlives && !may_be_told_to_wait() {
        return None;
    }
    let has = |name| head.fields.get(name).is_some();
    let credentials = match (has("Cookie"), has("Authorization")) {
        (true, _) => Credentials::Cookie,
        (false, true) => Credentials::Authorization,
        (false, false) => Credentials::None,
    };
    let mut page = Page::of(origin, credentials)?;
    page.is_own = head.fields.only("Sec-Fetch-Site") == Some(b"same-origin")
        || head.authority.is_some_and(|authority| page.is_at(authority));
    Some(page)
}

/// Notes what the upstream's event stream grants to the page that asked for it, as the client will
/// see it.
pub(crate) fn read(exchange: &mut Exchange, head: &ResponseHead<'_, '_>) {
    let Some(page) = exchange.page() else { return };
    let changes = exchange.api().map(|api| &api.response_headers);
    let value = |name| forward::passed_on(name, head, changes);
    let origin = value("Access-Control-Allow-Origin");
    let latest = page.granted(origin, value("Access-Control-Allow-Credentials"));
    if let Some(page) = exchange.page_mut() {
        page.latest = latest;
    }
}

/// Notes that the client gets the upstream's own head, with its grant.
pub(crate) fn pass_on(exchange: &mut Exchange) {
    if let Some(page) = exchange.page_mut() {
        page.told = page.latest;
    }
}

/// True if the upstream's response may follow the head that the client already has.
pub(crate) fn may_read_latest(exchange: &Exchange) -> bool {
    exchange.page().is_none_or(Page::may_read_latest)
}

/// True if the page may read a stream with the head that this proxy has prepared for it.
pub(crate) fn may_be_read(exchange: &Exchange) -> bool {
    exchange.page().is_none_or(|page| page.is_own || page.told.is_some())
}

/// Prepares a local head: it grants what the upstream last granted.
pub(crate) fn recall<N: Net>(step: &mut Step<'_, N>) {
    let state = step.exchange.api_state.and_then(|key| step.apis.get(key));
    if let Some(page) = step.exchange.page_mut()
        && let Some(state) = state
    {
        page.told = state.directory.grant(page);
    }
}

/// Remembers what the upstream grants, if its response is an event stream.
pub(crate) fn note_answer<N: Net>(step: &mut Step<'_, N>) -> Next {
    if step.exchange.stage().is_stream() {
        remember(step);
    }
    Next::WakeWaiting
}

fn remember<N: Net>(step: &mut Step<'_, N>) {
    let state = step.exchange.api_state.and_then(|key| step.apis.get(key));
    if let Some(page) = step.exchange.page()
        && let Some(state) = state
    {
        state.directory.note_grant(page);
    }
    // Only a resumable stream is checked again.
    if step.exchange.resume().is_none()
        && let Some(caller) = &mut step.exchange.caller
    {
        caller.page = None;
    }
}

/// Ends a stream whose upstream has answered but does not allow the page to read what the client
/// was promised. No byte of the response is sent.
pub(crate) fn withhold<N: Net>(step: &mut Step<'_, N>) -> Next {
    remember(step);
    step.exchange.cause = Some(Cause::Withheld);
    let name = step.exchange.api_name();
    let what = "the upstream no longer lets the waiting page's origin read it";
    let text = format!("stream ended: {what}, api {name}");
    step.telemetry.log.log(log::Level::Warn, name, what, &text);
    let early = step.exchange.is_answered_early();
    Next::Do(Action::EndStream(if early { Outcome::NoStream } else { Outcome::UpstreamCut }))
}
