//! What is reported about an exchange: the record kept while it runs, and the report of its owner.

use super::cause::Cause;
use super::outcome::Outcome;
use super::stats::ApiStats;
use crate::access::{Field, Form, Line, Told};
use crate::config::StreamKind;
use crate::http::client_address::ClientAddress;
use crate::time::{Tick, millis};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The record of an exchange, for the access log and the admin listener.
#[derive(Debug)]
pub struct Record {
    /// The id of the request, unique in this process.
    pub id: u64,
    /// What logs say about the request. Empty if nothing reports requests.
    pub told: Told,
    /// The time until the first event was passed on.
    pub first_event: FirstEvent,
    /// The status that the client was sent. 0 before that.
    pub status: u16,
    /// The counters of its api, if it is counted.
    pub stats: Option<Rc<ApiStats>>,
    /// True if the access log has a line for it.
    pub logged: bool,
    /// True if it is an event stream or a tunnel that was opened.
    pub open: bool,
}

const _: () = assert!(size_of::<Record>() <= 40);

impl Record {
    /// True if the two sides have switched to another protocol.
    pub const fn is_tunnel(&self) -> bool {
        self.status == 101
    }

    /// True if it is an event stream that was opened.
    pub const fn is_open_stream(&self) -> bool {
        self.open && !self.is_tunnel()
    }

    /// Counts what passed between two moments of an exchange that began at `began`.
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

/// The time until a first event, if there was one. At most 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstEvent(u32);

impl FirstEvent {
    /// There was no event yet.
    pub const NONE: FirstEvent = FirstEvent(u32::MAX);

    /// The event was passed on after this time.
    pub fn after(time: Duration) -> FirstEvent {
        FirstEvent(u32::try_from(millis(time)).unwrap_or(u32::MAX - 1).min(u32::MAX - 1))
    }

    /// The time in milliseconds, if there was an event.
    pub fn ms(self) -> Option<u64> {
        (self != FirstEvent::NONE).then_some(self.0.into())
    }
}

/// How much of an exchange has passed.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// Payload bytes taken from the client.
    pub bytes_in: u64,
    /// Payload bytes passed on to the client, written or pending.
    pub bytes_out: u64,
    /// Events that were passed on.
    pub events: u64,
}

/// The report on an exchange by its owner.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The record of the exchange.
    pub record: &'a Record,
    /// The format of the access log, if there is one.
    pub form: Option<Form>,
    /// The request fields that the access log shows.
    pub fields: &'a [Field],
    /// The api that serves it.
    pub api: Option<&'a str>,
    /// The client's address.
    pub client: ClientAddress,
    /// The name of the key that admitted the request.
    pub key: Option<&'a Arc<str>>,
    /// Who sent the request: the name of the key, or the subject of the certificate that admitted
    /// it.
    pub caller: Option<&'a str>,
    /// The TLS version that the client uses, if any.
    pub tls: Option<&'a str>,
    /// The subject of the client's certificate, if it was asked for one.
    pub subject: Option<&'a str>,
    /// The kind of its event stream, if it is one.
    pub kind: StreamKind,
    /// When the request head was complete.
    pub began: Tick,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the request was refused, if it was.
    pub cause: Option<Cause>,
    /// Why its stream was held, if it was. That was counted then.
    pub held_for: Option<Cause>,
    /// How long it waited for an upstream connection, if it had to.
    pub queued: Option<Duration>,
    /// The status of the upstream's answer, if the client did not see it.
    pub upstream_status: Option<u16>,
    /// How much has passed.
    pub volume: Volume,
    /// True if its events can be counted.
    pub counts_events: bool,
    /// Payload bytes written to the client, without those still pending.
    pub delivered: u64,
}

impl Report<'_> {
    /// The line in the access log for `event`.
    pub(super) fn line<'l>(
        &'l self,
        event: &'static str,
        reason: Option<&'l str>,
        unix_ms: u64,
        now: Tick,
    ) -> Line<'l> {
        let Record { id, told, first_event, status, .. } = self.record;
        Line {
            unix_ms,
            event,
            id: *id,
            api: self.api,
            client: self.client,
            key: self.caller,
            tls: self.tls,
            subject: self.subject,
            told,
            fields: self.fields,
            status: *status,
            reason,
            events: self.counts_events.then_some(self.volume.events),
            bytes_in: self.volume.bytes_in,
            bytes_out: self.delivered,
            first_event_ms: first_event.ms(),
            queued_ms: self.queued.map(millis),
            duration_ms: millis(now.since(self.began)),
            kind: self.record.open.then(|| self.kind()),
        }
    }

    /// The word for what was opened: a kind of event stream, or a tunnel.
    pub const fn kind(&self) -> &'static str {
        if self.record.is_tunnel() { "tunnel" } else { self.kind.word() }
    }

    /// The word for how the exchange ended or, if it was refused, why. If the client does not see
    /// the refusal in the status, because of `on_outage` or an early answer, both are given,
    /// separated by a comma. After an early answer the second may be the status that the client
    /// does not see.
    pub(super) fn reason(&self) -> Cow<'static, str> {
        let word = self.outcome.word();
        match (self.outcome, self.cause, self.upstream_status) {
            (Outcome::Spared | Outcome::NoStream, Some(cause), _) => {
                format!("{word},{}", cause.word()).into()
            }
            (_, Some(cause), _) => cause.word().into(),
            (Outcome::Held, None, _) => match self.held_for {
                Some(cause) => format!("{word},{}", cause.word()).into(),
                None => word.into(),
            },
            (Outcome::NoStream, None, Some(status)) => format!("{word},{status}").into(),
            (_, None, _) => word.into(),
        }
    }
}
