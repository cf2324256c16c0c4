//! The work caused by a peer's input is proportional to its length, whatever it contains and
//! however it is split.
//!
//! Each input is played at two lengths, one twice the other, and the bytes that the proxy examined
//! or copied are compared: a product of two lengths that the peer chooses would cost four times as
//! much. Work is counted (`millstream::testing::work_done`); time is not measured.

use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{KeysText, ListenerId, Portions, Readers, work_done};
use millstream::{Config, resolver};

const ORIGIN: &str = "10.0.0.1:80";

/// The maximum cost of twice the input, in tenths of the cost of the input.
const TENTHS_MAX: u64 = 22;

/// All limits are at their maximum, and everything that examines input is turned on.
const CONFIG: &str = "
    [server]
    max_head_bytes = '1MiB'
    max_head_fields = 256
    max_target_bytes = '1MiB'
    trusted_proxies = ['192.0.2.0/24']
    [[api]]
    name = 'open'
    listen_path = '/'
    target_url = 'http://10.0.0.1:80'
    keepalive_upstream = 1000
    resume = true
    [[api]]
    name = 'keyed'
    listen_path = '/keyed'
    target_url = 'http://10.0.0.1:80'
    [api.auth]
    keys_file = 'keys.toml'
    header = 'X-Key'
    query = 'key'
    cookie = 'key'
    [api.cors]
    origins = ['http://a.example']
";

/// The key `abc`.
const KEYS: &str = "
    [[key]]
    name = 'k'
    sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
";

/// What a client and an origin send.
struct Talk {
    request: Vec<u8>,
    /// What the origin sends after each head that it receives.
    response: Vec<u8>,
    /// How many bytes of either arrive at a time.
    piece: usize,
}

/// An ordinary request and an ordinary response.
const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn client(request: String) -> Talk {
    Talk { request: request.into_bytes(), response: OK.into(), piece: usize::MAX }
}

fn upstream(response: String) -> Talk {
    Talk { request: PLAIN.into(), response: response.into_bytes(), piece: usize::MAX }
}

fn byte_by_byte(talk: Talk) -> Talk {
    Talk { piece: 1, ..talk }
}

/// A proxy before its first request.
fn world() -> World {
    let mut config = Config::parse("work", CONFIG).unwrap_or_else(|errors| panic!("{errors}"));
    let keys = || KeysText { name: "keys".to_owned(), bytes: KEYS.into(), readers: Readers::Few };
    config.load_keys(|_| Ok(keys())).unwrap_or_else(|errors| panic!("{errors}"));
    resolver::resolve(&mut config);
    let faults = Faults { capacity: 1 << 20, ..Faults::NONE };
    let mut world = World::new(config, 0, faults, Portions::default());
    world.net().set_host(ORIGIN.parse().unwrap(), Host::Listening);
    world.settle().unwrap();
    world
}

/// The next connection that the proxy has opened.
fn arrived(world: &mut World) -> Option<Peer> {
    world.net().origin(ORIGIN.parse().unwrap())
}

/// The work that a conversation causes, in bytes.
fn cost(talk: &Talk) -> u64 {
    let mut world = world();
    let client = world.net().client(ListenerId(0), "192.0.2.7".parse().ok()).unwrap();
    work_done();
    say(&mut world, client, &talk.request, talk.piece);
    let mut origins = Vec::new();
    loop {
        while let Some(peer) = arrived(&mut world) {
            origins.push(peer);
        }
        let asked = origins.iter().copied().find(|peer| heads(&mut world, *peer) > 0);
        let Some(asked) = asked else { break };
        say(&mut world, asked, &talk.response, talk.piece);
    }
    work_done()
}

fn say(world: &mut World, peer: Peer, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece.min(bytes.len())) {
        // After a refusal the connection is closed.
        if world.net().send(peer, piece) < piece.len() {
            return;
        }
        world.settle().unwrap();
    }
}

/// The number of heads that a peer receives now.
fn heads(world: &mut World, peer: Peer) -> usize {
    match world.net().hear(peer, usize::MAX) {
        Heard::Bytes(bytes) => bytes.windows(4).filter(|four| four == b"\r\n\r\n").count(),
        Heard::Nothing | Heard::End | Heard::Reset => 0,
    }
}

/// Compares the cost of a conversation with that of one twice as long.
fn check(name: &str, size: usize, talk: impl Fn(usize) -> Talk) {
    let [once, twice] = [size, 2 * size].map(|size| {
        let talk = talk(size);
        let len = talk.request.len() + talk.response.len();
        assert!(len + 50 >= size && len < size + size / 2 + 1000, "{name}: {len} bytes");
        let cost = cost(&talk);
        assert!(cost >= len as u64, "{name}: {cost} for {len} bytes, so some work was not counted");
        cost
    });
    let tenths = 10 * twice / once;
    assert!(tenths <= TENTHS_MAX, "{name}: {once} for {size} bytes, {twice} for twice as many");
}

