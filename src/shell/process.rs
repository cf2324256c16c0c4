//! The process: signals, the configuration file, reloads, and everything else there is one of.
//!
//! It owns the event loops ([`Loops`]), and runs the first of them on the main thread. What process
//! and loops exchange are values, which reach a loop on another thread through a mailbox:
//!
//! - to a loop: a configuration to serve, the order to drain or to close everything, the addresses
//!   of a name, and the answer to an operator's command;
//! - from a loop: commands of the admin listener, names to resolve, access log lines, and the
//!   number of connections.

use super::clock::unix_ms;
use super::event_loop::Turn;
use super::inquiries::{ANSWER_WITHIN, For, Inquiries};
use super::jobs::{Completion, Job, Jobs};
use super::logger;
use super::loops::{Loops, Openings, Report};
use super::output::Output;
use super::resolver::Name;
use super::sandbox::Sandbox;
use super::service::{self, Inherited};
use super::stop::{self, Stop};
use super::sys::{self, Signals};
use super::watch::{Changes, Notices};
use crate::admin::answer::Answer;
use crate::admin::parts::Inquiry;
use crate::admin::{RELOADED, ShellCommand};
use crate::config::{Config, ConfigErrors, Expiry, Renewal, Sources};
use crate::proxy::Ticket;
use crate::time::Tick;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The process, listening and ready to run.
#[derive(Debug)]
pub struct Process {
    loops: Loops,
    /// The operator's questions to all loops.
    inquiries: Inquiries,
    signals: Signals,
    jobs: Jobs,
    output: Output,
    /// The number of event loops.
    workers: usize,
    /// The limit on open files.
    descriptors: u64,
    inherited: Inherited,
    /// The configuration file. None if the configuration came from the command line.
    file: Option<PathBuf>,
    /// True exactly when the command line asked for a sandbox.
    sandbox: bool,
    /// True exactly when it runs in a sandbox.
    is_confined: bool,
    reload: Reload,
    /// The state of the configuration's files, if they are to be reloaded when they change.
    changes: Option<Changes>,
    /// Reports such changes, where the system can.
    notices: Option<Notices>,
    /// The errors for which a configuration was last refused.
    refused: String,
    /// What the reload that is going on adds and removes, to be logged when it is over.
    changed: String,
    /// The event loops that have not reported yet that they can serve, or that they serve, the
    /// loaded configuration.
    awaited: BTreeSet<usize>,
    /// Why one of them cannot serve it.
    cannot: Option<String>,
    /// Until when the reload waits for them before its operators are answered. [`Tick::NEVER`] if
    /// there is no limit.
    await_until: Tick,
    /// True exactly when an operator has asked for the reload, and waits for its result.
    is_asked: bool,
    /// The operators' commands that are answered when this reload is over.
    reload_tickets: Vec<Ticket>,
    /// The operators' commands that are answered when the reload after it is over.
    later_tickets: Vec<Ticket>,
    /// When certificates are checked next.
    look_at: Tick,
    /// True exactly when a job is checking their files.
    looks: bool,
    /// The last warnings about certificates that expire soon.
    expiries: Vec<Expiry>,
    stop: Stop,
}

/// How a process was started, apart from its configuration.
#[derive(Debug)]
pub struct Start {
    /// The configuration file, which a reload reads again. None if the configuration came from the
    /// command line.
    pub file: Option<PathBuf>,
    /// True exactly when the command line asked for a sandbox, whatever the configuration says.
    pub sandbox: bool,
    /// The number of event loops ([`super::loops::count_workers`]). [`Config::fits`] must have
    /// accepted it.
    pub workers: usize,
    /// The sandbox, if there is one, which confines files already.
    pub confined: Option<Sandbox>,
    /// The signals, which have been caught since the start began.
    pub signals: Signals,
}

/// How often certificates are checked for expiry if their files are not watched.
const EXPIRIES_EVERY: Duration = Duration::from_secs(3600);

/// Whether the configuration file is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    /// It is not being loaded.
    Idle,
    /// A job loads it, and then all event loops are told to serve it. Next: `Idle`, when they do.
    Loading,
    /// A job loads it, and the file may have changed since. Next: `Loading`.
    LoadingTwice,
}

