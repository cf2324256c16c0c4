//! The head of a request for an event stream that many clients share.
//!
//! It contains only what is the same for all of them: the listed fields of the client, in the order
//! of the list, and the listed query parameters, in the order of their names. So two requests that
//! may share a stream have the same head, byte for byte, and requests that an upstream could
//! distinguish have different streams.

use super::{
    Forward, OutboundHead, PSEUDONYM, told, travels, write_connection, write_line, write_prefix,
    write_request_start, write_set, write_without_key,
};
use crate::http::escape::decode;
use crate::http::fields::Nominated;
use crate::http::head::RequestHead;
use crate::work;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Writes the head of the request that goes upstream for many clients, using `out`, which must be
/// empty. Of the client, only `fields` are forwarded, and none of its addresses. The id of its last
/// event is left to [`OutboundHead::continuing`].
///
/// # Panics
/// As for [`outbound`](super::outbound).
pub fn shared(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    to: &Forward<'_>,
    fields: &[String],
) -> OutboundHead {
    let host_at = write_request_start(out, head, to);
    if travels("Accept", head, to) {
        write_line(out, "Accept", b"text/event-stream");
    }
    let nominated = Nominated::by(head.fields);
    for name in fields.iter().filter(|name| travels(name, head, to) && !nominated.ends(name)) {
        for value in head.fields.all(name) {
            match &to.key {
                Some(key) => write_without_key(out, name, value, key),
                None => write_line(out, name, value),
            }
        }
    }
    let last_event_id = write_set(out, to);
    if let Some(key) = to.key.and_then(|key| key.bearer) {
        assert!(key.iter().all(u8::is_ascii_graphic), "a key that would be more than a key");
        write_line(out, "Authorization", &[b"Bearer ", key].concat());
    }
    write_line(out, "X-Forwarded-Proto", super::proto(head, to));
    if let Some(host) = told("X-Forwarded-Host", head, to).or(head.authority.map(str::as_bytes)) {
        write_line(out, "X-Forwarded-Host", host);
    }
    write_prefix(out, head, to);
    if let Some(shown) = to.shown {
        shown.write(out);
    }
    write_line(out, "Via", format!("1.1 {PSEUDONYM}").as_bytes());
    write_connection(out, [(to.close, "close")]);
    out.extend_from_slice(b"\r\n");
    let is_id_ours = !travels("Last-Event-ID", head, to);
    OutboundHead { bytes: out.as_slice().into(), host_at, last_event_id, is_id_ours }
}

/// The query parameters that distinguish streams: those with one of these names, or all. They are
/// in the order of their names, and those with the same name in the order in which they were sent.
/// None if there are none.
pub fn query(query: &str, names: Option<&[String]>) -> Option<String> {
    // Servers compare decoded names.
    let mut kept: BTreeMap<Cow<'_, [u8]>, Vec<&str>> = BTreeMap::new();
    for parameter in query.split('&') {
        work::note(parameter.len() + 1);
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        let name = decode(name.as_bytes());
        if names.is_none_or(|names| names.iter().any(|kept| kept.as_bytes() == &*name)) {
            kept.entry(name).or_default().push(parameter);
        }
    }
    let kept: Vec<&str> = kept.into_values().flatten().collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_parameters_does_not_matter_but_that_of_repeated_ones_does() {
        let check = |text: &str, names: &[&str], want: Option<&str>| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let names = Some(&*names).filter(|names| *names != ["*"]);
            assert_eq!(query(text, names).as_deref(), want, "{text}");
        };
        check("b=2&a=1", &["*"], Some("a=1&b=2"));
        check("a=1&b=2", &["*"], Some("a=1&b=2"));
        check("a=2&b&a=1", &["*"], Some("a=2&a=1&b"));
        // A server that decodes names sees the same name twice, and may use the first value.
        check("a=2&%61=1", &["*"], Some("a=2&%61=1"));
        check("%61=1&a=2", &["*"], Some("%61=1&a=2"));
        check("", &["*"], Some(""));
        check("b&&a", &["*"], Some("&a&b"));
        check("A=1&a=2", &["*"], Some("A=1&a=2"));
        check("b=2&a=1&c=3", &["c", "a"], Some("a=1&c=3"));
        check("%62=2&a=1", &["b"], Some("%62=2"));
        check("b=2", &["a"], None);
        check("b=2&=&", &[], None);
        check("a+b=2&a=1", &["a"], Some("a=1"));
    }
}
