//! Summarises a configuration in a few lines: listeners, apis and targets.

use super::{Api, Config, ListenAddr, Server, Target};
use crate::demo;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

impl Config {
    /// A summary of listeners, apis and targets: a few lines, each with its line end.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for address in &self.server.listen {
            line(&mut out, format_args!("listening on {address}"));
        }
        for address in &self.server.listen_tls {
            line(&mut out, format_args!("listening with TLS on {address}"));
        }
        for address in &self.server.proxy_protocol {
            line(&mut out, format_args!("connections to {address} begin with a PROXY header"));
        }
        for api in &self.apis {
            line(
                &mut out,
                format_args!("  {} -> {} ({})", entries(api), targets(api), remarks(api)),
            );
        }
        if let Some(admin) = &self.admin {
            line(&mut out, format_args!("admin listener on {}", shown(&admin.listen)));
            if let Some(probes) = &admin.probes {
                line(&mut out, format_args!("listener for probes on {}", shown(probes)));
            }
        }
        if let Some(demo) = &self.demo {
            line(
                &mut out,
                format_args!("demo event source on http://{}{}", demo.listen, demo::PATH),
            );
            if let Some(url) = self.demo_url(demo.listen) {
                // The certificate may be one that curl does not trust.
                let insecure = if url.starts_with("https:") { "k" } else { "" };
                line(&mut out, format_args!("try: curl -N{insecure} {url}"));
            }
        }
        out
    }

    /// A URL at which a client gets the events of the built-in source through the proxy. None if no
    /// api that is open to everybody leads there.
    pub(crate) fn demo_url(&self, demo: SocketAddr) -> Option<String> {
        let router = self.router();
        let Server { listen, listen_tls, redirect_to_https, .. } = &self.server;
        let plain = listen.iter().filter(|_| redirect_to_https.is_none()).map(|own| ("http", own));
        let fronts = plain.chain(listen_tls.iter().map(|own| ("https", own)));
        let (scheme, authority) = fronts.into_iter().find_map(|(scheme, own)| match own {
            ListenAddr::Tcp(address) => Some((scheme, reachable(*address).to_string())),
            ListenAddr::Unix(_) => None,
        })?;
        (0..).zip(&self.apis).find_map(|(id, api)| {
            let leads_there = |path: &str| {
                router.find(Some(&authority), path.as_bytes()) == Some(id)
                    && api.upstream_target(path.as_bytes(), None) == demo::PATH.as_bytes()
            };
            let rest = demo::PATH.strip_prefix(&api.target().path)?;
            let candidates = [format!("{}{rest}", api.listen_path), rest.to_owned()];
            let path = candidates.iter().find(|path| leads_there(path))?;
            let known = api.target().addresses.contains(&demo.into());
            (known && !api.is_guarded()).then(|| format!("{scheme}://{authority}{path}"))
        })
    }
}

/// Appends a line; writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// Formats an address as a URL for a browser, if it is not a Unix socket.
fn shown(address: &ListenAddr) -> String {
    match address {
        ListenAddr::Tcp(address) => format!("http://{address}/"),
        ListenAddr::Unix(_) => address.to_string(),
    }
}

/// Formats the hosts and paths that lead to an api.
fn entries(api: &Api) -> String {
    let path = &api.listen_path;
    match api.hosts.as_slice() {
        [] => format!("{path}/"),
        hosts => hosts.iter().map(|h| format!("{h}{path}/")).collect::<Vec<_>>().join(", "),
    }
}

fn targets(api: &Api) -> String {
    let shown = |target: &Target| match (target.weight, target.is_backup) {
        (1, false) => target.to_string(),
        (1, true) => format!("{target} (backup)"),
        (weight, false) => format!("{target} (weight {weight})"),
        (weight, true) => format!("{target} (backup, weight {weight})"),
    };
    api.targets.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn remarks(api: &Api) -> String {
    let mut remarks = api.name.clone();
    if api.strip_listen_path && !api.listen_path.is_empty() {
        remarks += ", listen path stripped";
    }
    if api.client_certificate {
        remarks += ", client certificate required";
    }
    if api.auth.is_some() {
        remarks += ", key required";
    }
    if let Some(auth) = &api.forward_auth {
        let [target] = &auth.target;
        let _ = write!(remarks, ", {target} is asked");
    }
    if !api.active {
        remarks += ", not active";
    }
    remarks
}

/// Replaces an unspecified address by one that a client on this host can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}