impl Process {
    /// Opens the listeners of `config`, switches to the user that it names, closes the sandbox if
    /// there is one, and prepares to run.
    ///
    /// # Errors
    /// If any of this fails; the error says what and why.
    pub fn open(config: Config, mut start: Start) -> Result<Process, String> {
        let descriptors = sys::raise_descriptor_limit()
            .map_err(|e| format!("cannot read the open-file limit: {e}"))?;
        let (look_every, expiries) = (config.tls.look_every, config.tls.expiries(unix_ms()));
        for warning in config.warnings(Some(descriptors), start.workers) {
            log::warn!("{warning}");
        }
        for Expiry { text, .. } in &expiries {
            log::warn!("{text}");
        }
        let inherited =
            Inherited::take().map_err(|e| format!("cannot use an inherited socket: {e}"))?;
        let workers = start.workers;
        let openings = Openings::open(config, workers, descriptors, &inherited);
        let openings = openings.map_err(|wrong| {
            // Without a file, the address comes from the command line.
            let of_option = wrong.strip_prefix("server.listen").filter(|_| start.file.is_none());
            of_option.map(|what| format!("--listen{what}")).unwrap_or(wrong)
        })?;
        let config = openings.config();
        for what in inherited.not_used(&config.addresses()) {
            log::warn!("{what}");
        }
        if let Some(user) = &config.server.user {
            let files: Vec<_> = openings.socket_files().collect();
            service::become_user(user, &files).map_err(|e| format!("server.user: {e}"))?;
        }
        service::set_no_new_privileges();
        if let Some(sandbox) = &start.confined {
            sandbox.close();
        }
        let (loops, output, waker) = openings.start()?;
        for source in start.signals.sources() {
            loops.first.watch(source).map_err(|e| format!("cannot watch signals: {e}"))?;
        }
        let config = loops.config();
        let sources = config.server.reload_on_change.then(|| config.sources.clone());
        Ok(Process {
            changes: sources.map(|sources| Changes::since(sources, Tick::ZERO)),
            notices: None,
            refused: String::new(),
            changed: String::new(),
            awaited: BTreeSet::new(),
            cannot: None,
            await_until: Tick::NEVER,
            is_asked: false,
            loops,
            inquiries: Inquiries::default(),
            workers,
            signals: start.signals,
            jobs: Jobs::new(waker),
            output,
            descriptors,
            inherited,
            file: start.file,
            sandbox: start.sandbox,
            is_confined: start.confined.is_some(),
            reload: Reload::Idle,
            reload_tickets: Vec::new(),
            later_tickets: Vec::new(),
            look_at: Tick::ZERO.after(look_every.unwrap_or(EXPIRIES_EVERY)),
            looks: false,
            expiries,
            stop: Stop::new(),
        })
    }

    /// Prints the [`Config::summary`], with the ports that the system chose, and runs until it has
    /// drained.
    ///
    /// # Errors
    /// If polling fails.
    pub fn run(mut self) -> io::Result<()> {
        self.output.begin_with(self.loops.config().summary());
        service::notify("READY=1");
        loop {
            let Turn { now, wake } = self.loops.first.turn();
            self.resolve_stale_names();
            self.loops.pass_on_news();
            self.loops.look_for_room(now);
            self.look_at_certificates(now);
            self.look_at_sources(now);
            let mut commanded = self.run_commands(now);
            if self.loops.first.wants_tick() {
                commanded = true;
                self.inquiries.ask(For::Watchers, Inquiry::Live, &mut self.loops, now);
            }
            if self.loops.is_drained() && !commanded && self.inquiries.is_empty() {
                break;
            }
            let flush = self.output.take_from(self.loops.first.access_log(), now);
            // During a reload no check begins. The loop is woken when the reload is over.
            let changes = self.changes.as_ref().filter(|_| self.reload == Reload::Idle);
            let changes = changes.map_or(Tick::NEVER, Changes::look_at);
            let due = self.inquiries.due().min(self.await_until).min(self.stop.due());
            let until = wake.min(flush).min(self.look_at).min(changes).min(due);
            let until = if commanded { now } else { until };
            if self.loops.first.wait(now, until)? {
                self.take_signals();
                self.take_completions();
                self.take_reports();
            }
            self.wait_no_longer();
        }
        let what_was_cut = stop::what_was_cut(&self.loops);
        self.loops.finish();
        log::info!("drained: {what_was_cut}");
        self.output.finish(self.loops.first.access_log());
        Ok(())
    }

