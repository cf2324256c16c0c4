//! Places among the open event streams: of an api, of a client's address, of a key.
//!
//! Who says in `Accept` that it wants a stream has its places before the upstream is asked; who
//! gets one without having said so, when that turns out.

use super::finish::Refusal;
use crate::auth::Hash;
use crate::session::cause::Cause;
use crate::session::exchange::Exchange;
use crate::session::origin::Origin;
use crate::session::places::{Counts, Network, Shares};
use crate::slab::Slab;
use std::net::IpAddr;

/// What counts the streams.
#[derive(Clone, Copy)]
pub(super) struct Counters<'a> {
    pub origins: &'a Slab<Origin>,
    pub keys: &'a Counts<Hash>,
}

impl Counters<'_> {
    /// Gives an exchange its places, if it has none and an api serves it.
    pub(super) fn admit(
        &self,
        exchange: &mut Exchange,
        peer: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let origin = exchange.origin.and_then(|origin| self.origins.get(origin));
        let (Some(origin), Some(api)) = (origin, exchange.api()) else { return Ok(()) };
        if exchange.permit.is_some() {
            return Ok(());
        }
        let mut shares = Shares::default();
        if let (Some(max), Some(client)) = (api.streams.max_per_ip, exchange.client(peer)) {
            shares.address = origin.addresses.place(Network::of(client), max);
            if shares.address.is_none() {
                let what = "too many event streams are open for this address";
                return Err(Refusal::crowded(Cause::MaxStreamsPerIp, what));
            }
        }
        if let Some(key) = exchange.key()
            && let Some(max) = key.max_streams
        {
            shares.key = self.keys.place(key.hash, max);
            if shares.key.is_none() {
                let what = "too many event streams are open with this key";
                return Err(Refusal::crowded(Cause::KeyMaxStreams, what));
            }
        }
        exchange.permit = origin.permit(api.streams.max.unwrap_or(usize::MAX));
        if exchange.permit.is_none() {
            return Err(Refusal::busy(Cause::MaxStreams, "too many event streams are open"));
        }
        if shares.held() != [0, 0] {
            exchange.caller.get_or_insert_default().shares = shares;
        }
        Ok(())
    }
}
