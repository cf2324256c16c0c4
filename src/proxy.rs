//! The proxy: everything it owns, and the only way it makes progress.
//!
//! Events only set bits and wake sessions ([`Proxy::on_socket`], [`Proxy::on_listener`]). A
//! [`Proxy::turn`] expires timers, accepts a bounded number of connections, and then advances each
//! woken session as far as it can go ([`advance`]). Anything that can let a session move (readable,
//! writable, a timer, a drain) sets a flag and wakes it. There is no second path, and so no second
//! place to forget something.
//!
//! Event loops fail in two ways: they *stall* or they *spin*. [`waits`] makes stalls detectable: a
//! session that is not queued can name what it waits for, and that has not happened yet. One rule
//! prevents spinning: a deadline that has passed but cannot act yet is left out of the minimum.

mod accept;
mod admin;
mod advance;
mod background;
mod certificates;
mod common;
mod deadlines;
mod drain;
mod memory;
mod next;
mod phase;
mod portions;
mod reload;
mod sessions;
mod shared;
mod sharing;
mod step;
mod steps;
mod waits;

pub use admin::Ticket;
pub use common::Common;
pub use portions::Portions;
pub use sharing::mirror::Message;

use crate::access::Queue;
use crate::admin::metrics::Usage;
use crate::config::Config;
use crate::descriptors::Budget;
use crate::net::{ListenerId, Net, Ready, Token};
use crate::pool;
use crate::session::{Port, Session};
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::time::{Now, Tick};
use shared::Shared;

/// The memory of an idle stream: a session, its exchange, an upstream connection and its timer
/// links. The request line is extra, if something may still need it. Socket slots belong to the
/// network, and the kernel's share is larger than all of this.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use crate::exchange::Exchange;
    use crate::pool::Connection;
    let links = 16;
    // The exchange is a separate allocation. The allocator adds eight bytes and rounds up to
    // sixteen.
    assert!(size_of::<Exchange>() <= 312);
    let stream = size_of::<Session>() + size_of::<Exchange>() + size_of::<Connection>() + links;
    assert!(stream <= 440);
};

/// The number of client connections, and of upstream connections, to reserve memory for at startup.
/// Beyond that the tables grow.
pub const RESERVED_MAX: usize = 1 << 16;

/// How far, in milliseconds, the wall clock departs from the monotonic one when it is set. Reading
/// them one after the other makes less of a difference, and so does a leap second.
const CLOCK_STEP_MS: u64 = 2000;

/// The whole proxy, over a network `N`. See the module docs.
#[derive(Debug)]
pub struct Proxy<N: Net> {
    tasks: Tasks<Session>,
    shared: Shared<N>,
    /// Health checks of targets.
    checks: Tasks<background::checks::Check>,
    /// Feeds: they fill the logs that many clients read.
    feeds: sharing::feeds::Feeds,
    admin: admin::Admin,
    /// Sessions whose client certificates must be checked again.
    unjudged: Vec<Key<Session>>,
    /// The wall-clock time at the beginning of this turn, in milliseconds since 1970.
    unix_ms: u64,
    /// The wall-clock time at which the monotonic clock started, in milliseconds since 1970, as far
    /// as the wall clock knows it now.
    started_unix_ms: u64,
    /// The number of steps that the last turn could spend on arrivals.
    arrivals: usize,
    /// The number of steps that changed something. A turn that adds none did nothing.
    moves: u64,
}

/// What a proxy is given besides its configuration.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The limits on connections.
    pub budget: Budget,
    /// How much work is done at a time.
    pub portions: Portions,
    /// The seed of all random choices.
    pub seed: u64,
    /// What is shared with the other event loops of the process.
    pub common: Common,
    /// The index of this event loop. The first is 0.
    pub number: usize,
}

impl<N: Net> Proxy<N> {
    /// Creates a proxy that serves `config` on the listeners of `net`, which are already open as
    /// `ports`, in that order.
    pub fn new(net: N, config: Config, ports: &[Port], terms: Terms, now: Tick) -> Proxy<N> {
        let mut tasks = Tasks::new(now);
        tasks.reserve(terms.budget.clients.min(RESERVED_MAX));
        let feeds = sharing::feeds::Feeds::new(terms.number, terms.common.loops, now);
        let mut proxy = Proxy {
            tasks,
            shared: Shared::new(net, config, ports, terms, now),
            checks: Tasks::new(now),
            admin: admin::Admin::new(feeds.deserted()),
            feeds,
            unjudged: Vec::new(),
            unix_ms: 0,
            started_unix_ms: 0,
            arrivals: 0,
            moves: 0,
        };
        proxy.update_checks(now);
        proxy
    }

    /// Makes `/metrics` report resource usage of the process, which `usage` reads from the system.
    pub fn measure_with(&mut self, usage: fn() -> Option<Usage>) {
        self.admin.usage = Some(usage);
    }

