//! Finding a connection for a request: an idle one, or a new one, to one endpoint after the other,
//! at one address after the other.
//!
//! Each address, and each other endpoint, has an equal share of what is left of `connect_timeout`,
//! so that one dead address does not use it all up.

use super::addresses::{Addresses, Tried};
use super::connection::{Connection, Owner};
use super::upstream::Upstream;
use super::{Pool, token_of};
use crate::config::Api;
use crate::conn::Conn;
use crate::descriptors;
use crate::net::{Address, Net};
use crate::pipe::Io;
use crate::slab::Key;
use crate::telemetry::{ApiStats, Failure, LogLimit};
use crate::time::Tick;
use std::io;
use std::rc::Rc;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Who will own it.
    pub owner: Owner,
    /// Where it is to lead. None if that is gone by now: the addresses are those of `api` then.
    pub upstream: Option<Key<Upstream>>,
    /// The api that it is for, as the request's configuration has it.
    pub api: &'a Api,
    /// Where it is counted.
    pub stats: &'a Rc<ApiStats>,
    /// How many connections the pool may have besides. Idle ones are closed for that.
    pub room: usize,
    /// True exactly when what goes wrong is worth a line in the log.
    pub logs: bool,
}

/// How far connecting has come.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Which of the endpoint's addresses were tried.
    pub tried: Tried,
    /// When the whole is given up.
    pub gives_up: Tick,
    /// Which endpoints could not be connected to, as bits.
    pub failed: u64,
    /// The endpoint that is being asked.
    pub endpoint: u16,
}

/// A connection in the making.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The connection.
    pub connection: Key<Connection>,
    /// When this address is given up.
    pub deadline: Tick,
    /// How far the whole has come.
    pub search: Search,
}

/// A connection that was lent.
#[derive(Clone, Copy, Debug)]
pub enum Acquired {
    /// It was used before and stands. It may die under the request all the same.
    Reused(Key<Connection>),
    /// It is being made.
    Connecting(Attempt),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// No endpoint can be connected to.
    Unreachable,
    /// This process has no descriptor left. With one more it can go on from here
    /// ([`Pool::acquire_next`]).
    OutOfDescriptors(Search, io::Error),
}

impl Search {
    /// Nothing was tried yet, and there is time until `gives_up`.
    pub fn new(gives_up: Tick) -> Search {
        Search { tried: Tried::default(), gives_up, failed: 0, endpoint: 0 }
    }

    /// As it is, but with this endpoint as the first that is asked.
    #[must_use]
    pub fn to(self, endpoint: usize) -> Search {
        Search { endpoint: narrow(endpoint), ..self }
    }
}