    fn take_signals(&mut self) {
        let arrived = self.signals.take();
        if arrived.user > 0 {
            log::warn!(
                "ignored SIGUSR1 or SIGUSR2: there is no log file to open again; \
                SIGHUP reloads, SIGTERM drains"
            );
        }
        if arrived.reload > 0 {
            self.is_asked = true;
            self.load_again();
        }
        if arrived.quit > 0 {
            self.changes = None;
            self.stop.signal_to_drain(&mut self.loops);
        }
        if arrived.stop > 0 {
            self.changes = None;
            self.stop.signal(arrived.stop, &mut self.loops);
        }
    }

    fn take_completions(&mut self) {
        while let Some(completion) = self.jobs.next_completion() {
            match completion {
                Completion::Resolved(name, resolution) => {
                    self.loops.name_resolved(&name, &resolution);
                }
                Completion::Looked(renewal) => {
                    self.looks = false;
                    if let Some(renewal) = renewal {
                        self.renew(*renewal);
                    }
                }
                Completion::Watched(seen, notices) => self.watched(seen, notices),
                Completion::Loaded(loaded) => {
                    if let Some(changes) = &mut self.changes {
                        let read = loaded.as_ref().as_ref();
                        let read = read.map_or_else(ConfigErrors::sources, |c| &c.sources);
                        changes.note_loaded(read.clone(), self.loops.first.now());
                    }
                    let loaded = loaded.map_err(|errors| errors.to_string());
                    match loaded.and_then(|config| self.prepare(config)) {
                        Ok(()) if self.awaited.is_empty() => self.go_on_reloading(),
                        Ok(()) => self.await_others(),
                        Err(errors) => self.end_reload(Err(errors)),
                    }
                }
            }
        }
    }

    /// Ends a reload, and begins the next if the file may have changed meanwhile.
    fn end_reload(&mut self, result: Result<(), String>) {
        self.await_until = Tick::NEVER;
        let changed = self.reload == Reload::LoadingTwice;
        self.reload = Reload::Idle;
        let later = std::mem::take(&mut self.later_tickets);
        self.report_reload(result);
        if changed {
            (self.reload_tickets, self.is_asked) = (later, true);
            self.load_again();
        }
    }

    /// Acts on the reports of the other event loops.
    fn take_reports(&mut self) {
        while let Some(report) = self.loops.next_report() {
            match report {
                Report::Stale(name) => self.resolve(name),
                Report::WantsRoom(index) => {
                    let now = self.loops.first.now();
                    self.loops.want_room(index, now);
                }
                Report::MadeRoom(index, of, made) => {
                    let now = self.loops.first.now();
                    self.loops.made_room(index, of, made, now);
                }
                Report::Learnt(index, news) => self.loops.learn(index, &news),
                Report::Took(index, took) => {
                    self.cannot = self.cannot.take().or(took.err());
                    self.awaited.remove(&index);
                    if self.awaited.is_empty() {
                        self.go_on_reloading();
                    }
                }
                Report::Serves(index) => {
                    self.awaited.remove(&index);
                    if self.awaited.is_empty() {
                        self.end_reload(Ok(()));
                    }
                }
                Report::Part(of, part) => {
                    let now = self.loops.first.now();
                    self.inquiries.take(of, part, &mut self.loops, now);
                }
                // `Loops::next_report` has recorded these.
                Report::Ends(_) | Report::Drained(..) => {}
            }
        }
    }

    /// Stops waiting for stuck event loops where the operator has waited long enough.
    fn wait_no_longer(&mut self) {
        if self.inquiries.due().min(self.await_until).min(self.stop.due()) == Tick::NEVER {
            return;
        }
        let now = self.loops.first.now();
        self.stop.go_on(&mut self.loops, now);
        self.inquiries.go_on(&mut self.loops, now);
        if self.await_until > now {
            return;
        }
        self.await_until = Tick::NEVER;
        let workers: Vec<String> = self.awaited.iter().map(|n| (n + 1).to_string()).collect();
        let workers = workers.join(", ");
        log::warn!("the reload waits for these workers, which are stuck: {workers}");
        let sentence =
            format!("Reload accepted. It waits for these workers, which are stuck: {workers}.");
        let later = std::mem::take(&mut self.later_tickets);
        for ticket in std::mem::take(&mut self.reload_tickets).into_iter().chain(later) {
            self.answer(ticket, 202, &sentence);
        }
    }

