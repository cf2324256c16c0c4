//! A service that requests go to, and its endpoints.
//!
//! Of several endpoints the one with the fewest connections in use is asked, and of those the one
//! that was asked least recently. An endpoint that could not be connected to, or that answered in
//! one of the ways that `retry_on` lists, is passed over for a while: it is asked only when all
//! others are passed over as well.
//!
//! Endpoints differ in host and port only. So a request's path is the same for all of them, and
//! only its Host depends on which one is asked. Connections in use are compared, because each open
//! stream is one.

use super::addresses::{Addresses, PASS_OVER, Tried};
use super::connection::Connection;
use super::idle::Idle;
use super::owner::Owner;
use super::queue::{Queue, Waiter};
use crate::config::{Api, Target, UpstreamClient, UpstreamTls};
use crate::net::Address;
use crate::slab::Key;
use crate::telemetry::{EndpointStats, Stats};
use crate::time::Tick;
use std::rc::Rc;

/// A place in the queue of an upstream. An earlier one has a smaller number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The upstream. It may be gone.
    pub(super) upstream: Key<Upstream>,
    pub(super) number: u64,
}

/// A service that requests go to. See the module.
#[derive(Debug)]
pub struct Upstream {
    /// The name of its api.
    pub name: String,
    /// Its endpoints, in the order of the configuration. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// How they are asked if they speak TLS. Connections on other terms are not for its api.
    tls: UpstreamTls,
    /// The number of idle connections to keep, per endpoint.
    pub(super) idle_max: usize,
    /// The number of connections that an endpoint may have. [`usize::MAX`] if it has no limit.
    pub(super) max: usize,
    /// Who waits for a connection.
    pub(super) queue: Queue,
    /// True exactly when those who wait are to be looked at.
    pub(super) has_changed: bool,
}

/// The endpoint to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The one with this index.
    Endpoint(usize),
    /// None for now: those that have not failed have no room.
    Full,
    /// None: all have failed.
    Failed,
}

impl Upstream {
    /// Creates the upstream of an api, without connections.
    pub fn of(api: &Api, stats: &mut Stats, now: Tick) -> Upstream {
        let mut endpoint =
            |target| Endpoint::new(target, stats.endpoint(&api.name, format!("{target}")), now);
        Upstream {
            name: api.name.clone(),
            endpoints: api.targets.iter().map(&mut endpoint).collect(),
            tls: api.upstream_tls.clone(),
            idle_max: api.keepalive_upstream,
            max: api.max_upstream.unwrap_or(usize::MAX),
            queue: Queue::default(),
            has_changed: false,
        }
    }

    /// True when `api`, perhaps of another configuration, has this name and the same endpoints, and
    /// asks them on the same terms.
    pub fn is_of(&self, api: &Api) -> bool {
        self.name == api.name
            && self.tls == api.upstream_tls
            && self.endpoints.len() == api.targets.len()
            && self
                .endpoints
                .iter()
                .zip(&api.targets)
                .all(|(endpoint, target)| endpoint.target.is_same_place(target))
    }

    /// Takes over a newer configuration of the same api.
    pub(super) fn update(&mut self, api: &Api, now: Tick) {
        self.idle_max = api.keepalive_upstream;
        self.max = api.max_upstream.unwrap_or(usize::MAX);
        for (endpoint, target) in self.endpoints.iter_mut().zip(&api.targets) {
            endpoint.addresses.update(&target.addresses, now);
            endpoint.target.tls.clone_from(&target.tls);
        }
    }

    /// Shakes hands by one of these from now on.
    pub(super) fn renew(&mut self, clients: &[UpstreamClient]) {
        for target in self.endpoints.iter_mut().map(|endpoint| &mut endpoint.target) {
            let new = clients.iter().find_map(|client| client.of(&self.tls, &target.host));
            if target.is_secure && new.is_some() {
                target.tls = new;
            }
        }
    }

