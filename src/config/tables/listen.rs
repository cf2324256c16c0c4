//! The addresses that clients connect to, and where requests without TLS are redirected.

use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::uri;
use crate::config::values::value::{list, text};
use crate::config::{Redirect, TrustedProxies};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toml::de::DeValue;

/// Maximum length in bytes of a path that fits into a socket address on all systems; macOS has the
/// least room.
pub(crate) const UNIX_PATH_MAX: usize = 103;

/// The default of `server.listen`, unless `server.listen_tls` is set.
pub const LISTEN: ListenAddr = loopback(8080);

/// An address to listen on. Displayed as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// An IP address and a port. Port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl ListenAddr {
    pub(crate) fn parse(text: &str) -> Result<ListenAddr, &'static str> {
        match text.strip_prefix("unix:") {
            Some("") => Err("no path; write \"unix:/path/to.sock\""),
            Some(path) if path.len() > UNIX_PATH_MAX || path.contains('\0') => {
                Err("not a socket path; write one of at most 103 bytes")
            }
            Some(path) => Ok(ListenAddr::Unix(path.into())),
            None => Ok(ListenAddr::Tcp(text.parse().map_err(|_| what_is_wrong(text))?)),
        }
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> ListenAddr {
        ListenAddr::Tcp(address)
    }
}

/// Describes why `text` is not an IP address and port. People write all of these.
fn what_is_wrong(text: &str) -> &'static str {
    if text.contains("://") {
        return "this is a URL; write only the IP address and the port, like \"127.0.0.1:8080\"";
    }
    if text.parse::<IpAddr>().is_ok() || text.strip_suffix(']').is_some() {
        return "no port; write \"127.0.0.1:8080\" or \"[::]:8080\"";
    }
    let host = text.rsplit_once(':').map_or("", |(host, _)| host);
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if host.is_empty() && is_port(text.trim_start_matches(':')) || host == "*" {
        return "the IP address is missing; write \"127.0.0.1:8080\" for clients on this host, or \
            \"0.0.0.0:8080\" for all clients";
    }
    if host == "localhost" {
        return "a name instead of an IP address; write \"127.0.0.1:8080\"";
    }
    if host.starts_with(|c: char| c.is_ascii_alphabetic()) && !host.contains(':') {
        return "a name instead of one of this host's IP addresses; write \"0.0.0.0:8080\" for all \
            of them";
    }
    NOT_AN_ADDRESS
}

/// Parses an IP address and a port. The address cannot be a name.
pub(crate) fn ip_and_port(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "not an IP address and a port; write \"127.0.0.1:8000\" or \"[::1]:8000\"")
}

const NOT_AN_ADDRESS: &str = "not an IP address and a port; \
     write \"127.0.0.1:8080\", \"[::]:8080\" or \"unix:/path/to.sock\"";

/// Reads the addresses without TLS and those with TLS. By default there is one without TLS, but
/// only if there are none with TLS.
pub(crate) fn addresses(
    t: &mut Table<'_, '_>,
    has_certificate: bool,
) -> (Vec<ListenAddr>, Vec<ListenAddr>) {
    let both = t.has("listen") && t.has("listen_tls");
    let listen = t.take("listen", |value| {
        let addresses = listeners(value)?;
        if addresses.is_empty() && !both { Err(NO_ADDRESS.into()) } else { Ok(addresses) }
    });
    let listen_tls = t.take("listen_tls", |value| {
        let addresses = listeners(value)?;
        if !addresses.is_empty() && !cfg!(feature = "tls") {
            return Err(
                "this program was built without TLS; leave it out, or build it with TLS".into()
            );
        }
        if !addresses.is_empty() && !has_certificate {
            return Err("no certificate; write [[tls.certificate]] with certificate and key".into());
        }
        if both && addresses.is_empty() && listen.as_ref().is_some_and(Vec::is_empty) {
            return Err(NO_ADDRESS.into());
        }
        let plain = listen.as_deref().unwrap_or_default();
        if addresses.iter().any(|address| !is_any_port(address) && plain.contains(address)) {
            return Err(
                "server.listen already has one of these addresses; write another one".into()
            );
        }
        Ok(addresses)
    });
    let listen_tls = listen_tls.unwrap_or_default();
    let usual = || if listen_tls.is_empty() { vec![LISTEN] } else { Vec::new() };
    (listen.unwrap_or_else(usual), listen_tls)
}

const NO_ADDRESS: &str = "no address to listen on; write [\"127.0.0.1:8080\"]";

fn listeners(value: &DeValue<'_>) -> Result<Vec<ListenAddr>, Wrong> {
    let mut addresses = Vec::new();
    list(value, "[\"127.0.0.1:8080\"]", |value| {
        let address = ListenAddr::parse(text(value)?)?;
        if addresses.contains(&address) {
            return Err("this address is already in the list; write it once".into());
        }
        addresses.push(address);
        Ok(())
    })?;
    Ok(addresses)
}

