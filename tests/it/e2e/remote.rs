//! `--probe` and `--reload`: what a health check reports, and how a reload is requested.

use super::line::{End, Line, Origin};
use super::program::{BINARY, Ended, Program, Scratch};
use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;

fn well() -> Ended {
    Ended { status: Some(0), stdout: String::new(), stderr: String::new() }
}

fn unwell(why: &str) -> Ended {
    let stderr = format!("millstream: {why}\n");
    Ended { status: Some(1), stdout: String::new(), stderr }
}

/// Probes a path of an origin that sends this response and closes.
fn answered(path: &str, answer: &str) -> (Ended, String) {
    let origin = Origin::listen();
    let url = format!("http://{}{path}", origin.address());
    let probe = Program::spawn(Command::new(BINARY).args(["--probe", &url])).unwrap();
    let mut line = origin.accept();
    let asked = line.request().first_line;
    line.send(answer);
    drop(line);
    (probe.ended(), asked)
}

#[test]
fn success_is_a_status_from_200_to_299() {
    let plain = |status: u16| format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n");
    for status in [200, 204, 299] {
        let (ended, asked) = answered("/readyz", &plain(status));
        assert_eq!((ended, asked.as_str()), (well(), "GET /readyz HTTP/1.1"));
    }
    for status in [199, 300, 301, 404, 503] {
        let (ended, _) = answered("/readyz", &plain(status));
        let Ended { status: exit, stdout, stderr } = ended;
        assert_eq!((exit, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
        let interim = "it closed before its response head was complete";
        let why = if status == 199 { interim } else { &format!("its status is {status}") };
        assert!(stderr.ends_with(&format!("/readyz: {why}\n")), "{stderr}");
    }
}

#[test]
fn only_the_final_head_is_waited_for() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let ok = "HTTP/1.0 200 OK\nContent-Type: text/event-stream\n folded\n\ndata: 1\n\n";
    assert_eq!(answered("/sse/?x=1", &format!("{interim}{interim}{ok}")).0, well());
    for (answer, why) in [
        ("", "it closed before its response head was complete"),
        ("HTTP/1.1 200 OK\r\nA: b", "it closed before its response head was complete"),
        ("HTTP/1.1 101 \r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", "its status is 101"),
        ("220 mail.example ESMTP\r\n", "malformed HTTP version"),
        ("\x15\x03\x01\0\x02\x02\x28", "not HTTP/1"),
    ] {
        let Ended { status, stderr, .. } = answered("/", answer).0;
        assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}

/// The probe ends at the response head, without waiting for the body.
#[test]
fn a_stream_is_not_read() {
    let origin = Origin::listen();
    let url = format!("localhost:{}/sse/", origin.address().port());
    let probe = Program::spawn(Command::new(BINARY).args(["--probe", &url])).unwrap();
    let mut line = origin.accept();
    assert_eq!(line.request().first_line, "GET /sse/ HTTP/1.1");
    line.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    assert_eq!(probe.ended(), well());
    assert_eq!(line.end(), End::Closed);
}

#[test]
fn a_socket_is_asked_by_its_path() {
    let path = Scratch::path("sock");
    let url = format!("unix:{}:/healthz", path.as_str());
    let nobody = Program::run(&["--probe", &url]);
    let Ended { status, stderr, .. } = nobody;
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with(&format!("millstream: {url}: cannot connect: No such file")));
    let listener = UnixListener::bind(path.as_str()).unwrap();
    let probe = Program::spawn(Command::new(BINARY).args(["--probe", &url])).unwrap();
    let mut line = Line::over(listener.accept().unwrap().0);
    let asked = line.request();
    assert_eq!(asked.first_line, "GET /healthz HTTP/1.1");
    assert_eq!(asked.get("host"), Some("localhost"));
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
    assert_eq!(probe.ended(), well());
}

/// The program probes itself, as in a container image.
#[test]
fn it_knows_whether_millstream_is_well() {
    let path = Scratch::path("sock");
    let config = format!(
        "server.listen = ['127.0.0.1:0']\nadmin.listen = 'unix:{}'\n[[api]]\nname = 'a'\n\
        listen_path = '/'\ntarget_url = 'http://127.0.0.1:1'\n",
        path.as_str()
    );
    let program = Program::with(&config);
    for page in ["/healthz", "/readyz"] {
        let url = format!("unix:{}:{page}", path.as_str());
        assert_eq!(Program::run(&["--probe", &url]), well());
    }
    let url = format!("unix:{}:/nothing", path.as_str());
    assert_eq!(Program::run(&["--probe", &url]), unwell(&format!("{url}: its status is 404")));
    drop(program);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let check = |url: &str, why: &str| {
        assert_eq!(Program::run(&["--probe", url]), unwell(why), "{url}");
    };
    check("9090", "--probe: no host; write \"localhost:8000\"");
    check(
        "http://a/\r\nX: y",
        "--probe: a character that must be escaped; write % and two hex \
        digits for it",
    );
    let tls =
        "https://127.0.0.1/: it does not speak TLS; write an http:// URL, as of the admin listener";
    if cfg!(feature = "tls") {
        check("https://127.0.0.1/", tls);
    }
    // A query may contain a key.
    let closed = Origin::listen().address();
    let Ended { status, stderr, .. } = Program::run(&["--probe", &format!("{closed}/?key=b")]);
    assert_eq!(status, Some(1));
    let why = format!("millstream: http://{closed}/?...: cannot connect: Connection refused");
    assert!(stderr.starts_with(&why), "{stderr}");
}

/// The result of `--reload`.
fn reloaded(url: &str) -> (Option<i32>, String, String) {
    let Ended { status, stdout, stderr } = Program::run(&["--reload", url]);
    (status, stdout, stderr)
}

#[test]
fn a_file_is_read_again() {
    let path = Scratch::path("sock");
    let url = format!("unix:{}", path.as_str());
    let config = |more: &str| {
        format!(
            "server.listen = ['127.0.0.1:0']\nadmin.listen = '{url}'\n[[api]]\nname = 'a'\n\
            listen_path = '/'\ntarget_url = 'http://127.0.0.1:1'\n{more}"
        )
    };
    let file = Scratch::file(&config(""));
    let mut program = Program::start(&[file.as_str()]);
    let done = (Some(0), "Configuration reloaded.\n".to_owned(), String::new());
    assert_eq!(reloaded(&url), done);
    program.logs("configuration reloaded");
    fs::write(file.as_str(), config("xyzzy = 1\nplugh = 2\n")).unwrap();
    let (status, stdout, stderr) = reloaded(&url);
    assert_eq!((status, stdout.as_str(), stderr.lines().count()), (Some(1), "", 3), "{stderr}");
    let first = "millstream: Reload failed, keeping the old configuration.\n";
    assert!(stderr.starts_with(first) && stderr.contains(":8:1: api[0].plugh: "), "{stderr}");
}

#[test]
fn what_does_not_reload_is_said() {
    let check = |url: &str, why: &str| {
        let stderr = format!("millstream: {why}\n");
        assert_eq!(reloaded(url), (Some(1), String::new(), stderr), "{url}");
    };
    let path = "--reload: write where the admin listener is, without a path";
    check("127.0.0.1:9090/reload", path);
    check("unix:/run/a.sock:/reload", path);
    // A server of another kind, and one that closes early.
    let answered = |answer: &str, why: &str| {
        let origin = Origin::listen();
        let url = format!("http://{}/", origin.address());
        let asking = Program::spawn(Command::new(BINARY).args(["--reload", &url])).unwrap();
        let mut line = origin.accept();
        let head = line.request();
        assert_eq!(head.first_line, "POST /reload HTTP/1.1");
        assert_eq!(head.get("x-millstream"), Some("1"));
        line.send(answer);
        drop(line);
        let Ended { status, stderr, .. } = asking.ended();
        assert_eq!((status, stderr.contains(why)), (Some(1), true), "{stderr}");
    };
    answered("HTTP/1.1 405 \r\nContent-Length: 0\r\n\r\n", "/: its status is 405");
    answered("HTTP/1.1 404 \r\n\r\nNothing is served here.\n", "Nothing is served here.");
    let other = "/: this is not an admin listener of millstream";
    answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", other);
    let cut = "it closed before its response was complete";
    answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", cut);
}
