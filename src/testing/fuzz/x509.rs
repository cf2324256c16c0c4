//! The reader of certificates against the library's own, and against a reader that only finds
//! values.

use crate::net::tls::{Certificate, subject_of};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The bytes are a certificate, or nearly. What is read of it is what others read, whatever stands
/// behind it; and its subject is a text from which its values can be told.
pub fn x509(bytes: &[u8]) {
    let text = subject_of(bytes);
    let Some(read) = Certificate::read(bytes) else { return assert_eq!(text, "") };
    assert_eq!(Certificate::read(&[bytes, b"more"].concat()).as_ref(), Some(&read));
    let Certificate { issuer, subject, valid, names } = read;
    let lower = bytes.to_ascii_lowercase();
    let within = |whole: &[u8], part: &[u8]| {
        part.is_empty() || whole.windows(part.len()).any(|window| window == part)
    };
    assert!(within(bytes, issuer) && within(bytes, subject));
    assert!(names.iter().all(|name| within(&lower, name.as_bytes())), "{names:?}");
    assert!(valid.iter().all(|&second| second < 253_402_300_800), "after the year 9999: {valid:?}");
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
    if let Some(values) = values_of(subject).filter(|_| !text.is_empty()) {
        assert_eq!(told(&text), values, "{text}");
    }
    // That one accepts less.
    let mut roots = RootCertStore::empty();
    if roots.add(CertificateDer::from(bytes)).is_ok() {
        assert_eq!(roots.roots[0].subject.as_ref(), subject);
    }
}

/// A value in a text: as it is, or all its bytes as they are encoded.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Plain(Vec<u8>),
    Encoded(Vec<u8>),
}

/// The first value, and what stands behind it.
fn first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, &length) = (bytes.first()?, bytes.get(1)?);
    let more = if length < 0x80 { 0 } else { usize::from(length & 0x7f) };
    let mut size = usize::from(length);
    if more > 0 {
        size = bytes.get(2..2 + more)?.iter().fold(0, |size, &byte| size * 256 + usize::from(byte));
    }
    let start = 2 + more;
    Some((tag, bytes.get(start..start + size)?, &bytes[start + size..]))
}

/// The values of a name, in the order of their texts. None if it has a part without one, or one
/// that is no more than its type.
fn values_of(mut name: &[u8]) -> Option<Vec<Value>> {
    let mut parts = Vec::new();
    while let Some((0x31, mut part, rest)) = first(name) {
        let mut values = Vec::new();
        while let Some((0x30, attribute, rest)) = first(part) {
            let (_, kind, encoded) = first(attribute)?;
            let (tag, content, _) = first(encoded)?;
            let is_text = matches!(tag, 0x0c | 0x13 | 0x16) && str::from_utf8(content).is_ok();
            values.push(match is_text && has_name(kind) {
                true => Value::Plain(content.to_vec()),
                false => Value::Encoded(encoded.to_vec()),
            });
            part = rest;
        }
        if values.is_empty() {
            return None;
        }
        parts.push(values);
        name = rest;
    }
    parts.reverse();
    Some(parts.into_iter().flatten().collect())
}

/// Whether such an attribute has a name: those of X.520, an address, a user, a domain.
fn has_name(kind: &[u8]) -> bool {
    match kind {
        [0x55, 4, last] => matches!(last, 3 | 5..=11),
        [0x2a, .., 9, 1] => kind.len() == 9 && kind[1..7] == [0x86, 0x48, 0x86, 0xf7, 0x0d, 1],
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, last] => matches!(last, 1 | 25),
        _ => false,
    }
}

/// The values in a text (RFC 4514).
fn told(text: &str) -> Vec<Value> {
    let hex = |digits: &[u8]| {
        let digits = str::from_utf8(digits).expect("digits");
        u8::from_str_radix(digits, 16).expect("two digits")
    };
    let (mut values, mut rest) = (Vec::new(), text.as_bytes());
    while let Some(at) = rest.iter().position(|byte| *byte == b'=') {
        rest = &rest[at + 1..];
        let (mut value, mut ended) = (Vec::new(), 0);
        let is_encoded = rest.first() == Some(&b'#');
        while let Some(&byte) = rest.get(ended).filter(|byte| !matches!(byte, b',' | b'+')) {
            let escaped = &rest[ended + 1..];
            let (taken, meant) = match byte {
                b'\\' if escaped[0].is_ascii_hexdigit() => (3, hex(&escaped[..2])),
                b'\\' => (2, escaped[0]),
                _ => (1, byte),
            };
            value.push(meant);
            ended += taken;
        }
        rest = &rest[ended..];
        values.push(match is_encoded {
            true => Value::Encoded(value[1..].chunks(2).map(hex).collect()),
            false => Value::Plain(value),
        });
    }
    values
}
