//! A process with as many clients as its descriptors allow, and more that try to connect: there are
//! descriptors left for the operator, the configuration file, and the upstreams of accepted
//! clients.

use super::line::{Line, Origin};
use super::program::{Program, Scratch};
use super::{GET, STREAM};
use crate::sim::message::Head;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

/// The limit on open files. By default it leaves room for 96 clients.
const DESCRIPTORS: usize = 256;

/// Clients that connect when there is no room left.
const CROWD: usize = 300;

/// What each client of the crowd sends before it waits.
const BEGINNINGS: [&str; 3] = ["", "GET / HT", GET];

/// Answers each request with a stream and its first event. Returns the requests and their
/// connections.
fn streaming(origin: Origin) -> Receiver<(Head, Line)> {
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        while let Ok(mut line) = origin.try_accept() {
            let head = line.request();
            line.send(format!("{STREAM}{}", event_with_id()));
            if sender.send((head, line)).is_err() {
                return;
            }
        }
    });
    requests
}

fn event_with_id() -> String {
    let event = "id: 7\ndata: x\n\n";
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn config(listen: &str, target: &str) -> String {
    format!(
        "
        [server]
        listen = ['127.0.0.1:0'{listen}]
        read_timeout = '60s'
        [admin]
        listen = '127.0.0.1:0'
        [[api]]
        name = 'events'
        listen_path = '/'
        target_url = '{target}'
        resume = true
        "
    )
}

fn is_alive(admin: SocketAddr) {
    let mut probe = Line::to(admin);
    probe.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(probe.response().first_line, "HTTP/1.1 200 OK");
}

#[test]
fn what_is_kept_back_is_there() {
    for beginning in BEGINNINGS {
        let origin = Origin::listen();
        let target = origin.address();
        let requests = streaming(origin);
        let file = Scratch::file(&config("", &format!("http://{target}")));
        let mut program = Program::with_descriptors(DESCRIPTORS, &file);
        let admin = program.says("admin listener on http://");
        let admin = admin.trim_end_matches('/').parse().unwrap();
        let mut streams: Vec<Line> = (0..40).map(|_| program.connect()).collect();
        for client in &mut streams {
            client.send(GET);
            assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
        }
        let mut upstreams: Vec<Line> = (0..40).map(|_| requests.recv().unwrap().1).collect();
        let mut unfinished = program.connect();
        unfinished.send(&GET[..GET.len() - 2]);
        let mut crowd: Vec<Line> = (0..CROWD).map(|_| program.connect()).collect();
        for line in &mut crowd {
            // It may have been refused by now.
            let _ = line.try_send(beginning);
        }
        for _ in 0..3 {
            is_alive(admin);
        }
        // A resumed stream needs an upstream connection, and so does a request that becomes
        // complete.
        drop(upstreams.pop());
        let head = loop {
            let (head, line) = requests.recv().unwrap();
            upstreams.push(line);
            if head.get("last-event-id").is_some() {
                break head;
            }
        };
        assert_eq!(head.get("last-event-id"), Some("7"), "{beginning}");
        unfinished.send("\r\n");
        assert_eq!(unfinished.response().first_line, "HTTP/1.1 200 OK", "{beginning}");
        // A reload reads files, resolves a name, and opens another listener.
        let by_name = format!("http://localhost:{}", target.port());
        std::fs::write(file.as_str(), config(", '127.0.0.2:0'", &by_name)).unwrap();
        program.signal("HUP");
        program.logs("configuration reloaded");
        is_alive(admin);
        program.signal("TERM");
        // The system may merge two signals that are sent together.
        program.logs("draining: ");
        program.signal("TERM");
        let ended = program.ended();
        assert!(!ended.stderr.contains("Too many open files"), "{beginning}: {}", ended.stderr);
    }
}
