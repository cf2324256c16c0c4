//! The admin listener: its requests and responses.
//!
//! It checks no keys: anyone who can connect to it may use it, so it belongs on a loopback address
//! or a Unix socket. Two rules protect it against pages open in a browser on the same machine. It
//! serves only hosts that no other site can claim, which defeats DNS rebinding. And a request that
//! changes something must carry a field that neither a form nor a cross-origin script can send
//! without permission ([`FIELD`]).
//!
//! A second listener, for probes, serves only health and metrics, for a kubelet, Prometheus or a
//! load balancer.
//!
//! Nothing here deals with sockets: [`check_request`] reads a head, and the rest writes text.
//! [`crate::proxy`] carries out the requests.

pub mod answer;
pub mod api_now;
pub mod groups;
pub mod live;
pub mod metrics;
pub mod page;
pub mod parts;
pub mod streams;
pub mod workers;

use crate::http::authority::Authority;
use crate::http::head::RequestHead;
use answer::Answer;
use parts::Inquiry;
use std::net::Ipv4Addr;
use streams::Query;

/// The field that a request must carry if it changes something, and its value.
pub const FIELD: (&str, &[u8]) = ("X-Millstream", b"1");

/// The response when the configuration was reloaded.
pub const RELOADED: &str = "Configuration reloaded.";

/// A request to the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `GET /`: the live page.
    Page,
    /// `GET /events`: the live page's event stream.
    Events,
    /// `GET /healthz`: whether the process is alive.
    Health,
    /// `GET /readyz`: whether the process takes new requests.
    Ready,
    /// `GET /metrics`, `GET /streams` and `DELETE /streams/ID`: a question to all event loops.
    All(Inquiry),
    /// A command that only the shell can carry out: `POST /reload` and `POST /drain`.
    Command(ShellCommand),
}

impl Ask {
    /// True exactly when the request changes something.
    pub const fn changes(self) -> bool {
        matches!(self, Ask::All(Inquiry::End(_)) | Ask::Command(_))
    }
}

/// A command for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellCommand {
    /// `POST /reload`: reload the configuration.
    Reload,
    /// `POST /drain`: shut down, as on a first SIGTERM.
    Drain,
    /// Ask all event loops, where there are several.
    Inquire(Inquiry),
}

/// Determines what a request asks for. `hosts` are accepted host names, in lower case. A `probe`
/// may ask only for health and metrics, and for health with any host.
///
/// # Errors
/// The response to a request that is refused.
pub fn check_request(
    head: &RequestHead<'_, '_>,
    probe: bool,
    hosts: &[String],
) -> Result<Ask, Answer> {
    let says_little = probe && matches!(head.target.path, "/healthz" | "/readyz");
    if !says_little && !is_welcome(head.authority, hosts) {
        return Err(Answer::text(
            421,
            "Only IP addresses, localhost, names below it and admin.hosts are accepted as hosts.",
        ));
    }
    let query = head.target.query.unwrap_or_default();
    let (ask, allow) = match head.target.path {
        path if probe && !matches!(path, "/metrics" | "/healthz" | "/readyz") => {
            return Err(Answer::text(404, NOTHING));
        }
        "/" => (Ask::Page, READS),
        "/events" => (Ask::Events, READS),
        "/metrics" => (Ask::All(Inquiry::Metrics), READS),
        "/healthz" => (Ask::Health, READS),
        "/readyz" => (Ask::Ready, READS),
        "/streams" => {
            let query = Query::parse(query).map_err(|wrong| Answer::text(400, wrong))?;
            let inquiry = if query.needs_rank() { Inquiry::Rank } else { Inquiry::Streams };
            (Ask::All(inquiry(query)), READS)
        }
        "/reload" => (Ask::Command(ShellCommand::Reload), "POST"),
        "/drain" => (Ask::Command(ShellCommand::Drain), "POST"),
        path => {
            let id = path.strip_prefix("/streams/").and_then(streams::id);
            let id = id.ok_or_else(|| Answer::text(404, NOTHING))?;
            (Ask::All(Inquiry::End(id)), "DELETE")
        }
    };
    let allowed = allow.split(", ").any(|method| method == head.method);
    if !allowed {
        return Err(Answer::text(405, "The method is not allowed here.").allowing(allow));
    }
    let (name, value) = FIELD;
    if ask.changes() && head.fields.only(name) != Some(value) {
        let what = "A request that changes something must carry the field X-Millstream: 1.";
        return Err(Answer::text(403, what));
    }
    Ok(ask)
}

