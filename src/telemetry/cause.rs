//! Why a request was refused: one table of words, for the access log and the log.
//!
//! A word is stable: operators search for it, and count by it. Each is explained in millstream(1)
//! and reached by a transcript, which `tests/it/reasons.rs` sees to. A limit is called by its
//! configuration key, so that who is told of it knows what to change. How an exchange ended that
//! was not refused is an [`Outcome`](super::outcome::Outcome).

use crate::http::head::HeadError;

/// Why a request was refused. See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The first bytes are of another protocol: TLS, perhaps.
    NotHttp,
    /// The head does not follow the grammar.
    MalformedHead,
    /// An HTTP version other than 1.0 and 1.1.
    HttpVersion,
    /// A method that is not offered.
    Method,
    /// The target has no form that fits, or a character that has no place there.
    Target,
    /// Host is missing, repeated, malformed, or at odds with the target; or, for the admin
    /// listener, one that another site could have.
    Host,
    /// The path can be read in more than one way, or leads above its root.
    Path,
    /// The length of the body cannot be known for certain, or its coding is not known.
    Framing,
    /// `Connection` has more options than any.
    TooManyOptions,
    /// The body does not follow its coding.
    RequestBody,
    /// No api has the path, or it is not active.
    NoApi,
    /// The request needs a key and has none.
    NoKey,
    /// Its key is known to nobody.
    UnknownKey,
    /// Its key is for other apis.
    KeyOfOtherApi,
    /// It has two keys, or the field of the key twice.
    AmbiguousKey,
    /// `server.max_connections`
    MaxConnections,
    /// `server.read_timeout`
    ReadTimeout,
    /// `server.body_timeout`
    BodyTimeout,
    /// `server.write_timeout`: an upstream that takes nothing of the request.
    WriteTimeout,
    /// `server.max_head_bytes`, of a request or a response.
    MaxHeadBytes,
    /// `server.max_head_fields`, of a request or a response.
    MaxHeadFields,
    /// `server.max_target_bytes`
    MaxTargetBytes,
    /// `server.max_body_bytes`
    MaxBodyBytes,
    /// `api.connect_timeout`
    ConnectTimeout,
    /// `api.response_timeout`
    ResponseTimeout,
    /// `api.max_streams`
    MaxStreams,
    /// `api.max_streams_per_ip`
    MaxStreamsPerIp,
    /// `key.max_streams`
    KeyMaxStreams,
    /// No new streams are begun, for the process is about to end.
    Draining,
    /// There is no descriptor for an upstream connection.
    OutOfDescriptors,
    /// No target can be connected to.
    UpstreamUnreachable,
    /// The upstream closed the connection before its response head was complete.
    UpstreamClosed,
    /// The upstream's response head is no HTTP, or none that answers the request.
    UpstreamMalformed,
    /// The upstream says itself that it cannot serve, and its client is spared that.
    UpstreamUnavailable,
    /// The upstream's answer for a stream that waited is not for the page that waited.
    Withheld,
    /// The admin listener, or the built-in source, has nothing there.
    NotFound,
    /// What changes something did not carry the field that it takes.
    Unconfirmed,
    /// What the operator asked for could not be done; the answer says why.
    NotDone,
}

