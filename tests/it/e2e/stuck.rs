//! A worker that is stuck, and what works without it.

use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::workers::{WORKERS, admin_of, ask, begin_streams, config, sample, start};
use super::{begin_stream, event, skip};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::io::ErrorKind;

/// A worker that is stuck as long as this exists.
struct Stuck(Pid);

impl Stuck {
    /// None if the system does not allow this; the test is then reported as skipped.
    fn worker(program: &Program, number: usize, test: &str) -> Option<Stuck> {
        let thread = program.thread(&format!("worker {number}")).map(Pid::from_raw);
        let seized = |thread: &Pid| ptrace::seize(*thread, ptrace::Options::empty()).is_ok();
        let Some(thread) = thread.filter(seized) else {
            skip(test, "no thread can be stopped");
            return None;
        };
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Some(Stuck(thread))
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // The worker may have ended with its process, whose end waits for this.
        if ptrace::detach(self.0, None).is_err() {
            let _ = waitpid(self.0, Some(WaitPidFlag::__WALL));
        }
    }
}

#[test]
fn a_loop_that_is_stuck_keeps_no_operator_waiting() {
    let origin = Origin::listen();
    let file = Scratch::file(&config(&origin, "", ""));
    let mut program = Program::start(&[file.as_str()]);
    let admin = admin_of(&mut program);
    let mut streams = begin_streams(&program, &origin);
    for (client, upstream) in &mut streams {
        let (wire, event) = event("x");
        upstream.send(wire);
        client.expect(&event);
    }
    // From here on its share of the metrics is known.
    ask(admin, "GET /metrics");
    let name = "a_loop_that_is_stuck_keeps_no_operator_waiting";
    let Some(stuck) = Stuck::worker(&program, 3, name) else { return };
    let (status, why) = ask(admin, "GET /healthz");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(why.starts_with("Worker 3 has been stuck for "), "{why}");
    let (_, metrics) = ask(admin, "GET /metrics");
    assert_eq!(sample(&metrics, "millstream_worker_up{worker=\"2\"}"), Some("1"));
    assert_eq!(sample(&metrics, "millstream_worker_up{worker=\"3\"}"), Some("0"));
    assert_eq!(sample(&metrics, "millstream_events_total{api=\"events\"}"), Some("24"));
    let (status, listed) = ask(admin, "GET /streams?limit=1000");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(listed.contains("\"silent_workers\":[3]"), "{listed}");
    let (status, said) = ask(admin, "DELETE /streams/fffff");
    assert_eq!(status, "HTTP/1.1 202 Accepted");
    assert!(said.starts_with("It ends if a silent worker has it. Worker 3 has been"), "{said}");
    let mut watcher = Line::to(admin);
    watcher.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watcher.response();
    let mut heard = String::new();
    while !heard.contains("\"closed\":") {
        heard.push_str(&watcher.read(1));
    }
    let (_, of_third) = heard.split_once("{\"number\":3,").expect(&heard);
    assert!(of_third.split('}').next().unwrap().contains("\"silent_ms\":"), "{heard}");
    // The others serve, and it catches up when it turns.
    let _more: Vec<_> = (0..WORKERS).map(|_| begin_stream(&program, &origin)).collect();
    let (status, said) = ask(admin, "POST /reload");
    assert_eq!(status, "HTTP/1.1 202 Accepted");
    let waits = "It waits for these workers, which are stuck: 3.";
    assert!(said.contains(waits), "{said}");
    // A second request does not wait either.
    let (status, said) = ask(admin, "POST /reload");
    assert_eq!(status, "HTTP/1.1 202 Accepted");
    assert!(said.contains(waits), "{said}");
    let asked = Program::run(&["--reload", &format!("http://{admin}")]);
    assert_eq!(asked.status, Some(1));
    assert!(asked.stderr.contains(waits), "{}", asked.stderr);
    for _ in 0..3 {
        program.logs("the reload waits for these workers");
    }
    program.signal("HUP");
    program.logs("the reload waits for these workers, which are stuck: 3");
    // Several requests are waiting, and the next one is still answered.
    for _ in 0..3 {
        let ask = |_| {
            let mut operator = Line::to(admin);
            operator.send("POST /reload HTTP/1.1\r\nHost: localhost\r\nX-Millstream: 1\r\n\r\n");
            operator
        };
        let asked: Vec<Line> = (0..8).map(ask).collect();
        for mut operator in asked {
            assert_eq!(operator.response().first_line, "HTTP/1.1 202 Accepted");
        }
    }
    drop(stuck);
    program.logs("configuration reloaded");
    let turns = (0..100_000).any(|_| ask(admin, "GET /healthz").0 == "HTTP/1.1 200 OK");
    assert!(turns, "still silent");
}

