//! From a request's first byte to its being on its way.

use super::finish::Refusal;
use super::gate;
use super::grants;
use super::head::{Found, find_head, head_limits};
use super::{Parts, Proxy, Step};
use crate::config::{Api, Config};
use crate::conn::Conn;
use crate::cors::Grant;
use crate::demo::{self, Events};
use crate::http::fields::{Names, Nominated};
use crate::http::forward::{self, Forward};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, HeadError, HeadSearch, RequestHead, Version};
use crate::http::upgrade::Offer;
use crate::net::Net;
use crate::pipe::Pipe;
use crate::route::{self, Router};
use crate::session::cause::Cause;
use crate::session::exchange::{Caller, Exchange, Facts, Phase};
use crate::session::local::Local;
use crate::session::upload::Upload;
use crate::session::{Service, Session, State};
use crate::slab;
use crate::time::Tick;
use std::net::IpAddr;
use std::rc::Rc;

/// A request that is to be forwarded; its head stands rewritten in the proxy's head buffer.
struct Accepted {
    api: u16,
    length: BodyLength,
    /// Trailer fields that its Connection field names.
    dropped_trailers: Option<Box<Names>>,
    facts: Facts,
    /// Who asks.
    caller: Caller,
    /// Why it is not forwarded after all.
    refusal: Option<Refusal>,
}

impl<N: Net> Proxy<N> {
    /// Waits for a head, and begins its exchange when it is complete.
    pub(super) fn step_head(&mut self, key: slab::Key<Session>, now: Tick) -> Step {
        let limits = head_limits(&self.config);
        let draining = self.drain.is_some() && self.sessions[key].service != Service::Admin;
        let Parts { session: Session { conn, state, .. }, mut io, .. } = self.parts(key, now);
        let (mut search, since) = match state {
            State::Head { search, since } => (search.clone(), *since),
            State::Idle { .. } | State::Active(_) | State::Lingering { .. } => {
                (HeadSearch::request(), now)
            }
        };
        let found = find_head(conn, &mut search, &limits, &mut io);
        let begun = has_begun(conn);
        if begun || !matches!(found, Found::More | Found::Blocked) {
            self.reclaimable.remove(&mut self.sessions, key);
        }
        match found {
            Found::Complete(end) => self.begin(key, end, now),
            Found::More | Found::Blocked => {
                let moved = matches!(found, Found::More);
                if begun {
                    self.sessions[key].state = State::Head { search, since };
                } else if draining && !moved {
                    return self.close_session(key);
                }
                if moved { Step::Moved } else { Step::Blocked }
            }
            // A client may leave between two requests, or think better of one.
            Found::Ended(_) => self.close_session(key),
            Found::Wrong(error, filled) => {
                let head_only = is_head(&self.scratch[..filled]);
                let request = self.request_line(&self.scratch[..filled]);
                self.refuse(key, request, Refusal { head_only, ..refusal_of(error) }, now)
            }
        }
    }

    /// A complete head stands in the first `end` bytes of the scratch: its exchange begins.
    fn begin(&mut self, key: slab::Key<Session>, end: usize, now: Tick) -> Step {
        let Session { service, peer, .. } = self.sessions[key];
        self.head_buf.clear();
        let bytes = &self.scratch[..end];
        let request = self.request_line(bytes);
        if service == Service::Admin {
            return self.begin_admin(key, request, end, now);
        }
        let accepted = if service == Service::Apis {
            accept(bytes, &request, &self.config, &self.router, peer, &mut self.head_buf)
        } else {
            accept_for_demo(bytes, &self.config, &mut self.head_buf)
        };
        let head_only = is_head(bytes);
        match accepted {
            Err(refusal) => self.refuse(key, request, Refusal { head_only, ..refusal }, now),
            Ok(_) if self.head_buf.len() > self.head_room => {
                let what = "the request head is too long when it is written anew";
                let refusal = Refusal::closing(Cause::MaxHeadBytes, 431, what);
                self.refuse(key, request, Refusal { head_only, ..refusal }, now)
            }
            Ok(accepted) if service == Service::Demo => {
                self.begin_demo(key, request, &accepted, now)
            }
            // Nobody is left to do the work for.
            Ok(_) if self.sessions[key].conn.hung_up() => self.close_session(key),
            Ok(accepted) => self.begin_exchange(key, request, accepted, now),
        }
    }

