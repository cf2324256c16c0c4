//! Health checks of targets (`health_path`): each is a task with an upstream connection and without
//! a client.
//!
//! A check requests a path, and passes if the head of a response with a status from 200 to 399
//! arrives in time. The body is not needed, so the connection is closed. The time between two
//! checks is drawn anew each time, around the configured interval, so that targets are not all
//! asked at the same moment.
//!
//! The results are handled by the pool ([`crate::pool`]).

use crate::config::Checks;
use crate::http::head::{FieldStore, HeadSearch, INTERIMS_MAX, ResponseHead};
use crate::net::{Address, Net};
use crate::pool::{Checked, Connection, Owner, Probe};
use crate::proxy::Proxy;
use crate::proxy::steps::head::{Found, find_head, head_limits};
use crate::slab::Key;
use crate::time::Tick;
use std::rc::Rc;
use std::time::Duration;

/// The health checks of an endpoint. See the module docs.
#[derive(Debug)]
pub(crate) struct Check {
    of: Checked,
    /// The number of checks so far. The addresses are checked in turn.
    turn: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next check begins at this time.
    Resting(Tick),
    /// A check is in progress.
    Asking(Box<Asking>),
}

/// A check in progress.
#[derive(Debug)]
struct Asking {
    connection: Key<Connection>,
    address: Address,
    /// When it began.
    began: Tick,
    /// When it fails for lack of a response.
    due: Tick,
    /// The unsent part of the request. None until the connection is established.
    unsent: Option<Vec<u8>>,
    search: HeadSearch,
    interims: u8,
}

/// The result of a step of a check.
enum Came {
    /// Something changed: there may be more to do.
    Moved,
    /// It waits, until this time at the latest.
    Waits(Tick),
    /// It is over: it passed, or failed for this reason.
    Over(Result<(), String>),
    /// It is over without a result, because a request needs its connection.
    GivesWay,
}

impl Check {
    /// The connection that it holds, if it holds one.
    #[cfg(feature = "sim")]
    pub(crate) fn connection(&self) -> Option<Key<Connection>> {
        if let State::Asking(asking) = &self.state { Some(asking.connection) } else { None }
    }

    /// Until when it waits at the latest.
    #[cfg(feature = "sim")]
    pub(crate) fn waits_until(&self) -> Tick {
        match &self.state {
            State::Resting(until) => *until,
            State::Asking(asking) => asking.due,
        }
    }

    /// True if it waits for its connection to be writable. It always waits for bytes or for the end
    /// of the connection.
    #[cfg(feature = "sim")]
    pub(crate) fn wants_to_write(&self) -> bool {
        let State::Asking(asking) = &self.state else { return false };
        asking.unsent.as_ref().is_none_or(|unsent| !unsent.is_empty())
    }
}

