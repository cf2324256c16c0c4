//! Warnings about a valid configuration, for `--check` and for the log at startup.

pub(super) mod certificates;
pub(super) mod shared;
pub(super) mod vain;

use super::Unresolved;
use super::UpstreamTls;
use super::tables::tls::SessionTickets;
use super::{Api, Compression, Config, ConfigErrors, ListenAddr, OnOutage, Resume, Server, Target};
use crate::descriptors::{self, Budget, REMEDY};
use crate::net::Address;
use shared::{Breach, Served};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// How many bytes all logs of an api may take without a warning.
const LOGS_MAX: usize = 1 << 30;

/// Middleboxes close connections that have been silent for about this long.
const SILENCE_MAX: Duration = Duration::from_secs(60);

impl Config {
    /// Warnings about probable mistakes when this many `loops` serve it, one line each.
    /// `descriptors` is the open-file limit, if it is known.
    pub fn warnings(&self, descriptors: Option<u64>, loops: usize) -> Vec<String> {
        let mut out = self.about_names();
        out.extend(self.warnings_of_file(descriptors, loops));
        out
    }

    /// The same without those about names that could not be resolved, which may change any time.
    pub fn warnings_of_file(&self, descriptors: Option<u64>, loops: usize) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(descriptors) = descriptors {
            self.warn_of_descriptors(descriptors, loops, &mut out);
        }
        out.extend(self.about_certificates());
        out.extend(self.tls_in_vain());
        out.extend(self.ticket_keys_in_vain());
        out.extend(self.redirect_in_vain());
        let user = self.server.user.iter().filter(|_| self.has_unknown_user);
        out.extend(user.map(|user| format!("server.user: there is no user {user} on this host")));
        out.extend(self.hidden.iter().map(|file| self.hidden_file(file)));
        out.extend(self.readable.iter().filter_map(|(file, readers)| readers.warning(file)));
        for api in self.apis.iter().filter(|api| api.active) {
            let about = self.about(api, loops);
            out.extend(about.into_iter().map(|what| format!("api {}: {what}", api.name)));
        }
        out.extend(self.breaches().iter().map(breach));
        self.warn_of_counts_apart(&mut out);
        self.warn_of_shared_folders(&mut out);
        self.warn_of_keys(&mut out);
        if let Some(admin) = self.admin.as_ref().filter(|admin| !is_local(&admin.listen)) {
            out.push(format!(
                "admin.listen: anyone who can connect to {} can end streams and drain the \
                process; listen on a loopback address or a Unix socket",
                admin.listen
            ));
        }
        out
    }

    /// Warns of names that could not be resolved.
    fn about_names(&self) -> Vec<String> {
        let about = |Unresolved { location, error, .. }: &Unresolved| {
            let what = format!("{error}; requests to it fail until that succeeds");
            ConfigErrors::one(location.clone(), what).to_string()
        };
        self.unresolved.iter().map(about).collect()
    }

    /// Warns if `[tls]` is configured, but there is no listener with TLS.
    fn tls_in_vain(&self) -> Option<String> {
        let is_set = !self.tls.certificates.is_empty() || self.tls.verify_client.is_some();
        (is_set && self.server.listen_tls.is_empty())
            .then(|| "tls has no effect: server.listen_tls has no address".to_owned())
    }

    /// Warns if there are ticket keys, but clients get no tickets.
    fn ticket_keys_in_vain(&self) -> Option<String> {
        let is_set = matches!(self.tls.session_tickets, SessionTickets::OfFile { .. });
        (is_set && self.tls.verify_client.is_some()).then(|| {
            "tls.session_tickets has no effect: clients that are asked for a certificate \
            (verify_client) get no tickets"
                .to_owned()
        })
    }

    /// Warns if no request can be redirected to HTTPS.
    fn redirect_in_vain(&self) -> Option<String> {
        let Server { listen, forwarded_https, proxy_protocol, redirect_to_https, .. } =
            &self.server;
        let is_redirected = |address: &ListenAddr| {
            !forwarded_https.contains(address) || proxy_protocol.contains(address)
        };
        let why = if listen.is_empty() {
            "server.listen has no address"
        } else if listen.iter().any(is_redirected) {
            return None;
        } else {
            "server.forwarded_proto says that all clients have come by https"
        };
        redirect_to_https.as_ref().map(|_| format!("server.redirect_to_https has no effect: {why}"))
    }

    /// Warns that a reload will fail because of an unreadable file.
    fn hidden_file(&self, file: &str) -> String {
        let user = self.server.user.as_deref().unwrap_or_default();
        format!(
            "server.user: {user} may not read {file}, so a reload will fail, also with a renewed \
            certificate; give a group of that user the file and the folders that lead to it"
        )
    }

    /// Warnings about one api.
    fn about(&self, api: &Api, loops: usize) -> Vec<String> {
        let targets = api.targets.iter().map(|target| ("target_url", target));
        let auth_server = api.forward_auth.iter().flat_map(|auth| &auth.target);
        let targets = targets.chain(auth_server.map(|target| ("auth.url", target)));
        let here = targets.filter_map(|(key, target)| self.leads_here(key, target));
        let here = here.collect::<Vec<String>>();
        let others = [
            self.hidden_addresses(api),
            too_few_connections(api),
            upstream_tls("upstream_tls", "target_url", api.target(), &api.upstream_tls),
            api.forward_auth.as_ref().and_then(|auth| {
                upstream_tls("auth.upstream_tls", "auth.url", &auth.target[0], &auth.tls)
            }),
            unsendable_key(api),
            null_origin(api),
            self.rebound_pages(api),
            large_logs(api, loops),
        ];
        let first = silences(api).into_iter().chain(literal_star(api));
        let held = self.too_much_held(api, loops);
        let others = others.into_iter().flatten().chain(held).chain(vain::keys(api));
        first.chain(here).chain(others).collect()
    }

    /// Warns if a page can send a GET to this host in spite of `allowed_origins`.
    fn rebound_pages(&self, api: &Api) -> Option<String> {
        let is_open = !api.clients.allowed_origins.is_empty() && api.hosts.is_empty();
        (is_open && self.server.addresses().any(is_loopback)).then(|| {
            "allowed_origins does not stop a GET of a page that has made its own name resolve to \
            this host (DNS rebinding), because browsers send no Origin with it; list the names by \
            which this api is reached in host"
                .to_owned()
        })
    }

    /// Warns about limits per client address where all clients have the same one.
    fn hidden_addresses(&self, api: &Api) -> Option<String> {
        let limits = [
            (api.clients.max_requests_per_ip.is_some(), "max_requests_per_ip"),
            (api.streams.max_per_ip.is_some(), "max_streams_per_ip"),
        ];
        let keys: Vec<&str> =
            limits.iter().filter(|(is_set, _)| *is_set).map(|(_, key)| *key).collect();
        (!keys.is_empty() && self.is_behind_an_unknown_proxy()).then(|| {
            format!(
                "{}: all clients behind a proxy on this host share its address; list it in \
                server.trusted_proxies",
                keys.join(", ")
            )
        })
    }

    /// Warns if the limit for one event or body exceeds what may be held of it, in each of `loops`.
    fn too_much_held(&self, api: &Api, loops: usize) -> impl Iterator<Item = String> + use<> {
        let most = self.server.max_held_bytes / loops / 8;
        let part = if loops == 1 { "" } else { "a worker's part of " };
        let body = (api.retry_body > most).then_some(("retry_body", "is kept of one body"));
        let events = self.holds_events(api) && api.streams.event_max > most;
        let event = events.then_some(("max_event_bytes", "one event may hold"));
        body.into_iter().chain(event).map(move |(key, most)| {
            format!(
                "{key} is more than an eighth of {part}server.max_held_bytes, the most that \
                {most}; raise that, or lower this"
            )
        })
    }

    /// Remarks about what is probably meant but worth checking, for `--check` only. One line each.
    pub fn remarks(&self) -> Vec<String> {
        let mut of_files: Vec<String> = Vec::new();
        let keys = self.apis.iter().filter_map(|api| api.auth.as_ref());
        let keys = keys.map(|auth| (&auth.keys_file, auth.readers));
        for (file, readers) in keys.chain(self.readable.iter().map(|(file, r)| (file, *r))) {
            of_files.extend(readers.remark(file).filter(|what| !of_files.contains(what)));
        }
        let active = self.apis.iter().filter(|api| api.active);
        let of_apis = active.flat_map(|api| {
            let what = self.compressed(api).into_iter().chain(vain::times(api));
            what.map(|what| format!("api {}: {what}", api.name))
        });
        of_apis
            .chain(of_files)
            .chain(self.remarks_about_certificates())
            .chain(self.remark_about_browsers())
            .collect()
    }

    /// Says what is missing for users who expect HTTP/2 over TLS.
    fn remark_about_browsers(&self) -> Option<String> {
        (!self.server.listen_tls.is_empty()).then(|| {
            "server.listen_tls: HTTP/1.1 is spoken there, so a browser opens six connections to an \
            origin, and no seventh tab gets a stream; conf/front has servers that speak HTTP/2"
                .to_owned()
        })
    }

    /// Says which keys of an api have no effect on a compressed stream, or another one.
    fn compressed(&self, api: &Api) -> Option<String> {
        let streams = &api.streams;
        if streams.compression == Compression::Strip {
            return None;
        }
        let mut text = "compression: a compressed stream that is ended early is cut, because its \
            events cannot be told apart"
            .to_owned();
        let nothing = [
            (streams.heartbeat.is_some(), "heartbeat"),
            (streams.heartbeat_event.is_some(), "heartbeat_event"),
            (streams.end_event.is_some(), "end_event"),
        ];
        let bytes = [
            (streams.first_event_timeout.is_some(), "first_event_timeout"),
            (streams.stall_timeout.is_some(), "stall_timeout"),
            (self.server.flush_interval.is_some(), "server.flush_interval"),
        ];
        for (does, keys) in [("do nothing for it", nothing), ("take its bytes for events", bytes)] {
            let keys: Vec<&str> =
                keys.iter().filter(|(is_set, _)| *is_set).map(|(_, key)| *key).collect();
            if !keys.is_empty() {
                text += &format!("; these keys {does}: {}", keys.join(", "));
            }
        }
        Some(text)
    }

    /// True exactly when incomplete events of this api's streams are held if there is room. Those
    /// of shared streams are always held.
    fn holds_events(&self, api: &Api) -> bool {
        let resumes = api.streams.resume != Resume::Never;
        resumes || self.server.flush_interval.is_some()
    }

    fn warn_of_descriptors(&self, descriptors: u64, loops: usize, out: &mut Vec<String>) {
        let descriptors = self.descriptors_of_first(descriptors, loops);
        // Each stream also needs an upstream connection.
        let room = Budget::of(descriptors, self.listeners(), None).clients;
        let too_many = |max: Option<usize>| max.filter(|&max| max > room);
        let least = descriptors::least(self.listeners());
        if descriptors < least {
            out.push(format!(
                "the open-file limit is {descriptors}, less than {least}: admin requests and \
                reloads may run out of descriptors; {REMEDY}"
            ));
        }
        if let Some(max) = too_many(self.server.max_connections) {
            out.push(format!(
                "server.max_connections: there is room for {room}, not for {max}; {REMEDY}"
            ));
        }
        for api in self.apis.iter().filter(|api| api.active) {
            if let Some(max) = too_many(api.streams.max) {
                let name = &api.name;
                out.push(format!(
                    "api {name}: max_streams: there is room for {room}, not for {max}; {REMEDY}"
                ));
            }
        }
    }

    /// Warns if a limit on the connections to a server does not count those of another api to it.
    fn warn_of_counts_apart(&self, out: &mut Vec<String>) {
        let active = || self.apis.iter().filter(|api| api.active);
        for api in active().filter(|api| api.max_upstream.is_some()) {
            let shares = |other: &&Api| {
                let is_there = |own: &Target| other.targets.iter().any(|t| t.is_same_server(own));
                other.name != api.name && api.targets.iter().any(is_there)
            };
            if let Some(other) = active().find(shares) {
                out.push(format!(
                    "api {}: max_upstream: api {} leads to the same server, and its connections \
                    are not counted; use one api for both, or divide what the server can take",
                    api.name, other.name
                ));
            }
        }
    }

    /// Warns if the sandbox leaves folders readable that hold more than the configuration.
    fn warn_of_shared_folders(&self, out: &mut Vec<String>) {
        let file = self.sources.first().filter(|_| self.server.sandbox);
        let folders = file.map_or_else(BTreeSet::new, |file| self.folders_of_files(file));
        let named = file.into_iter().flat_map(|file| {
            let folder = file.parent().unwrap_or(Path::new(""));
            self.server.sandbox_folders.iter().map(|named| folder.join(named))
        });
        out.extend(named.filter(|named| !named.is_dir()).map(|named| {
            format!(
                "server.sandbox_folders: {} is no folder, so nothing there can be read later; \
                make it, and restart",
                named.display()
            )
        }));
        out.extend(folders.iter().filter(|folder| is_shared(folder)).map(|folder| {
            format!(
                "server.sandbox: all that lies in {} can be read, because a file of the \
                configuration does, or a link to one; give them a folder of their own",
                folder.display()
            )
        }));
    }

    /// Warns if others can read a key file, if it is empty, or if keys arrive unencrypted.
    fn warn_of_keys(&self, out: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for auth in self.apis.iter().filter_map(|api| api.auth.as_ref()) {
            let file = &auth.keys_file;
            if !seen.insert(file) {
                continue;
            }
            out.extend(auth.readers.warning(file));
            if auth.keys.is_empty() {
                out.push(format!("{file}: it has no keys, so every request is refused"));
            }
        }
        let served = Some(&self.server).filter(|server| server.redirect_to_https.is_none());
        let mut listeners = served.iter().flat_map(|server| &server.listen);
        let exposed = listeners.find(|listener| !is_local(listener));
        if let Some(listener) = exposed
            && !seen.is_empty()
            && !self.has_proxies()
        {
            out.push(format!(
                "keys are sent to {listener} unencrypted: use server.listen_tls, or put a TLS \
                terminator in front, and list it in server.trusted_proxies"
            ));
        }
    }

    fn has_proxies(&self) -> bool {
        !self.server.trusted_proxies.is_empty()
    }

    /// True exactly when all clients must come through a proxy on this host, but none is trusted.
    fn is_behind_an_unknown_proxy(&self) -> bool {
        self.server.addresses().all(is_local) && !self.has_proxies()
    }

    /// Warns if a target, the value of `key`, leads to this process.
    fn leads_here(&self, key: &str, target: &Target) -> Option<String> {
        if let Some(listener) = which_of(self.server.addresses(), &target.addresses) {
            return Some(format!("{key} points back to this process, {listener}"));
        }
        let admin = self.admin.iter().map(|admin| &admin.listen);
        let listener = which_of(admin, &target.addresses)?;
        Some(format!(
            "{key} leads to admin.listen, {listener}: whoever may use this api can drain and \
            reload this process"
        ))
    }
}

