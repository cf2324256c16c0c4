//! Counts and limits of the process, whichever event loop a client is in.

use super::rates::Rates;
use crate::auth::Hash;
use crate::locked::{Locked, Places};
use crate::quota::Quota;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The totals. See the module.
#[derive(Debug, Default)]
pub struct Totals {
    /// The number of client connections, without those that are being refused.
    clients: Places,
    /// How many of them are connections to the demo, which only one event loop has.
    demo: AtomicUsize,
    /// The open event streams by key, where that is limited.
    pub key_streams: Quota<Hash>,
    /// What is left of the limits on request rates.
    pub rates: Locked<Rates>,
}

impl Totals {
    /// The number of client connections, without those that are being refused.
    pub fn clients(&self) -> usize {
        self.clients.taken()
    }

    /// The number of client connections that any event loop could have, without those that are
    /// being refused.
    pub(super) fn divisible(&self) -> usize {
        self.clients().saturating_sub(self.demo.load(Ordering::Relaxed))
    }

    /// Counts a client of the demo, which has a place.
    pub(super) fn note_demo_begun(&self) {
        self.demo.fetch_add(1, Ordering::Relaxed);
    }

    /// Stops counting a client of the demo.
    pub(super) fn note_demo_over(&self) {
        self.demo.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes one of `max` places for client connections. False if there is none.
    pub(super) fn take_place(&self, max: usize) -> bool {
        self.clients.take(max)
    }

    /// Gives a place back.
    pub(super) fn leave_place(&self) {
        self.clients.leave();
    }
}
