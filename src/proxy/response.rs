//! From the upstream's first byte to its last.

use super::advance::pump_request;
use super::finish::Refusal;
use super::request::head_limits;
use super::{Proxy, Step};
use crate::conn::Read;
use crate::exchange::{Exchange, Facts, Outcome, Phase};
use crate::http::forward::{self, Respond};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, HeadError, HeadSearch, ResponseHead, Version};
use crate::net::Net;
use crate::pipe::Flow;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;
use crate::upstream::Upstream;

/// Interim responses that are passed on before one final one; an upstream that sends more is
/// broken.
const INTERIMS_MAX: u8 = 32;

/// What a response head was.
enum Head {
    /// An interim response (RFC 9110 section 15.2): another head follows.
    Interim,
    /// 101: both sides speak another protocol from here on.
    Switching,
    /// The response itself.
    Final,
}

impl<N: Net> Proxy<N> {
    /// The request goes on its way, and the answer is awaited.
    pub(super) fn await_head(&mut self, key: Key<Session>, now: Tick) -> Step {
        let Some((conn, exchange, upstreams, mut io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        let Some(upstream) = exchange.upstream() else {
            return Step::Blocked;
        };
        let origin = &mut upstreams[upstream];
        let Ok(wrote) = exchange.response.write_pending(conn, &mut io) else {
            return self.end(key, Outcome::ClientGone, now);
        };
        match pump_request(conn, exchange, origin, &mut io) {
            Ok(moved) if moved || wrote => Step::Moved,
            Ok(_) => match self.read_head(key, upstream, now) {
                Step::Blocked => self.watch_client(key, now),
                moved @ (Step::Moved | Step::Gone) => moved,
            },
            Err(fault) => self.request_failed(key, fault, now),
        }
    }

    /// Reads towards the end of the head, and acts on it when it is there.
    fn read_head(&mut self, key: Key<Session>, upstream: Key<Upstream>, now: Tick) -> Step {
        let limits = head_limits(&self.config);
        let Some((_, exchange, upstreams, io)) = self.parts_of_exchange(key, now) else {
            return Step::Blocked;
        };
        let Phase::AwaitingHead(awaiting) = &mut exchange.phase else {
            return Step::Blocked;
        };
        let conn = &mut upstreams[upstream].conn;
        if !conn.has_input() {
            return Step::Blocked;
        }
        let kept = conn.ahead().len();
        io.scratch[..kept].copy_from_slice(conn.ahead());
        let mut filled = kept;
        let mut found = awaiting.search.find(&io.scratch[..filled], &limits);
        if found == Ok(None) {
            match conn.read(io.net, &mut io.scratch[kept..limits.head_bytes]) {
                Read::Bytes(n) => filled += n,
                Read::Blocked => return Step::Blocked,
                Read::End | Read::Broken => return self.no_answer(key, kept > 0, now),
            }
            exchange.retry = None;
            found = awaiting.search.find(&io.scratch[..filled], &limits);
        }
        match found {
            Ok(Some(end)) => {
                awaiting.search = HeadSearch::response();
                conn.consume(kept, io.buffers);
                conn.keep(&io.scratch[end..filled], io.buffers);
                self.on_head(key, upstream, end, now)
            }
            Ok(None) => {
                conn.keep(&io.scratch[kept..filled], io.buffers);
                Step::Moved
            }
            Err(error) => self.bad_head(key, error, now),
        }
    }

    /// The upstream ended or broke the connection before its head was complete.
    fn no_answer(&mut self, key: Key<Session>, begun: bool, now: Tick) -> Step {
        if !begun && self.retry(key, now) {
            log::debug!("a reused connection had died: the request is sent again");
            return Step::Moved;
        }
        let what = "the upstream closed before its response head was complete";
        self.fail(key, Refusal::closing(502, what), now)
    }

    fn bad_head(&mut self, key: Key<Session>, error: HeadError, now: Tick) -> Step {
        let limit = error.limit();
        self.fail(key, Refusal { limit, ..Refusal::closing(502, error.what()) }, now)
    }

    /// A complete response head stands in the first `end` bytes of the scratch.
    fn on_head(
        &mut self,
        key: Key<Session>,
        upstream: Key<Upstream>,
        end: usize,
        now: Tick,
    ) -> Step {
        let limits = head_limits(&self.config);
        let draining = self.drain.is_some();
        let Proxy { sessions, upstreams, scratch, head: out, buffers, .. } = self;
        let State::Active(exchange) = &mut sessions[key].state else {
            return Step::Blocked;
        };
        out.clear();
        exchange.facts.persistent &= !draining;
        let mut store = FieldStore::new();
        let head =
            match ResponseHead::parse(&scratch[..end], &mut store, &limits, exchange.facts.head) {
                Ok(head) => head,
                Err(error) => return self.bad_head(key, error, now),
            };
        let kind = match pass_on(exchange, &mut upstreams[upstream], &head, out, now) {
            Ok(kind) => kind,
            Err(what) => return self.fail(key, Refusal::closing(502, what), now),
        };
        let too_long = out.len() + exchange.response.pending() > buffers.block();
        if too_long {
            exchange.status = 0;
            let what = "the response head is too long";
            return self.fail(key, Refusal::limited(502, what, "server.max_head_bytes"), now);
        }
        exchange.response.queue(out, buffers, now);
        match kind {
            Head::Interim => {}
            Head::Switching => self.open_tunnel(key, upstream, now),
            Head::Final => exchange.phase = Phase::Relaying(upstream),
        }
        Step::Moved
    }

    /// The response has been read to its end: the upstream is done with, whatever the client still
    /// has to be sent. A request that is not through by now is not wanted (RFC 9112 section 9.5).
    pub(super) fn response_read(
        &mut self,
        key: Key<Session>,
        upstream: Key<Upstream>,
        now: Tick,
    ) -> Step {
        let Some(exchange) = self.exchange(key) else {
            return Step::Blocked;
        };
        exchange.phase = Phase::Delivering;
        if exchange.request.flow() == Flow::Finished {
            self.release_upstream(upstream, now);
        } else {
            self.close_upstream(upstream);
        }
        Step::Moved
    }
}

/// Judges a response head by its place in the exchange, and writes what the client gets into `out`.
fn pass_on(
    exchange: &mut Exchange,
    origin: &mut Upstream,
    head: &ResponseHead<'_, '_>,
    out: &mut Vec<u8>,
    now: Tick,
) -> Result<Head, &'static str> {
    let facts = &mut exchange.facts;
    let Phase::AwaitingHead(awaiting) = &mut exchange.phase else {
        return Err("a response head where none is awaited");
    };
    if head.status == 101 {
        if !facts.upgrade {
            return Err("the upstream switches to a protocol that nobody offered");
        }
        forward::write_response(out, head, &respond(facts, BodyLength::Empty, true));
        exchange.status = 101;
        return Ok(Head::Switching);
    }
    if head.status < 200 {
        awaiting.interims += 1;
        awaiting.since = now;
        if awaiting.interims > INTERIMS_MAX {
            return Err("the upstream sends one interim response after the other");
        }
        facts.awaits_continue &= head.status != 100;
        // HTTP/1.0 knows no interim responses (RFC 9110 section 15.2).
        if facts.version == Version::Http11 {
            forward::write_response(out, head, &respond(facts, BodyLength::Empty, false));
        }
        return Ok(Head::Interim);
    }
    origin.persistent = head.persistent;
    facts.event_stream = head.is_event_stream;
    let to = match (head.length, facts.version) {
        (BodyLength::Chunked | BodyLength::UntilClose, Version::Http11) => BodyLength::Chunked,
        (BodyLength::Chunked | BodyLength::UntilClose, Version::Http10) => BodyLength::UntilClose,
        (length @ (BodyLength::Empty | BodyLength::Length(_)), _) => length,
    };
    // A client that was not asked for its body may send it or not: the next request could not be
    // told from it.
    facts.persistent &= to != BodyLength::UntilClose && !facts.awaits_continue;
    facts.awaits_continue = false;
    forward::write_response(out, head, &respond(facts, to, false));
    exchange.status = head.status;
    exchange.response.begin(head.length, to, now);
    Ok(Head::Final)
}

fn respond(facts: &Facts, length: BodyLength, upgrade: bool) -> Respond {
    Respond { length, persistent: facts.persistent, client_version: facts.version, upgrade }
}
