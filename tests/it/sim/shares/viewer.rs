//! The clients of shared streams, and what each may see.

use super::super::message::{Body, Head};
use super::super::speech::Speech;
use super::{NAMES, Terms};
use crate::journal;
use millstream::testing::Tick;
use millstream::testing::naive;
use millstream::testing::rng::Rng;
use millstream::testing::sim::Peer;
use millstream::testing::world::World;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A client with one connection at a time.
pub(super) struct Viewer {
    address: IpAddr,
    pub(super) speech: Speech,
    pub(super) stream: usize,
    fields: String,
    who: String,
    is_old: bool,
    pub(super) peer: Option<Peer>,
    /// What of its request has not left.
    unsent: Vec<u8>,
    pub(super) wire: Vec<u8>,
    pub(super) body: Option<Body>,
    text: Vec<u8>,
    /// The number that the first event must have.
    expects: Option<u64>,
    seen: usize,
    pub(super) last: Option<u64>,
    /// The number of events that it has seen on all its connections.
    pub(super) all_seen: usize,
    /// The number and the id of the last event with an id.
    last_id: Option<(u64, String)>,
    /// The last id of the log.
    own_id: Option<(String, u64)>,
    /// It was told of a gap, and has not caught up since.
    pub(super) has_gap: bool,
    /// The number of the first event, and of the last one of each name.
    first: Option<u64>,
    last_of: BTreeMap<u64, u64>,
    pub(super) reads_at: Tick,
    pub(super) comes_at: Tick,
}

impl Viewer {
    pub(super) fn draw(number: u64, speech: Speech, rng: &mut Rng) -> Viewer {
        let said = rng.pick(&[
            "",
            "",
            "",
            "",
            "Cookie: c=N\r\n",
            "Authorization: N\r\n",
            "X-Group: g\r\n",
        ]);
        let fields = said.replace('N', &number.to_string());
        let value = |name: &str| {
            let line = fields.strip_prefix(name).map(str::trim_end);
            line.unwrap_or("-").to_owned()
        };
        let who = ["Cookie: ", "Authorization: ", "X-Group: "].map(value).join("/");
        Viewer {
            address: format!("192.0.2.{number}").parse().unwrap(),
            speech,
            stream: rng.pick(&[0, 0, 0, 1, 2]),
            fields,
            who,
            is_old: rng.chance(15),
            peer: None,
            unsent: Vec::new(),
            wire: Vec::new(),
            body: None,
            text: Vec::new(),
            expects: None,
            seen: 0,
            last: None,
            all_seen: 0,
            last_id: None,
            own_id: None,
            has_gap: false,
            first: None,
            last_of: BTreeMap::new(),
            reads_at: Tick::ZERO,
            comes_at: Tick::from_millis(rng.below(1500)),
        }
    }

    /// Requests its stream, with one of several last ids.
    pub(super) fn come(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        published: &[u64; 3],
        terms: Terms,
    ) {
        let Some(peer) = self.speech.connect(world.net(), self.address) else { return };
        let plain = |id: u64| (id, id.to_string());
        let id = match rng.below(10) {
            0..6 => self.last_id.clone(),
            // Only events with an id can be resumed from.
            6 => Some(rng.below(published[self.stream].max(1)))
                .filter(|id| id.is_multiple_of(terms.ids))
                .map(plain),
            7 => Some(plain(99_999)),
            8 if terms.own => Some((99_999, "0123456789abcdef-7".to_owned())),
            _ => None,
        };
        let published = published[self.stream];
        self.expects = id.as_ref().filter(|(id, _)| *id < published).map(|(id, _)| id + 1);
        let version = if self.is_old { "1.0" } else { "1.1" };
        let path = ["/a", "/b", "/c"][self.stream];
        let line = id.map(|(_, id)| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/{version}\r\nHost: a\r\nAccept: text/event-stream\r\n{}{line}\r\n",
            self.fields
        );
        journal::note(|| {
            format!("{:?} {peer:?} of {} asks {path} {line}", world.now, self.address)
        });
        (self.peer, self.unsent) = (Some(peer), request.into_bytes());
        self.ask(world);
        (self.seen, self.last, self.body) = (0, None, None);
        self.own_id = None;
        (self.has_gap, self.first, self.last_of) = (false, None, BTreeMap::new());
        self.wire.clear();
        self.text.clear();
    }

    /// Sends what is left of its request, as far as its socket takes it.
    pub(super) fn ask(&mut self, world: &mut World) {
        if let Some(peer) = self.peer.filter(|_| !self.unsent.is_empty()) {
            let sent = world.net().send(peer, &self.unsent);
            self.unsent.drain(..sent);
        }
    }

