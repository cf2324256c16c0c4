//! Tests of request heads and of the search for the end of a head.

use super::HeadError::*;
use super::*;
use crate::http::framing::FramingError;
use crate::http::target::TargetError;
use crate::testing::pieces::in_pieces;
use fastrand::Rng;

mod responses;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 400, head_fields: 5, target_bytes: 100 };

/// Where the search finds the end if the bytes arrive in these pieces.
fn found(
    mut search: HeadSearch,
    bytes: &[u8],
    ends: impl IntoIterator<Item = usize>,
) -> Result<Option<usize>, HeadError> {
    for end in ends {
        if let Some(found) = search.find(&bytes[..end], &LIMITS)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// True if the request that was `found` is refused: by the search or, if the head is complete, by
/// the parser. In pieces, a wrong request line is seen before the rest has arrived.
fn is_refused(bytes: &[u8], found: Result<Option<usize>, HeadError>) -> bool {
    match found {
        Ok(Some(end)) => {
            RequestHead::parse(&bytes[..end], &mut FieldStore::new(), &LIMITS).is_err()
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

/// The result of parsing a request head, which must not depend on the pieces in which it arrives.
#[track_caller]
fn request(wire: &str) -> Result<String, HeadError> {
    let bytes = wire.as_bytes();
    let whole = found(HeadSearch::request(), bytes, [bytes.len()]);
    in_pieces(bytes.len(), |pieces| {
        let got = found(HeadSearch::request(), bytes, pieces.iter().map(|piece| piece.end));
        let same = got == whole || got.is_err() && is_refused(bytes, whole);
        assert!(same, "{wire:?} in {pieces:?}: {got:?}, not {whole:?}");
    });
    let end = whole?.ok_or(NotOneHead)?;
    let mut store = FieldStore::new();
    let head = RequestHead::parse(&bytes[..end], &mut store, &LIMITS)?;
    assert_eq!(head.fields.iter().count(), wire[..end].trim().lines().count() - 1);
    Ok(format!(
        "{} {} {:?} {} {:?} {}",
        head.method,
        head.target.path,
        head.version,
        head.authority.unwrap_or("-"),
        head.length,
        if head.persistent { "persistent" } else { "close" }
    ))
}

#[track_caller]
fn check(wire: &str, want: &str) {
    assert_eq!(request(wire), Ok(want.to_owned()), "{wire:?}");
}

#[track_caller]
fn refused(wire: &str, want: HeadError) {
    assert_eq!(request(wire), Err(want), "{wire:?}");
}

/// A request to a.example with these additional lines, each ended by CRLF.
fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

#[test]
fn requests() {
    check(&with(""), "GET / Http11 a.example Empty persistent");
    check(&with("Connection: close\r\n"), "GET / Http11 a.example Empty close");
    check("GET /a?b HTTP/1.0\r\n\r\n", "GET /a Http10 - Empty close");
    check(
        "\r\n\r\n\r\n\r\nPOST //x HTTP/1.0\r\nContent-Length: 3\r\n\
         Connection: keep-alive\r\n\r\nabc",
        "POST //x Http10 - Length(3) persistent",
    );
    check(
        "m!x HTTP://A.example:80/b HTTP/1.1\r\nHOST:\ta.example \r\n\
         Transfer-Encoding: Chunked\r\n\r\n",
        "m!x /b Http11 A.example:80 Chunked persistent",
    );
    check(
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        "OPTIONS * Http11 [::1]:8080 Empty persistent",
    );
    check(&with("Empty:\r\nX: \u{e9}\t\"\r\n"), "GET / Http11 a.example Empty persistent");
}

#[test]
fn request_lines() {
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GE(T / HTTP/1.1",
        "GÉT / HTTP/1.1",
        "GET  HTTP/1.1",
        "G\0T / HTTP/1.1",
        "GET: / HTTP/1.1",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), RequestLine);
    }
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3", "HTTP/9.9"] {
        refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"), VersionUnsupported);
    }
    for version in [
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/1.",
        "HTTP/11",
        "HTTP/1,1",
        "HTTP/01.1",
        "HTTP/1.10",
        "HTTPS/1.1",
        "X",
        "HTTP",
        "HTTP/",
        "HTTP/+1.1",
        "\u{ff28}TTP/1.1",
    ] {
        refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"), Version);
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionUnsupported);
    refused("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", Connect);
    refused("GET a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", Target(TargetError::Form));
    refused("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", Target(TargetError::Character));
    refused("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Target(TargetError::Character));
    refused("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target(TargetError::Scheme));
    // Refused before anything else arrives.
    refused("GET /\r\n", RequestLine);
    refused("\x16\x03\x01", Tls);
    refused("\x16\x03\x01\n\r\x01", Tls);
    refused("\r\n\0", NotHttp);
    refused(" GET", NotHttp);
    refused("{", NotHttp);
}

#[test]
fn line_ends() {
    refused("GET / HTTP/1.1\nHost: a\n\n", BareLf);
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLf);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf);
    refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf);
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", BareCr);
    refused("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", BareCr);
    refused("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCr);
    refused("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", BareCr);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\rX", BareCr);
    refused("\rGET / HTTP/1.1\r\n\r\n", BareCr);
    refused("\r\n\r\n\r\n\r\n\r\n", EmptyLines);
}

#[test]
fn field_lines() {
    for line in [
        "X : a",
        "X\t: a",
        ": a",
        "X",
        "X a: b",
        "X\0: a",
        "X\u{e9}: a",
        "(X): a",
        "X",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\u{b}: chunked",
        "X,Y: a",
        "Content-Length\0: 5",
        "\u{b}X: a",
        "\"X\": a",
        "@: a",
    ] {
        refused(&with(&format!("{line}\r\n")), FieldName);
    }
    for value in ["a\0b", "\u{b}chunked", "a\u{c}", "\u{7f}", "\u{1b}[m", "\u{1}"] {
        refused(&with(&format!("X: {value}\r\n")), FieldValue);
        refused(&with(&format!("Transfer-Encoding:{value}\r\n")), FieldValue);
    }
    for lines in [
        " X: a\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\r\n \r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ] {
        refused(&with(lines), Fold);
    }
    for name in [
        "Content_Length",
        "content_length",
        "Transfer_Encoding",
        "TRANSFER.ENCODING",
        "Content~Length",
    ] {
        refused(&with(&format!("{name}: 5\r\n")), Lookalike);
    }
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Fold);
}

#[test]
fn hosts() {
    refused("GET / HTTP/1.1\r\n\r\n", HostMissing);
    refused("GET http://a/ HTTP/1.1\r\n\r\n", HostMissing);
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        refused(&format!("GET / {version}\r\nHost:\r\n\r\n"), HostMalformed);
        refused(&format!("GET / {version}\r\nHost: a, b\r\n\r\n"), HostMalformed);
        refused(&format!("GET / {version}\r\nHost: a@b\r\n\r\n"), HostMalformed);
        refused(&format!("GET / {version}\r\nHost: a/b\r\n\r\n"), HostMalformed);
        refused(&format!("GET / {version}\r\nHost: a\r\nhost: a\r\n\r\n"), HostRepeated);
        refused(&format!("GET / {version}\r\nHost: a\r\nX: y\r\nHOST:\r\n\r\n"), HostRepeated);
        refused(&format!("GET http://a/ {version}\r\nHost: b\r\n\r\n"), HostDiffers);
        refused(&format!("GET http://a:8080/ {version}\r\nHost: a\r\n\r\n"), HostDiffers);
    }
    check("GET https://a/ HTTP/1.1\r\nHost: A:443\r\n\r\n", "GET / Http11 a Empty persistent");
    check("GET http://a HTTP/1.0\r\n\r\n", "GET / Http10 a Empty close");
}

