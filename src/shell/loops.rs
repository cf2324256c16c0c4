//! The event loops of the process: the first on the main thread, the others each on a thread.
//!
//! The first has the operator's listeners, and the process around it. The others serve clients,
//! follow orders from the process ([`Order`]), and send it reports ([`Report`]). Both are rare:
//! they come with reloads, questions of the operator and name lookups.

use super::event_loop::{EventLoop, Opening, Turn};
use super::listeners::{Listening, Offer};
use super::logger;
use super::mailbox::Mailbox;
use super::output::Output;
use super::resolver::Name;
use super::room::Room;
use super::service::Inherited;
use crate::admin::parts::{Inquiry, Part};
use crate::config::{Config, Tls, WORKERS_MAX, Workers};
use crate::net::Resolution;
use crate::net::mio::SocketFile;
use crate::pool::News;
use crate::proxy::Common;
use crate::time::Tick;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{Builder, JoinHandle, available_parallelism};
use std::time::Duration;

/// How long the others may take to write their last access log lines. After a second they give up
/// on an output that is not being read.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

/// The event loops. See the module.
#[derive(Debug)]
pub(super) struct Loops {
    /// The one on this thread.
    pub(super) first: EventLoop,
    others: Vec<Other>,
    reports: Mailbox<Report>,
    /// The configuration that they serve together.
    config: Config,
    /// The configuration that they are to serve next.
    prepared: Option<Prepared>,
    /// Which loops are asked to make room for others.
    room: Room,
    /// The loop for whose clients the first one is to make room.
    wants_room: Option<usize>,
}

/// A configuration whose listeners are open in the first loop.
#[derive(Debug)]
struct Prepared {
    config: Config,
    listening: Vec<Listening>,
}

/// A loop on its own thread.
#[derive(Debug)]
struct Other {
    orders: Mailbox<Order>,
    thread: JoinHandle<()>,
    /// Receives nothing, and is disconnected when the thread ends.
    exit: Receiver<Infallible>,
    /// Once it has drained: the number of streams, tunnels and other requests that it has cut.
    drained: Option<u64>,
    /// True exactly when it has acknowledged [`Order::End`].
    ends: bool,
    /// True exactly when it is no longer waited for, because it is stuck.
    is_given_up: bool,
}

/// Which of the other loops are no longer waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Those that have not acknowledged [`Order::End`].
    Deaf,
    /// All that have not drained.
    Undrained,
}

/// A command for a loop.
#[derive(Debug)]
enum Order {
    /// Take these listeners, for another configuration.
    Take(Vec<Offer>),
    /// Serve this configuration at the listeners that were taken, with this many descriptors in
    /// all.
    Serve(Box<Config>, u64),
    /// Close the listeners that were taken, because the configuration is not served after all.
    Withdraw,
    /// Use this TLS configuration for new handshakes.
    Renew(Box<Tls>),
    /// Take the addresses of a name, or why it has none, whichever loop has asked for them.
    Resolved(Name, Resolution),
    /// Apply news about a target from another loop.
    Learn(News),
    /// Make room for a client of the loop with this number.
    MakeRoom(usize),
    /// Report its part of the answer to the question with this number.
    Inquire(Inquiry, u64),
    /// Drain.
    Drain,
    /// Close everything that is open.
    End,
    /// End the loop and its thread.
    Exit,
}

/// What a loop reports to the process.
#[derive(Debug)]
pub(super) enum Report {
    /// The addresses of a name are stale.
    Stale(Name),
    /// The loop with this number has refused a client for lack of room.
    WantsRoom(usize),
    /// The loop with the first number has made room for the one with the second, or cannot.
    MadeRoom(usize, usize, bool),
    /// The loop with this number has news about a target.
    Learnt(usize, News),
    /// The loop with this number has taken the listeners for a configuration, or could not take
    /// one.
    Took(usize, Result<(), String>),
    /// The loop with this number serves the new configuration.
    Serves(usize),
    /// The part of an answer, with the number of the loop and that of the question.
    Part((usize, u64), Part),
    /// The loop with this number closes everything that is open, as ordered.
    Ends(usize),
    /// The loop with this number has drained, and has cut this many requests.
    Drained(usize, u64),
}

/// What all loops need before any of them runs.
#[derive(Debug)]
pub(super) struct Openings {
    first: Opening,
    others: Vec<Opening>,
    config: Config,
}

