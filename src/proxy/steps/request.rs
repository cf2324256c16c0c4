//! Requests, from the first byte to the start of an exchange.

use super::ends::{self, refused};
use super::head::{Found, find_head, head_limits};
use super::{authorize, demo, grants, handshake, last_event_id, sticky, to_https};
use crate::access::Told;
use crate::config::{Api, Compression, Config};
use crate::conn::Conn;
use crate::edge::rates::Rates;
use crate::edge::{admission, authz};
use crate::exchange::{Asked, Begin, Caller, Exchange, LocalReply, Outbound, RequestFacts};
use crate::exchange::{Shareable, Upload};
use crate::http::client_address::ClientAddress;
use crate::http::client_cert::Shown;
use crate::http::fields::{Names, Nominated, unquoted_elements};
use crate::http::forward::{self, Forward, OutboundHead};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, HeadSearch, RequestHead, Version};
use crate::http::upgrade::Offer;
use crate::locked::Locked;
use crate::net::Net;
use crate::proxy::admin;
use crate::proxy::next::{Action, Next};
use crate::proxy::phase::Phase;
use crate::proxy::shared::Shared;
use crate::proxy::sharing::share;
use crate::route::{self, RouteId, Router};
use crate::session::{Service, Session, State};
use crate::telemetry::{Cause, Veto};
use crate::time::Tick;
use std::net::IpAddr;
use std::rc::Rc;

/// Waits for a request head and begins its exchange once it is complete.
pub(crate) fn run<N: Net>(session: &mut Session, shared: &mut Shared<N>, now: Tick) -> Next {
    if !handshake::takes_request(session, shared) {
        return Next::Linger;
    }
    let Session { conn, state, service, peer, is_secure, is_https, is_anonymous, .. } = session;
    let (service, peer, is_secure, is_https) = (*service, *peer, *is_secure, *is_https);
    let is_trusted = !*is_anonymous && shared.config.server.trusted_proxies.contains(peer);
    let mut new = HeadSearch::request();
    let (search, begun, fresh) = match state {
        State::Head { search, .. } => (search, true, false),
        State::Idle { fresh, .. } => (&mut new, false, *fresh),
        State::ProxyHeader { .. }
        | State::Handshake { .. }
        | State::Active(_)
        | State::Lingering { .. } => (&mut new, false, false),
    };
    let may_wait = begun || fresh || !shared.phase.is_closed() || service.is_for_operators();
    let (mut io, _) = shared.memory.split(&mut shared.net, None, now);
    let length = match find_head(conn, search, &head_limits(&shared.config), &mut io) {
        Found::Complete(bytes) => bytes.len(),
        // The client's end was read while its last request was served.
        Found::Blocked if conn.hung_up() => return Next::Close,
        Found::More | Found::Blocked if !begun && has_begun(conn) => return Next::Head(new),
        Found::More => return Next::Moved,
        Found::Blocked if may_wait => return Next::Blocked,
        Found::Blocked => return Next::Close,
        // A client may leave between two requests, or abandon one.
        Found::Ended(_) => return Next::Close,
        Found::Wrong(error, bytes) => {
            let (is_head, told) = (is_head(bytes), shared.telemetry.tell(bytes));
            return refused(shared, service, told, is_head, LocalReply::of_head(error), now);
        }
    };
    let shown = handshake::shown(conn, is_secure, shared);
    let from = Sender { peer, is_trusted, is_https, shown: shown.as_ref() };
    let (io, out) = shared.memory.split(&mut shared.net, None, now);
    let bytes = &io.scratch[..length];
    let (is_head, told) = (is_head(bytes), shared.telemetry.tell(bytes));
    let refusal = match service {
        Service::Apis => {
            let rules = Rules {
                config: &shared.config,
                router: &shared.router,
                rates: &shared.edge.totals.rates,
                now,
            };
            match check_request(bytes, &told, rules, from, out)
                .and_then(|checked| Ok(fits(checked, shared.memory.head_room())?))
            {
                Ok(checked) => return begin(checked, told, conn, from.peer, shared, now),
                Err(Refusal::Reply(refusal)) => refusal,
                Err(Refusal::Redirect(location)) => {
                    return ends::redirected(shared, told, is_head, location, now);
                }
            }
        }
        Service::Demo => match demo::check_request(bytes, &shared.config) {
            Ok(checked) => return demo::begin(checked, told, shared, now),
            Err(refusal) => refusal,
        },
        Service::Admin | Service::Probes => {
            match admin::check_request(bytes, service, &shared.config) {
                Ok(checked) => return admin::begin(checked, told, shared, now),
                Err(refusal) => refusal,
            }
        }
    };
    refused(shared, service, told, is_head, refusal, now)
}

