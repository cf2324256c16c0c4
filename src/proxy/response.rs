//! From the upstream's first byte to the response's being on its way.

use super::finish::Refusal;
use super::head::{Found, find_head, head_limits};
use super::outage;
use super::scene::{RequestFault, Scene, Verdict};
use crate::http::fields::{Names, Nominated};
use crate::http::forward::{self, Respond};
use crate::http::framing::BodyLength;
use crate::http::head::{self, FieldStore, HeadError, HeadSearch, ResponseHead, Version};
use crate::http::upgrade::Offer;
use crate::net::Net;
use crate::pipe::Moved;
use crate::session::cause::Cause;
use crate::session::exchange::{Exchange, Facts, Phase};
use crate::session::outcome::Outcome;
use crate::session::upstream::Upstream;
use crate::time::Tick;

/// Every response begins with it (RFC 9112 section 4).
const BEGINNING: &[u8] = b"HTTP/";

/// What a response head was.
enum Head {
    /// An interim response (RFC 9110 section 15.2): another head follows.
    Interim,
    /// 101: both sides speak another protocol from here on.
    Switching,
    /// The response itself.
    Final,
}

impl<N: Net> Scene<'_, N> {
    /// The request goes on its way, and the answer is awaited.
    pub(super) fn await_head(&mut self, upstream: &mut Upstream) -> Verdict {
        let Ok(wrote) = self.exchange.response.write_pending(self.conn, &mut self.io) else {
            return Verdict::End(Outcome::ClientGone);
        };
        match self.pump_request(upstream) {
            Ok(moved) if moved.or(wrote) == Moved::Yes => Verdict::Moved,
            // A client that takes nothing is not given more heads.
            Ok(_) if self.exchange.response.pending() >= self.io.high_water => self.watch_client(),
            Ok(_) => {
                let verdict = self.read_head(upstream);
                let blocked = matches!(verdict, Verdict::Blocked);
                if blocked { self.watch_client() } else { verdict }
            }
            Err(RequestFault::Gone) => Verdict::End(Outcome::ClientGone),
            Err(RequestFault::Refused(refusal)) => Verdict::Fail(refusal),
        }
    }

    /// Reads towards the end of the head, and acts on it when it is there.
    fn read_head(&mut self, upstream: &mut Upstream) -> Verdict {
        let limits = head_limits(&self.exchange.config);
        let awaiting = self.exchange.phase.awaiting_mut();
        let found = find_head(&mut upstream.conn, &mut awaiting.search, &limits, &mut self.io);
        match found {
            Found::Complete(end) => {
                let search = std::mem::replace(&mut awaiting.search, HeadSearch::response());
                awaiting.retry = None;
                let end = match search.is_folded() {
                    true => head::unfold(&mut self.io.scratch[..end]),
                    false => end,
                };
                self.on_head(upstream, end)
            }
            Found::More => {
                if upstream.conn.ahead().starts_with(BEGINNING) {
                    awaiting.retry = None;
                }
                Verdict::Moved
            }
            Found::Blocked => Verdict::Blocked,
            Found::Ended(false) => Verdict::NoAnswer,
            Found::Ended(true) => {
                let what = "the upstream closed before its response head was complete";
                Verdict::Fail(Refusal::closing(Cause::UpstreamClosed, 502, what))
            }
            // It belongs to the exchange before, however that went.
            Found::Wrong(_, filled)
                if awaiting.retry.is_some()
                    && !self.io.scratch[..filled].starts_with(BEGINNING) =>
            {
                Verdict::NoAnswer
            }
            Found::Wrong(error, _) => bad_head(error),
        }
    }

    /// A complete response head stands in the first `end` bytes of the scratch.
    fn on_head(&mut self, upstream: &mut Upstream, end: usize) -> Verdict {
        let limits = head_limits(&self.exchange.config);
        let now = self.io.now;
        self.exchange.facts.persistent &= !self.draining;
        self.head_buf.clear();
        let mut store = FieldStore::new();
        let bytes = &self.io.scratch[..end];
        let was_head = self.exchange.facts.is_head;
        let head = match ResponseHead::parse(bytes, &mut store, &limits, was_head) {
            Ok(head) => head,
            Err(error) => return bad_head(error),
        };
        if self.exchange.is_held() {
            return outage::join(self.exchange, upstream, &head, now);
        }
        if self.exchange.is_spared(head.status) {
            let what = "the upstream says that it cannot serve";
            return Verdict::Fail(Refusal::closing(Cause::UpstreamUnavailable, head.status, what));
        }
        if head.is_event_stream {
            if let Err(refusal) = self.counters.admit(self.exchange, self.peer) {
                return Verdict::Fail(refusal);
            }
            self.exchange.read_grant(&head);
            if let Some(page) = self.exchange.page_mut() {
                page.told = page.latest;
            }
        }
        let kind = match forward_head(self.exchange, upstream, &head, self.head_buf, self.date, now)
        {
            Ok(kind) => kind,
            Err(what) => {
                return Verdict::Fail(Refusal::closing(Cause::UpstreamMalformed, 502, what));
            }
        };
        self.exchange.response.queue(self.head_buf, self.io.buffers, now);
        let status = head.status;
        let key = self.exchange.phase.awaiting_mut().upstream;
        match kind {
            Head::Interim => return Verdict::Moved,
            Head::Final => self.exchange.phase = Phase::Relaying(key),
            Head::Switching => {
                self.exchange.phase = Phase::Tunnel(key);
                self.exchange.record.status = status;
                self.open_tunnel();
                return Verdict::TunnelOpened;
            }
        }
        self.exchange.record.status = status;
        if !self.exchange.facts.event_stream {
            return Verdict::Answered;
        }
        // What is further out may hold a head back until something comes behind it.
        if upstream.conn.ahead().is_empty() && self.exchange.response.is_between_events() {
            self.exchange.response.comment(&mut self.io);
        }
        Verdict::StreamOpened
    }
}

