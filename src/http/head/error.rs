//! Why a head was refused, and what a client is told.

use super::super::framing::FramingError;
use super::super::target::TargetError;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The first bytes cannot begin a head: another protocol, or none.
    NotHttp,
    /// More than four empty lines before a request.
    EmptyLines,
    /// A LF without a CR in front of it, in a request.
    BareLf,
    /// A CR without a LF behind it.
    BareCr,
    /// A request line that is not `method SP request-target SP HTTP-version`.
    RequestLine,
    /// A status line that is not `HTTP-version SP status-code [ SP reason-phrase ]`.
    StatusLine,
    /// A method that is longer than any.
    MethodTooLong,
    /// CONNECT, which asks for a tunnel that is not offered.
    Connect,
    /// An HTTP version that is none.
    Version,
    /// An HTTP version that is not spoken here.
    VersionUnsupported,
    /// A request target that is too long.
    TargetTooLong,
    /// A request target that is refused.
    Target(TargetError),
    /// A head that is too long.
    TooLarge,
    /// A head with too many fields.
    TooManyFields,
    /// `Connection` with more options than
    /// [`CONNECTION_OPTIONS_MAX`](super::CONNECTION_OPTIONS_MAX).
    TooManyOptions,
    /// A line that begins with whitespace and so continues another (RFC 9112 section 5.2).
    Fold,
    /// A field name that is no token, or that no colon follows at once.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// A field name that gateways take for that of a framing field.
    Lookalike,
    /// No Host in HTTP/1.1.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// A Host that is no host.
    HostMalformed,
    /// A Host other than that of the absolute target.
    HostDiffers,
    /// The length of the body cannot be known for certain.
    Framing(FramingError),
    /// A body where none may be: in TRACE (RFC 9110 section 9.3.8).
    UnexpectedBody,
    /// A Max-Forwards that is no number, where it has to be counted down.
    MaxForwards,
    /// The bytes are not one complete head, and nothing else.
    NotOneHead,
}

impl HeadError {
    /// The status to refuse a request with. What is wrong with a response is a 502 in any case.
    pub const fn status(self) -> u16 {
        match self {
            HeadError::Connect => 405,
            HeadError::TargetTooLong => 414,
            HeadError::TooLarge | HeadError::TooManyFields | HeadError::TooManyOptions => 431,
            HeadError::MethodTooLong => 501,
            HeadError::VersionUnsupported => 505,
            HeadError::Framing(error) => error.status(),
            HeadError::NotHttp
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

    /// What is wrong, as a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            HeadError::NotHttp => "this is not HTTP/1",
            HeadError::EmptyLines => "too many empty lines before a request",
            HeadError::BareLf => "LF without CR in the head",
            HeadError::BareCr => "CR without LF in the head",
            HeadError::RequestLine => "malformed request line",
            HeadError::StatusLine => "malformed status line",
            HeadError::MethodTooLong => "method is too long",
            HeadError::Connect => "CONNECT is not offered",
            HeadError::Version => "malformed HTTP version",
            HeadError::VersionUnsupported => "HTTP version is not spoken here",
            HeadError::TargetTooLong => "request target is too long",
            HeadError::Target(error) => error.what(),
            HeadError::TooLarge => "head is too long",
            HeadError::TooManyFields => "head has too many fields",
            HeadError::TooManyOptions => "more than 32 options in Connection",
            HeadError::Fold => "field line begins with whitespace",
            HeadError::FieldName => "malformed field name",
            HeadError::FieldValue => "control character in a field value",
            HeadError::Lookalike => "field name that passes for that of a framing field",
            HeadError::HostMissing => "no Host",
            HeadError::HostRepeated => "more than one Host",
            HeadError::HostMalformed => "Host is no host",
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
