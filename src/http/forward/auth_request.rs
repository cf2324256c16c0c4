//! Auth requests: what an auth server is sent about a request, and what is taken from its response.
//!
//! An auth request is a GET without a body, as nginx, Traefik, Caddy and HAProxy send it. What the
//! client requested is in two families of fields, because servers read one or the other. The path
//! in them is the one by which the api was found, with its dot segments resolved, not as the client
//! spelled it.
//!
//! All fields are written here, except for a few of the client's, which say who it is or what it
//! can display.

use super::super::fields::{Fields, Nominated, is_named, write_line};
use super::super::head::{RequestHead, ResponseHead};
use super::{Forward, Handover, OutboundHead, PSEUDONYM};
use super::{outer_prefix, proto, told, write_addresses, write_without_key};

/// The client's fields that are passed on.
const PASSED: [&str; 6] =
    ["Accept", "Authorization", "Cookie", "Origin", "User-Agent", "X-Requested-With"];

/// Appends the fields of an auth request, except Host. It is about a request for `path`, with its
/// dot segments resolved, and a `query` without a key.
pub fn write_question(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    to: &Forward<'_>,
    path: &[u8],
    query: Option<&str>,
) {
    let mut uri = [outer_prefix(head, to), path].concat();
    if let Some(query) = query {
        uri.push(b'?');
        uri.extend_from_slice(query.as_bytes());
    }
    let (method, proto) = (head.method.as_bytes(), proto(head, to));
    let host = told("X-Forwarded-Host", head, to).or(head.authority.map(str::as_bytes));
    write_line(out, "X-Forwarded-Method", method);
    write_line(out, "X-Forwarded-Proto", proto);
    write_line(out, "X-Original-Method", method);
    if let Some(host) = host {
        write_line(out, "X-Forwarded-Host", host);
        // `OPTIONS *` is about the server as a whole.
        let path = if uri == b"*" { &[] } else { uri.as_slice() };
        write_line(out, "X-Original-URL", &[proto, b"://", host, path].concat());
    }
    write_line(out, "X-Forwarded-Uri", &uri);
    write_addresses(out, head, to);
    let nominated = Nominated::by(head.fields);
    let key = to.key.map(|key| Handover { bearer: None, ..key });
    for (name, value) in head.fields.iter() {
        if PASSED.iter().any(|field| is_named(name, field)) && !nominated.ends(name) {
            match &key {
                Some(key) => write_without_key(out, name, value, key),
                None => write_line(out, name, value),
            }
        }
    }
    write_line(out, "Via", format!("1.1 {PSEUDONYM}").as_bytes());
}

/// Appends the field lines of a response that have one of these names and are not hop-by-hop.
pub fn write_passed(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, names: &[String]) {
    let nominated = Nominated::by(head.fields);
    for (name, value) in head.fields.iter() {
        if let Some(known) = names.iter().find(|known| is_named(name, known))
            && !nominated.ends(name)
        {
            write_line(out, known, value);
        }
    }
}

/// How long a response is valid for equal requests, in seconds (RFC 9111 section 4.2.1).
pub fn max_age(fields: Fields<'_, '_>) -> u64 {
    if ["no-store", "no-cache"].iter().any(|word| fields.lists("Cache-Control", word))
        || fields.lists("Vary", "*")
    {
        return 0;
    }
    let mut ages = fields.elements("Cache-Control").filter_map(|element| {
        let (name, value) = element.split_at_checked("max-age=".len())?;
        name.eq_ignore_ascii_case(b"max-age=").then_some(value)
    });
    // If there are several, none counts.
    let (Some(said), None) = (ages.next(), ages.next()) else { return 0 };
    let age = fields.get("Age").map_or(Some(0), number);
    number(said).zip(age).map_or(0, |(most, age)| most.saturating_sub(age))
}

/// A number of seconds, which may be in quotes.
fn number(text: &[u8]) -> Option<u64> {
    let bare = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let is_number = !bare.is_empty() && bare.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| str::from_utf8(bare).ok()).flatten();
    number.map(|digits| digits.parse().unwrap_or(u64::MAX))
}

impl OutboundHead {
    /// Adds field lines, each with its CRLF, after all others.
    ///
    /// # Panics
    /// If they are not whole field lines.
    pub fn add(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let ends = |line: &[u8]| line.ends_with(b"\r\n") && line != b"\r\n";
        let mut each = lines.split_inclusive(|byte| *byte == b'\n');
        assert!(each.all(ends), "lines that would end the head");
        let (before, end) = self.bytes.split_at(self.bytes.len() - b"\r\n".len());
        self.bytes = [before, lines, end].concat().into_boxed_slice();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::head::{FieldStore, HeadLimits, HeadSearch};
    use super::super::tests::TO;
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, head_fields: 40, target_bytes: 999 };

