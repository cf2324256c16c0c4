//! Finding a connection for a request: an idle one, or a new one, to one target after the other, at
//! one address after the other; and once more when a reused one turns out to have died.

use super::finish::Refusal;
use super::scene::{Scene, Verdict};
use super::{Proxy, Step, upstream_token};
use crate::conn::Conn;
use crate::descriptors;
use crate::http::forward;
use crate::net::{Address, Net};
use crate::pipe::Moved;
use crate::session::Session;
use crate::session::addresses::{Addresses, Tried};
use crate::session::cause::Cause;
use crate::session::exchange::{Attempt, Awaiting, Phase, Progress};
use crate::session::outcome::Outcome;
use crate::session::target_stats::Failure;
use crate::session::upload::Upload;
use crate::session::upstream::{Owner, Upstream};
use crate::slab::Key;
use crate::time::Tick;
use std::io;
use std::rc::Rc;

/// Why there is no connection.
enum NoConnection {
    /// No address of the target can be connected to.
    Unreachable,
    /// It is this process that cannot connect.
    Busy(Refusal),
}

impl<N: Net> Scene<'_, N> {
    /// A connection may have been made, or have failed.
    pub(super) fn finish_connect(&mut self, upstream: &mut Upstream) -> Verdict {
        match self.exchange.response.write_pending(self.conn, &mut self.io) {
            Err(_) => return Verdict::End(Outcome::ClientGone),
            Ok(Moved::Yes) => return Verdict::Moved,
            Ok(Moved::No) => {}
        }
        match upstream.conn.connected(self.io.net) {
            None => self.watch_client(),
            Some(result) => Verdict::Connected(result),
        }
    }
}

impl<N: Net> Proxy<N> {
    /// A connection for the request of a session, whose head is queued: an idle one, or one in the
    /// making.
    pub(super) fn find_upstream(&mut self, key: Key<Session>, now: Tick) -> Result<Phase, Refusal> {
        let exchange = self.sessions[key].state.exchange_mut();
        let progress = exchange.begin_connecting(now);
        self.try_targets(key, progress, now)
    }

    /// Tries one target after the other but for those that have `failed`, until an attempt is under
    /// way or none is left.
    fn try_targets(
        &mut self,
        key: Key<Session>,
        mut progress: Progress,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        while self.choose_target(key, progress.failed, now) {
            self.address_head(key, now);
            if let Some(awaiting) = self.reuse(key, now) {
                return Ok(Phase::AwaitingHead(Box::new(awaiting)));
            }
            match self.connect(key, progress, now) {
                Ok(phase) => return Ok(phase),
                Err(NoConnection::Busy(refusal)) => return Err(refusal),
                Err(NoConnection::Unreachable) => progress.failed |= self.pass_over(key, now),
            }
        }
        let what = "the upstream cannot be reached";
        Err(Refusal::closing(Cause::UpstreamUnreachable, 502, what))
    }

    /// Takes an idle connection to the target that was chosen, if there is one.
    fn reuse(&mut self, key: Key<Session>, now: Tick) -> Option<Awaiting> {
        let retryable = self.sessions[key].state.exchange_mut().facts.retryable;
        while let Some(upstream) = self.take_idle(key, now) {
            // The poll is as old as this turn. What has come since is no answer to this request.
            if self.is_silent(upstream) {
                self.occupy(key, upstream);
                let request = &self.sessions[key].state.exchange_mut().request;
                // It may die under the request all the same, which nobody can know before trying.
                let retry = request.pipe().filter(|_| retryable).map(|pipe| pipe.pending_bytes());
                let retry = retry.map(Box::from);
                return Some(Awaiting { retry, ..Awaiting::new(upstream, now) });
            }
            self.close_upstream(upstream);
        }
        None
    }

    /// Decides which target is asked next. False when all have failed.
    fn choose_target(&mut self, key: Key<Session>, failed: u64, now: Tick) -> bool {
        let exchange = self.sessions[key].state.exchange_mut();
        let chosen = match exchange.origin.and_then(|origin| self.origins.get_mut(origin)) {
            Some(origin) => origin.choose(failed, now),
            // The api is gone by now: the request was meant for what it was.
            None => (failed == 0).then_some(usize::from(exchange.place)),
        };
        exchange.place = chosen.and_then(|place| u16::try_from(place).ok()).unwrap_or(0);
        chosen.is_some()
    }

    /// The target of a session has failed, for this request, and for others for a while. Its bit.
    fn pass_over(&mut self, key: Key<Session>, now: Tick) -> u64 {
        let exchange = self.sessions[key].state.exchange_mut();
        if let Some(origin) = exchange.origin.and_then(|origin| self.origins.get_mut(origin)) {
            origin.places[usize::from(exchange.place)].rest(now);
        }
        1 << exchange.place
    }

