//! Written heads are compared with the expected ones, and parsed again.

use super::*;
use crate::http::fields::{FieldStore, Fields, allowed_in_trailers};
use crate::http::head::{HeadLimits, HeadSearch};
use fastrand::Rng;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, head_fields: 60, target_bytes: 1000 };

pub(super) const TO: Forward<'_> = Forward {
    path_and_query: b"/up?a",
    host: None,
    client: Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9))),
    peer_trusted: false,
    proto: "http",
    stripped: "",
    length: BodyLength::Empty,
    uncoded: false,
    upgrade: false,
    close: false,
    changes: None,
    last_event_id: None,
    key: None,
    shown: None,
};

/// Checks the head that goes upstream for a request, from its second line on. ` ` stands for CRLF.
#[track_caller]
fn check_request(sent: &str, to: &Forward<'_>, want: &str) {
    let wire = format!("{sent}\n").replace('\n', "\r\n");
    let mut store = FieldStore::new();
    let head = RequestHead::of_wire(wire.as_bytes(), &mut store, &LIMITS).unwrap();
    let mut out = Vec::new();
    let to = Forward { length: head.length, ..*to };
    outbound(&mut Vec::new(), &head, &to).write(&mut out, "up.example:81", None);
    let got = String::from_utf8(out).unwrap().replace("\r\n", "\n");
    let start = format!("{} /up?a HTTP/1.1\nHost: up.example:81\n", head.method);
    assert_eq!(got.strip_prefix(&start), Some(&*format!("{want}\n")), "{sent}");
}

const GET: &str = "GET / HTTP/1.1\nHost: a.example\n";
const CLIENT: &str =
    "X-Forwarded-For: 10.0.0.9\nX-Forwarded-Proto: http\nX-Forwarded-Host: a.example\n";

#[test]
fn requests() {
    let check = |sent: &str, kept: &str, added: &str| {
        let want = format!("{kept}{CLIENT}Via: 1.1 millstream\n{added}");
        check_request(&format!("{GET}{sent}"), &TO, &want);
    };
    check("", "", "");
    check("b:  2\t\nA: 1\nb: 3\nEmpty:\n", "b: 2\nA: 1\nb: 3\nEmpty: \n", "");
    check(
        "Connection: close, X-Mine, Cookie\nX-Mine: 1\nCookie: c\nKeep-Alive: 5\n",
        "Cookie: c\n",
        "",
    );
    check(
        "TE: trailers;q=1, trailers\nProxy-Connection: x\n",
        "",
        "TE: trailers\nConnection: TE\n",
    );
    check("TE: gzip\nConnection: TE\nProxy-Authorization: x\n", "", "");
    check("Connection: upgrade\nUpgrade: websocket\n", "", "");
    check("Connection: Host, Content-Length\nContent-Length: 0\n", "", "Content-Length: 0\n");
    check("Content-Length: 007\nX: y\n", "X: y\n", "Content-Length: 7\n");
    check(
        "transfer-encoding: CHUNKED\nTrailer: X\n",
        "Trailer: X\n",
        "Transfer-Encoding: chunked\n",
    );
    check("Trailer: X\nMax-Forwards: 7\n", "Max-Forwards: 7\n", "");
    check("Accept: a/b\nAccept-Encoding: gzip\n", "Accept: a/b\nAccept-Encoding: gzip\n", "");
    let uncoded = Forward { uncoded: true, ..TO };
    let sent = format!("{GET}Accept-Encoding: gzip\nX: y\n");
    check_request(&sent, &uncoded, &format!("X: y\n{CLIENT}Via: 1.1 millstream\n"));
    check("Via: 1.0 x\nExpect: 100-continue\n", "Via: 1.0 x\nExpect: 100-continue\n", "");
    check("Last-Event-ID: 5\nConnection: last-event-id\n", "Last-Event-ID: 5\n", "");
}

