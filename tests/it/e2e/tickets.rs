//! Tickets that outlive the process that issued them, because their keys are in a file.

use super::certificates::{Authority, file, replace};
use super::program::{Program, Scratch};
use super::secured::Client;
use super::skip;
use rustls::{HandshakeKind, version};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

/// A request that is answered without an upstream.
const REQUEST: &str = "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n";

/// A key as `openssl rand -base64 48` might print it, but not random.
fn key(digit: char) -> String {
    format!("{}\n", digit.to_string().repeat(64))
}

/// What processes that run one after the other have in common.
struct Place {
    authority: Authority,
    files: [Scratch; 2],
}

impl Place {
    fn new() -> Place {
        let authority = Authority::new();
        let pair = authority.issue("a.example");
        Place { authority, files: [file(&pair.certificate), file(&pair.key)] }
    }

    fn config(&self, tls: &str) -> Scratch {
        let [certificate, key] = self.files.each_ref().map(Scratch::as_str);
        Scratch::file(&format!(
            "[server]\nlisten_tls = ['127.0.0.1:0']\n[tls]\n{tls}\n[[tls.certificate]]\n\
             certificate = '{certificate}'\nkey = '{key}'\n[demo]\nlisten = '127.0.0.1:0'\n"
        ))
    }

    fn start(&self, tls: &str) -> (Program, SocketAddr) {
        let (config, mut command) = (self.config(tls), Command::new(super::program::BINARY));
        let mut program = Program::spawn(command.arg(config.as_str())).unwrap();
        let address = program.says("listening with TLS on ").parse().unwrap();
        (program, address)
    }
}

/// Connects with the tickets that the client has. Returns the kind of handshake.
fn greet(client: &Client, address: SocketAddr) -> HandshakeKind {
    let mut line = client.connect(address).unwrap();
    line.send(REQUEST);
    assert_eq!(line.response().first_line, "HTTP/1.1 204 No Content");
    line.stream().0.conn.handshake_kind().unwrap()
}

#[test]
fn a_restart_and_a_new_key_forget_nobody() {
    let (place, keys) = (Place::new(), file(&key('A')));
    let tls = format!("certificates_on_change = '5ms'\nsession_tickets = '{}'", keys.as_str());
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        replace(&keys, &key('A'));
        let client = Client::new(&place.authority, versions, None);
        let (program, address) = place.start(&tls);
        assert_eq!(greet(&client, address), HandshakeKind::Full);
        assert_eq!(greet(&client, address), HandshakeKind::Resumed);
        drop(program);
        let (mut program, address) = place.start(&tls);
        assert_eq!(greet(&client, address), HandshakeKind::Resumed, "after a restart");
        // Another key issues tickets, and the previous one still accepts them.
        replace(&keys, &(key('B') + &key('A')));
        program.logs("was read again");
        assert_eq!(greet(&client, address), HandshakeKind::Resumed, "with a former key");
        // A wrong file changes nothing, and its content is never logged.
        replace(&keys, &(key('B') + "c2VjcmV0\n"));
        program.logs("line 2 is not a key of 32 to 1024 bytes; ");
        assert_eq!(greet(&client, address), HandshakeKind::Resumed, "with the new key");
        replace(&keys, &key('B'));
        program.logs("was read again");
        assert_eq!(greet(&client, address), HandshakeKind::Resumed, "with the only key");
        drop(program);
        let (program, address) = place.start(&tls);
        assert_eq!(greet(&client, address), HandshakeKind::Resumed);
        program.signal("TERM");
        let log = program.ended().stderr;
        assert!(!log.contains("BBBB") && !log.contains("c2VjcmV0"), "{log}");
    }
}