/// Meanwhile the files change; they are checked when the reload is over.
#[test]
fn a_reload_that_waits_for_a_loop_that_is_stuck_sleeps() {
    let origin = Origin::listen();
    let folder = Scratch::folder();
    let path = format!("{}/a.toml", folder.as_str());
    let text = config(&origin, "reload_on_change = true", "");
    fs::write(&path, &text).unwrap();
    let mut program = Program::start(&[&path]);
    let admin = admin_of(&mut program);
    let name = "a_reload_that_waits_for_a_loop_that_is_stuck_sleeps";
    let Some(stuck) = Stuck::worker(&program, 2, name) else { return };
    program.signal("HUP");
    program.logs("the reload waits for these workers");
    fs::write(&path, text + "# Changed.\n").unwrap();
    // One tick a second: by then the check is due.
    let mut watcher = Line::to(admin);
    watcher.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watcher.response();
    let mut heard = String::new();
    while heard.matches("event: tick").count() < 4 {
        heard.push_str(&watcher.read(1));
    }
    let state = || program.identity("State");
    assert!((0..10_000).any(|_| state().starts_with('S')), "it never sleeps: {}", state());
    drop(stuck);
    for _ in 0..2 {
        program.logs("configuration reloaded");
    }
}

#[test]
fn a_loop_that_is_stuck_keeps_no_process_from_its_end() {
    let name = "a_loop_that_is_stuck_keeps_no_process_from_its_end";
    let origin = Origin::listen();
    let (mut program, admin) = start(&origin, "", "");
    let _streams = begin_streams(&program, &origin);
    let Some(stuck) = Stuck::worker(&program, 2, name) else { return };
    program.signal("TERM");
    // The system merges two signals of which none was taken yet.
    let drains = (0..100_000).any(|_| ask(admin, "GET /readyz").0 != "HTTP/1.1 200 OK");
    assert!(drains, "not draining");
    program.signal("TERM");
    program.logs("worker 2 is stuck: its connections are cut");
    program.logs(" cut, beside what these workers had, which are stuck: 2");
    drop(stuck);
    assert_eq!(program.ended().status, Some(0));
}

#[test]
fn a_loop_that_is_stuck_makes_no_drain_endless() {
    let name = "a_loop_that_is_stuck_makes_no_drain_endless";
    let origin = Origin::listen();
    let config = config(&origin, "", "").replace("[drain]", "[drain]\nanswers = '100ms'");
    let mut program = Program::with(&config);
    let _streams = begin_streams(&program, &origin);
    let Some(stuck) = Stuck::worker(&program, 2, name) else { return };
    program.signal("TERM");
    program.logs(", beside what these workers have, which are stuck: 2");
    program.logs("worker 2 is stuck: its connections are cut");
    program.logs("drained: nothing was cut, beside what these workers had, which are stuck: 2");
    drop(stuck);
    let ended = program.ended();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.stderr.matches("draining: ").count(), 1, "{}", ended.stderr);
}

const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";

/// A drain closes the port for all loops, and clients waiting at the socket of the stuck one are
/// served by another.
#[test]
fn nobody_waits_at_a_closed_port_for_a_loop_that_is_stuck() {
    let name = "nobody_waits_at_a_closed_port_for_a_loop_that_is_stuck";
    for server in ["", "reuse_port = true"] {
        let origin = Origin::listen();
        let config = config(&origin, server, "").replace("window = '100ms'", "window = '30s'");
        let mut program = Program::with(&config);
        let _stream = begin_stream(&program, &origin);
        let Some(stuck) = Stuck::worker(&program, 2, name) else { return };
        let wait = |_| {
            let mut client = program.connect();
            client.send(OPTIONS);
            client
        };
        // If each loop has its own socket, some clients wait at that of the stuck one.
        let waiting: Vec<Line> = (0..32).map(wait).collect();
        program.signal("TERM");
        for mut client in waiting {
            assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content", "{server}");
        }
        program.logs("the port is closed");
        for _ in 0..32 {
            let came = Line::try_to(program.address()).map_err(|error| error.kind());
            assert_eq!(came.err(), Some(ErrorKind::ConnectionRefused), "{server}");
        }
        drop(stuck);
    }
}

/// A refused client comes again, and gets a place although one of the loops that could make room is
/// stuck.
#[test]
fn a_loop_that_is_stuck_keeps_no_other_one_from_making_room() {
    let name = "a_loop_that_is_stuck_keeps_no_other_one_from_making_room";
    let origin = Origin::listen();
    let (program, _) = start(&origin, "max_connections = 1", "");
    let Some(_stuck) = Stuck::worker(&program, 2, name) else { return };
    let answer = || {
        let mut client = program.connect();
        client.send(OPTIONS);
        (client.response().first_line, client)
    };
    let is_served = |(status, _): &(String, Line)| status == "HTTP/1.1 204 No Content";
    let (status, mut served) = answer();
    assert_eq!(status, "HTTP/1.1 204 No Content");
    // In any loop: each new client takes the place of the previous one.
    for _ in 0..8 {
        let next = (0..100_000).map(|_| answer()).find(is_served);
        assert_eq!(served.end(), End::Closed);
        served = next.expect("no client was served").1;
    }
}
