//! Another configuration, while everything goes on.
//!
//! Everything that can fail has been done before ([`crate::server`] reads, resolves and binds):
//! here is only the swap. Each exchange ends under the configuration under which it began. What is
//! known of an api (its connections, its open streams) stays with it under its name, as long as it
//! leads to the same place.
//!
//! What runs on an api that is gone or leads elsewhere has the drain window to end, be it an event
//! stream, a tunnel or an answer: each at a moment of its own, answers in the second half, so that
//! those that would end anyway do. A key that is gone leaves no time to streams and tunnels, and to
//! the rest of what it has let in a few seconds.

use super::streams::within;
use super::{Proxy, head_room, largest_buffer};
use crate::auth;
use crate::config::{Api, Config};
use crate::descriptors::Budget;
use crate::http::chunk::{HEADROOM, TAILROOM};
use crate::names::Answer;
use crate::net::{ListenerId, Net};
use crate::session::exchange::Exchange;
use crate::session::origin::Origin;
use crate::session::outcome::Outcome;
use crate::session::{Service, State};
use crate::slab::Key;
use crate::time::Tick;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may go on whose key is not known any more: as long as most take.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

impl<N: Net> Proxy<N> {
    /// Serves `config` from here on, with no more connections than `budget` says. Listeners are
    /// opened and closed by the caller.
    pub fn reload(&mut self, config: Config, budget: Budget, now: Tick) {
        self.pool_returned();
        let mut api_origins = Vec::with_capacity(config.apis.len());
        for api in &config.apis {
            let known = self.origins.iter().find(|(_, origin)| origin.is_of(api));
            let known = known.map(|(key, _)| key);
            api_origins.push(match known {
                Some(key) => {
                    self.origins[key].update(api, now);
                    key
                }
                None => self.origins.insert(Origin::of(api, &mut self.stats, now)),
            });
        }
        let kept = |key: &Key<Origin>| api_origins.contains(key);
        let gone = self.origins.iter().map(|(key, _)| key).filter(|key| !kept(key));
        for key in gone.collect::<Vec<_>>() {
            self.forget_origin(key);
        }
        self.stats.forget_targets();
        self.api_origins = api_origins;
        self.budget = budget;
        self.close_idle_beyond(self.budget.connections);
        self.router = Rc::new(config.router());
        self.secret_parameters = config.secret_parameters();
        self.make_room_for(&config);
        self.buffers.limit(config.server.max_held_bytes);
        let auths = config.apis.iter().filter_map(|api| api.auth.as_ref());
        self.stats
            .keys
            .make_room(auths.flat_map(|auth| &*auth.keys).map(|key| Arc::clone(&key.name)));
        self.config = Rc::new(config);
        self.end_removed(now);
    }

    /// Buffers only ever grow: exchanges of the configurations before need what they were promised.
    fn make_room_for(&mut self, config: &Config) {
        self.head_room = self.head_room.max(head_room(config, &self.portions));
        let largest = largest_buffer(self.head_room, &self.portions);
        if largest > self.buffers.largest() {
            self.buffers.grow(largest);
            self.scratch = vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice();
        }
    }

    fn forget_origin(&mut self, key: Key<Origin>) {
        let Some(origin) = self.origins.remove(key) else { return };
        for upstream in origin.places.into_iter().flat_map(|place| place.idle.into_keys()) {
            self.close_idle_upstream(upstream);
        }
    }

    /// What runs on an api or with a key that is not there any more is given its end.
    fn end_removed(&mut self, now: Tick) {
        let Proxy { sessions, api_origins, config, random, .. } = self;
        let mut ended = Vec::new();
        for (key, session) in sessions.iter_mut() {
            if let State::Active(exchange) = &mut session.state
                && exchange.origin.is_some()
            {
                exchange.judge_anew(config, api_origins, random.f64(), now);
                ended.push(key);
            }
        }
        for key in ended {
            self.enqueue(key);
        }
    }

    /// A listener was opened, for this service.
    pub fn open_listener(&mut self, listener: ListenerId, service: Service) {
        self.listeners.open(listener, service);
    }

    /// A listener is not wanted any more. Connections that it brought stay.
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.listeners.close(listener);
        self.net.close_listener(listener);
    }

    /// A name that is to be resolved again, and whose it is, once.
    pub fn next_stale_name(&mut self) -> Option<((Key<Origin>, usize), String, u16)> {
        while let Some((key, place)) = self.stale_names.pop() {
            if let Some(origin) = self.origins.get(key) {
                let target = &origin.places[place].target;
                return Some(((key, place), target.host.clone(), target.port));
            }
        }
        None
    }

    /// A name was asked for. One that cannot be resolved keeps the addresses that it had.
    pub fn name_answered(&mut self, key: Key<Origin>, place: usize, answer: &Answer) {
        let Some(origin) = self.origins.get_mut(key) else { return };
        let (name, place) = (&origin.name, &mut origin.places[place]);
        match answer {
            Ok(addresses) => {
                if let Some(told) = place.resolved(addresses) {
                    log::info!("api {name}: {} {told}", place.target.host);
                }
            }
            Err(error) => {
                place.addresses.not_resolved();
                let means = if place.addresses.is_empty() {
                    "nobody can connect to it until that succeeds"
                } else {
                    "it keeps the addresses it had"
                };
                let text = format!("api {name}: {error}; {means}");
                self.hush.say(log::Level::Warn, name, "resolve", &text);
            }
        }
    }
}

impl Exchange {
    /// Gives it an end if the present configuration would not have it: `share` says where in the
    /// time that is left.
    pub(super) fn judge_anew(
        &mut self,
        config: &Config,
        api_origins: &[Key<Origin>],
        share: f64,
        now: Tick,
    ) {
        let Some(outcome) = self.reason_to_end(config, api_origins) else { return };
        // A reload more changes nothing for whoever has its moment.
        if self.lease_end.outcome == Outcome::Removed && outcome == Outcome::Removed {
            return;
        }
        let revoked = outcome == Outcome::Revoked;
        let window = config.drain.window;
        let last = now.after(if revoked { window.min(REVOKED_WITHIN) } else { window });
        let until = match (revoked, self.is_endless()) {
            (true, true) => now,
            (false, true) => within(now, last, share),
            (_, false) => within(now, last, (1.0 + share) / 2.0),
        };
        self.end_at(until, last, outcome);
    }

    /// Why the present configuration would not have it, if it would not.
    pub(super) fn reason_to_end(
        &self,
        config: &Config,
        api_origins: &[Key<Origin>],
    ) -> Option<Outcome> {
        let origin = self.origin?;
        let place = api_origins.iter().position(|key| *key == origin);
        match place.map(|place| &config.apis[place]).filter(|api| api.active) {
            None => Some(Outcome::Removed),
            Some(api) => (!self.may_stay(api)).then_some(Outcome::Revoked),
        }
    }

    /// True when whoever asked for it would be let in to this api, which is its own, by now.
    fn may_stay(&self, api: &Api) -> bool {
        let keys = api.auth.as_ref().map(|auth| &auth.keys);
        keys.is_none_or(|keys| {
            self.key().is_some_and(|key| auth::still_admits(keys, key, &api.name))
        })
    }
}
