//! What arrived on connections that must begin with a PROXY header.

use crate::metrics::Counter;
use crate::proxy_protocol::{Header, Wrong};

/// What arrived on a connection that must begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A header of version 1, with a client's address.
    V1,
    /// A header of version 2, with a client's address.
    V2,
    /// A header without a client's address: for a health check, or a client that is not named.
    NoAddress,
    /// The peer is not in `server.trusted_proxies`.
    Untrusted,
    /// Something other than a PROXY header.
    Absent,
    /// A malformed header.
    Malformed,
    /// A header that is too long.
    TooLong,
    /// The connection was closed before the header was complete.
    Closed,
    /// `server.read_timeout` passed before the header was complete.
    Timeout,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(ProxyHeader::ALL.len() == ProxyHeader::Timeout as usize + 1);

impl ProxyHeader {
    /// All of them.
    pub const ALL: [ProxyHeader; 9] = [
        ProxyHeader::V1,
        ProxyHeader::V2,
        ProxyHeader::NoAddress,
        ProxyHeader::Untrusted,
        ProxyHeader::Absent,
        ProxyHeader::Malformed,
        ProxyHeader::TooLong,
        ProxyHeader::Closed,
        ProxyHeader::Timeout,
    ];

    /// The word in metrics and in the log. millstream(1) explains each.
    pub const fn word(self) -> &'static str {
        match self {
            ProxyHeader::V1 => "v1",
            ProxyHeader::V2 => "v2",
            ProxyHeader::NoAddress => "no_address",
            ProxyHeader::Untrusted => "server.trusted_proxies",
            ProxyHeader::Absent => "no_proxy_header",
            ProxyHeader::Malformed => "bad_proxy_header",
            ProxyHeader::TooLong => "long_proxy_header",
            ProxyHeader::Closed => "closed",
            ProxyHeader::Timeout => "server.read_timeout",
        }
    }
}

impl From<Header> for ProxyHeader {
    fn from(header: Header) -> ProxyHeader {
        match (header.client, header.version) {
            (None, _) => ProxyHeader::NoAddress,
            (Some(_), 1) => ProxyHeader::V1,
            (Some(_), _) => ProxyHeader::V2,
        }
    }
}

impl From<Wrong> for ProxyHeader {
    fn from(wrong: Wrong) -> ProxyHeader {
        match wrong {
            Wrong::Absent => ProxyHeader::Absent,
            Wrong::Malformed => ProxyHeader::Malformed,
            Wrong::TooLong => ProxyHeader::TooLong,
        }
    }
}

/// The numbers of connections, by what arrived.
#[derive(Debug, Default)]
pub struct ProxyHeaders([Counter; ProxyHeader::ALL.len()]);

impl ProxyHeaders {
    /// Counts a connection.
    pub fn count(&self, came: ProxyHeader) {
        self.0[came as usize].one();
    }

    /// All numbers.
    pub fn all(&self) -> impl Iterator<Item = (ProxyHeader, u64)> + '_ {
        ProxyHeader::ALL.into_iter().zip(self.0.iter().map(Counter::get))
    }
}
