//! Streams that have lost their upstream: how soon all are served once it is back, and how often it
//! gets requests meanwhile.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions, Tick};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const CLIENTS: usize = 200;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

struct Stage {
    world: World,
    address: SocketAddr,
    /// The connections of the streams that have been served.
    served: Vec<Peer>,
}

impl Stage {
    /// Starts streams that have an id to resume from.
    fn new(seed: u64) -> Stage {
        let text = r#"
            [server]
            [[api]]
            name = "a"
            listen_path = "/"
            target_url = "http://10.0.0.1"
            resume = "always"
            resume_timeout = "1h"
            heartbeat = "0s"
            "#;
        let config = Config::parse("x.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
        let world = World::new(config, seed, Faults::NONE, Portions::default());
        let address = "10.0.0.1:80".parse().unwrap();
        let mut stage = Stage { world, address, served: Vec::new() };
        stage.world.net().set_host(address, Host::Listening);
        for _ in 0..CLIENTS {
            let client = stage.world.net().client(ListenerId(0), None).unwrap();
            stage.world.net().send(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            stage.world.settle().unwrap();
            stage.serve(b"id: 1\ndata: x\n\n");
        }
        stage
    }

    /// Answers all requests with a stream that begins with `body`. Returns their number.
    fn serve(&mut self, body: &[u8]) -> usize {
        let mut count = 0;
        while let Some(origin) = self.world.net().origin(self.address) {
            self.world.net().send(origin, HEAD);
            self.world.net().send(origin, body);
            self.served.push(origin);
            count += 1;
        }
        self.world.settle().unwrap();
        count
    }

    fn is_away(&mut self, away: bool) {
        let host = if away { Host::Refusing } else { Host::Listening };
        self.world.net().set_host(self.address, host);
        if away {
            self.break_off();
        }
    }

    fn break_off(&mut self) {
        for origin in std::mem::take(&mut self.served) {
            self.world.net().reset(origin);
        }
        self.world.settle().unwrap();
    }

    /// Lets time pass, and calls `then` at each moment at which something is due.
    fn run(&mut self, time: Duration, mut then: impl FnMut(&mut Stage)) {
        let end = self.world.now.after(time);
        while self.world.now < end {
            let next = self.world.wake().min(end).max(self.world.now);
            self.world.advance_to(next);
            self.world.settle().unwrap();
            then(self);
        }
    }
}

#[test]
fn when_one_is_answered_the_others_ask_soon_and_not_together() {
    for seed in 0..5 {
        let mut stage = Stage::new(seed);
        for _ in 0..3 {
            stage.is_away(true);
            stage.run(Duration::from_secs(20), |_| {});
            stage.is_away(false);
            let mut asked: BTreeMap<Tick, usize> = BTreeMap::new();
            stage.run(Duration::from_secs(6), |stage| {
                let count = stage.serve(b"id: 1\ndata: x\n\n");
                *asked.entry(stage.world.now).or_default() += count;
            });
            asked.retain(|_, count| *count > 0);
            assert_eq!(asked.values().sum::<usize>(), CLIENTS, "each asks once");
            let (first, last) = (*asked.keys().next().unwrap(), *asked.keys().last().unwrap());
            assert!(last.since(first) < Duration::from_secs(1), "{first:?} to {last:?}");
            let together = asked.values().max().unwrap();
            assert!(*together <= CLIENTS / 4, "{together} at the same moment");
        }
    }
}

#[test]
fn an_upstream_that_drops_its_streams_at_once_is_not_asked_all_the_time() {
    let mut stage = Stage::new(1);
    stage.break_off();
    let mut asked = 0;
    stage.run(Duration::from_secs(120), |stage| {
        asked += stage.serve(b"");
        stage.break_off();
    });
    // After some failures each waits for two and a half to five seconds.
    let most = CLIENTS * (120 / 2 + 10);
    assert!(asked > CLIENTS * 20 && asked < most, "{asked} times");
}

#[test]
fn a_first_wait_is_as_long_as_the_upstream_likes_it() {
    let mut stage = Stage::new(2);
    stage.run(Duration::from_secs(60), |_| {});
    for origin in &stage.served.clone() {
        stage.world.net().send(*origin, b"retry: 4000\nid: 2\ndata: x\n\n");
    }
    stage.world.settle().unwrap();
    // Half of the streams are reset one after the other, and the others are served all the time.
    let now = stage.world.now;
    for origin in stage.served.split_off(CLIENTS / 2) {
        stage.world.net().reset(origin);
    }
    stage.world.settle().unwrap();
    let mut asked = Vec::new();
    stage.run(Duration::from_secs(5), |stage| {
        if stage.serve(b"id: 2\ndata: x\n\n") > 0 {
            asked.push(stage.world.now);
        }
    });
    assert!(asked[0].since(now) >= Duration::from_secs(2), "asked at {:?}", asked[0]);
    assert!(asked[asked.len() - 1].since(asked[0]) > Duration::from_secs(1), "woken");
}

/// The upstream says that it cannot serve a request before it has all of it. The next attempt sends
/// the request from its beginning, and only once.
#[test]
fn what_is_left_of_a_request_is_not_sent() {
    let text = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n\
        on_outage = 'hold'\nheartbeat = '0s'\n";
    let config = Config::parse("x.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    let faults = Faults { capacity: 100, ..Faults::NONE };
    let world = World::new(config, 1, faults, Portions::default());
    let address = "10.0.0.1:80".parse().unwrap();
    let mut stage = Stage { world, address, served: Vec::new() };
    let client = stage.world.net().client(ListenerId(0), None).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";
    assert_eq!(stage.world.net().send(client, request), request.len());
    stage.world.settle().unwrap();
    stage.world.net().set_host(address, Host::Listening);
    let (mut connections, mut heard) = (0, Vec::new());
    stage.run(Duration::from_secs(20), |stage| {
        while let Some(origin) = stage.world.net().origin(stage.address) {
            connections += 1;
            if connections == 1 {
                stage.world.net().send(origin, b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            while let Heard::Bytes(bytes) = stage.world.net().hear(origin, usize::MAX) {
                heard.extend(bytes);
                stage.world.settle().unwrap();
            }
        }
    });
    assert_eq!(connections, 2);
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.starts_with("GET / HTTP/1.1\r\n") && heard.ends_with("\r\n\r\n"), "{heard}");
    assert_eq!(heard.matches("GET").count(), 1, "{heard}");
}
