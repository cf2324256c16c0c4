//! The configuration file, validated and typed.
//!
//! A [`Config`] needs no further checks: every limit is within its bounds, every path and host is
//! normalized, and "0 means off" has become an `Option`. A file with a mistake gives no
//! configuration, only all of its errors with their locations.
//!
//! In reading order: `file` is the schema, `tables` has a module for each table and its keys, and
//! `values` one for each kind of value. `table` reads a TOML table for them; `error` holds errors
//! and their locations, `unknown` guesses what an unknown key was meant to be, and `json` and
//! `foreign` recognise the files of other programs. `files` handles the files that a configuration
//! names, which `load` reads. `warnings` report what is valid but probably not meant; `summary`
//! shows what is served; `everything` is the configuration without a file.
//!
//! All of it is pure except [`Config::load`], which reads files.
//!
//! tests/it/conf.rs tests all of it from outside, and conf/millstream.toml against the defaults.

mod changes;
mod error;
mod everything;
mod file;
mod files;
mod foreign;
mod json;
mod load;
mod summary;
mod table;
mod tables;
mod unknown;
mod values;
mod warnings;

pub use error::ConfigErrors;
pub use files::readers::Readers;
pub use files::renewal::Renewal;
#[cfg(test)]
pub use files::seen::Seen;
pub use files::sources::{Sources, folders_of};
#[cfg(feature = "sim")]
pub use load::KeysText;
pub use tables::access::Auth;
pub use tables::admin::{ADMIN_LISTEN, Admin, DEMO_LISTEN, Demo};
pub use tables::backend::Backend;
pub use tables::clients::Clients;
pub use tables::drain::Drain;
pub use tables::forward_auth::ForwardAuth;
pub use tables::health::{Checks, Health};
pub use tables::listen::{LISTEN, ListenAddr};
pub use tables::retry::{Failed, RetryOn};
pub use tables::share::{Ids, Join, OnGap, Share, Sharing, Slow};
pub use tables::sticky::{KnownBy, Sticky};
pub use tables::target::Target;
pub use tables::tls::Tls;
#[cfg(feature = "sim")]
pub use tables::tls::{Certificate, TlsVersion};
pub use tables::trusted::TrustedProxies;
pub use tables::upstream_tls::{UpstreamClient, UpstreamTls};
#[cfg(feature = "sim")]
pub use tables::verify_client::VerifyClient;
pub use tables::workers::{WORKERS_MAX, Workers};
pub use values::reference::Reference;
pub use warnings::certificates::Expiry;

use crate::access::{Field, Form};
use crate::cors;
use crate::descriptors::{self, Budget};
use crate::http::changes::Changes;
use crate::net::Resolution;
use crate::route;
use error::Location;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tables::tls::TlsLocations;

/// A complete configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`: listeners and limits for clients.
    pub server: Server,
    /// `[tls]`: how the clients of `listen_tls` are served.
    pub tls: Tls,
    /// `[drain]`: how the process shuts down.
    pub drain: Drain,
    /// `[log]`: both logs.
    pub log: Log,
    /// `[admin]`: the admin listener, if it is on.
    pub admin: Option<Admin>,
    /// `[demo]`: the built-in event source, if it is on.
    pub demo: Option<Demo>,
    /// The apis: at most 65,536, and none only if there is a demo.
    pub apis: Vec<Api>,
    /// The locations in each api of names that are looked up elsewhere, such as files and hosts.
    locations: Vec<ApiLocations>,
    /// The locations of the files that `[tls]` names.
    tls_locations: TlsLocations,
    /// The files that [`Server::user`] cannot read, as configured. Empty before [`Config::load`].
    hidden: Vec<String>,
    /// True exactly when this host does not have the user [`Server::user`]. False before
    /// [`Config::load`].
    has_unknown_user: bool,
    /// The files of TLS secrets that are not limited to [`Readers::Few`], as configured, and who
    /// can read each. Empty before [`Config::load`].
    readable: Vec<(String, Readers)>,
    /// The files to which strings refer (`${file:path}`), as configured.
    referenced: Vec<String>,
    /// The files that the configuration was read from.
    pub sources: Sources,
    /// The targets whose names could not be resolved.
    unresolved: Vec<Unresolved>,
}

/// A target whose name could not be resolved.
#[derive(Clone, Debug)]
struct Unresolved {
    location: Location,
    /// The name, and the port that its addresses would get.
    name: (String, u16),
    error: String,
}

