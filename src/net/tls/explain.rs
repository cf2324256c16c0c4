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
        other => format!("is not accepted: {other}"),
    }
}