/// The first of some listeners of this process to which one of these addresses leads.
fn which_of<'a>(
    mut listeners: impl Iterator<Item = &'a ListenAddr>,
    addresses: &[Address],
) -> Option<&'a ListenAddr> {
    let leads_to = |own: SocketAddr, address: SocketAddr| {
        let [own_ip, ip] = [own.ip(), address.ip()];
        let here = ip.is_loopback() || ip.is_unspecified();
        let same = own_ip == ip || own_ip.is_unspecified() && here && is_v4(own_ip) == is_v4(ip);
        own.port() != 0 && own.port() == address.port() && same
    };
    let is_own = |listener: &ListenAddr, address: &Address| match (listener, address) {
        (ListenAddr::Tcp(own), Address::Tcp(address)) => leads_to(*own, *address),
        (ListenAddr::Unix(own), Address::Unix(path)) => own == path,
        (ListenAddr::Tcp(_), Address::Unix(_)) | (ListenAddr::Unix(_), Address::Tcp(_)) => false,
    };
    let own = |listener: &&ListenAddr| addresses.iter().any(|a| is_own(listener, a));
    listeners.find(own)
}

const fn is_v4(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(_))
}

/// True exactly when the system or other users also keep files in a folder.
fn is_shared(folder: &Path) -> bool {
    const SHARED: [&str; 14] = [
        "/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr",
        "/var", "/var/lib", "/var/tmp",
    ];
    let is_home = folder.parent() == Some(Path::new("/home"));
    is_home || SHARED.iter().any(|shared| folder == Path::new(shared))
}

