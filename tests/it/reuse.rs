//! Idle upstream connections, when several things happen at the same moment.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};

const ORIGIN: &str = "10.0.0.1:80";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nours";

fn world(seed: u64, delayed: u64, keepalive_upstream: usize) -> World {
    let text = format!(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{ORIGIN}'\n\
        keepalive_upstream = {keepalive_upstream}\n"
    );
    let config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let faults = Faults { delayed, ..Faults::NONE };
    let mut world = World::new(config, seed, faults, Portions::default());
    world.net().set_host(ORIGIN.parse().unwrap(), Host::Listening);
    world
}

fn client(world: &mut World) -> Peer {
    world.net().client(ListenerId(0), "192.0.2.7".parse().ok()).unwrap()
}

fn origin(world: &mut World) -> Option<Peer> {
    world.net().origin(ORIGIN.parse().unwrap())
}

fn heard(world: &mut World, peer: Peer) -> String {
    let mut text = String::new();
    while let Heard::Bytes(bytes) = world.net().hear(peer, usize::MAX) {
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

/// An unrequested response arrives together with the next request. Its event may even come after
/// that of the client, but it must not be taken for the response.
#[test]
fn what_nobody_has_asked_for_answers_nobody() {
    for seed in 0..50 {
        let mut world = world(seed, 60, 1);
        let client = client(&mut world);
        world.net().send(client, REQUEST);
        world.settle().unwrap();
        let first = origin(&mut world).unwrap();
        world.net().send(first, RESPONSE);
        world.settle().unwrap();
        assert!(heard(&mut world, client).ends_with("ours"), "seed {seed}");
        world.net().send(first, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs");
        world.net().send(client, REQUEST);
        world.settle().unwrap();
        assert_eq!(heard(&mut world, client), "", "seed {seed}");
        let second = origin(&mut world).unwrap();
        world.net().send(second, RESPONSE);
        world.settle().unwrap();
        assert!(heard(&mut world, client).ends_with("ours"), "seed {seed}");
    }
}

/// If several connections are returned in the same turn, still only the allowed number stays idle.
#[test]
fn no_more_are_kept_than_may_be() {
    let mut world = world(0, 0, 1);
    let clients = [(); 3].map(|()| client(&mut world));
    for client in clients {
        world.net().send(client, REQUEST);
    }
    world.settle().unwrap();
    let origins = [(); 3].map(|()| origin(&mut world).unwrap());
    for origin in origins {
        world.net().send(origin, RESPONSE);
    }
    world.settle().unwrap();
    for client in clients {
        assert!(heard(&mut world, client).ends_with("ours"));
    }
    assert_eq!(world.proxy.in_use().1, 1, "connections to the upstream");
}
