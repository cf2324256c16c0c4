//! A client whose request never ends by itself: a tunnel, lines, an upload, a stream. Worlds that
//! lose their api or their key, or that drain, have some of them. The proxy must end them; a client
//! that is still connected long after that leaves by itself.

use super::auth::Standing;
use super::message::Head;
use super::speech::{Records, Speech};
use crate::journal;
use millstream::testing::Tick;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use std::net::IpAddr;
use std::time::Duration;

/// The interval between pieces, which is shorter than any limit on silence.
pub(crate) const PACE: Duration = Duration::from_secs(4);

/// What is endless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything sent is sent back.
    Tunnel,
    /// The origin sends a piece from time to time.
    Lines,
    /// The client sends a piece from time to time, and waits for a response.
    Upload,
    /// The origin sends an event from time to time.
    Subscription,
    /// As a subscription, but in response to a POST.
    Answer,
    /// The origin never sends a head.
    Quiet,
}

impl Kind {
    /// The kind that a request to an origin asks for, if it is one of these.
    pub(crate) fn of(head: &Head) -> Option<Kind> {
        match head.first_line.split(' ').nth(1)? {
            "/endless/tunnel" => Some(Kind::Tunnel),
            "/endless/lines" => Some(Kind::Lines),
            "/endless/upload" => Some(Kind::Upload),
            "/endless/subscription" => Some(Kind::Subscription),
            "/endless/answer" => Some(Kind::Answer),
            "/endless/quiet" => Some(Kind::Quiet),
            _ => None,
        }
    }

    fn request(self) -> &'static str {
        match self {
            Kind::Tunnel => {
                "GET /endless/tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\
                 Upgrade: websocket\r\n"
            }
            Kind::Lines => "GET /endless/lines HTTP/1.1\r\nHost: a\r\n",
            Kind::Upload => {
                "POST /endless/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            }
            Kind::Subscription => {
                "GET /endless/subscription HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
            }
            Kind::Answer => "POST /endless/answer HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
            Kind::Quiet => {
                "GET /endless/quiet HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
            }
        }
    }

    /// What a client sends from time to time.
    fn piece(self) -> &'static [u8] {
        match self {
            Kind::Tunnel => b"ping",
            Kind::Lines | Kind::Subscription | Kind::Answer | Kind::Quiet => b"",
            Kind::Upload => b"2\r\n{}\r\n",
        }
    }

    /// The beginning of an origin's response. Empty: it does not respond.
    pub(crate) fn answer(self) -> &'static [u8] {
        match self {
            Kind::Tunnel => {
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                  Upgrade: websocket\r\n\r\n"
            }
            Kind::Lines => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Kind::Answer => {
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n3\r\ndat\r\n"
            }
            Kind::Subscription => {
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n"
            }
            Kind::Upload | Kind::Quiet => b"",
        }
    }

    /// What an origin sends from time to time. An answer is within an event most of the time.
    pub(crate) fn line(self) -> &'static [u8] {
        match self {
            Kind::Lines => b"3\r\n{}\n\r\n",
            Kind::Subscription => b"9\r\ndata: {}\n\r\n1\r\n\n\r\n",
            // The end of an event, and the beginning of the next.
            Kind::Answer => b"a\r\na: {}\n\ndat\r\n",
            Kind::Tunnel | Kind::Upload | Kind::Quiet => b"",
        }
    }
}

/// A client with a connection.
#[derive(Debug)]
pub(crate) struct Endless {
    pub(crate) kind: Kind,
    /// Its unique address.
    pub(crate) address: IpAddr,
    /// How the auth server judges it.
    pub(crate) standing: Standing,
    /// Everything that it has sent.
    pub(crate) sent: Vec<u8>,
    /// Everything that it has received.
    pub(crate) heard: Vec<u8>,
    /// When it received the first byte of a 200 or a 101.
    pub(crate) answered_at: Option<Tick>,
    /// When the proxy ended its response, or its connection.
    pub(crate) ended_at: Option<Tick>,
    pub(crate) speech: Speech,
    /// What it does to its TLS records, if it uses TLS.
    pub(crate) records: Option<Records>,
    peer: Option<Peer>,
    pub(crate) starts_at: Tick,
    leaves_at: Tick,
    unsent: Vec<u8>,
    next_send: Tick,
    /// True if it never reads.
    deaf: bool,
    gone: bool,
}

impl Endless {
    /// Draws the client of this number. `key` is a field that every request must carry.
    pub(crate) fn draw(number: u64, rng: &mut Rng, key: &str) -> Endless {
        let events = [Kind::Subscription, Kind::Answer, Kind::Quiet];
        let kind = match rng.chance(50) {
            true => rng.pick(&events),
            false => rng.pick(&[Kind::Tunnel, Kind::Lines, Kind::Upload]),
        };
        Endless {
            kind,
            address: format!("2003::1:{number}").parse().unwrap(),
            standing: Standing::Good,
            sent: Vec::new(),
            heard: Vec::new(),
            answered_at: None,
            ended_at: None,
            peer: None,
            speech: Speech::Http,
            records: None,
            starts_at: Tick::from_millis(rng.below(3000)),
            leaves_at: Tick::from_millis(45_000),
            unsent: format!("{}{key}\r\n", kind.request()).into_bytes(),
            next_send: Tick::ZERO,
            deaf: rng.chance(30),
            gone: false,
        }
    }

    /// Gives it credentials.
    pub(crate) fn show(&mut self, standing: Standing, number: u64) {
        self.standing = standing;
        let fields = standing.fields('e', number);
        self.unsent = format!("{}{fields}\r\n", self.kind.request()).into_bytes();
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
        if now >= self.leaves_at {
            net.leave(peer);
            self.gone = true;
            return true;
        }
        if let Some(records) = &mut self.records {
            records.act(net, peer);
        }
        if now >= self.next_send {
            self.unsent.extend(self.kind.piece());
            self.next_send = now.after(PACE);
        }
        let sent = net.send(peer, &self.unsent);
        self.sent.extend(self.unsent.drain(..sent));
        if self.deaf {
            return sent > 0;
        }
        match net.hear(peer, usize::MAX) {
            Heard::Bytes(bytes) => {
                self.heard.extend(bytes);
                let served = [&b"HTTP/1.1 200"[..], b"HTTP/1.1 101"];
                if self.answered_at.is_none()
                    && served.iter().any(|status| self.heard.starts_with(status))
                {
                    self.answered_at = Some(now);
                }
                // If its response ends properly, its connection stays open.
                if self.answered_at.is_some() && self.heard.ends_with(b"\r\n0\r\n\r\n") {
                    self.ended_at = self.ended_at.or(Some(now));
                }
                true
            }
            Heard::Nothing => sent > 0,
            end @ (Heard::End | Heard::Reset) => {
                journal::note(|| format!("{now:?} {peer:?} ({:?}) hears {end:?}", self.kind));
                net.leave(peer);
                (self.gone, self.ended_at) = (true, self.ended_at.or(Some(now)));
                true
            }
        }
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        let moments = [self.starts_at, self.leaves_at, self.next_send];
        let moments = moments.into_iter().filter(|at| *at > now && !self.gone);
        moments.min().unwrap_or(Tick::NEVER)
    }
}
