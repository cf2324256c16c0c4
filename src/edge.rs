//! The edge, where clients come in: listeners, connection limits, and admission.

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
    /// Whether this one lets others accept.
    balance: Balance,
    budget: Budget,
    /// The number of client connections, including refused ones.
    clients: usize,
    /// The number of client connections that are being refused for lack of room.
    refused: usize,
    /// The number of clients of the demo, without those that are being refused.
    demo: usize,
    /// The number of connections to the admin listener.
    admin: usize,
    /// The number of connections to the listener for probes.
    probes: usize,
    /// The number of client connections whose TLS handshake is not over, or has yet to begin.
    handshakes: usize,
    /// The number of client connections with TLS, also of those that shake hands.
    secure: usize,
    returning: Returning,
    /// True exactly when the last client that has come found no place.
    lacks_place: bool,
}

impl Edge {
    /// Creates an edge with open listeners, in order, and no connections. `budget` limits the
    /// connections of all `loops` together, and `config` the rates of requests.
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

    /// The number of client connections, without those to the admin listener.
    pub const fn clients(&self) -> usize {
        self.clients
    }

    /// The most connections to upstreams. Each client has a descriptor reserved for one of its own;
    /// idle connections use only those that are left, of which each event loop has its part.
    pub fn upstream_connections_max(&self) -> usize {
        let (own, all) = (self.clients - self.refused, self.totals.clients());
        let part = self.budget.connections / self.loops;
        own.saturating_add(part).saturating_sub((2 * all).div_ceil(self.loops))
    }

    /// The most connections to upstreams beside one that is about to be made.
    pub fn upstream_connections_beside(&self) -> usize {
        self.upstream_connections_max().saturating_sub(1)
    }

    /// The most client connections.
    pub const fn clients_max(&self) -> usize {
        self.budget.clients
    }

    /// True exactly when there is room for another client connection.
    pub fn has_room(&self) -> bool {
        self.totals.clients() < self.budget.clients
    }

    /// Takes a place for another client connection, which the session that begins there holds.
    /// False if there is none.
    pub fn take_place(&mut self) -> bool {
        let has_place = self.totals.take_place(self.budget.clients);
        self.lacks_place = !has_place;
        has_place
    }

    /// True exactly when a client has found no place since this was last asked, nor has whoever
    /// came after it.
    pub const fn take_lack(&mut self) -> bool {
        std::mem::replace(&mut self.lacks_place, false)
    }

    /// True exactly when another client may be told that there is no room.
    pub const fn may_refuse(&self) -> bool {
        self.refused < self.budget.refusals.div_ceil(self.loops)
    }

    /// True exactly when a service has reached its limit of connections, if it has one of its own.
    pub const fn is_full_of(&self, service: Service) -> bool {
        match service {
            Service::Admin => self.admin >= descriptors::ADMIN,
            Service::Probes => self.probes >= descriptors::PROBES,
            Service::Apis | Service::Demo => false,
        }
    }

    /// The number of connections of those who use a service.
    const fn count_mut(&mut self, service: Service) -> &mut usize {
        match service {
            Service::Admin => &mut self.admin,
            Service::Probes => &mut self.probes,
            Service::Apis | Service::Demo => &mut self.clients,
        }
    }

    /// The number of client connections whose TLS handshake is not over, or has yet to begin.
    pub const fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// Over how long a time to spread the returns of clients that leave together, if each handshake
    /// takes as long as this.
    pub fn spread_of_returns(&mut self, handshake: Duration, now: Tick) -> Duration {
        self.returning.spread(self.secure, handshake, now)
    }

    /// Notes that a session turns out to speak no TLS.
    pub const fn note_plain(&mut self, session: &mut Session) {
        self.secure -= if session.is_secure { 1 } else { 0 };
        session.is_secure = false;
    }

    /// The places that are taken of all, and the clients that should have them, unless they are as
    /// many. Other event loops must have no clients.
    #[cfg(feature = "sim")]
    pub fn miscounted_places(&self) -> Option<[usize; 2]> {
        let places = [self.totals.clients(), self.clients - self.refused];
        (places[0] != places[1]).then_some(places)
    }

    /// The number of places that clients of this event loop have.
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

    /// Counts a session that begins. A client that is not refused has a place already
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
