//! Another configuration, while everything goes on.
//!
//! Everything that can fail has been done before ([`crate::shell`] reads, resolves and binds):
//! here is only the swap. Each exchange ends under the configuration under which it began. What is
//! known of an api (its connections, its open streams) stays with it under its name, as long as it
//! leads to the same endpoints.
//!
//! What runs on an api that is gone or leads elsewhere has the drain window to end, be it an event
//! stream, a tunnel or an answer: each at a moment of its own, answers in the second half, so that
//! those that would end anyway do. A key that is gone leaves no time to streams and tunnels, and to
//! the rest of what it has let in a few seconds.
//!
//! Nothing outlives its api or its key, be it a download, a long poll or an upload. A client that
//! has no answer yet gets a 503, or a 403 if its key is gone; what is under way is cut visibly. The
//! last tenth of the window is for an event to end and for clients to take what is pending. A
//! revoked key is meant, so there is no window for its streams; the few seconds are what an
//! ordinary request has.
//!
//! A stream that begins is judged by the present configuration too, not only by the one under which
//! it was asked for: its upstream may have taken its time, and its key be gone by now.

use super::Proxy;
use super::drain::within;
use super::shared::Shared;
use crate::apis::Apis;
use crate::auth;
use crate::config::{Api, Config};
use crate::descriptors::Budget;
use crate::exchange::Exchange;
use crate::net::{ListenerId, Net, Resolution};
use crate::pool::Upstream;
use crate::session::Service;
use crate::slab::Key;
use crate::telemetry::Outcome;
use crate::time::Tick;
use std::time::Duration;

/// How long an answer may go on whose key is not known any more: as long as most take.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

impl<N: Net> Proxy<N> {
    /// Serves `config` from here on, with no more connections than `budget` says. Listeners are
    /// opened and closed by the caller.
    pub fn reload(&mut self, config: Config, budget: Budget, now: Tick) {
        self.shared.reload(config, budget, now);
        let Proxy { tasks, shared: Shared { apis, config, random, .. }, .. } = self;
        let mut judged = Vec::new();
        for (key, session) in tasks.iter_mut() {
            if let Some(exchange) = session.exchange_mut()
                && exchange.api_state.is_some()
            {
                judge_anew(exchange, config, apis, random.f64(), now);
                judged.push(key);
            }
        }
        for key in judged {
            tasks.wake(key);
        }
    }

    /// A listener was opened, for this service.
    pub fn open_listener(&mut self, listener: ListenerId, service: Service) {
        self.shared.edge.listeners.open(listener, service);
    }

    /// A listener is not wanted any more. Connections that it brought stay.
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.shared.edge.listeners.close(listener);
        self.shared.net.close_listener(listener);
    }

    /// A name that is to be resolved again, and whose it is, once.
    pub fn next_stale_name(&mut self) -> Option<((Key<Upstream>, usize), String, u16)> {
        self.shared.pool.next_stale_name()
    }

    /// A name was asked for. One that cannot be resolved keeps the addresses that it had.
    pub fn name_answered(&mut self, key: Key<Upstream>, endpoint: usize, answer: &Resolution) {
        let Shared { pool, telemetry, .. } = &mut self.shared;
        pool.name_answered(key, endpoint, answer, &mut telemetry.log);
    }
}

/// Gives an exchange an end if the present configuration would not have it: `share` says where in
/// the time that is left.
pub(super) fn judge_anew(
    exchange: &mut Exchange,
    config: &Config,
    apis: &Apis,
    share: f64,
    now: Tick,
) {
    let Some(outcome) = reason_to_end(exchange, config, apis) else { return };
    // A reload more changes nothing for whoever has its moment.
    if exchange.expires_with() == Some(Outcome::Removed) && outcome == Outcome::Removed {
        return;
    }
    let revoked = outcome == Outcome::Revoked;
    let window = config.drain.window;
    let last = now.after(if revoked { window.min(REVOKED_WITHIN) } else { window });
    let until = match (revoked, exchange.stage().is_endless()) {
        (true, true) => now,
        (false, true) => within(now, last, share),
        (_, false) => within(now, last, (1.0 + share) / 2.0),
    };
    exchange.expire_at(until, last, outcome);
}

/// Why the present configuration would not have an exchange, if it would not.
pub(super) fn reason_to_end(exchange: &Exchange, config: &Config, apis: &Apis) -> Option<Outcome> {
    let index = apis.index_of(exchange.api_state?);
    match index.map(|index| &config.apis[index]).filter(|api| api.active) {
        None => Some(Outcome::Removed),
        Some(api) => (!may_stay(exchange, api)).then_some(Outcome::Revoked),
    }
}

/// True when whoever asked for an exchange would be let in to this api, which is its own, by now.
fn may_stay(exchange: &Exchange, api: &Api) -> bool {
    let keys = api.auth.as_ref().map(|auth| &auth.keys);
    keys.is_none_or(|keys| {
        exchange.key().is_some_and(|key| auth::still_admits(keys, key, &api.name))
    })
}
