//! The heads that are sent on: a request's to the upstream, a response's to the client.
//!
//! They are written from what was understood, not edited: start line, framing and connection fields
//! are ours, and the other fields follow in the order, spelling and number in which they were sent,
//! except those that end here ([`Nominated`]). Nothing is joined, so each Set-Cookie
//! stays on a line of its own; only the addresses of X-Forwarded-For are, because many read no
//! second line.
//!
//! An upstream believes what X-Forwarded-For, -Proto and -Host say, so a client must not be able to
//! say it. Only what a trusted peer sent is kept and added to. The other fields of
//! [`RESERVED`](super::fields::RESERVED) are not written here; a trusted peer's pass, anybody
//! else's do not.
//!
//! Via goes into requests only: RFC 9110 section 7.6.3 asks it of gateways there, and leaves
//! responses open. It carries the version that was received (`1.0 millstream` for a client of
//! HTTP/1.0). Date is never changed, and added where there is none (section 6.6.1). Apart from its
//! framing a response gets no other field, except those that are configured.
//!
//! Tested by reading what is written: it must mean the same, for good heads and for heads with
//! accidents.

use super::changes::Changes;
use super::credentials::Carriers;
use super::fields::{
    Nominated, OriginFields, is_about_client, is_named, same_to_gateway, write_line,
    write_trailer_names,
};
use super::framing::BodyLength;
use super::head::{RequestHead, ResponseHead};
use super::version::Version;
use crate::digits::Digits;
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;

/// The name under which Via tells of us.
pub const PSEUDONYM: &str = "millstream";

/// How a request goes on.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// What the upstream is asked for: path and query, or `*`.
    pub path_and_query: &'a [u8],
    /// What Host says, if the client's is preserved; otherwise it is the endpoint's, which is known
    /// when the head goes out. Not empty.
    pub host: Option<&'a str>,
    /// The address of the client's connection, if it has one.
    pub client: Option<IpAddr>,
    /// True exactly when the client is a proxy whose X-Forwarded fields are believed.
    pub peer_trusted: bool,
    /// The scheme by which the client came: `http`.
    pub proto: &'a str,
    /// How the length of the body is made known. Not [`BodyLength::UntilClose`].
    pub length: BodyLength,
    /// True exactly when the protocols in [`RequestHead::upgrade`] are offered to the upstream.
    pub upgrade: bool,
    /// True exactly when the connection is not to be used again.
    pub close: bool,
    /// What the operator changes.
    pub changes: Option<&'a Changes>,
    /// What becomes of the key that let the request in, if it needed one.
    pub key: Option<Handover<'a>>,
}

/// What becomes of a key on the way upstream.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// Where it may stand, and is taken out.
    pub carriers: &'a Carriers,
    /// The key, if it goes on all the same, in a field of its own: visible ASCII characters.
    pub bearer: Option<&'a [u8]>,
}

/// How a response goes on.
#[derive(Clone, Copy, Debug)]
pub struct Respond<'a> {
    /// How the length of the body is made known.
    pub length: BodyLength,
    /// True exactly when the client may send another request on this connection. Of no account in
    /// an interim response.
    pub persistent: bool,
    /// The client's version.
    pub client_version: Version,
    /// True exactly when this is the 101 that changes the protocol.
    pub upgrade: bool,
    /// When it was received: what a final response without a Date is to be given as one (RFC 9110
    /// section 6.6.1), if anything.
    pub date: Option<&'a str>,
    /// True exactly when whatever is between here and the client is told not to buffer.
    pub anti_buffering: bool,
    /// What the operator changes.
    pub changes: Option<&'a Changes>,
    /// What the response says about other origins, in place of what the upstream does, if that is
    /// not its own affair.
    pub cors: Option<&'a OriginFields<'a>>,
}

/// The fields of a request that are written here, whatever the client sent.
const OURS: [&str; 5] =
    ["Host", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"];

/// The head of a request that goes upstream, but for what may differ each time that it goes out:
/// which endpoint it goes to, and from which event on a stream is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundHead {
    /// All of it, in order.
    bytes: Box<[u8]>,
    /// Where the endpoint's host belongs, unless the client's stands there.
    host_at: Option<usize>,
    /// The lines that say from which event on.
    last_event_id: Vec<Range<usize>>,
}

