//! The load's own connection to the origin, not through the peer: it wakes streams, and asks what
//! the origin has counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::sys::Outcome;

/// A connection for requests, one after the other.
pub struct Control(TcpStream);

/// The origin's counts.
pub struct Origin {
    /// Open streams.
    pub open: u64,
    /// Events sent since the start, to all clients.
    pub events: u64,
    /// TLS handshakes since the start.
    pub handshakes: u64,
    /// How many of these were resumed.
    pub resumed: u64,
}

impl Control {
    /// Connects.
    pub fn connect(address: Option<SocketAddr>) -> Outcome<Self> {
        let address = address.ok_or("load: no --control")?;
        let connect = || -> std::io::Result<TcpStream> {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(socket)
        };
        connect()
            .map(Self)
            .map_err(|error| format!("cannot reach the origin at {address}: {error}"))
    }

    /// Makes the origin send events to all waiting streams. The response stays unread until the
    /// next request, because the streams must be read first.
    pub fn wake(&mut self) -> Outcome<()> {
        self.ask("/wake")
    }

    /// Reads the response to [`Self::wake`].
    pub fn woken(&mut self) -> Outcome<()> {
        self.answer().map(drop)
    }

    /// The origin's counts so far.
    pub fn tally(&mut self) -> Outcome<Origin> {
        self.ask("/tally")?;
        let body = self.answer()?;
        let number = |name: &str| -> Outcome<u64> {
            let mut words = body.split(' ');
            let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| format!("the origin tells no {name}: {body:?}"))
        };
        Ok(Origin {
            open: number("open")?,
            events: number("events")?,
            handshakes: number("handshakes")?,
            resumed: number("resumed")?,
        })
    }

    fn ask(&mut self, path: &str) -> Outcome<()> {
        let request = format!("GET {path} HTTP/1.1\r\n\r\n");
        self.0
            .write_all(request.as_bytes())
            .map_err(|error| format!("cannot ask the origin: {error}"))
    }

    /// Reads the body of a response, which is sent in one write.
    fn answer(&mut self) -> Outcome<String> {
        let mut buffer = [0; 1024];
        let read = self.0.read(&mut buffer);
        let read = read.map_err(|error| format!("the origin does not answer: {error}"))?;
        let text = String::from_utf8_lossy(&buffer[..read]);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        body.ok_or_else(|| format!("the origin's answer {text:?}"))
    }
}