/// True if any bytes of a next head other than empty lines have arrived. Empty lines may precede it
/// (RFC 9112 section 2.2) and mean nothing by themselves.
fn has_begun(conn: &Conn) -> bool {
    conn.ahead().iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// True if a head, however malformed, has the method HEAD: its response has no body.
fn is_head(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"HEAD ")
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Sender<'a> {
    /// The address of the client or of a proxy in front. None for a Unix socket.
    peer: Option<IpAddr>,
    /// True if that is a trusted proxy, whose forwarding fields are believed.
    is_trusted: bool,
    /// True if the client sent it over TLS.
    is_https: bool,
    /// What the client presented, if clients are asked for a certificate.
    shown: Option<&'a Shown>,
}

/// What a request is checked against.
struct Rules<'a> {
    config: &'a Config,
    router: &'a Router,
    rates: &'a Locked<Rates>,
    now: Tick,
}

/// The answer to a request that no api serves.
enum Refusal {
    Reply(LocalReply),
    /// It is redirected to this URL.
    Redirect(Box<str>),
}

impl From<LocalReply> for Refusal {
    fn from(reply: LocalReply) -> Refusal {
        Refusal::Reply(reply)
    }
}

/// A request that an api serves or refuses.
struct Checked {
    /// The api's index in the configuration.
    api: RouteId,
    facts: RequestFacts,
    keeps_alive: bool,
    awaits_continue: bool,
    length: BodyLength,
    /// True if the body may ask for an event stream.
    may_ask_in_body: bool,
    /// True if it may be answered before the upstream has answered.
    may_answer_early: bool,
    /// Trailer fields that are not forwarded.
    dropped_trailers: Option<Box<Names>>,
    caller: Caller,
    /// What the request reveals about its client, if the api uses that.
    shown: Option<sticky::Shown>,
    /// The question for the auth server, if there is one.
    question: Option<Rc<[u8]>>,
    /// True if its client has an id from an earlier event stream.
    has_event_id: bool,
    /// How it may share its stream, or why not, if the api shares streams.
    share: Option<Result<Shareable, Veto>>,
    /// The last event that the client has seen, if one of our logs gave it its id.
    own_id: Option<Box<[u8]>>,
    /// The head that goes upstream, or the reply if the request is refused.
    outbound: Result<OutboundHead, LocalReply>,
}

/// Checks a request head for the apis. `told` is what the logs say about it. `out` is an empty
/// buffer for the head that goes upstream.
fn check_request(
    bytes: &[u8],
    told: &Told,
    rules: Rules<'_>,
    from: Sender<'_>,
    out: &mut Vec<u8>,
) -> Result<Checked, Refusal> {
    let mut store = FieldStore::new();
    let head = RequestHead::parse(bytes, &mut store, &head_limits(rules.config))
        .map_err(LocalReply::of_head)?;
    let (line, host) = (told.line(), head.authority.unwrap_or("-"));
    log::debug!("{line} for {host} from {}", peer_text(from.peer));
    check_head(&head, rules, from, out).map_err(|refusal| match refusal {
        Refusal::Reply(reply) => Refusal::Reply(reply.in_json_if(head.accepts_json)),
        Refusal::Redirect(_) => refusal,
    })
}

