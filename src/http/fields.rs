//! Fields: their names, the lists in their values ([`elements`]), and which of them are forwarded.
//!
//! A field is hop-by-hop if RFC 9110 section 7.6.1 says so or `Connection` nominates it. A client
//! can nominate any field, including those that the proxy or the upstream relies on, so the fields
//! in [`END_TO_END`] are forwarded regardless.
//!
//! CGI-style gateways turn each field name into a variable, in capitals and with `_` for any
//! punctuation. To them `Content_Length` is Content-Length, and `X_Forwarded_For` is
//! X-Forwarded-For. So wherever a name matters for trust or framing, names that such a gateway
//! would confuse with it count as well ([`same_to_gateway`]).
//!
//! A request with a name that only looks like framing is therefore refused.
//!
//! Tested against tables.

mod list;
mod origins;
mod reserved;

use super::abnf::{is_token, trim_start};
use super::head::HeadError;
use crate::work;
use httparse::{EMPTY_HEADER, Header, Status};

pub(super) use list::split;
pub use list::{elements, unquoted_elements};
pub use origins::{
    ALLOW_CREDENTIALS, ALLOW_ORIGIN, EXPOSE_HEADERS, Field, OriginFields, is_about_origins,
};
pub use reserved::{is_about_certificate, is_about_client};

/// Maximum number of fields in a head, whatever the configured limits are.
pub const FIELDS_MAX: usize = 256;

/// Maximum number of options in the `Connection` fields of a head. Every field of the head is
/// compared with every option, and no message needs more than a few.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

/// The number of fields that a [`FieldStore`] holds without an allocation: enough for nearly all
/// heads. All slots are filled before use, so more of them would slow down every head.
const FIELDS_USUAL: usize = 24;

/// Storage for the fields of a head while it is parsed.
#[derive(Debug)]
pub struct FieldStore<'b> {
    usual: [Header<'b>; FIELDS_USUAL],
    many: Vec<Header<'b>>,
}

impl<'b> FieldStore<'b> {
    /// Creates an empty store.
    pub const fn new() -> Self {
        FieldStore { usual: [EMPTY_HEADER; FIELDS_USUAL], many: Vec::new() }
    }

    /// Parses field lines, at most `fields_max`, and the empty line that ends `bytes`.
    ///
    /// # Errors
    /// If they are malformed or too many, or if `bytes` does not end with that line.
    pub(super) fn parse(
        &mut self,
        bytes: &'b [u8],
        fields_max: usize,
    ) -> Result<Fields<'_, 'b>, HeadError> {
        let fields_max = fields_max.min(FIELDS_MAX);
        let usual = &mut self.usual[..fields_max.min(FIELDS_USUAL)];
        let mut parsed = httparse::parse_headers(bytes, usual);
        if parsed == Err(httparse::Error::TooManyHeaders) && fields_max > FIELDS_USUAL {
            self.many.resize(fields_max, EMPTY_HEADER);
            parsed = httparse::parse_headers(bytes, &mut self.many);
        }
        match parsed? {
            Status::Complete((end, headers)) if end == bytes.len() => Ok(Fields::of(headers)),
            Status::Complete(_) | Status::Partial => Err(HeadError::NotOneHead),
        }
    }
}

impl Default for FieldStore<'_> {
    fn default() -> Self {
        FieldStore::new()
    }
}

/// The fields of a head, in the order in which they were received. Values have no surrounding
/// whitespace. Names are compared case-insensitively.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'h, 'b> {
    lines: &'h [Header<'b>],
    shapes: Shapes,
}

