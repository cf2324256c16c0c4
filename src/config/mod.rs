//! The configuration: what the file says, judged and typed.
//!
//! Whoever holds a [`Config`] has nothing left to check: every limit is within its bounds, every
//! path and host is in the form that it is compared in, and "0 means off" has become an `Option`.
//! A file that is wrong anywhere gives none of it, only all of its errors, each with its place.
//!
//! In reading order: `file` is the schema, with `access` for who may come in, `keys` for the file
//! of keys, and `fields` for fields that are changed; `table` takes a TOML table apart for it, with
//! `value` and `units` for single values; `uri`, `listen` and `target` know addresses; `shared`
//! knows which apis lead to the same paths of the same servers; `error` says what is wrong and
//! where, `unknown` what was meant by a key that is not known, and `json` what to write in place of
//! Tyk's. All of it is pure but for [`Config::load`], which reads files.
//!
//! tests/it/conf.rs tests the whole from outside, and holds conf/millstream.toml to the defaults.

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

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Towards clients.
    pub server: Server,
    /// How the process ends.
    pub drain: Drain,
    /// What the operator reads.
    pub log: Log,
    /// The operator's listener, if it is on.
    pub admin: Option<Admin>,
    /// The built-in event source, if it is on.
    pub demo: Option<Demo>,
    /// What goes where. At most 65,536; none only if there is a demo.
    pub apis: Vec<Api>,
    /// Where each api names what is looked up elsewhere.
    places: Vec<ApiPlaces>,
    /// Which targets have no addresses yet, and why.
    unresolved: Vec<String>,
}

/// Where an api names what is looked up elsewhere.
#[derive(Clone, Debug)]
struct ApiPlaces {
    target: Place,
    keys: Place,
}

/// `[server]`: listeners, and what clients may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where clients are waited for. Never empty; no address twice.
    pub listen: Vec<ListenAddr>,
    /// From the first byte of a request head to its end; also, how long a client may be silent
    /// before that byte.
    pub read_timeout: Duration,
    /// How long a request body may stand still before the response has begun.
    pub body_timeout: Duration,
    /// How long a peer may take no byte while bytes wait for it.
    pub write_timeout: Duration,
    /// How long a client connection may be idle.
    pub keepalive_timeout: Duration,
    /// How long bytes may be gathered before they are handed on. None: not at all.
    pub flush_interval: Option<Duration>,
    /// The protocols that an `Upgrade` may ask for, in lower case: 0 to 8. None of them carries
    /// requests.
    pub upgrade: Vec<String>,
    /// Client connections, as far as the open-file limit has room for them. None: no other limit.
    pub max_connections: Option<usize>,
    /// The length of a request or response head, in bytes: 1 KiB to 1 MiB.
    pub max_head_bytes: usize,
    /// The number of field lines of a head: 8 to 256.
    pub max_head_fields: usize,
    /// The length of a request target, in bytes: 256 to `max_head_bytes`.
    pub max_target_bytes: usize,
    /// The length of a request body, in bytes. None: no limit.
    pub max_body_bytes: Option<u64>,
    /// What all clients together may have held for them beyond a small buffer each, in bytes: at
    /// least 1 MiB.
    pub max_held_bytes: usize,
    /// Whose `X-Forwarded-*` fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether several processes may share the ports (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Which user the process becomes once it listens. None: it stays who it is.
    pub user: Option<String>,
}

/// `[drain]`: how the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long what runs is given to end by itself. Event streams are ended spread over it.
    pub window: Duration,
    /// Before it ends, a stream is told to come back after a random time from this one
    pub retry_min: Duration,
    /// to this one, which is not shorter.
    pub retry_max: Duration,
}

/// `[log]`: what the operator reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is written.
    pub level: log::LevelFilter,
    /// How the access log is written. None: not at all.
    pub access: Option<Form>,
}

/// `[admin]`: the operator's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it is. Not one of [`Server::listen`], but for port 0.
    pub listen: ListenAddr,
}

/// `[demo]`: the built-in event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Where it is served. Not one of [`Server::listen`] and not [`Admin::listen`], but for port 0.
    pub listen: SocketAddr,
    /// From one event to the next.
    pub interval: Duration,
}

