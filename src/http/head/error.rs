//! The reasons for refusing a head, and the statuses that clients get.

use super::super::framing::FramingError;
use super::super::target::TargetError;

/// The reason why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The first bytes cannot begin a head: another protocol, or none.
    NotHttp,
    /// The first byte of a request is that of a TLS handshake.
    Tls,
    /// A request follows more than four empty lines.
    EmptyLines,
    /// An LF in a request is not preceded by CR.
    BareLf,
    /// A CR is not followed by LF.
    BareCr,
    /// The request line is not `method SP request-target SP HTTP-version`.
    RequestLine,
    /// The status line is not `HTTP-version SP status-code [ SP reason-phrase ]`.
    StatusLine,
    /// The method is too long.
    MethodTooLong,
    /// The method is CONNECT, which asks for a tunnel that is not offered.
    Connect,
    /// The HTTP version is malformed.
    Version,
    /// The HTTP version is not supported.
    VersionUnsupported,
    /// The request target is too long.
    TargetTooLong,
    /// The request target is refused.
    Target(TargetError),
    /// The head is too long.
    TooLarge,
    /// The head has too many fields.
    TooManyFields,
    /// `Connection` lists more than [`CONNECTION_OPTIONS_MAX`](super::CONNECTION_OPTIONS_MAX)
    /// options.
    TooManyOptions,
    /// A line begins with whitespace and so continues another (RFC 9112 section 5.2).
    Fold,
    /// A field name is not a token immediately followed by a colon.
    FieldName,
    /// A field value contains a control character.
    FieldValue,
    /// CGI-style gateways would take a field name for that of a framing field.
    Lookalike,
    /// An HTTP/1.1 request has no Host.
    HostMissing,
    /// The request has more than one Host.
    HostRepeated,
    /// Host is malformed.
    HostMalformed,
    /// Host differs from the absolute target's authority.
    HostDiffers,
    /// The length of the body cannot be known for certain.
    Framing(FramingError),
    /// A TRACE request has a body (RFC 9110 section 9.3.8).
    UnexpectedBody,
    /// Max-Forwards is not a number, though it must be counted down.
    MaxForwards,
    /// The bytes are not exactly one complete head.
    NotOneHead,
}

impl HeadError {
    /// The status with which to refuse a request. A faulty response is always a 502.
    pub const fn status(self) -> u16 {
        match self {
            HeadError::Connect => 405,
            HeadError::TargetTooLong => 414,
            HeadError::TooLarge | HeadError::TooManyFields | HeadError::TooManyOptions => 431,
            HeadError::MethodTooLong => 501,
            HeadError::VersionUnsupported => 505,
            HeadError::Framing(error) => error.status(),
            HeadError::NotHttp
            | HeadError::Tls
            | HeadError::EmptyLines
            | HeadError::BareLf
            | HeadError::BareCr
            | HeadError::RequestLine
            | HeadError::StatusLine
            | HeadError::Version
            | HeadError::Target(_)
            | HeadError::Fold
            | HeadError::FieldName
            | HeadError::FieldValue
            | HeadError::Lookalike
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostMalformed
            | HeadError::HostDiffers
            | HeadError::UnexpectedBody
            | HeadError::MaxForwards
            | HeadError::NotOneHead => 400,
        }
    }

    /// Describes the error in a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            HeadError::NotHttp => "not HTTP/1",
            HeadError::Tls => "TLS where plain HTTP is spoken",
            HeadError::EmptyLines => "too many empty lines before a request",
            HeadError::BareLf => "LF without CR in the head",
            HeadError::BareCr => "CR without LF in the head",
            HeadError::RequestLine => "malformed request line",
            HeadError::StatusLine => "malformed status line",
            HeadError::MethodTooLong => "method is too long",
            HeadError::Connect => "CONNECT is not supported",
            HeadError::Version => "malformed HTTP version",
            HeadError::VersionUnsupported => "unsupported HTTP version",
            HeadError::TargetTooLong => "request target is too long",
            HeadError::Target(error) => error.what(),
            HeadError::TooLarge => "head is too long",
            HeadError::TooManyFields => "head has too many fields",
            HeadError::TooManyOptions => "more than 32 options in Connection",
            HeadError::Fold => "field line begins with whitespace",
            HeadError::FieldName => "malformed field name",
            HeadError::FieldValue => "control character in a field value",
            HeadError::Lookalike => "field name resembles that of a framing field",
            HeadError::HostMissing => "no Host",
            HeadError::HostRepeated => "more than one Host",
            HeadError::HostMalformed => "malformed Host",
            HeadError::HostDiffers => "Host differs from the request target",
            HeadError::Framing(error) => error.what(),
            HeadError::UnexpectedBody => "body in a TRACE request",
            HeadError::MaxForwards => "malformed Max-Forwards",
            HeadError::NotOneHead => "not one complete head",
        }
    }
}

impl From<TargetError> for HeadError {
    fn from(error: TargetError) -> HeadError {
        HeadError::Target(error)
    }
}

impl From<FramingError> for HeadError {
    fn from(error: FramingError) -> HeadError {
        HeadError::Framing(error)
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> HeadError {
        match error {
            httparse::Error::TooManyHeaders => HeadError::TooManyFields,
            httparse::Error::HeaderValue => HeadError::FieldValue,
            httparse::Error::NewLine => HeadError::BareCr,
            httparse::Error::HeaderName
            | httparse::Error::Status
            | httparse::Error::Token
            | httparse::Error::Version => HeadError::FieldName,
        }
    }
}
