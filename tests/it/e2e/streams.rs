//! Requests through the program: events without delay, bodies both ways, and all kinds of ends.

use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, STREAM, begin_stream, event, in_front_of_an_origin};

/// The built-in event source, directly and through a second program.
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

/// Something on the way might withhold the head until some of the body follows.
#[test]
fn a_head_that_is_alone_gets_a_comment() {
    let (program, origin) = in_front_of_an_origin();
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    client.comment();
    let (wire, event) = event("late");
    upstream.send(wire);
    client.expect(&event);
}

/// Two streams of which only the head has been sent. The first has heartbeats, which are events;
/// the second has none. While the first gets its heartbeats, the second would have got its own.
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

/// Several requests use one connection on either side.
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

/// An upstream with one connection: while a stream uses it no other is opened, and then the request
/// that has waited longest gets one.
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

/// The first target is too busy and responds while half of the body is on its way; the second one
/// gets the whole body. The part in the kernel's buffers must not be lost.
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

/// A body is forwarded, and its echo relayed, before it is complete.
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
    assert!(upstream.rest() == rest, "a different body arrived");
    upstream.send(&rest);
    assert!(client.rest() == rest, "a different body came back");
}

/// Even if the stream is silent.
#[test]
fn a_client_that_leaves_takes_its_upstream_along() {
    let (program, origin) = in_front_of_an_origin();
    let (client, mut upstream) = begin_stream(&program, &origin);
    drop(client);
    upstream.end();
    let (client, mut upstream) = begin_stream(&program, &origin);
    client.reset();
    upstream.end();
    // Before there is a response, too.
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

/// Its only visible cut is a reset.
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
    // A socket file left behind by a killed process is replaced.
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
    assert!(!path.exists(), "the socket file was not removed");
}

/// A process does not remove a socket that another process has created in place of its own.
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
    // Nor a file that is not a socket.
    std::fs::remove_file(path.as_str()).unwrap();
    std::fs::write(path.as_str(), "a note").unwrap();
    new.signal("TERM");
    assert_eq!(new.ended().status, Some(0));
    assert!(path.exists());
}

/// The server gets the host `localhost`, and the path below the configured base.
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
    // Now there is no listener at the path.
    let mut client = program.connect();
    client.send(GET);
    assert_eq!(client.response().first_line, "HTTP/1.1 502 Bad Gateway");
}

/// The client gets a head while its body is still being forwarded, and before the upstream has sent
/// one.
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

/// Its upstream is not read further, and others are not affected. When it reads again, it gets
/// every byte.
#[test]
fn a_slow_reader_slows_nobody_else() {
    const PLENTY: usize = 64 << 20;
    let (program, origin) = in_front_of_an_origin();
    let (mut slow, mut slow_upstream) = begin_stream(&program, &origin);
    let mut healthy: Vec<_> = (0..100).map(|_| begin_stream(&program, &origin)).collect();
    let block: String = (0..1000).map(|n| event(&format!("{n:06}")).0).collect();
    let plenty = block.repeat(PLENTY / block.len());
    let sent = slow_upstream.send_until_stuck(plenty.as_bytes());
    assert!(sent < plenty.len(), "all {sent} bytes were accepted for a client that reads nothing");
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
