//! `--probe`: asks once whether a server answers. Images without a shell have nothing else to ask
//! their own millstream with (`HEALTHCHECK` in Docker, `exec` probes in Kubernetes).
//!
//! A probing process does nothing else, so this blocks. It knows targets and response heads as the
//! proxy does, but follows no redirects, because they could lead to a server that is well in place
//! of the one in question, and speaks no TLS, because the admin listener does not either.

use super::clock::Clock;
use super::resolver::addresses_of_all;
use crate::config::Target;
use crate::http::head::{self, FieldStore, HeadLimits, HeadSearch, ResponseHead};
use crate::net::Address;
use crate::time::Tick;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// How long a probe may take, from the lookup of the host to the end of the response's head.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The heads of the responses. The body is not read.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 * 1024, head_fields: 128, target_bytes: 0 };

/// Sends a GET for a URL, and checks that its response has a status from 200 to 299. The URL is
/// one of `--to`, with a path; that of a Unix socket is `unix:/path/to.sock:/readyz`. Blocks for
/// five seconds at most.
///
/// # Errors
/// In one line, why the server is not well, or why there is no knowing.
pub fn probe(url: &str) -> Result<(), String> {
    probe_within(TIMEOUT, url)
}

fn probe_within(timeout: Duration, url: &str) -> Result<(), String> {
    let target = Target::parse_typed(url).map_err(|what| format!("--probe: {what}"))?;
    if target.is_secure {
        let what = "--probe: it does not speak TLS; write an http:// URL, as of the admin listener";
        return Err(what.to_owned());
    }
    let status = Probe { clock: Clock::start(), timeout }.ask(&target, url);
    match status.map_err(|what| format!("{target}: {what}"))? {
        200..=299 => Ok(()),
        status => Err(format!("{target}: its status is {status}")),
    }
}

/// A probe under way.
struct Probe {
    /// A clock that began with it.
    clock: Clock,
    timeout: Duration,
}

impl Probe {
    /// Returns the status of the response.
    fn ask(&mut self, target: &Target, url: &str) -> Result<u16, String> {
        let mut addresses = target.addresses.clone();
        if addresses.is_empty() {
            let name = (target.host.clone(), target.port);
            addresses = addresses_of_all(vec![name], self.timeout).remove(0)?;
        }
        let mut socket = self.connect(&addresses)?;
        self.send(&mut socket, &request(target, url)).map_err(|error| self.explain(&error))?;
        self.status(&mut socket)
    }

    /// Connects to the first address that takes a connection. Each may use the same share of the
    /// time that is left.
    fn connect(&mut self, addresses: &[Address]) -> Result<Socket, String> {
        let mut failure = None;
        for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let share = self.left().map(|time| time / u32::try_from(left).unwrap_or(u32::MAX));
            match share.and_then(|share| connect(address, share)) {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = Some(error),
            }
        }
        let failure = failure.unwrap_or_else(|| ErrorKind::NotFound.into());
        Err(format!("cannot connect: {}", self.explain(&failure)))
    }

    fn send(&mut self, socket: &mut Socket, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            socket.set_write_timeout(Some(self.left()?))?;
            let sent = uninterrupted(|| socket.write(bytes))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads heads until one is not of an interim response (RFC 9110 section 15.2).
    fn status(&mut self, socket: &mut Socket) -> Result<u16, String> {
        let (mut bytes, mut search) = (Vec::new(), HeadSearch::response());
        loop {
            let found = search.find(&bytes, &LIMITS).map_err(|error| error.what().to_owned())?;
            let Some(end) = found else {
                let read = self.receive(socket, &mut bytes);
                if read.map_err(|error| self.explain(&error))? == 0 {
                    return Err("it closed before its response head was complete".to_owned());
                }
                continue;
            };
            let head = &mut bytes[..end];
            let length = if search.is_folded() { head::unfold(head) } else { end };
            let mut store = FieldStore::new();
            let head = ResponseHead::parse(&head[..length], &mut store, &LIMITS, false);
            match head.map_err(|error| error.what().to_owned())?.status {
                // The next protocol begins behind a 101, and not another head.
                100 | 102..=199 => {}
                status => return Ok(status),
            }
            bytes.drain(..end);
            search = HeadSearch::response();
        }
    }

    fn receive(&mut self, socket: &mut Socket, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let mut read = [0; 4096];
        socket.set_read_timeout(Some(self.left()?))?;
        let n = uninterrupted(|| socket.read(&mut read))?;
        bytes.extend_from_slice(&read[..n]);
        Ok(n)
    }

    /// Returns the time that is left, or an error if none is. A socket takes a timeout of nothing
    /// for none at all.
    fn left(&mut self) -> io::Result<Duration> {
        let past = self.clock.now().tick.since(Tick::ZERO);
        let left = self.timeout.checked_sub(past).filter(|left| !left.is_zero());
        left.ok_or_else(|| ErrorKind::TimedOut.into())
    }

    fn explain(&self, error: &io::Error) -> String {
        let is_late = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        if is_late { format!("no answer in {:?}", self.timeout) } else { error.to_string() }
    }
}

fn connect(address: &Address, timeout: Duration) -> io::Result<Socket> {
    let (domain, address) = match address {
        Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, timeout)?;
    Ok(socket)
}

/// Calls it until no signal comes in between.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Writes the request. A target is a prefix of paths and ends without a slash, so that of the URL
/// is put back.
fn request(target: &Target, url: &str) -> Vec<u8> {
    let Target { authority, path, query, .. } = target;
    let written = url.split('?').next().unwrap_or_default();
    let slash = if path.is_empty() || written.ends_with('/') { "/" } else { "" };
    let (mark, query) = query.as_ref().map_or(("", ""), |query| ("?", query));
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {path}{slash}{mark}{query} HTTP/1.1\r\nHost: {authority}\r\n\
        User-Agent: millstream/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn requests_are_for_the_url_as_it_is_written() {
        let check = |url: &str, line: &str, host: &str| {
            let request = request(&Target::parse_typed(url).unwrap(), url);
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

    /// The system takes connections for a listener that never accepts.
    #[test]
    fn no_answer_is_waited_for_beyond_the_timeout() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let timeout = Duration::from_millis(50);
        let want = Err(format!("{url}: no answer in 50ms"));
        assert_eq!(probe_within(timeout, &url), want);
    }
}
