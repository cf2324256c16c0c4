//! Finds a connection for a request: an idle one or a new one. It tries the endpoints in turn and,
//! for each, its addresses in turn.
//!
//! Each address and each other endpoint gets an equal share of the rest of `connect_timeout`, so
//! that one dead address does not use up all of it. However many addresses there are, an attempt
//! gets a second, or half of the rest if that is less: with TLS, a working address can need that.

use super::addresses::{Addresses, Tried};
use super::connection::{Connection, NO_ADDRESS};
use super::news::Learnt;
use super::owner::Owner;
use super::search::{Search, narrow};
use super::upstream::{Choice, Place, Upstream};
use super::{Pool, token_of};
use crate::config::{Backend, Failed};
use crate::conn::Conn;
use crate::descriptors;
use crate::net::tls::ClientOf;
use crate::net::{Address, Net};
use crate::pipe::Io;
use crate::slab::Key;
use crate::telemetry::{ApiStats, Failure, LogLimit};
use crate::time::Tick;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The time that an attempt gets at least, if twice as much is left.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// What connection is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The future owner.
    pub owner: Owner,
    /// The upstream to connect to. None if it is gone; then the addresses are those of `backend`.
    pub upstream: Option<Key<Upstream>>,
    /// The servers to connect to, in the configuration of the request.
    pub backend: Backend<'a>,
    /// The counters of the api.
    pub stats: &'a Rc<ApiStats>,
    /// How many other connections the pool may have. Idle ones are closed to stay within that.
    pub room: usize,
    /// True exactly when the search fails rather than exceed `room`.
    pub gives_way: bool,
    /// True exactly when failures are logged as warnings.
    pub logs: bool,
    /// What a new connection begins with, before TLS: a PROXY header, or nothing. If there is one,
    /// only a new connection will do, and it cannot be shared.
    pub preface: &'a [u8],
}

/// Where a new connection leads, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead<'a> {
    /// The future owner.
    pub(super) owner: Owner,
    /// The upstream. It may be gone.
    pub(super) upstream: Option<Key<Upstream>>,
    /// The index of the endpoint.
    pub(super) endpoint: u8,
    /// The number of the address.
    pub(super) address: u8,
    /// The counters of the api.
    pub(super) stats: &'a Rc<ApiStats>,
    /// How many other connections the pool may have.
    pub(super) room: usize,
    /// What the connection begins with, before TLS.
    pub(super) preface: &'a [u8],
    /// True exactly when no connection is made beyond `room`.
    pub(super) gives_way: bool,
}

/// A connection that is being established.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The connection.
    pub connection: Key<Connection>,
    /// When this address is given up.
    pub deadline: Tick,
    /// The progress of the search that it belongs to.
    pub search: Search,
}

/// A connection that the pool has lent, or a place in the queue for one.
#[derive(Clone, Copy, Debug)]
pub enum Acquired {
    /// An established connection that was used before, which the upstream may close before it reads
    /// the request. Also the endpoints that have failed the search, as in [`Search::failed`].
    Reused(Key<Connection>, u64),
    /// A connection that is being established.
    Connecting(Attempt),
    /// None yet, because no endpoint may have more. The owner gets this place in the queue, and is
    /// called when it is its turn ([`Pool::call_waiting`]). It then continues with a search that
    /// has the place, or leaves ([`Pool::leave_queue`]). True if some endpoints have failed, so
    /// that it waits only for the others.
    Queued(Place, bool),
}

/// Why no connection can be had.
#[derive(Debug)]
pub enum NoConnection {
    /// No endpoint can be connected to.
    Unreachable,
    /// The only replica that could serve the client is gone.
    Gone,
    /// The api is gone, and has a limit on connections. The remaining ones are no longer counted,
    /// so no new one can be opened.
    Removed,
    /// No file descriptor is left. Once one is free, the search can continue
    /// ([`Pool::acquire_next`]).
    OutOfDescriptors(Search, io::Error),
}

