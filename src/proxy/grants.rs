//! What a page of another origin may read of a stream when a head of ours began it, and no
//! `[api.cors]` says so ([`crate::cors::grants`]).

use super::{Proxy, Step};
use crate::config::{Api, OnOutage, Resume};
use crate::cors::grants::{Credentials, Page};
use crate::http::forward;
use crate::http::head::{RequestHead, ResponseHead};
use crate::net::Net;
use crate::session::Session;
use crate::session::cause::Cause;
use crate::session::exchange::Exchange;
use crate::session::outcome::Outcome;
use crate::slab::Key;
use crate::time::Tick;

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

impl Exchange {
    /// Notes what the upstream's event stream grants to the page that asked for it, as the client
    /// gets to see it.
    pub(super) fn read_grant(&mut self, head: &ResponseHead<'_, '_>) {
        let Some(page) = self.page() else { return };
        let changes = self.api().map(|api| &api.response_headers);
        let value = |name| forward::passed_on(name, head, changes);
        let origin = value("Access-Control-Allow-Origin");
        let latest = page.granted(origin, value("Access-Control-Allow-Credentials"));
        if let Some(page) = self.page_mut() {
            page.latest = latest;
        }
    }

    /// True exactly when the upstream's answer may go out behind the head that the client has.
    pub(super) fn may_read_latest(&self) -> bool {
        self.page().is_none_or(Page::may_read_latest)
    }
}

impl<N: Net> Proxy<N> {
    /// A head of ours is about to be written: it grants what the upstream last granted.
    pub(super) fn recall_grant(&mut self, key: Key<Session>) {
        let exchange = self.sessions[key].state.exchange_mut();
        let origin = exchange.origin.and_then(|key| self.origins.get(key));
        if let Some(page) = exchange.page_mut()
            && let Some(origin) = origin
        {
            page.told = origin.grants.find(page);
        }
    }

    /// The upstream has answered. Its grant is remembered if the answer is an event stream.
    pub(super) fn remember_grant(&mut self, key: Key<Session>) {
        let exchange = self.sessions[key].state.exchange_mut();
        if !exchange.facts.event_stream {
            return;
        }
        let origin = exchange.origin.and_then(|key| self.origins.get_mut(key));
        if let Some(page) = exchange.page()
            && let Some(origin) = origin
        {
            origin.grants.note(page);
        }
        // Only a stream that may be resumed is judged again.
        if exchange.revival.is_none()
            && let Some(caller) = &mut exchange.caller
        {
            caller.page = None;
        }
    }

    /// The upstream has answered, and does not let the page read what the client was promised: the
    /// stream ends without a byte of the answer.
    pub(super) fn withhold(&mut self, key: Key<Session>, now: Tick) -> Step {
        self.remember_grant(key);
        let exchange = self.sessions[key].state.exchange_mut();
        exchange.cause = Some(Cause::Withheld);
        let name = exchange.api().map_or("-", |api| api.name.as_str());
        let what = "the upstream no longer lets the origin of a waiting page read its stream";
        let text = format!("a stream is ended: {what}, api {name}");
        self.hush.say(log::Level::Warn, name, what, &text);
        self.end_between_events(key, Outcome::UpstreamCut, now)
    }
}
