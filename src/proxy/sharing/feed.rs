//! A feed: it has one upstream stream and fills a log that many clients read (`[api.share]`).
//!
//! It is an exchange without a client, moved by the same steps as any other: it connects, waits in
//! queues, retries, resumes, and handles outages. This module has the differences: a head is
//! checked instead of forwarded ([`share`]), events go into the log, and whatever a client would be
//! told becomes the state of the log, on which each reader acts in its own steps.
//!
//! When the log has changed, its readers are woken, a limited number per turn, so that other feeds
//! and all other sessions run in between. The feed reads on once all have been woken, so that no
//! reader misses events that arrive faster than they can be written. When the stream has ended,
//! readers are woken a few at a time, spread over a time that grows with their number, because all
//! of their clients will reconnect. The feed exists until they have read what it held, so the
//! memory for that is counted.
//!
//! A response that must not be shared goes to the client that asked first, if asking by itself
//! would have given it the same, and all other clients ask for themselves ([`Proxy::veto`]).

use super::feeds::Feeds;
use super::followers::{self, Follower, Followers};
use super::mirror::{Mirror, Mirrors};
use super::share;
use crate::apis::{self, ApiState, Claim};
use crate::conn::Conn;
use crate::coverage;
use crate::event_log::EventLog;
use crate::exchange::{
    Change, Exchange, LocalReply, Log, LogState, Lookahead, Resumption, Source, Stage,
};
use crate::http::head::ResponseHead;
use crate::net::Net;
use crate::pipe::{Fault, Rest, SourceFault};
use crate::pool::{Connection, Owner, Pool};
use crate::proxy::Proxy;
use crate::proxy::advance::{self, Became};
use crate::proxy::deadlines::{self, Deadline};
use crate::proxy::next::{Action, Next};
use crate::proxy::portions::Portions;
use crate::proxy::step::Step;
use crate::proxy::steps::{connect, ends, outage, relay};
use crate::slab::Key;
use crate::sse::each_block;
use crate::telemetry::{Cause, Failure, Outcome, Veto, is_outage};
use crate::time::{Now, Tick};
use std::rc::Rc;
use std::time::Duration;

/// The delay between the batches of readers woken after a stream has ended.
const ENDS_EACH: Duration = Duration::from_millis(10);

/// The maximum number of such batches.
const ENDS_MAX: usize = 500;

/// The minimum number of readers in a batch.
const ENDS_AT_ONCE: usize = 10;

/// The name of a stream: its api, and what is asked for.
pub(crate) type Name = (Key<ApiState>, apis::Name);

/// A feed. See the module docs.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) exchange: Box<Exchange>,
    /// A placeholder that is not connected.
    conn: Conn,
    pub(crate) log: Rc<Log>,
    pub(crate) name: Name,
    pub(crate) followers: Followers,
    /// Lets requests in any event loop find the stream, until it is over. None for a mirror.
    pub(crate) claim: Option<Claim>,
    /// The mirrors of this feed in other event loops.
    pub(crate) mirrors: Mirrors,
    /// How this feed mirrors one in another event loop, if it does.
    pub(crate) mirror: Option<Box<Mirror>>,
    /// The client that asked for the stream first, and its request.
    pub(crate) first: Follower,
    /// True if the upstream was asked for the events after one that a client named.
    pub(crate) continues: bool,
    /// When its upstream stream is given up because the log has no readers in this event loop, if
    /// it has no mirrors either.
    pub(crate) lingers_until: Tick,
    /// When readers are woken for the latest change. [`Tick::NEVER`] if there was none.
    tells_at: Tick,
    /// When the next readers are woken. [`Tick::NEVER`] if all have been.
    goes_on_at: Tick,
}

