//! What the access log tells of clients, against what they have sent: the target in a line is a
//! word of the client whose address stands there. Each client has an address of its own.

use std::collections::BTreeMap;

/// What each client has sent, by its address as the access log writes it.
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
    /// The first line that tells what its client did not send.
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

/// True exactly when this is a word of what was sent, or, of one that was cut, the beginning.
fn has_word(sent: &[u8], word: &str, cut: bool) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_whitespace();
    let mut words = sent.split(is_end);
    words.any(|sent| sent == word.as_bytes() || cut && sent.starts_with(word.as_bytes()))
}

/// A field's value as it was sent, and whether it was cut: at the first character that is escaped,
/// or because it was too long.
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