fn bad_head(error: HeadError) -> Verdict {
    Verdict::Fail(Refusal::closing(Cause::of_response_head(error), 502, error.what()))
}

/// Judges a response head by its place in the exchange, and writes what the client gets into `out`.
fn forward_head(
    exchange: &mut Exchange,
    upstream: &mut Upstream,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    date: &str,
    now: Tick,
) -> Result<Head, &'static str> {
    let facts = &exchange.facts;
    match head.status {
        101 if !facts.upgrade.is_met_by(head.upgrade, &exchange.config.server.upgrade) => {
            Err("the upstream switches to a protocol that nobody offered")
        }
        // In which protocol the rest of the body would be, nobody knows (RFC 9110 section 7.8).
        101 if !exchange.request.through() => {
            Err("the upstream switches protocols before it has the request")
        }
        101 => {
            forward::write_response(out, head, &respond(exchange, BodyLength::Empty, true));
            Ok(Head::Switching)
        }
        100..200 => {
            forward_interim(exchange, head, out, now)?;
            Ok(Head::Interim)
        }
        _ => {
            // Some servers send a body where there must be none (HEAD, 204, 304), and send it late.
            // It would be the beginning of the next response.
            upstream.persistent = head.persistent && head.length != BodyLength::Empty;
            // Others take the offer of another protocol for the end of the request, and a body
            // behind it for the next one.
            upstream.persistent &= facts.upgrade == Offer::NOTHING;
            upstream.heed_idle_limit(head.idle_limit);
            forward_final(exchange, head, out, date, now);
            Ok(Head::Final)
        }
    }
}

fn forward_interim(
    exchange: &mut Exchange,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    now: Tick,
) -> Result<(), &'static str> {
    exchange.phase.awaiting_mut().count_interim(now)?;
    if head.status == 100 {
        // Only from now on is the client to send its body.
        exchange.facts.awaits_continue = false;
        if let Some(request) = exchange.request.pipe_mut() {
            request.restart_clocks(now);
        }
    }
    // HTTP/1.0 knows no interim responses (RFC 9110 section 15.2).
    if exchange.facts.version == Version::Http11 {
        forward::write_response(out, head, &respond(exchange, BodyLength::Empty, false));
    }
    Ok(())
}

fn forward_final(
    exchange: &mut Exchange,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    date: &str,
    now: Tick,
) {
    exchange.drop_trailers(head);
    let is_readable = head.is_event_stream && !head.is_coded;
    // What is resumed is another body from there on, of a length that nobody has announced.
    let keeps_length = !(is_readable && exchange.wants_resuming());
    let to = match (head.length, exchange.facts.version) {
        (length @ (BodyLength::Empty | BodyLength::Length(_)), _) if keeps_length => length,
        (_, version) => BodyLength::untold(version),
    };
    let anti_buffering =
        head.is_event_stream && exchange.api().is_some_and(|api| api.streams.anti_buffering);
    if !head.is_event_stream {
        exchange.permit = None;
    }
    let facts = &mut exchange.facts;
    facts.event_stream = head.is_event_stream;
    // A client that was not asked for its body may send it or not: the next request could not be
    // told from it.
    facts.persistent &= to != BodyLength::UntilClose && !facts.awaits_continue;
    facts.awaits_continue = false;
    let cors = exchange.cors().map(|(policy, grant)| policy.origin_fields(grant));
    let (date, cors) = (Some(date), cors.as_ref());
    let respond = Respond { date, anti_buffering, cors, ..respond(exchange, to, false) };
    forward::write_response(out, head, &respond);
    exchange.response.begin(head.length, to, now);
    if is_readable && matches!(to, BodyLength::Chunked | BodyLength::UntilClose) {
        exchange.watch_events();
    }
    exchange.is_served(now);
}

impl Exchange {
    /// Notes which fields do not pass behind the body of a response: those that would not in front
    /// of it.
    pub(super) fn drop_trailers(&mut self, head: &ResponseHead<'_, '_>) {
        let mut names = Nominated::by(head.fields).names();
        if head.length == BodyLength::Chunked
            && let Some(api) = self.api()
        {
            names = Names::and(names, api.response_headers.names());
        }
        self.response.drop_trailers(names);
    }
}

fn respond(exchange: &Exchange, length: BodyLength, upgrade: bool) -> Respond<'_> {
    let Facts { persistent, version: client_version, .. } = exchange.facts;
    Respond {
        length,
        persistent,
        client_version,
        upgrade,
        date: None,
        anti_buffering: false,
        changes: exchange.api().map(|api| &api.response_headers),
        cors: None,
    }
}
