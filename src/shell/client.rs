//! A client that sends one request, for the options of the command line that talk to a running
//! process.
//!
//! The process does nothing else meanwhile, so this blocks. It reads targets and responses as the
//! proxy does. It follows no redirects, because they could lead from a server that is not healthy
//! to one that is, and speaks no TLS, because the admin listener does not either.

use super::clock::Clock;
use super::resolver::addresses_of_all;
use crate::config::Target;
use crate::http::body::BodyReader;
use crate::http::head::{FieldStore, HeadLimits, HeadSearch, ResponseHead};
use crate::net::Address;
use crate::time::Tick;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// The limits for response heads.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 * 1024, head_fields: 128, target_bytes: 0 };

/// A client and the time that it has. See the module.
pub(super) struct Client {
    /// A clock that started with the client.
    clock: Clock,
    timeout: Duration,
}

/// A response.
pub(super) struct Response {
    /// Its status. Never that of an interim response.
    pub status: u16,
    /// The body, up to the length that was asked for.
    pub body: String,
}

impl Client {
    /// A client that takes at most this long from now on, including the lookup of the host and the
    /// reading of the response.
    pub(super) fn within(timeout: Duration) -> Client {
        Client { clock: Clock::start(), timeout }
    }

    /// Sends a request to a target and returns the response, with at most `body_max` bytes of its
    /// body.
    ///
    /// # Errors
    /// In one line, why there is no response.
    pub(super) fn ask(
        mut self,
        target: &Target,
        request: &[u8],
        body_max: usize,
    ) -> Result<Response, String> {
        if target.is_secure {
            let what = "it does not speak TLS; write an http:// URL, as of the admin listener";
            return Err(what.to_owned());
        }
        let mut addresses = target.addresses.clone();
        if addresses.is_empty() {
            let name = (target.host.clone(), target.port);
            addresses = addresses_of_all(vec![name], self.timeout).remove(0)?;
        }
        let mut socket = self.connect(&addresses)?;
        self.send(&mut socket, request).map_err(|error| self.explain(&error))?;
        self.receive_response(&mut socket, body_max)
    }

    /// Connects to the first address that accepts a connection. Each address may take an equal
    /// share of the time left.
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

    /// Skips interim responses (RFC 9110 section 15.2), and reads the final one.
    fn receive_response(
        &mut self,
        socket: &mut Socket,
        body_max: usize,
    ) -> Result<Response, String> {
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
            let mut store = FieldStore::new();
            let head = search.joined(&mut bytes[..end]);
            let head = ResponseHead::parse(head, &mut store, &LIMITS, false);
            let head = head.map_err(|error| error.what().to_owned())?;
            let (status, body) = (head.status, BodyReader::response(head.length));
            bytes.drain(..end);
            match status {
                // Another protocol follows a 101, and not another head.
                100 | 102..=199 => search = HeadSearch::response(),
                _ => {
                    let body = self.receive_body(socket, body, bytes, body_max)?;
                    return Ok(Response { status, body });
                }
            }
        }
    }

    /// Reads a body, which begins with `bytes`, until it ends or has `max` bytes.
    fn receive_body(
        &mut self,
        socket: &mut Socket,
        mut reader: BodyReader,
        mut bytes: Vec<u8>,
        max: usize,
    ) -> Result<String, String> {
        let mut body = Vec::new();
        while body.len() < max && !reader.ended() {
            if bytes.is_empty()
                && self.receive(socket, &mut bytes).map_err(|error| self.explain(&error))? == 0
            {
                reader
                    .eof()
                    .map_err(|_| "it closed before its response was complete".to_owned())?;
                break;
            }
            let piece = reader.read(&mut bytes).map_err(|error| error.what().to_owned())?;
            body.extend_from_slice(&bytes[piece.range()]);
            bytes.clear();
        }
        body.truncate(max);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn receive(&mut self, socket: &mut Socket, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let mut read = [0; 4096];
        socket.set_read_timeout(Some(self.left()?))?;
        let n = uninterrupted(|| socket.read(&mut read))?;
        bytes.extend_from_slice(&read[..n]);
        Ok(n)
    }

    /// Returns the time left, or an error if there is none: a socket treats a timeout of zero as no
    /// timeout.
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

/// Repeats a call until it is not interrupted by a signal.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
