//! Configuration reloads while connections stay open.

use super::certificates::{self, Authority};
use super::line::{Line, Origin};
use super::program::{BINARY, Program, Scratch};
use super::secured::Client;
use super::workers::{self, admin_of};
use super::{begin_stream, event};
use rustls::version;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Command;

/// A configuration with an api for each of these names, at `/NAME/`.
fn config(listen: &str, apis: &[(&str, &Origin)]) -> String {
    let mut text = format!("[server]\nlisten = [{listen}]\n[drain]\nwindow = '100ms'\n");
    for (name, origin) in apis {
        text += &format!(
            "[[api]]\nname = '{name}'\nlisten_path = '/{name}/'\nstrip_listen_path = true\n\
             target_url = 'http://{}/events'\n",
            origin.address()
        );
    }
    text
}

/// Sends a request and returns the status line. If it must reach an origin, the origin answers it.
fn ask(address: SocketAddr, path: &str, origin: Option<&Origin>) -> String {
    let mut client = Line::to(address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    if let Some(origin) = origin {
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    }
    client.response().first_line
}

#[test]
fn streams_go_on_and_another_api_is_served() {
    let (old, new) = (Origin::listen(), Origin::listen());
    let listen = "'127.0.0.1:0'";
    let file = Scratch::file(&config(listen, &[("events", &old)]));
    let mut program = Program::start(&[file.as_str()]);
    let (mut client, mut upstream) = begin_stream(&program, &old);
    assert_eq!(ask(program.address(), "/new/", None), "HTTP/1.1 404 Not Found");
    fs::write(file.as_str(), config(listen, &[("new", &new), ("events", &old)])).unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    assert_eq!(ask(program.address(), "/new/", Some(&new)), "HTTP/1.1 204 No Content");
    let (wire, event) = event("after");
    upstream.send(wire);
    client.expect(&event);
}

/// Logrotate sends these signals to servers that reopen their logs.
#[test]
fn signals_that_others_know_end_nothing() {
    let origin = Origin::listen();
    let file = Scratch::file(&config("'127.0.0.1:0'", &[("events", &origin)]));
    let mut program = Program::start(&[file.as_str()]);
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    for signal in ["USR1", "USR2"] {
        program.signal(signal);
        program.logs("ignored SIGUSR1 or SIGUSR2");
        let (wire, event) = event(signal);
        upstream.send(wire);
        client.expect(&event);
    }
}

#[test]
fn a_wrong_file_changes_nothing() {
    let origin = Origin::listen();
    let file = Scratch::file(&config("'127.0.0.1:0'", &[("events", &origin)]));
    let mut program = Program::start(&[file.as_str()]);
    let taken = Origin::listen();
    let free = config("'127.0.0.1:0'", &[("other", &origin)]);
    let not_free = config(&format!("'127.0.0.1:0', '{}'", taken.address()), &[("other", &origin)]);
    let wrongs = [
        (free.replace("listen_path", "listen_pth"), "unknown key; did you mean \"listen_path\"?"),
        (not_free, "cannot listen on"),
    ];
    for (text, complaint) in wrongs {
        fs::write(file.as_str(), text).unwrap();
        program.signal("HUP");
        program.logs(complaint);
        let answer = ask(program.address(), "/events/", Some(&origin));
        assert_eq!(answer, "HTTP/1.1 204 No Content");
    }
}

/// Nobody may read the log before the next start, which such a file would prevent.
#[test]
fn a_refused_reload_is_told_until_one_succeeds() {
    let origin = Origin::listen();
    let admin = "[admin]\nlisten = '127.0.0.1:0'\n";
    let right = config("'127.0.0.1:0'", &[("events", &origin)]) + admin;
    let file = Scratch::file(&right);
    let mut program = Program::start(&[file.as_str()]);
    let admin = admin_of(&mut program);
    let mut seen = Vec::new();
    let renamed = right.replace("'events'", "'other'");
    for text in [&right, &right.replace("listen_path", "listen_pth"), &renamed] {
        fs::write(file.as_str(), text).unwrap();
        let (status, _) = workers::ask(admin, "POST /reload");
        let (_, metrics) = workers::ask(admin, "GET /metrics");
        let name = "millstream_config_last_reload_successful ";
        seen.push((status, metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())));
        if seen.len() == 2 {
            let mut viewer = Line::to(admin);
            viewer.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            viewer.response();
            let mut told = String::new();
            while !told.contains("\"reload_refused\":") {
                told.push_str(&viewer.read(1));
            }
        }
    }
    let of = |status: &str, value| (format!("HTTP/1.1 {status}"), Some(value));
    assert_eq!(seen, [of("200 OK", 1), of("422 Unprocessable Content", 0), of("200 OK", 1)]);
    program.logs("configuration reloaded: added api other; removed api events");
}

