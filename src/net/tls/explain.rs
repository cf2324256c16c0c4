//! What the library's errors mean to operators.
//!
//! Every error that a peer can cause has a text here. The rest are our own mistakes, or cannot
//! occur with our configuration (QUIC), and keep the library's text.

use crate::net::{TlsError, TlsFault};
use crate::time::date;
use rustls::pki_types::UnixTime;
use rustls::{
    CertRevocationListError, CertificateError, Error, ExtendedKeyPurpose, InvalidMessage,
    PeerIncompatible,
};

/// The maximum number of names of a certificate that are named.
const NAMES_MAX: usize = 8;

/// The maximum number of characters of each. No host has a longer name.
const NAME_MAX: usize = 253;

/// What went wrong in a handshake.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
pub(super) fn explain(error: &Error) -> TlsError {
    let fault = match error {
        Error::InvalidCertificate(wrong) => of_certificate(wrong),
        Error::InvalidCertRevocationList(_) => TlsFault::RevocationUnknown,
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
        CertificateError::Revoked => TlsFault::Revoked,
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => TlsFault::RevocationUnknown,
        _ => TlsFault::BadCertificate,
    }
}

/// An error as part of a sentence, on one line.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
pub(super) fn sentence(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => format!("its certificate {}", about_certificate(wrong)),
        Error::InvalidCertRevocationList(wrong) => {
            format!("the revocation list for its certificate cannot be used: {}", about_list(wrong))
        }
        Error::NoCertificatesPresented => "it presented no certificate".to_owned(),
        Error::AlertReceived(alert) => format!("it ended the handshake with the alert {alert:?}"),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "it does not speak TLS".to_owned(),
        Error::NoApplicationProtocol => "it offers no HTTP/1 (ALPN)".to_owned(),
        Error::PeerIncompatible(why) => about_incompatible(why),
        Error::InvalidMessage(what) => format!("it sent a malformed message ({what:?})"),
        Error::InappropriateMessage { got_type, .. } => {
            format!("it sent a message that was not due ({got_type:?})")
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("it sent a message that was not due ({got_type:?})")
        }
        Error::PeerMisbehaved(how) => format!("it broke the rules of TLS ({how:?})"),
        Error::PeerSentOversizedRecord => "it sent a record that is too long".to_owned(),
        Error::DecryptError => {
            "what it sent cannot be decrypted, so it was changed in transit".to_owned()
        }
        other => other.to_string().lines().collect::<Vec<_>>().join("; "),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
fn about_incompatible(why: &PeerIncompatible) -> String {
    let what = match why {
        PeerIncompatible::NoCipherSuitesInCommon => "cipher",
        PeerIncompatible::NoKxGroupsInCommon => "way to exchange keys",
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "signature for our kind of key"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "version of TLS",
        other => return format!("it lacks what is needed ({other:?})"),
    };
    format!("it has no {what} in common with us")
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
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::UnknownIssuer => "is from an issuer that is not trusted".to_owned(),
        CertificateError::BadEncoding => "cannot be read".to_owned(),
        CertificateError::Revoked => "was revoked".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "is from an issuer of which there is no revocation list".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => {
            let day = day(next_update);
            format!("is from an issuer whose revocation list has expired on {day}")
        }
        CertificateError::UnhandledCriticalExtension => {
            "has a critical extension that is not understood".to_owned()
        }
        CertificateError::BadSignature => {
            "has a wrong signature, or a key that is too short".to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed with an algorithm that is not accepted, such as SHA-1".to_owned()
        }
        CertificateError::NotValidForName => "is for other names".to_owned(),
        CertificateError::InvalidPurposeContext { required, .. } => {
            let who = match required {
                ExtendedKeyPurpose::ClientAuth => "a client",
                ExtendedKeyPurpose::ServerAuth => "a server",
                ExtendedKeyPurpose::Other(_) => "this peer",
            };
            format!("may not be presented by {who} (extendedKeyUsage)")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("is not for {}, but for {}", expected.to_str(), listed(presented))
        }
        // The default of openssl.
        CertificateError::Other(error) if error.0.to_string() == "CaUsedAsEndEntity" => {
            "is a CA certificate, which cannot be presented by itself (basicConstraints: CA:TRUE)"
                .to_owned()
        }
        // What openssl issues for a request if it is given no extensions.
        CertificateError::Other(error) if error.0.to_string() == "UnsupportedCertVersion" => {
            "is of X.509 version 1, so it cannot say what it is for; issue it with extensions"
                .to_owned()
        }
        CertificateError::Other(error) => format!("is not accepted: {}", error.0),
        other => format!("is not accepted: {other}"),
    }
}

/// The names in a certificate, as part of a sentence. The peer has chosen them.
fn listed(presented: &[String]) -> String {
    // The library says `DnsName("a.example")`.
    let name = |text: &String| -> String {
        let name = text.split('"').nth(1).unwrap_or(text);
        name.chars().take(NAME_MAX).flat_map(char::escape_default).collect()
    };
    let names: Vec<String> = presented.iter().take(NAMES_MAX).map(name).collect();
    let names = names.join(", ");
    match presented.len() {
        0 => "no name".to_owned(),
        count if count > NAMES_MAX => format!("{names} and {} more", count - NAMES_MAX),
        _ => names,
    }
}

