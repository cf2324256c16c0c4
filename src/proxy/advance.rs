//! Moving one session as far as it can go.
//!
//! [`Proxy::advance`] takes step after step until the session is blocked or gone, or has used up
//! its share of the turn and is queued again behind the others. A step or a deadline returns what
//! to do next ([`Next`]), and only [`Proxy::follow`] does it. Deadlines are checked only when
//! nothing moves, so a slow peer is judged by what it did and never by how late this process
//! looked. Four do not wait for that, because a busy peer could put them off forever: the end of a
//! drain, the expiry of an exchange, the recheck of an exchange, and the end of a lingering close.

use super::next::{Action, Next};
use super::step::Step;
use super::steps::{authorize, connect, early, ends, from_log, grants, handshake};
use super::steps::{local, outage, proxy_header, recheck, relay, request, response, retry};
use super::steps::{streams, tunnel};
use super::waits;
use super::{Proxy, deadlines};
use crate::coverage;
use crate::descriptors;
use crate::exchange::{LocalReply, Source, Stage};
use crate::net::{Net, Ready};
use crate::pipe::Moved;
use crate::pool::Owner;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::telemetry::{Cause, Outcome, Volume};
use crate::time::{Now, Tick};
use std::io;

/// The result of following a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// Something changed: there may be more to do.
    Moved,
    /// Nothing can be done before an event or a deadline.
    Blocked,
    /// Like `Blocked`, but something changed.
    Settled,
    /// The session was removed.
    Gone,
}

impl<N: Net> Proxy<N> {
    /// Moves a session until it can name what it waits for.
    pub(super) fn advance(&mut self, key: Key<Session>, now: Now) {
        for _ in 0..self.shared.portions.steps_per_turn {
            let next = self.step(key, now);
            let mut became = self.follow(next, key, now);
            self.moves += u64::from(became == Became::Settled);
            if matches!(became, Became::Blocked | Became::Settled) {
                let session = &self.tasks[key];
                debug_assert_eq!(waits::stall(session, &self.shared, now.tick), None);
                let next = deadlines::next(session, &self.shared, now.tick);
                let waits = next.at > now.tick;
                coverage::note(if waits { "Waits" } else { "Deadline" }, &[&next.deadline]);
                if waits {
                    self.tasks.wake_at(key, next.look_at(now.tick));
                    return;
                }
                let due = deadlines::act(next.deadline, session.exchange());
                became = self.follow(due, key, now);
            }
            self.moves += 1;
            if became == Became::Gone {
                return;
            }
        }
        self.tasks.wake(key);
    }

    fn step(&mut self, key: Key<Session>, now: Now) -> Next {
        let session = &mut self.tasks[key];
        if self.shared.phase.end_of(session) <= now.tick {
            return deadlines::drain(session.exchange());
        }
        match &session.state {
            State::ProxyHeader { .. } => proxy_header::run(session, &mut self.shared, now.tick),
            State::Handshake { .. } => handshake::run(session, &mut self.shared, now.tick),
            State::Idle { .. } | State::Head { .. } => {
                request::run(session, &mut self.shared, now.tick)
            }
            State::Active(exchange) if exchange.has_expiry() && exchange.acts_at() <= now.tick => {
                let expires = exchange.expires_at() <= now.tick;
                Next::Do(if expires { Action::Expire } else { Action::Recheck })
            }
            State::Active(_) => self.with_exchange(key, now, take),
            State::Lingering { until, .. } => {
                let until = *until;
                ends::linger(session, until, &mut self.shared, now.tick)
            }
        }
    }

