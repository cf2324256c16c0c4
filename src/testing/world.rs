//! The whole proxy on a simulated network, with time in the hands of whoever drives it: golden
//! transcripts, seeded worlds, and the fuzzer.

use crate::admin::ShellCommand;
use crate::admin::answer::Answer;
use crate::config::{Config, Drain};
use crate::descriptors::Budget;
use crate::edge::listeners::port_at;
use crate::net::Address;
use crate::net::tls::{self, TlsNet};
use crate::proxy::{Common, Portions, Proxy, Terms};
use crate::session::{Port, Service};
use crate::testing::sim::{Faults, SimEvent, SimNet};
use crate::time::{Now, Tick};
use std::collections::BTreeMap;
use std::time::Duration;

/// A configuration for tests that have no wishes of their own.
pub const PLAIN: &str = r#"
[server]
listen = ["127.0.0.1:8080"]

[[api]]
name = "plain"
listen_path = "/"
target_url = "http://10.0.0.1:80"
"#;

/// The listener of the proxy's apis is the first, that of the demo source the second, the
/// operator's the third, the fourth is that of the apis where TLS is spoken, and the last one that
/// for probes.
pub const PORTS: [Port; 5] = [
    Port::plain(Service::Apis),
    Port::plain(Service::Demo),
    Port::plain(Service::Admin),
    Port::secure(Service::Apis),
    Port::plain(Service::Probes),
];

/// Those ports, and what the configuration says of the first address without TLS and with it.
fn ports(config: &Config) -> [Port; 5] {
    let server = &config.server;
    let mut ports = PORTS;
    for (port, addresses) in [(0, &server.listen), (3, &server.listen_tls)] {
        if let Some(address) = addresses.first() {
            ports[port] = port_at(server, address, ports[port].is_secure);
        }
    }
    ports
}

/// A proxy, its network and its clock.
#[derive(Debug)]
pub struct World {
    /// The proxy, over its network.
    pub proxy: Proxy<TlsNet<SimNet>>,
    /// What time it is.
    pub now: Tick,
    /// What was written to the access log, until somebody clears it.
    pub access: String,
    /// What the name server knows.
    pub names: BTreeMap<String, Vec<Address>>,
    wake: Tick,
    idle_turns: usize,
}

impl World {
    /// A world in which nothing has happened yet; a `seed` decides what its network does.
    pub fn new(config: Config, seed: u64, faults: Faults, portions: Portions) -> World {
        Self::within(Budget::unlimited(1000), config, seed, faults, portions)
    }

    /// Like [`World::new`], with limits on the connections.
    pub fn within(
        budget: Budget,
        config: Config,
        seed: u64,
        faults: Faults,
        portions: Portions,
    ) -> World {
        let net = tls::around(SimNet::new(seed, faults), 0);
        let now = Tick::ZERO;
        let ports = ports(&config);
        let terms = Terms { budget, portions, seed, common: Common::of(1), number: 0 };
        let proxy = Proxy::new(net, config, &ports, terms, now);
        World {
            proxy,
            now,
            access: String::new(),
            names: BTreeMap::new(),
            wake: now,
            idle_turns: 0,
        }
    }

    /// The network.
    pub fn net(&mut self) -> &mut SimNet {
        tls::inner(self.proxy.net())
    }

    /// One pass of the loop: deliver events, turn, and check all that must be true.
    ///
    /// # Errors
    /// What is not true.
    pub fn turn(&mut self) -> Result<(), String> {
        let moves = self.proxy.moves();
        let events = self.net().events();
        let told = !events.is_empty();
        for event in events {
            match event {
                SimEvent::Listener(listener) => self.proxy.on_listener(listener),
                SimEvent::Socket(token, ready) => self.proxy.on_socket(token, ready),
            }
        }
        let unix_ms = 1_795_000_000_000 + self.now.as_millis();
        let was_due = self.wake <= self.now;
        self.wake = self.proxy.turn(Now { tick: self.now, unix_ms });
        self.access.push_str(&self.proxy.access().take().0);
        while let Some((host, port)) = self.proxy.next_stale_name() {
            let none = || Err(format!("cannot resolve {host}: no such name"));
            let known = self.names.get(&host).filter(|addresses| !addresses.is_empty());
            let answer = known.cloned().map_or_else(none, Ok);
            self.proxy.name_answered((&host, port), &answer, self.now);
        }
        while let Some((ticket, command)) = self.proxy.next_command() {
            let (status, said) = match command {
                ShellCommand::Drain => (202, "Draining."),
                ShellCommand::Reload => (501, "There is no file."),
                ShellCommand::Inquire(_) => (500, "There is one loop."),
            };
            if command == ShellCommand::Drain {
                self.proxy.drain(self.now);
            }
            self.proxy.answer_command(ticket, Answer::text(status, said), self.now);
            self.wake = self.now;
        }
        if let Some(wrong) = self.proxy.check(self.now) {
            return Err(wrong);
        }
        for (sock, believed) in self.proxy.beliefs() {
            let truth = |net: &SimNet, sock, believed| net.is_truthful(sock, believed);
            if !self.proxy.net().is_truthful(sock, believed, truth) {
                return Err(format!("a wake-up was lost: {sock:?} is believed to be {believed:?}"));
            }
        }
        // The spin: turn after turn at the same moment, and nothing happens; but for timers that
        // were put off since they were set, of which each session has one at most.
        let idle = was_due && !told && moves == self.proxy.moves() && self.wake <= self.now;
        self.idle_turns = if idle { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > 2 + self.proxy.in_use().0 {
            return Err("the loop spins".to_owned());
        }
        Ok(())
    }

    /// Turns until nothing more happens at this moment.
    ///
    /// # Errors
    /// What is not true.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..100_000 {
            self.turn()?;
            if self.wake > self.now && !self.net().has_events() {
                return Ok(());
            }
        }
        Err("it does not settle".to_owned())
    }

    /// Begins a drain in which the port closes at once, and everything has this long to end.
    pub fn drain_within(&mut self, window: Duration) {
        let times = self.proxy.config().drain;
        let drain = Drain { delay: Duration::ZERO, window, answers: window, ..times };
        self.proxy.drain_as(&drain, self.now);
    }

    /// When the proxy wants to be called again.
    pub fn wake(&self) -> Tick {
        self.wake
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// If it would go backwards.
    pub fn advance_to(&mut self, at: Tick) {
        assert!(at >= self.now, "time does not go backwards");
        self.now = at;
    }
}
