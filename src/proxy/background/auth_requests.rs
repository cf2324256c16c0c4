//! Requests to auth servers (`auth.url`): each is a task with an upstream connection and without a
//! client.
//!
//! The client of a new request waits for the answer
//! ([`authorize`](crate::proxy::steps::authorize)). The client of an open stream notices nothing
//! ([`recheck`](crate::proxy::steps::recheck)), so an auth request is not part of a session. Its
//! connection comes from the pool and returns there, as with any upstream, and counts as such.
//!
//! A recheck never displaces a client. It is given up if there is no room for it, or if a client
//! needs its descriptor.

use super::auth_request::{Ask, AuthRequest, Came, Step, no_room};
use crate::apis::Apis;
use crate::exchange::Verdict;
use crate::net::Net;
#[cfg(feature = "sim")]
use crate::net::Ready;
use crate::pipe::Io;
use crate::pool::{Owner, Pool};
use crate::proxy::Proxy;
use crate::proxy::shared::Shared;
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::telemetry::Asked;
use crate::time::Tick;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// All auth requests, and the size of the kept questions. See the module docs.
#[derive(Debug)]
pub(crate) struct AuthRequests {
    tasks: Tasks<AuthRequest>,
    /// The bytes of the questions that are kept for rechecks.
    kept: Rc<Cell<usize>>,
}

impl AuthRequests {
    pub(crate) fn new(now: Tick) -> AuthRequests {
        AuthRequests { tasks: Tasks::new(now), kept: Rc::default() }
    }

    /// The bytes of the questions that are kept for rechecks.
    pub(crate) const fn kept(&self) -> &Rc<Cell<usize>> {
        &self.kept
    }

    /// Begins an auth request. None if the api has no auth server.
    pub(crate) fn begin(&mut self, ask: Ask, apis: &Apis, now: Tick) -> Option<Owner> {
        let state = apis.get(ask.api_state)?;
        let request = AuthRequest::new(ask, state, now)?;
        let key = self.tasks.insert(request);
        self.tasks.wake(key);
        Some(Owner::of_auth_request(key))
    }

    /// Cancels an auth request whose answer is no longer needed.
    pub(crate) fn cancel<N: Net>(&mut self, owner: Owner, pool: &mut Pool, io: &mut Io<'_, N>) {
        let request = owner.auth_request().and_then(|key| self.tasks.remove(key));
        if let Some(request) = request
            && let Some(connection) = request.connection()
        {
            pool.leave(connection, request.is_sent(), io);
        }
    }

    /// A recheck that has a connection.
    fn connected_recheck(&self) -> Option<Key<AuthRequest>> {
        let is_it = |request: &AuthRequest| {
            request.ask.about.asked == Asked::Open && request.connection().is_some()
        };
        self.tasks.iter().find(|(_, request)| is_it(request)).map(|(key, _)| key)
    }

    /// Wakes an auth request, because something that it may wait for has happened.
    pub(crate) fn wake(&mut self, owner: Owner) {
        if let Some(key) = owner.auth_request() {
            self.tasks.wake(key);
        }
    }

    /// True if there are no auth requests.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Wakes those whose timers are due, at most `max` of them.
    pub(crate) fn expire(&mut self, now: Tick, max: usize) {
        self.tasks.expire(now, max);
    }

    /// True if some of them may be able to continue.
    pub(crate) fn has_queued(&self) -> bool {
        self.tasks.has_queued()
    }

    /// When the first timer is due.
    pub(crate) const fn next_timer(&self) -> Tick {
        self.tasks.next_timer()
    }
}

impl<N: Net> Proxy<N> {
    /// Runs the auth requests that may be able to continue.
    pub(crate) fn run_auth_requests(&mut self, now: Tick) {
        for _ in 0..self.shared.auth_requests.tasks.queue_len() {
            if let Some(key) = self.shared.auth_requests.tasks.next_queued() {
                self.run_auth_request(key, now);
            }
        }
    }

    fn run_auth_request(&mut self, key: Key<AuthRequest>, now: Tick) {
        for _ in 0..self.shared.portions.steps_per_turn {
            let mut came = self.with_auth_request(key, now, |step| step.go_on());
            if let Came::OutOfDescriptors(search) = came
                && self.free_descriptor_to_ask(key, now)
            {
                came = self.with_auth_request(key, now, |step| step.find(search));
            }
            let (verdict, holds) = match came {
                Came::Waits(until) => {
                    return self.shared.auth_requests.tasks.wake_at(key, until);
                }
                Came::Moved => {
                    self.moves += 1;
                    continue;
                }
                Came::Answered(verdict, holds) => (verdict, holds),
                Came::Failed(reply) => (Verdict::Failed(reply), Duration::ZERO),
                Came::OutOfDescriptors(_) => (no_room(), Duration::ZERO),
            };
            self.note_verdict(key, &verdict, holds, now);
            return self.end_auth_request(key, verdict, now);
        }
        self.shared.auth_requests.tasks.wake(key);
    }