impl<'h, 'b> Fields<'h, 'b> {
    pub(super) fn of(lines: &'h [Header<'b>]) -> Fields<'h, 'b> {
        let shapes = lines.iter().fold(Shapes::NONE, |shapes, line| shapes.and(line.name));
        Fields { lines, shapes }
    }

    /// Iterates over all fields as name and value.
    pub fn iter(self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'h, 'b> {
        self.lines.iter().map(|field| (field.name, field.value))
    }

    /// False only if no field name equals this one or is [`same_to_gateway`].
    pub(super) const fn may_have_like(self, name: &str) -> bool {
        self.shapes.may_have(name)
    }

    /// The values of all fields with this name.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let lines = if self.shapes.may_have(name) { self.lines } else { &[] };
        work::note(lines.len());
        let named = lines.iter().filter(move |field| is_named(field.name, name));
        named.map(|field| field.value)
    }

    /// The value of the first field with this name.
    pub fn get(self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The value of the field with this name, if there is exactly one.
    pub fn only(self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_none() { first } else { None }
    }

    /// The elements of all fields with this name, each of which is a list (RFC 9110 section 5.3).
    pub fn elements(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.all(name).flat_map(elements)
    }

    /// True if there is one Content-Type and it names this media type, with any parameters (RFC
    /// 9110 section 8.3).
    pub fn has_media_type(self, media_type: &str) -> bool {
        self.only("Content-Type").is_some_and(|said| parameters(said, media_type).is_some())
    }

    /// True if a field with this name lists `element`, compared case-insensitively.
    pub fn lists(self, name: &str, element: &str) -> bool {
        self.elements(name).any(|listed| listed.eq_ignore_ascii_case(element.as_bytes()))
    }
}

/// What follows `media_type` in a value that names it: nothing, or its parameters with the
/// semicolon in front of them. None if the value names another one.
pub(super) fn parameters<'b>(value: &'b [u8], media_type: &str) -> Option<&'b [u8]> {
    let (said, rest) = value.split_at_checked(media_type.len())?;
    let rest = trim_start(rest);
    let is_named = said.eq_ignore_ascii_case(media_type.as_bytes());
    (is_named && matches!(rest, [] | [b';', ..])).then_some(rest)
}

/// Appends a field line.
pub fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    work::note(name.len() + value.len());
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// True if CGI-style gateways cannot tell `name` from `field`.
#[inline]
pub fn same_to_gateway(name: &str, field: &str) -> bool {
    name.len() == field.len() && is_variable(name, field)
}

fn is_variable(name: &str, field: &str) -> bool {
    let same = |(sent, meant): (u8, u8)| {
        sent.eq_ignore_ascii_case(&meant) || meant == b'-' && !sent.is_ascii_alphanumeric()
    };
    name.bytes().zip(field.bytes()).all(same)
}

/// The hop-by-hop fields, from client and upstream alike: those of RFC 9110 section 7.6.1, those
/// for proxies (sections 11.7.1 and 11.7.2), which an origin server or a gateway cannot use, and
/// the settings that accompany `Upgrade: h2c`.
pub const HOP_BY_HOP: [&str; 9] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "HTTP2-Settings",
];

/// The fields that `Connection` cannot remove: they are meant for the recipient and affect what it
/// does. Host, the framing fields and those about the client are not listed, because they are
/// written anew.
pub const END_TO_END: [&str; 31] = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Expires",
    "Forwarded",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Last-Event-ID",
    "Location",
    "Origin",
    "Range",
    "Referer",
    "Set-Cookie",
    "Strict-Transport-Security",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
];

fn is_one_of(name: &str, list: &[&str]) -> bool {
    list.iter().any(|listed| is_named(name, listed))
}

/// True if `sent` is this field's name. The length alone nearly always rules it out.
#[inline]
pub fn is_named(sent: &str, name: &str) -> bool {
    sent.len() == name.len() && sent.eq_ignore_ascii_case(name)
}

/// Like [`is_named`], but both names were chosen by a peer.
fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    let same_length = one.len() == other.len();
    work::note(if same_length { one.len() } else { 1 });
    same_length && one.eq_ignore_ascii_case(other)
}