    /// The head that goes upstream stands in the head buffer.
    fn begin_exchange(
        &mut self,
        key: slab::Key<Session>,
        request: Box<str>,
        accepted: Accepted,
        now: Tick,
    ) -> Step {
        let Accepted { api, length, dropped_trailers, facts, caller, refusal } = accepted;
        let origin = self.api_origins[usize::from(api)];
        let mut record = self.record_of(Service::Apis, request);
        record.stats = Some(Rc::clone(&self.origins[origin].stats));
        // Where it stands until an upstream is found, or it is refused.
        let phase = Phase::Answering;
        let body_max = self.config.server.max_body_bytes.unwrap_or(u64::MAX);
        let mut request = Pipe::request(length, body_max, now);
        request.drop_trailers(dropped_trailers);
        request.queue(&self.head_buf, &mut self.buffers, now);
        let request = Upload::Moving(Box::new(request));
        let mut exchange =
            Exchange::new(facts, request, Some(api), &self.config, phase, record, now);
        exchange.origin = Some(origin);
        exchange.caller = caller.is_known().then(|| Box::new(caller));
        exchange.keep_for_revival(&self.head_buf);
        self.sessions[key].state = State::Active(exchange);
        let admitted = refusal.map_or_else(|| self.admit_stream(key), Err);
        let found = admitted.and_then(|()| self.find_upstream(key, now));
        self.enter(key, found, now)
    }

    /// The built-in source answers: its head stands in the head buffer, events follow.
    fn begin_demo(
        &mut self,
        key: slab::Key<Session>,
        request: Box<str>,
        accepted: &Accepted,
        now: Tick,
    ) -> Step {
        let Some(demo) = &self.config.demo else { return self.close_session(key) };
        let phase = match accepted.facts.is_head {
            true => Phase::Answering,
            false => Phase::Local(Box::new(Local::Demo(Events::new(now, demo.interval)))),
        };
        let to = match accepted.facts.is_head {
            true => BodyLength::Empty,
            false => BodyLength::untold(accepted.facts.version),
        };
        let Accepted { length, facts, .. } = *accepted;
        let record = self.record_of(Service::Demo, request);
        let request = Upload::untaken(length);
        let mut exchange = Exchange::new(facts, request, None, &self.config, phase, record, now);
        exchange.record.status = 200;
        exchange.response.begin(to, to, now);
        exchange.response.queue(&self.head_buf, &mut self.buffers, now);
        if to == BodyLength::Empty {
            self.sessions[key].state = State::Active(exchange);
            return Step::Moved;
        }
        exchange.facts.event_stream = true;
        exchange.watch_events();
        self.sessions[key].state = State::Active(exchange);
        self.stream_opened(key, now)
    }
}

/// True exactly when more than empty lines has come of a next head; those may precede it (RFC 9112
/// section 2.2), and mean nothing by themselves.
fn has_begun(conn: &Conn) -> bool {
    conn.ahead().iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// True exactly when a head, be it ever so wrong, is one of HEAD: its answer has no body.
fn is_head(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"HEAD ")
}

/// Judges a head for the apis and writes into `out` what goes upstream. `request` is what is told
/// of it.
fn accept(
    bytes: &[u8],
    request: &str,
    config: &Config,
    router: &Router,
    peer: Option<IpAddr>,
    out: &mut Vec<u8>,
) -> Result<Accepted, Refusal> {
    let mut store = FieldStore::new();
    let head = RequestHead::parse(bytes, &mut store, &head_limits(config)).map_err(refusal_of)?;
    let host = head.authority.unwrap_or("-");
    log::debug!("{request} for {host} from {}", shown(peer));
    let stay = |refusal: Refusal| Refusal {
        close: refusal.status == 400 || !head.length.is_empty() || !head.persistent,
        ..refusal
    };
    let refuse = |cause, status, what| stay(Refusal::closing(cause, status, what));
    if head.max_forwards == Some(0) {
        let what = "Max-Forwards is used up";
        let trace = head.is_trace();
        return Err(if trace {
            refuse(Cause::Method, 405, what)
        } else {
            stay(Refusal::no_content(what))
        });
    }
    let max = config.server.max_body_bytes.unwrap_or(u64::MAX);
    if matches!(head.length, BodyLength::Length(n) if n > max) {
        return Err(Refusal::too_long_body());
    }
    let mut path = Vec::new();
    head.target.resolve_path(&mut path).map_err(|error| refuse(Cause::Path, 400, error.what()))?;
    let id = find(&head, &path, router)
        .ok_or_else(|| refuse(Cause::NoApi, 404, "no api matches, or it is not active"))?;
    let api = &config.apis[usize::from(id)];
    refuse_other_readings(&head, &path, id, api, router)
        .map_err(|what| refuse(Cause::Path, 400, what))?;
    let offer = Offer::of(head.upgrade, &config.server.upgrade);
    let forwarded = head.fields.elements("X-Forwarded-For");
    let client = config.server.trusted_proxies.client(peer, forwarded);
    let client = client.filter(|_| client != peer);
    let grant = gate::grant(api, &head);
    let facts = Facts { grant, ..facts_of(&head, offer) };
    let mut dropped_trailers = Nominated::by(head.fields).names();
    if head.length == BodyLength::Chunked {
        // A key behind a body is a key all the same, and nobody has judged it.
        let key = api.auth.iter().map(|auth| auth.carriers.header.as_str());
        dropped_trailers = Names::and(dropped_trailers, key.chain(api.request_headers.names()));
    }
    let mut accepted = Accepted {
        api: id,
        length: head.length,
        dropped_trailers,
        facts,
        caller: Caller { client, page: grants::page_of(api, &head), ..Caller::default() },
        refusal: None,
    };
    let pass = match gate::admit(api, &head) {
        Ok(pass) => pass,
        Err(refusal) => return Ok(Accepted { refusal: Some(refusal), ..accepted }),
    };
    let preserved = head.authority.filter(|_| api.preserve_host_header);
    let to = Forward {
        path_and_query: &upstream_target(api, &path, pass.query.as_deref()),
        host: preserved.unwrap_or(&api.target().authority),
        client: peer,
        peer_trusted: config.server.trusted_proxies.contains(peer),
        proto: "http",
        length: head.length,
        upgrade: offer != Offer::NOTHING,
        // Behind a response without a body there may be one, so its connection is not used again.
        close: api.keepalive_upstream == 0 || head.is_head(),
        changes: Some(&api.request_headers),
        key: pass.handover(api),
    };
    forward::write_request(out, &head, &to);
    accepted.caller.key = pass.key;
    Ok(accepted)
}

