//! The admin listener's requests: each is judged ([`crate::admin`]) and answered here.
//!
//! An answer is an exchange like any other, whose response is written by this process
//! ([`Local`]): it waits for a slow client like one from an upstream, and is given up like one.
//! What only the shell can do is put down as a command; the exchange waits until the shell has
//! said what came of it.

use super::finish::Refusal;
use super::head::head_limits;
use super::request::{facts_of, refusal_of};
use super::waits::Wait;
use super::{Proxy, Step};
use crate::admin::answer::{Answer, Around, Kind};
use crate::admin::live::Ticks;
use crate::admin::metrics::{self, Process};
use crate::admin::streams::{First, Page, Query, Row};
use crate::admin::{self, Ask, Command, page};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, RequestHead, Version};
use crate::http::upgrade::Offer;
use crate::net::Net;
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Facts, Phase};
use crate::session::local::Local;
use crate::session::outcome::Outcome;
use crate::session::upload::Upload;
use crate::session::{Service, Session, State};
use crate::slab::Key;
use crate::time::{Now, Tick, millis};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Commands that wait for the shell.
const COMMANDS_MAX: usize = 16;

/// What the admin listener needs beyond what there is anyway.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Connections that came in by it.
    pub connections: usize,
    /// The page and its policy, once somebody has asked for it.
    page: Option<(Rc<[u8]>, Rc<str>)>,
    pub ticks: Ticks,
    /// Sessions that the ticks go to; some may have left.
    pub listeners: Vec<Key<Session>>,
    commands: VecDeque<(Ticket, Command)>,
}

/// Who waits for what comes of a command.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    session: Key<Session>,
    id: u64,
}

/// A request that was understood.
struct Request {
    ask: Result<Ask, Answer>,
    facts: Facts,
    length: BodyLength,
}

impl<N: Net> Proxy<N> {
    /// Closes a connection to the admin listener so that the one that comes now can find out why:
    /// one that asks nothing, or has not asked to the end, or else the one that has watched for
    /// longest. False when all of them are being answered.
    pub(super) fn make_room_for_operator(&mut self) -> bool {
        let operators = self.sessions.iter().filter(|(_, s)| s.service == Service::Admin);
        let spare = operators.filter_map(|(key, session)| match &session.state {
            State::Idle { since, .. } => Some((0, *since, key)),
            State::Head { since, .. } => Some((1, *since, key)),
            State::Active(exchange) if exchange.is_live() => Some((2, exchange.began, key)),
            State::Active(_) | State::Lingering { .. } => None,
        });
        let Some((.., key)) = spare.min_by_key(|(rank, since, _)| (*rank, *since)) else {
            return false;
        };
        self.close_session(key);
        true
    }

    /// A complete head for the admin listener stands in the first `end` bytes of the scratch.
    pub(super) fn begin_admin(
        &mut self,
        key: Key<Session>,
        request: Box<str>,
        end: usize,
        now: Tick,
    ) -> Step {
        let judged = match self.judge_admin(end) {
            Ok(judged) => judged,
            Err(refusal) => return self.refuse(key, request, refusal, now),
        };
        let Request { ask, mut facts, length } = judged;
        // What comes of a body is thrown away behind the answer, and the connection with it.
        facts.persistent &= length.is_empty() && facts.version == Version::Http11;
        let mut record = self.record_of(Service::Admin, request);
        // Whoever watches asks all the time.
        record.told = ask.as_ref().map_or(true, |ask| ask.changes());
        let phase = Phase::Local(Box::new(Local::Shell));
        let request = Upload::untaken(length);
        let exchange = Exchange::new(facts, request, None, &self.config, phase, record, now);
        let ticket = Ticket { session: key, id: exchange.record.id };
        self.sessions[key].state = State::Active(exchange);
        let answer = match ask {
            Err(answer) => answer,
            Ok(Ask::Page) => self.page(),
            Ok(Ask::Events) => return self.begin_live(key, now),
            Ok(Ask::Metrics) => {
                let text = metrics::text(&self.stats, &self.process_now(now));
                Answer::of(200, Kind::Metrics, text.into_bytes().into())
            }
            Ok(Ask::Health) => Answer::text(200, "The loop turns."),
            Ok(Ask::Ready) if self.drain.is_some() => Answer::text(503, "Draining."),
            Ok(Ask::Ready) => Answer::text(200, "Ready."),
            Ok(Ask::Streams(query)) => self.list_streams(query, now),
            Ok(Ask::End(id)) => self.end_by_hand(id, now),
            Ok(Ask::Command(command)) if self.desk.commands.len() < COMMANDS_MAX => {
                self.desk.commands.push_back((ticket, command));
                return Step::Moved;
            }
            Ok(Ask::Command(_)) => Answer::text(503, "Too many commands wait already."),
        };
        self.give(key, answer, now)
    }

