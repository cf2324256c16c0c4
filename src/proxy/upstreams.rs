//! Connections to origins: taken from the pool or made, tried at one address after the other, given
//! back after a clean end, and replaced once when they turn out to have died in the pool.

use super::finish::Refusal;
use super::scene::{Scene, Verdict};
use super::{Proxy, Step, upstream_token};
use crate::conn::{Conn, Read};
use crate::http::framing::BodyLength;
use crate::net::{Net, Ready, out_of_descriptors};
use crate::pipe::{Flow, Pipe};
use crate::session::exchange::{Attempt, Awaiting, Outcome, Phase};
use crate::session::upstream::{Owner, Upstream};
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

/// How far connecting has come: the first address tried, how many were, and when it is given up.
#[derive(Clone, Copy)]
struct Progress {
    first: usize,
    tried: usize,
    last_deadline: Tick,
}

impl<N: Net> Scene<'_, N> {
    /// A connection may have been made, or have failed.
    pub(super) fn finish_connect(&mut self, upstream: &mut Upstream) -> Verdict {
        match self.exchange.response.write_pending(self.conn, &mut self.io) {
            Err(_) => return Verdict::End(Outcome::ClientGone),
            Ok(true) => return Verdict::Moved,
            Ok(false) => {}
        }
        let hung_up = upstream.conn.hung_up();
        if !upstream.conn.ready.has(Ready::WRITE) && !hung_up {
            return self.watch_client();
        }
        match self.io.net.connected(upstream.conn.sock) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && !hung_up => {
                upstream.conn.ready.clear(Ready::WRITE);
                self.watch_client()
            }
            result => Verdict::Connected(result),
        }
    }
}

