//! The memory held for clients that read nothing is limited, even if events must be whole.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};
use std::net::SocketAddr;

const READERS: usize = 150;

const KIB: usize = 1024;

/// The limit for everything held beyond a small buffer for each client.
const HELD_MAX: usize = 1024 * KIB;

/// What a client may have beside that: a small buffer, and the last read before its upstream is no
/// longer read.
const EACH_MAX: usize = 9 * KIB + 8 * KIB;

struct Stage {
    world: World,
    /// Each client, and the connection of its origin.
    pairs: Vec<(Peer, Peer)>,
}

impl Stage {
    /// Starts streams of an api with these keys. Each client has the head and an event.
    fn new(server: &str, api: &str) -> Stage {
        let text = format!(
            "[server]\nmax_held_bytes = {HELD_MAX}\n{server}\n[[api]]\nname = 'a'\n\
            listen_path = '/'\ntarget_url = 'http://10.0.0.1'\nheartbeat = '0s'\n{api}\n"
        );
        let config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let faults = Faults { capacity: 4096, ..Faults::NONE };
        let mut world = World::new(config, 0, faults, Portions::default());
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        world.net().set_host(address, Host::Listening);
        let mut pairs = Vec::new();
        for _ in 0..READERS {
            let client = world.net().client(ListenerId(0), None).unwrap();
            world.net().send(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            world.settle().unwrap();
            let origin = world.net().origin(address).unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1\n\n";
            world.net().send(origin, head);
            world.settle().unwrap();
            world.net().hear(client, usize::MAX);
            pairs.push((client, origin));
        }
        world.settle().unwrap();
        Stage { world, pairs }
    }

    /// Lets each origin send `text` repeatedly, as much as is accepted, up to `most` bytes. Returns
    /// the maximum that was held meanwhile, the maximum that was lent, and what each origin has
    /// sent.
    fn say(&mut self, text: &[u8], most: usize) -> (usize, usize, Vec<Vec<u8>>) {
        let mut said = vec![Vec::new(); self.pairs.len()];
        let (mut held, mut lent) = (0, 0);
        loop {
            let mut moved = false;
            for ((_, origin), said) in self.pairs.iter().zip(&mut said) {
                let bytes: Vec<u8> =
                    text.iter().copied().cycle().skip(said.len() % text.len()).take(4096).collect();
                let n = bytes.len().min(most - said.len());
                let n = self.world.net().send(*origin, &bytes[..n]);
                said.extend(&bytes[..n]);
                moved |= n > 0;
            }
            self.world.settle().unwrap();
            let now = self.world.proxy.held();
            (held, lent) = (held.max(now.0), lent.max(now.1));
            if !moved {
                return (held, lent, said);
            }
        }
    }

    /// Everything that a client still receives.
    fn hear(&mut self, client: Peer) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            self.world.settle().unwrap();
            match self.world.net().hear(client, usize::MAX) {
                Heard::Bytes(bytes) => heard.extend(bytes),
                Heard::Nothing | Heard::End | Heard::Reset => return heard,
            }
        }
    }

    fn all_leave(mut self) {
        for (client, _) in &self.pairs {
            self.world.net().leave(*client);
        }
        self.world.settle().unwrap();
        assert_eq!(self.world.proxy.held(), (0, 0));
        assert_eq!(self.world.proxy.in_use(), (0, 0, 0));
    }
}

/// Counts the data bytes of a chunked body, wherever the chunks are split.
fn count_x(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'x').count()
}

#[test]
fn short_events_are_not_collected_for_who_is_behind() {
    for (server, api) in [("", "resume = true"), ("flush_interval = '10ms'", ""), ("", "")] {
        let mut stage = Stage::new(server, api);
        let (held, lent, _) =
            stage.say(b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n\n", 100_000);
        assert!(held <= HELD_MAX, "{server}{api}: {held} bytes held");
        assert!(lent <= HELD_MAX + READERS * EACH_MAX, "{server}{api}: {lent} bytes lent");
        stage.all_leave();
    }
}

#[test]
fn long_events_pass_when_there_is_no_room_to_hold_them() {
    for (server, api) in [("", "resume = true"), ("flush_interval = '10ms'", "")] {
        for end in ["\n\n", ""] {
            let mut stage = Stage::new(server, api);
            let event = format!("data: {}{end}", "x".repeat(300_000));
            let (held, lent, said) = stage.say(event.as_bytes(), 600_000);
            let over = READERS * 8 * KIB;
            assert!(held <= HELD_MAX + over, "{server}{api}: {held} bytes held");
            assert!(lent <= HELD_MAX + READERS * EACH_MAX, "{server}{api}: {lent} bytes lent");
            // A client that reads again gets everything.
            let (client, origin) = stage.pairs[READERS - 1];
            let mut heard = stage.hear(client);
            stage.world.net().send(origin, b"\n\nid: 2\n\n");
            heard.extend(stage.hear(client));
            assert_eq!(count_x(&heard), count_x(&said[READERS - 1]), "{server}{api}");
            stage.all_leave();
        }
    }
}

/// What an auth server is asked again about a stream is counted even while bodies are being read.
#[test]
fn questions_kept_for_an_auth_server_are_counted() {
    let text = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n\
                [api.auth]\nurl = 'http://10.0.0.2/'\nrecheck = '1h'\n";
    let config = Config::parse("x.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    let mut world = World::new(config, 0, Faults::NONE, Portions::default());
    let [target, auth]: [SocketAddr; 2] =
        ["10.0.0.1:80", "10.0.0.2:80"].map(|address| address.parse().unwrap());
    for address in [target, auth] {
        world.net().set_host(address, Host::Listening);
    }
    let client = world.net().client(ListenerId(0), None).unwrap();
    world.net().send(client, b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let mut say = |address, text: &[u8]| {
        world.settle().unwrap();
        let peer = world.net().origin(address).unwrap();
        world.net().send(peer, text);
        world.settle().unwrap();
        peer
    };
    say(auth, b"HTTP/1.1 204 No Content\r\n\r\n");
    let origin = say(target, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    world.settle().unwrap();
    let kept = world.proxy.held();
    assert!(kept.0 > 0);
    world.net().send(origin, b"data: x\n\n");
    world.settle().unwrap();
    assert_eq!(world.proxy.held(), kept);
}