/// True exactly when only clients on this host can connect.
fn is_local(listener: &ListenAddr) -> bool {
    is_loopback(listener) || matches!(listener, ListenAddr::Unix(_))
}

fn is_loopback(listener: &ListenAddr) -> bool {
    matches!(listener, ListenAddr::Tcp(address) if address.ip().is_loopback())
}

/// Warns if a stream may be silent for longer than middleboxes accept, or than makes sense.
fn silences(api: &Api) -> Vec<String> {
    const WHY: &str = "middleboxes close connections that are silent for a minute";
    let streams = &api.streams;
    match streams.heartbeat {
        Some(every) if every < SILENCE_MAX => return Vec::new(),
        Some(_) => return vec![format!("heartbeat: {WHY}; write \"15s\"")],
        None => {}
    }
    let mut out = vec![format!("heartbeat is off: {WHY}; write \"15s\"")];
    if streams.on_outage == OnOutage::Hold {
        out.push(
            "on_outage: a held stream is silent, because heartbeat is off; write \
            heartbeat = \"15s\", or on_outage = \"retry\""
                .to_owned(),
        );
    }
    if streams.early_answer.is_some() {
        out.push(
            "early_answer: a stream that is opened early is silent until the upstream answers, \
            because heartbeat is off; write heartbeat = \"15s\""
                .to_owned(),
        );
    }
    out
}