// Each has its place in the list, and none was left out: the last is where its number says.
const _: () = assert!(Cause::ALL.len() == Cause::NotDone as usize + 1);

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 38] = [
        Cause::NotHttp,
        Cause::MalformedHead,
        Cause::HttpVersion,
        Cause::Method,
        Cause::Target,
        Cause::Host,
        Cause::Path,
        Cause::Framing,
        Cause::TooManyOptions,
        Cause::RequestBody,
        Cause::NoApi,
        Cause::NoKey,
        Cause::UnknownKey,
        Cause::KeyOfOtherApi,
        Cause::AmbiguousKey,
        Cause::MaxConnections,
        Cause::ReadTimeout,
        Cause::BodyTimeout,
        Cause::WriteTimeout,
        Cause::MaxHeadBytes,
        Cause::MaxHeadFields,
        Cause::MaxTargetBytes,
        Cause::MaxBodyBytes,
        Cause::ConnectTimeout,
        Cause::ResponseTimeout,
        Cause::MaxStreams,
        Cause::MaxStreamsPerIp,
        Cause::KeyMaxStreams,
        Cause::Draining,
        Cause::OutOfDescriptors,
        Cause::UpstreamUnreachable,
        Cause::UpstreamClosed,
        Cause::UpstreamMalformed,
        Cause::UpstreamUnavailable,
        Cause::Withheld,
        Cause::NotFound,
        Cause::Unconfirmed,
        Cause::NotDone,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Cause::NotHttp => "not_http",
            Cause::MalformedHead => "malformed_head",
            Cause::HttpVersion => "http_version",
            Cause::Method => "method",
            Cause::Target => "target",
            Cause::Host => "host",
            Cause::Path => "path",
            Cause::Framing => "framing",
            Cause::TooManyOptions => "too_many_options",
            Cause::RequestBody => "bad_request_body",
            Cause::NoApi => "no_api",
            Cause::NoKey => "no_key",
            Cause::UnknownKey => "unknown_key",
            Cause::KeyOfOtherApi => "key_of_other_api",
            Cause::AmbiguousKey => "ambiguous_key",
            Cause::MaxConnections => "server.max_connections",
            Cause::ReadTimeout => "server.read_timeout",
            Cause::BodyTimeout => "server.body_timeout",
            Cause::WriteTimeout => "server.write_timeout",
            Cause::MaxHeadBytes => "server.max_head_bytes",
            Cause::MaxHeadFields => "server.max_head_fields",
            Cause::MaxTargetBytes => "server.max_target_bytes",
            Cause::MaxBodyBytes => "server.max_body_bytes",
            Cause::ConnectTimeout => "api.connect_timeout",
            Cause::ResponseTimeout => "api.response_timeout",
            Cause::MaxStreams => "api.max_streams",
            Cause::MaxStreamsPerIp => "api.max_streams_per_ip",
            Cause::KeyMaxStreams => "key.max_streams",
            Cause::Draining => "draining",
            Cause::OutOfDescriptors => "out_of_descriptors",
            Cause::UpstreamUnreachable => "upstream_unreachable",
            Cause::UpstreamClosed => "upstream_closed",
            Cause::UpstreamMalformed => "upstream_malformed",
            Cause::UpstreamUnavailable => "upstream_unavailable",
            Cause::Withheld => "withheld",
            Cause::NotFound => "not_found",
            Cause::Unconfirmed => "unconfirmed",
            Cause::NotDone => "not_done",
        }
    }

    /// Why a head is refused: a request's, by whose rules responses are read as well.
    pub const fn of_head(error: HeadError) -> Cause {
        match error {
            HeadError::NotHttp => Cause::NotHttp,
            HeadError::Version | HeadError::VersionUnsupported => Cause::HttpVersion,
            HeadError::Connect | HeadError::MethodTooLong => Cause::Method,
            HeadError::Target(_) => Cause::Target,
            HeadError::TargetTooLong => Cause::MaxTargetBytes,
            HeadError::TooLarge => Cause::MaxHeadBytes,
            HeadError::TooManyFields => Cause::MaxHeadFields,
            HeadError::TooManyOptions => Cause::TooManyOptions,
            HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostMalformed
            | HeadError::HostDiffers => Cause::Host,
            HeadError::Framing(_) | HeadError::Lookalike | HeadError::UnexpectedBody => {
                Cause::Framing
            }
            HeadError::EmptyLines
            | HeadError::BareLf
            | HeadError::BareCr
            | HeadError::RequestLine
            | HeadError::StatusLine
            | HeadError::Fold
            | HeadError::FieldName
            | HeadError::FieldValue
            | HeadError::MaxForwards
            | HeadError::NotOneHead => Cause::MalformedHead,
        }
    }

    /// Why an upstream's head is refused: it is malformed, or beyond a limit, which is named.
    pub const fn of_response_head(error: HeadError) -> Cause {
        let cause = Cause::of_head(error);
        let is_limit = matches!(cause, Cause::MaxHeadBytes | Cause::MaxHeadFields);
        if is_limit { cause } else { Cause::UpstreamMalformed }
    }

    /// Why the operator is refused, by the status that says so; nothing if that is no refusal.
    pub const fn of_operator(status: u16) -> Option<Cause> {
        match status {
            ..400 => None,
            403 => Some(Cause::Unconfirmed),
            404 => Some(Cause::NotFound),
            405 => Some(Cause::Method),
            421 => Some(Cause::Host),
            _ => Some(Cause::NotDone),
        }
    }
}
