//! The schema of the configuration file: its tables and keys, their defaults and limits.
//!
//! Each function below reads one table in the order of conf/millstream.toml. A rule about two keys
//! is checked where the second one is read, so that its error has a location.

use super::error::{ConfigErrors, Location, Wrong};
use super::table::{self, Format, Table};
use super::tables::access::{auth, client_certificate, cors};
use super::tables::admin::{admin, demo};
use super::tables::clients::clients;
use super::tables::fields::{Written, changes};
use super::tables::forward_auth::forward_auth;
use super::tables::health::health;
use super::tables::listen;
use super::tables::log::log;
use super::tables::retry::{RetryOn, retry_on};
use super::tables::share::{EVENT_MAX as SHARED_EVENT_MAX, share};
use super::tables::sticky::sticky;
use super::tables::targets::targets;
use super::tables::tls::tls;
use super::tables::upstream_tls::upstream_tls;
use super::tables::workers::{Workers, workers};
use super::values::event::one_event;
use super::values::networks::networks;
use super::values::reference::Resolve;
use super::values::uri;
use super::values::value::{
    self, count, duration, duration_or_zero, flag, limit, list, memory, size, text,
};
use super::{
    Api, ApiLocations, Auth, Compression, Config, Drain, ForwardAuth, OnOutage, Resume, Server,
    Sources, StreamKind, Streams, Target,
};
use super::{TrustedProxies, unknown};
use crate::http::changes::Changes;
use crate::http::upgrade;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;
use toml::de::DeValue;

const KIB: usize = 1 << 10;

/// Maximum number of apis: an api's number has 16 bits.
const APIS_MAX: usize = 1 << 16;

/// The default of `keepalive_upstream`.
pub(super) const KEEPALIVE_UPSTREAM: usize = 1024;

/// The default of `response_timeout`.
pub(super) const RESPONSE_TIMEOUT: Duration = seconds(60);

/// The default of `resume_timeout`.
pub(super) const RESUME_TIMEOUT: Duration = seconds(60);

/// `every_table` has the tables that are read only if they are present.
const FORMAT: Format = Format {
    every_table: "
        [tls]
        [[tls.certificate]]
        [admin]
        [demo]
        [[api]]
        [api.upstream_tls]
        [api.sticky]
        [api.share]
        [api.auth]
        [api.auth.upstream_tls]
        [api.request_headers]
        [api.response_headers]
        [api.cors]
    ",
    tyk: unknown::TYK,
    others: unknown::OTHERS,
};

pub(super) fn read(
    name: &str,
    text: &str,
    resolve: &mut Resolve<'_>,
) -> Result<Config, ConfigErrors> {
    table::read(name, text, FORMAT, resolve, config)
}

/// Returns all tables and their keys.
#[cfg(test)]
pub(super) fn schema() -> unknown::Schema {
    table::schema(FORMAT, config)
}

fn config(t: &mut Table<'_, '_>) -> Option<Config> {
    let idle = !t.has("api") && !t.has("demo");
    let has_certificate = t.has_in("tls", "certificate");
    let server = t.table("server", |t| server(t, has_certificate));
    let (tls, tls_locations) = t.table("tls", tls);
    let drain = t.table("drain", drain);
    let admin = t.table_if_any("admin", |t| admin(t, &server));
    let demo = t.table_if_any("demo", |t| demo(t, &server, admin.as_ref()));
    let mut seen = Seen::default();
    let shows_certificates = tls.verify_client.is_some() && !server.listen_tls.is_empty();
    let apis = t.tables("api", |t| api(t, &mut seen, server.workers, shows_certificates));
    if idle {
        t.missing("api", "there is nothing to serve; write an [[api]], or a [demo]");
    } else if apis.len() > APIS_MAX {
        t.missing("api", "more than 65536 apis; split them over several processes");
    }
    let (apis, locations): (Vec<Api>, _) = apis.into_iter().unzip();
    // Last, because the access log must show no field that carries the key of an api.
    let log = t.table("log", |t| log(t, &apis));
    Some(Config {
        server,
        tls,
        drain,
        log,
        admin,
        demo,
        apis,
        locations,
        tls_locations,
        hidden: Vec::new(),
        has_unknown_user: false,
        readable: Vec::new(),
        referenced: Vec::new(),
        sources: Sources::default(),
        unresolved: Vec::new(),
    })
}

