//! The fields that tell an upstream which certificate a client presented: those of RFC 9440, and
//! those that servers behind nginx and HAProxy know.
//!
//! All of these fields are reserved ([`is_reserved`](super::fields::is_reserved)), so none of them
//! can come from a client.

use super::fields::write_line;
use crate::base64;
use crate::digits::HEX_DIGITS;
use sha2::{Digest, Sha256};

/// What a client presented when it was asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// No certificate, where none is required.
    Nothing,
    /// A certificate, which was verified.
    Certificate {
        /// The certificate in DER.
        der: Box<[u8]>,
        /// The subject (RFC 4514), in visible ASCII characters and spaces. May be empty.
        subject: Box<str>,
    },
}

impl Shown {
    /// The subject of the certificate, if it has one.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Shown::Certificate { subject, .. } if !subject.is_empty() => Some(subject),
            Shown::Certificate { .. } | Shown::Nothing => None,
        }
    }

    /// Appends the fields.
    ///
    /// # Panics
    /// If the subject could be read as more than one line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Shown::Certificate { der, .. } = self else {
            return write_line(out, "X-SSL-Client-Verify", b"NONE");
        };
        write_line(out, "X-SSL-Client-Verify", b"SUCCESS");
        if let Some(subject) = self.subject() {
            assert!(subject.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a line of its own");
            write_line(out, "X-SSL-Client-S-DN", subject.as_bytes());
        }
        let digest = Sha256::digest(der);
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits: Vec<u8> = digits.map(|digit| HEX_DIGITS[usize::from(digit)]).collect();
        write_line(out, "X-SSL-Client-Fingerprint", &digits);
        // A byte sequence (RFC 9651 section 3.3.5).
        let mut value = vec![b':'];
        base64::encode(der, &mut value);
        value.push(b':');
        write_line(out, "Client-Cert", &value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::is_about_client;
    use super::*;

    fn written(shown: &Shown) -> String {
        let mut out = Vec::new();
        shown.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields() {
        let of =
            |subject: &str| Shown::Certificate { der: (*b"abc").into(), subject: subject.into() };
        let rest = "X-SSL-Client-Fingerprint: \
            ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n\
            Client-Cert: :YWJj:\r\n";
        let verify = "X-SSL-Client-Verify: SUCCESS\r\n";
        let whole = format!("{verify}X-SSL-Client-S-DN: CN=a b,O=c\r\n{rest}");
        assert_eq!(written(&of("CN=a b,O=c")), whole);
        assert_eq!(written(&of("")), format!("{verify}{rest}"));
        assert_eq!(written(&Shown::Nothing), "X-SSL-Client-Verify: NONE\r\n");
        let names = whole.lines().map(|line| line.split(':').next().unwrap());
        assert!(names.into_iter().all(is_about_client), "clients cannot set them");
    }
}