/// Another process that listens at a path may be too busy to accept.
#[test]
fn a_path_where_another_process_is_busy_stops_nothing() {
    let origin = Origin::listen();
    let file = Scratch::file(&config("'127.0.0.1:0'", &[("events", &origin)]));
    let mut program = Program::start(&[file.as_str()]);
    let path = Scratch::path("sock");
    let at = SockAddr::unix(path.as_str()).unwrap();
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let busy = socket();
    busy.bind(&at).unwrap();
    busy.listen(0).unwrap();
    let come = |_| {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        client.connect(&at).map(|()| client)
    };
    let mut waiting = Vec::new();
    let refused = (0..100).find_map(|n| come(n).map(|client| waiting.push(client)).err());
    let refused = refused.expect("the queue is never full");
    // Other systems refuse a connection when the queue is full.
    if refused.kind() != ErrorKind::WouldBlock {
        return;
    }
    let listen = format!("'127.0.0.1:0', 'unix:{}'", path.as_str());
    fs::write(file.as_str(), config(&listen, &[("events", &origin)])).unwrap();
    program.signal("HUP");
    program.logs(&format!("cannot listen on unix:{}: ", path.as_str()));
    let answer = ask(program.address(), "/events/", Some(&origin));
    assert_eq!(answer, "HTTP/1.1 204 No Content");
    assert!(path.exists(), "the socket of the other process is gone");
}

/// The stream has the drain window to end between two events, and is told when to reconnect.
#[test]
fn streams_of_an_api_that_is_gone_end() {
    let (gone, kept) = (Origin::listen(), Origin::listen());
    let listen = "'127.0.0.1:0'";
    let file = Scratch::file(&config(listen, &[("events", &gone), ("kept", &kept)]));
    let program = Program::start(&[file.as_str()]);
    let (mut client, mut upstream) = begin_stream(&program, &gone);
    // The same name, but another target.
    fs::write(file.as_str(), config(listen, &[("events", &kept)])).unwrap();
    program.signal("HUP");
    assert!(client.rest().starts_with("retry: "));
    upstream.end();
}

/// The port stays open, and only new connections are affected.
#[test]
fn a_port_gets_tls_and_loses_it() {
    let (authority, origin) = (Authority::new(), Origin::listen());
    let pair = authority.issue("a.example");
    let [certificate, key] = [certificates::file(&pair.certificate), certificates::file(&pair.key)];
    let tls = format!(
        "[[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n",
        certificate.as_str(),
        key.as_str()
    );
    let client = Client::new(&authority, &[&version::TLS13], None);
    for server in ["", "workers = 2", "workers = 2\nreuse_port = true"] {
        let plain = |address: &str| {
            let text = config(&format!("'{address}'"), &[("events", &origin)]);
            text.replace("[drain]", &format!("{server}\n[drain]"))
        };
        let secure = |address: &str| plain(address).replace("listen = ", "listen_tls = ") + &tls;
        let file = Scratch::file(&plain("127.0.0.1:0"));
        let mut program = Program::start(&[file.as_str()]);
        let address = program.address();
        let open = begin_stream(&program, &origin);
        for _ in 0..2 {
            fs::write(file.as_str(), secure(&address.to_string())).unwrap();
            program.signal("HUP");
            program.logs("configuration reloaded");
            for _ in 0..4 {
                let mut line = client.connect(address).unwrap();
                line.send("GET /nowhere HTTP/1.1\r\nHost: a.example\r\n\r\n");
                assert_eq!(line.response().first_line, "HTTP/1.1 404 Not Found", "{server}");
            }
            fs::write(file.as_str(), plain(&address.to_string())).unwrap();
            program.signal("HUP");
            program.logs("configuration reloaded");
            for _ in 0..4 {
                assert_eq!(ask(address, "/nowhere", None), "HTTP/1.1 404 Not Found", "{server}");
            }
        }
        let (mut client, mut upstream) = open;
        let (wire, event) = event("after");
        upstream.send(wire);
        client.expect(&event);
    }
}

