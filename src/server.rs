//! The loop: poll, write down what happened, turn, sleep.
//!
//! The only place that reads a clock, and that knows of mio's poll. Everything it finds out it
//! passes on as facts; everything that follows from them is [`crate::proxy`]'s business.

use crate::admin::Command;
use crate::config::{Config, ListenAddr};
use crate::net::mio::{EventSource, MioNet};
use crate::output::Output;
use crate::proxy::{Portions, Proxy, RESERVED_MAX};
use crate::session::Service;
use crate::sys::{self, Signals};
use crate::time::{Now, Tick};
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// Events that one poll brings at most.
const EVENTS_PER_POLL: usize = 1024;

/// Descriptors that are not for connections: standard streams, the poll, listeners, signals.
const DESCRIPTORS_RESERVED: u64 = 64;

/// The poll token of the signals' pipes. The network's own tokens are below.
const SIGNALS: mio::Token = mio::Token(usize::MAX);

/// The process, listening and ready to run.
#[derive(Debug)]
pub struct Server {
    poll: mio::Poll,
    proxy: Proxy<MioNet>,
    signals: Signals,
    clock: Clock,
    drain_window: Duration,
    /// Where the access log is written.
    output: Output,
    /// How often it was told to end.
    told_to_end: usize,
}

impl Server {
    /// Listens where the configuration says.
    ///
    /// # Errors
    /// What could not be done, and with what.
    pub fn open(mut config: Config) -> Result<Server, String> {
        let descriptors = sys::raise_descriptor_limit()
            .map_err(|e| format!("the limit on open files is not to be had: {e}"))?;
        let poll = mio::Poll::new().map_err(|e| format!("no poll: {e}"))?;
        let registry = poll.registry().try_clone().map_err(|e| format!("no poll: {e}"))?;
        let connections_max = config.server.max_connections.unwrap_or_else(|| {
            let room = descriptors.saturating_sub(DESCRIPTORS_RESERVED) / 2;
            usize::try_from(room.max(1)).unwrap_or(usize::MAX)
        });
        let mut net = MioNet::new(registry, 2 * connections_max.min(RESERVED_MAX));
        let services = open_listeners(&mut config, &mut net)?;
        let mut signals = Signals::new().map_err(|e| format!("no signals: {e}"))?;
        for source in signals.sources() {
            poll.registry()
                .register(source, SIGNALS, mio::Interest::READABLE)
                .map_err(|e| format!("no signals: {e}"))?;
        }
        let clock = Clock::start();
        let drain_window = config.drain.window;
        let (portions, now) = (Portions::default(), clock.now().tick);
        let proxy = Proxy::new(net, config, &services, connections_max, portions, sys::seed(), now);
        let output = Output::start().map_err(|e| format!("no thread for the access log: {e}"))?;
        Ok(Server { poll, proxy, signals, clock, drain_window, output, told_to_end: 0 })
    }

    /// [`Config::summary`] of what runs here, with the ports that the system chose.
    pub fn summary(&self) -> String {
        self.proxy.config().summary()
    }

    /// Runs until it is told to end and has ended what was running.
    ///
    /// # Errors
    /// When polling fails.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = mio::Events::with_capacity(EVENTS_PER_POLL);
        loop {
            let now = self.clock.now();
            let wake = self.proxy.turn(now);
            let asked = self.obey(now.tick);
            if self.proxy.is_drained() && !asked {
                self.proxy.close_listeners();
                break;
            }
            let late = self.output.take_from(self.proxy.access(), now.tick);
            let wake = if asked { now.tick } else { wake.min(late) };
            let timeout = (wake != Tick::NEVER).then(|| wake.since(now.tick));
            match self.poll.poll(&mut events, timeout) {
                // By a signal, which has a descriptor of its own to report it.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            if self.record(&events) {
                let arrived = self.signals.take();
                if arrived.reload > 0 {
                    log::warn!("SIGHUP: the file is not read again; restart to change it");
                }
                if arrived.end > 0 {
                    self.told_to_end += arrived.end;
                    self.end_running();
                }
            }
        }
        self.output.finish(self.proxy.access());
        Ok(())
    }

    /// Does what the operator has asked for by the admin listener. True when that was anything.
    fn obey(&mut self, now: Tick) -> bool {
        let mut asked = false;
        while let Some((ticket, command)) = self.proxy.next_command() {
            asked = true;
            let (status, said) = match command {
                Command::Drain => {
                    // A second time it is no more urgent: that is what signals are for.
                    if self.told_to_end == 0 {
                        self.told_to_end = 1;
                        self.end_running();
                    }
                    (202, format!("Draining; what runs has {:?}.", self.drain_window))
                }
                Command::Reload => {
                    (501, "The file is not read again; restart to change it.".to_owned())
                }
            };
            self.proxy.answer_command(ticket, status, &said, now);
        }
        asked
    }

    /// Writes down what a poll has brought, before anything comes of it. True when signals are
    /// among it.
    fn record(&mut self, events: &mio::Events) -> bool {
        let mut signals = false;
        for event in events {
            if event.token() == SIGNALS {
                signals = true;
                continue;
            }
            match self.proxy.net().source_of(event) {
                Some(EventSource::Listener(id)) => self.proxy.on_listener(id),
                Some(EventSource::Socket(token, ready)) => self.proxy.on_socket(token, ready),
                None => {}
            }
        }
        signals
    }

    /// Once: what runs has the drain window. Twice: it has no time at all.
    fn end_running(&mut self) {
        let running = self.proxy.connections();
        let now = self.clock.now().tick;
        if self.told_to_end > 1 {
            log::info!("told again: ending at once, {running} connections are cut");
            self.proxy.drain(now, now);
        } else {
            let window = self.drain_window;
            log::info!(
                "draining: {running} connections have {window:?}; another signal ends them at once"
            );
            self.proxy.drain(now, now.after(self.drain_window));
        }
    }
}

/// Opens all listeners, in the order of the services that come back. Where the configuration says
/// port 0, it says afterwards which port that has become.
fn open_listeners(config: &mut Config, net: &mut MioNet) -> Result<Vec<Service>, String> {
    let (reuse_port, write_timeout) = (config.server.reuse_port, config.server.write_timeout);
    let mut open = |address: &ListenAddr| {
        sys::listen(address, reuse_port, write_timeout)
            .and_then(|listener| {
                let bound = listener.address()?;
                net.add_listener(listener)?;
                Ok(bound)
            })
            .map_err(|e| format!("cannot listen on {address}: {e}"))
    };
    let mut services = Vec::new();
    for address in &mut config.server.listen {
        if let Some(bound) = open(address)? {
            *address = ListenAddr::Tcp(bound);
        }
        services.push(Service::Apis);
    }
    if let Some(admin) = &mut config.admin {
        admin.listen = open(&admin.listen)?.map_or_else(|| admin.listen.clone(), ListenAddr::Tcp);
        services.push(Service::Admin);
    }
    if let Some(demo) = &mut config.demo {
        demo.listen = open(&ListenAddr::Tcp(demo.listen))?.unwrap_or(demo.listen);
        services.push(Service::Demo);
    }
    Ok(services)
}

/// The clocks, read once a turn.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]
impl Clock {
    fn start() -> Clock {
        Clock { started: Instant::now() }
    }

    fn now(self) -> Now {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            tick: Tick::from_millis(millis(self.started.elapsed())),
            unix_ms: millis(unix.unwrap_or_default()),
        }
    }
}
