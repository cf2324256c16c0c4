//! How exchanges end: one table of words, for the access log, the counters and the live page.

/// How an exchange ended. The log and the counters use these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both directions reached their end, or our own answer was delivered.
    Complete,
    /// The client closed or broke the connection.
    ClientGone,
    /// The client took no byte for `write_timeout`.
    SlowClient,
    /// The client's request body stood still for `body_timeout`, or was malformed.
    BadRequestBody,
    /// The upstream closed or broke the connection in mid-body, or its framing was wrong.
    UpstreamCut,
    /// The upstream was silent in mid-body for `idle_timeout`, or `stream_idle_timeout`; or both
    /// ends of a tunnel were for `tunnel_idle_timeout`.
    UpstreamIdle,
    /// The stream was `max_stream_age` old.
    MaxAge,
    /// The key that let it in is not known any more, or not for its api.
    Revoked,
    /// Its api is not in the configuration any more, or leads elsewhere.
    Removed,
    /// The drain window ended first.
    Drained,
    /// The operator has ended it.
    Ended,
    /// It was an event stream that was opened though there was no upstream, and its client left, or
    /// was given up, before there was one.
    Held,
    /// It was an event stream that had lost its upstream, and its client left before it was
    /// resumed.
    Resuming,
    /// It asked for an event stream, there was no upstream, and it was answered by an empty one. No
    /// stream was opened, so none ends this way.
    Spared,
}

// Each has its place in the list, and none was left out: the last is where its number says.
const _: () = assert!(Outcome::ALL.len() == Outcome::Spared as usize + 1);

impl Outcome {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Outcome; 14] = [
        Outcome::Complete,
        Outcome::ClientGone,
        Outcome::SlowClient,
        Outcome::BadRequestBody,
        Outcome::UpstreamCut,
        Outcome::UpstreamIdle,
        Outcome::MaxAge,
        Outcome::Revoked,
        Outcome::Removed,
        Outcome::Drained,
        Outcome::Ended,
        Outcome::Held,
        Outcome::Resuming,
        Outcome::Spared,
    ];

    /// Its place in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// True exactly when the client got all that it was to get: of an upstream's, or of ours.
    pub const fn is_complete(self) -> bool {
        matches!(self, Outcome::Complete | Outcome::Spared)
    }

    /// True exactly when an event stream or a tunnel that was opened may end so.
    pub const fn ends_what_was_open(self) -> bool {
        !matches!(self, Outcome::Spared)
    }

    /// True exactly when it ends everything of an api or of a key: tunnels and answers as well as
    /// event streams.
    pub const fn spares_nothing(self) -> bool {
        matches!(self, Outcome::Removed | Outcome::Revoked)
    }

    /// True exactly when an event stream or a tunnel should not end so.
    pub const fn is_trouble(self) -> bool {
        matches!(self, Outcome::UpstreamCut | Outcome::SlowClient)
    }

    /// What the operator is told when a response is cut for it; nothing of what clients do all the
    /// time.
    pub const fn told(self) -> Option<&'static str> {
        match self {
            Outcome::Complete
            | Outcome::ClientGone
            | Outcome::BadRequestBody
            | Outcome::Held
            | Outcome::Resuming
            | Outcome::Spared => None,
            Outcome::SlowClient => Some("the client took nothing for server.write_timeout"),
            Outcome::UpstreamCut => Some("the upstream broke off or sent a malformed body"),
            Outcome::UpstreamIdle => Some(
                "nothing arrived for api.idle_timeout, api.stream_idle_timeout or \
                 api.tunnel_idle_timeout",
            ),
            Outcome::MaxAge => Some("api.max_stream_age was reached within an unfinished event"),
            Outcome::Revoked => Some("its key was revoked"),
            Outcome::Removed => Some("its api was removed"),
            Outcome::Drained => Some("drain.window is over"),
            Outcome::Ended => Some("ended by the operator"),
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::ClientGone => "client_gone",
            Outcome::SlowClient => "slow_client",
            Outcome::BadRequestBody => "bad_request_body",
            Outcome::UpstreamCut => "upstream_cut",
            Outcome::UpstreamIdle => "idle",
            Outcome::MaxAge => "max_age",
            Outcome::Revoked => "revoked",
            Outcome::Removed => "removed",
            Outcome::Drained => "drained",
            Outcome::Ended => "ended",
            Outcome::Held => "held",
            Outcome::Resuming => "resuming",
            Outcome::Spared => "spared",
        }
    }
}
