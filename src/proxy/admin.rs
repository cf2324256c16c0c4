//! Requests to the admin listener: [`crate::admin`] checks each, and this module answers it.
//!
//! An answer is an exchange like any other, except that this process writes its response
//! ([`Local`]). It waits for a slow client, and is given up, like one from an upstream. What only
//! the shell can do is queued as a command; the exchange waits for the shell's result.
//!
//! Connections to the admin listener do not count as client connections: they have a separate
//! limit, do not prolong a drain, and are served during one.

mod ticks;

use super::Proxy;
use super::next::Next;
use super::phase::Phase;
use super::shared::Shared;
use super::sharing::feed::Feed;
use super::sharing::followers::Followers;
use super::steps::head::head_limits;
use super::waits::{self, Wait};
use crate::access::Told;
use crate::admin::answer::{Answer, Around, MediaType};
use crate::admin::groups::{GROUPS_MAX, Group, GroupStream, Groups};
use crate::admin::live::Ticks;
use crate::admin::metrics::{Logs, MetricsNow, Process, Usage, limits_of};
use crate::admin::parts::{Inquiry, Part};
use crate::admin::streams::{First, List, Order, Page, Query, Rank, Row};
use crate::admin::workers::{Asked, WorkerNow};
use crate::admin::{self, Ask, ShellCommand, page};
use crate::config::Config;
use crate::confines;
use crate::exchange::{Begin, Exchange, Local, LocalReply, Log, LogState, RequestFacts, Source};
use crate::exchange::{Stage, Upload};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, RequestHead, Version};
use crate::net::Net;
use crate::session::{Service, Session, State};
use crate::slab::Key;
use crate::telemetry::{Cause, Outcome};
use crate::time::{Now, Tick, millis};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of commands that may wait for the shell.
const COMMANDS_MAX: usize = 16;

/// The state of the admin listener.
#[derive(Debug)]
pub(super) struct Admin {
    /// The page and its content security policy, once requested.
    page: Option<(Rc<[u8]>, Rc<str>)>,
    /// When the live page gets its next event.
    pub ticks: Ticks,
    /// Its events.
    log: Rc<Log>,
    /// The clients that watch the live page.
    watchers: Followers,
    /// Reads the resource usage of the process, if it can be measured.
    pub usage: Option<fn() -> Option<Usage>>,
    /// When a reload last succeeded, in milliseconds since 1970. 0 before the first one.
    reloaded_unix_ms: u64,
    /// Why the last reload was refused, if it was.
    reload_refused: Option<String>,
    /// Reads the CPU time of the current thread, if it can be measured.
    cpu: Option<fn() -> Option<Duration>>,
    commands: VecDeque<(Ticket, ShellCommand)>,
    /// True if a tick is due for which the other event loops must be asked.
    wants_tick: bool,
}

impl Admin {
    /// An admin listener without requests so far. See [`Log::new`].
    pub(super) fn new(deserted: &Rc<Cell<bool>>) -> Admin {
        Admin {
            page: None,
            ticks: Ticks::new(),
            log: Log::new(Ticks::limits(), LogState::Open, deserted),
            watchers: Followers::default(),
            usage: None,
            reloaded_unix_ms: 0,
            reload_refused: None,
            cpu: None,
            commands: VecDeque::new(),
            wants_tick: false,
        }
    }
}

/// The request that waits for the result of a command.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    session: Key<Session>,
    id: u64,
}

/// A request whose head is valid.
pub(super) struct Checked {
    ask: Result<Ask, Answer>,
    facts: RequestFacts,
    keeps_alive: bool,
    length: BodyLength,
}

