//! The limits on connections to each endpoint of the upstream.

use super::plan::ADDRESSES;
use millstream::Config;
use millstream::testing::Api;
use millstream::testing::rng::Rng;
use millstream::testing::sim::SimNet;
use std::net::SocketAddr;
use std::time::Duration;

/// No request that is served waits this long.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The connections of an event loop to an endpoint, and how many are allowed. If the limit is
/// lowered, open connections may stay.
#[derive(Clone)]
struct Part {
    max: usize,
    allowed: usize,
    open: usize,
}

/// The addresses of an endpoint, and the share of its connections for each event loop.
struct Endpoint {
    addresses: Vec<SocketAddr>,
    parts: Vec<Part>,
}

/// The endpoints, as long as their connections are counted.
pub(crate) struct Room {
    endpoints: Vec<Endpoint>,
}

/// Draws keys for an api.
pub(crate) fn draw(rng: &mut Rng) -> String {
    let max = rng.pick(&[0, 0, 0, 1, 1, 2, 3]);
    let timeout = rng.pick(&["1ms", "300ms", "5s", "8760h", "8760h"]);
    format!("max_upstream = {max}\nqueue_timeout = \"{timeout}\"\n")
}

/// True if a request may wait for a connection in vain.
pub(crate) fn is_scarce(api: &Api) -> bool {
    api.max_upstream.is_some() && api.queue_timeout < PATIENCE
}

impl Room {
    /// No connections yet, for this number of event loops.
    pub(crate) fn of(config: &Config, loops: usize) -> Room {
        let endpoints = ADDRESSES.chunks(ADDRESSES.len() / config.apis[0].targets.len());
        let part = |max| Part { max, allowed: max, open: 0 };
        let parts: Vec<_> = (0..loops).map(|index| part(max_of(config, index, loops))).collect();
        let of = |own: &[SocketAddr]| Endpoint { addresses: own.to_vec(), parts: parts.clone() };
        Room { endpoints: endpoints.map(of).collect() }
    }

    /// Applies the limits of another configuration of the same api.
    pub(crate) fn change(&mut self, config: &Config) {
        for endpoint in &mut self.endpoints {
            let loops = endpoint.parts.len();
            for (index, part) in endpoint.parts.iter_mut().enumerate() {
                part.max = max_of(config, index, loops);
                part.allowed = part.max.max(part.open);
            }
        }
    }

    /// Stops counting.
    pub(crate) fn forget(&mut self) {
        self.endpoints.clear();
    }

    /// Checks that no endpoint has more connections than allowed.
    pub(crate) fn judge(&mut self, net: &SimNet) -> Result<(), String> {
        for endpoint in &mut self.endpoints {
            for (index, part) in endpoint.parts.iter_mut().enumerate() {
                let open = net.open_to(&endpoint.addresses, index);
                if open > part.allowed {
                    return Err(format!("{open} connections, {} are allowed", part.allowed));
                }
                (part.open, part.allowed) = (open, part.max.max(open.min(part.allowed)));
            }
        }
        Ok(())
    }
}

/// How many connections an event loop may have to each endpoint.
fn max_of(config: &Config, event_loop: usize, loops: usize) -> usize {
    let part = config.clone().part_of(event_loop, loops);
    part.apis[0].max_upstream.unwrap_or(usize::MAX)
}
