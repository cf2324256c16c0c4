//! One request and its response.
//!
//! An [`Exchange`] owns what the two directions need and nothing of the connections they run on:
//! where it stands ([`stage`]), an upload, a response pipe, and what must be remembered of the
//! request. What stands for a moment only is on the heap, for an event stream stands in one stage
//! for days.

mod awaiting;
mod caller;
mod expiry;
mod local;
mod local_reply;
mod request;
mod stage;
mod stream;
mod upload;

pub use awaiting::Awaiting;
pub use local::{Live, Local};
pub use local_reply::{LocalReply, Why};
pub use request::{Caller, RequestFacts};
pub use stage::{Source, SourceKind, Stage};
pub use stream::{Resumption, Stream};
pub use upload::Upload;

use crate::apis::ApiState;
use crate::buf::BufPool;
use crate::config::{Api, Config, OnOutage, Resume};
use crate::http::fields::{Names, Nominated};
use crate::http::forward::OutboundHead;
use crate::http::framing::BodyLength;
use crate::http::head::ResponseHead;
use crate::pipe::Pipe;
use crate::pipe::events::{Events, Terms};
use crate::pool::Connection;
use crate::slab::Key;
use crate::telemetry::{Cause, Outcome, Record, Report, Volume};
use crate::time::Tick;
use expiry::Expiry;
use std::net::IpAddr;
use std::rc::Rc;

/// One request and its response. See the module.
#[derive(Debug)]
pub struct Exchange {
    stage: Stage,
    source: Source,
    /// From the client to the upstream.
    pub upload: Upload,
    /// From the upstream, or from this process, to the client.
    pub response: Pipe,
    /// What must be remembered of the request.
    pub facts: RequestFacts,
    /// True exactly when the client's connection may be used for a next request (RFC 9112 section
    /// 9.3).
    keeps_alive: bool,
    /// True exactly when the client may be holding its body back for a 100 (Continue).
    pub awaits_continue: bool,
    /// How it ended, or will once the last bytes are out.
    outcome: Outcome,
    /// Why it was refused, if it was.
    pub cause: Option<Cause>,
    /// Which of the configuration's apis serves it; none for a local reply.
    pub api: Option<u16>,
    /// The configuration under which it began, and ends.
    pub config: Rc<Config>,
    /// What is known of its api. It may be gone by now.
    pub api_state: Option<Key<ApiState>>,
    /// The head that goes upstream, while it may have to be sent (again).
    pub outbound: Option<Box<OutboundHead>>,
    /// When its head was complete.
    pub began: Tick,
    /// When it is to end though it could go on.
    expiry: Option<Box<Expiry>>,
    /// What only event streams have.
    pub stream: Option<Box<Stream>>,
    /// Who has asked for it, where more is known than the address of a connection.
    pub caller: Option<Box<Caller>>,
    /// What is told of it.
    pub record: Record,
}

/// How an exchange begins.
#[derive(Debug)]
pub struct Begin<'a> {
    /// What must be remembered of the request.
    pub facts: RequestFacts,
    /// True exactly when the client's connection may be used for a next request.
    pub keeps_alive: bool,
    /// The body of the request.
    pub upload: Upload,
    /// The present configuration.
    pub config: &'a Rc<Config>,
    /// What is told of it.
    pub record: Record,
    /// When its head was complete.
    pub now: Tick,
}

impl Exchange {
    /// An exchange whose client has nothing yet.
    pub fn new(begin: Begin<'_>) -> Box<Exchange> {
        let Begin { facts, keeps_alive, upload, config, record, now } = begin;
        Box::new(Exchange {
            stage: Stage::Unanswered,
            source: Source::None,
            upload,
            response: Pipe::response(now),
            facts,
            keeps_alive,
            awaits_continue: false,
            outcome: Outcome::Complete,
            cause: None,
            api: None,
            config: Rc::clone(config),
            api_state: None,
            outbound: None,
            began: now,
            expiry: None,
            stream: None,
            caller: None,
            record,
        })
    }

    /// The response, and where the rest of it comes from, side by side.
    pub const fn response_and_source_mut(&mut self) -> (&mut Pipe, &mut Source) {
        (&mut self.response, &mut self.source)
    }

    /// The connection to an upstream that it holds, if it holds one.
    pub const fn connection(&self) -> Option<Key<Connection>> {
        self.source().connection()
    }

    /// What is known of the response head, while one is awaited.
    pub const fn awaiting_mut(&mut self) -> Option<&mut Awaiting> {
        if let Source::Awaiting(awaiting) = self.source_mut() { Some(awaiting) } else { None }
    }

    /// The live page's events that its client watches, if it does.
    pub const fn live_mut(&mut self) -> Option<&mut Live> {
        match self.source_mut().local_mut() {
            Some(Local::Live(live)) => Some(live),
            Some(Local::Demo(_) | Local::Bytes(..) | Local::Shell) | None => None,
        }
    }

    /// True exactly when its client watches the live page's events.
    pub const fn is_live(&self) -> bool {
        matches!(self.source().local(), Some(Local::Live(_)))
    }

    /// True exactly when the client's connection may be used for a next request.
    pub const fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// The client's connection is used for no other request unless `condition` holds.
    pub const fn keep_alive_if(&mut self, condition: bool) {
        self.keeps_alive &= condition;
    }

