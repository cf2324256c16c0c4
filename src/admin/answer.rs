//! A response of the admin listener: its status, its body, and the head for them.

use crate::http::fields::write_line;
use crate::http::reply;
use std::io::Write;
use std::rc::Rc;

/// The media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// A sentence of plain text.
    Text,
    /// The live page in HTML.
    Html,
    /// A list of streams in JSON.
    Json,
    /// The Prometheus text format.
    Metrics,
}

/// A response of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, which must be in [`reply::STATUSES`].
    pub status: u16,
    /// The media type of the body.
    pub media_type: MediaType,
    /// The body. Never empty.
    pub body: Rc<[u8]>,
    /// The value of Allow, for a method that is not allowed. Empty: no such field.
    allow: &'static str,
    /// The value of Content-Security-Policy. Empty: no such field.
    policy: Rc<str>,
}

/// The circumstances of a response.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The value of Date.
    pub date: &'a str,
    /// True exactly when the connection closes after the response.
    pub close: bool,
}

impl Answer {
    /// Creates a response with a sentence.
    pub fn text(status: u16, sentence: &str) -> Answer {
        Answer::of(status, MediaType::Text, format!("{sentence}\n").into_bytes().into())
    }

    /// Creates a response with a body of this type.
    pub fn of(status: u16, media_type: MediaType, body: Rc<[u8]>) -> Answer {
        Answer { status, media_type, body, allow: "", policy: "".into() }
    }

    /// Adds an Allow field with these methods.
    #[must_use]
    pub fn allowing(self, allow: &'static str) -> Answer {
        Answer { allow, ..self }
    }

    /// Adds a Content-Security-Policy.
    #[must_use]
    pub fn under(self, policy: Rc<str>) -> Answer {
        Answer { policy, ..self }
    }

    /// Appends the head of the response.
    pub fn write_head(&self, out: &mut Vec<u8>, around: Around<'_>) {
        let media_type = match self.media_type {
            MediaType::Text => "text/plain; charset=utf-8",
            MediaType::Html => "text/html; charset=utf-8",
            MediaType::Json => "application/json",
            MediaType::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        };
        write_start(out, self.status, media_type, around);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        for (name, value) in [("Allow", self.allow), ("Content-Security-Policy", &*self.policy)] {
            if !value.is_empty() {
                write_line(out, name, value.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head of the live page's event stream.
pub fn write_events_head(out: &mut Vec<u8>, chunked: bool, around: Around<'_>) {
    write_start(out, 200, "text/event-stream", around);
    if chunked {
        write_line(out, "Transfer-Encoding", b"chunked");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_start(out: &mut Vec<u8>, status: u16, media_type: &str, around: Around<'_>) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reply::reason(status));
    let fields = [
        ("Content-Type", media_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        // No page of another origin may embed it as an image, a script or a frame.
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Date", around.date),
    ];
    for (name, value) in fields {
        write_line(out, name, value.as_bytes());
    }
    if around.close {
        write_line(out, "Connection", b"close");
    }
}
