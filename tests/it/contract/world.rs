//! A network under test and this side's connections, which only events move.

use super::{Far, LISTENER, Secured, Told, Wires};
use millstream::testing::sim::Heard;
use millstream::testing::{Conn, Net, Read, Ready, SockId, Token, Written};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

/// How often a wait looks for its result. The real network takes a millisecond each time.
const LOOKS: usize = 10_000;

/// A network and this side's connections. A connection's token is its index.
pub(super) struct World<W> {
    pub(super) wires: W,
    pub(super) conns: Vec<Conn>,
    /// How often the listener has been reported ready.
    pub(super) announced: usize,
    pub(super) peer: Option<IpAddr>,
}

impl<W: Wires> World<W> {
    pub(super) fn new(wires: W) -> World<W> {
        World { wires, conns: Vec::new(), announced: 0, peer: None }
    }

    pub(super) fn turn(&mut self) {
        for told in self.wires.events() {
            match told {
                Told::Listener(id) => {
                    assert_eq!(id, LISTENER);
                    self.announced += 1;
                }
                Told::Socket(Token(token), ready) => {
                    let hup = ready.has(Ready::HUP);
                    assert!(!hup || ready.has(Ready::READ), "a hang-up is found by reading");
                    self.hear(Token(token), ready);
                }
            }
        }
        self.wires.net().shake_hands(1);
        while let Some((token, ready)) = self.wires.net().next_ready() {
            self.hear(token, ready);
        }
    }

    fn hear(&mut self, Token(token): Token, ready: Ready) {
        let World { wires, conns, .. } = self;
        conns[usize::try_from(token).unwrap()].heard(wires.net(), ready);
    }

