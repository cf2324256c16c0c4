//! Exchanges through the program: events at once, bodies both ways, and every way to leave.

use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, STREAM, begin_stream, event, in_front_of_an_origin};

/// The built-in source, directly and through a second program.
#[test]
fn the_demo_streams() {
    let mut source = Program::with(
        "
        [server]
        listen = ['127.0.0.1:0']
        [demo]
        listen = '127.0.0.1:0'
        interval = '10ms'
        ",
    );
    let url = source.says("demo event source on ");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/events/"));
    let address = address.unwrap();
    let front = Program::start(&["--to", &format!("http://{address}"), "--listen", "127.0.0.1:0"]);
    for mut client in [Line::to(address.parse().unwrap()), front.connect()] {
        client.send(GET);
        let head = client.response();
        assert_eq!(head.first_line, "HTTP/1.1 200 OK");
        assert_eq!(head.get("content-type"), Some("text/event-stream"));
        for n in 0..3 {
            client.expect(&format!("data: Message: {n} - the time is "));
            let time = client.read("2026-11-24 17:52:50.855 UTC\n\n".len());
            assert!(time.ends_with(" UTC\n\n"), "{time:?}");
        }
    }
}

#[test]
fn the_head_comes_before_the_first_event() {
    let (program, origin) = in_front_of_an_origin();
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    for n in 0..3 {
        let (wire, event) = event(&format!("event {n}"));
        upstream.send(wire);
        client.expect(&event);
    }
    upstream.send("0\r\n\r\n");
    assert_eq!(client.rest(), "");
}

/// Without an event behind it, something on the way might hold it back.
#[test]
fn a_head_that_is_alone_gets_a_comment() {
    let (program, origin) = in_front_of_an_origin();
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    client.comment();
    let (wire, event) = event("late");
    upstream.send(wire);
    client.expect(&event);
}

/// Three streams whose heads are alone. While the first waits for its heartbeats, which are events,
/// the last would have got some, if it had any.
#[test]
fn heartbeats_are_events_and_where_there_are_none_no_byte_is_added() {
    let origin = Origin::listen();
    let api = |path, more| {
        let url = format!("http://{}/", origin.address());
        format!("[[api]]\nname = '{path}'\nlisten_path = '{path}'\ntarget_url = '{url}'\n{more}\n")
    };
    let program = Program::with(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\n{}{}",
        api("/ping", "heartbeat = '300ms'\nheartbeat_event = \"event: ping\\ndata: {}\""),
        api("/off", "heartbeat = '0s'"),
    ));
    let open = |path| {
        let mut client = program.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(STREAM);
        client.response();
        (client, upstream)
    };
    let (mut silent, mut of_silent) = open("/off");
    let (mut pinged, mut of_pinged) = open("/ping");
    pinged.expect(&"event: ping\ndata: {}\n\n".repeat(2));
    let (wire, event) = event("late");
    of_silent.send(format!("{wire}0\r\n\r\n"));
    assert_eq!(silent.as_it_is(), event);
    of_pinged.send(format!("{wire}0\r\n\r\n"));
    assert!(pinged.rest().ends_with(&event));
}

/// Two requests, and one connection on either side.
#[test]
fn connections_are_kept() {
    let (program, origin) = in_front_of_an_origin();
    let mut client = program.connect();
    let mut upstream = None;
    for n in 0..3 {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        let upstream = upstream.get_or_insert_with(|| origin.accept());
        assert_eq!(upstream.request().first_line, format!("GET /{n} HTTP/1.1"));
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}"));
        client.response();
        assert_eq!(client.rest(), n.to_string());
    }
}

/// An upstream that may have one connection: it has no other as long as a stream is open, and the
/// one that waited longest gets the next.
#[test]
fn who_finds_no_connection_waits_for_one() {
    let origin = Origin::listen();
    let mut program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [[api]]
        name = 'small'
        listen_path = '/'
        target_url = 'http://{}'
        max_upstream = 1
        queue_timeout = '1h'
        ",
        origin.address()
    ));
    let (client, mut upstream) = begin_stream(&program, &origin);
    let mut waiting: Vec<Line> = (0..3).map(|_| program.connect()).collect();
    for (n, line) in waiting.iter_mut().enumerate() {
        line.send(format!("GET /{n} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        program.logs(&format!("GET /{n} for a.example"));
    }
    drop(client);
    upstream.end();
    drop(upstream);
    let mut upstream = origin.accept();
    for (n, line) in waiting.iter_mut().enumerate() {
        assert_eq!(upstream.request().first_line, format!("GET /{n} HTTP/1.1"));
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}"));
        line.response();
        assert_eq!(line.rest(), n.to_string());
    }
}

