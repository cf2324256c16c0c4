//! The process: command line, exit statuses, signals, descriptors.

use super::line::{End, Line, Origin};
use super::program::{BINARY, Ended, Program, Scratch};
use super::{STREAM, begin_stream, event, in_front_of_an_origin, skip};
use millstream::testing::{PROCESS, of_loops};
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

/// A request that is answered without an upstream, and so without another descriptor.
const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn said(stdout: &str) -> Ended {
    Ended { status: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
}

fn refused(status: i32, stderr: &str) -> Ended {
    Ended { status: Some(status), stdout: String::new(), stderr: stderr.to_owned() }
}

#[test]
fn what_it_says_of_itself() {
    let version = concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n");
    for argument in ["--version", "-v", "-V"] {
        assert_eq!(Program::run(&[argument]), said(version));
    }
    assert_eq!(Program::run(&["--help"]), said(millstream::arguments::HELP));
}

#[test]
fn a_configuration_is_checked() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/minimal.toml");
    let summary = "listening on 127.0.0.1:8080\n  / -> http://127.0.0.1:8000/ (events)\n\
        stop timeout needed: 40s\n";
    for arguments in [&["--check", config][..], &["-t", "-c", config], &["-c", "-f", config]] {
        assert_eq!(Program::run(arguments), said(summary), "{arguments:?}");
    }
    let silent = Scratch::file(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://127.0.0.1'\nheartbeat = '0s'",
    );
    let Ended { status, stdout, .. } = Program::run(&["--check", silent.as_str()]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("\nwarning: api a: heartbeat is off: "), "{stdout}");
}

/// Both with `--check` and when started.
#[test]
fn a_wrong_configuration_is_refused() {
    let path = Scratch::file("[server]\nlisten = ['127.0.0.1:0']\nmax_connection = 1\n[demo]\n");
    let path = path.as_str();
    let key = r#"server.max_connection: unknown key; did you mean "max_connections"?"#;
    let unknown = format!("millstream: {path}:3:1: {key}\n");
    for arguments in [&["--check", path][..], &["-t", "-c", path], &["-c", "-f", path], &[path]] {
        assert_eq!(Program::run(arguments), refused(2, &unknown), "{arguments:?}");
    }
}

