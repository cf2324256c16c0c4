//! The access log: one line when an event stream or a tunnel opens and one when it ends, and one
//! for any other request. How a line is written, and how lines wait until somebody takes them away.
//!
//! A line is ASCII without control characters, whatever its peer has sent: everything else is
//! escaped, in both forms in the way of JSON. What a line says is the same in both forms, and has
//! the same names.

mod request;

pub use request::request_line;

use crate::digits::Digits;
use crate::json::{self, Json};
use crate::time::date;
use std::fmt::Write;
use std::net::IpAddr;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `name=value`, quoted where it has to be (logfmt).
    Text,
    /// An object a line.
    Json,
}

/// Lines wait in so many bytes; what does not fit is counted and dropped.
const QUEUE_MAX: usize = 256 * 1024;

/// What is said of a request.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When it is said, in milliseconds since 1970.
    pub unix_ms: u64,
    /// `open` and `end` of an event stream or a tunnel, or `request`.
    pub event: &'static str,
    /// The number of the request in this process; no other has had it.
    pub id: u64,
    /// The api that served it.
    pub api: Option<&'a str>,
    /// Who asked; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The name of the key that let it in.
    pub key: Option<&'a str>,
    /// Method and target with a space between, as [`request_line`] writes them.
    pub request: &'a str,
    /// What it was answered with; 0 if it was not.
    pub status: u16,
    /// How it ended.
    pub reason: Option<&'a str>,
    /// Events that were passed on, where they can be counted.
    pub events: Option<u64>,
    /// Payload taken from the client.
    pub bytes_in: u64,
    /// Payload written to the client.
    pub bytes_out: u64,
    /// From the request to its first event.
    pub first_event_ms: Option<u64>,
    /// From the request to now.
    pub duration_ms: u64,
}

/// Method and target of [`Line::request`].
pub fn split(request: &str) -> (Option<&str>, Option<&str>) {
    let (method, target) = request.split_once(' ').unwrap_or((request, ""));
    let some = |word: &'_ str| !word.is_empty();
    (Some(method).filter(|word| some(word)), Some(target).filter(|word| some(word)))
}

/// Writes the fields of a line one after the other. It is done for each request, so it goes
/// without the formatting machinery, which costs several times as much.
struct Fields<'a> {
    form: Form,
    out: &'a mut String,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        match self.form {
            Form::Text => {
                let space = if self.out.is_empty() || self.out.ends_with('\n') { "" } else { " " };
                for part in [space, name, "="] {
                    self.out.push_str(part);
                }
            }
            Form::Json => {
                Json::new(self.out).name(name);
            }
        }
    }

    fn word(&mut self, name: &str, word: Option<&str>) {
        self.name(name);
        match (word, self.form) {
            (word, Form::Json) => Json::new(self.out).string_or_null(word),
            (Some(word), Form::Text) if is_plain(word) => self.out.push_str(word),
            (Some(word), Form::Text) => json::quote(word, self.out),
            (None, Form::Text) => self.out.push('-'),
        }
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        match number {
            None => self.word(name, None),
            Some(number) => {
                self.name(name);
                self.out.push_str(Digits::decimal(number).as_str());
            }
        }
    }
}

impl Line<'_> {
    /// Appends it to `out`, with its line end.
    pub fn write(&self, form: Form, out: &mut String) {
        let mut word = String::with_capacity(48);
        date::write_rfc3339(self.unix_ms, &mut word);
        if form == Form::Json {
            Json::new(out).begin('{');
        }
        let mut fields = Fields { form, out };
        fields.word("time", Some(&word));
        fields.word("event", Some(self.event));
        fields.word("id", Some(Digits::hexadecimal(self.id).as_str()));
        fields.word("api", self.api);
        word.clear();
        // Writing to a string cannot fail.
        let _ = match self.client {
            Some(client) => write!(word, "{client}"),
            None => write!(word, "unix"),
        };
        fields.word("client", Some(&word));
        fields.word("key", self.key);
        let (method, target) = split(self.request);
        fields.word("method", method);
        fields.word("target", target);
        fields.number("status", Some(u64::from(self.status)));
        fields.word("reason", self.reason);
        fields.number("events", self.events);
        fields.number("bytes_in", Some(self.bytes_in));
        fields.number("bytes_out", Some(self.bytes_out));
        fields.number("first_event_ms", self.first_event_ms);
        fields.number("duration_ms", Some(self.duration_ms));
        out.push_str(if form == Form::Json { "}\n" } else { "\n" });
    }
}

