//! Certificates, revocation lists and keys from PEM files.

use super::explain::sentence;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The certificates in a PEM file, at least one.
pub(super) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("not a PEM file: {}", said(&error)))?;
    if certificates.is_empty() {
        return Err("no certificate in it; it has to be a PEM file".to_owned());
    }
    Ok(certificates)
}

/// The revocation lists in a PEM file, at least one.
pub(super) fn lists_in(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let lists = lists.map_err(|error| format!("not a PEM file: {}", said(&error)))?;
    if lists.is_empty() {
        return Err("no revocation list in it; it has to be a PEM file with X509 CRL sections \
            (openssl crl -inform DER -in OLD -out NEW)"
            .to_owned());
    }
    Ok(lists)
}

/// The certificates of authorities in a PEM file, at least one.
pub(super) fn roots_in(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(pem)? {
        roots.add(certificate).map_err(|error| sentence(&error))?;
    }
    Ok(roots)
}

/// The first private key in a PEM file.
pub(super) fn key_in(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        // There are two ways to say so: in the first line, and in one after it.
        let is_encrypted = pem.windows(9).any(|text| text == b"ENCRYPTED");
        if is_encrypted {
            return "it is encrypted, and nobody can be asked for the passphrase; write it \
                without one: openssl pkey -in OLD -out NEW"
                .to_owned();
        }
        format!("no private key in it: {}", said(&error))
    })
}

/// An error without the bytes that it is about, which may be part of a key.
fn said(error: &pem::Error) -> String {
    let words = if matches!(error, pem::Error::MissingSectionEnd { .. }) {
        "a line that begins with -----END is missing; it may be only half written"
    } else if matches!(error, pem::Error::IllegalSectionStart { .. }) {
        "a line that begins with -----BEGIN does not end with -----"
    } else if matches!(error, pem::Error::Base64Decode(_)) {
        "what it contains is not base64"
    } else if matches!(error, pem::Error::NoItemsFound) {
        "there is no such section"
    } else {
        return error.to_string();
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file() {
        let of = |text: &str| certificates_in(text.as_bytes()).unwrap_err();
        let begin = "-----BEGIN CERTIFICATE-----\n";
        assert_eq!(of(""), "no certificate in it; it has to be a PEM file");
        let half = "not a PEM file: a line that begins with -----END is missing; it may be only \
            half written";
        assert_eq!(of(&format!("{begin}MIIB\n")), half);
        let start = "not a PEM file: a line that begins with -----BEGIN does not end with -----";
        assert_eq!(of("-----BEGIN CERTIFICATE\nMIIB\n"), start);
        let base64 = "not a PEM file: what it contains is not base64";
        assert_eq!(of(&format!("{begin}!\n-----END CERTIFICATE-----\n")), base64);
        let key = key_in(begin.as_bytes()).unwrap_err();
        assert!(key.starts_with("no private key in it: "), "{key}");
    }
}
