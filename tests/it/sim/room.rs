//! How many connections there may be to each endpoint of the upstream.

use super::plan::ADDRESSES;
use millstream::Config;
use millstream::testing::Api;
use millstream::testing::rng::Rng;
use millstream::testing::sim::SimNet;
use std::net::SocketAddr;
use std::time::Duration;

/// How long nothing waits that is served in the end.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The addresses of one endpoint.
struct Endpoint {
    addresses: Vec<SocketAddr>,
    /// How many connections it may have: those that it had when the limit was lowered may stay.
    allowed: usize,
    open: usize,
}

/// The endpoints, as long as somebody counts their connections.
pub(crate) struct Room {
    endpoints: Vec<Endpoint>,
    max: usize,
}

/// Draws keys for an api.
pub(crate) fn draw(rng: &mut Rng) -> String {
    let max = rng.pick(&[0, 0, 0, 1, 1, 2, 3]);
    let timeout = rng.pick(&["1ms", "300ms", "5s", "8760h", "8760h"]);
    format!("max_upstream = {max}\nqueue_timeout = \"{timeout}\"\n")
}

/// True exactly when a request may wait for a connection in vain.
pub(crate) fn is_scarce(api: &Api) -> bool {
    api.max_upstream.is_some() && api.queue_timeout < PATIENCE
}

impl Room {
    /// Nothing is open yet.
    pub(crate) fn of(config: &Config) -> Room {
        let addresses = ADDRESSES.map(|address| address.parse().unwrap());
        let (max, targets) = max_of(config);
        let endpoints = addresses.chunks(addresses.len() / targets);
        let of = |own: &[SocketAddr]| Endpoint { addresses: own.to_vec(), allowed: max, open: 0 };
        Room { endpoints: endpoints.map(of).collect(), max }
    }

    /// Another configuration of the same api is served from now on.
    pub(crate) fn change(&mut self, config: &Config) {
        self.max = max_of(config).0;
        for endpoint in &mut self.endpoints {
            endpoint.allowed = self.max.max(endpoint.open);
        }
    }

    /// Nobody counts any more.
    pub(crate) fn forget(&mut self) {
        self.endpoints.clear();
    }

    /// No endpoint has more connections than it may.
    pub(crate) fn judge(&mut self, net: &SimNet) -> Result<(), String> {
        for endpoint in &mut self.endpoints {
            let open = net.open_to(&endpoint.addresses);
            if open > endpoint.allowed {
                return Err(format!("{open} connections, {} are allowed", endpoint.allowed));
            }
            (endpoint.open, endpoint.allowed) = (open, self.max.max(open.min(endpoint.allowed)));
        }
        Ok(())
    }
}

fn max_of(config: &Config) -> (usize, usize) {
    let api = &config.apis[0];
    (api.max_upstream.unwrap_or(usize::MAX), api.targets.len())
}