    /// Limits how long a reload waits for other event loops, if it does and has no limit yet.
    fn await_others(&mut self) {
        if !self.awaited.is_empty() && self.await_until == Tick::NEVER {
            self.await_until = self.loops.first.now().after(ANSWER_WITHIN);
        }
    }

    /// Answers an operator's command.
    fn answer(&mut self, ticket: Ticket, status: u16, sentence: &str) {
        self.loops.first.answer_command(ticket, Answer::text(status, sentence));
    }

    /// Runs the commands of the admin listener. True if there were any.
    fn run_commands(&mut self, now: Tick) -> bool {
        let mut any = false;
        while let Some((ticket, command)) = self.loops.first.next_command() {
            any = true;
            match command {
                ShellCommand::Drain => {
                    self.changes = None;
                    self.stop.drain(&mut self.loops);
                    let sentence = self.loops.config().drain.told();
                    self.answer(ticket, 202, &sentence);
                }
                ShellCommand::Inquire(inquiry) => {
                    self.inquiries.ask(For::Operator(ticket), inquiry, &mut self.loops, now);
                }
                ShellCommand::Reload if self.file.is_none() => {
                    let sentence = "There is no configuration file to reload.";
                    self.answer(ticket, 409, sentence);
                }
                ShellCommand::Reload => {
                    // The file that is being loaded may have been read before this command came.
                    let loading = self.reload != Reload::Idle;
                    let tickets =
                        if loading { &mut self.later_tickets } else { &mut self.reload_tickets };
                    tickets.push(ticket);
                    self.is_asked = true;
                    self.load_again();
                }
            }
        }
        any
    }

    /// Starts a job for each name whose addresses are stale.
    fn resolve_stale_names(&mut self) {
        while let Some(name) = self.loops.first.next_stale_name() {
            self.resolve(name);
        }
    }

    fn resolve(&mut self, name: Name) {
        if let Err(error) = self.jobs.resolve(&name) {
            self.loops.name_resolved(&name, &Err(error.to_string()));
        }
    }

    /// When it is time, logs which certificates expire soon, and starts a job that checks their
    /// files for changes.
    fn look_at_certificates(&mut self, now: Tick) {
        if now < self.look_at {
            return;
        }
        let tls = Some(self.loops.first.tls()).filter(|tls| tls.is_renewable());
        let every = tls.map(|tls| tls.look_every.unwrap_or(EXPIRIES_EVERY));
        self.look_at = every.map_or(Tick::NEVER, |every| now.after(every));
        // The text has the number of days left, so each warning is logged once a day.
        let expiries = self.loops.first.tls().expiries(unix_ms());
        for new in expiries.iter().filter(|expiry| !self.expiries.contains(expiry)) {
            log::warn!("{}", new.text);
        }
        self.expiries = expiries;
        let Some(tls) = tls.filter(|tls| tls.look_every.is_some() && !self.looks) else { return };
        match self.jobs.submit(Job::Look(Arc::clone(tls))) {
            Ok(()) => self.looks = true,
            Err(error) => log::warn!("cannot look for renewed certificates: {error}"),
        }
    }

    /// Uses renewed certificates from now on.
    fn renew(&mut self, renewal: Renewal) {
        if !renewal.is_of(self.loops.first.tls()) {
            return;
        }
        for what in &renewal.renewed {
            log::info!("{what}");
        }
        for what in &renewal.refused {
            log::warn!("{what}; the former one stays in use until this file changes again");
        }
        for what in &renewal.warnings {
            log::warn!("{what}");
        }
        self.loops.renew(renewal.tls);
    }

    /// Starts a job that checks the files of the configuration, if they may have changed.
    fn look_at_sources(&mut self, now: Tick) {
        let Some(changes) = &mut self.changes else { return };
        if self.notices.as_ref().is_some_and(Notices::take) {
            changes.note(now);
        }
        if self.reload == Reload::Idle
            && let Some(sources) = changes.begin_look(now)
            && let Err(error) = self.jobs.submit(Job::Watch(sources))
        {
            log::warn!("cannot look at the configuration's files: {error}");
            changes.not_looked(now);
        }
    }

    /// Takes the result of a check of the configuration's files.
    fn watched(&mut self, seen: Sources, notices: Option<Notices>) {
        let Some(changes) = &mut self.changes else { return };
        self.notices = notices.filter(|notices| {
            let watched = notices.watch_with(|descriptor| self.loops.first.watch(descriptor));
            watched.is_ok()
        });
        let now = self.loops.first.now();
        if changes.looked(seen, self.notices.is_some(), now) {
            log::info!("the configuration's files have changed");
            self.load_again();
        }
    }

