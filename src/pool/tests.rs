//! Tests of the pool alone, with endpoints that may have few connections: which owners get one,
//! which wait, and which are called.

use super::{Acquired, Attempt, Connection, NoConnection, Owner, Place, Pool, Role, Search};
use super::{Upstream, Wanted, queue::Queue};
use crate::buf::BufPool;
use crate::config::{Api, Config};
use crate::http::chunk::{HEADROOM, TAILROOM};
use crate::net::Address;
use crate::pipe::Io;
use crate::slab::{Key, Slab};
use crate::sticky::Secret;
use crate::telemetry::{LogLimit, Stats};
use crate::testing::sim::{Faults, Host, SimNet};
use crate::time::Tick;
use crate::work;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

const IDLE_MAX: Duration = Duration::from_secs(60);

/// The state of an owner.
#[derive(Clone, Copy, Debug)]
enum Has {
    Nothing,
    Place(Place),
    /// A connection that is being established.
    Attempt(Attempt),
    Connection(Key<Connection>),
}

/// A pool with one upstream, and its surroundings.
struct Stage {
    pool: Pool,
    around: Around,
    stats: Stats,
    log: LogLimit,
    api: Api,
    upstream: Key<Upstream>,
    owners: Slab<Has>,
    names: BTreeMap<char, Key<Has>>,
}

/// The network and working memory.
struct Around {
    net: SimNet,
    scratch: Vec<u8>,
    buffers: BufPool,
}

impl Around {
    fn io(&mut self) -> Io<'_, SimNet> {
        Io {
            net: &mut self.net,
            scratch: &mut self.scratch,
            buffers: &mut self.buffers,
            now: Tick::ZERO,
            high_water: 8192,
            window_max: 8192,
            flush_interval: None,
        }
    }
}

/// An api with this many targets and these keys.
fn api(targets: usize, keys: &str) -> Api {
    let urls: Vec<String> = (0..targets).map(|n| format!("'http://10.0.0.{n}'")).collect();
    let text = format!(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = [{}]\n{keys}\n",
        urls.join(",")
    );
    let mut config = Config::parse("x", &text).unwrap_or_else(|errors| panic!("{errors}"));
    for (n, target) in config.apis[0].targets.iter_mut().enumerate() {
        target.addresses = vec![Address::Tcp(address(n))];
    }
    config.apis.remove(0)
}

fn address(target: usize) -> SocketAddr {
    format!("10.0.0.{target}:80").parse().unwrap()
}

impl Stage {
    fn new(targets: usize, keys: &str) -> Stage {
        let (mut stats, api) = (Stats::new(), api(targets, keys));
        let mut net = SimNet::new(0, Faults::NONE);
        (0..targets).for_each(|n| net.set_host(address(n), Host::Listening));
        let scratch = vec![0; HEADROOM + 8192 + TAILROOM];
        let mut around = Around { net, scratch, buffers: BufPool::new(8192, 8192, 8192, 0) };
        let mut pool = Pool::new(16, Secret::default(), Role::Alone, Tick::ZERO);
        let upstream = pool.upstream_of(api.backend(), &mut stats, &mut around.io());
        Stage {
            pool,
            around,
            stats,
            log: LogLimit::default(),
            api,
            upstream,
            owners: Slab::new(),
            names: BTreeMap::new(),
        }
    }

    fn key_of(&mut self, name: char) -> Key<Has> {
        *self.names.entry(name).or_insert_with(|| self.owners.insert(Has::Nothing))
    }

    /// Lets an owner ask for a connection, or continue in the queue or after a failed attempt.
    fn ask(&mut self, key: Key<Has>) -> String {
        let stats = self.stats.api("a");
        let wanted = Wanted {
            owner: Owner::of(key),
            upstream: Some(self.upstream),
            backend: self.api.backend(),
            stats: &stats,
            room: usize::MAX,
            gives_way: false,
            logs: true,
            preface: b"",
        };
        let search = Search::new(Tick::from_millis(5000));
        let (io, log) = (&mut self.around.io(), &mut self.log);
        let got = match self.owners[key] {
            Has::Attempt(attempt) => {
                let error = ErrorKind::ConnectionRefused.into();
                self.pool.attempt_failed(wanted, attempt, &error, io, log);
                self.pool.acquire_next(wanted, attempt.search, io, log)
            }
            Has::Place(place) => self.pool.acquire(wanted, search.at(Some(place)), io, log),
            Has::Nothing => self.pool.acquire(wanted, search, io, log),
            Has::Connection(_) => panic!("it has a connection"),
        };
        let (has, what) = match got {
            Ok(Acquired::Reused(connection, _)) => (Has::Connection(connection), "reuses"),
            Ok(Acquired::Connecting(attempt)) => (Has::Attempt(attempt), "connects to"),
            Ok(Acquired::Queued(place, _)) => (Has::Place(place), "waits"),
            Err(NoConnection::Unreachable) => (Has::Nothing, "reaches nobody"),
            Err(NoConnection::Gone) => panic!("nobody is bound"),
            Err(NoConnection::Removed) => (Has::Nothing, "is turned away"),
            Err(NoConnection::OutOfDescriptors(..)) => panic!("there are descriptors"),
        };
        self.owners[key] = has;
        match self.connection(key) {
            Some(connection) => format!("{what} {}", self.pool[connection].endpoint()),
            None => what.to_owned(),
        }
    }

