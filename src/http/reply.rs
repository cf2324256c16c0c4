//! Local replies: one sentence that never echoes the request, in plain text. Clients that accept
//! JSON get errors as JSON: clients of model APIs show the message. Only fields repeat parts of a
//! request: the `Location` of a redirect to HTTPS, and what CORS grants to an origin.
//!
//! Tested against the response parser, status by status.

use super::fields::write_line;
use super::forward::{write_anti_buffering, write_connection, write_length};
use super::framing::BodyLength;
use std::io::Write;

/// A local reply: a response that this process generates.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status, which must be in [`STATUSES`].
    pub status: u16,
    /// The sentence, if it is not the usual one of the status.
    pub sentence: Option<&'static str>,
    /// True if an error is sent as JSON.
    pub json: bool,
    /// Additional fields, such as Allow, Retry-After and WWW-Authenticate.
    pub fields: &'a [(&'a str, &'a str)],
    /// The value of Date, which RFC 9110 section 6.6.1 requires of a server with a clock.
    pub date: &'a str,
    /// True if the request's method was HEAD, so that the body is not sent.
    pub head_only: bool,
    /// True if the connection closes after the reply.
    pub close: bool,
}

impl Reply<'_> {
    /// Creates a plain reply with this status, on a connection that stays open.
    pub const fn of(status: u16) -> Self {
        Reply {
            status,
            sentence: None,
            json: false,
            fields: &[],
            date: "",
            head_only: false,
            close: false,
        }
    }
}

/// The statuses of local replies, each with its reason phrase and sentence.
pub const STATUSES: [(u16, &str, &str); 27] = [
    (200, "OK", "All is well."),
    (202, "Accepted", "The request was accepted."),
    (204, "No Content", ""),
    (301, "Moved Permanently", "The resource is at another address."),
    (302, "Found", "The resource is at another address."),
    (303, "See Other", "The resource is at another address."),
    (307, "Temporary Redirect", "The resource is at another address."),
    (308, "Permanent Redirect", "Use https:// for this resource."),
    (400, "Bad Request", "The request is malformed or ambiguous."),
    (401, "Unauthorized", "A key is required."),
    (403, "Forbidden", "This key is not valid here."),
    (404, "Not Found", "Nothing is served here."),
    (405, "Method Not Allowed", "The method is not allowed here."),
    (408, "Request Timeout", "The request took too long to arrive."),
    (409, "Conflict", "This is not possible in the current state."),
    (413, "Content Too Large", "The request body is too long."),
    (414, "URI Too Long", "The request target is too long."),
    (421, "Misdirected Request", "This host is not served here."),
    (422, "Unprocessable Content", "The request was understood but cannot be carried out."),
    (429, "Too Many Requests", "Too many streams are open; try again later."),
    (431, "Request Header Fields Too Large", "The request head is too long."),
    (500, "Internal Server Error", "The upstream server has failed."),
    (501, "Not Implemented", "The request needs something that is not implemented here."),
    (502, "Bad Gateway", "The upstream server is unreachable or sent an invalid response."),
    (503, "Service Unavailable", "The service is busy or shutting down; try again later."),
    (504, "Gateway Timeout", "The upstream server did not respond in time."),
    (505, "HTTP Version Not Supported", "Only HTTP/1.1 and HTTP/1.0 are supported."),
];

/// Returns the reason phrase and the sentence of a status.
///
/// # Panics
///
/// If it is not in [`STATUSES`].
fn words(status: u16) -> (&'static str, &'static str) {
    let found = STATUSES.iter().find(|(known, ..)| *known == status);
    assert!(found.is_some(), "status {status} has no sentence");
    found.map_or(("", ""), |(_, reason, sentence)| (reason, sentence))
}

/// Returns the reason phrase of a status.
///
/// # Panics
///
/// If it is not in [`STATUSES`].
pub fn reason(status: u16) -> &'static str {
    words(status).0
}

