//! The pool of upstream connections: it opens them, lends them, keeps them while they are idle, and
//! closes them.
//!
//! To send a request, the caller asks for a connection ([`Pool::acquire`]) and is lent an idle one
//! or one that is being established. After the response has been read, the caller returns it
//! ([`Pool::release`]) or closes it ([`Pool::close`]). The pool does not know its callers: an
//! [`Owner`] is just a number.
//!
//! An idle connection is reused only if it is silent. Any input, whether the end of the connection
//! or an unsolicited response, makes it unfit. An unsolicited response often directly follows a
//! real one, so a returned connection waits for one turn.
//!
//! An idle connection is kept for `keepalive_timeout`, like a client's; there is no separate key.
//! If its upstream says `Keep-Alive: timeout=N`, it is kept for N seconds minus the smaller of one
//! second and a quarter of N, because a request that must not be repeated is lost if the upstream
//! closes the connection at that moment.
//!
//! The number of connections to an endpoint may be limited (`max_upstream`). Owners that find all
//! of them in use wait in a [`queue`], and are called when it is their turn. A connection returned
//! in one turn is lent again no earlier than in the next, as always.
//!
//! The socket is checked once more before each reuse, because the last poll was before the turn.
//! This costs one `recv`, 0.2 of the 17 microseconds of a short GET. If bytes arrive even later and
//! do not begin with `HTTP/`, they are no response, and a repeatable request is sent again on a new
//! connection. If they do begin with it, no HTTP/1.1 proxy can distinguish them from a response.

mod addresses;
mod check;
mod connect;
mod connection;
mod endpoint;
mod idle;
mod names;
mod news;
mod owner;
mod queue;
mod role;
mod search;
#[cfg(test)]
mod tests;
mod upstream;
mod verdict;

pub use check::{Checked, Probe};
pub use connect::{Acquired, Attempt, NoConnection, Wanted};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use news::News;
pub use owner::Owner;
pub use role::Role;
pub use search::{Bound, Search};
pub use upstream::{Place, Upstream};

use crate::config::{Backend, UpstreamClient};
use crate::conn::Read;
use crate::net::{Net, Ready, Token};
use crate::pipe::Io;
use crate::slab::{Key, Slab};
use crate::sticky::{Replica, Secret};
use crate::telemetry::Stats;
use crate::time::Tick;
use crate::wheel::Wheel;
use connection::NO_ADDRESS;
use names::Names;
use queue::Waiter;
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// The highest bit, which keys do not use, marks the tokens of upstream connections.
const TOKEN_BIT: u64 = 1 << 63;

/// The token of a connection's events.
fn token_of(key: Key<Connection>) -> Token {
    Token(key.to_bits() | TOKEN_BIT)
}

/// The upstream connection that a token belongs to, if any.
pub fn connection_of(token: Token) -> Option<Key<Connection>> {
    if token.0 & TOKEN_BIT != 0 { Key::from_bits(token.0 & !TOKEN_BIT) } else { None }
}

/// The pool. See the module.
#[derive(Debug)]
pub struct Pool {
    upstreams: Slab<Upstream>,
    connections: Slab<Connection>,
    /// One timer per idle connection, by its index.
    idle_timers: Wheel,
    /// Idle connections that had an event.
    readable: Vec<Key<Connection>>,
    /// Connections that became idle in this turn.
    released: Vec<Key<Connection>>,
    /// The role of this event loop among those of the process.
    role: Role,
    /// News for the other event loops.
    news: Vec<News>,
    /// Endpoints whose names are to be resolved again, by upstream and index.
    stale_names: Vec<(Key<Upstream>, usize)>,
    /// The endpoints by host name.
    names: Names,
    /// Upstreams with waiting owners for which there may be room now.
    changed: Vec<Key<Upstream>>,
    /// Owners that waited for a connection to an upstream that is gone.
    stranded: Vec<Owner>,
    /// Health checks that have to give up their connection to a waiting owner.
    displaced: Vec<Owner>,
    /// The number of owners that wait for a connection.
    waiting: usize,
    /// The number of idle connections closed so far.
    closed: u64,
    /// The key for hashes of replicas.
    secret: Secret,
}

