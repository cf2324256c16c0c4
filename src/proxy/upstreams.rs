//! Connections to origins: events of theirs, the idle ones that are kept for a next request, and
//! giving back after an exchange. [`super::connect`] finds and makes them.

use super::Proxy;
use super::Step;
use crate::conn::Read;
use crate::net::{Net, Ready};
use crate::session::exchange::Phase;
use crate::session::upstream::{Owner, Upstream};
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;

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
            let idle = self.upstreams.get(key).is_some_and(Upstream::is_idle);
            if idle && !self.is_silent(key) {
                self.close_idle_upstream(key);
            }
        }
    }

    /// An idle connection to the target that a session asks. One whose time is over is closed: the
    /// wheel tells of that a little late, and its upstream may be about to close it.
    pub(super) fn take_idle(&mut self, key: Key<Session>, now: Tick) -> Option<Key<Upstream>> {
        let exchange = self.sessions[key].state.exchange_mut();
        let (origin, place) = (exchange.origin?, usize::from(exchange.place));
        loop {
            let idle = &mut self.origins.get_mut(origin)?.places[place].idle;
            let key = idle.pop(&self.upstreams)?;
            let until = self.idle_timers.armed(key.index());
            self.idle_timers.disarm(key.index());
            if until > now {
                self.upstreams[key].pooled = false;
                return Some(key);
            }
            self.close_upstream(key);
        }
    }

    /// True when a connection has neither ended nor said anything, as far as the kernel knows: the
    /// socket itself is asked, for its end may not have been announced yet.
    pub(super) fn is_silent(&mut self, key: Key<Upstream>) -> bool {
        let conn = &mut self.upstreams[key].conn;
        conn.read(&mut self.net, &mut self.scratch[..1]) == Read::Blocked
    }

    /// The response has been read to its end: the upstream is done with, whatever the client still
    /// has to be sent. A request that is not through by now is not wanted (RFC 9112 section 9.5).
    pub(super) fn response_read(&mut self, key: Key<Session>, now: Tick) -> Step {
        let exchange = self.sessions[key].state.exchange_mut();
        let (upstream, through) = (exchange.upstream(), exchange.request.through());
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
            let idle = origin.places[usize::from(upstream.place)].idle.len() + self.returned.len();
            idle < origin.idle_max && self.drain.is_none()
        });
        // Bytes behind a response are a response that nobody asked for (RFC 9112 section 9.2).
        let clean = upstream.conn.ahead().is_empty() && !upstream.conn.hung_up();
        let drained = !upstream.conn.ready.has(Ready::READ);
        if !upstream.persistent || !clean || !room || !(drained || self.is_silent(key)) {
            return self.close_upstream(key);
        }
        let upstream = &mut self.upstreams[key];
        (upstream.owner, upstream.in_use) = (Owner::Pool, None);
        let until = upstream.idle_until(now, self.config.server.keepalive_timeout);
        self.returned.push(key);
        self.idle_timers.at_most(key.index(), until);
    }

    /// What came back in the last turn is ready for use. Not before: a response that nobody asked
    /// for often follows the one that somebody did, and the poll between has told of it.
    pub(super) fn pool_returned(&mut self) {
        while let Some(key) = self.returned.pop() {
            let Some(upstream) = self.upstreams.get_mut(key) else { continue };
            match self.origins.get_mut(upstream.origin) {
                Some(origin) => {
                    upstream.pooled = true;
                    origin.places[usize::from(upstream.place)].idle.push(key);
                }
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

    pub(super) fn close_upstream(&mut self, key: Key<Upstream>) {
        if let Some(upstream) = self.upstreams.remove(key) {
            upstream.stats.disconnects.one();
            upstream.conn.close(&mut self.net, &mut self.buffers);
        }
    }

    /// Closes an idle connection, and takes it out of the pool.
    pub(super) fn close_idle_upstream(&mut self, key: Key<Upstream>) {
        let Some(upstream) = self.upstreams.get(key).filter(|upstream| upstream.is_idle()) else {
            return;
        };
        let Upstream { origin, place, pooled, .. } = *upstream;
        self.idle_timers.disarm(key.index());
        self.close_upstream(key);
        if pooled && let Some(origin) = self.origins.get_mut(origin) {
            origin.places[usize::from(place)].idle.forget_closed(&self.upstreams);
        }
        self.moves += 1;
    }

    /// Closes the connection that has been idle for longest, or nearly. False when none is.
    pub(super) fn close_some_idle(&mut self) -> bool {
        let oldest = self.idle_timers.first_owner();
        let oldest = oldest.and_then(|index| self.upstreams.key_at(index));
        if let Some(key) = oldest {
            self.close_idle_upstream(key);
        }
        oldest.is_some()
    }

    /// Closes idle connections until there are no more than `max` connections of admitted clients
    /// and to upstreams, or none is idle. Each client has a descriptor for an upstream of its own,
    /// and idle connections only have those that are not in use.
    pub(super) fn close_idle_beyond(&mut self, max: usize) {
        while self.connections() - self.refused + self.upstreams.len() > max {
            if !self.close_some_idle() {
                return;
            }
        }
    }
}