impl Feed {
    /// A feed that has not sent its request yet, created for this client.
    pub(crate) fn new(exchange: Box<Exchange>, log: Rc<Log>, name: Name, first: Follower) -> Feed {
        Feed {
            exchange,
            conn: Conn::unconnected(),
            log,
            name,
            followers: Followers::default(),
            claim: None,
            mirrors: Mirrors::default(),
            mirror: None,
            first,
            continues: false,
            lingers_until: Tick::NEVER,
            tells_at: Tick::NEVER,
            goes_on_at: Tick::NEVER,
        }
    }

    /// True if its upstream stream is over. The feed exists until all readers have read what it
    /// held.
    pub(crate) fn is_over(&self) -> bool {
        self.log.state().is_over()
    }

    /// True if its log has no readers in any event loop.
    pub(crate) fn is_deserted(&self) -> bool {
        self.log.readers() == 0 && self.mirrors.is_empty()
    }

    /// True if no target was asked for its readers yet, as far as this event loop knows: it waits
    /// for a connection, or for the stream of another event loop.
    pub(crate) fn has_yet_to_ask(&self) -> bool {
        let waits = self.mirror.is_some() || matches!(self.exchange.source(), Source::Queued(_));
        waits && !self.log.state().has_begun()
    }

    /// True if the upstream was asked for what follows an event.
    fn has_asked_behind(&self) -> bool {
        let events = self.exchange.response.intake.events();
        let is_resumed = self.exchange.stage() == Stage::Resuming;
        let resumes = is_resumed && events.is_some_and(|events| events.resume_from().is_some());
        self.continues || resumes
    }

    /// When its upstream stream is given up for lack of readers.
    fn ends_at(&self) -> Tick {
        if self.mirrors.is_empty() { self.lingers_until } else { Tick::NEVER }
    }

    /// True if there is more to read.
    fn has_input(&self, pool: &Pool) -> bool {
        if let Some(mirror) = &self.mirror {
            return mirror.has_input();
        }
        let Source::Upstream(connection) = *self.exchange.source() else { return false };
        pool[connection].conn.has_input() || !self.exchange.response.intake.is_quiet()
    }

    /// When it next has something to do by itself.
    pub(crate) fn next_deadline(&self, portions: &Portions, now: Tick) -> (Tick, Option<Deadline>) {
        let own = self.ends_at().min(self.tells_at).min(self.goes_on_at);
        if self.is_over() {
            return (own, None);
        }
        if let Some(mirror) = &self.mirror {
            return (own.min(mirror.waits_until(self.log.state())), None);
        }
        let own = own.min(self.mirrors.waits_until(portions.crossing_max));
        // While it is not read, an upstream is not late.
        if self.waits_for_mirrors(portions) {
            return (own, None);
        }
        let next = deadlines::of_exchange(&self.exchange, portions.high_water, now);
        if next.at < own { (next.at, Some(next.deadline)) } else { (own, None) }
    }
}

impl Feed {
    /// True if its mirrors have to take something before it reads on.
    pub(crate) fn waits_for_mirrors(&self, portions: &Portions) -> bool {
        let is_read = matches!(self.exchange.source(), Source::Upstream(_));
        is_read && self.mirrors.waits_until(portions.crossing_max) != Tick::NEVER
    }
}

impl<N: Net> Proxy<N> {
    /// Runs the feeds that may be able to continue.
    pub(crate) fn run_feeds(&mut self, now: Now) {
        self.feeds.left = self.shared.portions.readers_per_turn;
        for _ in 0..self.feeds.tasks.queue_len() {
            if let Some(key) = self.feeds.tasks.next_queued() {
                self.run_feed(key, now);
            }
        }
    }

