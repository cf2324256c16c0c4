//! The content of certificates (RFC 5280) that the library does not provide: subject, issuer, names
//! and validity; and the content of revocation lists. Neither is verified here.

use crate::time::date::unix_seconds;
use std::fmt::Write;

/// Encoded object identifiers.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];

/// The object identifiers of attribute types that have a short name (RFC 4514 section 3), and of
/// some more that have one in OpenSSL.
const ATTRIBUTES: [(&[u8], &str); 11] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// Tags (X.690): universal ones, and context-specific ones.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS_OF_LIST: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// The content of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The encoded name of the issuer.
    pub issuer: &'a [u8],
    /// The encoded name of the subject.
    pub subject: &'a [u8],
    /// The first and the last second in which it is valid, since 1970.
    pub valid: [u64; 2],
    /// The host names that it is valid for, in lower case. Their first label may be `*`.
    pub names: Vec<String>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER. None if it is not one.
    pub fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut signed = Der(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
        signed.skip_if(VERSION);
        signed.take(INTEGER)?;
        signed.take(SEQUENCE)?;
        let issuer = signed.take(SEQUENCE)?;
        let mut validity = signed.inside(SEQUENCE)?;
        let valid = [validity.time()?, validity.time()?];
        let subject = signed.take(SEQUENCE)?;
        signed.take(SEQUENCE)?;
        let mut names = Vec::new();
        while let Some((tag, content)) = signed.next() {
            if tag == EXTENSIONS {
                let mut extensions = Der(content).inside(SEQUENCE)?;
                while let Some(mut extension) = extensions.inside(SEQUENCE) {
                    if extension.take(OBJECT_IDENTIFIER)? == SUBJECT_ALT_NAME {
                        names = dns_names(extension)?;
                    }
                }
            }
        }
        Some(Certificate { issuer, subject, valid, names })
    }
}

/// The content of a revocation list (RFC 5280 section 5).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CertificateList<'a> {
    /// True if it states its version, as every list with extensions must.
    pub(super) has_version: bool,
    /// The encoded name of the issuer.
    pub(super) issuer: &'a [u8],
    /// When it was issued, and when the next list is due, in seconds since 1970.
    pub(super) updates: [u64; 2],
    /// The number of revoked certificates.
    pub(super) revoked: usize,
    /// True if it covers only some of its issuer's certificates.
    pub(super) is_partial: bool,
    /// The encoded identifier of the key that signed it. Empty if there is none.
    pub(super) key: &'a [u8],
}

