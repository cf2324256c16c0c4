//! What one exchange is to be like, drawn before it begins and known to both its ends.

use super::events::Stream;
use millstream::testing::rng::Rng;
use std::cell::Cell;
use std::net::IpAddr;

/// Where the origins are; connections to the first are refused in some worlds.
pub(crate) const ADDRESSES: [&str; 2] = ["10.0.0.1:80", "10.0.0.2:80"];

/// How a body says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// What the origin does instead of answering as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    None,
    /// It never answers.
    Silent,
    /// It closes before a byte of an answer.
    Deaf,
    /// It sends what is no HTTP.
    Garbage,
    /// It answers that it cannot serve the request now.
    Refusal(u16),
    /// It closes after so many bytes of the body.
    CutAt(usize),
    /// It breaks the connection there.
    ResetAt(usize),
    /// It sends one of [`FLOODS`], without end as far as anybody can tell.
    Flood(usize),
}

/// How a response begins that never gets to its end, and what is repeated then.
pub(crate) const FLOODS: [(&str, &str); 6] = [
    ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
    ("HTTP/1.1 200 ", "O"),
    ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
];

/// The bytes of a flood, in all.
pub(crate) const FLOOD_BYTES: usize = 10_000;

/// One exchange.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) id: usize,
    pub(crate) method: &'static str,
    pub(crate) http10: bool,
    /// The request says `Connection: close`.
    pub(crate) close: bool,
    /// The request says `Expect: 100-continue`. The client sends its body all the same, and the
    /// origin answers without having seen it.
    pub(crate) expect: bool,
    /// The request's body, if it has one.
    pub(crate) request: Option<(Framing, Vec<u8>)>,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) event_stream: bool,
    /// The client accepts a coded event stream, and the origin sends one if it is told so. What is
    /// coded is nobody's to read, so that it need not differ.
    pub(crate) coded: bool,
    /// The body, if it is made of events.
    pub(crate) events: Option<Stream>,
    /// Trailer fields of chunked bodies, in both directions.
    pub(crate) trailers: usize,
    /// Interim responses before the final one.
    pub(crate) interims: u8,
    /// The origin answers before it has read the request's body.
    pub(crate) early: bool,
    pub(crate) mischief: Mischief,
    /// All origins get up to that mischief.
    pub(crate) is_stubborn: bool,
    /// How often origins still get up to their mischief: whoever asks again then is served as it
    /// should be.
    pub(crate) pranks: Cell<u8>,
    /// Its client has a session, so that only one origin may be asked.
    pub(crate) is_bound: Cell<bool>,
    /// Its client's address.
    pub(crate) client: IpAddr,
}

impl Plan {
    /// Bodies have at most `size_max` bytes.
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
        // Of what ends soon, some is stubborn.
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
            // Two origins, each on a used connection and on a fresh one.
            pranks: Cell::new(if is_stubborn { 4 } else { 1 }),
            is_bound: Cell::new(false),
            client,
        }
    }

    /// True when the request must not be sent twice (RFC 9110 section 9.2.2).
    pub(crate) fn once(&self) -> bool {
        self.method == "POST" || self.request.as_ref().is_some_and(|(_, body)| !body.is_empty())
    }

    /// True when nothing of it may be asked for again once it has begun.
    pub(crate) fn is_no_stream(&self) -> bool {
        !self.event_stream && self.events.is_none()
    }

    /// True when a proxy may ask for what it broke off.
    pub(crate) fn is_resumable(&self) -> bool {
        self.method == "GET" && self.events.as_ref().is_some_and(Stream::has_ids)
    }

    /// [`bodiless`], if it goes as planned.
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

/// True when such a response has no body, whatever its fields say (RFC 9112 section 6.3, item 1).
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

/// Bytes of which each run says whose they are and where they belong.
fn tagged(id: usize, kind: char, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        bytes.extend(format!("{kind}{id}.{} ", bytes.len()).bytes());
    }
    bytes.truncate(size);
    bytes
}
