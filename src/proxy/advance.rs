//! One session, moved as far as it goes now.
//!
//! [`Proxy::advance`] repeats [`step`](Proxy::step) until the session is blocked, gone, or has used
//! up its portion of the turn, in which case it is queued again, behind the others. Only when
//! nothing moves is it asked whether a deadline has passed. So a peer that was slow is judged by
//! what it did, never by how late this process came to look. Three ends do not wait until nothing
//! moves, for a busy peer could put them off for ever: that of the drain window, that of a
//! lease, and that of a lingering close.

use super::scene::{Scene, Verdict};
use super::{Parts, Proxy, Step};
use crate::conn::Read;
use crate::net::{Net, Ready};
use crate::session::exchange::Phase;
use crate::session::outcome::Outcome;
use crate::session::target_stats::Failure;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::{Now, Tick};

impl<N: Net> Proxy<N> {
    /// Moves a session to where it can name what it waits for.
    pub(super) fn advance(&mut self, key: Key<Session>, now: Now) {
        for _ in 0..self.portions.steps_per_turn {
            let mut step = self.step(key, now);
            self.moves += u64::from(step == Step::Settled);
            if matches!(step, Step::Blocked | Step::Settled) {
                debug_assert_eq!(self.stall(key, now.tick), None);
                let (at, deadline) = self.next_deadline(key, now.tick);
                if at > now.tick {
                    self.timers.at_most(key.index(), deadline.look_at(at, now.tick));
                    return;
                }
                step = self.act_on(deadline, key, now.tick);
            }
            self.moves += 1;
            if step == Step::Gone {
                return;
            }
        }
        self.enqueue(key);
    }

    fn step(&mut self, key: Key<Session>, now: Now) -> Step {
        if self.drain.is_some_and(|deadline| deadline <= now.tick) {
            return self.end_for_drain(key, now.tick);
        }
        match &self.sessions[key].state {
            State::Idle { .. } | State::Head { .. } => self.step_head(key, now.tick),
            State::Active(exchange) if exchange.is_to_end(now.tick) => {
                self.end_by_lease(key, now.tick)
            }
            State::Active(_) => self.step_exchange(key, now),
            State::Lingering { until, .. } => self.step_lingering(key, *until, now.tick),
        }
    }

    fn step_exchange(&mut self, key: Key<Session>, now: Now) -> Step {
        let verdict = self.judge(key, now);
        self.perform(verdict, key, now.tick)
    }

    /// Lets the phase of an exchange decide.
    fn judge(&mut self, key: Key<Session>, now: Now) -> Verdict {
        let (ahead_max, draining) = (self.portions.ahead_max, self.drain.is_some());
        let Parts { session, upstreams, io, head_buf, date, counters, hush, .. } =
            self.parts(key, now.tick);
        let Session { conn, state, peer, .. } = session;
        let exchange = state.exchange_mut();
        if exchange.ends_with_client() && conn.hung_up() {
            return Verdict::End(Outcome::ClientGone);
        }
        let upstream = exchange.upstream().and_then(|key| upstreams.get_mut(key));
        let before = exchange.progress();
        let mut scene = Scene {
            conn,
            peer: *peer,
            exchange,
            io,
            head_buf,
            date,
            counters,
            hush,
            ahead_max,
            draining,
            now,
        };
        let verdict = match (&scene.exchange.phase, upstream) {
            (Phase::Answering | Phase::Delivering, _) => scene.deliver(),
            (Phase::Local(_), _) => scene.write_local(),
            (Phase::Holding(_), _) => scene.hold(),
            (Phase::Connecting(_), Some(upstream)) => scene.finish_connect(upstream),
            (Phase::AwaitingHead(_), Some(upstream)) => scene.await_head(upstream),
            (Phase::Relaying(_), Some(upstream)) => scene.relay(upstream),
            (Phase::Tunnel(_), Some(upstream)) => scene.run_tunnel(upstream),
            (_, None) => unreachable!("an exchange's upstream lives as long as its phase"),
        };
        scene.exchange.count_since(before, now.tick);
        verdict
    }

    /// Does what the phase of an exchange has decided.
    fn perform(&mut self, verdict: Verdict, key: Key<Session>, now: Tick) -> Step {
        if verdict.is_answer() {
            self.count_answer(key, now);
        }
        match verdict {
            Verdict::Moved => Step::Moved,
            Verdict::Blocked => Step::Blocked,
            Verdict::Settled => Step::Settled,
            Verdict::Connected(result) => self.connected(key, result, now),
            Verdict::NoAnswer => self.no_answer(key, now),
            Verdict::ResponseRead => self.response_read(key, now),
            Verdict::Delivered => self.finish(key, now),
            Verdict::Answered => {
                self.remember_grant(key);
                self.wake_waiting(key, now)
            }
            Verdict::StreamOpened => {
                self.remember_grant(key);
                self.wake_waiting(key, now);
                self.stream_opened(key, now)
            }
            Verdict::StreamLost => self.stream_lost(key, Failure::Cut, now),
            Verdict::TunnelOpened => self.opened(key, now),
            Verdict::StreamEnd => self.end_by_lease(key, now),
            Verdict::GiveUp => self.end_between_events(key, Outcome::UpstreamCut, now),
            Verdict::Withheld => self.withhold(key, now),
            Verdict::Cut(outcome) => self.cut_response(key, outcome, now),
            Verdict::Fail(refusal) => self.answer(key, refusal, now),
            Verdict::End(outcome) => self.end(key, outcome, now),
        }
    }

    /// Throws away what the client still sends, until it has seen our end.
    fn step_lingering(&mut self, key: Key<Session>, until: Tick, now: Tick) -> Step {
        // Patience ends even with a client that goes on and on.
        if until <= now {
            return self.close_session(key);
        }
        let Parts { session, io, .. } = self.parts(key, now);
        if !session.conn.ready.has(Ready::READ) {
            return Step::Blocked;
        }
        match session.conn.read(io.net, io.scratch) {
            Read::Bytes(_) => Step::Moved,
            Read::Blocked => Step::Blocked,
            Read::End | Read::Broken => self.close_session(key),
        }
    }
}