/// The locations in an api of names that are looked up elsewhere.
#[derive(Clone, Debug)]
struct ApiLocations {
    target: Location,
    keys: Location,
    tls: Location,
    /// The locations of `auth.url`, and of its TLS settings.
    auth: [Location; 2],
}

/// `[server]`: listeners and limits for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses that clients connect to without TLS. Empty only if there are addresses with
    /// TLS. No address occurs twice.
    pub listen: Vec<ListenAddr>,
    /// The addresses that clients connect to with TLS. No address occurs twice, and none is also in
    /// `listen`, except with port 0.
    pub listen_tls: Vec<ListenAddr>,
    /// Where requests without TLS are redirected. None: they are served.
    pub redirect_to_https: Option<Redirect>,
    /// How long a request head may take, from its first byte to its end, and how long a client may
    /// be silent before that byte.
    pub read_timeout: Duration,
    /// How long a request body may stall before the response has begun.
    pub body_timeout: Duration,
    /// How long a peer may accept no byte while bytes are pending for it.
    pub write_timeout: Duration,
    /// How long a client connection may be idle between two requests.
    pub keepalive_timeout: Duration,
    /// How long bytes may be gathered before they are passed on. None: they are passed on at once.
    pub flush_interval: Option<Duration>,
    /// The protocols that `Upgrade` may offer, in lower case: 0 to 8. None of them carries
    /// requests.
    pub upgrade: Vec<String>,
    /// Maximum number of client connections. None: as many as the open-file limit allows.
    pub max_connections: Option<usize>,
    /// Maximum length of a request or response head in bytes: 1 KiB to 1 MiB.
    pub max_head_bytes: usize,
    /// Maximum number of field lines in a head: 8 to 256.
    pub max_head_fields: usize,
    /// Maximum length of a request target in bytes: 256 to `max_head_bytes`.
    pub max_target_bytes: usize,
    /// Maximum length of a request body in bytes. None: no limit.
    pub max_body_bytes: Option<u64>,
    /// Maximum number of bytes held for all clients beyond a small buffer each: at least 1 MiB.
    pub max_held_bytes: usize,
    /// The peers whose `X-Forwarded-*` fields are trusted, and their PROXY headers.
    pub trusted_proxies: TrustedProxies,
    /// Those of [`Server::addresses`] at which each connection begins with a PROXY header.
    pub proxy_protocol: Vec<ListenAddr>,
    /// `forwarded_proto`: those of [`Server::listen`] whose clients speak HTTPS to a proxy in
    /// front.
    pub forwarded_https: Vec<ListenAddr>,
    /// True exactly when several processes may share the ports (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// How many event loops serve clients.
    pub workers: Workers,
    /// The user that the process switches to once it listens. None: it does not switch.
    pub user: Option<String>,
    /// True exactly when the configuration is reloaded when its files change.
    pub reload_on_change: bool,
    /// True exactly when the process confines itself to what it needs.
    pub sandbox: bool,
    /// Further folders whose files, and all below, can be read in the sandbox, although no file of
    /// the configuration is there yet. Relative to the configuration file's folder.
    pub sandbox_folders: Vec<String>,
}

/// `redirect_to_https`: where requests without TLS are redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// To the host of the request, and the first port of [`Server::listen_tls`].
    HostAsked,
    /// To this origin: `https://`, a host, and perhaps a port.
    To(String),
}

/// `[log]`: the log and the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: ::log::LevelFilter,
    /// The format of the log.
    pub format: Form,
    /// The format of the access log. None: it is off.
    pub access: Option<Form>,
    /// Query parameters that are omitted from everything that is logged or shown, in addition to
    /// those that carry keys.
    pub redact_query: Vec<String>,
    /// The fields of requests that the access log shows. None of them carries a key.
    pub fields: Vec<Field>,
}