#[test]
fn framing() {
    use FramingError::*;
    let check = |lines: &str, want| refused(&with(lines), Framing(want));
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndCoding);
    check("Content-Length: 5\r\nContent-Length: 5\r\n", LengthRepeated);
    check("Content-Length: 5, 5\r\n", LengthMalformed);
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Framing(CodingInHttp10));
    check("Transfer-Encoding: gzip, chunked\r\n", CodingUnknown);
    check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ChunkedNotLast);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", UnexpectedBody);
}

#[test]
fn limits() {
    let long = |len: usize| format!("/{}", "a".repeat(len - 1));
    check(
        &format!("GET {} HTTP/1.0\r\n\r\n", long(100)),
        &format!("GET {} Http10 - Empty close", long(100)),
    );
    refused(&format!("GET {} HTTP/1.0\r\n\r\n", long(101)), TargetTooLong);
    refused(&format!("GET {}", long(300)), TargetTooLong);
    refused(&format!("{} / HTTP/1.0\r\n\r\n", "M".repeat(33)), MethodTooLong);
    refused(&"M".repeat(300), MethodTooLong);
    check(&with(&"A: b\r\n".repeat(4)), "GET / Http11 a.example Empty persistent");
    refused(&with(&"A: b\r\n".repeat(5)), TooManyFields);
    let options = |count| format!("Connection: {}\r\n", ["x"; 40][..count].join(", "));
    check(&with(&options(32)), "GET / Http11 a.example Empty persistent");
    refused(&with(&options(33)), TooManyOptions);
    refused(&with(&[options(16), options(17)].concat()), TooManyOptions);
    // Empty options count, too.
    check(
        &with(&format!("Connection: close{}\r\n", ",".repeat(31))),
        "GET / Http11 a.example Empty close",
    );
    refused(&with(&format!("Connection: close{}\r\n", ",".repeat(32))), TooManyOptions);
    refused(&with(&format!("Connection:{}\r\n", " ,\t".repeat(40))), TooManyOptions);
    let head = with("");
    let room = LIMITS.head_bytes - head.len() - "A: \r\n".len();
    let head = |room| with(&format!("A: {}\r\n", "b".repeat(room)));
    check(&head(room), "GET / Http11 a.example Empty persistent");
    refused(&head(room + 1), TooLarge);
    refused(&head(1000), TooLarge);
    for (error, status) in [
        (TooLarge, 431),
        (TooManyFields, 431),
        (TooManyOptions, 431),
        (TargetTooLong, 414),
        (MethodTooLong, 501),
        (VersionUnsupported, 505),
        (Connect, 405),
        (Framing(FramingError::CodingUnknown), 501),
        (Framing(FramingError::LengthAndCoding), 400),
        (BareLf, 400),
    ] {
        assert_eq!(error.status(), status, "{}", error.what());
    }
}

