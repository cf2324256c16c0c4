//! A secured connection, opened or accepted, whose far end, network and owner do what the input
//! says.

use crate::conn::{Conn, Read, Written};
use crate::net::tls::{TlsNet, around, inner};
use crate::net::{ListenerId, Net, Ready, Token};
use crate::testing::sim::{Faults, Heard, Host, Peer, SimEvent, SimNet};
use crate::testing::toy::{self, Shows};
use std::net::SocketAddr;

/// The rest of the input.
struct Script<'a>(std::slice::Iter<'a, u8>);

impl Script<'_> {
    fn next(&mut self) -> Option<usize> {
        self.0.next().map(|byte| usize::from(*byte))
    }

    /// A number of bytes: a few, or thousands.
    fn size(&mut self) -> usize {
        let n = self.next().unwrap_or(1);
        if n < 200 { 1 + n } else { (n - 199) * 700 }
    }
}

/// The bytes that a side sends from an offset on, so that it is known what the other must read.
fn said(from: usize, n: usize) -> Vec<u8> {
    (from..from + n).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// One connection, and the progress of what was sent on it.
struct Play {
    net: TlsNet<SimNet>,
    conn: Conn,
    far: Peer,
    /// How many bytes the far end has sent, and how many we have read.
    came: [usize; 2],
    /// How many bytes count as written, and how many the far end has read.
    went: [usize; 2],
    /// The far end has announced its end.
    finished: bool,
    /// Our side has ended.
    ended: bool,
}

/// What is read is what was sent, an end is one that was announced, and nothing is kept forever.
pub fn tls(input: &[u8]) {
    let mut script = Script(input.iter());
    let mut play = Play::new(&mut script);
    for _ in 0..400 {
        let Some(deed) = script.next() else { break };
        play.perform(deed, &mut script);
    }
    play.conn.close(&mut play.net, &mut crate::buf::BufPool::new(1, 1, 1, 0));
    assert_eq!(play.net.held_bytes(), 0);
}

impl Play {
    fn new(script: &mut Script<'_>) -> Play {
        toy::begin();
        let address: SocketAddr = ([10, 0, 0, 1], 443).into();
        let network = script.next().unwrap_or(0);
        let capacity = [1 << 20, 65_536, 3000, 100][network / 2 % 4];
        let short = [0, 50][network / 8 % 2];
        let faults = Faults { epoll: network & 1 == 0, short, capacity, ..Faults::NONE };
        let mut net = around(SimNet::new(0, faults), 0);
        let (mut conn, far) = if network & 16 == 0 {
            inner(&mut net).set_host(address, Host::Listening);
            inner(&mut net).secure(address, Some(Shows::Good));
            let server = toy::client().of("a.example").unwrap();
            let conn = Conn::connect(&mut net, &address.into(), Some(&server), b"").unwrap();
            (conn, inner(&mut net).origin(address).unwrap())
        } else {
            let far = inner(&mut net).secured_client(ListenerId(0), None).unwrap();
            let (mut conn, _) = Conn::accept(&mut net, ListenerId(0)).unwrap();
            conn.secure(&mut net, &toy::server(None), Token(0)).unwrap();
            (conn, far)
        };
        conn.register(&mut net, Token(0)).unwrap();
        let (came, went) = ([0; 2], [0; 2]);
        conn.ready = Ready::NONE;
        Play { net, conn, far, came, went, finished: false, ended: false }
    }

    fn perform(&mut self, deed: usize, script: &mut Script<'_>) {
        let far = self.far;
        let net = inner(&mut self.net);
        match deed % 16 {
            0..=3 => self.turn(),
            4 | 5 => {
                let bytes = said(self.came[0], script.size());
                if !self.finished {
                    self.came[0] += net.send(far, &bytes);
                }
            }
            6 | 7 => self.read(script.size()),
            8 | 9 => self.write(script.size()),
            10 => {
                let heard = net.hear(far, script.size());
                self.hear(heard);
            }
            11 => net.change_keys(far),
            12 => match script.size() % 3 {
                0 => {
                    net.finish(far);
                    self.finished = true;
                }
                1 => net.truncate(far),
                _ => net.reset(far),
            },
            13 => _ = net.spoil(far, script.size() - 1),
            14 => {
                let bytes = script.0.as_slice();
                let bytes = &bytes[..bytes.len().min(8)];
                bytes.iter().for_each(|_| _ = script.0.next());
                net.inject(far, bytes);
            }
            _ => {
                if self.conn.ready.has(Ready::WRITE) && !self.ended {
                    self.ended = true;
                    self.conn.shutdown_write(&mut self.net);
                }
            }
        }
    }

    fn turn(&mut self) {
        for event in inner(&mut self.net).events() {
            if let SimEvent::Socket(_, ready) = event {
                self.conn.heard(&mut self.net, ready);
            }
        }
        self.net.shake_hands(1);
        while let Some((_, ready)) = self.net.next_ready() {
            self.conn.heard(&mut self.net, ready);
        }
    }

    fn read(&mut self, most: usize) {
        if !self.conn.ready.has(Ready::READ) {
            return;
        }
        let mut buf = vec![0; most];
        let [all, before] = self.came;
        match self.conn.read(&mut self.net, &mut buf) {
            Read::Bytes(n) => {
                assert!(buf[..n] == said(before, n) && before + n <= all, "other bytes");
                self.came[1] += n;
            }
            Read::End => assert!(self.finished && before == all, "an end that was not announced"),
            Read::Blocked => assert!(!self.conn.ready.has(Ready::READ)),
            Read::Broken => {}
        }
    }

    fn write(&mut self, n: usize) {
        if !self.conn.ready.has(Ready::WRITE) || self.ended {
            return;
        }
        // Refused bytes are offered again: followed by more, or only those that are committed.
        let committed = self.conn.committed(&self.net);
        let bytes =
            said(self.went[0], if n.is_multiple_of(2) { 200_000 } else { n.max(committed) });
        match self.conn.write(&mut self.net, &bytes) {
            Written::Bytes(n) => self.went[0] += n,
            Written::Blocked => assert!(!self.conn.ready.has(Ready::WRITE)),
            Written::Broken => self.ended = true,
        }
    }

    fn hear(&mut self, heard: Heard) {
        if let Heard::Bytes(bytes) = heard {
            assert!(bytes == said(self.went[1], bytes.len()), "other bytes than were written");
            self.went[1] += bytes.len();
        }
    }
}
