//! How far the proxy is through its shutdown, and when running exchanges end.
//!
//! | phase | clients | exchanges |
//! |---|---|---|
//! | *delay* | may still connect, and are told that each response is the last | are served |
//! | *closed* | cannot connect | have `drain.window`, if subscriptions, or `drain.answers` |
//!
//! Each subscription ends at its own moment within nine tenths of the window, so that clients do
//! not all reconnect at once; the last tenth is for events to end and clients to read. So does a
//! request for a subscription that has no response yet: many servers send their head with the first
//! event, which may be hours away.
//!
//! An answer gets all of its time. From the start only whole events of it are sent, so that it can
//! be cut at the last moment and still between two events. Tunnels, uploads and downloads have no
//! point at which an end does no harm, and are cut at the same moment.

use crate::config;
use crate::edge::reclaim::LINGER;
use crate::exchange::Exchange;
use crate::session::{Session, State};
use crate::telemetry::Outcome;
use crate::time::Tick;
use std::time::Duration;

/// How long a new connection has for its first byte once the port is closed.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// How far the proxy is through its shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves. Next: `Delay`, `Closed`.
    #[default]
    Serving,
    /// It serves, and `/readyz` says that it is about to shut down. The port closes at this moment.
    /// Next: `Closed`.
    Delay(Tick, Ends),
    /// The port is closed, and running exchanges end. Next: `Closed` with other moments, or the
    /// end.
    Closed(Ends),
}

/// When running exchanges end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Subscriptions are cut.
    pub(super) subscriptions: Tick,
    /// Answers are cut between two events, everything else immediately.
    pub(super) answers: Tick,
    /// What is left is closed: connections whose clients have not read the last bytes.
    pub(super) last: Tick,
}

impl Phase {
    /// True if clients are told that each response is the last on its connection.
    pub(super) const fn is_draining(&self) -> bool {
        !matches!(self, Phase::Serving)
    }

    /// True if no client can connect.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Phase::Closed(_))
    }

    /// When the port closes. [`Tick::NEVER`] if that is undecided or it is already closed.
    pub(super) const fn closes_at(&self) -> Tick {
        if let Phase::Delay(at, _) = self { *at } else { Tick::NEVER }
    }

    /// When everything is over at the latest. [`Tick::NEVER`] if that is undecided.
    pub(super) const fn ends_at(&self) -> Tick {
        if let Phase::Closed(ends) = self { ends.last } else { Tick::NEVER }
    }

    /// When a session is closed, whatever it is doing.
    pub(super) fn end_of(&self, session: &Session) -> Tick {
        let Phase::Closed(ends) = self else { return Tick::NEVER };
        match &session.state {
            State::Active(exchange) if !session.service.is_for_operators() => ends.of(exchange),
            State::Active(_)
            | State::ProxyHeader { .. }
            | State::Handshake { .. }
            | State::Idle { .. }
            | State::Head { .. }
            | State::Lingering { .. } => ends.last,
        }
    }

    /// When a connection that was accepted at `since` and has sent nothing is closed.
    pub(super) fn end_of_silence(&self, since: Tick) -> Tick {
        if self.is_closed() { since.after(FIRST_BYTE) } else { Tick::NEVER }
    }
}

impl Ends {
    /// Everything ends now.
    pub(super) const fn at(now: Tick) -> Ends {
        Ends { subscriptions: now, answers: now, last: now }
    }

    /// The configured ends, counted from the moment at which the port closes.
    pub(super) fn of_config(drain: &config::Drain, now: Tick) -> Ends {
        let [subscriptions, answers] = [drain.window, drain.answers].map(|time| now.after(time));
        Ends { subscriptions, answers, last: subscriptions.max(answers).after(LINGER) }
    }

    /// When an exchange is cut, whatever it is doing. An answer was already ended by then, and its
    /// client has a little time for the rest.
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

/// The part of a window in which subscriptions end. The last tenth is for events to end and clients
/// to read.
pub(super) fn spread_of_ends(window: Duration) -> Duration {
    window * 9 / 10
}

/// The moment at `share` (0 to 1) of the remaining window.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a window, in milliseconds"
)]
pub(super) fn within(now: Tick, deadline: Tick, share: f64) -> Tick {
    let window = spread_of_ends(deadline.since(now)).as_millis() as f64;
    now.after(Duration::from_millis((window * share) as u64))
}