impl Pool {
    /// Lends a connection to one of the upstream's endpoints, but for those that have failed
    /// already: an idle one if there is one, or else one that is being made.
    ///
    /// # Errors
    /// No attempt is under way, and none is left.
    pub fn acquire<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        mut search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        while self.choose(wanted, &mut search, io.now) {
            if let Some(connection) = self.reuse(wanted, search, io) {
                return Ok(Acquired::Reused(connection));
            }
            self.ask_for_name(wanted, search, io.now);
            search.tried = Tried::default();
            if let Some(attempt) = self.connect(wanted, &mut search, io, log)? {
                return Ok(Acquired::Connecting(attempt));
            }
            search.failed |= self.pass_over(wanted, search, io.now);
        }
        Err(NoConnection::Unreachable)
    }

    /// Goes on where an attempt has failed: at the endpoint's other addresses, then at the other
    /// endpoints.
    ///
    /// # Errors
    /// As those of [`Pool::acquire`].
    pub fn acquire_next<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        mut search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        if let Some(attempt) = self.connect(wanted, &mut search, io, log)? {
            return Ok(Acquired::Connecting(attempt));
        }
        search.failed |= self.pass_over(wanted, search, io.now);
        self.acquire(wanted, search, io, log)
    }

    /// Lends a new connection to the endpoint of one that was reused and had died.
    ///
    /// # Errors
    /// As those of [`Pool::acquire`].
    pub fn acquire_new<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        search: Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Acquired, NoConnection> {
        self.ask_for_name(wanted, search, io.now);
        self.acquire_next(wanted, search, io, log)
    }

    fn upstream_mut(&mut self, wanted: Wanted<'_>) -> Option<&mut Upstream> {
        self.upstreams.get_mut(wanted.upstream?)
    }

    /// Decides which endpoint is asked next. False when all have failed.
    fn choose(&mut self, wanted: Wanted<'_>, search: &mut Search, now: Tick) -> bool {
        let chosen = match self.upstream_mut(wanted) {
            Some(upstream) => upstream.choose(search.failed, now),
            // The api is gone by now: the request was meant for what it was.
            None => (search.failed == 0).then_some(usize::from(search.endpoint)),
        };
        if let Some(index) = chosen {
            search.endpoint = narrow(index);
        }
        chosen.is_some()
    }

    /// The endpoint that was chosen could not be connected to: it is passed over, for this request
    /// and, for a while, for others. Its bit in [`Search::failed`].
    pub fn pass_over(&mut self, wanted: Wanted<'_>, search: Search, now: Tick) -> u64 {
        if let Some(upstream) = self.upstream_mut(wanted) {
            upstream.endpoints[usize::from(search.endpoint)].pass_over(now);
        }
        1 << search.endpoint
    }

    /// Lends an idle connection to the endpoint that was chosen, if there is a silent one. One
    /// whose time is over is closed: the wheel tells of that a little late, and its upstream may be
    /// about to close it.
    fn reuse<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        search: Search,
        io: &mut Io<'_, N>,
    ) -> Option<Key<Connection>> {
        loop {
            let Pool { upstreams, connections, .. } = self;
            let upstream = upstreams.get_mut(wanted.upstream?)?;
            let endpoint = &mut upstream.endpoints[usize::from(search.endpoint)];
            let key = endpoint.idle.pop(connections)?;
            let until = self.idle_timers.armed(key.index());
            self.idle_timers.disarm(key.index());
            self.connections[key].pooled = false;
            // The poll is as old as this turn. What has come since is no answer to this request.
            if until > io.now && self.is_silent(key, io) {
                self.occupy(key, wanted.owner);
                return Some(key);
            }
            self.close(key, io);
        }
    }

    /// A name that was resolved a while ago, or not at all, is resolved again, for those who come
    /// later.
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

    /// Connects to the endpoint's addresses in turn, until one attempt is under way. None when none
    /// is left.
    fn connect<N: Net>(
        &mut self,
        wanted: Wanted<'_>,
        search: &mut Search,
        io: &mut Io<'_, N>,
        log: &mut LogLimit,
    ) -> Result<Option<Attempt>, NoConnection> {
        let failed = search.failed.count_ones() as usize;
        let others = wanted.api.targets.len().saturating_sub(1 + failed);
        let mut before = *search;
        while let Some((address, left)) = self.next_address(wanted, search, io.now) {
            match self.connect_to(&address, wanted, *search, io) {
                Ok(connection) => {
                    // Each address and each other endpoint that is left has an equal share of the
                    // time that is left.
                    let shares = u32::try_from(1 + left + others).unwrap_or(1);
                    let deadline = io.now.after(search.gives_up.since(io.now) / shares);
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

    /// The endpoint's next address, and how many are left behind it: as its name was last resolved,
    /// if the upstream is still there, or as its configuration has it.
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
                configured = Addresses::of(wanted.api.targets.get(index)?, now);
                &mut configured
            }
        };
        let address = addresses.next(&mut search.tried, now)?;
        Some((address, addresses.left(search.tried)))
    }

    /// The address that was tried last could not be connected to.
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
        let (name, target) = (&wanted.api.name, &wanted.api.targets[index]);
        let level = if wanted.logs { log::Level::Warn } else { log::Level::Debug };
        // Which address was silent is another matter than what the others say.
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
        if let Some(upstream) = self.upstream_mut(wanted) {
            upstream.endpoints[usize::from(search.endpoint)].stats.connects.one();
        }
        self.close_idle_beyond(wanted.room, io);
        let conn = match Conn::connect(io.net, address) {
            // The system may have fewer descriptors than this process is allowed.
            Err(error) if descriptors::ran_out(&error) && self.close_some_idle(io) => {
                Conn::connect(io.net, address)?
            }
            result => result?,
        };
        let connection = Connection {
            conn,
            persistent: false,
            pooled: false,
            endpoint: search.endpoint,
            idle_max_ms: u32::MAX,
            upstream: wanted.upstream,
            owner: None,
            stats: Rc::clone(wanted.stats),
        };
        connection.stats.connects.one();
        let key = self.connections.insert(connection);
        if let Err(error) = self.connections[key].conn.register(io.net, token_of(key)) {
            self.close(key, io);
            return Err(error);
        }
        self.occupy(key, wanted.owner);
        Ok(key)
    }

    fn occupy(&mut self, key: Key<Connection>, owner: Owner) {
        self.connections[key].owner = Some(owner);
        if let Some(endpoint) = self.endpoint_mut(key) {
            endpoint.in_use += 1;
        }
    }

    /// The connection of an attempt stands.
    pub fn connected(&mut self, attempt: Attempt) {
        if let Some(endpoint) = self.endpoint_mut(attempt.connection) {
            endpoint.connected(attempt.search.tried);
        }
    }

    /// The connection of an attempt cannot be made, or was not made in time: it is closed. With
    /// this search it can go on ([`Pool::acquire_next`]).
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

fn narrow(index: usize) -> u16 {
    let Ok(index) = u16::try_from(index) else {
        panic!("an upstream has 64 endpoints at most");
    };
    index
}
