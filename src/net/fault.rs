//! The outcome of a handshake, as reported to operators.

use std::error::Error;
use std::{fmt, io};

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed<'a> {
    /// The TLS version, as OpenSSL names it.
    pub version: &'static str,
    /// True if it resumed the session of an earlier connection.
    pub is_resumed: bool,
    /// The certificate that the peer presented, in DER. It was verified if verification is
    /// configured.
    pub certificate: Option<&'a [u8]>,
}

/// What went wrong while a connection was being secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate has expired, or is not valid yet.
    Expired,
    /// The certificate was not issued by a trusted authority.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// The certificate was revoked.
    Revoked,
    /// It is unknown whether the certificate was revoked.
    RevocationUnknown,
    /// The certificate is invalid in another way.
    BadCertificate,
    /// The peer ended the handshake with an alert.
    Alert,
    /// The peer speaks another protocol.
    NotTls,
    /// The peer, a client, speaks HTTP without TLS.
    PlainHttp,
    /// The peer has closed the connection during the handshake.
    Closed,
    /// Both sides speak TLS, but are not compatible.
    Incompatible,
}

/// Why a connection could not be secured. It travels in an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What went wrong.
    pub fault: TlsFault,
    /// The details, as part of a sentence.
    pub text: String,
}

impl TlsError {
    /// The fault of the handshake, if that is why connecting failed.
    pub fn fault_of(error: &io::Error) -> Option<TlsFault> {
        error.get_ref()?.downcast_ref::<TlsError>().map(|error| error.fault)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for TlsError {}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}
