//! The program under a service manager.

use super::line::{Line, Origin};
use super::program::{Program, Scratch};
use super::{in_front_of_an_origin, skip};
#[cfg(target_os = "linux")]
use socket2::{Domain, Socket, Type};
use std::fs;
#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// Starts a program with this listening socket and these additional keys.
fn handed_over(listener: &TcpListener, keys: &str) -> Program {
    let address = listener.local_addr().unwrap();
    let config = Scratch::file(&format!(
        "[server]\nlisten = ['{address}']\n{keys}\n[[api]]\nname = 'a'\nlisten_path = '/a/'\n\
         target_url = 'http://127.0.0.1:1'\n"
    ));
    let inherited = OwnedFd::from(listener.try_clone().unwrap());
    Program::serving_with(&mut inheriting(&config), inherited.into())
}

/// A command that passes the socket on its standard input to the program.
fn inheriting(config: &Scratch) -> Command {
    // The socket becomes descriptor 3 of a process that knows its own id.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, super::program::BINARY, config.as_str()]);
    command
}

/// The program serves a socket that was opened before it started, and leaves it open at its end.
#[test]
fn a_socket_is_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let program = handed_over(&listener, "");
    let mut client = Line::to(address);
    client.send(NOWHERE);
    assert_eq!(client.response().first_line, "HTTP/1.1 404 Not Found");
    drop(client);
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
    // A client that connects now waits for the next process, and is not refused.
    Line::to(address);
}

/// All loops accept at the inherited socket, even if others could be bound to its address, because
/// clients waiting at those would be lost when the program ends.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_is_handed_over_is_the_only_one() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let program = handed_over(&listener, "workers = 4\nreuse_port = true");
    let port = listener.local_addr().unwrap().port();
    let [at, listens] = [format!(":{port:04X} "), " 0A ".to_owned()];
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let here = sockets.lines().filter(|line| line.contains(&at) && line.contains(&listens));
    assert_eq!(here.count(), 1, "{sockets}");
    drop(program);
}

/// It may be in the way of an address in the configuration.
#[test]
fn a_socket_that_is_not_used_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let other = format!("0.0.0.0:{}", address.port());
    let demo = "[demo]\nlisten = '127.0.0.1:0'\n";
    let config = Scratch::file(&format!("[server]\nlisten = ['{other}']\n{demo}"));
    let listener = OwnedFd::from(listener);
    let program = Program::spawn_with(&mut inheriting(&config), listener.into()).unwrap();
    let ended = program.ended();
    assert_eq!(ended.status, Some(1));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let [.., why, hint] = lines[..] else { panic!("{lines:?}") };
    let want = format!("millstream: server.listen: cannot listen on {other}: Address ");
    assert!(why.starts_with(&want), "{why}");
    let want = "inherited socket is not used: the configuration has no listener";
    assert_eq!(hint, format!("millstream: {want} {address}"));
}

/// A service manager may remove the folder of a Unix socket with its service, and keep the socket.
#[test]
fn a_socket_without_its_file_is_named() {
    let path = Scratch::path("sock");
    let listener = UnixListener::bind(path.as_str()).unwrap();
    fs::remove_file(path.as_str()).unwrap();
    let unix = path.as_str();
    let config = Scratch::file(&format!(
        "[server]\nlisten = ['unix:{unix}']\n[demo]\nlisten = '127.0.0.1:0'\n"
    ));
    let program = Program::serving_with(&mut inheriting(&config), OwnedFd::from(listener).into());
    program.signal("TERM");
    let said = program.ended().stderr;
    let want = format!("inherited socket {unix} was removed, so no client can connect to it\n");
    assert!(said.contains(&want), "{said}");
}

/// A reload may stop using it, which is logged because clients that connect to it wait. The next
/// reload may use it again.
#[test]
fn a_socket_that_is_handed_over_comes_and_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let text = |listen: &str| {
        format!("[server]\nlisten = [{listen}'127.0.0.1:0']\n[demo]\nlisten = '127.0.0.1:0'\n")
    };
    let (with, without) = (text(&format!("'{address}', ")), text(""));
    let config = Scratch::file(&with);
    let inherited = OwnedFd::from(listener.try_clone().unwrap());
    let mut program = Program::serving_with(&mut inheriting(&config), inherited.into());
    let ask = |mut client: Line| {
        client.send(NOWHERE);
        client.response().first_line
    };
    for _ in 0..2 {
        assert_eq!(ask(Line::to(address)), "HTTP/1.1 404 Not Found");
        fs::write(config.as_str(), &without).unwrap();
        program.signal("HUP");
        let want = "inherited socket is not used: the configuration has no listener";
        program.logs(&format!("{want} {address}"));
        program.logs("configuration reloaded");
        let waiting = Line::to(address);
        fs::write(config.as_str(), &with).unwrap();
        program.signal("HUP");
        program.logs("configuration reloaded");
        assert_eq!(ask(waiting), "HTTP/1.1 404 Not Found");
    }
    // It does not pass from one listener to another.
    fs::write(config.as_str(), format!("{without}[admin]\nlisten = '{address}'\n")).unwrap();
    program.signal("HUP");
    program.logs(&format!("; this process itself listens on {address} (server.listen); restart"));
    assert_eq!(ask(Line::to(address)), "HTTP/1.1 404 Not Found");
    program.signal("TERM");
    let log = program.ended().stderr;
    assert_eq!(log.matches("inherited socket is not used").count(), 2, "{log}");
}

