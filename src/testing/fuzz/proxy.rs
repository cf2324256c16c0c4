//! The whole proxy in a world, with the input as the script.
//!
//! After every turn, the invariants are checked ([`World::turn`]). At the end, everything that each
//! origin was sent must strictly be a sequence of requests, and everything that each client was
//! sent a sequence of responses to its requests. When all peers have left, nothing may be in use.

use super::script::{ADDRESSES, Act, Deed, Settings, Who};
use super::strict::{self, Framing, Head};
use crate::net::ListenerId;
use crate::testing::sim::{Heard, Peer};
use crate::testing::world::World;
use crate::time::Tick;
use std::time::Duration;

/// A script. See `script.rs` for its language.
pub fn proxy(bytes: &[u8]) {
    let (settings, lines) = Settings::split(bytes);
    let mut stage =
        Stage { world: settings.world(), clients: Vec::new(), origins: Vec::new(), drained: false };
    stage.settle();
    for act in lines.split(|&byte| byte == b'\n').filter_map(Act::read).take(100) {
        stage.perform(act);
    }
    stage.end();
    for (_, client) in &stage.clients {
        judge_client(&client.sent, &client.heard);
    }
    for origin in &stage.origins {
        judge_origin(&origin.heard);
    }
}

/// A far end of a connection.
struct Actor {
    peer: Peer,
    deaf: bool,
    gone: bool,
    /// Bytes that its socket had no room for yet.
    unsent: Vec<u8>,
    sent: Vec<u8>,
    heard: Vec<u8>,
}

impl Actor {
    fn new(peer: Peer) -> Actor {
        let (unsent, sent, heard) = (Vec::new(), Vec::new(), Vec::new());
        Actor { peer, deaf: false, gone: false, unsent, sent, heard }
    }

    /// Sends and reads what it can. True if that was anything.
    fn act(&mut self, world: &mut World) -> bool {
        if self.gone {
            return false;
        }
        let n = world.net().send(self.peer, &self.unsent);
        self.sent.extend(self.unsent.drain(..n));
        if self.deaf {
            return n > 0;
        }
        match world.net().hear(self.peer, usize::MAX) {
            Heard::Bytes(bytes) => self.heard.extend(bytes),
            Heard::Nothing => return n > 0,
            Heard::End | Heard::Reset => self.leave(world),
        }
        true
    }

    fn leave(&mut self, world: &mut World) {
        if !self.gone {
            world.net().leave(self.peer);
            self.gone = true;
        }
    }
}

struct Stage {
    world: World,
    /// By their number in the script, in the order in which they connected.
    clients: Vec<(u8, Actor)>,
    origins: Vec<Actor>,
    drained: bool,
}

impl Stage {
    fn perform(&mut self, act: Act) {
        match act {
            Act::Say(who, bytes) => {
                if let Some(actor) = self.actor(who) {
                    actor.unsent.extend(bytes);
                }
            }
            Act::Do(who, deed) => self.do_deed(who, deed),
            Act::Net(number, host) => {
                let address = ADDRESSES[usize::from(number) % ADDRESSES.len()];
                self.world.net().set_host(address.parse().unwrap(), host);
            }
            Act::Wait(ms) => {
                let until = Tick::from_millis(self.world.now.as_millis() + ms);
                self.run_until(until);
            }
            Act::Drain(ms) => self.drain(ms),
        }
        self.settle();
    }

    fn do_deed(&mut self, who: Who, deed: Deed) {
        let Some(actor) = self.actor(who).filter(|actor| !actor.gone) else {
            return;
        };
        let peer = actor.peer;
        match deed {
            Deed::StopReading => actor.deaf = true,
            Deed::GoOnReading => actor.deaf = false,
            Deed::Finish => self.world.net().finish(peer),
            Deed::Leave | Deed::Reset => {
                actor.gone = true;
                if deed == Deed::Leave {
                    self.world.net().leave(peer);
                } else {
                    self.world.net().reset(peer);
                }
            }
        }
    }

    fn drain(&mut self, ms: u64) {
        self.world.drain_within(Duration::from_millis(ms));
        self.drained = true;
    }

    fn actor(&mut self, who: Who) -> Option<&mut Actor> {
        let number = match who {
            Who::Origin(number) => return self.origins.get_mut(usize::from(number)),
            Who::Client(number) => number,
        };
        if let Some(at) = self.clients.iter().position(|(own, _)| *own == number) {
            return Some(&mut self.clients[at].1);
        }
        let listener = ListenerId(u16::from(number >= 8));
        let from = [192, 0, 2, number].into();
        let peer = self.world.net().client(listener, Some(from))?;
        self.clients.push((number, Actor::new(peer)));
        self.clients.last_mut().map(|(_, actor)| actor)
    }

