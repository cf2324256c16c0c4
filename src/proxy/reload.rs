//! Another configuration, while everything goes on.
//!
//! Everything that can fail has been done before ([`crate::server`] reads, resolves and binds):
//! here is only the swap. Each exchange ends under the configuration under which it began. What is
//! known of an api (its connections, its open streams) stays with it under its name, as long as it
//! leads to the same place; the streams of an api that is gone, or leads elsewhere, end as in a
//! drain.

use super::streams::within;
use super::{Proxy, head_room, largest_buffer};
use crate::auth;
use crate::config::{Api, Config};
use crate::descriptors::Budget;
use crate::http::chunk::{HEADROOM, TAILROOM};
use crate::names::Answer;
use crate::net::{ListenerId, Net};
use crate::session::exchange::{Exchange, Outcome};
use crate::session::origin::Origin;
use crate::session::{Service, State};
use crate::slab::Key;
use crate::time::Tick;
use std::rc::Rc;

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
                None => {
                    let stats = self.stats.api(&api.name);
                    self.origins.insert(Origin::of(api, stats, now))
                }
            });
        }
        let kept = |key: &Key<Origin>| api_origins.contains(key);
        let gone = self.origins.iter().map(|(key, _)| key).filter(|key| !kept(key));
        for key in gone.collect::<Vec<_>>() {
            self.forget_origin(key);
        }
        self.api_origins = api_origins;
        self.budget = budget;
        self.close_idle_beyond(self.budget.connections);
        self.router = Rc::new(config.router());
        self.secret_parameters = config.secret_parameters();
        self.make_room_for(&config);
        self.buffers.limit(config.server.max_held_bytes);
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

    /// Streams whose api is not there any more have the drain window to end, one after the other.
    /// Those whose key opens it no longer end now.
    fn end_removed(&mut self, now: Tick) {
        let deadline = now.after(self.config.drain.window);
        let Proxy { sessions, api_origins, config, random, .. } = self;
        let mut ended = Vec::new();
        for (key, session) in sessions.iter_mut() {
            if let State::Active(exchange) = &mut session.state
                && exchange.facts.event_stream
            {
                let until = within(now, deadline, random.f64());
                exchange.judge_anew(config, api_origins, until, now);
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
    /// Shortens the lease of a stream that the present configuration would not have: until a moment
    /// in the drain window if its api is gone, and to nothing if its key is.
    pub(super) fn judge_anew(
        &mut self,
        config: &Config,
        api_origins: &[Key<Origin>],
        until: Tick,
        now: Tick,
    ) {
        let Some(origin) = self.origin else { return };
        let place = api_origins.iter().position(|key| *key == origin);
        match place.map(|place| &config.apis[place]).filter(|api| api.active) {
            None => self.end_stream_at(until, Outcome::Removed),
            Some(api) if !self.may_stay(api) => self.end_stream_at(now, Outcome::Revoked),
            Some(_) => {}
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
