//! Draining: when the process ends or a reload removes something, each stream ends at a moment of
//! its own within the window, so that its clients do not all reconnect at once.

use super::Proxy;
use super::shared::Shared;
use crate::exchange::Exchange;
use crate::net::Net;
use crate::session::Service;
use crate::telemetry::Outcome;
use crate::time::{Now, Tick};
use std::time::Duration;

impl<N: Net> Proxy<N> {
    /// Begins or hastens the drain. Nothing more is accepted, idle connections close, and running
    /// exchanges have until `deadline`. The admin listener stays open. If called again, the earlier
    /// deadline counts.
    pub fn drain(&mut self, now: Tick, deadline: Tick) {
        // Clients that connected before this are still served.
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

    /// Spreads the ends of the open streams over the drain window. Responses to other methods than
    /// GET run until its end.
    fn spread_ends(&mut self, now: Tick, deadline: Tick) {
        let Proxy { tasks, shared: Shared { random, .. }, .. } = self;
        let exchanges = tasks.iter_mut().filter_map(|(_, session)| session.exchange_mut());
        let mut streams: Vec<&mut Exchange> =
            exchanges.filter(|exchange| exchange.stage().is_stream()).collect();
        let count = streams.iter().filter(|exchange| !exchange.is_answer()).count();
        let mut rank = 0.0;
        for exchange in &mut streams {
            let mut share = 1.0;
            if !exchange.is_answer() {
                share = (rank + random.f64()) / f64::from(u32::try_from(count).unwrap_or(1));
                rank += 1.0;
            }
            exchange.expire_stream_at(within(now, deadline, share), Outcome::Drained);
        }
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