    fn question(request: &str, change: impl FnOnce(&mut Forward<'_>)) -> String {
        let wire = format!("{request}\n\n").replace('\n', "\r\n");
        let mut store = FieldStore::new();
        let head = RequestHead::of_wire(wire.as_bytes(), &mut store, &LIMITS).unwrap();
        let (mut path, mut out) = (Vec::new(), Vec::new());
        head.target.resolve_path(&mut path).unwrap();
        let mut to = Forward { client: None, ..TO };
        change(&mut to);
        write_question(&mut out, &head, &to, &path, head.target.query);
        String::from_utf8(out).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn what_is_asked() {
        let got = question(
            "POST /a/../b%2Fc?d=/../e HTTP/1.1\nHost: a.example:81\nCookie: f=g\nCookie: h=i\n\
             X-Forwarded-Uri: /forged\nx_forwarded_host: forged\nX-Original-URL: forged\n\
             Connection: X-Requested-With, Cookie\nX-Requested-With: j\nAuthorization: Basic k\n\
             Accept: l\nContent-Length: 5\nIf-None-Match: m\nX-Api-Key: n\nExpect: 100-continue",
            |to| to.client = Some("192.0.2.1".parse().unwrap()),
        );
        let want = "X-Forwarded-Method: POST\nX-Forwarded-Proto: http\nX-Original-Method: POST\n\
             X-Forwarded-Host: a.example:81\nX-Original-URL: http://a.example:81/b%2Fc?d=/../e\n\
             X-Forwarded-Uri: /b%2Fc?d=/../e\nX-Forwarded-For: 192.0.2.1\nCookie: f=g\n\
             Cookie: h=i\nAuthorization: Basic k\nAccept: l\nVia: 1.1 millstream\n";
        assert_eq!(got, want);
    }

    #[test]
    fn what_a_trusted_proxy_says_is_asked() {
        let request = "GET /b HTTP/1.1\nHost: inner\nX-Forwarded-Host: outer.example\n\
             X-Forwarded-Proto: https\nX-Forwarded-Prefix: /a/\nX-Forwarded-For: 192.0.2.1";
        let got = question(request, |to| to.peer_trusted = true);
        let want = "X-Forwarded-Method: GET\nX-Forwarded-Proto: https\nX-Original-Method: GET\n\
             X-Forwarded-Host: outer.example\nX-Original-URL: https://outer.example/a/b\n\
             X-Forwarded-Uri: /a/b\nX-Forwarded-For: 192.0.2.1\nVia: 1.1 millstream\n";
        assert_eq!(got, want);
    }

    #[test]
    fn where_there_is_no_host_or_no_path() {
        let got = question("GET / HTTP/1.0", |_| {});
        let want = "X-Forwarded-Method: GET\nX-Forwarded-Proto: http\nX-Original-Method: GET\n\
             X-Forwarded-Uri: /\nVia: 1.1 millstream\n";
        assert_eq!(got, want);
        let got = question("OPTIONS * HTTP/1.1\nHost: a", |_| {});
        assert!(got.contains("X-Original-URL: http://a\nX-Forwarded-Uri: *\n"), "{got}");
    }

    fn answer<T>(fields: &str, read: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
        let wire = format!("HTTP/1.1 200 OK\n{fields}\n").replace('\n', "\r\n");
        let end = HeadSearch::response().find(wire.as_bytes(), &LIMITS).unwrap().unwrap();
        let mut store = FieldStore::new();
        let head = ResponseHead::parse(&wire.as_bytes()[..end], &mut store, &LIMITS, false);
        read(&head.unwrap())
    }

    #[test]
    fn what_is_taken_from_an_answer() {
        let names = ["X-User".to_owned(), "X-Groups".to_owned()];
        let fields = "x-user: a\nX-Other: b\nX-Groups: c\nX_User: d\nX-GROUPS: e\nX-User-Id: f\n";
        let passed = |fields: &str| {
            let mut out = Vec::new();
            answer(fields, |head| write_passed(&mut out, head, &names));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(passed(fields), "X-User: a\r\nX-Groups: c\r\nX-Groups: e\r\n");
        assert_eq!(passed("X-User: a\nConnection: x-user\n"), "");
        assert_eq!(passed("X-User:\n"), "X-User: \r\n");
    }

    #[test]
    fn how_long_an_answer_holds() {
        let check = |fields: &str, want| {
            assert_eq!(answer(fields, |head| max_age(head.fields)), want, "{fields}");
        };
        check("", 0);
        check("Cache-Control: max-age=30\n", 30);
        check("Cache-Control: private, MAX-AGE=\"7\"\nVary: Cookie\n", 7);
        check("Cache-Control: max-age=30\nAge: 10\n", 20);
        check("Cache-Control: max-age=30\nAge: 31\n", 0);
        check("Cache-Control: max-age=30\nAge: x\n", 0);
        check("Cache-Control: max-age=99999999999999999999999\n", u64::MAX);
        for fields in [
            "Cache-Control: max-age=30, no-store\n",
            "Cache-Control: max-age=30\nCache-Control: No-Cache\n",
            "Cache-Control: max-age=30, max-age=40\n",
            "Cache-Control: max-age=-1\n",
            "Cache-Control: max-age=\n",
            "Cache-Control: max-age\n",
            "Cache-Control: s-maxage=30\n",
            "Cache-Control: max-age=30\nVary: *\n",
            "Expires: Thu, 01 Jan 2099 00:00:00 GMT\n",
        ] {
            check(fields, 0);
        }
    }
}