fn server(t: &mut Table<'_, '_>, has_certificate: bool) -> Server {
    let (listen, listen_tls) = listen::addresses(t, has_certificate);
    let redirect_to_https = |value: &DeValue<'_>| listen::redirect(value, &listen_tls);
    let redirect_to_https = t.take("redirect_to_https", redirect_to_https).flatten();
    let max_head_bytes = t.take("max_head_bytes", memory(KIB..=1024 * KIB)).unwrap_or(16 * KIB);
    let trusted_proxies =
        t.take("trusted_proxies", networks).map(TrustedProxies).unwrap_or_default();
    let at = |value: &DeValue<'_>| {
        listen::proxy_protocol(value, [&listen, &listen_tls], &trusted_proxies)
    };
    let proxy_protocol = t.take("proxy_protocol", at).unwrap_or_default();
    let forwarded_proto = |value: &DeValue<'_>| listen::forwarded_proto(value, &listen);
    let forwarded_https = t.take("forwarded_proto", forwarded_proto).unwrap_or_default();
    Server {
        listen,
        listen_tls,
        redirect_to_https,
        read_timeout: t.take("read_timeout", duration).unwrap_or(seconds(10)),
        body_timeout: t.take("body_timeout", duration).unwrap_or(seconds(60)),
        write_timeout: t.take("write_timeout", duration).unwrap_or(seconds(30)),
        keepalive_timeout: t.take("keepalive_timeout", duration).unwrap_or(seconds(75)),
        flush_interval: t.take("flush_interval", limit).flatten(),
        upgrade: upgrades(t),
        max_connections: t.take("max_connections", count(0..=10_000_000)).filter(|n| *n != 0),
        max_head_bytes,
        max_head_fields: t.take("max_head_fields", count(8..=256)).unwrap_or(100),
        max_target_bytes: t
            .take("max_target_bytes", memory(256..=max_head_bytes))
            .unwrap_or(max_head_bytes.min(8 * KIB)),
        max_body_bytes: t.take("max_body_bytes", size(0..=1 << 62)).filter(|n| *n != 0),
        max_held_bytes: t
            .take("max_held_bytes", size(1 << 20..=1 << 40))
            .map_or(64 * KIB * KIB, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        trusted_proxies,
        proxy_protocol,
        forwarded_https,
        reuse_port: t.take("reuse_port", flag).unwrap_or(false),
        workers: t.take("workers", workers).unwrap_or(Workers::Number(1)),
        user: t.take("user", user),
        reload_on_change: t.take("reload_on_change", flag).unwrap_or(false),
        sandbox: t.take("sandbox", flag).unwrap_or(false),
        sandbox_folders: t.take("sandbox_folders", folders).unwrap_or_default(),
    }
}

fn folders(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    const EXAMPLE: &str = "[\"/etc/letsencrypt\"]";
    list(value, EXAMPLE, |value| {
        value::file(value)?.ok_or_else(|| format!("not a folder; write one as in {EXAMPLE}").into())
    })
}

/// Reads `enable_websockets`, Tyk's key, as a list of protocols; false is an empty one.
fn upgrades(t: &mut Table<'_, '_>) -> Vec<String> {
    let listed = t.take("upgrade", protocols).unwrap_or_else(|| vec!["websocket".to_owned()]);
    let enabled = t.take("enable_websockets", flag).unwrap_or(true);
    if enabled { listed } else { Vec::new() }
}

fn protocols(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let mut protocols: Vec<String> = Vec::new();
    list(value, "[\"websocket\"]", |value| {
        let protocol = text(value)?.to_ascii_lowercase();
        if !upgrade::is_protocol(&protocol) {
            return Err("not a protocol; write a name, like \"websocket\" or \"irc/6.9\"".into());
        }
        if upgrade::carries_requests(&protocol) {
            return Err("this protocol could carry requests past all checks; leave it out".into());
        }
        if protocols.contains(&protocol) {
            return Err("this protocol is already in the list; write it once".into());
        }
        protocols.push(protocol);
        Ok(())
    })?;
    if protocols.len() > upgrade::PROTOCOLS_MAX {
        return Err("more than 8 protocols; write fewer".into());
    }
    Ok(protocols)
}

fn user(value: &DeValue<'_>) -> Result<String, Wrong> {
    let user = text(value)?;
    if user.is_empty() || user.contains('\0') {
        return Err("not a user name; write one, or leave the key out".into());
    }
    Ok(user.to_owned())
}