impl OutboundHead {
    /// Its length, without the host and without the last event's id.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends it as it goes to the endpoint with this `host`; with the id of the last event, as a
    /// client writes it that comes back for the rest of an event stream (WHATWG HTML section
    /// 9.2.3), or else with what the client has said of that.
    ///
    /// # Panics
    /// If Host would be none: then somebody else's words would be taken for ours.
    pub fn write(&self, out: &mut Vec<u8>, host: &str, last_event_id: Option<&[u8]>) {
        let mut from = 0;
        if let Some(at) = self.host_at {
            assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()));
            out.extend_from_slice(&self.bytes[..at]);
            out.extend_from_slice(host.as_bytes());
            from = at;
        }
        let Some(id) = last_event_id else {
            out.extend_from_slice(&self.bytes[from..]);
            return;
        };
        for line in &self.last_event_id {
            out.extend_from_slice(&self.bytes[from..line.start]);
            from = line.end;
        }
        let end = self.bytes.len() - b"\r\n".len();
        out.extend_from_slice(&self.bytes[from..end]);
        write_line(out, "Last-Event-ID", id);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the head of the request that goes upstream, with the help of `out`, which is empty.
///
/// # Panics
///
/// If the target or Host is none: then somebody else's words would be taken for ours.
pub fn outbound(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) -> OutboundHead {
    let mut last_event_id = Vec::new();
    let mut note = |name: &str, line: Range<usize>| {
        if is_named(name, "Last-Event-ID") && !line.is_empty() {
            last_event_id.push(line);
        }
    };
    let host_at = write_request_start(out, head, to);
    let nominated = Nominated::by(head.fields);
    for (name, value) in head.fields.iter() {
        if travels(name, head, to) && !nominated.ends(name) {
            let start = out.len();
            match &to.key {
                _ if is_named(name, "Trailer") => {
                    write_trailer_names(out, value, |name| trails(name, &nominated, to));
                }
                Some(key) => write_without_key(out, name, value, key),
                None => write_line(out, name, value),
            }
            note(name, start..out.len());
        }
    }
    for (name, value) in to.changes.iter().flat_map(|changes| &changes.set) {
        let start = out.len();
        write_line(out, name, value.as_bytes());
        note(name, start..out.len());
    }
    write_request_end(out, head, to);
    OutboundHead { bytes: out.as_slice().into(), host_at, last_event_id }
}

/// Writes the request line and Host. Where the host belongs that is not known yet.
fn write_request_start(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    to: &Forward<'_>,
) -> Option<usize> {
    let target = to.path_and_query;
    assert!(!target.is_empty() && target.iter().all(u8::is_ascii_graphic));
    for part in [head.method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: "] {
        out.extend_from_slice(part);
    }
    let host_at = out.len();
    if let Some(host) = to.host {
        assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()));
        out.extend_from_slice(host.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    to.host.is_none().then_some(host_at)
}

