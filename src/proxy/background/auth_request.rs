//! One request to an auth server: its connection, and the verdict from its answer.
//!
//! An auth request has `timeout`, including the time to connect. If the answer has a body, it is
//! read before the verdict is passed on, so that the connection can be reused and a client never
//! takes more than one descriptor besides its own. A body that is longer than 64 KiB, or that takes
//! longer than the timeout, is abandoned; the answer still counts.

use crate::apis::ApiState;
use crate::config::{Config, ForwardAuth};
use crate::conn::Read;
use crate::edge::Edge;
use crate::exchange::{Awaiting, LocalReply, Verdict};
use crate::http::body::BodyReader;
use crate::http::forward;
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, HeadSearch, ResponseHead};
use crate::net::Net;
use crate::pipe::Io;
use crate::pool::{
    Acquired, Attempt, Connection, NoConnection, Owner, Pool, Search, Upstream, Wanted,
};
use crate::proxy::steps::head::{Found, find_head, head_limits};
use crate::session::Session;
use crate::slab::Key;
use crate::telemetry::{ApiStats, Asked, Cause, Failure, LogLimit};
use crate::time::Tick;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The maximum length of the lines that an answer adds to a request, in bytes.
pub(crate) const PASSED_MAX: usize = 4096;

/// The maximum length of an answer's body that is read, in bytes.
const DISCARD_MAX: usize = 64 << 10;

/// The fields of a refusal that are passed on to the client.
const TOLD: [&str; 4] = ["Location", "WWW-Authenticate", "Set-Cookie", "Retry-After"];

/// What an auth request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// The client's session.
    pub(crate) session: Key<Session>,
    /// The id of its request.
    pub(crate) id: u64,
    /// Whether the request is new or is being rechecked.
    pub(crate) asked: Asked,
}

/// What to ask, and which server.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What it is about.
    pub(crate) about: About,
    /// The request without its destination.
    pub(crate) question: Rc<[u8]>,
    /// The configuration that names the server.
    pub(crate) config: Rc<Config>,
    /// The index of the api in that configuration.
    pub(crate) api: u16,
    /// The state of the api.
    pub(crate) api_state: Key<ApiState>,
}

/// An auth request in progress.
#[derive(Debug)]
pub(crate) struct AuthRequest {
    /// What to ask, and which server.
    pub(crate) ask: Ask,
    /// The counters of the api.
    pub(crate) stats: Rc<ApiStats>,
    /// The upstream of the auth server. It may have been removed.
    upstream: Key<Upstream>,
    /// When to give up.
    due: Tick,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has been done yet. Next: `Connecting`, `Awaiting`, or it is over.
    Beginning,
    /// The server is being connected to. Next: the same, `Awaiting`, or it is over.
    Connecting(Box<Attempt>),
    /// The head of the answer is awaited, and these bytes are still unsent. Next: `Connecting` if a
    /// reused connection brought no answer, `Discarding`, or it is over.
    Awaiting(Box<Awaiting>, Vec<u8>),
    /// The rest of the answer is being read. Next: it is over.
    Discarding(Box<Discarding>),
}

/// An answer whose body is still being read.
#[derive(Debug)]
struct Discarding {
    connection: Key<Connection>,
    body: BodyReader,
    /// The number of bytes that may still be read.
    left: usize,
    verdict: Verdict,
    /// How long the verdict holds.
    holds: Duration,
}

/// The result of a step of an auth request.
pub(crate) enum Came {
    /// Something changed: there may be more to do.
    Moved,
    /// It waits, until this time at the latest.
    Waits(Tick),
    /// It was answered, and the verdict holds for this long.
    Answered(Verdict, Duration),
    /// There is no answer.
    Failed(LocalReply),
    /// No descriptor is left for a connection.
    OutOfDescriptors(Search),
}

impl AuthRequest {
    /// Prepares an auth request. None if the api has no auth server.
    pub(crate) fn new(ask: Ask, state: &ApiState, now: Tick) -> Option<AuthRequest> {
        let upstream = state.auth.as_ref()?.upstream;
        let due = now.after(ask.auth()?.timeout);
        let (stats, state) = (Rc::clone(&state.stats), State::Beginning);
        Some(AuthRequest { ask, stats, upstream, due, state })
    }

    /// The connection that it holds, if it holds one.
    pub(crate) fn connection(&self) -> Option<Key<Connection>> {
        match &self.state {
            State::Beginning => None,
            State::Connecting(attempt) => Some(attempt.connection),
            State::Awaiting(awaiting, _) => Some(awaiting.connection),
            State::Discarding(discarding) => Some(discarding.connection),
        }
    }