    /// The number of idle connections to all of its endpoints.
    pub fn idle(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.idle.len()).sum()
    }

    /// The number of those who wait for a connection.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Chooses an endpoint whose bit is not set in `failed`, for whoever has this place in the
    /// queue. Without a place one comes last.
    pub(super) fn choose(&mut self, failed: u64, place: Option<u64>, now: Tick) -> Choice {
        let free = self.free(failed, place);
        let count = self.endpoints.len();
        let latest = self.endpoints.iter().map(|endpoint| endpoint.chosen).max().unwrap_or(0);
        let left = (0..).zip(&mut self.endpoints).filter(|(index, _)| free >> index & 1 != 0);
        let chosen = left.min_by_key(|(_, endpoint)| {
            (endpoint.passed_over_until().max(now), endpoint.in_use, endpoint.chosen)
        });
        match chosen {
            Some((index, endpoint)) => {
                endpoint.chosen = latest + 1;
                Choice::Endpoint(index)
            }
            None if failed.count_ones() as usize >= count => Choice::Failed,
            None => Choice::Full,
        }
    }

    /// The endpoints, as bits, that whoever has this place may have a connection to: those that
    /// have not failed, have room, and are not waited for by others in front. The queue is looked
    /// at only as far as that can change anything.
    fn free(&self, failed: u64, place: Option<u64>) -> u64 {
        let fits = |endpoint: &Endpoint| {
            endpoint.has_room(self.max) && (place.is_some() || endpoint.waited_for == 0)
        };
        let endpoints = (0..).zip(&self.endpoints).filter(|(_, endpoint)| fits(endpoint));
        let room = endpoints.fold(0, |bits, (index, _): (u32, _)| bits | 1 << index);
        let mut free = room & !failed;
        let Some(place) = place.filter(|_| free != 0) else { return free };
        for waiter in self.queue.before(place) {
            free &= waiter.failed;
            if free == 0 {
                break;
            }
        }
        free
    }

    /// True exactly when there is room for whoever waits at this place.
    pub(super) fn is_turn_of(&self, place: u64) -> bool {
        let Some(waiter) = self.queue.get(place) else { return false };
        self.free(waiter.failed, Some(place)) != 0
    }

    /// Adds `owner` to the queue, where it had a place `before` at that one, and returns the place.
    pub(super) fn join(&mut self, owner: Owner, failed: u64, before: Option<u64>) -> u64 {
        self.count_waiter(failed, |count| count + 1);
        self.queue.join(owner, failed, before)
    }

    /// Removes whoever waits at this place, if anybody does.
    pub(super) fn leave(&mut self, place: u64) -> Option<Waiter> {
        let waiter = self.queue.leave(place)?;
        self.count_waiter(waiter.failed, |count| count - 1);
        Some(waiter)
    }

    /// Notes that a connection to an endpoint was made. True if that may help somebody who waits
    /// and could not connect to it before.
    pub(super) fn connected(&mut self, index: u16, tried: Tried) -> bool {
        let endpoint = &mut self.endpoints[usize::from(index)];
        endpoint.connected(tried);
        let is_news = endpoint.waited_for < self.queue.len();
        if is_news {
            endpoint.waited_for = self.queue.len();
            self.queue.forgive(index.into());
        }
        is_news
    }

    fn count_waiter(&mut self, failed: u64, change: impl Fn(usize) -> usize) {
        let endpoints =
            (0..).zip(&mut self.endpoints).filter(|(index, _)| failed >> index & 1 == 0);
        endpoints.for_each(|(_, e): (u32, _)| e.waited_for = change(e.waited_for));
    }

    /// Calls those for whom there is room, in order, each once.
    pub(super) fn call_waiting(&self, call: &mut impl FnMut(Owner)) {
        let room = |endpoint: &Endpoint| match endpoint.waited_for {
            0 => 0,
            _ => endpoint.idle.len() + self.max.saturating_sub(endpoint.open),
        };
        let mut rooms: Vec<usize> = self.endpoints.iter().map(room).collect();
        for waiter in self.queue.iter() {
            if rooms.iter().all(|room| *room == 0) {
                return;
            }
            let mut rooms = (0..).zip(&mut rooms);
            let fits = rooms.find(|(index, room)| waiter.failed >> index & 1 == 0 && **room > 0);
            if let Some((_, room)) = fits {
                *room -= 1;
                call(waiter.owner);
            }
        }
    }
}

/// One of an upstream's endpoints: its target, its health and its connections.
#[derive(Debug)]
pub struct Endpoint {
    /// The target as configured.
    pub target: Target,
    /// Its counters.
    pub stats: Rc<EndpointStats>,
    /// Its addresses, as last resolved.
    pub(super) addresses: Addresses,
    /// Idle connections to it.
    pub(super) idle: Idle<Connection>,
    /// Until when the upstream's other endpoints are preferred.
    passed_over_until: Tick,
    /// True exactly when that is because of how it answered, so that a new connection proves
    /// nothing.
    answered_badly: bool,
    /// When it was last chosen, as a number that grows with each choice.
    pub(super) chosen: u64,
    /// The number of connections that have an owner.
    pub(super) in_use: usize,
    /// The number of all connections.
    pub(super) open: usize,
    /// The number of those in the queue who would take a connection to it.
    waited_for: usize,
}

impl Endpoint {
    /// Creates an endpoint without connections.
    pub(super) fn new(target: &Target, stats: Rc<EndpointStats>, now: Tick) -> Endpoint {
        Endpoint {
            addresses: Addresses::of(target, now),
            target: target.clone(),
            stats,
            idle: Idle::new(),
            passed_over_until: Tick::ZERO,
            answered_badly: false,
            chosen: 0,
            in_use: 0,
            open: 0,
            waited_for: 0,
        }
    }

    /// The number of connections that are in use, or being made.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// The number of connections, idle ones included.
    pub const fn open(&self) -> usize {
        self.open
    }

    /// True exactly when it has an idle connection, or fewer than `max`.
    const fn has_room(&self, max: usize) -> bool {
        self.open < max || self.idle.len() > 0
    }

    /// Passes over the endpoint for a while, because it could not be connected to.
    pub fn pass_over(&mut self, now: Tick) {
        self.passed_over_until = now.after(PASS_OVER);
        self.answered_badly = false;
        self.stats.mark_failing(now);
    }

    /// Passes over the endpoint for a while, because of how it answered, or because it did not.
    pub fn pass_over_for_answer(&mut self, now: Tick) {
        self.pass_over(now);
        self.answered_badly = true;
    }

    /// Until when the upstream's other endpoints are preferred.
    pub const fn passed_over_until(&self) -> Tick {
        self.passed_over_until
    }

    /// True exactly when the upstream's other endpoints are preferred.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.passed_over_until > now
    }

    /// Notes that a connection to the address tried last was made.
    fn connected(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        if !self.answered_badly {
            self.passed_over_until = Tick::ZERO;
        }
    }

    /// Takes the addresses to which its name resolves. If they have changed, returns what to log,
    /// and the endpoint is not passed over any more.
    pub(super) fn resolved(&mut self, addresses: &[Address]) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        if !self.addresses.resolved(addresses) {
            return None;
        }
        (self.passed_over_until, self.answered_badly) = (Tick::ZERO, false);
        Some(if had_none { "has been resolved" } else { "has new addresses" })
    }
}
