//! Other software at either end: Python's `http.server`, and curl if it is installed.

use super::program::Program;
use super::{PATIENCE, STREAM, event, in_front_of_an_origin, skip};
use std::io;
use std::process::Command;

/// Serves three events to GET and an echo to POST, as HTTP/1.0 and as HTTP/1.1. Prints its URL.
const SERVER: &str = include_str!("events.py");

const EVENTS: &str = "id: 0\ndata: hello\n\nid: 1\ndata: hello\n\nid: 2\ndata: hello\n\n";

/// Starts another program. None, and the test is reported as skipped, if it is not installed.
fn start(command: &mut Command, test: &str) -> Option<Program> {
    match Program::spawn(command) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = command.get_program().display().to_string();
            skip(test, &format!("there is no {name} here"));
            None
        }
        started => Some(started.unwrap()),
    }
}

#[test]
fn a_server_in_python() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let mut python = Command::new("python3");
        python.args(["-c", SERVER, version]);
        let Some(mut server) = start(&mut python, "e2e::foreign::a_server_in_python") else {
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
    }
}

/// With "pass" curl decompresses what the server has compressed; with "strip" the server does not
/// compress.
#[test]
fn a_stream_that_is_compressed() {
    let test = "e2e::foreign::a_stream_that_is_compressed";
    let mut python = Command::new("python3");
    python.args(["-c", SERVER, "HTTP/1.1"]);
    let Some(mut server) = start(&mut python, test) else { return };
    let url = server.says("serving ");
    for (compression, codings) in [("pass", 1), ("strip", 0)] {
        let program = Program::with(&format!(
            "[server]\nlisten = ['127.0.0.1:0']\n[[api]]\nname = 'a'\nlisten_path = '/'\n\
            target_url = '{url}'\nstreams = 'always'\ncompression = '{compression}'\n"
        ));
        let url = format!("http://{}/events/", program.address());
        let patience = PATIENCE.as_secs().to_string();
        let mut curl = Command::new("curl");
        curl.args(["-sSNi", "--compressed", "--max-time", &patience, "--noproxy", "*", &url]);
        let Some(client) = start(&mut curl, test) else { return };
        let ended = client.ended();
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
        assert_eq!(ended.stdout.matches("Content-Encoding: gzip").count(), codings);
        assert!(ended.stdout.ends_with(EVENTS), "{}", ended.stdout);
    }
}

/// The client sees each event at once, and the end of the stream.
#[test]
fn curl_as_a_client() {
    let (program, origin) = in_front_of_an_origin();
    let url = format!("http://{}/events/", program.address());
    let patience = PATIENCE.as_secs().to_string();
    let mut curl = Command::new("curl");
    curl.args(["-sSN", "--fail", "--max-time", &patience, "--noproxy", "*", &url]);
    let Some(mut client) = start(&mut curl, "e2e::foreign::curl_as_a_client") else {
        return;
    };
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().first_line, "GET /events/ HTTP/1.1");
    upstream.send(STREAM);
    for text in ["one", "two"] {
        upstream.send(event(text).0);
        client.says(&format!("data: {text}"));
    }
    upstream.send("0\r\n\r\n");
    let ended = client.ended();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
}
