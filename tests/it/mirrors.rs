//! Clients of a shared stream in two event loops.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{Budget, ListenerId, Portions, work_done};
use std::net::SocketAddr;
use std::time::Duration;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";

struct Stage {
    world: World,
    address: SocketAddr,
    clients: Vec<Peer>,
    /// The connections to the upstream.
    origins: Vec<Peer>,
}

fn config(target: &str, api: &str, share: &str) -> Config {
    let text = format!(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{target}'\n{api}\n\
         [api.share]\n{share}\n"
    );
    Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn address(host: &str) -> SocketAddr {
    format!("{host}:80").parse().unwrap()
}

impl Stage {
    /// Two event loops, which share streams with these settings.
    fn new(api: &str, share: &str, portions: Portions) -> Stage {
        Stage::of(config("10.0.0.1", api, share), 1, portions)
    }

    fn of(config: Config, seed: u64, portions: Portions) -> Stage {
        let budget = Budget::unlimited(1000);
        let mut world = World::of_loops(2, budget, config, seed, Faults::NONE, portions);
        for target in ["10.0.0.1", "10.0.0.2"] {
            world.net().set_host(address(target), Host::Listening);
        }
        let address = address("10.0.0.1");
        Stage { world, address, clients: Vec::new(), origins: Vec::new() }
    }

    /// A client asks for the stream, in either loop. If it asks the upstream for that, that sends
    /// an event.
    fn come(&mut self) -> Peer {
        let address = "192.0.2.7".parse().ok();
        let client = self.world.net().client(ListenerId(0), address).unwrap();
        self.world.net().send(client, GET);
        self.pass(Duration::from_millis(10));
        while let Some(origin) = self.world.net().origin(self.address) {
            self.world.net().send(origin, HEAD);
            self.world.net().send(origin, b"id: 1\ndata: 1\n\n");
            self.origins.push(origin);
        }
        self.pass(Duration::from_millis(10));
        self.clients.push(client);
        client
    }

    fn pass(&mut self, time: Duration) {
        self.world.settle().unwrap();
        let end = self.world.now.after(time);
        while self.world.now < end {
            let next = self.world.wake().min(end).max(self.world.now);
            self.world.advance_to(next);
            self.world.settle().unwrap();
        }
    }

    /// The numbers of connections to the upstream that the loops have open.
    fn open(&mut self) -> [usize; 2] {
        let addresses = [self.address];
        [0, 1].map(|index| self.world.net().open_to(&addresses, index))
    }

    /// The numbers of sessions, feeds and mirrors that each loop has.
    fn in_use(&self) -> Vec<usize> {
        self.world.all().map(|proxy| proxy.in_use().0).collect()
    }
}

#[test]
fn clients_of_both_loops_continue_with_one_stream() {
    let mut stage = Stage::new("", "join = 'fresh'", Portions::default());
    (0..10).for_each(|_| _ = stage.come());
    assert!(stage.in_use().iter().all(|count| *count > 2), "{:?}", stage.in_use());
    assert_eq!(stage.open().iter().sum::<usize>(), 10);
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.open().iter().sum::<usize>(), 1);
}

/// The upstream stream is kept for `linger` when the last client has left, in whichever loop.
#[test]
fn it_lingers_once() {
    let share = "join = 'now'\nlinger = '10s'";
    for last in 0..10 {
        let mut stage = Stage::new("", share, Portions::default());
        let clients: Vec<Peer> = (0..10).map(|_| stage.come()).collect();
        for client in clients.iter().enumerate().filter(|(n, _)| *n != last).map(|(_, c)| c) {
            stage.world.net().leave(*client);
        }
        stage.pass(Duration::from_secs(100));
        assert_eq!(stage.open().iter().sum::<usize>(), 1);
        stage.world.net().leave(clients[last]);
        stage.pass(Duration::from_secs(9));
        assert_eq!(stage.open().iter().sum::<usize>(), 1);
        stage.pass(Duration::from_secs(3));
        assert_eq!((stage.open(), stage.in_use()), ([0, 0], vec![0, 0]), "{last}");
    }
}

