//! What a service manager and the program have to do with each other.

use super::line::{Line, Origin};
use super::program::{Program, Scratch};
use super::{in_front_of_an_origin, skip};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// A socket that was open before the program was is listened on, and lives on when it ends.
#[test]
fn a_socket_is_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Scratch::file(&format!(
        "[server]\nlisten = ['{address}']\n[[api]]\nname = 'a'\nlisten_path = '/a/'\n\
         target_url = 'http://127.0.0.1:1'\n"
    ));
    // It comes as standard input, and has to be descriptor 3 of a process that knows its number.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, super::program::BINARY, config.as_str()]);
    let inherited = OwnedFd::from(listener.try_clone().unwrap());
    let program = Program::serving_with(&mut command, inherited.into());
    let mut client = Line::to(address);
    client.send(NOWHERE);
    assert_eq!(client.response().first_line, "HTTP/1.1 404 Not Found");
    drop(client);
    program.signal("TERM");
    assert_eq!(program.ended().status, Some(0));
    // Who comes now waits for the next one, and is not refused.
    Line::to(address);
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

/// Where the test may try it: as root.
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
