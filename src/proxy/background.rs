//! What runs without a client: health checks, feeds of logs, and requests to auth servers.
//!
//! Usually there are none, so a turn checks for all kinds at once before it runs any.

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

    /// Wakes the tasks whose timers are due. The wheels learn the time even while there are no
    /// tasks: a timer set by a wheel that lags behind is due far too late.
    pub(super) fn expire_background(&mut self, now: Tick) {
        let max = self.shared.portions.timers_per_turn;
        self.checks.expire(now, max);
        self.shared.auth_requests.expire(now, max);
        self.feeds.tasks.expire(now, max);
    }

    /// Runs the tasks that may be able to continue. Feeds run before their readers, earlier in a
    /// turn; here only those whose readers have left are run.
    pub(super) fn run_background(&mut self, now: Now) {
        if self.has_background() {
            self.run_checks(now.tick);
            self.run_auth_requests(now.tick);
            self.let_linger(now.tick);
        }
    }

    /// When one of these tasks can continue. [`Tick::ZERO`] if one can now.
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

    /// Wakes the owner of an upstream connection, or of a wait for one.
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