/// `[[api]]`: some hosts and paths, and the targets of their requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The name for logs and metrics, unique among apis: printable ASCII without `"` and `\`.
    pub name: String,
    /// Whether it is served. If not, requests to it are answered with 404.
    pub active: bool,
    /// The hosts that it serves, in lower case, without port and trailing dot, IPv6 addresses in
    /// brackets. Empty: every host.
    pub hosts: Vec<String>,
    /// The path prefix that it serves. Begins with a slash and ends without one; empty for `/`.
    pub listen_path: String,
    /// Whether `listen_path` is removed from the path that goes upstream.
    pub strip_listen_path: bool,
    /// The upstream endpoints: 1 to 64, which differ only in host and port.
    pub targets: Vec<Target>,
    /// The TLS settings for targets with `https://`.
    pub upstream_tls: UpstreamTls,
    /// Whether the client's Host is forwarded instead of the target's.
    pub preserve_host_header: bool,
    /// The Host that goes upstream. None: the target's, or the client's.
    pub host_header: Option<String>,
    /// Whether redirects to the upstream are rewritten so that the client can follow them.
    pub rewrite_redirects: bool,
    /// The time limit for connecting.
    pub connect_timeout: Duration,
    /// How long the response head may take. None: no limit.
    pub response_timeout: Option<Duration>,
    /// How long an upstream may be silent within a response that is not an event stream. None: no
    /// limit.
    pub idle_timeout: Option<Duration>,
    /// How long both sides of a tunnel may be silent. None: no limit.
    pub tunnel_idle_timeout: Option<Duration>,
    /// Maximum number of idle upstream connections kept for reuse: 0 to 65,535.
    pub keepalive_upstream: usize,
    /// Whether each upstream connection begins with a PROXY header that names the client.
    pub send_proxy: bool,
    /// Maximum number of connections to each target, idle ones included: up to 65,535. None: no
    /// limit.
    pub max_upstream: Option<usize>,
    /// How long a request may wait for a connection while all targets have `max_upstream`
    /// connections.
    pub queue_timeout: Duration,
    /// After which failures of a target a request is sent to another one.
    pub retry_on: RetryOn,
    /// Maximum length in bytes of a request body that is kept for a retry: up to 1 GiB.
    pub retry_body: usize,
    /// When targets are passed over for a while.
    pub health: Health,
    /// How clients are kept at the replica that knows them. None: they are not.
    pub sticky: Option<Sticky>,
    /// How clients share upstream streams. None: each has its own.
    pub share: Option<Share>,
    /// The settings for its event streams.
    pub streams: Streams,
    /// Which clients may send which requests.
    pub clients: Clients,
    /// Whether clients need a certificate.
    pub client_certificate: bool,
    /// How keys are checked. None: no key is needed.
    pub auth: Option<Auth>,
    /// The auth server that decides which requests are let in. None: there is none.
    pub forward_auth: Option<ForwardAuth>,
    /// The request fields to set or remove.
    pub request_headers: Changes,
    /// The response fields to set or remove.
    pub response_headers: Changes,
    /// Which pages of other origins may read its responses. None: the upstream decides.
    pub cors: Option<cors::Policy>,
}

/// The settings for an api's event streams: responses whose media type is `text/event-stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// What the event streams are. None: the response to a GET without a body is a subscription,
    /// and that to any other request an answer.
    pub kind: Option<StreamKind>,
    /// Whether every request may be answered with an event stream. Otherwise only one that asks for
    /// an event stream may.
    pub always: bool,
    /// How long the response head may take for a GET that may be answered with an event stream.
    /// None: no limit.
    pub response_timeout: Option<Duration>,
    /// How long the first event may take in a response that may be an event stream. None: no limit.
    pub first_event_timeout: Option<Duration>,
    /// How long a client waits for the upstream's response head before it gets one of ours. None:
    /// as long as the upstream takes.
    pub early_answer: Option<Duration>,
    /// How long an upstream may send no complete event within a stream. None: no limit.
    pub stall_timeout: Option<Duration>,
    /// How long an upstream may be silent within a stream. None: no limit.
    pub idle_timeout: Option<Duration>,
    /// How long a client may be sent nothing before it gets a heartbeat. None: it gets no
    /// heartbeats, and while the upstream's stream lasts, only the upstream's bytes.
    pub heartbeat: Option<Duration>,
    /// The event that serves as heartbeat, with its blank line. None: heartbeats are comments.
    /// Always None if there are no heartbeats.
    pub heartbeat_event: Option<String>,
    /// The event that is sent before an answer is cut, with its blank line. None: no event.
    pub end_event: Option<String>,
    /// Whether the upstream may compress event streams.
    pub compression: Compression,
    /// The maximum age of a subscription, which is ended at 80 to 100 % of it. None: no limit.
    pub max_age: Option<Duration>,
    /// Maximum length in bytes of an event that is held until it is complete: 1 KiB to 1 GiB.
    pub event_max: usize,
    /// Whether intermediaries are asked not to buffer.
    pub anti_buffering: bool,
    /// What a request for a stream gets if the upstream cannot serve it.
    pub on_outage: OnOutage,
    /// Whether a request for a stream that exceeds a rate also gets an error. Otherwise it is told
    /// when to come back.
    pub rates_are_errors: bool,
    /// When a broken stream is resumed without its client noticing.
    pub resume: Resume,
    /// How long the proxy tries to resume a stream.
    pub resume_timeout: Duration,
    /// Maximum number of open streams. None: no limit.
    pub max: Option<usize>,
    /// Maximum number of open streams per client address; an IPv6 /64 counts as one. None: no
    /// limit.
    pub max_per_ip: Option<usize>,
}

