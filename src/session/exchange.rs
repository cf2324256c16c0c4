//! One request and its response.
//!
//! An [`Exchange`] owns what the two directions need and nothing of the connections they run on: a
//! phase, two pipes, and the facts of the request that matter until its end. States own what they
//! need, so there is no upstream to be asked about where there is none.

use crate::auth;
use crate::buf::BufPool;
use crate::config::{Api, Config};
use crate::cors::grants::Page;
use crate::cors::{self, Field};
use crate::http::head::{HeadSearch, Version};
use crate::http::upgrade::Offer;
use crate::pipe::{Flow, Pipe};
use crate::session::addresses::Tried;
use crate::session::cause::Cause;
use crate::session::local::{Live, Local};
use crate::session::origin::{Origin, Permit};
use crate::session::outcome::Outcome;
use crate::session::places::Shares;
use crate::session::stats::ApiStats;
use crate::session::upload::Upload;
use crate::session::upstream::Upstream;
use crate::slab::Key;
use crate::time::{Tick, millis};
use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Interim responses that are passed on before one final one; an upstream that sends more is
/// broken.
const INTERIMS_MAX: u8 = 32;

/// One request and its response. See the module.
#[derive(Debug)]
pub struct Exchange {
    /// Where it stands.
    pub phase: Phase,
    /// From the client to the upstream.
    pub request: Upload,
    /// From the upstream, or from this process, to the client.
    pub response: Pipe,
    /// What must be remembered of the request.
    pub facts: Facts,
    /// The configuration under which it began, and ends.
    pub config: Rc<Config>,
    /// Which of the configuration's apis serves it; none for an answer of our own.
    pub api: Option<u16>,
    /// That api's targets, if there is an api, and if it is still there;
    pub origin: Option<Key<Origin>>,
    /// and which of them is asked.
    pub place: u16,
    /// How it ended, or will once the last bytes are out.
    pub outcome: Outcome,
    /// Why it was refused, if it was.
    pub cause: Option<Cause>,
    /// When its head was complete.
    pub began: Tick,
    /// When it is to end; while it is closing, how long that is waited for. It counts where
    /// [`Exchange::is_leased`] says so.
    pub lease: Tick,
    /// How it will have ended then.
    pub lease_end: LeaseEnd,
    /// What it takes to ask the upstream again without the client's noticing, if that is to be
    /// done.
    pub revival: Option<Box<Revival>>,
    /// Its place among the streams of its api, if it is one of them.
    pub permit: Option<Permit>,
    /// Who has asked for it, where more is known than the address of a connection.
    pub caller: Option<Box<Caller>>,
    /// What is told of it.
    pub record: Record,
}

/// What is told of an exchange, in the access log and to whoever watches.
#[derive(Debug)]
pub struct Record {
    /// The number of the request; no other of this process has it.
    pub id: u64,
    /// Method and target, as [`crate::access::request_line`] writes them; empty if nobody is told.
    pub request: Box<str>,
    /// How long it took until its first event was passed on.
    pub first_event: FirstEvent,
    /// The status that the client was sent; 0 before.
    pub status: u16,
    /// Where it is counted, if it is.
    pub stats: Option<Rc<ApiStats>>,
    /// True exactly when the access log has a line for it.
    pub told: bool,
    /// True exactly when it is an event stream or a tunnel that was opened.
    pub open: bool,
}

const _: () = assert!(size_of::<Record>() <= 40);

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

/// Who has asked for something. See [`Exchange::caller`].
#[derive(Debug, Default)]
pub struct Caller {
    /// The client's own address, if a trusted proxy has told it.
    pub client: Option<IpAddr>,
    /// The key that let it in, if it needed one.
    pub key: Option<Arc<auth::Key>>,
    /// Its places among the streams of its address and its key, where these are limited.
    pub shares: Shares,
    /// The page of another origin that asked, while what it may read is the upstream's affair and
    /// may have to be judged.
    pub page: Option<Box<Page>>,
}

impl Caller {
    /// True when anything is known.
    pub fn is_known(&self) -> bool {
        let known = self.client.is_some() || self.key.is_some() || self.page.is_some();
        known || self.shares.held() != [0, 0]
    }
}

/// How an exchange will have ended when its lease is up.
#[derive(Clone, Copy, Debug)]
pub struct LeaseEnd {
    /// For what reason.
    pub outcome: Outcome,
    /// True exactly when that moment has come, and something is still waited for: an event stream
    /// ends behind the event that is on its way, and a client is left the time to take what is
    /// pending. At the moment that the lease has become all of it is cut.
    pub closing: bool,
}

