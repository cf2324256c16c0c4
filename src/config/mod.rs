//! The configuration: the content of the file, checked and typed.
//!
//! A [`Config`] needs no further checks: every limit is within its bounds, every path and host has
//! the form in which it is compared, and "0 means off" has become an `Option`. A file with an error
//! gives no `Config`, only all of its errors, each with its place.
//!
//! In reading order: `file` is the schema, with `access` for `[api.auth]` and `[api.cors]`, `keys`
//! for the file of keys, and `fields` for changes to fields. `table` reads a TOML table for it, and
//! `value` and `units` read single values. `uri`, `listen` and `target` parse addresses. `shared`
//! finds apis that lead to the same paths of the same servers. `error` says what is wrong and
//! where, `unknown` suggests what an unknown key was meant to be, and `json` what to write in place
//! of Tyk's keys. Everything is pure except [`Config::load`], which reads files.
//!
//! tests/it/conf.rs tests all of it from outside, and compares conf/millstream.toml with the
//! defaults.

mod access;
mod error;
mod fields;
mod file;
mod json;
mod keys;
mod listen;
mod load;
mod shared;
mod summary;
mod table;
mod target;
mod trusted;
mod units;
mod unknown;
mod uri;
mod value;
mod warnings;

pub use access::Auth;
pub use error::ConfigErrors;
pub use listen::ListenAddr;
pub use load::{KeysText, Readers};
pub use target::Target;
pub use trusted::TrustedProxies;

use crate::access::Form;
use crate::cors;
use crate::descriptors::Budget;
use crate::http::changes::Changes;
use crate::net::Resolution;
use crate::route;
use error::Place;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A complete configuration.
#[derive(Debug)]
pub struct Config {
    /// Listeners and client connections.
    pub server: Server,
    /// How the process drains.
    pub drain: Drain,
    /// The log and the access log.
    pub log: Log,
    /// The admin listener, if it is on.
    pub admin: Option<Admin>,
    /// The built-in event source, if it is on.
    pub demo: Option<Demo>,
    /// The apis, at most 65,536. It is empty only if there is a demo.
    pub apis: Vec<Api>,
    /// For each api, the places of the names in it that are looked up elsewhere.
    places: Vec<ApiPlaces>,
    /// A line for each target without addresses, with the reason.
    unresolved: Vec<String>,
}

/// The places of the names in an api that are looked up elsewhere.
#[derive(Clone, Debug)]
struct ApiPlaces {
    target: Place,
    keys: Place,
}

/// `[server]`: listeners and client connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses to listen on. Never empty, and without duplicates.
    pub listen: Vec<ListenAddr>,
    /// The time limit for a request head, from its first byte; also how long a new client
    /// connection may be silent before that byte.
    pub read_timeout: Duration,
    /// How long a request body may pause before the response has begun.
    pub body_timeout: Duration,
    /// How long a peer may accept no byte while bytes wait for it.
    pub write_timeout: Duration,
    /// How long a client connection may be idle between two requests.
    pub keepalive_timeout: Duration,
    /// How long bytes may be collected before they are forwarded. None: not at all.
    pub flush_interval: Option<Duration>,
    /// The protocols that an `Upgrade` may ask for, in lower case: 0 to 8. None of them carries
    /// requests.
    pub upgrade: Vec<String>,
    /// The maximum number of client connections. None: the open-file limit alone decides.
    pub max_connections: Option<usize>,
    /// The maximum length of a request or response head, in bytes: 1 KiB to 1 MiB.
    pub max_head_bytes: usize,
    /// The maximum number of field lines in a head: 8 to 256.
    pub max_head_fields: usize,
    /// The maximum length of a request target, in bytes: 256 to `max_head_bytes`.
    pub max_target_bytes: usize,
    /// The maximum length of a request body, in bytes. None: no limit.
    pub max_body_bytes: Option<u64>,
    /// The maximum number of bytes held for all clients together, beyond a small buffer for each:
    /// at least 1 MiB.
    pub max_held_bytes: usize,
    /// The proxies whose `X-Forwarded-*` fields are trusted.
    pub trusted_proxies: TrustedProxies,
    /// True exactly when several processes may share the ports (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// The user that the process switches to once it listens. None: it keeps its user.
    pub user: Option<String>,
}

