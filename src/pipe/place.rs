//! The place of a log reader.

use crate::event_log::Run;

/// How far a client has read in a log. See [`crate::event_log`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    next: u64,
    events: u64,
    between: bool,
    has_ids: bool,
    /// True if it gets only the last event of each name, until it is at the end.
    catches_up: bool,
}

impl Place {
    /// The place before this position, for a client that has had this many `events` from elsewhere.
    /// `has_ids` says that one of them had an id.
    pub(super) const fn new(next: u64, events: u64, has_ids: bool) -> Place {
        Place { next, events, between: true, has_ids, catches_up: false }
    }

    /// True if an event of a stream that it has read had an id.
    pub(super) const fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// The position to read next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The number of events read so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// True if what was read ends between two events.
    pub const fn is_between_events(&self) -> bool {
        self.between
    }

    /// Notes that these chunks were read.
    pub(super) fn note(&mut self, run: &Run<'_>) {
        self.next = run.next();
        self.events += run.events();
        self.between = run.ends_between_events();
        self.has_ids |= run.has_ids();
        self.catches_up &= !run.is_at_end();
    }

    /// Continues with the last event of each name, until the end is reached.
    pub(super) fn catch_up(&mut self) {
        debug_assert!(self.between);
        self.catches_up = true;
    }

    /// True if it gets only the last event of each name, until it is at the end.
    pub(super) const fn catches_up(&self) -> bool {
        self.catches_up
    }

    /// Continues at a later position, between two events.
    pub(super) fn skip_to(&mut self, next: u64) {
        debug_assert!(self.between && next >= self.next);
        (self.next, self.catches_up) = (next, false);
    }
}