/// Reads where requests without TLS are redirected. None: they are served.
pub(crate) fn redirect(
    value: &DeValue<'_>,
    listen_tls: &[ListenAddr],
) -> Result<Option<Redirect>, Wrong> {
    match value.as_bool() {
        Some(false) => Ok(None),
        Some(true) if listen_tls.is_empty() => {
            Err("listen_tls has no address to send clients to; write \"https://a.example\"".into())
        }
        Some(true) => Ok(Some(Redirect::HostAsked)),
        None => origin(value).map(|origin| Some(Redirect::To(origin))),
    }
}

/// Reads an origin with `https://`.
fn origin(value: &DeValue<'_>) -> Result<String, Wrong> {
    let what = "not a redirect; write true, false, or a URL like \"https://a.example\"";
    let origin = value.as_str().and_then(|text| text.strip_prefix("https://")).ok_or(what)?;
    let (host, port) = uri::split_port(origin.strip_suffix('/').unwrap_or(origin))?;
    let host = uri::host(host)?;
    Ok(match port {
        None | Some(443) => format!("https://{host}"),
        Some(port) => format!("https://{host}:{port}"),
    })
}

/// Reads the addresses at which connections begin with a PROXY header. `listening` has the
/// addresses without TLS and those with TLS.
pub(crate) fn proxy_protocol(
    value: &DeValue<'_>,
    listening: [&[ListenAddr]; 2],
    trusted: &TrustedProxies,
) -> Result<Vec<ListenAddr>, Wrong> {
    let mut addresses = Vec::new();
    list(value, "[\"0.0.0.0:8443\"]", |value| {
        let address = ListenAddr::parse(text(value)?)?;
        if addresses.contains(&address) {
            return Err("this address is already in the list; write it once".into());
        }
        if !listening.iter().any(|those| those.contains(&address)) {
            return Err(
                "this address is neither in listen nor in listen_tls; write one that is".into()
            );
        }
        let is_unix = matches!(address, ListenAddr::Unix(_));
        if is_unix && !trusted.contains(None) {
            return Err("no proxy may connect there; add \"unix:\" to trusted_proxies".into());
        }
        if !is_unix && !trusted.has_networks() {
            let what =
                "no proxy may connect there; add those that send the header to trusted_proxies";
            return Err(what.into());
        }
        addresses.push(address);
        Ok(())
    })?;
    Ok(addresses)
}

/// Reads which addresses without TLS have clients that speak HTTPS to a proxy in front: all of
/// them, or those that are listed.
pub(crate) fn forwarded_proto(
    value: &DeValue<'_>,
    listen: &[ListenAddr],
) -> Result<Vec<ListenAddr>, Wrong> {
    let what = "not a scheme; write \"https\", or {\"0.0.0.0:8080\" = \"https\"}";
    if value.as_str() == Some("") {
        return Ok(Vec::new());
    }
    if value.as_str() == Some("https") {
        return match listen {
            [] => Err("listen has no address, and clients of listen_tls speak https anyway; \
                leave it out"
                .into()),
            _ => Ok(listen.to_vec()),
        };
    }
    let mut addresses = Vec::new();
    for (key, value) in value.as_table().ok_or(what)? {
        let at = |what: &str| Wrong { at: Some(key.span().start), what: what.to_owned() };
        let address = ListenAddr::parse(key.get_ref()).map_err(at)?;
        if !listen.contains(&address) {
            return Err(at("this address is not in listen; write one that is"));
        }
        if value.get_ref().as_str() != Some("https") {
            return Err(Wrong { at: Some(value.span().start), what: what.to_owned() });
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// True exactly when the system chooses the port, which then differs each time.
pub(crate) fn is_any_port(address: &ListenAddr) -> bool {
    matches!(address, ListenAddr::Tcp(address) if address.port() == 0)
}

/// An address at which only this host can connect.
pub(crate) const fn loopback(port: u16) -> ListenAddr {
    ListenAddr::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddr::Tcp(address) => address.fmt(f),
            ListenAddr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_instead() {
        let check = |texts: &[&str], want: &str| {
            for text in texts {
                let got = ListenAddr::parse(text).unwrap_err();
                assert!(got.starts_with(want), "{text}: {got}");
            }
        };
        check(&["http://127.0.0.1:8080", "tcp://0.0.0.0:80"], "this is a URL; ");
        check(&["127.0.0.1", "::1", "[::1]"], "no port; ");
        check(&["8080", ":8080", "*:8080"], "the IP address is missing; ");
        check(&["localhost:8080"], "a name instead of an IP address; ");
        check(&["a.example:80"], "a name instead of one of this host's ");
        check(&["", "::1:80x", "1.1.1.1:65536", "127.0.0.1:8080 ", ":x"], "not an IP address");
    }

    #[test]
    fn addresses_are_shown_as_they_are_read() {
        for text in ["127.0.0.1:8080", "[::]:80", "[::1]:0", "unix:/run/a b.sock", "unix:a.sock"] {
            assert_eq!(ListenAddr::parse(text).unwrap().to_string(), text);
        }
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_MAX));
        for text in [
            "",
            "8080",
            ":8080",
            "localhost:8080",
            "127.0.0.1",
            "::1:80",
            "[::1]",
            "1.1.1.1:65536",
            "127.0.0.1:8080 ",
            "http://127.0.0.1:8080",
            "unix:",
            "unix:a\0b",
            &long,
        ] {
            assert!(ListenAddr::parse(text).is_err(), "{text}");
        }
    }
}
