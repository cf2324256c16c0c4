//! Tests of response heads.

use super::*;
use crate::http::framing::BodyLength;

#[track_caller]
fn check_response(head: bool, wire: &str, want: Result<&str, HeadError>) {
    let bytes = wire.as_bytes();
    let whole = found(HeadSearch::response(), bytes, [bytes.len()]);
    in_pieces(bytes.len(), |pieces| {
        let got = found(HeadSearch::response(), bytes, pieces.iter().map(|piece| piece.end));
        let same = got == whole || got.is_err() && whole.is_err();
        assert!(same, "{wire:?} in {pieces:?}: {got:?}, not {whole:?}");
    });
    let (mut store, mut unfolded) = (FieldStore::new(), bytes.to_vec());
    let got = whole.and_then(|end| {
        let end = unfold(&mut unfolded[..end.ok_or(NotOneHead)?]);
        let head = ResponseHead::parse(&unfolded[..end], &mut store, &LIMITS, head)?;
        let reason = String::from_utf8_lossy(head.reason);
        let persistent = if head.persistent { "persistent" } else { "close" };
        Ok(format!("{} {reason} {:?} {persistent}", head.status, head.length))
    });
    assert_eq!(got, want.map(str::to_owned), "{wire:?}");
}

#[test]
fn responses() {
    let check = |wire, want| check_response(false, wire, Ok(want));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 OK Length(5) persistent");
    check("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "200 OK Length(5) persistent");
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\n\r\n", "200 OK Chunked persistent");
    check("HTTP/1.1 200\r\n\r\n", "200  UntilClose close");
    check("HTTP/1.1 200 \r\n\r\n", "200  UntilClose close");
    check("HTTP/1.0 404 Not\t f\u{f6}und \r\n\r\n", "404 Not\t f\u{f6}und  UntilClose close");
    check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK Length(0) close");
    check(
        "HTTP/1.1 999 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "999 No Length(0) close",
    );
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1", "100 Continue Empty persistent");
    check("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "204 No Empty persistent");
    check("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "204 No Empty persistent");
    check("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "204 No Empty persistent");
    check("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", "304  Empty persistent");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_response(true, head, Ok("200 OK Empty persistent"));
    check_response(true, "HTTP/1.1 200 OK\r\n\r\n", Ok("200 OK Empty persistent"));
}

/// Deviations from the grammar that have only one reading.
#[test]
fn responses_as_they_are() {
    let check = |wire: &str, want: &str| check_response(false, wire, Ok(want));
    // RFC 9112 section 4: words separated by any blanks.
    for line in
        ["HTTP/1.1  200 OK", "HTTP/1.1 200  OK", "HTTP/1.1\t200\tOK", "HTTP/1.1 \t 200 \t OK"]
    {
        check(&format!("{line}\r\n\r\n"), "200 OK UntilClose close");
    }
    check("HTTP/1.1   404\r\nContent-Length: 0\r\n\r\n", "404  Length(0) persistent");
    // Section 6.1: chunked, and the connection is closed.
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    check(&format!("HTTP/1.0 200 OK\r\n{chunked}"), "200 OK Chunked close");
    check(
        &format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{chunked}"),
        "200 OK Chunked close",
    );
    check(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{chunked}"), "200 OK Chunked close");
    check(&format!("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n{chunked}"), "200 OK Chunked close");
    check_response(true, &format!("HTTP/1.0 200 OK\r\n{chunked}"), Ok("200 OK Empty close"));
    check(&format!("HTTP/1.0 304 No\r\nContent-Length: 5\r\n{chunked}"), "304 No Empty close");
    // RFC 9110 section 8.6: one length, however often it is repeated.
    let twice = "Content-Length: 5\r\nContent-Length: 5\r\n\r\n";
    check(&format!("HTTP/1.1 200 OK\r\n{twice}"), "200 OK Length(5) persistent");
    check("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "200 OK Length(5) persistent");
    // RFC 9112 section 5.2: a folded line is one line.
    check("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\n\r\n", "200 OK UntilClose close");
    check("HTTP/1.1 200 OK\nX: a\n b\n\n", "200 OK UntilClose close");
    check("HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\n", "200 OK Length(5) persistent");
    check(
        "HTTP/1.1 200 OK\r\nConnection: a,\r\n close\r\nContent-Length: 5\r\n\r\n",
        "200 OK Length(5) close",
    );
    check(
        &format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n c\r\n d\r\n".repeat(5)),
        "200 OK UntilClose close",
    );
}

#[test]
fn what_is_no_response() {
    let check = |wire: &str, want| check_response(false, wire, Err(want));
    for line in [
        // The meaning of the response is missing.
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1  ",
        "HTTP",
        "",
        // Statuses have three digits, and none begins with 0 (RFC 9110 section 15).
        "HTTP/1.1 20",
        "HTTP/1.1 000 No",
        "HTTP/1.1 099 No",
        "HTTP/1.1 2000",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 200OK",
        // Some parsers end text at a NUL, and no control character is allowed.
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 \u{7f}",
        // RFC 9112 section 4 lets these separate words, but no known server sends them.
        "HTTP/1.1\u{b}200 OK",
        "HTTP/1.1 200\u{c}OK",
    ] {
        check(&format!("{line}\r\n\r\n"), StatusLine);
    }
    // Other protocols, and versions with another meaning.
    check("HTTP/2.0 200 OK\r\n\r\n", VersionUnsupported);
    check("HTTP/1.x 200 OK\r\n\r\n", Version);
    check("HTTP/1.10 200 OK\r\n\r\n", StatusLine);
    check("ICY 200 OK\r\n\r\n", Version);
    check("SSH-2.0-OpenSSH_9.2", NotHttp);
    check("\0", NotHttp);
    check(" HTTP/1.1 200 OK\r\n\r\n", Version);
    // There is no line to continue; some parsers see a field here, some nothing.
    check("HTTP/1.1 200 OK\r\n X: a\r\n\r\n", Fold);
    // Some parsers take a line of blanks for the end of the head.
    check("HTTP/1.1 200 OK\r\nX: a\r\n \r\n\r\n", Fold);
    check("HTTP/1.1 200 OK\r\nX: a\r\n\t \n\r\n", Fold);
    // Folded or not, two numbers are not a length.
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 6\r\n\r\n",
        Framing(FramingError::LengthMalformed),
    );
    // Some parsers take the blank as part of the name and so see another field (section 5.1).
    check("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", FieldName);
    check("HTTP/1.1 200 OK\r\nX\r\n : a\r\n\r\n", FieldName);
    // Some parsers end a line at the CR and so see another field.
    check("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", BareCr);
    check("HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n", FieldValue);
    // The limits apply to responses, too.
    check(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(6)), TooManyFields);
    check(&format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(400)), TooLarge);
}

#[test]
fn facts_of_responses() {
    let media = "Content-Type: Text/Event-Stream; charset=utf-8\r\n";
    for (status, lines, want) in [
        (200, media.to_owned(), true),
        (200, "content-type:text/event-stream\r\n".to_owned(), true),
        (200, format!("{media}Content-Encoding: identity\r\n"), true),
        (200, format!("{media}Content-Encoding: gzip\r\n"), true),
        (200, format!("{media}{media}"), false),
        (204, media.to_owned(), false),
        (404, media.to_owned(), false),
        (200, "Content-Type: text/plain\r\n".to_owned(), false),
        (200, String::new(), false),
    ] {
        let wire = format!("HTTP/1.1 {status} OK\r\n{lines}\r\n");
        let mut store = FieldStore::new();
        let head = ResponseHead::parse(wire.as_bytes(), &mut store, &LIMITS, false).unwrap();
        assert_eq!(head.is_event_stream, want, "{wire}");
    }
    for (status, head, want) in
        [(200, false, None), (200, true, Some(7)), (304, false, Some(7)), (204, true, None)]
    {
        let wire = format!("HTTP/1.1 {status} OK\r\nContent-Length: 7\r\n\r\n");
        let mut store = FieldStore::new();
        let got = ResponseHead::parse(wire.as_bytes(), &mut store, &LIMITS, head).unwrap();
        assert_eq!(got.described_length, want, "{status}");
        assert_eq!(got.length == BodyLength::Length(7), want.is_none() && status == 200);
    }
}
