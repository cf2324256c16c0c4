//! Worlds with shared streams: clients that arrive together, lag, leave, and reconnect with ids
//! that are right, old or unknown, and an origin that resets, ends streams, sends other responses,
//! or makes streams private.
//!
//! Each event has its stream, its number there, and the fields of the request that the origin has
//! received. So a client can check that no event is missing or repeated, and that it got only
//! events that its own request would have got, and none that were meant for another. `SIM_SEED` and
//! `SIM_SEEDS` are used as in the other worlds.

mod viewer;

use super::message::{Body, Head};
use super::speech::Speech;
use super::{draw_faults, draw_portions, number};
use crate::coverage::variants;
use crate::journal;
use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::toy;
use millstream::testing::world::World;
use millstream::testing::{Budget, Drain, Portions, Tick, record_coverage, recorded_coverage};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use viewer::Viewer;

/// How long a world is busy, in milliseconds, and how long it is calm after that.
const BUSY: u64 = 4000;
const CALM: u64 = 30_000;

/// The configuration for clients that use TLS.
const TLS: &str = "listen = [\"127.0.0.1:8080\"]\nlisten_tls = [\"127.0.0.1:8443\"]\n";
const CERTIFICATE: &str = "[[tls.certificate]]\ncertificate = \"a\"\nkey = \"b\"\n";

/// The number of event names.
const NAMES: u64 = 3;

#[test]
fn shares() {
    if let Some(seed) = number("SIM_SEED") {
        journal::start();
        let played = Play::new(seed).run();
        journal::take().iter().for_each(|line| println!("{line}"));
        played.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return;
    }
    let (first, seeds) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(600));
    record_coverage();
    let mut failed = Vec::new();
    // How many events clients have seen, without TLS and with it.
    let mut events = [0, 0];
    for seed in first..first + seeds {
        match std::panic::catch_unwind(|| Play::new(seed).run()) {
            Ok(Ok((speech, seen))) => events[usize::from(speech == Speech::Tls)] += seen,
            Ok(Err(why)) => failed.push(format!("seed {seed}: {why}")),
            Err(_) => failed.push(format!("seed {seed}: it panicked")),
        }
    }
    let replay = "SIM_SEED=... cargo test --test it shares -- --nocapture";
    assert!(
        failed.is_empty(),
        "{}\n{} failed; {replay}",
        failed[..failed.len().min(5)].join("\n"),
        failed.len()
    );
    let seen = recorded_coverage();
    let of = |kind| variants(MIRROR, kind).map(move |name| format!("{kind} {name}"));
    let all = of("Request").chain(of("Update")).chain(["Behind", "Silent"].map(str::to_owned));
    let missing: Vec<String> = all.filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty() || seeds < 600, "no world has {missing:?}");
    let many = usize::try_from(seeds).unwrap();
    assert!(events.iter().all(|seen| *seen >= many) || seeds < 600, "{events:?} events were seen");
}

const MIRROR: &str = include_str!("../../../src/proxy/sharing/mirror.rs");

/// What is drawn once for a world.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// One out of so many events has an id.
    ids: u64,
    resumes: bool,
    /// The origin behaves.
    kind: bool,
    /// Clients are told of gaps.
    tells: bool,
    /// The events of a shared stream have ids of the log.
    own: bool,
    /// Clients that join may get some events twice.
    fresh: bool,
    /// A slow client gets the last event of each name, and the log has room for all names.
    catches_up: bool,
}

struct Play {
    world: World,
    rng: Rng,
    terms: Terms,
    /// How many events each stream has had.
    published: [u64; 3],
    feeders: Vec<Feeder>,
    viewers: Vec<Viewer>,
    /// The viewer that has seen each secret, which is meant for one.
    secrets: BTreeMap<u64, usize>,
    last_secret: u64,
    address: SocketAddr,
    /// When each event loop serves another configuration, and which.
    reloads: Vec<(u64, Config)>,
    /// When the world drains, if it does.
    drains_at: Option<u64>,
    /// Some clients share under another configuration than others.
    is_apart: bool,
}