/// Warns if a path seems to be meant as a pattern.
fn literal_star(api: &Api) -> Option<String> {
    api.listen_path.contains('*').then(|| {
        "listen_path: \"*\" is literal here; leave it out, because a listen path matches \
        everything below it"
            .to_owned()
    })
}

/// Warns if the logs of shared streams may take much memory. Each of the `loops` with clients of a
/// stream holds a copy of its log.
fn large_logs(api: &Api, loops: usize) -> Option<String> {
    let share = api.share.as_ref()?;
    let bytes = share.limits.bytes.saturating_mul(share.max_logs).saturating_mul(loops);
    let times = if loops == 1 { "" } else { " times server.workers" };
    (bytes > LOGS_MAX).then(|| {
        format!(
            "share: the logs may take more than 1 GiB of memory, share.log_bytes times \
            share.max_logs{times}"
        )
    })
}

/// Warns if there may be more streams than connections for them.
fn too_few_connections(api: &Api) -> Option<String> {
    let shares = |target: &&Target| target.weight > 0 && !target.is_backup;
    let all = api.max_upstream? * api.targets.iter().filter(shares).count();
    (api.streams.max? > all).then(|| {
        format!(
            "max_streams: there can be only {all} upstream connections (max_upstream); further \
            streams wait in vain for one, for queue_timeout"
        )
    })
}