    fn connection(&self, key: Key<Has>) -> Option<Key<Connection>> {
        match self.owners[key] {
            Has::Attempt(attempt) => Some(attempt.connection),
            Has::Connection(connection) => Some(connection),
            Has::Nothing | Has::Place(_) => None,
        }
    }

    fn connected(&mut self, key: Key<Has>) {
        if let Has::Attempt(attempt) = self.owners[key] {
            self.pool.connected(attempt);
            self.owners[key] = Has::Connection(attempt.connection);
        }
    }

    /// Lets an owner give back what it has. `keep` says whether its connection may be reused.
    fn give_back(&mut self, key: Key<Has>, keep: bool) {
        match self.owners[key] {
            Has::Nothing => {}
            Has::Place(place) => self.pool.leave_queue(place),
            Has::Attempt(_) | Has::Connection(_) => {
                let connection = self.connection(key).unwrap();
                self.pool[connection].persistent = true;
                self.pool.release(connection, keep, IDLE_MAX, &mut self.around.io());
            }
        }
        self.owners[key] = Has::Nothing;
    }

    /// Begins a turn. Returns the owners that are called, in order.
    fn turn(&mut self) -> Vec<Key<Has>> {
        self.pool.begin_turn(100, &mut self.around.io());
        let mut called = Vec::new();
        self.pool.call_waiting(|owner| called.extend(owner.key()));
        called
    }

    /// Updates the api to another configuration.
    fn reload(&mut self, keys: &str) {
        self.api = api(self.api.targets.len(), keys);
        self.pool.upstream_of(self.api.backend(), &mut self.stats, &mut self.around.io());
    }

    /// The numbers of connections to each endpoint.
    fn open(&self) -> Vec<usize> {
        let upstream = self.pool.upstream(self.upstream).unwrap();
        upstream.endpoints.iter().map(|endpoint| endpoint.open()).collect()
    }

    /// Plays a line of a script. Returns the result.
    fn play(&mut self, line: &str) -> String {
        if line == "turn" {
            let called = self.turn();
            let is_called = |(name, key): (&char, &Key<Has>)| {
                let nth = called.iter().position(|other| other == key)?;
                Some((nth, *name))
            };
            let named: BTreeMap<usize, char> = self.names.iter().filter_map(is_called).collect();
            let names: String = named.into_values().collect();
            return format!("calls {}", if names.is_empty() { "nobody" } else { &names });
        }
        if let Some(keys) = line.strip_prefix("reload ") {
            self.reload(keys);
            return format!("open {:?}", self.open());
        }
        if line == "remove" {
            self.pool.remove_upstream(self.upstream, &mut self.around.io());
            return "gone".to_owned();
        }
        let (name, deed) = line.split_once(' ').unwrap();
        let key = self.key_of(name.chars().next().unwrap());
        match deed {
            "asks" | "goes on" | "fails" => return self.ask(key),
            "is connected" => self.connected(key),
            "returns it" => self.give_back(key, true),
            "closes it" | "leaves" => self.give_back(key, false),
            _ => panic!("{deed}"),
        }
        format!("open {:?}", self.open())
    }
}

