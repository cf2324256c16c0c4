//! The heads that are forwarded: a request's to the upstream, a response's to the client.
//!
//! They are written anew from what was parsed: the start line, framing and connection fields are
//! ours, and the other fields keep their order, spelling and number, except those that are
//! hop-by-hop ([`Nominated`]). Lines are not joined, so each Set-Cookie stays on its own line. Only
//! the addresses of X-Forwarded-For are joined, because many servers read just one line.
//!
//! An upstream trusts X-Forwarded-For, -Proto, -Host and -Prefix, so a client must not be able to
//! set them. Their values are kept and extended only if a trusted peer sent them. The other
//! reserved fields ([`is_about_client`]) are passed on from a trusted peer, and dropped otherwise.
//! If clients are asked for a certificate, the fields about it are always ours ([`Shown`]).
//!
//! Via is added only to requests: RFC 9110 section 7.6.3 requires it of gateways there, and makes
//! it optional in responses. It carries the version that was received (`1.0 millstream` for a
//! client of HTTP/1.0). Date is never changed, and is added if it is missing (section 6.6.1). Apart
//! from framing fields, nothing else is added to a response unless it is configured.
//!
//! Tested by parsing what is written: it must mean the same, for valid and for odd heads.

mod auth_request;
mod shared;

pub use shared::{query as shared_query, shared};

use super::changes::Changes;
use super::client_cert::Shown;
use super::credentials::Carriers;
use super::fields::{
    Nominated, OriginFields, is_about_certificate, is_about_client, is_named, same_to_gateway,
    write_line, write_trailer_names,
};
use super::framing::BodyLength;
use super::head::{RequestHead, ResponseHead};
use super::upgrade;
use super::version::Version;
use crate::digits::{AddressText, Digits};
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::ops::Range;

pub use auth_request::{max_age, write_passed, write_question};

/// Our pseudonym in Via.
pub const PSEUDONYM: &str = "millstream";

/// How to forward a request.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The path and query of the target that goes upstream, or `*`.
    pub path_and_query: &'a [u8],
    /// The value of Host if it is the client's or one of the api's own. Otherwise it is the
    /// endpoint's, which is known when the head is sent. Not empty.
    pub host: Option<&'a str>,
    /// The address of the client's connection, unless it is a Unix socket.
    pub client: Option<IpAddr>,
    /// True if the client is a proxy whose X-Forwarded fields are trusted.
    pub peer_trusted: bool,
    /// The scheme that the client used.
    pub proto: &'a str,
    /// The prefix that was removed from the path. Empty if none was.
    pub stripped: &'a str,
    /// How the body is framed. Not [`BodyLength::UntilClose`].
    pub length: BodyLength,
    /// True if the protocols in [`RequestHead::upgrade`] are offered to the upstream.
    pub upgrade: bool,
    /// True if the response must not be coded, because the boundaries of coded events could not be
    /// found.
    pub uncoded: bool,
    /// True if the connection is not to be reused.
    pub close: bool,
    /// The operator's changes to the fields.
    pub changes: Option<&'a Changes>,
    /// The id of the last event, if the request carries it elsewhere than in its field.
    pub last_event_id: Option<&'a [u8]>,
    /// What to do with the request's key, if it needed one.
    pub key: Option<Handover<'a>>,
    /// What the client presented, if it was asked for a certificate.
    pub shown: Option<&'a Shown>,
}

/// How a key is handled on the way upstream.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// The carriers from which the key is removed.
    pub carriers: &'a Carriers,
    /// The key, if it is forwarded in a field of its own. Visible ASCII characters.
    pub bearer: Option<&'a [u8]>,
}