/// Checks a well-formed request head.
fn check_head(
    head: &RequestHead<'_, '_>,
    rules: Rules<'_>,
    from: Sender<'_>,
    out: &mut Vec<u8>,
) -> Result<Checked, Refusal> {
    let Rules { config, router, rates, now } = rules;
    check_limits(head, config, from)?;
    let mut path = Vec::new();
    let found = find_api(head, config, router, &mut path);
    if !from.is_https
        && let Some(location) = to_https::location(head, found, config, from.is_trusted)?
    {
        return Err(Refusal::Redirect(location));
    }
    let id = found?;
    let api = &config.apis[usize::from(id)];
    let offer = Offer::of(head.upgrade, &config.server.upgrade);
    let facts = RequestFacts::of(head, offer, authz::grant(api, head), &api.streams);
    let address = client_address(head, config, from);
    let client = Some(address).filter(|address| *address != ClientAddress::from(from.peer));
    let may_ask_in_body = api.streams.heed_bodies()
        && !facts.may_stream
        && head.fields.has_media_type("application/json");
    let may_answer_early = api.streams.early_answer.is_some()
        && (facts.may_stream || may_ask_in_body)
        && matches!(head.method, "GET" | "POST");
    let page = grants::page_of(api, head, may_answer_early);
    let subject = from.shown.and_then(Shown::subject).map(Box::from);
    let has_certificate = matches!(from.shown, Some(Shown::Certificate { .. }));
    let mut caller = Caller { client, page, subject, has_certificate, ..Caller::default() };
    let mut question = None;
    let (mut share, mut own_id) = (None, None);
    let admitted = authz::check_address(api, address)
        .and_then(|()| rates.with(|rates| rates.admit_address(&api.name, address, now)))
        .and_then(|()| check_body(head, api, config));
    let authorized = admitted.and_then(|()| authz::authorize(api, head, from.shown));
    let outbound = authorized.and_then(|pass| {
        let query = last_event_id::lift(api, head, pass.query.as_deref())?;
        let target = upstream_target(api, &path, query.rest.as_deref());
        let mut to = forwarding(head, &target, &pass, api, from, facts);
        to.last_event_id = query.id.as_deref();
        // The head goes upstream before the body shows whether it asks for a stream. After a head
        // written by this proxy, the client would not know about a content coding.
        let strips = api.streams.compression == Compression::Strip;
        to.uncoded |= may_answer_early || may_ask_in_body && strips;
        let outbound = forward::outbound(out, head, &to);
        if api.forward_auth.is_some() {
            out.clear();
            forward::write_question(out, head, &to, &path, pass.query.as_deref());
            question = Some(Rc::from(out.as_slice()));
        }
        let rest = query.rest.as_deref();
        share = share::judge(head, api, facts, (&path, rest), pass.key.as_deref(), &to, out);
        own_id = share.as_ref().and_then(|_| share::own_id(head, api, &to));
        if api.rewrite_redirects {
            caller.asked = asked(head, &to).map(Box::new);
        }
        caller.key = pass.key;
        Ok(outbound)
    });
    Ok(Checked {
        api: id,
        facts,
        keeps_alive: head.persistent,
        awaits_continue: head.expects_continue && !head.length.is_empty(),
        length: head.length,
        may_ask_in_body,
        may_answer_early,
        dropped_trailers: dropped_trailers(api, head),
        caller,
        shown: sticky::shown(api, head),
        question,
        has_event_id: facts.may_stream && has_event_id(head),
        share,
        own_id,
        outbound,
    })
}

/// True if the request names an event after which its stream should continue.
fn has_event_id(head: &RequestHead<'_, '_>) -> bool {
    head.fields.get("Last-Event-ID").is_some_and(|id| !id.is_empty())
}

/// The address of the client, as far as it is known.
fn client_address(head: &RequestHead<'_, '_>, config: &Config, from: Sender<'_>) -> ClientAddress {
    let forwarded = head.fields.all("X-Forwarded-For").flat_map(unquoted_elements);
    let forwarded = forwarded.filter(|_| from.is_trusted);
    config.server.trusted_proxies.client(from.peer, forwarded)
}

/// What the client asked for, as far as it is known.
fn asked(head: &RequestHead<'_, '_>, to: &Forward<'_>) -> Option<Asked> {
    Some(Asked {
        host: head.authority?.into(),
        is_secure: forward::proto(head, to).eq_ignore_ascii_case(b"https"),
        prefix: str::from_utf8(forward::outer_prefix(head, to)).ok()?.into(),
    })
}

/// How an authorised request is forwarded to `target`.
fn forwarding<'a>(
    head: &RequestHead<'_, 'a>,
    target: &'a [u8],
    pass: &'a authz::Pass<'_>,
    api: &'a Api,
    from: Sender<'a>,
    facts: RequestFacts,
) -> Forward<'a> {
    Forward {
        path_and_query: target,
        host: if api.preserve_host_header { head.authority } else { api.host_header.as_deref() },
        client: from.peer,
        peer_trusted: from.is_trusted,
        proto: if from.is_https { "https" } else { "http" },
        stripped: if api.strip_listen_path { &api.listen_path } else { "" },
        length: head.length,
        upgrade: facts.upgrade != Offer::NOTHING,
        uncoded: facts.may_stream && api.streams.compression == Compression::Strip,
        // A body may follow a response that must have none, so the connection is not reused.
        close: api.keepalive_upstream == 0 || api.send_proxy || head.is_head(),
        changes: Some(&api.request_headers),
        last_event_id: None,
        key: pass.handover(api),
        shown: from.shown,
    }
}

