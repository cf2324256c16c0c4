//! State that only a few exchanges have, most of them event streams: the state of resuming, a clock
//! for their events, how long they waited for a connection, and when they were let in.

use super::{Exchange, Fresh};
use crate::config::{KnownBy, Resume};
use crate::pipe::events::{Holding, Terms};
use crate::telemetry::Cause;
use crate::time::Tick;
use std::time::Duration;

/// The base of the first wait before a lost upstream is asked again. The wait is 50 to 100 % of
/// this, unless the upstream has sent `retry`.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The lower bound of that base. Without it, an upstream that ends each stream at once would be
/// asked all the time.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// The upper bound of every wait.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// State that only a few exchanges have. See the module docs.
#[derive(Debug, Default)]
pub struct Extras {
    /// The state of resuming, if the upstream may be asked again.
    pub resume: Option<Resumption>,
    /// When its events arrived, if there is a limit on that.
    pub clock: Option<EventClock>,
    /// How long it waited for an upstream connection, if it had to.
    pub queued: Option<Duration>,
    /// The status of the upstream's answer, if the client does not see it.
    pub upstream_status: Option<u16>,
    /// How the client continues with a log once its own stream is quiet, if it does.
    pub fresh: Option<Fresh>,
    /// True if the client has missed events and has not been told yet.
    pub has_gap: bool,
    /// When an auth server let the request in, if that matters.
    pub let_in: Option<Tick>,
}

/// When the events of a stream arrived. Comments do not count.
#[derive(Clone, Copy, Debug)]
pub struct EventClock {
    /// When the upstream was asked.
    pub asked: Tick,
    /// Since when an event has been awaited: since the last one, or since there was room for one.
    pub since: Tick,
    /// True if there was an event.
    pub ticked: bool,
}

/// The state of asking an upstream again for an event stream.
#[derive(Debug)]
pub struct Resumption {
    /// When the attempts end. [`Tick::NEVER`] until an upstream that had served the stream is lost.
    gives_up: Tick,
    /// The number of attempts since the stream last made progress.
    attempts: u32,
    /// When an upstream last began to serve the stream.
    served: Tick,
    /// The number of events by then. An upstream that is lost soon, without another event, does not
    /// count as having served the stream.
    events: u64,
    /// Why the stream was held, if it was.
    held_for: Option<Cause>,
}

impl Resumption {
    /// The state of a stream that is held for this reason.
    pub fn of_held(held_for: Option<Cause>) -> Resumption {
        Resumption { held_for, ..Resumption::default() }
    }

    /// Why the stream was held, if it was.
    pub const fn held_for(&self) -> Option<Cause> {
        self.held_for
    }

    /// When the attempts end.
    pub const fn gives_up(&self) -> Tick {
        self.gives_up
    }

    /// True if the stream has lost an upstream that had served it, so that only the rest is
    /// requested.
    pub fn is_of_broken_stream(&self) -> bool {
        self.gives_up != Tick::NEVER
    }

    /// True if an attempt has failed since the stream last made progress.
    pub const fn has_asked_in_vain(&self) -> bool {
        self.attempts > 1
    }

    /// Notes that an upstream serves the stream, after `events` events.
    pub const fn note_served(&mut self, events: u64, now: Tick) {
        (self.served, self.events) = (now, events);
    }

    /// Notes that the upstream was lost after `events` events. It is asked again for at most
    /// `patience`. Returns true if the stream made progress in between; an upstream that accepts a
    /// stream and drops it at once does not count.
    pub fn note_lost(&mut self, events: u64, patience: Duration, now: Tick) -> bool {
        let progressed = events > self.events || now.since(self.served) > LONGEST_WAIT;
        if progressed || !self.is_of_broken_stream() {
            (self.gives_up, self.attempts) = (now.after(patience), 0);
        }
        progressed
    }

