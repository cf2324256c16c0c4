//! The peers, each configured for event streams as its manual recommends: one core, no buffering,
//! no logs, the same drain window.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::scenario::{Need, Scenario};
use crate::sys::{self, Outcome};

/// What is between load and origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Nothing: what load and origin can do by themselves.
    Direct,
    /// The minimal relay of this package.
    Floor,
    /// The proxy that is developed here.
    Millstream,
    /// The server nginx.
    Nginx,
    /// HAProxy, a master and its worker, as in Debian.
    Haproxy,
    /// The server lighttpd with its mod_proxy.
    Lighttpd,
    /// Caddy.
    Caddy,
    /// A small program with the reverse proxy of Go's standard library.
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

/// The setup of a peer for one measurement.
pub struct Place<'a> {
    /// Where it listens.
    pub front: SocketAddr,
    /// Where the origin listens.
    pub origin: SocketAddr,
    /// The address of its admin interface, if it needs one for reloads.
    pub admin: SocketAddr,
    /// The program of [`Peer::Millstream`].
    pub millstream: &'a Path,
    /// The folder for files.
    pub folder: &'a Path,
    /// The scenario that is measured.
    pub scenario: &'a Scenario,
}

impl Place<'_> {
    /// Replaces names in capitals by what is known here. FRONT and ORIGIN are ports, ADMIN is an
    /// address or "off", WINDOW and HEARTBEAT are seconds, POOL is a number of connections, JOIN is
    /// a word, the others are paths. A line that begins with {http} or {https} is only for clients
    /// that use that scheme, one with {to http} or {to https} for an origin that is asked with it,
    /// and one with {share} for shared streams.
    fn fill(&self, text: &str) -> String {
        let (https, to_https) = (self.scenario.tls, self.scenario.upstream_tls);
        let marks = [
            ("{http}", !https),
            ("{https}", https),
            ("{to http}", !to_https),
            ("{to https}", to_https),
            ("{share}", self.scenario.join.is_some()),
        ];
        let kept = |line| {
            let mut found = marks.iter().filter_map(|&(mark, kept)| {
                let rest = str::strip_prefix(line, mark)?;
                Some(kept.then_some(rest))
            });
            found.next().unwrap_or(Some(line))
        };
        let text: String = text.split_inclusive('\n').filter_map(kept).collect();
        let admin = match self.scenario.need {
            Need::Reload => self.admin.to_string(),
            _ => "off".into(),
        };
        text.replace("FRONT", &self.front.port().to_string())
            .replace("ORIGIN", &self.origin.port().to_string())
            .replace("ADMIN", &admin)
            .replace("WINDOW", &self.scenario.window.to_string())
            .replace("HEARTBEAT", &self.scenario.heartbeat.to_string())
            .replace("JOIN", self.scenario.join.unwrap_or_default())
            .replace("POOL", &self.scenario.pool.to_string())
            .replace("FOLDER", &self.folder.display().to_string())
            .replace("MILLSTREAM", &self.millstream.display().to_string())
    }
}

impl Peer {
    /// The names of all peers, separated by commas.
    pub fn names() -> String {
        ALL.map(Self::name).join(",")
    }

    /// The peer with this name.
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

    /// True for a proxy, as opposed to a reference.
    pub fn is_proxy(self) -> bool {
        !matches!(self, Self::Direct | Self::Floor)
    }