/// A filter over some field names, with one bit for a length and a first letter. Some thirty names
/// are looked up in a head that has a handful, so the bit nearly always rules a name out.
#[derive(Clone, Copy, Debug)]
struct Shapes(u64);

impl Shapes {
    const NONE: Shapes = Shapes(0);

    const fn of(names: &[&str]) -> Shapes {
        let (mut shapes, mut at) = (Shapes::NONE, 0);
        while at < names.len() {
            shapes = shapes.and(names[at]);
            at += 1;
        }
        shapes
    }

    /// Adds a name.
    const fn and(self, name: &str) -> Shapes {
        Shapes(self.0 | Shapes::bit(name))
    }

    /// False only if none of the names equals `name`, ignoring case, nor is [`same_to_gateway`]: no
    /// name begins with punctuation.
    const fn may_have(self, name: &str) -> bool {
        self.0 & Shapes::bit(name) != 0
    }

    const fn bit(name: &str) -> u64 {
        match name.as_bytes() {
            // A letter has the same five bits in both cases.
            [first, ..] => 1 << ((name.len() * 7 + (*first & 31) as usize) % 64),
            [] => 0,
        }
    }
}

/// Field names that outlive the head, kept until the body has ended.
#[derive(Debug)]
pub struct Names(Vec<Box<str>>);

impl Names {
    /// Adds `more` to `names`. None if there are no names at all.
    pub fn and<'n, M: Iterator<Item = &'n str>>(
        names: Option<Box<Names>>,
        more: M,
    ) -> Option<Box<Names>> {
        let mut more = more.map(Box::from).peekable();
        if more.peek().is_none() {
            return names;
        }
        let mut all = names.unwrap_or_else(|| Box::new(Names(Vec::new())));
        all.0.extend(more);
        Some(all)
    }

    /// True if CGI-style gateways cannot tell `name` from one of these names.
    fn list(&self, name: &str) -> bool {
        self.0.iter().any(|listed| {
            work::note(if listed.len() == name.len() { name.len() } else { 1 });
            same_to_gateway(name, listed)
        })
    }
}

/// The options in `Connection` that nominate fields, without those that have a meaning of their
/// own. Nearly always empty.
#[derive(Clone, Debug)]
pub struct Nominated<'b>(Vec<&'b [u8]>);

impl<'b> Nominated<'b> {
    /// Collects the `Connection` options of a head. There are at most [`CONNECTION_OPTIONS_MAX`]:
    /// heads with more were refused.
    pub fn by(fields: Fields<'_, 'b>) -> Nominated<'b> {
        let usual = ["close", "keep-alive", "upgrade", "TE"];
        let usual = |option: &[u8]| usual.iter().any(|u| option.eq_ignore_ascii_case(u.as_bytes()));
        let options = fields.elements("Connection").take(CONNECTION_OPTIONS_MAX);
        Nominated(options.filter(|option| !usual(option)).collect())
    }

    /// The nominated names, for filtering the trailer section that follows the body. None if there
    /// are none.
    pub fn names(&self) -> Option<Box<Names>> {
        // An option that is not text names no field.
        let names = self.0.iter().filter_map(|name| str::from_utf8(name).ok());
        let names: Vec<Box<str>> = names.map(Box::from).collect();
        (!names.is_empty()).then(|| Box::new(Names(names)))
    }

    /// True if the field with this name is hop-by-hop.
    pub fn ends(&self, name: &str) -> bool {
        const SHAPES: Shapes = Shapes::of(&HOP_BY_HOP);
        if SHAPES.may_have(name) && is_one_of(name, &HOP_BY_HOP) {
            return true;
        }
        self.0.iter().any(|option| is_same_name(option, name.as_bytes()))
            && !is_one_of(name, &END_TO_END)
            && !is_about_client(name)
    }
}

