//! Every accepted client finds a descriptor for its upstream connection, however many idle
//! connections are kept.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{Budget, ListenerId, Portions};
use std::net::SocketAddr;

const CLIENTS: usize = 5;

/// A world with two apis, `/a` and `/b`, and no spare descriptor.
fn world(budget: Budget) -> World {
    let api = |name: &str, n: u8| {
        format!(
            "[[api]]\nname = '{name}'\nlisten_path = '/{name}'\ntarget_url = 'http://10.0.0.{n}'\n"
        )
    };
    let config = Config::parse("x.toml", &format!("{}{}", api("a", 1), api("b", 2))).unwrap();
    // One more, because a connection is accepted before the proxy knows that there is no room.
    let faults = Faults { descriptors: budget.connections + budget.refusals + 1, ..Faults::NONE };
    let mut world = World::within(budget, config, 0, faults, Portions::default());
    for n in 1..=2 {
        world.net().set_host(address(n), Host::Listening);
    }
    world
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 80))
}

fn heard(world: &mut World, peer: Peer) -> String {
    world.settle().unwrap();
    match world.net().hear(peer, usize::MAX) {
        Heard::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        Heard::Nothing | Heard::End | Heard::Reset => String::new(),
    }
}

/// As many clients as are allowed ask for this path at the same time, get a response, and stay
/// connected. `number` selects the origin.
fn ask_all(world: &mut World, path: &str, number: u8, origins: &mut Vec<Peer>) -> Vec<Peer> {
    ask(CLIENTS, world, path, number, origins)
}

/// This many clients ask for this path at the same time, get a response, and stay connected.
fn ask(
    count: usize,
    world: &mut World,
    path: &str,
    number: u8,
    origins: &mut Vec<Peer>,
) -> Vec<Peer> {
    let clients: Vec<Peer> =
        (0..count).map(|_| world.net().client(ListenerId(0), None).unwrap()).collect();
    for client in &clients {
        world.net().send(*client, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    world.settle().unwrap();
    while let Some(origin) = world.net().origin(address(number)) {
        origins.push(origin);
    }
    let asked: Vec<Peer> =
        origins.iter().copied().filter(|origin| !heard(world, *origin).is_empty()).collect();
    assert_eq!(asked.len(), count, "{path}");
    for origin in asked {
        world.net().send(origin, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    for client in &clients {
        assert!(heard(world, *client).starts_with("HTTP/1.1 200 "), "{path}");
    }
    clients
}

#[test]
fn idle_connections_make_way() {
    for spare in 0..3 {
        let budget = Budget { clients: CLIENTS, connections: 2 * CLIENTS + spare, refusals: 1 };
        let mut world = world(budget);
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        // The upstream connections of one api stay idle; those of the other api need their
        // descriptors. Idle clients are closed to make room for new ones.
        for _ in 0..3 {
            ask_all(&mut world, "/a", 1, &mut of_a);
            ask_all(&mut world, "/b", 2, &mut of_b);
        }
        assert_eq!(world.net().shortages, 0);
        // As many as possible stay idle.
        assert_eq!(world.net().open_sockets(), budget.connections);
    }
}

/// Clients that have sent nothing have room, too.
#[test]
fn idle_connections_make_way_for_clients() {
    let budget = Budget { clients: CLIENTS, connections: 2 * CLIENTS + 3, refusals: 1 };
    let mut world = world(budget);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for client in ask_all(&mut world, "/a", 1, &mut of_a) {
        world.net().leave(client);
    }
    world.settle().unwrap();
    for client in ask(CLIENTS - 1, &mut world, "/b", 2, &mut of_b) {
        world.net().leave(client);
    }
    world.settle().unwrap();
    assert_eq!(world.net().open_sockets(), 2 * CLIENTS - 1);
    for _ in 0..CLIENTS {
        world.net().client(ListenerId(0), None).unwrap();
        world.settle().unwrap();
    }
    assert_eq!(world.net().open_sockets(), budget.connections);
}

/// A new configuration may leave less room.
#[test]
fn idle_connections_make_way_at_a_reload() {
    let budget = Budget { clients: CLIENTS, connections: 40, refusals: 1 };
    let mut world = world(budget);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    ask_all(&mut world, "/a", 1, &mut of_a);
    ask_all(&mut world, "/b", 2, &mut of_b);
    assert_eq!(world.net().open_sockets(), 3 * CLIENTS);
    let config = Config::parse(
        "x.toml",
        "[[api]]\nname = 'b'\nlisten_path = '/b'\n\
        target_url = 'http://10.0.0.2'",
    )
    .unwrap();
    let now = world.now;
    world.proxy.reload(config, Budget { connections: 2 * CLIENTS - 2, ..budget }, now);
    assert_eq!(world.net().open_sockets(), 2 * CLIENTS - 2);
}

/// Some get a response that says that there is no room. The others are just closed, and also count.
#[test]
fn all_connections_beyond_the_limit_are_counted() {
    const TURNED_AWAY: usize = 4;
    let budget = Budget { clients: CLIENTS, connections: 100, refusals: 1 };
    let mut world = world(budget);
    for number in 0..CLIENTS + TURNED_AWAY {
        let client = world.net().client(ListenerId(0), None).unwrap();
        if number < CLIENTS {
            world.net().send(client, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        world.settle().unwrap();
    }
    let operator = world.net().client(ListenerId(2), None).unwrap();
    world.net().send(operator, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let metrics = heard(&mut world, operator);
    let name = "millstream_refusals_total{api=\"\",reason=\"server.max_connections\"}";
    let told = metrics.lines().find(|line| line.starts_with(name));
    assert_eq!(told, Some(format!("{name} {TURNED_AWAY}").as_str()), "{metrics}");
}
