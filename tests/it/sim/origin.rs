//! An origin's end of a connection: it reads requests, checks that they are what a client sent, and
//! responds as planned.

use super::auth::{self, Rules};
use super::endless::{Kind, PACE};
use super::front;
use super::health;
use super::hostile;
use super::message::{Body, Head, chunked};
use super::plan::{FLOOD_BYTES, FLOODS, Framing, Mischief, Plan};
use super::sessions;
use crate::journal;
use millstream::testing::Tick;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use std::time::Duration;

/// A connection of an origin.
#[derive(Debug)]
pub(crate) struct Origin {
    peer: Peer,
    rng: Rng,
    /// Draws when it updates its traffic keys.
    keys: Rng,
    /// How often it may still do so. Too many updates in a row are refused.
    key_changes: usize,
    /// The most bytes that it sends or reads at a time.
    piece: usize,
    /// The milliseconds that it pauses in between.
    gap: u64,
    next_send: Tick,
    /// Received bytes that are not parsed yet.
    wire: Vec<u8>,
    /// The index of its address.
    pub(crate) address: usize,
    /// The exchanges whose requests it has received, in order.
    pub(crate) seen: Vec<usize>,
    /// When it received them.
    pub(crate) seen_at: Vec<Tick>,
    /// True if it names sessions.
    names_sessions: bool,
    /// Draws their names.
    names: Rng,
    /// True if the request was a health check.
    is_check: bool,
    /// True if it fails its health checks.
    is_sick: bool,
    /// When it first sent a failing response to one.
    pub(crate) told_sick: Option<Tick>,
    /// The last event id in the request.
    last_id: Option<String>,
    /// True if a compressed response is accepted.
    accepts_coded: bool,
    /// The exchange whose request is being read.
    request: Option<(usize, Body)>,
    /// The part of that request's body that has arrived.
    body: Vec<u8>,
    unsent: Vec<u8>,
    /// What it does once everything is sent.
    then: Then,
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It reads the next request.
    GoOn,
    Close,
    /// It closes, with TLS without close_notify.
    Cut,
    Reset,
    /// It does nothing more.
    Sleep,
    /// It sends forever.
    Endless(Kind),
}

impl Origin {
    pub(crate) fn new(
        peer: Peer,
        address: usize,
        is_sick: bool,
        names_sessions: bool,
        seed: u64,
    ) -> Origin {
        let mut rng = Rng::new(seed);
        Origin {
            peer,
            piece: rng.pick(&[1, 10, 1000, 100_000]),
            gap: rng.below(3),
            rng,
            keys: Rng::new(seed ^ 0x6b65_7973),
            key_changes: 9,
            next_send: Tick::ZERO,
            wire: Vec::new(),
            address,
            seen: Vec::new(),
            seen_at: Vec::new(),
            names_sessions,
            names: Rng::new(seed ^ 0x7365_7373),
            is_check: false,
            is_sick,
            told_sick: None,
            last_id: None,
            accepts_coded: false,
            request: None,
            body: Vec::new(),
            unsent: Vec::new(),
            then: Then::GoOn,
            open: true,
        }
    }

    pub(crate) fn act(
        &mut self,
        net: &mut SimNet,
        plans: &[Plan],
        auth: Option<Rules>,
        now: Tick,
    ) -> Result<bool, String> {
        if !self.open {
            return Ok(false);
        }
        let sent = self.send(net, now);
        let most = self.rng.size(1, self.piece);
        let heard = match net.hear(self.peer, most) {
            Heard::Bytes(bytes) => {
                journal::note(|| {
                    format!("{now:?} {:?} (origin) hears {}", self.peer, bytes.escape_ascii())
                });
                self.wire.extend(bytes);
                if self.then == Then::Endless(Kind::Tunnel) {
                    self.unsent.append(&mut self.wire);
                }
                true
            }
            Heard::Nothing => false,
            end @ (Heard::End | Heard::Reset) => {
                journal::note(|| format!("{now:?} {:?} (origin) hears {end:?}", self.peer));
                if end == Heard::End && self.is_within_request() && net.is_secured(self.peer) {
                    return Err("a request that is cut, and announced as ended".to_owned());
                }
                net.leave(self.peer);
                self.open = false;
                return Ok(true);
            }
        };
        let told = net.announced(self.peer).map(<[u8]>::to_vec);
        let read = self.read(plans, told.as_deref(), auth, now)?;
        Ok(sent || heard || read)
    }

    /// True if it is within a request. Some are not read to their end.
    fn is_within_request(&self) -> bool {
        self.then == Then::GoOn && (self.request.is_some() || !self.wire.is_empty())
    }