    fn run_feed(&mut self, key: Key<Feed>, now: Now) {
        let mut has_told = false;
        for _ in 0..self.shared.portions.steps_per_turn {
            has_told |= self.tell(key, now.tick);
            let feed = &self.feeds.tasks[key];
            if feed.is_over() && feed.is_deserted() || feed.ends_at() <= now.tick {
                self.moves += 1;
                return self.end_feed(key, now.tick);
            }
            if feed.goes_on_at <= now.tick {
                return self.feeds.tasks.wake(key);
            }
            if feed.is_over() {
                let (at, _) = feed.next_deadline(&self.shared.portions, now.tick);
                return self.feeds.tasks.wake_at(key, at);
            }
            // Woken readers read their events before more arrive.
            let told_events = has_told && feed.log.read(EventLog::has_portion);
            if told_events && feed.has_input(&self.shared.pool) {
                return self.feeds.tasks.wake(key);
            }
            let next = self.move_feed(key, now);
            let mut became = self.follow_feed(next, key, now);
            if matches!(became, Became::Blocked | Became::Settled) {
                if self.notes_change(key, now.tick) {
                    self.moves += 1;
                    continue;
                }
                let feed = &self.feeds.tasks[key];
                let (at, deadline) = feed.next_deadline(&self.shared.portions, now.tick);
                if at > now.tick {
                    return self.feeds.tasks.wake_at(key, at);
                }
                let Some(deadline) = deadline else { continue };
                let due = deadlines::act(deadline, Some(&feed.exchange));
                became = self.follow_feed(due, key, now);
            }
            debug_assert!(became != Became::Gone);
            self.notes_change(key, now.tick);
            self.moves += 1;
        }
        self.feeds.tasks.wake(key);
    }

    /// Moves the source of the log: the upstream stream, or the log in another event loop.
    fn move_feed(&mut self, key: Key<Feed>, now: Now) -> Next {
        let portions = &self.shared.portions;
        let feed = &mut self.feeds.tasks[key];
        feed.mirrors.leave_behind(portions.crossing_max, now.tick);
        if feed.mirror.is_some() {
            self.take_update(key, now.tick)
        } else if feed.waits_for_mirrors(portions) {
            Next::Blocked
        } else {
            self.with_feed(key, now, move_source)
        }
    }

    /// Handles a change of the log, if there was one: its readers are told at once, or of events
    /// after `flush_interval`. Other event loops are told now.
    fn notes_change(&mut self, key: Key<Feed>, now: Tick) -> bool {
        let feed = &mut self.feeds.tasks[key];
        let Some(change) = feed.log.take_change() else { return false };
        if feed.is_over() {
            self.shared.close_source(&mut feed.exchange);
            self.give_up_name(key, now);
        }
        self.pass_on(key, change, now);
        let feed = &mut self.feeds.tasks[key];
        let gathers = feed.exchange.config.server.flush_interval;
        let may_wait = change == Change::Events && !feed.log.read(EventLog::is_overfull);
        let waits = gathers.filter(|_| may_wait);
        let at = waits.map_or(now, |interval| now.after(interval));
        feed.tells_at = feed.tells_at.min(at);
        true
    }

    /// Wakes some readers if that is due. Returns true if it was.
    fn tell(&mut self, key: Key<Feed>, now: Tick) -> bool {
        let Feeds { tasks, left, .. } = &mut self.feeds;
        let feed = &mut tasks[key];
        if feed.tells_at <= now {
            feed.tells_at = Tick::NEVER;
            feed.goes_on_at = now;
            feed.followers.begin();
        }
        if feed.goes_on_at > now {
            return false;
        }
        self.moves += 1;
        let ends = feed.log.state().has_ended();
        let most =
            if ends { feed.followers.len().div_ceil(ENDS_MAX).max(ENDS_AT_ONCE) } else { *left };
        let few = most.min(*left);
        *left -= few;
        let more = feed.followers.wake(few, &mut self.tasks, &feed.log);
        feed.goes_on_at = match more {
            true if ends && few > 0 => now.after(ENDS_EACH),
            true => now,
            false => Tick::NEVER,
        };
        if !more && feed.tells_at == Tick::NEVER {
            feed.log.note_told();
        }
        true
    }