/// Writes the fields that are ours, and the end of the head.
fn write_request_end(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) {
    if let Some(key) = to.key.and_then(|key| key.bearer) {
        assert!(key.iter().all(u8::is_ascii_graphic), "a key that would be more than a key");
        write_line(out, "Authorization", &[b"Bearer ", key].concat());
    }
    write_client(out, head, to);
    out.extend_from_slice(match head.version {
        Version::Http10 => b"Via: 1.0 ",
        Version::Http11 => b"Via: 1.1 ",
    });
    out.extend_from_slice(PSEUDONYM.as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(left) = head.max_forwards {
        write_number_line(out, "Max-Forwards", left.saturating_sub(1));
    }
    let upgrade = if to.upgrade { head.upgrade } else { None };
    let trailers = head.version == Version::Http11 && head.fields.lists("TE", "trailers");
    if trailers {
        write_line(out, "TE", b"trailers");
    }
    if let Some(protocols) = upgrade {
        write_line(out, "Upgrade", protocols);
    }
    write_connection(out, [(to.close, "close"), (trailers, "TE"), (upgrade.is_some(), "upgrade")]);
    write_length(out, to.length);
    out.extend_from_slice(b"\r\n");
}

/// Writes a field line, but for what of it is the key.
fn write_without_key(out: &mut Vec<u8>, name: &str, value: &[u8], key: &Handover<'_>) {
    let replaced = key.bearer.is_some() && name.eq_ignore_ascii_case("Authorization");
    if replaced || key.carriers.take_line(name, value) {
        return;
    }
    if !name.eq_ignore_ascii_case("Cookie") {
        write_line(out, name, value);
    } else if let Some(rest) = key.carriers.cookies_without(value) {
        write_line(out, name, &rest);
    }
}

/// Whether a field that is not for this hop only goes on as it is.
fn travels(name: &str, head: &RequestHead<'_, '_>, to: &Forward<'_>) -> bool {
    let is = |field: &str| is_named(name, field);
    let ours = OURS.iter().any(|field| same_to_gateway(name, field));
    let ends = ours
        || to.changes.is_some_and(|changes| changes.stop(name))
        || is_about_client(name) && !to.peer_trusted
        || is("Max-Forwards") && head.max_forwards.is_some()
        // Coded events could not be told apart.
        || is("Accept-Encoding") && head.accepts_event_stream
        // Not a promise of HTTP/1.0's (RFC 9110 section 10.1.1).
        || is("Expect") && head.version == Version::Http10
        || is("Trailer") && to.length != BodyLength::Chunked;
    !ends
}

/// Whether a field that may stand behind a body goes on: not where one in the head would not, and
/// what is set here has no other value there (RFC 9110 section 6.5.1).
fn trails(name: &str, nominated: &Nominated<'_>, to: &Forward<'_>) -> bool {
    let ends = nominated.ends(name)
        || to.changes.is_some_and(|changes| changes.stop(name))
        || to.key.is_some_and(|key| same_to_gateway(name, &key.carriers.header));
    !ends
}

/// Tells the upstream about the client.
fn write_client(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) {
    write_addresses(out, head, to);
    let told = |name| head.fields.only(name).filter(|value| to.peer_trusted && !value.is_empty());
    let proto = told("X-Forwarded-Proto").unwrap_or(to.proto.as_bytes());
    write_line(out, "X-Forwarded-Proto", proto);
    if let Some(host) = told("X-Forwarded-Host").or(head.authority.map(str::as_bytes)) {
        write_line(out, "X-Forwarded-Host", host);
    }
}

/// The way of the request, as addresses: those that a trusted peer knows, then its own.
fn write_addresses(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) {
    let told = head.fields.all("X-Forwarded-For");
    let told = told.filter(|value| to.peer_trusted && !value.is_empty());
    let mut separator: &[u8] = b"X-Forwarded-For: ";
    let start = out.len();
    for value in told {
        out.extend_from_slice(separator);
        out.extend_from_slice(value);
        separator = b", ";
    }
    if let Some(address) = to.client {
        out.extend_from_slice(separator);
        write_address(out, address.to_canonical());
    }
    if out.len() > start {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head of the response that goes to the client: final, interim, or the 101 that
/// changes the protocol.
///
/// # Panics
///
/// If the client could not tell where the body ends: then it would take bytes of one response for
/// another.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, to: &Respond<'_>) {
    let has_end = to.client_version == Version::Http11 || to.length != BodyLength::Chunked;
    assert!(has_end, "HTTP/1.0 knows no chunked coding");
    assert!(!(to.persistent && to.length == BodyLength::UntilClose), "its end would not be seen");
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(Digits::decimal(head.status.into()).as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.reason);
    out.extend_from_slice(b"\r\n");
    let nominated = Nominated::by(head.fields);
    let stops = |name: &str| to.changes.is_some_and(|changes| changes.stop(name));
    for (name, value) in head.fields.iter() {
        let is = |field: &str| is_named(name, field);
        let ends = is("Content-Length")
            || is("Trailer") && to.length != BodyLength::Chunked
            || stops(name)
            || to.cors.is_some_and(|ours| ours.replaces(name))
            || nominated.ends(name) && !(to.upgrade && is("Upgrade"));
        if !ends && is("Trailer") {
            write_trailer_names(out, value, |name| !nominated.ends(name) && !stops(name));
        } else if !ends {
            write_line(out, name, value);
        }
    }
    if head.status >= 200 {
        if let Some(received) = to.date
            && head.fields.get("Date").is_none()
        {
            write_line(out, "Date", received.as_bytes());
        }
        if to.anti_buffering {
            write_anti_buffering(out, |name| is_there(name, head, to.changes));
        }
        if let Some(changes) = to.changes {
            changes.write(out);
        }
        for (name, value) in to.cors.iter().flat_map(|ours| &ours.fields) {
            // Of lists there is only one.
            if !head.fields.lists(name, value) {
                write_line(out, name, value.as_bytes());
            }
        }
        let keep = to.persistent && to.client_version == Version::Http10;
        write_connection(out, [(!to.persistent, "close"), (keep, "keep-alive")]);
        match (to.length, head.described_length) {
            (BodyLength::Empty, Some(length)) => write_length(out, BodyLength::Length(length)),
            (length, _) => write_length(out, length),
        }
    } else if to.upgrade {
        write_connection(out, [(true, "upgrade")]);
    }
    out.extend_from_slice(b"\r\n");
}

/// True exactly when a response has such a field when the operator is done with it.
fn is_there(name: &str, head: &ResponseHead<'_, '_>, changes: Option<&Changes>) -> bool {
    let passes = head.fields.get(name).is_some();
    changes.map_or(passes, |changes| changes.sets(name) || passes && !changes.stop(name))
}

/// The value of a response's field as the client gets to see it, if there is exactly one of them.
/// `changes` are the operator's.
pub fn passed_on<'v>(
    name: &str,
    head: &ResponseHead<'_, 'v>,
    changes: Option<&'v Changes>,
) -> Option<&'v [u8]> {
    if let Some(changes) = changes.filter(|changes| changes.stop(name)) {
        let set = changes.set.iter().find(|(field, _)| is_named(field, name));
        return set.map(|(_, value)| value.as_bytes());
    }
    if Nominated::by(head.fields).ends(name) { None } else { head.fields.only(name) }
}