fn shown(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "a unix socket".to_owned(), |address| address.to_string())
}

/// The api that serves a request. `OPTIONS *` asks for the server as a whole (RFC 9112 section
/// 3.2.4), which only an api with all of its paths can speak for.
fn find(head: &RequestHead<'_, '_>, path: &[u8], router: &Router) -> Option<route::RouteId> {
    let path = if head.target.asterisk { b"/" } else { path };
    router.find(head.authority, path)
}

/// Refuses a path that a server may read as one of another api that is guarded: the api that it
/// leads to as it stands may ask for less.
fn refuse_other_readings(
    head: &RequestHead<'_, '_>,
    path: &[u8],
    id: route::RouteId,
    api: &Api,
    router: &Router,
) -> Result<(), &'static str> {
    let mut guarded = router.is_guarded_otherwise(head.authority, path, id)?;
    if !guarded && router.shares_servers(id) {
        let (listen_path, base) = (&api.listen_path, &api.target().path);
        let mut upstream = Vec::new();
        let strip = api.strip_listen_path;
        route::upstream_path(listen_path, strip, base, None, path, None, &mut upstream);
        guarded = router.is_guarded_upstream(&upstream, id)?;
    }
    if guarded { Err("a path that is a guarded api's if it is read otherwise") } else { Ok(()) }
}

/// The request target that goes upstream, for a path that was matched.
fn upstream_target(api: &Api, path: &[u8], query: Option<&str>) -> Vec<u8> {
    match path {
        b"*" => path.to_vec(),
        _ => api.upstream_target(path, query.map(str::as_bytes)),
    }
}

/// Judges a head for the built-in source and writes the response's head into `out`.
fn accept_for_demo(bytes: &[u8], config: &Config, out: &mut Vec<u8>) -> Result<Accepted, Refusal> {
    let mut store = FieldStore::new();
    let head = RequestHead::parse(bytes, &mut store, &head_limits(config)).map_err(refusal_of)?;
    if head.method != "GET" && !head.is_head() {
        let what = "the built-in source takes GET and HEAD";
        let refusal = Refusal::closing(Cause::Method, 405, what);
        return Err(Refusal { fields: &[("Allow", "GET, HEAD")], ..refusal });
    }
    if !demo::PATHS.contains(&head.target.path) || !head.length.is_empty() {
        let what = "the built-in source is at /events/";
        return Err(Refusal::closing(Cause::NotFound, 404, what));
    }
    let mut facts = facts_of(&head, Offer::NOTHING);
    facts.persistent &= facts.is_head;
    demo::write_head(out, head.version == Version::Http11 && !facts.is_head);
    let (length, dropped_trailers) = (BodyLength::Empty, None);
    Ok(Accepted {
        api: 0,
        length,
        dropped_trailers,
        facts,
        caller: Caller::default(),
        refusal: None,
    })
}

/// What the rest of the exchange has to know of its request.
pub(super) fn facts_of(head: &RequestHead<'_, '_>, upgrade: Offer) -> Facts {
    let is_get = head.method == "GET" && head.length.is_empty();
    Facts {
        version: head.version,
        is_head: head.is_head(),
        persistent: head.persistent,
        retryable: head.is_idempotent() && head.length.is_empty(),
        upgrade,
        awaits_continue: head.expects_continue && !head.length.is_empty(),
        is_get,
        wants_events: is_get && head.accepts_event_stream && upgrade == Offer::NOTHING,
        event_stream: false,
        grant: Grant::Nothing,
    }
}

pub(super) fn refusal_of(error: HeadError) -> Refusal {
    Refusal::closing(Cause::of_head(error), error.status(), error.what())
}
