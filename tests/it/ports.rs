//! A port is closed while connections wait there that the kernel has already accepted, and would
//! reset.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Peer};
use millstream::testing::toy;
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};
use std::net::IpAddr;
use std::time::Duration;

/// The api listeners of `millstream::testing::world::PORTS`.
const PLAIN: ListenerId = ListenerId(0);
const TLS: ListenerId = ListenerId(3);

/// A request that is answered without an upstream.
const REQUEST: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n";

fn world(max_connections: usize) -> World {
    toy::begin();
    let text = "[server]\nlisten = ['127.0.0.1:8080']\nlisten_tls = ['127.0.0.1:8443']\n\
        [tls]\nmax_handshakes = 1\n[[tls.certificate]]\ncertificate = 'a'\nkey = 'b'\n\
        [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n";
    let mut config = Config::parse("x.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    config.tls.server = Some(toy::server(None));
    let budget = millstream::testing::Budget::unlimited(max_connections);
    let mut world = World::within(budget, config, 0, Faults::NONE, Portions::default());
    world.settle().unwrap();
    world
}

/// Three clients that have connected since the proxy last accepted any.
fn waiting(world: &mut World, listener: ListenerId) -> [Peer; 3] {
    let from: Option<IpAddr> = "192.0.2.7".parse().ok();
    [(); 3].map(|()| match listener {
        TLS => world.net().secured_client(listener, from).unwrap(),
        _ => world.net().client(listener, from).unwrap(),
    })
}

/// The number of clients that get a response.
fn served(world: &mut World, clients: &[Peer]) -> usize {
    world.settle().unwrap();
    for client in clients {
        world.net().send(*client, REQUEST);
    }
    world.settle().unwrap();
    let mut is_served = |client: &Peer| match world.net().hear(*client, 1000) {
        Heard::Bytes(bytes) => bytes.starts_with(b"HTTP/1.1 204 "),
        Heard::Nothing | Heard::End | Heard::Reset => false,
    };
    clients.iter().filter(|client| is_served(client)).count()
}

#[test]
fn a_reload_that_closes_one_serves_who_waits() {
    for listener in [PLAIN, TLS] {
        let mut world = world(1000);
        let clients = waiting(&mut world, listener);
        let now = world.now;
        world.proxy.close_listener(listener, now);
        assert_eq!(served(&mut world, &clients), 3, "{listener:?}");
        assert_eq!(world.net().client(listener, None), None);
    }
}

/// Even if there are more handshakes than are allowed at one time.
#[test]
fn a_drain_serves_who_waits() {
    for listener in [PLAIN, TLS] {
        let mut world = world(1000);
        let clients = waiting(&mut world, listener);
        world.drain_within(Duration::from_secs(30));
        assert_eq!(served(&mut world, &clients), 3, "{listener:?}");
    }
}

/// No other client is closed to make room.
#[test]
fn there_may_be_no_room_for_all() {
    let mut world = world(2);
    let clients = waiting(&mut world, PLAIN);
    let now = world.now;
    world.proxy.close_listener(PLAIN, now);
    assert_eq!(served(&mut world, &clients), 2);
}