/// Fields that make proxies hand on what they get. nginx reads the first, and does not pass it on;
/// caches and compressing proxies, the other. Those that the upstream wrote stay as they are.
pub(super) fn write_anti_buffering(out: &mut Vec<u8>, is_there: impl Fn(&str) -> bool) {
    for (name, value) in [("X-Accel-Buffering", "no"), ("Cache-Control", "no-cache, no-transform")]
    {
        if !is_there(name) {
            write_line(out, name, value.as_bytes());
        }
    }
}

/// RFC 9112 sections 6.1 and 6.2.
pub(super) fn write_length(out: &mut Vec<u8>, length: BodyLength) {
    match length {
        BodyLength::Length(bytes) => write_number_line(out, "Content-Length", bytes),
        BodyLength::Chunked => write_line(out, "Transfer-Encoding", b"chunked"),
        BodyLength::Empty | BodyLength::UntilClose => {}
    }
}

/// The options that apply, if any does.
pub(super) fn write_connection<const N: usize>(out: &mut Vec<u8>, options: [(bool, &str); N]) {
    let mut separator: &[u8] = b"Connection: ";
    for (_, option) in options.into_iter().filter(|(applies, _)| *applies) {
        out.extend_from_slice(separator);
        out.extend_from_slice(option.as_bytes());
        separator = b", ";
    }
    if separator == b", " {
        out.extend_from_slice(b"\r\n");
    }
}

fn write_number_line(out: &mut Vec<u8>, name: &str, number: u64) {
    write_line(out, name, Digits::decimal(number).as_bytes());
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets().map(|octet| Digits::decimal(octet.into()));
            out.extend_from_slice(first.as_bytes());
            for octet in &rest {
                out.push(b'.');
                out.extend_from_slice(octet.as_bytes());
            }
        }
        IpAddr::V6(address) => {
            // A Vec takes whatever it is given.
            let _ = write!(out, "{address}");
        }
    }
}

#[cfg(test)]
mod tests;
