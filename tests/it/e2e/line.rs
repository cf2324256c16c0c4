//! One end of a connection, and a listener, both controlled by a test.

use super::{Body, Head, PATIENCE};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection, with the bytes that have arrived and were not consumed yet.
pub(super) struct Line<S = TcpStream> {
    stream: S,
    wire: Vec<u8>,
    body: Body,
    /// The part of the current body that has been decoded and not consumed yet.
    decoded: Vec<u8>,
}

/// The comment that the proxy inserts into event streams.
const COMMENT: &[u8] = b":\n\n";

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

impl Line {
    pub(super) fn to(address: SocketAddr) -> Line {
        Line::try_to(address).unwrap()
    }

    pub(super) fn try_to(address: SocketAddr) -> io::Result<Line> {
        TcpStream::connect_timeout(&address, PATIENCE).map(Line::over)
    }

    /// Resets the connection (RST).
    pub(super) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Line<UnixStream> {
    pub(super) fn to_path(path: &str) -> Line<UnixStream> {
        Line::over(UnixStream::connect(path).unwrap())
    }
}

impl<S: Read + Write + AsFd> Line<S> {
    pub(super) fn over(stream: S) -> Line<S> {
        let socket = SockRef::from(&stream);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Line { stream, wire: Vec::new(), body: Body::Ended, decoded: Vec::new() }
    }

    /// The underlying transport.
    pub(super) const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Waits until any bytes arrive.
    pub(super) fn wait_for_some(&mut self) {
        self.more().unwrap();
    }

    /// Sends bytes over a connection that may be closed.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends until nothing has been accepted for a while. Returns the number of bytes accepted. The
    /// peer may have been only slow, but the number is exact.
    pub(super) fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        SockRef::from(&self.stream).set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                // A signal interrupted the call. `more` ignores that, too.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("{e}, after {sent} bytes"),
            }
        }
        SockRef::from(&self.stream).set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// Reads more bytes, or returns how the connection ended.
    fn more(&mut self) -> Result<(), End> {
        let mut buf = [0; 16 * 1024];
        match self.stream.read(&mut buf) {
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.wire.extend_from_slice(&buf[..n]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Err(End::Reset)
            }
            // The test was stopped for a while and continues.
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            Err(e) => panic!("{e}, after {}", self.wire.escape_ascii()),
        }
    }

    fn head(&mut self) -> Head {
        loop {
            if let Some(head) = Head::parse(&self.wire).unwrap() {
                self.wire.drain(..head.length);
                return head;
            }
            self.more().unwrap();
        }
    }

    /// Reads the next request's head. Its body can be read after that.
    pub(super) fn request(&mut self) -> Head {
        let head = self.head();
        self.body = head.body(false, true).unwrap();
        head
    }

    /// Reads the next response's head; not for responses to HEAD. Its body can be read after that.
    pub(super) fn response(&mut self) -> Head {
        let head = self.head();
        self.body = head.body(false, false).unwrap();
        head
    }

    /// Reads the next `n` bytes of the body.
    pub(super) fn read(&mut self, n: usize) -> String {
        while self.decode() < n {
            if let Err(end) = self.more() {
                panic!("{end:?} after {}", self.decoded.escape_ascii());
            }
        }
        String::from_utf8(self.decoded.drain(..n).collect()).unwrap()
    }

    /// Reads the next bytes of the body, which must be these.
    pub(super) fn expect(&mut self, text: &str) {
        assert_eq!(self.read(text.len()), text);
    }

    /// Reads a comment inserted by the proxy, which must be next.
    pub(super) fn comment(&mut self) {
        while self.decoded.len() < COMMENT.len() {
            self.more().unwrap();
            self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        }
        assert!(self.decoded.starts_with(COMMENT), "{}", self.decoded.escape_ascii());
        self.decoded.drain(..COMMENT.len());
    }

    /// Reads the whole body, including what the proxy has inserted.
    pub(super) fn as_it_is(&mut self) -> String {
        self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        while !matches!(self.body, Body::Ended) {
            self.more().unwrap();
            self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        }
        String::from_utf8(std::mem::take(&mut self.decoded)).unwrap()
    }

    /// Reads the rest of the body, which must be complete.
    pub(super) fn rest(&mut self) -> String {
        self.decode();
        while !matches!(self.body, Body::Ended) {
            match (self.more(), &self.body) {
                (Ok(()), _) => _ = self.decode(),
                (Err(End::Closed), Body::UntilClose) => break,
                (Err(end), _) => panic!("cut: {end:?} after {}", self.decoded.escape_ascii()),
            }
        }
        String::from_utf8(std::mem::take(&mut self.decoded)).unwrap()
    }

    /// Waits for the end of the connection. No further byte of the body may arrive, and the body
    /// must not be complete.
    pub(super) fn cut(&mut self) -> End {
        let end = self.end();
        self.decode();
        assert!(self.decoded.is_empty(), "bytes: {}", self.decoded.escape_ascii());
        assert!(!matches!(self.body, Body::Ended), "the body looks complete");
        end
    }

    /// Waits for the end of the connection.
    pub(super) fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.more() {
                return end;
            }
        }
    }

    /// Decodes, and returns how many bytes of the body can be read. A comment before an event is
    /// skipped, because a test on real sockets cannot know when one is inserted.
    fn decode(&mut self) -> usize {
        self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        if self.decoded.starts_with(COMMENT) {
            self.decoded.drain(..COMMENT.len());
        }
        let unfinished = COMMENT.starts_with(&self.decoded);
        if unfinished { 0 } else { self.decoded.len() }
    }
}

/// The listener that the program connects to.
pub(super) struct Origin(TcpListener);

impl Origin {
    pub(super) fn listen() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // On Linux this timeout applies to accepting, too.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Origin(listener)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Waits for the next connection.
    pub(super) fn accept(&self) -> Line {
        self.try_accept().unwrap()
    }

    /// Waits for the next connection, and returns the bare socket.
    pub(super) fn accept_stream(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }

    /// Waits for the next connection. An error if none arrives in time.
    pub(super) fn try_accept(&self) -> io::Result<Line> {
        self.0.accept().map(|(stream, _)| Line::over(stream))
    }
}
