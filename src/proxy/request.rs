//! From a request's first byte to its being on its way.

use super::finish::Refusal;
use super::{Parts, Proxy, Step};
use crate::config::{Api, Config, Target};
use crate::conn::Read;
use crate::demo::{self, Events};
use crate::exchange::{Exchange, Facts, Outcome, Phase};
use crate::http::forward::{self, Forward};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, HeadError, HeadLimits, HeadSearch, RequestHead, Version};
use crate::net::Net;
use crate::pipe::Pipe;
use crate::route::{self, Router};
use crate::session::{Service, Session, State};
use crate::slab::Key;
use crate::time::Tick;
use std::net::IpAddr;
use std::rc::Rc;

/// A request that is to be forwarded; its head stands rewritten in the proxy's head buffer.
struct Accepted {
    api: u16,
    length: BodyLength,
    facts: Facts,
}

impl<N: Net> Proxy<N> {
    /// Waits for a head, and begins its exchange when it is complete.
    pub(super) fn step_head(&mut self, key: Key<Session>, now: Tick) -> Step {
        let limits = head_limits(&self.config);
        let draining = self.drain.is_some();
        let Parts { session: Session { conn, state, .. }, io, .. } = self.parts(key, now);
        let (mut search, since) = match state {
            State::Head { search, since } => (search.clone(), *since),
            State::Idle { .. } | State::Active(_) | State::Lingering { .. } => {
                (HeadSearch::request(), now)
            }
        };
        let kept = conn.ahead().len();
        if kept == 0 && draining && matches!(state, State::Idle { .. }) {
            return self.close_session(key);
        }
        io.scratch[..kept].copy_from_slice(conn.ahead());
        let mut filled = kept;
        let mut found = search.find(&io.scratch[..filled], &limits);
        if found == Ok(None) {
            match conn.read(io.net, &mut io.scratch[kept..limits.head_bytes]) {
                Read::Bytes(n) => filled += n,
                Read::Blocked => return Step::Blocked,
                // A client may leave between two requests, or think better of one.
                Read::End | Read::Broken => return self.close_session(key),
            }
            found = search.find(&io.scratch[..filled], &limits);
        }
        match found {
            Ok(Some(end)) => {
                conn.consume(kept, io.buffers);
                conn.keep(&io.scratch[end..filled], io.buffers);
                self.begin(key, end, now)
            }
            Ok(None) => {
                conn.keep(&io.scratch[kept..filled], io.buffers);
                *state = State::Head { search, since };
                Step::Moved
            }
            Err(error) => self.refuse(key, refusal_of(error, false), now),
        }
    }

    /// A complete head stands in the first `end` bytes of the scratch: its exchange begins.
    fn begin(&mut self, key: Key<Session>, end: usize, now: Tick) -> Step {
        let session = &self.sessions[key];
        let (service, peer) = (session.service, session.peer);
        self.head.clear();
        let bytes = &self.scratch[..end];
        let accepted = match service {
            Service::Apis => accept(bytes, &self.config, &self.router, peer, &mut self.head),
            Service::Demo => accept_for_demo(bytes, &self.config, &mut self.head),
        };
        let accepted = match accepted {
            Ok(accepted) if self.head.len() <= self.buffers.block() => accepted,
            Ok(_) => return self.refuse(key, refusal_of(HeadError::TooLarge, false), now),
            Err(refusal) => return self.refuse(key, refusal, now),
        };
        let mut exchange = self.exchange_for(&accepted, now);
        if service == Service::Demo {
            return self.begin_demo(key, exchange, now);
        }
        // Nobody is left to do the work for.
        if self.sessions[key].conn.hung_up() {
            return self.close_session(key);
        }
        exchange.request.queue(&self.head, &mut self.buffers, now);
        self.sessions[key].state = State::Active(exchange);
        self.find_upstream(key, now)
    }

    fn exchange_for(&self, accepted: &Accepted, now: Tick) -> Box<Exchange> {
        let mut facts = accepted.facts;
        facts.persistent &= self.drain.is_none();
        Box::new(Exchange {
            phase: Phase::Answering,
            request: Pipe::new(accepted.length, accepted.length, now),
            response: Pipe::new(BodyLength::Empty, BodyLength::Empty, now),
            facts,
            retry: None,
            config: Rc::clone(&self.config),
            api: Some(accepted.api),
            status: 0,
            outcome: Outcome::Complete,
            began: now,
        })
    }

    /// The built-in source answers: the head stands in the head buffer, events follow.
    fn begin_demo(&mut self, key: Key<Session>, mut exchange: Box<Exchange>, now: Tick) -> Step {
        let Some(demo) = &self.config.demo else {
            return self.close_session(key);
        };
        exchange.api = None;
        exchange.status = 200;
        if !exchange.facts.head {
            exchange.phase = Phase::Local(Events::new(now, demo.interval));
            let to = match exchange.facts.version {
                Version::Http11 => BodyLength::Chunked,
                Version::Http10 => BodyLength::UntilClose,
            };
            exchange.response = Pipe::new(BodyLength::UntilClose, to, now);
        }
        exchange.response.queue(&self.head, &mut self.buffers, now);
        self.sessions[key].state = State::Active(exchange);
        Step::Moved
    }
}

