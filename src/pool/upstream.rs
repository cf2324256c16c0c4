//! A service to which requests go, and its endpoints.
//!
//! A request goes to the endpoint with the fewest connections in use, in proportion to its weight.
//! Endpoints that are equal take turns; one of weight 2 has two turns for each turn of one of
//! weight 1.
//!
//! An endpoint is bad while it is passed over, because several times in a row it could not be
//! connected to or failed in a way that `retry_on` lists. It is also bad while all of its addresses
//! are unhealthy according to their health checks. A bad endpoint gets requests only when no good
//! one is left.
//!
//! A backup gets requests only while no other endpoint that they could go to is good. One that is
//! merely full is still good, and requests wait for it. An endpoint of weight 0 gets only requests
//! of clients that it knows (`[api.sticky]`). Weights are those of the current configuration, also
//! for requests that began before it.
//!
//! Endpoints differ in host and port only. So a request's path is the same for all of them, and
//! only its Host depends on the endpoint. Load is measured in connections in use, because each open
//! stream has one.

use super::addresses::Tried;
use super::check::Checking;
use super::endpoint::{Endpoint, hash_of};
use super::news::Learnt;
use super::owner::Owner;
use super::queue::{Queue, Waiter, Wants};
use super::role::Role;
use crate::config::{Backend, Failed, Health, RetryOn, UpstreamClient, UpstreamTls};
use crate::net::Address;
use crate::slab::Key;
use crate::sticky::{Replica, Secret};
use crate::telemetry::{ApiStats, Failure, Stats, is_outage};
use crate::time::Tick;
use std::rc::Rc;

/// The length of a turn of an endpoint of weight 1, in arbitrary units. It is large enough for
/// turns of the greatest weight not to round to zero.
const TURN: u64 = 1 << 20;

/// A place in the queue of an upstream. Earlier places have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The upstream. It may be gone.
    pub(super) upstream: Key<Upstream>,
    pub(super) number: u64,
}

/// A service to which requests go. See the module.
#[derive(Debug)]
pub struct Upstream {
    /// The name of its api.
    pub name: String,
    /// True exactly when it is the api's auth server.
    pub(super) is_auth_server: bool,
    /// Its endpoints, in the order of the configuration. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// The TLS settings for targets with `https://`. Connections with other settings are not for
    /// its api.
    tls: UpstreamTls,
    /// Maximum number of idle connections per endpoint.
    pub(super) idle_max: usize,
    /// Maximum number of connections per endpoint. [`usize::MAX`] if there is no limit.
    pub(super) max: usize,
    /// When its endpoints are passed over.
    health: Health,
    /// After which failures another endpoint is tried.
    retry_on: RetryOn,
    /// How its endpoints are checked. None: they are not.
    pub(super) checking: Option<Rc<Checking>>,
    /// The counters of its api.
    pub(super) stats: Rc<ApiStats>,
    /// The endpoints that get requests, as bits.
    pub(super) asked: u64,
    /// The endpoints that are backups, as bits.
    backups: u64,
    /// The endpoints that are bad, as bits, as of the last update.
    bad: u64,
    /// When the last turn began, in the units of [`TURN`].
    turn: u64,
    /// The owners that wait for a connection.
    pub(super) queue: Queue,
    /// True exactly when owners in the queue may have to be called.
    pub(super) has_changed: bool,
}

/// The endpoint to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The endpoint with this index.
    Endpoint(usize),
    /// None for now: the endpoints that have not failed have no room.
    Full,
    /// None: all endpoints have failed.
    Failed,
}

impl Upstream {
    /// Creates the upstream for a backend, without connections.
    pub fn of(to: Backend<'_>, stats: &mut Stats, now: Tick) -> Upstream {
        let mut endpoint =
            |target| Endpoint::new(target, stats.endpoint(to.name, format!("{target}")), now);
        Upstream {
            name: to.name.to_owned(),
            is_auth_server: to.is_auth_server,
            endpoints: to.targets.iter().map(&mut endpoint).collect(),
            tls: to.tls.clone(),
            idle_max: to.idle_max,
            max: to.max.unwrap_or(usize::MAX),
            health: to.health.clone(),
            retry_on: to.retry_on,
            checking: to.checked.and_then(Checking::of),
            stats: stats.api(to.name),
            asked: to.targets_to_ask(),
            backups: to.backups(),
            bad: 0,
            turn: 0,
            queue: Queue::default(),
            has_changed: false,
        }
    }

