//! What all sessions share: the network, the pool of upstream connections, memory, telemetry, and
//! the configuration.

use crate::apis::Apis;
use crate::buf::BufPool;
use crate::config::{self, Api, Config};
use crate::descriptors::Budget;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::http::chunk::{HEADROOM, TAILROOM, TRAILERS_MAX};
use crate::net::Net;
use crate::pipe::Io;
use crate::pool::Pool;
use crate::route::Router;
use crate::session::Service;
use crate::telemetry::Telemetry;
use crate::time::date::HttpDate;
use crate::time::{Now, Tick};
use std::rc::Rc;
use std::time::Duration;

/// No reply of ours is longer than this, in bytes; but for that to a preflight, in front of which
/// there is nothing.
pub(super) const REPLY_MAX: usize = 1024;

/// Spare buffers that are kept rather than freed, of each size up to the usual one, in bytes.
const SPARE_BYTES: usize = 256 * 1024;

/// The sizes of the loop's portions. The defaults are for production; the simulator draws others,
/// down to one, to meet every boundary.
#[derive(Clone, Debug)]
pub struct Portions {
    /// A source is not read while this many bytes of it are pending.
    pub high_water: usize,
    /// Bytes that are read at once while none are pending, if that is more. Less while others hold
    /// much ([`BufPool::share`]).
    pub window_max: usize,
    /// Steps that a session may take before the others have their turn.
    pub steps_per_turn: usize,
    /// Connections that one turn accepts.
    pub accepts_per_turn: usize,
    /// Timers that one turn expires.
    pub timers_per_turn: usize,
    /// Bytes of a next request that are read on purpose while one is being served; those that came
    /// with its body are kept too.
    pub ahead_max: usize,
}

impl Default for Portions {
    fn default() -> Portions {
        Portions {
            // A buffer for it has 8 KiB with the framing.
            high_water: 8 * 1024 - HEADROOM - TAILROOM,
            window_max: 64 * 1024,
            steps_per_turn: 8,
            accepts_per_turn: 64,
            timers_per_turn: 1024,
            ahead_max: 4 * 1024,
        }
    }
}

/// What all sessions share. See the module.
#[derive(Debug)]
pub(super) struct Shared<N: Net> {
    pub net: N,
    pub edge: Edge,
    pub pool: Pool,
    pub apis: Apis,
    pub memory: Memory,
    pub telemetry: Telemetry,
    pub config: Rc<Config>,
    pub router: Rc<Router>,
    pub portions: Portions,
    /// When what still runs is cut, once the proxy was told to end.
    pub drain: Option<Tick>,
    /// Where random times come from.
    pub random: fastrand::Rng,
    /// The wall clock at the beginning of this turn, as heads say it.
    pub date: HttpDate,
}

impl<N: Net> Shared<N> {
    pub(super) fn new(
        net: N,
        config: Config,
        services: &[Service],
        budget: Budget,
        portions: Portions,
        seed: u64,
        now: Tick,
    ) -> Shared<N> {
        let connections = budget.clients.min(super::RESERVED_MAX);
        let mut shared = Shared {
            net,
            edge: Edge::new(services, budget),
            pool: Pool::new(connections, now),
            apis: Apis::default(),
            memory: Memory::new(&config, &portions),
            telemetry: Telemetry::new(&config),
            router: Rc::new(config.router()),
            config: Rc::new(config),
            portions,
            drain: None,
            random: fastrand::Rng::with_seed(seed),
            date: HttpDate::default(),
        };
        shared.update_apis(now);
        shared
    }

    /// Serves `config` from here on.
    pub(super) fn reload(&mut self, config: Config, budget: Budget, now: Tick) {
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.take_in_released(&mut io);
        self.edge.update(budget);
        self.router = Rc::new(config.router());
        self.memory.update(&config, &self.portions);
        self.telemetry.update(&config);
        self.config = Rc::new(config);
        self.update_apis(now);
        self.close_idle_connections(now);
    }

    fn update_apis(&mut self, now: Tick) {
        let Shared { net, pool, apis, memory, telemetry, config, .. } = self;
        let (mut io, _) = memory.split(net, None, now);
        apis.update(config, pool, &mut telemetry.stats, &mut io);
    }

    /// Closes idle upstream connections until there are no more connections than there may be.
    pub(super) fn close_idle_connections(&mut self, now: Tick) {
        let max = self.edge.upstream_connections_max();
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.close_idle_beyond(max, &mut io);
    }

    /// Closes an upstream connection that is idle. False when there is none.
    pub(super) fn close_some_idle_connection(&mut self, now: Tick) -> bool {
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.close_some_idle(&mut io)
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self, now: Now) {
        self.date.set(now.unix_ms);
        self.telemetry.begin_turn(now);
        let (mut io, _) = self.memory.split(&mut self.net, None, now.tick);
        self.pool.begin_turn(self.portions.timers_per_turn, &mut io);
    }

