//! The program on real sockets: the binary that is released, as its users run it.
//!
//! There are few of these tests, for what only a process can show: signals, exit statuses,
//! descriptors, the kernel's buffers, other software. Nothing sleeps and no time is measured. A
//! test holds both ends (a client's connection and an origin's) and says in one thread what each
//! does next; every wait is a blocking call with the timeout [`PATIENCE`]. The system chooses the
//! ports, and the program prints them in its first lines.

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

/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request of a browser's `EventSource`.
const GET: &str = "GET /events/ HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\r\n";

/// The head of an event stream.
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

/// An event as a chunk on the wire, and as the client sees it.
fn event(text: &str) -> (String, String) {
    let event = format!("data: {text}\n\n");
    (format!("{:x}\r\n{event}\r\n", event.len()), event)
}

/// Reports that a test was skipped. The output of tests is captured and shown only if they fail, so
/// this is written to standard error directly, and to a file that `make test` shows at its end.
pub(crate) fn skip(test: &str, why: &str) {
    let line = format!("{test}: {why}\n");
    io::stderr().write_all(format!("skipped {line}").as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("SKIPPED_TESTS") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// A program that forwards everything to an origin controlled by the test.
fn in_front_of_an_origin() -> (Program, Origin) {
    let origin = Origin::listen();
    let url = format!("http://{}", origin.address());
    (Program::start(&["--to", &url, "--listen", "127.0.0.1:0"]), origin)
}

/// Starts a stream. The client has its head, but no event yet.
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
