//! Lengths and codings, good and bad.

use super::FramingError::*;
use super::*;
use httparse::{EMPTY_HEADER, Header};

fn parsed<'h, 'b>(lines: &'b str, store: &'h mut [Header<'b>]) -> Fields<'h, 'b> {
    match httparse::parse_headers(lines.as_bytes(), store) {
        Ok(httparse::Status::Complete((_, headers))) => Fields::of(headers),
        other => panic!("{lines:?}: {other:?}"),
    }
}

/// Checks fields that are separated by ` | `.
#[track_caller]
fn check_request(version: Version, fields: &str, want: Result<BodyLength, FramingError>) {
    let lines = format!("{}\r\n\r\n", fields.replace(" | ", "\r\n"));
    let mut store = [EMPTY_HEADER; 8];
    assert_eq!(request(parsed(&lines, &mut store), version), want, "{fields:?}");
}

#[test]
fn request_lengths() {
    use BodyLength::*;
    let check = |fields, want| check_request(Version::Http11, fields, want);
    check("A: b", Ok(Empty));
    check("Content-Length: 0", Ok(Length(0)));
    check("content-length:  5\t", Ok(Length(5)));
    check("Content-Length: 0042", Ok(Length(42)));
    check("Content-Length: 9223372036854775807", Ok(Length((1 << 63) - 1)));
    check("Transfer-Encoding: chunked", Ok(Chunked));
    check("transfer-encoding:\tCHUNKED ", Ok(Chunked));
    check_request(Version::Http10, "Content-Length: 5", Ok(Length(5)));
    check_request(Version::Http10, "A: b", Ok(Empty));
}

#[test]
fn lengths_that_are_none() {
    for value in [
        "", "+5", "-5", "-0", "5 5", "5,5", "5, 5", "5;a", "0x5", "5a", "a", "5.0", "1e3", "٥",
        "\"5\"", "5,", ",5", "5\t6", "0 0",
    ] {
        check_request(Version::Http11, &format!("Content-Length: {value}"), Err(LengthMalformed));
    }
    for value in ["9223372036854775808", "18446744073709551616", "99999999999999999999999999999999"]
    {
        check_request(Version::Http11, &format!("Content-Length: {value}"), Err(LengthTooLarge));
    }
    for fields in [
        "Content-Length: 5 | Content-Length: 5",
        "Content-Length: 5 | A: b | content-length: 6",
        "Content-Length: 5 | Content-Length:",
    ] {
        check_request(Version::Http11, fields, Err(LengthRepeated));
    }
}

#[test]
fn codings() {
    let check = |value: &str, want| {
        let fields =
            format!("Transfer-Encoding: {}", value.replace('|', "\r\nTransfer-Encoding: "));
        check_request(Version::Http11, &fields, Err(want));
    };
    for value in
        ["gzip", "identity", "gzip, chunked", "gzip|chunked", "xchunked", "chunked-x", "x;a=b"]
    {
        check(value, CodingUnknown);
    }
    for value in ["chunked, chunked", "chunked|chunked", "chunked, gzip", "chunked|identity"] {
        check(value, ChunkedNotLast);
    }
    for value in [
        "",
        ",",
        "chunked,",
        ",chunked",
        "chunked, ,",
        "chunked;a=b",
        "chunked ; a",
        "chunked;",
        "chunked foo",
        "\"chunked\"",
        "chunked/1",
        "[chunked]",
        "chunked|",
        "|chunked",
        "ch\u{fc}nked",
        "chunked=",
        "\"a, chunked",
        "gzip chunked",
        "gzip,,chunked",
    ] {
        check(value, CodingMalformed);
    }
}

#[test]
fn contradictions() {
    for fields in [
        "Content-Length: 5 | Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked | Content-Length: 5",
        "Transfer-Encoding: gzip | Content-Length: 5",
        "Transfer-Encoding: | Content-Length: 5",
        "Content-Length: 5 | Content-Length: 5 | Transfer-Encoding: chunked",
    ] {
        check_request(Version::Http11, fields, Err(LengthAndCoding));
        check_request(Version::Http10, fields, Err(LengthAndCoding));
    }
    check_request(Version::Http10, "Transfer-Encoding: chunked", Err(CodingInHttp10));
    check_request(Version::Http10, "Transfer-Encoding: gzip", Err(CodingInHttp10));
}

#[test]
fn response_lengths() {
    use BodyLength::*;
    let check = |status, head, fields: &str, want| {
        let lines = format!("{}\r\n\r\n", fields.replace(" | ", "\r\n"));
        let mut store = [EMPTY_HEADER; 8];
        let fields = parsed(&lines, &mut store);
        assert_eq!(response(status, head, fields), want, "{status} {lines:?}");
    };
    let both = "Content-Length: 5 | Transfer-Encoding: chunked";
    check(200, false, "A: b", Ok(UntilClose));
    check(200, false, "Content-Length: 5", Ok(Length(5)));
    check(200, false, "Content-Length: 0", Ok(Length(0)));
    check(200, false, "Transfer-Encoding: chunked", Ok(Chunked));
    check(500, false, "Content-Length: 5", Ok(Length(5)));
    check(205, false, "Content-Length: 0", Ok(Length(0)));
    // Rule 3: the coding overrides the length, whatever its value.
    for length in ["5", "0", "5, 6", "x", ""] {
        check(200, false, &format!("Content-Length: {length} | {both}"), Ok(Chunked));
    }
    // RFC 9110 section 8.6: one value, however often it is repeated.
    for lengths in ["5, 5", "5,5 ,\t5", "5 | Content-Length: 5", "5, 5 | content-length: 005"] {
        check(200, false, &format!("Content-Length: {lengths}"), Ok(Length(5)));
    }
    // At least one of two lengths is wrong, and it is unknown which.
    for lengths in ["5, 6", "5 | Content-Length: 6", "5, 5 | Content-Length: 50", "0, 5"] {
        check(200, false, &format!("Content-Length: {lengths}"), Err(LengthsDiffer));
    }
    // A non-number may mean anything, and an empty element may be the remains of another length.
    for lengths in ["", "5,", ",5", "5,,5", "5 5", "+5", "5;a", "0x5", "\"5\"", "\"5, 5\"", "5, x"]
    {
        check(200, false, &format!("Content-Length: {lengths}"), Err(LengthMalformed));
    }
    check(200, false, "Content-Length: 5, 9223372036854775808", Err(LengthTooLarge));
    // To be forwarded, such a body must be decoded, and none of these codings is supported.
    for coding in ["gzip", "identity", "gzip, chunked", "x | Transfer-Encoding: chunked"] {
        check(200, false, &format!("Transfer-Encoding: {coding}"), Err(CodingUnknown));
        let both = format!("Content-Length: 5 | Transfer-Encoding: {coding}");
        check(200, false, &both, Err(CodingUnknown));
    }
    // The end of the chunks is hidden inside another coding, which may be chunks again.
    for coding in ["chunked, chunked", "chunked, gzip", "chunked | Transfer-Encoding: chunked"] {
        check(200, false, &format!("Transfer-Encoding: {coding}"), Err(ChunkedNotLast));
    }
    // These are not codings, and could be read as `chunked` or as nothing.
    for coding in ["", "chunked,", ",chunked", "chunked;a=b", "\"chunked\"", "chunked foo"] {
        check(200, false, &format!("Transfer-Encoding: {coding}"), Err(CodingMalformed));
    }
    for status in [100, 101, 103, 199, 204] {
        for fields in ["A: b", "Content-Length: 5", "Transfer-Encoding: chunked", both] {
            check(status, false, fields, Ok(Empty));
        }
    }
    for (status, head) in [(304, false), (304, true), (200, true), (404, true)] {
        for fields in ["A: b", "Content-Length: 5", "Transfer-Encoding: chunked", both] {
            check(status, head, fields, Ok(Empty));
        }
        // A description of another response must be valid, too.
        check(status, head, "Content-Length: x", Err(LengthMalformed));
        check(status, head, "Content-Length: 5, 6", Err(LengthsDiffer));
        check(status, head, "Transfer-Encoding: gzip", Err(CodingUnknown));
    }
}

#[test]
fn described_lengths_and_faulty_framing() {
    let check = |version, fields: &str, described, faulty| {
        let lines = format!("{}\r\n\r\n", fields.replace(" | ", "\r\n"));
        let mut store = [EMPTY_HEADER; 8];
        let fields = parsed(&lines, &mut store);
        let got = (described_length(fields), is_faulty(fields, version));
        assert_eq!(got, (Ok(described), faulty), "{lines:?}");
    };
    let chunked = "Transfer-Encoding: chunked";
    check(Version::Http11, "A: b", None, false);
    check(Version::Http11, "Content-Length: 5 | Content-Length: 5", Some(5), false);
    check(Version::Http11, chunked, None, false);
    check(Version::Http11, &format!("{chunked} | Content-Length: 5"), None, true);
    check(Version::Http10, "Content-Length: 5", Some(5), false);
    check(Version::Http10, chunked, None, true);
    check(Version::Http10, &format!("Content-Length: 5 | {chunked}"), None, true);
}

#[test]
fn persistence() {
    let check = |version, fields: &str, want| {
        let lines = format!("{}\r\n\r\n", fields.replace(" | ", "\r\n"));
        let mut store = [EMPTY_HEADER; 8];
        assert_eq!(persistent(parsed(&lines, &mut store), version), want, "{lines:?}");
    };
    check(Version::Http11, "A: b", true);
    check(Version::Http11, "Connection: keep-alive", true);
    check(Version::Http11, "Connection: Close", false);
    check(Version::Http11, "Connection: keep-alive | Connection: x, CLOSE", false);
    check(Version::Http11, "Connection: closed", true);
    check(Version::Http10, "A: b", false);
    check(Version::Http10, "Connection: Keep-Alive", true);
    check(Version::Http10, "Connection: keep-alive, close", false);
    check(Version::Http10, "Proxy-Connection: keep-alive", false);
}