/// A property of a request with these lines.
fn fact<T>(lines: &str, fact: impl Fn(&RequestHead<'_, '_>) -> T) -> T {
    let wire = if lines.starts_with("GET") || lines.starts_with("OPTIONS") {
        format!("{lines}\r\n")
    } else {
        with(lines)
    };
    let mut store = FieldStore::new();
    fact(&RequestHead::parse(wire.as_bytes(), &mut store, &LIMITS).unwrap())
}

#[test]
fn event_streams_asked_for() {
    for (accept, want) in [
        ("text/event-stream", true),
        ("text/html, TEXT/Event-Stream;q=0.1, */*;q=0", true),
        ("text/event-stream;q=1", true),
        ("text/event-stream; q=0", false),
        ("text/event-stream;Q=0.000", false),
        ("text/*, */*", false),
        ("text/event-streams", false),
        ("a/b;c=\"text/event-stream,\"", false),
        ("", false),
    ] {
        let lines = format!("Accept: {accept}\r\n");
        assert_eq!(fact(&lines, |head| head.accepts_event_stream), want, "{accept}");
        let lines = lines.replace("text/", "application/").replace("TEXT/", "Application/");
        let lines = lines.replace("event-stream", "json").replace("Event-Stream", "JSON");
        assert_eq!(fact(&lines, |head| head.accepts_json), want, "{lines}");
    }
    let both = "Accept: application/json, text/event-stream\r\n";
    assert!(fact(both, |head| head.accepts_json && head.accepts_event_stream));
}

