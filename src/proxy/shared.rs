//! What all sessions share: the network, the pool of upstream connections, memory, telemetry, and
//! the configuration.

use super::Terms;
use super::background::auth_requests::AuthRequests;
use super::drain::Tally;
use super::memory::Memory;
use super::phase::Phase;
use super::portions::Portions;
use super::sharing::mirror::Crossing;
use super::step::{self, Step};
use crate::apis::{ApiState, Apis};
use crate::config::{Config, Tls};
use crate::conn::Conn;
use crate::descriptors::Budget;
use crate::edge::Edge;
use crate::exchange::{Exchange, Source};
use crate::net::{Net, Token};
use crate::pool::{Owner, Pool, Role};
use crate::route::Router;
use crate::session::{Port, Service};
use crate::slab::Key;
use crate::telemetry::Telemetry;
use crate::time::date::HttpDate;
use crate::time::{Now, Tick};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// What all sessions share. See the module docs.
#[derive(Debug)]
pub(super) struct Shared<N: Net> {
    pub net: N,
    pub edge: Edge,
    pub pool: Pool,
    pub apis: Apis,
    /// The requests to auth servers.
    pub auth_requests: AuthRequests,
    pub memory: Memory,
    pub telemetry: Telemetry,
    pub config: Rc<Config>,
    /// The TLS part of the configuration, with the files that it names as they were last read.
    pub tls: Arc<Tls>,
    pub router: Rc<Router>,
    pub portions: Portions,
    /// The number of event loops in the process.
    pub loops: usize,
    /// The index of this event loop, counted from 0.
    pub number: usize,
    /// What is in transit between event loops.
    pub crossing: Crossing,
    /// What was open in each event loop at each step of a drain.
    pub drain: Arc<Tally>,
    /// How far the proxy is through its shutdown.
    pub phase: Phase,
    /// The source of random times.
    pub random: fastrand::Rng,
    /// The value of the Date field in this turn.
    pub date: HttpDate,
}

impl<N: Net> Shared<N> {
    pub(super) fn new(
        net: N,
        config: Config,
        ports: &[Port],
        terms: Terms,
        now: Tick,
    ) -> Shared<N> {
        let Terms { budget, portions, seed, common, number } = terms;
        let connections = budget.clients.min(super::RESERVED_MAX);
        let role = Role::of(number, common.loops);
        let mut shared = Shared {
            net,
            edge: Edge::new(ports, &config, budget, common.edge, common.loops),
            pool: Pool::new(connections, common.apis.secret.clone(), role, now),
            apis: Apis::new(common.apis),
            auth_requests: AuthRequests::new(now),
            memory: Memory::new(&config, &portions),
            telemetry: Telemetry::new(&config, common.last_id, common.log),
            router: Rc::new(config.router()),
            tls: Arc::new(config.tls.clone()),
            config: Rc::new(config),
            portions,
            loops: common.loops,
            number,
            crossing: common.crossing,
            drain: common.drain,
            phase: Phase::Serving,
            random: fastrand::Rng::with_seed(seed),
            date: HttpDate::default(),
        };
        shared.update_apis(now);
        shared
    }

    /// Serves `config` from now on.
    pub(super) fn reload(&mut self, config: Config, budget: Budget, now: Tick) {
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.take_in_released(&mut io);
        self.edge.update(&config, budget);
        self.router = Rc::new(config.router());
        self.memory.update(&config, &self.portions);
        self.telemetry.update(&config);
        self.tls = Arc::new(config.tls.clone());
        self.config = Rc::new(config);
        self.update_apis(now);
        self.pool.limit_idle(self.config.server.keepalive_timeout, now);
        self.close_idle_connections(now);
    }

    fn update_apis(&mut self, now: Tick) {
        let Shared { net, pool, apis, memory, telemetry, config, .. } = self;
        let (mut io, _) = memory.split(net, None, now);
        apis.update(config, pool, &mut telemetry.stats, &mut io);
    }

    /// True if the current configuration has this api, and it is active.
    pub(super) fn is_served(&self, api: Key<ApiState>) -> bool {
        self.apis.index_of(api).is_some_and(|index| self.config.apis[index].active)
    }

    /// Closes idle upstream connections until the number of connections is within the limit.
    pub(super) fn close_idle_connections(&mut self, now: Tick) {
        let max = self.edge.upstream_connections_max();
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.close_idle_beyond(max, &mut io);
    }

    /// Closes an idle upstream connection. Returns false if there is none.
    pub(super) fn close_some_idle_connection(&mut self, now: Tick) -> bool {
        let (mut io, _) = self.memory.split(&mut self.net, None, now);
        self.pool.close_some_idle(&mut io)
    }

    /// Prepares for a turn.
    pub(super) fn begin_turn(&mut self, now: Now) {
        self.date.set(now.unix_ms);
        self.telemetry.begin_turn(now);
        let kept = self.auth_requests.kept().get();
        let crossing = self.crossing.bytes() / self.loops;
        self.memory.buffers.count_beside(self.net.held_bytes());
        self.memory.buffers.apart = kept + crossing;
        let (mut io, _) = self.memory.split(&mut self.net, None, now.tick);
        self.pool.begin_turn(self.portions.timers_per_turn, &mut io);
    }

    /// Closes the upstream connection that the exchange holds or waits for, and cancels its pending
    /// auth request, if any.
    pub(super) fn close_connection(&mut self, exchange: &mut Exchange) {
        if let Source::Queued(queued) = exchange.source() {
            self.pool.leave_queue(queued.place);
        }
        let (mut io, _) = self.memory.split(&mut self.net, None, Tick::ZERO);
        step::close_connection(exchange, &mut self.pool, &mut self.auth_requests, &mut io);
    }

    /// Closes the upstream stream of a feed and frees its buffers.
    pub(super) fn close_source(&mut self, exchange: &mut Exchange) {
        self.close_connection(exchange);
        exchange.upload.abandon(&mut self.memory.buffers);
        exchange.response.abandon(&mut self.memory.buffers);
    }

    /// Returns what a step of this exchange works on.
    pub(super) fn step<'a>(
        &'a mut self,
        owner: Owner,
        conn: &'a mut Conn,
        exchange: &'a mut Exchange,
        now: Now,
    ) -> Step<'a, N> {
        let flush_interval = exchange.config.server.flush_interval;
        let (io, out) = self.memory.split(&mut self.net, flush_interval, now.tick);
        Step {
            owner,
            fills: None,
            service: Service::Apis,
            conn,
            peer: None,
            port: 0,
            is_secure: false,
            exchange,
            io,
            out,
            pool: &mut self.pool,
            edge: &mut self.edge,
            apis: &mut self.apis,
            auth_requests: &mut self.auth_requests,
            telemetry: &mut self.telemetry,
            config: &self.config,
            phase: &self.phase,
            random: &mut self.random,
            date: self.date.text(),
            ahead_max: self.portions.ahead_max,
            now,
        }
    }

    /// Begins TLS on a connection that was accepted on a TLS port and registered with `token`.
    ///
    /// # Errors
    /// If TLS is not configured.
    pub(super) fn secure(&mut self, conn: &mut Conn, token: Token) -> io::Result<()> {
        let server = self.tls.server.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        conn.secure(&mut self.net, server, token)
    }

    /// Logs a problem that does not belong to an api.
    pub(super) fn log(&mut self, level: log::Level, kind: &'static str, text: &str) {
        self.telemetry.log.log(level, "", kind, text);
    }
}
