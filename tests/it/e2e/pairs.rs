//! The proxy's own certificates: errors and warnings about those that cannot be used, or will soon
//! expire.

use super::certificates::{Authority, Pair, file, replace};
use super::event;
use super::line::{Line, Origin};
use super::program::{Ended, Program, Scratch};
use super::secured::{Client, Secured, Served};
use rcgen::KeyPair;
use rustls::{ClientConnection, HandshakeKind, version};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

/// The result of `--check` for a configuration that begins with these tables.
fn checked(tables: &str) -> (Ended, Scratch) {
    let api = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://127.0.0.1:1'\n";
    let file = Scratch::file(&format!("{tables}\n{api}"));
    (Program::run(&["--check", file.as_str()]), file)
}

/// A TLS listener, and the beginning of the `tls` table.
fn listening(tls: &str) -> String {
    format!("[server]\nlisten_tls = ['127.0.0.1:443']\n[tls]\n{tls}")
}

/// The table of a certificate and its key.
fn table(certificate: &Scratch, key: &Scratch) -> String {
    let (certificate, key) = (certificate.as_str(), key.as_str());
    format!("[[tls.certificate]]\ncertificate = '{certificate}'\nkey = '{key}'\n")
}

fn files(pair: &Pair) -> [Scratch; 2] {
    [file(&pair.certificate), file(&pair.key)]
}

/// The check fails with exactly this error.
#[track_caller]
fn wrong(tables: &str, at: &str, what: &str) {
    let (ended, file) = checked(tables);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
    let wanted = format!("millstream: {}:{at}: {what}", file.as_str());
    assert!(ended.stderr.starts_with(&wanted), "{}\n{wanted}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

/// The check succeeds with exactly these warnings.
#[track_caller]
fn right(tables: &str, warnings: &[&str]) {
    let (ended, _file) = checked(tables);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let said = ended.stdout.lines().filter_map(|line| line.strip_prefix("warning: "));
    // Every file with TLS causes this warning.
    let said = said.filter(|what| !what.starts_with("server.listen_tls: HTTP/1.1 is spoken there"));
    let said: Vec<&str> = said.collect();
    assert_eq!(said.len(), warnings.len(), "{said:#?}");
    for (said, warning) in said.iter().zip(warnings) {
        assert!(said.contains(warning), "{said}\n{warning}");
    }
}

#[test]
fn a_certificate_that_can_be_used() {
    let authority = Authority::new();
    let [chain, key] = files(&authority.issue("a.example").with_issuer(&authority));
    let tables = listening(&table(&chain, &key));
    right(&tables, &[]);
    let (ended, _file) = checked(&tables);
    let said = "listening with TLS on 127.0.0.1:443\n  / -> http://127.0.0.1:1/ (a)\n";
    assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    let ca = authority.file();
    let verified = format!("client_ca = '{}'\nverify_client = 'optional'\n", ca.as_str());
    right(&listening(&format!("{verified}{}", table(&chain, &key))), &[]);
}

#[test]
fn certificates_that_cannot_be_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = authority.issue("a.example");
    let [certificate, key] = files(&pair);
    let other_key = file(&other.issue("a.example").key);
    let swapped = file(&format!("{}{}", authority.pem(), pair.certificate));
    let unordered = file(&format!("{}{}", pair.certificate, other.pem()));
    let (empty, missing) = (file(""), Scratch::path("pem"));
    let sealed = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}", "A\n");
    let sealed = file(&sealed);
    let at = "tls.certificate[0].certificate";
    let name = missing.as_str();
    for (certificate, what) in [
        (&empty, format!("{}: no certificate in it; it has to be a PEM file", empty.as_str())),
        (&missing, format!("cannot read {name}: No such file or directory")),
        (&unordered, format!("{}: certificate 2 in it is not the issuer", unordered.as_str())),
    ] {
        wrong(&listening(&table(certificate, &key)), "5:15", &format!("{at}: {what}"));
    }
    let at = "tls.certificate[0].key";
    for (certificate, key, what) in [
        (&certificate, &missing, format!("cannot read {name}: No such file or directory")),
        (&certificate, &certificate, format!("{}: no private key in it", certificate.as_str())),
        (&certificate, &sealed, format!("{}: it is encrypted, and nobody", sealed.as_str())),
        (&swapped, &key, format!("{}: it is not the key of the certificate", key.as_str())),
        (&certificate, &other_key, format!("{}: it is not the key of", other_key.as_str())),
    ] {
        wrong(&listening(&table(certificate, key)), "6:7", &format!("{at}: {what}"));
    }
    let ca = format!("client_ca = '{}'\nverify_client = 'require'\n", key.as_str());
    let what = format!("tls.client_ca: {}: no certificate in it", key.as_str());
    wrong(&listening(&format!("{ca}{}", table(&certificate, &key))), "4:13", &what);
    // Without a TLS listener the files are not read.
    let tables = table(&missing, &missing);
    right(&tables, &["tls has no effect: server.listen_tls has no address"]);
}