    fn judge_admin(&self, end: usize) -> Result<Request, Refusal> {
        let (mut store, limits) = (FieldStore::new(), head_limits(&self.config));
        let head = RequestHead::parse(&self.scratch[..end], &mut store, &limits);
        let head = head.map_err(refusal_of)?;
        let facts = facts_of(&head, Offer::NOTHING);
        Ok(Request { ask: admin::judge(&head), facts, length: head.length })
    }

    /// Answers a request that waits for it.
    fn give(&mut self, key: Key<Session>, answer: Answer, now: Tick) -> Step {
        let draining = self.drain.is_some();
        let exchange = self.sessions[key].state.exchange_mut();
        exchange.facts.persistent &= !draining;
        exchange.record.told |= answer.status >= 400 && answer.status != 503;
        exchange.cause = Cause::of_operator(answer.status);
        if let Some(cause) = exchange.cause.filter(|_| exchange.record.told) {
            let text = format!("{}: the operator is refused ({})", answer.status, cause.word());
            self.hush.say(log::Level::Info, "", cause.word(), &text);
        }
        exchange.request.abandon(&mut self.buffers);
        let date = self.date.text();
        self.head_buf.clear();
        answer.write_head(&mut self.head_buf, Around { date, close: !exchange.facts.persistent });
        if exchange.facts.is_head {
            exchange.answer(answer.status, &self.head_buf, &mut self.buffers, now);
        } else {
            exchange.record.status = answer.status;
            let length = BodyLength::Length(answer.body.len() as u64);
            exchange.response.begin(length, length, now);
            exchange.response.queue(&self.head_buf, &mut self.buffers, now);
            exchange.phase = Phase::Local(Box::new(Local::Bytes(answer.body, 0)));
        }
        Step::Moved
    }

    fn page(&mut self) -> Answer {
        let (body, policy) = self
            .desk
            .page
            .get_or_insert_with(|| (page::PAGE.as_bytes().into(), page::policy().into()));
        Answer::of(200, Kind::Html, Rc::clone(body)).under(Rc::clone(policy))
    }

