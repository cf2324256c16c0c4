//! Limits on the rate of requests.

use super::origin::Origin;
use millstream::testing::rng::Rng;
use millstream::testing::{Api, Tick};
use std::collections::BTreeSet;

/// A limit so low that it may refuse some requests of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many requests may come at once.
    burst: u64,
    /// The milliseconds between requests.
    interval: u64,
}

/// Draws keys for an api, and returns the low limits.
pub(crate) fn draw(rng: &mut Rng, text: &mut String) -> Vec<Pace> {
    if !rng.chance(25) {
        return Vec::new();
    }
    let mut paces = Vec::new();
    // All clients have addresses in one network.
    for key in ["max_requests", "max_requests_per_ip"] {
        let (rate, pace) = rng.pick(&[
            ("", None),
            ("100000/s", None),
            ("5/s", Some(Pace { burst: 5, interval: 200 })),
            ("1/s", Some(Pace { burst: 1, interval: 1000 })),
            ("20/m", Some(Pace { burst: 1, interval: 3000 })),
            ("2/h", Some(Pace { burst: 1, interval: 1_800_000 })),
        ]);
        *text += &format!("{key} = \"{rate}\"\n");
        paces.extend(pace);
    }
    if rng.chance(50) {
        *text = text.replace("on_outage = \"error\"\n", "");
    }
    paces
}

/// True if a client that sends too many requests for subscriptions is told to reconnect.
pub(crate) fn spares(api: &Api) -> bool {
    let rates = [api.clients.max_requests, api.clients.max_requests_per_ip];
    !api.streams.rates_are_errors && rates.iter().any(Option::is_some)
}

/// Judges how many requests have reached origins. Each counts once, however often it was sent.
///
/// # Errors
/// If there are too many.
pub(crate) fn judge(paces: &[Pace], origins: &[Origin], now: Tick) -> Result<(), String> {
    if paces.is_empty() {
        return Ok(());
    }
    let seen: BTreeSet<usize> = origins.iter().flat_map(|origin| &origin.seen).copied().collect();
    for pace in paces {
        if seen.len() as u64 > pace.burst + now.as_millis() / pace.interval {
            return Err(format!("{} requests came through by {now:?}: {pace:?}", seen.len()));
        }
    }
    Ok(())
}
