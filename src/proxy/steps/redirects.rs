//! `rewrite_redirects`: redirect targets in a response, rewritten to what the client can reach
//! ([`crate::route::redirect`]).

use crate::exchange::{Asked, Exchange};
use crate::http::head::ResponseHead;
use crate::route::redirect::{Reach, Scheme, as_seen, is_same_authority};

/// The response fields that contain a location.
const FIELDS: [&str; 2] = ["Location", "Content-Location"];

/// The values of these fields that have to be rewritten for the client, with their names.
pub(crate) fn rewritten(
    exchange: &Exchange,
    head: &ResponseHead<'_, '_>,
) -> Vec<(&'static str, Vec<u8>)> {
    let Some((api, asked)) = exchange.api().zip(exchange.asked()) else { return Vec::new() };
    let stripped = if api.strip_listen_path { &*api.listen_path } else { "" };
    let reach = Reach { outer: &asked.prefix, stripped, base: &api.target().path };
    // The server may call itself by its own name, by the name in the request to it, or by the name
    // that the client asked for. A redirect from http to https does not lead back to where the
    // client is.
    let is_own = |scheme, authority: &str| {
        let is = |name: &str| is_same_authority(scheme, name, authority);
        let Asked { host, is_secure, .. } = asked;
        let own = api.targets.iter().map(|target| (target.authority.as_str(), target.is_secure));
        let named = api.host_header.iter().map(|name| (name.as_str(), api.target().is_secure));
        own.chain(named).any(|(name, secure)| is(name) && scheme.may_be(secure))
            || is(host) && (*is_secure || scheme != Scheme::Https)
    };
    let field = |name: &'static str| {
        let location = head.fields.only(name)?;
        as_seen(location, reach, is_own).map(|seen| (name, seen))
    };
    FIELDS.into_iter().filter_map(field).collect()
}