    /// From here on the proxy ends: nothing more is accepted but for the operator, and idle
    /// connections are closed.
    pub(super) fn begin_drain(&mut self, now: Tick, deadline: Tick) {
        self.drain = Some(self.drain.unwrap_or(Tick::NEVER).min(deadline));
        for listener in self.edge.listeners.close_all(|service| service != Service::Admin) {
            self.net.close_listener(listener);
        }
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.take_in_released(&mut io);
        self.pool.close_idle_beyond(0, &mut io);
    }

    /// Closes the upstream connection that an exchange holds, if it holds one.
    pub(super) fn close_connection(&mut self, exchange: &Exchange) {
        if let Some(connection) = exchange.connection() {
            let (mut io, _) = self.memory.split(&mut self.net, None, Tick::ZERO);
            self.pool.close(connection, &mut io);
        }
    }

    /// Logs a problem that is of no api.
    pub(super) fn log(&mut self, level: log::Level, kind: &'static str, text: &str) {
        self.telemetry.log.log(level, "", kind, text);
    }
}

/// Where bytes stand: the buffers that are lent, and what every step works in.
#[derive(Debug)]
pub(super) struct Memory {
    pub buffers: BufPool,
    /// Where every session reads and frames; nothing stays in it between two steps.
    scratch: Box<[u8]>,
    /// Where every head is written before it is queued.
    head: Vec<u8>,
    /// How many bytes of heads may wait in one buffer.
    head_room: usize,
    high_water: usize,
    window_max: usize,
}

impl Memory {
    fn new(config: &Config, portions: &Portions) -> Memory {
        let head_room = head_room(config, portions);
        let largest = largest_buffer(head_room, portions);
        let [usual, bulk] =
            [portions.high_water, portions.window_max].map(|portion| HEADROOM + portion + TAILROOM);
        let mut buffers = BufPool::new(usual, bulk, largest, SPARE_BYTES);
        buffers.limit(config.server.max_held_bytes);
        Memory {
            buffers,
            scratch: vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice(),
            head: Vec::new(),
            head_room,
            high_water: portions.high_water,
            window_max: portions.window_max,
        }
    }

    /// Buffers only ever grow: exchanges of the configurations before need what they were promised.
    fn update(&mut self, config: &Config, portions: &Portions) {
        self.head_room = self.head_room.max(head_room(config, portions));
        let largest = largest_buffer(self.head_room, portions);
        if largest > self.buffers.largest() {
            self.buffers.grow(largest);
            self.scratch = vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice();
        }
        self.buffers.limit(config.server.max_held_bytes);
    }

    /// How many bytes a head may have that goes on.
    pub(super) const fn head_room(&self) -> usize {
        self.head_room
    }

    /// What a pipe works with, and an empty head beside it.
    pub(super) fn split<'a, N>(
        &'a mut self,
        net: &'a mut N,
        flush_interval: Option<Duration>,
        now: Tick,
    ) -> (Io<'a, N>, &'a mut Vec<u8>) {
        self.head.clear();
        let io = Io {
            window_max: self.window_max,
            net,
            scratch: &mut self.scratch,
            buffers: &mut self.buffers,
            now,
            high_water: self.high_water,
            flush_interval,
        };
        (io, &mut self.head)
    }
}

/// The largest buffer holds heads, or a relayed portion with its framing and trailers, and behind
/// them a reply of ours.
fn largest_buffer(head_room: usize, portions: &Portions) -> usize {
    let relayed = portions.high_water.max(portions.window_max);
    head_room.max(relayed + HEADROOM + TAILROOM + TRAILERS_MAX + REPLY_MAX)
}

/// The room for a head after it was rewritten, behind what may be pending when it comes (interim
/// responses), and for a reply of ours behind them. Rewriting adds the target's path and host,
/// the client's address and host (which may be as long as the head), two bytes for each line, some
/// fields, and those that are configured.
fn head_room(config: &Config, portions: &Portions) -> usize {
    let target = |api: &Api| {
        let query = |t: &config::Target| t.query.as_ref().map_or(0, String::len);
        let length = |t: &config::Target| t.path.len() + query(t) + t.authority.len();
        api.targets.iter().map(length).max().unwrap_or(0)
    };
    let targets = config.apis.iter().map(target).max().unwrap_or(0);
    let changes = |api: &Api| api.request_headers.bytes().max(api.response_headers.bytes());
    let changes = config.apis.iter().map(changes).max().unwrap_or(0);
    let before = portions.high_water.max(config.server.max_head_bytes);
    let head = config.server.max_head_bytes + targets + changes + 2048;
    before + head.max(HEADROOM + TAILROOM + TRAILERS_MAX) + REPLY_MAX
}