/// A connection of the origin.
struct Feeder {
    peer: Peer,
    wire: Vec<u8>,
    unsent: Vec<u8>,
    stream: Option<usize>,
    /// The identity in the request that it received.
    who: String,
    is_shared: bool,
    next: u64,
    secret: u64,
    ends: bool,
    is_gone: bool,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut rng = Rng::new(seed ^ 0x7368_6172);
        let capacity = rng.pick(&[100, 4096, 65536]);
        let faults = Faults { no_descriptor: 0, capacity, ..draw_faults(&mut rng) };
        let mut portions = draw_portions(&mut rng);
        portions.readers_per_turn = rng.size(1, 3);
        // Everything that was missed has to arrive in the calm time.
        portions.high_water = rng.pick(&[100, 1000, 8167]);
        portions.window_max = rng.pick(&[50, 3000, 65536]);
        let resume = rng.pick(&["false", "true", "\"always\""]);
        toy::begin();
        // A separate generator, so the other parts of a world do not depend on it.
        let is_secure = Rng::new(seed ^ 0x746c_7324).chance(30);
        let tells = rng.chance(60);
        let on_gap = rng.pick(
            &["private", "private", "end", "now", "log", "fresh"][..if tells { 6 } else { 3 }],
        );
        let join = rng.pick(&["now", "log", "fresh"]);
        let ids = if tells { rng.pick(&["keep", "own"]) } else { "keep" };
        let slow = rng.pick(&["end", "skip", "latest"][..if tells { 3 } else { 1 }]);
        let gap_event = if tells { "event: gap\\ndata: {}" } else { "" };
        let (events, age) = (rng.between(1, 30), rng.pick(&["0s", "1s", "5m"]));
        let text = format!(
            "[server]\n{}{}\n{}[[api]]\nname = \"a\"\nlisten_path = \"/\"\n\
             target_url = \"http://10.0.0.1\"\n\
             resume = {resume}\non_outage = \"{}\"\nheartbeat = \"{}\"\nearly_answer = \"{}\"\n\
             [api.share]\njoin = \"{join}\"\nsettle = \"{}\"\nids = \"{ids}\"\n\
             headers = [\"X-Group\"]\nlog_events = {}\n\
             log_bytes = \"4KiB\"\nlog_age = \"{}\"\non_gap = \"{on_gap}\"\nlinger = \"{}\"\n\
             max_logs = {}\nslow = \"{slow}\"\ngap_event = \"{gap_event}\"\n",
            if is_secure { TLS } else { "" },
            rng.pick(&["", "", "flush_interval = \"30ms\""]),
            if is_secure { CERTIFICATE } else { "" },
            rng.pick(&["error", "retry", "hold"]),
            rng.pick(&["0s", "100ms", "15s"]),
            rng.pick(&["0s", "0s", "50ms"]),
            rng.pick(&["1ms", "30ms", "500ms"]),
            events,
            age,
            rng.pick(&["0s", "70ms", "10s"]),
            rng.pick(&[1, 2, 256]),
        );
        let (mut world, reloads, drains_at) = begin((text, is_secure), seed, faults, portions);
        let address = "10.0.0.1:80".parse().unwrap();
        world.net().set_host(address, Host::Listening);
        let speech = if is_secure { Speech::Tls } else { Speech::Http };
        let count = rng.between(1, 8);
        let viewers = (0..count).map(|number| Viewer::draw(number, speech, &mut rng)).collect();
        let is_roomy = events >= NAMES && age != "1s";
        let terms = Terms {
            tells,
            own: ids == "own",
            fresh: join == "fresh" || on_gap == "fresh",
            catches_up: slow == "latest" && is_roomy,
            ids: rng.pick(&[1, 1, 1, 3, 1000]),
            resumes: resume != "false",
            kind: rng.chance(30),
        };
        Play {
            world,
            rng,
            terms,
            published: [0; 3],
            feeders: Vec::new(),
            viewers,
            secrets: BTreeMap::new(),
            last_secret: 0,
            address,
            reloads,
            drains_at,
            is_apart: false,
        }
    }

    /// Lets event loops serve another configuration, or drain, when it is due.
    fn tell_loops(&mut self, step: u64) {
        if self.drains_at == Some(step) {
            let [window, answers] = [Duration::from_millis(step % 3000); 2];
            let drain = self.world.proxy.config().drain;
            self.world.drain_as(&Drain { delay: Duration::ZERO, window, answers, ..drain });
        }
        for (index, (at, config)) in self.reloads.iter().enumerate() {
            if *at == step {
                let now = self.world.now;
                let part = config.clone().part_of(index, self.world.loops());
                self.is_apart |= config.apis[0].share != self.world.proxy.config().apis[0].share;
                self.world.visit(index, |world| {
                    world.proxy.reload(part, Budget::unlimited(1000), now);
                });
            }
        }
    }

    /// Plays the world. Returns what its clients speak, and how many events they have seen.
    fn run(mut self) -> Result<(Speech, usize), String> {
        for step in 0..BUSY + CALM {
            let is_busy = step < BUSY;
            if !is_busy && step % 20 != 0 {
                continue;
            }
            if is_busy && self.rng.chance(20) {
                let stream = self.rng.size(0, 2);
                self.published[stream] += self.rng.between(1, 3);
            }
            if is_busy && !self.terms.kind && self.rng.chance(1) {
                let host = if self.rng.chance(70) { Host::Listening } else { Host::Refusing };
                self.world.net().set_host(self.address, host);
            }
            if step == BUSY {
                self.world.net().set_host(self.address, Host::Listening);
            }
            self.tell_loops(step);
            self.feed(is_busy)?;
            self.view(is_busy)?;
            let now = Tick::from_millis(step);
            while self.world.wake() < now || self.world.net().has_events() {
                let next = self.world.wake().min(now).max(self.world.now);
                self.world.advance_to(next);
                self.world.turn()?;
            }
            self.world.advance_to(now);
            self.world.turn()?;
        }
        let speech = self.viewers.first().map_or(Speech::Http, |viewer| viewer.speech);
        let seen = self.viewers.iter().map(|viewer| viewer.all_seen).sum();
        self.judge_the_end()?;
        Ok((speech, seen))
    }

    /// Lets the origin act.
    fn feed(&mut self, is_busy: bool) -> Result<(), String> {
        while let Some(peer) = self.world.net().origin(self.address) {
            self.feeders.push(Feeder {
                peer,
                wire: Vec::new(),
                unsent: Vec::new(),
                stream: None,
                who: String::new(),
                is_shared: false,
                next: 0,
                secret: 0,
                ends: false,
                is_gone: false,
            });
        }
        for index in 0..self.feeders.len() {
            let feeder = &mut self.feeders[index];
            if feeder.is_gone {
                continue;
            }
            match self.world.net().hear(feeder.peer, 4096) {
                Heard::Bytes(bytes) => feeder.wire.extend(bytes),
                Heard::Nothing => {}
                Heard::End | Heard::Reset => {
                    self.world.net().leave(feeder.peer);
                    feeder.is_gone = true;
                    continue;
                }
            }
            if feeder.stream.is_none()
                && let Some(head) = Head::parse(&feeder.wire)?
            {
                feeder.wire.drain(..head.length);
                self.answer(index, &head, is_busy)?;
            }
            self.send(index, is_busy);
        }
        let mut shared = BTreeMap::new();
        for feeder in self.feeders.iter().filter(|f| f.is_shared && !f.is_gone && !f.ends) {
            let known = shared.insert((feeder.stream, feeder.who.clone()), feeder.peer);
            let told = |peer| !self.world.proxy.is_draining() && Some(peer) != known;
            let is_twice = known.is_some() && told(feeder.peer);
            if is_twice && self.terms.kind && !self.is_apart {
                return Err(format!("two requests for {:?} {}", feeder.stream, feeder.who));
            }
        }
        Ok(())
    }

    /// Responds to a request, usually with an event stream.
    fn answer(&mut self, index: usize, head: &Head, is_busy: bool) -> Result<(), String> {
        let path = head.first_line.split(' ').nth(1).unwrap_or_default();
        let stream = ["/a", "/b", "/c"].iter().position(|known| *known == path);
        let stream = stream.ok_or_else(|| format!("asked for {path}"))?;
        let said = ["cookie", "authorization", "x-group"].map(|name| head.get(name).unwrap_or("-"));
        let feeder = &mut self.feeders[index];
        feeder.who = said.join("/");
        feeder.is_shared = head.get("x-forwarded-for").is_none();
        if feeder.is_shared && (said[0] != "-" || said[1] != "-") {
            return Err(format!("{} goes upstream for others", feeder.who));
        }
        let id = head.get("last-event-id").and_then(|id| id.parse::<u64>().ok());
        let known = id.filter(|id| *id < self.published[stream]);
        feeder.next = known.map_or(self.published[stream], |id| id + 1);
        let (peer, is_kind) = (feeder.peer, self.terms.kind || !is_busy);
        journal::note(|| format!("{:?} {peer:?} is asked {}", self.world.now, head.first_line));
        let luck = if is_kind { 100 } else { self.rng.below(110) };
        let head = match luck {
            0..2 => {
                self.world.net().reset(peer);
                self.feeders[index].is_gone = true;
                return Ok(());
            }
            2..5 => "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            5..7 => "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            7..15 => {
                self.last_secret += 1;
                self.feeders[index].secret = self.last_secret;
                ["Set-Cookie: a=1", "Cache-Control: private", "Vary: X-Else, Accept"]
                    [self.rng.size(0, 2)]
            }
            _ => "",
        };
        let feeder = &mut self.feeders[index];
        if head.starts_with("HTTP") {
            feeder.unsent.extend(head.bytes());
            return Ok(());
        }
        let more = if head.is_empty() { String::new() } else { format!("{head}\r\n") };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
             Transfer-Encoding: chunked\r\n{more}\r\n"
        );
        feeder.unsent.extend(head.bytes());
        feeder.stream = Some(stream);
        Ok(())
    }

    /// Sends new events, and sometimes resets or ends the stream.
    fn send(&mut self, index: usize, is_busy: bool) {
        let feeder = &mut self.feeders[index];
        if let Some(stream) = feeder.stream.filter(|_| !feeder.ends) {
            while feeder.next < self.published[stream] {
                let event = event(stream, feeder.next, &feeder.who, feeder.secret, self.terms.ids);
                feeder.next += 1;
                feeder.unsent.extend(chunk(&event));
            }
            if is_busy && !self.terms.kind && self.rng.chance(1) {
                feeder.ends = true;
                let rest: &[u8] = if self.rng.chance(50) { b"0\r\n\r\n" } else { b"5\r\ndata:" };
                feeder.unsent.extend(rest);
            }
        }
        let most = self.rng.size(1, 3000).min(feeder.unsent.len());
        let sent = self.world.net().send(feeder.peer, &feeder.unsent[..most]);
        feeder.unsent.drain(..sent);
        if feeder.ends && feeder.unsent.is_empty() {
            self.world.net().leave(feeder.peer);
            feeder.is_gone = true;
        }
    }

    /// Lets each viewer act.
    fn view(&mut self, is_busy: bool) -> Result<(), String> {
        for index in 0..self.viewers.len() {
            let Play { world, viewers, rng, published, terms, .. } = self;
            let viewer = &mut viewers[index];
            let now = world.now;
            let Some(peer) = viewer.peer else {
                if now >= viewer.comes_at && is_busy {
                    viewer.come(world, rng, published, *terms);
                }
                continue;
            };
            viewer.ask(world);
            if is_busy && rng.chance(1) && rng.chance(30) {
                world.net().leave(peer);
                viewer.go(now, rng);
                continue;
            }
            if is_busy && rng.chance(1) {
                viewer.reads_at = now.after(Duration::from_millis(rng.below(1500)));
            }
            if now < viewer.reads_at && is_busy {
                continue;
            }
            match world.net().hear(peer, rng.size(1, 20_000)) {
                Heard::Bytes(bytes) => viewer.wire.extend(bytes),
                Heard::Nothing => continue,
                Heard::End | Heard::Reset => {
                    world.net().leave(peer);
                    viewer.go(now, rng);
                    continue;
                }
            }
            let published = published[viewer.stream];
            for secret in
                viewer.read(published, *terms).map_err(|why| format!("viewer {index}: {why}"))?
            {
                if self.secrets.insert(secret, index).is_some_and(|other| other != index) {
                    return Err(format!("viewer {index} sees what was meant for another"));
                }
            }
        }
        Ok(())
    }

    /// In the calm time all clients have seen everything, and after they have left nothing remains.
    fn judge_the_end(mut self) -> Result<(), String> {
        if self.drains_at.is_some() && !self.world.is_drained() {
            return Err("somebody outlives the drain".to_owned());
        }
        for (index, viewer) in self.viewers.iter().enumerate() {
            if viewer.peer.is_some() && viewer.body.is_none() {
                return Err(format!("viewer {index} has no answer"));
            }
            let all = self.published[viewer.stream].checked_sub(1);
            let is_there = viewer.peer.is_some() && matches!(viewer.body, Some(Body::Chunked(_)));
            // Events sent while the stream was interrupted are a gap, and there may have been none
            // since.
            let has_all = viewer.last == all || viewer.has_gap && !self.terms.kind;
            if is_there && viewer.last.is_some() && !has_all {
                return Err(format!("viewer {index} has {:?} of {all:?}", viewer.last));
            }
            if is_there && self.terms.kind && self.terms.catches_up {
                viewer.judge_names(self.published[viewer.stream])?;
            }
        }
        for viewer in &self.viewers {
            if let Some(peer) = viewer.peer {
                self.world.net().leave(peer);
            }
        }
        for _ in 0..100 {
            let next = self.world.now.after(Duration::from_secs(1));
            while self.world.now < next {
                self.feed(false)?;
                self.world.settle()?;
                let at = self.world.wake().min(next);
                self.world.advance_to(at);
            }
        }
        for proxy in self.world.all() {
            let (tasks, _, buffers) = proxy.in_use();
            if (tasks, buffers) != (0, 0) {
                return Err(format!("{tasks} tasks and {buffers} buffers are left"));
            }
        }
        Ok(())
    }
}

