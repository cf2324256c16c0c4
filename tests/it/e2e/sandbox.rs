//! What the program can and cannot do in its sandbox.

use super::certificates::{Authority, file, replace};
use super::line::{Line, Origin};
use super::program::{Program, Scratch};
use super::{begin_stream, event, skip};
use millstream::{Config, Sandbox};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io;
use std::net::ToSocketAddrs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, chroot, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// True if the started program is confined. If the system cannot do that, reports the test as
/// skipped.
fn is_confined(program: &mut Program, test: &str) -> bool {
    program.logs("sandbox: ");
    let seccomp = program.identity("Seccomp");
    if seccomp != "2" {
        skip(test, "this system cannot confine a process");
    }
    seccomp == "2"
}

/// Names are resolved, replaced files are read again, and listeners are opened and closed.
#[test]
fn all_goes_on_within() {
    let origin = Origin::listen();
    let (folder, socket) = (Scratch::folder(), Scratch::folder());
    let at = |name: &str| format!("{}/{name}", folder.as_str());
    let text = |name: &str, path: &str| {
        format!(
            "[server]\nlisten = ['127.0.0.1:0', 'unix:{}/{path}']\nsandbox = true\n\
             reload_on_change = true\n[admin]\nlisten = '127.0.0.1:0'\n\
             [[api]]\nname = 'a'\nlisten_path = '/{name}/'\nstrip_listen_path = true\n\
             target_url = 'http://localhost:{}/{name}/'\n\
             [api.request_headers]\nset = {{ Secret = '${{file:secret}}' }}\n",
            socket.as_str(),
            origin.address().port()
        )
    };
    fs::create_dir(at("v1")).unwrap();
    fs::write(at("v1/a.toml"), text("events", "one")).unwrap();
    fs::write(at("secret"), "first").unwrap();
    symlink("v1/a.toml", at("a.toml")).unwrap();
    let mut program = Program::start(&[&at("a.toml")]);
    if !is_confined(&mut program, "e2e::sandbox::all_goes_on_within") {
        return;
    }
    let (mut client, mut upstream) = begin_stream(&program, &origin);
    // A replaced file, and a replaced folder.
    fs::create_dir(at("v2")).unwrap();
    fs::write(at("v2/a.toml"), text("new", "two")).unwrap();
    symlink("v2/a.toml", at("b.toml")).unwrap();
    fs::write(at("secret2"), "second").unwrap();
    fs::rename(at("secret2"), at("secret")).unwrap();
    fs::rename(at("b.toml"), at("a.toml")).unwrap();
    program.logs("configuration reloaded");
    let mut asks = program.connect();
    asks.send("GET /new/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(origin.accept().request().get("secret"), Some("second"));
    let exists = |name: &str| Path::new(&format!("{}/{name}", socket.as_str())).exists();
    assert!(!exists("one") && exists("two"));
    let (wire, event) = event("one");
    upstream.send(wire);
    client.expect(&event);
    // Resource usage is read from a file of the system.
    let admin = program.says("admin listener on http://");
    let mut operator = Line::to(admin.trim_end_matches('/').parse().unwrap());
    operator.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    operator.response();
    let metrics = operator.rest();
    for sample in [
        "process_resident_memory_bytes ",
        "millstream_sandboxed{what=\"files\"} 1\n",
        "millstream_sandboxed{what=\"calls\"} 1\n",
        "millstream_sandbox_refused_total 0\n",
    ] {
        assert!(metrics.contains(&format!("\n{sample}")), "{sample}{metrics}");
    }
    program.signal("TERM");
    // The system may merge two signals that are sent together.
    program.logs("draining");
    program.signal("TERM");
    let ended = program.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(!exists("two"));
}

/// The error differs from that of a file without read permission, and nothing changes.
#[test]
fn a_reload_that_names_what_is_outside_is_refused() {
    let origin = Origin::listen();
    let (folder, outside) = (Scratch::folder(), Scratch::folder());
    let at = format!("{}/a.toml", folder.as_str());
    let keys = format!("{}/keys.toml", outside.as_str());
    fs::write(&keys, "").unwrap();
    let api = format!(
        "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://{}'\n",
        origin.address()
    );
    let admin = "[admin]\nlisten = '127.0.0.1:0'\n";
    let server = |more: &str| format!("[server]\nlisten = ['127.0.0.1:0']\n{more}\n{admin}{api}");
    fs::write(&at, server("")).unwrap();
    let mut program = Program::start(&["--sandbox", &at]);
    if !is_confined(&mut program, "e2e::sandbox::a_reload_that_names_what_is_outside_is_refused") {
        return;
    }
    let outside_of = "outside the folders that the sandbox allows, which are fixed at the start; ";
    let restart = format!("{outside_of}name its folder in server.sandbox_folders, and restart");
    let socket = format!("unix:{}/socket", outside.as_str());
    let secured = format!("http://{}", origin.address());
    let secured = server("").replace(&secured, "https://localhost");
    for (text, complaint) in [
        (
            server("") + &format!("[api.auth]\nkeys_file = '{keys}'\n"),
            format!("api[0].auth.keys_file: cannot read the key file {keys}: {restart}"),
        ),
        (
            format!("{secured}[api.upstream_tls]\nca_file = '{keys}'\n"),
            format!("api[0].upstream_tls: ca_file: cannot read {keys}: {restart}"),
        ),
        (
            server("").replace("['127.0.0.1:0'", &format!("['127.0.0.1:0', '{socket}'")),
            format!("cannot listen on {socket}: {outside_of}restart"),
        ),
    ] {
        fs::write(&at, text).unwrap();
        program.signal("HUP");
        program.logs(&complaint);
    }
    begin_stream(&program, &origin);
    let admin = program.says("admin listener on http://");
    let mut operator = Line::to(admin.trim_end_matches('/').parse().unwrap());
    operator.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    operator.response();
    assert!(operator.rest().contains("\nmillstream_sandbox_refused_total 3\n"));
    // The authorities of the system can be read, if there are any.
    fs::write(&at, &secured).unwrap();
    program.signal("HUP");
    program.logs("reload");
    program.signal("TERM");
    let log = program.ended().stderr;
    assert_eq!(log.matches(outside_of).count(), 3, "{log}");
}

/// The rule is for the folder itself, not for its name.
#[test]
fn another_folder_in_the_place_of_one_is_told_of() {
    let folder = Scratch::folder();
    let at = |name: &str| format!("{}/{name}", folder.as_str());
    let text = "[server]\nlisten = ['127.0.0.1:0']\nsandbox = true\n[demo]\n\
        listen = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n";
    fs::create_dir(at("conf")).unwrap();
    fs::write(at("conf/a.toml"), text).unwrap();
    let mut program = Program::start(&[&at("conf/a.toml")]);
    if !is_confined(&mut program, "e2e::sandbox::another_folder_in_the_place_of_one_is_told_of") {
        return;
    }
    fs::rename(at("conf"), at("old")).unwrap();
    fs::create_dir(at("conf")).unwrap();
    fs::write(at("conf/a.toml"), text).unwrap();
    program.signal("HUP");
    program.logs(
        "cannot read the file: in a folder that was replaced after the start, which the \
        sandbox does not allow; restart; server.sandbox_folders may name the one above it",
    );
    let admin = program.says("admin listener on http://");
    let mut operator = Line::to(admin.trim_end_matches('/').parse().unwrap());
    operator.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    operator.response();
    assert!(operator.rest().contains("\nmillstream_sandbox_refused_total 1\n"));
}

/// Files that appear later in a listed folder, or below it, can be read. A folder that others use,
/// too, causes a warning.
#[test]
fn a_file_may_come_in_a_folder_that_was_named() {
    let (folder, later) = (Scratch::folder(), Scratch::folder());
    let at = format!("{}/a.toml", folder.as_str());
    let text = |more: &str| {
        format!(
            "[server]\nlisten = ['127.0.0.1:0']\nsandbox_folders = ['{}', '/tmp']\n[[api]]\n\
             name = 'a'\nlisten_path = '/'\ntarget_url = 'http://127.0.0.1:1'\n{more}",
            later.as_str()
        )
    };
    fs::write(&at, text("")).unwrap();
    let mut program = Program::start(&["--sandbox", &at]);
    if !is_confined(&mut program, "e2e::sandbox::a_file_may_come_in_a_folder_that_was_named") {
        return;
    }
    let below = format!("{}/new", later.as_str());
    fs::create_dir(&below).unwrap();
    let keys = format!("{below}/keys.toml");
    fs::write(&keys, "").unwrap();
    fs::write(&at, text(&format!("[api.auth]\nkeys_file = '{keys}'\n"))).unwrap();
    program.signal("HUP");
    program.logs("configuration reloaded");
    let shared = file("");
    fs::write(&at, text(&format!("[api.auth]\nkeys_file = '{}'\n", shared.as_str()))).unwrap();
    program.signal("HUP");
    if Path::new(shared.as_str()).parent() == Some(Path::new("/tmp")) {
        program.logs("server.sandbox: all that lies in /tmp can be read, because a file");
    }
    program.logs("configuration reloaded");
    fs::write(&at, text("").replace(", '/tmp'", "")).unwrap();
    program.signal("HUP");
    program.logs("server.sandbox_folders: it cannot be changed while running; restart");
    fs::write(&at, text("").replace("'/tmp'", "'nowhere'")).unwrap();
    let checked = Program::run(&["--check", "--sandbox", &at]).stdout;
    let missing = format!("sandbox_folders: {}/nowhere is no folder, so", folder.as_str());
    assert!(checked.contains(&missing), "{checked}");
    let named = fs::canonicalize(later.as_str()).unwrap();
    let named = format!("in the sandbox files can be read in {}\n", named.display());
    assert!(checked.contains(&named), "{checked}");
}

/// `--check` lists the readable folders, and warns of one that others use, too.
#[test]
fn a_check_names_the_folders() {
    let check = |file: &str, option: &[&str]| {
        let checked = Program::run(&[&["--check", file], option].concat());
        assert_eq!(checked.status, Some(0), "{}", checked.stderr);
        checked.stdout
    };
    let text = |sandbox| format!("[server]\nsandbox = {sandbox}\n[demo]\n");
    let folder = Scratch::folder();
    let file = format!("{}/a.toml", folder.as_str());
    let real = fs::canonicalize(folder.as_str()).unwrap();
    let named = format!("\nin the sandbox files can be read in {}\n", real.display());
    fs::write(&file, text(false)).unwrap();
    assert!(!check(&file, &[]).contains("sandbox"));
    for (sandbox, option) in [(false, &["--sandbox"][..]), (true, &[])] {
        fs::write(&file, text(sandbox)).unwrap();
        let said = check(&file, option);
        assert!(said.contains(&named) && !said.contains("all that lies in"), "{said}");
    }
    // Other programs keep files there.
    let shared = std::env::temp_dir();
    if shared == Path::new("/tmp") && fs::canonicalize(&shared).is_ok_and(|real| real == shared) {
        let said = check(Scratch::file(&text(true)).as_str(), &[]);
        let warning = "\nwarning: server.sandbox: all that lies in /tmp can be read, because";
        assert!(said.contains(warning), "{said}");
    }
}

/// A reload can neither turn it on nor off.
#[test]
fn it_is_decided_at_the_start() {
    let text = |sandbox| {
        format!(
            "[server]\nlisten = ['127.0.0.1:0']\nsandbox = {sandbox}\n[demo]\n\
             listen = '127.0.0.1:0'\n"
        )
    };
    for (first, then) in [(false, true), (true, false)] {
        let config = Scratch::file(&text(first));
        let mut program = Program::start(&[config.as_str()]);
        fs::write(config.as_str(), text(then)).unwrap();
        program.signal("HUP");
        program.logs("server.sandbox: it cannot be changed while running; restart");
    }
}

#[test]
fn a_certificate_is_renewed_within() {
    let authority = Authority::new();
    let pair = authority.issue("a.example");
    let [certificate, key] = [&pair.certificate, &pair.key].map(|text| file(text));
    let mut program = Program::with(&format!(
        "[server]\nlisten_tls = ['127.0.0.1:0']\nlisten = ['127.0.0.1:0']\nsandbox = true\n[tls]\n\
         certificates_on_change = '5ms'\n\
         [[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n[demo]\nlisten = '127.0.0.1:0'\n",
        certificate.as_str(),
        key.as_str()
    ));
    if !is_confined(&mut program, "e2e::sandbox::a_certificate_is_renewed_within") {
        return;
    }
    let pair = authority.issue_from_to("a.example", 2000, 2099);
    replace(&certificate, &pair.certificate);
    replace(&key, &pair.key);
    program.logs("was renewed, and is valid until 2099-01-01");
}

/// Runs in another process, because a sandbox cannot be left: the process runs this test once more.
#[test]
fn nothing_else_is_possible() {
    const INSIDE: &str = "MILLSTREAM_TEST_SANDBOX";
    const TEST: &str = "e2e::sandbox::nothing_else_is_possible";
    if let Some(folder) = std::env::var_os(INSIDE) {
        return from_within(Path::new(&folder));
    }
    let probe =
        "[server]\nlisten = ['127.0.0.1:0']\nsandbox = true\n[demo]\nlisten = '127.0.0.1:0'";
    if !is_confined(&mut Program::with(probe), TEST) {
        return;
    }
    let folder = Scratch::folder();
    fs::write(format!("{}/a.toml", folder.as_str()), "[demo]\n").unwrap();
    let outside = UnixListener::bind_addr(&abstract_socket(Path::new(folder.as_str()))).unwrap();
    let test = std::env::current_exe().unwrap();
    let inside = Command::new(test).args(["--exact", TEST]).env(INSIDE, folder.as_str()).output();
    let inside = inside.unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
    drop(outside);
}

/// An abstract socket with a unique name.
fn abstract_socket(folder: &Path) -> SocketAddr {
    SocketAddr::from_abstract_name(folder.as_os_str().as_encoded_bytes()).unwrap()
}

/// Since Linux 6.12 abstract sockets outside of the sandbox cannot be connected to.
fn confines_abstract_sockets() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    [numbers.next(), numbers.next()] >= [Some(6), Some(12)]
}