#[test]
fn a_fingerprint_is_of_who_asks_for_what() {
    let of = |fields: &str, path_and_query: &str| {
        let wire = format!("GET / HTTP/1.1\nHost: a\n{fields}\n").replace('\n', "\r\n");
        let mut store = FieldStore::new();
        let head = RequestHead::of_wire(wire.as_bytes(), &mut store, &LIMITS).unwrap();
        let to = Forward { path_and_query: path_and_query.as_bytes(), ..TO };
        outbound(&mut Vec::new(), &head, &to).fingerprint()
    };
    let known = of("Cookie: a\n", "/up");
    for same in ["X-Request-Id: 7\nCookie: a\n", "Cookie: a\nLast-Event-ID: 7\n"] {
        assert_eq!(of(same, "/up"), known, "{same}");
    }
    for other in ["", "Cookie: b\n", "Cookie: a\nAuthorization: x\n", "X-Cookie: a\n"] {
        assert_ne!(of(other, "/up"), known, "{other}");
    }
    assert_ne!(of("Cookie: a\n", "/up?x"), known);
}

#[test]
fn connection_options() {
    let close = Forward { close: true, ..TO };
    let want = format!("{CLIENT}Via: 1.1 millstream\nTE: trailers\nConnection: close, TE\n");
    check_request(&format!("{GET}TE: trailers\n"), &close, &want);
    let upgrade = Forward { upgrade: true, ..TO };
    let want = format!("{CLIENT}Via: 1.1 millstream\nUpgrade: websocket\nConnection: upgrade\n");
    check_request(&format!("{GET}Connection: Upgrade\nUpgrade: websocket\n"), &upgrade, &want);
    check_request(GET, &upgrade, &format!("{CLIENT}Via: 1.1 millstream\n"));
    let old = "GET / HTTP/1.0\nExpect: 100-continue\nTE: trailers\n";
    let want = "X-Forwarded-For: 10.0.0.9\nX-Forwarded-Proto: http\nVia: 1.0 millstream\n";
    check_request(old, &TO, want);
    let trace = "TRACE / HTTP/1.1\nHost: a.example\nMax-Forwards: 7\n";
    check_request(trace, &TO, &format!("{CLIENT}Via: 1.1 millstream\nMax-Forwards: 6\n"));
}

#[test]
fn who_the_client_is() {
    let told = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\nX-Forwarded-Proto: https\n\
        x-forwarded-for: 3.3.3.3\nX-Forwarded-Host: b.example\nForwarded: for=1\nX-Real-IP: 1\n\
        X-Forwarded-Port: 1\nX_Forwarded_For: 4\n";
    let sent = format!("{GET}{told}Connection: X-Forwarded-For, X-Forwarded-Proto\n");
    check_request(&sent, &TO, &format!("{CLIENT}Via: 1.1 millstream\n"));
    let trusted = Forward { peer_trusted: true, ..TO };
    let want = "Forwarded: for=1\nX-Real-IP: 1\nX-Forwarded-Port: 1\n\
        X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9\nX-Forwarded-Proto: https\n\
        X-Forwarded-Host: b.example\nVia: 1.1 millstream\n";
    check_request(&sent, &trusted, want);
    check_request(GET, &trusted, &format!("{CLIENT}Via: 1.1 millstream\n"));
    let empty = format!(
        "{GET}X-Forwarded-For:\nX-Forwarded-Proto:\nX-Forwarded-Host: x\nX-Forwarded-Host: y\n"
    );
    check_request(&empty, &trusted, &format!("{CLIENT}Via: 1.1 millstream\n"));
    let nobody = Forward { client: None, ..TO };
    let want = "X-Forwarded-Proto: http\nX-Forwarded-Host: a.example\nVia: 1.1 millstream\n";
    check_request(&sent, &nobody, want);
    let mapped = Forward { client: "::ffff:10.0.0.9".parse().ok(), ..TO };
    check_request(GET, &mapped, &format!("{CLIENT}Via: 1.1 millstream\n"));
}

