//! Several event loops, which look like one process from outside.

use super::certificates::{Authority, file};
use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, STREAM, begin_stream, event, skip};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

pub(super) const WORKERS: usize = 4;

/// Enough for each loop to have some.
pub(super) const STREAMS: usize = 24;

pub(super) fn config(origin: &Origin, server: &str, api: &str) -> String {
    format!(
        "[server]\nlisten = ['127.0.0.1:0']\nworkers = {WORKERS}\n{server}\n\
         [drain]\nwindow = '100ms'\n[admin]\nlisten = '127.0.0.1:0'\n[log]\naccess = 'text'\n\
         [[api]]\nname = 'events'\nlisten_path = '/'\ntarget_url = 'http://{}'\n{api}\n",
        origin.address()
    )
}

/// A program with several loops, and the address of its admin listener.
pub(super) fn start(origin: &Origin, server: &str, api: &str) -> (Program, SocketAddr) {
    let mut program = Program::with(&config(origin, server, api));
    let admin = admin_of(&mut program);
    (program, admin)
}

pub(super) fn admin_of(program: &mut Program) -> SocketAddr {
    let url = program.says("admin listener on ");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
    address.unwrap().parse().unwrap()
}

pub(super) fn ask(admin: SocketAddr, line: &str) -> (String, String) {
    let mut operator = Line::to(admin);
    let fields = "Host: localhost\r\nX-Millstream: 1\r\nConnection: close";
    operator.send(format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n"));
    (operator.response().first_line, operator.rest())
}

/// The ids of the streams on a page, and the parameter of the next page.
fn page(admin: SocketAddr, query: &str) -> (Vec<String>, Option<String>) {
    let (_, text) = ask(admin, &format!("GET /streams?{query}"));
    let words = |name: &str| -> Vec<String> {
        let name = format!("\"{name}\":\"");
        let parts = text.split(name.as_str()).skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    (words("id"), words("next").pop())
}

pub(super) fn begin_streams(program: &Program, origin: &Origin) -> Vec<(Line, Line)> {
    (0..STREAMS).map(|_| begin_stream(program, origin)).collect()
}

/// The value of a sample, without its name and labels.
pub(super) fn sample<'t>(metrics: &'t str, name: &str) -> Option<&'t str> {
    metrics.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[test]
fn an_operator_sees_one_process() {
    for server in ["", "reuse_port = true"] {
        let origin = Origin::listen();
        let (program, admin) = start(&origin, server, "");
        let mut streams = begin_streams(&program, &origin);
        for (n, (client, upstream)) in streams.iter_mut().enumerate() {
            let (wire, event) = event(&n.to_string());
            upstream.send(wire);
            client.expect(&event);
        }
        let (_, metrics) = ask(admin, "GET /metrics");
        let of_api = "{api=\"events\",kind=\"subscription\"}";
        assert_eq!(sample(&metrics, &format!("millstream_streams{of_api}")), Some("24"));
        assert_eq!(sample(&metrics, "millstream_events_total{api=\"events\"}"), Some("24"));
        assert_eq!(sample(&metrics, "millstream_client_connections "), Some("24"));
        assert_eq!(metrics.matches("# TYPE millstream_streams gauge").count(), 1);
        for order in ["oldest", "newest", "slowest"] {
            let (mut all, mut after) = (Vec::new(), String::new());
            loop {
                let (ids, next) = page(admin, &format!("limit=5&order={order}&after={after}"));
                all.extend(ids);
                match next {
                    Some(next) => after = next,
                    None => break,
                }
            }
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), STREAMS, "{order}: {all:?}");
            assert_eq!(all.len(), STREAMS, "{order}: {all:?}");
        }
        let (ids, _) = page(admin, "limit=1000");
        for id in &ids {
            let (status, _) = ask(admin, &format!("DELETE /streams/{id}"));
            assert_eq!(status, "HTTP/1.1 202 Accepted");
        }
        for (client, _) in &mut streams {
            client.rest();
        }
        let (status, _) = ask(admin, &format!("DELETE /streams/{}", ids[0]));
        assert_eq!(status, "HTTP/1.1 404 Not Found");
    }
}