/// The old configuration stays in use, and the error says that this process itself has the port.
#[test]
fn a_port_of_its_own_is_not_taken_for_anothers() {
    let origin = Origin::listen();
    let text = |listen: &str| {
        config(&format!("'{listen}'"), &[("events", &origin)]) + "[admin]\nlisten = '127.0.0.1:0'\n"
    };
    let file = Scratch::file(&text("127.0.0.1:0"));
    let mut program = Program::start(&[file.as_str()]);
    let address = program.address();
    let admin = admin_of(&mut program).to_string();
    let wider = format!("0.0.0.0:{}", address.port());
    for (listen, own, key) in
        [(&wider, &address.to_string(), "server.listen"), (&admin, &admin, "admin.listen")]
    {
        fs::write(file.as_str(), text(listen)).unwrap();
        program.signal("HUP");
        program.logs(&format!("; this process itself listens on {own} ({key}); restart"));
        let answer = ask(address, "/events/", Some(&origin));
        assert_eq!(answer, "HTTP/1.1 204 No Content", "{listen}");
    }
}

/// Listeners are opened and closed, and connections stay. Nothing leaks in a hundred reloads.
#[test]
fn listeners_change_and_nothing_leaks() {
    let origin = Origin::listen();
    let (one, other) = (Scratch::path("sock"), Scratch::path("sock"));
    let listen = |path: &Scratch| format!("'127.0.0.1:0', 'unix:{}'", path.as_str());
    let file = Scratch::file(&config(&listen(&one), &[("events", &origin)]));
    let mut program = Program::start(&[file.as_str()]);
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    let mut descriptors = 0;
    for round in 0..100 {
        let path = if round % 2 == 0 { &other } else { &one };
        fs::write(file.as_str(), config(&listen(path), &[("events", &origin)])).unwrap();
        program.signal("HUP");
        program.logs("configuration reloaded");
        let (wire, event) = event(&round.to_string());
        upstream.send(wire);
        client.expect(&event);
        if round == 1 {
            descriptors = program.descriptors().len();
        }
    }
    assert!(one.exists() && !other.exists());
    assert_eq!(program.descriptors().len(), descriptors);
}

/// A warning of the start is not repeated at each reload.
#[test]
fn warnings_are_logged_once() {
    let origin = Origin::listen();
    let old = config("'127.0.0.1:0'", &[("events", &origin)]) + "heartbeat = '0s'\n";
    let file = Scratch::file(&old);
    let mut program = Program::start(&[file.as_str()]);
    program.signal("HUP");
    program.logs("configuration reloaded");
    fs::write(file.as_str(), old.replace("'0s'", "'2m'")).unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    program.signal("TERM");
    let log = program.ended().stderr;
    let warnings = |of: &str| log.lines().filter(|line| line.contains(of)).count();
    assert_eq!((warnings("heartbeat is off: "), warnings("heartbeat: ")), (1, 1), "{log}");
}

/// The operator gets the result of the reload.
#[test]
fn an_operator_reloads() {
    let origin = Origin::listen();
    let admin = "[admin]\nlisten = '127.0.0.1:0'\n";
    let right = config("'127.0.0.1:0'", &[("events", &origin)]) + admin;
    let file = Scratch::file(&right);
    let mut program = Program::start(&[file.as_str()]);
    let url = program.says("admin listener on ");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/'));
    let mut operator = Line::to(address.unwrap().parse().unwrap());
    let mut reload = || {
        operator.send("POST /reload HTTP/1.1\r\nHost: localhost\r\nX-Millstream: 1\r\n\r\n");
        let line = operator.response().first_line;
        (line, operator.rest())
    };
    let served = "Configuration reloaded.\n";
    assert_eq!(reload(), ("HTTP/1.1 200 OK".to_owned(), served.to_owned()));
    fs::write(file.as_str(), right.replace("name =", "nam =")).unwrap();
    let (line, said) = reload();
    assert_eq!(line, "HTTP/1.1 422 Unprocessable Content");
    let wrong =
        format!("Reload failed, keeping the old configuration.\n{}:6:1: api[0].nam", file.as_str());
    assert!(said.contains("unknown key; did you mean") && said.contains(".toml:"), "{said}{wrong}");
}

