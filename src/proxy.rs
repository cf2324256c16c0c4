//! The proxy: everything it owns, and the one way in which anything moves.
//!
//! Events do nothing but set bits and enqueue ([`Proxy::on_socket`], [`Proxy::on_listener`]). A
//! [`Proxy::turn`] expires timers into the queue, accepts a bounded number of connections, and then
//! moves each queued session as far as it goes ([`advance`]). Whatever can make a session move
//! (readable, writable, a timer, a drain) sets a fact and enqueues. There is no second way in, and
//! so no second place in which to forget something.
//!
//! Event loops fail in two ways, the *stall* and the *spin*. [`waits`] makes the first executable:
//! a session that is not queued can name what it waits for, and it is not there yet. The second
//! is kept out by one rule: a deadline that has passed and cannot act is not in the minimum.

mod accept;
mod admin;
mod advance;
mod connect;
mod deadlines;
mod finish;
mod gate;
mod grants;
mod head;
mod hush;
mod live;
mod outage;
mod places;
mod reclaim;
mod record;
mod reload;
mod request;
mod response;
mod scene;
mod streams;
mod tunnel;
mod upstreams;
mod waits;

pub use admin::Ticket;

use crate::access::Queue;
use crate::auth::Hash;
use crate::buf::BufPool;
use crate::config::{self, Api, Config};
use crate::descriptors::Budget;
use crate::http::chunk::{HEADROOM, TAILROOM, TRAILERS_MAX};
use crate::net::{ListenerId, Net, Ready, Token};
use crate::pipe::Io;
use crate::route::Router;
use crate::session::origin::Origin;
use crate::session::places::Counts;
use crate::session::stats::Stats;
use crate::session::upstream::Upstream;
use crate::session::{Service, Session};
use crate::slab::{Key, Slab};
use crate::time::date::HttpDate;
use crate::time::{Now, Tick};
use crate::wheel::Wheel;
use places::Counters;
use std::collections::VecDeque;
use std::rc::Rc;

/// What an idle stream holds: a session, its exchange on the heap, an upstream connection, and the
/// links of its timer; and its method and target, for whoever is told of them. Sockets' slots are
/// the network's; the kernel's part is larger than it all.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use crate::session::exchange::Exchange;
    let links = 16;
    assert!(size_of::<Session>() + size_of::<Exchange>() + size_of::<Upstream>() + links <= 448);
};

/// Client connections, and as many upstream ones, that room is set aside for at the start. More of
/// them grow it.
pub const RESERVED_MAX: usize = 1 << 16;

/// Spare buffers that are kept rather than freed, of each size up to the usual one, in bytes.
const SPARE_BYTES: usize = 256 * 1024;

/// Tokens of upstream connections have the highest bit set, which a key leaves free.
const UPSTREAM_BIT: u64 = 1 << 63;

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

/// Everything, over some network. See the module.
#[derive(Debug)]
pub struct Proxy<N: Net> {
    net: N,
    config: Rc<Config>,
    router: Rc<Router>,
    portions: Portions,
    budget: Budget,
    /// Client connections that are being refused for want of room.
    refused: usize,
    listeners: accept::Listeners,
    reclaimable: reclaim::Reclaimable,
    sessions: Slab<Session>,
    upstreams: Slab<Upstream>,
    /// Where requests go.
    origins: Slab<Origin>,
    /// The origin of each api, in the configuration's order.
    api_origins: Vec<Key<Origin>>,
    /// Targets whose names are to be resolved again, by origin and index.
    stale_names: Vec<(Key<Origin>, usize)>,
    /// Event streams that are open, by their keys; where that is limited.
    key_streams: Counts<Hash>,
    /// Sessions that may be able to move, each once.
    queue: VecDeque<Key<Session>>,
    /// One entry a session, by its index: a promise to look at it.
    timers: Wheel,
    /// One entry an idle upstream connection, by its index.
    idle_timers: Wheel,
    /// Idle upstream connections that had an event.
    spoken: Vec<Key<Upstream>>,
    /// Upstream connections that became idle in this turn.
    returned: Vec<Key<Upstream>>,
    /// How many bytes of heads may wait in one buffer.
    head_room: usize,
    buffers: BufPool,
    /// Where every session reads and frames; nothing stays in it between two steps.
    scratch: Box<[u8]>,
    /// Where every head is written before it is queued.
    head_buf: Vec<u8>,
    /// When what still runs is cut, once the proxy was told to end.
    drain: Option<Tick>,
    /// Where random times come from.
    random: fastrand::Rng,
    /// The wall clock at the beginning of this turn,
    unix_ms: u64,
    /// and as heads say it.
    date: HttpDate,
    /// What is counted.
    stats: Stats,
    /// Lines of the access log that wait to be written.
    access: Queue,
    /// What was logged lately.
    hush: hush::Hush,
    /// What the admin listener needs.
    desk: admin::Desk,
    /// When the clock started, by the wall's clock.
    started_unix_ms: u64,
    /// The number of the last request.
    last_id: u64,
    /// Query parameters that are not told of.
    secret_parameters: Vec<String>,
    /// Steps that changed something: a turn that adds none did nothing.
    moves: u64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something changed: there may be more to do.
    Moved,
    /// Nothing can be done before an event or a deadline.
    Blocked,
    /// Something changed, and it is plain that nothing more can be done before then.
    Settled,
    /// The session is no more.
    Gone,
}