    /// True if a backend, perhaps of another configuration, is for the same api and purpose, and
    /// has the same endpoints and TLS settings.
    pub fn is_of(&self, backend: Backend<'_>) -> bool {
        (self.name.as_str(), self.is_auth_server) == (backend.name, backend.is_auth_server)
            && self.tls == *backend.tls
            && self.endpoints.len() == backend.targets.len()
            && self
                .endpoints
                .iter()
                .zip(backend.targets)
                .all(|(endpoint, target)| endpoint.target.is_same_place(target))
    }

    /// Updates it to a newer configuration of the same backend. Returns the endpoints whose
    /// addresses have changed, as bits.
    pub(super) fn update(&mut self, to: Backend<'_>, now: Tick) -> u64 {
        self.idle_max = to.idle_max;
        self.max = to.max.unwrap_or(usize::MAX);
        self.health.clone_from(to.health);
        self.retry_on = to.retry_on;
        self.checking = to.checked.and_then(Checking::of);
        self.backups = to.backups();
        self.ask(to.targets_to_ask());
        let mut moved = 0;
        for (index, (endpoint, target)) in self.endpoints.iter_mut().zip(to.targets).enumerate() {
            moved |= u64::from(endpoint.addresses.update(&target.addresses, now)) << index;
            endpoint.target.clone_from(target);
            if self.checking.is_none() {
                endpoint.addresses.forget_checks();
            }
        }
        moved
    }

    /// Has these endpoints asked from now on, also by the owners that wait.
    fn ask(&mut self, asked: u64) {
        if std::mem::replace(&mut self.asked, asked) == asked {
            return;
        }
        self.queue.ask_among(asked);
        for endpoint in &mut self.endpoints {
            (endpoint.waited_for, endpoint.given_up_by) = (0, 0);
        }
        let waiting: Vec<Wants> = self.queue.iter().map(|waiter| waiter.wants).collect();
        for wants in waiting {
            self.count_waiter(wants, |count| count + 1);
        }
    }

    /// Uses these TLS clients for new connections.
    pub(super) fn renew(&mut self, clients: &[UpstreamClient]) {
        for target in self.endpoints.iter_mut().map(|endpoint| &mut endpoint.target) {
            let new = clients.iter().find_map(|client| client.of(&self.tls, &target.host));
            if target.is_secure && new.is_some() {
                target.tls = new;
            }
        }
    }

    /// Finds a replica among the endpoints.
    pub(super) fn find(&self, replica: Replica, secret: &Secret, now: Tick) -> Option<Found> {
        let mut endpoints = (0..).zip(&self.endpoints);
        let (index, endpoint): (u8, _) =
            endpoints.find(|(_, endpoint)| endpoint.hash(secret) == replica.target)?;
        let addresses = &endpoint.addresses;
        let is_it = |(_, address): &(u8, &Address)| hash_of(address, secret) == replica.address;
        let address = addresses.iter().find(is_it).map(|(number, _)| number);
        // A name that does not resolve at present may still have the address.
        if address.is_none() && !addresses.is_empty() {
            return None;
        }
        Some(Found { endpoint: index, address, is_good: !endpoint.is_bad(now) })
    }