/// Checks a request head for the admin listener.
pub(super) fn check_request(
    bytes: &[u8],
    service: Service,
    config: &Config,
) -> Result<Checked, LocalReply> {
    let mut store = FieldStore::new();
    let head =
        RequestHead::parse(bytes, &mut store, &head_limits(config)).map_err(LocalReply::of_head)?;
    let facts = RequestFacts::of_local(&head);
    let length = head.length;
    // A body is discarded after the answer, together with the connection.
    let keeps_alive = head.persistent && length.is_empty() && facts.version == Version::Http11;
    let hosts = config.admin.as_ref().map_or(&[][..], |admin| &admin.hosts);
    let ask = admin::check_request(&head, service == Service::Probes, hosts);
    Ok(Checked { ask, facts, keeps_alive, length })
}

/// Begins the exchange of a request to the admin listener.
pub(super) fn begin<N: Net>(
    checked: Checked,
    told: Told,
    shared: &mut Shared<N>,
    now: Tick,
) -> Next {
    let Checked { ask, facts, keeps_alive, length } = checked;
    // Monitoring asks all the time, so only changes are logged.
    let logged = ask.as_ref().map_or(true, |ask| ask.changes());
    let record = shared.telemetry.record(told, false, logged);
    let upload = Upload::unread(length);
    let config = &shared.config;
    let exchange = Exchange::new(Begin { facts, keeps_alive, upload, config, record, now });
    Next::BeginAdmin(exchange, ask)
}

impl<N: Net> Proxy<N> {
    /// Closes a connection to a service of the operator to make room for a new one: an idle one,
    /// one with an incomplete request, one whose client has probably left while the shell works on
    /// its command, or else the one that has watched the longest. Returns false if all of them are
    /// being answered.
    pub(super) fn make_room_for_operator(&mut self, service: Service) -> bool {
        let operators = self.tasks.iter().filter(|(_, s)| s.service == service);
        let spare = operators.filter_map(|(key, session)| match &session.state {
            State::Idle { since, .. } => Some((0, *since, key)),
            State::Head { since, .. } => Some((1, *since, key)),
            // A client that has only shut down its sending side may still read the answer.
            State::Active(exchange) if is_with_shell(exchange) && session.conn.hung_up() => {
                Some((2, exchange.began, key))
            }
            State::Active(exchange) if exchange.follows(&self.admin.log) => {
                Some((3, exchange.began, key))
            }
            State::ProxyHeader { .. }
            | State::Handshake { .. }
            | State::Active(_)
            | State::Lingering { .. } => None,
        });
        let Some((.., key)) = spare.min_by_key(|(rank, since, _)| (*rank, *since)) else {
            return false;
        };
        self.close(key);
        true
    }

    /// Ends the connections to a service of the operator that is no longer offered. Requests that
    /// have begun are answered first, except those of the live page, which would go on.
    pub(super) fn dismiss_operators(&mut self, service: Service) {
        let mut dismissed = Vec::new();
        let of_service = self.tasks.iter_mut().filter(|(_, s)| s.service == service);
        for (key, session) in of_service {
            match &mut session.state {
                State::Active(exchange) if !exchange.follows(&self.admin.log) => {
                    exchange.keep_alive_if(false);
                }
                State::Active(_) | State::Idle { .. } | State::Head { .. } => dismissed.push(key),
                State::ProxyHeader { .. } | State::Handshake { .. } | State::Lingering { .. } => {}
            }
        }
        dismissed.into_iter().for_each(|key| self.close(key));
    }

