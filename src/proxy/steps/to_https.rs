//! Redirects of plain HTTP requests to HTTPS (`redirect_to_https`).
//!
//! This comes before everything that an api asks for, keys above all: what a client sends here can
//! be read on the way and should be of no use. Only the path where a certificate authority checks
//! the ownership of a host (RFC 8555 section 8.3) is served, if an api lists it: the authority
//! requests it without TLS.

use crate::config::{Api, Config, ListenAddr, Redirect};
use crate::exchange::LocalReply;
use crate::http::authority::Authority;
use crate::http::head::RequestHead;
use crate::route::RouteId;
use crate::telemetry::Cause;
use std::fmt::Write;

/// Where a certificate authority looks for the proof that a host is ours.
const CHALLENGES: &str = "/.well-known/acme-challenge";

/// Where a request without TLS is redirected to, if it is. `found` is the api that would serve it,
/// or why none does; `is_trusted` says that a trusted proxy sent it, which may have used TLS with
/// the client.
///
/// # Errors
/// If it is unknown which host was asked for.
pub(crate) fn location(
    head: &RequestHead<'_, '_>,
    found: Result<RouteId, LocalReply>,
    config: &Config,
    is_trusted: bool,
) -> Result<Option<Box<str>>, LocalReply> {
    let Some(redirect) = &config.server.redirect_to_https else { return Ok(None) };
    match found {
        Ok(id) if is_for_challenges(&config.apis[usize::from(id)]) => return Ok(None),
        // A malformed request is refused as it is everywhere.
        Err(refusal) if refusal.status != 404 => return Ok(None),
        Ok(_) | Err(_) => {}
    }
    let told = head.fields.only("X-Forwarded-Proto");
    let is_secure = told.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
    if is_secure && is_trusted {
        return Ok(None);
    }
    let mut location = match redirect {
        Redirect::To(origin) => origin.clone(),
        Redirect::HostAsked => {
            let asked = head.authority.and_then(|text| Authority::parse(text.as_bytes()));
            let what = "no host that the client could be redirected to";
            let asked = asked.ok_or(LocalReply::refused(Cause::Host, 400, what))?;
            let mut origin = format!("https://{}", asked.host);
            // Writing to a string cannot fail.
            let _ = port(config).filter(|port| *port != 443).map(|port| write!(origin, ":{port}"));
            origin
        }
    };
    if !head.target.asterisk {
        location += head.target.path;
    }
    if let Some(query) = head.target.query {
        location.push('?');
        location += query;
    }
    Ok(Some(location.into()))
}

fn is_for_challenges(api: &Api) -> bool {
    let rest = api.listen_path.strip_prefix(CHALLENGES);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first port that uses TLS.
fn port(config: &Config) -> Option<u16> {
    config.server.listen_tls.iter().find_map(|address| match address {
        ListenAddr::Tcp(address) => Some(address.port()),
        ListenAddr::Unix(_) => None,
    })
}
