//! Limits on the rate of authorised requests ([`super::rates`]), and on open event streams: per
//! api, per client address and per key.
//!
//! A GET whose `Accept` asks for an event stream is counted before the upstream is asked. Any other
//! request is counted when its response turns out to be an event stream, or is begun as one.
//!
//! curl does not ask for one in `Accept`, and neither would a client that wants to evade the limit.
//! Beyond the limit it gets a 429 or 503, although the upstream was asked. So does a POST, whatever
//! its `Accept` is: clients of the Model Context Protocol ask for either type with each message,
//! and those that have as many streams as they may have must still be able to send one.

use super::Edge;
use crate::apis::Apis;
use crate::auth::Hash;
use crate::exchange::{Exchange, LocalReply};
use crate::quota::{Network, Quota, Shares};
use crate::telemetry::Cause;
use crate::time::Tick;
use std::net::IpAddr;

/// Counts an exchange towards the open streams of its api, its client's address and its key, unless
/// it is counted already or has no api.
///
/// # Errors
/// If one of the limits is reached.
pub fn acquire(
    exchange: &mut Exchange,
    peer: Option<IpAddr>,
    apis: &Apis,
    keys: &Quota<Hash>,
) -> Result<(), LocalReply> {
    let state = exchange.api_state.and_then(|key| apis.get(key));
    let (Some(state), Some(api)) = (state, exchange.api()) else { return Ok(()) };
    if exchange.permit.is_some() {
        return Ok(());
    }
    let mut shares = Shares::default();
    let client = Network::of_client(exchange.client(peer));
    if let (Some(max), Some(client)) = (api.streams.max_per_ip, client) {
        shares.address = state.totals.addresses.acquire(client, max);
        if shares.address.is_none() {
            let what = "too many event streams are open for this address";
            return Err(LocalReply::over_quota(Cause::MaxStreamsPerIp, what));
        }
    }
    if let Some(key) = exchange.key()
        && let Some(max) = key.max_streams
    {
        shares.key = keys.acquire(key.hash, max);
        if shares.key.is_none() {
            let what = "too many event streams are open with this key";
            return Err(LocalReply::over_quota(Cause::KeyMaxStreams, what));
        }
    }
    let Some(permit) = state.totals.permit(api.streams.max.unwrap_or(usize::MAX)) else {
        return Err(LocalReply::busy(Cause::MaxStreams, "too many event streams are open"));
    };
    exchange.permit = Some(permit);
    if shares.held() != [0, 0] {
        exchange.caller.get_or_insert_default().shares = shares;
    }
    Ok(())
}

/// Stops counting an exchange as an event stream, because its response is not one.
pub fn release(exchange: &mut Exchange) {
    exchange.permit = None;
    if let Some(caller) = &mut exchange.caller {
        caller.shares = Shares::default();
    }
}

/// Admits an authorised request, and counts it. If it is a GET whose `Accept` asks for an event
/// stream, it is counted as one.
///
/// # Errors
/// If a rate is exceeded, or one of the limits of [`acquire`] is reached.
pub fn admit(
    exchange: &mut Exchange,
    peer: Option<IpAddr>,
    apis: &Apis,
    edge: &mut Edge,
    now: Tick,
) -> Result<(), LocalReply> {
    let (api, key) = (exchange.api_name(), exchange.key());
    edge.totals.rates.with(|rates| rates.admit(api, key, now))?;
    if !exchange.facts.wants_events() {
        return Ok(());
    }
    acquire(exchange, peer, apis, &edge.totals.key_streams)
}
