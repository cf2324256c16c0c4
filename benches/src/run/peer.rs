//! The peers, each set up as its manual says for event streams: one core, nothing buffered,
//! nothing logged, the same window for all to drain in.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::scenario::{Need, Scenario};
use crate::sys::Outcome;

/// What stands between load and origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Nothing: what load and origin reach by themselves.
    Direct,
    /// The relay of this package that parses nothing.
    Floor,
    /// The proxy that all this is about.
    Millstream,
    /// nginx.
    Nginx,
    /// HAProxy, a master and its worker, as Debian runs it.
    Haproxy,
    /// lighttpd with mod_proxy.
    Lighttpd,
    /// Caddy.
    Caddy,
    /// A program of a few lines around the reverse proxy of Go's standard library.
    Go,
}

const ALL: [Peer; 8] = [
    Peer::Direct,
    Peer::Floor,
    Peer::Millstream,
    Peer::Nginx,
    Peer::Haproxy,
    Peer::Lighttpd,
    Peer::Caddy,
    Peer::Go,
];

const GO_PROGRAM: &str = include_str!("../../peers/go/main.go");

/// Where the peer of one measurement is, and what is behind it.
pub struct Place<'a> {
    /// Where it listens.
    pub front: SocketAddr,
    /// Where the origin listens.
    pub origin: SocketAddr,
    /// Where it may be told to reload, if it needs an address for that.
    pub admin: SocketAddr,
    /// The program of [`Peer::Millstream`].
    pub millstream: &'a Path,
    /// For files.
    pub folder: &'a Path,
}

impl Peer {
    /// The names of all peers, comma between them.
    pub fn names() -> String {
        ALL.map(Self::name).join(",")
    }

    /// The peer of a name.
    pub fn named(name: &str) -> Outcome<Self> {
        let found = ALL.into_iter().find(|peer| peer.name() == name);
        found.ok_or_else(|| format!("--peers {name}: there are {}", Self::names()))
    }

