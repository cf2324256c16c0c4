//! The whole proxy on a simulated network, with the time controlled by the test: by golden
//! transcripts, seeded worlds, and the fuzzer.
//!
//! There can be several event loops ([`World::of_loops`]), which take their turns in any order.
//! Messages between them are delayed, and stay in order between any two.

use crate::admin::ShellCommand;
use crate::admin::answer::Answer;
use crate::admin::parts::{Inquiry, Part};
use crate::admin::workers::Asked;
use crate::config::{Config, Drain};
use crate::descriptors::Budget;
use crate::edge::listeners::port_at;
use crate::net::Address;
use crate::net::tls::{self, TlsNet};
use crate::pool::News;
use crate::proxy::{Common, Message, Portions, Proxy, Terms, Ticket};
use crate::session::{Port, Service};
use crate::testing::rng::Rng;
use crate::testing::sim::{Faults, SimEvent, SimNet};
use crate::time::{Now, Tick};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A configuration for tests without special needs.
pub const PLAIN: &str = r#"
[server]
listen = ["127.0.0.1:8080"]

[[api]]
name = "plain"
listen_path = "/"
target_url = "http://10.0.0.1:80"
"#;

/// The listeners: the apis' without TLS, the demo source's, the operator's, the apis' with TLS, and
/// the one for probes.
pub const PORTS: [Port; 5] = [
    Port::plain(Service::Apis),
    Port::plain(Service::Demo),
    Port::plain(Service::Admin),
    Port::secure(Service::Apis),
    Port::plain(Service::Probes),
];

/// These ports, with the configuration's settings for the first address without TLS and the first
/// with it.
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

/// A message from one event loop to another.
#[derive(Debug)]
enum Mail {
    /// About shared streams.
    Message(Message),
    /// About targets.
    News(News),
}

/// An order to an event loop, as from the shell.
#[derive(Clone, Debug)]
enum Order {
    Reload(Box<Config>, Budget),
    Drain(Drain),
    End,
}

/// An event loop that does not have the network at the moment.
#[derive(Debug)]
struct Other {
    proxy: Box<Proxy<TlsNet<SimNet>>>,
    wake: Tick,
    idle_turns: usize,
    /// The messages on their way from each loop, and when they arrive.
    mail: Vec<VecDeque<(Tick, Mail)>>,
}

/// The wall-clock time at the start, in milliseconds since 1970.
const START_UNIX_MS: u64 = 1_795_000_000_000;

/// A proxy, its network and its clock.
#[derive(Debug)]
pub struct World {
    /// The proxy, over its network: the first of several event loops.
    pub proxy: Box<Proxy<TlsNet<SimNet>>>,
    others: Vec<Other>,
    /// The messages on their way to the first loop from each, and when they arrive.
    mail: Vec<VecDeque<(Tick, Mail)>>,
    /// The orders to the loops, and when each of them gets them.
    orders: Vec<(Tick, usize, Order)>,
    /// What operators asked of all loops: through which loop, with which ticket, and what.
    asked: Vec<(usize, Ticket, Inquiry)>,
    /// Decides how long messages between loops are delayed.
    dice: Rng,
    /// The current time.
    pub now: Tick,
    /// How far the wall clock was set forward since the start.
    pub clock_ahead: Duration,
    /// What was written to the access log, until a test clears it.
    pub access: String,
    /// What the name server knows.
    pub names: BTreeMap<String, Vec<Address>>,
    /// True if the shell takes no commands.
    pub shell_is_busy: bool,
    wake: Tick,
    idle_turns: usize,
}

impl World {
    /// Creates a world in which nothing has happened yet. `seed` decides what its network does.
    pub fn new(config: Config, seed: u64, faults: Faults, portions: Portions) -> World {
        Self::within(Budget::unlimited(1000), config, seed, faults, portions)
    }

    /// Like [`World::new`], with limits on connections.
    pub fn within(
        budget: Budget,
        config: Config,
        seed: u64,
        faults: Faults,
        portions: Portions,
    ) -> World {
        Self::of_loops(1, budget, config, seed, faults, portions)
    }