impl Pool {
    /// Creates a pool without upstreams, with memory for `connections`. `secret` is the key for
    /// hashes of replicas.
    pub fn new(connections: usize, secret: Secret, role: Role, now: Tick) -> Pool {
        let mut slab = Slab::new();
        slab.reserve(connections);
        Pool {
            upstreams: Slab::new(),
            connections: slab,
            idle_timers: Wheel::new(now),
            readable: Vec::new(),
            released: Vec::new(),
            role,
            news: Vec::new(),
            stale_names: Vec::new(),
            names: Names::default(),
            changed: Vec::new(),
            stranded: Vec::new(),
            displaced: Vec::new(),
            waiting: 0,
            closed: 0,
            secret,
        }
    }

    /// The upstream for a backend: the existing one, updated, or a new one.
    pub fn upstream_of<N: Net>(
        &mut self,
        backend: Backend<'_>,
        stats: &mut Stats,
        io: &mut Io<'_, N>,
    ) -> Key<Upstream> {
        let known = self.upstreams.iter().find(|(_, upstream)| upstream.is_of(backend));
        let Some(key) = known.map(|(key, _)| key) else {
            let key = self.upstreams.insert(Upstream::of(backend, stats, io.now));
            self.names.add(key, &self.upstreams[key]);
            return key;
        };
        let moved = self.upstreams[key].update(backend, io.now);
        for index in (0..backend.targets.len()).filter(|index| moved >> index & 1 != 0) {
            self.leave_addresses(key, index, io);
        }
        self.note_change(key);
        self.close_idle_beyond_max(key, io);
        key
    }

    /// Uses these TLS clients for new connections to targets. Existing connections stay.
    pub fn renew(&mut self, clients: &[UpstreamClient]) {
        for (_, upstream) in self.upstreams.iter_mut() {
            upstream.renew(clients);
        }
    }

    /// The replica that a connection leads to, if its endpoint still has the address.
    pub fn replica_of(&self, key: Key<Connection>) -> Option<Replica> {
        self.endpoint_of(key)?.replica(self.connections.get(key)?.address, &self.secret)
    }

    /// Closes idle connections to addresses that an endpoint no longer has. Connections in use
    /// stay, but will not be reused.
    fn leave_addresses<N: Net>(&mut self, key: Key<Upstream>, index: usize, io: &mut Io<'_, N>) {
        let endpoint = &self.upstreams[key].endpoints[index];
        let is_left = |connection: &Connection| {
            let is_there = connection.upstream == Some(key) && connection.endpoint() == index;
            is_there
                && connection.address != NO_ADDRESS
                && endpoint.addresses.numbered(connection.address).is_none()
        };
        let left = self.connections.iter().filter(|(_, connection)| is_left(connection));
        let left: Vec<Key<Connection>> = left.map(|(key, _)| key).collect();
        for key in left {
            self.connections[key].address = NO_ADDRESS;
            self.close_idle(key, io);
        }
    }

    /// Closes idle connections of endpoints that have more connections, or more idle ones, than the
    /// present limits allow.
    fn close_idle_beyond_max<N: Net>(&mut self, key: Key<Upstream>, io: &mut Io<'_, N>) {
        for index in 0..self.upstreams[key].endpoints.len() {
            loop {
                let upstream = &self.upstreams[key];
                let endpoint = &upstream.endpoints[index];
                let fits =
                    endpoint.open <= upstream.max && endpoint.idle.len() <= upstream.idle_max;
                if fits || !self.close_idle_of(key, index, io) {
                    break;
                }
            }
        }
    }

    /// Keeps connections that are idle now no longer than this.
    pub fn limit_idle(&mut self, idle_max: Duration, now: Tick) {
        let idle = self.connections.iter().filter(|(_, connection)| connection.owner.is_none());
        for (key, _) in idle {
            self.idle_timers.at_most(key.index(), now.after(idle_max));
        }
    }

    /// Closes an idle connection to an endpoint. False if there is none.
    fn close_idle_of<N: Net>(
        &mut self,
        key: Key<Upstream>,
        index: usize,
        io: &mut Io<'_, N>,
    ) -> bool {
        let Pool { upstreams, connections, .. } = self;
        let Some(connection) = upstreams[key].endpoints[index].idle.pop(connections) else {
            return false;
        };
        connections[connection].pooled = false;
        self.close_idle(connection, io);
        true
    }

    /// An upstream, if it still exists.
    pub fn upstream(&self, key: Key<Upstream>) -> Option<&Upstream> {
        self.upstreams.get(key)
    }

    /// The endpoints of an upstream that get requests, as bits. None if it is gone.
    pub fn targets_to_ask(&self, key: Key<Upstream>) -> Option<u64> {
        Some(self.upstreams.get(key)?.asked)
    }