    /// Starts a job that loads the configuration file, now or after the one that is running.
    fn load_again(&mut self) {
        let Some(file) = &self.file else {
            log::warn!("cannot reload: there is no configuration file");
            return;
        };
        if self.reload != Reload::Idle {
            self.reload = Reload::LoadingTwice;
            return self.await_others();
        }
        match self.jobs.submit(Job::Load(file.clone())) {
            Ok(()) => self.reload = Reload::Loading,
            Err(error) => self.report_reload(Err(error.to_string())),
        }
    }

    /// Opens the listeners of a reloaded configuration in all event loops. If that fails, nothing
    /// has changed.
    fn prepare(&mut self, mut config: Config) -> Result<(), String> {
        if self.loops.first.is_draining() {
            return Err("the process is draining".to_owned());
        }
        let present = self.loops.config();
        config.server.sandbox |= self.sandbox;
        let folders = |config: &Config| config.server.sandbox_folders.clone();
        let has_other_folders = self.is_confined && folders(&config) != folders(present);
        let changes = [
            ("user", config.server.user != present.server.user),
            ("sandbox", config.server.sandbox != self.is_confined),
            ("sandbox_folders", has_other_folders),
            ("workers", config.server.workers != present.server.workers),
            // A bound socket cannot be changed, and it decides whether others can be bound beside
            // it.
            ("reuse_port", config.server.reuse_port != present.server.reuse_port),
        ];
        if let Some((key, _)) = changes.iter().find(|(_, is_changed)| *is_changed) {
            return Err(format!("server.{key}: it cannot be changed while running; restart"));
        }
        config.fits(self.workers)?;
        self.awaited = self.loops.prepare(config, &self.inherited)?;
        Ok(())
    }

    /// Serves the prepared configuration in all event loops, or in none if one of them could not
    /// take its listeners.
    fn go_on_reloading(&mut self) {
        let drains = self.loops.first.is_draining();
        let late = drains.then(|| "the process is draining".to_owned());
        if let Some(why) = self.cannot.take().or(late) {
            self.loops.withdraw_prepared();
            return self.end_reload(Err(why));
        }
        let warnings = |config: &Config| {
            let mut warnings = config.warnings_of_file(Some(self.descriptors), self.workers);
            warnings.extend(self.inherited.not_used(&config.addresses()));
            warnings
        };
        let known = warnings(self.loops.config());
        let before = self.loops.config().names();
        self.awaited = self.loops.serve_prepared(self.descriptors);
        self.inquiries.note_reload();
        // Targets may have addresses from before.
        for (name, error) in self.loops.config().unresolved() {
            self.loops.name_resolved(&name, &Err(error));
        }
        let config = self.loops.config();
        self.changed = config.names().changes_since(&before);
        logger::configure(&config.log);
        for new in warnings(config).iter().filter(|warning| !known.contains(warning)) {
            log::warn!("{new}");
        }
        let sources = config.server.reload_on_change.then(|| config.sources.clone());
        let now = self.loops.first.now();
        self.changes = sources.map(|sources| Changes::since(sources, now));
        self.notices = None;
        self.refused.clear();
        self.look_at = Tick::ZERO;
        if self.awaited.is_empty() {
            self.end_reload(Ok(()));
        }
    }

    /// Logs the result of a reload, and answers the operators who asked for it. If no operator
    /// asked for it, the same errors are logged only once.
    fn report_reload(&mut self, result: Result<(), String>) {
        self.loops.first.note_reload(result.as_ref().copied().map_err(String::as_str));
        let (status, sentence) = match result {
            Ok(()) => {
                log::info!("configuration reloaded{}", std::mem::take(&mut self.changed));
                (200, RELOADED.to_owned())
            }
            Err(errors) => {
                let is_new = self.is_asked || errors != self.refused;
                for error in errors.lines().filter(|_| is_new) {
                    log::error!("reload failed, keeping the old configuration: {error}");
                }
                self.refused.clone_from(&errors);
                if let Some(changes) = &mut self.changes {
                    changes.note_failed();
                }
                (422, format!("Reload failed, keeping the old configuration.\n{errors}"))
            }
        };
        self.is_asked = false;
        for ticket in std::mem::take(&mut self.reload_tickets) {
            self.answer(ticket, status, &sentence);
        }
    }
}