fn drain(t: &mut Table<'_, '_>) -> Drain {
    let delay = t.take("delay", duration_or_zero).unwrap_or(Duration::ZERO);
    let window = t.take("window", duration).unwrap_or(seconds(30));
    let answers = t.take("answers", duration).unwrap_or(seconds(30));
    let retry_min = t.take("retry_min", duration).unwrap_or(seconds(1));
    let not_shorter = |value: &DeValue<'_>| {
        let max = duration(value)?;
        let right = "shorter than retry_min; write that or more";
        if max < retry_min { Err(right.into()) } else { Ok(max) }
    };
    let retry_max = t.take("retry_max", not_shorter).unwrap_or(seconds(10).max(retry_min));
    Drain { delay, window, answers, retry_min, retry_max }
}

/// Reads an api, and the locations of the names in it that are looked up elsewhere.
/// `shows_certificates` says whether clients are asked for certificates.
fn api(
    t: &mut Table<'_, '_>,
    seen: &mut Seen,
    workers: Workers,
    shows_certificates: bool,
) -> Option<(Api, ApiLocations)> {
    let name = t.require("name", "\"clock\"", |v| seen.name(text(v)?));
    let active = t.take("active", flag).unwrap_or(true);
    let hosts = t.take("host", hosts).unwrap_or_default();
    let listen_path = t.require("listen_path", "\"/\"", |v| seen.route(&hosts, text(v)?));
    let strip_listen_path = t.take("strip_listen_path", flag).unwrap_or(false);
    let target_location = t.location_of("target_url");
    let tls_location =
        if t.has("upstream_tls") { t.location_of("upstream_tls") } else { target_location.clone() };
    let targets = t.require("target_url", "\"http://127.0.0.1:8000\"", targets);
    let upstream_tls = t.table_if_any("upstream_tls", upstream_tls);
    let preserve_host_header = t.take("preserve_host_header", flag).unwrap_or(false);
    let host_header = t.take("host_header", |v| host_header(v, preserve_host_header)).flatten();
    let rewrite_redirects = t.take("rewrite_redirects", flag).unwrap_or(false);
    let connect_timeout = t.take("connect_timeout", duration).unwrap_or(seconds(5));
    let response_timeout = t.take("response_timeout", limit).unwrap_or(Some(RESPONSE_TIMEOUT));
    let idle_timeout = t.take("idle_timeout", limit).unwrap_or(Some(seconds(60)));
    let tunnel_idle_timeout = t.take("tunnel_idle_timeout", limit).flatten();
    let keepalive_upstream =
        t.take("keepalive_upstream", count(0..=65_535)).unwrap_or(KEEPALIVE_UPSTREAM);
    let send_proxy = t.take("send_proxy", flag).unwrap_or(false);
    let max_upstream = t.take("max_upstream", |value| workers.divide(count(0..=65_535)(value)?));
    let queue_timeout = t.take("queue_timeout", duration).unwrap_or(seconds(5));
    let retry_on = t.take("retry_on", retry_on).unwrap_or(RetryOn::CONNECT);
    let retry_body = t.take("retry_body", memory(0..=KIB * KIB * KIB)).unwrap_or(0);
    let health = health(t);
    let sticky = t.table_if_any("sticky", sticky);
    let (streams, share) = (streams(t), t.table_if_any("share", share));
    let clients = clients(t);
    let of_targets = targets.as_deref().unwrap_or_default();
    let (client_certificate, auth, forward_auth, [keys, asked @ ..]) =
        guards(t, of_targets, shows_certificates);
    let (compression, written) = (streams.compression, Written::into_response(t.has("cors")));
    let cors = t.table_if_any("cors", cors);
    let request_headers = request_headers(t, auth.as_ref(), forward_auth.as_ref(), compression);
    let response_headers = t.table_if_any("response_headers", |t| changes(t, written));
    // All keys have been taken by now, so that an error above makes none of them unknown.
    let api = Api {
        name: name?,
        active,
        hosts,
        listen_path: listen_path?,
        strip_listen_path,
        targets: targets?,
        upstream_tls: upstream_tls.unwrap_or_default(),
        preserve_host_header,
        host_header,
        rewrite_redirects,
        connect_timeout,
        response_timeout,
        idle_timeout,
        tunnel_idle_timeout,
        keepalive_upstream,
        send_proxy,
        max_upstream: max_upstream.filter(|n| *n != 0),
        queue_timeout,
        retry_on,
        retry_body,
        health,
        sticky,
        share,
        streams,
        clients,
        client_certificate,
        auth,
        forward_auth,
        request_headers,
        response_headers: response_headers.unwrap_or_default(),
        cors,
    };
    let (target, tls) = (target_location, tls_location);
    Some((api, ApiLocations { target, keys, tls, auth: asked }))
}