/// True if the proxy writes or removes the field itself, or if it determines how a message is read.
/// The operator can neither set nor remove such a field.
pub fn is_reserved(name: &str) -> bool {
    const WRITTEN: [&str; 7] =
        ["Content-Length", "Host", "Via", "Date", "Expect", "Max-Forwards", "Trailer"];
    let mut written = HOP_BY_HOP.iter().chain(&WRITTEN);
    written.any(|field| same_to_gateway(name, field)) || is_about_client(name)
}

/// The fields that must not appear in trailers (RFC 9110 section 6.5.1): a recipient that merges
/// them into the head would change how the message is framed, routed, authenticated or understood
/// after it was checked.
const NOT_IN_TRAILERS: [&str; 40] = [
    // Framing and routing.
    "Content-Length",
    "Host",
    "Trailer",
    "Via",
    // Authentication and state.
    "Authorization",
    "Authentication-Info",
    "Cookie",
    "Cookie2",
    "Proxy-Authentication-Info",
    "Set-Cookie",
    "Set-Cookie2",
    "WWW-Authenticate",
    // Request modifiers.
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Expect",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Last-Event-ID",
    "Max-Forwards",
    "Origin",
    "Pragma",
    "Range",
    "Referer",
    // Response control.
    "Age",
    "Date",
    "Expires",
    "Location",
    "Retry-After",
    "Vary",
    // How to read the content.
    "Content-Encoding",
    "Content-Location",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
];

/// True if a field with this name may appear in a trailer section.
pub fn allowed_in_trailers(name: &str) -> bool {
    let mut refused = NOT_IN_TRAILERS.iter().chain(&HOP_BY_HOP);
    !refused.any(|field| same_to_gateway(name, field)) && !is_about_client(name)
}

/// Appends a `Trailer` line with the names of `value` that are passed on, if there are any (RFC
/// 9110 section 6.6.2). Invalid names and names not allowed in trailers are dropped; `passes`
/// decides about the rest.
pub fn write_trailer_names(out: &mut Vec<u8>, value: &[u8], passes: impl Fn(&str) -> bool) {
    let stays = |name: &str| allowed_in_trailers(name) && passes(name);
    let names = elements(value).filter(|name| is_token(name));
    let mut names = names.filter(|name| str::from_utf8(name).is_ok_and(stays)).peekable();
    if names.peek().is_some() {
        let names: Vec<&[u8]> = names.collect();
        write_line(out, "Trailer", &names.join(&b", "[..]));
    }
}