    /// Removes an upstream, and closes the idle connections to it. Owners that wait for one are
    /// called.
    pub fn remove_upstream<N: Net>(&mut self, key: Key<Upstream>, io: &mut Io<'_, N>) {
        let Some(upstream) = self.upstreams.remove(key) else { return };
        self.names.remove(key, &upstream);
        self.waiting -= upstream.waiting();
        self.stranded.extend(upstream.queue.iter().map(|waiter| waiter.owner));
        for endpoint in upstream.endpoints {
            for connection in endpoint.idle.into_keys() {
                self.close_idle(connection, io);
            }
        }
    }

    /// True if owners may have to be called.
    pub const fn may_call(&self) -> bool {
        !self.stranded.is_empty() || !self.changed.is_empty() || !self.displaced.is_empty()
    }

    /// Calls the owners that wait for a connection and can have one now, in order; those whose
    /// upstream is gone; and health checks that have to give way.
    pub fn call_waiting(&mut self, mut call: impl FnMut(Owner)) {
        self.stranded.drain(..).chain(self.displaced.drain(..)).for_each(&mut call);
        while let Some(key) = self.changed.pop() {
            if let Some(upstream) = self.upstreams.get_mut(key) {
                upstream.has_changed = false;
                upstream.call_waiting(&mut call);
            }
        }
    }

    /// Whether it is the turn of the owner at a place. None if the upstream is gone.
    pub fn is_turn_of(&self, place: Place) -> Option<bool> {
        Some(self.upstreams.get(place.upstream)?.is_turn_of(place.number))
    }

    /// Gives up a place in a queue, if it is taken.
    pub fn leave_queue(&mut self, place: Place) {
        self.take_from_queue(place);
    }

    fn take_from_queue(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.upstreams.get_mut(place.upstream)?.leave(place.number)?;
        self.waiting -= 1;
        self.note_change(place.upstream);
        Some(waiter)
    }

    /// True exactly when connections were returned while owners wait. They can be lent in the next
    /// turn.
    pub fn is_waited_for(&self) -> bool {
        self.waiting > 0 && !self.released.is_empty()
    }