impl Openings {
    /// Opens `count` loops that listen where `config` says, as [`Opening::first`] does.
    ///
    /// # Errors
    /// If anything could not be opened.
    pub(super) fn open(
        config: Config,
        count: usize,
        descriptors: u64,
        inherited: &Inherited,
    ) -> Result<Openings, String> {
        let descriptors = config.descriptors_of_first(descriptors, count);
        let mut first = Opening::first(config, descriptors, inherited)?;
        let others = (1..count).map(|_| first.another(count)).collect::<Result<_, _>>()?;
        let config = first.config().clone();
        Ok(Openings { first, others, config })
    }

    /// The configuration, with the ports that the system chose.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The files of the Unix sockets that were bound.
    pub(super) fn socket_files(&self) -> impl Iterator<Item = &SocketFile> {
        self.first.socket_files()
    }

    /// Starts all loops, and returns them with the first loop's access log output and its waker.
    ///
    /// # Errors
    /// If no thread can be started, or no descriptor is left.
    pub(super) fn start(self) -> Result<(Loops, Output, Arc<mio::Waker>), String> {
        let Openings { first, others: openings, config } = self;
        let waker = first.waker()?;
        let count = 1 + openings.len();
        let common = Common::of(count);
        let reports = Mailbox::of(Arc::clone(&waker));
        let output = Output::to_stdout();
        let wakers = openings.iter().map(Opening::waker).collect::<Result<Vec<_>, _>>()?;
        let all = [&waker].into_iter().chain(&wakers);
        let between: Arc<[_]> = all.map(|waker| Mailbox::of(Arc::clone(waker))).collect();
        let mut others = Vec::new();
        for ((opening, waker), index) in openings.into_iter().zip(wakers).zip(1..) {
            let orders = Mailbox::of(waker);
            let (common, reports, mail) = (common.clone(), reports.clone(), orders.clone());
            let (output, between) = (output.another(), Arc::clone(&between));
            let (ended, exit) = mpsc::channel();
            let run = move || {
                let _ended = ended;
                let mut essential = Essential { may_end: false };
                let event_loop = opening.start(common, index, between);
                essential.may_end = run(event_loop, output, index, &mail, &reports);
            };
            let thread = Builder::new().name(format!("worker {}", index + 1)).spawn(run);
            let thread = thread.map_err(|e| format!("cannot start a worker: {e}"))?;
            others.push(Other {
                orders,
                thread,
                exit,
                drained: None,
                ends: false,
                is_given_up: false,
            });
        }
        let first = first.start(common, 0, between);
        Ok((
            Loops {
                first,
                others,
                reports,
                config,
                prepared: None,
                room: Room::of(count),
                wants_room: None,
            },
            output,
            waker,
        ))
    }
}