#[test]
fn clients_that_come_and_go_do_not_have_the_log_copied_each_time() {
    let mut stage = Stage::new("heartbeat = '0s'", "join = 'now'", Portions::default());
    (0..4).for_each(|_| _ = stage.come());
    let event = format!("data: {}\n\n", "x".repeat(10_000));
    for _ in 0..50 {
        stage.world.net().send(stage.origins[0], event.as_bytes());
        stage.pass(Duration::from_millis(5));
    }
    // Whichever loop these are in, the other one has no client from now on.
    for client in stage.clients.split_off(1) {
        stage.world.net().leave(client);
    }
    stage.pass(Duration::from_secs(20));
    work_done();
    for _ in 0..100 {
        let client = stage.come();
        stage.world.net().leave(client);
    }
    let (work, log) = (work_done(), 50 * event.len() as u64);
    assert!(work < 2 * log, "{work} bytes were copied or examined, with a log of {log}");
}

/// Clients in both loops wait for a connection when a reload replaces the target. They go on
/// together, whichever loop gets the new configuration first.
#[test]
fn clients_that_wait_in_both_loops_share_a_stream_of_the_new_target() {
    let text = |target: &str, max: usize| {
        let queue = format!("max_upstream = {max}\nqueue_timeout = '1h'");
        config(target, &queue, "join = 'now'")
    };
    for seed in 0..20 {
        let mut stage = Stage::of(text("10.0.0.1", 2), seed, Portions::default());
        // A connection for each loop.
        while stage.open() != [1, 1] {
            let client = stage.world.net().client(ListenerId(0), None).unwrap();
            stage.world.net().send(client, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
            stage.pass(Duration::from_millis(10));
        }
        while stage.world.net().origin(stage.address).is_some() {}
        let clients: Vec<Peer> = (0..10).map(|_| stage.come()).collect();
        assert!(stage.origins.is_empty());
        stage.address = address("10.0.0.2");
        stage.world.reload(&text("10.0.0.2", 100), Budget::unlimited(1000), 300);
        stage.pass(Duration::from_secs(4));
        let mut shared = 0;
        while let Some(origin) = stage.world.net().origin(stage.address) {
            let heard = stage.world.net().hear(origin, 4096);
            let Heard::Bytes(head) = heard else { panic!("seed {seed}: {heard:?}") };
            let head = String::from_utf8(head).unwrap();
            let is_own = head.contains("\r\nX-Forwarded-For:") || head.starts_with("GET /page");
            shared += usize::from(!is_own);
            stage.world.net().send(origin, HEAD);
            stage.pass(Duration::from_secs(2));
        }
        assert_eq!(shared, 1, "seed {seed}");
        for client in clients {
            let heard = stage.world.net().hear(client, 1000);
            let Heard::Bytes(heard) = heard else { panic!("seed {seed}: {heard:?}") };
            assert!(heard.starts_with(b"HTTP/1.1 200 OK"), "seed {seed}");
        }
    }
}

/// A feed that waits for a slow loop does not read, so its upstream does not look late.
#[test]
fn an_upstream_that_is_not_read_is_not_late() {
    let portions = Portions { crossing_max: 1, ..Portions::default() };
    let api = "stall_timeout = '500ms'\nstream_idle_timeout = '500ms'";
    let mut stage = Stage::new(api, "join = 'now'", portions);
    (0..10).for_each(|_| _ = stage.come());
    for _ in 0..1000 {
        stage.world.net().send(stage.origins[0], b"data: 1\n\n");
        stage.pass(Duration::from_millis(10));
    }
    assert_eq!(stage.open().iter().sum::<usize>(), 1);
    assert!(!stage.world.access.contains("event=end"), "{}", stage.world.access);
}
