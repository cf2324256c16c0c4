//! The event loops of the process: the first on the main thread, the others on threads of their
//! own.
//!
//! The first has the operator's listeners and the process around it. The others serve clients, do
//! what they are told ([`Order`]), and tell what the process has to do for them ([`Report`]). Both
//! cross as values, at the pace of reloads, questions of the operator and names that are looked up.

use super::event_loop::{EventLoop, Opening, Turn};
use super::listeners::{Listening, Offer};
use super::logger;
use super::mailbox::Mailbox;
use super::output::Output;
use super::resolver::Name;
use super::room::Room;
use super::service::Inherited;
use crate::admin::parts::{Inquiry, Part};
use crate::config::{Config, Tls};
use crate::net::Resolution;
use crate::pool::News;
use crate::proxy::Common;
use crate::time::Tick;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long the others may take to write their last lines of the access log. They give up an output
/// that nobody reads after a second.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

/// The event loops. See the module.
#[derive(Debug)]
pub(super) struct Loops {
    /// The one on this thread.
    pub(super) first: EventLoop,
    others: Vec<Other>,
    reports: Mailbox<Report>,
    /// What all of them serve together.
    config: Config,
    /// What they are to serve next.
    prepared: Option<Prepared>,
    /// Which loop makes room for clients of another one.
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

/// A loop on a thread of its own.
#[derive(Debug)]
struct Other {
    orders: Mailbox<Order>,
    thread: JoinHandle<()>,
    /// Gets nothing, and is disconnected as the thread ends.
    exit: Receiver<Infallible>,
    /// The number of streams, tunnels and other requests that it has cut in the drain, once that is
    /// over.
    drained: Option<u64>,
    /// True exactly when it ends everything that is open, as it was told.
    ends: bool,
    /// True exactly when nobody waits for it any more, because it does not turn.
    is_given_up: bool,
}

/// Which of the other loops are not waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Those that have not even heard that they are to end everything.
    Deaf,
    /// All that have not drained.
    Undrained,
}

/// What a loop is to do.
#[derive(Debug)]
enum Order {
    /// Take these listeners for another configuration.
    Take(Vec<Offer>),
    /// Serve that configuration on them, with this many descriptors in all.
    Serve(Box<Config>, u64),
    /// Close them again, because it is not served.
    Withdraw,
    /// Shake hands on other terms.
    Renew(Box<Tls>),
    /// Take the answer to a question about a name, whoever has asked it.
    Resolved(Name, Resolution),
    /// Go by what another loop has learnt of a target.
    Learn(News),
    /// Make room for a client of the loop with this number.
    MakeRoom(usize),
    /// Tell its part of the answer to the question with this number.
    Inquire(Inquiry, u64),
    /// Drain.
    Drain,
    /// End everything that is open.
    End,
    /// End itself.
    Exit,
}

/// What a loop tells the process.
#[derive(Debug)]
pub(super) enum Report {
    /// The addresses of a name are stale.
    Stale(Name),
    /// The loop with this number has refused a client for lack of room.
    WantsRoom(usize),
    /// The loop with this number has made room for one of that number, or cannot.
    MadeRoom(usize, usize, bool),
    /// The loop with this number has learnt something of a target.
    Learnt(usize, News),
    /// The loop with this number has the listeners for a configuration, or could not take one.
    Took(usize, Result<(), String>),
    /// The loop with this number serves the configuration that it was told to.
    Serves(usize),
    /// The part of the loop with this number of the answer to the question with that one.
    Part((usize, u64), Part),
    /// The loop with this number ends everything that is open, as it was told.
    Ends(usize),
    /// The loop with this number has drained, and has cut so many requests.
    Drained(usize, u64),
}

