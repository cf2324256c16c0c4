//! Connections to origins: taken from the pool or made, tried at one address after the other, given
//! back after a clean end, and replaced once when they turn out to have died in the pool.

use super::finish::Refusal;
use super::{Proxy, Step, upstream_token};
use crate::conn::{Conn, Read};
use crate::exchange::{Attempt, Awaiting, Phase};
use crate::http::framing::BodyLength;
use crate::net::{Net, Ready};
use crate::pipe::Pipe;
use crate::session::Session;
use crate::slab::Key;
use crate::time::Tick;
use crate::upstream::{Owner, Upstream};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

impl<N: Net> Proxy<N> {
    /// An event of an upstream connection. Whatever an idle one has to say, an end or a response
    /// that nobody asked for, it is not fit for use any more.
    pub(super) fn on_upstream(&mut self, key: Key<Upstream>, ready: Ready) {
        let Some(upstream) = self.upstreams.get_mut(key) else {
            return;
        };
        upstream.conn.ready.set(ready);
        let owner = upstream.owner;
        match owner {
            Owner::Session(session) => self.enqueue(session),
            Owner::Pool if self.is_silent(key) => {}
            Owner::Pool => self.close_idle_upstream(key),
        }
    }

    /// Gives a session that has its request ready a connection to send it on.
    pub(super) fn find_upstream(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        let repeatable = exchange.facts.repeatable;
        let api = exchange.api.unwrap_or_default();
        while let Some(upstream) = self.take_idle(api) {
            // What cannot be sent twice is not sent on a connection that may be dead already.
            if repeatable || self.is_silent(upstream) {
                return self.use_idle(key, upstream, now);
            }
            self.close_upstream(upstream);
        }
        self.connect_first(key, api, now)
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

    fn use_idle(&mut self, key: Key<Session>, upstream: Key<Upstream>, now: Tick) -> Step {
        let entry = &mut self.upstreams[upstream];
        assert!(entry.owner == Owner::Pool, "an idle connection has no owner");
        entry.owner = Owner::Session(key);
        entry.reused = true;
        if let Some(exchange) = self.exchange(key) {
            if exchange.facts.repeatable {
                exchange.retry = Some(exchange.request.pending_bytes().into());
            }
            exchange.phase = Phase::AwaitingHead(Awaiting::new(upstream, now));
        }
        Step::Moved
    }

    /// Connects to the target, beginning with the address that answered last.
    fn connect_first(&mut self, key: Key<Session>, api: u16, now: Tick) -> Step {
        let api = usize::from(api);
        let last_deadline = now.after(self.config.apis[api].connect_timeout);
        self.connect(key, self.origins[api].preferred, 0, last_deadline, now)
    }

    /// Connects to the target's addresses in turn, until one attempt is under way or none is left:
    /// `tried` of them were tried already, the `first` one first.
    fn connect(
        &mut self,
        key: Key<Session>,
        first: usize,
        tried: usize,
        last_deadline: Tick,
        now: Tick,
    ) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        let api = exchange.api.unwrap_or_default();
        let config = Rc::clone(&exchange.config);
        let addresses = &config.apis[usize::from(api)].target.addresses;
        for tried in tried..addresses.len() {
            let address = addresses[(first + tried) % addresses.len()];
            let upstream = match self.connect_to(address, key, api) {
                Ok(upstream) => upstream,
                Err(error) => {
                    log::warn!("{address}: {error}");
                    continue;
                }
            };
            // Each address that is left has an equal share of the time that is left.
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let deadline = now.after(last_deadline.since(now) / left);
            let attempt = Attempt { upstream, first, tried: tried + 1, deadline, last_deadline };
            if let Some(exchange) = self.exchange(key) {
                exchange.phase = Phase::Connecting(attempt);
            }
            return Step::Moved;
        }
        self.fail(key, Refusal::closing(502, "the upstream cannot be reached"), now)
    }

    fn connect_to(
        &mut self,
        address: SocketAddr,
        session: Key<Session>,
        api: u16,
    ) -> io::Result<Key<Upstream>> {
        let conn = Conn::new(self.net.connect(address)?);
        let sock = conn.sock;
        let owner = Owner::Session(session);
        let upstream = Upstream { conn, api, owner, reused: false, persistent: false };
        let key = self.upstreams.insert(upstream);
        if let Err(error) = self.net.register(sock, upstream_token(key)) {
            self.close_upstream(key);
            return Err(error);
        }
        Ok(key)
    }