impl Loops {
    /// The configuration that they serve together, with the ports that the system chose.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the oldest report that has not been taken.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        let report = self.reports.take();
        match report {
            Some(Report::Drained(index, cut)) => self.others[index - 1].drained = Some(cut),
            Some(Report::Ends(index)) => self.others[index - 1].ends = true,
            _ => {}
        }
        report
    }

    /// Opens the listeners of another configuration in all loops. Returns the loops that will
    /// answer with [`Report::Took`].
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub(super) fn prepare(
        &mut self,
        mut config: Config,
        inherited: &Inherited,
    ) -> Result<BTreeSet<usize>, String> {
        let others = self.others.len();
        let (listening, offers) = self.first.open_listeners(&mut config, others, inherited)?;
        for (other, offers) in self.others.iter().zip(offers) {
            other.orders.send(Order::Take(offers));
        }
        self.prepared = Some(Prepared { config, listening });
        Ok(self.indices())
    }

    /// Serves the prepared configuration from now on. Returns the loops that will answer with
    /// [`Report::Serves`].
    pub(super) fn serve_prepared(&mut self, descriptors: u64) -> BTreeSet<usize> {
        let Some(Prepared { mut config, listening }) = self.prepared.take() else {
            return BTreeSet::new();
        };
        config.tls.keep(self.first.tls());
        let count = self.count();
        let descriptors = config.descriptors_of_first(descriptors, count);
        for (other, index) in self.others.iter().zip(1..) {
            let part = Box::new(config.clone().part_of(index, count));
            other.orders.send(Order::Serve(part, descriptors));
        }
        self.first.reload(config.clone().part_of(0, count), listening, descriptors);
        self.config = config;
        self.indices()
    }

    /// Closes the listeners of the prepared configuration, because it is not served after all.
    pub(super) fn withdraw_prepared(&mut self) {
        if let Some(Prepared { listening, .. }) = self.prepared.take() {
            self.first.close_unserved(&listening);
            self.order(|| Order::Withdraw);
        }
    }

    /// The numbers of all loops but the first.
    fn indices(&self) -> BTreeSet<usize> {
        (1..self.count()).collect()
    }

    /// Replaces the TLS configuration for new handshakes.
    pub(super) fn renew(&mut self, tls: Tls) {
        self.order(|| Order::Renew(Box::new(tls.clone())));
        self.first.renew(tls);
    }

    /// Tells all loops the addresses of a name, or why it has none.
    pub(super) fn name_resolved(&mut self, name: &Name, resolution: &Resolution) {
        self.order(|| Order::Resolved(name.clone(), resolution.clone()));
        self.first.name_resolved(name, resolution);
    }

    /// Tells all other loops the news about a target from the loop with this number.
    pub(super) fn learn(&mut self, from: usize, news: &News) {
        for (other, index) in self.others.iter().zip(1..) {
            if index != from {
                other.orders.send(Order::Learn(news.clone()));
            }
        }
        if from != 0 {
            self.first.learn(news);
        }
    }

    /// Asks another loop to make room for clients of loop `of`.
    pub(super) fn want_room(&mut self, of: usize, now: Tick) {
        let asked = self.room.wanted(of, now);
        self.ask_for_room(of, asked);
    }

    /// Records that loop `index` has made room for loop `of`, or cannot.
    pub(super) fn made_room(&mut self, index: usize, of: usize, made: bool, now: Tick) {
        let asked = self.room.answered(index, of, made, now);
        self.ask_for_room(of, asked);
    }

    fn ask_for_room(&mut self, of: usize, asked: Option<usize>) {
        match asked.map(|index| index.checked_sub(1)) {
            None => {}
            Some(None) => self.wants_room = Some(of),
            Some(Some(other)) => self.others[other].orders.send(Order::MakeRoom(of)),
        }
    }

    /// After a turn of the first loop: asks for room if it needs some, and makes room in it if
    /// another loop does.
    pub(super) fn look_for_room(&mut self, now: Tick) {
        if self.first.wants_room() {
            self.want_room(0, now);
        }
        if let Some(of) = self.wants_room.take() {
            let made = self.first.make_room();
            self.made_room(0, of, made, now);
        }
    }

    /// Passes the first loop's news about targets to the others.
    pub(super) fn pass_on_news(&mut self) {
        for news in self.first.take_news() {
            self.learn(0, &news);
        }
    }

    /// Asks those of the other loops that are `wanted` for their parts of the answer to the
    /// question with this number. Returns the loops that will answer with [`Report::Part`].
    pub(super) fn inquire(
        &self,
        inquiry: Inquiry,
        number: u64,
        wanted: impl Fn(usize) -> bool,
    ) -> BTreeSet<usize> {
        let asked = self.others.iter().zip(1..).filter(|(_, index)| wanted(*index));
        let ask = |(other, index): (&Other, usize)| {
            other.orders.send(Order::Inquire(inquiry, number));
            index
        };
        asked.map(ask).collect()
    }

    /// The number of loops.
    pub(super) const fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Begins to drain, as the configuration says.
    pub(super) fn drain(&mut self) {
        self.order(|| Order::Drain);
        self.first.drain();
    }

    /// Closes everything that is open at once.
    pub(super) fn end(&mut self) {
        self.order(|| Order::End);
        self.first.end();
    }

    /// Stops waiting for loops that have not drained. Their connections end with the process.
    pub(super) fn give_up(&mut self, which: GiveUp) {
        for (other, index) in self.others.iter_mut().zip(1..) {
            let is_late = which == GiveUp::Undrained || !other.ends;
            if !is_late || other.drained.is_some() || other.is_given_up {
                continue;
            }
            other.is_given_up = true;
            log::error!("worker {} is stuck: its connections are cut", index + 1);
        }
    }

    /// The numbers of the loops that are no longer waited for.
    pub(super) fn given_up(&self) -> impl Iterator<Item = usize> {
        let others = self.others.iter().zip(1..);
        others.filter(|(other, _)| other.is_given_up).map(|(_, index)| index)
    }

    /// True once all loops have closed their listeners for clients and no client connection is
    /// left, except in loops that were given up.
    pub(super) fn is_drained(&self) -> bool {
        let is_over = |other: &Other| other.drained.is_some() || other.is_given_up;
        self.first.is_drained() && self.others.iter().all(is_over)
    }

    /// The number of streams, tunnels and other requests that the drain has cut.
    pub(super) fn cut_in_drain(&self) -> u64 {
        let cut = self.others.iter().filter_map(|other| other.drained);
        self.first.cut_in_drain() + cut.sum::<u64>()
    }

    /// Ends the other loops, and waits for their last access log lines.
    pub(super) fn finish(&mut self) {
        self.order(|| Order::Exit);
        let until = self.first.now().after(EXIT_WITHIN);
        let others = self.others.drain(..).zip(1..).filter(|(other, _)| !other.is_given_up);
        for (other, index) in others {
            let left = until.since(self.first.now());
            if other.exit.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                log::error!("worker {} is stuck: its last lines are lost", index + 1);
                continue;
            }
            // A thread that has panicked has printed so already.
            let _ = other.thread.join();
        }
        self.first.close_listeners();
    }

    fn order(&self, order: impl Fn() -> Order) {
        self.others.iter().for_each(|other| other.orders.send(order()));
    }
}

