//! Responses recorded from real servers (`tests/captures`), split at any place. Clients get the
//! same body that Python's `http.client` reads from the recording, byte by byte, and see a
//! truncated body where it does.
//!
//! `tests/interop/capture` records these files. Heads are not compared here; the golden transcripts
//! show how they are rewritten.

use crate::sim::message::{Body, Head};
use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Faults, Heard, Host, Peer};
use millstream::testing::world::World;
use millstream::testing::{ListenerId, Portions};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const ORIGIN: &str = "10.0.0.1:80";

/// A response recorded from a server.
struct Capture {
    /// The server, and the request.
    name: String,
    method: String,
    status: String,
    /// The bytes as they were sent. After them the connection was closed, or could be reused.
    wire: Vec<u8>,
    body: Vec<u8>,
    /// True if the server closed within the body, and its client can tell.
    cut: bool,
}

impl Capture {
    /// True if it is an event stream that is not compressed, so heartbeats may be inserted.
    fn takes_comments(&self) -> bool {
        let head = String::from_utf8_lossy(&self.wire).to_ascii_lowercase();
        head.contains("content-type: text/event-stream") && !head.contains("\ncontent-encoding:")
    }
}

/// All captures in a file. A line that is not indented describes the lines after it.
fn captures(file: &Path) -> Vec<Capture> {
    let text = fs::read_to_string(file).unwrap();
    let server = file.file_stem().unwrap().to_string_lossy();
    let mut captures: Vec<Capture> = Vec::new();
    let mut in_body = false;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(escaped) = line.strip_prefix("  ") {
            let capture = captures.last_mut().unwrap();
            let bytes = if in_body { &mut capture.body } else { &mut capture.wire };
            unescape(escaped, bytes);
            continue;
        }
        let (first, rest) = line.split_once(' ').unwrap();
        in_body = matches!(first, "whole" | "cut");
        if in_body {
            let capture = captures.last_mut().unwrap();
            rest.clone_into(&mut capture.status);
            capture.cut = first == "cut";
        } else {
            captures.push(Capture {
                name: format!("{server}: {line}"),
                method: first.to_owned(),
                status: String::new(),
                wire: Vec::new(),
                body: Vec::new(),
                cut: false,
            });
        }
    }
    captures
}

/// Undoes `\r`, `\n`, `\\` and `\x` with two digits; everything else stands for itself.
fn unescape(text: &str, bytes: &mut Vec<u8>) {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escape = if byte == b'\\' { rest.next() } else { None };
        bytes.push(match escape {
            None => byte,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(other) => panic!("\\{} in {text}", char::from(other)),
        });
    }
}

/// How the body that a client received ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
}

/// A proxy through which captures are replayed one after the other, each over its own connections.
struct Stage {
    world: World,
    origin: SocketAddr,
    /// How much time passes after each piece.
    pause: Duration,
}

impl Stage {
    fn new(server: &str, api: &str, faults: Faults) -> Stage {
        let text = format!(
            "[server]\n{server}\n[[api]]\nname = 'a'\nlisten_path = '/'\n\
            target_url = 'http://{ORIGIN}'\n{api}\n"
        );
        let config = Config::parse("x.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let mut world = World::new(config, 0, faults, Portions::default());
        let origin = ORIGIN.parse().unwrap();
        world.net().set_host(origin, Host::Listening);
        Stage { world, origin, pause: Duration::ZERO }
    }

    /// Returns what a client receives if the response arrives in these pieces.
    fn play(&mut self, capture: &Capture, version: &str, cuts: &[usize]) -> (Head, Vec<u8>, End) {
        let client = self.world.net().client(ListenerId(0), None).unwrap();
        let method = &capture.method;
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let request = format!("{method} / HTTP/{version}\r\nHost: a\r\n{length}\r\n");
        self.world.net().send(client, request.as_bytes());
        self.world.settle().unwrap();
        let origin = self.world.net().origin(self.origin).unwrap();
        self.world.net().hear(origin, usize::MAX);
        let mut heard = Vec::new();
        let mut start = 0;
        for end in cuts.iter().copied().chain([capture.wire.len()]) {
            self.world.net().send(origin, &capture.wire[start..end]);
            self.world.settle().unwrap();
            if !self.pause.is_zero() {
                let later = self.world.now.after(self.pause);
                self.world.advance_to(later);
                self.world.settle().unwrap();
            }
            self.hear(client, &mut heard);
            start = end;
        }
        self.world.net().finish(origin);
        self.world.settle().unwrap();
        let reset = self.hear(client, &mut heard);
        self.world.net().leave(client);
        self.world.net().leave(origin);
        self.world.settle().unwrap();
        decode(&capture.method, heard, reset)
    }

    /// Appends what has arrived. True after a reset.
    fn hear(&mut self, client: Peer, heard: &mut Vec<u8>) -> bool {
        loop {
            match self.world.net().hear(client, usize::MAX) {
                Heard::Bytes(bytes) => heard.extend(bytes),
                Heard::Nothing | Heard::End => return false,
                Heard::Reset => return true,
            }
        }
    }
}

/// Parses a head, skipping interim responses, and its body. The reader shares no code with the
/// proxy.
fn decode(method: &str, mut wire: Vec<u8>, reset: bool) -> (Head, Vec<u8>, End) {
    let head = loop {
        let head = Head::parse(&wire).unwrap().expect("a head");
        wire.drain(..head.length);
        if !head.first_line.starts_with("HTTP/1.1 1") {
            break head;
        }
    };
    let bodiless = method == "HEAD" || head.first_line.contains(" 304 ");
    let mut body = head.body(bodiless, false).unwrap();
    let mut bytes = Vec::new();
    body.read(&mut wire, &mut bytes).unwrap();
    assert!(wire.is_empty(), "behind the body: {}", wire.escape_ascii());
    let whole = match body {
        Body::Ended => true,
        Body::Length(left) => left == 0,
        Body::Chunked(_) => false,
        Body::UntilClose => !reset,
    };
    (head, bytes, if whole { End::Whole } else { End::Cut })
}

/// The HTTP versions of the request, and where the response is split for each: nowhere, after every
/// `step` bytes, and at random places.
fn ways(capture: &Capture, step: usize, rng: &mut Rng) -> Vec<(&'static str, Vec<usize>)> {
    let length = capture.wire.len();
    let steps = (rng.size(1, step)..length).step_by(step).collect();
    let mut ways = vec![("1.1", Vec::new()), ("1.0", Vec::new()), ("1.1", steps)];
    for (version, cuts) in [("1.1", 1), ("1.0", 1), ("1.1", 5)] {
        let mut places: Vec<usize> = (0..cuts).map(|_| rng.size(1, length - 1)).collect();
        places.sort_unstable();
        ways.push((version, places));
    }
    ways
}

fn all() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let captures: Vec<Capture> = files.iter().flat_map(|file| captures(file)).collect();
    assert!(captures.len() > 300, "only {} captures", captures.len());
    captures
}

