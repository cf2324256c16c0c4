//! The wait for a connection to an upstream whose endpoints are all at their connection limit.

use super::stream::LONGEST_WAIT;
use super::{Exchange, Source};
use crate::pool::Place;
use crate::time::Tick;
use std::time::Duration;

/// A wait for a connection. See the module docs.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// The place in the upstream's queue.
    pub place: Place,
    /// When this wait began.
    pub since: Tick,
    /// When it is given up. [`Tick::NEVER`] for a stream whose client has its head: it waits for
    /// the connection as it waits for the upstream.
    pub gives_up: Tick,
    /// When such a stream asks all targets again, because it could not connect to some of them.
    /// They may have recovered, and a connection to another one may not become free for days.
    pub asks_again: Tick,
}

impl Exchange {
    /// Waits for a connection at this place. All waits of a request together take at most
    /// `queue_timeout`. `partly` says that it waits for only some of the targets.
    pub fn enter_queue(&mut self, place: Place, partly: bool, now: Tick) {
        let limit = self.api().map_or(Duration::ZERO, |api| api.queue_timeout);
        let left = limit.saturating_sub(self.queued().unwrap_or_default());
        let waits = self.stage().is_without_upstream();
        let gives_up = if waits { Tick::NEVER } else { now.after(left) };
        let asks_again = if waits && partly { now.after(LONGEST_WAIT) } else { Tick::NEVER };
        let queued = Queued { place, since: now, gives_up, asks_again };
        self.go_on_with(Source::Queued(Box::new(queued)));
    }

    /// Ends the wait for a connection, if there is one, and adds it to the total. The source is
    /// then `None` until another one is entered. Returns the place, which the caller must leave.
    pub fn leave_queue(&mut self, now: Tick) -> Option<Place> {
        let Source::Queued(queued) = self.source() else { return None };
        let Queued { place, since, .. } = **queued;
        *self.source_mut() = Source::None;
        *self.extras_mut().queued.get_or_insert_default() += now.since(since);
        Some(place)
    }

    /// How long the exchange has waited for a connection, if it ever had to. A wait in progress is
    /// not included.
    pub fn queued(&self) -> Option<Duration> {
        self.extras()?.queued
    }
}