impl Pool {
    /// Lends a connection to an endpoint of the upstream that has not failed: an idle one if
    /// possible, otherwise a new one. If these endpoints have no room, or others wait for it, the
    /// owner gets a place in the queue: its former place, if it had one.
    ///
    /// # Errors
    /// If no connection could be begun.
    pub fn acquire<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        mut search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        if let Some(waiter) = search.place.and_then(|place| self.take_from_queue(place)) {
            search.failed |= waiter.wants.failed;
        }
        self.aim(wanted, &mut search, io.now)?;
        loop {
            match self.choose(wanted, search, io.now)? {
                Choice::Endpoint(index) => search.endpoint = narrow(index),
                Choice::Full => {
                    let place = self.join_queue(wanted, search)?;
                    return Ok(Acquired::Queued(place, search.failed != 0));
                }
                Choice::Failed => return Err(NoConnection::Unreachable),
            }
            if let Some(connection) = self.reuse(wanted, search, io) {
                return Ok(Acquired::Reused(connection, search.failed));
            }
            if !self.may_connect(wanted, search) {
                continue;
            }
            self.ask_for_name(wanted, search, io.now);
            search.tried = Tried::default();
            if let Some(attempt) = self.connect(wanted, &mut search, io, log)? {
                return Ok(Acquired::Connecting(attempt));
            }
            search.failed |= self.give_up_endpoint(wanted, search, io.now);
            if !wanted.backend.retry_on.has(Failed::Connect) {
                return Err(NoConnection::Unreachable);
            }
        }
    }

    /// Continues a search after a failed attempt: with the endpoint's other addresses, and then
    /// with other endpoints.
    ///
    /// # Errors
    /// See [`Pool::acquire`].
    pub fn acquire_next<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        mut search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        // A reload may have lowered the limit.
        if self.may_connect(wanted, search) {
            if let Some(attempt) = self.connect(wanted, &mut search, io, log)? {
                return Ok(Acquired::Connecting(attempt));
            }
            search.failed |= self.give_up_endpoint(wanted, search, io.now);
            if !wanted.backend.retry_on.has(Failed::Connect) {
                return Err(NoConnection::Unreachable);
            }
        }
        self.acquire(wanted, search, io, log)
    }

    /// Lends a new connection to an endpoint, after a reused one had turned out to be closed.
    ///
    /// # Errors
    /// See [`Pool::acquire`].
    pub fn acquire_new<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        mut search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        self.aim(wanted, &mut search, io.now)?;
        self.ask_for_name(wanted, search, io.now);
        self.acquire_next(wanted, search, io, log)
    }

    /// Determines which endpoints a search may use.
    fn aim(&self, wanted: Wanted<'_>, search: &mut Search, now: Tick) -> Result<(), NoConnection> {
        let upstream = wanted.upstream.and_then(|key| self.upstreams.get(key));
        search.among = upstream.map_or(wanted.backend.targets_to_ask(), |upstream| upstream.asked);
        (search.is_bound, search.only) = (false, None);
        let Some(bound) = search.bound else { return Ok(()) };
        let Some(found) =
            upstream.and_then(|upstream| upstream.find(bound.replica, &self.secret, now))
        else {
            return if bound.is_exclusive { Err(NoConnection::Gone) } else { Ok(()) };
        };
        if bound.is_exclusive || found.is_good && search.failed >> found.endpoint & 1 == 0 {
            (search.among, search.only) = (1 << found.endpoint, found.address);
            search.is_bound = true;
        }
        Ok(())
    }

    fn upstream_mut(&mut self, wanted: Wanted<'_>) -> Option<&mut Upstream> {
        self.upstreams.get_mut(wanted.upstream?)
    }

    /// Chooses the next endpoint.
    fn choose(
        &mut self,
        wanted: Wanted<'_>,
        search: Search,
        now: Tick,
    ) -> Result<Choice, NoConnection> {
        self.look_at_endpoints(wanted.upstream, now);
        // A place in the queue of a removed upstream does not count here.
        let place = search.place.filter(|place| wanted.upstream == Some(place.upstream));
        let place = place.map(|place| place.number);
        match self.upstream_mut(wanted) {
            Some(upstream) => Ok(upstream.choose(search.wants(), place, now)),
            None if wanted.backend.max.is_some() => Err(NoConnection::Removed),
            // The upstream is gone, but the request was meant for its endpoints.
            None => Ok(search.next_in(wanted.backend).map_or(Choice::Failed, Choice::Endpoint)),
        }
    }

    /// True exactly when the chosen endpoint may have another connection.
    fn may_connect(&self, wanted: Wanted<'_>, search: Search) -> bool {
        match wanted.upstream.and_then(|key| self.upstreams.get(key)) {
            Some(upstream) => upstream.endpoints[usize::from(search.endpoint)].open < upstream.max,
            None => wanted.backend.max.is_none(),
        }
    }

    /// Gives the owner a place in the queue: its former place, if it had one.
    fn join_queue(&mut self, wanted: Wanted<'_>, search: Search) -> Result<Place, NoConnection> {
        let Some(key) = wanted.upstream else { return Err(NoConnection::Removed) };
        if search.place.is_none() {
            wanted.stats.queued.one();
        }
        let before = search.place.filter(|place| place.upstream == key);
        let before = before.map(|place| place.number);
        let number = self.upstreams[key].join(wanted.owner, search.wants(), before);
        // Health checks give way.
        self.displaced.extend(self.upstreams[key].checkers(search.wants()));
        self.waiting += 1;
        // Others may have its turn now.
        self.note_change(key);
        Ok(Place { upstream: key, number })
    }

    /// Notes that the chosen endpoint could not be connected to. This request will not go to it,
    /// and others may not for a while. Returns its bit in [`Search::failed`].
    pub fn give_up_endpoint(&mut self, wanted: Wanted<'_>, search: Search, now: Tick) -> u64 {
        if let Some(key) = wanted.upstream {
            self.note_failure_of(key, usize::from(search.endpoint), false, now);
        }
        1 << search.endpoint
    }

    /// Lends an idle connection to the chosen endpoint, if one is silent. Expired connections are
    /// closed: timers fire a little late, and the upstream may be about to close them.
    fn reuse<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        search: Search,
        io: &mut Io<'_, N>,
    ) -> Option<Key<Connection>> {
        let (of, index) = (wanted.upstream?, usize::from(search.endpoint));
        loop {
            let Pool { upstreams, connections, .. } = self;
            let upstream = upstreams.get_mut(of)?;
            let endpoint = &mut upstream.endpoints[index];
            let idle = match search.only {
                _ if !wanted.preface.is_empty() => None,
                None => endpoint.idle.pop(connections),
                Some(number) => endpoint.idle.pop_where(connections, |c| c.address == number),
            };
            let Some(key) = idle else {
                // Connections that cannot be used make room for a new one.
                if endpoint.open >= upstream.max {
                    self.close_idle_of(of, index, io);
                }
                return None;
            };
            let until = self.idle_timers.armed(key.index());
            self.idle_timers.disarm(key.index());
            self.connections[key].pooled = false;
            // The last poll was before this turn. Input since then is not a response to this
            // request.
            if until > io.now && self.is_silent(key, io) {
                self.occupy(key, wanted.owner);
                return Some(key);
            }
            self.close(key, io);
        }
    }

    /// Has the endpoint's name resolved again, for later requests, if its addresses are old or
    /// missing.
    fn ask_for_name(&mut self, wanted: Wanted<'_>, search: Search, now: Tick) {
        let index = usize::from(search.endpoint);
        let Pool { upstreams, stale_names, .. } = self;
        let Some(key) = wanted.upstream else { return };
        let Some(upstream) = upstreams.get_mut(key) else { return };
        let endpoint = &mut upstream.endpoints[index];
        if endpoint.addresses.is_due(now) {
            stale_names.push((key, index));
        }
        if endpoint.addresses.is_empty() {
            endpoint.stats.count_failure(Failure::Unresolved, now);
        }
    }

    /// Tries the endpoint's addresses in turn until a connection is being established. None if no
    /// address is left.
    fn connect<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        search: &mut Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Option<Attempt>, NoConnection> {
        let others = match wanted.backend.retry_on.has(Failed::Connect) {
            true => (search.wants().left() & !(1 << search.endpoint)).count_ones(),
            false => 0,
        };
        let mut before = *search;
        while let Some((address, left)) = self.next_address(wanted, search, io.now) {
            match self.connect_to(&address, wanted, *search, io) {
                Ok(connection) => {
                    // This address, each remaining one and each remaining endpoint get equal shares
                    // of the remaining time.
                    let shares = others + u32::try_from(1 + left).unwrap_or(1);
                    let rest = search.gives_up.since(io.now);
                    let least = ATTEMPT_MIN.min(rest / shares.min(2));
                    let deadline = io.now.after((rest / shares).max(least));
                    return Ok(Some(Attempt { connection, deadline, search: *search }));
                }
                Err(error) if descriptors::ran_out(&error) => {
                    return Err(NoConnection::OutOfDescriptors(before, error));
                }
                Err(error) => self.failed(wanted, *search, &error, io.now, log),
            }
            before = *search;
        }
        Ok(None)
    }

    /// The endpoint's next address, and the number of addresses that share the time with it. They
    /// come from the last resolution of its name, or from the request's configuration if the
    /// upstream is gone.
    fn next_address(
        &mut self,
        wanted: Wanted<'_>,
        search: &mut Search,
        now: Tick,
    ) -> Option<(Address, usize)> {
        let index = usize::from(search.endpoint);
        let mut configured;
        let addresses = match self.upstream_mut(wanted) {
            Some(upstream) => &mut upstream.endpoints[index].addresses,
            None => {
                configured = Addresses::of(wanted.backend.targets.get(index)?, now);
                &mut configured
            }
        };
        match search.only {
            Some(number) => Some((addresses.only(number, &mut search.tried)?, 0)),
            None => {
                let address = addresses.next(&mut search.tried, now)?;
                Some((address, addresses.left(search.tried, now)))
            }
        }
    }

    /// Notes and logs that the address tried last could not be connected to.
    fn failed(
        &mut self,
        wanted: Wanted<'_>,
        search: Search,
        error: &io::Error,
        now: Tick,
        log: &mut LogLimit,
    ) {
        let index = usize::from(search.endpoint);
        let upstream = self.upstream_mut(wanted);
        let endpoint = upstream.map(|upstream| &mut upstream.endpoints[index]);
        let address = endpoint.and_then(|endpoint| {
            endpoint.stats.count_failure(Failure::of_connect(error), now);
            endpoint.addresses.failed(search.tried, now)
        });
        let at = address.map(|address| format!(" at {address}")).unwrap_or_default();
        let (name, target) = (&wanted.backend.name, &wanted.backend.targets[index]);
        let level = if wanted.logs { log::Level::Warn } else { log::Level::Debug };
        // The log limits timeouts and other errors separately.
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        let kind = if timed_out { "connect_timeout" } else { "connect" };
        log.log(level, name, kind, &format!("api {name}: cannot connect to {target}{at}: {error}"));
    }

    fn connect_to<N: Net>(
        &mut self,
        address: &Address,
        wanted: Wanted<'_>,
        search: Search,
        io: &mut Io<'_, N>,
    ) -> io::Result<Key<Connection>> {
        let mut address_number = None;
        let mut target = &wanted.backend.targets[usize::from(search.endpoint)];
        if let Some(upstream) = self.upstream_mut(wanted) {
            let endpoint = &upstream.endpoints[usize::from(search.endpoint)];
            endpoint.stats.connects.one();
            address_number = endpoint.addresses.number_of_last(search.tried);
            // The request's own configuration may be older than a renewal of certificates.
            target = &endpoint.target;
        }
        let server = target.tls.clone();
        let Wanted { owner, upstream, stats, room, gives_way, preface, .. } = wanted;
        let (endpoint, number) = (search.endpoint, address_number.unwrap_or(NO_ADDRESS));
        let lead =
            Lead { owner, upstream, endpoint, address: number, stats, room, preface, gives_way };
        self.begin_connection(address, server.as_ref(), lead, io)
    }

    /// Starts connecting to an address.
    pub(super) fn begin_connection<N: Net>(
        &mut self,
        address: &Address,
        server: Option<&ClientOf>,
        lead: Lead<'_>,
        io: &mut Io<'_, N>,
    ) -> io::Result<Key<Connection>> {
        self.close_idle_beyond(lead.room, io);
        if lead.gives_way && self.connections.len() > lead.room {
            return Err(descriptors::none_left());
        }
        let preface = lead.preface;
        let conn = match Conn::connect(io.net, address, server, preface) {
            // The system may run out of descriptors before the process reaches its limit.
            Err(error) if descriptors::ran_out(&error) && self.close_some_idle(io) => {
                Conn::connect(io.net, address, server, preface)?
            }
            result => result?,
        };
        let connection = Connection {
            conn,
            persistent: false,
            pooled: false,
            endpoint: lead.endpoint,
            address: lead.address,
            idle_max_ms: u32::MAX,
            upstream: lead.upstream,
            owner: None,
            stats: Rc::clone(lead.stats),
        };
        connection.stats.connects.one();
        let key = self.connections.insert(connection);
        if let Some(endpoint) = self.endpoint_mut(key) {
            endpoint.open += 1;
        }
        if let Err(error) = self.connections[key].conn.register(io.net, token_of(key)) {
            self.close(key, io);
            return Err(error);
        }
        self.occupy(key, lead.owner);
        Ok(key)
    }

    fn occupy(&mut self, key: Key<Connection>, owner: Owner) {
        self.connections[key].owner = Some(owner);
        if let Some(endpoint) = self.endpoint_mut(key) {
            endpoint.in_use += 1;
        }
    }

    /// Notes that the connection of an attempt was established.
    pub fn connected(&mut self, attempt: Attempt) {
        let Some(key) = self.connections[attempt.connection].upstream else { return };
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let Search { endpoint, tried, .. } = attempt.search;
        let index = usize::from(endpoint);
        let before = upstream.endpoints[index].passed_over_until();
        let helps = upstream.connected(endpoint, tried);
        if upstream.endpoints[index].passed_over_until() != before {
            self.tell(key, index, Learnt::Connected);
        }
        if helps {
            self.note_change(key);
        }
    }

    /// Closes the connection of an attempt that failed or timed out. The search can continue with
    /// [`Pool::acquire_next`].
    pub fn attempt_failed<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        attempt: Attempt,
        error: &io::Error,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) {
        self.failed(wanted, attempt.search, error, io.now, log);
        self.close(attempt.connection, io);
    }
}