fn unbroken() -> Vec<Capture> {
    let mut captures = all();
    captures.retain(|capture| !capture.cut);
    captures
}

/// Replays all captures. `same` compares the body that a client received with the expected one.
fn replay(
    mut stage: Stage,
    captures: &[Capture],
    step: usize,
    mut same: impl FnMut(&Capture, &[u8]) -> bool,
) {
    let mut rng = Rng::new(0);
    let mut wrong = Vec::new();
    for capture in captures {
        let expected_end = if capture.cut { End::Cut } else { End::Whole };
        for (version, cuts) in ways(capture, step, &mut rng) {
            let (head, body, end) = stage.play(capture, version, &cuts);
            let status = head.first_line.split(' ').nth(1).unwrap_or_default();
            if (status, end) != (&capture.status, expected_end) || !same(capture, &body) {
                let body = body.escape_ascii();
                let cuts = if cuts.len() > 5 { "everywhere".into() } else { format!("{cuts:?}") };
                let name = &capture.name;
                wrong.push(format!("{name} for {version}, cut {cuts}: {status} {end:?} {body}"));
            }
        }
    }
    let some = wrong.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} differ, of them\n{some}", wrong.len());
}

/// The bodies are the same, byte by byte.
fn bytes(capture: &Capture, body: &[u8]) -> bool {
    capture.body == body
}

#[test]
fn as_they_come() {
    replay(Stage::new("", "heartbeat = '0s'", Faults::NONE), &all(), 1, bytes);
}

/// Without heartbeats the proxy adds no byte, however long an upstream is silent.
#[test]
fn as_they_come_late() {
    let waits = "response_timeout = '0s'\nidle_timeout = '0s'\nheartbeat = '0s'";
    let mut stage = Stage::new("", waits, Faults::NONE);
    stage.pause = Duration::from_secs(40);
    replay(stage, &all(), 9, bytes);
}

/// Incomplete events are not relayed, so truncated captures are left out.
#[test]
fn by_whole_events() {
    let stage = Stage::new("flush_interval = '10ms'", "heartbeat = '0s'", Faults::NONE);
    replay(stage, &unbroken(), 3, bytes);
}

/// Truncated streams would be resumed, and so would one that ends within an event without a length
/// or a last chunk that says so. They are left out.
#[test]
fn while_they_could_be_resumed() {
    let stage = Stage::new("", "heartbeat = '0s'\nresume = true", Faults::NONE);
    let mut captures = unbroken();
    captures.retain(|capture| !capture.name.contains("GET stream unfinished"));
    replay(stage, &captures, 3, bytes);
}

#[test]
fn over_a_bad_network() {
    let faults = Faults { epoll: false, delayed: 20, spurious: 10, short: 30, ..Faults::NONE };
    replay(Stage::new("", "heartbeat = '0s'", faults), &all(), 3, bytes);
}

/// With heartbeats inserted wherever they may be, every client sees the same events. Where none may
/// be inserted, every client gets the same bytes.
#[test]
fn with_heartbeats() {
    let waits = "response_timeout = '0s'\nidle_timeout = '0s'\nheartbeat = '1s'";
    for (server, mut captures) in [("", all()), ("flush_interval = '10ms'", unbroken())] {
        captures.retain(|capture| !capture.body.is_empty());
        let mut stage = Stage::new(server, waits, Faults::NONE);
        stage.pause = Duration::from_secs(2);
        let mut beats = 0;
        replay(stage, &captures, 9, |capture, body| {
            beats += body.len().saturating_sub(capture.body.len());
            if capture.takes_comments() {
                dispatched(body) == dispatched(&capture.body)
            } else {
                body == capture.body
            }
        });
        assert!(beats > 1000, "only {beats} bytes were inserted");
    }
}

/// The events that a browser dispatches for a stream, and its reconnection times (WHATWG HTML,
/// section 9.2.6).
fn dispatched(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut events, mut id) = (Vec::new(), String::new());
    let (mut kind, mut data) = (String::new(), String::new());
    // Whatever follows the last line end is discarded.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if !data.is_empty() {
                    events.push(format!("{kind} {id} {data:?}"));
                }
                (kind, data) = (String::new(), String::new());
            }
            "event" => value.clone_into(&mut kind),
            "data" => data.extend([value, "\n"]),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                events.push(format!("retry {value}"));
            }
            _ => {}
        }
    }
    events
}