    pub(super) fn go(&mut self, now: Tick, rng: &mut Rng) {
        self.peer = None;
        self.comes_at = now.after(Duration::from_millis(rng.below(400)));
    }

    /// Checks that the ids of the log count its events.
    fn judge_own_id(&mut self, own: Option<&(String, u64)>, terms: Terms) -> Result<(), String> {
        let Some((epoch, number)) = own else { return Ok(()) };
        if let Some((former, last)) = &self.own_id {
            let follows = number == last || *number == last + 1 || self.has_gap && number > last;
            if !follows || epoch != former || !terms.own {
                return Err(format!("{own:?} after {:?}", self.own_id));
            }
        }
        self.own_id = Some((epoch.clone(), *number));
        Ok(())
    }

    /// Checks that it has seen the last event of each name, as far as it could.
    pub(super) fn judge_names(&self, published: u64) -> Result<(), String> {
        for number in published.saturating_sub(NAMES)..published {
            let seen = self.last_of.get(&(number % NAMES)).copied();
            if self.first.is_some_and(|first| first <= number) && seen != Some(number) {
                return Err(format!("it has not seen {number}, but {seen:?}"));
            }
        }
        Ok(())
    }

    /// Reads what has arrived, with `published` events so far. Returns the secrets that it has
    /// seen.
    pub(super) fn read(&mut self, published: u64, terms: Terms) -> Result<Vec<u64>, String> {
        if self.body.is_none()
            && let Some(head) = Head::parse(&self.wire)?
        {
            self.wire.drain(..head.length);
            if !head.first_line.contains(" 200 ") {
                self.seen = usize::MAX;
            }
            self.body = Some(head.body(false, false)?);
        }
        let Some(body) = &mut self.body else { return Ok(Vec::new()) };
        body.read(&mut self.wire, &mut self.text)?;
        if self.seen == usize::MAX {
            return Ok(Vec::new());
        }
        let events = naive::events(&self.text);
        let mut secrets = Vec::new();
        for event in &events[self.seen..] {
            let id = String::from_utf8(event.id.clone()).map_err(|_| "no text")?;
            let own = id.split_once('-').map(|(epoch, n)| (epoch.to_owned(), n.parse().unwrap()));
            self.judge_own_id(own.as_ref(), terms)?;
            if event.kind == b"gap" {
                if !terms.tells {
                    return Err("a gap is told, and there is no word for it".to_owned());
                }
                (self.has_gap, self.expects) = (true, None);
                continue;
            }
            let data = String::from_utf8(event.data.clone()).map_err(|_| "no text")?;
            let parts: Vec<&str> = data.split(' ').collect();
            let [stream, number, who, secret] = parts[..] else { return Err(format!("{data:?}")) };
            let (stream, number): (usize, u64) = (stream.parse().unwrap(), number.parse().unwrap());
            if stream != self.stream || who != self.who {
                return Err(format!("{data:?} to {} of {}", self.who, self.stream));
            }
            // Events without an id of the upstream's are repeated when a stream is resumed.
            let again = terms.resumes && number > 0 && (number - 1).is_multiple_of(terms.ids);
            let follows = match (self.last, self.expects) {
                (Some(last), _) if terms.fresh && number <= last => true,
                (Some(last), _) if self.has_gap && number > last => true,
                (Some(last), _) => number == last + 1 || again && number <= last && terms.ids > 1,
                // They are repeated because the upstream can resume only after an event with its
                // own id.
                (None, Some(expected)) if terms.own && number < expected => {
                    number > 0 && (number - 1).is_multiple_of(terms.ids)
                }
                (None, Some(expected)) => number == expected,
                (None, None) => true,
            };
            if !follows {
                return Err(format!("{number} after {:?}, expected {:?}", self.last, self.expects));
            }
            if event.kind != format!("e{}", number % NAMES).into_bytes() {
                return Err(format!("{:?} is called {:?}", event.data, event.kind));
            }
            self.last = Some(number);
            self.all_seen += 1;
            self.first = self.first.or(self.last);
            self.last_of.insert(number % NAMES, number);
            // Later gaps are announced again.
            self.has_gap &= number + 1 < published;
            if own.is_some() || number.is_multiple_of(terms.ids) {
                self.last_id = Some((number, id));
            }
            secrets.extend(secret.parse::<u64>().ok().filter(|secret| *secret > 0));
        }
        self.seen = events.len();
        Ok(secrets)
    }
}