    /// The wait before the next attempt. It doubles with each attempt, starting from the `retry`
    /// that the upstream `wants`. `share` (0 to 1) randomises it, so that not all streams ask at
    /// once.
    pub fn next_wait(&mut self, wants: Option<Duration>, share: f64) -> Duration {
        let first = wants.unwrap_or(FIRST_WAIT).max(SHORTEST_WAIT);
        let longest = first.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_WAIT);
        self.attempts += 1;
        longest.mul_f64(0.5 + share / 2.0)
    }
}

impl Default for Resumption {
    /// The state before any attempt.
    fn default() -> Resumption {
        let held_for = None;
        Resumption { gives_up: Tick::NEVER, attempts: 0, served: Tick::ZERO, events: 0, held_for }
    }
}

impl Exchange {
    /// Starts scanning the response for events, because it is an event stream whose bytes can be
    /// parsed. From here on the client's position is known.
    pub fn watch_events(&mut self) {
        // Events in a log were scanned when they were added.
        if self.response.intake.place().is_some() {
            self.response.outlet.watch_events();
        } else {
            self.response.watch_events(self.event_terms(false));
        }
    }

    /// Stops following a log: the events will not come from one.
    pub fn unfollow(&mut self) {
        self.response.intake.unfollow();
        if self.stage().is_stream() {
            let terms = self.event_terms(false);
            self.response.intake.watch_events(terms);
        }
    }

    /// How the events of the response are scanned. `fills` says that they fill a log.
    pub fn event_terms(&self, fills: bool) -> Terms {
        let streams = self.api().map(|api| &api.streams);
        let resumable = self.wants_resuming();
        let always = streams.is_some_and(|streams| streams.resume == Resume::Always);
        Terms {
            event_max: streams.map_or(usize::MAX, |streams| streams.event_max),
            resumable,
            // An answer that ends in an orderly way is complete.
            outlives_source: resumable && always && !self.is_answer(),
            holding: match self.config.server.flush_interval {
                _ if fills => Holding::Always,
                Some(_) => Holding::WhileRoom,
                None => Holding::Nothing,
            },
            tells_gaps: fills && self.gap_event().is_some(),
            verbatim: !fills
                && !self.has_gap()
                && streams.is_some_and(|streams| streams.heartbeat.is_none()),
        }
    }

    /// The event that tells a client of a shared stream that it has missed events, if there is one.
    pub fn gap_event(&self) -> Option<&str> {
        self.api()?.share.as_ref()?.gap_event.as_deref()
    }

    /// True if the client has missed events and has not been told yet.
    pub fn has_gap(&self) -> bool {
        self.extras().is_some_and(|extras| extras.has_gap)
    }

    /// Notes that the client was told about missed events. Returns true if there were any.
    pub fn take_gap(&mut self) -> bool {
        let extras = self.extras.as_deref_mut();
        extras.is_some_and(|extras| std::mem::take(&mut extras.has_gap))
    }

    /// True if the first event of its stream may contain the value by which its client is known.
    pub fn is_known_by_query(&self) -> bool {
        let sticky = self.api().and_then(|api| api.sticky.as_ref());
        sticky.is_some_and(|sticky| matches!(sticky.by, KnownBy::Query(_)))
    }

    /// True if there is a limit on the time until an event.
    pub fn times_events(&self) -> bool {
        self.api().is_some_and(|api| api.streams.time_events())
    }

    /// Starts timing the events of an upstream that now answers with a stream.
    pub fn start_event_clock(&mut self, now: Tick) {
        if !self.times_events() {
            return;
        }
        let asked = self.awaiting_mut().map_or(now, |awaiting| awaiting.sent);
        let ticked = self.event_clock().is_some_and(|clock| clock.ticked);
        self.extras_mut().clock = Some(EventClock { asked, since: now, ticked });
    }

    /// Restarts the wait for an event. `come` says that an event has arrived.
    pub fn restart_event_clock(&mut self, come: bool, now: Tick) {
        if let Some(clock) = self.extras.as_mut().and_then(|extras| extras.clock.as_mut()) {
            clock.since = now;
            clock.ticked |= come;
        }
    }

    /// When the events of the stream arrived, if there is a limit on that.
    pub fn event_clock(&self) -> Option<EventClock> {
        self.extras()?.clock
    }
}