#[test]
fn what_was_removed_from_the_path() {
    let check = |sent: &str, to: &Forward<'_>, want: &str| {
        let kept = if want.starts_with("X-Forwarded-Prefix: set") { want } else { "" };
        let added = if kept.is_empty() { want } else { "" };
        let want = format!("{kept}{CLIENT}{added}Via: 1.1 millstream\n");
        check_request(&format!("{GET}{sent}"), to, &want);
    };
    let sent = "X-Forwarded-Prefix: /outer/\nX_Forwarded_Prefix: /x\n";
    let stripped = Forward { stripped: "/sse", ..TO };
    check("", &stripped, "X-Forwarded-Prefix: /sse\n");
    check(sent, &stripped, "X-Forwarded-Prefix: /sse\n");
    check(sent, &TO, "");
    let trusted = |stripped| Forward { peer_trusted: true, stripped, ..TO };
    check(sent, &trusted("/sse"), "X-Forwarded-Prefix: /outer/sse\n");
    check(sent, &trusted(""), "X-Forwarded-Prefix: /outer\n");
    check("X-Forwarded-Prefix: /\n", &trusted(""), "");
    let field = || "X-Forwarded-Prefix".to_owned();
    let set = Changes { set: vec![(field(), "set".to_owned())], remove: vec![] };
    check(sent, &Forward { changes: Some(&set), ..stripped }, "X-Forwarded-Prefix: set\n");
    let remove = Changes { set: vec![], remove: vec![field()] };
    check(sent, &Forward { changes: Some(&remove), ..stripped }, "");
}

/// What a client says about its certificate is never passed on if it was asked for one.
#[test]
fn who_has_shown_what() {
    let sent = format!("{GET}Client-Cert: :x:\nX_SSL_Client-Verify: SUCCESS\nX-Real-IP: 1\n");
    check_request(&sent, &TO, &format!("{CLIENT}Via: 1.1 millstream\n"));
    for peer_trusted in [false, true] {
        let to = Forward { shown: Some(&Shown::Nothing), peer_trusted, ..TO };
        let ip = if peer_trusted { "X-Real-IP: 1\n" } else { "" };
        let want = format!("{ip}{CLIENT}X-SSL-Client-Verify: NONE\nVia: 1.1 millstream\n");
        check_request(&sent, &to, &want);
    }
}

const OPEN: Respond<'_> = Respond {
    changes: None,
    cors: None,
    replaced: &[],
    anti_buffering: false,
    length: BodyLength::Empty,
    persistent: true,
    client_version: Version::Http11,
    upgrade: false,
    protocols: &[],
    date: None,
};

/// Checks the head that the client receives for a response. ` ` stands for CRLF.
#[track_caller]
fn check_response(sent: &str, request_was_head: bool, to: Respond<'_>, want: &str) {
    let wire = format!("{sent}\n").replace('\n', "\r\n");
    let mut store = FieldStore::new();
    let head =
        ResponseHead::of_wire(wire.as_bytes(), &mut store, &LIMITS, request_was_head).unwrap();
    let mut out = Vec::new();
    write_response(&mut out, &head, &to);
    let got = String::from_utf8(out).unwrap().replace("\r\n", "\n");
    assert_eq!(got, format!("HTTP/1.1 {want}\n"), "{sent}");
}

#[test]
fn responses() {
    use BodyLength::*;
    let length = |length| Respond { length, ..OPEN };
    let old = Respond { client_version: Version::Http10, ..OPEN };
    let check = |sent: &str, to, want| check_response(sent, false, to, want);
    check("HTTP/1.1 200 OK\nContent-Length: 5\n", length(Length(5)), "200 OK\nContent-Length: 5\n");
    check("HTTP/1.0 200\nX: y\n", length(Chunked), "200 \nX: y\nTransfer-Encoding: chunked\n");
    check(
        "HTTP/1.1 200 f\u{f6}r\nSet-Cookie: a\nset-cookie: b\nTrailer: T\n\
         Transfer-Encoding: chunked\n",
        length(Chunked),
        "200 f\u{f6}r\nSet-Cookie: a\nset-cookie: b\nTrailer: T\nTransfer-Encoding: chunked\n",
    );
    check(
        "HTTP/1.1 200 OK\nConnection: close, X, Set-Cookie\nX: y\nSet-Cookie: a\n\
         Keep-Alive: 1\nUpgrade: h2c\n",
        Respond { length: UntilClose, persistent: false, ..old },
        "200 OK\nSet-Cookie: a\nConnection: close\n",
    );
    check(
        "HTTP/1.1 200 OK\nContent-Length: 0\n",
        Respond { length: Length(0), ..old },
        "200 OK\nConnection: keep-alive\nContent-Length: 0\n",
    );
}