    /// Answers a request to the admin listener whose exchange has begun.
    pub(super) fn answer_operator(
        &mut self,
        key: Key<Session>,
        ask: Result<Ask, Answer>,
        now: Tick,
    ) -> Next {
        let answer = match ask {
            Err(answer) => answer,
            Ok(Ask::Page) => self.page(),
            Ok(Ask::Events) => return self.begin_live(key, now),
            Ok(Ask::Health) if self.shared.loops == 1 => Answer::text(200, "OK."),
            Ok(Ask::Health) => {
                return self.pass_to_shell(key, ShellCommand::Inquire(Inquiry::Health), now);
            }
            Ok(Ask::Ready) => match self.shared.phase {
                Phase::Serving => Answer::text(200, "Ready."),
                Phase::Delay(at, _) => {
                    let left = at.since(now);
                    Answer::text(503, &format!("Draining: the port closes in {left:?}."))
                }
                Phase::Closed(_) => Answer::text(503, "Draining: the port is closed."),
            },
            Ok(Ask::All(inquiry)) if self.shared.loops == 1 => self.answer_alone(inquiry, now),
            Ok(Ask::All(inquiry)) => {
                return self.pass_to_shell(key, ShellCommand::Inquire(inquiry), now);
            }
            Ok(Ask::Command(command)) => return self.pass_to_shell(key, command, now),
        };
        self.give(key, answer, now)
    }

    /// Passes a command to the shell. The request waits for its result.
    fn pass_to_shell(&mut self, key: Key<Session>, command: ShellCommand, now: Tick) -> Next {
        if self.admin.commands.len() >= COMMANDS_MAX {
            let answer = Answer::text(503, "Too many commands are waiting already.");
            return self.give(key, answer, now);
        }
        if let Some(exchange) = self.tasks[key].exchange_mut() {
            exchange.go_on_with(Source::Local(Box::new(Local::Shell)));
            let ticket = Ticket { session: key, id: exchange.record.id };
            self.admin.commands.push_back((ticket, command));
        }
        Next::Moved
    }

    /// Answers an inquiry to all event loops if this is the only one.
    fn answer_alone(&mut self, inquiry: Inquiry, now: Tick) -> Answer {
        let now = Now { tick: now, unix_ms: self.unix_ms };
        let mut part = self.part_of(inquiry, now);
        while let Some(inquiry) = part.next() {
            part = self.part_of(inquiry, now);
        }
        part.into_answer(&Asked { loops: 1, silent: Vec::new() })
    }

    /// Makes the CPU time of this event loop's thread available to the operator. `cpu` reads it
    /// from the system.
    pub fn measure_thread_with(&mut self, cpu: fn() -> Option<Duration>) {
        self.admin.cpu = Some(cpu);
    }

    /// The status of this event loop, if there are others.
    fn worker_now(&self) -> Option<WorkerNow> {
        let Shared { loops, number, telemetry, memory, .. } = &self.shared;
        let open = telemetry.stats.all().map(|(_, stats)| stats.open());
        let now = || WorkerNow {
            number: number + 1,
            connections: self.connections(),
            streams: open.sum(),
            held_bytes: memory.buffers.held_bytes(),
            cpu: self.admin.cpu.and_then(|cpu| cpu()),
            silent_for: None,
        };
        (*loops > 1).then(now)
    }

    /// This event loop's part of the answer to the operator.
    pub fn part_of(&mut self, inquiry: Inquiry, now: Now) -> Part {
        self.read_wall_clock(now);
        let at = now.tick;
        match inquiry {
            Inquiry::Metrics => {
                let stats = &self.shared.telemetry.stats;
                Part::Metrics(Arc::new(MetricsNow::of(stats, &self.process_now(at))))
            }
            Inquiry::Streams(query) => Part::Streams(Page {
                streams: self.list_streams(query, at),
                groups: self.list_groups(at),
            }),
            Inquiry::Rank(query) => {
                let found = query.after_id().and_then(|id| self.stream(id));
                Part::Rank(query, found.map(|(_, exchange)| rank(query, exchange, at)), at)
            }
            Inquiry::End(id) => Part::Ended(self.end_by_hand(id, at)),
            Inquiry::Live => Part::Live(Box::new(self.live_now(now))),
            Inquiry::Health => Part::Health,
        }
    }