    /// True if the whole request was sent.
    pub(crate) const fn is_sent(&self) -> bool {
        match &self.state {
            State::Beginning | State::Connecting(_) => false,
            State::Awaiting(_, unsent) => unsent.is_empty(),
            State::Discarding(_) => true,
        }
    }

    /// True if it is reading the rest of an answer.
    #[cfg(feature = "sim")]
    pub(crate) const fn discards(&self) -> bool {
        matches!(self.state, State::Discarding(_))
    }

    /// When it acts if nothing else happens.
    pub(crate) fn acts_at(&self) -> Tick {
        match &self.state {
            State::Connecting(attempt) => attempt.deadline.min(self.due),
            State::Beginning | State::Awaiting(..) | State::Discarding(_) => self.due,
        }
    }

    /// The whole request.
    fn text(&self) -> Vec<u8> {
        let Ask { question, .. } = &self.ask;
        let Some(auth) = self.ask.auth() else { return Vec::new() };
        let (path, host) = (auth.path_and_query.as_bytes(), auth.target[0].authority.as_bytes());
        [b"GET ", path, b" HTTP/1.1\r\nHost: ", host, b"\r\n", question, b"\r\n"].concat()
    }
}

impl Ask {
    fn auth(&self) -> Option<&ForwardAuth> {
        self.config.apis.get(usize::from(self.api))?.forward_auth.as_ref()
    }
}

/// An auth request with what it needs to continue.
pub(crate) struct Step<'a, N: Net> {
    pub(crate) owner: Owner,
    pub(crate) request: &'a mut AuthRequest,
    pub(crate) pool: &'a mut Pool,
    pub(crate) edge: &'a Edge,
    pub(crate) log: &'a mut LogLimit,
    pub(crate) io: Io<'a, N>,
    /// How long an idle connection is kept. None if it is not kept.
    pub(crate) idle_max: Option<Duration>,
}

/// The verdict if there is no descriptor for the auth request.
pub(crate) const fn no_room() -> Verdict {
    Verdict::Failed(LocalReply::not_judged(Cause::OutOfDescriptors, "out of descriptors"))
}

