//! Authorisation: decides by its sender whether a request is served, before anything is done for
//! it.

use crate::auth::{self, Denied, Key};
use crate::config::Api;
use crate::cors::Grant;
use crate::exchange::LocalReply;
use crate::http::client_address::ClientAddress;
use crate::http::client_cert::Shown;
use crate::http::credentials::Unclear;
use crate::http::forward::Handover;
use crate::http::head::RequestHead;
use crate::telemetry::Cause;
use std::borrow::Cow;
use std::sync::Arc;

/// The authorisation of a request.
#[derive(Debug)]
pub struct Pass<'b> {
    /// The key, if the api needs one.
    pub key: Option<Arc<Key>>,
    /// The query without the key.
    pub query: Option<Cow<'b, str>>,
    /// The secret that was sent.
    secret: Option<Cow<'b, [u8]>>,
}

impl Pass<'_> {
    /// What to do with the key on the way upstream.
    pub fn handover<'p>(&'p self, api: &'p Api) -> Option<Handover<'p>> {
        let auth = api.auth.as_ref()?;
        let bearer = if auth.forward { self.secret.as_deref() } else { None };
        Some(Handover { carriers: &auth.carriers, bearer })
    }
}

/// What CORS grants to the page that sent a request.
pub fn grant(api: &Api, head: &RequestHead<'_, '_>) -> Grant {
    let policy = api.cors.as_ref();
    policy.map_or(Grant::Nothing, |policy| policy.grant(head.fields.only("Origin")))
}

/// True exactly when a request is a CORS preflight. It carries no key, so it needs none.
fn is_preflight(head: &RequestHead<'_, '_>) -> bool {
    let has = |name| head.fields.get(name).is_some();
    head.is_options() && has("Origin") && has("Access-Control-Request-Method")
}

/// Refuses clients whose addresses may not use an api. `client` is the original client's address.
///
/// # Errors
/// The refusal.
pub fn check_address(api: &Api, client: ClientAddress) -> Result<(), LocalReply> {
    let refused = |cause, what| Err(LocalReply::refused(cause, 403, what).closing(false));
    if api.clients.deny.contain_client(client) {
        return refused(Cause::Deny, "the client's address is in api.deny");
    }
    if !api.clients.allow.is_empty() && !api.clients.allow.contain_client(client) {
        return refused(Cause::Allow, "the client's address is not in api.allow");
    }
    Ok(())
}

/// True exactly when a request names no page as its origin, or one that may send it. DNS rebinding
/// does not help a page with requests that name their origin, because that is not compared with
/// this host. A GET or HEAD for the page's own host does not: there the api's hosts decide.
fn is_from_allowed_page(api: &Api, head: &RequestHead<'_, '_>) -> bool {
    let is_allowed =
        |origin: &[u8]| api.clients.allowed_origins.iter().any(|o| o.as_bytes() == origin);
    api.clients.allowed_origins.is_empty() || head.fields.all("Origin").all(is_allowed)
}

/// Authorises a request of a client that may have `shown` a certificate. Otherwise returns the
/// refusal, or the reply to a preflight. The connection stays open, because the client did nothing
/// wrong, unless a new handshake is needed to show a certificate.
pub fn authorize<'b>(
    api: &Api,
    head: &RequestHead<'_, 'b>,
    shown: Option<&Shown>,
) -> Result<Pass<'b>, LocalReply> {
    let query = head.target.query;
    if api.cors.is_some() && is_preflight(head) {
        return Err(LocalReply::preflight());
    }
    if !is_from_allowed_page(api, head) {
        let what = "a page that is not in api.allowed_origins sent the request";
        return Err(LocalReply::refused(Cause::AllowedOrigins, 403, what).closing(false));
    }
    if api.client_certificate && !matches!(shown, Some(Shown::Certificate { .. })) {
        // HTTP has no challenge for certificates (RFC 9110 section 11), so it is not a 401.
        let what = "the client has shown no certificate";
        return Err(LocalReply::refused(Cause::NoCertificate, 403, what).closing(true));
    }
    let Some(auth) = &api.auth else {
        return Ok(Pass { key: None, query: query.map(Cow::Borrowed), secret: None });
    };
    let secret = auth.carriers.find(head.fields, query).map_err(of_unclear)?;
    let key = auth::admit(&auth.keys, secret.as_deref(), &api.name).map_err(of_denied)?;
    let keyless = query.and_then(|query| auth.carriers.query_without(query));
    Ok(Pass { key: Some(Arc::clone(key)), query: keyless, secret })
}

/// The refusal of a key that cannot be valid. Clients cannot distinguish it from an unknown one.
fn of_unclear(unclear: Unclear) -> LocalReply {
    let cause = match unclear {
        Unclear::Repeated | Unclear::Different => Cause::AmbiguousKey,
        Unclear::Characters => Cause::UnknownKey,
    };
    LocalReply::refused(cause, 403, unclear.what()).closing(false)
}

fn of_denied(denied: Denied) -> LocalReply {
    let cause = match denied {
        Denied::NoKey => Cause::NoKey,
        Denied::Unknown => Cause::UnknownKey,
        Denied::NotHere => Cause::KeyOfOtherApi,
    };
    LocalReply::refused(cause, denied.status(), denied.what()).closing(false)
}