/// What it takes to ask an upstream again for an event stream.
#[derive(Debug)]
pub struct Revival {
    /// The head of the request, as it was sent upstream.
    pub request: Box<[u8]>,
    /// When the upstream was lost, while it is: the client has a stream without a source.
    pub lost: Option<Tick>,
    /// When it is not tried any more; [`Tick::NEVER`] until an upstream was lost that had been
    /// there.
    pub gives_up: Tick,
    /// How often it was tried since the stream last got on.
    pub attempts: u32,
    /// When an upstream was last there. If it is lost again soon after,
    pub served: Tick,
    /// and no event has come since there were so many, it counts as never having been there.
    pub events: u64,
}

/// What must be remembered of a request when its head is gone.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The client's HTTP version.
    pub version: Version,
    /// True exactly when the method is HEAD: the response has no body, whatever its fields say.
    pub is_head: bool,
    /// True exactly when the client wants the connection kept for a next request, and may have it.
    pub persistent: bool,
    /// True exactly when the request may be sent twice: an idempotent method, and no body (RFC 9110
    /// section 9.2.2).
    pub retryable: bool,
    /// Which other protocol the request offers the upstream, if that is let through.
    pub upgrade: Offer,
    /// True exactly when the client may be holding its body back for a 100 (Continue).
    pub awaits_continue: bool,
    /// True exactly when it is a GET without a body: the client of an event stream will come back
    /// if it ends.
    pub is_get: bool,
    /// True exactly when it is such a GET and accepts event streams.
    pub wants_events: bool,
    /// True exactly when the response is an event stream, which may be silent for ever.
    pub event_stream: bool,
    /// What the page that asked for it is granted.
    pub grant: cors::Grant,
}

/// Where an exchange stands. What it needs for a moment only is on the heap: it may stand where it
/// stands for days.
#[derive(Debug)]
pub enum Phase {
    /// The answer is ours and is in the response pipe. Next: the exchange ends when it is out.
    Answering,
    /// The response is written here. Next: ends with its client, or `Delivering`.
    Local(Box<Local>),
    /// A connection is being made. Next: `AwaitingHead`, another address, or `Answering`.
    Connecting(Box<Attempt>),
    /// The request is on its way. Next: `Relaying`, `Tunnel`, or `Answering`.
    AwaitingHead(Box<Awaiting>),
    /// The response is on its way. Next: `Delivering` when the upstream has said all.
    Relaying(Key<Upstream>),
    /// The client has an event stream, and there is no upstream until then. Next: `Connecting`.
    Holding(Tick),
    /// 101 (Switching Protocols) was passed on. Next: ends when both sides have.
    Tunnel(Key<Upstream>),
    /// The upstream is done with. Next: the exchange ends when the client has the rest.
    Delivering,
}

impl Phase {
    /// The attempt of an exchange that is known to be connecting.
    ///
    /// # Panics
    /// In any other phase: a mistake of ours, as with [`Phase::awaiting_mut`].
    pub fn attempt(&self) -> Attempt {
        let Phase::Connecting(attempt) = self else {
            unreachable!("no connection is being made");
        };
        **attempt
    }

    /// What is known of the head of an exchange that is known to await one.
    ///
    /// # Panics
    /// In any other phase: a mistake of ours, as with [`Phase::attempt`].
    pub fn awaiting_mut(&mut self) -> &mut Awaiting {
        let Phase::AwaitingHead(awaiting) = self else {
            unreachable!("no response head is awaited");
        };
        awaiting
    }
}

/// A connection in the making.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The connection.
    pub upstream: Key<Upstream>,
    /// When this address is given up.
    pub deadline: Tick,
    /// How far the whole has come.
    pub progress: Progress,
}

/// How far connecting has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which of the target's addresses were tried.
    pub tried: Tried,
    /// When the whole is given up.
    pub last_deadline: Tick,
    /// Which targets could not be connected to, as bits.
    pub failed: u64,
}

/// A response head in the making.
#[derive(Debug)]
pub struct Awaiting {
    /// The connection that the request went out on.
    pub upstream: Key<Upstream>,
    /// The request as it was sent, while it may have to be sent again: on a reused connection,
    /// until an answer has begun.
    pub retry: Option<Box<[u8]>>,
    /// How far its answer was searched for the end of the head.
    pub search: HeadSearch,
    /// Interim responses so far.
    pub interims: u8,
    /// Since when the head has been waited for: nothing else was under way.
    pub since: Tick,
}

