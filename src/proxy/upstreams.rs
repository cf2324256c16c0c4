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
use std::time::Duration;

/// How old the addresses of a name may be, before they are asked for anew.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

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

    /// A connection for the request of a session: an idle one, or one in the making.
    pub(super) fn find_upstream(
        &mut self,
        key: Key<Session>,
        retryable: bool,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        while let Some(upstream) = self.take_idle(key) {
            // What cannot be sent twice is not sent on a connection that may be dead already.
            if retryable || self.is_silent(upstream) {
                let entry = &mut self.upstreams[upstream];
                assert!(entry.owner == Owner::Pool, "an idle connection has no owner");
                entry.owner = Owner::Session(key);
                return Ok(Phase::AwaitingHead(Awaiting::new(upstream, now)));
            }
            self.close_upstream(upstream);
        }
        self.connect(key, now)
    }

    fn take_idle(&mut self, key: Key<Session>) -> Option<Key<Upstream>> {
        let origin = self.sessions[key].state.exchange_mut().origin?;
        let key = self.origins.get_mut(origin)?.idle.pop()?;
        self.idle_timers.disarm(key.index());
        Some(key)
    }

    /// True when a connection has neither ended nor said anything, as far as the kernel knows: the
    /// socket itself is asked, for its end may not have been announced yet.
    fn is_silent(&mut self, key: Key<Upstream>) -> bool {
        let conn = &mut self.upstreams[key].conn;
        conn.read(&mut self.net, &mut self.scratch[..1]) == Read::Blocked
    }

    /// Begins to connect, with the address that answered last. A name that was resolved a while ago
    /// is resolved again, for those who come later.
    fn connect(&mut self, key: Key<Session>, now: Tick) -> Result<Phase, Refusal> {
        let exchange = self.sessions[key].state.exchange_mut();
        let timeout = exchange.api().map_or(Duration::ZERO, |api| api.connect_timeout);
        let mut first = 0;
        if let Some((key, origin)) =
            exchange.origin.and_then(|key| Some((key, self.origins.get_mut(key)?)))
        {
            first = origin.preferred;
            if origin.target.has_name() && now.since(origin.resolved) >= RESOLVED_FOR {
                origin.resolved = now;
                self.stale_names.push(key);
            }
        }
        let progress = Progress { first, tried: 0, last_deadline: now.after(timeout) };
        self.connect_from(key, progress, now)
    }

    /// Connects to the target's addresses in turn, until one attempt is under way or none is left.
    fn connect_from(
        &mut self,
        key: Key<Session>,
        progress: Progress,
        now: Tick,
    ) -> Result<Phase, Refusal> {
        let Progress { first, tried, last_deadline } = progress;
        let addresses = self.addresses(key);
        for tried in tried..addresses.len() {
            let address = addresses[(first + tried) % addresses.len()];
            match self.connect_to(address, key) {
                Ok(upstream) => {
                    // Each address that is left has an equal share of the time that is left.
                    let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
                    let deadline = now.after(last_deadline.since(now) / left);
                    let tried = tried + 1;
                    let attempt = Attempt { upstream, first, tried, deadline, last_deadline };
                    return Ok(Phase::Connecting(attempt));
                }
                Err(error) if out_of_descriptors(&error) => {
                    log::warn!("no descriptor for an upstream connection: {error}");
                    return Err(Refusal::busy("out of descriptors", None));
                }
                Err(error) => log::warn!("{address}: {error}"),
            }
        }
        Err(Refusal::closing(502, "the upstream cannot be reached"))
    }

    /// Where the target of a session's request is: as its name was last resolved, if the api is
    /// still there, or as its configuration has it.
    fn addresses(&mut self, key: Key<Session>) -> Rc<[SocketAddr]> {
        let exchange = self.sessions[key].state.exchange_mut();
        if let Some(origin) = exchange.origin.and_then(|origin| self.origins.get(origin)) {
            return Rc::clone(&origin.addresses);
        }
        exchange.api().map_or(Rc::new([]), |api| api.target.addresses.as_slice().into())
    }

    fn connect_to(
        &mut self,
        address: SocketAddr,
        session: Key<Session>,
    ) -> io::Result<Key<Upstream>> {
        let origin = self.sessions[session].state.exchange_mut().origin;
        let Some(origin) = origin else { return Err(io::ErrorKind::NotFound.into()) };
        let sock = match self.net.connect(address) {
            // An idle connection is worth less than one that is needed.
            Err(error) if out_of_descriptors(&error) && self.close_some_idle() => {
                self.net.connect(address)?
            }
            result => result?,
        };
        let owner = Owner::Session(session);
        let upstream = Upstream { conn: Conn::new(sock), origin, owner, persistent: false };
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
        if let Err(error) = result {
            // A stream that is held asks again and again.
            let level = if exchange.is_held() { log::Level::Debug } else { log::Level::Warn };
            if let Some(api) = exchange.api() {
                log::log!(level, "api {}: {}: {error}", api.name, api.target.authority);
            }
            return self.connect_next(key, attempt, now);
        }
        // The next request tries first the address that has just answered.
        if let Some(origin) = exchange.origin.and_then(|origin| self.origins.get_mut(origin)) {
            let count = origin.addresses.len().max(1);
            origin.preferred = (attempt.first + attempt.tried - 1) % count;
        }
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
        self.close_upstream(failed.upstream);
        let Attempt { first, tried, last_deadline, .. } = failed;
        let next = self.connect_from(key, Progress { first, tried, last_deadline }, now);
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
        let Some(request) = exchange.retry.take() else {
            let what = "the upstream closed before its response head was complete";
            return self.answer(key, Refusal::closing(502, what), now);
        };
        log::debug!("a reused connection had died: the request is sent again");
        exchange.request.abandon(&mut self.buffers);
        exchange.request = Pipe::new(BodyLength::Empty, BodyLength::Empty, now);
        exchange.request.queue(&request, &mut self.buffers, now);
        self.close_upstream_of(key);
        let next = self.connect(key, now);
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
        let room = self.origins.get(upstream.origin).is_some_and(|origin| {
            origin.idle.len() + self.returned.len() < origin.idle_max && self.drain.is_none()
        });
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
        for key in std::mem::take(&mut self.returned) {
            let Some(upstream) = self.upstreams.get(key) else { continue };
            match self.origins.get_mut(upstream.origin) {
                Some(origin) => origin.idle.push(key),
                None => self.close_idle_upstream(key),
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
            upstream.conn.close(&mut self.net, &mut self.buffers);
        }
    }

    /// Closes an idle connection, and takes it out of the pool.
    pub(super) fn close_idle_upstream(&mut self, key: Key<Upstream>) {
        if let Some(upstream) = self.upstreams.get(key).filter(|u| u.owner == Owner::Pool) {
            if let Some(origin) = self.origins.get_mut(upstream.origin) {
                origin.idle.retain(|&idle| idle != key);
            }
            self.idle_timers.disarm(key.index());
            self.close_upstream(key);
            self.moves += 1;
        }
    }

    /// Closes an idle connection, whichever. False when there is none.
    pub(super) fn close_some_idle(&mut self) -> bool {
        let some = self.origins.iter().find_map(|(_, origin)| origin.idle.first().copied());
        if let Some(key) = some {
            self.close_idle_upstream(key);
        }
        some.is_some()
    }
}
