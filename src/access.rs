//! The access log: one line when an event stream or a tunnel opens and one when it ends, and one
//! line for any other request. This module formats lines and queues them for the shell to write.
//!
//! A line is ASCII without control characters, whatever the peer sent: all other characters are
//! escaped as in JSON, in both formats. Both formats have the same fields with the same names.

mod request;
mod told;

pub use request::shown_target;
pub use told::{Field, Told};

use crate::digits::{AddressText, Digits};
use crate::http::client_address::ClientAddress;
use crate::json::{self, Json};
use crate::time::date;
use std::fmt::Write;

/// The format of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `name=value`, quoted where needed (logfmt).
    Text,
    /// One JSON object per line.
    Json,
}

/// The size of the queue in bytes. Lines that do not fit are dropped and counted.
const QUEUE_MAX: usize = 256 * 1024;

/// The room in bytes reserved for a line: enough for nearly all.
const LINE_USUAL: usize = 256;

/// The fields of a line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When the line is logged, in milliseconds since 1970.
    pub unix_ms: u64,
    /// `open` or `end` for an event stream or a tunnel, and `request` for any other request.
    pub event: &'static str,
    /// The id of the request, unique in this process.
    pub id: u64,
    /// The api that the request matched.
    pub api: Option<&'a str>,
    /// The client's address.
    pub client: ClientAddress,
    /// The name of the key that authorised the request.
    pub key: Option<&'a str>,
    /// The version of TLS that the client speaks. Without TLS there is no such field.
    pub tls: Option<&'a str>,
    /// The subject of the certificate that the client presented. Without one there is no such
    /// field.
    pub subject: Option<&'a str>,
    /// What is logged of the request.
    pub told: &'a Told,
    /// The fields of the request whose values are part of that.
    pub fields: &'a [Field],
    /// The status of the response; 0 if there was none.
    pub status: u16,
    /// How the request ended, or why it was refused.
    pub reason: Option<&'a str>,
    /// The number of events passed on, if they can be counted.
    pub events: Option<u64>,
    /// Payload received from the client, in bytes.
    pub bytes_in: u64,
    /// Payload sent to the client, in bytes.
    pub bytes_out: u64,
    /// The time from the request to its first event, in milliseconds.
    pub first_event_ms: Option<u64>,
    /// The time that the request waited for an upstream connection, in milliseconds. None if it did
    /// not wait.
    pub queued_ms: Option<u64>,
    /// The time since the request, in milliseconds.
    pub duration_ms: u64,
    /// What was opened: `subscription`, `answer` or `tunnel`. None for any other request.
    pub kind: Option<&'a str>,
}

/// Splits [`Told::line`] into its method and target. None for an empty one.
pub fn split(request: &str) -> (Option<&str>, Option<&str>) {
    let (method, target) = request.split_once(' ').unwrap_or((request, ""));
    ((!method.is_empty()).then_some(method), (!target.is_empty()).then_some(target))
}

/// Appends the fields of a line to a string. It runs for each request, so it avoids `std::fmt`,
/// which costs several times as much.
struct FieldWriter<'a> {
    form: Form,
    out: &'a mut String,
}

impl FieldWriter<'_> {
    /// Writes a word that needs neither quotes nor escapes.
    fn plain(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        self.field(name, |form, out| match form {
            Form::Text => write(out),
            Form::Json => {
                out.push('"');
                write(out);
                out.push('"');
            }
        });
    }

    /// Writes any word.
    fn word(&mut self, name: &str, word: Option<&str>) {
        self.field(name, |form, out| match (word, form) {
            (Some(word), Form::Text) if is_plain(word) => out.push_str(word),
            (Some(word), Form::Text | Form::Json) => json::quote(word, out),
            (None, form) => write_none(form, out),
        });
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        self.field(name, |form, out| match number {
            Some(number) => Digits::decimal(number).push_to(out),
            None => write_none(form, out),
        });
    }

    fn field(&mut self, name: &str, write: impl FnOnce(Form, &mut String)) {
        match self.form {
            Form::Text => {
                self.out.push_str(name);
                self.out.push('=');
            }
            Form::Json => {
                Json::new(self.out).name(name);
            }
        }
        write(self.form, self.out);
        if self.form == Form::Text {
            self.out.push(' ');
        }
    }
}

