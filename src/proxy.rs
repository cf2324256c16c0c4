//! The proxy: everything it owns, and the one way in which anything moves.
//!
//! Events do nothing but set bits and wake ([`Proxy::on_socket`], [`Proxy::on_listener`]). A
//! [`Proxy::turn`] lets timers wake, accepts a bounded number of connections, and then moves each
//! session that was woken as far as it goes ([`advance`]). Whatever can make a session move
//! (readable, writable, a timer, a drain) sets a fact and wakes it. There is no second way in, and
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
mod demo;
mod drain;
mod ends;
mod grants;
mod head;
mod local;
mod memory;
mod next;
mod outage;
mod portions;
mod relay;
mod reload;
mod request;
mod response;
mod sessions;
mod shared;
mod step;
mod streams;
mod tunnel;
mod waits;

pub use admin::Ticket;
pub use portions::Portions;

use crate::access::Queue;
use crate::config::Config;
use crate::descriptors::Budget;
use crate::net::{ListenerId, Net, Ready, Token};
use crate::pool::{self, Owner};
use crate::session::{Service, Session};
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::telemetry::Stats;
use crate::time::{Now, Tick};
use shared::Shared;

/// What an idle stream holds: a session, its exchange and what only streams have on the heap, an
/// upstream connection, and the links of its timer; and its method and target, for whoever is told
/// of them. Sockets' slots are the network's; the kernel's part is larger than it all.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use crate::exchange::{Exchange, Stream};
    use crate::pool::Connection;
    let links = 16;
    let heap = size_of::<Exchange>() + size_of::<Stream>();
    assert!(size_of::<Session>() + heap + size_of::<Connection>() + links <= 448);
};

/// Client connections, and as many upstream ones, that room is set aside for at the start. More of
/// them grow it.
pub const RESERVED_MAX: usize = 1 << 16;

/// Everything, over some network. See the module.
#[derive(Debug)]
pub struct Proxy<N: Net> {
    tasks: Tasks<Session>,
    shared: Shared<N>,
    admin: admin::Admin,
    /// The wall clock at the beginning of this turn, in milliseconds since 1970.
    unix_ms: u64,
    /// When the clock started, by the wall's clock.
    started_unix_ms: u64,
    /// Steps that changed something: a turn that adds none did nothing.
    moves: u64,
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
        let mut tasks = Tasks::new(now);
        tasks.reserve(budget.clients.min(RESERVED_MAX));
        Proxy {
            tasks,
            shared: Shared::new(net, config, services, budget, portions, seed, now),
            admin: admin::Admin::default(),
            unix_ms: 0,
            started_unix_ms: 0,
            moves: 0,
        }
    }

    /// An event of a registered socket: it is written down, and its session woken.
    pub fn on_socket(&mut self, token: Token, ready: Ready) {
        if let Some(connection) = pool::connection_of(token) {
            let owner = self.shared.pool.on_event(connection, ready);
            if let Some(key) = owner.and_then(Owner::key) {
                self.tasks.wake(key);
            }
        } else if let Some(key) = Key::from_bits(token.0)
            && let Some(session) = self.tasks.get_mut(key)
        {
            session.conn.ready.set(ready);
            self.tasks.wake(key);
        }
    }

    /// Connections wait at a listener.
    pub fn on_listener(&mut self, listener: ListenerId) {
        self.shared.edge.listeners.on_ready(listener);
    }

    /// Does what can be done now. The moment at which to be called again if no event comes before:
    /// not after `now` when there is more to do.
    pub fn turn(&mut self, now: Now) -> Tick {
        self.unix_ms = now.unix_ms;
        if self.started_unix_ms == 0 {
            self.started_unix_ms = now.unix_ms.saturating_sub(now.tick.as_millis());
        }
        self.tasks.expire(now.tick, self.shared.portions.timers_per_turn);
        self.shared.begin_turn(now);
        self.accept_some(now);
        self.make_tick(now);
        // Sessions that are woken from here on are for the next turn, so that each has its turn.
        for _ in 0..self.tasks.queue_len() {
            match self.tasks.next_queued() {
                Some(key) if self.tasks[key].is_arriving() => self.tasks.defer(key),
                Some(key) => self.advance(key, now),
                None => {}
            }
        }
        for _ in 0..self.shared.portions.arrivals_per_turn {
            if let Some(key) = self.tasks.next_deferred() {
                self.advance(key, now);
            }
        }
        let listeners = &self.shared.edge.listeners;
        if self.tasks.has_queued() || listeners.can_accept(now.tick) {
            return now.tick;
        }
        let timers = self.tasks.next_timer().min(self.shared.pool.next_timer());
        timers.min(listeners.resumes_at()).min(self.admin.ticks.next())
    }

    /// True when it was told to end and has nothing left to do.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.connections() == 0
    }

    /// Nothing is listened for any more.
    pub fn close_listeners(&mut self) {
        for listener in self.shared.edge.listeners.close_all(|_| true) {
            self.shared.net.close_listener(listener);
        }
    }

    /// True when it was told to end.
    pub const fn is_draining(&self) -> bool {
        self.shared.drain.is_some()
    }

    /// The network: its owner asks it whom an event is for, and a test plays on it.
    pub fn net(&mut self) -> &mut N {
        &mut self.shared.net
    }

    /// The configuration that is served.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Connections of clients that are open: all but the operator's.
    pub const fn connections(&self) -> usize {
        self.shared.edge.clients()
    }

    /// Lines of the access log, which somebody has to take away after each turn.
    pub const fn access(&mut self) -> &mut Queue {
        &mut self.shared.telemetry.access
    }

    /// What is counted.
    pub const fn stats(&self) -> &Stats {
        &self.shared.telemetry.stats
    }
}

fn session_token(key: Key<Session>) -> Token {
    Token(key.to_bits())
}