/// A target that is too busy, in the middle of a body of which a half is on its way: the other one
/// gets all of it. The kernel's buffers take a part, and must not lose it.
#[test]
fn another_target_gets_the_whole_body() {
    let origins = [Origin::listen(), Origin::listen()];
    let [one, two] = origins.each_ref().map(|origin| format!("http://{}", origin.address()));
    let program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [[api]]
        name = 'models'
        listen_path = '/'
        target_url = ['{one}', '{two}']
        retry_on = ['429']
        retry_body = '1MiB'
        "
    ));
    let body: String = "0123456789".chars().cycle().take(500_000).collect();
    let (first, second) = body.split_at(300_000);
    let mut client = program.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 500000\r\n\r\n");
    client.send(first);
    let mut busy = origins[0].accept();
    busy.request();
    busy.expect(&first[..100_000]);
    busy.send("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
    let mut other = origins[1].accept();
    assert_eq!(other.request().get("content-length"), Some("500000"));
    other.expect(first);
    client.send(second);
    other.expect(second);
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
    client.expect("ok");
}

/// A body streams upstream, and its echo back, before it is complete.
#[test]
fn a_posted_body_is_echoed() {
    let (program, origin) = in_front_of_an_origin();
    let mut client = program.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n");
    client.send("begins ");
    let mut upstream = origin.accept();
    let request = upstream.request();
    assert_eq!(request.get("content-length"), Some("100000"));
    assert_eq!(request.get("x-forwarded-for"), Some("127.0.0.1"));
    upstream.expect("begins ");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegins ");
    client.response();
    client.expect("begins ");
    let rest: String = "0123456789".chars().cycle().take(100_000 - 7).collect();
    client.send(&rest);
    assert!(upstream.rest() == rest, "another body arrived");
    upstream.send(&rest);
    assert!(client.rest() == rest, "another body came back");
}

/// However quiet the stream is.
#[test]
fn a_client_that_leaves_takes_its_upstream_along() {
    let (program, origin) = in_front_of_an_origin();
    let (client, mut upstream) = begin_stream(&program, &origin);
    drop(client);
    upstream.end();
    let (client, mut upstream) = begin_stream(&program, &origin);
    client.reset();
    upstream.end();
    // Before there is an answer, too.
    let mut client = program.connect();
    client.send(GET);
    let mut upstream = origin.accept();
    upstream.request();
    drop(client);
    upstream.end();
}

#[test]
fn a_cut_stream_is_seen_to_be_cut() {
    for reset in [false, true] {
        let (program, origin) = in_front_of_an_origin();
        let (mut client, mut upstream) = begin_stream(&program, &origin);
        let (wire, event) = event("whole");
        upstream.send(wire);
        client.expect(&event);
        if reset {
            upstream.reset()
        } else {
            drop(upstream)
        }
        client.cut();
    }
}

/// There the only visible cut is a reset.
#[test]
fn a_client_of_the_last_century_gets_no_chunks() {
    let (program, origin) = in_front_of_an_origin();
    for whole in [true, false] {
        let mut client = program.connect();
        client.send("GET /events/ HTTP/1.0\r\n\r\n");
        let mut upstream = origin.accept();
        assert_eq!(upstream.request().first_line, "GET /events/ HTTP/1.1");
        upstream.send(STREAM);
        assert_eq!(client.response().get("transfer-encoding"), None);
        let (wire, event) = event("old");
        upstream.send(wire);
        client.expect(&event);
        if whole {
            upstream.send("0\r\n\r\n");
            assert_eq!(client.rest(), "");
        } else {
            drop(upstream);
            assert_eq!(client.cut(), End::Reset);
        }
    }
}

#[test]
fn a_unix_socket_is_served_and_taken_away() {
    let (path, origin) = (Scratch::path("sock"), Origin::listen());
    let listen = format!("unix:{}", path.as_str());
    let url = format!("http://{}", origin.address());
    let arguments = ["--to", &url, "--listen", &listen];
    // What a program that was killed left behind is no obstacle.
    drop(Program::start(&arguments));
    assert!(path.exists());
    let program = Program::start(&arguments);
    let mut client = Line::to_path(path.as_str());
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().get("x-forwarded-for"), None);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    client.response();
    assert_eq!(client.rest(), "hi");
    program.signal("TERM");
    assert_eq!(client.end(), End::Closed);
    assert_eq!(program.ended().status, Some(0));
    assert!(!path.exists(), "the socket file is still there");
}

/// What another process has put in the place of a socket is not the first one's to take away.
#[test]
fn a_unix_socket_of_another_process_stays() {
    let (path, origin) = (Scratch::path("sock"), Origin::listen());
    let listen = format!("unix:{}", path.as_str());
    let url = format!("http://{}", origin.address());
    let arguments = ["--to", &url, "--listen", &listen];
    let old = Program::start(&arguments);
    std::fs::remove_file(path.as_str()).unwrap();
    let new = Program::start(&arguments);
    old.signal("TERM");
    assert_eq!(old.ended().status, Some(0));
    let mut client = Line::to_path(path.as_str());
    client.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    // Nor is a file that is no socket.
    std::fs::remove_file(path.as_str()).unwrap();
    std::fs::write(path.as_str(), "a note").unwrap();
    new.signal("TERM");
    assert_eq!(new.ended().status, Some(0));
    assert!(path.exists());
}