/// A secret is read from the place that the configuration refers to, and again at each reload. It
/// is never shown.
#[test]
fn what_strings_refer_to_is_read_again() {
    let origin = Origin::listen();
    let secret = Scratch::file("first\r\n");
    let name = secret.as_str().rsplit_once('/').unwrap().1;
    let text = config("'127.0.0.1:0'", &[("events", &origin)]).replace("127.0.0.1:0", "${HERE}");
    let set = format!(
        "[api.request_headers]\nset = {{ A = 'x ${{file:{name}}}', B = '$${{A}} ${{WHO}}' }}\n"
    );
    let file = Scratch::file(&(text.clone() + &set));
    let mut command = Command::new(BINARY);
    command.arg(file.as_str()).env("HERE", "127.0.0.1:0").env("WHO", "me");
    let mut program = Program::serving(&mut command);
    let ask = |program: &Program, a: &str| {
        let mut client = Line::to(program.address());
        client.send("GET /events/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut upstream = origin.accept();
        let head = upstream.request();
        assert_eq!((head.get("a"), head.get("b")), (Some(a), Some("${A} me")));
    };
    ask(&program, "x first");
    fs::write(secret.as_str(), "sesame").unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    ask(&program, "x sesame");
    let wrongs = [
        ("${file:nowhere}", "cannot read nowhere: ", ""),
        ("${NOBODY}", "the environment has no variable NOBODY", ""),
        ("${file:/dev/null}", "cannot read /dev/null: not a regular file", ""),
        (&format!("${{file:{name}}}"), "", "sesame\u{1}"),
    ];
    for (reference, wrong, contents) in wrongs {
        if !contents.is_empty() {
            fs::write(secret.as_str(), contents).unwrap();
        }
        let set = format!("[api.request_headers]\nset = {{ A = '{reference}' }}\n");
        fs::write(file.as_str(), text.clone() + &set).unwrap();
        program.signal("HUP");
        program.logs(&format!(":11:13: api[0].request_headers.set: {wrong}"));
    }
    program.signal("TERM");
    let log = program.ended().stderr;
    assert!(!log.contains("sesame"), "{log}");
}

/// Names below `.invalid` do not exist (RFC 6761 section 6.4). Such a name prevents neither the
/// start nor a reload, and does not affect other apis.
#[test]
fn a_name_that_does_not_resolve_stops_nothing() {
    let origin = Origin::listen();
    let right = config("'127.0.0.1:0'", &[("events", &origin), ("lost", &origin)]);
    let (before, lost) = right.split_at(right.rfind("target_url").unwrap());
    let lost = lost.replace("127.0.0.1", "nowhere.invalid");
    let file = Scratch::file(&format!("{before}{lost}"));
    let warning = "api[1].target_url: cannot resolve nowhere.invalid: ";
    let checked = Program::run(&["--check", file.as_str()]);
    assert_eq!(checked.status, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains(warning), "{}", checked.stdout);
    let mut program = Program::start(&[file.as_str()]);
    program.logs(warning);
    for _ in 0..2 {
        assert_eq!(ask(program.address(), "/lost/", None), "HTTP/1.1 502 Bad Gateway");
        let answer = ask(program.address(), "/events/", Some(&origin));
        assert_eq!(answer, "HTTP/1.1 204 No Content");
        program.signal("HUP");
        program.logs("configuration reloaded");
    }
    // The target has another name now.
    fs::write(file.as_str(), format!("{before}{}", lost.replace("nowhere.invalid", "localhost")))
        .unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    assert_eq!(ask(program.address(), "/lost/", Some(&origin)), "HTTP/1.1 204 No Content");
}

/// `localhost` may have an address of each family. A service that listens on only one of them costs
/// at most one failed connection.
#[test]
fn a_family_that_nobody_listens_on_is_left_alone() {
    let origin = Origin::listen();
    let text = config("'127.0.0.1:0'", &[("events", &origin)]);
    let text = text.replace("http://127.0.0.1", "http://localhost") + "keepalive_upstream = 0\n";
    let program = Program::start(&[Scratch::file(&text).as_str()]);
    for _ in 0..10 {
        let answer = ask(program.address(), "/events/", Some(&origin));
        assert_eq!(answer, "HTTP/1.1 204 No Content");
    }
    program.signal("TERM");
    let log = program.ended().stderr;
    assert!(log.matches("refused").count() <= 1, "{log}");
}

/// The file is replaced by renaming another one, as editors and Kubernetes do it.
#[test]
fn a_file_that_changes_is_loaded() {
    let (old, new) = (Origin::listen(), Origin::listen());
    let watched = |apis: &[(&str, &Origin)]| {
        config("'127.0.0.1:0'", apis).replace("[drain]", "reload_on_change = true\n[drain]")
    };
    let folder = Scratch::folder();
    let at = |name: &str| format!("{}/{name}", folder.as_str());
    fs::create_dir(at("v1")).unwrap();
    fs::write(at("v1/a.toml"), watched(&[("events", &old)])).unwrap();
    symlink("v1", at("data")).unwrap();
    symlink("data/a.toml", at("a.toml")).unwrap();
    let mut program = Program::start(&[&at("a.toml")]);
    let (mut client, mut upstream) = begin_stream(&program, &old);
    // A symbolic link is replaced.
    fs::create_dir(at("v2")).unwrap();
    fs::write(at("v2/a.toml"), watched(&[("new", &new), ("events", &old)])).unwrap();
    symlink("v2", at("data2")).unwrap();
    fs::rename(at("data2"), at("data")).unwrap();
    program.logs("configuration reloaded");
    assert_eq!(ask(program.address(), "/new/", Some(&new)), "HTTP/1.1 204 No Content");
    let (wire, event) = event("after");
    upstream.send(wire);
    client.expect(&event);
    // The file is written in place, with an error.
    let broken = watched(&[("new", &new)]).replace("listen_path", "listen_pth");
    fs::write(at("v2/a.toml"), broken).unwrap();
    program.logs("unknown key; did you mean \"listen_path\"?");
    fs::write(at("v2/a.toml"), watched(&[("newer", &new)])).unwrap();
    program.logs("configuration reloaded");
    assert_eq!(ask(program.address(), "/newer/", Some(&new)), "HTTP/1.1 204 No Content");
}

/// The open sockets keep their options, so the reload is refused.
#[test]
fn what_sockets_are_opened_with_takes_a_restart() {
    let origin = Origin::listen();
    for (workers, before) in [(1, false), (1, true), (2, false), (2, true)] {
        let of = |reuse_port: bool, listen: &str| {
            let keys = format!("[server]\nworkers = {workers}\nreuse_port = {reuse_port}\n");
            config(listen, &[("events", &origin)]).replace("[server]\n", &keys)
        };
        let file = Scratch::file(&of(before, "'127.0.0.1:0'"));
        let mut program = Program::start(&[file.as_str()]);
        fs::write(file.as_str(), of(!before, "'127.0.0.1:0'")).unwrap();
        program.signal("HUP");
        program.logs("server.reuse_port: it cannot be changed while running; restart");
        // The refused reload has changed nothing, and the next one works.
        fs::write(file.as_str(), of(before, "'127.0.0.1:0', '127.0.0.2:0'")).unwrap();
        program.signal("HUP");
        program.logs("configuration reloaded");
        let served = ask(program.address(), "/events/", Some(&origin));
        assert_eq!(served, "HTTP/1.1 204 No Content", "{workers} {before}");
    }
}

/// Not only those of the configuration in use: a file that only the refused one names is repaired
/// in place, or appears later.
#[test]
fn the_files_of_a_refused_configuration_are_watched() {
    let origin = Origin::listen();
    let text = config("'127.0.0.1:0'", &[("events", &origin)]);
    let text = text.replace("[drain]", "reload_on_change = true\n[drain]");
    let [folder, other] = [(); 2].map(|()| Scratch::folder());
    let (path, there) = (format!("{}/a.toml", folder.as_str()), other.as_str());
    fs::write(&path, &text).unwrap();
    let mut program = Program::start(&[&path]);
    let digits = "0".repeat(64);
    let cases = [
        (
            format!("[api.auth]\nkeys_file = '{there}/keys.toml'\n"),
            ("keys.toml", format!("[[key]]\nnam = 'a'\nsha256 = '{digits}'\n")),
            "unknown key; did you mean \"name\"?",
            format!("[[key]]\nname = 'a'\nsha256 = '{digits}'\n"),
        ),
        (
            format!("[api.request_headers]\nset = {{ A = '${{file:{there}/secret}}' }}\n"),
            ("beside", String::new()),
            "cannot read ",
            "sesame".to_owned(),
        ),
    ];
    for (keys, (beside, wrong), complaint, right) in cases {
        fs::write(format!("{there}/{beside}"), wrong).unwrap();
        fs::write(&path, format!("{text}{keys}")).unwrap();
        program.logs(complaint);
        let repaired = if beside == "beside" { "secret" } else { beside };
        fs::write(format!("{there}/{repaired}"), right).unwrap();
        program.logs("configuration reloaded");
    }
}

/// A target may have addresses from before, so what a failure means is not known before the
/// configuration is in use.
#[test]
fn a_name_that_does_not_resolve_at_a_reload_is_named() {
    let origin = Origin::listen();
    let right = config("'127.0.0.1:0'", &[("events", &origin)]);
    let file = Scratch::file(&right);
    let mut program = Program::start(&[file.as_str()]);
    let lost = "[[api]]\nname = 'lost'\nlisten_path = '/lost/'\n\
                target_url = 'http://nowhere.invalid'\n";
    fs::write(file.as_str(), format!("{right}{lost}")).unwrap();
    program.signal("HUP");
    program.logs("api lost: cannot resolve nowhere.invalid: ");
    program.logs("configuration reloaded");
    program.signal("TERM");
    let log = program.ended().stderr;
    assert!(!log.contains("target_url"), "{log}");
}
