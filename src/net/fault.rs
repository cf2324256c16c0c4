//! What has become of a handshake, as operators are told.

use std::error::Error;
use std::{fmt, io};

/// What a handshake has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed<'a> {
    /// The version of the protocol, as OpenSSL calls it.
    pub version: &'static str,
    /// True exactly when it went on from an earlier connection's.
    pub is_resumed: bool,
    /// The certificate that the peer has shown, in DER. It was verified if that was asked for.
    pub certificate: Option<&'a [u8]>,
}

/// What went wrong while a connection was being secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate has expired, or is not valid yet.
    Expired,
    /// Nobody who is trusted has issued the certificate.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// The certificate was revoked.
    Revoked,
    /// It cannot be told whether the certificate was revoked.
    RevocationUnknown,
    /// The certificate is wrong in another way.
    BadCertificate,
    /// The peer has ended the handshake and said why.
    Alert,
    /// The peer speaks something else.
    NotTls,
    /// The peer, a client, speaks HTTP without TLS.
    PlainHttp,
    /// The peer has closed the connection during the handshake.
    Closed,
    /// Both speak TLS and do not get along.
    Incompatible,
}

/// Why a connection could not be secured. It travels in an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What went wrong.
    pub fault: TlsFault,
    /// The same with its particulars, as a part of a sentence.
    pub text: String,
}

impl TlsError {
    /// What an error of connecting says about the handshake. None if it came earlier.
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