/// Reads the changes to requests. Fields that an auth server sets are removed from what clients
/// send.
fn request_headers(
    t: &mut Table<'_, '_>,
    auth: Option<&Auth>,
    asked: Option<&ForwardAuth>,
    compression: Compression,
) -> Changes {
    let passed = asked.map_or(&[][..], |asked| &asked.pass);
    let written = Written::into_request(auth, passed, compression);
    let changes = t.table_if_any("request_headers", |t| changes(t, written));
    let mut changes = changes.unwrap_or_default();
    changes.remove.extend_from_slice(passed);
    changes
}

/// Reads who may use an api with these targets: whether clients need a certificate, how keys are
/// checked, and the auth server. Also returns the locations of the key file, of the auth server's
/// URL and of its TLS settings. `shows_certificates` says whether clients are asked for
/// certificates.
fn guards(
    t: &mut Table<'_, '_>,
    targets: &[Target],
    shows_certificates: bool,
) -> (bool, Option<Auth>, Option<ForwardAuth>, [Location; 3]) {
    let whole = t.location_of("auth");
    let (mut certificate, mut locations) = (false, [whole.clone(), whole.clone(), whole]);
    let auths = t.table_if_any("auth", |t| {
        let tls = if t.has("upstream_tls") { "upstream_tls" } else { "url" };
        locations = ["keys_file", "url", tls].map(|key| t.location_of(key));
        let needed = |value: &DeValue<'_>| client_certificate(value, shows_certificates);
        certificate = t.take("client_certificate", needed).unwrap_or(false);
        let forward_auth = forward_auth(t, targets);
        Some((auth(t, certificate, forward_auth.as_ref()), forward_auth))
    });
    let (auth, forward_auth) = auths.unwrap_or_default();
    (certificate, auth, forward_auth, locations)
}

/// Reads an api's keys about event streams.
fn streams(t: &mut Table<'_, '_>) -> Streams {
    let heartbeat = t.take("heartbeat", limit).unwrap_or(Some(seconds(15)));
    let on_outage = t.take("on_outage", on_outage);
    let rates_are_errors = on_outage == Some(OnOutage::Error);
    let on_outage = on_outage.unwrap_or(OnOutage::Error);
    let resume = t.take("resume", resume).unwrap_or(Resume::Never);
    let early_answer = t.take("early_answer", limit).flatten();
    let heartbeat_event = |value: &DeValue<'_>| match event(value)? {
        Some(_) if heartbeat.is_none() => {
            Err("heartbeat is \"0s\", so it is never sent; leave it out, or change that".into())
        }
        event => Ok(event),
    };
    let compression = |value: &DeValue<'_>| {
        let needed = match (resume, on_outage, early_answer) {
            (Resume::Broken | Resume::Always, ..) => "resume",
            (Resume::Never, OnOutage::Hold, _) => "on_outage = \"hold\"",
            (Resume::Never, _, Some(_)) => "early_answer",
            (Resume::Never, OnOutage::Error | OnOutage::Retry, None) => return compression(value),
        };
        match compression(value)? {
            Compression::Pass => {
                let right =
                    "needs streams that are not compressed; write \"strip\", or leave that out";
                Err(format!("{needed} {right}").into())
            }
            Compression::Strip => Ok(Compression::Strip),
        }
    };
    let event_max = if t.has("share") { SHARED_EVENT_MAX } else { KIB * KIB * KIB };
    Streams {
        kind: t.take("kind", kind).flatten(),
        always: t.take("streams", always).unwrap_or(false),
        response_timeout: t.take("stream_response_timeout", limit).flatten(),
        first_event_timeout: t.take("first_event_timeout", limit).flatten(),
        early_answer,
        stall_timeout: t.take("stall_timeout", limit).flatten(),
        idle_timeout: t.take("stream_idle_timeout", limit).flatten(),
        heartbeat,
        heartbeat_event: t.take("heartbeat_event", heartbeat_event).flatten(),
        end_event: t.take("end_event", event).flatten(),
        compression: t.take("compression", compression).unwrap_or(Compression::Strip),
        max_age: t.take("max_stream_age", limit).flatten(),
        event_max: t.take("max_event_bytes", memory(KIB..=event_max)).unwrap_or(KIB * KIB),
        anti_buffering: t.take("anti_buffering", flag).unwrap_or(true),
        on_outage,
        rates_are_errors,
        resume,
        resume_timeout: t.take("resume_timeout", duration).unwrap_or(RESUME_TIMEOUT),
        max: t.take("max_streams", count(0..=10_000_000)).filter(|n| *n != 0),
        max_per_ip: t.take("max_streams_per_ip", count(0..=10_000_000)).filter(|n| *n != 0),
    }
}

