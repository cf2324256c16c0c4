//! What errors of the library mean to operators.

use crate::net::{TlsError, TlsFault};
use crate::time::date;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error, InvalidMessage};

/// What went wrong in a handshake.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
pub(super) fn explain(error: &Error) -> TlsError {
    let fault = match error {
        Error::InvalidCertificate(wrong) => of_certificate(wrong),
        Error::NoCertificatesPresented => TlsFault::BadCertificate,
        Error::AlertReceived(_) => TlsFault::Alert,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsFault::NotTls,
        _ => TlsFault::Incompatible,
    };
    TlsError { fault, text: sentence(error) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
const fn of_certificate(wrong: &CertificateError) -> TlsFault {
    match wrong {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFault::Expired,
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        _ => TlsFault::BadCertificate,
    }
}

/// An error as a part of a sentence, on one line.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
pub(super) fn sentence(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => format!("its certificate {}", about_certificate(wrong)),
        Error::NoCertificatesPresented => "it has shown no certificate".to_owned(),
        Error::AlertReceived(alert) => format!("it ended the handshake with the alert {alert:?}"),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "it does not speak TLS".to_owned(),
        Error::NoApplicationProtocol => "it offers no HTTP/1 (ALPN)".to_owned(),
        other => other.to_string().lines().collect::<Vec<_>>().join("; "),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
fn about_certificate(wrong: &CertificateError) -> String {
    let day = |time: &UnixTime| date::day(time.as_secs());
    match wrong {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired on {}", day(not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", day(not_before))
        }
        CertificateError::UnknownIssuer => "is from an issuer that is not trusted".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // The library says `DnsName("a.example")`.
            let name = |text: &String| text.split('"').nth(1).unwrap_or(text).to_owned();
            let names: Vec<String> = presented.iter().map(name).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("is not for {}, but for {names}", expected.to_str())
        }
        // What openssl makes if it is not told otherwise.
        CertificateError::Other(error) if error.0.to_string() == "CaUsedAsEndEntity" => {
            "is that of an authority, so it cannot be shown by itself (basicConstraints: CA:TRUE)"
                .to_owned()
        }
        // What openssl makes of a request if it is given no extensions.
        CertificateError::Other(error) if error.0.to_string() == "UnsupportedCertVersion" => {
            "is of X.509 version 1, so it cannot say what it is for; issue it with extensions"
                .to_owned()
        }
        CertificateError::Other(error) => format!("is not accepted: {}", error.0),
        other => format!("is not accepted: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use std::sync::Arc;
    use std::time::Duration;

    /// What is said of a certificate that a server shows.
    fn judged(der: &CertificateDer<'_>, roots: RootCertStore) -> TlsError {
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let (name, now) =
            (ServerName::try_from("a.example").unwrap(), Duration::from_secs(1 << 30));
        let now = UnixTime::since_unix_epoch(now);
        explain(
            &verifier.build().unwrap().verify_server_cert(der, &[], &name, &[], now).unwrap_err(),
        )
    }

    /// Such a certificate is often both: whom to trust, and what is shown.
    #[test]
    fn an_authority_that_shows_itself() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let error = judged(own.der(), roots);
        let text = "its certificate is that of an authority, so it cannot be shown by itself \
            (basicConstraints: CA:TRUE)";
        assert_eq!((error.fault, error.text.as_str()), (TlsFault::BadCertificate, text));
    }

    #[test]
    fn a_certificate_without_extensions() {
        let old = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBIzCBywIUdKj+e41UJ7uVrFZPAAp3kdeE9g0wCgYIKoZIzj0EAwIwFDESMBAG\n\
        A1UEAwwJYS5leGFtcGxlMCAXDTI2MTEzMDAxMjgxN1oYDzIxMjYxMTA2MDEyODE3\n\
        WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AARibt1QYAyQueQCPXwsGjcdC98w9jgTz6cucODPBRgeakrdayJRm3GcX0KFegkv\n\
        gIPPisfbkIHgL/2gHo3CGmRXMAoGCCqGSM49BAMCA0cAMEQCIEu/Abq/k5rIQW09\n\
        NAl+7vjxC5Cnw+1LVD2ji8CR6ScfAiACvaIa7AG46qQFpA7mPedTHF2PX55mHCOh\n\
        ISkcqwHtvg==\n\
        -----END CERTIFICATE-----\n\
        ";
        let mut roots = RootCertStore::empty();
        let own = KeyPair::generate().unwrap();
        let other = CertificateParams::new(Vec::new()).unwrap().self_signed(&own).unwrap();
        roots.add(other.der().clone()).unwrap();
        let error = judged(&CertificateDer::from_pem_slice(old.as_bytes()).unwrap(), roots);
        let text = "its certificate is of X.509 version 1, so it cannot say what it is for; \
            issue it with extensions";
        assert_eq!((error.fault, error.text.as_str()), (TlsFault::BadCertificate, text));
    }
}