/// Even when run as root, each thread has only the capabilities that a reload may need.
#[test]
fn the_capabilities_of_root_are_given_up() {
    const KEPT: u64 = 1 << 1 | 1 << 2 | 1 << 10; // to ignore file permissions, and for low ports
    let text = "[server]\nlisten = ['127.0.0.1:0']\nworkers = 2\nsandbox = true\n[demo]\n\
        listen = '127.0.0.1:0'";
    let mut program = Program::with(text);
    program.logs("system calls");
    program.connect();
    let status = program.status_of_threads();
    assert!(status.len() > 1);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        for thread in &status {
            let mask = thread.lines().find_map(|line| line.strip_prefix(set)).unwrap().trim();
            let more = u64::from_str_radix(mask, 16).unwrap() & !KEPT;
            assert_eq!(more, 0, "{set} {mask}");
        }
    }
}

/// What a process in the sandbox, with its configuration in `folder`, cannot do.
fn from_within(folder: &Path) {
    let config = folder.join("a.toml");
    let outside = std::env::current_exe().unwrap();
    let confines_abstract_sockets = confines_abstract_sockets();
    Sandbox::of_files(&Config::load(&config).unwrap(), Some(&config)).close();
    assert_eq!(fs::read_to_string(&config).unwrap(), "[demo]\n");
    assert!("localhost:80".to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some()));
    let ends_with = |errno: i32, tried: io::Result<()>, what: &str| {
        assert_eq!(tried.map_err(|error| error.raw_os_error()), Err(Some(errno)), "{what}");
    };
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    const NETLINK: i32 = 16;
    ends_with(EACCES, fs::read(&outside).map(drop), "a file outside is read");
    ends_with(EACCES, fs::read_dir("/").map(drop), "a folder outside is read");
    ends_with(EACCES, fs::write(&config, ""), "its configuration is written");
    ends_with(EACCES, fs::write(folder.join("b.toml"), ""), "a file is made");
    ends_with(EACCES, fs::remove_file(&config), "its configuration is removed");
    ends_with(EACCES, fs::read("/proc/self/environ").map(drop), "a process is looked into");
    ends_with(EPERM, Err(Command::new(&outside).exec()), "a program is started");
    ends_with(EPERM, Command::new(&outside).spawn().map(drop), "a process is started");
    ends_with(EPERM, fs::set_permissions(&config, PermissionsExt::from_mode(0o777)), "a mode");
    ends_with(EPERM, chown(&config, Some(1), None), "an owner");
    ends_with(EPERM, fs::rename(&config, folder.join("b.toml")), "a file is renamed");
    let raw = Socket::new(Domain::PACKET, Type::RAW, None);
    ends_with(EPERM, raw.map(drop), "all packets of the host are read");
    for (family, kind, protocol, what) in [
        (Domain::IPV4, Type::RAW, Protocol::TCP, "all TCP packets of the host are read"),
        (Domain::IPV6, Type::RAW, Protocol::TCP, "all TCP packets of the host are read"),
        (Domain::IPV4, Type::SEQPACKET, Protocol::SCTP, "another protocol is spoken"),
        (Domain::from(NETLINK), Type::RAW, Protocol::from(4), "sockets of others are listed"),
        (Domain::from(NETLINK), Type::RAW, Protocol::from(12), "the firewall is changed"),
    ] {
        ends_with(EPERM, Socket::new(family, kind, Some(protocol)).map(drop), what);
    }
    // The resolver uses this socket to list the addresses of the host.
    Socket::new(Domain::from(NETLINK), Type::RAW, None).unwrap();
    if confines_abstract_sockets {
        let called = UnixStream::connect_addr(&abstract_socket(folder));
        ends_with(EPERM, called.map(drop), "a socket of another process without a file");
    }
    let errno = |tried: nix::Result<()>| tried.map_err(io::Error::from);
    ends_with(EPERM, errno(nix::sys::prctl::set_dumpable(true)), "others may look into it");
    ends_with(EPERM, chroot(folder), "it is somewhere else");
    ends_with(EPERM, errno(nix::sys::ptrace::attach(nix::unistd::getppid())), "another is traced");
}
