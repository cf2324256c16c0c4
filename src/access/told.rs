//! What logs and lists show of a request: its method and target, and the fields that the operator
//! configured.
//!
//! The head is parsed as loosely as the request line, because malformed ones matter most in logs.
//! Whatever may look like a field to any parser counts as one: lines may end with a line feed
//! alone.

use super::request::push_request_line;
use memchr::memchr;
use std::fmt;

/// Maximum number of bytes kept of a field's value. A stream that is open for a day keeps them for
/// a day.
const VALUE_MAX: usize = 256;

/// Stands for what was cut off.
const CUT: &str = "...";

/// A request field that the access log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, as configured.
    pub name: String,
    /// Its name in a line: `http_` and the name in lower case, with `_` for anything but letters
    /// and digits. No other part of a line has such a name.
    pub label: String,
}

impl Field {
    /// The field with this name.
    pub fn new(name: &str) -> Field {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let label = "http_".chars().chain(name.chars().map(plain)).collect();
        Field { name: name.to_owned(), label }
    }
}

/// What is shown of one request. It is one string, because an open stream keeps it: the method, a
/// space and the target, and then each value after a line feed.
#[derive(Clone, Default)]
pub struct Told(Box<str>);

impl Told {
    /// Reads what is shown of the request that begins with `head`, however malformed or short, with
    /// the values of these fields. `secrets` are the names of the parameters that may carry a key;
    /// none of them is empty.
    pub fn of(head: &[u8], secrets: &[String], fields: &[Field]) -> Told {
        let mut text = String::new();
        push_request_line(head, secrets, &mut text);
        for field in fields {
            text.push('\n');
            push_value(head, &field.name, &mut text);
        }
        Told(text.into_boxed_str())
    }

    /// The method, a space and the target, without anything that may be a key. Method and target
    /// are empty if unknown.
    pub fn line(&self) -> &str {
        self.0.split('\n').next().unwrap_or_default()
    }

    /// The values of the fields, in order. None for a field that is absent or empty.
    pub fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.split('\n').skip(1).map(|value| Some(value).filter(|value| !value.is_empty()))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Appends the values of all fields of a head with this name, combined into one (RFC 9110 section
/// 5.3).
fn push_value(head: &[u8], name: &str, text: &mut String) {
    let mut room = VALUE_MAX;
    let mut first = true;
    for value in lines(head).filter_map(|line| value_of(line, name)) {
        let separator = if first { "" } else { ", " };
        let kept = value.len().min(room.saturating_sub(separator.len()));
        text.push_str(separator);
        text.push_str(&String::from_utf8_lossy(&value[..kept]));
        if kept < value.len() {
            return text.push_str(CUT);
        }
        room -= separator.len() + kept;
        first = false;
    }
}

/// The lines of a head after the first one, without their ends.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.trim_ascii_start().split(|&byte| byte == b'\n').skip(1);
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|line| !line.is_empty())
}

/// The value of a line, if it has this name and is not empty.
fn value_of<'h>(line: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let colon = memchr(b':', line)?;
    let value = line[colon + 1..].trim_ascii();
    (line[..colon].eq_ignore_ascii_case(name.as_bytes()) && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(head: &[u8]) -> (String, Vec<Option<String>>) {
        let fields = ["X-A", "traceparent"].map(Field::new);
        let told = Told::of(head, &[], &fields);
        let values = told.values().map(|value| value.map(str::to_owned)).collect();
        (told.line().to_owned(), values)
    }

    fn check(head: &str, want: [Option<&str>; 2]) {
        let (line, values) = told(head.as_bytes());
        assert_eq!(line, "GET /", "{head:?}");
        assert_eq!(values, want.map(|value| value.map(str::to_owned)), "{head:?}");
    }

    #[test]
    fn values_of_fields() {
        check("GET / HTTP/1.1\r\n\r\n", [None, None]);
        check("GET / HTTP/1.1\r\nX-A: 1\r\n\r\n", [Some("1"), None]);
        check("\r\nGET / HTTP/1.1\r\nx-a:\t1 2 \r\nY: 2\r\n\r\n", [Some("1 2"), None]);
        check("GET / HTTP/1.1\r\nTRACEPARENT: 00\r\n\r\nX-A: 1", [None, Some("00")]);
        // Several are combined into a list, without empty ones.
        check("GET / HTTP/1.1\r\nX-A: 1\r\nX-A:\r\nx-a: 2\r\n\r\n", [Some("1, 2"), None]);
        check("GET / HTTP/1.1\r\nX-A:\r\n\r\n", [None, None]);
        // Other names, and lines that are not fields.
        check("GET / HTTP/1.1\r\nX-AB: 1\r\nX_A: 2\r\nX-A : 3\r\nX-A\r\n\r\n", [None, None]);
        // Malformed and unfinished heads.
        check("GET / HTTP/1.1\nX-A: 1\n\n", [Some("1"), None]);
        check("GET / HTTP/1.1\r\nX-A: 1", [Some("1"), None]);
    }

    #[test]
    fn values_are_cut_and_decoded() {
        let long = "x".repeat(VALUE_MAX);
        check(&format!("GET / HTTP/1.1\r\nX-A: {long}\r\n\r\n"), [Some(&long), None]);
        let cut = format!("{long}...");
        check(&format!("GET / HTTP/1.1\r\nX-A: {long}y\r\n\r\n"), [Some(&cut), None]);
        let cut = format!("{}, ...", "x".repeat(VALUE_MAX - 1));
        let head = format!("GET / HTTP/1.1\r\nX-A: {}\r\nX-A: yz\r\n\r\n", &long[1..]);
        check(&head, [Some(&cut), None]);
        let (_, values) = told(b"GET / HTTP/1.1\r\nX-A: \xff\rb\0\r\n\r\n");
        assert_eq!(values[0].as_deref(), Some("\u{fffd}\rb\0"));
    }

    #[test]
    fn labels() {
        assert_eq!(Field::new("Mcp-Method").label, "http_mcp_method");
        assert_eq!(Field::new("a.b!c").label, "http_a_b_c");
    }
}
