//! The trusted proxies: those in front of this one whose statements about clients are believed.

use crate::config::values::networks::Networks;
use crate::http::client_address::ClientAddress;
use std::net::{IpAddr, SocketAddr};

/// The peers whose `X-Forwarded-*` fields are kept and extended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub(crate) Networks);

impl TrustedProxies {
    /// True exactly when a connection from `peer` comes from a trusted proxy. `None` stands for a
    /// Unix domain socket.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        self.0.contains(peer)
    }

    /// True exactly when no peer is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True exactly when peers with addresses can be trusted.
    pub fn has_networks(&self) -> bool {
        self.0.has_networks()
    }

    /// The address of the original client, for a connection from `peer` whose request lists these
    /// addresses in X-Forwarded-For. Only a trusted proxy's list counts. The client is the last
    /// element in it that is not a trusted proxy's address, because anybody could have written what
    /// precedes it. If that is not an address, the client's is unknown, and not that of `peer`.
    pub fn client(
        &self,
        peer: Option<IpAddr>,
        forwarded: impl Iterator<Item: AsRef<[u8]>>,
    ) -> ClientAddress {
        let own = ClientAddress::from(peer.map(|address| address.to_canonical()));
        if !self.contains(peer) {
            return own;
        }
        let mut client = None;
        for element in forwarded {
            let address = address_of(element.as_ref());
            let is_proxy = address.is_some() && self.contains(address);
            // If all are trusted proxies, the first of them is the client.
            if !is_proxy || client.is_none() {
                client = Some(address.map_or(ClientAddress::Unknown, ClientAddress::Ip));
            }
        }
        client.unwrap_or(own)
    }
}

/// Parses an address as proxies write it: bare, with a port, or in brackets.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::unquoted_elements;

    fn trusting(networks: &[&str]) -> TrustedProxies {
        let mut trusted = Networks::default();
        for text in networks {
            trusted.add(text).unwrap();
        }
        TrustedProxies(trusted)
    }

    #[test]
    fn clients_behind_proxies() {
        let trusted = trusting(&["10.0.0.0/8", "fd00::/8"]);
        let check = |peer: &str, forwarded: &str, want: &str| {
            let elements = unquoted_elements(forwarded.as_bytes());
            let got = trusted.client(peer.parse().ok(), elements);
            assert_eq!(got.to_string(), want, "{peer} {forwarded}");
        };
        check("192.0.2.7", "", "192.0.2.7");
        check("192.0.2.7", "1.1.1.1", "192.0.2.7");
        check("10.0.0.1", "", "10.0.0.1");
        check("10.0.0.1", "1.1.1.1", "1.1.1.1");
        check("10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1");
        check("10.0.0.1", "1.1.1.1, 10.0.0.2,10.0.0.3", "1.1.1.1");
        check("10.0.0.1", "9.9.9.9, 10.0.0.4, 1.1.1.1, 10.0.0.2", "1.1.1.1");
        check("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3");
        check("10.0.0.1", "unknown", "unknown");
        check("10.0.0.1", "1.1.1.1, unknown, 10.0.0.3, 10.0.0.2", "unknown");
        check("10.0.0.1", "10.0.0.3, unknown", "unknown");
        check("10.0.0.1", "unknown, 1.1.1.1, 10.0.0.2", "1.1.1.1");
        // What a client has sent does not hide what the proxy has appended.
        check("10.0.0.1", "\", 1.1.1.1", "1.1.1.1");
        check("10.0.0.1", "\"9.9.9.9, 1.1.1.1, 10.0.0.2", "1.1.1.1");
        check("10.0.0.1", "1.1.1.1:80", "1.1.1.1");
        check("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1");
        check("10.0.0.1", "[2001:db8::1]", "2001:db8::1");
        check("::ffff:10.0.0.1", "2001:db8::1, ::ffff:10.0.0.2", "2001:db8::1");
        check("fd00::1", "::ffff:1.1.1.1", "1.1.1.1");
        check("a unix socket", "1.1.1.1", "unix");
        let unix = trusting(&["unix:"]);
        let client = |forwarded: &str| {
            unix.client(None, unquoted_elements(forwarded.as_bytes())).to_string()
        };
        assert_eq!(client("1.1.1.1"), "1.1.1.1");
        assert_eq!(client("unknown"), "unknown");
        assert_eq!(client(""), "unix");
    }

    /// Applies the rule as it is documented, from the end of the list.
    #[test]
    fn clients_are_those_of_the_plain_reading() {
        let trusted = trusting(&["10.0.0.0/8"]);
        let peer: Option<IpAddr> = "10.0.0.1".parse().ok();
        for n in 0..4_usize.pow(5) {
            let element =
                |place: u32| ["10.0.0.2", "1.1.1.1", "10.0.0.3", "x"][n / 4_usize.pow(place) % 4];
            let list: Vec<&str> = (0..5).map(element).collect();
            let mut want = ClientAddress::from(peer);
            for element in list.iter().rev() {
                let address: Option<IpAddr> = element.parse().ok();
                want = address.map_or(ClientAddress::Unknown, ClientAddress::Ip);
                if address.is_none_or(|address| !trusted.contains(Some(address))) {
                    break;
                }
            }
            let got = trusted.client(peer, list.iter().map(|element| element.as_bytes()));
            assert_eq!(got, want, "{list:?}");
        }
    }
}