    /// Runs until nothing more happens at this moment.
    fn settle(&mut self) {
        loop {
            self.world.settle().unwrap_or_else(|wrong| panic!("{wrong}"));
            for address in ADDRESSES {
                while let Some(peer) = self.world.net().origin(address.parse().unwrap()) {
                    self.origins.push(Actor::new(peer));
                }
            }
            let Stage { world, clients, origins, .. } = self;
            let everybody = clients.iter_mut().map(|(_, client)| client).chain(origins);
            let mut moved = false;
            for actor in everybody {
                moved |= actor.act(world);
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass, stopping whenever the proxy wants to be called.
    fn run_until(&mut self, until: Tick) {
        for _ in 0..10_000 {
            if self.world.wake() > until {
                self.world.advance_to(until.max(self.world.now));
                return;
            }
            let next = self.world.wake().max(self.world.now);
            self.world.advance_to(next);
            self.settle();
        }
        panic!("it is called again and again");
    }

    /// All peers leave, and the proxy must have nothing left.
    fn end(&mut self) {
        let Stage { world, clients, origins, .. } = self;
        let everybody = clients.iter_mut().map(|(_, client)| client).chain(origins);
        everybody.for_each(|actor| actor.leave(world));
        self.settle();
        if !self.drained {
            self.drain(1000);
        }
        let window = Tick::from_millis(self.world.now.as_millis() + 1_000_000);
        self.run_until(window);
        assert_eq!(self.world.proxy.in_use(), (0, 0, 0), "sessions, upstreams, buffers");
        assert_eq!(self.world.net().open_sockets(), 0);
        assert!(self.world.proxy.is_drained());
    }
}

/// Checks that everything an origin was sent is well-formed requests with our Via. The last may be
/// incomplete, and anything may follow one that offers another protocol.
fn judge_origin(heard: &[u8]) {
    let mut rest = heard;
    while let Some(head) = strictly(Head::read(rest), rest) {
        assert!(head.status().is_none(), "a response");
        assert_eq!(head.start[2], b"HTTP/1.1");
        let vias = head.values("via");
        assert!(vias.last().is_some_and(|via| via.ends_with(b" millstream")), "{vias:?}");
        for name in ["host", "x-forwarded-for", "x-forwarded-proto"] {
            assert_eq!(head.values(name).len(), 1, "{name}");
        }
        if head.lists("connection", "upgrade") {
            return;
        }
        let framing = strictly(head.of_request(), rest);
        let Some(len) = strictly(strict::body(framing, &rest[head.len..]), rest) else {
            return;
        };
        rest = &rest[head.len + len..];
    }
}

/// Checks that everything a client was sent is well-formed responses, one for each request. The
/// last may be cut off, and nothing after one that closes its connection matters.
fn judge_client(sent: &[u8], heard: &[u8]) {
    let asked = requests(sent);
    let mut asked = asked.iter();
    let mut rest = heard;
    while let Some(head) = strictly(Head::read(rest), rest) {
        let status = head.status().expect("a response");
        let after = &rest[head.len..];
        match status {
            101 => return,
            100..200 => {
                assert_eq!(head.of_response(false), Ok(Framing::Nothing));
                rest = after;
                continue;
            }
            _ => {}
        }
        let closes = head.lists("connection", "close");
        let method = asked.next();
        assert!(method.is_some() || closes, "a response to no request: {}", rest.escape_ascii());
        let was_head = method.is_some_and(|method| method == "HEAD");
        let framing = strictly(head.of_response(was_head), rest);
        let Some(len) = strictly(strict::body(framing, after), rest) else {
            return;
        };
        if closes {
            return;
        }
        rest = &after[len..];
    }
}

/// The methods of the requests that a client has begun, as far as they can be parsed.
fn requests(sent: &[u8]) -> Vec<String> {
    let (mut methods, mut rest) = (Vec::new(), sent);
    while let Ok(Some(head)) = Head::read(rest.trim_ascii_start()) {
        methods.push(String::from_utf8_lossy(head.start[0]).into_owned());
        let after = &rest.trim_ascii_start()[head.len..];
        match head.of_request().map(|framing| strict::body(framing, after)) {
            Ok(Ok(Some(len))) => rest = &after[len..],
            _ => break,
        }
    }
    methods
}

fn strictly<T>(read: Result<T, String>, bytes: &[u8]) -> T {
    read.unwrap_or_else(|wrong| panic!("{wrong} in {}", bytes.escape_ascii()))
}
