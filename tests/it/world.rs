//! The whole proxy on a simulated network, with time in the test's hands.

use millstream::config::Config;
use millstream::net::sim::{Faults, SimEvent, SimNet};
use millstream::proxy::{Portions, Proxy};
use millstream::session::Service;
use millstream::time::{Now, Tick};

/// A configuration for tests that have no wishes of their own.
pub(crate) const PLAIN: &str = r#"
[server]
listen = ["127.0.0.1:8080"]

[[api]]
name = "plain"
listen_path = "/"
target_url = "http://10.0.0.1:80"
"#;

/// The listener of the proxy's apis is the first, that of the demo source the second.
pub(crate) const SERVICES: [Service; 2] = [Service::Apis, Service::Demo];

/// A proxy, its network and its clock.
pub(crate) struct World {
    pub(crate) proxy: Proxy<SimNet>,
    pub(crate) now: Tick,
    wake: Tick,
    idle_turns: u32,
}

impl World {
    pub(crate) fn new(config: Config, seed: u64, faults: Faults, portions: Portions) -> World {
        Self::with_room_for(1000, config, seed, faults, portions)
    }

    pub(crate) fn with_room_for(
        connections_max: usize,
        config: Config,
        seed: u64,
        faults: Faults,
        portions: Portions,
    ) -> World {
        let net = SimNet::new(seed, faults);
        let now = Tick::ZERO;
        let proxy = Proxy::new(net, config, &SERVICES, connections_max, portions, now);
        World { proxy, now, wake: now, idle_turns: 0 }
    }

    pub(crate) fn net(&mut self) -> &mut SimNet {
        self.proxy.net()
    }

    /// One pass of the loop: deliver events, turn, and check all that must be true.
    ///
    /// # Errors
    /// What is not true.
    pub(crate) fn turn(&mut self) -> Result<(), String> {
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
        if let Some(wrong) = self.proxy.check(self.now) {
            return Err(wrong);
        }
        for (sock, believed) in self.proxy.beliefs() {
            if !self.net().is_truthful(sock, believed) {
                return Err(format!("a wake-up was lost: {sock:?} is believed to be {believed:?}"));
            }
        }
        // The spin: turn after turn at the same moment, and nothing happens.
        let idle = was_due && !told && moves == self.proxy.moves() && self.wake <= self.now;
        self.idle_turns = if idle { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > 2 {
            return Err("the loop spins".to_owned());
        }
        Ok(())
    }

    /// Turns until nothing more happens at this moment.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..100_000 {
            self.turn()?;
            if self.wake > self.now && !self.net().has_events() {
                return Ok(());
            }
        }
        Err("it does not settle".to_owned())
    }

    /// When the proxy wants to be called again.
    pub(crate) fn wake(&self) -> Tick {
        self.wake
    }

    /// Lets time pass.
    pub(crate) fn advance_to(&mut self, at: Tick) {
        assert!(at >= self.now, "time does not go backwards");
        self.now = at;
    }
}