impl Server {
    /// All addresses that clients connect to.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddr> {
        self.listen.iter().chain(&self.listen_tls)
    }
}

impl Streams {
    /// True exactly when a limit depends on when events arrive.
    pub const fn time_events(&self) -> bool {
        self.first_event_timeout.is_some() || self.stall_timeout.is_some()
    }

    /// True exactly when it matters whether a request's body asks for an event stream.
    pub const fn heed_bodies(&self) -> bool {
        self.first_event_timeout.is_some() || self.early_answer.is_some()
    }
}

impl Api {
    /// Its first target, for what all its targets have in common.
    ///
    /// # Panics
    /// Never: there is at least one.
    pub fn target(&self) -> &Target {
        &self.targets[0]
    }

    /// True if a request that was written for a target of this api can be sent to one of `other`.
    /// The two may differ only in the hosts of their targets, in when these are asked, and in the
    /// number of connections.
    pub fn serves_like(&self, other: &Api) -> bool {
        let with_other_targets = || Api {
            targets: other.targets.clone(),
            connect_timeout: other.connect_timeout,
            keepalive_upstream: other.keepalive_upstream,
            max_upstream: other.max_upstream,
            queue_timeout: other.queue_timeout,
            health: other.health.clone(),
            ..self.clone()
        };
        self.name == other.name
            && self.target().path == other.target().path
            && self.target().query == other.target().query
            && with_other_targets() == *other
    }

    /// True exactly when some of its requests are limited by a rate.
    pub fn has_rates(&self) -> bool {
        let Clients { max_requests, max_requests_per_ip, .. } = &self.clients;
        let mut keys = self.auth.iter().flat_map(|auth| &*auth.keys);
        let any = max_requests.is_some() || max_requests_per_ip.is_some();
        any || keys.any(|key| key.max_requests.is_some())
    }

    /// The request target that goes upstream, for a matched path and the request's query.
    pub fn upstream_target(&self, path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        let Target { path: base, query: base_query, .. } = self.target();
        let (strip, base_query) = (self.strip_listen_path, base_query.as_deref());
        let mut target = Vec::with_capacity(128);
        route::upstream_path(&self.listen_path, strip, base, base_query, path, query, &mut target);
        target
    }
}

/// `kind`: what an event stream is to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Its client reconnects by itself, so it may be ended between any two events: prices,
    /// notifications.
    Subscription,
    /// It is not repeated, so if it is ended early, the client must be able to see that it is
    /// incomplete: the tokens of a model, the progress of a tool.
    Answer,
}

impl StreamKind {
    /// The word in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            StreamKind::Subscription => "subscription",
            StreamKind::Answer => "answer",
        }
    }
}

/// `compression`: what happens to Accept-Encoding in a request that may be answered with an event
/// stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// It is removed, so that the stream is not compressed and its events can be found.
    Strip,
    /// It is passed on, and a compressed stream passes unchanged. No stream is resumed, held or
    /// answered early then, because that requires uncompressed streams.
    Pass,
}

/// `on_outage`: the response to a GET that accepts `text/event-stream` while the upstream cannot
/// serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// An error, 502, 503 or 504, after which a browser's EventSource never reconnects.
    Error,
    /// 200 and an event stream that sends `retry:` and ends, after which it does reconnect.
    Retry,
    /// 200 and heartbeats until the upstream is back.
    Hold,
}

/// `resume`: when a stream is requested again from its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Never: the client sees every break and end.
    Never,
    /// When the stream breaks.
    Broken,
    /// When the stream breaks, and also when the upstream ends it.
    Always,
}

/// Checks the name of a key for an entry in the key file.
///
/// # Errors
/// If logs and metrics cannot quote it.
pub fn key_name(name: &str) -> Result<String, &'static str> {
    values::value::printable(name)
}