/// Checks what applies to every request, whichever api serves it.
fn check_limits(
    head: &RequestHead<'_, '_>,
    config: &Config,
    from: Sender<'_>,
) -> Result<(), LocalReply> {
    // The prefix is part of the target that the client asked for, and it is echoed in redirects.
    let removed = head.fields.only(forward::PREFIX).filter(|_| from.is_trusted);
    if removed.is_some_and(|prefix| prefix.len() > config.server.max_target_bytes) {
        let what = "X-Forwarded-Prefix is too long";
        return Err(staying(head, LocalReply::refused(Cause::MaxTargetBytes, 414, what)));
    }
    // The response to TRACE echoes the request as the server received it, including what only the
    // server should see.
    if head.is_trace() {
        let what = "TRACE is not supported";
        return Err(staying(head, LocalReply::refused(Cause::Method, 405, what)));
    }
    if head.max_forwards == Some(0) {
        return Err(staying(head, LocalReply::no_content("Max-Forwards is 0")));
    }
    Ok(())
}

/// Refuses a body whose announced length exceeds the api's limit.
fn check_body(head: &RequestHead<'_, '_>, api: &Api, config: &Config) -> Result<(), LocalReply> {
    match head.length {
        BodyLength::Length(n) if n > body_max(api, config) => {
            Err(LocalReply::too_long_body(Some(api)))
        }
        BodyLength::Empty
        | BodyLength::Length(_)
        | BodyLength::Chunked
        | BodyLength::UntilClose => Ok(()),
    }
}

/// The maximum length of a request body in bytes.
fn body_max(api: &Api, config: &Config) -> u64 {
    api.clients.max_body_bytes.or(config.server.max_body_bytes).unwrap_or(u64::MAX)
}

/// Lets the connection stay open after a refusal, unless it is a 400, the rest of the request would
/// have to be read, or the client speaks HTTP/1.0 and would have to be told that it stays open.
fn staying(head: &RequestHead<'_, '_>, refusal: LocalReply) -> LocalReply {
    let persistent = head.persistent && head.version == Version::Http11;
    refusal.closing(refusal.status == 400 || !head.length.is_empty() || !persistent)
}

/// Finds the api that serves a request, and appends its resolved path to `path`. `OPTIONS *` is
/// about the server as a whole (RFC 9112 section 3.2.4), so only an api that covers all paths can
/// serve it.
fn find_api(
    head: &RequestHead<'_, '_>,
    config: &Config,
    router: &Router,
    path: &mut Vec<u8>,
) -> Result<RouteId, LocalReply> {
    let refuse = |cause, status, what| staying(head, LocalReply::refused(cause, status, what));
    head.target.resolve_path(path).map_err(|error| refuse(Cause::Path, 400, error.what()))?;
    let id = router
        .find(head.authority, if head.target.asterisk { b"/" } else { path })
        .ok_or_else(|| refuse(Cause::NoApi, 404, "no active api matches"))?;
    refuse_other_readings(head, path, id, &config.apis[usize::from(id)], router)
        .map_err(|what| refuse(Cause::Path, 400, what))?;
    Ok(id)
}

/// Refuses a path that a server may also read as belonging to another, guarded api. The api that it
/// matches literally may require less.
fn refuse_other_readings(
    head: &RequestHead<'_, '_>,
    path: &[u8],
    id: RouteId,
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
    if guarded { Err("the path can also be read as one of a guarded api") } else { Ok(()) }
}

/// The request target that goes upstream for a matched path.
fn upstream_target(api: &Api, path: &[u8], query: Option<&str>) -> Vec<u8> {
    match path {
        b"*" => path.to_vec(),
        _ => api.upstream_target(path, query.map(str::as_bytes)),
    }
}

