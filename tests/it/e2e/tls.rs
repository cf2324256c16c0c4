//! Upstreams that use TLS, with real ciphers and certificates.

use super::certificates::{Authority, Server, file, replace};
use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::secured::Secured;
use super::{GET, STREAM, event};
use rustls::{HandshakeKind, ServerConnection};

/// A configuration with these lines in the table about TLS.
fn config(origin: &Origin, tls: &str) -> String {
    config_to(&format!("https://localhost:{}", origin.address().port()), tls)
}

fn config_to(url: &str, tls: &str) -> String {
    format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[admin]\nlisten = '127.0.0.1:0'\n\
         [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = '{url}'\n\
         [api.upstream_tls]\n{tls}\n"
    )
}

/// A program that trusts an authority and forwards everything to an origin.
fn trusting(authority: &Authority, origin: &Origin, more: &str) -> (Program, Scratch) {
    let ca = authority.file();
    let tls = format!("ca_file = '{}'\n{more}", ca.as_str());
    (Program::with(&config(origin, &tls)), ca)
}

/// Sends a request, and has it answered by an upstream that uses TLS. Returns the upstream's
/// connection.
fn served(program: &Program, origin: &Origin, server: &Server) -> Line<Secured<ServerConnection>> {
    let mut client = program.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    assert_eq!(upstream.request().first_line, "GET /x HTTP/1.1");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    assert_eq!(client.response().first_line, "HTTP/1.1 200 OK");
    assert_eq!(client.rest(), "hello");
    upstream
}

#[test]
fn an_event_stream_comes_by_https() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let server = Server::with(&authority.issue("localhost"));
    let (program, _file) = trusting(&authority, &origin, "");
    let mut client = program.connect();
    client.send(GET);
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    let host = format!("localhost:{}", origin.address().port());
    assert_eq!(upstream.request().get("host"), Some(&*host));
    let tls = &upstream.stream().0.conn;
    assert_eq!(
        (tls.server_name(), tls.alpn_protocol()),
        (Some("localhost"), Some(&b"http/1.1"[..]))
    );
    upstream.send(STREAM);
    client.response();
    for text in ["one", "two"] {
        let (wire, event) = event(text);
        upstream.send(wire);
        client.expect(&event);
    }
    // A key update in between has no effect.
    upstream.stream().0.conn.refresh_traffic_keys().unwrap();
    let (wire, event) = event("three");
    upstream.send(wire);
    client.expect(&event);
    upstream.send("0\r\n\r\n");
    assert_eq!(client.rest(), "");
}

/// If only the end of the connection ends a body, the peer must send close_notify.
#[test]
fn a_truncation_is_a_cut() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let server = Server::with(&authority.issue("localhost"));
    let (program, _file) = trusting(&authority, &origin, "");
    for says_so in [true, false] {
        let mut client = program.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = server.greet(origin.accept_stream()).unwrap();
        upstream.request();
        upstream.send("HTTP/1.1 200 OK\r\n\r\nbody");
        client.response();
        client.expect("body");
        if says_so {
            upstream.stream().finish();
            assert_eq!(client.rest(), "");
        } else {
            upstream.stream().truncate();
            client.cut();
        }
    }
    // If a length says that the body is complete, it is not cut.
    let mut client = program.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    upstream.stream().truncate();
    client.response();
    assert_eq!(client.rest(), "body");
}

/// A large body arrives unchanged, whichever side is slow.
#[test]
fn a_large_body_is_the_same_on_the_other_side() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let server = Server::with(&authority.issue("localhost"));
    let (program, _file) = trusting(&authority, &origin, "");
    let body: String = (0..400_000).map(|n| format!("{n:07}\n")).collect();
    let mut client = program.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    let sender = {
        let body = body.clone();
        std::thread::spawn(move || {
            client.send(&body);
            client.response();
            client.rest()
        })
    };
    upstream.request();
    let came = upstream.rest();
    assert!(came == body, "a different request body");
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert!(sender.join().unwrap() == body, "a different response body");
}

/// The log and the metrics say why a handshake failed.
#[test]
fn every_reason_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (pair, says, word) in [
        (
            authority.issue_from_to("localhost", 2000, 2020),
            "its certificate expired on 2020-01-01",
            "certificate_expired",
        ),
        (
            authority.issue_from_to("localhost", 2900, 2999),
            "its certificate is not valid before 2900-01-01",
            "certificate_expired",
        ),
        (
            other.issue("localhost"),
            "its certificate is from an issuer that is not trusted",
            "certificate_issuer",
        ),
        (
            authority.issue("other.example"),
            "its certificate is not for localhost, but for other.example",
            "certificate_name",
        ),
    ] {
        let (origin, server) = (Origin::listen(), Server::with(&pair));
        let (mut program, _file) = trusting(&authority, &origin, "");
        let admin = program.says("admin listener on http://");
        let mut client = program.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(server.greet(origin.accept_stream()).is_err());
        assert_eq!(client.response().first_line, "HTTP/1.1 502 Bad Gateway");
        program.logs(says);
        assert_counted(&admin, word);
    }
}

