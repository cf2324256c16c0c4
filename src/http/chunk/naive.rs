//! A naive decoder of the chunked coding: it sees the whole wire at once, splits it into lines, and
//! parses those. Tests and the fuzzer compare the real decoder with it.

use super::super::abnf::{is_tchar, is_text};

/// The result of decoding a wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The payload, the trailer section, and the bytes after the body.
    Ended(Vec<u8>, Vec<u8>, Vec<u8>),
    /// The wire is not valid chunked coding, or exceeds the limits.
    Refused,
    /// The wire is valid so far but incomplete.
    More,
}

/// Decodes all of `rest`, the body of a request or a response.
pub(crate) fn decode(mut rest: &[u8], of_response: bool) -> Outcome {
    let mut payload = Vec::new();
    let mut debt = 0;
    loop {
        let Some((line, behind)) = split(rest) else {
            return Outcome::More;
        };
        let Some(size) = size_of_line(line, of_response) else {
            return Outcome::Refused;
        };
        debt = (debt + line.len() as u128 + 2).saturating_sub(size + 32);
        if debt >= 16 * 1024 {
            return Outcome::Refused;
        }
        if size == 0 {
            return trailers(payload, behind);
        }
        if behind.len() as u128 <= size + 1 {
            return Outcome::More;
        }
        let (data, behind) = behind.split_at(usize::try_from(size).unwrap_or(usize::MAX));
        let Some(behind) = behind.strip_prefix(b"\r\n") else {
            return Outcome::Refused;
        };
        payload.extend_from_slice(data);
        rest = behind;
    }
}

fn trailers(payload: Vec<u8>, section: &[u8]) -> Outcome {
    let mut rest = section;
    for _ in 0..=64 {
        let Some((line, behind)) = split(rest) else {
            return Outcome::More;
        };
        if line.is_empty() {
            let fields = &section[..section.len() - rest.len()];
            if fields.len() > 8 * 1024 {
                return Outcome::Refused;
            }
            return Outcome::Ended(payload, fields.to_vec(), behind.to_vec());
        }
        let name = line.iter().take_while(|&&b| is_tchar(b)).count();
        let value = line[name..].strip_prefix(b":");
        if name == 0 || !value.is_some_and(|value| value.iter().all(|&b| is_text(b))) {
            return Outcome::Refused;
        }
        rest = behind;
    }
    Outcome::Refused
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..at], &bytes[at + 2..]))
}

fn size_of_line(line: &[u8], of_response: bool) -> Option<u128> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 16 || line.len() + 2 > 256 {
        return None;
    }
    let size = u128::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
    let mut rest = &line[digits..];
    while let [before @ .., b' ' | b'\t'] = rest
        && of_response
    {
        rest = before;
    }
    (size < 1 << 63 && extensions(rest).is_some()).then_some(size)
}

fn extensions(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        rest = whitespace(whitespace(rest).strip_prefix(b";")?);
        rest = token(rest)?;
        if let Some(value) = whitespace(rest).strip_prefix(b"=") {
            let value = whitespace(value);
            rest = if value.first() == Some(&b'"') { quoted(value)? } else { token(value)? };
        }
    }
    Some(())
}

fn whitespace(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|&&b| b == b' ' || b == b'\t').count()..]
}

fn token(bytes: &[u8]) -> Option<&[u8]> {
    let len = bytes.iter().take_while(|&&b| is_tchar(b)).count();
    (len > 0).then(|| &bytes[len..])
}

fn quoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(&bytes[at + 1..]),
            b'\\' if is_text(*bytes.get(at + 1)?) => at += 2,
            &b if is_text(b) && b != b'\\' => at += 1,
            _ => return None,
        }
    }
}
