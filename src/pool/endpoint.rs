//! One of an upstream's endpoints: where it is, whether it serves, and who is connected to it.

use super::addresses::{Addresses, PASS_OVER, Tried};
use super::connection::Connection;
use super::idle::Idle;
use crate::config::Target;
use crate::net::Address;
use crate::telemetry::EndpointStats;
use crate::time::Tick;
use std::rc::Rc;

/// See the module.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is, as it was configured.
    pub target: Target,
    /// What is counted of it.
    pub stats: Rc<EndpointStats>,
    /// Where to connect to, as the name was last resolved.
    pub(super) addresses: Addresses,
    /// Idle connections to it.
    pub(super) idle: Idle<Connection>,
    /// Until when the upstream's other endpoints are asked first.
    passed_over_until: Tick,
    /// When it was last chosen, as a number that grows with each choice.
    pub(super) chosen: u64,
    /// Connections that somebody owns.
    pub(super) in_use: usize,
}

impl Endpoint {
    /// An endpoint to which nobody has connected yet.
    pub(super) fn new(target: &Target, stats: Rc<EndpointStats>, now: Tick) -> Endpoint {
        Endpoint {
            addresses: Addresses::of(target, now),
            target: target.clone(),
            stats,
            idle: Idle::new(),
            passed_over_until: Tick::ZERO,
            chosen: 0,
            in_use: 0,
        }
    }

    /// Nobody could connect to it: it is passed over for a while.
    pub fn pass_over(&mut self, now: Tick) {
        self.passed_over_until = now.after(PASS_OVER);
        self.stats.mark_failing(now);
    }

    /// Until when the upstream's other endpoints are asked first.
    pub const fn passed_over_until(&self) -> Tick {
        self.passed_over_until
    }

    /// True exactly when the upstream's other endpoints are asked first.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.passed_over_until > now
    }

    /// A connection to the address that was tried last stands.
    pub(super) fn connected(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        self.passed_over_until = Tick::ZERO;
    }

    /// Its name has these addresses now. What to log of that, if they are others than before, and
    /// so worth a try.
    pub(super) fn resolved(&mut self, addresses: &[Address]) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        let others = self.addresses.resolved(addresses);
        if others {
            self.passed_over_until = Tick::ZERO;
        }
        let what = if had_none { "is resolved now" } else { "has other addresses" };
        others.then_some(what)
    }
}