#[test]
fn responses_without_a_body() {
    let check = |sent: &str, to, want| check_response(sent, false, to, want);
    check("HTTP/1.1 204 No\nContent-Length: 5\nA: b\n", OPEN, "204 No\nA: b\n");
    check("HTTP/1.1 304 No\nContent-Length: 5\nA: b\n", OPEN, "304 No\nA: b\nContent-Length: 5\n");
    let head = "HTTP/1.1 200 OK\nContent-Length: 5\nTrailer: T\n";
    check_response(head, true, OPEN, "200 OK\nContent-Length: 5\n");
    check_response("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", true, OPEN, "200 OK\n");
    let hints = "HTTP/1.1 103 Early\nLink: a\nContent-Length: 1\nConnection: close\n";
    let received = Respond { date: Some("Sun, 06 Nov 1994 08:49:37 GMT"), ..OPEN };
    check("HTTP/1.1 204 No\n", received, "204 No\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n");
    check("HTTP/1.1 204 No\nDATE: x\n", received, "204 No\nDATE: x\n");
    check(hints, Respond { persistent: false, ..OPEN }, "103 Early\nLink: a\n");
    check(
        "HTTP/1.1 101 Yes\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: x\n",
        Respond { upgrade: true, ..OPEN },
        "101 Yes\nUpgrade: websocket\nSec-WebSocket-Accept: x\nConnection: upgrade\n",
    );
    let protocols = &["websocket", "irc/6.9"].map(str::to_owned);
    let listed = Respond { protocols, ..OPEN };
    check(
        "HTTP/1.1 426 Up\nUpgrade: h2c,IRC/6.9\nUpgrade: WebSocket\n",
        Respond { persistent: false, ..listed },
        "426 Up\nUpgrade: IRC/6.9, WebSocket\nConnection: close, upgrade\n",
    );
    check("HTTP/1.1 426 Up\nUpgrade: h2c\nConnection: upgrade\n", listed, "426 Up\n");
    check("HTTP/1.1 400 No\nUpgrade: websocket\nConnection: upgrade\n", listed, "400 No\n");
}

/// A random head that begins with `line` and has a host.
fn thrown(dice: &mut Rng, line: &str) -> Vec<u8> {
    let lines = [
        "Content-Length: 5",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Content_Length: 6",
        "A: b",
        "a: \u{e9},",
        "Connection: close",
        "Connection: A, x-b, Via",
        "Connection: upgrade",
        "Upgrade: websocket",
        "X-B:",
        "Cookie: c=d",
        "TE: trailers",
        "Accept: text/event-stream",
        "Accept-Encoding: br",
        "X-Forwarded-For: 1, 2",
        "X_Forwarded-Proto: x",
        "Expect: 100-continue",
        "Max-Forwards: 2",
        "Via: 1.1 a, 1.1 b",
        "Trailer: A",
        "Keep-Alive: 1",
        "Set-Cookie: x",
    ];
    let mut wire = format!("{line}\r\nHost: a.example\r\n");
    for _ in 0..dice.usize(..6) {
        wire += lines[dice.usize(..lines.len())];
        wire += "\r\n";
    }
    let mut wire = (wire + "\r\n").into_bytes();
    for _ in 0..dice.usize(..8).saturating_sub(5) {
        let at = dice.usize(..wire.len());
        let parts: [&[u8]; 8] = [b" ", b":", b"\r\n", b"\0", b"\n", b"chunked", b",", b"\xff"];
        wire.splice(at..at, parts[dice.usize(..parts.len())].iter().copied());
    }
    wire
}

/// The end-to-end fields that are not ours: they must arrive unchanged.
fn content<'b>(fields: Fields<'_, 'b>) -> Vec<(&'b str, &'b [u8])> {
    let ours = ["Via", "Accept-Encoding", "A", "X-B"];
    let is_ours = |name: &str| ours.iter().any(|field| name.eq_ignore_ascii_case(field));
    let mine = |name: &str| !is_ours(name) && (allowed_in_trailers(name) || name == "Cookie");
    fields.iter().filter(|(name, _)| mine(name)).collect()
}

