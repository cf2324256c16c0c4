//! How TLS handshakes with clients ended.

use crate::metrics::Counter;
use crate::net::{Agreed, TlsFault};

/// How a TLS handshake with a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It succeeded with a full handshake.
    Full,
    /// It succeeded by resuming an earlier session.
    Resumed,
    /// The client's certificate has expired, or is not valid yet.
    CertificateExpired,
    /// Its issuer is not trusted.
    CertificateIssuer,
    /// It was revoked.
    CertificateRevoked,
    /// It is unknown whether it was revoked.
    RevocationUnknown,
    /// The client has none, or it is invalid in another way.
    Certificate,
    /// The client ended the handshake with an alert.
    Alert,
    /// The client sent plain HTTP.
    PlainHttp,
    /// The client sent something else.
    NotTls,
    /// The client closed the connection.
    Closed,
    /// The two sides have no TLS parameters in common.
    Incompatible,
    /// `tls.handshake_timeout` has passed.
    Timeout,
    /// It made room for another: `tls.max_handshakes` is reached.
    MaxHandshakes,
    /// It made room for another: `server.max_connections` is reached.
    MaxConnections,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(Handshake::ALL.len() == Handshake::MaxConnections as usize + 1);

impl Handshake {
    /// All of them.
    pub const ALL: [Handshake; 15] = [
        Handshake::Full,
        Handshake::Resumed,
        Handshake::CertificateExpired,
        Handshake::CertificateIssuer,
        Handshake::CertificateRevoked,
        Handshake::RevocationUnknown,
        Handshake::Certificate,
        Handshake::Alert,
        Handshake::PlainHttp,
        Handshake::NotTls,
        Handshake::Closed,
        Handshake::Incompatible,
        Handshake::Timeout,
        Handshake::MaxHandshakes,
        Handshake::MaxConnections,
    ];

    /// The word in metrics and in the log. millstream(1) explains each. The words are the same as
    /// for an upstream that fails in the same way.
    pub const fn word(self) -> &'static str {
        match self {
            Handshake::Full => "full",
            Handshake::Resumed => "resumed",
            Handshake::CertificateExpired => "certificate_expired",
            Handshake::CertificateIssuer => "certificate_issuer",
            Handshake::CertificateRevoked => "certificate_revoked",
            Handshake::RevocationUnknown => "revocation_unknown",
            Handshake::Certificate => "certificate",
            Handshake::Alert => "tls_alert",
            Handshake::PlainHttp => "http_on_tls_port",
            Handshake::NotTls => "not_tls",
            Handshake::Closed => "closed",
            Handshake::Incompatible => "tls",
            Handshake::Timeout => "tls.handshake_timeout",
            Handshake::MaxHandshakes => "tls.max_handshakes",
            Handshake::MaxConnections => "server.max_connections",
        }
    }

    /// The end of a successful handshake.
    pub const fn of(agreed: &Agreed<'_>) -> Handshake {
        if agreed.is_resumed { Handshake::Resumed } else { Handshake::Full }
    }
}

impl From<TlsFault> for Handshake {
    fn from(fault: TlsFault) -> Handshake {
        match fault {
            TlsFault::Expired => Handshake::CertificateExpired,
            TlsFault::UnknownIssuer => Handshake::CertificateIssuer,
            TlsFault::Revoked => Handshake::CertificateRevoked,
            TlsFault::RevocationUnknown => Handshake::RevocationUnknown,
            // The name in a client's certificate is not checked.
            TlsFault::WrongName | TlsFault::BadCertificate => Handshake::Certificate,
            TlsFault::Alert => Handshake::Alert,
            TlsFault::NotTls => Handshake::NotTls,
            TlsFault::PlainHttp => Handshake::PlainHttp,
            TlsFault::Closed => Handshake::Closed,
            TlsFault::Incompatible => Handshake::Incompatible,
        }
    }
}

/// The numbers of handshakes, by how they ended.
#[derive(Debug, Default)]
pub struct Handshakes([Counter; Handshake::ALL.len()]);

impl Handshakes {
    /// Counts a handshake.
    pub fn count(&self, ended: Handshake) {
        self.0[ended as usize].one();
    }

    /// All numbers.
    pub fn all(&self) -> impl Iterator<Item = (Handshake, u64)> + '_ {
        Handshake::ALL.into_iter().zip(self.0.iter().map(Counter::get))
    }
}