    /// Like [`World::within`], with several event loops.
    pub fn of_loops(
        loops: usize,
        budget: Budget,
        config: Config,
        seed: u64,
        faults: Faults,
        portions: Portions,
    ) -> World {
        let (now, ports) = (Tick::ZERO, ports(&config));
        let common = Common::of(loops);
        let mut all = (0..loops).map(|event_loop| {
            let faults = if event_loop == 0 { faults.clone() } else { Faults::NONE };
            let mut net = SimNet::new(seed, faults);
            net.share_among(loops);
            let (portions, common) = (portions.clone(), common.clone());
            let terms = Terms {
                budget,
                portions,
                seed: seed + event_loop as u64,
                common,
                number: event_loop,
            };
            let part = config.clone().part_of(event_loop, loops);
            Box::new(Proxy::new(tls::around(net, 0), part, &ports, terms, now))
        });
        let Some(proxy) = all.next() else { unreachable!("there is at least one loop") };
        let mail = || (0..loops).map(|_| VecDeque::new()).collect();
        let other = |proxy| Other { proxy, wake: now, idle_turns: 0, mail: mail() };
        World {
            proxy,
            others: all.map(other).collect(),
            mail: mail(),
            orders: Vec::new(),
            asked: Vec::new(),
            dice: Rng::new(seed ^ 0x6c6f_6f70),
            now,
            clock_ahead: Duration::ZERO,
            access: String::new(),
            names: BTreeMap::new(),
            shell_is_busy: false,
            wake: now,
            idle_turns: 0,
        }
    }

    /// The network.
    pub fn net(&mut self) -> &mut SimNet {
        tls::inner(self.proxy.net())
    }

    /// The proxies of all event loops.
    pub fn all(&self) -> impl Iterator<Item = &Proxy<TlsNet<SimNet>>> {
        [&*self.proxy].into_iter().chain(self.others.iter().map(|other| &*other.proxy))
    }

    /// The number of event loops.
    pub fn loops(&self) -> usize {
        1 + self.others.len()
    }

    /// Does something with the event loop of this index, which has the network in the meantime.
    pub fn visit<T>(&mut self, index: usize, act: impl FnOnce(&mut World) -> T) -> T {
        self.swap(index);
        self.net().lend_to(index);
        let result = act(self);
        self.swap(index);
        self.net().lend_to(0);
        result
    }

    /// Swaps the event loop of this index with the first one, except for the network.
    fn swap(&mut self, index: usize) {
        let Some(other) = index.checked_sub(1).map(|other| &mut self.others[other]) else { return };
        std::mem::swap(&mut self.proxy, &mut other.proxy);
        std::mem::swap(tls::inner(self.proxy.net()), tls::inner(other.proxy.net()));
        std::mem::swap(&mut self.wake, &mut other.wake);
        std::mem::swap(&mut self.idle_turns, &mut other.idle_turns);
        std::mem::swap(&mut self.mail, &mut other.mail);
    }

    /// One pass of each loop, in any order: delivers events, takes a turn, and checks all
    /// invariants.
    ///
    /// # Errors
    /// If an invariant does not hold.
    pub fn turn(&mut self) -> Result<(), String> {
        self.take_orders();
        if self.others.is_empty() {
            return self.turn_one(0);
        }
        let mut left: Vec<usize> = (0..self.loops()).collect();
        while !left.is_empty() {
            let index = left.swap_remove(self.dice.size(0, left.len() - 1));
            // Some loops stay asleep for a while.
            if self.dice.chance(70) {
                self.visit(index, |world| world.turn_one(index))?;
            }
        }
        self.answer_asked();
        let all: Vec<_> = self.all().collect();
        let on_the_way = |from: usize, to: usize| {
            let mail = if to == 0 { &self.mail } else { &self.others[to - 1].mail };
            !mail[from].is_empty()
        };
        Proxy::check_together(&all, on_the_way).map_or(Ok(()), Err)
    }

