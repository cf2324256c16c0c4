//! The real network for the contract tests: the loopback interface, with ports chosen by the
//! system.

use super::{Far, Told, Wires};
use millstream::testing::sim::Heard;
use millstream::testing::{EventSource, Inherited, ListenAddr, MioNet, Net, listen};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long the kernel waits for acknowledgements; longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sockets with their own poll, and nonblocking far ends.
pub(super) struct Loopback {
    poll: mio::Poll,
    net: MioNet,
    address: SocketAddr,
    origin: TcpListener,
    /// Bound, to keep the port from others, but not listening.
    nobody: Socket,
    fars: Vec<Option<TcpStream>>,
}

impl Loopback {
    pub(super) fn new() -> Loopback {
        let poll = mio::Poll::new().unwrap();
        let mut net = MioNet::new(poll.registry().try_clone().unwrap(), 0);
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener =
            listen(&ListenAddr::Tcp(any_port), false, PATIENCE, &Inherited::default()).unwrap();
        let address = listener.address().unwrap().unwrap();
        net.add_listener(listener).unwrap();
        let origin = TcpListener::bind(any_port).unwrap();
        origin.set_nonblocking(true).unwrap();
        let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        nobody.bind(&SockAddr::from(any_port)).unwrap();
        Loopback { poll, net, address, origin, nobody, fars: Vec::new() }
    }

    fn meet(&mut self, stream: TcpStream) -> Far {
        stream.set_nonblocking(true).unwrap();
        self.fars.push(Some(stream));
        Far(self.fars.len() - 1)
    }

    fn far(&mut self, far: Far) -> &mut TcpStream {
        self.fars[far.0].as_mut().unwrap()
    }
}

impl Wires for Loopback {
    type Net = MioNet;

    fn net(&mut self) -> &mut MioNet {
        &mut self.net
    }

    fn tells_of_hang_ups(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    fn events(&mut self) -> Vec<Told> {
        let mut events = mio::Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::from_millis(1))).unwrap();
        let told = |event| match self.net.source_of(event)? {
            EventSource::Listener(id) => Some(Told::Listener(id)),
            EventSource::Socket(token, ready) => Some(Told::Socket(token, ready)),
        };
        events.iter().filter_map(told).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "the far end may block")]
    fn client(&mut self) -> Option<Far> {
        let stream = TcpStream::connect(self.address).ok()?;
        Some(self.meet(stream))
    }

    fn origin(&self) -> SocketAddr {
        self.origin.local_addr().unwrap()
    }

    fn nobody(&self) -> SocketAddr {
        self.nobody.local_addr().unwrap().as_socket().unwrap()
    }

    fn arrived(&mut self) -> Option<Far> {
        let (stream, _) = self.origin.accept().ok()?;
        Some(self.meet(stream))
    }

    fn send(&mut self, far: Far, bytes: &[u8]) -> usize {
        self.far(far).write(bytes).unwrap()
    }

    fn hear(&mut self, far: Far) -> Heard {
        let mut buf = vec![0; 64 * 1024];
        match self.far(far).read(&mut buf) {
            Ok(0) => Heard::End,
            Ok(n) => Heard::Bytes(buf[..n].to_vec()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::Reset,
        }
    }

    fn finish(&mut self, far: Far) {
        self.far(far).shutdown(Shutdown::Write).unwrap();
    }

    fn leave(&mut self, far: Far) {
        self.fars[far.0] = None;
    }

    fn reset(&mut self, far: Far) {
        let stream = self.fars[far.0].take().unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Sockets with a path, whose peers have no address, exist only in the real network.
#[test]
fn a_unix_socket_is_a_socket() {
    // In the temporary folder, because the path of a socket must be short.
    let path = std::env::temp_dir().join(format!("millstream-{}.sock", std::process::id()));
    let poll = mio::Poll::new().unwrap();
    let mut net = MioNet::new(poll.registry().try_clone().unwrap(), 0);
    let listener =
        listen(&ListenAddr::Unix(path.clone()), false, PATIENCE, &Inherited::default()).unwrap();
    assert_eq!(listener.address().unwrap(), None);
    let listener = net.add_listener(listener).unwrap();
    assert_eq!(net.accept(listener).unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (sock, peer) = net.accept(listener).unwrap();
    assert_eq!(peer, None);
    net.write(sock, b"hello").unwrap();
    net.shutdown_write(sock);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    net.close(sock);
}