    /// Sends the answer to a waiting request.
    fn give(&mut self, key: Key<Session>, answer: Answer, now: Tick) -> Next {
        let Shared { net, memory, telemetry, phase, date, .. } = &mut self.shared;
        let Some(exchange) = self.tasks[key].exchange_mut() else { return Next::Moved };
        exchange.keep_alive_if(!phase.is_draining());
        exchange.record.logged |= answer.status >= 400 && answer.status != 503;
        exchange.cause = Cause::of_operator(answer.status);
        if exchange.record.logged
            && let Some(cause) = exchange.cause
        {
            let text = format!("{}: admin request refused ({})", answer.status, cause.word());
            telemetry.log.log(log::Level::Info, "", cause.word(), &text);
        }
        let (io, out) = memory.split(net, None, now);
        exchange.upload.abandon(io.buffers);
        answer.write_head(out, Around { date: date.text(), close: !exchange.keeps_alive() });
        if exchange.facts.is_head() {
            exchange.reply(answer.status, out, io.buffers, now);
        } else {
            exchange.record.status = answer.status;
            let length = BodyLength::Length(answer.body.len() as u64);
            exchange.response.begin(length, length, now);
            exchange.response.queue(out, io.buffers, now);
            let body = Local::Bytes(answer.body, 0);
            exchange.enter(Stage::Body, Source::Local(Box::new(body)));
        }
        Next::Moved
    }

    fn page(&mut self) -> Answer {
        let (body, policy) = self
            .admin
            .page
            .get_or_insert_with(|| (page::PAGE.as_bytes().into(), page::policy().into()));
        Answer::of(200, MediaType::Html, Rc::clone(body)).under(Rc::clone(policy))
    }

