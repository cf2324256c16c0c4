//! Draining: how the proxy ends, in steps.
//!
//! | step | clients | exchanges |
//! |---|---|---|
//! | *delay* | may still connect, and are told that each response is the last | are served |
//! | *closed* | cannot connect | have `drain.window`, if subscriptions, or `drain.answers` |
//!
//! The delay is for whoever sends clients here: it learns from `/readyz` that it should not, and
//! until it has learnt it, nobody is refused. Then both times begin together, and the proxy has
//! drained as soon as the last client is gone.
//!
//! Each subscription ends at a moment of its own within nine tenths of the window, so that clients
//! do not all reconnect at once; the last tenth is for events to end and clients to read. So does
//! a request for one that has no response yet: many servers send their head with the first event,
//! which may be hours away.
//!
//! An answer has all of its time. From the beginning only whole events of it go out, so that it can
//! be cut at the last moment and still between two events. Tunnels, uploads and downloads have no
//! point at which an end does no harm, and are cut at the same moment.

use super::Proxy;
use super::shared::Shared;
use crate::config;
use crate::edge::reclaim::LINGER;
use crate::exchange::Exchange;
use crate::net::Net;
use crate::session::{Service, Session, State};
use crate::telemetry::Outcome;
use crate::time::{Now, Tick};
use std::fmt;
use std::time::Duration;

/// How long a new connection has for its first byte once the port is closed.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// How far the proxy is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves. Next: `Delay`, `Closed`.
    #[default]
    Serving,
    /// It serves, and `/readyz` says that it is about to end. At this moment the port closes. Next:
    /// `Closed`.
    Delay(Tick, Ends),
    /// The port is closed, and what runs ends. Next: `Closed` with other moments, or the end.
    Closed(Ends),
}

/// When exchanges end that are still running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Subscriptions are cut.
    subscriptions: Tick,
    /// Answers are cut between two events, all else at once.
    answers: Tick,
    /// What is left is closed: connections of which clients have not read the last bytes.
    last: Tick,
}

impl Phase {
    /// True exactly when clients are told that each response is the last on its connection.
    pub(super) const fn is_draining(&self) -> bool {
        !matches!(self, Phase::Serving)
    }

    /// True exactly when no client can connect.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Phase::Closed(_))
    }

    /// When the port closes. [`Tick::NEVER`] if that is not decided, or if it is closed.
    pub(super) const fn closes_at(&self) -> Tick {
        if let Phase::Delay(at, _) = self { *at } else { Tick::NEVER }
    }

    /// When everything is over at the latest. [`Tick::NEVER`] if that is not decided.
    pub(super) const fn ends_at(&self) -> Tick {
        if let Phase::Closed(ends) = self { ends.last } else { Tick::NEVER }
    }

    /// When a session is closed, whatever it does.
    pub(super) fn end_of(&self, session: &Session) -> Tick {
        let Phase::Closed(ends) = self else { return Tick::NEVER };
        match &session.state {
            State::Active(exchange) if session.service != Service::Admin => ends.of(exchange),
            State::Active(_)
            | State::Idle { .. }
            | State::Head { .. }
            | State::Lingering { .. } => ends.last,
        }
    }

    /// When a connection is closed that was accepted at `since` and has sent nothing.
    pub(super) fn end_of_silence(&self, since: Tick) -> Tick {
        if self.is_closed() { since.after(FIRST_BYTE) } else { Tick::NEVER }
    }
}

impl Ends {
    const fn at(now: Tick) -> Ends {
        Ends { subscriptions: now, answers: now, last: now }
    }

    fn of_config(drain: &config::Drain, now: Tick) -> Ends {
        let [subscriptions, answers] = [drain.window, drain.answers].map(|time| now.after(time));
        Ends { subscriptions, answers, last: subscriptions.max(answers).after(LINGER) }
    }

    /// When an exchange is cut, whatever it does. An answer was ended before, and its client has a
    /// little time for the rest.
    fn of(self, exchange: &Exchange) -> Tick {
        if exchange.is_subscription() {
            self.subscriptions
        } else if exchange.record.is_open_stream() {
            self.answers.after(LINGER).min(self.last)
        } else {
            self.answers
        }
    }

    /// Decides when a stream, or a request for a subscription, ends. `share` (0 to 1) places the
    /// end of a subscription within the window.
    pub(super) fn set(self, exchange: &mut Exchange, share: f64, now: Tick) {
        if exchange.is_subscription() {
            // A request that has become a stream keeps its moment.
            if exchange.expires_with() != Some(Outcome::Drained) {
                let at = within(now, self.subscriptions, share);
                exchange.expire_stream_at(at, Outcome::Drained);
            }
        } else if exchange.stage().is_stream() {
            exchange.expire_stream_at(self.answers, Outcome::Drained);
            if let Some(events) = exchange.response.intake.events_mut() {
                events.want_whole();
            }
        }
    }
}