fn write_none(form: Form, out: &mut String) {
    out.push_str(match form {
        Form::Text => "-",
        Form::Json => "null",
    });
}

impl Line<'_> {
    /// Appends the line to `out`, with a line feed.
    pub fn write(&self, form: Form, out: &mut String) {
        out.reserve(LINE_USUAL);
        if form == Form::Json {
            Json::new(out).begin('{');
        }
        let mut fields = FieldWriter { form, out };
        fields.plain("time", |out| date::write_rfc3339(self.unix_ms, out));
        fields.plain("event", |out| out.push_str(self.event));
        fields.plain("id", |out| Digits::hexadecimal(self.id).push_to(out));
        fields.word("api", self.api);
        fields.plain("client", |out| match self.client.ip() {
            Some(address) => out.push_str(AddressText::of(address).as_str()),
            None => {
                let _ = write!(out, "{}", self.client);
            }
        });
        fields.word("key", self.key);
        let (method, target) = split(self.told.line());
        fields.word("method", method);
        fields.word("target", target);
        fields.number("status", Some(u64::from(self.status)));
        fields.word("reason", self.reason);
        fields.number("events", self.events);
        fields.number("bytes_in", Some(self.bytes_in));
        fields.number("bytes_out", Some(self.bytes_out));
        fields.number("first_event_ms", self.first_event_ms);
        fields.number("queued_ms", self.queued_ms);
        fields.number("duration_ms", Some(self.duration_ms));
        fields.word("kind", self.kind);
        if let Some(version) = self.tls {
            fields.word("tls", Some(version));
        }
        if let Some(subject) = self.subject {
            fields.word("subject", Some(subject));
        }
        for (field, value) in self.fields.iter().zip(self.told.values()) {
            fields.word(&field.label, value);
        }
        match form {
            Form::Text => out.truncate(out.len() - 1),
            Form::Json => out.push('}'),
        }
        out.push('\n');
    }
}

/// True if logfmt needs no quotes for a word. `-` needs them because it means "none".
fn is_plain(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\');
    word != "-" && !word.is_empty() && word.bytes().all(plain)
}

/// The lines that wait to be written. Limited in size.
#[derive(Debug, Default)]
pub struct Queue {
    lines: String,
    /// Lines dropped since [`Queue::take`] was last called.
    dropped: u64,
    /// Lines dropped since the start.
    dropped_ever: u64,
}

impl Queue {
    /// Appends a line, or drops and counts it if there is no room.
    pub fn push(&mut self, line: &Line<'_>, form: Form) {
        if self.lines.len() >= QUEUE_MAX {
            self.dropped += 1;
            self.dropped_ever += 1;
        } else {
            line.write(form, &mut self.lines);
        }
    }

