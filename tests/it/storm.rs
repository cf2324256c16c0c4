//! Clients that leave together are told when to reconnect. Reconnections over TLS are spread so
//! that the handshakes leave the loop three quarters of its time.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::toy;
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};
use std::time::Duration;

/// The api listeners of `millstream::testing::world::PORTS`.
const PLAIN: ListenerId = ListenerId(0);
const TLS: ListenerId = ListenerId(3);

const CLIENTS: usize = 900;

/// Four times the duration of all handshakes with a P-256 key, in milliseconds.
const SPREAD: u64 = 4 * 300 * CLIENTS as u64 / 1000;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n";

struct Storm {
    world: World,
    clients: Vec<Peer>,
}

impl Storm {
    /// As many clients as may connect, each with a stream.
    fn of(listener: ListenerId, window: &str) -> Storm {
        toy::begin();
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:8080']\nlisten_tls = ['127.0.0.1:8443']\n\
             [drain]\nwindow = '{window}'\nretry_min = '1s'\nretry_max = '1s'\n\
             [[tls.certificate]]\ncertificate = 'a'\nkey = 'b'\n\
             [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n\
             on_outage = 'retry'\n\
             [[api]]\nname = 'b'\nlisten_path = '/b'\ntarget_url = 'http://10.0.0.1'\n"
        );
        let mut config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        config.tls.server = Some(toy::server(None));
        let mut world = World::new(config, 7, Faults::NONE, Portions::default());
        let address = "10.0.0.1:80".parse().unwrap();
        world.net().set_host(address, Host::Listening);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = match listener {
                TLS => world.net().secured_client(listener, None),
                _ => world.net().client(listener, None),
            };
            world.settle().unwrap();
            world.net().send(client.unwrap(), b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
            world.settle().unwrap();
            let origin = world.net().origin(address).unwrap();
            world.net().send(origin, HEAD);
            world.settle().unwrap();
            clients.extend(client);
        }
        let mut storm = Storm { world, clients };
        assert!(storm.heard().iter().all(|heard| heard.contains("data: x")));
        storm
    }

    /// What each client has received since the last call.
    fn heard(&mut self) -> Vec<String> {
        let net = self.world.net();
        let hear = |client: &Peer| match net.hear(*client, 4096) {
            Heard::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            Heard::Nothing | Heard::End | Heard::Reset => String::new(),
        };
        self.clients.iter().map(hear).collect()
    }

    /// The time after which each client is told to reconnect in a drain, in milliseconds.
    fn told_in_a_drain(mut self, window: Duration) -> Vec<u64> {
        let now = self.world.now;
        self.world.proxy.drain(now);
        self.world.settle().unwrap();
        let (end, mut heard) = (now.after(window), vec![String::new(); CLIENTS]);
        while self.world.now < end {
            let next = self.world.wake().min(end).max(self.world.now);
            self.world.advance_to(next);
            self.world.settle().unwrap();
            // A client that has not read the end by the end of the window may lose it.
            self.heard().iter().zip(&mut heard).for_each(|(more, heard)| heard.push_str(more));
        }
        heard.iter().map(|heard| number_behind(heard, "retry: ")).collect()
    }
}

fn number_behind(heard: &str, name: &str) -> u64 {
    let rest = heard.split_once(name).unwrap_or_else(|| panic!("no {name}in {heard:?}")).1;
    rest.split(['\r', '\n']).next().unwrap().parse().unwrap()
}

/// Apart from chance, handshakes need no more than a quarter of the time in either half of the
/// interval.
fn is_spread(told: &[u64]) {
    assert!(told.iter().all(|ms| (1000..=1000 + SPREAD).contains(ms)), "{told:?}");
    let half = |n: u64| told.iter().filter(|ms| (**ms - 1000) * 2 / (SPREAD + 1) == n).count();
    for n in 0..2 {
        assert!(half(n).abs_diff(CLIENTS / 2) < CLIENTS / 10, "{}", half(n));
    }
}

#[test]
fn a_drain_spreads_handshakes() {
    let window = Duration::from_millis(100);
    is_spread(&Storm::of(TLS, "100ms").told_in_a_drain(window));
    assert_eq!(Storm::of(PLAIN, "100ms").told_in_a_drain(window), [1000; CLIENTS]);
    // If they leave one after the other, they reconnect one after the other, too.
    let window = Duration::from_secs(30);
    assert_eq!(Storm::of(TLS, "30s").told_in_a_drain(window), [1000; CLIENTS]);
}

#[test]
fn an_outage_spreads_handshakes() {
    for listener in [TLS, PLAIN] {
        let mut storm = Storm::of(listener, "30s");
        storm.world.net().set_host("10.0.0.1:80".parse().unwrap(), Host::Refusing);
        let peers = std::mem::take(&mut storm.clients);
        for peer in peers {
            storm.world.net().leave(peer);
        }
        storm.world.settle().unwrap();
        for n in 0..CLIENTS {
            let client = match listener {
                TLS => storm.world.net().secured_client(listener, None),
                _ => storm.world.net().client(listener, None),
            };
            storm.world.settle().unwrap();
            let (path, accept) = if n % 2 == 0 { ("a", "text/event-stream") } else { ("b", "*/*") };
            let request = format!("GET /{path} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
            storm.world.net().send(client.unwrap(), request.as_bytes());
            storm.clients.extend(client);
        }
        storm.world.settle().unwrap();
        let heard = storm.heard();
        let retries: Vec<u64> =
            heard.iter().step_by(2).map(|heard| number_behind(heard, "retry: ")).collect();
        let most = retries.iter().max().unwrap();
        if listener == TLS {
            assert!((1000 + SPREAD / 2..=1000 + SPREAD).contains(most), "{most}");
        } else {
            assert_eq!(*most, 1000);
        }
    }
}