    /// The number of idle connections to all of its endpoints.
    pub fn idle(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.idle.len()).sum()
    }

    /// The number of owners that wait for a connection.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Chooses an endpoint for an owner that wants one of these and has this place in the queue. An
    /// owner without a place comes last.
    pub(super) fn choose(&mut self, wants: Wants, place: Option<u64>, now: Tick) -> Choice {
        let free = self.free(wants, place);
        let Upstream { backups, turn, .. } = *self;
        let latest = self.endpoints.iter().map(|endpoint| endpoint.chosen).max().unwrap_or(0);
        let left = (0..).zip(&mut self.endpoints).filter(|(index, _)| free >> index & 1 != 0);
        let chosen = left.min_by_key(|(index, endpoint)| {
            let (is_bad, is_backup) = (endpoint.is_bad(now), backups >> index & 1 != 0);
            let until = (endpoint.is_unhealthy(), endpoint.passed_over_until().max(now));
            let turn = (endpoint.next_turn.max(turn), endpoint.chosen);
            ((is_bad, is_backup), until, endpoint.load(), turn)
        });
        match chosen {
            Some((index, endpoint)) => {
                self.turn = endpoint.next_turn.max(turn);
                endpoint.next_turn = self.turn + TURN / endpoint.weight();
                endpoint.chosen = latest + 1;
                Choice::Endpoint(index)
            }
            None if wants.left() == 0 => Choice::Failed,
            None => Choice::Full,
        }
    }

    /// Notes a failure of an endpoint: it could not be connected to, or, if it was `asked`, did not
    /// answer properly. Returns the news for the other event loops if it is passed over from now
    /// on.
    pub fn note_failure(
        &mut self,
        index: usize,
        asked: bool,
        role: Role,
        now: Tick,
    ) -> Option<Learnt> {
        let endpoint = &mut self.endpoints[index];
        if !endpoint.note_failure(&self.health, asked, now) {
            return None;
        }
        let until = endpoint.passed_over_until();
        self.tell_failing(index, role);
        Some(Learnt::PassedOver { until, asked })
    }

    /// Counts and logs that an endpoint is passed over, unless it is the only one.
    fn tell_failing(&mut self, index: usize, role: Role) {
        if self.endpoints.len() == 1 {
            return;
        }
        let (time, endpoint) = (self.health.fail_timeout, &mut self.endpoints[index]);
        endpoint.is_told = true;
        if role.writes() {
            endpoint.stats.passed_over.one();
            log::warn!("api {}: {} is passed over for {time:?}", self.name, endpoint.target);
        }
    }

    /// Logs that an endpoint that was passed over answers again.
    fn tell_answering(&self, index: usize, role: Role) {
        if role.writes() {
            log::info!("api {}: {} answers again", self.name, self.endpoints[index].target);
        }
    }

    /// Applies news about an endpoint from another event loop.
    pub(super) fn learn(&mut self, index: usize, learnt: &Learnt, role: Role, now: Tick) {
        let endpoint = &mut self.endpoints[index];
        match learnt {
            Learnt::Healthy(address, is_healthy) => endpoint.addresses.judge(address, *is_healthy),
            Learnt::PassedOver { until, asked } => {
                if endpoint.learn_failure(&self.health, *until, *asked, now) {
                    self.tell_failing(index, role);
                }
            }
            Learnt::Connected => endpoint.learn_connection(),
            Learnt::Answered => {
                if endpoint.learn_answer(now) {
                    self.tell_answering(index, role);
                }
            }
        }
    }

    /// Notes that an endpoint has answered with this status. Returns the news for the other event
    /// loops if it was passed over.
    pub(super) fn note_answer(
        &mut self,
        index: usize,
        status: u16,
        role: Role,
        now: Tick,
    ) -> Option<Learnt> {
        let failed = Failed::of_status(status).is_some_and(|failed| self.retry_on.has(failed));
        let endpoint = &mut self.endpoints[index];
        if is_outage(status) {
            endpoint.stats.count_failure(Failure::Unavailable, now);
            endpoint.stats.mark_failing(now);
        } else {
            endpoint.stats.mark_answered(now);
        }
        if failed || !endpoint.note_answer(now) {
            return None;
        }
        self.tell_answering(index, role);
        Some(Learnt::Answered)
    }

    /// Updates which endpoints are bad. True if that has changed.
    pub(super) fn look_at_endpoints(&mut self, now: Tick) -> bool {
        let before = self.bad;
        self.bad = bits_of(&self.endpoints, |endpoint| endpoint.is_bad(now));
        self.bad != before
    }

    /// The endpoints, as bits, that may be used now for these wants. Backups are left out while
    /// another endpoint among them is good.
    const fn open_to(&self, wants: Wants) -> u64 {
        let left = wants.left();
        if left & !self.backups & !self.bad == 0 { left } else { left & !self.backups }
    }

    /// The endpoints, as bits, to which the owner at this place may have a connection: those that
    /// it wants, that have room, and that no owner in front waits for. The queue is examined only
    /// as far as it can matter.
    fn free(&self, wants: Wants, place: Option<u64>) -> u64 {
        // If there are backups, owners do not always wait for all endpoints that they want.
        let place = place.or((self.backups != 0).then_some(u64::MAX));
        let fits = |endpoint: &Endpoint| {
            endpoint.has_room(self.max) && (place.is_some() || endpoint.waited_for == 0)
        };
        let mut free = bits_of(&self.endpoints, fits) & self.open_to(wants);
        let Some(place) = place.filter(|_| free != 0) else { return free };
        for waiter in self.queue.before(place) {
            free &= !self.open_to(waiter.wants);
            if free == 0 {
                break;
            }
        }
        free
    }

    /// True exactly when there is room for the owner at this place.
    pub(super) fn is_turn_of(&self, place: u64) -> bool {
        let Some(waiter) = self.queue.get(place) else { return false };
        self.free(waiter.wants, Some(place)) != 0
    }

    /// Adds `owner` to the queue, at its former place `before` if it had one, and returns the
    /// place.
    pub(super) fn join(&mut self, owner: Owner, wants: Wants, before: Option<u64>) -> u64 {
        self.count_waiter(wants, |count| count + 1);
        self.queue.join(owner, wants, before)
    }

    /// The health checks that have a connection to one of these endpoints.
    pub(super) fn checkers(&self, wants: Wants) -> impl Iterator<Item = Owner> {
        let wanted = (0..).zip(&self.endpoints).filter(move |(n, _)| wants.left() >> n & 1 != 0);
        wanted.filter_map(|(_, endpoint): (u32, _)| endpoint.checker)
    }

    /// Removes the owner at this place, if there is one.
    pub(super) fn leave(&mut self, place: u64) -> Option<Waiter> {
        let waiter = self.queue.leave(place)?;
        self.count_waiter(waiter.wants, |count| count - 1);
        Some(waiter)
    }

    /// Notes that a connection to an endpoint was established. True if that may help waiting owners
    /// that could not connect to it before.
    pub(super) fn connected(&mut self, index: u8, tried: Tried) -> bool {
        let endpoint = &mut self.endpoints[usize::from(index)];
        endpoint.connected(tried);
        let is_news = endpoint.given_up_by > 0;
        if is_news {
            endpoint.waited_for += std::mem::take(&mut endpoint.given_up_by);
            self.queue.forgive(index.into());
        }
        is_news
    }

    fn count_waiter(&mut self, wants: Wants, change: impl Fn(usize) -> usize) {
        for (index, endpoint) in (0..).zip(&mut self.endpoints) {
            if wants.left() >> index & 1 != 0 {
                endpoint.waited_for = change(endpoint.waited_for);
            } else if wants.among >> index & 1 != 0 {
                endpoint.given_up_by = change(endpoint.given_up_by);
            }
        }
    }

    /// Calls the owners for which there is room, in order, each once.
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
            let open = self.open_to(waiter.wants);
            let mut rooms = (0..).zip(&mut rooms);
            let fits = rooms.find(|(index, room)| open >> index & 1 != 0 && **room > 0);
            if let Some((_, room)) = fits {
                *room -= 1;
                call(waiter.owner);
            }
        }
    }
}

/// The location of a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// The index of the endpoint.
    pub(super) endpoint: u8,
    /// The number of the address. None if the name does not resolve.
    pub(super) address: Option<u8>,
    /// True exactly when the endpoint is not bad.
    pub(super) is_good: bool,
}

/// One bit for each element, which is set if `is` holds for it. The lowest bit is the first
/// element's.
fn bits_of<T>(elements: &[T], is: impl Fn(&T) -> bool) -> u64 {
    let bits = (0..).zip(elements).filter(|(_, element)| is(element));
    bits.fold(0, |bits, (index, _): (u32, _)| bits | 1 << index)
}
