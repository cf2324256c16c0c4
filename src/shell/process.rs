//! The loop: poll, write down what happened, turn, sleep.
//!
//! The only place that reads a clock, and that knows of mio's poll. Everything it finds out it
//! passes on as facts; everything that follows from them is [`crate::proxy`]'s business.

use super::jobs::{Done, Errand, Errands};
use super::listeners::{self, Listening};
use super::logger;
use super::output::Output;
use super::service::{self, Inherited};
use super::sys::{self, Signals};
use crate::admin::Command;
use crate::config::Config;
use crate::net::mio::{EventSource, MioNet};
use crate::proxy::{Portions, Proxy, RESERVED_MAX, Ticket};
use crate::session::Service;
use crate::slab::Key;
use crate::time::{Now, Tick, millis};
use std::io;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// Events that one poll brings at most.
const EVENTS_PER_POLL: usize = 1024;

/// The poll token of the signals' pipes. The network's own tokens are below.
const SIGNALS: mio::Token = mio::Token(usize::MAX);

/// The poll token of the errands' waker.
const ERRANDS: mio::Token = mio::Token(usize::MAX - 1);

/// The process, listening and ready to run.
#[derive(Debug)]
pub struct Process {
    poll: mio::Poll,
    proxy: Proxy<MioNet>,
    signals: Signals,
    errands: Errands,
    clock: Clock,
    listening: Vec<Listening>,
    /// How many descriptors the process may have.
    descriptors: u64,
    /// The file of the configuration, if it is that of one.
    file: Option<PathBuf>,
    reading: Reading,
    /// Who waits for what comes of that.
    asked_to_read: Vec<Ticket>,
    /// Where the access log is written.
    output: Output,
    /// How often it was told to end.
    told_to_end: usize,
}

/// Whether the configuration is being read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    No,
    /// Next: `No`, when it has been read.
    Yes,
    /// It may have changed since the reading began. Next: `Yes`.
    AndAgain,
}