/// Appends the reply to `out`, head and body.
///
/// # Panics
///
/// If the status is not in [`STATUSES`].
pub fn write(out: &mut Vec<u8>, reply: &Reply<'_>) {
    let (reason, usual) = words(reply.status);
    let sentence = reply.sentence.unwrap_or(usual);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", reply.status);
    // RFC 9110 sections 8.6 and 15.3.5: a 204 has neither content nor fields that describe it.
    let has_content = reply.status != 204;
    let (media_type, [before, behind]) = if reply.json && reply.status >= 400 {
        ("application/json", ["{\"error\":{\"message\":\"", "\"}}\n"])
    } else {
        ("text/plain; charset=utf-8", ["", "\n"])
    };
    if has_content {
        write_line(out, "Content-Type", media_type.as_bytes());
        let length = before.len() + sentence.len() + behind.len();
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    write_line(out, "Cache-Control", b"no-store");
    if !reply.date.is_empty() {
        write_line(out, "Date", reply.date.as_bytes());
    }
    for (name, value) in reply.fields {
        write_line(out, name, value.as_bytes());
    }
    if reply.close {
        write_line(out, "Connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
    if has_content && !reply.head_only {
        for part in [before, sentence, behind] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// The head of an event stream that this process generates.
#[derive(Clone, Copy, Debug)]
pub struct StreamHead<'a> {
    /// How the body is framed.
    pub length: BodyLength,
    /// The value of Date.
    pub date: &'a str,
    /// True if the connection closes after the stream.
    pub close: bool,
    /// Additional fields.
    pub fields: &'a [(&'a str, &'a str)],
}

/// Appends the head of an event stream to `out`.
pub fn write_stream_head(out: &mut Vec<u8>, head: &StreamHead<'_>) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    write_line(out, "Content-Type", b"text/event-stream");
    write_anti_buffering(out, |_| false);
    for (name, value) in head.fields {
        write_line(out, name, value.as_bytes());
    }
    write_line(out, "Date", head.date.as_bytes());
    write_connection(out, [(head.close, "close")]);
    write_length(out, head.length);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldStore, HeadLimits, HeadSearch, ResponseHead};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 1024, head_fields: 10, target_bytes: 100 };

    #[test]
    fn as_text() {
        let mut out = Vec::new();
        let fields = [("Retry-After", "5")];
        write(&mut out, &Reply { fields: &fields, close: true, ..Reply::of(503) });
        let want = "HTTP/1.1 503 Service Unavailable\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Length: 55\r\n\
            Cache-Control: no-store\r\n\
            Retry-After: 5\r\n\
            Connection: close\r\n\
            \r\n\
            The service is busy or shutting down; try again later.\n";
        assert_eq!(str::from_utf8(&out), Ok(want));
    }

    #[test]
    fn as_json() {
        let mut out = Vec::new();
        write(&mut out, &Reply { json: true, ..Reply::of(401) });
        let want = "HTTP/1.1 401 Unauthorized\r\n\
            Content-Type: application/json\r\n\
            Content-Length: 43\r\n\
            Cache-Control: no-store\r\n\
            \r\n\
            {\"error\":{\"message\":\"A key is required.\"}}\n";
        assert_eq!(str::from_utf8(&out), Ok(want));
        let is_literal = |text: &str| !text.contains(['"', '\\']) && text.is_ascii();
        assert!(STATUSES.iter().all(|(.., sentence)| is_literal(sentence)));
    }

    #[test]
    fn every_status_reads_as_it_was_meant() {
        for (status, reason, sentence) in STATUSES {
            for (close, head_only) in [(false, false), (true, false), (false, true)] {
                let mut out = Vec::new();
                write(&mut out, &Reply { close, head_only, ..Reply::of(status) });
                let end = HeadSearch::response().find(&out, &LIMITS).unwrap().unwrap();
                let mut store = FieldStore::new();
                let head =
                    ResponseHead::of_wire(&out[..end], &mut store, &LIMITS, head_only).unwrap();
                assert_eq!((head.status, head.reason), (status, reason.as_bytes()));
                assert_eq!(head.persistent, !close);
                let has_body = matches!(head.length, BodyLength::Length(_));
                let body = if has_body { format!("{sentence}\n") } else { String::new() };
                assert_eq!(&out[end..], body.as_bytes());
                assert_eq!(head.length.is_empty(), head_only || status == 204);
            }
        }
    }
}