    /// The installed version; if there is none, how to install it.
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
            .env("PATH", sys::search_path())
            .output()
            .map_err(|error| format!("{}: {error} ({remedy})", program.display()))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .next()
            .unwrap_or("unknown")
            .to_owned())
    }

    /// The peer's configuration, or its source, as input for [`Place::fill`].
    pub fn configuration(self) -> Option<&'static str> {
        match self {
            Self::Direct | Self::Floor => None,
            Self::Millstream => Some(include_str!("../../peers/millstream.toml")),
            Self::Nginx => Some(include_str!("../../peers/nginx.conf")),
            Self::Haproxy => Some(include_str!("../../peers/haproxy.cfg")),
            Self::Lighttpd => Some(include_str!("../../peers/lighttpd.conf")),
            Self::Caddy => Some(include_str!("../../peers/Caddyfile")),
            Self::Go => Some(include_str!("../../peers/go/main.go")),
        }
    }

    /// The name of the file for the configuration.
    fn file(self) -> &'static str {
        match self {
            Self::Direct | Self::Floor => "",
            Self::Millstream => "millstream.toml",
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Lighttpd => "lighttpd.conf",
            Self::Caddy => "Caddyfile",
            Self::Go => "main.go",
        }
    }

    /// The command that runs the peer in the foreground, as input for [`Place::fill`].
    fn words(self) -> &'static str {
        match self {
            Self::Direct => "",
            Self::Floor => "/proc/self/exe floor --listen 127.0.0.1:FRONT --to 127.0.0.1:ORIGIN",
            Self::Millstream => "MILLSTREAM FOLDER/millstream.toml",
            Self::Nginx => "nginx -e stderr -p FOLDER -c FOLDER/nginx.conf",
            Self::Haproxy => "haproxy -W -db -q -f FOLDER/haproxy.cfg",
            Self::Lighttpd => "lighttpd -D -f FOLDER/lighttpd.conf",
            Self::Caddy => {
                "env GOMAXPROCS=1 XDG_DATA_HOME=FOLDER XDG_CONFIG_HOME=FOLDER \
                 caddy run --adapter caddyfile --config FOLDER/Caddyfile"
            }
            Self::Go => "env GOMAXPROCS=1 FOLDER/go-peer FRONT ORIGIN WINDOW POOL",
        }
    }

    /// Writes the configuration and returns the command that runs in the foreground; empty if there
    /// is no peer.
    pub fn command(self, place: &Place<'_>) -> Outcome<Vec<String>> {
        if let Some(configuration) = self.configuration() {
            let file = place.folder.join(self.file());
            fs::write(&file, place.fill(configuration))
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        if self == Self::Go && !place.folder.join("go-peer").exists() {
            let build = "env GOFLAGS=-mod=mod go build -o FOLDER/go-peer FOLDER/main.go";
            process::output_of(&filled_words(build, place))?;
        }
        Ok(filled_words(self.words(), place))
    }

    /// True if the origin must use TLS. Without a proxy in between it uses what the clients use.
    pub fn asks_with_tls(self, scenario: &Scenario) -> bool {
        match self.is_proxy() {
            true => scenario.upstream_tls,
            false => scenario.tls,
        }
    }

    /// How the peer is told to do what the scenario needs: a signal's name, a command, or nothing
    /// if it needs nothing. `None` if the peer cannot do that.
    pub fn told(self, place: &Place<'_>) -> Option<String> {
        let tls = place.scenario.tls || place.scenario.upstream_tls;
        if tls && matches!(self, Self::Lighttpd | Self::Go) {
            return None;
        }
        let word = match (place.scenario.need, self) {
            (Need::Nothing, _) | (Need::Heartbeats, Self::Millstream) => "",
            (Need::Heartbeats, _) | (Need::Drain | Need::Reload, Self::Direct) => return None,
            // The floor just exits, which shows how streams end without a drain.
            (Need::Drain, Self::Floor | Self::Millstream | Self::Caddy | Self::Go) => "TERM",
            (Need::Drain, Self::Nginx) => "QUIT",
            (Need::Drain, Self::Haproxy) => "USR1",
            (Need::Drain, Self::Lighttpd) => "INT",
            (Need::Reload, Self::Millstream | Self::Nginx) => "HUP",
            (Need::Reload, Self::Haproxy) => "USR2",
            (Need::Reload, Self::Caddy) => {
                "caddy reload --force --address ADMIN --adapter caddyfile --config FOLDER/Caddyfile"
            }
            // lighttpd's restart, in the foreground, serves nothing until the last stream has
            // ended.
            (Need::Reload, Self::Floor | Self::Lighttpd | Self::Go) => return None,
        };
        Some(place.fill(word))
    }
}

/// The words of a command, each filled separately, because paths may contain spaces.
fn filled_words(command: &str, place: &Place<'_>) -> Vec<String> {
    let words = command.split(' ').filter(|word| !word.is_empty());
    words.map(|word| place.fill(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario;

    #[test]
    fn lines_for_other_schemes_are_left_out() {
        let text = "a\n{http}b\n{https}c\n{to http}d\n{to https}e\nf";
        for (name, want) in [
            ("idle", "a\nb\nd\nf"),
            ("tls-idle", "a\nc\nd\nf"),
            ("tls-both", "a\nc\ne\nf"),
            ("tls-upstream", "a\nb\ne\nf"),
        ] {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
            let place = Place {
                front: nowhere,
                origin: nowhere,
                admin: nowhere,
                millstream: Path::new(""),
                folder: Path::new(""),
                scenario: scenario::named(name).unwrap(),
            };
            assert_eq!(place.fill(text), want, "{name}");
        }
    }
}
