//! How exchanges end: one table of words for the access log, the counters and the live page.

/// How an exchange ended. The logs and the counters use these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both directions reached their end, or our own response was delivered.
    Complete,
    /// The client closed or broke the connection.
    ClientGone,
    /// The client accepted no bytes for `write_timeout`, or fell behind what a shared stream holds.
    SlowClient,
    /// The client's request body stalled for `body_timeout`, or was malformed.
    BadRequestBody,
    /// The upstream closed or broke the connection in mid-body, or its framing was malformed.
    UpstreamCut,
    /// The upstream was silent in mid-body for `idle_timeout` or `stream_idle_timeout`, or both
    /// ends of a tunnel were for `tunnel_idle_timeout`.
    UpstreamIdle,
    /// The upstream sent no event of a stream for `first_event_timeout` or `stall_timeout`, or
    /// accepted no bytes from a tunnel for `write_timeout`.
    UpstreamStalled,
    /// An event of a shared stream was longer than `max_event_bytes`.
    MaxEventBytes,
    /// The stream reached `max_stream_age`.
    MaxAge,
    /// The certificate that admitted its client has expired.
    CertificateExpired,
    /// The key or certificate that admitted it was removed or revoked, or does not admit it to this
    /// api any more; or the server of `auth.url` does not.
    Revoked,
    /// Its api was removed from the configuration or has other endpoints.
    Removed,
    /// The process was drained before it ended.
    Drained,
    /// The operator ended it.
    Ended,
    /// An event stream that was opened without an upstream. Its client left, or it was given up,
    /// before there was one.
    Held,
    /// An event stream that had lost its upstream. Its client left before it was resumed.
    Resuming,
    /// An event stream that was answered early, and whose upstream then did not answer with one.
    NoStream,
    /// A request for an event stream that had no upstream, and was answered with an empty stream.
    /// It opened no stream, so no stream ends this way.
    Spared,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(Outcome::ALL.len() == Outcome::Spared as usize + 1);

impl Outcome {
    /// All outcomes, in the order in which they are counted.
    pub const ALL: [Outcome; 18] = [
        Outcome::Complete,
        Outcome::ClientGone,
        Outcome::SlowClient,
        Outcome::BadRequestBody,
        Outcome::UpstreamCut,
        Outcome::UpstreamIdle,
        Outcome::UpstreamStalled,
        Outcome::MaxEventBytes,
        Outcome::MaxAge,
        Outcome::CertificateExpired,
        Outcome::Revoked,
        Outcome::Removed,
        Outcome::Drained,
        Outcome::Ended,
        Outcome::Held,
        Outcome::Resuming,
        Outcome::NoStream,
        Outcome::Spared,
    ];

    /// The index in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// True if the client got the whole response, whether the upstream's or ours.
    pub const fn is_complete(self) -> bool {
        matches!(self, Outcome::Complete | Outcome::Spared)
    }

    /// True if an open event stream or tunnel may end this way.
    pub const fn ends_what_was_open(self) -> bool {
        !matches!(self, Outcome::Spared)
    }

    /// True if it ends every exchange of an api or a key: tunnels and ordinary responses as well as
    /// event streams.
    pub const fn ends_everything(self) -> bool {
        matches!(self, Outcome::Removed | Outcome::Revoked)
    }

    /// True if an event stream should not end this way.
    pub const fn is_failure(self) -> bool {
        use Outcome::{
            MaxEventBytes, NoStream, SlowClient, UpstreamCut, UpstreamIdle, UpstreamStalled,
        };
        matches!(
            self,
            UpstreamCut | SlowClient | UpstreamIdle | UpstreamStalled | NoStream | MaxEventBytes
        )
    }

    /// The reason to log when a response is cut. None for what clients do routinely, and for what
    /// is logged in other words.
    pub const fn cut_reason(self) -> Option<&'static str> {
        match self {
            Outcome::Complete
            | Outcome::ClientGone
            | Outcome::BadRequestBody
            | Outcome::Held
            | Outcome::Resuming
            | Outcome::NoStream
            | Outcome::Spared => None,
            Outcome::SlowClient => Some("the client took nothing for server.write_timeout"),
            Outcome::UpstreamCut => Some("the upstream broke off or sent a malformed body"),
            Outcome::UpstreamIdle => {
                Some("nothing arrived for api.idle_timeout or api.stream_idle_timeout")
            }
            Outcome::UpstreamStalled => {
                Some("no event came for api.first_event_timeout or api.stall_timeout")
            }
            Outcome::MaxEventBytes => {
                Some("an event of a shared stream is longer than api.max_event_bytes")
            }
            Outcome::MaxAge => Some("api.max_stream_age was reached within an unfinished event"),
            Outcome::CertificateExpired => Some("the certificate of its client has expired"),
            Outcome::Revoked => {
                Some("its key or certificate was revoked, or the auth server withdrew its access")
            }
            Outcome::Removed => Some("its api was removed"),
            Outcome::Drained => Some("drain.answers or drain.window is over"),
            Outcome::Ended => Some("ended by the operator"),
        }
    }

    /// Like [`Outcome::cut_reason`], for a tunnel.
    pub const fn tunnel_reason(self) -> Option<&'static str> {
        if matches!(self, Outcome::UpstreamIdle) {
            Some("nothing arrived for api.tunnel_idle_timeout")
        } else if matches!(self, Outcome::UpstreamStalled) {
            Some("the upstream took nothing for server.write_timeout")
        } else {
            self.cut_reason()
        }
    }

    /// The word in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::ClientGone => "client_gone",
            Outcome::SlowClient => "slow_client",
            Outcome::BadRequestBody => "bad_request_body",
            Outcome::UpstreamCut => "upstream_cut",
            Outcome::UpstreamIdle => "idle",
            Outcome::UpstreamStalled => "stalled",
            Outcome::MaxEventBytes => "max_event_bytes",
            Outcome::MaxAge => "max_age",
            Outcome::CertificateExpired => "certificate_expired",
            Outcome::Revoked => "revoked",
            Outcome::Removed => "removed",
            Outcome::Drained => "drained",
            Outcome::Ended => "ended",
            Outcome::Held => "held",
            Outcome::Resuming => "resuming",
            Outcome::NoStream => "no_stream",
            Outcome::Spared => "spared",
        }
    }
}