#[test]
fn what_clients_may_not_like() {
    let authority = Authority::new();
    let alone = "has no certificate of its issuer; clients that do not know that one refuse it";
    let warned_of = |pair: Pair, warnings: &[&str]| {
        let [certificate, key] = files(&pair);
        right(&listening(&table(&certificate, &key)), warnings);
    };
    warned_of(authority.issue("a.example"), &[alone]);
    let expired = authority.issue_from_to("a.example", 2000, 2020).with_issuer(&authority);
    warned_of(expired, &["expired on 2020-01-01, "]);
    let early = authority.issue_from_to("a.example", 2900, 2999).with_issuer(&authority);
    warned_of(early, &["is not valid before 2900-01-01, so clients refuse it; look at the clock"]);
    let rsa = KeyPair::from_pem(include_str!("rsa.pem")).unwrap();
    let rsa = authority.issue_for("a.example", &rsa).with_issuer(&authority);
    warned_of(rsa, &["has an RSA key: a handshake takes six times as long as with P-256"]);
}

#[test]
fn names_that_two_certificates_have() {
    let authority = Authority::new();
    let [one, two] = [(), ()].map(|()| authority.issue("a.example").with_issuer(&authority));
    let ([one, one_key], [two, two_key]) = (files(&one), files(&two));
    let tables = listening(&format!("{}{}", table(&one, &one_key), table(&two, &two_key)));
    let (one, two) = (one.as_str(), two.as_str());
    let wanted = format!("{two} is for a.example, and not shown for it: {one} is for it, too");
    right(&tables, &[&wanted]);
}

/// Such as the files that certbot writes.
#[test]
fn files_that_the_user_may_not_read() {
    let authority = Authority::new();
    let pair = authority.issue("a.example").with_issuer(&authority);
    let [certificate, key] = files(&pair);
    let close = |file: &Scratch, mode| {
        std::fs::set_permissions(file.as_str(), PermissionsExt::from_mode(mode)).unwrap();
    };
    let tables = listening(&table(&certificate, &key));
    let tables = tables.replace("[tls]", "user = 'nobody'\n[tls]");
    close(&key, 0o600);
    let wanted =
        format!("server.user: nobody may not read {}, so a reload will fail", key.as_str());
    right(&tables, &[&wanted]);
    close(&key, 0o644);
    let public = "every user on this host can read it; chmod o-r it";
    right(&tables, &[public]);
    let folder = Scratch::path("d");
    std::fs::create_dir(folder.as_str()).unwrap();
    close(&folder, 0o700);
    let inside = format!("{}/key.pem", folder.as_str());
    std::fs::copy(key.as_str(), &inside).unwrap();
    let wanted = format!("server.user: nobody may not read {inside}, so a reload will fail");
    right(&tables.replace(key.as_str(), &inside), &[&wanted, public]);
    std::fs::remove_dir_all(folder.as_str()).unwrap();
}

/// A program that checks its certificate for changes every few milliseconds.
fn looking(certificate: &Scratch, key: &Scratch) -> Program {
    let tls = format!("certificates_on_change = '5ms'\n{}", table(certificate, key));
    Program::with(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\n[tls]\n{tls}\n\
         [admin]\nlisten = '127.0.0.1:0'\n[demo]\nlisten = '127.0.0.1:0'\n"
    ))
}

#[test]
fn a_renewal_is_noticed() {
    let authority = Authority::new();
    let [certificate, key] = files(&authority.issue_from_to("a.example", 2000, 2020));
    let mut program = looking(&certificate, &key);
    program.logs("expired on 2020-01-01, ");
    let admin = program.says("admin listener on http://");
    let expiry = |day: &str| {
        let mut operator = Line::to(admin.trim_end_matches('/').parse().unwrap());
        operator.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        operator.response();
        let name = certificate.as_str();
        let labels = format!("certificate=\"{name}\"");
        let sample = format!("millstream_certificate_expiry_timestamp_seconds{{{labels}}} {day}\n");
        assert!(operator.rest().contains(&sample), "{sample}");
    };
    expiry("1577836800");
    let pair = authority.issue_from_to("a.example", 2000, 2099);
    replace(&certificate, &pair.certificate);
    program.logs("it is not the key of the certificate; the former one stays in use");
    expiry("1577836800");
    replace(&key, &pair.key);
    program.logs("was renewed, and is valid until 2099-01-01");
    expiry("4070908800");
}

