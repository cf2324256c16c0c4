//! The edge, where clients connect: listeners, connection limits, authorisation and admission.

pub mod admission;
pub mod authz;
mod balance;
pub mod listeners;
pub mod rates;
pub mod reclaim;
mod returning;
pub mod row;
mod totals;

use crate::config::Config;
use crate::descriptors::{self, Budget};
use crate::session::{Port, Service, Session};
use crate::time::Tick;
use balance::Balance;
use listeners::Listeners;
use reclaim::Reclaimable;
use returning::Returning;
use std::sync::Arc;
use std::time::Duration;
pub use totals::Totals;

/// The listeners, limits and counts of clients. See the module.
#[derive(Debug)]
pub struct Edge {
    /// The listening sockets.
    pub listeners: Listeners,
    /// Sessions that may be closed to make room for others.
    pub reclaimable: Reclaimable,
    /// What is counted in all event loops.
    pub totals: Arc<Totals>,
    /// The number of event loops.
    loops: usize,
    /// Whether this event loop lets others accept first.
    balance: Balance,
    budget: Budget,
    /// The number of client connections, including those that are being refused.
    clients: usize,
    /// The number of client connections that are being refused for lack of room.
    refused: usize,
    /// The number of client connections to the demo, without those that are being refused.
    demo: usize,
    /// The number of connections to the admin listener.
    admin: usize,
    /// The number of connections to the listener for probes.
    probes: usize,
    /// The number of client connections whose TLS handshake is not complete, or has not begun.
    handshakes: usize,
    /// The number of client connections with TLS, including those in a handshake.
    secure: usize,
    returning: Returning,
    /// True exactly when the last client that connected found no place.
    lacks_place: bool,
}

impl Edge {
    /// Creates an edge with open listeners, in order, and no connections. `budget` limits the
    /// connections of all `loops` together, and `config` has the rates of requests.
    pub fn new(
        ports: &[Port],
        config: &Config,
        budget: Budget,
        totals: Arc<Totals>,
        loops: usize,
    ) -> Edge {
        totals.rates.with(|rates| rates.update(config));
        Edge {
            listeners: Listeners::new(ports),
            reclaimable: Reclaimable::default(),
            totals,
            loops,
            balance: Balance::default(),
            budget,
            clients: 0,
            refused: 0,
            demo: 0,
            admin: 0,
            probes: 0,
            handshakes: 0,
            secure: 0,
            returning: Returning::default(),
            lacks_place: false,
        }
    }

    /// Changes the limits on connections and rates.
    pub fn update(&mut self, config: &Config, budget: Budget) {
        self.budget = budget;
        self.totals.rates.with(|rates| rates.update(config));
    }

    /// The number of client connections, without those of operators.
    pub const fn clients(&self) -> usize {
        self.clients
    }

    /// Maximum number of upstream connections. A descriptor is reserved for each client's own
    /// upstream connection; idle connections use only what is left, of which each event loop gets a
    /// part.
    pub fn upstream_connections_max(&self) -> usize {
        let (own, all) = (self.clients - self.refused, self.totals.clients());
        let part = self.budget.connections / self.loops;
        own.saturating_add(part).saturating_sub((2 * all).div_ceil(self.loops))
    }

    /// Maximum number of upstream connections in addition to one that is about to be opened.
    pub fn upstream_connections_beside(&self) -> usize {
        self.upstream_connections_max().saturating_sub(1)
    }

    /// Maximum number of client connections.
    pub const fn clients_max(&self) -> usize {
        self.budget.clients
    }

    /// True exactly when there is room for another client connection.
    pub fn has_room(&self) -> bool {
        self.totals.clients() < self.budget.clients
    }

    /// Takes a place for another client connection, which the new session then holds. False if
    /// there is none.
    pub fn take_place(&mut self) -> bool {
        let has_place = self.totals.take_place(self.budget.clients);
        self.lacks_place = !has_place;
        has_place
    }