/// `[[api]]`: some hosts and paths, and where their requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// For logs: printable ASCII without `"` and `\`. No other api has it.
    pub name: String,
    /// Whether it is served; its requests are answered with 404 if not.
    pub active: bool,
    /// In lower case, without port, without a dot at the end; IPv6 addresses in brackets. Empty:
    /// every host.
    pub hosts: Vec<String>,
    /// Begins with a slash and ends without one; empty for `/`.
    pub listen_path: String,
    /// Whether `listen_path` is taken off the path that goes upstream.
    pub strip_listen_path: bool,
    /// Where requests go: 1 to 64 places that differ in nothing but host and port.
    pub targets: Vec<Target>,
    /// Whether the client's Host goes upstream, instead of the target's.
    pub preserve_host_header: bool,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long it may take until the response head is complete. None: as long as it likes.
    pub response_timeout: Option<Duration>,
    /// How long an upstream may be silent within a response that is no event stream. None: for as
    /// long as it likes.
    pub idle_timeout: Option<Duration>,
    /// How long both sides of a tunnel may be silent. None: for as long as they like.
    pub tunnel_idle_timeout: Option<Duration>,
    /// Idle upstream connections kept for reuse: 0 to 65,535.
    pub keepalive_upstream: usize,
    /// How its event streams are treated.
    pub streams: Streams,
    /// Who may use it. None: everybody.
    pub auth: Option<Auth>,
    /// Fields of requests that are set or removed.
    pub request_headers: Changes,
    /// Fields of responses that are set or removed.
    pub response_headers: Changes,
    /// Which pages of other origins may read it. None: the upstream says so itself.
    pub cors: Option<cors::Policy>,
}

/// How an api's event streams are treated: responses whose media type is `text/event-stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// How long an upstream may be silent within a stream. None: for as long as it likes.
    pub idle_timeout: Option<Duration>,
    /// How long a client may have been sent nothing until it is sent a comment. None: for ever.
    pub heartbeat: Option<Duration>,
    /// How old a stream may get; it ends at 80 to 100 % of this. None: there is no limit.
    pub max_age: Option<Duration>,
    /// The length of an event that is still understood, in bytes: 1 KiB to 1 GiB.
    pub event_max: usize,
    /// Whether the client's side is told not to buffer.
    pub anti_buffering: bool,
    /// What who asks for a stream gets when the upstream cannot serve it.
    pub on_outage: OnOutage,
    /// When a stream is asked for again though its client knows nothing of it.
    pub resume: Resume,
    /// How long that is tried.
    pub resume_timeout: Duration,
    /// How many may be open at a time. None: there is no limit.
    pub max: Option<usize>,
    /// How many may be open at a time for one client address, an IPv6 /64 being one. None: there is
    /// no limit.
    pub max_per_ip: Option<usize>,
}

impl Api {
    /// The first of its targets: what all of them have in common.
    ///
    /// # Panics
    /// Never: there is one.
    pub fn target(&self) -> &Target {
        &self.targets[0]
    }

    /// The request target that goes upstream, for a path that was matched and the request's query.
    pub fn upstream_target(&self, path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        let Target { path: base, query: base_query, .. } = self.target();
        let (strip, base_query) = (self.strip_listen_path, base_query.as_deref());
        let mut target = Vec::with_capacity(128);
        route::upstream_path(&self.listen_path, strip, base, base_query, path, query, &mut target);
        target
    }
}

/// `on_outage`: what a GET that accepts `text/event-stream` gets when the upstream cannot serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// 502, 503 or 504, after which a browser's EventSource never tries again.
    Error,
    /// 200 and an event stream that says `retry:` and ends, after which it does.
    Retry,
    /// 200 and heartbeats until the upstream is back.
    Hold,
}

/// `resume`: when an upstream is asked for the rest of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Never: the client sees what the upstream does.
    Never,
    /// When the stream broke.
    Broken,
    /// Also when the upstream ended it.
    Always,
}

/// The file that `--to` stands for, but for its two addresses.
const EVERYTHING: &str = "
    [[api]]
    name = 'default'
    listen_path = '/'
    target_url = 'http://127.0.0.1'
";

/// The name of a key, for the entry that a file of keys has for it.
///
/// # Errors
/// If logs and metrics could not put it in quotes.
pub fn key_name(name: &str) -> Result<String, &'static str> {
    file::printable(name)
}

impl Config {
    /// Reads the text of a file. `file_name` is for the errors. Targets with a name, not an
    /// address, have no addresses before [`Config::resolve`].
    ///
    /// # Errors
    /// If anything in it is wrong.
    pub fn parse(file_name: &str, text: &str) -> Result<Config, ConfigErrors> {
        file::read(file_name, text)
    }

    /// The configuration that sends everything on `listen` (127.0.0.1:8080 if none is given) to
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

    /// How a process that may have so many descriptors divides them.
    pub fn budget(&self, descriptors: u64) -> Budget {
        Budget::of(descriptors, self.listeners(), self.server.max_connections)
    }

    fn listeners(&self) -> usize {
        let own = usize::from(self.admin.is_some()) + usize::from(self.demo.is_some());
        self.server.listen.len() + own
    }

    /// The files of the Unix sockets that are listened on.
    pub fn socket_files(&self) -> Vec<&Path> {
        let admin = self.admin.iter().map(|admin| &admin.listen);
        let paths = self.server.listen.iter().chain(admin).filter_map(|address| match address {
            ListenAddr::Tcp(_) => None,
            ListenAddr::Unix(path) => Some(path.as_path()),
        });
        paths.collect()
    }

    /// The query parameters that carry keys, of all apis, each once.
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