impl Awaiting {
    /// Nothing of a head is there yet.
    pub fn new(upstream: Key<Upstream>, now: Tick) -> Awaiting {
        Awaiting { upstream, retry: None, search: HeadSearch::response(), interims: 0, since: now }
    }

    /// Another interim response has come, and the waiting begins anew.
    ///
    /// # Errors
    /// There is an end to them.
    pub fn count_interim(&mut self, now: Tick) -> Result<(), &'static str> {
        self.interims += 1;
        self.since = now;
        if self.interims > INTERIMS_MAX {
            return Err("the upstream sends one interim response after the other");
        }
        Ok(())
    }
}

impl Record {
    /// True exactly when the two sides have switched to another protocol.
    pub const fn is_tunnel(&self) -> bool {
        self.status == 101
    }
}

impl Exchange {
    /// An exchange that is in `phase` from the start.
    pub fn new(
        facts: Facts,
        request: Upload,
        api: Option<u16>,
        config: &Rc<Config>,
        phase: Phase,
        record: Record,
        now: Tick,
    ) -> Box<Exchange> {
        Box::new(Exchange {
            phase,
            request,
            response: Pipe::response(now),
            facts,
            config: Rc::clone(config),
            api,
            origin: None,
            place: 0,
            outcome: Outcome::Complete,
            cause: None,
            began: now,
            lease: Tick::NEVER,
            lease_end: LeaseEnd { outcome: Outcome::Complete, closing: false },
            revival: None,
            permit: None,
            caller: None,
            record,
        })
    }

    /// The answer is written here, and this is all of it: it goes out behind whatever is pending.
    pub fn answer(&mut self, status: u16, answer: &[u8], buffers: &mut BufPool, now: Tick) {
        self.record.status = status;
        self.phase = Phase::Answering;
        self.response.queue(answer, buffers, now);
        self.response.take_no_more(buffers);
    }

    /// Its stream, or its tunnel, is to end at a moment, unless it is to end earlier, or is about
    /// to.
    pub fn end_stream_at(&mut self, until: Tick, outcome: Outcome) {
        if until < self.lease && !self.lease_end.closing {
            self.lease = until;
            if !self.lease_end.outcome.spares_nothing() {
                self.lease_end.outcome = outcome;
            }
        }
    }

