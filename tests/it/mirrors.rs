//! Clients of a shared stream in two event loops.

use millstream::Config;
use millstream::testing::sim::{Faults, Host, Peer};
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

impl Stage {
    /// Two event loops, which share streams with these settings.
    fn new(api: &str, share: &str, portions: Portions) -> Stage {
        let text = format!(
            "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n{api}\n\
             [api.share]\n{share}\n"
        );
        let config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let budget = Budget::unlimited(1000);
        let mut world = World::of_loops(2, budget, config, 1, Faults::NONE, portions);
        let address = "10.0.0.1:80".parse().unwrap();
        world.net().set_host(address, Host::Listening);
        Stage { world, address, clients: Vec::new(), origins: Vec::new() }
    }

    /// A client asks for the stream, in either loop. If it asks the upstream for that, that sends
    /// an event.
    fn come(&mut self) -> Peer {
        let client = self.world.net().client(ListenerId(0), None).unwrap();
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