    fn send(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if !self.unsent.is_empty() {
            if now < self.next_send {
                return false;
            }
            let most = self.rng.size(1, self.piece).min(self.unsent.len());
            if self.key_changes > 0 && self.keys.chance(3) {
                self.key_changes -= 1;
                net.change_keys(self.peer);
            }
            let n = net.send(self.peer, &self.unsent[..most]);
            journal::note(|| {
                format!("{now:?} {:?} (origin) says {}", self.peer, self.unsent[..n].escape_ascii())
            });
            self.unsent.drain(..n);
            if n > 0 {
                self.next_send = now.after(Duration::from_millis(self.gap));
            }
            if self.is_check && self.is_sick && self.unsent.is_empty() {
                self.told_sick.get_or_insert(now);
            }
            return n > 0;
        }
        match self.then {
            Then::Endless(kind) if now >= self.next_send => {
                self.unsent.extend(kind.line());
                self.next_send = now.after(PACE);
                return true;
            }
            Then::GoOn | Then::Sleep | Then::Endless(_) => return false,
            Then::Close => net.leave(self.peer),
            Then::Cut => net.truncate(self.peer),
            Then::Reset => net.reset(self.peer),
        }
        self.open = false;
        true
    }

    /// `told` is the PROXY header of the connection, if the proxy must send one.
    fn read(
        &mut self,
        plans: &[Plan],
        told: Option<&[u8]>,
        auth: Option<Rules>,
        now: Tick,
    ) -> Result<bool, String> {
        if self.then != Then::GoOn {
            return Ok(false);
        }
        if self.request.is_none() {
            let Some(head) = Head::parse(&self.wire)? else {
                return Ok(false);
            };
            self.wire.drain(..head.length);
            let is_check = head.first_line == format!("GET {} HTTP/1.1", health::PATH);
            if let Some(rules) = auth.filter(|_| !is_check) {
                auth::judge_request(&head, rules, now)?;
            }
            if let Some(kind) = Kind::of(&head) {
                self.unsent.extend(kind.answer());
                self.then = Then::Endless(kind);
                return Ok(true);
            }
            if is_check {
                front::judge_announced(told, None)?;
                let status = if self.is_sick { "503 Sick" } else { "204 Well" };
                self.unsent.extend(format!("HTTP/1.1 {status}\r\n\r\n").bytes());
                self.then = Then::Close;
                self.is_check = true;
                return Ok(true);
            }
            if hostile::is_request(&head) {
                return self.turn_away(&head);
            }
            let id = judge_head(&head, plans)?;
            front::judge_announced(told, Some(plans[id].client))?;
            sessions::judge(&head, self.address)?;
            self.seen.push(id);
            self.seen_at.push(now);
            let plan = &plans[id];
            self.last_id = head.get("last-event-id").map(str::to_owned);
            self.accepts_coded = head.get("accept-encoding").is_some();
            if plan.expect || plan.early {
                self.answer(plan)?;
            }
            self.request = Some((id, head.body(false, true)?));
        }
        let Some((id, body)) = &mut self.request else {
            return Ok(false);
        };
        let had = self.wire.len();
        body.read(&mut self.wire, &mut self.body)?;
        let (id, ended) = (*id, matches!(body, Body::Ended));
        let plan = &plans[id];
        let sent = plan.request.as_ref().map_or(&[][..], |(_, body)| body);
        if !sent.starts_with(&self.body) || (ended && sent.len() != self.body.len()) {
            return Err(format!("not the request body that the client sent: {plan:?}"));
        }
        if ended {
            self.request = None;
            self.body.clear();
            if !plan.expect && !plan.early {
                self.answer(plan)?;
            }
            return Ok(true);
        }
        Ok(self.wire.len() != had)
    }

