//! Simulated worlds: each seed makes a different network, with other peers and limits. The proxy is
//! the one in the program.
//!
//! While a world runs, [`World::turn`] checks what must always be true (nothing stalls or spins, no
//! wake-up is lost, buffers lent are buffers held). At its end every client must have received
//! exactly what its origin sent, or a prefix that is visibly cut where somebody cut it, never a
//! byte of another's; and everything must be released within bounded virtual time.
//!
//! `SIM_SEED=7 cargo test --test it sim -- --nocapture` replays one world and prints its journal;
//! `SIM_SEEDS=100000` plays more worlds than usual.

mod auth;
mod client;
mod draft;
mod drain;
mod endless;
mod events;
mod front;
mod health;
mod hostile;
mod loss;
pub(crate) mod message;
mod operator;
mod origin;
mod plan;
mod rates;
mod repeats;
mod room;
mod sessions;
mod shares;
mod speech;
mod stray;
pub(crate) mod terms;
mod told;

use crate::journal;
use auth::AuthServer;
use client::Client;
use draft::Draft;
use drain::Draining;
use endless::Endless;
use front::Impostor;
use health::Course;
use hostile::Hostile;
use loss::Loss;
use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Faults, Host};
use millstream::testing::toy::{self, Asks, Shows};
use millstream::testing::world::World;
use millstream::testing::{Address, Budget, Portions, Tick};
use operator::Operator;
use origin::Origin;
use plan::{ADDRESSES, Plan};
use rates::Pace;
use room::Room;
use std::collections::BTreeMap;
use std::time::Duration;
use stray::Stray;
use terms::Terms;
use told::Sent;

