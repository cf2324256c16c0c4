//! What is told of an exchange: what is kept for it while it runs, and what its owner reports.

use super::cause::Cause;
use super::outcome::Outcome;
use super::stats::ApiStats;
use crate::access::{Form, Line};
use crate::time::{Tick, millis};
use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What is kept of an exchange, for the access log and for whoever watches.
#[derive(Debug)]
pub struct Record {
    /// The number of the request; no other of this process has it.
    pub id: u64,
    /// Method and target, as [`crate::access::request_line`] writes them; empty if nobody is told.
    pub request_line: Box<str>,
    /// How long it took until its first event was passed on.
    pub first_event: FirstEvent,
    /// The status that the client was sent; 0 before.
    pub status: u16,
    /// Where it is counted, if it is.
    pub stats: Option<Rc<ApiStats>>,
    /// True exactly when the access log has a line for it.
    pub logged: bool,
    /// True exactly when it is an event stream or a tunnel that was opened.
    pub open: bool,
}

const _: () = assert!(size_of::<Record>() <= 40);

impl Record {
    /// True exactly when the two sides have switched to another protocol.
    pub const fn is_tunnel(&self) -> bool {
        self.status == 101
    }

    /// Counts what has passed between two moments of an exchange that began at `began`.
    pub fn count(&mut self, before: Volume, after: Volume, began: Tick, now: Tick) {
        let events = after.events - before.events;
        let Some(stats) = &self.stats else { return };
        stats.bytes_in.add(after.bytes_in - before.bytes_in);
        stats.bytes_out.add(after.bytes_out - before.bytes_out);
        stats.events.add(events);
        if events > 0 && before.events == 0 {
            stats.first_event.observe(now.since(began));
            self.first_event = FirstEvent::after(now.since(began));
        }
    }
}

/// A time until a first event, of 49 days at most, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstEvent(u32);

impl FirstEvent {
    /// There was none yet.
    pub const NONE: FirstEvent = FirstEvent(u32::MAX);

    /// It came after so long.
    pub fn after(time: Duration) -> FirstEvent {
        FirstEvent(u32::try_from(millis(time)).unwrap_or(u32::MAX - 1).min(u32::MAX - 1))
    }

    /// Milliseconds, if there was one.
    pub fn ms(self) -> Option<u64> {
        (self != FirstEvent::NONE).then_some(self.0.into())
    }
}

/// How much of an exchange has passed.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// Payload taken from the client.
    pub bytes_in: u64,
    /// Payload handed to the client.
    pub bytes_out: u64,
    /// Events that were passed on.
    pub events: u64,
}

/// What its owner reports of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was kept of it.
    pub record: &'a Record,
    /// How lines of the access log are written, if there is one.
    pub form: Option<Form>,
    /// The api that serves it.
    pub api: Option<&'a str>,
    /// Who asked; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The name of the key that let it in.
    pub key: Option<&'a Arc<str>>,
    /// When its head was complete.
    pub began: Tick,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused, if it was.
    pub cause: Option<Cause>,
    /// How much has passed.
    pub volume: Volume,
    /// True exactly when its events can be counted.
    pub counts_events: bool,
    /// Payload written to the client.
    pub delivered: u64,
}

impl Report<'_> {
    /// Its line in the access log, for `event`.
    pub(super) fn line<'l>(
        &'l self,
        event: &'static str,
        reason: Option<&'l str>,
        unix_ms: u64,
        now: Tick,
    ) -> Line<'l> {
        let Record { id, request_line, first_event, status, .. } = self.record;
        Line {
            unix_ms,
            event,
            id: *id,
            api: self.api,
            client: self.client,
            key: self.key.map(|name| &**name),
            request: request_line,
            status: *status,
            reason,
            events: self.counts_events.then_some(self.volume.events),
            bytes_in: self.volume.bytes_in,
            bytes_out: self.delivered,
            first_event_ms: first_event.ms(),
            duration_ms: millis(now.since(self.began)),
        }
    }

    /// The word for how it ended; of one that was refused, for why. Who was spared the refusal has
    /// both, with a comma between.
    pub(super) fn reason(&self) -> Cow<'static, str> {
        match (self.outcome, self.cause) {
            (Outcome::Spared, Some(cause)) => {
                format!("{},{}", Outcome::Spared.word(), cause.word()).into()
            }
            (_, Some(cause)) => cause.word().into(),
            (outcome, None) => outcome.word().into(),
        }
    }
}
