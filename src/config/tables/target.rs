//! The target of an api: an `http://` or `https://` URL, and the addresses that its host resolves
//! to.

use super::listen::UNIX_PATH_MAX;
use crate::config::values::uri;
use crate::net::Address;
use crate::net::tls::ClientOf;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A parsed `target_url`. Displayed as a URL, without the contents of its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// True exactly when it speaks TLS.
    pub is_secure: bool,
    /// The host to resolve: a name, or an IP address without brackets.
    pub host: String,
    /// The port; 80 or 443 if the URL has none.
    pub port: u16,
    /// The value of Host: the host, with an IPv6 address in brackets, and the port unless it is the
    /// scheme's default.
    pub authority: String,
    /// The prefix for request paths, which begins with a slash and does not end with one. Empty for
    /// a URL without a path.
    pub path: String,
    /// The prefix for request queries. Never empty.
    pub query: Option<String>,
    /// The addresses to connect to, the preferred one first and none twice. Empty until a name is
    /// resolved.
    pub addresses: Vec<Address>,
    /// The TLS client for it. None without TLS, and before
    /// [`Config::secure`](crate::config::Config::secure).
    pub tls: Option<ClientOf>,
    /// Its share of the connections in use, relative to a target of weight 1: 0 to 1000. With 0
    /// it gets no request that another target could get.
    pub weight: u16,
    /// True exactly when it gets requests only while no other target can.
    pub is_backup: bool,
}

impl Target {
    /// Parses a URL, or the path of a socket. An IP address needs no resolution. A host name has no
    /// addresses yet.
    pub(crate) fn parse(url: &str) -> Result<Target, &'static str> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Target::on_socket(path);
        }
        let (is_secure, rest) = after_scheme(url)?;
        if rest.contains('#') {
            return Err("a fragment is never sent; leave out the \"#\" and what follows it");
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a URL with credentials; write it without them and the \"@\"");
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (written, port) = uri::split_port(authority)?;
        let usual = if is_secure { 443 } else { 80 };
        let port = port.unwrap_or(usual);
        let host = uri::host(written)?;
        let address = ip_address(&host);
        Ok(Target {
            is_secure,
            authority: if port == usual { host.clone() } else { format!("{host}:{port}") },
            path: if path.is_empty() { String::new() } else { uri::path(path)? },
            query: Some(uri::query(query)?).filter(|query| !query.is_empty()),
            addresses: address.iter().map(|&ip| SocketAddr::new(ip, port).into()).collect(),
            // A trailing dot tells the resolver not to try its search domains.
            host: match address {
                Some(ip) => ip.to_string(),
                None if written.ends_with('.') => host + ".",
                None => host,
            },
            port,
            tls: None,
            weight: 1,
            is_backup: false,
        })
    }

    /// Parses a command-line argument, in which `http://` may be omitted.
    ///
    /// # Errors
    /// What is wrong with the argument, and what would be right.
    pub fn parse_typed(text: &str) -> Result<Target, &'static str> {
        if text.strip_prefix(':').unwrap_or(text).parse::<u16>().is_ok() {
            return Err("no host; write \"localhost:8000\"");
        }
        if text.starts_with('/') {
            return Err("no host; write \"localhost:8000\", or \"unix:/path/to.sock\"");
        }
        let (before, _) = text.split_once([':', '/', '?']).unwrap_or((text, ""));
        let schemes = ["unix", "http", "https"];
        let has_scheme = schemes.iter().any(|scheme| before.eq_ignore_ascii_case(scheme));
        if text.contains("://") || has_scheme || text.is_empty() {
            return Target::parse(text);
        }
        Target::parse(&format!("http://{text}"))
    }

    /// Parses `/path/to.sock`, optionally followed by `:/base`.
    fn on_socket(path: &str) -> Result<Target, &'static str> {
        let (socket, base) = path.split_once(":/").unwrap_or((path, ""));
        let (base, query) = base.split_once('?').unwrap_or((base, ""));
        if !socket.starts_with('/') || socket.len() > UNIX_PATH_MAX || socket.contains('\0') {
            return Err(
                "not a socket path; write \"unix:/path/to.sock\", at most 103 bytes, optionally \
                followed by \":/base\"",
            );
        }
        Ok(Target {
            is_secure: false,
            host: format!("unix:{socket}"),
            port: 0,
            // The server behind the socket needs some Host, and is likely to accept this one.
            authority: "localhost".to_owned(),
            path: if base.is_empty() { String::new() } else { uri::path(&format!("/{base}"))? },
            query: Some(uri::query(query)?).filter(|query| !query.is_empty()),
            addresses: vec![Address::Unix(socket.into())],
            tls: None,
            weight: 1,
            is_backup: false,
        })
    }

    /// True exactly when the target is behind a Unix domain socket.
    pub fn is_local(&self) -> bool {
        self.host.starts_with("unix:")
    }

    /// True exactly when both targets have the same URL, whatever addresses their hosts resolve to.
    pub fn is_same_place(&self, other: &Target) -> bool {
        let key =
            |t: &Target| (t.is_secure, t.host.clone(), t.port, t.path.clone(), t.query.clone());
        key(self) == key(other)
    }

    /// True exactly when both targets have the same host and port, whatever their paths.
    pub(crate) fn is_same_server(&self, other: &Target) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// True exactly when the host is a name, whose addresses may change.
    pub fn has_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err() && !self.is_local()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        // Queries often contain keys.
        let query = if self.query.is_some() { "?..." } else { "" };
        match self.host.strip_prefix("unix:") {
            Some(socket) => write!(f, "unix:{socket}:{path}{query}"),
            None => {
                let scheme = if self.is_secure { "https" } else { "http" };
                write!(f, "{scheme}://{}{path}{query}", self.authority)
            }
        }
    }
}