    /// Frees a descriptor if a waiting client needs it.
    fn free_descriptor_to_ask(&mut self, key: Key<AuthRequest>, now: Tick) -> bool {
        let asked = self.shared.auth_requests.tasks[key].ask.about.asked;
        asked == Asked::Request && self.close_one_for_client(now)
    }

    /// Gives up a recheck that has a connection, because a client needs its descriptor. Returns
    /// false if there is none.
    pub(crate) fn interrupt_recheck(&mut self, now: Tick) -> bool {
        let found = self.shared.auth_requests.connected_recheck();
        let Some(key) = found else { return false };
        self.end_auth_request(key, no_room(), now);
        true
    }

    fn with_auth_request(
        &mut self,
        key: Key<AuthRequest>,
        now: Tick,
        act: impl FnOnce(&mut Step<'_, N>) -> Came,
    ) -> Came {
        let Shared { auth_requests, memory, net, pool, edge, telemetry, phase, config, .. } =
            &mut self.shared;
        let (io, _) = memory.split(net, None, now);
        let request = &mut auth_requests.tasks[key];
        let owner = Owner::of_auth_request(key);
        let idle_max = (!phase.is_closed()).then_some(config.server.keepalive_timeout);
        act(&mut Step { owner, request, pool, edge, log: &mut telemetry.log, io, idle_max })
    }

    /// Caches a verdict for as long as it holds, unless it was asked for under an earlier
    /// configuration. A refusal removes the cached one in any case.
    fn note_verdict(
        &mut self,
        key: Key<AuthRequest>,
        verdict: &Verdict,
        holds: Duration,
        now: Tick,
    ) {
        let Shared { auth_requests, apis, config, .. } = &mut self.shared;
        let ask = &auth_requests.tasks[key].ask;
        let state = apis.get_mut(ask.api_state);
        let Some(auth) = state.and_then(|state| state.auth.as_mut()) else { return };
        let question = auth.verdicts.hash(&ask.question);
        match verdict {
            Verdict::LetIn(lines) if Rc::ptr_eq(&ask.config, config) => {
                auth.verdicts.note(question, lines, holds, now);
            }
            Verdict::Refused(..) => auth.verdicts.forget(question),
            Verdict::LetIn(_) | Verdict::Failed(_) => {}
        }
    }

    /// Ends an auth request and hands the verdict to the request that it is about, if that still
    /// exists.
    fn end_auth_request(&mut self, key: Key<AuthRequest>, verdict: Verdict, now: Tick) {
        self.moves += 1;
        let Shared { auth_requests, memory, net, pool, .. } = &mut self.shared;
        let AuthRequest { ask, stats, .. } = &auth_requests.tasks[key];
        let about = ask.about;
        stats.auth.count(about.asked, verdict.answered());
        let (mut io, _) = memory.split(net, None, now);
        auth_requests.cancel(Owner::of_auth_request(key), pool, &mut io);
        match about.asked {
            Asked::Request => self.authorize(about, verdict),
            Asked::Open => self.rechecked(about, &verdict, now),
        }
    }
}

/// For the simulator only.
#[cfg(feature = "sim")]
impl AuthRequests {
    /// The number of auth requests.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// The number of connections that they hold.
    pub(crate) fn connections(&self) -> usize {
        self.tasks.iter().filter(|(_, request)| request.connection().is_some()).count()
    }

    /// An auth request that could continue, or that no timer wakes.
    pub(crate) fn stalled(&self, pool: &Pool) -> Option<String> {
        let idle = self.tasks.iter().filter(|(key, _)| !self.tasks.is_queued(*key));
        for (key, request) in idle {
            let acts_at = request.acts_at();
            let slack = acts_at.as_millis() / 8 + 1;
            let late = self.tasks.timer(key).since(acts_at).as_millis();
            let conn = request.connection().map(|key| &pool[key].conn);
            let stalls = conn.is_none_or(|conn| {
                let reads = request.discards() && !conn.ahead().is_empty();
                let writes = conn.ready.has(Ready::WRITE) && !request.is_sent();
                conn.ready.has(Ready::READ) || reads || writes
            });
            if stalls || late > u128::from(slack) {
                let about = request.ask.about;
                return Some(format!("what is asked about {about:?} is not woken"));
            }
        }
        None
    }
}

impl AuthRequests {
    /// True if this auth request is still in progress.
    pub(crate) fn is_asking(&self, owner: Owner) -> bool {
        owner.auth_request().is_some_and(|key| self.tasks.get(key).is_some())
    }
}