/// Warns if an upstream is not authenticated, or if TLS settings have no effect.
fn upstream_tls(table: &str, url: &str, target: &Target, tls: &UpstreamTls) -> Option<String> {
    if !target.is_secure {
        return (*tls != UpstreamTls::default()).then(|| {
            format!("{table} has no effect: {url} begins with http://, so nothing is encrypted")
        });
    }
    tls.insecure_skip_verify.then(|| {
        format!(
            "{table}.insecure_skip_verify: whoever gets in between can read and change \
            everything; name the issuer of the upstream's certificate in ca_file instead"
        )
    })
}

/// Warns if the origin "null", which every sandboxed frame has, may use a user's cookies.
fn null_origin(api: &Api) -> Option<String> {
    let cors = api.cors.as_ref().filter(|cors| cors.credentials)?;
    let listed = cors.origins.iter().any(|origin| origin == "null");
    listed.then(|| {
        "cors.origins: any page can get the origin \"null\" in a sandboxed frame, and so read \
        what the user's cookies give access to; leave out one or the other"
            .to_owned()
    })
}

/// Warns that one api reaches what another one protects.
fn breach(breach: &Breach<'_>) -> String {
    let Breach { open, path, upstream_path, guarded } = breach;
    let shown = |path: &str| if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    let (path, upstream_path, name) = (shown(path), shown(upstream_path), &guarded.name);
    let how = match guarded.served() {
        served if served <= open.served() => {
            let keys = guarded.clients.lists_unlike(&open.clients);
            format!("api {name} has its own {}", keys.join(" and "))
        }
        Served::Nobody => format!("api {name}, which is not active, serves nobody"),
        Served::Some if guarded.auth.is_none() && guarded.forward_auth.is_some() => {
            format!("api {name} asks auth.url first")
        }
        Served::Some if guarded.auth.is_none() => {
            format!("api {name} requires a client certificate")
        }
        Served::Some | Served::Everybody => format!("api {name} requires a key"),
    };
    format!(
        "api {}: its path {path} leads to {upstream_path} on a server where {how}; protect both \
        alike, or give them separate servers",
        open.name
    )
}

/// Warns if pages may read an api but cannot send it a key.
fn unsendable_key(api: &Api) -> Option<String> {
    let (auth, cors) = (api.auth.as_ref()?, api.cors.as_ref()?);
    let carriers = &auth.carriers;
    let allows = |allowed: &str, header: &String| {
        allowed.eq_ignore_ascii_case(header) || allowed == "*" && header != "Authorization"
    };
    let mut allowed = cors.headers.split(", ");
    let allowed = allowed.any(|allowed| carriers.headers.iter().any(|h| allows(allowed, h)));
    let cookie = !carriers.cookie.is_empty() && cors.credentials;
    (carriers.query.is_empty() && !cookie && !allowed).then(|| {
        let more =
            if carriers.headers.is_empty() { "auth.query" } else { "cors.headers, or auth.query" };
        format!("no page in cors.origins can send a key: that requires {more}")
    })
}
