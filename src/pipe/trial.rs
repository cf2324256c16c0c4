//! A connection with its far end on the simulated network, for the tests of each half by itself.

use super::io::Io;
use crate::buf::BufPool;
use crate::conn::Conn;
use crate::http::chunk::{HEADROOM, TAILROOM};
use crate::net::sim::{Faults, Heard, Peer, SimEvent, SimNet};
use crate::net::{ListenerId, Token};
use crate::time::Tick;
use std::time::Duration;

/// What either half works with, as a test wants it.
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
}

impl Trial {
    /// A connection whose socket holds `capacity` bytes in each direction. A source is read by
    /// `high_water` bytes.
    pub(super) fn new(capacity: usize, high_water: usize) -> Trial {
        let mut net = SimNet::new(0, Faults { capacity, ..Faults::NONE });
        let listener = ListenerId(0);
        let peer = net.client(listener, None).unwrap();
        let (conn, _) = Conn::accept(&mut net, listener).unwrap();
        conn.register(&mut net, Token(0)).unwrap();
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
        }
    }

    /// The connection, and what moves its bytes.
    pub(super) fn parts(&mut self) -> (&mut Conn, Io<'_, SimNet>) {
        let io = Io {
            net: &mut self.net,
            scratch: &mut self.scratch,
            buffers: &mut self.buffers,
            now: self.now,
            high_water: self.high_water,
            window: self.window,
            flush_interval: self.flush_interval,
        };
        (&mut self.conn, io)
    }

    /// Tells the connection what has happened.
    pub(super) fn turn(&mut self) {
        for event in self.net.events() {
            if let SimEvent::Socket(_, ready) = event {
                self.conn.ready.set(ready);
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

    /// What has arrived at the far end.
    pub(super) fn hear(&mut self) -> Vec<u8> {
        let heard = self.net.hear(self.peer, usize::MAX);
        self.turn();
        match heard {
            Heard::Bytes(bytes) => bytes,
            Heard::Nothing | Heard::End | Heard::Reset => Vec::new(),
        }
    }

    /// What stands in the scratch.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }
}