    /// Notes that there may be room for owners that wait for an upstream.
    fn note_change(&mut self, key: Key<Upstream>) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if upstream.waiting() > 0 && !std::mem::replace(&mut upstream.has_changed, true) {
            self.changed.push(key);
        }
    }

    /// All connections.
    #[cfg(feature = "sim")]
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().map(|(_, connection)| connection)
    }

    /// The number of connections.
    #[cfg(feature = "sim")]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// The endpoint of a connection, unless its upstream is gone.
    pub fn endpoint_of(&self, key: Key<Connection>) -> Option<&Endpoint> {
        let connection = self.connections.get(key)?;
        self.upstreams.get(connection.upstream?)?.endpoints.get(connection.endpoint())
    }

    /// Notes that a connection's endpoint has answered, possibly that it is unavailable.
    pub fn note_answer(&mut self, key: Key<Connection>, status: u16, now: Tick) {
        let role = self.role;
        if let Some((upstream, index)) = self.upstream_of_connection(key)
            && let Some(learnt) = self.upstreams[upstream].note_answer(index, status, role, now)
        {
            self.tell(upstream, index, learnt);
        }
    }

    /// Notes that a connection's endpoint has failed a request after connecting, in a way that
    /// `retry_on` lists.
    pub fn note_failure(&mut self, key: Key<Connection>, now: Tick) {
        if let Some((upstream, index)) = self.upstream_of_connection(key) {
            self.note_failure_of(upstream, index, true, now);
        }
    }

    /// Notes that an endpoint could not be connected to, or, if it was `asked`, did not answer
    /// properly.
    fn note_failure_of(&mut self, key: Key<Upstream>, index: usize, asked: bool, now: Tick) {
        let role = self.role;
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if let Some(learnt) = upstream.note_failure(index, asked, role, now) {
            self.tell(key, index, learnt);
        }
        self.look_at_endpoints(Some(key), now);
    }

    /// The upstream of a connection, if it still exists, and the index of the endpoint.
    fn upstream_of_connection(&self, key: Key<Connection>) -> Option<(Key<Upstream>, usize)> {
        let connection = self.connections.get(key)?;
        let upstream = connection.upstream.filter(|key| self.upstreams.get(*key).is_some())?;
        Some((upstream, connection.endpoint()))
    }

    /// Updates which endpoints of an upstream are good: that decides whether waiting owners may use
    /// its backups.
    fn look_at_endpoints(&mut self, key: Option<Key<Upstream>>, now: Tick) {
        let Some(key) = key else { return };
        if self.upstreams.get_mut(key).is_some_and(|upstream| upstream.look_at_endpoints(now)) {
            self.note_change(key);
        }
    }

    fn endpoint_mut(&mut self, key: Key<Connection>) -> Option<&mut Endpoint> {
        let connection = self.connections.get(key)?;
        self.upstreams.get_mut(connection.upstream?)?.endpoints.get_mut(connection.endpoint())
    }

    /// Takes a connection from its owner.
    fn vacate(&mut self, key: Key<Connection>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let owned = connection.owner.take().is_some();
        if owned && let Some(endpoint) = self.endpoint_mut(key) {
            endpoint.in_use -= 1;
        }
    }

    /// Gives a connection that has an owner to another owner, which gets all further events.
    pub fn hand_over(&mut self, key: Key<Connection>, owner: Owner) {
        self.connections[key].owner = Some(owner);
    }

    /// Notes an event of a connection, and returns the owner to inform, if it has one.
    pub fn on_event<N: Net>(
        &mut self,
        key: Key<Connection>,
        ready: Ready,
        net: &mut N,
    ) -> Option<Owner> {
        let connection = self.connections.get_mut(key)?;
        if !connection.conn.heard(net, ready) {
            return None;
        }
        if connection.owner.is_none() {
            self.readable.push(key);
        }
        connection.owner
    }

    /// Closes up to `timers_max` idle connections whose time is over and all that had input, and
    /// makes those returned in the previous turn available.
    pub fn begin_turn<N: Net>(&mut self, timers_max: usize, io: &mut Io<'_, N>) {
        let Pool { idle_timers, connections, .. } = self;
        let mut expired = Vec::new();
        idle_timers.expire(io.now, timers_max, |index| expired.extend(connections.key_at(index)));
        for key in expired {
            self.close_idle(key, io);
        }
        while let Some(key) = self.readable.pop() {
            let idle = self.connections.get(key).is_some_and(|c| c.owner.is_none());
            if idle && !self.is_silent(key, io) {
                self.close_idle(key, io);
            }
        }
        self.take_in_released(io);
    }

    /// Makes the connections returned in the previous turn available. They waited for a poll,
    /// because an unsolicited response often follows a real one.
    pub fn take_in_released<N: Net>(&mut self, io: &mut Io<'_, N>) {
        while let Some(key) = self.released.pop() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            match connection.upstream.and_then(|key| self.upstreams.get_mut(key)) {
                Some(upstream) => {
                    connection.pooled = true;
                    upstream.endpoints[connection.endpoint()].idle.push(key);
                    if let Some(upstream) = connection.upstream {
                        self.note_change(upstream);
                    }
                }
                None => self.close_idle(key, io),
            }
        }
    }

    /// When the next idle connection is due to be closed.
    pub const fn next_timer(&self) -> Tick {
        self.idle_timers.next()
    }

    /// True if a connection has no input and has not ended. The socket itself is read, because its
    /// end may not have been reported yet.
    fn is_silent<N: Net>(&mut self, key: Key<Connection>, io: &mut Io<'_, N>) -> bool {
        let conn = &mut self.connections[key].conn;
        conn.read(io.net, &mut io.scratch[..1]) == Read::Blocked
    }

    /// Takes back a connection whose response has been read completely. It is kept for `idle_max`
    /// if `keep` is true and it is fit for another exchange, and closed otherwise.
    pub fn release<N: Net>(
        &mut self,
        key: Key<Connection>,
        keep: bool,
        idle_max: Duration,
        io: &mut Io<'_, N>,
    ) {
        let connection = &self.connections[key];
        let upstream = connection.upstream.and_then(|key| self.upstreams.get(key));
        let room = upstream.is_some_and(|upstream| {
            let endpoint = &upstream.endpoints[connection.endpoint()];
            // A reload may have lowered the limit.
            endpoint.open - endpoint.in_use < upstream.idle_max && endpoint.open <= upstream.max
        });
        // Bytes after a response are an unsolicited response (RFC 9112 section 9.2).
        let clean = connection.conn.ahead().is_empty() && !connection.conn.hung_up();
        let drained = !connection.conn.ready.has(Ready::READ);
        let fit = keep && connection.persistent && clean && room;
        let fit = fit && connection.address != NO_ADDRESS;
        if !fit || !(drained || self.is_silent(key, io)) {
            return self.close(key, io);
        }
        self.vacate(key);
        let until = self.connections[key].idle_until(io.now, idle_max);
        self.released.push(key);
        self.idle_timers.at_most(key.index(), until);
    }

    /// Closes a connection that has an owner, if it still exists. If its request was not `sent`
    /// completely, the upstream must see that it was cut.
    pub fn leave<N: Net>(&mut self, key: Key<Connection>, sent: bool, io: &mut Io<'_, N>) {
        if !sent && let Some(connection) = self.connections.get(key) {
            connection.conn.note_cut(io.net);
        }
        self.close(key, io);
    }

    /// Closes a connection that has an owner, if it still exists.
    pub fn close<N: Net>(&mut self, key: Key<Connection>, io: &mut Io<'_, N>) {
        let Some(connection) = self.connections.remove(key) else { return };
        let index = connection.endpoint();
        let Connection { conn, upstream, owner, stats, .. } = connection;
        stats.disconnects.one();
        conn.close(io.net, io.buffers);
        if let Some(key) = upstream
            && let Some(upstream) = self.upstreams.get_mut(key)
        {
            upstream.endpoints[index].in_use -= usize::from(owner.is_some());
            upstream.endpoints[index].open -= 1;
            self.note_change(key);
        }
    }

    /// Closes an idle connection.
    fn close_idle<N: Net>(&mut self, key: Key<Connection>, io: &mut Io<'_, N>) {
        let Some(connection) = self.connections.get(key).filter(|c| c.owner.is_none()) else {
            return;
        };
        let Connection { upstream, endpoint, pooled, .. } = *connection;
        self.idle_timers.disarm(key.index());
        self.close(key, io);
        if pooled && let Some(upstream) = upstream.and_then(|key| self.upstreams.get_mut(key)) {
            upstream.endpoints[usize::from(endpoint)].idle.forget_closed(&self.connections);
        }
        self.closed += 1;
    }

    /// Closes the connection that expires first, which has been idle for about the longest. False
    /// if none is idle.
    pub fn close_some_idle<N: Net>(&mut self, io: &mut Io<'_, N>) -> bool {
        let first = self.idle_timers.first_owner();
        let Some(key) = first.and_then(|index| self.connections.key_at(index)) else {
            return false;
        };
        self.close_idle(key, io);
        true
    }

    /// Closes idle connections until at most `max` connections are left, or none is idle.
    pub fn close_idle_beyond<N: Net>(&mut self, max: usize, io: &mut Io<'_, N>) {
        while self.connections.len() > max && self.close_some_idle(io) {}
    }

    /// The number of idle connections closed so far. A turn in which it grows did something.
    #[cfg(feature = "sim")]
    pub const fn closed(&self) -> u64 {
        self.closed
    }

    /// The first endpoint whose counts of connections are wrong, if any: its target, its counts of
    /// those in use and of all, and the true numbers.
    #[cfg(feature = "sim")]
    pub fn miscounted(&self) -> Option<(String, [usize; 2], [usize; 2])> {
        self.upstreams.iter().find_map(|(key, upstream)| {
            upstream.endpoints.iter().enumerate().find_map(|(index, endpoint)| {
                let of_it =
                    || self.iter().filter(|c| c.upstream == Some(key) && c.endpoint() == index);
                let in_use = of_it().filter(|connection| connection.owner.is_some()).count();
                let (counted, are) = ([endpoint.in_use, endpoint.open], [in_use, of_it().count()]);
                (counted != are).then(|| (endpoint.target.to_string(), counted, are))
            })
        })
    }

    /// The number of owners that wait for a connection.
    #[cfg(feature = "sim")]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number of upstreams.
    #[cfg(feature = "sim")]
    pub fn upstreams(&self) -> usize {
        self.upstreams.len()
    }

    /// The number of idle connections, including those returned in this turn.
    #[cfg(feature = "sim")]
    pub fn idle(&self) -> usize {
        let pooled: usize = self.upstreams.iter().map(|(_, upstream)| upstream.idle()).sum();
        pooled + self.released.iter().filter(|key| self.connections.get(**key).is_some()).count()
    }
}

impl Index<Key<Connection>> for Pool {
    type Output = Connection;

    #[inline]
    fn index(&self, key: Key<Connection>) -> &Connection {
        &self.connections[key]
    }
}

impl IndexMut<Key<Connection>> for Pool {
    #[inline]
    fn index_mut(&mut self, key: Key<Connection>) -> &mut Connection {
        &mut self.connections[key]
    }
}
