//! Requests that wait for a connection to an upstream with few of them are served in order,
//! whatever the network does.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{Budget, ListenerId, Portions, Tick};
use std::net::SocketAddr;

const CLIENTS: usize = 60;

/// The maximum number of connections to the upstream.
const MAX: usize = 3;

struct Stage {
    world: World,
    /// The connections to the upstream.
    origins: Vec<Peer>,
    /// The paths of the requests that it received, in order.
    heard: Vec<usize>,
}

fn config(target: &str) -> Config {
    let text = format!(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{target}'\n\
        max_upstream = {MAX}\nqueue_timeout = '1h'\n"
    );
    Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn address(text: &str) -> SocketAddr {
    format!("{text}:80").parse().unwrap()
}

impl Stage {
    fn new(seed: u64, faults: Faults) -> Stage {
        let mut world = World::new(config("10.0.0.1"), seed, faults, Portions::default());
        for host in ["10.0.0.1", "10.0.0.2"] {
            world.net().set_host(address(host), Host::Listening);
        }
        Stage { world, origins: Vec::new(), heard: Vec::new() }
    }

    fn ask(&mut self, number: usize) -> Peer {
        let client = self.world.net().client(ListenerId(0), None).unwrap();
        let request = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.world.net().send(client, request.as_bytes());
        self.world.settle().unwrap();
        client
    }

    /// The upstream reads all requests, answers one of them, and then, if `close` is set, closes
    /// the connection.
    fn answer(&mut self, close: bool) {
        while let Some(peer) = self.world.net().origin(address("10.0.0.1")) {
            self.origins.push(peer);
        }
        let mut open = Vec::new();
        for peer in std::mem::take(&mut self.origins) {
            match self.world.net().hear(peer, usize::MAX) {
                Heard::Bytes(bytes) => {
                    let text = String::from_utf8(bytes).unwrap();
                    let path = text.strip_prefix("GET /").unwrap();
                    self.heard.push(path.split(' ').next().unwrap().parse().unwrap());
                    open.push(peer);
                }
                Heard::Nothing => open.push(peer),
                Heard::End | Heard::Reset => {}
            }
        }
        assert!(open.len() <= MAX, "{} connections", open.len());
        self.origins = open;
        if self.origins.is_empty() {
            return;
        }
        let peer = self.origins.remove(0);
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
        let close = if close { "Connection: close\r\n" } else { "" };
        self.world.net().send(peer, format!("{response}{close}\r\nok").as_bytes());
        self.origins.push(peer);
        self.world.settle().unwrap();
    }
}

#[test]
fn nobody_is_overtaken() {
    for seed in 0..30 {
        let faults = Faults { delayed: 30, spurious: 20, ..Faults::NONE };
        let mut stage = Stage::new(seed, faults);
        let clients: Vec<Peer> = (0..CLIENTS).map(|number| stage.ask(number)).collect();
        // Every seventh client leaves.
        let gone: Vec<usize> = (MAX..CLIENTS).filter(|number| number % 7 == 0).collect();
        for number in &gone {
            stage.world.net().leave(clients[*number]);
        }
        stage.world.settle().unwrap();
        for round in 0..2 * CLIENTS {
            stage.answer((round as u64 + seed).is_multiple_of(3));
        }
        let all = (0..CLIENTS).filter(|number| !gone.contains(number));
        // Requests whose connections are established at the same moment may arrive in any order.
        let mut heard = stage.heard.clone();
        for (place, number) in all.enumerate() {
            let at = heard.iter().position(|other| *other == number).unwrap();
            assert!(at < MAX, "seed {seed}: {number} at {}", place + at);
            heard.remove(at);
        }
        assert_eq!(heard, [], "seed {seed}");
    }
}

/// After a reload the api has a target for which the requests were not written. The connections to
/// the previous one are no longer counted, so nothing may wait for them.
#[test]
fn who_waits_for_an_upstream_that_is_gone_is_told() {
    let mut stage = Stage::new(1, Faults::NONE);
    let clients: Vec<Peer> = (0..2 * MAX).map(|number| stage.ask(number)).collect();
    let now = Tick::from_millis(10);
    stage.world.advance_to(now);
    stage.world.proxy.reload(config("10.0.0.2/b"), Budget::unlimited(1000), now);
    stage.world.settle().unwrap();
    for (number, client) in clients.iter().enumerate() {
        let heard = stage.world.net().hear(*client, usize::MAX);
        let Heard::Bytes(bytes) = heard else {
            assert!(number < MAX && heard == Heard::Nothing, "{number} hears {heard:?}");
            continue;
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(number >= MAX && text.starts_with("HTTP/1.1 503 "), "{number} hears {text}");
        assert!(text.contains("Retry-After: "), "{text}");
    }
    assert_eq!(stage.world.access.matches("status=503 reason=removed").count(), MAX);
    stage.ask(100);
    assert!(stage.world.net().origin(address("10.0.0.2")).is_some(), "no request goes there");
}