    /// Repeats until there is a result.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        for _ in 0..LOOKS {
            if let Some(found) = look(self) {
                return found;
            }
            self.turn();
        }
        panic!("{what}: it never came");
    }

    pub(super) fn until_ready(&mut self, conn: usize, bits: Ready) {
        self.until(&format!("{bits:?}"), |w| w.conns[conn].ready.has(bits).then_some(()));
    }

    /// Waits for a hang-up, if the network reports them.
    pub(super) fn until_hung_up(&mut self, conn: usize) {
        if self.wires.tells_of_hang_ups() {
            self.until_ready(conn, Ready::HUP);
        }
    }

    /// Registers a connection, which is taken to be ready for nothing until events say so.
    fn hold(&mut self, mut conn: Conn) -> usize {
        let token = Token(self.conns.len() as u64);
        conn.register(self.wires.net(), token).unwrap();
        conn.ready = Ready::NONE;
        self.conns.push(conn);
        self.conns.len() - 1
    }

    pub(super) fn sock(&self, conn: usize) -> SockId {
        self.conns[conn].belief().0
    }

    pub(super) fn accept(&mut self) -> usize {
        let (mut conn, peer) =
            self.until("a client", |w| match Conn::accept(w.wires.net(), LISTENER) {
                Ok(accepted) => Some(accepted),
                Err(e) if e.kind() == ErrorKind::WouldBlock => None,
                Err(e) => panic!("{e}"),
            });
        self.peer = peer;
        let Secured::Clients(server) = self.wires.secured().clone() else {
            return self.hold(conn);
        };
        let token = Token(self.conns.len() as u64);
        conn.secure(self.wires.net(), &server, token).unwrap();
        let conn = self.hold(conn);
        self.until("a handshake", |w| w.conns[conn].shaken(w.wires.net())).unwrap();
        conn
    }

    /// An accepted client, as its own end and this one. If this side is the TLS client, the far end
    /// is the origin.
    pub(super) fn pair(&mut self) -> (Far, usize) {
        if let Secured::Origin(_) = self.wires.secured() {
            let conn = self.connect(self.wires.origin()).unwrap();
            return (self.until("a connection at the origin", |w| w.wires.arrived()), conn);
        }
        let far = self.wires.client().unwrap();
        (far, self.accept())
    }

    /// Reads, unless the socket is known to have nothing to read.
    pub(super) fn read(&mut self, conn: usize, most: usize) -> Option<Result<Vec<u8>, Read>> {
        let World { wires, conns, .. } = self;
        let conn = &mut conns[conn];
        let mut buf = vec![0; most];
        match conn.ready.has(Ready::READ).then(|| conn.read(wires.net(), &mut buf))? {
            Read::Bytes(n) => Some(Ok(buf[..n].to_vec())),
            Read::Blocked => None,
            end @ (Read::End | Read::Broken) => Some(Err(end)),
        }
    }

    /// Reads, guided by events alone, until there is no more. Returns the end, too.
    pub(super) fn read_to_end(&mut self, conn: usize, most: usize) -> (Vec<u8>, Read) {
        let mut bytes = Vec::new();
        loop {
            match self.until("an end", |w| w.read(conn, most)) {
                Ok(more) => bytes.extend(more),
                Err(end) => return (bytes, end),
            }
        }
    }

    pub(super) fn read_exactly(&mut self, conn: usize, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            bytes.extend(self.until("bytes", |w| w.read(conn, n)).expect("more bytes"));
        }
        bytes
    }

    /// Writes, unless the socket is known to be full. None in that case.
    pub(super) fn write(&mut self, conn: usize, bytes: &[u8]) -> Option<Written> {
        let World { wires, conns, .. } = self;
        let conn = &mut conns[conn];
        let written = conn.ready.has(Ready::WRITE).then(|| conn.write(wires.net(), bytes))?;
        (written != Written::Blocked).then_some(written)
    }

    pub(super) fn write_all(&mut self, conn: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = self.until("room", |w| w.write(conn, bytes));
            let Written::Bytes(n) = written else { panic!("{written:?}") };
            bytes = &bytes[n..];
        }
    }

    /// Writes until a write fails.
    pub(super) fn write_until_broken(&mut self, conn: usize) {
        self.until("a refused write", |w| {
            // It tries even if no event has reported room.
            w.conns[conn].ready.set(Ready::WRITE);
            (w.write(conn, b"late") == Some(Written::Broken)).then_some(())
        });
    }

    /// All that a far end receives, and how it ends.
    pub(super) fn hear_to_end(&mut self, far: Far) -> (Vec<u8>, Heard) {
        let mut bytes = Vec::new();
        let end = self.until("an end", |w| match w.wires.hear(far) {
            Heard::Bytes(more) => {
                bytes.extend(more);
                None
            }
            Heard::Nothing => None,
            end @ (Heard::End | Heard::Reset) => Some(end),
        });
        (bytes, end)
    }

    pub(super) fn hear_exactly(&mut self, far: Far, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until("bytes", |w| {
            match w.wires.hear(far) {
                Heard::Bytes(more) => bytes.extend(more),
                Heard::Nothing => {}
                end @ (Heard::End | Heard::Reset) => panic!("{end:?} after {}", bytes.len()),
            }
            (bytes.len() >= n).then_some(())
        });
        bytes
    }

    pub(super) fn close(&mut self, conn: usize) {
        let sock = self.sock(conn);
        self.wires.net().close(sock);
    }

    /// Returns a connection once it is established, or why it failed.
    pub(super) fn connect(&mut self, address: SocketAddr) -> Result<usize, ErrorKind> {
        let conn = {
            let secured = self.wires.secured().clone();
            let server = if let Secured::Origin(server) = &secured { Some(server) } else { None };
            Conn::connect(self.wires.net(), &address.into(), server, b"")
        };
        let conn = conn.map_err(|e| e.kind())?;
        let conn = self.hold(conn);
        let ended = self.until("an end of connecting", |w| {
            let World { wires, conns, .. } = w;
            conns[conn].connected(wires.net())
        });
        ended.map(|()| conn).map_err(|e| e.kind())
    }
}