#[test]
fn it_says_when_it_is_ready_and_when_it_ends() {
    let path = Scratch::path("notify");
    let manager = UnixDatagram::bind(path.as_str()).unwrap();
    manager.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let origin = Origin::listen();
    let url = format!("http://{}", origin.address());
    let mut command = Command::new(super::program::BINARY);
    command.args(["--to", &url, "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", path.as_str());
    let program = Program::serving(&mut command);
    let said = || {
        let mut word = [0; 100];
        let n = manager.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..n]).into_owned()
    };
    assert_eq!(said(), "READY=1");
    program.signal("TERM");
    assert_eq!(said(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000");
    assert_eq!(program.ended().status, Some(0));
}

/// The reader of the summary may be slow, and nothing else waits for it.
#[test]
fn a_full_standard_output_does_not_stop_the_start() {
    let [notify, path] = ["notify", "sock"].map(Scratch::path);
    let manager = UnixDatagram::bind(notify.as_str()).unwrap();
    manager.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let listen = format!("unix:{}", path.as_str());
    let mut command = Command::new(super::program::BINARY);
    command.args(["--to", "http://127.0.0.1:1", "--listen", &listen]);
    command.env("NOTIFY_SOCKET", notify.as_str());
    let (program, _unread) = Program::with_full_output(&mut command);
    let mut word = [0; 100];
    let n = manager.recv(&mut word).unwrap();
    assert_eq!(&word[..n], b"READY=1");
    let mut client = Line::to_path(path.as_str());
    client.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(client.response().first_line, "HTTP/1.1 204 No Content");
    drop(client);
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
}

/// Only if the test runs as root.
#[test]
fn it_goes_on_as_another_user() {
    let config = "[server]\nlisten = ['127.0.0.1:0']\nuser = 'nobody'\n[demo]\n\
         listen = '127.0.0.1:0'\n";
    let (control, _origin) = in_front_of_an_origin();
    if control.identity("Uid") != "0\t0\t0\t0" {
        skip("e2e::service::it_goes_on_as_another_user", "it takes root to become one");
        return;
    }
    let program = Program::with(config);
    assert_ne!(program.identity("Uid"), "0\t0\t0\t0");
    assert_ne!(program.identity("Gid"), "0\t0\t0\t0");
    assert_eq!(program.identity("NoNewPrivs"), "1");
    assert!(!program.identity("Groups").split_whitespace().any(|group| group == "0"));
}

/// This lets the process remove them. An inherited socket keeps its owner.
#[test]
fn socket_files_that_it_has_bound_are_the_users() {
    if !nix::unistd::geteuid().is_root() {
        let test = "e2e::service::socket_files_that_it_has_bound_are_the_users";
        skip(test, "it takes root to become another user");
        return;
    }
    let [own, passed] = [(); 2].map(|()| Scratch::path("sock"));
    let listener = UnixListener::bind(passed.as_str()).unwrap();
    let config = Scratch::file(&format!(
        "[server]\nlisten = ['unix:{}', 'unix:{}']\nuser = 'nobody'\n[demo]\n\
         listen = '127.0.0.1:0'\n",
        own.as_str(),
        passed.as_str()
    ));
    let listener = OwnedFd::from(listener);
    let program = Program::serving_with(&mut inheriting(&config), listener.into());
    let [of_own, of_passed] = [&own, &passed].map(|path| fs::metadata(path.as_str()).unwrap());
    let user = program.identity("Uid");
    assert_eq!(Some(of_own.uid().to_string().as_str()), user.split('\t').next());
    assert_eq!(of_passed.uid(), 0);
}

#[test]
fn a_start_that_fails_leaves_no_socket_file() {
    let path = Scratch::path("sock");
    let config = Scratch::file(&format!(
        "[server]\nlisten = ['unix:{}']\nuser = 'no such user'\n[demo]\n\
         listen = '127.0.0.1:0'\n",
        path.as_str()
    ));
    let ended = Program::run(&[config.as_str()]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("server.user: there is no user no such user"), "{ended:?}");
    assert!(!path.exists(), "the socket file is still there");
}