    /// Carries out `next` and whatever follows from it, until the session has moved or is blocked.
    pub(super) fn follow(&mut self, mut next: Next, key: Key<Session>, now: Now) -> Became {
        loop {
            coverage::note("Next", &[&next]);
            next = match next {
                Next::Moved => return Became::Moved,
                Next::Blocked => return Became::Blocked,
                Next::Settled => return Became::Settled,
                Next::Do(action) => self.with_exchange(key, now, |step| perform(step, action)),
                Next::WakeWaiting => {
                    let answered = self.tasks[key].exchange().and_then(outage::answered);
                    self.wake_waiting(answered, now.tick);
                    Next::Do(Action::Open)
                }
                Next::Share => self.share(key, now.tick),
                Next::Settle => self.settle(key),
                Next::FreeDescriptor(search, error) => {
                    self.free_descriptor(error, now.tick, |proxy| {
                        proxy.with_exchange(key, now, |step| connect::go_on(step, search))
                    })
                }
                Next::ShakeHands => {
                    self.enter(key, State::handshake(now.tick));
                    if self.shake_hands_with(key) {
                        return Became::Moved;
                    }
                    Next::Close
                }
                Next::Fresh => return self.move_to(key, State::fresh(now.tick)),
                Next::TimeOutProxyHeader => {
                    proxy_header::time_out(&self.tasks[key], &mut self.shared)
                }
                Next::TimeOutHandshake => handshake::time_out(&self.tasks[key], &mut self.shared),
                Next::TimeOutHead => {
                    request::time_out(&mut self.tasks[key], &mut self.shared, now.tick)
                }
                Next::Head(search) => {
                    return self.move_to(key, State::Head { search, since: now.tick });
                }
                Next::Begin(exchange, then) => {
                    self.enter(key, State::Active(exchange));
                    then.map_or(Next::Moved, Next::Do)
                }
                Next::BeginAdmin(exchange, ask) => {
                    self.enter(key, State::Active(exchange));
                    self.answer_operator(key, ask, now.tick)
                }
                Next::Idle => return self.move_to(key, State::idle(now.tick)),
                Next::Linger => {
                    let conn = &self.tasks[key].conn;
                    if conn.ready.has(Ready::READ) || !conn.hung_up() {
                        self.linger(key, now.tick);
                        return Became::Moved;
                    }
                    Next::Close
                }
                Next::Close => {
                    self.close(key);
                    return Became::Gone;
                }
                Next::Abort => {
                    if let Some(session) = self.remove(key) {
                        session.conn.abort(&mut self.shared.net, &mut self.shared.memory.buffers);
                    }
                    return Became::Gone;
                }
            }
        }
    }

    fn move_to(&mut self, key: Key<Session>, state: State) -> Became {
        self.enter(key, state);
        Became::Moved
    }