/// The server behind it is asked for `localhost`, under the base that was configured.
#[test]
fn a_target_on_a_unix_socket() {
    use std::os::unix::net::UnixListener;
    let path = Scratch::path("sock");
    let listener = UnixListener::bind(path.as_str()).unwrap();
    let url = format!("unix:{}:/base", path.as_str());
    let program = Program::start(&["--to", &url, "--listen", "127.0.0.1:0"]);
    let mut client = program.connect();
    client.send(GET);
    let mut upstream = Line::over(listener.accept().unwrap().0);
    let request = upstream.request();
    assert_eq!(request.first_line, "GET /base/events/ HTTP/1.1");
    assert_eq!(request.get("host"), Some("localhost"));
    upstream.send(STREAM);
    client.response();
    let (wire, event) = event("local");
    upstream.send(wire);
    client.expect(&event);
    drop(client);
    upstream.end();
    drop(listener);
    // Nobody listens there any more.
    let mut client = program.connect();
    client.send(GET);
    assert_eq!(client.response().first_line, "HTTP/1.1 502 Bad Gateway");
}

/// The client has a head while its body is still going up, and before the upstream has one.
#[test]
fn an_upstream_that_thinks_is_answered_for() {
    let origin = Origin::listen();
    let program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [[api]]
        name = 'models'
        listen_path = '/'
        target_url = 'http://{}'
        early_answer = '1ms'
        keepalive_upstream = 0
        end_event = '''event: error
data: {{}}'''
        ",
        origin.address()
    ));
    let post = |path: &str| {
        let mut client = program.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n\
             Content-Length: 22\r\n\r\n{{\"stream\":true,"
        ));
        let mut upstream = origin.accept();
        assert_eq!(upstream.request().first_line, format!("POST {path} HTTP/1.1"));
        upstream.expect("{\"stream\":true,");
        let head = client.response();
        assert_eq!(head.first_line, "HTTP/1.1 200 OK");
        assert_eq!(head.get("content-type"), Some("text/event-stream"));
        client.send("\"n\":12}");
        assert_eq!(upstream.rest(), "\"n\":12}");
        (client, upstream)
    };
    let (mut client, mut upstream) = post("/thinks");
    upstream.send(STREAM);
    let (wire, event) = event("a token");
    upstream.send(wire);
    client.expect(&event);
    upstream.send("0\r\n\r\n");
    client.rest();
    let (mut client, mut upstream) = post("/refuses");
    upstream.send("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    client.expect("event: error\ndata: {}\n\n");
    assert_eq!(client.cut(), End::Closed);
    drop(client);
    upstream.end();
    program.signal("TERM");
    let log = program.ended().stderr;
    let lost = "answered early, then the upstream answered 429 (Retry-After: 7), api models";
    assert!(log.contains(lost), "{log}");
}

#[test]
fn five_hundred_streams_get_their_own_events_in_order() {
    const STREAMS: usize = 500;
    millstream::raise_descriptor_limit().unwrap();
    let (program, origin) = in_front_of_an_origin();
    let mut clients: Vec<Line> = (0..STREAMS).map(|_| program.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    }
    let mut upstreams: Vec<(String, Line)> = Vec::new();
    for _ in 0..STREAMS {
        let mut upstream = origin.accept();
        let path = upstream.request().first_line[5..].replace(" HTTP/1.1", "");
        upstream.send(STREAM);
        upstreams.push((path, upstream));
    }
    for round in 0..4 {
        for (path, upstream) in &mut upstreams {
            upstream.send(event(&format!("{path} {round}")).0);
        }
    }
    for (_, upstream) in &mut upstreams {
        upstream.send("0\r\n\r\n");
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.response();
        let want: String = (0..4).map(|round| event(&format!("{n} {round}")).1).collect();
        assert_eq!(client.rest(), want);
    }
}

/// It is held back, and nobody else is; and what it missed it gets, to the last byte.
#[test]
fn a_slow_reader_slows_nobody_else() {
    const PLENTY: usize = 64 << 20;
    let (program, origin) = in_front_of_an_origin();
    let (mut slow, mut slow_upstream) = begin_stream(&program, &origin);
    let mut healthy: Vec<_> = (0..100).map(|_| begin_stream(&program, &origin)).collect();
    let block: String = (0..1000).map(|n| event(&format!("{n:06}")).0).collect();
    let plenty = block.repeat(PLENTY / block.len());
    let sent = slow_upstream.send_until_stuck(plenty.as_bytes());
    assert!(sent < plenty.len(), "all {sent} bytes were taken for a client that reads none");
    for round in 0..5 {
        let (wire, event) = event(&round.to_string());
        for (_, upstream) in &mut healthy {
            upstream.send(&wire);
        }
        for (client, _) in &mut healthy {
            client.expect(&event);
        }
    }
    let events = sent / event("000000").0.len();
    for n in 0..events {
        slow.expect(&event(&format!("{:06}", n % 1000)).1);
    }
    drop(slow_upstream);
    slow.end();
}
