//! What the command line can ask of a running process: `--probe` and `--reload`.
//!
//! Images without a shell have no other program that could check their millstream (`HEALTHCHECK` in
//! Docker, `exec` probes in Kubernetes) or make it reload its configuration.

use super::client::Client;
use super::lines::escaped;
use crate::admin;
use crate::config::Target;
use std::time::Duration;

/// How long a probe may take, from the lookup of the host to the end of the response head.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reload may take. It includes resolving all names again.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How much is read of an admin listener's answer: a broken file may have many errors.
const ANSWER_MAX: usize = 256 * 1024;

/// Sends a GET for a URL, and checks that the response has a status from 200 to 299. The URL is as
/// for `--to`, but with a path; for a Unix socket it is `unix:/path/to.sock:/readyz`. Blocks for at
/// most five seconds.
///
/// # Errors
/// In one line, why the server is not healthy, or why that is unknown.
pub fn probe(url: &str) -> Result<(), String> {
    probe_within(PROBE_TIMEOUT, url)
}

fn probe_within(timeout: Duration, url: &str) -> Result<(), String> {
    let target = Target::parse_typed(url).map_err(|what| format!("--probe: {what}"))?;
    let request = request("GET", &target, &path_and_query(&target, url), "");
    let response = Client::within(timeout).ask(&target, &request, 0);
    match response.map_err(|what| format!("{target}: {what}"))?.status {
        200..=299 => Ok(()),
        status => Err(format!("{target}: its status is {status}")),
    }
}

/// Makes the process with the admin listener at `url` reload its configuration, and returns its
/// answer. The URL has the form of `admin.listen`, or is `http://` and a host. Blocks for at most a
/// minute.
///
/// # Errors
/// In a few lines, why it keeps its old configuration, or why that is unknown.
pub fn reload(url: &str) -> Result<String, String> {
    let target = Target::parse_typed(url).map_err(|what| format!("--reload: {what}"))?;
    if !target.path.is_empty() || target.query.is_some() {
        return Err("--reload: write where the admin listener is, without a path".to_owned());
    }
    let (name, value) = admin::FIELD;
    let field = format!("{name}: {}\r\nContent-Length: 0\r\n", String::from_utf8_lossy(value));
    let request = request("POST", &target, "/reload", &field);
    let response = Client::within(RELOAD_TIMEOUT).ask(&target, &request, ANSWER_MAX);
    let response = response.map_err(|what| format!("{target}: {what}"))?;
    // Another server may have answered.
    let said = || escaped(response.body.trim_end(), true).into_owned();
    match response.status {
        200 if response.body.trim_end() == admin::RELOADED => Ok(response.body),
        // Accepted, but not in force yet.
        202 => Err(said()),
        200..=299 => Err(format!("{target}: this is not an admin listener of millstream")),
        status if response.body.is_empty() => Err(format!("{target}: its status is {status}")),
        _ => Err(said()),
    }
}

/// The path and query of a URL. A target is a prefix of paths and never ends with a slash, so the
/// URL's own slash is restored.
fn path_and_query(target: &Target, url: &str) -> String {
    let Target { path, query, .. } = target;
    let written = url.split('?').next().unwrap_or_default();
    let slash = if path.is_empty() || written.ends_with('/') { "/" } else { "" };
    let (mark, query) = query.as_ref().map_or(("", ""), |query| ("?", query));
    format!("{path}{slash}{mark}{query}")
}

/// Builds a request with these additional fields, each with its CRLF.
fn request(method: &str, target: &Target, path_and_query: &str, fields: &str) -> Vec<u8> {
    let (authority, version) = (&target.authority, env!("CARGO_PKG_VERSION"));
    let request = format!(
        "{method} {path_and_query} HTTP/1.1\r\nHost: {authority}\r\n\
        User-Agent: millstream/{version}\r\nAccept: */*\r\nConnection: close\r\n{fields}\r\n"
    );
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn requests_are_for_the_url_as_it_is_written() {
        let check = |url: &str, line: &str, host: &str| {
            let target = Target::parse_typed(url).unwrap();
            let request = request("GET", &target, &path_and_query(&target, url), "");
            let want = format!("GET {line} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: millstream/");
            let request = String::from_utf8(request).unwrap();
            assert!(request.starts_with(&want) && request.ends_with("close\r\n\r\n"), "{request}");
        };
        check("http://127.0.0.1:9090/readyz", "/readyz", "127.0.0.1:9090");
        check("localhost", "/", "localhost");
        check("http://[::1]/", "/", "[::1]");
        check("http://a/sse/", "/sse/", "a");
        check("http://a/sse?b=/", "/sse?b=/", "a");
        check("http://a/?b", "/?b", "a");
        check("unix:/run/a.sock:/readyz", "/readyz", "localhost");
        check("unix:/run/a.sock", "/", "localhost");
    }

    /// A terminal would obey them.
    #[test]
    fn control_characters_of_an_answer_are_escaped() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let answer = std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut head = [0; 1024];
            assert!(client.read(&mut head).unwrap() > 0);
            let body = "one\ntwo\u{1b}[2J\n";
            let length = body.len();
            let head = "HTTP/1.1 422 Unprocessable Content\r\nContent-Length: ";
            client.write_all(format!("{head}{length}\r\n\r\n{body}").as_bytes()).unwrap();
        });
        assert_eq!(reload(&url), Err("one\ntwo\\u{1b}[2J".to_owned()));
        answer.join().unwrap();
    }

    /// The kernel completes connections for a listener that never accepts them.
    #[test]
    fn no_answer_is_waited_for_beyond_the_timeout() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let timeout = Duration::from_millis(50);
        let want = Err(format!("{url}: no answer in 50ms"));
        assert_eq!(probe_within(timeout, &url), want);
    }
}
