//! The peers, each set up as its manual says for event streams: one worker, nothing buffered,
//! nothing logged.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

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
    /// HAProxy.
    Haproxy,
}

const ALL: [Peer; 5] = [
    Peer::Direct,
    Peer::Floor,
    Peer::Millstream,
    Peer::Nginx,
    Peer::Haproxy,
];

const MILLSTREAM: &str = r#"[server]
listen = ["127.0.0.1:FRONT"]

[log]
level = "warn"
access = "off"

[[api]]
name = "bench"
listen_path = "/"
target_url = "http://127.0.0.1:ORIGIN"
"#;

const NGINX: &str = r#"daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid FOLDER/nginx.pid;
error_log stderr crit;
events {
    use epoll;
    worker_connections 19900;
}
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    upstream origin {
        server 127.0.0.1:ORIGIN;
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }
    server {
        listen 127.0.0.1:FRONT backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }
    }
}
"#;

const HAPROXY: &str = "global
    nbthread 1
    maxconn 9900
defaults
    mode http
    backlog 4096
    option http-no-delay
    option abortonclose
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend front
    bind 127.0.0.1:FRONT
    default_backend origin
backend origin
    server origin 127.0.0.1:ORIGIN
";

impl Peer {
    /// The peer of a name.
    pub fn named(name: &str) -> Outcome<Self> {
        let names = || ALL.map(Self::name).join(", ");
        let found = ALL.into_iter().find(|peer| peer.name() == name);
        found.ok_or_else(|| format!("--peers {name}: there are {}", names()))
    }

    /// The peer's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Millstream => "millstream",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
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

    /// The peer's configuration, with FRONT, ORIGIN and FOLDER in the places of what changes.
    pub fn configuration(self) -> Option<&'static str> {
        match self {
            Self::Direct | Self::Floor => None,
            Self::Millstream => Some(MILLSTREAM),
            Self::Nginx => Some(NGINX),
            Self::Haproxy => Some(HAPROXY),
        }
    }

    /// Writes the configuration and returns the command that runs in the foreground; no words for
    /// no peer.
    pub fn command(
        self,
        front: SocketAddr,
        origin: SocketAddr,
        millstream: &Path,
        folder: &Path,
    ) -> Outcome<Vec<String>> {
        let file = folder
            .join(format!("{}.conf", self.name()))
            .display()
            .to_string();
        let folder = folder.display().to_string();
        if let Some(template) = self.configuration() {
            let text = template
                .replace("FRONT", &front.port().to_string())
                .replace("ORIGIN", &origin.port().to_string())
                .replace("FOLDER", &folder);
            fs::write(&file, text).map_err(|error| format!("cannot write {file}: {error}"))?;
        }
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let itself = itself.display().to_string();
        let millstream = millstream.display().to_string();
        let (front, origin) = (front.to_string(), origin.to_string());
        let words: &[&str] = match self {
            Self::Direct => &[],
            Self::Floor => &[&itself, "floor", "--listen", &front, "--to", &origin],
            Self::Millstream => &[&millstream, &file],
            Self::Nginx => &["nginx", "-e", "stderr", "-p", &folder, "-c", &file],
            Self::Haproxy => &["haproxy", "-db", "-q", "-f", &file],
        };
        Ok(words.iter().map(|&word| word.to_owned()).collect())
    }
}