/// New connections get the new certificate, and others are not affected.
#[test]
fn a_renewal_touches_no_stream() {
    let mut served = Served::new("certificates_on_change = '5ms'");
    let client = served.client();
    let (mut line, mut upstream) = served.stream(&client);
    let shown = |line: &mut Line<Secured<ClientConnection>>| {
        line.stream().0.conn.peer_certificates().map(|chain| chain[0].to_vec())
    };
    let former = shown(&mut line);
    let pair = served.authority.issue_from_to("a.example", 2000, 2099);
    for (own, text) in served.files.iter().zip([&pair.certificate, &pair.key]) {
        replace(own, text);
    }
    served.program.logs("was renewed, and is valid until 2099-01-01");
    let (mut other, _upstream) = served.stream(&client);
    assert_ne!(shown(&mut other), former);
    let (wire, event) = event("one");
    upstream.send(wire);
    line.expect(&event);
}

/// If the new files do not match, nothing changes. If they are unchanged, tickets stay valid.
#[test]
fn a_reload_reads_certificates() {
    let mut served = Served::new("certificates_on_change = false");
    let client = served.client();
    let greet = |served: &Served| {
        let (mut line, mut upstream) = served.stream(&client);
        let (wire, event) = event("one");
        upstream.send(wire);
        line.expect(&event);
        line.stream().0.conn.handshake_kind()
    };
    assert_eq!(greet(&served), Some(HandshakeKind::Full));
    served.program.signal("HUP");
    served.program.logs("configuration reloaded");
    assert_eq!(greet(&served), Some(HandshakeKind::Resumed));
    let pair = served.authority.issue("a.example");
    replace(&served.files[0], &pair.certificate);
    served.program.signal("HUP");
    let wrong = "tls.certificate[0].key: ";
    served.program.logs(wrong);
    assert_eq!(greet(&served), Some(HandshakeKind::Resumed));
    replace(&served.files[1], &pair.key);
    served.program.signal("HUP");
    served.program.logs("configuration reloaded");
    assert_eq!(greet(&served), Some(HandshakeKind::Full));
}

#[test]
fn who_has_shown_a_certificate_is_told() {
    let clients = Authority::new();
    let ca = clients.file();
    let asks = format!("client_ca = '{}'\nverify_client = 'optional'", ca.as_str());
    let mut served = Served::new(&asks);
    let pair = clients.issue("client");
    let lie = "Client-Cert: :AAAA:\r\nx_ssl_client_s_dn: CN=root\r\n";
    for shows in [None, Some(&pair), Some(&pair)] {
        let client = Client::new(&served.authority, &[&version::TLS13], shows);
        let mut line = client.connect(served.address).unwrap();
        line.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lie}\r\n"));
        let mut upstream = served.origin.accept();
        let request = upstream.request();
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(line.response().first_line, "HTTP/1.1 200 OK");
        let logged = served.program.says("time=");
        let fields = ["x-ssl-client-verify", "x-ssl-client-s-dn", "client-cert"];
        let [verify, subject, certificate] = fields.map(|name| request.get(name));
        assert_eq!(request.get("x_ssl_client_s_dn"), None);
        if shows.is_none() {
            assert_eq!((verify, subject, certificate), (Some("NONE"), None, None));
            assert!(!logged.contains("subject="), "{logged}");
            continue;
        }
        let name = "CN=rcgen self signed cert";
        assert_eq!((verify, subject), (Some("SUCCESS"), Some(name)));
        let pem = pair.certificate.replace('\n', "");
        let pem = pem.replace("-----BEGIN CERTIFICATE-----", ":").replace("\r", "");
        let pem = pem.replace("-----END CERTIFICATE-----", ":");
        assert_eq!(certificate, Some(&*pem));
        assert!(logged.contains(&format!("subject=\"{name}\"")), "{logged}");
    }
}

#[test]
fn plain_requests_are_sent_to_the_port_with_tls() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let [certificate, key] = files(&authority.issue("a.example"));
    let mut program = Program::with(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\n\
         redirect_to_https = true\n{}\
         [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n",
        table(&certificate, &key),
        origin.address()
    ));
    let address: SocketAddr = program.says("listening with TLS on ").parse().unwrap();
    let mut client = program.connect();
    client.send("GET /a?b HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let response = client.response();
    assert_eq!(response.first_line, "HTTP/1.1 308 Permanent Redirect");
    let location = format!("https://a.example:{}/a?b", address.port());
    assert_eq!(response.get("location"), Some(&*location));
}