impl<N: Net> Step<'_, N> {
    /// Takes one step.
    pub(crate) fn go_on(&mut self) -> Came {
        let now = self.io.now;
        if self.request.due <= now {
            return self.time_out();
        }
        match &self.request.state {
            State::Beginning => {
                let search = Search::new(self.request.due);
                self.acquire(|pool, wanted, io, log| pool.acquire(wanted, search, io, log))
            }
            State::Connecting(attempt) => {
                let attempt = **attempt;
                match self.pool[attempt.connection].conn.connected(self.io.net) {
                    Some(Ok(())) => {
                        self.pool.connected(attempt);
                        self.await_answer(attempt.connection, false)
                    }
                    Some(Err(error)) => self.try_next(attempt, &error),
                    None if attempt.deadline <= now => {
                        self.try_next(attempt, &io::ErrorKind::TimedOut.into())
                    }
                    None => Came::Waits(self.request.acts_at()),
                }
            }
            State::Awaiting(..) => self.ask(),
            State::Discarding(_) => self.discard(),
        }
    }

    /// Asks the pool for a connection and continues with the result.
    fn acquire(
        &mut self,
        find: impl FnOnce(
            &mut Pool,
            Wanted<'_>,
            &mut Io<'_, N>,
            &mut LogLimit,
        ) -> Result<Acquired, NoConnection>,
    ) -> Came {
        match self.with_wanted(find) {
            Some(Ok(Acquired::Reused(connection, _))) => self.await_answer(connection, true),
            Some(Ok(Acquired::Connecting(attempt))) => {
                self.request.state = State::Connecting(Box::new(attempt));
                Came::Moved
            }
            // These connections have no limit, so none is ever queued.
            Some(Ok(Acquired::Queued(place, _))) => {
                self.pool.leave_queue(place);
                unavailable("auth.url has no room")
            }
            Some(Err(NoConnection::OutOfDescriptors(search, _))) => Came::OutOfDescriptors(search),
            Some(Err(NoConnection::Unreachable | NoConnection::Gone | NoConnection::Removed))
            | None => unavailable("auth.url cannot be reached"),
        }
    }

    /// Continues the search for a connection.
    pub(crate) fn find(&mut self, search: Search) -> Came {
        self.acquire(|pool, wanted, io, log| pool.acquire_next(wanted, search, io, log))
    }

    /// Runs `act` on the pool for this auth request. None if its api has no auth server.
    fn with_wanted<T>(
        &mut self,
        act: impl FnOnce(&mut Pool, Wanted<'_>, &mut Io<'_, N>, &mut LogLimit) -> T,
    ) -> Option<T> {
        let Step { owner, request, pool, edge, log, io, .. } = self;
        let api = request.ask.config.apis.get(usize::from(request.ask.api))?;
        let wanted = Wanted {
            owner: *owner,
            upstream: Some(request.upstream).filter(|key| pool.upstream(*key).is_some()),
            backend: api.forward_auth.as_ref()?.backend(&api.name),
            stats: &request.stats,
            room: edge.upstream_connections_beside(),
            gives_way: request.ask.about.asked == Asked::Open,
            logs: true,
            preface: b"",
        };
        Some(act(pool, wanted, io, log))
    }

    /// Tries the next address after a failed attempt.
    fn try_next(&mut self, attempt: Attempt, error: &io::Error) -> Came {
        self.request.state = State::Beginning;
        self.with_wanted(|pool, wanted, io, log| {
            pool.attempt_failed(wanted, attempt, error, io, log);
        });
        self.find(attempt.search)
    }

    fn await_answer(&mut self, connection: Key<Connection>, is_reused: bool) -> Came {
        let awaiting = Awaiting::new(connection, is_reused, self.io.now);
        let text = self.request.text();
        self.request.state = State::Awaiting(Box::new(awaiting), text);
        Came::Moved
    }

    /// Sends the request and reads the head of the answer.
    fn ask(&mut self) -> Came {
        let Step { request, pool, io, .. } = self;
        let (until, now) = (request.acts_at(), io.now);
        let limits = head_limits(&request.ask.config);
        let State::Awaiting(awaiting, unsent) = &mut request.state else { return Came::Moved };
        let connection = awaiting.connection;
        let conn = &mut pool[connection].conn;
        if conn.write_unsent(io.net, unsent) {
            return Came::Moved;
        }
        let bytes = match find_head(conn, &mut awaiting.search, &limits, io) {
            Found::Complete(bytes) => bytes,
            Found::More => return Came::Moved,
            Found::Blocked => return Came::Waits(until),
            Found::Ended(false) if awaiting.retry => return self.ask_again(connection),
            Found::Ended(_) => {
                let what = "auth.url closed the connection before its answer was complete";
                return self.fail(Failure::Closed, what);
            }
            Found::Wrong(_, bytes) if awaiting.is_of_another(bytes) => {
                return self.ask_again(connection);
            }
            Found::Wrong(error, _) => return self.fail(Failure::Malformed, error.what()),
        };
        awaiting.begin();
        let search = std::mem::replace(&mut awaiting.search, HeadSearch::response());
        let mut store = FieldStore::new();
        let head = match ResponseHead::parse(search.joined(bytes), &mut store, &limits, false) {
            Ok(head) => head,
            Err(error) => return self.fail(Failure::Malformed, error.what()),
        };
        match head.status {
            101 => return self.fail(Failure::Malformed, "auth.url switched protocols"),
            100..200 => {
                return match awaiting.count_interim(now) {
                    Ok(()) => Came::Moved,
                    Err(_) => self.fail(Failure::Malformed, "auth.url sent too many interims"),
                };
            }
            _ => {}
        }
        let names = request.ask.auth().map_or(&[][..], |auth| &auth.pass);
        let verdict = verdict(&head, names);
        let holds = Duration::from_secs(forward::max_age(head.fields));
        let own = &mut pool[connection];
        own.persistent = head.persistent && head.length != BodyLength::Empty;
        own.note_idle_limit(head.idle_limit);
        let body = BodyReader::response(head.length);
        // An answer that decides nothing counts as unavailable.
        let decides = !matches!(verdict, Verdict::Failed(_));
        let left = DISCARD_MAX;
        let discarding = Discarding { connection, body, left, verdict, holds };
        request.state = State::Discarding(Box::new(discarding));
        pool.note_answer(connection, if decides { 200 } else { 503 }, now);
        Came::Moved
    }

    /// Asks once more on a new connection, because a reused one brought no answer.
    fn ask_again(&mut self, connection: Key<Connection>) -> Came {
        self.request.state = State::Beginning;
        self.pool.close(connection, &mut self.io);
        let search = Search::new(self.request.due);
        self.acquire(|pool, wanted, io, log| pool.acquire_new(wanted, search, io, log))
    }

    /// Reads the rest of an answer's body, within the limit.
    fn discard(&mut self) -> Came {
        let Step { request, pool, io, .. } = self;
        let until = request.acts_at();
        let State::Discarding(discarding) = &mut request.state else { return Came::Moved };
        let Discarding { connection, body, left, .. } = &mut **discarding;
        let connection = &mut pool[*connection];
        if body.ended() {
            return self.finish(true);
        }
        if !connection.persistent || *left == 0 {
            return self.finish(false);
        }
        let conn = &mut connection.conn;
        let most = io.scratch.len().min(*left);
        let is_ahead = !conn.ahead().is_empty();
        let read = if is_ahead {
            let most = most.min(conn.ahead().len());
            io.scratch[..most].copy_from_slice(&conn.ahead()[..most]);
            Read::Bytes(most)
        } else if conn.has_input() {
            conn.read(io.net, &mut io.scratch[..most])
        } else {
            Read::Blocked
        };
        let n = match read {
            Read::Bytes(n) => n,
            Read::Blocked => return Came::Waits(until),
            Read::End | Read::Broken => return self.finish(false),
        };
        *left -= n;
        match body.read(&mut io.scratch[..n]) {
            Ok(piece) if is_ahead => conn.consume(piece.consumed, io.buffers),
            // These bytes belong to no response that was asked for.
            Ok(piece) => conn.keep(&io.scratch[piece.consumed..n], io.buffers),
            Err(_) => return self.finish(false),
        }
        Came::Moved
    }

    /// Releases the connection of a complete answer. If the body was read `whole`, it can be
    /// reused.
    fn finish(&mut self, whole: bool) -> Came {
        let Step { request, pool, io, idle_max, .. } = self;
        match std::mem::replace(&mut request.state, State::Beginning) {
            State::Discarding(discarding) => {
                let Discarding { connection, verdict, holds, .. } = *discarding;
                let keep = whole && idle_max.is_some();
                pool.release(connection, keep, idle_max.unwrap_or_default(), io);
                Came::Answered(verdict, holds)
            }
            State::Beginning | State::Connecting(_) | State::Awaiting(..) => {
                unreachable!("only an answer that has come is finished")
            }
        }
    }

    /// Gives up because the time is over.
    fn time_out(&mut self) -> Came {
        let what = "auth.url did not answer in time";
        let late = Came::Failed(LocalReply::not_judged(Cause::AuthTimeout, what));
        match &self.request.state {
            State::Beginning => late,
            State::Connecting(attempt) => {
                let attempt = **attempt;
                self.request.state = State::Beginning;
                self.with_wanted(|pool, wanted, io, log| {
                    pool.attempt_failed(wanted, attempt, &io::ErrorKind::TimedOut.into(), io, log);
                    pool.give_up_endpoint(wanted, attempt.search, io.now);
                });
                late
            }
            State::Awaiting(..) => {
                self.count(Failure::ResponseTimeout);
                late
            }
            State::Discarding(_) => self.finish(false),
        }
    }

    fn fail(&mut self, failure: Failure, what: &'static str) -> Came {
        self.count(failure);
        unavailable(what)
    }

    fn count(&self, failure: Failure) {
        let connection = self.request.connection();
        if let Some(endpoint) = connection.and_then(|key| self.pool.endpoint_of(key)) {
            endpoint.stats.count_failure(failure, self.io.now);
            endpoint.stats.mark_failing(self.io.now);
        }
    }
}