/// It does not matter which loop has issued a ticket.
#[test]
fn all_workers_know_the_tickets_of_each_also_after_a_reload() {
    let place = Place::new();
    let config = place.config("");
    let text = fs::read_to_string(config.as_str()).unwrap();
    fs::write(config.as_str(), text.replace("[server]\n", "[server]\nworkers = 2\n")).unwrap();
    let mut program =
        Program::spawn(Command::new(super::program::BINARY).arg(config.as_str())).unwrap();
    let address = program.says("listening with TLS on ").parse().unwrap();
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let client = Client::new(&place.authority, versions, None);
        assert_eq!(greet(&client, address), HandshakeKind::Full);
        // The connections stay open, so each loop has some.
        let resumed = || {
            let mut line = client.connect(address).unwrap();
            line.send(REQUEST);
            line.response();
            assert_eq!(line.stream().0.conn.handshake_kind(), Some(HandshakeKind::Resumed));
            line
        };
        let _before: Vec<_> = (0..8).map(|_| resumed()).collect();
        program.signal("HUP");
        program.logs("configuration reloaded");
        let _after: Vec<_> = (0..8).map(|_| resumed()).collect();
    }
}

#[test]
fn who_has_another_key_shakes_hands_in_full() {
    let place = Place::new();
    let [one, other] = ['A', 'B'].map(|digit| file(&key(digit)));
    let tls = |keys: &Scratch| format!("session_tickets = '{}'", keys.as_str());
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let client = Client::new(&place.authority, versions, None);
        let (_one, address) = place.start(&tls(&one));
        assert_eq!(greet(&client, address), HandshakeKind::Full);
        let (_other, address) = place.start(&tls(&other));
        assert_eq!(greet(&client, address), HandshakeKind::Full);
        let (_own, address) = place.start("");
        assert_eq!(greet(&client, address), HandshakeKind::Full);
    }
}

#[test]
fn a_wrong_file_is_refused() {
    let place = Place::new();
    let wrong = |keys: &str, what: &str| {
        let config = place.config(&format!("session_tickets = '{keys}'"));
        let ended = Program::run(&["--check", config.as_str()]);
        let want = format!("millstream: {}:4:19: tls.session_tickets: {what}", config.as_str());
        assert_eq!(ended.status, Some(2));
        assert!(ended.stderr.starts_with(&want), "{}\n{want}", ended.stderr);
        assert!(!ended.stderr.contains("c2VjcmV0"), "{}", ended.stderr);
    };
    let short = file(&format!("# keys\n{}c2VjcmV0\n", key('A')));
    wrong(short.as_str(), &format!("{}: line 3 is not a key of 32 to 1024 bytes", short.as_str()));
    let missing = Scratch::path("key");
    wrong(missing.as_str(), &format!("cannot read {}: No such file", missing.as_str()));
    let (keys, ca) = (file(&key('A')), place.authority.file());
    let asks = format!("client_ca = '{}'\nverify_client = 'require'", ca.as_str());
    let config = place.config(&format!("session_tickets = '{}'\n{asks}", keys.as_str()));
    let said = Program::run(&["--check", config.as_str()]).stdout;
    assert!(said.contains("warning: tls.session_tickets has no effect: "), "{said}");
}

/// OpenSSL's client can keep its tickets in a file, too.
#[test]
fn openssl_resumes_after_a_restart() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("e2e::tickets::openssl_resumes_after_a_restart", "there is no openssl");
    }
    let (place, keys, session) = (Place::new(), file(&key('A')), Scratch::path("pem"));
    let tls = format!("session_tickets = '{}'", keys.as_str());
    let ask = |address: SocketAddr, how: &str| {
        let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let script = format!(
            "printf '{}' | openssl s_client -connect {address} -servername a.example -ign_eof \
             {how} {} 2>&1",
            request.replace("\r\n", "\\r\\n"),
            session.as_str()
        );
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("HTTP/1.1 204 No Content"), "{said}");
        said
    };
    let (program, address) = place.start(&tls);
    assert!(ask(address, "-sess_out").contains("\nNew, TLSv1.3"));
    drop(program);
    let (_program, address) = place.start(&tls);
    let said = ask(address, "-sess_in");
    assert!(said.contains("\nReused, TLSv1.3"), "{said}");
}
