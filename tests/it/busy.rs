//! Deadlines that are promises of the proxy, and not timeouts of a peer, also hold for the busiest
//! session: one that can make progress in every turn and so is never blocked.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::{PLAIN, World};
use millstream::testing::{ListenerId, Portions};
use std::time::Duration;

/// A world in which a session's portion is so small that it is never blocked, and a client.
fn world() -> (World, Peer) {
    let portions = Portions { steps_per_turn: 1, ..Portions::default() };
    let config = Config::parse("x.toml", PLAIN).unwrap();
    let mut world = World::new(config, 0, Faults::NONE, portions);
    world.net().set_host("10.0.0.1:80".parse().unwrap(), Host::Listening);
    let client = world.net().client(ListenerId(0), None).unwrap();
    (world, client)
}

/// Lets ten seconds pass in which something happens all the time. True if the proxy closes the
/// client's connection in that time.
fn closes(world: &mut World, client: Peer, mut happens: impl FnMut(&mut World)) -> bool {
    (0..10_000).any(|_| {
        happens(world);
        world.advance_to(world.now.after(Duration::from_millis(1)));
        world.turn().unwrap();
        world.net().closed(client)
    })
}

#[test]
fn a_drain_ends_a_busy_response() {
    let (mut world, client) = world();
    world.net().send(client, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    world.settle().unwrap();
    let origin = world.net().origin("10.0.0.1:80".parse().unwrap()).unwrap();
    world.net().send(origin, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    world.settle().unwrap();
    let goes_on = |world: &mut World| {
        world.net().send(origin, &[b'x'; 1000]);
        world.net().hear(client, usize::MAX);
    };
    assert!(!closes(&mut world, client, goes_on), "closed without a reason");
    let deadline = world.now.after(Duration::from_secs(5));
    world.drain_within(Duration::from_secs(5));
    assert!(closes(&mut world, client, goes_on), "still open after the drain window");
    assert!(world.now >= deadline, "the drain window was cut short");
}

#[test]
fn a_client_that_goes_on_talking_is_closed_all_the_same() {
    let (mut world, client) = world();
    world.net().send(client, b"nonsense\r\n\r\n");
    world.settle().unwrap();
    let goes_on = |world: &mut World| _ = world.net().send(client, &[b'x'; 1000]);
    assert!(closes(&mut world, client, goes_on), "still open");
}

/// A stream that always has more data, and its client. `keys` are added to its api.
fn busy_stream(keys: &str) -> (World, Peer, Peer) {
    let portions = Portions { steps_per_turn: 1, ..Portions::default() };
    let config = Config::parse("x.toml", &format!("{PLAIN}{keys}")).unwrap();
    let mut world = World::new(config, 0, Faults::NONE, portions);
    let address = "10.0.0.1:80".parse().unwrap();
    world.net().set_host(address, Host::Listening);
    let client = world.net().client(ListenerId(0), None).unwrap();
    world.net().send(client, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    world.settle().unwrap();
    let origin = world.net().origin(address).unwrap();
    world.net().send(origin, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    world.settle().unwrap();
    (world, client, origin)
}

#[test]
fn a_busy_stream_ends_at_its_age() {
    let (mut world, client, origin) = busy_stream("max_stream_age = \"2s\"\n");
    let goes_on = |world: &mut World| {
        world.net().send(origin, b"data: abc\n\ndata: abc\n\n");
        world.net().hear(client, usize::MAX);
    };
    assert!(closes(&mut world, client, goes_on), "still open after ten seconds");
}

#[test]
fn a_busy_stream_ends_between_events_in_a_drain() {
    let (mut world, client, origin) = busy_stream("");
    let mut heard = Vec::new();
    let mut hear = |world: &mut World| {
        while let Heard::Bytes(bytes) = world.net().hear(client, usize::MAX) {
            heard.extend(bytes);
        }
    };
    world.drain_within(Duration::from_secs(5));
    let goes_on = |world: &mut World| {
        for piece in [&b"data: abc\n\nda"[..], b"ta: abc\n\n"] {
            world.net().send(origin, piece);
        }
        hear(world);
    };
    assert!(closes(&mut world, client, goes_on), "still open");
    while let Heard::Bytes(bytes) = world.net().hear(client, usize::MAX) {
        heard.extend(bytes);
    }
    assert!(heard.ends_with(b"0\r\n\r\n"), "cut: {}", heard.escape_ascii());
}

/// The number of turns until an operator's health request is answered.
fn turns_until_answered(world: &mut World, operator: Peer) -> usize {
    world.net().send(operator, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answered = |world: &mut World| {
        world.turn().unwrap();
        matches!(world.net().hear(operator, usize::MAX), Heard::Bytes(_))
    };
    1 + (0..1000).position(|_| answered(world)).unwrap()
}

/// A crowd at one listener does not delay clients of another listener, least of all the operator.
#[test]
fn a_crowd_at_one_listener_delays_nobody_else() {
    let portions = Portions { arrivals_per_turn: 1, ..Portions::default() };
    let config = format!("{PLAIN}\n[demo]\n[admin]\n");
    let config = Config::parse("x.toml", &config).unwrap();
    let mut world = World::new(config, 0, Faults::NONE, portions);
    for _ in 0..500 {
        world.net().client(ListenerId(0), None).unwrap();
    }
    let operator = world.net().client(ListenerId(2), None).unwrap();
    let turns = turns_until_answered(&mut world, operator);
    assert!(turns <= 4, "after {turns} turns");
    let listener = world.net().client(ListenerId(1), None).unwrap();
    world.net().send(listener, b"GET /events/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let heard = (0..8).any(|_| {
        world.turn().unwrap();
        matches!(world.net().hear(listener, usize::MAX), Heard::Bytes(_))
    });
    assert!(heard, "the demo's client waits behind the crowd");
}

/// While hundreds of clients arrive with a request, each event of an open stream is relayed in the
/// turn in which it comes, and no turn does more than a little work for arrivals.
#[test]
fn a_storm_of_arrivals_keeps_no_open_stream_waiting() {
    let (mut world, client, origin) = busy_stream("");
    for _ in 0..300 {
        let arriving = world.net().client(ListenerId(0), None).unwrap();
        world.net().send(arriving, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    world.net().hear(client, usize::MAX);
    let portions = Portions::default();
    let (mut sessions, mut connections, _) = world.proxy.in_use();
    let mut turns = 0;
    while connections < 301 {
        world.net().send(origin, b"data: abc\n\n");
        world.turn().unwrap();
        assert!(matches!(world.net().hear(client, usize::MAX), Heard::Bytes(_)), "turn {turns}");
        let now = world.proxy.in_use();
        assert!(now.0 <= sessions + portions.arrivals_beside_streams, "turn {turns}");
        assert!(now.1 <= connections + portions.arrivals_beside_streams, "turn {turns}");
        (sessions, connections) = (now.0, now.1);
        turns += 1;
        assert!(turns < 400, "{connections} of 301 are served");
    }
}

/// While hundreds of clients leave their streams, each event of an open stream is relayed in the
/// turn in which it comes, and no turn closes more than a few streams.
#[test]
fn a_crowd_that_leaves_keeps_no_open_stream_waiting() {
    let (mut world, client, origin) = busy_stream("");
    let crowd: Vec<Peer> =
        (0..300).map(|_| world.net().client(ListenerId(0), None).unwrap()).collect();
    for peer in &crowd {
        world.net().send(*peer, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    world.settle().unwrap();
    while let Some(origin) = world.net().origin("10.0.0.1:80".parse().unwrap()) {
        world.net().send(origin, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    }
    world.settle().unwrap();
    world.net().hear(client, usize::MAX);
    crowd.into_iter().for_each(|peer| world.net().leave(peer));
    let few = Portions::default().arrivals_beside_streams;
    let mut left = 301;
    assert_eq!(world.proxy.in_use().0, left);
    for turn in 0..400 {
        world.net().send(origin, b"data: abc\n\n");
        world.turn().unwrap();
        assert!(matches!(world.net().hear(client, usize::MAX), Heard::Bytes(_)), "turn {turn}");
        let now = world.proxy.in_use().0;
        assert!(left <= now + few, "turn {turn} closes {}", left - now);
        left = now;
    }
    assert_eq!(left, 1, "streams of clients that have left");
}

/// If no stream has anything to do, more clients are accepted in each turn.
#[test]
fn a_storm_of_arrivals_takes_few_turns_where_no_stream_waits() {
    let (mut world, client, _origin) = busy_stream("");
    for _ in 0..300 {
        let arriving = world.net().client(ListenerId(0), None).unwrap();
        world.net().send(arriving, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    world.net().hear(client, usize::MAX);
    let arrived = |world: &mut World| {
        world.turn().unwrap();
        world.proxy.in_use().1 == 301
    };
    let turns = (0..1000).position(|_| arrived(&mut world)).unwrap();
    // Each client takes three steps: accepting it, reading its head, and going on once its upstream
    // is connected.
    let steps = 300 * 3 / Portions::default().arrivals_per_turn;
    assert!(turns < steps + 10, "{turns} turns");
}

/// If there is no descriptor left, accepting pauses for clients, but not for the operator.
#[test]
fn an_operator_comes_in_while_accepting_rests() {
    let config = Config::parse("x.toml", &format!("{PLAIN}\n[admin]\n")).unwrap();
    let mut world = World::new(config, 0, Faults::NONE, Portions::default());
    world.net().faults.no_descriptor = 100;
    let client = world.net().client(ListenerId(0), None).unwrap();
    world.net().send(client, b"GET / HTTP/1.1\r\n\r\n");
    world.settle().unwrap();
    world.net().faults.no_descriptor = 0;
    let operator = world.net().client(ListenerId(2), None).unwrap();
    let turns = turns_until_answered(&mut world, operator);
    assert!(turns <= 4, "after {turns} turns");
    assert_eq!(world.net().hear(client, usize::MAX), Heard::Nothing, "accepting rests");
    world.advance_to(world.wake());
    world.settle().unwrap();
    assert!(matches!(world.net().hear(client, usize::MAX), Heard::Bytes(_)));
}

/// An operator that has left while the shell works on its command makes room for the next one. An
/// operator that is still waiting does not.
#[test]
fn an_operator_who_has_left_keeps_no_other_one_out() {
    let config = Config::parse("x.toml", &format!("{PLAIN}\n[admin]\n")).unwrap();
    let mut world = World::new(config, 0, Faults::NONE, Portions::default());
    world.shell_is_busy = true;
    let asks = |world: &mut World| {
        let operator = world.net().client(ListenerId(2), None).unwrap();
        let reload = b"POST /reload HTTP/1.1\r\nHost: localhost\r\nX-Millstream: 1\r\n\r\n";
        world.net().send(operator, reload);
        operator
    };
    let operators: Vec<Peer> = (0..16).map(|_| asks(&mut world)).collect();
    world.settle().unwrap();
    let late = asks(&mut world);
    world.settle().unwrap();
    assert!(world.net().closed(late), "there was room for it");
    world.net().leave(operators[3]);
    world.settle().unwrap();
    assert!(!world.net().closed(operators[3]), "closed although it may still read its response");
    let next = world.net().client(ListenerId(2), None).unwrap();
    turns_until_answered(&mut world, next);
    assert!(world.net().closed(operators[3]));
    assert!(!operators.iter().any(|peer| *peer != operators[3] && world.net().closed(*peer)));
}
