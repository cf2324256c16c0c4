//! A JSON writer (RFC 8259) that appends to a string and emits only ASCII.
//!
//! The writer keeps no state: the end of the text shows whether a comma is due. So several writers
//! can take turns on one text, and nothing else is allocated. The caller must use names only in
//! objects, and end what it begins.
//!
//! Tested against tables.
//!
//! [`stream_member`] searches JSON that passes through.

pub mod stream_member;

use crate::digits::Digits;
use std::fmt::Write;

/// Appends JSON to a text. The existing text must be unfinished JSON from this writer, end with a
/// space or a line end, or be empty.
#[derive(Debug)]
pub struct Json<'a>(&'a mut String);

impl Json<'_> {
    /// Creates a writer at the end of `out`.
    pub const fn new(out: &mut String) -> Json<'_> {
        Json(out)
    }

    /// Begins an object or an array, with `{` or `[`.
    pub fn begin(&mut self, bracket: char) {
        self.separate();
        self.0.push(bracket);
    }

    /// Ends an object or an array, with `}` or `]`.
    pub fn end(&mut self, bracket: char) {
        self.0.push(bracket);
    }

    /// Writes the name of an object's next member, which must need no escapes. Its value comes
    /// next.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.separate();
        for part in ["\"", name, "\":"] {
            self.0.push_str(part);
        }
        self
    }

    /// Writes a value that is already JSON.
    pub fn written(&mut self, value: &str) {
        self.literal(value);
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        quote(text, self.0);
    }

    /// Writes a string, or null.
    pub fn string_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.literal("null"),
        }
    }

    /// Writes a number.
    pub fn number(&mut self, number: u64) {
        self.literal(Digits::decimal(number).as_str());
    }

    /// Writes a number, or null.
    pub fn number_or_null(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.literal("null"),
        }
    }

    /// Writes true or false.
    pub fn boolean(&mut self, value: bool) {
        self.literal(if value { "true" } else { "false" });
    }

    fn literal(&mut self, text: &str) {
        self.separate();
        self.0.push_str(text);
    }

    /// Writes a comma if a value precedes. No value ends in one of these characters.
    fn separate(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[' | b':' | b' ' | b'\n')) {
            self.0.push(',');
        }
    }
}

/// Appends a string in quotes (RFC 8259 section 7). Everything but visible ASCII and spaces is
/// escaped.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    // Nearly all texts need no escapes.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let plain = text.bytes().take_while(|&byte| is_plain(byte)).count();
    out.push_str(&text[..plain]);
    for c in text[plain..].chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let mut out = "data: ".to_owned();
        let mut json = Json::new(&mut out);
        json.begin('{');
        json.name("a b").string("c");
        json.name("n").number(u64::MAX);
        json.name("list").begin('[');
        json.string("x");
        json.string_or_null(None);
        json.boolean(true);
        json.begin('{');
        json.end('}');
        json.begin('[');
        json.end(']');
        json.end(']');
        json.name("none").begin('{');
        json.end('}');
        // Another writer continues.
        Json::new(&mut out).name("f").boolean(false);
        Json::new(&mut out).end('}');
        let want = "data: {\"a b\":\"c\",\"n\":18446744073709551615,\
            \"list\":[\"x\",null,true,{},[]],\"none\":{},\"f\":false}";
        assert_eq!(out, want);
    }

    #[test]
    fn a_text_a_line() {
        let mut out = String::new();
        for number in [1, 2] {
            Json::new(&mut out).number(number);
            out.push('\n');
        }
        assert_eq!(out, "1\n2\n");
    }

    #[test]
    fn strings() {
        for (text, want) in [
            ("", ""),
            ("a /~", "a /~"),
            ("\"\\", "\\\"\\\\"),
            ("\0\n\x7f", "\\u0000\\u000a\\u007f"),
            ("x\u{e9}\u{202e}\u{1f600}", "x\\u00e9\\u202e\\ud83d\\ude00"),
        ] {
            let mut out = String::new();
            quote(text, &mut out);
            assert_eq!(out, format!("\"{want}\""));
        }
    }
}