/// How to forward a response.
#[derive(Clone, Copy, Debug)]
pub struct Respond<'a> {
    /// How the body is framed.
    pub length: BodyLength,
    /// True if the client may send another request on this connection. Ignored for an interim
    /// response.
    pub persistent: bool,
    /// The client's version.
    pub client_version: Version,
    /// True if this is the 101 that switches protocols.
    pub upgrade: bool,
    /// The protocols that may be offered to an upstream. A 426 lists those of them that the
    /// upstream asks for.
    pub protocols: &'a [String],
    /// When the response was received: the Date for a final response that has none (RFC 9110
    /// section 6.6.1). None: add no Date.
    pub date: Option<&'a str>,
    /// True if intermediaries are asked not to buffer.
    pub anti_buffering: bool,
    /// The operator's changes to the fields.
    pub changes: Option<&'a Changes>,
    /// The CORS fields that replace the upstream's. None: the upstream's are passed on.
    pub cors: Option<&'a OriginFields<'a>>,
    /// Values that replace those of the upstream's fields, by field name.
    pub replaced: &'a [(&'static str, Vec<u8>)],
}

/// The request fields that are always written here, whatever the client sent.
const OURS: [&str; 6] =
    ["Host", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", PREFIX];

/// Maximum number of bytes by which a head grows when it is written anew: two for each line, and
/// our own fields. Most of it is for what `[api.cors]` may add. Not included are blanks added to
/// lists (at most half of the head), and what is configured, replaced, or about the client.
pub const ADDED_MAX: usize = 4096;

/// The field that carries the prefix removed from the path.
pub const PREFIX: &str = "X-Forwarded-Prefix";

/// The fields that, together with the request line, identify who requests what.
const IDENTITY: [&str; 4] = ["Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Host"];

/// The head of a request that goes upstream, without the parts that may differ on each attempt: the
/// endpoint's host and the id of the last event received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundHead {
    /// The whole head, in order.
    bytes: Box<[u8]>,
    /// The offset at which to insert the endpoint's host, unless the client's is preserved.
    host_at: Option<usize>,
    /// The lines that carry the id of the last event, set by the client or the operator.
    last_event_id: Vec<Range<usize>>,
    /// True if the operator sets or removes that id.
    is_id_ours: bool,
}

impl OutboundHead {
    /// The size in bytes, without the host and the last event's id.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The whole head, without the host and the last event's id.
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True if the operator, not the client, determines which id the upstream gets.
    pub const fn is_id_ours(&self) -> bool {
        self.is_id_ours
    }

    /// The same request without the id of an event.
    pub fn without_last_event_id(self) -> OutboundHead {
        let (mut bytes, mut from) = (Vec::new(), 0);
        for line in &self.last_event_id {
            bytes.extend_from_slice(&self.bytes[from..line.start]);
            from = line.end;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        OutboundHead { bytes: bytes.into(), last_event_id: Vec::new(), ..self }
    }

    /// The same request, which had no such id, for what follows the event with this one.
    pub fn continuing(self, id: &[u8]) -> OutboundHead {
        let mut bytes = self.bytes.into_vec();
        bytes.truncate(bytes.len() - b"\r\n".len());
        let start = bytes.len();
        write_line(&mut bytes, "Last-Event-ID", id);
        let line = start..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        OutboundHead { bytes: bytes.into(), last_event_id: vec![line], ..self }
    }

    /// The id of the event that it continues after, if [`OutboundHead::continuing`] has set one.
    pub fn continues_behind(&self) -> Option<&[u8]> {
        let line = self.last_event_id.last().filter(|_| !self.is_id_ours)?;
        let line = &self.bytes[line.clone()];
        let value = line.strip_prefix(b"Last-Event-ID: ")?;
        value.strip_suffix(b"\r\n")
    }

    /// A number that identifies who requests what. It stays the same if a client repeats its
    /// request with the same credentials, even if a request id or the id of the last event differs.
    /// Different requests have the same number only by chance.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut lines = self.bytes.split(|byte| *byte == b'\n');
        hasher.write(lines.next().unwrap_or_default());
        for line in lines {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if IDENTITY.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes())) {
                hasher.write(line);
            }
        }
        hasher.finish()
    }

    /// Appends the head for the endpoint with this `host`. `last_event_id` replaces the client's
    /// own value, as when a client reconnects to continue an event stream (WHATWG HTML section
    /// 9.2.3). If it is empty, there is no such field. None keeps the client's value.
    ///
    /// # Panics
    /// If Host would be empty or not visible ASCII: the upstream could then misread the request.
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
        if !id.is_empty() {
            write_line(out, "Last-Event-ID", id);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the head of the request that goes upstream, using `out`, which must be empty.
///
/// # Panics
///
/// If the target or Host is empty or not visible ASCII: the upstream could then misread the
/// request.
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
    if let Some(id) = to.last_event_id.filter(|_| travels("Last-Event-ID", head, to)) {
        let start = out.len();
        write_line(out, "Last-Event-ID", id);
        note("Last-Event-ID", start..out.len());
    }
    last_event_id.extend(write_set(out, to));
    write_request_end(out, head, to);
    let is_id_ours = !travels("Last-Event-ID", head, to);
    OutboundHead { bytes: out.as_slice().into(), host_at, last_event_id, is_id_ours }
}