/// The output can be pasted into a key file.
#[test]
fn a_key_is_hashed() {
    let hash = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
    let entry = |name| format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n");
    let key = "0123456789abcdef";
    for line in [key, &format!("{key}\\n"), &format!("{key}\\r\\n"), &format!("{key}\\nmore\\n")] {
        let printed = Program::told(line, "--hash-key 'alice (web)'");
        assert_eq!(printed, said(&entry("alice (web)")), "{line}");
    }
    assert_eq!(Program::told(key, "--hash-key"), said(&entry("name of the owner")));
    let long = "a".repeat(5000);
    for line in ["", "\\n", "0123456789abcde\\n", "0123456789 abcdef\\n", "\\303\\244\\n", &long] {
        let Ended { status, stdout, stderr } = Program::told(line, "--hash-key alice");
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{line}");
        assert!(stderr.starts_with("millstream: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

/// A script must not continue with half a file of keys.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_a_failure() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/minimal.toml");
    let check = format!("--check {config}");
    for arguments in ["--version", "--help", "--hash-key alice", &check] {
        let script = format!("echo 0123456789abcdef | \"$0\" {arguments} >/dev/full");
        let ended = Program::spawn(Command::new("sh").args(["-c", &script, BINARY])).unwrap();
        let Ended { status, stderr, .. } = ended.ended();
        assert_eq!(status, Some(1), "{arguments}");
        let why = "millstream: cannot write to standard output: No space left on device";
        assert!(stderr.starts_with(why), "{arguments}: {stderr}");
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    for arguments in [&[][..], &["--whatever"], &["a.toml", "b.toml"], &["--to", "ftp://a"]] {
        let Ended { status, stdout, stderr } = Program::run(arguments);
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with("millstream: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

/// Reading a pipe could block, and reading a device may never end.
#[test]
fn a_configuration_is_a_regular_file() {
    let pipe = Scratch::path("toml");
    assert!(Command::new("mkfifo").arg(pipe.as_str()).status().unwrap().success());
    for path in [pipe.as_str(), "/dev/zero", "/dev/stdin", env!("CARGO_MANIFEST_DIR")] {
        let what = "not a regular file; write the path of one";
        let wrong = format!("millstream: {path}: cannot read the file: {what}\n");
        assert_eq!(Program::run(&[path]), refused(2, &wrong));
        assert_eq!(Program::run(&["--check", path]), refused(2, &wrong));
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let Ended { status, stdout, stderr } =
        Program::run(&["--to", "http://127.0.0.1", "--listen", &address]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    // The rest comes from the C library: glibc says "Address already in use", musl "Address in
    // use".
    let want = format!("millstream: --listen: cannot listen on {address}: Address ");
    assert!(stderr.starts_with(&want) && stderr.contains("in use"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let keys = ["server.listen", "admin.listen", "admin.probes", "demo.listen"];
    for key in keys {
        let [server, admin, probes, demo] =
            keys.map(|one| if one == key { address.as_str() } else { "127.0.0.1:0" });
        let config = Scratch::file(&format!(
            "[server]\nlisten = ['{server}']\n[admin]\nlisten = '{admin}'\n\
             probes = '{probes}'\n[demo]\nlisten = '{demo}'\n"
        ));
        let Ended { status, stderr, .. } = Program::run(&[config.as_str()]);
        assert_eq!(status, Some(1), "{key}");
        let want = format!("millstream: {key}: cannot listen on {address}: Address ");
        assert!(stderr.lines().last().is_some_and(|line| line.starts_with(&want)), "{stderr}");
    }
}

/// Whatever has begun may end by itself; nothing new is accepted.
#[test]
fn a_first_signal_drains() {
    for signal in ["TERM", "INT", "QUIT"] {
        let (mut program, origin) = in_front_of_an_origin();
        let mut client = program.connect();
        client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(STREAM);
        client.response();
        let mut idle = program.connect();
        idle.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let mut answering = origin.accept();
        answering.request();
        answering.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(idle.response().first_line, "HTTP/1.1 204 No Content");
        program.signal(signal);
        program.logs("draining: the port is closed; ");
        assert_eq!((idle.end(), answering.end()), (End::Closed, End::Closed));
        assert!(Line::try_to(program.address()).is_err(), "still listening");
        let (wire, event) = event("last");
        upstream.send(wire);
        client.expect(&event);
        upstream.send("0\r\n\r\n");
        assert_eq!(client.rest(), "");
        drop(client);
        assert_eq!(program.ended().status, Some(0));
    }
}

/// A signal that arrives while names are resolved is handled as soon as the process runs.
#[test]
fn a_signal_during_the_start_is_not_lost() {
    let config = Scratch::file(
        "[server]\nlisten = ['127.0.0.1:0']\n\
         [[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://nowhere'\n",
    );
    // The resolver of glibc reads this file first. It waits, because the file is a pipe.
    let aliases = Scratch::path("aliases");
    assert!(Command::new("mkfifo").arg(aliases.as_str()).status().unwrap().success());
    let mut command = Command::new(BINARY);
    let program = Program::spawn(command.arg(config.as_str()).env("HOSTALIASES", aliases.as_str()));
    let program = program.unwrap();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NONBLOCK);
    let resolving = (0..5_000_000).find_map(|_| options.open(aliases.as_str()).ok());
    let Some(resolving) = resolving else {
        skip("e2e::process::a_signal_during_the_start_is_not_lost", "the resolver does not wait");
        return;
    };
    program.signal("TERM");
    drop(aliases);
    drop(resolving);
    let ended = program.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("listening on "), "{}", ended.stdout);
    assert!(ended.stderr.contains("drained: nothing was cut"), "{}", ended.stderr);
}

/// Streams are not held until the end of the drain window. Each is ended between two events, and
/// told when to reconnect.
#[test]
fn a_drain_ends_streams_between_two_events() {
    let origin = Origin::listen();
    let program = Program::with(&format!(
        "
        [server]
        listen = ['127.0.0.1:0']
        [drain]
        window = '500ms'
        retry_min = '3s'
        retry_max = '4s'
        [[api]]
        name = 'events'
        listen_path = '/'
        target_url = 'http://{}'
        ",
        origin.address(),
    ));
    let mut streams: Vec<_> = (0..20).map(|_| begin_stream(&program, &origin)).collect();
    for (n, (client, upstream)) in streams.iter_mut().enumerate() {
        let (wire, event) = event(&n.to_string());
        upstream.send(wire);
        client.expect(&event);
        // The client has half of another event, which must be completed before the stream ends.
        upstream.send("6\r\ndata: \r\n");
        client.expect("data: ");
        upstream.send("5\r\nlast\n\r\n");
    }
    program.signal("TERM");
    for (_, upstream) in &mut streams {
        upstream.send("1\r\n\n\r\n");
    }
    for (client, upstream) in &mut streams {
        let rest = client.rest();
        let retry = rest.strip_prefix("last\n\nretry: ").and_then(|r| r.strip_suffix("\n\n"));
        let millis: u32 = retry.expect(&rest).parse().unwrap();
        assert!((3000..=4000).contains(&millis), "{millis}");
        upstream.end();
    }
    assert_eq!(program.ended().status, Some(0));
}

/// The event loop never waits for the reader of the log.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let origin = Origin::listen();
    let url = format!("http://{}", origin.address());
    let (program, _unread) = Program::with_unread_log(&["--to", &url, "--listen", "127.0.0.1:0"]);
    let mut client = program.connect();
    // Far more lines than fit into a pipe.
    for _ in 0..5000 {
        client.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n");
        assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    }
}

/// A log file that cannot grow, as on a full disk, loses lines; the process continues.
#[test]
fn it_outlives_a_limit_on_the_size_of_files() {
    let (log, origin) = (Scratch::path("log"), Origin::listen());
    let url = format!("http://{}", origin.address());
    // The limit is one block, of 512 or 1024 bytes, which the log of a few requests exceeds.
    let script = "ulimit -f 1; log=$1; shift; exec \"$0\" \"$@\" 2>\"$log\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, BINARY, log.as_str(), "--to", &url, "--listen", "127.0.0.1:0"]);
    let program = Program::serving(&mut command);
    let length = || std::fs::metadata(log.as_str()).unwrap().len();
    let (mut before, mut stays) = (0, 0);
    while stays < 50 {
        let mut client = program.connect();
        client.send(NOWHERE);
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
        let after = length();
        // On a busy host the first line may be late.
        stays = if after == before && after > 0 { stays + 1 } else { 0 };
        before = after;
    }
    begin_stream(&program, &origin);
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (mut program, origin) = in_front_of_an_origin();
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    // If the end of the connection ends the body, only a reset shows that it is incomplete.
    let mut old = program.connect();
    old.send("GET /events/ HTTP/1.0\r\n\r\n");
    let mut old_upstream = origin.accept();
    old_upstream.request();
    old_upstream.send(STREAM);
    old.response();
    program.signal("TERM");
    program.logs("draining: the port is closed; ");
    program.signal("TERM");
    client.cut();
    assert_eq!(old.cut(), End::Reset);
    upstream.end();
    old_upstream.end();
    let ended = program.ended();
    assert_eq!(ended.status, Some(0));
    assert!(ended.stderr.contains("second signal: closing 2 connections now"), "{}", ended.stderr);
}

/// Accepting pauses, open connections are served, and accepting resumes when there is room.
#[test]
fn it_outlives_a_lack_of_descriptors() {
    let config = "
        [server]
        listen = ['127.0.0.1:0']
        [[api]]
        name = 'events'
        listen_path = '/events/'
        target_url = 'http://127.0.0.1:9'
        ";
    let config = Scratch::file(config);
    let taken = Program::with_descriptors(1000, &config).descriptors();
    // On a system without /proc the test cannot be done.
    if taken.is_empty() {
        return;
    }
    // Descriptor numbers are below the limit, so all but one are in use.
    let limit = (0..).filter(|n| !taken.contains(n)).nth(1).unwrap();
    let mut program = Program::with_descriptors(limit, &config);
    program.logs(&format!("the open-file limit is {limit}, less than "));
    let (half, rest) = NOWHERE.split_at(10);
    let mut client = program.connect();
    client.send(half);
    let mut next = program.connect();
    next.send(NOWHERE);
    program.logs("accept failed");
    program.signal("HUP");
    program.logs(
        "cannot read the file: Too many open files (os error 24); raise the limit on open files",
    );
    client.send(rest);
    assert_eq!(client.response().first_line, "HTTP/1.1 404 Not Found");
    drop(client);
    // The waiting client is accepted although no other one has caused an event.
    assert_eq!(next.response().first_line, "HTTP/1.1 404 Not Found");
    program.logs("accept resumed");
}

/// What is kept back for the process is enough for one that has everything, and serves nobody yet.
#[test]
fn its_descriptors_are_counted() {
    for workers in [1, 4] {
        let file = Scratch::file(&format!(
            "[server]\nlisten = ['127.0.0.1:0']\nworkers = {workers}\nreload_on_change = true\n\
             [admin]\nlisten = '127.0.0.1:0'\n[demo]\nlisten = '127.0.0.1:0'\n"
        ));
        let mut program = Program::start(&[file.as_str()]);
        // Files are watched by then.
        program.signal("HUP");
        program.logs("configuration reloaded");
        let open = program.descriptors().len();
        let most = PROCESS + 2 * 3 + usize::try_from(of_loops(workers - 1, 1)).unwrap();
        assert!(open <= most, "{open} of {most} descriptors with {workers} workers");
    }
}

/// The reader of the access log may stop reading, or end.
#[test]
fn it_outlives_its_standard_output() {
    let origin = Origin::listen();
    let url = format!("http://{}", origin.address());
    let mut program = Program::start(&["--to", &url, "--listen", "127.0.0.1:0"]);
    let (client, mut upstream) = begin_stream(&program, &origin);
    let open = program.says("time=");
    for field in
        ["Z event=open id=1 api=default client=127.0.0.1 key=-", " target=/events/ status=200"]
    {
        assert!(open.contains(field), "{open}");
    }
    drop(client);
    upstream.end();
    assert!(program.says("time=").contains(" event=end id=1 "));
    let ask = |program: &Program| {
        let mut client = program.connect();
        client.send("GET /nowhere#x HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(client.response().first_line, "HTTP/1.1 400 Bad Request");
    };
    program.stop_listening(ask);
    ask(&program);
    program.logs("cannot write the access log, dropping lines");
    begin_stream(&program, &origin);
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
}

/// The lines logged when the stream opens are written by a thread that ends soon after. Events go
/// on.
#[test]
fn a_process_that_only_hands_on_events_has_one_thread() {
    let (program, origin) = in_front_of_an_origin();
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    let (wire, event) = event("on and on");
    let threads = || program.identity("Threads");
    // The test cannot be done without /proc. A second has about ten thousand events.
    let alone = (0..1_000_000).any(|_| {
        upstream.send(&wire);
        client.expect(&event);
        matches!(threads().as_str(), "" | "1")
    });
    assert!(alone, "{} threads", threads());
}