    /// Its local reply is complete: head and body, behind whatever is pending.
    pub fn reply(&mut self, status: u16, reply: &[u8], buffers: &mut BufPool, now: Tick) {
        self.record.status = status;
        self.enter(Stage::Reply, Source::None);
        self.response.queue(reply, buffers, now);
        self.response.take_no_more(buffers);
    }

    /// How it ended, or will once the last bytes are out.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The api that serves it, if one does.
    pub fn api(&self) -> Option<&Api> {
        self.config.apis.get(usize::from(self.api?))
    }

    /// The name of its api, for logs; `-` if it has none.
    pub fn api_name(&self) -> &str {
        self.api().map_or("-", |api| api.name.as_str())
    }

    /// What it takes to ask the upstream again, if that is to be done.
    pub fn resume(&self) -> Option<&Resumption> {
        self.stream.as_ref()?.resume.as_deref()
    }

    /// As [`Exchange::resume`], to note what has happened.
    pub fn resume_mut(&mut self) -> Option<&mut Resumption> {
        self.stream.as_mut()?.resume.as_deref_mut()
    }

    /// True exactly when its event stream is to be resumed if it breaks.
    pub fn wants_resuming(&self) -> bool {
        let resume = self.api().map_or(Resume::Never, |api| api.streams.resume);
        self.facts.is_get && resume != Resume::Never
    }

    /// What its client gets when there is no upstream for it, if not an error.
    pub fn on_outage(&self) -> OnOutage {
        let api = self.api().filter(|_| self.facts.wants_events);
        api.map_or(OnOutage::Error, |api| api.streams.on_outage)
    }

    /// True when the request may have to be sent again though an answer to it has begun, or has
    /// failed: for an event stream that is to be resumed or held.
    pub fn may_ask_again(&self) -> bool {
        self.wants_resuming() || self.on_outage() == OnOutage::Hold || self.resume().is_some()
    }

    /// True when the rest of its stream can be asked for without its client's noticing.
    pub fn can_resume(&self) -> bool {
        let has_id = self.response.intake.events().is_some_and(|e| e.resume_from().is_some());
        has_id && self.resume().is_some() && !self.is_in_grace()
    }

    /// The response is an event stream whose bytes can be understood: from here on it is known
    /// where its client is.
    pub fn watch_events(&mut self) {
        let streams = self.api().map(|api| &api.streams);
        let resumable = self.wants_resuming();
        let always = streams.is_some_and(|streams| streams.resume == Resume::Always);
        let terms = Terms {
            event_max: streams.map_or(usize::MAX, |streams| streams.event_max),
            resumable,
            outlives_source: resumable && always,
            whole: self.config.server.flush_interval.is_some(),
            verbatim: streams.is_some_and(|streams| streams.heartbeat.is_none()),
        };
        self.response.watch_events(terms);
    }

    /// An upstream has answered. What it takes to ask again is kept if the answer is an event
    /// stream that is to be resumed.
    pub fn note_served(&mut self, now: Tick) {
        let events = self.response.intake.events().map(Events::events);
        match events.filter(|_| self.wants_resuming()) {
            Some(events) => {
                let stream = self.stream.get_or_insert_default();
                stream.resume.get_or_insert_default().note_served(events, now);
            }
            None => {
                self.outbound = None;
                if let Some(stream) = &mut self.stream {
                    stream.resume = None;
                }
            }
        }
    }

    /// Notes which fields do not pass behind the body of a response: those that would not in front
    /// of it.
    pub fn drop_trailers(&mut self, head: &ResponseHead<'_, '_>) {
        let mut names = Nominated::by(head.fields).names();
        if head.length == BodyLength::Chunked
            && let Some(api) = self.api()
        {
            names = Names::and(names, api.response_headers.names());
        }
        self.response.drop_trailers(names);
    }

    /// Since when nothing has passed: no event of a stream, and no byte of a tunnel in either
    /// direction.
    pub fn still_since(&self) -> Tick {
        if self.record.is_tunnel() { self.active_at() } else { self.response.still_since() }
    }

    /// When a byte last passed, in either direction.
    pub fn active_at(&self) -> Tick {
        let response = self.response.active_at();
        self.upload.pipe().map_or(response, |request| request.active_at().max(response))
    }

    /// How much has passed.
    pub fn volume(&self) -> Volume {
        Volume {
            bytes_in: self.upload.taken(),
            bytes_out: self.response.outlet.given(),
            events: self.response.intake.events().map_or(0, Events::events),
        }
    }

    /// It ends, or will once the last bytes are out. Who waits in vain leaves or is given up, which
    /// says nothing of what went wrong: that is told apart.
    pub fn end_with(&mut self, outcome: Outcome) {
        self.outcome = match (self.stage(), outcome) {
            (Stage::Held, Outcome::ClientGone | Outcome::UpstreamCut) => Outcome::Held,
            (Stage::Resuming, Outcome::ClientGone) => Outcome::Resuming,
            (_, Outcome::ClientGone) if self.outcome == Outcome::Held => Outcome::Held,
            _ => outcome,
        };
    }

    /// What there is to tell of it. `peer` is the address that it came from.
    pub fn report(&self, peer: Option<IpAddr>) -> Report<'_> {
        Report {
            record: &self.record,
            form: self.config.log.access,
            api: self.api().map(|api| api.name.as_str()),
            client: self.client(peer),
            key: self.key_name(),
            began: self.began,
            outcome: self.outcome,
            cause: self.cause,
            counts_events: self.response.intake.events().is_some(),
            volume: self.volume(),
            delivered: self.response.delivered(),
        }
    }
}