    /// Runs `act` for the exchange of a feed.
    fn with_feed(
        &mut self,
        key: Key<Feed>,
        now: Now,
        act: impl FnOnce(&mut Step<'_, N>, &Rc<Log>) -> Next,
    ) -> Next {
        let Feed { exchange, conn, log, .. } = &mut self.feeds.tasks[key];
        let mut step = self.shared.step(Owner::of_feed(key), conn, exchange, now);
        step.fills = Some(log);
        act(&mut step, log)
    }

    /// Carries out `next` and whatever follows from it.
    fn follow_feed(&mut self, mut next: Next, key: Key<Feed>, now: Now) -> Became {
        loop {
            coverage::note("Next", &[&next]);
            next = match next {
                Next::Moved => return Became::Moved,
                Next::Blocked => return Became::Blocked,
                Next::Settled => return Became::Settled,
                Next::Do(Action::Veto(veto)) => {
                    coverage::note("Action", &[&Action::Veto(veto)]);
                    self.veto(key, veto, now.tick);
                    return Became::Moved;
                }
                Next::Do(action) => match end_of(&action) {
                    Some(state) => {
                        self.with_feed(key, now, |step, _| give_up(step, &action));
                        self.feeds.tasks[key].log.enter(state);
                        return Became::Moved;
                    }
                    None => self.with_feed(key, now, |step, log| perform(step, action, log)),
                },
                Next::WakeWaiting => {
                    let answered = outage::answered(&self.feeds.tasks[key].exchange);
                    self.wake_waiting(answered, now.tick);
                    Next::Do(Action::Open)
                }
                Next::FreeDescriptor(search, error) => {
                    let again = |step: &mut Step<'_, N>, _: &Rc<Log>| connect::go_on(step, search);
                    self.free_descriptor(error, now.tick, |proxy| proxy.with_feed(key, now, again))
                }
                Next::Share
                | Next::Settle
                | Next::ShakeHands
                | Next::TimeOutProxyHeader
                | Next::Fresh
                | Next::TimeOutHandshake
                | Next::TimeOutHead
                | Next::Head(_)
                | Next::Begin(..)
                | Next::BeginAdmin(..)
                | Next::Idle
                | Next::Linger
                | Next::Close
                | Next::Abort => unreachable!("a feed has no client"),
            };
        }
    }

    /// Ends sharing, because the upstream's response must not be shared.
    fn veto(&mut self, key: Key<Feed>, veto: Veto, now: Tick) {
        let feed = &mut self.feeds.tasks[key];
        let (api, name) = feed.name;
        // If there is no stream after some event, that says nothing about clients that name none,
        // or another one.
        let is_behind = feed.has_asked_behind() && veto == Veto::NoStream;
        if let Some(state) = self.shared.apis.get(api).filter(|_| !is_behind) {
            state.directory.note_veto(name, veto, now);
        }
        // A client that has part of the stream must not continue with something else.
        let has_begun = matches!(feed.log.state(), LogState::Open);
        let name = feed.exchange.api_name();
        let text = format!("a stream is not shared ({}), api {name}", veto.word());
        self.shared.telemetry.log.log(log::Level::Info, name, veto.word(), &text);
        if !has_begun {
            self.hand_over(key, veto);
        }
        let feed = &mut self.feeds.tasks[key];
        self.shared.close_connection(&mut feed.exchange);
        feed.log.enter(if !has_begun {
            LogState::Private(veto)
        } else if veto == Veto::MaxEventBytes {
            LogState::Ended(Outcome::MaxEventBytes)
        } else {
            LogState::Ended(Outcome::UpstreamCut)
        });
    }

    /// Has the readers of a feed that has not begun ask again.
    pub(crate) fn leave_stream(&mut self, key: Key<Feed>, now: Tick) {
        self.feeds.tasks[key].log.enter(LogState::Gone);
        self.notes_change(key, now);
        self.feeds.tasks.wake(key);
    }

    /// Hands the response to the client that asked first, as the response to its own request, if
    /// that client still waits and may have it.
    fn hand_over(&mut self, key: Key<Feed>, veto: Veto) {
        let Proxy { tasks, feeds, shared, .. } = self;
        let Feed { exchange, log, first, .. } = &mut feeds.tasks[key];
        let has_head = exchange.awaiting_mut().is_some_and(|awaiting| awaiting.has_head());
        if !has_head || !followers::reads(*first, tasks, log) {
            return;
        }
        let (client, connection) = (first.0, exchange.connection());
        let (Some(own), Some(connection)) = (tasks[client].exchange_mut(), connection) else {
            return;
        };
        let Source::Awaiting(awaiting) = std::mem::replace(exchange.source_mut(), Source::None)
        else {
            return;
        };
        shared.pool.hand_over(connection, Owner::of(client));
        std::mem::swap(&mut own.upload, &mut exchange.upload);
        own.unfollow();
        own.count_veto(veto);
        if let (Some(own), Some(asked)) = (&mut own.outbound, &exchange.outbound) {
            own.shareable = None;
            own.note_failed(asked.failed(), asked.gives_up());
            if own.own_id.take().is_some() {
                own.ask_behind(None);
            }
        }
        own.forget_outbound();
        own.go_on_with(Source::Awaiting(awaiting));
        tasks.wake(client);
    }
}

/// Moves the upstream stream of a feed as its source requires.
fn move_source<N: Net>(step: &mut Step<'_, N>, log: &Rc<Log>) -> Next {
    let source = step.exchange.source();
    if matches!(source, Source::None) && step.exchange.stage() == Stage::Unanswered {
        return Next::Do(Action::Connect);
    }
    let Source::Upstream(connection) = *source else { return advance::move_source(step) };
    let before = step.exchange.volume();
    let next = read(step, connection, log);
    if step.exchange.times_events() {
        let after = step.exchange.volume();
        advance::note_events(step, before, after, true);
    }
    next
}

/// Reads some events into the log.
fn read<N: Net>(step: &mut Step<'_, N>, key: Key<Connection>, log: &Log) -> Next {
    let Step { exchange, io, out, pool, .. } = step;
    let now = io.now;
    // The woken readers have read by now, or are too slow.
    if log.is_told() {
        log.begin_portion();
    }
    let taken = exchange.response.intake.take_events(&mut pool[key].conn, io, |events| {
        each_block(events, out, log.own_ids().is_none(), |block| log.append(block, now));
    });
    match taken {
        Ok(Some(Rest::More)) => Next::Moved,
        Ok(Some(Rest::End | Rest::Trailers(_))) => Next::Do(Action::Release),
        Ok(None) => Next::Blocked,
        Err(SourceFault::TooLong) => Next::Do(Action::Veto(Veto::MaxEventBytes)),
        Err(fault) => relay::lose(step, Fault::Source(fault)),
    }
}

/// The final state of the log after an action that ends the stream.
const fn end_of(action: &Action) -> Option<LogState> {
    if let Action::Reply(reply) | Action::ReplyWithRetry(reply) = action {
        Some(LogState::Failed(*reply))
    } else if let Action::Cut(Outcome::UpstreamCut) = action {
        Some(LogState::Broken)
    } else if let Action::EndStream(end) | Action::Cut(end) | Action::End(end) = action {
        Some(LogState::Ended(*end))
    } else if let Action::Release = action {
        Some(LogState::Ended(Outcome::Complete))
    } else {
        None
    }
}

/// Returns the connection to the pool, or closes it.
fn give_up<N: Net>(step: &mut Step<'_, N>, action: &Action) -> Next {
    coverage::note("Action", &[action]);
    if let Action::Release = action {
        return relay::release(step);
    }
    if let Action::Cut(outcome) = action {
        if let Some(failure) = Failure::of_cut(*outcome) {
            step.count_failure(failure);
        }
        ends::log_cut(step, *outcome);
    }
    if let Action::EndStream(_) = action {
        outage::log_given_up(step);
    }
    step.close_connection();
    Next::Moved
}

/// Acts on the head of the upstream's response, parsed from `bytes`: the first one, or one to a
/// stream that is resumed.
pub(crate) fn answered(
    exchange: &mut Exchange,
    pool: &mut Pool,
    key: Key<Connection>,
    (head, bytes): (&ResponseHead<'_, '_>, &[u8]),
    log: &Log,
    out: &mut Vec<u8>,
    now: Tick,
) -> Next {
    if head.status < 200 {
        return outage::pass_over_interim(exchange, head.status, now);
    }
    // The upstream is unavailable for all waiting clients, whatever `on_outage` says: each of them
    // would get the same answer.
    let waits = exchange.stage().is_stream();
    if is_outage(head.status) || waits && matches!(head.status, 408 | 429 | 500..=599) {
        let what = "the upstream answered that it is unavailable";
        let (cause, status) = (Cause::UpstreamUnavailable, head.status.max(500));
        let reply = LocalReply::refused(cause, status, what);
        return Next::fail(reply.retrying_after(share::retry_after(head)));
    }
    // The same goes for any other status that is not about this request, or that says there are too
    // many.
    if matches!(head.status, 408 | 429 | 500..=599) {
        pool.note_answer(key, head.status, now);
        let after = share::retry_after(head);
        return Next::Do(Action::Reply(LocalReply::of_upstream(head.status, after)));
    }
    let Some((api, share)) = exchange.api().and_then(|api| Some((api, api.share.as_ref()?))) else {
        return Next::Do(Action::Veto(Veto::NoStream));
    };
    pool.note_answer(key, head.status, now);
    if let Some(veto) = share::veto_of_answer(head, api, share) {
        if share::is_for_first(head, veto)
            && let Some(awaiting) = exchange.awaiting_mut()
        {
            awaiting.lookahead = Some(Box::new(Lookahead::over(bytes)));
        }
        return Next::Do(Action::Veto(veto));
    }
    if exchange.response.intake.events().is_none() {
        let terms = exchange.event_terms(true);
        exchange.response.intake.watch_events(terms);
        let asked = exchange.outbound.as_ref().and_then(|asked| asked.head.continues_behind());
        if let (Some(events), Some(id)) = (exchange.response.intake.events_mut(), asked) {
            events.begin_behind(id);
        }
    }
    exchange.record.status = 200;
    // It is unknown which events came in between.
    let is_resumed = exchange.stage() == Stage::Resuming;
    if is_resumed
        && exchange.response.intake.events().is_some_and(|events| events.resume_from().is_none())
        && let Some(event) = exchange.gap_event()
    {
        log.append_gap(event, now);
        log.note_gap(exchange.record.stats.as_deref());
    }
    outage::take_body(exchange, &mut pool[key], key, head, now);
    share::write_lasting(head, out);
    log.open(out);
    Next::Do(Action::NoteAnswer)
}

/// Performs an action of a step or a deadline.
fn perform<N: Net>(step: &mut Step<'_, N>, action: Action, log: &Log) -> Next {
    let Step { exchange, io, pool, .. } = step;
    if let Action::NoteAnswer = action {
        return Next::WakeWaiting;
    }
    if let Action::Open = action {
        if let Some(connection) = exchange.connection() {
            pool[connection].conn.keep_for_long(io.net);
        }
        return Next::Moved;
    }
    if let Action::Hold(reply) = action {
        exchange.enter(Stage::Held, Source::Waiting(io.now));
        exchange.extras_mut().resume = Some(Resumption::default());
        log.enter(LogState::Held(reply));
        return Next::Do(Action::AskLater);
    }
    advance::perform(step, action)
}