    /// Makes the head, which has not been sent, one for the target that was chosen. They differ in
    /// what Host says.
    fn address_head(&mut self, key: Key<Session>, now: Tick) {
        let exchange = self.sessions[key].state.exchange_mut();
        let Some(api) = exchange.api() else { return };
        if api.targets.len() == 1 || api.preserve_host_header {
            return;
        }
        let host = api.targets[usize::from(exchange.place)].authority.clone();
        let Some(request) = exchange.request.pipe_mut() else { return };
        let head = request.take_pending(&mut self.buffers);
        self.head_buf.clear();
        forward::write_request_again(&mut self.head_buf, &head, Some(&host), None);
        request.queue(&self.head_buf, &mut self.buffers, now);
    }

    /// Begins to connect to the target that was chosen. A name that was resolved a while ago, or
    /// not at all, is resolved again, for those who come later.
    fn connect(
        &mut self,
        key: Key<Session>,
        progress: Progress,
        now: Tick,
    ) -> Result<Phase, NoConnection> {
        let exchange = self.sessions[key].state.exchange_mut();
        let place = usize::from(exchange.place);
        if let Some(key) = exchange.origin
            && let Some(origin) = self.origins.get_mut(key)
            && origin.places[place].addresses.is_due(now)
        {
            self.stale_names.push((key, place));
        }
        if let Some(place) = self.place_of(key).filter(|place| place.addresses.is_empty()) {
            place.stats.count_failure(Failure::Unresolved, now);
        }
        self.connect_from(key, Progress { tried: Tried::default(), ..progress }, now)
    }

    /// Connects to the target's addresses in turn, until one attempt is under way or none is left.
    fn connect_from(
        &mut self,
        key: Key<Session>,
        mut progress: Progress,
        now: Tick,
    ) -> Result<Phase, NoConnection> {
        let exchange = self.sessions[key].state.exchange_mut();
        let targets = exchange.api().map_or(1, |api| api.targets.len());
        let others = targets.saturating_sub(1 + progress.failed.count_ones() as usize);
        while let Some((address, left)) = self.next_address(key, &mut progress.tried, now) {
            match self.connect_to(&address, key, now) {
                Ok(upstream) => {
                    // Each address and each other target that is left has an equal share of the
                    // time that is left.
                    let left = u32::try_from(1 + left + others).unwrap_or(1);
                    let deadline = now.after(progress.last_deadline.since(now) / left);
                    let attempt = Attempt { upstream, deadline, progress };
                    return Ok(Phase::Connecting(Box::new(attempt)));
                }
                Err(error) if descriptors::ran_out(&error) => {
                    let error = descriptors::explain(&error);
                    let text = format!("no descriptor for an upstream connection: {error}");
                    self.hush.say(log::Level::Warn, "", "descriptor", &text);
                    let refusal = Refusal::busy(Cause::OutOfDescriptors, "out of descriptors");
                    return Err(NoConnection::Busy(refusal));
                }
                Err(error) => self.address_failed(key, progress.tried, &error, now),
            }
        }
        Err(NoConnection::Unreachable)
    }

    /// The next address of a session's target, and how many are left behind it: as its name was
    /// last resolved, if the api is still there, or as its configuration has it.
    fn next_address(
        &mut self,
        key: Key<Session>,
        tried: &mut Tried,
        now: Tick,
    ) -> Option<(Address, usize)> {
        let exchange = self.sessions[key].state.exchange_mut();
        let place = usize::from(exchange.place);
        if let Some(origin) = exchange.origin.and_then(|origin| self.origins.get_mut(origin)) {
            let addresses = &mut origin.places[place].addresses;
            let address = addresses.next(tried, now)?;
            return Some((address, addresses.left(*tried)));
        }
        let mut addresses = Addresses::of(&exchange.api()?.targets[place], now);
        let address = addresses.next(tried, now)?;
        Some((address, addresses.left(*tried)))
    }

    /// The address that was tried last could not be connected to.
    fn address_failed(&mut self, key: Key<Session>, tried: Tried, error: &io::Error, now: Tick) {
        self.count_failure(key, Failure::of_connect(error), now);
        let exchange = self.sessions[key].state.exchange_mut();
        let place = usize::from(exchange.place);
        let origin = exchange.origin.and_then(|origin| self.origins.get_mut(origin));
        let address = origin.and_then(|origin| origin.places[place].addresses.failed(tried, now));
        // A stream that is held asks again and again.
        let level = if exchange.is_held() { log::Level::Debug } else { log::Level::Warn };
        if let Some(api) = exchange.api() {
            let (name, target) = (&api.name, &api.targets[place]);
            let at = address.map(|address| format!(" at {address}")).unwrap_or_default();
            // Which address was silent is another matter than what the others say.
            let timed_out = error.kind() == io::ErrorKind::TimedOut;
            let kind = if timed_out { "connect_timeout" } else { "connect" };
            self.hush.say(level, name, kind, &format!("api {name}: {target}{at}: {error}"));
        }
    }