    fn process_now(&self, now: Tick) -> Process<'_> {
        let Shared { config, edge, pool, apis, memory, telemetry, .. } = &self.shared;
        let speaks_tls = !config.server.listen_tls.is_empty();
        let (mut upstreams, mut states) = (BTreeMap::new(), BTreeMap::new());
        let mut auth_servers = BTreeMap::new();
        let in_order = || config.apis.iter().zip(apis.in_order());
        let sticky = in_order().filter(|(api, _)| api.sticky.is_some());
        let sticky = sticky.map(|(_, (_, state))| {
            (state.name.as_str(), state.totals.sticky.with(|sticky| sticky.len()))
        });
        for ((_, state), counts) in apis.in_order().zip(self.stream_states(now)) {
            if let Some(upstream) = pool.upstream(state.upstream) {
                upstreams.insert(state.name.as_str(), upstream);
            }
            if let Some(upstream) =
                state.auth.as_ref().and_then(|auth| pool.upstream(auth.upstream))
            {
                auth_servers.insert(state.name.as_str(), upstream);
            }
            states.insert(state.name.as_str(), counts);
        }
        Process {
            started_unix_ms: self.started_unix_ms,
            now: Now { tick: now, unix_ms: self.unix_ms },
            workers: self.shared.loops,
            worker: self.worker_now(),
            connections: self.connections(),
            connections_max: edge.clients_max(),
            handshakes: speaks_tls.then(|| edge.handshakes()),
            proxy_protocol: !config.server.proxy_protocol.is_empty(),
            addresses: edge.totals.rates.with(|rates| rates.addresses()),
            buffers: memory.buffers.lent(),
            buffer_bytes: memory.buffers.lent_bytes(),
            held_bytes: memory.buffers.held_bytes(),
            held_bytes_max: config.server.max_held_bytes,
            usage: self.admin.usage.and_then(|usage| usage()),
            sandbox: confines::state(),
            reload_refused: self.admin.reload_refused.is_some(),
            configured_unix_ms: self.admin.reloaded_unix_ms.max(self.started_unix_ms),
            draining: self.is_draining(),
            accepting: !self.shared.phase.is_closed(),
            access_lines_dropped: telemetry.access.dropped_ever(),
            upstreams,
            limits: limits_of(config),
            auth_servers,
            sticky: sticky.collect(),
            logs: self.logs(),
            states,
            certificates: self.shared.tls.certificates(),
            revocation_lists: self.shared.tls.revocation_lists(),
            key_bytes: self.key_bytes(),
        }
    }

    /// The logs shared by the clients of each api that shares streams.
    fn logs(&self) -> BTreeMap<&str, Logs> {
        let Shared { config, apis, .. } = &self.shared;
        let in_order = config.apis.iter().zip(apis.in_order());
        let shared = in_order.filter(|(api, _)| api.share.is_some());
        shared.map(|(_, (key, state))| (state.name.as_str(), self.feeds.logs(key))).collect()
    }

    /// The payload of unfinished requests, from and to clients, by key name. It is summed only on
    /// request, so that events pay nothing for it.
    fn key_bytes(&self) -> BTreeMap<&str, [u64; 2]> {
        let mut bytes: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        if self.shared.telemetry.stats.keys.is_empty() {
            return bytes;
        }
        for exchange in self.tasks.iter().filter_map(|(_, session)| session.exchange()) {
            if let Some(name) = exchange.key_name() {
                let [from, to] = bytes.entry(name).or_default();
                *from += exchange.upload.taken();
                *to += exchange.response.outlet.given();
            }
        }
        bytes
    }

    /// The first event streams and tunnels of a page. All sessions are visited, but only those on
    /// the page are described.
    fn list_streams(&self, query: Query, now: Tick) -> List {
        let mut first = First::new(query.limit, query.after_rank());
        let at = query.ranked_at(now);
        for (key, exchange) in self.streams() {
            first.offer(rank(query, exchange, at), key.to_bits());
        }
        let (keys, total, more) = first.finish();
        let ranked_at = (query.order == Order::Slowest).then_some(at);
        let mut list = List::new(query.limit, total, more, ranked_at);
        for (rank, key) in keys {
            if let Some(key) = Key::from_bits(key) {
                self.describe(key, rank, now, &mut list);
            }
        }
        list
    }

    /// The upstream streams that clients share. If there are no other event loops, only those
    /// shared by the most clients.
    fn list_groups(&self, now: Tick) -> Groups {
        let is_own = |feed: &&Feed| feed.mirror.is_none();
        let all = || self.feeds.tasks.iter().map(|(_, feed)| feed);
        let mut groups = Groups::new(all().filter(is_own).count());
        let mut listed: Vec<&Feed> = all().collect();
        if self.shared.loops == 1 {
            listed.sort_unstable_by_key(|feed| (Reverse(feed.log.readers()), feed.log.id));
            listed.truncate(GROUPS_MAX);
        }
        for feed in listed {
            let Feed { exchange, log, .. } = feed;
            let (held_events, held_bytes) = log.read(|events| (events.len(), events.memory()));
            let stream = Some(feed).filter(is_own).map(|_| GroupStream {
                state: (!feed.is_over()).then(|| self.stream_state(exchange, now)),
                api: exchange.api_name().to_owned(),
                request: exchange.record.told.line().to_owned(),
                age_ms: millis(now.since(exchange.began)),
                events: exchange.response.intake.count().unwrap_or(0),
                held_events,
                idle_ms: millis(now.since(exchange.quiet_since())),
            });
            groups.add(Group {
                id: log.id,
                stream,
                clients: log.readers(),
                held_bytes,
                replayed: log.counts.replayed.get(),
                gaps: log.counts.gaps.get(),
                vetoes: log.counts.vetoes.get(),
            });
        }
        groups
    }

    fn describe(&self, key: Key<Session>, rank: Rank, now: Tick, list: &mut List) {
        let session = &self.tasks[key];
        let Some(exchange) = session.exchange() else { return };
        let (moments, things): (Vec<Wait>, Vec<Wait>) = waits::of(session, &self.shared, now)
            .into_iter()
            .partition(|wait| matches!(wait, Wait::Until(..)));
        let client = exchange.client(session.peer);
        let end = exchange.expires_at().min(self.shared.phase.end_of(session));
        let row = Row {
            id: exchange.record.id,
            state: self.stream_state(exchange, now),
            kind: exchange.report(session.peer, None).kind(),
            tls: session.conn.agreed(&self.shared.net).map(|agreed| agreed.version),
            api: exchange.api().map_or("", |api| api.name.as_str()),
            client: &client.to_string(),
            key: exchange.caller_name(),
            request: exchange.record.told.line(),
            age_ms: millis(now.since(exchange.began)),
            events: exchange.response.intake.count().unwrap_or(0),
            bytes_in: exchange.upload.taken(),
            bytes_out: exchange.response.delivered(),
            idle_ms: millis(now.since(exchange.quiet_since())),
            pending_bytes: exchange.response.pending(),
            waits: &things.into_iter().map(Wait::name).collect::<Vec<_>>(),
            until: moments.first().map(|moment| moment.name()),
            ends_in_ms: (end != Tick::NEVER).then(|| millis(end.since(now))),
            shares: exchange.source().log().map(|log| log.id),
        };
        list.add(rank, row.id, |json| row.write(json));
    }

    /// The event streams and tunnels of all apis.
    fn streams(&self) -> impl Iterator<Item = (Key<Session>, &Exchange)> {
        let exchanges =
            self.tasks.iter().filter_map(|(key, session)| Some((key, session.exchange()?)));
        exchanges.filter(|(_, exchange)| exchange.record.open && exchange.record.stats.is_some())
    }

    fn stream(&self, id: u64) -> Option<(Key<Session>, &Exchange)> {
        self.streams().find(|(_, exchange)| exchange.record.id == id)
    }

    /// Ends an event stream between two events, after the current one; an answer is cut there. A
    /// tunnel is closed. Returns how, if there is one with this id.
    fn end_by_hand(&mut self, id: u64, now: Tick) -> Option<&'static str> {
        let sentence = |exchange: &Exchange| match exchange {
            tunnel if tunnel.record.is_tunnel() => "It is closed.",
            answer if answer.is_answer() => "It is cut between two events.",
            _ => "It ends between two events.",
        };
        let (key, exchange) = self.stream(id)?;
        let sentence = sentence(exchange);
        if let Some(exchange) = self.tasks[key].exchange_mut() {
            exchange.expire_stream_at(now, Outcome::Ended);
        }
        self.tasks.wake(key);
        Some(sentence)
    }

    /// The next command for the shell, which reports the result with [`Proxy::answer_command`].
    pub fn next_command(&mut self) -> Option<(Ticket, ShellCommand)> {
        self.admin.commands.pop_front()
    }

    /// Notes for metrics and the live page what became of a reload: when it succeeded, in
    /// milliseconds since 1970, or why it was refused. Only the first event loop is told.
    pub fn note_reload(&mut self, result: Result<u64, &str>) {
        match result {
            Ok(unix_ms) => {
                (self.admin.reloaded_unix_ms, self.admin.reload_refused) = (unix_ms, None)
            }
            Err(why) => self.admin.reload_refused = Some(why.to_owned()),
        }
    }

    /// Sends the result of a command to the request that waits for it, if it still exists. A turn
    /// must follow.
    pub fn answer_command(&mut self, ticket: Ticket, answer: Answer, now: Tick) {
        let Ticket { session: key, id } = ticket;
        let exchange = self.tasks.get(key).and_then(Session::exchange);
        if exchange.is_some_and(|exchange| exchange.record.id == id) {
            self.give(key, answer, now);
            self.tasks.wake(key);
        }
    }
}

/// True if the shell's result is awaited.
fn is_with_shell(exchange: &Exchange) -> bool {
    exchange.source().local().is_some_and(Local::is_fed)
}

/// The rank of an open stream in the requested order.
fn rank(query: Query, exchange: &Exchange, now: Tick) -> Rank {
    let idle = millis(now.since(exchange.quiet_since()));
    query.order.rank(exchange.record.id, exchange.response.pending() as u64, idle)
}