/// The trailer fields that are not forwarded: those that are not forwarded in the head either.
fn dropped_trailers(api: &Api, head: &RequestHead<'_, '_>) -> Option<Box<Names>> {
    let nominated = Nominated::by(head.fields).names();
    if head.length != BodyLength::Chunked {
        return nominated;
    }
    // A key in the trailers is still a key, and it was not checked.
    let key = api.auth.iter().flat_map(|auth| &auth.carriers.headers).map(String::as_str);
    Names::and(nominated, key.chain(api.request_headers.names()))
}

/// Refuses a request whose rewritten head is longer than `room`.
fn fits(checked: Checked, room: usize) -> Result<Checked, LocalReply> {
    match &checked.outbound {
        Ok(outbound) if authorize::size_of(outbound, checked.question.is_some()) > room => {
            let what = "the rewritten request head is too long";
            Err(LocalReply::refused(Cause::MaxHeadBytes, 431, what))
        }
        _ => Ok(checked),
    }
}

/// Begins the exchange of a request that an api serves or refuses.
fn begin<N: Net>(
    checked: Checked,
    told: Told,
    conn: &Conn,
    peer: Option<IpAddr>,
    shared: &mut Shared<N>,
    now: Tick,
) -> Next {
    // The client has left, so no one needs the response.
    if conn.hung_up() {
        return Next::Close;
    }
    let Checked { api, facts, keeps_alive, length, dropped_trailers, caller, .. } = checked;
    let state_key = shared.apis.key_at(api);
    let mut record = shared.telemetry.record(told, true, true);
    record.stats = shared.apis.get(state_key).map(|state| Rc::clone(&state.stats));
    let body_max = body_max(&shared.config.apis[usize::from(api)], &shared.config);
    let mut upload = Upload::new(length, body_max, dropped_trailers, now);
    if checked.may_ask_in_body {
        upload.watch_stream_member();
    }
    let served = &shared.config.apis[usize::from(api)];
    if served.retry_body > 0 && served.retry_on.repeats() && served.has_several_targets() {
        upload.keep_body(length, served.retry_body);
    }
    let mut exchange =
        Exchange::new(Begin { facts, keeps_alive, upload, config: &shared.config, record, now });
    exchange.response.outlet.has_id = checked.has_event_id;
    exchange.awaits_continue = checked.awaits_continue;
    exchange.allow_early_answer(checked.may_answer_early);
    exchange.api = Some(api);
    exchange.api_state = Some(state_key);
    exchange.caller = caller.is_known().then(|| Box::new(caller));
    let then = match checked.outbound {
        // A client that asks for events is told when to come back.
        Err(refusal) if refusal.exceeded.is_some() => Action::Fail(refusal),
        Err(refusal) => Action::Reply(refusal),
        Ok(outbound) => {
            let mut outbound = Outbound::new(outbound, length.is_empty());
            outbound.own_id = checked.own_id;
            let then = match checked.share {
                Some(Ok(shareable)) => {
                    outbound.shareable = Some(Box::new(shareable));
                    Action::Share
                }
                Some(Err(veto)) => {
                    outbound.veto = Some(veto);
                    if outbound.own_id.is_some() { Action::Share } else { Action::Connect }
                }
                None => Action::Connect,
            };
            exchange.outbound = Some(Box::new(outbound));
            if let Some(shown) = checked.shown {
                sticky::bind(&mut exchange, shown, &shared.apis, now);
            }
            if let Phase::Closed(ends) = shared.phase {
                ends.set(&mut exchange, shared.random.f64(), now);
            }
            match checked.question {
                Some(question) => Action::Authorize(question),
                None => admission::admit(&mut exchange, peer, &shared.apis, &mut shared.edge, now)
                    .map_or_else(Action::Fail, |()| then),
            }
        }
    };
    Next::Begin(exchange, Some(then))
}

/// Refuses a request whose head was not complete in time.
pub(crate) fn time_out<N: Net>(session: &mut Session, shared: &mut Shared<N>, now: Tick) -> Next {
    let what = "the request head was not complete in time";
    let told = shared.telemetry.tell(session.conn.ahead());
    session.conn.forget_ahead(&mut shared.memory.buffers);
    let refusal = LocalReply::refused(Cause::ReadTimeout, 408, what);
    refused(shared, session.service, told, false, refusal, now)
}

pub(crate) fn peer_text(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "a unix socket".to_owned(), |address| address.to_canonical().to_string())
}