    /// Records an event on a registered socket and wakes the session it belongs to.
    pub fn on_socket(&mut self, token: Token, ready: Ready) {
        if let Some(connection) = pool::connection_of(token) {
            let Shared { pool, net, .. } = &mut self.shared;
            if let Some(owner) = pool.on_event(connection, ready, net) {
                self.wake_owner(owner);
            }
        } else if let Some(key) = Key::from_bits(token.0)
            && let Some(session) = self.tasks.get_mut(key)
            && session.conn.heard(&mut self.shared.net, ready)
        {
            self.tasks.wake(key);
        }
    }

    /// Records that a listener has connections to accept.
    pub fn on_listener(&mut self, listener: ListenerId) {
        self.shared.edge.listeners.on_ready(listener);
    }

    /// Does what can be done now. Returns when to call it again if no event comes first: `now` or
    /// earlier if there is more to do.
    pub fn turn(&mut self, now: Now) -> Tick {
        self.read_wall_clock(now);
        self.go_on_draining(now.tick);
        self.tasks.expire(now.tick, self.shared.portions.timers_per_turn);
        self.expire_background(now.tick);
        self.shared.begin_turn(now);
        self.call_waiting();
        self.accept_operators(now);
        self.make_tick(now);
        self.run_feeds(now);
        let mut streamed = false;
        // Sessions woken from here on run in the next turn, so every session gets its turn.
        for _ in 0..self.tasks.queue_len() {
            let Some(key) = self.tasks.next_queued() else { continue };
            let session = &self.tasks[key];
            if session.is_arriving() || session.is_leaving() {
                self.tasks.defer(key);
                continue;
            }
            streamed |= session.is_streaming();
            self.advance(key, now);
        }
        self.serve_arrivals(streamed, now);
        self.run_background(now);
        self.call_waiting();
        let shakes_hands = self.shake_hands(streamed) | self.judge_certificates(now.tick);
        let accepts = self.shared.edge.listeners.resumes_at();
        let waits = self.tasks.has_queued() || self.shared.pool.is_waited_for();
        if shakes_hands || waits || accepts <= now.tick {
            return now.tick;
        }
        let timers = self.tasks.next_timer().min(self.shared.pool.next_timer());
        let timers = timers.min(self.next_of_background());
        let timers = timers.min(accepts).min(self.admin.ticks.next());
        timers.min(self.shared.phase.closes_at())
    }

    /// Takes the time from the wall clock. If that was set, or the host has slept, whatever was
    /// derived from it is derived again.
    fn read_wall_clock(&mut self, now: Now) {
        self.unix_ms = now.unix_ms;
        let started = now.unix_ms.saturating_sub(now.tick.as_millis());
        if started.abs_diff(self.started_unix_ms) >= CLOCK_STEP_MS {
            self.started_unix_ms = started;
            self.expire_certificates(now);
        }
    }

    /// Wakes waiters for an upstream connection that can have one now. Usually there are none.
    #[inline]
    fn call_waiting(&mut self) {
        if self.shared.pool.may_call() {
            self.call_those_who_wait();
        }
    }

    #[inline(never)]
    fn call_those_who_wait(&mut self) {
        let mut called = Vec::new();
        self.shared.pool.call_waiting(|owner| called.push(owner));
        called.into_iter().for_each(|owner| self.wake_owner(owner));
    }

    /// Advances some handshakes, after the sessions that have bytes to move. `streamed` says
    /// whether a stream was advanced in this turn. Returns true if more handshakes could go on.
    fn shake_hands(&mut self, streamed: bool) -> bool {
        let Portions { handshakes_per_turn, handshakes_beside_streams, .. } = self.shared.portions;
        let most = if streamed { handshakes_beside_streams } else { handshakes_per_turn };
        let more = self.shared.net.shake_hands(most);
        while let Some((token, ready)) = self.shared.net.next_ready() {
            self.moves += 1;
            self.on_socket(token, ready);
        }
        more
    }

    /// True when no client can connect any more and no client connection is left.
    pub const fn is_drained(&self) -> bool {
        self.shared.phase.is_closed() && self.connections() == 0
    }

    /// Closes all listeners.
    pub fn close_listeners(&mut self) {
        for listener in self.shared.edge.listeners.open_ones(|_| true) {
            self.shared.edge.listeners.close(listener);
            self.shared.net.close_listener(listener);
        }
    }

    /// True once the proxy was told to shut down.
    pub const fn is_draining(&self) -> bool {
        self.shared.phase.is_draining()
    }

    /// The network. The event loop asks it which socket an event belongs to, and tests drive it.
    pub fn net(&mut self) -> &mut N {
        &mut self.shared.net
    }

    /// The current configuration.
    #[cfg(feature = "sim")]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The number of open client connections, excluding those on the admin listener.
    pub const fn connections(&self) -> usize {
        self.shared.edge.clients()
    }

    /// The number of open client connections of all event loops.
    pub fn connections_of_all(&self) -> usize {
        self.shared.edge.totals.clients()
    }

    /// The number of streams, tunnels and other requests that a drain has cut.
    pub const fn cut_in_drain(&self) -> u64 {
        self.shared.telemetry.cut_in_drain
    }

    /// The queue of access log lines. The caller empties it after each turn.
    pub const fn access(&mut self) -> &mut Queue {
        &mut self.shared.telemetry.access
    }
}

fn session_token(key: Key<Session>) -> Token {
    Token(key.to_bits())
}
