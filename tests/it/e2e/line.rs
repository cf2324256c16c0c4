//! One end of a connection, and a listener, in a test's hands.

use super::{Body, Head, PATIENCE};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection, with what it has brought and nobody has asked for yet.
pub(super) struct Line<S = TcpStream> {
    stream: S,
    wire: Vec<u8>,
    body: Body,
    /// Of the body that is being read: what has come and was not asked for.
    decoded: Vec<u8>,
}

/// What the proxy adds to event streams.
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

    /// Breaks the connection (RST).
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

    /// What it runs over.
    pub(super) const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Waits until some bytes have come, whatever they are.
    pub(super) fn wait_for_some(&mut self) {
        self.more().unwrap();
    }

    /// Sends bytes over a connection that may be gone.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends until nothing moves for a while: the bytes that were taken. It may be wrong about
    /// "nothing moves", never about the bytes.
    pub(super) fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        SockRef::from(&self.stream).set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                // A signal came, which `more` ignores, too.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("{e}, after {sent} bytes"),
            }
        }
        SockRef::from(&self.stream).set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// Waits for more.
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
            // The test was stopped for a while and goes on.
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

    /// The next request; its body can be read then.
    pub(super) fn request(&mut self) -> Head {
        let head = self.head();
        self.body = head.body(false, true).unwrap();
        head
    }

    /// The next response, to something else than HEAD; its body can be read then.
    pub(super) fn response(&mut self) -> Head {
        let head = self.head();
        self.body = head.body(false, false).unwrap();
        head
    }

    /// The next `n` bytes of the body, as soon as they are there.
    pub(super) fn read(&mut self, n: usize) -> String {
        while self.decode() < n {
            if let Err(end) = self.more() {
                panic!("{end:?} after {}", self.decoded.escape_ascii());
            }
        }
        String::from_utf8(self.decoded.drain(..n).collect()).unwrap()
    }

    /// Reads what must be next.
    pub(super) fn expect(&mut self, text: &str) {
        assert_eq!(self.read(text.len()), text);
    }

    /// Waits for a comment of the proxy's, which must be next.
    pub(super) fn comment(&mut self) {
        while self.decoded.len() < COMMENT.len() {
            self.more().unwrap();
            self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        }
        assert!(self.decoded.starts_with(COMMENT), "{}", self.decoded.escape_ascii());
        self.decoded.drain(..COMMENT.len());
    }

    /// The whole body of which nothing was read, with whatever the proxy has added to it.
    pub(super) fn as_it_is(&mut self) -> String {
        self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        while !matches!(self.body, Body::Ended) {
            self.more().unwrap();
            self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        }
        String::from_utf8(std::mem::take(&mut self.decoded)).unwrap()
    }

    /// The rest of the body, which must be complete.
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

    /// The connection ends with no further byte of a body, and without saying that it is complete.
    pub(super) fn cut(&mut self) -> End {
        let end = self.end();
        self.decode();
        assert!(self.decoded.is_empty(), "bytes: {}", self.decoded.escape_ascii());
        assert!(!matches!(self.body, Body::Ended), "it looks complete");
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

    /// How many bytes of the body can be read. The comment in front of an event does not count:
    /// when one comes is nothing that a test on real sockets can know.
    fn decode(&mut self) -> usize {
        self.body.read(&mut self.wire, &mut self.decoded).unwrap();
        if self.decoded.starts_with(COMMENT) {
            self.decoded.drain(..COMMENT.len());
        }
        let unfinished = COMMENT.starts_with(&self.decoded);
        if unfinished { 0 } else { self.decoded.len() }
    }
}

/// Where the program's connections arrive.
pub(super) struct Origin(TcpListener);

impl Origin {
    pub(super) fn listen() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // On Linux this is for accepting, too.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Origin(listener)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection, once it is there.
    pub(super) fn accept(&self) -> Line {
        self.try_accept().unwrap()
    }

    /// The next connection as it is, before anything was said.
    pub(super) fn accept_stream(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }

    /// The next connection, or an error when none comes.
    pub(super) fn try_accept(&self) -> io::Result<Line> {
        self.0.accept().map(|(stream, _)| Line::over(stream))
    }
}