/// What is open, of clients.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    subscriptions: usize,
    answers: usize,
    tunnels: usize,
    requests: usize,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(
            f,
            "open are {}, {}, {} and {}",
            many(self.subscriptions, "subscription"),
            many(self.answers, "answer"),
            many(self.tunnels, "tunnel"),
            many(self.requests, "other request"),
        )
    }
}

impl<N: Net> Proxy<N> {
    /// Begins to drain, as the configuration says. Has no effect if it has begun.
    pub fn drain(&mut self, now: Tick) {
        let drain = self.shared.config.drain;
        self.drain_as(&drain, now);
    }

    /// Like [`Proxy::drain`], with other times than those of the configuration.
    pub fn drain_as(&mut self, drain: &config::Drain, now: Tick) {
        if self.is_draining() {
            return;
        }
        let closes = now.after(drain.delay);
        let ends = Ends::of_config(drain, closes);
        if drain.delay.is_zero() {
            return self.close_port(ends, now);
        }
        self.shared.phase = Phase::Delay(closes, ends);
        let (delay, open) = (drain.delay, self.count_open());
        log::info!("draining: everything is served for {delay:?}, then the port closes; {open}");
    }

    /// Ends everything at once, in whatever step of a drain.
    pub fn end(&mut self, now: Tick) {
        self.close_port(Ends::at(now), now);
    }

    /// Goes on to the next step of the drain when that is due.
    pub(super) fn go_on_draining(&mut self, now: Tick) {
        if let Phase::Delay(at, ends) = self.shared.phase
            && at <= now
        {
            self.close_port(ends, now);
        }
    }

    /// Accepts nothing more, closes idle connections, and decides when the others end. The admin
    /// listener stays open.
    fn close_port(&mut self, ends: Ends, now: Tick) {
        // Clients that connected before this are still served.
        self.accept_all(Now { tick: now, unix_ms: self.unix_ms });
        let Shared { net, edge, pool, memory, phase, .. } = &mut self.shared;
        *phase = Phase::Closed(ends);
        for listener in edge.listeners.close_all(|service| service != Service::Admin) {
            net.close_listener(listener);
        }
        let (mut io, _) = memory.split(net, None, now);
        pool.take_in_released(&mut io);
        pool.close_idle_beyond(0, &mut io);
        self.set_ends(ends, now);
        let open = self.count_open();
        let [window, answers] = [ends.subscriptions, ends.answers].map(|end| end.since(now));
        if ends.last > now {
            log::info!(
                "draining: the port is closed; subscriptions have {window:?} to end and all else \
                 {answers:?}; {open}; a second signal closes them now"
            );
        }
        self.tasks.wake_all();
        self.moves += 1;
    }

    /// Decides when what runs ends, and spreads the ends of subscriptions.
    fn set_ends(&mut self, ends: Ends, now: Tick) {
        let Proxy { tasks, shared: Shared { random, .. }, .. } = self;
        let exchanges = tasks.iter_mut().filter_map(|(_, session)| session.exchange_mut());
        let (mut subscriptions, others): (Vec<&mut Exchange>, Vec<&mut Exchange>) =
            exchanges.partition(|exchange| exchange.is_subscription());
        let count = f64::from(u32::try_from(subscriptions.len()).unwrap_or(u32::MAX));
        for (exchange, rank) in subscriptions.iter_mut().zip(0_u32..) {
            ends.set(exchange, (f64::from(rank) + random.f64()) / count, now);
        }
        for exchange in others {
            ends.set(exchange, 1.0, now);
        }
    }

    fn count_open(&self) -> Open {
        let mut open = Open::default();
        let clients = self.tasks.iter().map(|(_, session)| session);
        for session in clients.filter(|session| session.service != Service::Admin) {
            let place = match &session.state {
                State::Idle { .. } | State::Lingering { .. } => continue,
                State::Head { .. } => &mut open.requests,
                State::Active(exchange) if exchange.is_subscription() => &mut open.subscriptions,
                State::Active(exchange) if exchange.record.is_open_stream() => &mut open.answers,
                State::Active(exchange) if exchange.record.open => &mut open.tunnels,
                State::Active(_) => &mut open.requests,
            };
            *place += 1;
        }
        open
    }
}

/// The moment at `share` (0 to 1) of the remaining window. The last tenth stays free, so that
/// events can end and clients can read.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a window, in milliseconds"
)]
pub(super) fn within(now: Tick, deadline: Tick, share: f64) -> Tick {
    let window = deadline.since(now).as_millis() as f64;
    now.after(Duration::from_millis((window * 0.9 * share) as u64))
}
