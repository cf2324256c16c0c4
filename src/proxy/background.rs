//! What runs without a client: checks of health, feeds of logs, and questions to auth servers.
//!
//! Nearly always there is nothing of it, so a turn asks once for all kinds.

pub(super) mod auth_request;
pub(super) mod auth_requests;
pub(super) mod checks;

use super::Proxy;
use crate::net::Net;
use crate::pool::Owner;
use crate::time::{Now, Tick};

impl<N: Net> Proxy<N> {
    fn has_background(&self) -> bool {
        let Proxy { checks, feeds, shared, .. } = self;
        !(checks.is_empty() && feeds.tasks.is_empty() && shared.auth_requests.is_empty())
    }

    /// Wakes whose timers are due.
    pub(super) fn expire_background(&mut self, now: Tick) {
        if self.has_background() {
            let max = self.shared.portions.timers_per_turn;
            self.checks.expire(now, max);
            self.shared.auth_requests.expire(now, max);
            self.feeds.tasks.expire(now, max);
        }
    }

    /// Lets what may be able to go on do so. Feeds come before their readers, and so earlier in a
    /// turn; here are those whose readers have left.
    pub(super) fn run_background(&mut self, now: Now) {
        if self.has_background() {
            self.run_checks(now.tick);
            self.run_auth_requests(now.tick);
            self.let_linger(now.tick);
        }
    }

    /// When something of it can go on. [`Tick::ZERO`] if it can now.
    pub(super) fn next_of_background(&self) -> Tick {
        let Proxy { checks, feeds, shared, .. } = self;
        let auth_requests = &shared.auth_requests;
        if !self.has_background() {
            return Tick::NEVER;
        }
        if checks.has_queued() || feeds.tasks.has_queued() || auth_requests.has_queued() {
            return Tick::ZERO;
        }
        checks.next_timer().min(feeds.tasks.next_timer()).min(auth_requests.next_timer())
    }

    /// Wakes whoever has a connection to an upstream, or waits for one.
    pub(super) fn wake_owner(&mut self, owner: Owner) {
        if let Some(key) = owner.key() {
            self.tasks.wake(key);
        } else if let Some(key) = owner.check() {
            self.checks.wake(key);
        } else if let Some(key) = owner.feed() {
            self.feeds.tasks.wake(key);
        } else {
            self.shared.auth_requests.wake(owner);
        }
    }
}