/// Repeats `line` up to this many bytes, with a different number in place of `#` each time.
fn lines(size: usize, line: &str) -> String {
    let count = size / line.replace('#', "0000").len();
    (0..count).map(|n| line.replace('#', &format!("{n:04}"))).collect()
}

/// Names of this total size, which differ only in their last bytes.
fn names(size: usize, count: usize) -> Vec<String> {
    let len = size / count - 6;
    (0..count).map(|n| format!("{}{n:04}", "n".repeat(len))).collect()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

fn ok(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok")
}

/// Half of the bytes are options of `Connection`, the other half are fields.
fn options_and_fields(size: usize, option: &str) -> String {
    let fields = lines(size / 2, "X#: \r\n");
    format!("Connection: x, {}\r\n{fields}", lines(size / 2, option))
}

/// As many options as are allowed, and fields whose names differ from them only at the end.
fn long_options(size: usize) -> String {
    let options = names(size / 2, 32);
    let fields: String = options.iter().map(|name| format!("{name}x: \r\n")).collect();
    format!("Connection: {}\r\n{}", options.join(","), fields.replace("00", "x"))
}

#[test]
fn options_of_connection() {
    for option in ["o#,", ",,,,", "close,", "keep-alive, "] {
        check("a request", 1500, |size| client(get("/", &options_and_fields(size, option))));
        check("a response", 1500, |size| upstream(ok(&options_and_fields(size, option))));
    }
    check("a request", 16_000, |size| client(get("/", &long_options(size))));
    check("a response", 16_000, |size| upstream(ok(&long_options(size))));
}

/// A chunked body with trailer fields, and a head that names some.
fn trailers(size: usize, start: &str) -> String {
    let (options, trailers) = (names(size / 2, 32).join(","), names(size / 2, 20));
    let trailers: String = trailers.iter().map(|name| format!("{name}: \r\n")).collect();
    format!(
        "{start}\r\nHost: a\r\nConnection: {options}\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\nx\r\n0\r\n{trailers}\r\n"
    )
}

/// A chunked body with many short trailer fields, and a head that names many short options.
fn many_trailers(size: usize, start: &str) -> String {
    let trailers = lines(size / 4, "T#: x\r\n");
    format!(
        "{start}\r\nHost: a\r\nConnection: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\nx\r\n0\r\n{trailers}\r\n",
        lines(3 * size / 4, "o#, ")
    )
}

#[test]
fn trailer_fields() {
    let (request, response) = ("POST / HTTP/1.1", "HTTP/1.1 200 OK");
    check("a request", 6000, |size| client(trailers(size, request)));
    check("a response", 6000, |size| upstream(trailers(size, response)));
    check("a request", 1200, |size| client(many_trailers(size, request)));
    check("a response", 1200, |size| upstream(many_trailers(size, response)));
}

#[test]
fn lists_and_keys_of_requests() {
    for name in ["X-Forwarded-For", "Accept", "TE", "Cookie", "Forwarded", "Expect", "Upgrade"] {
        for value in ["10.0.0.1,", "192.0.2.1, ", "text/event-stream;q=0;q=0,", "\"a\\", ";"] {
            let field = |size| format!("{name}: {}\r\n", lines(size, value));
            check(name, 8000, |size| client(get("/", &field(size))));
        }
        let each = format!("{name}: a=#; b, 1.1.1.1\r\n");
        check(name, 2500, |size| client(get("/", &lines(size, &each))));
    }
    let key = "X-Key: abc\r\n";
    for cookie in ["Cookie: key=abc; a=#\r\n", "Cookie: key=abc\r\n", "Cookie: a=#\r\n"] {
        let fields = |size| format!("{key}{}", lines(size, cookie));
        check("cookies", 2000, |size| client(get("/keyed", &fields(size))));
    }
    for parameter in ["key=abc&", "%6bey=abc&", "a=#&", "%6b%65y%=#&", "&&&", "%"] {
        let path = |size| format!("/keyed?{}", lines(size, parameter));
        check("a query", 8000, |size| client(get(&path(size), key)));
    }
}

#[test]
fn responses_as_they_are() {
    for value in ["5, ", "5,", " ,"] {
        let length = |size| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}5\r\n\r\nhello", lines(size, value))
        };
        check("a list of lengths", 4000, |size| upstream(length(size)));
    }
    let lengths = |size| ok(&lines(size, "Content-Length: 2\r\n"));
    check("many lengths", 2000, |size| upstream(lengths(size)));
    for line in ["\r\n x", "\r\n\tyyyyyyyyyyyyyyyy", " \r\n     x", "\n :"] {
        let folded = |size| format!("X: {}\r\n", lines(size, line));
        check("a folded line", 4000, |size| upstream(ok(&folded(size))));
        check("byte by byte", 4000, |size| byte_by_byte(upstream(ok(&folded(size)))));
    }
    let status =
        |size| format!("HTTP/1.1{}200{}\r\n\r\n", " ".repeat(size / 2), " ".repeat(size / 2));
    check("blanks", 4000, |size| upstream(status(size)));
    let sizes = |size| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            lines(size, "1      \r\nx\r\n")
        )
    };
    check("blanks behind sizes", 4000, |size| upstream(sizes(size)));
}