/// True for what logfmt takes without quotes, and for nothing that could be taken for "none".
fn is_plain(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\');
    word != "-" && !word.is_empty() && word.bytes().all(plain)
}

/// Lines that wait to be taken away, no more than a certain length of them.
#[derive(Debug, Default)]
pub struct Queue {
    lines: String,
    dropped: u64,
    dropped_ever: u64,
}

impl Queue {
    /// Puts a line behind the others, if there is room.
    pub fn push(&mut self, line: &Line<'_>, form: Form) {
        if self.lines.len() >= QUEUE_MAX {
            self.dropped += 1;
            self.dropped_ever += 1;
        } else {
            line.write(form, &mut self.lines);
        }
    }

    /// True when no line waits.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes the lines that wait, and how many there was no room for since the last time.
    pub fn take(&mut self) -> (String, u64) {
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped))
    }

    /// So many lines that were taken away could not be written.
    pub const fn count_lost(&mut self, lines: u64) {
        self.dropped_ever += lines;
    }

    /// Lines that were dropped, here or on their way, since the start.
    pub const fn dropped_ever(&self) -> u64 {
        self.dropped_ever
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'_> = Line {
        unix_ms: 1_795_000_000_042,
        event: "end",
        id: 0x2f,
        api: Some("two words"),
        client: None,
        key: None,
        request: "GET /a?b=\"c",
        status: 200,
        reason: Some("client_gone"),
        events: Some(3),
        bytes_in: 0,
        bytes_out: 12,
        first_event_ms: None,
        duration_ms: 7,
    };

    fn written(line: &Line<'_>, form: Form) -> String {
        let mut out = String::new();
        line.write(form, &mut out);
        out
    }

    #[test]
    fn both_forms_say_the_same() {
        let text = "time=2026-11-18T11:06:40.042Z event=end id=2f api=\"two words\" client=unix \
            key=- method=GET target=\"/a?b=\\\"c\" status=200 reason=client_gone events=3 \
            bytes_in=0 bytes_out=12 first_event_ms=- duration_ms=7\n";
        assert_eq!(written(&LINE, Form::Text), text);
        let json = "{\"time\":\"2026-11-18T11:06:40.042Z\",\"event\":\"end\",\"id\":\"2f\",\
            \"api\":\"two words\",\"client\":\"unix\",\"key\":null,\"method\":\"GET\",\
            \"target\":\"/a?b=\\\"c\",\"status\":200,\"reason\":\"client_gone\",\"events\":3,\
            \"bytes_in\":0,\"bytes_out\":12,\"first_event_ms\":null,\"duration_ms\":7}\n";
        assert_eq!(written(&LINE, Form::Json), json);
    }

    /// Every character there is, in every place that a peer has a hand in.
    #[test]
    fn a_line_is_a_line_whatever_is_in_it() {
        let every: String = ('\0'..='\u{2100}').chain(['\u{202e}', '\u{1f600}']).collect();
        for c in every.chars() {
            let word = format!("x {c}y");
            let line = Line { request: &word, api: Some(&word), key: Some(&word), ..LINE };
            for form in [Form::Text, Form::Json] {
                let line = written(&line, form);
                let body = line.strip_suffix('\n').unwrap();
                assert!(body.bytes().all(|b| matches!(b, b' '..=b'~')), "{c:?}: {line}");
                assert_eq!(
                    body.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2,
                    0
                );
            }
        }
    }

    #[test]
    fn requests_fall_apart() {
        assert_eq!(split("GET /"), (Some("GET"), Some("/")));
        assert_eq!((split(""), split(" ")), ((None, None), (None, None)));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut queue = Queue::default();
        assert!(queue.is_empty());
        for _ in 0..10_000 {
            queue.push(&LINE, Form::Json);
        }
        let (lines, dropped) = queue.take();
        assert!(lines.len() < QUEUE_MAX + 4096);
        assert_eq!(lines.lines().count() as u64 + dropped, 10_000);
        queue.push(&LINE, Form::Text);
        assert_eq!(queue.take(), (written(&LINE, Form::Text), 0));
        assert_eq!(queue.dropped_ever(), dropped);
    }
}