impl Process {
    /// Listens where the configuration says. It is that of `file`, if it is that of one.
    ///
    /// # Errors
    /// What could not be done, and with what.
    pub fn open(mut config: Config, file: Option<PathBuf>) -> Result<Process, String> {
        let descriptors = sys::raise_descriptor_limit()
            .map_err(|e| format!("the limit on open files is not to be had: {e}"))?;
        for warning in config.warnings(Some(descriptors)) {
            log::warn!("{warning}");
        }
        let poll = mio::Poll::new().map_err(|e| format!("no poll: {e}"))?;
        let registry = poll.registry().try_clone().map_err(|e| format!("no poll: {e}"))?;
        let waker = mio::Waker::new(poll.registry(), ERRANDS);
        let errands = Errands::new(waker.map_err(|e| format!("no waker: {e}"))?);
        let inherited = Inherited::take().map_err(|e| format!("a socket that was passed: {e}"));
        let mut inherited = inherited?;
        let budget = config.budget(descriptors);
        let mut net = MioNet::new(registry, 2 * budget.clients.min(RESERVED_MAX));
        let listening = listeners::open(&mut config, &[], &mut inherited, &mut net)?;
        for address in inherited.left() {
            log::warn!("a socket was passed that nothing listens on: {address}");
        }
        if let Some(user) = &config.server.user {
            service::become_user(user, &config.socket_files())
                .map_err(|e| format!("server.user: {e}"))?;
        }
        service::renounce_privileges();
        let mut signals = Signals::new().map_err(|e| format!("no signals: {e}"))?;
        for source in signals.sources() {
            poll.registry()
                .register(source, SIGNALS, mio::Interest::READABLE)
                .map_err(|e| format!("no signals: {e}"))?;
        }
        let mut clock = Clock::start();
        let (portions, now) = (Portions::default(), clock.now().tick);
        let services: Vec<Service> = listening.iter().map(|l| l.service).collect();
        let seed = sys::seed();
        let proxy = Proxy::new(net, config, &services, budget, portions, seed, now);
        Ok(Process {
            poll,
            proxy,
            signals,
            errands,
            clock,
            listening,
            descriptors,
            file,
            reading: Reading::No,
            asked_to_read: Vec::new(),
            output: Output::to_stdout(),
            told_to_end: 0,
        })
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
        service::notify("READY=1");
        loop {
            let now = self.clock.now();
            let wake = self.proxy.turn(now);
            self.send_for_names();
            let obeyed = self.obey(now.tick);
            if self.proxy.is_drained() && !obeyed {
                self.proxy.close_listeners();
                break;
            }
            let late = self.output.take_from(self.proxy.access(), now.tick);
            let wake = if obeyed { now.tick } else { wake.min(late) };
            let timeout = (wake != Tick::NEVER).then(|| wake.since(now.tick));
            match self.poll.poll(&mut events, timeout) {
                // By a signal, which has a descriptor of its own to report it.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            let told = self.record(&events);
            if told.signals {
                let arrived = self.signals.take();
                if arrived.reload > 0 {
                    self.read_again();
                }
                if arrived.end > 0 {
                    self.told_to_end += arrived.end;
                    self.end_running();
                }
            }
            while told.errands
                && let Some(done) = self.errands.take()
            {
                self.errand_done(done);
            }
        }
        self.output.finish(self.proxy.access());
        Ok(())
    }

    /// Does what the operator has asked for by the admin listener. True when that was anything.
    fn obey(&mut self, now: Tick) -> bool {
        let mut obeyed = false;
        while let Some((ticket, command)) = self.proxy.next_command() {
            obeyed = true;
            match command {
                Command::Drain => {
                    // A second time it is no more urgent: that is what signals are for.
                    if self.told_to_end == 0 {
                        self.told_to_end = 1;
                        self.end_running();
                    }
                    let window = self.proxy.config().drain.window;
                    let said = format!("Draining; what runs has {window:?}.");
                    self.proxy.answer_command(ticket, 202, &said, now);
                }
                Command::Reload if self.file.is_none() => {
                    let said = "There is no configuration file to be read again.";
                    self.proxy.answer_command(ticket, 409, said, now);
                }
                Command::Reload => {
                    self.asked_to_read.push(ticket);
                    self.read_again();
                }
            }
        }
        obeyed
    }

    /// Names that are to be resolved again are resolved beside the loop.
    fn send_for_names(&mut self) {
        while let Some(((key, place), host, port)) = self.proxy.next_stale_name() {
            let errand = Errand::Resolve { whose: (key.to_bits(), place), host, port };
            if let Err(error) = self.errands.send(errand) {
                self.proxy.name_answered(key, place, &Err(error.to_string()));
            }
        }
    }

    /// The file is read again, beside the loop. What comes of it comes as [`Done::Loaded`].
    fn read_again(&mut self) {
        let Some(file) = &self.file else {
            log::warn!("there is no configuration file to be read again");
            return;
        };
        if self.reading != Reading::No {
            self.reading = Reading::AndAgain;
            return;
        }
        match self.errands.send(Errand::Load(file.clone())) {
            Ok(()) => self.reading = Reading::Yes,
            Err(error) => self.was_read(Err(error.to_string())),
        }
    }

    /// Tells what came of reading the configuration again.
    fn was_read(&mut self, result: Result<(), String>) {
        let (status, said) = match result {
            Ok(()) => {
                log::info!("the configuration was read again, and is served");
                (200, "The configuration was read again, and is served.".to_owned())
            }
            Err(errors) => {
                for error in errors.lines() {
                    log::error!("the configuration stays as it is: {error}");
                }
                (422, format!("The configuration stays as it is.\n{errors}"))
            }
        };
        let now = self.clock.now().tick;
        for ticket in std::mem::take(&mut self.asked_to_read) {
            self.proxy.answer_command(ticket, status, &said, now);
        }
    }

    fn errand_done(&mut self, done: Done) {
        match done {
            Done::Resolved((key, place), answer) => {
                if let Some(key) = Key::from_bits(key) {
                    self.proxy.name_answered(key, place, &answer);
                }
            }
            Done::Loaded(loaded) => {
                let again = self.reading == Reading::AndAgain;
                self.reading = Reading::No;
                let loaded = loaded.map_err(|errors| errors.to_string());
                let result = loaded.and_then(|config| self.reload(config));
                self.was_read(result);
                if again {
                    self.read_again();
                }
            }
        }
    }

    /// Serves another configuration. Nothing of it if there is a place where it cannot listen.
    fn reload(&mut self, mut config: Config) -> Result<(), String> {
        if self.proxy.is_draining() {
            return Err("it is ending".to_owned());
        }
        if config.server.user != self.proxy.config().server.user {
            return Err("server.user: it cannot be changed while running; restart".to_owned());
        }
        let (present, mut inherited) = (&self.listening, Inherited::default());
        let listening = listeners::open(&mut config, present, &mut inherited, self.proxy.net())?;
        for new in listening.iter().filter(|new| !self.listening.contains(new)) {
            self.proxy.open_listener(new.id, new.service);
        }
        for old in self.listening.iter().filter(|old| !listening.contains(old)) {
            self.proxy.close_listener(old.id);
        }
        self.listening = listening;
        logger::set_level(config.log.level);
        let known = self.proxy.config().warnings(Some(self.descriptors));
        let warnings = config.warnings(Some(self.descriptors)).into_iter();
        for new in warnings.filter(|warning| !known.contains(warning)) {
            log::warn!("{new}");
        }
        let budget = config.budget(self.descriptors);
        self.proxy.reload(config, budget, self.clock.now().tick);
        Ok(())
    }

    /// Writes down what a poll has brought, before anything comes of it.
    fn record(&mut self, events: &mio::Events) -> Told {
        let mut told = Told { signals: false, errands: false };
        for event in events {
            match event.token() {
                SIGNALS => told.signals = true,
                ERRANDS => told.errands = true,
                _ => match self.proxy.net().source_of(event) {
                    Some(EventSource::Listener(id)) => self.proxy.on_listener(id),
                    Some(EventSource::Socket(token, ready)) => self.proxy.on_socket(token, ready),
                    None => {}
                },
            }
        }
        told
    }

    /// Once: what runs has the drain window. Twice: it has no time at all.
    fn end_running(&mut self) {
        service::notify("STOPPING=1");
        let running = self.proxy.connections();
        let now = self.clock.now().tick;
        if self.told_to_end > 1 {
            log::info!("told again: ending at once, {running} connections are cut");
            self.proxy.drain(now, now);
        } else {
            let window = self.proxy.config().drain.window;
            log::info!(
                "draining: {running} connections have {window:?}; another signal ends them at once"
            );
            self.proxy.drain(now, now.after(window));
        }
    }
}

/// What a poll has brought beside the network's events.
#[derive(Clone, Copy, Debug)]
struct Told {
    signals: bool,
    errands: bool,
}

/// The clocks, read once a turn; that of the wall less often, for it is asked for nothing but what
/// people read.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
    /// What the wall's clock said last,
    unix_ms: u64,
    /// and when.
    read_at: Tick,
}

/// How long the wall's clock is taken to go as the monotonic one does, in milliseconds. When it is
/// read again it may have been set, and go back.
const SAME_PACE_MS: u64 = 100;

#[expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]
impl Clock {
    fn start() -> Clock {
        let mut clock = Clock { started: Instant::now(), unix_ms: 0, read_at: Tick::ZERO };
        clock.read_wall(Tick::ZERO);
        clock
    }

    fn now(&mut self) -> Now {
        let tick = Tick::from_millis(millis(self.started.elapsed()));
        if tick.as_millis() - self.read_at.as_millis() >= SAME_PACE_MS {
            self.read_wall(tick);
        }
        Now { tick, unix_ms: self.unix_ms + (tick.as_millis() - self.read_at.as_millis()) }
    }

    fn read_wall(&mut self, now: Tick) {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        (self.unix_ms, self.read_at) = (millis(unix.unwrap_or_default()), now);
    }
}