    fn connect_to(
        &mut self,
        address: &Address,
        session: Key<Session>,
        now: Tick,
    ) -> io::Result<Key<Upstream>> {
        let exchange = self.sessions[session].state.exchange_mut();
        let place = exchange.place;
        let Some(origin) = exchange.origin else { return Err(io::ErrorKind::NotFound.into()) };
        if let Some(place) = self.place_of(session) {
            place.stats.connects.one();
        }
        self.close_idle_beyond(self.budget.connections - 1);
        let conn = match Conn::connect(&mut self.net, address) {
            // The system may have fewer descriptors than this process is allowed.
            Err(error) if descriptors::ran_out(&error) && self.free_descriptor(now) => {
                Conn::connect(&mut self.net, address)?
            }
            result => result?,
        };
        let stats = self.sessions[session].state.exchange_mut().record.stats.clone();
        let upstream = Upstream {
            conn,
            origin,
            place,
            in_use: None,
            owner: Owner::Session(session),
            stats: stats.unwrap_or_else(|| Rc::clone(&self.stats.no_api)),
            persistent: false,
            pooled: false,
            idle_max_ms: u32::MAX,
        };
        upstream.stats.connects.one();
        let key = self.upstreams.insert(upstream);
        let conn = &self.upstreams[key].conn;
        if let Err(error) = conn.register(&mut self.net, upstream_token(key)) {
            self.close_upstream(key);
            return Err(error);
        }
        self.occupy(session, key);
        Ok(key)
    }

    /// A connection is a session's from now on.
    fn occupy(&mut self, session: Key<Session>, key: Key<Upstream>) {
        let upstream = &mut self.upstreams[key];
        upstream.owner = Owner::Session(session);
        let origin = self.origins.get(upstream.origin);
        upstream.in_use = origin.map(|origin| origin.places[usize::from(upstream.place)].occupy());
    }

    /// The connection of an exchange stands, or the next address is to be tried.
    pub(super) fn connected(
        &mut self,
        key: Key<Session>,
        result: io::Result<()>,
        now: Tick,
    ) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let (attempt, place) = (exchange.phase.attempt(), usize::from(exchange.place));
        if let Err(error) = result {
            self.address_failed(key, attempt.progress.tried, &error, now);
            return self.connect_next(key, attempt, now);
        }
        if let Some(origin) = exchange.origin.and_then(|origin| self.origins.get_mut(origin)) {
            origin.places[place].answered(attempt.progress.tried);
        }
        if let Some(request) = exchange.request.pipe_mut() {
            request.restart_clocks(now);
        }
        exchange.phase = Phase::AwaitingHead(Box::new(Awaiting::new(attempt.upstream, now)));
        Step::Moved
    }

    /// An address had its time.
    pub(super) fn connect_timed_out(&mut self, key: Key<Session>, now: Tick) -> Step {
        let attempt = self.sessions[key].state.exchange_mut().phase.attempt();
        let error = io::ErrorKind::TimedOut.into();
        self.address_failed(key, attempt.progress.tried, &error, now);
        if attempt.progress.last_deadline <= now {
            self.pass_over(key, now);
            let what = "the upstream did not connect in time";
            return self.answer(key, Refusal::closing(Cause::ConnectTimeout, 504, what), now);
        }
        self.connect_next(key, attempt, now)
    }

    /// Tries the target's next address, or the next target.
    fn connect_next(&mut self, key: Key<Session>, attempt: Attempt, now: Tick) -> Step {
        let Attempt { upstream, progress, .. } = attempt;
        self.close_upstream(upstream);
        let made = self.connect_from(key, progress, now);
        let next = self.or_other_targets(made, key, progress, now);
        self.enter(key, next, now)
    }

    /// The other targets are tried if the one that was chosen cannot be connected to.
    fn or_other_targets(
        &mut self,
        made: Result<Phase, NoConnection>,
        key: Key<Session>,
        progress: Progress,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        match made {
            Ok(phase) => Ok(phase),
            Err(NoConnection::Busy(refusal)) => Err(refusal),
            Err(NoConnection::Unreachable) => {
                let failed = progress.failed | self.pass_over(key, now);
                self.try_targets(key, Progress { failed, ..progress }, now)
            }
        }
    }

    /// Enters the phase that was found for an exchange, or answers it.
    pub(super) fn enter(
        &mut self,
        key: Key<Session>,
        next: Result<Phase, Refusal>,
        now: Tick,
    ) -> Step {
        match next {
            Ok(phase) => {
                self.sessions[key].state.exchange_mut().phase = phase;
                Step::Moved
            }
            Err(refusal) => self.answer(key, refusal, now),
        }
    }

    /// The upstream ended before a byte of an answer, or sent what belongs to another. On a reused
    /// connection that is nobody's fault, and the request is sent once more, on a new one, where
    /// that is safe (RFC 9110 section 9.2.2).
    pub(super) fn no_answer(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let Some(request) = exchange.phase.awaiting_mut().retry.take() else {
            let what = "the upstream closed before its response head was complete";
            return self.answer(key, Refusal::closing(Cause::UpstreamClosed, 502, what), now);
        };
        log::debug!("a reused connection brought no answer: the request is sent again");
        exchange.request.abandon(&mut self.buffers);
        exchange.request = Upload::of_head(&request, &mut self.buffers, now);
        let progress = exchange.begin_connecting(now);
        self.close_upstream_of(key);
        let made = self.connect(key, progress, now);
        let next = self.or_other_targets(made, key, progress, now);
        self.enter(key, next, now)
    }
}
