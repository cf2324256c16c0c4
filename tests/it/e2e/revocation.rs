//! Revoked client certificates (`tls.client_crl`).

use super::certificates::{Authority, Pair, file, replace};
use super::event;
use super::line::{End, Line};
use super::program::{Program, Scratch};
use super::secured::{Client, Secured, Served};
use rustls::{ClientConnection, version};
use std::io::Read;

/// A list as `openssl ca -gencrl` makes it by default.
const FIRST_VERSION: &str = "\
    -----BEGIN X509 CRL-----\n\
    MIGQMDgwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBYRcNMjYxMjAxMDIzNjQ4WhcN\n\
    MjYxMjMxMDIzNjQ4WjAKBggqhkjOPQQDAgNIADBFAiARQgwuy7f+2b1KChg+XzeF\n\
    F8TlyTQfAiiBMZojzVlZwQIhANytH9RYAC+9Rhm1WoiyTFSs7/N1m9P/VCFIrnGT\n\
    ld2T\n\
    -----END X509 CRL-----\n\
    ";

/// The configuration that asks for certificates of these authorities, with these revocation lists.
fn asks(ca: &Scratch, crl: &Scratch) -> String {
    let (ca, crl) = (ca.as_str(), crl.as_str());
    format!("client_ca = '{ca}'\nclient_crl = '{crl}'\nverify_client = 'optional'\n")
}

fn shows(served: &Served, pair: &Pair) -> Client {
    Client::new(&served.authority, &[&version::TLS13], Some(pair))
}

/// A connection that has served a request.
fn idle(served: &Served, client: &Client) -> Line<Secured<ClientConnection>> {
    let mut line = client.connect(served.address).unwrap();
    answer(served, &mut line);
    line
}

/// Sends a request and has it answered.
fn answer(served: &Served, line: &mut Line<Secured<ClientConnection>>) {
    line.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = served.origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_eq!(line.response().first_line, "HTTP/1.1 204 No Content");
}

/// As in OpenSSL, and so in nginx, HAProxy and Envoy, a certificate is also refused if its issuer
/// has no current list.
#[test]
fn who_is_revoked_or_in_doubt_is_refused() {
    let [listed, expired, unlisted] = [(); 3].map(|()| Authority::new());
    let [good, bad] = [listed.issue("good"), listed.issue("bad")];
    let ca = file(&[listed.pem(), expired.pem(), unlisted.pem()].concat());
    let crl = file(&[listed.revokes(&[&bad], 2999), expired.revokes(&[], 2001)].concat());
    for (pair, why) in [
        (&bad, "its certificate was revoked (certificate_revoked)"),
        (&expired.issue("a"), "list has expired on 2001-01-01 (revocation_unknown)"),
        (&unlisted.issue("a"), "there is no revocation list (revocation_unknown)"),
    ] {
        let mut served = Served::new(&asks(&ca, &crl));
        let mut client = shows(&served, pair).connect(served.address).unwrap();
        let alert = client.stream().read(&mut [0]).unwrap_err().to_string();
        assert!(alert.contains("received fatal alert"), "{alert}");
        served.program.logs(why);
        drop(idle(&served, &shows(&served, &good)));
        drop(idle(&served, &served.client()));
    }
}

/// Its streams end, and its open connections accept no further request. Others are not affected.
#[test]
fn a_certificate_is_revoked_while_it_is_in_use() {
    for looks in ["false", "'5ms'"] {
        let authority = Authority::new();
        let [good, bad] = [authority.issue("good"), authority.issue("bad")];
        let (ca, crl) = (authority.file(), file(&authority.revokes(&[], 2999)));
        let looks_at = format!("certificates_on_change = {looks}\n{}", asks(&ca, &crl));
        let mut served = Served::to_the_certified(&looks_at);
        let [staying, leaving] = [&good, &bad].map(|pair| shows(&served, pair));
        let [(mut stays, mut upstream), (mut leaves, mut left)] =
            [&staying, &leaving].map(|client| served.stream(client));
        let [mut kept, mut closed] = [&staying, &leaving].map(|client| idle(&served, client));
        replace(&crl, "half a file");
        let refused = "no revocation list in it";
        if looks == "false" {
            served.program.signal("HUP");
        }
        served.program.logs(refused);
        replace(&crl, &authority.revokes(&[&bad], 2999));
        if looks == "false" {
            served.program.signal("HUP");
        } else {
            served.program.logs("was read again, and revokes 1");
        }
        let rest = leaves.rest();
        assert!(rest.starts_with("retry: "), "{rest}");
        left.end();
        closed.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(closed.end(), End::Closed);
        answer(&served, &mut kept);
        let (wire, event) = event("one");
        upstream.send(wire);
        stays.expect(&event);
        let mut again = leaving.connect(served.address).unwrap();
        assert!(again.stream().read(&mut [0]).is_err());
        served.program.logs("(certificate_revoked)");
    }
}

#[test]
fn what_is_said_of_lists() {
    let [listed, other, unlisted] = [(); 3].map(|()| Authority::new());
    let own = listed.issue("a.example").with_issuer(&listed);
    let [certificate, key] = [file(&own.certificate), file(&own.key)];
    let checked = |ca: &Scratch, crl: &Scratch| {
        let config = Scratch::file(&format!(
            "[server]\nlisten_tls = ['127.0.0.1:443']\n[tls]\n{}[[tls.certificate]]\n\
             certificate = '{}'\nkey = '{}'\n\
             [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://127.0.0.1:1'\n",
            asks(ca, crl),
            certificate.as_str(),
            key.as_str(),
        ));
        let ended = Program::run(&["--check", config.as_str()]);
        (ended.status, ended.stdout + &ended.stderr)
    };
    let ca = file(&[listed.pem(), other.pem(), unlisted.pem()].concat());
    let revoked = [&own, &listed.issue("b")];
    let crl = file(&[listed.revokes(&revoked, 2999), other.revokes(&[], 2001)].concat());
    let (status, said) = checked(&ca, &crl);
    assert_eq!(status, Some(0), "{said}");
    for what in [" has revoked 2 certificates: ", ".pem, until 2999-01-01\n"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(said.contains("warning: tls.client_crl: the list of CN=authority "), "{said}");
    assert!(said.contains(" expired on 2001-01-01, "), "{said}");
    assert!(said.contains(" has no list of CN=authority "), "{said}");
    for (text, what) in [
        ("", "no revocation list in it; it has to be a PEM file with X509 CRL sections"),
        ("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", "cannot be read, or does not"),
        (FIRST_VERSION, "a revocation list in it is of version 1; issue it with extensions"),
    ] {
        let crl = file(text);
        let (status, said) = checked(&ca, &crl);
        assert_eq!(status, Some(2), "{said}");
        let wanted = format!(":5:14: tls.client_crl: {}: ", crl.as_str());
        assert!(said.contains(&wanted) && said.contains(what), "{said}\n{wanted}{what}");
    }
}