    /// True exactly when the last client that connected found no place, and this is the first call
    /// since.
    pub const fn take_lack(&mut self) -> bool {
        std::mem::replace(&mut self.lacks_place, false)
    }

    /// True exactly when another client may be told that there is no room.
    pub const fn may_refuse(&self) -> bool {
        self.refused < self.budget.refusals.div_ceil(self.loops)
    }

    /// True exactly when a service has its own limit on connections, and has reached it.
    pub const fn is_full_of(&self, service: Service) -> bool {
        match service {
            Service::Admin => self.admin >= descriptors::ADMIN,
            Service::Probes => self.probes >= descriptors::PROBES,
            Service::Apis | Service::Demo => false,
        }
    }

    /// The number of connections to a service.
    const fn count_mut(&mut self, service: Service) -> &mut usize {
        match service {
            Service::Admin => &mut self.admin,
            Service::Probes => &mut self.probes,
            Service::Apis | Service::Demo => &mut self.clients,
        }
    }

    /// The number of client connections whose TLS handshake is not complete, or has not begun.
    pub const fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// The time over which to spread the reconnects of clients that leave together, if each
    /// handshake takes this long.
    pub fn spread_of_returns(&mut self, handshake: Duration, now: Tick) -> Duration {
        self.returning.spread(self.secure, handshake, now)
    }

    /// The longest time after which a client whose stream ends is told to reconnect, if clients
    /// leave spread over a time of length `leave`.
    pub fn longest_return(&mut self, config: &Config, leave: Duration, now: Tick) -> Duration {
        let spread = Some(self.spread_of_returns(config.tls.handshake_cost(), now));
        let spread = spread.filter(|spread| *spread > leave).unwrap_or_default();
        config.drain.retry_max.max(config.drain.retry_min.saturating_add(spread))
    }

    /// Notes that a session turned out not to use TLS.
    pub const fn note_plain(&mut self, session: &mut Session) {
        self.secure -= if session.is_secure { 1 } else { 0 };
        session.is_secure = false;
    }

    /// The number of places that are taken and the number of clients that should have one, unless
    /// these are equal. Other event loops must have no clients.
    #[cfg(feature = "sim")]
    pub fn miscounted_places(&self) -> Option<[usize; 2]> {
        let places = [self.totals.clients(), self.clients - self.refused];
        (places[0] != places[1]).then_some(places)
    }

    /// The number of places taken by clients of this event loop.
    #[cfg(feature = "sim")]
    pub const fn places(&self) -> usize {
        self.clients - self.refused
    }

    /// Notes that a session is about to leave its state.
    pub const fn note_left(&mut self, session: &Session) {
        if session.is_shaking_hands() {
            self.handshakes -= 1;
            self.listeners.resume_secure();
        }
    }

    /// Notes that a session has entered a state.
    pub const fn note_entered(&mut self, session: &Session) {
        if session.is_shaking_hands() {
            self.handshakes += 1;
        }
    }

    /// Counts a new session. A client that is not refused has a place already
    /// ([`Edge::take_place`]).
    pub fn note_begun(&mut self, session: &Session) {
        *self.count_mut(session.service) += 1;
        self.refused += usize::from(session.is_refused());
        self.secure += usize::from(session.is_secure);
        if session.service == Service::Demo && !session.is_refused() {
            self.demo += 1;
            self.totals.note_demo_begun();
        }
        self.note_entered(session);
    }

    /// Counts a session that has ended.
    pub fn note_over(&mut self, session: &Session) {
        *self.count_mut(session.service) -= 1;
        self.refused -= usize::from(session.is_refused());
        self.secure -= usize::from(session.is_secure);
        if !session.service.is_for_operators() && !session.is_refused() {
            self.totals.leave_place();
        }
        if session.service == Service::Demo && !session.is_refused() {
            self.demo -= 1;
            self.totals.note_demo_over();
        }
        self.note_left(session);
    }
}
