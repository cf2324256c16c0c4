//! The admin listener on real sockets: an operator looks at the state, ends streams and drains.

use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, begin_stream, event};
use crate::sim::message::Head;
use std::net::SocketAddr;

/// A program with an admin listener, and the listener's address.
fn watched(origin: &Origin, more: &str) -> (Program, SocketAddr) {
    let mut program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        {more}
        [admin]
        listen = '127.0.0.1:0'
        [[api]]
        name = 'events'
        listen_path = '/'
        target_url = 'http://{}'
        ",
        origin.address(),
    ));
    let url = program.says("admin listener on ");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
    (program, address.unwrap().parse().unwrap())
}

fn ask(operator: &mut Line, line: &str, fields: &str) -> (Head, String) {
    operator.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    let head = operator.response();
    let body = operator.rest();
    (head, body)
}

const CHANGE: &str = "X-Millstream: 1\r\n";

/// All of it works over one connection.
#[test]
fn an_operator_looks_around() {
    let origin = Origin::listen();
    let (program, admin) = watched(&origin, "");
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    let (wire, event) = event("one");
    upstream.send(wire);
    client.expect(&event);
    let mut operator = Line::to(admin);
    let (head, page) = ask(&mut operator, "GET /", "");
    assert_eq!(head.get("content-type"), Some("text/html; charset=utf-8"));
    assert!(head.get("content-security-policy").unwrap().contains("script-src 'sha256-"));
    assert_eq!(page, include_str!("../../../src/admin/page.html"));
    let (head, metrics) = ask(&mut operator, "GET /metrics", "");
    assert_eq!(head.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for sample in [
        "millstream_streams{api=\"events\",kind=\"subscription\"} 1\n",
        "millstream_events_total{api=\"events\"} 1\n",
        "millstream_client_connections 1\n",
        "millstream_queued{api=\"events\"} 0\n",
        "millstream_stream_states{api=\"events\",state=\"flowing\"} 1\n",
        // Reported by the operating system.
        "\nprocess_cpu_seconds_total 0.",
    ] {
        assert!(metrics.contains(sample), "{sample}{metrics}");
    }
    let (_, streams) = ask(&mut operator, "GET /streams", "");
    assert!(streams.starts_with("{\"total\":1,\"streams\":[{\"id\":\"1\",\"api\":\"events\","));
    assert_eq!(ask(&mut operator, "GET /healthz", "").0.first_line, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut operator, "GET /readyz", "").0.first_line, "HTTP/1.1 200 OK");
}

#[test]
fn an_operator_ends_a_stream() {
    let origin = Origin::listen();
    let (mut program, admin) = watched(&origin, "");
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    upstream.send("6\r\ndata: \r\n");
    client.expect("data: ");
    let mut operator = Line::to(admin);
    let forbidden = ask(&mut operator, "DELETE /streams/1", "").0;
    assert_eq!(forbidden.first_line, "HTTP/1.1 403 Forbidden");
    let head = ask(&mut operator, "DELETE /streams/1", CHANGE).0;
    assert_eq!(head.first_line, "HTTP/1.1 202 Accepted");
    upstream.send("6\r\nwhole\n\r\n1\r\n\n\r\n");
    let rest = client.rest();
    assert!(rest.starts_with("whole\n\nretry: "), "{rest}");
    assert_eq!(upstream.end(), End::Closed);
    assert!(program.says("time=").contains(" event=open id=1 "));
    let mut line = String::new();
    while !line.contains(" event=end ") {
        line = program.says("time=");
    }
    assert!(line.contains(" status=200 reason=ended events=1 "), "{line}");
    let head = ask(&mut operator, "DELETE /streams/1", CHANGE).0;
    assert_eq!(head.first_line, "HTTP/1.1 404 Not Found");
}

/// The event stream of the live page: the state at the start, and the changes a second later.
#[test]
fn an_operator_watches() {
    let origin = Origin::listen();
    let (program, admin) = watched(&origin, "");
    let mut operator = Line::to(admin);
    operator.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(operator.response().get("content-type"), Some("text/event-stream"));
    operator.expect("event: hello\ndata: {\"version\":\"");
    let _stream = begin_stream(&program, &origin);
    let mut heard = String::new();
    while !heard.contains("\"streams\":1,") {
        heard.push_str(&operator.read(1));
    }
    assert!(heard.contains("event: tick\nid: 1\ndata: {\"t\":"), "{heard}");
}

/// A reload that closes the admin listener leaves no one in control. Its own answer still goes out.
#[test]
fn an_operator_is_dismissed() {
    let origin = Origin::listen();
    let admin = "[admin]\nlisten = '127.0.0.1:0'\n";
    let rest = format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[[api]]\nname = 'events'\nlisten_path = '/'\n\
         target_url = 'http://{}'\n",
        origin.address()
    );
    let file = Scratch::file(&format!("{admin}{rest}"));
    let mut program = Program::start(&[file.as_str()]);
    let url = program.says("admin listener on ");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
    let admin: SocketAddr = address.unwrap().parse().unwrap();
    let [mut idle, mut half, mut watching, mut asking] = [(); 4].map(|()| Line::to(admin));
    ask(&mut idle, "GET /healthz", "");
    half.send("POST /drain HTTP/1.1\r\n");
    watching.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watching.response();
    watching.expect("event: hello\n");
    std::fs::write(file.as_str(), rest).unwrap();
    let (head, said) = ask(&mut asking, "POST /reload", CHANGE);
    let want = ("HTTP/1.1 200 OK", "Configuration reloaded.\n");
    assert_eq!((head.first_line.as_str(), said.as_str()), want);
    assert_eq!([asking.end(), idle.end(), half.end()], [End::Closed, End::Closed, End::Closed]);
    assert_eq!(watching.end(), End::Closed);
}