const READS: &str = "GET, HEAD";

const NOTHING: &str = "Nothing is served here.";

/// True exactly when no other site can claim this host: it is an IP address, localhost, a name
/// below that (RFC 6761 section 6.3), or one of `hosts`. A request without a host is HTTP/1.0,
/// which no browser sends.
fn is_welcome(authority: Option<&str>, hosts: &[String]) -> bool {
    let Some(text) = authority else { return true };
    let Some(Authority { host, .. }) = Authority::parse(text.as_bytes()) else { return false };
    let host = host.to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    let host = host.strip_suffix('.').unwrap_or(&host);
    is_address
        || host == "localhost"
        || host.ends_with(".localhost")
        || hosts.iter().any(|h| h == host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldStore, HeadLimits};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, head_fields: 20, target_bytes: 1024 };

    fn ask(line: &str, fields: &str) -> Result<Ask, u16> {
        ask_at(false, line, fields)
    }

    fn ask_at(probes: bool, line: &str, fields: &str) -> Result<Ask, u16> {
        let head = format!("{line} HTTP/1.1\r\n{fields}\r\n");
        let mut store = FieldStore::new();
        let head = RequestHead::of_wire(head.as_bytes(), &mut store, &LIMITS).unwrap();
        check_request(&head, probes, &[]).map_err(|answer| answer.status)
    }

    #[test]
    fn what_is_asked_for() {
        let check = |line, want| assert_eq!(ask(line, "Host: localhost:9090\r\n"), want, "{line}");
        check("GET /", Ok(Ask::Page));
        check("HEAD /", Ok(Ask::Page));
        check("GET /events?x", Ok(Ask::Events));
        check("GET /metrics", Ok(Ask::All(Inquiry::Metrics)));
        check("GET /streams", Ok(Ask::All(Inquiry::Streams(Query::parse("").unwrap()))));
        check("GET /streams?limit=0", Err(400));
        check("GET /streams/", Err(404));
        check("GET /streams/1f", Err(405));
        check("GET /nothing", Err(404));
        check("POST /", Err(405));
        check("DELETE /streams/1f", Err(403));
        check("POST /drain", Err(403));
        check("GET /drain", Err(405));
        let fields = "Host: [::1]\r\nX-Millstream: 1\r\n";
        assert_eq!(ask("DELETE /streams/1f", fields), Ok(Ask::All(Inquiry::End(0x1f))));
        assert_eq!(ask("POST /reload", fields), Ok(Ask::Command(ShellCommand::Reload)));
        let twice = "Host: [::1]\r\nX-Millstream: 1\r\nX-Millstream: 1\r\n";
        assert_eq!(ask("POST /reload", twice), Err(403));
        assert_eq!(ask("POST /drain", "Host: a\r\nX-Millstream: 1\r\n"), Err(421));
    }

    #[test]
    fn probes_ask_how_the_process_is() {
        let check = |line, host, want| {
            let fields = format!("Host: {host}\r\nX-Millstream: 1\r\n");
            assert_eq!(ask_at(true, line, &fields), want, "{line} {host}");
        };
        check("GET /healthz", "millstream:9091", Ok(Ask::Health));
        check("HEAD /readyz?x", "10.0.0.1", Ok(Ask::Ready));
        check("POST /readyz", "a", Err(405));
        check("GET /metrics", "10.0.0.1", Ok(Ask::All(Inquiry::Metrics)));
        check("GET /metrics", "a.example", Err(421));
        for line in ["GET /", "GET /events", "GET /streams", "DELETE /streams/1f", "POST /reload"] {
            check(line, "localhost", Err(404));
        }
        check("POST /drain", "localhost", Err(404));
        check("GET /healthz/", "localhost", Err(404));
    }

    #[test]
    fn hosts() {
        for host in ["127.0.0.1", "10.0.0.1:80", "[::1]:9090", "LocalHost", "a.localhost:1"] {
            assert!(is_welcome(Some(host), &[]), "{host}");
        }
        for host in ["a.example", "localhost.example", "127.0.0.1.example", "xlocalhost", "1.2.3"] {
            assert!(!is_welcome(Some(host), &["millstream".to_owned()]), "{host}");
        }
        for host in ["millstream", "MillStream:9090", "millstream."] {
            assert!(is_welcome(Some(host), &["millstream".to_owned()]), "{host}");
        }
    }
}