const fn unavailable(what: &'static str) -> Came {
    Came::Failed(LocalReply::not_judged(Cause::AuthUnavailable, what))
}

/// The verdict of an answer, with the fields of these names.
fn verdict(head: &ResponseHead<'_, '_>, names: &[String]) -> Verdict {
    let fails = |what| Verdict::Failed(LocalReply::not_judged(Cause::AuthUnavailable, what));
    match head.status {
        200..=299 => {
            let mut lines = Vec::new();
            forward::write_passed(&mut lines, head, names);
            match lines.len() {
                ..=PASSED_MAX => Verdict::LetIn(lines.into_boxed_slice()),
                _ => fails("auth.url gave more than 4 KiB of the fields in auth.pass"),
            }
        }
        301 | 302 | 303 | 307 | 308 if head.fields.get("Location").is_none() => {
            fails("auth.url redirected without a Location")
        }
        301 | 302 | 303 | 307 | 308 | 401 | 403 | 429 => {
            let told = TOLD.into_iter().flat_map(|name| {
                let values = head.fields.all(name);
                // Values that are not UTF-8 are of no use to a client.
                values.filter_map(move |value| Some((name, str::from_utf8(value).ok()?.to_owned())))
            });
            Verdict::Refused(LocalReply::not_let_in(head.status), told.collect())
        }
        500.. => fails("auth.url failed"),
        _ => fails("auth.url answered with a status that decides nothing"),
    }
}