/// Judges a head for the apis and writes into `out` what goes upstream.
fn accept(
    bytes: &[u8],
    config: &Config,
    router: &Router,
    peer: Option<IpAddr>,
    out: &mut Vec<u8>,
) -> Result<Accepted, Refusal> {
    let mut store = FieldStore::new();
    let head = RequestHead::parse(bytes, &mut store, &head_limits(config))
        .map_err(|error| refusal_of(error, false))?;
    let refuse = |status, what| Refusal {
        close: status == 400 || status == 413 || !head.length.is_empty(),
        head: head.is_head(),
        ..Refusal::closing(status, what)
    };
    if head.max_forwards == Some(0) {
        return Err(refuse(if head.is_trace() { 405 } else { 204 }, "Max-Forwards is used up"));
    }
    let max = config.server.max_body_bytes.unwrap_or(u64::MAX);
    if matches!(head.length, BodyLength::Length(n) if n > max) {
        return Err(Refusal { head: head.is_head(), ..Refusal::too_long_body() });
    }
    let mut path = Vec::new();
    head.target.resolve_path(&mut path).map_err(|error| refuse(400, error.what()))?;
    let id = find(&head, &path, router).ok_or_else(|| refuse(404, "no api matches"))?;
    let api = &config.apis[usize::from(id)];
    let upgrade = config.server.enable_websockets && head.upgrade.is_some();
    let preserved = head.authority.filter(|_| api.preserve_host_header);
    let to = Forward {
        path_and_query: &upstream_target(api, &path, head.target.query),
        host: preserved.unwrap_or(&api.target.authority),
        client: peer,
        peer_trusted: config.server.trusted_proxies.contains(peer),
        proto: "http",
        length: head.length,
        upgrade,
        close: api.keepalive_upstream == 0,
    };
    forward::write_request(out, &head, &to);
    Ok(Accepted { api: id, length: head.length, facts: facts_of(&head, upgrade) })
}

/// The api that serves a request. `OPTIONS *` asks for the server as a whole (RFC 9112 section
/// 3.2.4), which only an api with all of its paths can speak for.
fn find(head: &RequestHead<'_, '_>, path: &[u8], router: &Router) -> Option<route::RouteId> {
    let path = if head.target.asterisk { b"/" } else { path };
    router.find(head.authority, path)
}

/// The request target that goes upstream, for a path that was matched.
fn upstream_target(api: &Api, path: &[u8], query: Option<&str>) -> Vec<u8> {
    let mut target = Vec::new();
    if path == b"*" {
        return path.to_vec();
    }
    let Target { path: base, query: base_query, .. } = &api.target;
    let base_query = base_query.as_deref();
    let query = query.map(str::as_bytes);
    let strip = api.strip_listen_path;
    route::upstream_path(&api.listen_path, strip, base, base_query, path, query, &mut target);
    target
}

/// Judges a head for the built-in source and writes the response's head into `out`.
fn accept_for_demo(bytes: &[u8], config: &Config, out: &mut Vec<u8>) -> Result<Accepted, Refusal> {
    let mut store = FieldStore::new();
    let head = RequestHead::parse(bytes, &mut store, &head_limits(config))
        .map_err(|error| refusal_of(error, false))?;
    let refuse = |status, what| Refusal { head: head.is_head(), ..Refusal::closing(status, what) };
    if head.method != "GET" && !head.is_head() {
        let what = "the built-in source takes GET and HEAD";
        return Err(Refusal { fields: &[("Allow", "GET, HEAD")], ..refuse(405, what) });
    }
    if head.target.path != demo::PATH || !head.length.is_empty() {
        return Err(refuse(404, "the built-in source is at /events/"));
    }
    let mut facts = facts_of(&head, false);
    facts.persistent &= facts.head;
    demo::write_head(out, head.version == Version::Http11 && !facts.head);
    Ok(Accepted { api: 0, length: BodyLength::Empty, facts })
}

/// What the rest of the exchange has to know of its request.
fn facts_of(head: &RequestHead<'_, '_>, upgrade: bool) -> Facts {
    Facts {
        version: head.version,
        head: head.is_head(),
        persistent: head.persistent,
        repeatable: head.is_idempotent() && head.length.is_empty(),
        upgrade,
        awaits_continue: head.expects_continue && !head.length.is_empty(),
        event_stream: false,
    }
}

fn refusal_of(error: HeadError, head: bool) -> Refusal {
    Refusal { head, limit: error.limit(), ..Refusal::closing(error.status(), error.what()) }
}

/// The limits on a head, of a request and of a response alike.
pub(super) fn head_limits(config: &Config) -> HeadLimits {
    HeadLimits {
        head_bytes: config.server.max_head_bytes,
        head_fields: config.server.max_head_fields,
        target_bytes: config.server.max_target_bytes,
    }
}
