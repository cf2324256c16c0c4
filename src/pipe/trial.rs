//! Connections with their far ends on the simulated network, for tests of each half alone and of
//! both together.

use super::io::Io;
use crate::buf::BufPool;
use crate::conn::Conn;
use crate::http::chunk::{HEADROOM, TAILROOM};
use crate::net::{ListenerId, Token};
use crate::testing::sim::{Faults, Heard, Peer, SimEvent, SimNet};
use crate::time::Tick;
use std::time::Duration;

/// The connection and the environment for a test of one half. A test of both halves uses two
/// connections.
pub(super) struct Trial {
    net: SimNet,
    scratch: Vec<u8>,
    pub(super) buffers: BufPool,
    pub(super) now: Tick,
    pub(super) high_water: usize,
    pub(super) window: usize,
    pub(super) flush_interval: Option<Duration>,
    peer: Peer,
    pub(super) conn: Conn,
    sink_peer: Peer,
    pub(super) sink: Conn,
}

impl Trial {
    /// Creates connections whose sockets hold `capacity` bytes in each direction, and an
    /// environment in which at most `high_water` bytes are read from a source at once.
    pub(super) fn new(capacity: usize, high_water: usize) -> Trial {
        let mut net = SimNet::new(0, Faults { capacity, ..Faults::NONE });
        let (peer, conn) = connect(&mut net, Token(0));
        let (sink_peer, sink) = connect(&mut net, Token(1));
        Trial {
            net,
            scratch: vec![0; HEADROOM + 64 * 1024 + TAILROOM],
            buffers: BufPool::new(8192, 64 * 1024, 64 * 1024, 0),
            now: Tick::ZERO,
            high_water,
            window: high_water,
            flush_interval: None,
            peer,
            conn,
            sink_peer,
            sink,
        }
    }

    /// The connection and its environment.
    pub(super) fn parts(&mut self) -> (&mut Conn, Io<'_, SimNet>) {
        let (conn, _, io) = self.both();
        (conn, io)
    }

    /// Both connections and their environment.
    pub(super) fn both(&mut self) -> (&mut Conn, &mut Conn, Io<'_, SimNet>) {
        let io = Io {
            net: &mut self.net,
            scratch: &mut self.scratch,
            buffers: &mut self.buffers,
            now: self.now,
            high_water: self.high_water,
            window_max: self.window,
            flush_interval: self.flush_interval,
        };
        (&mut self.conn, &mut self.sink, io)
    }

    /// Delivers events to the connections.
    fn turn(&mut self) {
        for event in self.net.events() {
            match event {
                SimEvent::Socket(Token(0), ready) => self.conn.ready.set(ready),
                SimEvent::Socket(_, ready) => self.sink.ready.set(ready),
                SimEvent::Listener(_) => {}
            }
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        assert_eq!(self.net.send(self.peer, bytes), bytes.len());
        self.turn();
    }

    pub(super) fn finish(&mut self) {
        self.net.finish(self.peer);
        self.turn();
    }

    pub(super) fn reset(&mut self) {
        self.net.reset(self.peer);
        self.turn();
    }

    /// Reads what has arrived at the connection's far end.
    pub(super) fn hear(&mut self) -> Vec<u8> {
        self.hear_from(self.peer)
    }

    /// Reads what has arrived at the sink's far end.
    pub(super) fn hear_from_sink(&mut self) -> Vec<u8> {
        self.hear_from(self.sink_peer)
    }

    fn hear_from(&mut self, peer: Peer) -> Vec<u8> {
        let heard = self.net.hear(peer, usize::MAX);
        self.turn();
        match heard {
            Heard::Bytes(bytes) => bytes,
            Heard::Nothing | Heard::End | Heard::Reset => Vec::new(),
        }
    }

    /// The scratch buffer.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }
}

fn connect(net: &mut SimNet, token: Token) -> (Peer, Conn) {
    let listener = ListenerId(0);
    let peer = net.client(listener, None).unwrap();
    let (conn, _) = Conn::accept(net, listener).unwrap();
    conn.register(net, token).unwrap();
    (peer, conn)
}
