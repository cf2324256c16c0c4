//! Certificates and keys from PEM files.

use super::explain::sentence;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a PEM file, at least one.
pub(super) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("not a PEM file: {error}"))?;
    if certificates.is_empty() {
        return Err("no certificate in it; it has to be a PEM file".to_owned());
    }
    Ok(certificates)
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
        // Both ways to say so: in the first line, and in one behind that.
        let is_encrypted = pem.windows(9).any(|text| text == b"ENCRYPTED");
        if is_encrypted {
            return "it is encrypted, and there is nobody to ask for the passphrase; write it \
                without one: openssl pkey -in OLD -out NEW"
                .to_owned();
        }
        format!("no private key in it: {error}")
    })
}