    /// Refuses a request of a hostile client.
    fn turn_away(&mut self, head: &Head) -> Result<bool, String> {
        head.body(false, true)?;
        self.unsent.extend(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        self.then = Then::Close;
        Ok(true)
    }

    /// Queues the response.
    fn answer(&mut self, plan: &Plan) -> Result<(), String> {
        let pranks = plan.pranks.get();
        plan.pranks.set(pranks.saturating_sub(1));
        let mut body = plan.body.as_slice();
        if let Some(last_id) = &self.last_id {
            let events = plan.events.as_ref().ok_or("an id where there are no events")?;
            body = events.rest(last_id)?;
            if body.is_empty() {
                // Ends the resumed stream, of which nothing is left.
                self.unsent.extend(b"HTTP/1.1 204 No Content\r\n\r\n");
                return Ok(());
            }
        }
        let mischief = if pranks == 0 { Mischief::None } else { plan.mischief };
        match mischief {
            Mischief::Silent => self.then = Then::Sleep,
            Mischief::Deaf => self.then = Then::Close,
            Mischief::Garbage => {
                self.unsent.extend(b"220 ready\r\n\r\n");
                self.then = Then::Close;
            }
            Mischief::Refusal(status) => {
                let head = format!("HTTP/1.1 {status} Later\r\nContent-Length: 0\r\n\r\n");
                self.unsent.extend(head.bytes());
            }
            Mischief::Flood(kind) => {
                let (head, rest) = FLOODS[kind];
                self.unsent.extend(head.bytes());
                self.unsent.extend(rest.bytes().cycle().take(FLOOD_BYTES));
                self.then = Then::Sleep;
            }
            Mischief::None => {
                let most = self.rng.size(1, 700);
                let (wire, _) = self.response(plan, body, most);
                self.unsent.extend(wire);
                if plan.framing == Framing::UntilClose && !plan.bodiless() {
                    self.then = Then::Close;
                }
            }
            Mischief::CutAt(at) | Mischief::ResetAt(at) => {
                let most = self.rng.size(1, 700);
                let (mut wire, head) = self.response(plan, body, most);
                wire.truncate(head + at);
                self.unsent.extend(wire);
                let close = matches!(mischief, Mischief::CutAt(_));
                self.then = if close { Then::Cut } else { Then::Reset };
            }
        }
        Ok(())
    }

    /// Builds the response, which may name a session, and returns it with the length of its head.
    fn response(&mut self, plan: &Plan, body: &[u8], most: usize) -> (Vec<u8>, usize) {
        let names = self.names_sessions && self.names.chance(50);
        let session = names.then(|| sessions::name(self.address, &mut self.names));
        response(plan, body, self.accepts_coded, session.as_deref(), most)
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        let sends = !self.unsent.is_empty() || matches!(self.then, Then::Endless(_));
        let waits = self.open && sends && self.next_send > now;
        if waits { self.next_send } else { Tick::NEVER }
    }
}

/// Checks what must be true of every request that reaches an origin.
fn judge_head(head: &Head, plans: &[Plan]) -> Result<usize, String> {
    let mut words = head.first_line.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let id: usize = path[1..].parse().map_err(|_| format!("path {path:?}"))?;
    let plan = plans.get(id).ok_or_else(|| format!("path {path:?}"))?;
    let via = if plan.http10 { "1.0 millstream" } else { "1.1 millstream" };
    if !matches!(head.get("host"), Some("10.0.0.1" | "10.0.0.2")) {
        return Err(format!("host: {:?}", head.get("host")));
    }
    if head.get("via") != Some(via) {
        return Err(format!("via: {:?}", head.get("via")));
    }
    let client = head.get("x-forwarded-for");
    if client != Some(&*plan.client.to_string()) {
        return Err(format!("x-forwarded-for: {client:?}"));
    }
    let [verified, certificate] = ["x-ssl-client-verify", "client-cert"].map(|n| head.get(n));
    if verified != certificate.map(|_| "SUCCESS") {
        return Err(format!("x-ssl-client-verify: {verified:?}, client-cert: {certificate:?}"));
    }
    let said = (method, words.next(), head.get("expect").is_some());
    if said != (Some(plan.method), Some("HTTP/1.1"), plan.expect) {
        return Err(format!("{said:?} for {plan:?}"));
    }
    Ok(id)
}

/// Builds a response and returns it with the length of its head (including interim ones before it).
fn response(
    plan: &Plan,
    body: &[u8],
    coded: bool,
    session: Option<&str>,
    most: usize,
) -> (Vec<u8>, usize) {
    let mut wire = String::new();
    for interim in 0..plan.interims {
        let status = if interim == 0 && plan.expect { "100 Continue" } else { "103 Early Hints" };
        wire.push_str(&format!("HTTP/1.1 {status}\r\nX-Interim: {interim}\r\n\r\n"));
    }
    wire.push_str(&format!("HTTP/1.1 {} Whatever\r\n", plan.status));
    if plan.event_stream {
        wire.push_str("Content-Type: text/event-stream\r\n");
    }
    if coded {
        wire.push_str("Content-Encoding: gzip\r\n");
    }
    if let Some(name) = session {
        wire.push_str(&format!("{}: {name}\r\n", sessions::FIELD));
    }
    let mut body = body.to_vec();
    match plan.framing {
        Framing::Length if plan.status != 204 => {
            wire.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        Framing::Chunked if !plan.bodiless() => {
            wire.push_str("Transfer-Encoding: chunked\r\n");
            body = chunked(&body, most, plan.trailers);
        }
        Framing::UntilClose if !plan.bodiless() => wire.push_str("Connection: close\r\n"),
        Framing::Length | Framing::Chunked | Framing::UntilClose => {}
    }
    wire.push_str("\r\n");
    let head = wire.len();
    ([wire.into_bytes(), body].concat(), head)
}