fn kind(value: &DeValue<'_>) -> Result<Option<StreamKind>, Wrong> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some("subscription") => Ok(Some(StreamKind::Subscription)),
        Some("answer") => Ok(Some(StreamKind::Answer)),
        _ => Err("not a kind of stream; write \"auto\", \"subscription\" or \"answer\"".into()),
    }
}

/// Reads which requests may be answered with an event stream. True: all of them.
fn always(value: &DeValue<'_>) -> Result<bool, Wrong> {
    match value.as_str() {
        Some("auto") => Ok(false),
        Some("always") => Ok(true),
        _ => Err("not a choice of requests; write \"auto\" or \"always\"".into()),
    }
}

/// Reads an event to be inserted into event streams. An empty string means that there is none.
pub(super) fn event(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    match text(value)? {
        "" => Ok(None),
        event => one_event(event).map(Some),
    }
}

fn compression(value: &DeValue<'_>) -> Result<Compression, Wrong> {
    match value.as_str() {
        Some("strip") => Ok(Compression::Strip),
        Some("pass") => Ok(Compression::Pass),
        _ => Err("not a compression policy; write \"strip\" or \"pass\"".into()),
    }
}

fn on_outage(value: &DeValue<'_>) -> Result<OnOutage, Wrong> {
    match value.as_str() {
        Some("error") => Ok(OnOutage::Error),
        Some("retry") => Ok(OnOutage::Retry),
        Some("hold") => Ok(OnOutage::Hold),
        _ => Err("not an outage policy; write \"error\", \"retry\" or \"hold\"".into()),
    }
}

/// Reads the Host that goes upstream: a host and an optional port. An empty string stands for the
/// target's.
fn host_header(value: &DeValue<'_>, preserves: bool) -> Result<Option<String>, Wrong> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    if preserves {
        let what = "preserve_host_header is true, so the client's Host goes upstream; leave one \
            of them out";
        return Err(what.into());
    }
    if text.contains("://") {
        return Err("a URL; write only its host, and its port if it needs one".into());
    }
    let (host, port) = uri::split_port(text)?;
    let host = uri::host(host)?;
    Ok(Some(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))))
}

fn resume(value: &DeValue<'_>) -> Result<Resume, Wrong> {
    match (value.as_bool(), value.as_str()) {
        (Some(false), _) => Ok(Resume::Never),
        (Some(true), _) => Ok(Resume::Broken),
        (None, Some("always")) => Ok(Resume::Always),
        _ => Err("not a resume policy; write true, false or \"always\"".into()),
    }
}

/// What must not occur twice in the file.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    /// The host and the listen path. The host is empty for an api without one.
    routes: BTreeSet<(String, String)>,
}

impl Seen {
    fn name(&mut self, name: &str) -> Result<String, Wrong> {
        let name = value::printable(name)?;
        if !self.names.insert(name.clone()) {
            return Err("an api above has this name; write another one".into());
        }
        Ok(name)
    }

    fn route(&mut self, hosts: &[String], path: &str) -> Result<String, Wrong> {
        let path = uri::path(path)?;
        let any = [String::new()];
        for host in if hosts.is_empty() { &any } else { hosts } {
            if !self.routes.insert((host.clone(), path.clone())) {
                let what = "an api above has the same host and listen_path; change one of them";
                return Err(what.into());
            }
        }
        Ok(path)
    }
}

/// Reads a host, or a list of them.
fn hosts(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    if value.is_str() {
        return Ok(vec![host(value)?]);
    }
    let example = "\"a.example\", or [\"a.example\", \"b.example\"]";
    let mut hosts = Vec::new();
    list(value, example, |value| {
        let host = host(value)?;
        if hosts.contains(&host) {
            return Err("this host is already in the list; write it once".into());
        }
        hosts.push(host);
        Ok(())
    })?;
    if hosts.is_empty() {
        return Err("an empty list matches no host; leave the key out to match every host".into());
    }
    Ok(hosts)
}

/// Reads a host. A port is dropped, because ports play no part in matching.
pub(super) fn host(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    if text.contains("://") {
        return Err("this is a URL; write only its host, like \"a.example\"".into());
    }
    if text.contains('/') {
        return Err("a host has no path; write that in listen_path".into());
    }
    let (host, _) = uri::split_port(text)?;
    Ok(uri::host(host)?)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
