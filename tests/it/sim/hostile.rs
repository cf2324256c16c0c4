//! A client that means no good: it sends what is no request, or nearly one, or one without end, at
//! its own pace. Nothing is demanded for it but that the honest ones beside it do not notice, and
//! that it is got rid of in time.

use super::message::Head;
use crate::journal;
use millstream::net::ListenerId;
use millstream::net::sim::{Heard, Peer, Rng, SimNet};
use millstream::time::Tick;
use std::time::Duration;

/// How a request begins, and what is repeated behind it.
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

/// The bytes of an attack, at most.
const BYTES: usize = 3000;

/// True when a request that reached an origin is one of these: honest paths are numbers.
pub(crate) fn is_request(head: &Head) -> bool {
    let path = head.first_line.split(' ').nth(1).unwrap_or_default();
    !path.trim_start_matches('/').bytes().all(|byte| byte.is_ascii_digit())
}

/// One client with one connection.
#[derive(Debug)]
pub(crate) struct Hostile {
    rng: Rng,
    peer: Option<Peer>,
    starts_at: Tick,
    unsent: Vec<u8>,
    piece: usize,
    gap: Duration,
    next_send: Tick,
    /// True exactly when it never reads.
    deaf: bool,
    gone: bool,
}

impl Hostile {
    pub(crate) fn draw(rng: &mut Rng) -> Hostile {
        let (head, rest) = rng.pick(&ATTACKS);
        let bytes = rng.pick(&[0, 10, 300, BYTES]);
        let mut unsent: Vec<u8> = head.bytes().chain(rest.bytes().cycle().take(bytes)).collect();
        // Some are honest requests with an accident.
        if rng.chance(30) && !unsent.is_empty() {
            let at = rng.size(0, unsent.len() - 1);
            unsent[at] = rng.pick(b"\r\n\0 :;,aA0\xff");
        }
        Hostile {
            rng: Rng::new(rng.bits()),
            peer: None,
            starts_at: Tick::from_millis(rng.below(50)),
            unsent,
            piece: rng.pick(&[1, 10, 1000, 100_000]),
            gap: Duration::from_millis(rng.pick(&[0, 1, 1, 3000])),
            next_send: Tick::ZERO,
            deaf: rng.chance(30),
            gone: false,
        }
    }

    /// True when it did anything.
    pub(crate) fn act(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if self.gone || now < self.starts_at {
            return false;
        }
        let Some(peer) = self.peer else {
            self.peer = net.client(ListenerId(0), "192.0.2.66".parse().ok());
            self.gone = self.peer.is_none();
            return true;
        };
        let mut moved = false;
        if !self.unsent.is_empty() && now >= self.next_send {
            let most = self.rng.size(1, self.piece).min(self.unsent.len());
            let n = net.send(peer, &self.unsent[..most]);
            let sent: Vec<u8> = self.unsent.drain(..n).collect();
            if n > 0 {
                journal::note(|| {
                    format!("{now:?} {peer:?} (hostile) says {}", sent.escape_ascii())
                });
                self.next_send = now.after(self.gap);
                moved = true;
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

    /// When it acts by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.gone {
            return Tick::NEVER;
        }
        let sends = if self.unsent.is_empty() { Tick::NEVER } else { self.next_send };
        [self.starts_at, sends].into_iter().filter(|at| *at > now).min().unwrap_or(Tick::NEVER)
    }
}