    fn process_now(&self, now: Tick) -> Process<'_> {
        let mut idle = BTreeMap::new();
        for origin in self.api_origins.iter().map(|key| &self.origins[*key]) {
            idle.insert(origin.name.as_str(), origin.idle());
        }
        Process {
            started_unix_ms: self.started_unix_ms,
            now: Now { tick: now, unix_ms: self.unix_ms },
            connections: self.connections(),
            buffers: self.buffers.lent(),
            buffer_bytes: self.buffers.lent_bytes(),
            draining: self.drain.is_some(),
            access_lines_dropped: self.access.dropped_ever(),
            idle,
            key_bytes: self.key_bytes(),
        }
    }

    /// Payload of requests that are not over, from and to clients, by the names of their keys. It
    /// is only added up for whoever asks: an event costs nothing for it.
    fn key_bytes(&self) -> BTreeMap<&str, [u64; 2]> {
        let mut bytes: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        if self.stats.keys.is_empty() {
            return bytes;
        }
        for (_, session) in self.sessions.iter() {
            if let State::Active(exchange) = &session.state
                && let Some(name) = exchange.key_name()
            {
                let [from, to] = bytes.entry(name).or_default();
                *from += exchange.request.taken();
                *to += exchange.response.given();
            }
        }
        bytes
    }

    /// A page of the event streams and tunnels of all apis. All sessions are looked at; only those
    /// on the page are described.
    fn list_streams(&self, query: Query, now: Tick) -> Answer {
        let Query { limit, order, after } = query;
        let place = |exchange: &Exchange| {
            let idle = millis(now.since(exchange.still_since()));
            let pending = exchange.response.pending() as u64;
            order.place(exchange.record.id, pending, idle)
        };
        // Whoever has gone since was somewhere, in an order by number; in another, nobody knows.
        let after = after.and_then(|id| match self.stream(id) {
            Some((_, exchange)) => Some(place(exchange)),
            None => order.place_of_gone(id),
        });
        let mut first = First::new(limit, after);
        for (key, exchange) in self.streams() {
            first.offer(place(exchange), key.to_bits());
        }
        let (keys, total, more) = first.finish();
        let mut page = Page::new(total);
        for key in keys.into_iter().filter_map(Key::from_bits) {
            self.describe(key, now, &mut page);
        }
        Answer::of(200, Kind::Json, page.finish(more).into_bytes().into())
    }

    fn describe(&self, key: Key<Session>, now: Tick, page: &mut Page) {
        let Session { state: State::Active(exchange), peer, .. } = &self.sessions[key] else {
            return;
        };
        let (moments, things): (Vec<Wait>, Vec<Wait>) =
            self.waits(key, now).into_iter().partition(|wait| matches!(wait, Wait::Until(..)));
        let client = exchange.client(*peer);
        page.add(&Row {
            id: exchange.record.id,
            state: self.stream_state(exchange, now),
            is_tunnel: exchange.record.is_tunnel(),
            api: exchange.api().map_or("", |api| api.name.as_str()),
            client: &client.map_or_else(|| "unix".to_owned(), |client| client.to_string()),
            key: exchange.key_name().map(|name| &**name),
            request: &exchange.record.request,
            age_ms: millis(now.since(exchange.began)),
            events: exchange.response.events().map_or(0, |events| events.events()),
            bytes_in: exchange.request.taken(),
            bytes_out: exchange.response.delivered(),
            idle_ms: millis(now.since(exchange.still_since())),
            pending_bytes: exchange.response.pending(),
            waits: &things.into_iter().map(Wait::name).collect::<Vec<_>>(),
            until: moments.first().map(|moment| moment.name()),
        });
    }

    /// The event streams and tunnels of all apis.
    pub(super) fn streams(&self) -> impl Iterator<Item = (Key<Session>, &Exchange)> {
        self.sessions.iter().filter_map(|(key, session)| match &session.state {
            State::Active(exchange) if exchange.record.open && exchange.record.stats.is_some() => {
                Some((key, &**exchange))
            }
            State::Active(_)
            | State::Idle { .. }
            | State::Head { .. }
            | State::Lingering { .. } => None,
        })
    }

    fn stream(&self, id: u64) -> Option<(Key<Session>, &Exchange)> {
        self.streams().find(|(_, exchange)| exchange.record.id == id)
    }

    /// Ends an event stream between two events, or behind the one that is on its way. A tunnel is
    /// closed.
    fn end_by_hand(&mut self, id: u64, now: Tick) -> Answer {
        let Some(key) = self.stream(id).map(|(key, _)| key) else {
            return Answer::text(404, "No stream that is open has this id.");
        };
        let exchange = self.sessions[key].state.exchange_mut();
        exchange.end_stream_at(now, Outcome::Ended);
        let tunnel = exchange.record.is_tunnel();
        self.enqueue(key);
        Answer::text(202, if tunnel { "It is closed." } else { "It ends between two events." })
    }

    /// The next thing that the shell is asked to do. What comes of it is for
    /// [`Proxy::answer_command`] to say.
    pub fn next_command(&mut self) -> Option<(Ticket, Command)> {
        self.desk.commands.pop_front()
    }

    /// What came of a command, for whoever waits for it, if he still does. A turn has to follow.
    pub fn answer_command(&mut self, ticket: Ticket, status: u16, sentence: &str, now: Tick) {
        let Ticket { session: key, id } = ticket;
        if let Some(Session { state: State::Active(exchange), .. }) = self.sessions.get(key)
            && exchange.record.id == id
        {
            self.give(key, Answer::text(status, sentence), now);
            self.enqueue(key);
        }
    }
}
