//! The address of a client, as far as it is known: that of its connection, or the one that a
//! trusted proxy has reported.

use std::fmt;
use std::net::IpAddr;

/// The address of a client. See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// It is this one.
    Ip(IpAddr),
    /// The client is on a Unix domain socket, so it has none.
    Unix,
    /// A trusted proxy has reported something that is not an address.
    Unknown,
}

impl ClientAddress {
    /// The address, if there is one and it is known.
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            ClientAddress::Ip(address) => Some(address),
            ClientAddress::Unix | ClientAddress::Unknown => None,
        }
    }
}

impl From<Option<IpAddr>> for ClientAddress {
    /// The address of a peer, which is None on a Unix domain socket.
    fn from(peer: Option<IpAddr>) -> ClientAddress {
        peer.map_or(ClientAddress::Unix, ClientAddress::Ip)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddress::Ip(address) => address.fmt(f),
            ClientAddress::Unix => f.write_str("unix"),
            ClientAddress::Unknown => f.write_str("unknown"),
        }
    }
}