#[test]
fn paths() {
    for piece in ["/a/..", "/./", "/%2e%2e", "//", "/;a", "/%41", "/keyed", "/..;", "%2f.."] {
        let path = |size| format!("/a{}", lines(size, piece));
        check(piece, 8000, |size| client(get(&path(size), "")));
    }
}

#[test]
fn heads_that_come_byte_by_byte() {
    let long = |size| format!("X: {}\r\n", "x".repeat(size));
    check("a request", 4000, |size| byte_by_byte(client(get("/", &long(size)))));
    check("a target", 4000, |size| byte_by_byte(client(get(&"/a".repeat(size / 2), ""))));
    let fields = |size| lines(size, "X#: 12345678\r\n");
    check("a request's fields", 2000, |size| byte_by_byte(client(get("/", &fields(size)))));
    check("a response", 4000, |size| byte_by_byte(upstream(ok(&long(size)))));
    check("a reason", 4000, |size| {
        byte_by_byte(upstream(format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(size))))
    });
    let interim = |size| format!("HTTP/1.1 103 Hints\r\n{}\r\n{OK}", long(size));
    check("an interim response", 4000, |size| byte_by_byte(upstream(interim(size))));
}

#[test]
fn heads_that_come_together() {
    // Answered by the proxy, and the connection stays open.
    let ours = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    check("requests", 20_000, |size| client(lines(size, ours)));
    let asked = |size| Talk { response: Vec::new(), ..client(lines(size, ours)) };
    check("requests in small pieces", 4000, |size| Talk { piece: 100, ..asked(size) });
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    check("requests with bodies", 4000, |size| client(lines(size, post)));
    let interims = |size: usize| {
        let interim = format!("HTTP/1.1 103 Hints\r\nX: {}\r\n\r\n", "x".repeat(size / 30));
        format!("{}{OK}", interim.repeat(30))
    };
    check("interim responses", 8000, |size| upstream(interims(size)));
}

/// The cost of idle upstream connections that are closed, `together` or one after the other.
fn cost_of_ends(connections: usize, together: bool) -> u64 {
    let mut world = world();
    let request = get("/", "");
    for _ in 0..connections {
        let client = world.net().client(ListenerId(0), "192.0.2.7".parse().ok()).unwrap();
        say(&mut world, client, request.as_bytes(), usize::MAX);
    }
    let origins: Vec<Peer> = (0..connections).filter_map(|_| arrived(&mut world)).collect();
    for &origin in &origins {
        assert_eq!(heads(&mut world, origin), 1);
        say(&mut world, origin, OK.as_bytes(), usize::MAX);
    }
    work_done();
    for &origin in &origins {
        world.net().finish(origin);
        if !together {
            world.settle().unwrap();
        }
    }
    world.settle().unwrap();
    assert!(origins.iter().all(|&origin| world.net().closed(origin)));
    work_done()
}

#[test]
fn idle_connections_that_end() {
    for together in [true, false] {
        let [once, twice] = [100, 200].map(|count| cost_of_ends(count, together));
        assert!(once > 0 && 10 * twice <= TENTHS_MAX * once, "{once} for 100, {twice} for 200");
    }
}

#[test]
fn bodies_in_small_pieces() {
    let chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = |start: &str, size| {
        format!("{start}\r\n{chunked}{}0\r\n\r\n", "1\r\nx\r\n".repeat(size / 6))
    };
    let (request, response) = ("POST / HTTP/1.1", "HTTP/1.1 200 OK");
    check("a request in chunks", 12_000, |size| client(chunks(request, size)));
    check("a response in chunks", 12_000, |size| upstream(chunks(response, size)));
    check("byte by byte", 4000, |size| byte_by_byte(client(chunks(request, size))));
    check("byte by byte", 4000, |size| byte_by_byte(upstream(chunks(response, size))));
    let growing = |size: usize| {
        let sizes = (0..).map(|n| 1_usize << n).take_while(|len| *len <= size / 2);
        let chunks: String =
            sizes.map(|len| format!("{len:x}\r\n{}\r\n", "x".repeat(len))).collect();
        format!("{response}\r\n{chunked}{chunks}0\r\n\r\n")
    };
    check("chunks that grow", 1 << 14, |size| upstream(growing(size)));
    // Whole events are required, so each is held until its end.
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for event in ["data: x\n\n", "id: #\ndata: 1\n\n", "data: x\n", ":", "\r"] {
        let events = |size| format!("{stream}{}", lines(size, event));
        check("events", 8000, |size| upstream(events(size)));
        check("events byte by byte", 4000, |size| byte_by_byte(upstream(events(size))));
    }
}