/// Scripts: a name, the number of targets, keys of the api, and lines of actions and their results.
const SCRIPTS: &[(&str, usize, &str, &str)] = &[
    (
        "without a limit nobody waits",
        1,
        "",
        "a asks > connects to 0
         b asks > connects to 0
         turn > calls nobody",
    ),
    (
        "the one that waited longest gets what is returned, in the next turn",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         a is connected > open [1]
         b asks > waits
         c asks > waits
         turn > calls nobody
         a returns it > open [1]
         d asks > waits
         turn > calls b
         a asks > waits
         b goes on > reuses 0
         turn > calls nobody
         b closes it > open [0]
         turn > calls c
         c goes on > connects to 0",
    ),
    (
        "an idle connection counts, and is used",
        1,
        "max_upstream = 2",
        "a asks > connects to 0
         a is connected > open [1]
         a returns it > open [1]
         turn > calls nobody
         a asks > reuses 0
         b asks > connects to 0
         c asks > waits",
    ),
    (
        "each endpoint keeps as many idle ones, though they return in one turn",
        2,
        "keepalive_upstream = 1",
        "a asks > connects to 0
         b asks > connects to 1
         c asks > connects to 0
         a is connected > open [2, 1]
         b is connected > open [2, 1]
         c is connected > open [2, 1]
         a returns it > open [2, 1]
         b returns it > open [2, 1]
         c returns it > open [1, 1]
         turn > calls nobody
         a asks > reuses 1
         b asks > reuses 0",
    ),
    (
        "whoever leaves makes way",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > waits
         c asks > waits
         b leaves > open [1]
         a closes it > open [0]
         turn > calls c",
    ),
    (
        "one that was called and leaves makes way, too",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > waits
         c asks > waits
         a closes it > open [0]
         turn > calls b
         b leaves > open [0]
         turn > calls c",
    ),
    (
        "as many are called as there is room for; who comes too early stays where it is",
        1,
        "max_upstream = 2",
        "a asks > connects to 0
         b asks > connects to 0
         c asks > waits
         d asks > waits
         e asks > waits
         a closes it > open [1]
         b closes it > open [0]
         turn > calls cd
         d goes on > waits
         c goes on > connects to 0
         turn > calls d
         d goes on > connects to 0
         turn > calls nobody",
    ),
    (
        "the endpoint that has room is asked",
        2,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > connects to 1
         c asks > waits
         b closes it > open [1, 0]
         turn > calls c
         c goes on > connects to 1",
    ),
    (
        "one that could not connect waits for the other endpoint, and holds up nobody",
        2,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > connects to 1
         b fails > waits
         turn > calls nobody
         c asks > connects to 1
         d asks > waits
         c fails > waits
         turn > calls d
         d goes on > connects to 1
         d is connected > open [1, 1]
         d closes it > open [1, 0]
         turn > calls b",
    ),
    (
        "an attempt that fails keeps its place",
        2,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > connects to 1
         c asks > waits
         d asks > waits
         b closes it > open [1, 0]
         turn > calls c
         c goes on > connects to 1
         c fails > waits
         turn > calls d
         a closes it > open [0, 0]
         turn > calls cd",
    ),
    (
        "if nobody can be connected to, nobody waits",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > waits
         a fails > reaches nobody
         turn > calls b
         b goes on > connects to 0
         b fails > reaches nobody",
    ),
    (
        "a higher limit, or none, lets in who waits",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > waits
         c asks > waits
         d asks > waits
         reload max_upstream = 2 > open [1]
         turn > calls b
         reload > open [1]
         turn > calls bcd",
    ),
    (
        "a lower limit closes idle connections, and keeps none beyond it",
        1,
        "max_upstream = 4",
        "a asks > connects to 0
         b asks > connects to 0
         c asks > connects to 0
         d asks > connects to 0
         a returns it > open [4]
         turn > calls nobody
         reload max_upstream = 2 > open [3]
         e asks > waits
         b returns it > open [2]
         turn > calls nobody
         c returns it > open [2]
         turn > calls e
         e goes on > reuses 0",
    ),
    (
        "a lower number of idle connections closes those beyond it",
        2,
        "keepalive_upstream = 4",
        "a asks > connects to 0
         b asks > connects to 1
         c asks > connects to 0
         d asks > connects to 1
         e asks > connects to 0
         a is connected > open [3, 2]
         b is connected > open [3, 2]
         c is connected > open [3, 2]
         a returns it > open [3, 2]
         b returns it > open [3, 2]
         c returns it > open [3, 2]
         turn > calls nobody
         reload keepalive_upstream = 1 > open [2, 2]
         reload keepalive_upstream = 0 > open [1, 1]",
    ),
    (
        "an api that is gone calls who waits, and turns it away",
        1,
        "max_upstream = 1",
        "a asks > connects to 0
         b asks > waits
         c asks > waits
         remove > gone
         turn > calls bc
         b goes on > is turned away",
    ),
];

#[test]
fn who_waits_and_who_is_called() {
    for (name, targets, keys, script) in SCRIPTS {
        let mut stage = Stage::new(*targets, keys);
        let (mut got, mut want) = (String::new(), String::new());
        for line in script.lines() {
            let line = line.trim_start();
            let (deed, _) = line.split_once(" > ").or(line.split_once(" >")).unwrap();
            let deed = if deed == "reload" { "reload " } else { deed };
            let _ = writeln!(got, "{} > {}", deed.trim_end(), stage.play(deed));
            let _ = writeln!(want, "{line}");
        }
        assert_eq!(got, want, "{name}");
    }
}