/// Writes the fields that the operator sets. Returns the lines that carry a Last-Event-ID.
fn write_set(out: &mut Vec<u8>, to: &Forward<'_>) -> Vec<Range<usize>> {
    let mut last_event_id = Vec::new();
    for (name, value) in to.changes.iter().flat_map(|changes| &changes.set) {
        let start = out.len();
        write_line(out, name, value.as_bytes());
        if is_named(name, "Last-Event-ID") {
            last_event_id.push(start..out.len());
        }
    }
    last_event_id
}

/// Writes the request line and Host. Returns where to insert the host if it is not known yet.
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

/// Writes our own fields and the end of the head.
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

/// Writes a field line without the key.
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

/// True if an end-to-end field is forwarded as it is.
fn travels(name: &str, head: &RequestHead<'_, '_>, to: &Forward<'_>) -> bool {
    let is = |field: &str| is_named(name, field);
    let ours = OURS.iter().any(|field| same_to_gateway(name, field));
    let ends = ours
        || to.changes.is_some_and(|changes| changes.stop(name))
        || is_about_client(name) && !to.peer_trusted
        || to.shown.is_some() && is_about_certificate(name)
        || is("Max-Forwards") && head.max_forwards.is_some()
        || is("Accept-Encoding") && to.uncoded
        // An expectation in HTTP/1.0 is ignored (RFC 9110 section 10.1.1).
        || is("Expect") && head.version == Version::Http10
        || is("Trailer") && to.length != BodyLength::Chunked;
    !ends
}

/// True if a trailer field is forwarded. It is not if the same field in the head would be dropped
/// or is set by the operator (RFC 9110 section 6.5.1).
fn trails(name: &str, nominated: &Nominated<'_>, to: &Forward<'_>) -> bool {
    let ends = nominated.ends(name)
        || to.changes.is_some_and(|changes| changes.stop(name))
        || to.key.is_some_and(|key| key.carriers.is_header(name));
    !ends
}

/// Writes the fields that describe the client.
fn write_client(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) {
    write_addresses(out, head, to);
    write_line(out, "X-Forwarded-Proto", proto(head, to));
    if let Some(host) = told("X-Forwarded-Host", head, to).or(head.authority.map(str::as_bytes)) {
        write_line(out, "X-Forwarded-Host", host);
    }
    write_prefix(out, head, to);
    if let Some(shown) = to.shown {
        shown.write(out);
    }
}

/// Writes the prefix removed from the path, after the one that a trusted peer removed, unless the
/// operator sets or removes the field.
fn write_prefix(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, to: &Forward<'_>) {
    let (name, outer) = (PREFIX, outer_prefix(head, to));
    let is_there = !outer.is_empty() || !to.stripped.is_empty();
    if is_there && !to.changes.is_some_and(|changes| changes.stop(name)) {
        write_line(out, name, &[outer, to.stripped.as_bytes()].concat());
    }
}

/// The prefix that a trusted peer has removed from the path, without a slash at its end.
pub fn outer_prefix<'v>(head: &RequestHead<'_, 'v>, to: &Forward<'_>) -> &'v [u8] {
    let outer = told(PREFIX, head, to).unwrap_or_default();
    outer.strip_suffix(b"/").unwrap_or(outer)
}

/// The scheme that the client used, as far as is known.
pub fn proto<'v>(head: &RequestHead<'_, 'v>, to: &Forward<'v>) -> &'v [u8] {
    told("X-Forwarded-Proto", head, to).unwrap_or(to.proto.as_bytes())
}