impl<'a> CertificateList<'a> {
    /// Reads a list in DER. None if it is not one, or does not say when the next list is due.
    pub(super) fn read(der: &'a [u8]) -> Option<CertificateList<'a>> {
        let mut signed = Der(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
        let has_version = signed.take(INTEGER).is_some();
        signed.take(SEQUENCE)?;
        let issuer = signed.take(SEQUENCE)?;
        let updates = [signed.time()?, signed.time()?];
        let mut entries = signed.inside(SEQUENCE).unwrap_or(Der(&[]));
        let mut revoked = 0;
        while entries.take(SEQUENCE).is_some() {
            revoked += 1;
        }
        let mut extensions = signed.inside(EXTENSIONS_OF_LIST).unwrap_or(Der(&[]));
        let mut extensions = extensions.inside(SEQUENCE).unwrap_or(Der(&[]));
        let (mut is_partial, mut key) = (false, &[][..]);
        while let Some(mut extension) = extensions.inside(SEQUENCE) {
            match extension.take(OBJECT_IDENTIFIER)? {
                ISSUING_DISTRIBUTION_POINT => is_partial = true,
                AUTHORITY_KEY_IDENTIFIER => key = extension.0,
                _ => {}
            }
        }
        Some(CertificateList { has_version, issuer, updates, revoked, is_partial, key })
    }
}

/// The last second in which a certificate in DER is valid, since 1970. None if it cannot be read.
pub(super) fn last_second(certificate: &[u8]) -> Option<u64> {
    Certificate::read(certificate).map(|read| read.valid[1])
}

/// The subject of a certificate in DER, as text (RFC 4514) in visible ASCII characters and spaces.
/// None if it is not a certificate, or if the subject cannot be read completely: part of a name
/// could be the name of someone else. The last attribute comes first, as RFC 4514 requires.
pub(super) fn subject(der: &[u8]) -> Option<String> {
    name(Certificate::read(der)?.subject)
}

/// The text of an encoded name. See [`subject`].
pub(super) fn name(encoded: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut names = Der(encoded);
    while !names.0.is_empty() {
        let mut attributes = names.inside(SET)?;
        let mut part = String::new();
        while !attributes.0.is_empty() {
            let mut attribute = attributes.inside(SEQUENCE)?;
            if !part.is_empty() {
                part.push('+');
            }
            let kind = attribute.take(OBJECT_IDENTIFIER)?;
            write_attribute(kind, attribute, &mut part)?;
        }
        parts.push(part);
    }
    parts.reverse();
    Some(parts.join(","))
}

/// Appends an attribute of a name. `rest` is its value. Writing to a string cannot fail.
fn write_attribute(kind: &[u8], mut rest: Der<'_>, out: &mut String) -> Option<()> {
    let whole = rest.0;
    let (tag, value) = rest.next().filter(|_| rest.0.is_empty())?;
    let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
    let text = str::from_utf8(value).ok().filter(|_| is_text);
    let name = ATTRIBUTES.iter().find(|(id, _)| *id == kind).map(|(_, name)| *name);
    out.push_str(name.unwrap_or(&dotted(kind)));
    out.push('=');
    let Some(text) = text.filter(|_| name.is_some()) else {
        out.push('#');
        for byte in whole {
            let _ = write!(out, "{byte:02x}");
        }
        return Some(());
    };
    for (at, byte) in text.bytes().enumerate() {
        let is_outer = at == 0 || at + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' | b'=' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' ' if is_outer => out.push_str("\\ "),
            b'#' if at == 0 => out.push_str("\\#"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    Some(())
}

/// An object identifier in dotted form.
fn dotted(id: &[u8]) -> String {
    let (mut out, mut number) = (String::new(), 0_u128);
    for byte in id {
        number = number << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            // The first two numbers are encoded as one (X.690 section 8.19.4).
            let first = (number / 40).min(2);
            let _ = match out.is_empty() {
                true => write!(out, "{first}.{}", number - 40 * first),
                false => write!(out, ".{number}"),
            };
            number = 0;
        }
    }
    out
}

/// The names in the rest of an extension: in an octet string, after the optional critical flag.
fn dns_names(mut extension: Der<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let value = loop {
        match extension.next()? {
            (OCTET_STRING, value) => break value,
            _ => continue,
        }
    };
    let mut entries = Der(value).inside(SEQUENCE)?;
    while let Some((tag, name)) = entries.next() {
        if tag == DNS_NAME
            && let Ok(name) = str::from_utf8(name)
        {
            names.push(name.to_ascii_lowercase());
        }
    }
    Some(names)
}

/// The rest of a sequence of values in DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next value: its tag and its content. None at the end, or if the value is
    /// truncated.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        // Above 127, the low bits are the number of length bytes that follow. A list is below 4
        // GiB.
        let (length, rest) = match usize::from(first) {
            length @ ..=0x7f => (length, rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Takes the next value if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = *self;
        let (_, content) = rest.next().filter(|(found, _)| *found == tag)?;
        *self = rest;
        Some(content)
    }

    /// Takes the next value if it has this tag, and returns its content for reading.
    fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.take(tag).map(Der)
    }

    fn skip_if(&mut self, tag: u8) {
        self.take(tag);
    }

    /// Takes a time, in seconds since 1970. Earlier times give 0.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.next()?;
        // Years with two digits begin at 1950 (RFC 5280 section 4.1.2.5.1).
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = (digits(text.get(..2)?)?, &text[2..]);
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => (digits(text.get(..4)?)?, &text[4..]),
            _ => return None,
        };
        let [month, day, hour, minute, second] =
            [0, 2, 4, 6, 8].map(|at| rest.get(at..at + 2).and_then(digits));
        if year < 1970 {
            return Some(0);
        }
        unix_seconds([year, month?, day?], [hour?, minute?, second?])
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::date;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, date_time_ymd};

