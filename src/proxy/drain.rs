//! The end of the process, or of what a reload has taken away, without a stampede: each stream ends
//! at a moment of its own within the time that is left.

use super::Proxy;
use super::shared::Shared;
use crate::exchange::Exchange;
use crate::net::Net;
use crate::session::Service;
use crate::telemetry::Outcome;
use crate::time::{Now, Tick};
use std::time::Duration;

impl<N: Net> Proxy<N> {
    /// Ends it in an orderly way: nothing more is accepted, idle connections close, what runs has
    /// until `deadline`; whoever watches may watch. When it is told again, the earlier deadline
    /// counts.
    pub fn drain(&mut self, now: Tick, deadline: Tick) {
        // Who has come before is served.
        self.accept_all(Now { tick: now, unix_ms: self.unix_ms });
        let Shared { net, edge, pool, memory, drain, .. } = &mut self.shared;
        *drain = Some(drain.unwrap_or(Tick::NEVER).min(deadline));
        for listener in edge.listeners.close_all(|service| service != Service::Admin) {
            net.close_listener(listener);
        }
        let (mut io, _) = memory.split(net, None, now);
        pool.take_in_released(&mut io);
        pool.close_idle_beyond(0, &mut io);
        self.spread_ends(now, deadline);
        self.tasks.wake_all();
    }

    /// Gives each open stream its moment in the drain window: they end one after the other, and not
    /// together. Answers to POST go on for as long as there is.
    fn spread_ends(&mut self, now: Tick, deadline: Tick) {
        let Proxy { tasks, shared: Shared { random, .. }, .. } = self;
        let exchanges = tasks.iter_mut().filter_map(|(_, session)| session.exchange_mut());
        let streams = exchanges.filter(|exchange| exchange.stage().is_stream());
        let mut streams: Vec<&mut Exchange> = streams.collect();
        let count = streams.iter().filter(|exchange| exchange.facts.is_get).count();
        let mut rank = 0.0;
        for exchange in &mut streams {
            let mut share = 1.0;
            if exchange.facts.is_get {
                share = (rank + random.f64()) / f64::from(u32::try_from(count).unwrap_or(1));
                rank += 1.0;
            }
            exchange.expire_stream_at(within(now, deadline, share), Outcome::Drained);
        }
    }
}

/// A moment within what is left of the drain window; the last tenth stays free for goodbyes.
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