/// `[drain]`: stopping the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long open connections have to finish. Event streams are ended spread over it.
    pub window: Duration,
    /// The shortest time after which a client is told to reconnect when its stream ends.
    pub retry_min: Duration,
    /// The longest such time, not shorter than `retry_min`.
    pub retry_max: Duration,
}

/// `[log]`: the log and the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The lowest level that is logged.
    pub level: log::LevelFilter,
    /// The format of the access log. None: it is off.
    pub access: Option<Form>,
}

/// `[admin]`: the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address to listen on. Not one of [`Server::listen`], except for port 0.
    pub listen: ListenAddr,
}

/// `[demo]`: the built-in event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// The address to listen on. Not one of [`Server::listen`] and not [`Admin::listen`], except
    /// for port 0.
    pub listen: SocketAddr,
    /// The time between two events.
    pub interval: Duration,
}

/// `[[api]]`: hosts and paths, and where their requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// A unique name for logs and metrics: printable ASCII without `"` and `\`.
    pub name: String,
    /// False if requests that match it are answered with 404.
    pub active: bool,
    /// The hosts that match, in lower case, without port and without a dot at the end; IPv6
    /// addresses in brackets. Empty: every host.
    pub hosts: Vec<String>,
    /// The path prefix that matches. It begins with a slash and ends without one; empty for `/`.
    pub listen_path: String,
    /// True exactly when `listen_path` is removed from the path that goes upstream.
    pub strip_listen_path: bool,
    /// The targets of requests: 1 to 64, which differ only in host and port.
    pub targets: Vec<Target>,
    /// True exactly when the client's Host goes upstream, not the target's.
    pub preserve_host_header: bool,
    /// The time limit for connecting.
    pub connect_timeout: Duration,
    /// The time limit for the response head. None: no limit.
    pub response_timeout: Option<Duration>,
    /// How long an upstream may be silent within a response that is not an event stream. None: no
    /// limit.
    pub idle_timeout: Option<Duration>,
    /// How long both sides of a tunnel may be silent. None: no limit.
    pub tunnel_idle_timeout: Option<Duration>,
    /// The maximum number of idle upstream connections that are kept: 0 to 65,535.
    pub keepalive_upstream: usize,
    /// The settings for its event streams.
    pub streams: Streams,
    /// Who may use the api. None: everybody.
    pub auth: Option<Auth>,
    /// Request fields to set or remove.
    pub request_headers: Changes,
    /// Response fields to set or remove.
    pub response_headers: Changes,
    /// The pages of other origins that may read the api. None: the upstream decides.
    pub cors: Option<cors::Policy>,
}

/// An api's settings for event streams: responses whose media type is `text/event-stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// How long an upstream may be silent within a stream. None: no limit.
    pub idle_timeout: Option<Duration>,
    /// How long a client may be sent nothing before it is sent a comment. None: no comments.
    pub heartbeat: Option<Duration>,
    /// The maximum age of a stream; it ends at 80 to 100 % of this. None: no limit.
    pub max_age: Option<Duration>,
    /// The longest event that is held back until it is complete, in bytes: 1 KiB to 1 GiB.
    pub event_max: usize,
    /// True exactly when proxies in front are told not to buffer.
    pub anti_buffering: bool,
    /// The response to a request for a stream while the upstream cannot serve it.
    pub on_outage: OnOutage,
    /// When a stream is requested again without its client noticing.
    pub resume: Resume,
    /// How long to try to resume a stream.
    pub resume_timeout: Duration,
    /// The maximum number of open streams. None: no limit.
    pub max: Option<usize>,
    /// The maximum number of open streams of one client address; an IPv6 /64 counts as one. None:
    /// no limit.
    pub max_per_ip: Option<usize>,
}

impl Api {
    /// The first target. It stands for what all targets have in common.
    ///
    /// # Panics
    /// Never: there is at least one target.
    pub fn target(&self) -> &Target {
        &self.targets[0]
    }

    /// The request target that goes upstream, for a matched path and the query of the request.
    pub fn upstream_target(&self, path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        let Target { path: base, query: base_query, .. } = self.target();
        let (strip, base_query) = (self.strip_listen_path, base_query.as_deref());
        let mut target = Vec::with_capacity(128);
        route::upstream_path(&self.listen_path, strip, base, base_query, path, query, &mut target);
        target
    }
}