/// What most steps work on, borrowed side by side.
struct Parts<'a, N: Net> {
    session: &'a mut Session,
    upstreams: &'a mut Slab<Upstream>,
    io: Io<'a, N>,
    head_buf: &'a mut Vec<u8>,
    date: &'a str,
    counters: Counters<'a>,
    hush: &'a mut hush::Hush,
}

impl<N: Net> Proxy<N> {
    /// A proxy that serves `config` on listeners of `net`: those of `services`, in order, each
    /// open already. `budget` says how many connections there may be. What it does at random,
    /// `seed` decides.
    pub fn new(
        net: N,
        config: Config,
        services: &[Service],
        budget: Budget,
        portions: Portions,
        seed: u64,
        now: Tick,
    ) -> Proxy<N> {
        let router = Rc::new(config.router());
        let mut stats = Stats::new();
        let mut origins = Slab::new();
        let new = |api: &Api| origins.insert(Origin::of(api, &mut stats, now));
        let api_origins = config.apis.iter().map(new).collect();
        let head_room = head_room(&config, &portions);
        let largest = largest_buffer(head_room, &portions);
        let [usual, bulk] =
            [portions.high_water, portions.window_max].map(|portion| HEADROOM + portion + TAILROOM);
        let room = budget.clients.min(RESERVED_MAX);
        let mut buffers = BufPool::new(usual, bulk, largest, SPARE_BYTES);
        buffers.limit(config.server.max_held_bytes);
        let (mut sessions, mut upstreams) = (Slab::new(), Slab::new());
        let mut timers = Wheel::new(now);
        sessions.reserve(room);
        upstreams.reserve(room);
        timers.reserve(room);
        Proxy {
            net,
            router,
            origins,
            api_origins,
            stale_names: Vec::new(),
            budget,
            refused: 0,
            listeners: accept::Listeners::new(services),
            reclaimable: reclaim::Reclaimable::default(),
            sessions,
            upstreams,
            key_streams: Counts::default(),
            queue: VecDeque::new(),
            timers,
            idle_timers: Wheel::new(now),
            spoken: Vec::new(),
            returned: Vec::new(),
            head_room,
            buffers,
            scratch: vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice(),
            head_buf: Vec::new(),
            drain: None,
            random: fastrand::Rng::with_seed(seed),
            unix_ms: 0,
            date: HttpDate::default(),
            stats,
            access: Queue::default(),
            hush: hush::Hush::default(),
            desk: admin::Desk::default(),
            started_unix_ms: 0,
            last_id: 0,
            secret_parameters: config.secret_parameters(),
            moves: 0,
            config: Rc::new(config),
            portions,
        }
    }

