//! Limits on the rate of requests: from a client address, with a key, and to a whole api.
//!
//! The rate of an address is checked before anything that costs something, so that keys cannot be
//! guessed any faster. The other two rates count only authorised requests, so others use up nothing
//! of an api's rate. A request that one of these two refuses counts for neither.
//!
//! What is left of a rate survives a reload that does not change it.

use crate::auth::{Hash, Key};
use crate::config::Config;
use crate::exchange::LocalReply;
use crate::http::client_address::ClientAddress;
use crate::quota::Network;
use crate::rate::{Bucket, Buckets, Rate};
use crate::telemetry::Cause;
use crate::time::Tick;
use std::collections::BTreeMap;

/// Maximum number of addresses remembered for all apis. Beyond that the least recently used is
/// forgotten.
const ADDRESSES_MAX: usize = 1 << 16;

/// What is left of all rates. See the module.
#[derive(Debug)]
pub struct Rates {
    /// The apis that have rates, by name.
    apis: BTreeMap<String, ApiRates>,
    /// What is left for the keys that have a rate and were used.
    keys: BTreeMap<(Hash, Rate), Bucket>,
    /// What is left for each address, by [`ApiRates::number`].
    addresses: Buckets<(u32, Network)>,
    /// The number for the next api whose addresses have a rate.
    next: u32,
}

#[derive(Debug)]
struct ApiRates {
    /// The rate of the api as a whole, and what is left of it.
    whole: Option<(Rate, Bucket)>,
    per_ip: Option<Rate>,
    /// Identifies the api and its rate for addresses, and is never used again for another.
    number: u32,
}

impl Default for Rates {
    /// No rates yet.
    fn default() -> Rates {
        let addresses = Buckets::new(ADDRESSES_MAX);
        Rates { apis: BTreeMap::new(), keys: BTreeMap::new(), addresses, next: 0 }
    }
}

impl Rates {
    /// Takes over a configuration. What is left of unchanged rates is kept.
    pub fn update(&mut self, config: &Config) {
        let mut known = std::mem::take(&mut self.apis);
        for api in &config.apis {
            let (whole, per_ip) = (api.clients.max_requests, api.clients.max_requests_per_ip);
            if whole.is_none() && per_ip.is_none() {
                continue;
            }
            let before = known.remove(&api.name);
            let same = before.as_ref().filter(|before| before.per_ip == per_ip);
            let number = same.map_or(self.next, |same| same.number);
            self.next += u32::from(same.is_none());
            let left = before.and_then(|before| before.whole);
            let whole = whole.map(|rate| match left {
                Some((same, left)) if same == rate => (rate, left),
                Some(_) | None => (rate, Bucket::default()),
            });
            self.apis.insert(api.name.clone(), ApiRates { whole, per_ip, number });
        }
        let auths = config.apis.iter().filter_map(|api| api.auth.as_ref());
        let keys = auths.flat_map(|auth| &*auth.keys);
        let mut left = BTreeMap::new();
        for (key, rate) in keys.filter_map(|key| Some((key, key.max_requests?))) {
            if let Some(bucket) = self.keys.remove(&(key.hash, rate)) {
                left.insert((key.hash, rate), bucket);
            }
        }
        self.keys = left;
    }

    /// Counts a request to the api with this name towards the rate of the client's address.
    ///
    /// # Errors
    /// If the rate of the address is exceeded.
    pub fn admit_address(
        &mut self,
        api: &str,
        client: ClientAddress,
        now: Tick,
    ) -> Result<(), LocalReply> {
        let client = Network::of_client(client);
        let (Some(rates), Some(client)) = (self.apis.get(api), client) else { return Ok(()) };
        let Some(rate) = rates.per_ip else { return Ok(()) };
        let holder = (rates.number, client);
        let bucket = self.addresses.get(holder);
        let after = bucket.after_one(rate, now);
        // A refusal also counts as recent use, so that the address is not forgotten sooner.
        self.addresses.put(holder, after.unwrap_or(bucket), now);
        after
            .map(|_| ())
            .map_err(|exceeded| LocalReply::over_rate(Cause::MaxRequestsPerIp, exceeded))
    }

    /// Counts an authorised request towards the rates of its key and of the api with this name.
    ///
    /// # Errors
    /// If one of the rates is exceeded.
    pub fn admit(&mut self, api: &str, key: Option<&Key>, now: Tick) -> Result<(), LocalReply> {
        let key = key.and_then(|key| Some((key.hash, key.max_requests?)));
        let after = key.map(|key| {
            let bucket = self.keys.get(&key).copied().unwrap_or_default();
            bucket.after_one(key.1, now).map(|after| (key, after))
        });
        let after = after.transpose();
        let after = after.map_err(|by| LocalReply::over_rate(Cause::KeyMaxRequests, by))?;
        if let Some((rate, bucket)) = self.apis.get_mut(api).and_then(|api| api.whole.as_mut()) {
            let left = bucket.after_one(*rate, now);
            *bucket = left.map_err(|by| LocalReply::over_rate(Cause::MaxRequests, by))?;
        }
        if let Some((key, bucket)) = after {
            self.keys.insert(key, bucket);
        }
        Ok(())
    }

    /// The number of addresses remembered, and how many were forgotten for lack of room although
    /// they still mattered. None if no api has a rate for addresses.
    pub fn addresses(&self) -> Option<(usize, u64)> {
        let any = self.apis.values().any(|api| api.per_ip.is_some());
        any.then(|| (self.addresses.len(), self.addresses.forgotten()))
    }
}
