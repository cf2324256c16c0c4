//! One request and its response.
//!
//! An [`Exchange`] owns what its two directions need, but not the connections that they use: its
//! stage and source ([`stage`]), an upload, a response pipe, and what must be remembered about the
//! request. An event stream stays in one stage for days, so whatever is needed only briefly is on
//! the heap.

mod authorizing;
mod awaiting;
mod caller;
mod early;
mod expiry;
mod fresh;
mod local;
mod local_reply;
mod log;
mod lookahead;
mod outbound;
pub mod own_ids;
mod queued;
mod report;
mod request;
mod resume;
mod stage;
mod stream;
mod upload;

pub use authorizing::{Authorizing, Kept, LetIn, Verdict};
pub use awaiting::Awaiting;
pub use fresh::Fresh;
pub use local::{Behind, Local};
pub use local_reply::{LocalReply, Lost, Why};
pub use log::{Change, Log, LogState};
pub use lookahead::Lookahead;
pub use outbound::{Outbound, Shareable};
pub use request::{Asked, Caller, RequestFacts};
#[cfg(feature = "sim")]
pub use stage::SourceKind;
pub use stage::{Source, Stage};
pub use stream::{Extras, Resumption};
pub use upload::Upload;

use crate::apis::{ApiState, Permit};
use crate::buf::BufPool;
use crate::config::{Api, Config, StreamKind};
use crate::http::fields::{Names, Nominated};
use crate::http::framing::BodyLength;
use crate::http::head::ResponseHead;
use crate::pipe::Pipe;
use crate::pool::Connection;
use crate::slab::Key;
use crate::telemetry::{Cause, Outcome, Record};
use crate::time::Tick;
use expiry::Expiry;
use std::rc::Rc;

/// One request and its response. See the module docs.
#[derive(Debug)]
pub struct Exchange {
    stage: Stage,
    source: Source,
    /// The direction from the client to the upstream.
    pub upload: Upload,
    /// The direction from the upstream, or from this process, to the client.
    pub response: Pipe,
    /// The facts about the request that outlive its head.
    pub facts: RequestFacts,
    /// True if the client's connection may be used for another request (RFC 9112 section 9.3).
    keeps_alive: bool,
    /// True if the client may be holding back its body for a 100 (Continue).
    pub awaits_continue: bool,
    /// True if the client may get the head of an event stream before the upstream has answered.
    may_answer_early: bool,
    /// How the exchange ended, or will end once the last bytes are sent.
    outcome: Outcome,
    /// How it ends if the client leaves before the last bytes are sent.
    if_left: Outcome,
    /// Why the request was refused, if it was.
    pub cause: Option<Cause>,
    /// The index of its api in the configuration. None if no api serves it.
    pub api: Option<u16>,
    /// The configuration under which the exchange began and will end.
    pub config: Rc<Config>,
    /// The state of its api, which may have been removed since.
    pub api_state: Option<Key<ApiState>>,
    /// The request as it goes upstream, for as long as it may have to be sent (again).
    pub outbound: Option<Box<Outbound>>,
    /// When the request head was complete.
    pub began: Tick,
    /// When the proxy will end the exchange.
    expiry: Option<Box<Expiry>>,
    /// Counts an open event stream towards the limits of its api.
    pub permit: Option<Permit>,
    /// State that only a few event streams have.
    extras: Option<Box<Extras>>,
    /// Who sent the request, if more is known than the address of the connection.
    pub caller: Option<Box<Caller>>,
    /// What the access log and the admin listener report about it.
    pub record: Record,
}

/// The values with which an exchange begins.
#[derive(Debug)]
pub struct Begin<'a> {
    /// The facts about the request that outlive its head.
    pub facts: RequestFacts,
    /// True if the client's connection may be used for another request.
    pub keeps_alive: bool,
    /// The direction of the request body.
    pub upload: Upload,
    /// The current configuration.
    pub config: &'a Rc<Config>,
    /// What the access log and the admin listener report about it.
    pub record: Record,
    /// When the request head was complete.
    pub now: Tick,
}