/// Creates a world with this configuration and one or several event loops, and draws when each of
/// them serves another configuration, and when all drain.
fn begin(
    (text, is_secure): (String, bool),
    seed: u64,
    faults: Faults,
    mut portions: Portions,
) -> (World, Vec<(u64, Config)>, Option<u64>) {
    let parse = |text: &str| {
        let mut config = Config::parse("x", text).unwrap_or_else(|errors| panic!("{errors}"));
        config.tls.server = is_secure.then(|| toy::server(None));
        config
    };
    // A separate generator, so the other parts of a world do not depend on it.
    let mut fate = Rng::new(seed ^ 0x6c6f_6f70);
    let loops = fate.pick(&[1, 1, 2, 3, 4]);
    portions.crossing_max = fate.pick(&[1, 100, 2000, 65536]);
    let mut reloads = Vec::new();
    if fate.chance(30) {
        let other = if fate.chance(50) { text.replace("linger", "#") } else { text.clone() };
        let at = fate.below(BUSY);
        reloads = (0..loops).map(|_| (at + fate.below(200), parse(&other))).collect();
    }
    let drains_at = fate.chance(15).then(|| fate.below(BUSY));
    journal::note(|| format!("drains at {drains_at:?}"));
    journal::note(|| format!("{text}{loops} loops, reloads: {:?}", reloads.first().map(|r| r.0)));
    let budget = Budget::unlimited(1000);
    let world = World::of_loops(loops, budget, parse(&text), seed, faults, portions);
    (world, reloads, drains_at)
}

/// An event, in one of several notations.
fn event(stream: usize, number: u64, who: &str, secret: u64, ids: u64) -> String {
    let end = ["\n", "\r\n", "\n"][stream];
    let id = if number.is_multiple_of(ids) { format!("id: {number}{end}") } else { String::new() };
    let comment = if number % 5 == 1 { format!(": hello{end}{end}") } else { String::new() };
    let retry = if number % 7 == 2 { format!("retry: 10{end}") } else { String::new() };
    format!(
        "{comment}{retry}{id}event: e{}{end}data: {stream} {number} {who} {secret}{end}{end}",
        number % NAMES
    )
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
