//! An endpoint of an upstream: its target, its health, and its connections.

use super::addresses::{Addresses, Tried};
use super::connection::Connection;
use super::idle::Idle;
use super::owner::Owner;
use crate::config::{Health, Target};
use crate::net::Address;
use crate::net::tls::ClientOf;
use crate::sticky::{Replica, Secret};
use crate::telemetry::EndpointStats;
use crate::time::Tick;
use std::rc::Rc;

/// The load of one connection in use to an endpoint of weight 1.
const LOAD: u64 = 1 << 20;

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
    /// The number of failures in a row.
    fails: u16,
    /// True exactly when it was logged that it is passed over, but not yet that it answers again.
    pub(super) is_told: bool,
    /// True exactly when a health check is responsible for it.
    pub(super) has_check: bool,
    /// The health check that has a connection to it, if any.
    pub(super) checker: Option<Owner>,
    /// Until when the upstream's other endpoints are preferred.
    passed_over_until: Tick,
    /// True exactly when the reason is how it answered, so that a successful connection proves
    /// nothing.
    answered_badly: bool,
    /// When its next turn begins, for a choice among equals.
    pub(super) next_turn: u64,
    /// A number for its last choice, which grows with each choice.
    pub(super) chosen: u64,
    /// The number of connections that have an owner.
    pub(super) in_use: usize,
    /// The number of all connections.
    pub(super) open: usize,
    /// The number of owners in the queue that wait for a connection to it.
    pub(super) waited_for: usize,
    /// The number of owners in the queue that could not connect to it.
    pub(super) given_up_by: usize,
}

impl Endpoint {
    /// Creates an endpoint without connections.
    pub(super) fn new(target: &Target, stats: Rc<EndpointStats>, now: Tick) -> Endpoint {
        Endpoint {
            addresses: Addresses::of(target, now),
            target: target.clone(),
            stats,
            idle: Idle::new(),
            fails: 0,
            is_told: false,
            has_check: false,
            checker: None,
            passed_over_until: Tick::ZERO,
            answered_badly: false,
            next_turn: 0,
            chosen: 0,
            in_use: 0,
            open: 0,
            waited_for: 0,
            given_up_by: 0,
        }
    }

    /// The number of connections that are in use or being established.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// The number of connections, idle ones included.
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Its share relative to an endpoint of weight 1.
    pub(super) fn weight(&self) -> u64 {
        self.target.weight.max(1).into()
    }

    /// The number of connections in use in proportion to its weight.
    pub(super) fn load(&self) -> u64 {
        self.in_use as u64 * LOAD / self.weight()
    }

    /// True exactly when other endpoints are preferred.
    pub(super) fn is_bad(&self, now: Tick) -> bool {
        self.is_passed_over(now) || self.is_unhealthy()
    }

    /// True exactly when all of its addresses have failed their checks.
    pub fn is_unhealthy(&self) -> bool {
        self.addresses.are_unhealthy()
    }

    /// True exactly when its health is checked.
    pub const fn is_checked(&self) -> bool {
        self.has_check
    }

    /// Whether any of its addresses passes its checks. None if none was checked.
    pub fn is_healthy(&self) -> Option<bool> {
        self.addresses.are_healthy()
    }

    /// Its target, as a hash.
    pub(super) fn hash(&self, secret: &Secret) -> u32 {
        secret.hash((&self.target.host, self.target.port))
    }

    /// The replica at one of its addresses.
    pub(super) fn replica(&self, address: u8, secret: &Secret) -> Option<Replica> {
        let address = hash_of(self.addresses.numbered(address)?, secret);
        Some(Replica { target: self.hash(secret), address })
    }

    /// The TLS client for it, if it speaks TLS.
    pub(super) fn server(&self) -> Option<ClientOf> {
        self.target.tls.clone()
    }

    /// True exactly when it has an idle connection, or fewer connections than `max`.
    pub(super) const fn has_room(&self, max: usize) -> bool {
        self.open < max || self.idle.len() > 0
    }

    /// Notes a failure: the endpoint could not be connected to, or, if it was `asked`, did not
    /// answer properly. True if it is passed over from now on, and was not before.
    pub(super) fn note_failure(&mut self, health: &Health, asked: bool, now: Tick) -> bool {
        self.stats.mark_failing(now);
        self.fails = self.fails.saturating_add(1);
        if health.max_fails.is_none_or(|max| usize::from(self.fails) < max) {
            return false;
        }
        self.pass_over(now.after(health.fail_timeout), asked, now)
    }

    /// Passes the endpoint over, because it could not be connected to, or, if it was `asked`,
    /// because of how it answered. True if it was not passed over before.
    fn pass_over(&mut self, until: Tick, asked: bool, now: Tick) -> bool {
        let was_passed_over = self.is_passed_over(now);
        self.passed_over_until = until;
        self.answered_badly = asked;
        !was_passed_over
    }

    /// Notes that another event loop passes the endpoint over. True if this one did not yet.
    pub(super) fn learn_failure(
        &mut self,
        health: &Health,
        until: Tick,
        asked: bool,
        now: Tick,
    ) -> bool {
        let max = health.max_fails.and_then(|max| u16::try_from(max).ok()).unwrap_or(0);
        self.fails = self.fails.max(max);
        self.pass_over(until.max(self.passed_over_until), asked, now)
    }

    /// Notes that the endpoint has answered another event loop. True if it was logged that it is
    /// passed over.
    pub(super) fn learn_answer(&mut self, now: Tick) -> bool {
        self.passed_over_until = Tick::ZERO;
        self.note_answer(now)
    }

    /// Notes that the endpoint has answered properly. While it is passed over this means nothing,
    /// because it may have been asked before. True if it was logged that it is passed over.
    pub(super) fn note_answer(&mut self, now: Tick) -> bool {
        if self.is_passed_over(now) {
            return false;
        }
        self.fails = 0;
        std::mem::take(&mut self.is_told)
    }

    /// Until when the upstream's other endpoints are preferred.
    pub const fn passed_over_until(&self) -> Tick {
        self.passed_over_until
    }

    /// True exactly when the upstream's other endpoints are preferred.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.passed_over_until > now
    }

    /// Notes that a connection to the address tried last was established.
    pub(super) fn connected(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        self.learn_connection();
    }

    /// Notes that some event loop could connect to the endpoint.
    pub(super) fn learn_connection(&mut self) {
        if !self.answered_badly {
            self.passed_over_until = Tick::ZERO;
        }
    }

    /// Takes the addresses to which its name resolves. If they have changed, the endpoint is no
    /// longer passed over; returns what to log.
    pub(super) fn resolved(&mut self, addresses: &[Address], now: Tick) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        if !self.addresses.resolved(addresses, now) {
            return None;
        }
        (self.passed_over_until, self.answered_badly) = (Tick::ZERO, false);
        Some(if had_none { "has been resolved" } else { "has new addresses" })
    }
}

/// An address, as a hash.
pub(super) fn hash_of(address: &Address, secret: &Secret) -> u32 {
    match address {
        Address::Tcp(address) => secret.hash(address),
        Address::Unix(path) => secret.hash(path),
    }
}