#[test]
fn upgrades() {
    for (lines, want) in [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("Connection: x, upgrade\r\nUpgrade: a/1, b\r\n", Some("a/1, b")),
        ("Connection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n", Some("tcp")),
        ("Connection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 1\r\n", Some("tcp")),
        ("Connection: upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n", Some("tcp")),
        ("Upgrade: websocket\r\n", None),
        ("Connection: upgrade\r\n", None),
        ("Connection: upgrade\r\nUpgrade:\r\n", None),
        ("Connection: upgrade\r\nUpgrade: , ,\r\n", None),
        ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", None),
        ("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", None),
    ] {
        let got = fact(lines, |head| head.upgrade.map(|text| text.to_vec()));
        assert_eq!(got.as_deref(), want.map(str::as_bytes), "{lines}");
    }
}

#[test]
fn expectations_and_methods() {
    assert!(fact("Expect: 100-Continue\r\n", |head| head.expects_continue));
    assert!(!fact("Expect: 200-maybe\r\n", |head| head.expects_continue));
    assert!(!fact("GET / HTTP/1.0\r\nExpect: 100-continue\r\n", |head| head.expects_continue));
    let options = "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n";
    assert_eq!(fact(options, |head| head.max_forwards), Some(3));
    assert_eq!(fact("Max-Forwards: none\r\n", |head| head.max_forwards), None);
    refused(&format!("{options}Max-Forwards: 3\r\n\r\n"), MaxForwards);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\n\r\n", MaxForwards);
    assert!(fact("", |head| head.is_idempotent() && !head.is_head() && !head.is_trace()));
    assert!(fact(options, |head| head.is_options()));
}

/// The naive search: skip empty lines, then find the first empty one.
fn naive_end(bytes: &[u8], line_end: &[u8]) -> Option<usize> {
    let mut start = 0;
    while bytes[start..].starts_with(line_end) {
        start += line_end.len();
    }
    let end = [line_end, line_end].concat();
    let found = bytes[start..].windows(end.len()).position(|window| window == end);
    found.map(|at| start + at + end.len())
}

#[test]
fn accidents() {
    let mut complete = 0;
    for seed in 0..6000 {
        let mut dice = Rng::with_seed(seed);
        let parts =
            ["\r\n", "\r\n", "\r\n\r\n", "\n", "\r", "A: b", "A: b\r\n", " ", "\t", ":", "\0"];
        let mut bytes = b"GET / HTTP/1.0\r\nA: b\r\n\r\n".to_vec();
        for _ in 0..dice.usize(..4) {
            let at = dice.usize(..bytes.len());
            let part = parts[dice.usize(..parts.len())].bytes();
            bytes.splice(at..(at + dice.usize(..3)).min(bytes.len()), part);
        }
        let ends = 0..=bytes.len();
        let got = found(HeadSearch::request(), &bytes, ends);
        let whole = found(HeadSearch::request(), &bytes, [bytes.len()]);
        let same = got == whole || got.is_err() && is_refused(&bytes, whole);
        assert!(same, "{seed}: {got:?} {whole:?}");
        if let Ok(Some(end)) = got {
            assert_eq!(Some(end), naive_end(&bytes, b"\r\n"), "{seed}");
            let head = &bytes[..end];
            let lines = head.split(|&byte| byte == b'\n');
            assert!(lines.rev().skip(1).all(|line| line.ends_with(b"\r")), "{seed}");
            let mut store = FieldStore::new();
            // Parsing must not panic, whatever it returns, and must use exactly these bytes.
            complete += usize::from(RequestHead::parse(head, &mut store, &LIMITS).is_ok());
            let mut store = FieldStore::new();
            assert!(RequestHead::parse(&head[..end - 1], &mut store, &LIMITS).is_err());
        }
    }
    assert!(complete > 500, "{complete}");
}
