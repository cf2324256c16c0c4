//! What changes around the proxy in a transcript: hosts, names, certificates, the wall clock.

use super::Stage;
use super::text::parse_time;
use millstream::testing::sim::Host;
use millstream::testing::toy::Shows;
use millstream::testing::{Address, Tick};
use std::net::SocketAddr;

impl Stage {
    /// Sets the wall clock.
    pub(super) fn set_clock(&mut self, what: &str) -> Result<(), String> {
        let time = what.strip_prefix("moves forward ").and_then(parse_time);
        self.world.clock_ahead += time.ok_or("clock moves forward TIME")?.since(Tick::ZERO);
        Ok(())
    }

    /// Changes what a name resolves to. Connections to new addresses are accepted.
    pub(super) fn change_names(&mut self, what: &str) -> Result<(), String> {
        let (name, addresses) = what.split_once(" are ").ok_or("names NAME are ADDRESS ADDRESS")?;
        let addresses = addresses.split_whitespace().filter(|word| *word != "none");
        let addresses: Result<Vec<SocketAddr>, _> = addresses.map(str::parse).collect();
        let addresses = addresses.map_err(|e| format!("{what}: {e}"))?;
        for address in &addresses {
            if !self.addresses.contains(address) {
                self.addresses.push(*address);
                self.world.net().set_host(*address, Host::Listening);
            }
        }
        let addresses = addresses.into_iter().map(Address::Tcp).collect();
        self.world.names.insert(name.to_owned(), addresses);
        Ok(())
    }

    /// Changes what hosts do, and what the certificates of clients are.
    pub(super) fn change_net(&mut self, what: &str) -> Result<(), String> {
        if let "has no descriptors" | "has descriptors" = what {
            self.world.net().set_descriptors(what == "has descriptors");
            return Ok(());
        }
        if let Some(shows) = what.strip_prefix("clients show ") {
            let certificate = Shows::named(shows).ok_or("nobody has such a certificate");
            let shows = if shows == "none" { None } else { Some(certificate?) };
            self.world.net().clients_show(shows);
            return Ok(());
        }
        let (address, what) = what.split_once(' ').ok_or("net ADDRESS WHAT")?;
        let address = address.parse().map_err(|_| format!("not an address: {address}"))?;
        let host = match what {
            "listens" => Host::Listening,
            "refuses" => Host::Refusing,
            "is silent" => Host::Silent,
            "is unreachable" => Host::Unreachable,
            "speaks plainly" => {
                self.world.net().secure(address, None);
                return Ok(());
            }
            shows if shows.starts_with("shows ") => {
                let shows = Shows::named(&shows[6..]).ok_or("nobody has such a certificate")?;
                self.world.net().secure(address, Some(shows));
                return Ok(());
            }
            other => return Err(format!("a host cannot do this: {other}")),
        };
        self.world.net().set_host(address, host);
        Ok(())
    }
}