    /// The peer's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Millstream => "millstream",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Lighttpd => "lighttpd",
            Self::Caddy => "caddy",
            Self::Go => "go",
        }
    }

    /// The version that is installed here; if there is none, how to get it.
    pub fn version(self, millstream: &Path) -> Outcome<String> {
        let (program, flag, remedy) = match self {
            Self::Direct => return Ok("no peer".into()),
            Self::Floor => return Ok(env!("CARGO_PKG_VERSION").into()),
            Self::Millstream => (
                millstream.to_path_buf(),
                "--version",
                "cargo build --release, or --millstream PATH",
            ),
            Self::Nginx => ("nginx".into(), "-v", "apt-get install nginx"),
            Self::Haproxy => ("haproxy".into(), "-v", "apt-get install haproxy"),
            Self::Lighttpd => ("lighttpd".into(), "-v", "apt-get install lighttpd"),
            Self::Caddy => ("caddy".into(), "version", "apt-get install caddy"),
            Self::Go => ("go".into(), "version", "apt-get install golang-go"),
        };
        let output = Command::new(&program)
            .arg(flag)
            .output()
            .map_err(|error| format!("{}: {error} ({remedy})", program.display()))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .next()
            .unwrap_or("unknown")
            .to_owned())
    }

    /// The peer's configuration, or its program, with names in capitals in the places of what
    /// changes: FRONT, ORIGIN and ADMIN are ports, FOLDER is one, WINDOW and HEARTBEAT are seconds.
    pub fn configuration(self) -> Option<&'static str> {
        match self {
            Self::Direct | Self::Floor => None,
            Self::Millstream => Some(include_str!("../../peers/millstream.toml")),
            Self::Nginx => Some(include_str!("../../peers/nginx.conf")),
            Self::Haproxy => Some(include_str!("../../peers/haproxy.cfg")),
            Self::Lighttpd => Some(include_str!("../../peers/lighttpd.conf")),
            Self::Caddy => Some(include_str!("../../peers/Caddyfile")),
            Self::Go => Some(GO_PROGRAM),
        }
    }

    /// Writes the configuration and returns the command that runs in the foreground; no words for
    /// no peer.
    pub fn command(self, place: &Place<'_>, scenario: &Scenario) -> Outcome<Vec<String>> {
        let file = self.file(place);
        let folder = place.folder.display().to_string();
        let window = scenario.window.to_string();
        let (front, origin) = (
            place.front.port().to_string(),
            place.origin.port().to_string(),
        );
        if let Some(template) = self.configuration() {
            let admin = match scenario.need {
                Need::Reload => place.admin.to_string(),
                _ => "off".into(),
            };
            let text = template
                .replace("FRONT", &front)
                .replace("ORIGIN", &origin)
                .replace("ADMIN", &admin)
                .replace("FOLDER", &folder)
                .replace("WINDOW", &window)
                .replace("HEARTBEAT", &scenario.heartbeat.to_string());
            write(&file, if self == Self::Go { GO_PROGRAM } else { &text })?;
        }
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let itself = itself.display().to_string();
        let millstream = place.millstream.display().to_string();
        let (listen, to) = (place.front.to_string(), place.origin.to_string());
        let (data, config) = (
            format!("XDG_DATA_HOME={folder}"),
            format!("XDG_CONFIG_HOME={folder}"),
        );
        let go = format!("{folder}/go-peer");
        if self == Self::Go {
            build_go(&go, &file)?;
        }
        let one_core = "GOMAXPROCS=1";
        let words: &[&str] = match self {
            Self::Direct => &[],
            Self::Floor => &[&itself, "floor", "--listen", &listen, "--to", &to],
            Self::Millstream => &[&millstream, &file],
            Self::Nginx => &["nginx", "-e", "stderr", "-p", &folder, "-c", &file],
            Self::Haproxy => &["haproxy", "-W", "-db", "-q", "-f", &file],
            Self::Lighttpd => &["lighttpd", "-D", "-f", &file],
            Self::Caddy => &[
                "env",
                one_core,
                &data,
                &config,
                "caddy",
                "run",
                "--adapter",
                "caddyfile",
                "--config",
                &file,
            ],
            Self::Go => &["env", one_core, &go, &front, &origin, &window],
        };
        Ok(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// How the peer is told to do what a scenario needs, empty where it needs nothing: a signal's
    /// name, or a command. `None`: it cannot do that.
    pub fn told(self, need: Need, place: &Place<'_>) -> Option<String> {
        let word = match (need, self) {
            (Need::Nothing, _) | (Need::Heartbeats, Self::Millstream) => "",
            (Need::Heartbeats, _) | (Need::Drain | Need::Reload, Self::Direct) => return None,
            // It just ends: so do streams that nobody drains.
            (Need::Drain, Self::Floor | Self::Millstream | Self::Caddy | Self::Go) => "TERM",
            (Need::Drain, Self::Nginx) => "QUIT",
            (Need::Drain, Self::Haproxy) => "USR1",
            (Need::Drain, Self::Lighttpd) => "INT",
            (Need::Reload, Self::Millstream | Self::Nginx) => "HUP",
            (Need::Reload, Self::Haproxy) => "USR2",
            (Need::Reload, Self::Caddy) => {
                let (file, admin) = (self.file(place), place.admin);
                return Some(format!(
                    "caddy reload --force --address {admin} --adapter caddyfile --config {file}"
                ));
            }
            (Need::Reload, Self::Floor | Self::Lighttpd | Self::Go) => return None,
        };
        Some(word.into())
    }

    fn file(self, place: &Place<'_>) -> String {
        let ending = if self == Self::Go { "go" } else { "conf" };
        let file = format!("{}.{ending}", self.name());
        place.folder.join(file).display().to_string()
    }
}

fn write(file: &str, text: &str) -> Outcome<()> {
    fs::write(file, text).map_err(|error| format!("cannot write {file}: {error}"))
}

/// Builds the program, once in a run of the driver.
fn build_go(program: &str, source: &str) -> Outcome<()> {
    if Path::new(program).exists() {
        return Ok(());
    }
    let words = [
        "env",
        "GOFLAGS=-mod=mod",
        "go",
        "build",
        "-o",
        program,
        source,
    ];
    process::output_of(&words.map(str::to_owned)).map(drop)
}
