//! The peers, each set up as its manual says for event streams: one core, nothing buffered,
//! nothing logged, the same window for all to drain in.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::scenario::{Need, Scenario};
use crate::sys::{self, Outcome};

/// What stands between load and origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Nothing: what load and origin reach by themselves.
    Direct,
    /// The relay of this package that parses nothing.
    Floor,
    /// The proxy that all this is about.
    Millstream,
    /// The server nginx.
    Nginx,
    /// HAProxy, a master and its worker, as Debian runs it.
    Haproxy,
    /// The server lighttpd with its mod_proxy.
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

/// Where the peer of one measurement is, what is around it, and what it is for.
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
    /// What it is measured in.
    pub scenario: &'a Scenario,
}

impl Place<'_> {
    /// Puts what is known here into the places of names in capitals. FRONT and ORIGIN are ports,
    /// ADMIN is an address or "off", WINDOW and HEARTBEAT are seconds, POOL is a number of
    /// connections, JOIN is a word, the others are paths. A line that begins with {http} or
    /// {https} is only for clients that come with that, one with {to http} or {to https} for an
    /// origin that is asked with that, and one with {share} for streams that are shared.
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

    /// True exactly when this is a proxy, and no measure for those.
    pub fn is_proxy(self) -> bool {
        !matches!(self, Self::Direct | Self::Floor)
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

    /// The peer's configuration, or its source, as [`Place::fill`] is to fill it.
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

    /// The name of the file that the configuration is written to.
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

    /// What runs the peer in the foreground, to be filled in the same way.
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

    /// Writes the configuration and returns the command that runs in the foreground; no words for
    /// no peer.
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

    /// True exactly when the origin is to speak TLS. With no proxy between them it speaks what the
    /// clients do.
    pub fn asks_with_tls(self, scenario: &Scenario) -> bool {
        match self.is_proxy() {
            true => scenario.upstream_tls,
            false => scenario.tls,
        }
    }

    /// How the peer is told to do what the scenario needs, empty where it needs nothing: a signal's
    /// name, or a command. `None`: it cannot do that.
    pub fn told(self, place: &Place<'_>) -> Option<String> {
        let tls = place.scenario.tls || place.scenario.upstream_tls;
        if tls && matches!(self, Self::Lighttpd | Self::Go) {
            return None;
        }
        let word = match (place.scenario.need, self) {
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
                "caddy reload --force --address ADMIN --adapter caddyfile --config FOLDER/Caddyfile"
            }
            // lighttpd's restart, in the foreground, serves nobody until the last stream has ended.
            (Need::Reload, Self::Floor | Self::Lighttpd | Self::Go) => return None,
        };
        Some(place.fill(word))
    }
}

/// The words of a command, each filled by itself: paths may have spaces.
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
