//! Why a request was refused: one table of words for the access log and the log.
//!
//! The words are stable, because operators search and count by them. Each is explained in
//! millstream(1) and reached by a transcript; `tests/it/reasons.rs` checks both. A limit is named
//! after its configuration key, so that the reader knows what to change. An exchange that was not
//! refused has only an [`Outcome`](super::outcome::Outcome).

use crate::http::head::HeadError;

/// Why a request was refused. See the module docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The first bytes belong to another protocol.
    NotHttp,
    /// The first bytes belong to TLS, but this listener does not use TLS.
    TlsOnPlainPort,
    /// The client sent plain HTTP to a TLS listener.
    HttpOnTlsPort,
    /// The head violates the grammar.
    MalformedHead,
    /// An HTTP version other than 1.0 and 1.1.
    HttpVersion,
    /// The method is not supported.
    Method,
    /// The target has no valid form, or contains an invalid character.
    Target,
    /// Host is missing, repeated, malformed, or differs from the target; or, on the admin listener,
    /// it is a name that another site could have.
    Host,
    /// The path can be read in more than one way, or leads above its root.
    Path,
    /// The length of the body is ambiguous, or its coding is unknown.
    Framing,
    /// `Connection` has more options than any real message.
    TooManyOptions,
    /// The body violates its coding.
    RequestBody,
    /// No active api has the path.
    NoApi,
    /// The client's address is not in `api.allow`.
    Allow,
    /// The client's address is in `api.deny`.
    Deny,
    /// `api.max_requests_per_ip` is exceeded.
    MaxRequestsPerIp,
    /// The page that sent the request is not in `api.allowed_origins`.
    AllowedOrigins,
    /// The parameter of `api.last_event_id_query` is repeated, or cannot be a field.
    LastEventIdQuery,
    /// The client needs a certificate and presented none.
    NoCertificate,
    /// The last event that the client has seen is no longer held.
    OnGap,
    /// The request needs a key and has none.
    NoKey,
    /// The key is unknown.
    UnknownKey,
    /// The key is for other apis.
    KeyOfOtherApi,
    /// The request has two keys, or the field of the key twice.
    AmbiguousKey,
    /// The server of `auth.url` did not let the request in.
    AuthRefused,
    /// The server of `auth.url` cannot be asked, or its answer decides nothing.
    AuthUnavailable,
    /// `auth.timeout` has passed.
    AuthTimeout,
    /// `key.max_requests` is exceeded.
    KeyMaxRequests,
    /// `api.max_requests` is exceeded.
    MaxRequests,
    /// `server.max_connections` is reached.
    MaxConnections,
    /// `server.read_timeout` has passed.
    ReadTimeout,
    /// `server.body_timeout` has passed.
    BodyTimeout,
    /// `api.body_timeout` has passed.
    ApiBodyTimeout,
    /// `server.write_timeout`: the upstream stopped reading the request.
    WriteTimeout,
    /// `server.max_head_bytes` is exceeded, by a request or a response.
    MaxHeadBytes,
    /// `server.max_head_fields` is exceeded, by a request or a response.
    MaxHeadFields,
    /// `server.max_target_bytes` is exceeded.
    MaxTargetBytes,
    /// `server.max_body_bytes` is exceeded.
    MaxBodyBytes,
    /// `api.max_body_bytes` is exceeded.
    ApiMaxBodyBytes,
    /// `api.queue_timeout` has passed.
    QueueTimeout,
    /// `api.connect_timeout` has passed.
    ConnectTimeout,
    /// `api.response_timeout` has passed.
    ResponseTimeout,
    /// `api.stream_response_timeout` has passed.
    StreamResponseTimeout,
    /// `api.first_event_timeout` has passed.
    FirstEventTimeout,
    /// `api.max_streams` is reached.
    MaxStreams,
    /// `api.max_streams_per_ip` is reached.
    MaxStreamsPerIp,
    /// `key.max_streams` is reached.
    KeyMaxStreams,
    /// No new streams begin, because the process is shutting down.
    Draining,
    /// There is no descriptor for an upstream connection.
    OutOfDescriptors,
    /// The target that knows the client's session is gone.
    TargetGone,
    /// No endpoint can be connected to.
    UpstreamUnreachable,
    /// The upstream closed the connection before its response head was complete.
    UpstreamClosed,
    /// The upstream's response head is malformed, or does not answer the request.
    UpstreamMalformed,
    /// The upstream answered that it is unavailable, and the client is spared that.
    UpstreamUnavailable,
    /// The page that waits for a held or resumed stream must not read the upstream's response to
    /// it.
    Withheld,
    /// The admin listener or the built-in source has no such resource.
    NotFound,
    /// A request that changes something lacks the field that confirms it.
    Unconfirmed,
    /// The operator's request could not be carried out. The answer says why.
    NotDone,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(Cause::ALL.len() == Cause::NotDone as usize + 1);

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 58] = [
        Cause::NotHttp,
        Cause::TlsOnPlainPort,
        Cause::HttpOnTlsPort,
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
        Cause::Allow,
        Cause::Deny,
        Cause::MaxRequestsPerIp,
        Cause::AllowedOrigins,
        Cause::LastEventIdQuery,
        Cause::NoCertificate,
        Cause::OnGap,
        Cause::NoKey,
        Cause::UnknownKey,
        Cause::KeyOfOtherApi,
        Cause::AmbiguousKey,
        Cause::AuthRefused,
        Cause::AuthUnavailable,
        Cause::AuthTimeout,
        Cause::KeyMaxRequests,
        Cause::MaxRequests,
        Cause::MaxConnections,
        Cause::ReadTimeout,
        Cause::BodyTimeout,
        Cause::ApiBodyTimeout,
        Cause::WriteTimeout,
        Cause::MaxHeadBytes,
        Cause::MaxHeadFields,
        Cause::MaxTargetBytes,
        Cause::MaxBodyBytes,
        Cause::ApiMaxBodyBytes,
        Cause::QueueTimeout,
        Cause::ConnectTimeout,
        Cause::ResponseTimeout,
        Cause::StreamResponseTimeout,
        Cause::FirstEventTimeout,
        Cause::MaxStreams,
        Cause::MaxStreamsPerIp,
        Cause::KeyMaxStreams,
        Cause::Draining,
        Cause::OutOfDescriptors,
        Cause::TargetGone,
        Cause::UpstreamUnreachable,
        Cause::UpstreamClosed,
        Cause::UpstreamMalformed,
        Cause::UpstreamUnavailable,
        Cause::Withheld,
        Cause::NotFound,
        Cause::Unconfirmed,
        Cause::NotDone,
    ];

    /// The word in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Cause::NotHttp => "not_http",
            Cause::TlsOnPlainPort => "tls_on_plain_port",
            Cause::HttpOnTlsPort => "http_on_tls_port",
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
            Cause::Allow => "api.allow",
            Cause::Deny => "api.deny",
            Cause::MaxRequestsPerIp => "api.max_requests_per_ip",
            Cause::AllowedOrigins => "api.allowed_origins",
            Cause::LastEventIdQuery => "api.last_event_id_query",
            Cause::NoCertificate => "no_certificate",
            Cause::OnGap => "api.share.on_gap",
            Cause::NoKey => "no_key",
            Cause::UnknownKey => "unknown_key",
            Cause::KeyOfOtherApi => "key_of_other_api",
            Cause::AmbiguousKey => "ambiguous_key",
            Cause::AuthRefused => "auth_refused",
            Cause::AuthUnavailable => "auth_unavailable",
            Cause::AuthTimeout => "auth.timeout",
            Cause::KeyMaxRequests => "key.max_requests",
            Cause::MaxRequests => "api.max_requests",
            Cause::MaxConnections => "server.max_connections",
            Cause::ReadTimeout => "server.read_timeout",
            Cause::BodyTimeout => "server.body_timeout",
            Cause::ApiBodyTimeout => "api.body_timeout",
            Cause::WriteTimeout => "server.write_timeout",
            Cause::MaxHeadBytes => "server.max_head_bytes",
            Cause::MaxHeadFields => "server.max_head_fields",
            Cause::MaxTargetBytes => "server.max_target_bytes",
            Cause::MaxBodyBytes => "server.max_body_bytes",
            Cause::ApiMaxBodyBytes => "api.max_body_bytes",
            Cause::QueueTimeout => "api.queue_timeout",
            Cause::ConnectTimeout => "api.connect_timeout",
            Cause::ResponseTimeout => "api.response_timeout",
            Cause::StreamResponseTimeout => "api.stream_response_timeout",
            Cause::FirstEventTimeout => "api.first_event_timeout",
            Cause::MaxStreams => "api.max_streams",
            Cause::MaxStreamsPerIp => "api.max_streams_per_ip",
            Cause::KeyMaxStreams => "key.max_streams",
            Cause::Draining => "draining",
            Cause::OutOfDescriptors => "out_of_descriptors",
            Cause::TargetGone => "target_gone",
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

    /// The cause for an invalid request head. Responses are checked by the same rules.
    pub const fn of_head(error: HeadError) -> Cause {
        match error {
            HeadError::NotHttp => Cause::NotHttp,
            HeadError::Tls => Cause::TlsOnPlainPort,
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

    /// The cause for an invalid response head: a limit, which is named, or malformed.
    pub const fn of_response_head(error: HeadError) -> Cause {
        let cause = Cause::of_head(error);
        let is_limit = matches!(cause, Cause::MaxHeadBytes | Cause::MaxHeadFields);
        if is_limit { cause } else { Cause::UpstreamMalformed }
    }

    /// The cause for a refusal on the admin listener, by its status. None if the status is not a
    /// refusal.
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
