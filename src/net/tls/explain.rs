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
    let day = |time: &UnixTime| date::utc(time.as_secs() * 1000)[..10].to_owned();
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
    use rustls::pki_types::ServerName;
    use std::sync::Arc;
    use std::time::Duration;

    /// Such a certificate is often both: whom to trust, and what is shown.
    #[test]
    fn an_authority_that_shows_itself() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let (name, now) =
            (ServerName::try_from("a.example").unwrap(), Duration::from_secs(1 << 30));
        let now = UnixTime::since_unix_epoch(now);
        let verified =
            verifier.build().unwrap().verify_server_cert(own.der(), &[], &name, &[], now);
        let error = explain(&verified.unwrap_err());
        let text = "its certificate is that of an authority, so it cannot be shown by itself \
            (basicConstraints: CA:TRUE)";
        assert_eq!((error.fault, error.text.as_str()), (TlsFault::BadCertificate, text));
    }
}