#[test]
fn worlds() {
    if let Some(seed) = number("SIM_SEED") {
        journal::start();
        let played = Play::new(seed).run();
        for line in journal::take() {
            println!("{line}");
        }
        played.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let mut failed = 0;
    let seeds = number("SIM_SEEDS").unwrap_or(2000);
    for seed in first..first + seeds {
        let played = std::panic::catch_unwind(|| Play::new(seed).run());
        let why = match played {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => "it panicked".to_owned(),
        };
        failed += 1;
        if failed <= 5 {
            let replay = format!("SIM_SEED={seed} cargo test --test it sim -- --nocapture");
            println!("seed {seed}: {why}\n  replay: {replay}");
        }
    }
    assert_eq!(failed, 0, "of {seeds} worlds");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Values of `max_held_bytes` so small that even short events matter. They cannot be configured.
const HELD_MAX: [usize; 4] = [0, 600, 5000, 100_000];

/// A world while it runs.
struct Play {
    /// The limits on connections.
    budget: Budget,
    world: World,
    rng: Rng,
    clients: Vec<Client>,
    hostile: Vec<Hostile>,
    operators: Vec<Operator>,
    endless: Vec<Endless>,
    strays: Vec<Stray>,
    impostors: Vec<Impostor>,
    origins: Vec<Origin>,
    auth_servers: Vec<AuthServer>,
    /// When the auth server first allowed each path.
    let_in: BTreeMap<String, Tick>,
    plans: Vec<Plan>,
    draining: Option<Draining>,
    /// When another configuration is served, and which.
    reload: Option<(Tick, Config)>,
    /// The health of the origins, and how long it is checked.
    course: Course,
    /// The removal of the api or its key.
    loss: Option<Loss>,
    /// The limits on connections to the upstream.
    room: Room,
    /// The limits on the rate of requests.
    paces: Vec<Pace>,
    /// When everything that used the lost api or key must be gone.
    rid_at: Tick,
    terms: Terms,
}

impl Play {
    fn new(seed: u64) -> Play {
        toy::begin();
        let mut rng = Rng::new(seed ^ 0x6d69_6c6c);
        let faults = draw_faults(&mut rng);
        let portions = draw_portions(&mut rng);
        // A separate generator, so the other parts of a world do not depend on it.
        let mut fate = Rng::new(seed ^ 0x6c6f_7373);
        let draft = Draft::draw(seed, &mut rng, &mut fate);
        let Draft { text, other, checks, loss, drain_at, secured, paces, auth, .. } = draft;
        let mut config = parse(&text);
        let tiny = faults.capacity < 100 || portions.high_water < 100;
        let size_max = draw_size_max(&mut rng, tiny);
        let mut plans = Vec::new();
        let key = loss.as_ref().map_or("", |loss| loss.key);
        let mut clients: Vec<_> = (0..rng.between(1, 6))
            .map(|number| Client::draw(number, key, &mut rng, &mut plans, size_max))
            .collect();
        auth::introduce(auth, &mut clients, seed);
        let mut terms = Terms::of(&config, faults.no_descriptor == 0 && loss.is_none());
        terms.expect(auth.map(|rules| rules.within(tiny)), loss.as_ref(), &paces);
        let mut hostile: Vec<_> = (0..rng.below(3)).map(|n| Hostile::draw(n, &mut rng)).collect();
        let reload = rng.chance(20).then(|| draw_reload(&mut rng, &other));
        let course = Course::draw(seed, if reload.is_some() { &other } else { &text }, &checks);
        // A separate generator, so the other parts of a world do not depend on it.
        let mut dice = Rng::new(seed ^ 0x6f70_6572);
        let operators = draw_operators(&mut dice, tiny, &mut terms);
        hostile.extend((0..dice.below(3)).map(|number| Hostile::hasty(number, &mut dice)));
        let mut draining = drain_at.map(|at| Draining::draw(at, &mut fate, config.drain));
        let some = if loss.is_some() || draining.is_some() { fate.below(8) } else { 0 };
        let mut endless: Vec<_> = (0..some).map(|n| Endless::draw(n, &mut fate, key)).collect();
        auth::introduce_endless(auth, draining.is_some(), &mut endless, seed);
        if secured {
            speech::secure(seed, &mut clients, &mut hostile, &mut endless);
        }
        let strays = stray::draw(seed, &config);
        let impostors = front::impostors(seed, &config);
        let budget = draw_budget(&mut dice);
        if dice.chance(20) {
            config.server.max_held_bytes = dice.pick(&HELD_MAX);
            terms.hold_little(auth);
        }
        let others = endless.len() + strays.len() + impostors.len();
        let all_clients = clients.len() + hostile.len() + others;
        draining.iter_mut().for_each(|draining| draining.come_to(all_clients, &mut terms));
        // With a small budget clients are refused, but descriptors must suffice within it.
        terms.kind &= budget.connections == usize::MAX;
        let all = budget.connections.saturating_add(budget.refusals + operators.len() + 1);
        let net = (Faults { descriptors: all, ..faults }, portions);
        let (room, mut world) = begin(seed, budget, config, &[&reload, &course.calm], net);
        front::stand(world.net(), draft.fronted, draft.announces);
        draw_hosts(&mut rng, &mut world, &mut terms);
        Play {
            room,
            world,
            budget,
            rng,
            clients,
            hostile,
            operators,
            endless,
            strays,
            impostors,
            origins: Vec::new(),
            auth_servers: Vec::new(),
            let_in: BTreeMap::new(),
            plans,
            draining,
            reload,
            course,
            loss,
            paces,
            rid_at: Tick::NEVER,
            terms,
        }
    }

    fn run(mut self) -> Result<(), String> {
        for _ in 0..5_000_000 {
            self.drain();
            let reload = self.reload.take_if(|(at, _)| *at <= self.world.now);
            let calm = || self.course.calm.take_if(|(at, _)| *at <= self.world.now);
            if let Some((_, config)) = reload.or_else(calm) {
                self.terms.scarce |= Terms::of(&config, false).scarce;
                let present = &self.world.proxy.config().tls;
                // Handshakes in progress are not completed.
                self.terms.kind &= config.tls.verifies_clients_like(present);
                self.world.reload(&config, self.budget, late(&config));
                self.room.change(&config);
            }
            if let Some(loss) = self.loss.take_if(|loss| loss.at <= self.world.now) {
                let now = self.world.now;
                // No later reload brings it back.
                let lost = now.after(Duration::from_millis(late(&loss.config)));
                (self.reload, self.rid_at) = (None, loss.rid_at(lost));
                self.world.reload(&loss.config, self.budget, late(&loss.config));
                self.room.forget();
            }
            let moves = self.world.moves();
            let moved = self.act()?;
            self.world.turn()?;
            self.room.judge(self.world.net())?;
            rates::judge(&self.paces, &self.origins, self.world.now)?;
            let moved = moved || self.world.moves() != moves;
            if moved || self.world.wake() <= self.world.now || self.world.net().has_events() {
                continue;
            }
            if let Some(draining) = self.draining
                && self.world.now > draining.over_at()
                && !self.world.is_drained()
            {
                return Err("something outlives the drain".to_owned());
            }
            if self.world.now > self.rid_at && self.world.unwanted() > 0 {
                return Err("something outlives its api, or its key".to_owned());
            }
            let next = self.next_moment();
            if next == Tick::NEVER {
                return self.judge();
            }
            if next > Tick::from_millis(48 * 3_600_000) {
                return Err(format!("not at an end after two days, next at {next:?}"));
            }
            self.world.advance_to(next);
        }
        Err("not at an end after 5,000,000 turns".to_owned())
    }

    /// Begins the drain, or sends the second signal, when it is due.
    fn drain(&mut self) {
        let now = self.world.now;
        let Some(draining) = &mut self.draining else { return };
        if draining.at <= now && !self.world.proxy.is_draining() {
            self.world.drain_as(&draining.times);
            draining.at = now;
        }
        if draining.again_at <= now && !draining.has_ended {
            draining.has_ended = true;
            self.world.end();
        }
    }

    /// Lets each peer act. True if anything happened.
    fn act(&mut self) -> Result<bool, String> {
        let now = self.world.now;
        let mut moved = false;
        for (index, address) in ADDRESSES.into_iter().enumerate() {
            while let Some(peer) = self.world.net().origin(address) {
                let (sick, seed) = (self.course.sick[index], self.rng.bits());
                let names = self.terms.heeds_sessions;
                self.origins.push(Origin::new(peer, index, sick, names, seed));
                moved = true;
            }
        }
        while let Some(rules) = self.terms.auth
            && let Some(peer) = self.world.net().origin(auth::ADDRESS)
        {
            self.auth_servers.push(AuthServer::new(peer, rules, self.rng.bits()));
            moved = true;
        }
        for server in &mut self.auth_servers {
            moved |= server.act(self.world.net(), &mut self.let_in, now)?;
        }
        for client in &mut self.clients {
            moved |= client.act(self.world.net(), &self.plans, now)?;
        }
        for client in &mut self.hostile {
            moved |= client.act(self.world.net(), now);
        }
        for client in &mut self.endless {
            moved |= client.act(self.world.net(), now);
        }
        for client in &mut self.strays {
            moved |= client.act(self.world.net(), now);
        }
        for client in &mut self.impostors {
            moved |= client.act(self.world.net(), now);
        }
        let patient = self.terms.kind && !self.terms.drains;
        for operator in &mut self.operators {
            moved |= operator.act(self.world.net(), patient, now)?;
        }
        for origin in &mut self.origins {
            moved |= origin.act(self.world.net(), &self.plans, self.terms.auth, now)?;
        }
        Ok(moved)
    }

    fn next_moment(&self) -> Tick {
        let clients = self.clients.iter().map(|client| client.next(self.world.now));
        let hostile = self.hostile.iter().map(|client| client.next(self.world.now));
        let origins = self.origins.iter().map(|origin| origin.next(self.world.now));
        let operators = self.operators.iter().map(|operator| operator.next(self.world.now));
        let servers = self.auth_servers.iter().map(|server| server.next(self.world.now));
        let endless = self.endless.iter().map(|client| client.next(self.world.now));
        let strays = self.strays.iter().map(|client| client.next(self.world.now));
        let impostors = self.impostors.iter().map(|client| client.next(self.world.now));
        let signals = self.draining.map_or([Tick::NEVER; 2], |d| [d.at, d.again_at]);
        let now = self.world.now;
        let drain = signals.into_iter().filter(|at| *at > now).min().unwrap_or(Tick::NEVER);
        let reload = self.reload.as_ref().map_or(Tick::NEVER, |(at, _)| *at);
        let calm = self.course.calm.as_ref().map_or(Tick::NEVER, |(at, _)| *at);
        let loss = self.loss.as_ref().map_or(Tick::NEVER, |loss| loss.at);
        clients
            .chain(hostile)
            .chain(operators)
            .chain(origins)
            .chain(servers)
            .chain(endless)
            .chain(strays)
            .chain(impostors)
            .min()
            .unwrap_or(Tick::NEVER)
            .min(self.world.wake())
            .min(drain)
            .min(reload)
            .min(calm)
            .min(loss)
    }

    fn judge(&mut self) -> Result<(), String> {
        for client in &self.clients {
            client.judge(&self.plans, self.terms)?;
        }
        for stray in &self.strays {
            stray.judge(self.terms.kind && !self.terms.drains)?;
        }
        for impostor in &self.impostors {
            impostor.judge()?;
        }
        repeats::judge(&self.plans, &self.origins, self.terms)?;
        if let Some(rules) = self.terms.auth {
            auth::judge_questions(&self.plans, &self.origins, &self.let_in)?;
            // With a small budget there may be no room for checking again.
            if self.budget.connections == usize::MAX {
                auth::judge_endless(&self.endless, rules)?;
            }
        }
        health::judge(&self.plans, &self.origins, &self.course, self.terms)?;
        if let Some(draining) = self.draining {
            if !self.world.is_drained() {
                return Err("it does not end when the last client is gone".to_owned());
            }
            draining.judge(&self.endless)?;
        }
        match self.world.net().shortages {
            0 => {}
            // A check or recheck may have been refused, and was closed.
            _ if self.course.has_checks || self.terms.auth.is_some() => {}
            n => return Err(format!("a descriptor was missing {n} times")),
        }
        let mut sent = Sent::default();
        let clients = self.clients.iter().map(|client| (client.address, &client.sent));
        let hostile = self.hostile.iter().map(|client| (client.address, &client.sent));
        let operators = self.operators.iter().map(|operator| (operator.address, &operator.sent));
        let endless = self.endless.iter().map(|client| (client.address, &client.sent));
        let strays = self.strays.iter().map(|client| (client.address, &client.sent));
        let all = clients.chain(hostile).chain(operators).chain(endless).chain(strays);
        for (address, bytes) in all {
            sent.add(address.to_string(), bytes);
        }
        sent.judge(&self.world.access)?;
        match self.world.in_use() {
            (0, 0, 0) => Ok(()),
            left => Err(format!("left over: {left:?} (sessions, upstreams, buffers)")),
        }
    }
}

fn draw_operators(dice: &mut Rng, tiny: bool, terms: &mut Terms) -> Vec<Operator> {
    let operators: Vec<_> =
        (0..dice.below(3)).map(|number| Operator::draw(number, dice, tiny)).collect();
    if operators.iter().any(|operator| operator.ends) {
        (terms.kind, terms.ends, terms.ends_answers) = (false, true, true);
    }
    operators
}

/// Creates the origins. The first may refuse connections.
fn draw_hosts(rng: &mut Rng, world: &mut World, terms: &mut Terms) {
    world.net().clients_show(Some(Shows::Good));
    let first = if rng.chance(80) { Host::Listening } else { Host::Refusing };
    for (address, host) in ADDRESSES.into_iter().zip([first, Host::Listening]) {
        world.net().set_host(address, host);
        world.net().secure(address, terms.secured.then_some(Shows::Good));
    }
    terms.note_reachable(first == Host::Listening);
    terms.auth.iter().for_each(|rules| rules.listen(world.net()));
}

fn draw_reload(rng: &mut Rng, text: &str) -> (Tick, Config) {
    let head = rng.pick(&["1KiB", "3KiB", "32KiB"]);
    let text = text.replace("max_head_bytes = \"", &format!("max_head_bytes = \"{head}\" # \""));
    (Tick::from_millis(rng.below(3000)), parse(&text))
}

/// Creates a world with one or several event loops. `later` are the configurations of its reloads.
/// A small budget for connections cannot be divided.
fn begin(
    seed: u64,
    budget: Budget,
    config: Config,
    later: &[&Option<(Tick, Config)>],
    (faults, portions): (Faults, Portions),
) -> (Room, World) {
    // A separate generator, so the other parts of a world do not depend on it.
    let loops = Rng::new(seed ^ 0x6c6f_6f70).pick(&[1, 1, 1, 2, 3, 4]);
    let fits = |config: &Config| config.fits(loops).is_ok();
    let all_fit = fits(&config) && later.iter().copied().flatten().all(|(_, config)| fits(config));
    let loops = if all_fit && budget.connections == usize::MAX { loops } else { 1 };
    let room = Room::of(&config, loops);
    (room, World::of_loops(loops, budget, config, seed, faults, portions))
}

/// How many milliseconds may pass until all event loops serve this configuration. If connections to
/// the upstream are counted, all must serve it at once.
fn late(config: &Config) -> u64 {
    if config.apis.iter().any(|api| api.max_upstream.is_some()) { 0 } else { 20 }
}

fn draw_budget(dice: &mut Rng) -> Budget {
    if dice.chance(85) {
        return Budget::unlimited(1000);
    }
    let clients = dice.size(1, 4);
    Budget { clients, connections: 2 * clients + dice.size(0, 2), refusals: dice.size(0, 2) }
}

/// Draws the maximum length of bodies. `tiny` says that the network is too slow for long ones.
fn draw_size_max(rng: &mut Rng, tiny: bool) -> usize {
    if tiny {
        300
    } else if rng.chance(97) {
        5000
    } else {
        40_000
    }
}

fn draw_faults(rng: &mut Rng) -> Faults {
    let sometimes = |rng: &mut Rng, high| if rng.chance(50) { rng.below(high) } else { 0 };
    Faults {
        epoll: rng.chance(60),
        delayed: sometimes(rng, 60),
        spurious: sometimes(rng, 20),
        short: sometimes(rng, 60),
        descriptors: usize::MAX,
        no_descriptor: if rng.chance(10) { rng.below(30) } else { 0 },
        // One byte at a time takes a hundred times as many turns.
        capacity: rng.pick(&[1, 7, 7, 100, 100, 4096, 4096, 4096, 65536, 65536, 65536]),
    }
}

fn draw_portions(rng: &mut Rng) -> Portions {
    if rng.chance(30) {
        return Portions::default();
    }
    Portions {
        high_water: rng.pick(&[1, 2, 17, 1000, 8167]),
        window_max: rng.pick(&[1, 50, 3000, 65536]),
        steps_per_turn: rng.size(1, 4),
        arrivals_per_turn: rng.size(1, 3),
        arrivals_beside_streams: rng.size(1, 3),
        handshakes_per_turn: 1,
        handshakes_beside_streams: 1,
        readers_per_turn: 1024,
        crossing_max: 1024,
        timers_per_turn: rng.size(1, 3),
        ahead_max: rng.pick(&[1, 20, 4096]),
    }
}

fn parse(text: &str) -> Config {
    let mut config = Config::parse("sim", text).expect("the world's configuration is right");
    config.load_keys(|file| Ok(loss::keys(file))).expect("the world's keys are right");
    config.secure(|_| Ok(toy::client())).expect("the toy works");
    let asks = config.tls.verify_client.as_ref();
    let asks =
        asks.map(|asks| Asks { optional: asks.optional, accepts: Shows::Good, revokes: None });
    config.tls.server = Some(toy::server(asks));
    let addresses = ADDRESSES.map(Address::Tcp);
    // One target with two addresses, or two targets.
    match config.apis[0].targets.as_mut_slice() {
        [one] => one.addresses = addresses.to_vec(),
        two => two.iter_mut().zip(addresses).for_each(|(t, address)| t.addresses = vec![address]),
    }
    config
}