impl<N: Net> Proxy<N> {
    /// Starts the checks of endpoints that are to be checked from now on, and wakes all other
    /// checks so that those no longer needed end, and those that now come more often begin earlier.
    pub(crate) fn update_checks(&mut self, now: Tick) {
        let keys: Vec<Key<Check>> = self.checks.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.rest_less(key, now);
        }
        self.checks.wake_all();
        for of in self.shared.pool.take_unchecked() {
            let interval = self.shared.pool.checking(of).map(|checking| checking.checks.interval);
            let first = interval.unwrap_or_default().mul_f64(self.shared.random.f64() / 10.0);
            let state = State::Resting(now.after(first));
            let key = self.checks.insert(Check { of, turn: 0, state });
            self.checks.wake(key);
        }
    }

    /// Runs the checks that may be able to continue.
    pub(crate) fn run_checks(&mut self, now: Tick) {
        for _ in 0..self.checks.queue_len() {
            if let Some(key) = self.checks.next_queued() {
                self.run_check(key, now);
            }
        }
    }

    fn run_check(&mut self, key: Key<Check>, now: Tick) {
        for _ in 0..self.shared.portions.steps_per_turn {
            let Some(checking) = self.shared.pool.checking(self.checks[key].of).map(Rc::clone)
            else {
                self.moves += 1;
                return self.end_check(key, now);
            };
            let checks = &checking.checks;
            match self.step_check(key, checks, now) {
                Came::Waits(until) => return self.checks.wake_at(key, until),
                Came::Moved => {}
                Came::Over(result) => self.note_check(key, Some(result), checks, now),
                Came::GivesWay => self.note_check(key, None, checks, now),
            }
            self.moves += 1;
        }
        self.checks.wake(key);
    }

    fn step_check(&mut self, key: Key<Check>, checks: &Checks, now: Tick) -> Came {
        match &self.checks[key].state {
            State::Resting(until) if *until > now => Came::Waits(*until),
            State::Resting(_) => self.begin_check(key, checks, now),
            State::Asking(_) if self.shared.pool.is_check_in_the_way(self.checks[key].of) => {
                Came::GivesWay
            }
            State::Asking(asking) if asking.due <= now => {
                Came::Over(Err("it did not respond in time".to_owned()))
            }
            State::Asking(_) => self.ask(key, now),
        }
    }

    fn begin_check(&mut self, key: Key<Check>, checks: &Checks, now: Tick) -> Came {
        let room = self.shared.edge.upstream_connections_beside();
        let (mut io, _) = self.shared.memory.split(&mut self.shared.net, None, now);
        let check = &mut self.checks[key];
        let (of, turn) = (check.of, check.turn);
        check.turn = turn.wrapping_add(1);
        match self.shared.pool.begin_check(of, Owner::of_check(key), turn, room, &mut io) {
            Probe::Connecting(connection, address) => {
                let due = now.after(checks.timeout);
                let search = HeadSearch::response();
                let asking = Asking {
                    connection,
                    address,
                    began: now,
                    due,
                    unsent: None,
                    search,
                    interims: 0,
                };
                check.state = State::Asking(Box::new(asking));
            }
            Probe::Failed(address, error) => {
                let why = error.to_string();
                self.shared.pool.note_check(of, &address, Err(&why), now);
                self.rest(key, checks.interval, now, now);
            }
            Probe::LeftOut => self.rest(key, checks.interval, now, now),
        }
        Came::Moved
    }

    /// Continues a check in progress.
    fn ask(&mut self, key: Key<Check>, now: Tick) -> Came {
        let crate::proxy::Shared { memory, net, pool, config, .. } = &mut self.shared;
        let (mut io, _) = memory.split(net, None, now);
        let check = &mut self.checks[key];
        let State::Asking(asking) = &mut check.state else { return Came::Moved };
        let Some(unsent) = &mut asking.unsent else {
            return match pool[asking.connection].conn.connected(io.net) {
                None => Came::Waits(asking.due),
                Some(Err(error)) => Came::Over(Err(format!("cannot connect: {error}"))),
                Some(Ok(())) => {
                    let mut request = Vec::new();
                    pool.write_check(check.of, &mut request);
                    asking.unsent = Some(request);
                    Came::Moved
                }
            };
        };
        let conn = &mut pool[asking.connection].conn;
        if conn.write_unsent(io.net, unsent) {
            return Came::Moved;
        }
        let limits = head_limits(config);
        let bytes = match find_head(conn, &mut asking.search, &limits, &mut io) {
            Found::Complete(bytes) => bytes,
            Found::More => return Came::Moved,
            Found::Blocked => return Came::Waits(asking.due),
            Found::Ended(_) => {
                return Came::Over(Err("it closed before its response".to_owned()));
            }
            Found::Wrong(error, _) => return Came::Over(Err(error.what().to_owned())),
        };
        let search = std::mem::replace(&mut asking.search, HeadSearch::response());
        let mut store = FieldStore::new();
        match ResponseHead::parse(search.joined(bytes), &mut store, &limits, false) {
            Err(error) => Came::Over(Err(error.what().to_owned())),
            Ok(ResponseHead { status: 200..=399, .. }) => Came::Over(Ok(())),
            Ok(ResponseHead { status: 102..=199 | 100, .. }) if asking.interims < INTERIMS_MAX => {
                asking.interims += 1;
                Came::Moved
            }
            Ok(ResponseHead { status, .. }) => Came::Over(Err(format!("it answered {status}"))),
        }
    }

    /// Closes the connection of a check, because a request needs a descriptor. Returns false if no
    /// check is in progress.
    pub(crate) fn interrupt_check(&mut self, now: Tick) -> bool {
        let is_asking = |check: &Check| matches!(check.state, State::Asking(_));
        let found = self.checks.iter().find(|(_, check)| is_asking(check)).map(|(key, _)| key);
        let Some(key) = found else { return false };
        self.close_check(key, now);
        self.checks.wake(key);
        true
    }

    /// Notes the result of a check, if it has one, and rests until the next.
    fn note_check(
        &mut self,
        key: Key<Check>,
        result: Option<Result<(), String>>,
        checks: &Checks,
        now: Tick,
    ) {
        let of = self.checks[key].of;
        let Some(asking) = self.close_check(key, now) else { return };
        if let Some(result) = result {
            let result = result.as_ref().copied().map_err(String::as_str);
            self.shared.pool.note_check(of, &asking.address, result, now);
        }
        self.rest(key, checks.interval, asking.began, now);
    }

    /// Waits until the next check, whether or not its address was checked before.
    fn rest(&mut self, key: Key<Check>, interval: Duration, began: Tick, now: Tick) {
        let share = 0.9 + self.shared.random.f64() / 5.0;
        let next = began.after(self.time_between(key, interval).mul_f64(share));
        self.checks[key].state = State::Resting(next.max(now.after(Duration::from_millis(1))));
    }

    /// Brings the next check forward if a reload has shortened the interval.
    fn rest_less(&mut self, key: Key<Check>, now: Tick) {
        let Check { of, state: State::Resting(until), .. } = self.checks[key] else { return };
        let Some(interval) = self.shared.pool.checking(of).map(|checking| checking.checks.interval)
        else {
            return;
        };
        if until > now.after(self.time_between(key, interval).mul_f64(1.1)) {
            self.rest(key, interval, now, now);
        }
    }

    /// The mean time between two checks of an endpoint, each of one address.
    fn time_between(&self, key: Key<Check>, interval: Duration) -> Duration {
        let addresses = self.shared.pool.addresses_to_check(self.checks[key].of).max(1);
        interval / u32::try_from(addresses).unwrap_or(u32::MAX)
    }

    /// Closes the connection of a check in progress. The check then rests.
    fn close_check(&mut self, key: Key<Check>, now: Tick) -> Option<Box<Asking>> {
        let state = std::mem::replace(&mut self.checks[key].state, State::Resting(now));
        let State::Asking(asking) = state else { return None };
        let (mut io, _) = self.shared.memory.split(&mut self.shared.net, None, now);
        self.shared.pool.close_check(self.checks[key].of, asking.connection, &mut io);
        Some(asking)
    }

    /// Ends the checks of an endpoint that is no longer checked.
    fn end_check(&mut self, key: Key<Check>, now: Tick) {
        self.close_check(key, now);
        if let Some(check) = self.checks.remove(key) {
            self.shared.pool.leave_unchecked(check.of);
        }
    }
}