    /// Runs `act` for the exchange of a session that has one.
    fn with_exchange(
        &mut self,
        key: Key<Session>,
        now: Now,
        act: impl FnOnce(&mut Step<'_, N>) -> Next,
    ) -> Next {
        let Session { service, conn, peer, port, is_secure, state, .. } = &mut self.tasks[key];
        let State::Active(exchange) = state else {
            unreachable!("an action for an exchange where there is none");
        };
        let mut step = self.shared.step(Owner::of(key), conn, exchange, now);
        (step.service, step.peer, step.port) = (*service, *peer, *port);
        step.is_secure = *is_secure;
        act(&mut step)
    }

    /// Frees a descriptor for an upstream connection and goes on connecting. Fails if none can be
    /// freed.
    pub(super) fn free_descriptor(
        &mut self,
        mut error: io::Error,
        now: Tick,
        go_on: impl FnOnce(&mut Proxy<N>) -> Next,
    ) -> Next {
        if self.close_one_for_client(now) {
            let next = go_on(self);
            let Next::FreeDescriptor(_, again) = next else { return next };
            error = again;
        }
        let error = descriptors::explain(&error);
        let text = format!("no descriptor left for an upstream connection: {error}");
        self.shared.log(log::Level::Warn, "descriptor", &text);
        Next::fail(LocalReply::busy(Cause::OutOfDescriptors, "out of descriptors"))
    }

    /// Closes the connection of a health check or a recheck, or the client connection that loses
    /// the least, because an upstream connection for a client needs a descriptor. It closes only
    /// one: if the whole system is out of descriptors, closing more would be in vain.
    pub(super) fn close_one_for_client(&mut self, now: Tick) -> bool {
        self.interrupt_check(now) || self.interrupt_recheck(now) || self.reclaim(now)
    }
}

/// Moves an exchange as its source requires, and counts the bytes and events that passed.
fn take<N: Net>(step: &mut Step<'_, N>) -> Next {
    if step.exchange.ends_with_client() && step.conn.hung_up() {
        return Next::end(Outcome::ClientGone);
    }
    let before = step.exchange.volume();
    let waited = step.exchange.response.wants_source(step.io.high_water);
    let next = move_source(step);
    let (after, began) = (step.exchange.volume(), step.exchange.began);
    step.exchange.record.count(before, after, began, step.io.now);
    if step.exchange.times_events() {
        note_events(step, before, after, waited);
    }
    next
}

/// Updates the clock for events. If events cannot be recognised, bytes count instead. While the
/// upstream is not read because the client is slow, the clock does not run.
pub(super) fn note_events<N: Net>(
    step: &mut Step<'_, N>,
    before: Volume,
    after: Volume,
    waited: bool,
) {
    let Step { exchange, io, .. } = step;
    let come = if exchange.response.intake.events().is_some() {
        after.events > before.events
    } else {
        after.bytes_out > before.bytes_out
    };
    if come || !waited {
        exchange.restart_event_clock(come, io.now);
    }
}

/// Moves an exchange as its source requires.
pub(super) fn move_source<N: Net>(step: &mut Step<'_, N>) -> Next {
    // Pending bytes are sent before anything else.
    if !matches!(step.exchange.source(), Source::Upstream(_)) {
        match step.exchange.response.write_pending(step.conn, &mut step.io) {
            Err(_) => return Next::end(Outcome::ClientGone),
            Ok(_) if step.exchange.response.outlet.flow().is_over() => {
                return Next::Do(Action::Finish);
            }
            Ok(Moved::Yes) => return Next::Moved,
            Ok(Moved::No) => {}
        }
    }
    // Everything that an event does not need is kept out of this function (`inline(never)`): the
    // fewer cache lines an event runs through, the faster it is.
    match *step.exchange.source() {
        Source::None | Source::Waiting(_) => step.watch_client(),
        Source::Local(_) => local::run(step),
        Source::Log(_) => from_log::run(step),
        Source::Authorizing(_) => authorize::run(step),
        Source::Queued(ref queued) => {
            let place = queued.place;
            connect::wait(step, place)
        }
        Source::Connecting(ref attempt) => {
            let connection = attempt.connection;
            connect::run(step, connection)
        }
        Source::Awaiting(ref awaiting) => {
            let connection = awaiting.connection;
            response::run(step, connection)
        }
        Source::Upstream(connection) if step.exchange.stage() == Stage::Tunnel => {
            tunnel::run(step, connection)
        }
        Source::Upstream(connection) => relay::run(step, connection),
    }
}

/// Performs an action of a step or a deadline.
pub(super) fn perform<N: Net>(step: &mut Step<'_, N>, action: Action) -> Next {
    coverage::note("Action", &[&action]);
    match action {
        Action::Authorize(question) => authorize::ask(step, question),
        Action::Judged => authorize::judged(step),
        Action::Connect => connect::connect(step),
        Action::Share => Next::Share,
        Action::Settle => Next::Settle,
        Action::Veto(_) => unreachable!("only a feed asks for others"),
        Action::AskAgain => connect::ask_again(step),
        Action::TimeOutConnect => connect::time_out(step),
        Action::Connected(result) => connect::connected(step, result),
        Action::SendAgain => connect::send_again(step),
        Action::AskAnother(failed) => retry::ask_another(step, failed),
        Action::GiveUpRequest => relay::give_up_request(step),
        Action::NoteAnswer => grants::note_answer(step),
        Action::Open => {
            streams::open(step);
            from_log::tell_gap_before(step);
            Next::Moved
        }
        Action::Release => relay::release(step),
        Action::Heartbeat => streams::send_heartbeat(step),
        Action::StreamSilent(outcome) => streams::silent(step, outcome),
        Action::Resume(failure) => outage::resume(step, failure),
        Action::AnswerEarly => early::answer(step),
        Action::EndEarly(reply) => early::end(step, &reply),
        Action::AskLater => outage::schedule(step),
        Action::Expire => streams::expire(step),
        Action::Recheck => recheck::ask(step),
        Action::EndStream(outcome) => streams::end_between_events(step, outcome),
        Action::Withhold => grants::withhold(step),
        Action::Fail(reply) => outage::fail(step, reply),
        Action::Reply(reply) => ends::reply(step, reply),
        Action::Redirect(location) => ends::redirect(step, &location),
        Action::ReplyWithRetry(reply) => outage::reply_with_retry(step, reply),
        Action::Hold(reply) => outage::hold(step, reply),
        Action::Cut(outcome) => ends::cut(step, outcome),
        Action::CutShared => streams::cut_shared(step),
        Action::End(outcome) => ends::end(step, outcome),
        Action::Finish => ends::finish(step),
    }
}