/// What all loops need, before any of them runs.
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
    /// What could not be opened.
    pub(super) fn open(
        config: Config,
        count: usize,
        descriptors: u64,
        inherited: &mut Inherited,
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

    /// Starts all loops, and returns them with the output and the waker of the first.
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

    /// Opens the listeners of another configuration in all loops. Returns those that will report
    /// that they have them, or could not take one.
    ///
    /// # Errors
    /// The address that cannot be listened on.
    pub(super) fn prepare(&mut self, mut config: Config) -> Result<BTreeSet<usize>, String> {
        let (listening, offers) = self.first.open_listeners(&mut config, self.others.len())?;
        for (other, offers) in self.others.iter().zip(offers) {
            other.orders.send(Order::Take(offers));
        }
        self.prepared = Some(Prepared { config, listening });
        Ok(self.indices())
    }

    /// Serves what was prepared from now on. Returns the loops that will report that they do.
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

    /// Closes the listeners that were opened for what was prepared, because it is not served.
    pub(super) fn withdraw_prepared(&mut self) {
        if let Some(Prepared { listening, .. }) = self.prepared.take() {
            self.first.close_unserved(&listening);
            self.order(|| Order::Withdraw);
        }
    }

    /// The numbers of the loops that are not the first.
    fn indices(&self) -> BTreeSet<usize> {
        (1..self.count()).collect()
    }

    /// Shakes hands on other terms from now on.
    pub(super) fn renew(&mut self, tls: Tls) {
        self.order(|| Order::Renew(Box::new(tls.clone())));
        self.first.renew(tls);
    }

    /// Tells all loops what a name means.
    pub(super) fn name_resolved(&mut self, name: &Name, resolution: &Resolution) {
        self.order(|| Order::Resolved(name.clone(), resolution.clone()));
        self.first.name_resolved(name, resolution);
    }

    /// Tells all loops what the one with this number has learnt of a target.
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

    /// Lets another loop make room for clients of the one with this number.
    pub(super) fn want_room(&mut self, of: usize, now: Tick) {
        let asked = self.room.wanted(of, now);
        self.ask_for_room(of, asked);
    }

    /// Takes note that the loop with this number has made room for one of that number, or cannot.
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

    /// Does what is to be done about room in the first loop, whose turn is over.
    pub(super) fn look_for_room(&mut self, now: Tick) {
        if self.first.wants_room() {
            self.want_room(0, now);
        }
        if let Some(of) = self.wants_room.take() {
            let made = self.first.make_room();
            self.made_room(0, of, made, now);
        }
    }

    /// Tells the others what the first loop has learnt of targets since it was last asked.
    pub(super) fn pass_on_news(&mut self) {
        for news in self.first.take_news() {
            self.learn(0, &news);
        }
    }

    /// Asks those of the others that are `wanted` for their parts of the answer to the question
    /// with this number, which they report. Returns which they are.
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

    /// Ends everything that is open at once.
    pub(super) fn end(&mut self) {
        self.order(|| Order::End);
        self.first.end();
    }

    /// Waits no longer for loops that have not drained. Their connections end with the process.
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

    /// The numbers of those that are not waited for any more.
    pub(super) fn given_up(&self) -> impl Iterator<Item = usize> {
        let others = self.others.iter().zip(1..);
        others.filter(|(other, _)| other.is_given_up).map(|(_, index)| index)
    }

    /// True once all have closed the port and no client connection is left.
    pub(super) fn is_drained(&self) -> bool {
        let is_over = |other: &Other| other.drained.is_some() || other.is_given_up;
        self.first.is_drained() && self.others.iter().all(is_over)
    }

    /// The number of streams, tunnels and other requests that a drain has cut.
    pub(super) fn cut_in_drain(&self) -> u64 {
        let cut = self.others.iter().filter_map(|other| other.drained);
        self.first.cut_in_drain() + cut.sum::<u64>()
    }

    /// Ends the others, and waits for their last lines of the access log.
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
            // One that has panicked has said so.
            let _ = other.thread.join();
        }
        self.first.close_listeners();
    }

    fn order(&self, order: impl Fn() -> Order) {
        self.others.iter().for_each(|other| other.orders.send(order()));
    }
}

/// Ends the process when a loop ends that was not told to: by a panic, or without a poll.
struct Essential {
    /// True exactly when it was told to.
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

/// Runs the loop with this number until it is told to end. False if it has to end before.
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
                // Whoever has had an event is spared until its turn.
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