/// The value of a field that a trusted peer sent.
fn told<'v>(name: &str, head: &RequestHead<'_, 'v>, to: &Forward<'_>) -> Option<&'v [u8]> {
    head.fields.only(name).filter(|value| to.peer_trusted && !value.is_empty())
}

/// Writes the addresses that the request came through: those reported by a trusted peer, then the
/// peer's own.
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
        out.extend_from_slice(AddressText::of(address.to_canonical()).as_bytes());
    }
    if out.len() > start {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head of the response that goes to the client: final, interim, or the 101 that
/// switches protocols.
///
/// # Panics
///
/// If the client could not tell where the body ends: it would then take bytes of one response for
/// those of another.
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
    let ends = |name: &str| {
        let is = |field: &str| is_named(name, field);
        is("Content-Length")
            || is("Trailer") && to.length != BodyLength::Chunked
            || stops(name)
            || to.cors.is_some_and(|ours| ours.replaces(name))
            || nominated.ends(name) && !(to.upgrade && is("Upgrade"))
    };
    for (name, value) in head.fields.iter().filter(|(name, _)| !ends(name)) {
        if is_named(name, "Trailer") {
            write_trailer_names(out, value, |name| !nominated.ends(name) && !stops(name));
        } else {
            let ours = to.replaced.iter().find(|(field, _)| is_named(name, field));
            write_line(out, name, ours.map_or(value, |(_, value)| value));
        }
    }
    if head.status >= 200 {
        if let Some(received) = to.date
            && head.fields.get("Date").is_none()
        {
            write_line(out, "Date", received.as_bytes());
        }
        if to.anti_buffering {
            let sets = |name: &str| to.changes.is_some_and(|changes| changes.sets(name));
            let passes = |name: &str| head.fields.get(name).is_some() && !ends(name);
            write_anti_buffering(out, |name| sets(name) || passes(name));
        }
        if let Some(changes) = to.changes {
            changes.write(out);
        }
        for (name, value) in to.cors.iter().flat_map(|ours| &ours.fields) {
            // The upstream's own line may list it already.
            if ends(name) || !head.fields.lists(name, value) {
                write_line(out, name, value.as_bytes());
            }
        }
        let keep = to.persistent && to.client_version == Version::Http10;
        let required = if head.status == 426 {
            upgrade::required(head.fields, to.protocols)
        } else {
            Vec::new()
        };
        let upgrade = !required.is_empty();
        if upgrade {
            write_line(out, "Upgrade", &required);
        }
        let options = [(!to.persistent, "close"), (keep, "keep-alive"), (upgrade, "upgrade")];
        write_connection(out, options);
        match (to.length, head.described_length) {
            (BodyLength::Empty, Some(length)) => write_length(out, BodyLength::Length(length)),
            (length, _) => write_length(out, length),
        }
    } else if to.upgrade {
        write_connection(out, [(true, "upgrade")]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The value of a response field as the client receives it, if there is exactly one. `changes` are
/// the operator's.
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

/// Writes fields that ask intermediaries not to buffer. nginx reads the first and removes it;
/// caches and compressing proxies read the other. Those that the upstream sent are kept.
pub(super) fn write_anti_buffering(out: &mut Vec<u8>, is_there: impl Fn(&str) -> bool) {
    for (name, value) in [("X-Accel-Buffering", "no"), ("Cache-Control", "no-cache, no-transform")]
    {
        if !is_there(name) {
            write_line(out, name, value.as_bytes());
        }
    }
}

/// Writes the framing fields (RFC 9112 sections 6.1 and 6.2).
pub(super) fn write_length(out: &mut Vec<u8>, length: BodyLength) {
    match length {
        BodyLength::Length(bytes) => write_number_line(out, "Content-Length", bytes),
        BodyLength::Chunked => write_line(out, "Transfer-Encoding", b"chunked"),
        BodyLength::Empty | BodyLength::UntilClose => {}
    }
}

/// Writes the `Connection` options that apply, if any do.
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

#[cfg(test)]
mod tests;