#[test]
fn the_live_page_tells_of_all() {
    let origin = Origin::listen();
    let (program, admin) = start(&origin, "", "");
    let _streams = begin_streams(&program, &origin);
    let mut operator = Line::to(admin);
    operator.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    operator.response();
    let mut heard = String::new();
    while !heard.contains("\"closed\":") {
        heard.push_str(&operator.read(1));
    }
    assert!(heard.contains("\"connections\":24,\"streams\":24,"), "{heard}");
    assert!(heard.contains("\"name\":\"events\",\"streams\":24,"), "{heard}");
    assert_eq!(heard.matches("{\"number\":").count(), WORKERS, "{heard}");
}

#[test]
fn a_loop_makes_room_for_another() {
    const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    let origin = Origin::listen();
    let (program, _) = start(&origin, &format!("max_connections = {}", STREAMS + 1), "");
    let _streams = begin_streams(&program, &origin);
    let ask = || {
        let mut client = program.connect();
        client.send(OPTIONS);
        (client.response().first_line, client)
    };
    let (status, mut idle) = ask();
    assert_eq!(status, "HTTP/1.1 204 No Content");
    // No other client can be closed, whichever loop has it and whichever gets the next one.
    let (status, _next) = ask();
    assert_eq!(idle.end(), End::Closed);
    if status == "HTTP/1.1 503 Service Unavailable" {
        let (status, _after) = ask();
        assert_eq!(status, "HTTP/1.1 204 No Content");
    }
}

#[test]
fn a_certificate_is_told_of_once() {
    let origin = Origin::listen();
    let authority = Authority::new();
    let pair = authority.issue_from_to("a.example", 2000, 2020);
    let [certificate, key] = [file(&pair.certificate), file(&pair.key)];
    let text = format!(
        "{}[[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n",
        config(&origin, "listen_tls = ['127.0.0.1:0']", ""),
        certificate.as_str(),
        key.as_str()
    );
    let mut program = Program::with(&text);
    let admin = admin_of(&mut program);
    let mut operator = Line::to(admin);
    operator.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    operator.response();
    let mut heard = String::new();
    while !heard.contains("\"closed\":") {
        heard.push_str(&operator.read(1));
    }
    assert_eq!(heard.matches("\"is_valid\":false").count(), 1, "{heard}");
    let (_, metrics) = ask(admin, "GET /metrics");
    // The start of 2020.
    let name = format!(
        "millstream_certificate_expiry_timestamp_seconds{{certificate=\"{}\"}}",
        certificate.as_str()
    );
    assert_eq!(sample(&metrics, &name), Some("1577836800"), "{metrics}");
    program.signal("TERM");
    let told = program.ended().stderr;
    assert_eq!(told.matches("expired").count(), 1, "{told}");
}

/// Clients of a stream in all loops share one connection to the target, and miss nothing. A client
/// that reconnects continues where it was.
#[test]
fn a_shared_stream_is_one_for_all() {
    let origin = Origin::listen();
    let share = "[api.share]\njoin = 'log'\nlinger = '0s'\nlog_events = 1000";
    let (program, admin) = start(&origin, "", share);
    let come = |last: Option<usize>| {
        let mut client = program.connect();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n\r\n"));
        let end = last.as_deref().unwrap_or("\r\n");
        client.send(GET.strip_suffix("\r\n").unwrap().to_owned() + end);
        client
    };
    let numbered = |n: usize| {
        let event = format!("id: {n}\ndata: {n}\n\n");
        (format!("{:x}\r\n{event}\r\n", event.len()), event)
    };
    let mut clients: Vec<Line> = (0..STREAMS).map(|_| come(None)).collect();
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(STREAM);
    for client in &mut clients {
        assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
    }
    for n in 0..500 {
        upstream.send(numbered(n).0);
    }
    for client in &mut clients {
        (0..500).for_each(|n| client.expect(&numbered(n).1));
    }
    let (_, page) = ask(admin, "GET /streams");
    assert_eq!(page.matches("\"shares\":\"").count(), STREAMS, "{page}");
    assert!(page.contains("\"shared_total\":1,"), "{page}");
    assert!(page.contains(&format!("\"clients\":{STREAMS},\"events\":500,")), "{page}");
    // Some clients reconnect, to any loop.
    for (n, client) in clients.iter_mut().enumerate() {
        *client = come(Some(480 + n % 20));
        assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
        (481 + n % 20..500).for_each(|n| client.expect(&numbered(n).1));
    }
    upstream.send(numbered(500).0);
    clients.iter_mut().for_each(|client| client.expect(&numbered(500).1));
    let (_, metrics) = ask(admin, "GET /metrics");
    let of_api = "{api=\"events\"}";
    assert_eq!(sample(&metrics, &format!("millstream_share_upstreams{of_api}")), Some("1"));
    let clients_now = sample(&metrics, &format!("millstream_share_clients{of_api}"));
    assert_eq!(clients_now, Some(STREAMS.to_string().as_str()));
    let connects = metrics.lines().find(|l| l.starts_with("millstream_upstream_connects_total{"));
    assert!(connects.is_some_and(|line| line.ends_with(" 1")), "{connects:?}");
    // When the last client leaves, in any loop, the upstream's stream is closed.
    drop(clients);
    upstream.end();
}

