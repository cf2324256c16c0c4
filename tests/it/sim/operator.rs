//! An operator at the admin listener: it sends various requests, reads at its own pace, and may end
//! a stream or leave early. Its responses must be complete, and it must not affect clients, except
//! by ending their streams.

use super::message::{Body, Head};
use crate::journal;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use millstream::testing::{ListenerId, Tick};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Requests, the possible statuses of their responses, and whether these are long.
const ASKS: [(&str, &[&str], bool); 10] = [
    ("GET /healthz", &["200"], false),
    ("GET /readyz", &["200", "503"], false),
    ("HEAD /metrics", &["200"], false),
    ("GET /streams?limit=2&order=slowest", &["200"], false),
    ("GET /streams?order=newest&after=3", &["200"], true),
    ("GET /metrics", &["200"], true),
    ("GET /", &["200"], true),
    ("POST /reload", &["501"], false),
    ("GET /nothing", &["404"], false),
    ("GET /events", &["200"], true),
];

/// An operator with a connection.
#[derive(Debug)]
pub(crate) struct Operator {
    rng: Rng,
    /// Its unique address.
    pub(crate) address: IpAddr,
    /// Everything that it has sent.
    pub(crate) sent: Vec<u8>,
    peer: Option<Peer>,
    starts_at: Tick,
    /// The requests that it has not sent yet.
    asks: VecDeque<(String, &'static [&'static str])>,
    /// The possible statuses for the request in progress.
    asked: Option<&'static [&'static str]>,
    unsent: Vec<u8>,
    wire: Vec<u8>,
    body: Option<Body>,
    is_head: bool,
    /// True if it never reads.
    deaf: bool,
    leaves_at: Tick,
    gone: bool,
    /// True if it ends streams of clients.
    pub(crate) ends: bool,
}

impl Operator {
    /// Draws the operator of this number. `tiny` says that the network is too slow for long
    /// responses.
    pub(crate) fn draw(number: u64, rng: &mut Rng, tiny: bool) -> Operator {
        let mut asks = VecDeque::new();
        for _ in 0..rng.between(1, 5) {
            let (line, statuses, long) = rng.pick(&ASKS);
            if !(long && tiny) {
                asks.push_back((line.to_owned(), statuses));
            }
        }
        let ends = rng.chance(30);
        if ends {
            let id = rng.between(1, 12);
            asks.push_back((format!("DELETE /streams/{id:x}"), &["202", "404"]));
        }
        let watches = asks.iter().any(|(line, _)| line.ends_with("/events"));
        let leaves_at = match watches || rng.chance(20) {
            true => Tick::from_millis(rng.between(10, 5000)),
            false => Tick::NEVER,
        };
        Operator {
            rng: Rng::new(rng.bits()),
            address: format!("127.0.0.{number}").parse().unwrap(),
            sent: Vec::new(),
            peer: None,
            starts_at: Tick::from_millis(rng.below(300)),
            asks,
            asked: None,
            unsent: Vec::new(),
            wire: Vec::new(),
            body: None,
            is_head: false,
            deaf: rng.chance(10),
            leaves_at,
            gone: false,
            ends,
        }
    }

    /// Returns true if it did anything. `patient` says that responses must be complete.
    ///
    /// # Errors
    /// If a response is wrong.
    pub(crate) fn act(
        &mut self,
        net: &mut SimNet,
        patient: bool,
        now: Tick,
    ) -> Result<bool, String> {
        if self.gone || now < self.starts_at {
            return Ok(false);
        }
        let Some(peer) = self.peer else {
            self.peer = net.client(ListenerId(2), Some(self.address));
            self.gone = self.peer.is_none();
            return Ok(true);
        };
        if now >= self.leaves_at || self.asked.is_none() && self.asks.is_empty() {
            net.leave(peer);
            self.gone = true;
            return Ok(true);
        }
        if self.asked.is_none()
            && let Some((line, statuses)) = self.asks.pop_front()
        {
            journal::note(|| format!("{now:?} {peer:?} (operator) asks {line}"));
            self.is_head = line.starts_with("HEAD");
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nX-Millstream: 1\r\n\r\n");
            (self.asked, self.unsent) = (Some(statuses), request.into_bytes());
        }
        let most = self.rng.size(1, 200).min(self.unsent.len());
        let sent = net.send(peer, &self.unsent[..most]);
        self.sent.extend(self.unsent.drain(..sent));
        if self.deaf {
            return Ok(sent > 0);
        }
        match net.hear(peer, self.rng.size(1, 5000)) {
            Heard::Bytes(bytes) => {
                self.wire.extend(bytes);
                self.read()?;
                Ok(true)
            }
            Heard::Nothing => Ok(sent > 0),
            Heard::End | Heard::Reset if patient && self.body.is_some() => {
                Err("an answer to the operator was cut".to_owned())
            }
            // A process that is ending may not read another request.
            Heard::End | Heard::Reset => {
                net.leave(peer);
                self.gone = true;
                Ok(true)
            }
        }
    }

    fn read(&mut self) -> Result<(), String> {
        if self.body.is_none()
            && let Some(head) = Head::parse(&self.wire)?
        {
            let status = head.first_line.split(' ').nth(1).unwrap_or_default();
            let expected = self.asked.ok_or("an answer to the operator that he did not ask for")?;
            if !expected.contains(&status) {
                return Err(format!("{} to the operator", head.first_line));
            }
            self.wire.drain(..head.length);
            self.body = Some(head.body(self.is_head, false)?);
        }
        let mut decoded = Vec::new();
        if let Some(body) = &mut self.body {
            body.read(&mut self.wire, &mut decoded)?;
        }
        if matches!(self.body, Some(Body::Ended)) {
            (self.asked, self.body) = (None, None);
        }
        Ok(())
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.gone {
            return Tick::NEVER;
        }
        let moments = [self.starts_at, self.leaves_at].into_iter();
        moments.filter(|at| *at > now).min().unwrap_or(Tick::NEVER)
    }
}
