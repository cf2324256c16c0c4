//! Other people's software at either end: Python's `http.server` and curl, where they are.

use super::PATIENCE;
use super::program::Program;
use std::process::Command;

/// Serves three events to GET and an echo to POST, as HTTP/1.0 and as HTTP/1.1; says where.
const SERVER: &str = include_str!("events.py");

/// Starts the server. None where there is no Python.
fn python(version: &str) -> Option<Program> {
    match Program::spawn(Command::new("python3").args(["-c", SERVER, version])) {
        Ok(server) => Some(server),
        Err(e) => {
            println!("not tested, there is no python3: {e}");
            None
        }
    }
}

const EVENTS: &str = "id: 0\ndata: hello\n\nid: 1\ndata: hello\n\nid: 2\ndata: hello\n\n";

#[test]
fn a_server_in_python() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let Some(mut server) = python(version) else {
            return;
        };
        let url = server.says("serving ");
        let program = Program::start(&["--to", &url, "--listen", "127.0.0.1:0"]);
        let mut client = program.connect();
        for _ in 0..2 {
            client.send("GET /events/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
            let head = client.response();
            assert_eq!(head.get("content-type"), Some("text/event-stream"));
            assert_eq!(head.get("transfer-encoding"), Some("chunked"));
            assert_eq!(client.rest(), EVENTS);
        }
        client.send("POST /echo HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello");
        client.response();
        assert_eq!(client.rest(), "hello");
        curl(&program);
    }
}

fn curl(program: &Program) {
    let url = format!("http://{}/events/", program.address());
    let patience = PATIENCE.as_secs().to_string();
    let mut command = Command::new("curl");
    match command.args(["-sSN", "--fail", "--max-time", &patience, "--noproxy", "*", &url]).output()
    {
        Ok(output) => {
            let (out, err) = (output.stdout.escape_ascii(), output.stderr.escape_ascii());
            // A comment goes first if the head came without an event.
            let events = output.stdout.strip_prefix(b":\n\n").unwrap_or(&output.stdout);
            assert!(output.status.success() && events == EVENTS.as_bytes(), "{out}\n{err}");
        }
        Err(e) => println!("not tested, there is no curl: {e}"),
    }
}
