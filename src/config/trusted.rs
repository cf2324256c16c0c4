//! Whose word about the client is believed: the proxies that stand in front of this one.

use ipnet::IpNet;
use std::net::IpAddr;

/// The peers whose `X-Forwarded-*` fields are passed on and added to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// True exactly when whoever comes in by a Unix domain socket is among them.
    unix: bool,
}

impl TrustedProxies {
    /// True exactly when a connection from there is one of a trusted proxy; `None` stands for a
    /// Unix domain socket. An IPv4 address is the same written as IPv6 (`::ffff:192.0.2.1`).
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        let Some(address) = peer.map(|address| address.to_canonical()) else { return self.unix };
        self.networks.iter().any(|network| network.contains(&address))
    }

    pub(super) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text == "unix:" {
            self.unix = true;
            return Ok(());
        }
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address()).map_err(|_| NO_NETWORK)?;
        if network.trunc() != network {
            return Err(
                "a network whose address has bits beyond its prefix; write it without them",
            );
        }
        self.networks.push(network);
        Ok(())
    }
}

const NO_NETWORK: &str =
    "not a network; write \"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\" or \"unix:\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_sockets() {
        let mut trusted = TrustedProxies::default();
        for text in ["10.0.0.0/8", "192.0.2.7", "fd00::/8"] {
            assert_eq!(trusted.add(text), Ok(()), "{text}");
        }
        let check = |peer: &str, want| {
            assert_eq!(trusted.contains(Some(peer.parse().unwrap())), want, "{peer}");
        };
        check("10.255.0.1", true);
        check("11.0.0.1", false);
        check("192.0.2.7", true);
        check("192.0.2.8", false);
        check("::ffff:10.0.0.1", true);
        check("fd12::1", true);
        check("fe80::1", false);
        assert!(!trusted.contains(None));
        assert_eq!(trusted.add("unix:"), Ok(()));
        assert!(trusted.contains(None));
        assert!(!TrustedProxies::default().contains(None));
    }

    #[test]
    fn no_networks() {
        let mut trusted = TrustedProxies::default();
        for text in ["", "10.0.0.0/33", "10.1.0.0/8", "localhost", "unix:/a", "10.0.0.0/8 "] {
            assert!(trusted.add(text).is_err(), "{text}");
        }
        assert_eq!(trusted, TrustedProxies::default());
    }
}