/// Aborts the process when a loop ends without an order: by a panic, or because polling fails.
struct Essential {
    /// True exactly when the loop was ordered to exit.
    may_end: bool,
}

impl Drop for Essential {
    fn drop(&mut self) {
        if !self.may_end {
            log::error!("a worker has ended: the process cannot go on");
            logger::finish();
            std::process::abort();
        }
    }
}

/// Runs the loop with this number until it is ordered to exit. False if polling fails.
fn run(
    mut event_loop: EventLoop,
    mut output: Output,
    index: usize,
    orders: &Mailbox<Order>,
    reports: &Mailbox<Report>,
) -> bool {
    let result = turn_until_exit(&mut event_loop, &mut output, index, orders, reports);
    if let Err(error) = result {
        log::error!("cannot poll: {error}");
        return false;
    }
    event_loop.close_listeners();
    output.finish(event_loop.access_log());
    true
}

fn turn_until_exit(
    event_loop: &mut EventLoop,
    output: &mut Output,
    index: usize,
    orders: &Mailbox<Order>,
    reports: &Mailbox<Report>,
) -> io::Result<()> {
    let (mut drained, mut taken, mut wanted) = (false, Vec::new(), None);
    loop {
        let Turn { now, wake } = event_loop.turn();
        while let Some(name) = event_loop.next_stale_name() {
            reports.send(Report::Stale(name));
        }
        if event_loop.wants_room() {
            reports.send(Report::WantsRoom(index));
        }
        if let Some(of) = wanted.take() {
            reports.send(Report::MadeRoom(index, of, event_loop.make_room()));
        }
        for news in event_loop.take_news() {
            reports.send(Report::Learnt(index, news));
        }
        if event_loop.is_drained() && !drained {
            drained = true;
            reports.send(Report::Drained(index, event_loop.cut_in_drain()));
        }
        let flush = output.take_from(event_loop.access_log(), now);
        if !event_loop.wait(now, wake.min(flush))? {
            continue;
        }
        while let Some(order) = orders.take() {
            match order {
                Order::Take(offers) => {
                    let took = event_loop.take_listeners(offers).map(|all| taken = all);
                    reports.send(Report::Took(index, took));
                }
                Order::Serve(config, descriptors) => {
                    event_loop.reload(*config, std::mem::take(&mut taken), descriptors);
                    reports.send(Report::Serves(index));
                }
                Order::Withdraw => event_loop.close_unserved(&std::mem::take(&mut taken)),
                Order::Renew(tls) => event_loop.renew(*tls),
                Order::Resolved(name, resolution) => event_loop.name_resolved(&name, &resolution),
                Order::Learn(news) => event_loop.learn(&news),
                // Room is made after the next turn, so that sessions with new events are not taken
                // for idle.
                Order::MakeRoom(of) => wanted = Some(of),
                Order::Inquire(inquiry, number) => {
                    let part = event_loop.part_of(inquiry);
                    reports.send(Report::Part((index, number), part));
                }
                Order::Drain => event_loop.drain(),
                Order::End => {
                    event_loop.end();
                    reports.send(Report::Ends(index));
                }
                Order::Exit => return Ok(()),
            }
        }
    }
}

/// The number of event loops that a configuration asks for. Call it before closing a sandbox, in
/// which the number of cores that a container may use cannot be read any more.
pub fn count_workers(config: &Config) -> usize {
    match config.server.workers {
        Workers::Number(number) => number,
        // As many as the process may use, if the system reports that.
        Workers::Cores => available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX),
    }
}