    /// The word for how it ended; of one that was refused, for why. Who was spared the refusal has
    /// both, with a comma between.
    pub fn reason(&self) -> Cow<'static, str> {
        match (self.ending(), self.cause) {
            (Outcome::Spared, Some(cause)) => {
                format!("{},{}", Outcome::Spared.word(), cause.word()).into()
            }
            (_, Some(cause)) => cause.word().into(),
            (ending, None) => ending.word().into(),
        }
    }

    /// How it has ended, as it is told and counted: who waits in vain leaves or is given up, which
    /// says nothing of what went wrong.
    pub fn ending(&self) -> Outcome {
        let waits = self.revival.as_deref().filter(|revival| revival.lost.is_some());
        // One that is held never had an upstream; one that is resumed has lost it.
        match (waits.map(|revival| revival.gives_up == Tick::NEVER), self.outcome) {
            (Some(true), Outcome::ClientGone | Outcome::UpstreamCut) => Outcome::Held,
            (Some(false), Outcome::ClientGone) => Outcome::Resuming,
            (_, outcome) => outcome,
        }
    }

    /// It is to end at a moment whatever it is, and not later than it was to end before. If it is
    /// about to end it has until the `last` moment.
    pub fn end_at(&mut self, until: Tick, last: Tick, outcome: Outcome) {
        if !self.is_leased() {
            self.lease = until;
        } else {
            self.lease = self.lease.min(if self.lease_end.closing { last } else { until });
        }
        self.lease_end.outcome = outcome;
    }

    /// True exactly when its lease counts. An answer that has an end of its own is left alone by
    /// what ends streams, but for an api or a key that is not there any more.
    pub fn is_leased(&self) -> bool {
        self.is_endless() || self.lease_end.outcome.spares_nothing()
    }

    /// True exactly when it is open for as long as its ends like: an event stream, or a tunnel.
    pub fn is_endless(&self) -> bool {
        self.is_open_stream() || matches!(self.phase, Phase::Tunnel(_))
    }

    /// True exactly when its event stream may be added to, or be ended, by the proxy.
    pub fn is_open_stream(&self) -> bool {
        self.facts.event_stream && self.response.flow() == Flow::Open
    }

    /// Since when nothing has passed: no event of a stream, and no byte of a tunnel in either
    /// direction.
    pub fn still_since(&self) -> Tick {
        if self.record.is_tunnel() { self.active_at() } else { self.response.still_since() }
    }

    /// When a byte last passed, in either direction.
    pub fn active_at(&self) -> Tick {
        let response = self.response.active_at();
        self.request.pipe().map_or(response, |request| request.active_at().max(response))
    }

    /// The api that serves it, if one does.
    pub fn api(&self) -> Option<&Api> {
        self.config.apis.get(usize::from(self.api?))
    }

    /// Nothing was tried yet, and there is time for as long as its api says.
    pub fn begin_connecting(&self, now: Tick) -> Progress {
        let timeout = self.api().map_or(Duration::ZERO, |api| api.connect_timeout);
        Progress { tried: Tried::default(), last_deadline: now.after(timeout), failed: 0 }
    }

    /// The name of the key that let it in: for logs.
    pub fn key_name(&self) -> Option<&Arc<str>> {
        self.key().map(|key| &key.name)
    }

    /// The key that let it in, if it needed one.
    pub fn key(&self) -> Option<&auth::Key> {
        self.caller.as_ref()?.key.as_deref()
    }

    /// The client's own address, behind a connection from `peer`; none on a Unix socket.
    pub fn client(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        self.caller.as_ref().and_then(|caller| caller.client).or(peer)
    }

    /// What its api says about other origins, and what it grants this request; none if that is the
    /// upstream's affair.
    pub fn cors(&self) -> Option<(&cors::Policy, cors::Grant)> {
        Some((self.api()?.cors.as_ref()?, self.facts.grant))
    }

    /// What an answer of ours says about other origins, or one to a preflight; none if that is the
    /// upstream's affair.
    pub fn cors_fields(&self, preflight: bool) -> Option<Vec<Field<'_>>> {
        let (policy, grant) = self.cors()?;
        Some(if preflight { policy.preflight_fields(grant) } else { policy.fields(grant) })
    }

    /// What the head of an event stream of ours says about other origins.
    pub fn stream_cors_fields(&self) -> Vec<Field<'_>> {
        let told = || self.page().map(Page::fields);
        self.cors_fields(false).or_else(told).unwrap_or_default()
    }

    /// See [`Caller::page`].
    pub fn page(&self) -> Option<&Page> {
        self.caller.as_ref()?.page.as_deref()
    }

    /// See [`Caller::page`].
    pub fn page_mut(&mut self) -> Option<&mut Page> {
        self.caller.as_mut()?.page.as_deref_mut()
    }

    /// The upstream connection that it holds, if any.
    pub const fn upstream(&self) -> Option<Key<Upstream>> {
        match &self.phase {
            Phase::Connecting(attempt) => Some(attempt.upstream),
            Phase::AwaitingHead(awaiting) => Some(awaiting.upstream),
            Phase::Relaying(upstream) | Phase::Tunnel(upstream) => Some(*upstream),
            Phase::Answering | Phase::Local(_) | Phase::Holding(_) | Phase::Delivering => None,
        }
    }

    /// True exactly when its client watches the live page's events.
    pub fn is_live(&self) -> bool {
        matches!(&self.phase, Phase::Local(local) if matches!(**local, Local::Live(_)))
    }

    /// The live page's events that its client watches, if it does.
    pub fn live(&mut self) -> Option<&mut Live> {
        let Phase::Local(local) = &mut self.phase else { return None };
        if let Local::Live(live) = &mut **local { Some(live) } else { None }
    }

    /// True exactly when the client has an event stream that has lost its upstream, or has not yet
    /// found one.
    pub fn is_held(&self) -> bool {
        self.revival.as_ref().is_some_and(|revival| revival.lost.is_some())
    }

    /// True when the client's leaving ends it: there is nobody left to do the work for. Not for an
    /// answer of ours, which costs nothing to finish, nor for a tunnel, in which each direction
    /// ends by itself.
    pub const fn ends_with_client(&self) -> bool {
        match &self.phase {
            Phase::Local(local) => local.ends_with_client(),
            Phase::Answering | Phase::Tunnel(_) => false,
            Phase::Connecting(_)
            | Phase::AwaitingHead(_)
            | Phase::Relaying(_)
            | Phase::Holding(_)
            | Phase::Delivering => true,
        }
    }
}