/// Random owners ask, return, close and leave. None overtakes another, none waits in vain, and no
/// endpoint has too many connections.
#[test]
fn as_a_plain_list_has_them() {
    for seed in 0..40 {
        let mut dice = Rng::with_seed(seed);
        let (targets, max) = (dice.usize(1..4), dice.usize(1..4));
        let mut stage = Stage::new(targets, &format!("max_upstream = {max}"));
        let owners: Vec<_> = (0..20).map(|_| stage.owners.insert(Has::Nothing)).collect();
        let mut list: Vec<Key<Has>> = Vec::new();
        let mut called: Vec<Key<Has>> = Vec::new();
        for _ in 0..2000 {
            let (key, turns) = (owners[dice.usize(..owners.len())], dice.usize(..3));
            match stage.owners[key] {
                Has::Nothing => {
                    let first = list.is_empty();
                    let waits = stage.ask(key) == "waits";
                    assert!(waits || first, "it has overtaken another");
                    list.extend(waits.then_some(key));
                }
                Has::Place(_) if dice.u8(..4) == 0 => {
                    stage.give_back(key, false);
                    list.retain(|other| *other != key);
                }
                // It was woken for another reason, or not at all.
                Has::Place(place) if stage.pool.is_turn_of(place) == Some(true) => {
                    assert_eq!(list.remove(0), key, "it has overtaken another");
                    assert_ne!(stage.ask(key), "waits", "it was its turn");
                }
                Has::Place(_) => assert_eq!(stage.ask(key), "waits"),
                Has::Attempt(_) => stage.connected(key),
                Has::Connection(_) => stage.give_back(key, dice.bool()),
            }
            for _ in 0..turns {
                called.extend(stage.turn());
                while !called.is_empty() && dice.u8(..5) > 0 {
                    let key = called.swap_remove(dice.usize(..called.len()));
                    let Has::Place(place) = stage.owners[key] else { continue };
                    if stage.pool.is_turn_of(place) == Some(true) {
                        assert_eq!(list.remove(0), key, "it has overtaken another");
                        assert_ne!(stage.ask(key), "waits", "it was its turn");
                    }
                }
            }
            let open = stage.open();
            assert!(open.iter().all(|open| *open <= max), "{open:?} of {max}");
            assert_eq!(stage.pool.miscounted(), None);
            // The owner whose turn it is has been called, or is in the next turn.
            if let Some(first) = list.first()
                && let Has::Place(place) = stage.owners[*first]
                && stage.pool.is_turn_of(place) == Some(true)
            {
                called.extend(stage.turn());
                assert!(called.contains(first), "it is its turn, but it is not called");
            }
        }
    }
}

/// Asking does not examine the queue.
#[test]
fn asking_costs_the_same_however_many_wait() {
    let mut stage = Stage::new(2, "max_upstream = 1");
    for name in ['a', 'b'] {
        stage.play(&format!("{name} asks"));
    }
    let waiting: Vec<_> = (0..10_000).map(|_| stage.owners.insert(Has::Nothing)).collect();
    work::take();
    for key in &waiting {
        assert_eq!(stage.ask(*key), "waits");
    }
    assert_eq!(work::take(), 0);
    // Leaving, from either end, and being called are cheap as well.
    for key in waiting.iter().skip(10).rev().step_by(2).chain(waiting.iter().skip(11).step_by(2)) {
        stage.give_back(*key, false);
    }
    assert_eq!(stage.turn(), []);
    stage.play("a closes it");
    assert_eq!(stage.turn(), [waiting[0]]);
    let work = work::take();
    assert!(work < 40_000, "{work}");
    assert!(size_of::<Queue>() <= 48);
}

/// Nor does checking whose turn it is, while no endpoint that the owner wants has room.
#[test]
fn waiting_costs_the_same_however_many_wait_for_some_endpoints_only() {
    let mut stage = Stage::new(2, "max_upstream = 1");
    for line in ["a asks", "b asks", "a closes it"] {
        stage.play(line);
    }
    for _ in 0..1000 {
        let key = stage.owners.insert(Has::Nothing);
        assert_eq!([(); 2].map(|()| stage.ask(key)), ["connects to 0", "waits"]);
    }
    work::take();
    for (_, has) in stage.owners.iter() {
        let Has::Place(place) = *has else { continue };
        assert_eq!(stage.pool.is_turn_of(place), Some(false));
    }
    assert_eq!(work::take(), 0);
}