    fn certificate(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_times() {
        let names = ["A.example", "*.b.example", "127.0.0.1", "c.example"];
        let der = certificate(&names, |params| {
            params.not_before = date_time_ymd(2024, 2, 29);
            params.not_after = date_time_ymd(2051, 12, 31);
        });
        let read = Certificate::read(&der).unwrap();
        assert_eq!(read.names, ["a.example", "*.b.example", "c.example"], "no addresses");
        let days = read.valid.map(date::day);
        assert_eq!(days, ["2024-02-29", "2051-12-31"]);
        assert_eq!(read.issuer, read.subject);
        let der = certificate(&[], |params| params.not_before = date_time_ymd(1960, 1, 1));
        let read = Certificate::read(&der).unwrap();
        assert!(read.names.is_empty());
        assert_eq!(read.valid[0], 0);
    }

    #[test]
    fn subjects() {
        let subject_of = |attributes: Vec<(DnType, DnValue)>| {
            let der = certificate(&[], |params| {
                params.distinguished_name = DistinguishedName::new();
                for (kind, value) in attributes {
                    params.distinguished_name.push(kind, value);
                }
            });
            subject(&der).unwrap()
        };
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let odd = |id: &[u64]| DnType::CustomDnType(id.to_vec());
        assert_eq!(subject_of(vec![]), "");
        let long = vec![
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            (DnType::OrganizationName, utf8("A, B = C")),
            (DnType::CommonName, utf8(" caf\u{e9}\n#1 ")),
        ];
        assert_eq!(subject_of(long), "CN=\\ caf\\C3\\A9\\0A#1\\ ,O=A\\, B \\= C,C=DE");
        assert_eq!(subject_of(vec![(odd(&[2, 5, 4, 65]), utf8("#a"))]), "2.5.4.65=#0c022361");
        let two = vec![(DnType::CommonName, utf8("#a")), (odd(&[1, 3, 300]), utf8("b"))];
        assert_eq!(subject_of(two), "1.3.300=#0c0162,CN=\\#a");
        assert_eq!(subject(b"no certificate"), None);
    }

    #[test]
    fn half_a_name_is_none() {
        let der = certificate(&[], |params| {
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "admin");
            params.distinguished_name.push(DnType::OrganizationName, "guests");
        });
        assert_eq!(subject(&der).as_deref(), Some("O=guests,CN=admin"));
        // The subject follows the issuer, which is the same name.
        let organization = [SET, 15, SEQUENCE, 13, OBJECT_IDENTIFIER, 3, 0x55, 4, 10];
        let mut windows = der.windows(organization.len());
        let at = windows.rposition(|window| window == organization).unwrap();
        for (offset, byte) in [(0, SEQUENCE), (1, 14), (2, SET), (3, 12), (4, SET), (10, 5)] {
            let mut broken = der.clone();
            broken[at + offset] = byte;
            assert_eq!(subject(&broken), None, "{offset}");
        }
    }

    /// It never panics, and refuses truncated certificates.
    #[test]
    fn what_is_broken() {
        let der = certificate(&["a.example"], |_| {});
        let whole = Certificate::read(&der);
        for cut in 0..der.len() {
            assert_eq!(Certificate::read(&der[..cut]), None, "{cut}");
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut broken = der.clone();
                broken[at] ^= 1 << bit;
                drop(subject(&broken));
            }
        }
        let behind = [&der[..], b"more"].concat();
        assert_eq!(Certificate::read(&behind), whole);
    }
}
