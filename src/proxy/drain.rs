//! Draining: how the proxy shuts down, in steps ([`Phase`]).
//!
//! The delay is for load balancers: they learn from `/readyz` that they should stop sending clients
//! here, and until they have, no client is refused. Then the port closes, the time limits of
//! subscriptions and of everything else start together, and the proxy has drained as soon as the
//! last client is gone.

use super::Proxy;
use super::phase::{Ends, Phase};
use super::shared::Shared;
use crate::config;
use crate::exchange::Exchange;
use crate::locked::Locked;
use crate::net::Net;
use crate::session::{Service, State};
use crate::time::Tick;
use std::time::Duration;
use std::{fmt, ops};

/// What clients have open.
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

impl ops::AddAssign for Open {
    fn add_assign(&mut self, other: Open) {
        self.subscriptions += other.subscriptions;
        self.answers += other.answers;
        self.tunnels += other.tunnels;
        self.requests += other.requests;
    }
}

/// What was open in each event loop when it took a step of the drain. The last loop to take the
/// step logs the total. If some loops do not turn, the first of the others does.
#[derive(Debug, Default)]
pub(super) struct Tally(Locked<[Taken; 2]>);

/// The event loops that have taken a step, and what they had open.
#[derive(Debug, Default)]
struct Taken {
    /// The numbers of the event loops.
    loops: Vec<usize>,
    open: Open,
    is_told: bool,
}

/// A step of a drain that is logged.
#[derive(Clone, Copy, Debug)]
enum Told {
    Delay,
    Closed,
}

impl Tally {
    /// Adds what is `open` in the loop with this `number`, one of `loops`, as it takes a step.
    /// Returns the total if this is the last loop and the step was not logged before.
    fn add(&self, step: Told, open: Open, number: usize, loops: usize) -> Option<Open> {
        self.0.with(|steps| {
            let taken = &mut steps[step as usize];
            taken.loops.push(number);
            taken.open += open;
            let is_last = taken.loops.len() == loops && !taken.is_told;
            is_last.then_some(taken.open)
        })
    }

    /// What is open in those of the `loops` that have taken a step, and the numbers of the others.
    /// None if none or all of them have, or if the step was logged before.
    fn without_late(&self, step: Told, loops: usize) -> Option<(Open, Vec<usize>)> {
        self.0.with(|steps| {
            let taken = &mut steps[step as usize];
            if taken.is_told || taken.loops.is_empty() || taken.loops.len() == loops {
                return None;
            }
            taken.is_told = true;
            let late = (0..loops).filter(|number| !taken.loops.contains(number));
            Some((taken.open, late.collect()))
        })
    }
}

impl<N: Net> Proxy<N> {
    /// Begins a drain as configured. Does nothing if one has begun.
    pub fn drain(&mut self, now: Tick) {
        let drain = self.shared.config.drain;
        self.drain_as(&drain, now);
    }

    /// Like [`Proxy::drain`], with other times than those in the configuration.
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
        if let Some(open) = self.open_in_all(Told::Delay) {
            tell_delay(drain.delay, open, "");
        }
    }

    /// Logs the steps that this event loop has taken and others have not, because they do not turn.
    pub fn tell_drain(&self) {
        let Shared { drain: tally, loops, config, .. } = &self.shared;
        let drain = config.drain;
        for step in [Told::Delay, Told::Closed] {
            let Some((open, late)) = tally.without_late(step, *loops) else { continue };
            let late: Vec<String> = late.iter().map(|number| (number + 1).to_string()).collect();
            let of_late =
                format!(", beside what these workers have, which are stuck: {}", late.join(", "));
            match step {
                Told::Delay => tell_delay(drain.delay, open, &of_late),
                Told::Closed => tell_closed(drain.window, drain.answers, open, &of_late),
            }
        }
    }

    /// Ends everything at once, whatever the step of the drain.
    pub fn end(&mut self, now: Tick) {
        self.close_port(Ends::at(now), now);
    }

    /// Takes the next step of the drain when it is due.
    pub(super) fn go_on_draining(&mut self, now: Tick) {
        if let Phase::Delay(at, ends) = self.shared.phase
            && at <= now
        {
            self.close_port(ends, now);
        }
    }

    /// Stops accepting, closes idle connections, and decides when the others end. The admin
    /// listener stays open.
    fn close_port(&mut self, ends: Ends, now: Tick) {
        // Clients that connected before this are still served.
        let is_for_clients = |service: Service| !service.is_for_operators();
        for listener in self.shared.edge.listeners.open_ones(is_for_clients) {
            self.close_listener(listener, now);
        }
        let Shared { net, pool, memory, phase, .. } = &mut self.shared;
        *phase = Phase::Closed(ends);
        let (mut io, _) = memory.split(net, None, now);
        pool.take_in_released(&mut io);
        pool.close_idle_beyond(0, &mut io);
        self.set_ends(ends, now);
        let [window, answers] = [ends.subscriptions, ends.answers].map(|end| end.since(now));
        if ends.last > now
            && let Some(open) = self.open_in_all(Told::Closed)
        {
            tell_closed(window, answers, open, "");
        }
        self.tasks.wake_all();
        self.moves += 1;
    }

    /// Decides when open exchanges end, and spreads the ends of subscriptions.
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

    /// What is open in all event loops, if this is the last of them to take a step.
    fn open_in_all(&self, step: Told) -> Option<Open> {
        let Shared { drain, number, loops, .. } = &self.shared;
        drain.add(step, self.count_open(), *number, *loops)
    }

    fn count_open(&self) -> Open {
        let mut open = Open::default();
        let clients = self.tasks.iter().map(|(_, session)| session);
        for session in clients.filter(|session| !session.service.is_for_operators()) {
            let place = match &session.state {
                State::ProxyHeader { .. }
                | State::Handshake { .. }
                | State::Idle { .. }
                | State::Lingering { .. } => continue,
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

/// Logs that a drain with this delay has begun. `late` names what is not counted.
fn tell_delay(delay: Duration, open: Open, late: &str) {
    log::info!("draining: everything is served for {delay:?}, then the port closes; {open}{late}");
}

/// Logs that the port is closed. `late` names what is not counted.
fn tell_closed(window: Duration, answers: Duration, open: Open, late: &str) {
    log::info!(
        "draining: the port is closed; subscriptions have {window:?} to end and all else \
         {answers:?}; {open}{late}; a second signal closes them now"
    );
}
