//! Deploys: clients are still sent to a process for a while after it has been told to end.

use super::line::{Line, Origin};
use super::program::{Program, Scratch};
use super::{PATIENCE, STREAM, begin_stream, event};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A request that is answered without an upstream.
const NOWHERE: &str = "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n";

/// A program in front of `origin` that drains as `drain` says, and its admin listener.
fn draining(origin: &Origin, drain: &str) -> (Program, SocketAddr) {
    let mut program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [drain]
        {drain}
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

fn readiness(admin: SocketAddr) -> (String, String) {
    let mut operator = Line::to(admin);
    operator.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    (operator.response().first_line, operator.rest())
}

/// Sends a request on a new connection, and reads until that ends. An error, or an empty string, if
/// the connection was not served.
fn ask_once(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(NOWHERE.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A service removes endpoints late, so connections keep coming after the signal. Until the port
/// closes all of them are served as before, including streams.
#[test]
fn a_delay_serves_who_comes_late() {
    let origin = Origin::listen();
    let (mut program, admin) = draining(&origin, "delay = '2s'\nwindow = '100ms'");
    let address = program.address();
    assert_eq!(readiness(admin), ("HTTP/1.1 200 OK".to_owned(), "Ready.\n".to_owned()));
    let (mut before, mut before_upstream) = begin_stream(&program, &origin);
    let mut kept = program.connect();
    kept.send(NOWHERE);
    assert_eq!(kept.response().get("connection"), None);
    program.signal("TERM");
    program.logs("draining: everything is served for 2s, then the port closes; ");
    let (status, told) = readiness(admin);
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(told.starts_with("Draining: the port closes in "), "{told}");
    // A connection that was open is served once more, and its response says that this was the last.
    kept.send(NOWHERE);
    assert_eq!(kept.response().get("connection"), Some("close"));
    // The head of a new stream says so, too.
    let mut late = program.connect();
    late.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
    let mut late_upstream = origin.accept();
    late_upstream.request();
    late_upstream.send(STREAM);
    assert_eq!(late.response().get("connection"), Some("close"));
    let mut served = 0;
    let refused = loop {
        match ask_once(address) {
            Ok(answer) if answer.is_empty() => break None,
            Ok(answer) => {
                assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
                assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
                served += 1;
            }
            Err(error) => break Some(error),
        }
    };
    assert!(served > 0, "refused: {refused:?}");
    assert!(ask_once(address).is_err(), "refused a connection, and then served another");
    program.logs("draining: the port is closed; ");
    assert_eq!(readiness(admin).1, "Draining: the port is closed.\n");
    let rest = before.rest();
    assert!(rest.starts_with("retry: "), "{rest}");
    before_upstream.end();
    // The answer may complete within its time limit, and then the process ends.
    let (wire, event) = event("last");
    late_upstream.send(wire);
    late.expect(&event);
    late_upstream.send("0\r\n\r\n");
    assert_eq!(late.rest(), "");
    drop(late);
    drop(before);
    let ended = program.ended();
    assert_eq!(ended.status, Some(0));
    assert!(ended.stderr.contains("drained: nothing was cut"), "{}", ended.stderr);
}

/// Two processes share a port, as in an upgrade. Clients that have connected to the one that ends
/// are served by it, and later ones by the other.
#[test]
fn a_shared_port_loses_nobody_who_waits() {
    let origin = Origin::listen();
    let sharing = |address: &str| {
        Program::with(&format!(
            "[server]\nlisten = ['{address}']\nreuse_port = true\n\
             [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n",
            origin.address()
        ))
    };
    let old = sharing("127.0.0.1:0");
    let address = old.address();
    let _new = sharing(&address.to_string());
    old.signal("STOP");
    let mut waiting: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut client = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(NOWHERE.as_bytes()).unwrap();
            client
        })
        .collect();
    old.signal("TERM");
    old.signal("CONT");
    for client in &mut waiting {
        let mut head = [0; 12];
        client.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 204");
    }
    drop(waiting);
    assert_eq!(old.ended().status, Some(0));
    let mut late = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    late.write_all(NOWHERE.as_bytes()).unwrap();
    late.read_exact(&mut [0; 12]).unwrap();
}

/// Processes share only the ports of clients, so operators know which process answers.
#[test]
fn no_other_port_is_shared() {
    let origin = Origin::listen();
    let sharing = |[listen, admin, probes, demo]: [&str; 4]| {
        Scratch::file(&format!(
            "[server]\nlisten = ['{listen}']\nreuse_port = true\n\
             [admin]\nlisten = '{admin}'\nprobes = '{probes}'\n[demo]\nlisten = '{demo}'\n\
             [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n",
            origin.address()
        ))
    };
    let any = "127.0.0.1:0";
    let mut program = Program::start(&[sharing([any; 4]).as_str()]);
    let clients = program.address().to_string();
    let url = |line: String| line["http://".len()..].split('/').next().unwrap().to_owned();
    let admin = url(program.says("admin listener on "));
    let probes = url(program.says("listener for probes on "));
    let demo = url(program.says("demo event source on "));
    let [clients, admin, probes, demo] = [&clients, &admin, &probes, &demo].map(String::as_str);
    for (key, taken) in [
        ("admin.listen", [clients, admin, any, any]),
        ("admin.probes", [clients, any, probes, any]),
        ("demo.listen", [clients, any, any, demo]),
    ] {
        let ended = Program::run(&[sharing(taken).as_str()]);
        assert_eq!(ended.status, Some(1), "{key}");
        assert!(ended.stderr.contains("cannot listen on "), "{key}: {}", ended.stderr);
    }
}

/// An answer that exceeds the time limit is cut visibly and counted.
#[test]
fn an_answer_that_has_no_end_is_cut() {
    let origin = Origin::listen();
    let (program, _) = draining(&origin, "window = '30s'\nanswers = '300ms'");
    let mut client = program.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(STREAM);
    client.response();
    program.signal("TERM");
    let (wire, event) = event("last");
    upstream.send(wire);
    client.expect(&event);
    client.cut();
    upstream.end();
    drop(client);
    let ended = program.ended();
    assert_eq!(ended.status, Some(0));
    let told = "drained: 1 stream, tunnel or other request was cut";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}