/// `on_outage`: the response to a GET that accepts `text/event-stream` while the upstream cannot
/// serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// 502, 503 or 504, after which a browser's EventSource never tries again.
    Error,
    /// 200 and an empty event stream that says `retry:`, after which it reconnects.
    Retry,
    /// 200 and heartbeats until the upstream is back.
    Hold,
}

/// `resume`: when a stream is requested again from its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Never: the client sees what the upstream does.
    Never,
    /// When the stream breaks.
    Broken,
    /// Also when the upstream ends it in an orderly way.
    Always,
}

/// The configuration that `--to` stands for, without its two addresses.
const EVERYTHING: &str = "
    [[api]]
    name = 'default'
    listen_path = '/'
    target_url = 'http://127.0.0.1'
";

/// Checks the name of a key, for its entry in a file of keys.
///
/// # Errors
/// If logs and metrics could not quote it.
pub fn key_name(name: &str) -> Result<String, &'static str> {
    file::printable(name)
}

impl Config {
    /// Parses the text of a file. `file_name` is for error messages. Targets whose host is a name
    /// have no addresses before [`Config::resolve`].
    ///
    /// # Errors
    /// All errors in it.
    pub fn parse(file_name: &str, text: &str) -> Result<Config, ConfigErrors> {
        file::read(file_name, text)
    }

    /// The configuration that forwards everything from `listen` (by default 127.0.0.1:8080) to
    /// `url`, whose `http://` may be left out.
    ///
    /// # Errors
    /// If the URL or the address is wrong.
    pub fn to(url: &str, listen: Option<&str>) -> Result<Config, ConfigErrors> {
        let mut config = Config::parse("--to", EVERYTHING)?;
        let place = Place::whole("--to");
        let target = Target::parse_typed(url);
        let target = target.map_err(|what| ConfigErrors::one(place.clone(), what))?;
        config.apis[0].targets = vec![target];
        config.places = vec![ApiPlaces { target: place.clone(), keys: place }];
        if let Some(listen) = listen {
            let address = ListenAddr::parse(listen)
                .map_err(|what| ConfigErrors::one(Place::whole("--listen"), what))?;
            config.server.listen = vec![address];
        }
        Ok(config)
    }

    /// Fills in the addresses of all active targets. `ask` gets their hosts and ports and returns
    /// an answer for each, in the same order. A target that is not resolved has no addresses, and
    /// [`Config::warnings`] reports it.
    pub fn resolve(&mut self, ask: impl FnOnce(Vec<(String, u16)>) -> Vec<Resolution>) {
        let names = self.unresolved_targets().map(|(_, t)| (t.host.clone(), t.port)).collect();
        let answers = ask(names);
        let mut unresolved = Vec::new();
        for ((place, target), answer) in self.unresolved_targets().zip(answers) {
            match answer {
                Ok(addresses) => target.addresses = addresses,
                Err(error) => {
                    let what = format!("{error}; nobody can connect to it until that succeeds");
                    unresolved.push(ConfigErrors::one(place.clone(), what).to_string());
                }
            }
        }
        self.unresolved = unresolved;
    }

    fn unresolved_targets(&mut self) -> impl Iterator<Item = (&Place, &mut Target)> {
        let apis = self.apis.iter_mut().zip(&self.places).filter(|(api, _)| api.active);
        let targets =
            apis.flat_map(|(api, places)| api.targets.iter_mut().map(|t| (&places.target, t)));
        targets.filter(|(_, target)| target.addresses.is_empty())
    }

    /// Divides `descriptors` descriptors of a process with this configuration.
    pub fn budget(&self, descriptors: u64) -> Budget {
        Budget::of(descriptors, self.listeners(), self.server.max_connections)
    }

    fn listeners(&self) -> usize {
        let own = usize::from(self.admin.is_some()) + usize::from(self.demo.is_some());
        self.server.listen.len() + own
    }

    /// The paths of the Unix sockets to listen on.
    pub fn socket_files(&self) -> Vec<&Path> {
        let admin = self.admin.iter().map(|admin| &admin.listen);
        let paths = self.server.listen.iter().chain(admin).filter_map(|address| match address {
            ListenAddr::Tcp(_) => None,
            ListenAddr::Unix(path) => Some(path.as_path()),
        });
        paths.collect()
    }

    /// The query parameters of all apis that carry keys, without duplicates.
    pub fn secret_parameters(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.apis.iter().filter_map(|api| Some(&api.auth.as_ref()?.carriers.query)) {
            if !name.is_empty() && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