    /// Loads another configuration: in the first loop now, and in the others within `within`
    /// milliseconds.
    pub fn reload(&mut self, config: &Config, budget: Budget, within: u64) {
        self.order(within, &Order::Reload(Box::new(config.clone()), budget));
    }

    /// Begins to drain with these times.
    pub fn drain_as(&mut self, times: &Drain) {
        self.order(1, &Order::Drain(*times));
    }

    /// Ends everything that is open.
    pub fn end(&mut self) {
        self.order(1, &Order::End);
    }

    /// Sends an order to all loops: the first one gets it now, and the others within `within`
    /// milliseconds.
    fn order(&mut self, within: u64, order: &Order) {
        for index in 0..self.loops() {
            let late = if index == 0 { 0 } else { self.dice.below(within + 1) };
            let before = self.orders.iter().filter(|(_, to, _)| *to == index).map(|(at, ..)| *at);
            let at =
                self.now.after(Duration::from_millis(late)).max(before.max().unwrap_or(self.now));
            self.orders.push((at, index, order.clone()));
        }
        self.take_orders();
    }

    /// Has the loops carry out the orders that have arrived.
    fn take_orders(&mut self) {
        let (now, loops) = (self.now, self.loops());
        let due: Vec<_> = self.orders.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, index, order) in due {
            self.visit(index, |world| {
                match order {
                    Order::Reload(config, budget) => {
                        world.proxy.reload(config.part_of(index, loops), budget, now);
                    }
                    Order::Drain(times) => world.proxy.drain_as(&times, now),
                    Order::End => world.proxy.end(now),
                }
                world.wake = now;
            });
        }
    }

    /// Both clocks.
    fn clock(&self) -> Now {
        let unix_ms = START_UNIX_MS + self.now.after(self.clock_ahead).as_millis();
        Now { tick: self.now, unix_ms }
    }

    /// Answers operators with the state of all loops, and updates the live page.
    fn answer_asked(&mut self) {
        let now = self.clock();
        let asked = Asked { loops: self.loops(), silent: Vec::new() };
        for (index, ticket, inquiry) in std::mem::take(&mut self.asked) {
            let mut part = self.part_of_all(inquiry, now);
            while let Some(inquiry) = part.next() {
                part = self.part_of_all(inquiry, now);
            }
            self.visit(index, |world| {
                world.proxy.answer_command(ticket, part.into_answer(&asked), now.tick);
                world.wake = now.tick;
            });
        }
        for index in 0..self.loops() {
            if self.visit(index, |world| world.proxy.wants_tick())
                && let Part::Live(state) = self.part_of_all(Inquiry::Live, now)
            {
                self.visit(index, |world| {
                    world.proxy.tell_watchers(&state, now);
                    world.wake = now.tick;
                });
            }
        }
    }

    fn part_of_all(&mut self, inquiry: Inquiry, now: Now) -> Part {
        let mut part = self.proxy.part_of(inquiry, now);
        for index in 1..self.loops() {
            part.merge(self.visit(index, |world| world.proxy.part_of(inquiry, now)));
        }
        part
    }

    /// The number of steps of all loops that changed something.
    pub fn moves(&self) -> u64 {
        self.all().map(|proxy| proxy.moves()).sum()
    }

    /// True if no client is left in any loop after a drain.
    pub fn is_drained(&self) -> bool {
        self.all().all(|proxy| proxy.is_drained())
    }

    /// The numbers of sessions and checks, of upstream connections, and of buffers in use in all
    /// loops.
    pub fn in_use(&self) -> (usize, usize, usize) {
        let all = self.all().map(|proxy| proxy.in_use());
        all.fold((0, 0, 0), |(a, b, c), (d, e, f)| (a + d, b + e, c + f))
    }

    /// The number of exchanges in all loops that the configuration no longer admits.
    pub fn unwanted(&self) -> usize {
        self.all().map(|proxy| proxy.unwanted()).sum()
    }

    /// Takes the messages of other loops that have arrived.
    fn take_mail(&mut self) {
        for from in 0..self.mail.len() {
            while self.mail[from].front().is_some_and(|(at, _)| *at <= self.now) {
                match self.mail[from].pop_front() {
                    Some((_, Mail::Message(message))) => self.proxy.on_message(message, self.now),
                    Some((_, Mail::News(news))) => self.proxy.learn(&news, self.now),
                    None => {}
                }
                self.wake = self.now;
            }
        }
    }

    /// Sends this loop's messages to the others, each with its own delay.
    fn send_mail(&mut self, from: usize) {
        let news = self.proxy.take_news();
        for to in 0..self.loops() {
            let messages = self.proxy.take_messages(to).into_iter().map(Mail::Message);
            let news = news.iter().filter(|_| to != from).map(|news| Mail::News(news.clone()));
            for mail in messages.chain(news) {
                let late = self.dice.pick(&[0, 0, 0, 0, 1, 10, 100, 1500]);
                let late = if self.dice.chance(90) { late.min(1) } else { late };
                // The first loop and this one are swapped.
                let box_of = match to {
                    0 if from > 0 => &mut self.others[from - 1].mail,
                    to if to == from => &mut self.mail,
                    to => &mut self.others[to - 1].mail,
                };
                let before = box_of[from].back().map_or(self.now, |(at, _)| *at);
                let at = before.max(self.now.after(Duration::from_millis(late)));
                box_of[from].push_back((at, mail));
            }
        }
    }

    fn turn_one(&mut self, index: usize) -> Result<(), String> {
        self.take_mail();
        let moves = self.proxy.moves();
        let events = self.net().events();
        let told = !events.is_empty();
        for event in events {
            match event {
                SimEvent::Listener(listener) => self.proxy.on_listener(listener),
                SimEvent::Socket(token, ready) => self.proxy.on_socket(token, ready),
            }
        }
        let now = self.clock();
        let was_due = self.wake <= self.now;
        self.wake = self.proxy.turn(now);
        self.access.push_str(&self.proxy.access().take().0);
        self.send_mail(index);
        while let Some((host, port)) = self.proxy.next_stale_name() {
            let none = || Err(format!("cannot resolve {host}: no such name"));
            let known = self.names.get(&host).filter(|addresses| !addresses.is_empty());
            let answer = known.cloned().map_or_else(none, Ok);
            self.proxy.name_answered((&host, port), &answer, self.now);
        }
        while !self.shell_is_busy
            && let Some((ticket, command)) = self.proxy.next_command()
        {
            let (status, said) = match command {
                ShellCommand::Drain => (202, "Draining."),
                ShellCommand::Reload => (501, "There is no file."),
                ShellCommand::Inquire(inquiry) => {
                    self.asked.push((index, ticket, inquiry));
                    continue;
                }
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
        // A spin: turn after turn at the same moment in which nothing happens. Timers postponed
        // since they were set are excepted, of which each session has at most one.
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
    /// If an invariant does not hold.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..100_000 {
            self.turn()?;
            if self.wake() > self.now && !self.net().has_events() {
                return Ok(());
            }
        }
        Err("it does not settle".to_owned())
    }

    /// Begins a drain in which the port closes at once, and everything must end within `window`.
    pub fn drain_within(&mut self, window: Duration) {
        let times = self.proxy.config().drain;
        let drain = Drain { delay: Duration::ZERO, window, answers: window, ..times };
        self.proxy.drain_as(&drain, self.now);
    }

    /// When the proxy wants to be called again, or a loop gets a message.
    pub fn wake(&self) -> Tick {
        let wakes = self.others.iter().map(|other| other.wake);
        let mail = self.others.iter().flat_map(|other| &other.mail).chain(&self.mail);
        let heard = mail.filter_map(|mail| mail.front()).map(|(at, _)| *at);
        let orders = self.orders.iter().map(|(at, ..)| *at);
        wakes.chain(heard).chain(orders).fold(self.wake, Tick::min)
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