impl<N: Net> Proxy<N> {
    /// An event of an upstream connection. Whatever an idle one has to say, an end or a response
    /// that nobody asked for, it is not fit for use any more: the next turn looks at it.
    pub(super) fn on_upstream(&mut self, key: Key<Upstream>, ready: Ready) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.conn.ready.set(ready);
        match upstream.owner {
            Owner::Session(session) => self.enqueue(session),
            Owner::Pool => self.spoken.push(key),
        }
    }

    /// Closes the idle connections that had something to say.
    pub(super) fn close_spoken(&mut self) {
        while let Some(key) = self.spoken.pop() {
            let idle = self.upstreams.get(key).is_some_and(|u| u.owner == Owner::Pool);
            if idle && !self.is_silent(key) {
                self.close_idle_upstream(key);
            }
        }
    }

    /// A connection for a request to `api`: an idle one, or one in the making.
    pub(super) fn find_upstream(
        &mut self,
        key: Key<Session>,
        api: u16,
        retryable: bool,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        while let Some(upstream) = self.take_idle(api) {
            // What cannot be sent twice is not sent on a connection that may be dead already.
            if retryable || self.is_silent(upstream) {
                let entry = &mut self.upstreams[upstream];
                assert!(entry.owner == Owner::Pool, "an idle connection has no owner");
                entry.owner = Owner::Session(key);
                return Ok(Phase::AwaitingHead(Awaiting::new(upstream, now)));
            }
            self.close_upstream(upstream);
        }
        self.connect(key, api, now)
    }

    fn take_idle(&mut self, api: u16) -> Option<Key<Upstream>> {
        let key = self.origins[usize::from(api)].idle.pop()?;
        self.idle_timers.disarm(key.index());
        Some(key)
    }

    /// True when a connection has neither ended nor said anything, as far as the kernel knows: the
    /// socket itself is asked, for its end may not have been announced yet.
    fn is_silent(&mut self, key: Key<Upstream>) -> bool {
        let conn = &mut self.upstreams[key].conn;
        conn.read(&mut self.net, &mut self.scratch[..1]) == Read::Blocked
    }

    /// Begins to connect, with the address that answered last.
    fn connect(&mut self, key: Key<Session>, api: u16, now: Tick) -> Result<Phase, Refusal> {
        let first = self.origins[usize::from(api)].preferred;
        let timeout = self.config.apis[usize::from(api)].connect_timeout;
        let progress = Progress { first, tried: 0, last_deadline: now.after(timeout) };
        self.connect_from(key, api, progress, now)
    }

    /// Connects to the target's addresses in turn, until one attempt is under way or none is left.
    fn connect_from(
        &mut self,
        key: Key<Session>,
        api: u16,
        progress: Progress,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        let Progress { first, tried, last_deadline } = progress;
        let config = Rc::clone(&self.config);
        let addresses = &config.apis[usize::from(api)].target.addresses;
        for tried in tried..addresses.len() {
            let address = addresses[(first + tried) % addresses.len()];
            match self.connect_to(address, key, api) {
                Ok(upstream) => {
                    // Each address that is left has an equal share of the time that is left.
                    let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
                    let deadline = now.after(last_deadline.since(now) / left);
                    let tried = tried + 1;
                    let attempt = Attempt { upstream, first, tried, deadline, last_deadline };
                    return Ok(Phase::Connecting(attempt));
                }
                Err(error) if out_of_descriptors(&error) => {
                    let text = format!("no descriptor for an upstream connection: {error}");
                    self.hush.say(log::Level::Warn, "", "descriptor", &text);
                    return Err(Refusal::closing(503, "out of descriptors"));
                }
                Err(error) => {
                    let name = &config.apis[usize::from(api)].name;
                    let text = format!("api {name}: {address}: {error}");
                    self.hush.say(log::Level::Warn, name, "connect", &text);
                }
            }
        }
        Err(Refusal::closing(502, "the upstream cannot be reached"))
    }

    fn connect_to(
        &mut self,
        address: SocketAddr,
        session: Key<Session>,
        api: u16,
    ) -> io::Result<Key<Upstream>> {
        let sock = match self.net.connect(address) {
            // An idle connection is worth less than one that is needed.
            Err(error) if out_of_descriptors(&error) && self.close_some_idle() => {
                self.net.connect(address)?
            }
            result => result?,
        };
        let owner = Owner::Session(session);
        let stats = Rc::clone(&self.origins[usize::from(api)].stats);
        stats.connects.one();
        let upstream = Upstream { conn: Conn::new(sock), api, owner, stats, persistent: false };
        let key = self.upstreams.insert(upstream);
        if let Err(error) = self.net.register(sock, upstream_token(key)) {
            self.close_upstream(key);
            return Err(error);
        }
        Ok(key)
    }

    /// The connection of an exchange stands, or the next address is to be tried.
    pub(super) fn connected(
        &mut self,
        key: Key<Session>,
        result: io::Result<()>,
        now: Tick,
    ) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let attempt = exchange.phase.attempt();
        let api = usize::from(self.upstreams[attempt.upstream].api);
        let target = &self.config.apis[api].target;
        if let Err(error) = result {
            // A stream that is held asks again and again.
            let level = if exchange.is_held() { log::Level::Debug } else { log::Level::Warn };
            let name = &self.config.apis[api].name;
            let text = format!("api {name}: {}: {error}", target.authority);
            self.hush.say(level, name, "connect", &text);
            return self.connect_next(key, attempt, now);
        }
        // The next request tries first the address that has just answered.
        let preferred = (attempt.first + attempt.tried - 1) % target.addresses.len().max(1);
        self.origins[api].preferred = preferred;
        exchange.request.restart_clocks(now);
        exchange.phase = Phase::AwaitingHead(Awaiting::new(attempt.upstream, now));
        Step::Moved
    }

    /// An address had its time.
    pub(super) fn connect_timed_out(&mut self, key: Key<Session>, now: Tick) -> Step {
        let attempt = self.sessions[key].state.exchange_mut().phase.attempt();
        if attempt.last_deadline <= now {
            let what = "the upstream did not connect in time";
            return self.answer(key, Refusal::limited(504, what, "api.connect_timeout"), now);
        }
        self.connect_next(key, attempt, now)
    }

    /// Tries the next address, if there is one.
    fn connect_next(&mut self, key: Key<Session>, failed: Attempt, now: Tick) -> Step {
        let api = self.upstreams[failed.upstream].api;
        self.close_upstream(failed.upstream);
        let Attempt { first, tried, last_deadline, .. } = failed;
        let next = self.connect_from(key, api, Progress { first, tried, last_deadline }, now);
        self.enter(key, next, now)
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

    /// The upstream ended before a byte of an answer. On a reused connection that may be nobody's
    /// fault, and the request is sent once more, on a new one, where that is safe (RFC 9110 section
    /// 9.2.2).
    pub(super) fn no_answer(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let (Some(request), Some(api)) = (exchange.retry.take(), exchange.api) else {
            let what = "the upstream closed before its response head was complete";
            return self.answer(key, Refusal::closing(502, what), now);
        };
        log::debug!("a reused connection had died: the request is sent again");
        exchange.request.abandon(&mut self.buffers);
        exchange.request = Pipe::new(BodyLength::Empty, BodyLength::Empty, now);
        exchange.request.queue(&request, &mut self.buffers, now);
        self.close_upstream_of(key);
        let next = self.connect(key, api, now);
        self.enter(key, next, now)
    }

    /// The response has been read to its end: the upstream is done with, whatever the client still
    /// has to be sent. A request that is not through by now is not wanted (RFC 9112 section 9.5).
    pub(super) fn response_read(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let (upstream, through) = (exchange.upstream(), exchange.request.flow() == Flow::Finished);
        exchange.phase = Phase::Delivering;
        match upstream {
            Some(upstream) if through => self.release_upstream(upstream, now),
            Some(upstream) => self.close_upstream(upstream),
            None => {}
        }
        Step::Moved
    }

    /// Gives a connection back after an exchange: to the pool if it is fit, otherwise to the
    /// kernel.
    fn release_upstream(&mut self, key: Key<Upstream>, now: Tick) {
        let upstream = &self.upstreams[key];
        let api = usize::from(upstream.api);
        let limit = self.config.apis[api].keepalive_upstream;
        let idle = self.origins[api].idle.len() + self.returned.len();
        let room = idle < limit && self.drain.is_none();
        // Bytes behind a response are a response that nobody asked for (RFC 9112 section 9.2).
        let clean = upstream.conn.ahead().is_empty() && !upstream.conn.hung_up();
        let drained = !upstream.conn.ready.has(Ready::READ);
        if !upstream.persistent || !clean || !room || !(drained || self.is_silent(key)) {
            return self.close_upstream(key);
        }
        self.upstreams[key].owner = Owner::Pool;
        self.returned.push(key);
        let until = now.after(self.config.server.keepalive_timeout);
        self.idle_timers.at_most(key.index(), until);
    }

    /// What came back in the last turn is ready for use. Not before: a response that nobody asked
    /// for often follows the one that somebody did, and the poll between has told of it.
    pub(super) fn pool_returned(&mut self) {
        for key in self.returned.drain(..) {
            if let Some(upstream) = self.upstreams.get(key) {
                self.origins[usize::from(upstream.api)].idle.push(key);
            }
        }
    }

    /// Closes the connection that a session's exchange holds, if it holds one.
    pub(super) fn close_upstream_of(&mut self, key: Key<Session>) {
        if let Some(Session { state: State::Active(exchange), .. }) = self.sessions.get(key)
            && let Some(upstream) = exchange.upstream()
        {
            self.close_upstream(upstream);
        }
    }

    fn close_upstream(&mut self, key: Key<Upstream>) {
        if let Some(upstream) = self.upstreams.remove(key) {
            upstream.stats.disconnects.one();
            upstream.conn.close(&mut self.net, &mut self.buffers);
        }
    }

    /// Closes an idle connection, and takes it out of the pool.
    pub(super) fn close_idle_upstream(&mut self, key: Key<Upstream>) {
        if let Some(upstream) = self.upstreams.get(key).filter(|u| u.owner == Owner::Pool) {
            self.origins[usize::from(upstream.api)].idle.retain(|&idle| idle != key);
            self.idle_timers.disarm(key.index());
            self.close_upstream(key);
            self.moves += 1;
        }
    }

    /// Closes an idle connection, whichever. False when there is none.
    pub(super) fn close_some_idle(&mut self) -> bool {
        let some = self.origins.iter().find_map(|origin| origin.idle.first().copied());
        if let Some(key) = some {
            self.close_idle_upstream(key);
        }
        some.is_some()
    }
}