    /// True if no line waits.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes the lines that wait, and the number of lines dropped since the last call.
    pub fn take(&mut self) -> (String, u64) {
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped))
    }

    /// Counts lines that were taken but could not be written.
    pub const fn count_lost(&mut self, lines: u64) {
        self.dropped_ever += lines;
    }

    /// The number of lines dropped since the start, at the queue or after it.
    pub const fn dropped_ever(&self) -> u64 {
        self.dropped_ever
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged of a request with this target and this value of X-A.
    fn told(target: &str, value: &str) -> Told {
        let head = format!("GET {target} HTTP/1.1\r\nX-A: {value}\r\n\r\n");
        Told::of(head.as_bytes(), &[], &[Field::new("X-A"), Field::new("B")])
    }

    fn line(told: &Told) -> Line<'_> {
        Line {
            unix_ms: 1_795_000_000_042,
            event: "end",
            id: 0x2f,
            api: Some("two words"),
            client: ClientAddress::Unix,
            key: None,
            tls: None,
            subject: None,
            told,
            fields: &[],
            status: 200,
            reason: Some("client_gone"),
            events: Some(3),
            bytes_in: 0,
            bytes_out: 12,
            first_event_ms: None,
            queued_ms: Some(4),
            duration_ms: 7,
            kind: Some("answer"),
        }
    }

    fn written(line: &Line<'_>, form: Form) -> String {
        let mut out = String::new();
        line.write(form, &mut out);
        out
    }

    #[test]
    fn both_formats_have_the_same_fields() {
        let told = told("/a?b=\"c", "1 2");
        let line = line(&told);
        let text = "time=2026-11-18T11:06:40.042Z event=end id=2f api=\"two words\" client=unix \
            key=- method=GET target=\"/a?b=\\\"c\" status=200 reason=client_gone events=3 \
            bytes_in=0 bytes_out=12 first_event_ms=- queued_ms=4 duration_ms=7 kind=answer\n";
        assert_eq!(written(&line, Form::Text), text);
        let json = "{\"time\":\"2026-11-18T11:06:40.042Z\",\"event\":\"end\",\"id\":\"2f\",\
            \"api\":\"two words\",\"client\":\"unix\",\"key\":null,\"method\":\"GET\",\
            \"target\":\"/a?b=\\\"c\",\"status\":200,\"reason\":\"client_gone\",\"events\":3,\
            \"bytes_in\":0,\"bytes_out\":12,\"first_event_ms\":null,\"queued_ms\":4,\
            \"duration_ms\":7,\"kind\":\"answer\"}\n";
        assert_eq!(written(&line, Form::Json), json);
        let text_of = |client| written(&Line { client, ..line }, Form::Text);
        assert_eq!(text_of(ClientAddress::Unknown), text.replace("=unix", "=unknown"));
        let shown = Line { tls: Some("TLSv1.3"), subject: Some("CN=a"), ..line };
        let text = text.replace("kind=answer", "kind=answer tls=TLSv1.3 subject=\"CN=a\"");
        assert_eq!(written(&shown, Form::Text), text);
        let json = json.replace('}', ",\"tls\":\"TLSv1.3\",\"subject\":\"CN=a\"}");
        assert_eq!(written(&shown, Form::Json), json);
        let fields = [Field::new("X-A"), Field::new("B")];
        let shown = Line { fields: &fields, ..shown };
        let text = text.replace('\n', " http_x_a=\"1 2\" http_b=-\n");
        assert_eq!(written(&shown, Form::Text), text);
        let json = json.replace('}', ",\"http_x_a\":\"1 2\",\"http_b\":null}");
        assert_eq!(written(&shown, Form::Json), json);
    }

    /// Tries every character in every field that a peer can influence.
    #[test]
    fn no_character_breaks_a_line() {
        let every: String = ('\0'..='\u{2100}').chain(['\u{202e}', '\u{1f600}']).collect();
        let fields = [Field::new("X-A")];
        for c in every.chars() {
            let word = format!("x {c}y");
            let some = Some(word.as_str());
            let told = told(&format!("/{c}y"), &word);
            let line = Line { api: some, key: some, subject: some, fields: &fields, ..line(&told) };
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
    fn requests_are_split() {
        assert_eq!(split("GET /"), (Some("GET"), Some("/")));
        assert_eq!((split(""), split(" ")), ((None, None), (None, None)));
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let told = told("/", "1");
        let line = line(&told);
        let mut queue = Queue::default();
        assert!(queue.is_empty());
        for _ in 0..10_000 {
            queue.push(&line, Form::Json);
        }
        let (lines, dropped) = queue.take();
        assert!(lines.len() < QUEUE_MAX + 4096);
        assert_eq!(lines.lines().count() as u64 + dropped, 10_000);
        queue.push(&line, Form::Text);
        assert_eq!(queue.take(), (written(&line, Form::Text), 0));
        assert_eq!(queue.dropped_ever(), dropped);
    }
}
