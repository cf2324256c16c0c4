//! The plan of an exchange, drawn before it begins and known to both of its ends.

use super::events::Stream;
use millstream::testing::rng::Rng;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// The addresses of the origins. In some worlds the first refuses connections.
pub(crate) const ADDRESSES: [SocketAddr; 2] = [address(1), address(2)];

/// The address of an origin, or of the auth server.
pub(super) const fn address(host: u8) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 80))
}

/// How the end of a body is indicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// What the origin does instead of responding as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    None,
    /// It never responds.
    Silent,
    /// It closes before the first byte of a response.
    Deaf,
    /// It sends something that is not HTTP.
    Garbage,
    /// It responds that it cannot serve the request now.
    Refusal(u16),
    /// It closes after this number of bytes of the body.
    CutAt(usize),
    /// It resets the connection there.
    ResetAt(usize),
    /// It sends one of [`FLOODS`], which looks endless.
    Flood(usize),
}

/// The beginning of a response that never ends, and what is repeated after it.
pub(crate) const FLOODS: [(&str, &str); 6] = [
    ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
    ("HTTP/1.1 200 ", "O"),
    ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
];

/// The length of a flood.
pub(crate) const FLOOD_BYTES: usize = 10_000;

/// An exchange.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) id: usize,
    pub(crate) method: &'static str,
    pub(crate) http10: bool,
    /// The request has `Connection: close`.
    pub(crate) close: bool,
    /// The request has `Expect: 100-continue`. The client sends the body anyway, and the origin
    /// responds before it has seen it.
    pub(crate) expect: bool,
    /// The request's body, if any.
    pub(crate) request: Option<(Framing, Vec<u8>)>,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) event_stream: bool,
    /// The client accepts a compressed event stream, and the origin sends one if the proxy asks for
    /// it. Nothing decompresses it, so the bytes are the same.
    pub(crate) coded: bool,
    /// The body, if it consists of events.
    pub(crate) events: Option<Stream>,
    /// The number of trailer fields of chunked bodies, in both directions.
    pub(crate) trailers: usize,
    /// The number of interim responses before the final one.
    pub(crate) interims: u8,
    /// The origin responds before it has read the request's body.
    pub(crate) early: bool,
    pub(crate) mischief: Mischief,
    /// True if all origins do this mischief.
    pub(crate) is_stubborn: bool,
    /// How many more times origins do the mischief. Later attempts are served properly.
    pub(crate) pranks: Cell<u8>,
    /// The client has a session, so only one origin may get the request.
    pub(crate) is_bound: Cell<bool>,
    /// The client's address.
    pub(crate) client: IpAddr,
}

impl Plan {
    /// Draws a plan. Bodies have at most `size_max` bytes.
    pub(crate) fn draw(rng: &mut Rng, id: usize, client: IpAddr, size_max: usize) -> Plan {
        let method = rng.pick(&["GET", "GET", "POST", "PUT", "HEAD"]);
        let has_body = matches!(method, "POST" | "PUT");
        let http10 = rng.chance(15);
        let size = draw_size(rng, size_max);
        let request_framing =
            if rng.chance(50) && !http10 { Framing::Chunked } else { Framing::Length };
        let status = rng.pick(&[200, 200, 200, 204, 304, 404]);
        let framing =
            rng.pick(&[Framing::Length, Framing::Chunked, Framing::Chunked, Framing::UntilClose]);
        let body_size = if bodiless(method, status) { 0 } else { draw_size(rng, size_max) };
        let event_stream = rng.chance(60);
        let events = (event_stream && status == 200 && method != "HEAD")
            .then(|| Stream::draw(rng, id, body_size));
        let body = match &events {
            Some(events) => events.body.clone(),
            None => tagged(id, 'a', body_size),
        };
        let body_size = body.len();
        let mischief = if rng.chance(20) { draw_mischief(rng, body_size) } else { Mischief::None };
        // Mischief that ends quickly may be repeated.
        let soon = matches!(mischief, Mischief::Deaf | Mischief::Garbage | Mischief::Refusal(_));
        let is_stubborn = soon && !event_stream && id.is_multiple_of(2);
        Plan {
            id,
            method,
            http10,
            close: rng.chance(20),
            expect: has_body && !http10 && rng.chance(20),
            request: has_body.then(|| (request_framing, tagged(id, 'q', size))),
            status,
            framing,
            body,
            event_stream,
            coded: events.is_some() && id.is_multiple_of(3),
            events,
            trailers: if rng.chance(20) { rng.size(1, 40) } else { 0 },
            interims: if rng.chance(15) { rng.pick(&[1, 2, 3]) } else { 0 },
            early: rng.chance(20),
            mischief,
            is_stubborn,
            // Twice for each of two origins: on a used connection and on a new one.
            pranks: Cell::new(if is_stubborn { 4 } else { 1 }),
            is_bound: Cell::new(false),
            client,
        }
    }

    /// True if the request must not be sent twice (RFC 9110 section 9.2.2).
    pub(crate) fn once(&self) -> bool {
        self.method == "POST" || self.request.as_ref().is_some_and(|(_, body)| !body.is_empty())
    }

    /// True if it is not an event stream, so a target may not get the request again.
    pub(crate) fn is_no_stream(&self) -> bool {
        !self.event_stream && self.events.is_none()
    }

    /// True if the proxy may ask for the rest after a cut.
    pub(crate) fn is_resumable(&self) -> bool {
        self.method == "GET" && self.events.as_ref().is_some_and(Stream::has_ids)
    }

    /// [`bodiless`] for the planned response.
    pub(crate) fn bodiless(&self) -> bool {
        bodiless(self.method, self.status)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = if self.http10 { "1.0" } else { "1.1" };
        write!(f, "{} /{} HTTP/{version}", self.method, self.id)?;
        if let Some((framing, body)) = &self.request {
            write!(f, " with {framing:?} {}", body.len())?;
        }
        let (framing, length) = (self.framing, self.body.len());
        write!(f, " -> {} {framing:?} {length}, {:?}", self.status, self.mischief)?;
        let facts = [
            (self.close, "close"),
            (self.expect, "expect"),
            (self.event_stream, "event stream"),
            (self.interims > 0, "interims"),
            (self.early, "early"),
        ];
        facts.iter().filter(|(is, _)| *is).try_for_each(|(_, what)| write!(f, ", {what}"))
    }
}

/// True if such a response has no body, whatever its fields say (RFC 9112 section 6.3, item 1).
pub(crate) fn bodiless(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 204 | 304)
}

fn draw_size(rng: &mut Rng, size_max: usize) -> usize {
    let limit = rng.pick(&[1, 10, 300, 5000, 40_000]);
    rng.size(0, size_max.min(limit))
}

fn draw_mischief(rng: &mut Rng, body_size: usize) -> Mischief {
    let at = rng.size(0, body_size);
    match rng.below(7) {
        6 => Mischief::Refusal(rng.pick(&[429, 502, 503, 504])),
        5 => Mischief::Flood(rng.size(0, FLOODS.len() - 1)),
        0 => Mischief::Silent,
        1 => Mischief::Deaf,
        2 => Mischief::Garbage,
        3 => Mischief::CutAt(at),
        _ => Mischief::ResetAt(at),
    }
}

/// Bytes that contain their exchange, their kind and their offsets.
fn tagged(id: usize, kind: char, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        bytes.extend(format!("{kind}{id}.{} ", bytes.len()).bytes());
    }
    bytes.truncate(size);
    bytes
}