/// Splits off a URL's scheme. True: it is `https`.
fn after_scheme(url: &str) -> Result<(bool, &str), &'static str> {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            if cfg!(feature = "tls") {
                Ok((true, rest))
            } else {
                Err("this program was built without TLS; write http://, or build it with TLS")
            }
        }
        _ => Err(
            "not an HTTP URL; write one like \"http://127.0.0.1:8000\", or \"unix:/path/to.sock\"",
        ),
    }
}

fn ip_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |url: &str, want: &str| {
            let Target { host, port, authority, path, query, addresses, .. } =
                Target::parse(url).unwrap();
            let query = query.unwrap_or_default();
            let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
            let got = format!(
                "{host} {port} {authority} path={path} query={query} {}",
                addresses.join(" ")
            );
            assert_eq!(got, want, "{url}");
        };
        check("http://a", "a 80 a path= query= ");
        check("HTTP://A.Example:80/", "a.example 80 a.example path= query= ");
        check("http://a.example.:8000", "a.example. 8000 a.example:8000 path= query= ");
        check("http://a?x=1", "a 80 a path= query=x=1 ");
        check("http://a/?", "a 80 a path= query= ");
        check("http://a:81/b/c/?x=http://y/?z@", "a 81 a:81 path=/b/c query=x=http://y/?z@ ");
        check("http://a/@x", "a 80 a path=/@x query= ");
        check("http://127.0.0.1:8000", "127.0.0.1 8000 127.0.0.1:8000 path= query= 127.0.0.1:8000");
        check("http://[0::1]/a", "::1 80 [::1] path=/a query= [::1]:80");
        check("unix:/run/a.sock", "unix:/run/a.sock 0 localhost path= query= unix:/run/a.sock");
        check(
            "unix:/run/a.sock:/b/?x=1",
            "unix:/run/a.sock 0 localhost path=/b query=x=1 unix:/run/a.sock",
        );
        check("http://[::1]:8000", "::1 8000 [::1]:8000 path= query= [::1]:8000");
        check("http://a:443", "a 443 a:443 path= query= ");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn https_has_a_port_of_its_own() {
        for (url, authority, port) in
            [("https://a", "a", 443), ("HTTPS://a:443/", "a", 443), ("https://a:80", "a:80", 80)]
        {
            let target = Target::parse(url).unwrap();
            assert!(target.is_secure);
            assert_eq!((&*target.authority, target.port), (authority, port));
            assert_eq!(target.to_string(), format!("https://{authority}/"));
            assert!(!target.is_same_place(&Target::parse(&format!("http://a:{port}")).unwrap()));
        }
        assert!(Target::parse_typed("https://a").unwrap().is_secure);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn https_needs_a_program_with_tls() {
        let wrong = Target::parse("https://a").unwrap_err();
        assert!(wrong.starts_with("this program was built without TLS"), "{wrong}");
    }

    #[test]
    fn wrong_urls() {
        let check = |url: &str, want: &str| {
            let got = Target::parse(url).unwrap_err();
            assert!(got.starts_with(want), "{url}: {got}");
            assert!(!got.contains("secret"), "{url}: {got}");
        };
        for url in ["", "a", "a:80", "//a", "http:/a", "http:a", "ftp://a", "127.0.0.1:8000"] {
            check(url, "not an HTTP URL");
        }
        for url in ["unix:", "unix:a.sock", "unix:/a\0b", &format!("unix:/{}", "x".repeat(103))] {
            check(url, "not a socket path");
        }
        check("http://user:secret@a", "a URL with credentials");
        check("http://user@a:80/", "a URL with credentials");
        check("http://a#b", "a fragment");
        check("http://a/b?c#d", "a fragment");
        check("http://", "not a host");
        check("http:///a", "not a host");
        check("http://:80", "not a host");
        check("http://a b", "not a host");
        for url in
            ["http://b\u{fc}cher.example", "http://\u{4f8b}\u{3048}.jp:80/a", "http://a\u{3002}b"]
        {
            check(url, "not ASCII; write an international name in its encoded form, with \"xn--\"");
        }
        assert!(Target::parse("http://xn--bcher-kva.example").is_ok());
        check("http://a\\@b", "a URL with credentials");
        check("http://127.1", "not an IPv4 address");
        check("http://[::1", "not a port");
        check("http://[::g]", "not an IPv6 address");
        check("http://::1", "not a port");
        check("http://a:", "not a port");
        check("http://a:0", "not a port");
        check("http://a:65536", "not a port");
        check("http://a/..", "\".\" and \"..\"");
        check("http://a//b", "two slashes in a row");
        check("http://a/b c", "a character");
        check("http://a/\r\nX: y", "a character");
        check("http://a/?\r\nX: y", "a character");
        check("http://a/?ä", "a character");
    }

    #[test]
    fn what_is_typed_needs_no_scheme() {
        let check = |typed: &str, want: &str| {
            let got = Target::parse_typed(typed);
            let got = got.map_or_else(str::to_owned, |target| target.to_string());
            assert!(got.starts_with(want), "{typed}: {got}");
        };
        check("http://a:81/b", "http://a:81/b");
        check("localhost:8000", "http://localhost:8000/");
        check("localhost", "http://localhost/");
        check("127.0.0.1:8000/base", "http://127.0.0.1:8000/base");
        check("[::1]:8000", "http://[::1]:8000/");
        check("http-server:8000", "http://http-server:8000/");
        check("a/?b=http", "http://a/?...");
        check("a?b", "http://a/?...");
        check("unix:/run/a.sock", "unix:/run/a.sock:/");
        for typed in ["8000", ":8000", "/run/a.sock"] {
            check(typed, "no host; write \"localhost:8000\"");
        }
        for typed in ["", "http:a", "HTTP:/a", "https:a", "ftp://a", "a/b?c=d://e"] {
            check(typed, "not an HTTP URL");
        }
        check("http:80", "not an HTTP URL");
        check("::1", "not a port");
        check("user:secret@a", "a URL with credentials");
        check("a:b", "not a port");
    }

    #[test]
    fn displayed_it_is_a_url_without_secrets() {
        let check = |url: &str, want: &str| {
            assert_eq!(Target::parse(url).unwrap().to_string(), want);
        };
        check("http://A.example", "http://a.example/");
        check("http://[::1]:81/b/", "http://[::1]:81/b");
        check("http://127.0.0.1/?key=secret", "http://127.0.0.1/?...");
    }
}