    /// An event of a registered socket: it is written down, and its session queued.
    pub fn on_socket(&mut self, token: Token, ready: Ready) {
        match target_of(token) {
            Target::Session(key) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.conn.ready.set(ready);
                    self.enqueue(key);
                }
            }
            Target::Upstream(key) => self.on_upstream(key, ready),
            Target::Nobody => {}
        }
    }

    /// Connections wait at a listener.
    pub fn on_listener(&mut self, listener: ListenerId) {
        self.listeners.on_ready(listener);
    }

    /// Does what can be done now. The moment at which to be called again if no event comes before:
    /// not after `now` when there is more to do.
    pub fn turn(&mut self, now: Now) -> Tick {
        self.unix_ms = now.unix_ms;
        self.date.set(now.unix_ms);
        self.hush.begin_turn(now.unix_ms);
        if self.started_unix_ms == 0 {
            self.started_unix_ms = now.unix_ms.saturating_sub(now.tick.as_millis());
        }
        self.expire(now.tick);
        self.close_spoken();
        self.pool_returned();
        self.accept_some(now.tick);
        self.make_tick(now);
        // Sessions queued from here on are for the next turn, so that each has its turn.
        for _ in 0..self.queue.len() {
            let Some(key) = self.queue.pop_front() else {
                break;
            };
            if let Some(session) = self.sessions.get_mut(key) {
                session.queued = false;
                self.advance(key, now);
            }
        }
        if !self.queue.is_empty() || self.listeners.can_accept(now.tick) {
            return now.tick;
        }
        let timers = self.timers.next().min(self.idle_timers.next());
        timers.min(self.listeners.resumes_at()).min(self.desk.ticks.next())
    }

    /// Ends it in an orderly way: nothing more is accepted, idle connections close, what runs has
    /// until `deadline`; whoever watches may watch. When it is told again, the earlier deadline
    /// counts.
    pub fn drain(&mut self, now: Tick, deadline: Tick) {
        // Who has come before is served.
        self.accept_all(now);
        self.drain = Some(self.drain.unwrap_or(Tick::NEVER).min(deadline));
        self.spread_ends(now, deadline);
        for listener in self.listeners.close_all(|service| service != Service::Admin) {
            self.net.close_listener(listener);
        }
        self.pool_returned();
        while self.close_some_idle() {}
        let keys: Vec<Key<Session>> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.enqueue(key);
        }
    }

    /// True when it was told to end and has nothing left to do.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.connections() == 0
    }

    /// Nothing is listened for any more.
    pub fn close_listeners(&mut self) {
        for listener in self.listeners.close_all(|_| true) {
            self.net.close_listener(listener);
        }
    }

    /// True when it was told to end.
    pub const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The network: its owner asks it whom an event is for, and a test plays on it.
    pub fn net(&mut self) -> &mut N {
        &mut self.net
    }

    /// The configuration that is served.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Connections of clients that are open: all but the operator's.
    pub fn connections(&self) -> usize {
        self.sessions.len() - self.desk.connections
    }

    fn expire(&mut self, now: Tick) {
        let Proxy { timers, idle_timers, sessions, upstreams, queue, .. } = self;
        timers.expire(now, self.portions.timers_per_turn, |index| {
            if let Some(key) = sessions.key_at(index) {
                enqueue(sessions, queue, key);
            }
        });
        let mut stale = Vec::new();
        idle_timers.expire(now, self.portions.timers_per_turn, |index| {
            stale.extend(upstreams.key_at(index));
        });
        for key in stale {
            self.close_idle_upstream(key);
        }
    }

    fn enqueue(&mut self, key: Key<Session>) {
        enqueue(&mut self.sessions, &mut self.queue, key);
    }

    /// The session, the upstreams and what a pipe works with, side by side.
    fn parts(&mut self, key: Key<Session>, now: Tick) -> Parts<'_, N> {
        let session = &mut self.sessions[key];
        Parts {
            io: Io {
                window: self.buffers.share().min(self.portions.window_max),
                net: &mut self.net,
                scratch: &mut self.scratch,
                buffers: &mut self.buffers,
                now,
                high_water: self.portions.high_water,
                flush_interval: self.config.server.flush_interval,
            },
            session,
            upstreams: &mut self.upstreams,
            head_buf: &mut self.head_buf,
            date: self.date.text(),
            counters: Counters { origins: &self.origins, keys: &self.key_streams },
            hush: &mut self.hush,
        }
    }
}

/// The largest buffer holds heads, or a relayed portion with its framing and trailers, and behind
/// them an answer of ours.
fn largest_buffer(head_room: usize, portions: &Portions) -> usize {
    let relayed = portions.high_water.max(portions.window_max);
    head_room.max(relayed + HEADROOM + TAILROOM + TRAILERS_MAX + finish::ANSWER_MAX)
}

/// The room for a head after it was rewritten, behind what may be pending when it comes (interim
/// responses), and for an answer of ours behind them. Rewriting adds the target's path and host,
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
    before + head.max(HEADROOM + TAILROOM + TRAILERS_MAX) + finish::ANSWER_MAX
}

fn enqueue(sessions: &mut Slab<Session>, queue: &mut VecDeque<Key<Session>>, key: Key<Session>) {
    let session = &mut sessions[key];
    if !session.queued {
        session.queued = true;
        queue.push_back(key);
    }
}

/// Whom a token means.
enum Target {
    Session(Key<Session>),
    Upstream(Key<Upstream>),
    Nobody,
}

fn target_of(token: Token) -> Target {
    let key = token.0 & !UPSTREAM_BIT;
    let target = if token.0 & UPSTREAM_BIT == 0 {
        Key::from_bits(key).map(Target::Session)
    } else {
        Key::from_bits(key).map(Target::Upstream)
    };
    target.unwrap_or(Target::Nobody)
}

fn session_token(key: Key<Session>) -> Token {
    Token(key.to_bits())
}

fn upstream_token(key: Key<Upstream>) -> Token {
    Token(key.to_bits() | UPSTREAM_BIT)
}