impl Config {
    /// Parses the text of a file. `file_name` is for errors. Targets with a host name have no
    /// addresses before [`Config::resolve`].
    ///
    /// # Errors
    /// All errors in it.
    pub fn parse(file_name: &str, text: &str) -> Result<Config, ConfigErrors> {
        Config::parse_with(file_name, text, values::reference::nothing)
    }

    /// Like [`Config::parse`]. `resolve` returns the value of a reference in a string, or says why
    /// it cannot.
    ///
    /// # Errors
    /// All errors in it.
    pub fn parse_with(
        file_name: &str,
        text: &str,
        mut resolve: impl FnMut(Reference<'_>) -> Result<String, String>,
    ) -> Result<Config, ConfigErrors> {
        file::read(file_name, text, &mut resolve)
    }

    /// Fills in the addresses of all targets and auth servers of active apis. `ask` gets their
    /// hosts and ports and returns an answer for each, in the same order. A target that cannot be
    /// resolved has no addresses, and [`Config::warnings`] reports it.
    pub fn resolve(&mut self, ask: impl FnOnce(Vec<(String, u16)>) -> Vec<Resolution>) {
        let names = self.unresolved_targets().map(|(_, t)| (t.host.clone(), t.port)).collect();
        let answers = ask(names);
        let mut unresolved = Vec::new();
        for ((location, target), answer) in self.unresolved_targets().zip(answers) {
            match answer {
                Ok(addresses) => target.addresses = addresses,
                Err(error) => {
                    let (location, name) = (location.clone(), (target.host.clone(), target.port));
                    unresolved.push(Unresolved { location, name, error });
                }
            }
        }
        self.unresolved = unresolved;
    }

    /// The names that could not be resolved, with their ports, and why.
    pub fn unresolved(&self) -> BTreeMap<(String, u16), String> {
        self.unresolved.iter().map(|one| (one.name.clone(), one.error.clone())).collect()
    }

    fn unresolved_targets(&mut self) -> impl Iterator<Item = (&Location, &mut Target)> {
        let apis = self.apis.iter_mut().zip(&self.locations).filter(|(api, _)| api.active);
        let targets = apis.flat_map(|(api, locations)| {
            let auth_servers = api.forward_auth.iter_mut().flat_map(|auth| &mut auth.target);
            let auth_servers = auth_servers.map(|target| (&locations.auth[0], target));
            api.targets.iter_mut().map(|target| (&locations.target, target)).chain(auth_servers)
        });
        targets.filter(|(_, target)| target.addresses.is_empty())
    }

    /// Divides this many file descriptors among their uses.
    pub fn budget(&self, descriptors: u64) -> Budget {
        let rechecks = |api: &Api| api.forward_auth.as_ref().is_some_and(|a| a.recheck.is_some());
        let any = self.apis.iter().any(rechecks);
        let kept_back = if any { descriptors::RECHECKS.min(descriptors / 16) } else { 0 };
        let max = self.server.max_connections;
        let budget = Budget::of(descriptors - kept_back, self.listeners(), max);
        let connections = budget.connections + usize::try_from(kept_back).unwrap_or(0);
        Budget { connections, ..budget }
    }

    /// The addresses of the listeners for operators.
    fn operators(&self) -> impl Iterator<Item = &ListenAddr> {
        self.admin.iter().flat_map(|admin| [Some(&admin.listen), admin.probes.as_ref()]).flatten()
    }

    fn listeners(&self) -> usize {
        self.addresses().len()
    }

    /// All addresses to listen on.
    pub fn addresses(&self) -> Vec<ListenAddr> {
        let demo = self.demo.iter().map(|demo| ListenAddr::Tcp(demo.listen));
        self.server.addresses().chain(self.operators()).cloned().chain(demo).collect()
    }

    /// The paths of the Unix sockets to listen on.
    pub fn socket_files(&self) -> Vec<&Path> {
        let paths =
            self.server.addresses().chain(self.operators()).filter_map(|address| match address {
                ListenAddr::Tcp(_) => None,
                ListenAddr::Unix(path) => Some(path.as_path()),
            });
        paths.collect()
    }

    /// The query parameters that carry keys in any api, and those in `redact_query`, each once.
    pub fn secret_parameters(&self) -> Vec<String> {
        let keys = self.apis.iter().filter_map(|api| Some(&api.auth.as_ref()?.carriers.query));
        let mut names: Vec<String> = Vec::new();
        for name in keys.chain(&self.log.redact_query) {
            if !name.is_empty() && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