/// If there is no room for clients, the admin listener still has some.
#[test]
fn an_operator_is_not_locked_out() {
    let origin = Origin::listen();
    let (program, admin) = watched(&origin, "max_connections = 2");
    let _streams = [begin_stream(&program, &origin), begin_stream(&program, &origin)];
    let mut client = program.connect();
    client.send(GET);
    assert_eq!(client.response().first_line, "HTTP/1.1 503 Service Unavailable");
    let (_, metrics) = ask(&mut Line::to(admin), "GET /metrics", "");
    let open = "millstream_streams{api=\"events\",kind=\"subscription\"} 2\n";
    assert!(metrics.contains(open), "{metrics}");
}

/// Idle connections, incomplete requests and watchers do not occupy all places for good.
#[test]
fn an_operator_finds_a_place() {
    let origin = Origin::listen();
    let (_program, admin) = watched(&origin, "");
    let beginnings = ["", "GET / HT", "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"];
    for beginning in beginnings {
        let mut crowd: Vec<Line> = (0..40).map(|_| Line::to(admin)).collect();
        for line in &mut crowd {
            // It may have been closed by now to make room for a later one.
            let _ = line.try_send(beginning);
        }
        let head = ask(&mut Line::to(admin), "GET /healthz", "").0;
        assert_eq!(head.first_line, "HTTP/1.1 200 OK", "{beginning}");
    }
}

/// A request for an answer.
const ANSWER: &str = "GET /answer HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Sends a request that reaches the upstream. Returns the connections of the client and of the
/// upstream.
fn send_through(program: &Program, origin: &Origin, request: &str) -> (Line, Line) {
    let mut client = program.connect();
    client.send(request);
    let mut upstream = origin.accept();
    upstream.request();
    (client, upstream)
}

#[test]
fn an_operator_drains() {
    let origin = Origin::listen();
    let (mut program, admin) = watched(&origin, "");
    let post = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n";
    let (mut client, mut upstream) = send_through(&program, &origin, post);
    let (head, said) = ask(&mut Line::to(admin), "POST /drain", CHANGE);
    assert_eq!(head.first_line, "HTTP/1.1 202 Accepted");
    assert_eq!(
        said,
        "Draining: the port is closed; subscriptions have 30s to end and all else 30s.\n"
    );
    program.logs("draining: the port is closed; subscriptions have 30s to end and all else 30s; ");
    // A watcher can follow the drain.
    let mut watcher = Line::to(admin);
    let (head, _) = ask(&mut watcher, "GET /readyz", "");
    assert_eq!(head.first_line, "HTTP/1.1 503 Service Unavailable");
    assert!(Line::try_to(program.address()).is_err(), "still listening");
    // A service manager then sends a signal of its own, which counts as the first one.
    program.signal("TERM");
    program.logs("already draining: a second signal closes all connections now");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    drop(client);
    assert_eq!(program.ended().status, Some(0));
}

/// A command does not count as a signal.
#[test]
fn a_second_signal_comes_after_another_signal() {
    for first in ["TERM", "QUIT"] {
        let origin = Origin::listen();
        let (mut program, admin) = watched(&origin, "");
        let (_client, mut upstream) = send_through(&program, &origin, ANSWER);
        let (head, _) = ask(&mut Line::to(admin), "POST /drain", CHANGE);
        assert_eq!(head.first_line, "HTTP/1.1 202 Accepted");
        program.signal(first);
        if first == "TERM" {
            // Two pending signals of the same kind would be one.
            program.logs("already draining: ");
        }
        program.signal("TERM");
        program.logs("second signal: closing ");
        upstream.end();
        assert_eq!(program.ended().status, Some(0), "{first}");
    }
}

#[test]
fn an_operator_is_not_told_of_its_own_requests_as_cut() {
    let origin = Origin::listen();
    let (mut program, admin) = watched(&origin, "");
    let _open = send_through(&program, &origin, ANSWER);
    let mut watcher = Line::to(admin);
    watcher.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watcher.response();
    program.signal("TERM");
    program.logs("draining: the port is closed; ");
    program.signal("TERM");
    program.logs("drained: 1 stream, tunnel or other request was cut");
    assert_eq!(program.ended().status, Some(0));
}

#[test]
fn an_operator_on_a_unix_socket() {
    let (path, origin) = (Scratch::path("sock"), Origin::listen());
    let program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [admin]
        listen = 'unix:{}'
        [[api]]
        name = 'events'
        listen_path = '/'
        target_url = 'http://{}'
        ",
        path.as_str(),
        origin.address(),
    ));
    let mut operator = Line::to_path(path.as_str());
    operator.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(operator.response().first_line, "HTTP/1.1 200 OK");
    assert_eq!(operator.rest(), "OK.\n");
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
    assert!(!path.exists(), "the socket is left behind");
}
