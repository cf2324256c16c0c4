//! A hostile client: it sends an invalid request, an almost valid one, or one without end, at its
//! own pace. It must not affect other clients, and it must be closed in time.

use super::message::Head;
use super::speech::{Records, Speech};
use crate::journal;
use millstream::testing::Tick;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use std::net::IpAddr;
use std::time::Duration;

/// The beginning of a request, and what is repeated after it.
const ATTACKS: [(&str, &str); 14] = [
    ("GET /hostile HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"),
    ("GET /hostile HTTP/1.1\r\nHost: a\r\nX: ", "y"),
    ("GET /hostile", "e"),
    ("", "\r\n"),
    ("\x16\x03\x01", "\x01"),
    ("GET /hostile HTTP/1.1\r\nHost: a\r\n\r\n", "GET /hostile HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("POST /hostile HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"),
    ("POST /hostile HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
    ("POST /hostile HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
    ("POST /hostile HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", "x"),
    ("POST /hostile HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nxxGET /1 HTTP/1.1\r\n", "y"),
    (
        "POST /hostile HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "\r\n",
    ),
    ("GET /hostile HTTP/1.1\r\nHost: a\r\nUpgrade: irc\r\nConnection: upgrade\r\n\r\n", "x"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\x04"),
];

/// The maximum length of an attack, in bytes.
const BYTES: usize = 3000;

/// True if a request that reached an origin is hostile. The paths of others are numbers.
pub(crate) fn is_request(head: &Head) -> bool {
    let path = head.first_line.split(' ').nth(1).unwrap_or_default();
    !path.trim_start_matches('/').bytes().all(|byte| byte.is_ascii_digit())
}

/// A client with a connection.
#[derive(Debug)]
pub(crate) struct Hostile {
    rng: Rng,
    /// Its unique address.
    pub(crate) address: IpAddr,
    /// Everything that it has sent.
    pub(crate) sent: Vec<u8>,
    pub(crate) speech: Speech,
    /// What it does to its TLS records, if it uses TLS.
    pub(crate) records: Option<Records>,
    peer: Option<Peer>,
    starts_at: Tick,
    unsent: Vec<u8>,
    piece: usize,
    gap: Duration,
    next_send: Tick,
    /// True if it never reads.
    deaf: bool,
    /// True if it leaves right after its last byte.
    hasty: bool,
    gone: bool,
}

impl Hostile {
    /// Draws the hostile client of this number.
    pub(crate) fn draw(number: u64, rng: &mut Rng) -> Hostile {
        let (head, rest) = rng.pick(&ATTACKS);
        let bytes = rng.pick(&[0, 10, 300, BYTES]);
        let mut unsent: Vec<u8> = head.bytes().chain(rest.bytes().cycle().take(bytes)).collect();
        // Some are valid requests with one byte damaged.
        if rng.chance(30) && !unsent.is_empty() {
            let at = rng.size(0, unsent.len() - 1);
            unsent[at] = rng.pick(b"\r\n\0 :;,aA0\xff");
        }
        Hostile {
            rng: Rng::new(rng.bits()),
            address: format!("2002::66:{number}").parse().unwrap(),
            sent: Vec::new(),
            peer: None,
            speech: Speech::Http,
            records: None,
            starts_at: Tick::from_millis(rng.below(50)),
            unsent,
            piece: rng.pick(&[1, 10, 1000, 100_000]),
            gap: Duration::from_millis(rng.pick(&[0, 1, 1, 3000])),
            next_send: Tick::ZERO,
            deaf: rng.chance(30),
            hasty: false,
            gone: false,
        }
    }

    /// Draws a client that sends a valid request and leaves right after its last byte.
    pub(crate) fn hasty(number: u64, rng: &mut Rng) -> Hostile {
        let connects = Tick::from_millis(rng.below(10_000));
        Hostile {
            rng: Rng::new(rng.bits()),
            address: format!("2002::67:{number}").parse().unwrap(),
            sent: Vec::new(),
            peer: None,
            speech: Speech::Http,
            records: None,
            starts_at: connects,
            unsent: format!("GET /hasty/{number} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
            piece: 100_000,
            gap: Duration::ZERO,
            next_send: connects.after(Duration::from_millis(rng.below(3))),
            deaf: false,
            hasty: true,
            gone: false,
        }
    }

    /// Returns true if it did anything.
    pub(crate) fn act(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if self.gone || now < self.starts_at {
            return false;
        }
        let Some(peer) = self.peer else {
            self.peer = self.speech.connect(net, self.address);
            self.gone = self.peer.is_none();
            return true;
        };
        if let Some(records) = &mut self.records {
            records.act(net, peer);
        }
        let mut moved = false;
        if !self.unsent.is_empty() && now >= self.next_send {
            let most = self.rng.size(1, self.piece).min(self.unsent.len());
            let n = net.send(peer, &self.unsent[..most]);
            let sent: Vec<u8> = self.unsent.drain(..n).collect();
            if n > 0 {
                journal::note(|| {
                    format!("{now:?} {peer:?} (hostile) says {}", sent.escape_ascii())
                });
                self.sent.extend(sent);
                self.next_send = now.after(self.gap);
                moved = true;
            }
            if self.hasty && self.unsent.is_empty() {
                net.leave(peer);
                self.gone = true;
                return true;
            }
        }
        if self.deaf {
            return moved;
        }
        match net.hear(peer, usize::MAX) {
            Heard::Bytes(_) => true,
            Heard::Nothing => moved,
            Heard::End | Heard::Reset => {
                net.leave(peer);
                self.gone = true;
                true
            }
        }
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.gone {
            return Tick::NEVER;
        }
        let sends = if self.unsent.is_empty() { Tick::NEVER } else { self.next_send };
        [self.starts_at, sends].into_iter().filter(|at| *at > now).min().unwrap_or(Tick::NEVER)
    }
}