#[test]
fn a_request_means_the_same_on_both_sides() {
    let mut accepted = 0;
    for seed in 0..8000 {
        let mut dice = Rng::with_seed(seed);
        let line = ["GET /a?b HTTP/1.1", "POST /x HTTP/1.0", "OPTIONS http://a.example/ HTTP/1.1"];
        let line = line[dice.usize(..line.len())];
        let wire = thrown(&mut dice, line);
        let mut store = FieldStore::new();
        let Ok(head) = RequestHead::of_wire(&wire, &mut store, &LIMITS) else {
            continue;
        };
        accepted += 1;
        let mut target = Vec::new();
        head.target.resolve_path(&mut target).unwrap();
        let host = head.authority.unwrap_or("up.example");
        let (upgrade, peer_trusted) = (dice.u64(..2) == 0, dice.u64(..2) == 0);
        let to = Forward {
            path_and_query: &target,
            host: Some(host),
            upgrade,
            peer_trusted,
            length: head.length,
            ..TO
        };
        let mut out = Vec::new();
        outbound(&mut Vec::new(), &head, &to).write(&mut out, "", None);
        assert_eq!(HeadSearch::request().find(&out, &LIMITS), Ok(Some(out.len())), "{seed}");
        let mut store = FieldStore::new();
        let again = RequestHead::of_wire(&out, &mut store, &LIMITS).unwrap();
        assert_eq!((again.method, again.authority), (head.method, Some(host)), "{seed}");
        assert_eq!((again.target.path, again.length), (head.target.path, head.length), "{seed}");
        assert_eq!(again.upgrade, head.upgrade.filter(|_| upgrade), "{seed}");
        assert_eq!(again.accepts_event_stream, head.accepts_event_stream, "{seed}");
        assert_eq!(again.expects_continue, head.expects_continue, "{seed}");
        assert!(again.persistent);
        assert_eq!(content(again.fields), content(head.fields), "{seed}");
        let names = ["Host", "X-Forwarded-For", "X-Forwarded-Proto"];
        assert!(names.iter().all(|name| again.fields.only(name).is_some()), "{seed}");
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn a_response_means_the_same_on_both_sides() {
    let mut accepted = 0;
    for seed in 0..8000 {
        let mut dice = Rng::with_seed(seed);
        let line = [
            "HTTP/1.1 200 OK",
            "HTTP/1.0 404 \u{e9}",
            "HTTP/1.1 204 ",
            "HTTP/1.1 304",
            "HTTP/1.1 100 A",
        ];
        let line = line[dice.usize(..line.len())];
        let wire = thrown(&mut dice, line);
        let is_head = dice.u64(..4) == 0;
        let mut store = FieldStore::new();
        let Ok(head) = ResponseHead::of_wire(&wire, &mut store, &LIMITS, is_head) else {
            continue;
        };
        accepted += 1;
        let length = match head.length {
            BodyLength::UntilClose => BodyLength::Chunked,
            length @ (BodyLength::Empty | BodyLength::Length(_) | BodyLength::Chunked) => length,
        };
        let persistent = dice.u64(..2) == 0;
        let mut out = Vec::new();
        write_response(&mut out, &head, &Respond { length, persistent, ..OPEN });
        assert_eq!(HeadSearch::response().find(&out, &LIMITS), Ok(Some(out.len())), "{seed}");
        let mut store = FieldStore::new();
        let again = ResponseHead::of_wire(&out, &mut store, &LIMITS, is_head).unwrap();
        assert_eq!((again.status, again.reason), (head.status, head.reason), "{seed}");
        assert_eq!(
            (again.length, again.described_length),
            (length, head.described_length),
            "{seed}"
        );
        assert_eq!(again.persistent, persistent || head.status < 200, "{seed}");
        assert_eq!(content(again.fields), content(head.fields), "{seed}");
    }
    assert!(accepted > 1000, "{accepted}");
}
