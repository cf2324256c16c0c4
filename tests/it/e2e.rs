//! The program itself, on real sockets: the binary that is shipped, as its users meet it.
//!
//! Few tests, for what only a process can show: signals, exit statuses, descriptors, the kernel's
//! buffers, other people's software. Nothing sleeps and no time is measured. A test holds both ends
//! (a client's connection and an origin's) and says in one thread what each does next; every wait
//! is a blocking call that gives up after [`PATIENCE`]. Ports are the system's choice, and the
//! program tells them in its first lines.

mod admin;
mod certificates;
mod drain;
mod foreign;
mod line;
mod pairs;
mod process;
mod program;
mod proxied;
mod reload;
mod remote;
mod revocation;
mod sandbox;
mod saturation;
mod secured;
mod service;
mod streams;
#[cfg(target_os = "linux")]
mod stuck;
mod tickets;
mod tls;
mod workers;

use crate::sim::message::{Body, Head};
use line::{Line, Origin};
use program::Program;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::time::Duration;

/// After this long, what was waited for is not coming.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a browser's `EventSource` asks for.
const GET: &str = "GET /events/ HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\r\n";

/// How an event stream begins.
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

/// An event on the wire of a chunked stream, and what a client gets to see of it.
fn event(text: &str) -> (String, String) {
    let event = format!("data: {text}\n\n");
    (format!("{:x}\r\n{event}\r\n", event.len()), event)
}

/// Says that a test was not run. What tests print is captured, and shown only when they fail; this
/// is written to standard error itself, and to a file, which `make test` shows at its end.
pub(crate) fn skip(test: &str, why: &str) {
    let line = format!("{test}: {why}\n");
    io::stderr().write_all(format!("skipped {line}").as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("SKIPPED_TESTS") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// A program that sends everything to an origin in the test's hands.
fn in_front_of_an_origin() -> (Program, Origin) {
    let origin = Origin::listen();
    let url = format!("http://{}", origin.address());
    (Program::start(&["--to", &url, "--listen", "127.0.0.1:0"]), origin)
}

/// A stream that has begun: the client has its head, and as yet no event.
fn begin_stream(program: &Program, origin: &Origin) -> (Line, Line) {
    let mut client = program.connect();
    client.send(GET);
    let mut upstream = origin.accept();
    let request = upstream.request();
    assert_eq!(request.first_line, "GET /events/ HTTP/1.1");
    upstream.send(STREAM);
    let head = client.response();
    assert_eq!(head.first_line, "HTTP/1.1 200 OK");
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    (client, upstream)
}