impl Exchange {
    /// Creates an exchange whose client has received nothing yet.
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
            may_answer_early: false,
            outcome: Outcome::Complete,
            if_left: Outcome::ClientGone,
            cause: None,
            api: None,
            config: Rc::clone(config),
            api_state: None,
            outbound: None,
            began: now,
            expiry: None,
            permit: None,
            extras: None,
            caller: None,
            record,
        })
    }

    /// The response and its source, borrowed side by side.
    pub const fn response_and_source_mut(&mut self) -> (&mut Pipe, &mut Source) {
        (&mut self.response, &mut self.source)
    }

    /// The upstream connection that the exchange holds, if it holds one.
    pub const fn connection(&self) -> Option<Key<Connection>> {
        self.source().connection()
    }

    /// The state of reading the response head, while one is awaited.
    pub const fn awaiting_mut(&mut self) -> Option<&mut Awaiting> {
        if let Source::Awaiting(awaiting) = self.source_mut() { Some(awaiting) } else { None }
    }

    /// Continues under another configuration, in which the api has this index and other targets.
    /// The exchange must not have a connection.
    pub fn change_targets(&mut self, config: &Rc<Config>, api: u16, state: Key<ApiState>) {
        debug_assert!(self.connection().is_none());
        (self.config, self.api, self.api_state) = (Rc::clone(config), Some(api), Some(state));
        if let Some(outbound) = &mut self.outbound {
            outbound.forget_targets();
        }
    }

    /// True if the client reads this log.
    pub fn follows(&self, log: &Rc<Log>) -> bool {
        self.source().log().is_some_and(|own| Rc::ptr_eq(own, log))
    }

    /// True if the stream may be shared and it is not yet known what this client gets.
    pub fn is_undecided(&self) -> bool {
        let shareable = self.outbound.as_ref().and_then(|outbound| outbound.shareable.as_ref());
        shareable.is_some_and(|shareable| !shareable.is_decided)
    }

    /// True if the client's connection may be used for another request.
    pub const fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Lets the client's connection be used for another request only if `condition` also holds.
    pub const fn keep_alive_if(&mut self, condition: bool) {
        self.keeps_alive &= condition;
    }

    /// Queues a complete local reply, head and body, after what is pending.
    pub fn reply(&mut self, status: u16, reply: &[u8], buffers: &mut BufPool, now: Tick) {
        self.record.status = status;
        self.enter(Stage::Reply, Source::None);
        self.response.queue(reply, buffers, now);
        self.response.take_no_more(buffers);
    }

    /// How the exchange ended, or will end once the last bytes are sent.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The api that serves the exchange, if one does.
    pub fn api(&self) -> Option<&Api> {
        self.config.apis.get(usize::from(self.api?))
    }

    /// The name of its api for logs; `-` if it has none.
    pub fn api_name(&self) -> &str {
        self.api().map_or("-", |api| api.name.as_str())
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// State that only a few event streams have, created on demand.
    pub fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// True if the response may be an event stream, as far as the request shows.
    pub fn may_stream(&self) -> bool {
        self.facts.may_stream || self.upload.asks_for_stream()
    }

    /// True if its event stream, if it is one, is an answer: a part of it must not look like the
    /// whole.
    pub const fn is_answer(&self) -> bool {
        matches!(self.facts.kind, StreamKind::Answer)
    }

    /// True if it is a subscription, or a request for one that has no response yet.
    pub fn is_subscription(&self) -> bool {
        let asks = self.stage() == Stage::Unanswered && self.facts.wants_events();
        !self.is_answer() && (asks || self.record.is_open_stream())
    }

    /// Notes which trailer fields of a response are not forwarded: those that are not forwarded in
    /// the head either.
    pub fn drop_trailers(&mut self, head: &ResponseHead<'_, '_>) {
        let mut names = Nominated::by(head.fields).names();
        if head.length == BodyLength::Chunked
            && let Some(api) = self.api()
        {
            names = Names::and(names, api.response_headers.names());
        }
        self.response.drop_trailers(names);
    }

    /// Sets the outcome of an exchange that ends, or will end once the last bytes are sent. A
    /// client that leaves while its stream has no upstream gets a separate outcome, because its
    /// departure does not say what went wrong. This still applies once the stream is ended and some
    /// of its bytes are pending.
    pub fn end_with(&mut self, outcome: Outcome) {
        let stage = self.stage();
        if stage == Stage::Held {
            self.if_left = Outcome::Held;
        } else if stage == Stage::Resuming {
            self.if_left = Outcome::Resuming;
        }
        self.outcome = match (stage, outcome) {
            (_, Outcome::ClientGone) => self.if_left,
            (Stage::Held, Outcome::UpstreamCut) => Outcome::Held,
            _ => outcome,
        };
    }
}
