//! An answer of the admin listener: a status, a body, and the head that goes with them.

use crate::http::fields::write_line;
use crate::http::reply;
use std::io::Write;
use std::rc::Rc;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sentence.
    Text,
    /// The live page.
    Html,
    /// A list of streams.
    Json,
    /// Prometheus' text format.
    Metrics,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; one that [`reply::STATUSES`] has.
    pub status: u16,
    /// What the body is,
    pub kind: Kind,
    /// and the body, which is never empty.
    pub body: Rc<[u8]>,
    /// What would be allowed, in answer to what is not.
    allow: &'static str,
    /// What the page may do.
    policy: Rc<str>,
}

/// What an answer has beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// When it is given, as HTTP writes it.
    pub date: &'a str,
    /// True exactly when the connection closes after it.
    pub close: bool,
}

impl Answer {
    /// A sentence.
    pub fn text(status: u16, sentence: &str) -> Answer {
        Answer::of(status, Kind::Text, format!("{sentence}\n").into_bytes().into())
    }

    /// A body of some kind.
    pub fn of(status: u16, kind: Kind, body: Rc<[u8]>) -> Answer {
        Answer { status, kind, body, allow: "", policy: "".into() }
    }

    /// With the methods that are allowed.
    #[must_use]
    pub fn allowing(self, allow: &'static str) -> Answer {
        Answer { allow, ..self }
    }

    /// With what a page may do.
    #[must_use]
    pub fn under(self, policy: Rc<str>) -> Answer {
        Answer { policy, ..self }
    }

    /// Appends its head.
    pub fn write_head(&self, out: &mut Vec<u8>, around: Around<'_>) {
        let kind = match self.kind {
            Kind::Text => "text/plain; charset=utf-8",
            Kind::Html => "text/html; charset=utf-8",
            Kind::Json => "application/json",
            Kind::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        };
        write_start(out, self.status, kind, around);
        // A Vec takes whatever it is given.
        let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        for (name, value) in [("Allow", self.allow), ("Content-Security-Policy", &*self.policy)] {
            if !value.is_empty() {
                write_line(out, name, value.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head of the live page's events.
pub fn write_events_head(out: &mut Vec<u8>, chunked: bool, around: Around<'_>) {
    write_start(out, 200, "text/event-stream", around);
    if chunked {
        write_line(out, "Transfer-Encoding", b"chunked");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_start(out: &mut Vec<u8>, status: u16, kind: &str, around: Around<'_>) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reply::reason(status));
    let fields = [
        ("Content-Type", kind),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        // No page of another origin may have it as an image, a script or a frame.
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