/// The metrics count one failure for this reason.
fn assert_counted(admin: &str, word: &str) {
    let mut operator = Line::to(admin.trim_end_matches('/').parse().unwrap());
    operator.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    operator.response();
    let metrics = operator.rest();
    let wanted = format!("reason=\"{word}\"}} 1\n");
    let line = metrics.lines().find(|line| line.contains(&format!("reason=\"{word}\"")));
    assert!(metrics.contains(&wanted), "{word}: {line:?}");
}

#[test]
fn who_does_not_speak_tls_is_told_apart() {
    for (says, logged, word) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak TLS", "not_tls"),
        ("\x15\x03\x03\x00\x02\x02\x28", "alert HandshakeFailure", "tls_alert"),
        ("", "it closed the connection during the handshake", "tls_alert"),
    ] {
        let (authority, origin) = (Authority::new(), Origin::listen());
        let (mut program, _file) = trusting(&authority, &origin, "");
        let admin = program.says("admin listener on http://");
        let mut client = program.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.wait_for_some();
        upstream.send(says);
        if says.is_empty() {
            drop(upstream);
        }
        assert_eq!(client.response().first_line, "HTTP/1.1 502 Bad Gateway");
        program.logs(logged);
        assert_counted(&admin, word);
    }
}

#[test]
fn a_handshake_has_the_time_of_connecting() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let ca = authority.file();
    let tls = format!("ca_file = '{}'", ca.as_str());
    let config = config(&origin, &tls).replace("[api.up", "connect_timeout = '50ms'\n[api.up");
    let mut program = Program::with(&config);
    let mut client = program.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _silent = origin.accept();
    assert_eq!(client.response().first_line, "HTTP/1.1 504 Gateway Timeout");
    program.logs("timed out");
}

/// The abbreviated handshakes of both versions.
#[test]
fn an_upstream_that_is_known_is_greeted_shortly() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let pair = authority.issue("localhost");
    for server in [Server::with(&pair), Server::old(&pair)] {
        let (program, _file) = trusting(&authority, &origin, "");
        for wanted in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut upstream = served(&program, &origin, &server);
            assert_eq!(upstream.stream().0.conn.handshake_kind(), Some(wanted));
            assert_eq!(upstream.end(), End::Closed);
        }
    }
}

#[test]
fn another_name_can_be_asked_for() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let server = Server::with(&authority.issue("other.example"));
    let (program, _file) = trusting(&authority, &origin, "server_name = 'other.example'");
    let mut upstream = served(&program, &origin, &server);
    assert_eq!(upstream.stream().0.conn.server_name(), Some("other.example"));
}

/// The certificate must be valid for the address, and no server name is sent.
#[test]
fn an_address_is_a_name_too() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let server = Server::with(&authority.issue("127.0.0.1"));
    let ca = authority.file();
    let url = format!("https://{}", origin.address());
    let program = Program::with(&config_to(&url, &format!("ca_file = '{}'", ca.as_str())));
    let mut upstream = served(&program, &origin, &server);
    assert_eq!(upstream.stream().0.conn.server_name(), None);
}

#[test]
fn everybody_can_be_trusted_and_that_is_warned_of() {
    let origin = Origin::listen();
    let server = Server::with(&Authority::new().issue("whoever.example"));
    let mut program = Program::with(&config(&origin, "insecure_skip_verify = true"));
    program.logs("upstream_tls.insecure_skip_verify: whoever gets in between can read and change");
    served(&program, &origin, &server);
}

/// A client without a certificate is refused by an upstream that requires one, after a handshake
/// that looked complete.
#[test]
fn an_upstream_may_ask_who_we_are() {
    let (authority, ours, origin) = (Authority::new(), Authority::new(), Origin::listen());
    let server = Server::asking(&authority.issue("localhost"), &ours);
    let pair = ours.issue("millstream.example");
    let (certificate, key) = (file(&pair.certificate), file(&pair.key));
    let identity = format!("certificate = '{}'\nkey = '{}'", certificate.as_str(), key.as_str());
    let (program, _file) = trusting(&authority, &origin, &identity);
    let mut upstream = served(&program, &origin, &server);
    assert!(upstream.stream().0.conn.peer_certificates().is_some());
    let (mut program, _file) = trusting(&authority, &origin, "");
    let mut client = program.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(server.greet(origin.accept_stream()).is_err());
    assert_eq!(client.response().first_line, "HTTP/1.1 502 Bad Gateway");
    program.logs("alert CertificateRequired");
}