#[test]
fn limits_are_for_all() {
    let origin = Origin::listen();
    let (program, _) = start(&origin, "", &format!("max_streams = {STREAMS}"));
    let mut streams = begin_streams(&program, &origin);
    for _ in 0..WORKERS {
        let mut another = program.connect();
        another.send(GET);
        assert_eq!(another.response().first_line, "HTTP/1.1 503 Service Unavailable");
    }
    // A client that leaves makes room in every loop.
    let (client, mut upstream) = streams.pop().unwrap();
    drop(client);
    upstream.end();
    streams.push(begin_stream(&program, &origin));
}

/// Answers health checks. Returns the connection of the first other request.
fn passing_checks(origin: &Origin) -> Line {
    loop {
        let mut upstream = origin.accept();
        if upstream.request().first_line != "GET /health HTTP/1.1" {
            return upstream;
        }
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    }
}

/// Sends a request, to any loop, to a program whose first target does not listen.
fn answered_by(origin: &Origin, program: &Program) -> Line {
    let mut client = program.connect();
    client.send("GET /answer HTTP/1.1\r\nHost: a\r\n\r\n");
    passing_checks(origin).send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    client
}

/// Like [`config`], with a target that does not listen before the origin.
fn with_nobody(origin: &Origin, api: &str) -> String {
    let target = format!("'http://{}'", origin.address());
    config(origin, "", api).replace(&target, &format!("['http://127.0.0.1:1', {target}]"))
}

const OF_NOBODY: &str = "{api=\"events\",target=\"http://127.0.0.1:1/\"}";

#[test]
fn targets_are_checked_once_for_all() {
    let origin = Origin::listen();
    let checks = "health_path = '/health'\nhealth_interval = '5s'";
    let mut program = Program::with(&with_nobody(&origin, checks));
    let admin = admin_of(&mut program);
    program.logs("api events: http://127.0.0.1:1/ is unhealthy: ");
    // A loop that has sent its share of the metrics has learnt of it.
    let (_, metrics) = ask(admin, "GET /metrics");
    assert_eq!(sample(&metrics, &format!("millstream_upstream_healthy{OF_NOBODY}")), Some("0"));
    let _clients: Vec<Line> = (0..STREAMS).map(|_| answered_by(&origin, &program)).collect();
    let (_, metrics) = ask(admin, "GET /metrics");
    let connects = format!("millstream_upstream_connects_total{OF_NOBODY}");
    assert_eq!(sample(&metrics, &connects), Some("0"));
    program.signal("TERM");
    let ended = program.ended();
    assert_eq!(ended.stderr.matches("is unhealthy").count(), 1, "{}", ended.stderr);
}

#[test]
fn what_one_loop_has_found_out_of_a_target_all_go_by() {
    let origin = Origin::listen();
    let mut program = Program::with(&with_nobody(&origin, "fail_timeout = '1h'"));
    let admin = admin_of(&mut program);
    let _first = answered_by(&origin, &program);
    program.logs("api events: http://127.0.0.1:1/ is passed over for 3600s");
    // A loop that has sent its share of the metrics has sent its news before.
    ask(admin, "GET /metrics");
    let _others: Vec<Line> = (1..STREAMS).map(|_| answered_by(&origin, &program)).collect();
    let (_, metrics) = ask(admin, "GET /metrics");
    for counter in ["connects", "ejections"] {
        let name = format!("millstream_upstream_{counter}_total{OF_NOBODY}");
        assert_eq!(sample(&metrics, &name), Some("1"), "{counter}");
    }
    program.signal("TERM");
    let ended = program.ended();
    assert_eq!(ended.stderr.matches("is passed over").count(), 1, "{}", ended.stderr);
}

