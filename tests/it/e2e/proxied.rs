//! Connections passed on by a load balancer, which begin with a PROXY header.

use super::line::{End, Line, Origin};
use super::program::{Program, Scratch};
use super::secured::Served;
use std::fs;

const HEADER: &str = "PROXY TCP4 192.0.2.33 192.0.2.1 51234 443\r\n";
const GET: &str = "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn config(origin: &Origin, proxy_protocol: &str) -> String {
    format!(
        "[server]\nlisten = ['127.0.0.1:0']\ntrusted_proxies = ['127.0.0.1']\n\
         proxy_protocol = [{proxy_protocol}]\n\
         [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n",
        origin.address()
    )
}

/// Returns the client address that the origin is told for a connection that sends these bytes.
fn told(program: &Program, origin: &Origin, said: &str) -> String {
    let mut client = program.connect();
    client.send(said);
    let mut upstream = origin.accept();
    let request = upstream.request();
    upstream.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    request.get("x-forwarded-for").unwrap().to_owned()
}

/// A reload changes whether a header is expected at a port, which stays open.
#[test]
fn a_header_names_the_client_where_one_is_expected() {
    let origin = Origin::listen();
    let file = Scratch::file(&config(&origin, "'127.0.0.1:0'"));
    let mut program = Program::start(&[file.as_str()]);
    assert_eq!(told(&program, &origin, &format!("{HEADER}{GET}")), "192.0.2.33");
    let mut liar = program.connect();
    liar.send(GET);
    liar.end();
    program.logs("no PROXY header from 127.0.0.1: it sent something else (no_proxy_header)");
    fs::write(file.as_str(), config(&origin, "")).unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    assert_eq!(told(&program, &origin, GET), "127.0.0.1");
    let mut client = program.connect();
    client.send(HEADER);
    assert_eq!(client.response().first_line, "HTTP/1.1 400 Bad Request");
}

/// The bytes after the header in the same segment belong to TLS.
#[test]
fn a_header_comes_before_a_handshake() {
    let served = Served::behind_a_header();
    for _ in 0..3 {
        let mut client = served.client().connect_behind(HEADER.as_bytes(), served.address).unwrap();
        client.send(GET);
        let mut upstream = served.origin.accept();
        let request = upstream.request();
        assert_eq!(request.get("x-forwarded-for"), Some("192.0.2.33"));
        assert_eq!(request.get("x-forwarded-proto"), Some("https"));
        upstream.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    }
    assert!(served.client().connect(served.address).is_err(), "connected without a header");
    let mut silent = Line::to(served.address);
    silent.send("PROXY TCP4 192.0.2.33");
    drop(silent);
    let mut plain = Line::to(served.address);
    plain.send(format!("{HEADER}{GET}"));
    assert_eq!(plain.response().first_line, "HTTP/1.1 400 Bad Request");
    plain.rest();
    assert_eq!(plain.end(), End::Closed);
}
