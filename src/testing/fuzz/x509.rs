//! The parser of certificates against the library's own, and against one that only finds values.

use crate::net::tls::{Certificate, subject_of};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The bytes are a certificate, or nearly one. It is parsed as others parse it, whatever follows
/// it, and its values can be recovered from the text of its subject.
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
    match values_of(subject) {
        None => assert_eq!(text, "", "half a name"),
        Some(values) if !has_empty_part(subject) => assert_eq!(told(&text), values, "{text}"),
        Some(_) => {}
    }
    // The library accepts fewer certificates.
    let mut roots = RootCertStore::empty();
    if roots.add(CertificateDer::from(bytes)).is_ok() {
        assert_eq!(roots.roots[0].subject.as_ref(), subject);
    }
}

/// A value in a text: plain, or all its bytes in encoded form.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Plain(Vec<u8>),
    Encoded(Vec<u8>),
}

/// The first value, and what follows it. No length takes more than four bytes.
fn first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length) = (*bytes.first()?, usize::from(*bytes.get(1)?));
    let (start, size): (usize, usize) = match length {
        ..=0x7f => (2, length),
        0x81 => (3, usize::from(*bytes.get(2)?)),
        0x82 => (4, usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?)),
        0x83 => {
            let [high, middle, low] = [2, 3, 4].map(|at| bytes.get(at).copied().map(usize::from));
            (5, high? << 16 | middle? << 8 | low?)
        }
        0x84 => (6, usize::try_from(u32::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        _ => return None,
    };
    let end = start.checked_add(size)?;
    Some((tag, bytes.get(start..end)?, &bytes[end..]))
}

/// All values, if all have this tag.
fn all(kind: u8, mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (tag, content, rest) = first(bytes)?;
        if tag != kind {
            return None;
        }
        values.push(content);
        bytes = rest;
    }
    Some(values)
}

/// True if a name has an empty part, which its text cannot show.
fn has_empty_part(name: &[u8]) -> bool {
    all(0x31, name).is_none_or(|parts| parts.iter().any(|part| part.is_empty()))
}

/// The values of a name, in the order of its text. None if it cannot be read completely.
fn values_of(name: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for part in all(0x31, name)?.into_iter().rev() {
        for attribute in all(0x30, part)? {
            let (0x06, kind, encoded) = first(attribute)? else { return None };
            let (tag, content, rest) = first(encoded)?;
            if !rest.is_empty() {
                return None;
            }
            let is_text = matches!(tag, 0x0c | 0x13 | 0x16) && str::from_utf8(content).is_ok();
            values.push(match is_text && has_name(kind) {
                true => Value::Plain(content.to_vec()),
                false => Value::Encoded(encoded.to_vec()),
            });
        }
    }
    Some(values)
}

/// True if such an attribute has a short name: some of X.520, an email address, a user id, a domain
/// component.
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
