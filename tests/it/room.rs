//! Whatever the configuration adds to heads, the buffers in which they are written are large
//! enough.

use millstream::Config;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};
use std::net::SocketAddr;

const ORIGIN: &str = "10.0.0.1:80";

/// A world with the lowest possible limits for heads, and with these keys of its api.
fn world(api: &str) -> (World, Peer) {
    let text = format!(
        "[server]\nmax_head_bytes = 1024\nmax_target_bytes = 256\n[[api]]\nname = 'a'\n\
        listen_path = '/'\ntarget_url = 'http://{ORIGIN}'\n{api}"
    );
    let config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let portions = Portions { high_water: 1, ..Portions::default() };
    let mut world = World::new(config, 0, Faults::NONE, portions);
    world.net().set_host(ORIGIN.parse().unwrap(), Host::Listening);
    let client = world.net().client(ListenerId(0), "192.0.2.7".parse().ok()).unwrap();
    (world, client)
}

fn heard(world: &mut World, peer: Peer) -> String {
    world.settle().unwrap();
    match world.net().hear(peer, usize::MAX) {
        Heard::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        Heard::Nothing | Heard::End | Heard::Reset => String::new(),
    }
}

/// The longest head that is allowed.
fn longest(start: &str) -> String {
    let padding = 1024 - start.len() - "X: \r\n\r\n".len();
    format!("{start}X: {}\r\n\r\n", "x".repeat(padding))
}

#[test]
fn for_fields_that_are_set() {
    let set = format!("set = {{ 'X-Set' = '{}' }}\n", "s".repeat(16_000));
    let (mut world, client) =
        world(&format!("[api.request_headers]\n{set}[api.response_headers]\n{set}"));
    let origin: SocketAddr = ORIGIN.parse().unwrap();
    let request = longest("GET / HTTP/1.1\r\nHost: a.example\r\n");
    world.net().send(client, request.as_bytes());
    world.settle().unwrap();
    let origin = world.net().origin(origin).unwrap();
    assert!(heard(&mut world, origin).contains("X-Set: sss"));
    let response = longest("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    world.net().send(origin, response.as_bytes());
    let got = heard(&mut world, client);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("X-Set: sss"), "{got}");
}

#[test]
fn for_what_is_said_about_origins() {
    let origin = format!("https://{}", ["o".repeat(60).as_str(); 4].join("."));
    let fields: Vec<String> = (0..40).map(|n| format!("'{}{n}'", "f".repeat(20))).collect();
    let cors = format!(
        "[api.cors]\norigins = ['{origin}']\ncredentials = true\nmax_age = '8760h'\n\
        methods = ['{}']\nheaders = [{}]\n",
        "M".repeat(1000),
        fields.join(", ")
    );
    let (mut world, client) = world(&format!("on_outage = 'retry'\n{cors}[api.auth]\n"));
    let asked = "Access-Control-Request-Method: GET\r\n";
    let of = |method: &str, more: &str| {
        format!("{method} / HTTP/1.1\r\nHost: a.example\r\nOrigin: {origin}\r\n{more}\r\n")
    };
    world.net().send(client, of("OPTIONS", asked).as_bytes());
    let got = heard(&mut world, client);
    assert!(got.starts_with("HTTP/1.1 204 ") && got.contains("MMMM"), "{got}");
    world.net().send(client, of("GET", "Accept: text/event-stream\r\n").as_bytes());
    let got = heard(&mut world, client);
    assert!(got.starts_with("HTTP/1.1 401 ") && got.contains(&origin), "{got}");
}
