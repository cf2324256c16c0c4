//! Why a request for an event stream is not shared (`[api.share]`): one table of words.
//!
//! Such a request gets its own upstream stream, as if there were no sharing. The words are stable,
//! and each is explained in millstream(1).

/// Why a request is not shared. See the module docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veto {
    /// The api is `sticky`, so the upstream tells its clients apart.
    Sticky,
    /// An auth server decides who is let in, and may add fields to the upstream request.
    AuthUrl,
    /// Each connection to the upstream names its client.
    SendProxy,
    /// The api passes compressed streams, whose events cannot be recognised.
    Compression,
    /// The request has a Range.
    Range,
    /// It has a cookie that is not part of the name of the stream.
    Cookie,
    /// It has an Authorization that is not part of the name of the stream.
    Authorization,
    /// Its key, or the certificate of its client, goes upstream.
    Key,
    /// It comes from a page, and the upstream decides which pages may read the response.
    Origin,
    /// The last event that the client has seen is not held, or not named unambiguously.
    LastEventId,
    /// `api.share.max_logs` is reached.
    MaxLogs,
    /// The upstream did not answer with a 200 and an event stream.
    NoStream,
    /// The response is compressed.
    Coded,
    /// The response sets a cookie.
    SetCookie,
    /// The response is `Cache-Control: private`.
    Private,
    /// The response varies with something that is not part of the name of the stream.
    Vary,
    /// An event is longer than `api.max_event_bytes`.
    MaxEventBytes,
    /// The worker that has the stream did not answer.
    Worker,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(Veto::ALL.len() == Veto::Worker as usize + 1);

impl Veto {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Veto; 18] = [
        Veto::Sticky,
        Veto::AuthUrl,
        Veto::SendProxy,
        Veto::Compression,
        Veto::Range,
        Veto::Cookie,
        Veto::Authorization,
        Veto::Key,
        Veto::Origin,
        Veto::LastEventId,
        Veto::MaxLogs,
        Veto::NoStream,
        Veto::Coded,
        Veto::SetCookie,
        Veto::Private,
        Veto::Vary,
        Veto::MaxEventBytes,
        Veto::Worker,
    ];

    /// The word in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Veto::Sticky => "sticky",
            Veto::AuthUrl => "auth_url",
            Veto::SendProxy => "send_proxy",
            Veto::Compression => "compression",
            Veto::Range => "range",
            Veto::Cookie => "cookie",
            Veto::Authorization => "authorization",
            Veto::Key => "key",
            Veto::Origin => "origin",
            Veto::LastEventId => "last_event_id",
            Veto::MaxLogs => "max_logs",
            Veto::NoStream => "no_stream",
            Veto::Coded => "coded",
            Veto::SetCookie => "set_cookie",
            Veto::Private => "private",
            Veto::Vary => "vary",
            Veto::MaxEventBytes => "max_event_bytes",
            Veto::Worker => "worker",
        }
    }
}