/// Appends to `out` the lines of a trailer section that are passed on: those that are allowed in
/// trailers and whose names cannot be confused with any of the `ending` ones (RFC 9110 section
/// 7.6.1). `raw` holds field lines, each with its CRLF; malformed ones are dropped.
pub fn filter_trailers(raw: &[u8], ending: Option<&Names>, out: &mut Vec<u8>) {
    for line in raw.split_inclusive(|&byte| byte == b'\n') {
        work::note(line.len());
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let well_formed = is_token(name) && name.len() < line.len() && line.ends_with(b"\r\n");
        let ends = |name: &str| ending.is_some_and(|names| names.list(name));
        let passes = |name: &str| allowed_in_trailers(name) && !ends(name);
        if well_formed && str::from_utf8(name).is_ok_and(passes) {
            out.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(line: &'static str) -> Header<'static> {
        let (name, value) = line.split_once(": ").unwrap();
        Header { name, value: value.as_bytes() }
    }

    #[test]
    fn names_and_values() {
        let headers = ["A: 1", "b: 2, x", "a: 3"].map(header);
        let fields = Fields::of(&headers);
        assert_eq!(fields.get("a"), Some(&b"1"[..]));
        assert_eq!(fields.only("a"), None);
        assert_eq!(fields.only("B"), Some(&b"2, x"[..]));
        assert_eq!(fields.get("c"), None);
        assert!(fields.all("A").eq([b"1", b"3"]));
        assert!(fields.lists("B", "X") && fields.lists("a", "3") && !fields.lists("b", "2, x"));
    }

    #[test]
    fn a_look_from_afar_misses_nobody() {
        for name in HOP_BY_HOP.into_iter().chain(END_TO_END) {
            let shapes = Shapes::of(&["X", name]);
            assert!(shapes.may_have(&name.to_lowercase()) && shapes.may_have(&name.to_uppercase()));
        }
        assert!(!Shapes::of(&["Host", "Via"]).may_have("Date") && !Shapes::NONE.may_have(""));
    }

    #[test]
    fn what_a_gateway_cannot_tell_apart() {
        for (name, want) in [
            ("content-length", true),
            ("Content_Length", true),
            ("content.length", true),
            ("ContentxLength", false),
            ("Content-Length_", false),
            ("ContentLength", false),
        ] {
            assert_eq!(same_to_gateway(name, "Content-Length"), want, "{name}");
        }
    }

    #[test]
    fn how_far_fields_travel() {
        let headers = [
            "Connection: close, X-Mine",
            "CONNECTION: keep-alive , cookie,host, x-forwarded-for, Last-Event-ID,,TE",
        ];
        let headers = headers.map(header);
        let nominated = Nominated::by(Fields::of(&headers));
        for name in HOP_BY_HOP.into_iter().chain(["x-mine", "host", "te", "KEEP-ALIVE"]) {
            assert!(nominated.ends(name), "{name}");
        }
        for name in ["Cookie", "X-Forwarded-For", "Last-Event-ID", "Close", "X-Other", "Accept"] {
            assert!(name == "Close" || !nominated.ends(name), "{name}");
        }
        let nothing = [header("Connection: Keep-Alive, Upgrade")];
        let nothing = Nominated::by(Fields::of(&nothing));
        assert!(nothing.names().is_none() && nothing.ends("Upgrade") && !nothing.ends("X-Mine"));
    }

    #[test]
    fn trailers() {
        let raw = b"Server-Timing: a\r\ncontent_length: 5\r\nX: y:z\r\n\
            Transfer-Encoding: chunked\r\nContent-Digest: c\r\nhost: b\r\nX-Forwarded-For: 1\r\n\
            x_original_url: /\r\nConnection: X\r\n: a\r\nno colon\r\nbare: lf\nEmpty:\r\n";
        let mut out = b"before".to_vec();
        filter_trailers(raw, None, &mut out);
        let want = "beforeServer-Timing: a\r\nX: y:z\r\nContent-Digest: c\r\nEmpty:\r\n";
        assert_eq!(str::from_utf8(&out), Ok(want));
        let headers = ["Connection: x, close", "connection: empty"].map(header);
        let names = Nominated::by(Fields::of(&headers)).names();
        out.clear();
        filter_trailers(raw, names.as_deref(), &mut out);
        assert_eq!(str::from_utf8(&out), Ok("Server-Timing: a\r\nContent-Digest: c\r\n"));
        let raw = b"x-key: a\r\nX_Key: b\r\nX.KEY: c\r\nX-Keys: d\r\nXKey: e\r\n";
        out.clear();
        let names = Names::and(names, ["X-Key"].into_iter());
        filter_trailers(raw, names.as_deref(), &mut out);
        assert_eq!(str::from_utf8(&out), Ok("X-Keys: d\r\nXKey: e\r\n"));
        assert!(Names::and(None, [].into_iter()).is_none());
    }

    #[test]
    fn announced_trailers() {
        for (value, want) in [
            ("X-Sum", "Trailer: X-Sum\r\n"),
            (
                "X-Sum ,host,, X-Forwarded-For,Content_Type, x-mine,Server-Timing",
                "Trailer: X-Sum, Server-Timing\r\n",
            ),
            ("Content-Length, X-Mine, a b, \u{fc}", ""),
            ("", ""),
        ] {
            let mut out = Vec::new();
            write_trailer_names(&mut out, value.as_bytes(), |name| !is_named(name, "X-Mine"));
            assert_eq!(str::from_utf8(&out), Ok(want), "{value}");
        }
    }
}
