//! Compares what the access log says about clients with what they have sent: the target in a line
//! must be a word sent by the client whose address the line has. Each client has a unique address.

use std::collections::BTreeMap;

/// Everything that each client has sent, by its address in the notation of the access log.
#[derive(Debug, Default)]
pub(crate) struct Sent<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Sent<'a> {
    pub(crate) fn add(&mut self, address: String, bytes: &'a [u8]) {
        let former = self.0.insert(address, bytes);
        assert!(former.is_none(), "two clients with one address");
    }

    /// Compares the lines of the access log with what was sent.
    ///
    /// # Errors
    /// If a line has something that its client did not send.
    pub(crate) fn judge(&self, access: &str) -> Result<(), String> {
        for line in access.lines() {
            let sent = self.0.get(value(line, "client").0).ok_or(format!("nobody's: {line}"))?;
            let (target, cut) = value(line, "target");
            if target != "-" && !has_word(sent, target, cut) {
                return Err(format!("its client did not send that: {line}"));
            }
        }
        Ok(())
    }
}

/// True if this is a word in `sent`, or, if it was truncated, the beginning of one.
fn has_word(sent: &[u8], word: &str, cut: bool) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_whitespace();
    let mut words = sent.split(is_end);
    words.any(|sent| sent == word.as_bytes() || cut && sent.starts_with(word.as_bytes()))
}

/// A field's value as it was sent, and whether it was truncated: at the first escaped character, or
/// because of its length.
fn value<'l>(line: &'l str, name: &str) -> (&'l str, bool) {
    let rest = line.split_once(&format!(" {name}=")).map_or("", |(_, rest)| rest);
    let word = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(' ').next(),
    };
    let word = word.unwrap_or_default();
    let plain = word.split('\\').next().unwrap_or_default();
    let plain = plain.strip_suffix("...").unwrap_or(plain);
    (plain, plain.len() < word.len())
}

#[test]
fn values_and_words_are_found() {
    let line = "id=1 client=::1 method=GET target=\"/a?b\\u0000c\" status=200";
    assert_eq!(value(line, "client"), ("::1", false));
    assert_eq!(value(line, "target"), ("/a?b", true));
    assert_eq!(value("x target=/aa... y", "target"), ("/aa", true));
    let sent = b"GET /12 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(has_word(sent, "/12", false) && has_word(sent, "/1", true));
    assert!(!has_word(sent, "/1", false) && !has_word(sent, "2", true));
}
