//! Lists of networks.

use super::value::{list, text};
use crate::config::error::Wrong;
use crate::http::client_address::ClientAddress;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use toml::de::DeValue;

/// A set of networks, which may include peers on Unix domain sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Vec<IpNet>,
    /// True exactly when it includes peers on Unix domain sockets.
    unix: bool,
}

impl Networks {
    /// True exactly when `address` is in one of them. `None` stands for a Unix domain socket.
    /// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) count as IPv4.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else { return self.unix };
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// True exactly when a client's address is in one of them. An unknown address is in none.
    pub fn contain_client(&self, client: ClientAddress) -> bool {
        match client {
            ClientAddress::Ip(address) => self.contains(Some(address)),
            ClientAddress::Unix => self.contains(None),
            ClientAddress::Unknown => false,
        }
    }

    /// True exactly when it includes no peer at all.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// True exactly when it includes peers with IP addresses.
    pub const fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    pub(crate) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text == "unix:" {
            self.unix = true;
            return Ok(());
        }
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address()).map_err(|_| NO_NETWORK)?;
        if network.trunc() != network {
            return Err(
                "the address has bits beyond its prefix; write a network like \"10.0.0.0/8\"",
            );
        }
        self.networks.push(canonical(network));
        Ok(())
    }
}

/// The IPv4 network that a network of IPv4-mapped addresses stands for, or the network as it is.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let both = mapped.addr().to_ipv4_mapped().zip(prefix);
    let own = both.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    own.map_or(network, IpNet::V4)
}

/// Reads a list of networks.
pub(crate) fn networks(value: &DeValue<'_>) -> Result<Networks, Wrong> {
    let mut networks = Networks::default();
    list(value, "[\"10.0.0.0/8\"]", |value| Ok(networks.add(text(value)?)?))?;
    Ok(networks)
}

const NO_NETWORK: &str =
    "not a network; write \"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\" or \"unix:\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_sockets() {
        let mut networks = Networks::default();
        for text in ["10.0.0.0/8", "192.0.2.7", "fd00::/8"] {
            assert_eq!(networks.add(text), Ok(()), "{text}");
        }
        let check = |peer: &str, want| {
            assert_eq!(networks.contains(Some(peer.parse().unwrap())), want, "{peer}");
        };
        check("10.255.0.1", true);
        check("11.0.0.1", false);
        check("192.0.2.7", true);
        check("192.0.2.8", false);
        check("::ffff:10.0.0.1", true);
        check("fd12::1", true);
        check("fe80::1", false);
        assert!(!networks.contains(None));
        assert_eq!(networks.add("unix:"), Ok(()));
        assert!(networks.contains(None));
        assert!(!Networks::default().contains(None));
        assert!(networks.contain_client(ClientAddress::Unix));
        assert!(networks.contain_client(ClientAddress::from("192.0.2.7".parse().ok())));
        assert!(!networks.contain_client(ClientAddress::Unknown));
    }

    #[test]
    fn networks_of_mapped_addresses() {
        let check = |network: &str, peer: &str, want| {
            let mut networks = Networks::default();
            assert_eq!(networks.add(network), Ok(()), "{network}");
            for peer in [peer.to_owned(), format!("::ffff:{peer}")] {
                let contained = networks.contains(Some(peer.parse().unwrap()));
                assert_eq!(contained, want, "{network} {peer}");
            }
        };
        check("::ffff:192.0.2.7", "192.0.2.7", true);
        check("::ffff:192.0.2.7", "192.0.2.8", false);
        check("::ffff:192.0.2.0/120", "192.0.2.8", true);
        check("::ffff:192.0.2.0/120", "192.0.3.8", false);
        check("::ffff:0:0/96", "192.0.2.7", true);
        check("::ffc0:0:0/90", "192.0.2.7", false);
        check("::/0", "192.0.2.7", false);
    }

    #[test]
    fn no_networks() {
        let mut networks = Networks::default();
        for text in ["", "10.0.0.0/33", "10.1.0.0/8", "localhost", "unix:/a", "10.0.0.0/8 "] {
            assert!(networks.add(text).is_err(), "{text}");
        }
        assert_eq!(networks, Networks::default());
    }
}