/// What is wrong with a revocation list, as part of a sentence.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
pub(super) fn about_list(wrong: &CertRevocationListError) -> String {
    match wrong {
        CertRevocationListError::BadSignature => {
            "its signature is not that of the issuer that it names"
        }
        CertRevocationListError::IssuerInvalidForCrl => {
            "its issuer may not sign revocation lists (keyUsage: cRLSign)"
        }
        CertRevocationListError::ParseError => "a revocation list in it cannot be read",
        CertRevocationListError::UnsupportedDeltaCrl => {
            "a revocation list in it says only what is new (delta CRL); use the complete one"
        }
        CertRevocationListError::UnsupportedIndirectCrl => {
            "a revocation list in it is for certificates of other issuers (indirect CRL), which is \
             not supported"
        }
        other => return format!("a revocation list in it is not accepted: {other:?}"),
    }
    .to_owned()
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
    use rustls::{AlertDescription, ContentType, PeerMisbehaved};
    use std::sync::Arc;
    use std::time::Duration;

    /// The error for a certificate that a server presents.
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

    #[track_caller]
    fn check(error: &Error, fault: TlsFault, text: &str) {
        let told = explain(error);
        assert_eq!((told.fault, told.text.as_str()), (fault, text));
    }

    #[test]
    fn what_is_wrong_with_certificates() {
        let required = ExtendedKeyPurpose::ClientAuth;
        let purpose = CertificateError::InvalidPurposeContext { required, presented: Vec::new() };
        let signed = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        };
        let (expired, wrong_name) = (TlsFault::Expired, TlsFault::WrongName);
        let bad = TlsFault::BadCertificate;
        for (wrong, fault, what) in [
            (CertificateError::Expired, expired, "has expired"),
            (CertificateError::NotValidYet, expired, "is not valid yet"),
            (CertificateError::NotValidForName, wrong_name, "is for other names"),
            (CertificateError::BadEncoding, bad, "cannot be read"),
            (CertificateError::Revoked, TlsFault::Revoked, "was revoked"),
            (purpose, bad, "may not be presented by a client (extendedKeyUsage)"),
            (signed, bad, "is signed with an algorithm that is not accepted, such as SHA-1"),
            // We never request that.
            (CertificateError::InvalidOcspResponse, bad, "is not accepted: InvalidOcspResponse"),
        ] {
            check(&Error::InvalidCertificate(wrong), fault, &format!("its certificate {what}"));
        }
    }

    /// The peer must not be able to write lines of its own into a log, nor very long ones.
    #[test]
    fn names_are_escaped_and_few() {
        let names = |names: &[&str]| {
            let presented = names.iter().map(|name| format!("DnsName(\"{name}\")")).collect();
            let expected = ServerName::try_from("a.example").unwrap();
            let wrong = CertificateError::NotValidForNameContext { expected, presented };
            let text = explain(&Error::InvalidCertificate(wrong)).text;
            let told = text.strip_prefix("its certificate is not for a.example, but for ");
            told.unwrap().to_owned()
        };
        assert_eq!(names(&[]), "no name");
        assert_eq!(names(&["b.example", "*.c.example"]), "b.example, *.c.example");
        assert_eq!(names(&["b\n\u{1b}[2J\u{e9}"]), "b\\n\\u{1b}[2J\\u{e9}");
        assert_eq!(names(&["b"; 8]), ["b"; 8].join(", "));
        assert_eq!(names(&["b"; 10]), format!("{} and 2 more", ["b"; 8].join(", ")));
        assert_eq!(names(&[&"b".repeat(10_000)]).len(), NAME_MAX);
    }

    /// Each text says who did what.
    #[test]
    fn what_peers_can_cause() {
        let due = Error::InappropriateMessage {
            expect_types: Vec::new(),
            got_type: ContentType::ApplicationData,
        };
        let without = Error::PeerIncompatible;
        let malformed = Error::InvalidMessage(InvalidMessage::MessageTooShort);
        let other = TlsFault::Incompatible;
        for (error, fault, text) in [
            (
                Error::AlertReceived(AlertDescription::BadCertificate),
                TlsFault::Alert,
                "it ended the handshake with the alert BadCertificate",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                TlsFault::NotTls,
                "it does not speak TLS",
            ),
            (
                without(PeerIncompatible::Tls12NotOffered),
                other,
                "it has no version of TLS in common with us",
            ),
            (
                without(PeerIncompatible::NoKxGroupsInCommon),
                other,
                "it has no way to exchange keys in common with us",
            ),
            (
                without(PeerIncompatible::NullCompressionRequired),
                other,
                "it lacks what is needed (NullCompressionRequired)",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests),
                other,
                "it broke the rules of TLS (TooManyKeyUpdateRequests)",
            ),
            (malformed, other, "it sent a malformed message (MessageTooShort)"),
            (due, other, "it sent a message that was not due (ApplicationData)"),
            (
                Error::DecryptError,
                other,
                "what it sent cannot be decrypted, so it was changed in transit",
            ),
            (Error::PeerSentOversizedRecord, other, "it sent a record that is too long"),
            // Our own mistake.
            (Error::General("a\nb".to_owned()), other, "unexpected error: a; b"),
        ] {
            check(&error, fault, text);
        }
    }

    /// Such a certificate is often used both as the trusted authority and as the one presented.
    #[test]
    fn an_authority_that_shows_itself() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let error = judged(own.der(), roots);
        let text = "its certificate is a CA certificate, which cannot be presented by itself \
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