#[test]
fn a_reload_reaches_all() {
    let (old, new) = (Origin::listen(), Origin::listen());
    let file = Scratch::file(&config(&old, "", ""));
    let mut program = Program::start(&[file.as_str()]);
    let admin = admin_of(&mut program);
    let mut before = begin_streams(&program, &old);
    fs::write(file.as_str(), config(&new, "", "")).unwrap();
    let (status, _) = ask(admin, "POST /reload");
    assert_eq!(status, "HTTP/1.1 200 OK");
    // Streams end within the window, and new requests go to the other target.
    for (client, _) in &mut before {
        client.rest();
    }
    let _after = begin_streams(&program, &new);
    let number = config(&new, "", "").replace("workers = 4", "workers = 3");
    fs::write(file.as_str(), number).unwrap();
    let (status, why) = ask(admin, "POST /reload");
    assert_eq!(status, "HTTP/1.1 422 Unprocessable Content");
    assert!(why.contains("server.workers: it cannot be changed while running"), "{why}");
}

#[test]
fn a_drain_ends_all_and_is_told_once() {
    let origin = Origin::listen();
    let (mut program, _) = start(&origin, "", "");
    let mut streams = begin_streams(&program, &origin);
    let mut other = program.connect();
    other.send("GET /answer HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    program.signal("TERM");
    program.logs("open are 24 subscriptions, 0 answers, 0 tunnels and 1 other request;");
    for (client, _) in &mut streams {
        assert_eq!(client.end(), End::Closed);
    }
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    other.response();
    drop(other);
    let ended = program.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("draining: ").count(), 1, "{}", ended.stderr);
    // The last lines of each loop are complete.
    assert_eq!(ended.stdout.matches("event=end ").count(), STREAMS, "{}", ended.stdout);
}

#[test]
fn what_is_cut_in_any_loop_is_told() {
    let origin = Origin::listen();
    let config = config(&origin, "", "").replace("window = '100ms'", "window = '30s'");
    let mut program = Program::with(&config);
    let ask = |_| {
        let mut client = program.connect();
        client.send("GET /answer HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        (client, upstream)
    };
    let _unanswered: Vec<(Line, Line)> = (0..STREAMS).map(ask).collect();
    program.signal("TERM");
    program.logs("and 24 other requests;");
    program.signal("TERM");
    let ended = program.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let told = "drained: 24 streams, tunnels or other requests were cut";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn each_loop_is_told_apart_for_the_operator() {
    let origin = Origin::listen();
    let (program, admin) = start(&origin, "", "");
    let _streams = begin_streams(&program, &origin);
    let (status, said) = ask(admin, "GET /healthz");
    assert_eq!((status.as_str(), said.as_str()), ("HTTP/1.1 200 OK", "All loops turn.\n"));
    let (_, metrics) = ask(admin, "GET /metrics");
    let of_worker = |name: &str, n: usize| {
        let sample = sample(&metrics, &format!("millstream_worker_{name}{{worker=\"{n}\"}}"));
        sample.unwrap().parse::<usize>().unwrap()
    };
    for name in ["streams", "client_connections"] {
        let all = (1..=WORKERS).map(|n| of_worker(name, n)).sum::<usize>();
        assert_eq!(all, STREAMS, "{name}");
    }
    assert!((1..=WORKERS).all(|n| of_worker("up", n) == 1));
}

#[test]
fn each_loop_needs_a_connection() {
    let origin = Origin::listen();
    let file = Scratch::file(&config(&origin, "", "max_upstream = 3"));
    let why = "api[0].max_upstream: fewer than server.workers, 4; write that or more";
    for arguments in [&[file.as_str()][..], &["--check", file.as_str()]] {
        let ended = Program::run(arguments);
        assert_eq!(ended.status, Some(2), "{arguments:?}");
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
}

/// This includes configurations that do not say how many workers there are.
#[test]
fn each_core_needs_a_connection() {
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores == 1 {
        skip("e2e::workers::each_core_needs_a_connection", "there is one core");
        return;
    }
    let origin = Origin::listen();
    let text = config(&origin, "", "max_upstream = 1").replace("workers = 4", "workers = 'cores'");
    let file = Scratch::file(&text);
    let cores = cores.min(64);
    let needs = format!("each of server.workers ({cores}) needs at least one connection");
    let why = format!("millstream: api events: max_upstream: {needs}\n");
    for arguments in [&[file.as_str()][..], &["--check", file.as_str()]] {
        let ended = Program::run(arguments);
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), &*why), "{arguments:?}");
    }
}