    /// A connection may have been made, or have failed.
    pub(super) fn finish_connect(
        &mut self,
        key: Key<Session>,
        attempt: Attempt,
        now: Tick,
    ) -> Step {
        let conn = &self.upstreams[attempt.upstream].conn;
        if !conn.ready.has(Ready::WRITE) && !conn.hung_up() {
            return self.watch_client(key, now);
        }
        match self.net.connected(conn.sock) {
            Ok(()) => {
                self.prefer(attempt);
                if let Some(exchange) = self.exchange(key) {
                    exchange.request.restart_clocks(now);
                    exchange.phase = Phase::AwaitingHead(Awaiting::new(attempt.upstream, now));
                }
                Step::Moved
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.upstreams[attempt.upstream].conn.ready.clear(Ready::WRITE);
                self.watch_client(key, now)
            }
            Err(error) => {
                let api = usize::from(self.upstreams[attempt.upstream].api);
                let api = &self.config.apis[api];
                log::warn!("api {}: {}: {error}", api.name, api.target.authority);
                self.close_upstream(attempt.upstream);
                self.connect_next(key, attempt, now)
            }
        }
    }

    /// An address had its time.
    pub(super) fn connect_timed_out(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        let Phase::Connecting(attempt) = exchange.phase else {
            return Step::Blocked;
        };
        if attempt.last_deadline <= now {
            let what = "the upstream did not connect in time";
            return self.fail(key, Refusal::limited(504, what, "connect_timeout"), now);
        }
        self.close_upstream(attempt.upstream);
        self.connect_next(key, attempt, now)
    }

    fn connect_next(&mut self, key: Key<Session>, attempt: Attempt, now: Tick) -> Step {
        if let Some(exchange) = self.exchange(key) {
            exchange.phase = Phase::Answering;
        }
        self.connect(key, attempt.first, attempt.tried, attempt.last_deadline, now)
    }

    /// The next request tries first the address that has just answered.
    fn prefer(&mut self, attempt: Attempt) {
        let api = usize::from(self.upstreams[attempt.upstream].api);
        let addresses = self.config.apis[api].target.addresses.len();
        self.origins[api].preferred = (attempt.first + attempt.tried - 1) % addresses.max(1);
    }

    /// Sends a request once more, on a new connection, after the reused one that it went out on
    /// died before the first byte of an answer (RFC 9110 section 9.2.2). False where that must not
    /// be.
    pub(super) fn retry(&mut self, key: Key<Session>, now: Tick) -> bool {
        let Some(exchange) = self.exchange(key) else {
            return false;
        };
        let Some(request) = exchange.retry.take() else {
            return false;
        };
        let api = exchange.api.unwrap_or_default();
        self.close_upstream_of(key);
        let Some((_, exchange, _, io)) = self.parts_of_exchange(key, now) else {
            return false;
        };
        exchange.phase = Phase::Answering;
        exchange.request.release(io.buffers);
        exchange.request = Pipe::new(BodyLength::Empty, BodyLength::Empty, now);
        exchange.request.queue(&request, io.buffers, now);
        self.connect_first(key, api, now);
        true
    }

    /// Gives a connection back after an exchange: to the pool if it is fit, otherwise to the
    /// kernel.
    pub(super) fn release_upstream(&mut self, key: Key<Upstream>, now: Tick) {
        let upstream = &self.upstreams[key];
        let api = usize::from(upstream.api);
        let limit = self.config.apis[api].keepalive_upstream;
        let room = self.origins[api].idle.len() < limit && self.drain.is_none();
        // Bytes behind a response are a response that nobody asked for (RFC 9112 section 9.2).
        let clean = upstream.conn.ahead().is_empty() && !upstream.conn.hung_up();
        let drained = !upstream.conn.ready.has(Ready::READ);
        if !upstream.persistent || !clean || !room || !(drained || self.is_silent(key)) {
            return self.close_upstream(key);
        }
        let upstream = &mut self.upstreams[key];
        upstream.owner = Owner::Pool;
        self.origins[api].idle.push(key);
        let until = now.after(self.config.server.keepalive_timeout);
        self.idle_timers.at_most(key.index(), until);
    }

    /// Closes the connection that a session's exchange holds, if it holds one.
    pub(super) fn close_upstream_of(&mut self, key: Key<Session>) {
        if let Some(upstream) = self.exchange(key).and_then(|exchange| exchange.upstream()) {
            self.close_upstream(upstream);
        }
    }

    pub(super) fn close_upstream(&mut self, key: Key<Upstream>) {
        if let Some(upstream) = self.upstreams.remove(key) {
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

    /// Closes all idle connections.
    pub(super) fn close_idle_upstreams(&mut self) {
        for api in 0..self.origins.len() {
            for key in std::mem::take(&mut self.origins[api].idle) {
                self.idle_timers.disarm(key.index());
                self.close_upstream(key);
            }
        }
    }
}