/// A renewed certificate is also used for a resumed stream.
#[test]
fn what_an_upstream_is_shown_is_renewed() {
    let (authority, ours, origin) = (Authority::new(), Authority::new(), Origin::listen());
    let server = Server::asking(&authority.issue("localhost"), &ours);
    let (ca, pair) = (authority.file(), ours.issue_from_to("millstream.example", 2000, 2099));
    let (certificate, key) = (file(&pair.certificate), file(&pair.key));
    let mut program = Program::with(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[tls]\ncertificates_on_change = '5ms'\n\
         [[api]]\nname = 'a'\nlisten_path = '/'\nresume = true\n\
         target_url = 'https://localhost:{}'\n\
         [api.upstream_tls]\nca_file = '{}'\ncertificate = '{}'\nkey = '{}'\n",
        origin.address().port(),
        ca.as_str(),
        certificate.as_str(),
        key.as_str()
    ));
    let shown = |upstream: &mut Line<Secured<ServerConnection>>| {
        upstream.stream().0.conn.peer_certificates().map(|chain| chain[0].to_vec())
    };
    let mut client = program.connect();
    client.send(GET);
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    let former = shown(&mut upstream);
    upstream.request();
    upstream.send(STREAM);
    upstream.send("11\r\nid: 1\ndata: one\n\n\r\n");
    client.response();
    client.expect("id: 1\ndata: one\n\n");
    let pair = ours.issue_from_to("millstream.example", 2000, 2098);
    replace(&certificate, &pair.certificate);
    program.logs("api.upstream_tls.key: ");
    replace(&key, &pair.key);
    program.logs("was renewed, and is valid until 2098-01-01");
    upstream.stream().truncate();
    let mut upstream = server.greet(origin.accept_stream()).unwrap();
    assert_eq!(upstream.request().get("last-event-id"), Some("1"));
    assert!(former.is_some() && shown(&mut upstream) != former);
}

/// The trusted authorities are in files of the system, or in those that the environment names.
#[test]
fn the_system_knows_whom_to_trust() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let (ca, empty) = (authority.file(), file(""));
    let url = format!("https://localhost:{}", origin.address().port());
    let command = |roots: &Scratch| {
        let mut command = std::process::Command::new(super::program::BINARY);
        command.args(["--to", &url, "--listen", "127.0.0.1:0"]);
        command.env("SSL_CERT_FILE", roots.as_str()).env("SSL_CERT_DIR", "/nowhere");
        command
    };
    let program = Program::serving(&mut command(&ca));
    served(&program, &origin, &Server::with(&authority.issue("localhost")));
    let ended = Program::spawn(&mut command(&empty)).unwrap().ended();
    assert_eq!(ended.status, Some(2));
    let wrong = "millstream: --to: ca_file: the system has no certificates of authorities: ";
    assert!(ended.stderr.starts_with(wrong), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_used_is_said_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (ca, pair) = (authority.file(), authority.issue("a.example"));
    let (certificate, key) = (file(&pair.certificate), file(&other.issue("a.example").key));
    let [ca, certificate, key] = [&ca, &certificate, &key].map(|f| f.as_str().to_owned());
    let empty = file("");
    let empty = empty.as_str();
    for (tls, wrong) in [
        (
            "ca_file = 'none.pem'".to_owned(),
            "ca_file: cannot read none.pem: No such file".to_owned(),
        ),
        (
            format!("ca_file = '{empty}'"),
            format!("ca_file: {empty}: no certificate in it; it has to be a PEM file"),
        ),
        (
            format!("ca_file = '{ca}'\ncertificate = '{certificate}'\nkey = '{key}'"),
            format!("key: {key}: it is not the key of the certificate"),
        ),
        (
            format!("ca_file = '{ca}'\ncertificate = '{certificate}'\nkey = '{certificate}'"),
            format!("key: {certificate}: no private key in it"),
        ),
        (
            format!("ca_file = '{ca}'\ncertificate = '{empty}'\nkey = '{key}'"),
            format!("certificate: {empty}: no certificate in it"),
        ),
    ] {
        let file = Scratch::file(&config_to("https://localhost", &tls));
        let ended = Program::run(&["--check", file.as_str()]);
        assert_eq!(ended.status, Some(2), "{tls}");
        let wanted = format!("{}:9:1: api[0].upstream_tls: {wrong}", file.as_str());
        assert!(ended.stderr.contains(&wanted), "{}\n{wanted}", ended.stderr);
    }
}
