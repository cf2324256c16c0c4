//! What a session waits for, and the check that it really does.
//!
//! The stall is *the* bug of event-loop proxies: a session could move, but nothing runs it. So
//! every session that is not queued must be able to name what it waits for, and that must not have
//! happened yet. [`of`] names it and [`stall`] checks it. Debug builds check after each advance,
//! and the simulator checks all sessions after each turn.

use super::deadlines::{self, Deadline};
use super::shared::Shared;
#[cfg(feature = "sim")]
use super::sharing::feed::Feed;
use super::step::watches_client;
use super::steps::from_log;
use crate::conn::Conn;
use crate::exchange::{Exchange, Local, Source, Upload};
use crate::net::{Net, Ready};
use crate::session::{Session, State};
use crate::time::Tick;

/// Something that a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// More of a PROXY header, or the end of the connection, from a proxy in front.
    ProxyHeader,
    /// The end of the TLS handshake with the client.
    ClientHandshake,
    /// More of a request head, or the end of the connection, from the client.
    ClientHead,
    /// Bytes of a body, or the end of the connection, from the client.
    ClientBytes,
    /// Room in the client's socket.
    ClientRoom,
    /// The client's end of a lingering connection.
    ClientEnd,
    /// The auth server's verdict on the request.
    Verdict,
    /// More of a response head, or the end of the connection, from the upstream.
    UpstreamHead,
    /// Bytes of a body, or the end of the connection, from the upstream.
    UpstreamBytes,
    /// Room in the upstream's socket.
    UpstreamRoom,
    /// The request's turn to get a connection to the upstream.
    UpstreamQueue,
    /// The result of connecting to the upstream.
    UpstreamConnection,
    /// Data from another part of this process.
    LocalData,
    /// More of a log, or a change of its stream's state.
    Log,
    /// A deadline.
    Until(Tick, Deadline),
}

impl Wait {
    /// The name of the wait in `/streams`. millstream(1) explains each. A wait for a deadline has
    /// the deadline's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Wait::ProxyHeader => "proxy_header",
            Wait::ClientHandshake => "client_handshake",
            Wait::ClientHead => "client_head",
            Wait::ClientBytes => "client_bytes",
            Wait::ClientRoom => "client_room",
            Wait::ClientEnd => "client_end",
            Wait::Verdict => "verdict",
            Wait::UpstreamHead => "upstream_head",
            Wait::UpstreamBytes => "upstream_bytes",
            Wait::UpstreamRoom => "upstream_room",
            Wait::UpstreamQueue => "upstream_queue",
            Wait::UpstreamConnection => "upstream_connection",
            Wait::LocalData => "local_data",
            Wait::Log => "log",
            Wait::Until(_, deadline) => deadline.name(),
        }
    }
}

/// Everything that a session waits for. Never empty for a session that is not queued.
pub(super) fn of<N: Net>(session: &Session, shared: &Shared<N>, now: Tick) -> Vec<Wait> {
    let mut waits = Vec::new();
    match &session.state {
        State::ProxyHeader { .. } => waits.push(Wait::ProxyHeader),
        State::Handshake { .. } => waits.push(Wait::ClientHandshake),
        State::Idle { .. } | State::Head { .. } => waits.push(Wait::ClientHead),
        State::Lingering { .. } => waits.push(Wait::ClientEnd),
        State::Active(exchange) => {
            of_exchange(exchange, shared.portions.high_water, now, &mut waits);
        }
    }
    let next = deadlines::next(session, shared, now);
    if next.at != Tick::NEVER {
        waits.push(Wait::Until(next.at, next.deadline));
    }
    waits
}

fn of_exchange(exchange: &Exchange, high_water: usize, now: Tick, waits: &mut Vec<Wait>) {
    let response = &exchange.response;
    if response.outlet.wants_sink(now, high_water) {
        waits.push(Wait::ClientRoom);
    }
    match exchange.source() {
        Source::Local(local) if local.is_fed() && response.pending() == 0 => {
            waits.push(Wait::LocalData);
        }
        Source::Log(_) if response.pending() == 0 => waits.push(Wait::Log),
        Source::None | Source::Local(_) | Source::Log(_) | Source::Waiting(_) => {}
        Source::Authorizing(_) => waits.push(Wait::Verdict),
        Source::Queued(_) => waits.push(Wait::UpstreamQueue),
        Source::Connecting(_) => waits.push(Wait::UpstreamConnection),
        Source::Awaiting(_) => {
            of_request(&exchange.upload, high_water, now, waits);
            if response.pending() < high_water {
                waits.push(Wait::UpstreamHead);
            }
        }
        Source::Upstream(_) => {
            of_request(&exchange.upload, high_water, now, waits);
            if response.wants_source(high_water) {
                waits.push(Wait::UpstreamBytes);
            }
        }
    }
}

/// What is wrong with a feed that is not queued. See [`stall`].
#[cfg(feature = "sim")]
pub(super) fn stall_of_feed<N: Net>(feed: &Feed, shared: &Shared<N>, now: Tick) -> Option<String> {
    let (at, _) = feed.next_deadline(&shared.portions, now);
    if feed.is_over() {
        let is_left = at == Tick::NEVER && feed.is_deserted();
        return is_left.then(|| "it is over, and nobody reads it".to_owned());
    }
    if let Some(mirror) = &feed.mirror {
        return mirror.has_input().then(|| "something has come from another loop".to_owned());
    }
    let mut waits = Vec::new();
    of_exchange(&feed.exchange, shared.portions.high_water, now, &mut waits);
    if feed.waits_for_mirrors(&shared.portions) {
        waits.retain(|wait| *wait != Wait::UpstreamBytes);
    }
    if at == Tick::NEVER && waits.is_empty() {
        return Some("it waits for nothing".to_owned());
    }
    let nobody = Conn::unconnected();
    let happened = |wait: &&Wait| has_happened(&nobody, Some(&feed.exchange), shared, **wait);
    waits.iter().find(happened).map(|wait| format!("it waits for {wait:?}, which has happened"))
}

fn of_request(request: &Upload, high_water: usize, now: Tick, waits: &mut Vec<Wait>) {
    let Some(request) = request.pipe() else { return };
    if request.outlet.wants_sink(now, high_water) {
        waits.push(Wait::UpstreamRoom);
    }
    if request.wants_source(high_water) {
        waits.push(Wait::ClientBytes);
    }
}

/// What is wrong with a session that is not queued: it waits for nothing, or for something that has
/// happened. None if all is well.
pub(super) fn stall<N: Net>(session: &Session, shared: &Shared<N>, now: Tick) -> Option<String> {
    let waits = of(session, shared, now);
    if waits.is_empty() || !session.exchange().is_none_or(Exchange::is_settled) {
        return Some("it waits for nothing".to_owned());
    }
    let happened = |wait: &&Wait| has_happened(&session.conn, session.exchange(), shared, **wait);
    if let Some(wait) = waits.iter().find(happened) {
        return Some(format!("it waits for {wait:?}, which has happened"));
    }
    let ahead_max = shared.portions.ahead_max;
    let watches = |exchange| watches_client(&session.conn, exchange, ahead_max);
    if session.exchange().is_some_and(watches) {
        return Some("the client has sent something that nobody reads".to_owned());
    }
    None
}

fn has_happened<N: Net>(
    conn: &Conn,
    exchange: Option<&Exchange>,
    shared: &Shared<N>,
    wait: Wait,
) -> bool {
    let pool = &shared.pool;
    let upstream = exchange.and_then(Exchange::connection).map(|key| &pool[key].conn);
    let writable = |conn: &Conn| conn.ready.has(Ready::WRITE);
    match wait {
        Wait::ProxyHeader | Wait::ClientEnd => conn.ready.has(Ready::READ),
        // After an end nothing arrives, and no event reports the end again.
        Wait::ClientHead => conn.ready.has(Ready::READ) || conn.hung_up(),
        Wait::ClientBytes => conn.has_input(),
        Wait::ClientHandshake | Wait::ClientRoom => writable(conn),
        Wait::UpstreamHead => upstream.is_none_or(|conn| conn.ready.has(Ready::READ)),
        Wait::UpstreamBytes => upstream.is_none_or(Conn::has_input),
        Wait::UpstreamRoom => upstream.is_none_or(writable),
        Wait::Verdict => exchange.is_none_or(|exchange| {
            let Some(authorizing) = exchange.source().authorizing() else { return true };
            let is_asked = shared.auth_requests.is_asking(authorizing.request);
            authorizing.verdict.is_some() || !is_asked
        }),
        Wait::UpstreamQueue => exchange.is_none_or(|exchange| {
            let Source::Queued(queued) = exchange.source() else { return true };
            pool.is_turn_of(queued.place) != Some(false)
        }),
        Wait::UpstreamConnection => upstream.is_none_or(|c| writable(c) || c.hung_up()),
        Wait::LocalData => {
            exchange.is_none_or(|exchange| exchange.source().local().is_some_and(Local::has_more))
        }
        Wait::Log => exchange.is_none_or(from_log::can_go_on),
        // The timer wheel may be a little late by design. The oracle checks that it has the
        // deadline.
        Wait::Until(..) => false,
    }
}

/// The simulator's checks after each turn.
#[cfg(feature = "sim")]
mod oracle {
    use super::super::Proxy;
    use super::super::reload;
    use super::stall_of_feed;
    use super::{Exchange, Net, Ready, Session, Shared, Source, State, Tick, deadlines, stall};
    use crate::net::SockId;
    use crate::slab::Key;
    use std::rc::Rc;

    impl<N: Net> Proxy<N> {
        /// Checks everything that must be true between two turns. Returns what is wrong, if
        /// anything is.
        pub fn check(&self, now: Tick) -> Option<String> {
            let idle = self.tasks.iter().filter(|(key, _)| !self.tasks.is_queued(*key));
            for (key, session) in idle {
                // Gathered bytes may have become due since the session was last advanced, and the
                // timer wheel reports that. At tick zero only bytes that never had to wait are due.
                let stall = stall(session, &self.shared, Tick::ZERO);
                if let Some(what) = stall.or_else(|| self.missing_timer(key, session, now)) {
                    return Some(format!("session {key:?}: {what}"));
                }
            }
            let stalled = self.stalled_check().or_else(|| self.stalled_feed(now));
            let stalled = stalled.or_else(|| self.shared.auth_requests.stalled(&self.shared.pool));
            stalled.or_else(|| self.unbalanced())
        }

        /// A health check that could continue, or that no timer wakes.
        fn stalled_check(&self) -> Option<String> {
            let idle = self.checks.iter().filter(|(key, _)| !self.checks.is_queued(*key));
            for (key, check) in idle {
                let slack = check.waits_until().as_millis() / 8 + 1;
                let late = self.checks.timer(key).since(check.waits_until()).as_millis();
                let conn = check.connection().map(|key| &self.shared.pool[key].conn);
                let stalls = conn.is_some_and(|conn| {
                    let writes = check.wants_to_write();
                    conn.ready.has(Ready::READ) || conn.ready.has(Ready::WRITE) && writes
                });
                if stalls || late > u128::from(slack) {
                    return Some(format!("check {check:?} is not woken"));
                }
            }
            None
        }

        /// A feed that could continue, or that no timer wakes.
        fn stalled_feed(&self, now: Tick) -> Option<String> {
            let feeds = &self.feeds.tasks;
            for (key, feed) in feeds.iter().filter(|(key, _)| !feeds.is_queued(*key)) {
                let (at, _) = feed.next_deadline(&self.shared.portions, now);
                let slack = at.as_millis() / 8 + 1;
                let late = feeds.timer(key).as_millis().saturating_sub(at.as_millis()) > slack;
                if let Some(what) = stall_of_feed(feed, &self.shared, Tick::ZERO) {
                    return Some(format!("feed {key:?}: {what}"));
                }
                if at != Tick::NEVER && late {
                    return Some(format!("feed {key:?}: due is {at:?}, and no timer is"));
                }
            }
            None
        }

        /// A deadline that the timer wheel does not have, or has too late.
        fn missing_timer(&self, key: Key<Session>, session: &Session, now: Tick) -> Option<String> {
            let next = deadlines::next(session, &self.shared, now);
            let armed = self.tasks.timer(key);
            let slack = next.at.as_millis() / 8 + 1;
            let late = armed.as_millis().saturating_sub(next.at.as_millis()) > slack;
            (next.at != Tick::NEVER && late)
                .then(|| format!("due is {next:?}, the wheel says {armed:?}"))
        }

        /// Checks that every buffer, connection and share that was lent is held by a session or the
        /// pool.
        fn unbalanced(&self) -> Option<String> {
            let (pool, apis) = (&self.shared.pool, &self.shared.apis);
            let (mut buffers, mut in_use) = (0, 0);
            let mut exchanges = Vec::new();
            let mut shares = [0, 0];
            let mut reclaimable = 0;
            for (_, session) in self.tasks.iter() {
                buffers += usize::from(!session.conn.ahead().is_empty());
                let Some(exchange) = session.exchange() else {
                    let shakes = session.is_shaking_hands();
                    let counts =
                        !session.service.is_for_operators() && (!session.is_refused() || shakes);
                    let begun = matches!(session.state, State::Head { .. });
                    reclaimable += usize::from(counts && !begun);
                    continue;
                };
                exchanges.push(exchange);
                let held = exchange.caller.as_ref().map_or([0, 0], |caller| caller.shares.held());
                // The counts of a removed api are no longer reachable.
                let counted = exchange.permit.as_ref().is_some_and(|permit| apis.count(permit));
                shares = [shares[0] + held[0] * usize::from(counted), shares[1] + held[1]];
            }
            exchanges.extend(self.feeds.tasks.iter().map(|(_, feed)| &*feed.exchange));
            for exchange in &exchanges {
                buffers += usize::from(exchange.upload.pending() > 0);
                let upload = exchange.upload.pipe();
                buffers += usize::from(upload.is_some_and(|pipe| pipe.intake.keeps_any()));
                buffers += usize::from(exchange.response.pending() > 0);
                let events = exchange.response.intake.events();
                buffers += usize::from(events.is_some_and(|events| events.holds_any()));
                in_use += usize::from(exchange.connection().is_some());
            }
            buffers += pool.iter().filter(|c| !c.conn.ahead().is_empty()).count();
            in_use += self.checks.iter().filter(|(_, c)| c.connection().is_some()).count();
            in_use += self.shared.auth_requests.connections();
            let what =
                self.miscounted(&exchanges).or_else(|| self.questions_miscounted(&exchanges));
            if what.is_some() {
                return what;
            }
            let by_address = apis.in_order().map(|(_, state)| state.totals.addresses.held()).sum();
            let counted = [by_address, self.shared.edge.totals.key_streams.held()];
            if shares != counted && self.shared.loops == 1 {
                return Some(format!("{counted:?} shares counted, {shares:?} held"));
            }
            let in_rows = self.shared.edge.reclaimable.count(&self.tasks);
            if reclaimable != in_rows {
                return Some(format!("{in_rows} sessions in rows, {reclaimable} may be closed"));
            }
            let lent = self.shared.memory.buffers.lent();
            if buffers != lent {
                return Some(format!("{lent} buffers lent, {buffers} held"));
            }
            let asked = apis.in_order().filter(|(_, state)| state.auth.is_some()).count();
            let (upstreams, served) = (pool.upstreams(), apis.in_order().count());
            if upstreams != served + asked {
                return Some(format!("{upstreams} upstreams, {served} apis, {asked} asked"));
            }
            if let Some((target, counted, are)) = pool.miscounted() {
                return Some(format!("{target} counts {counted:?} connections of {are:?}"));
            }
            // Waits for an upstream that was removed are not counted. These exchanges are woken.
            let waits = |e: &&&Exchange| {
                let Source::Queued(queued) = e.source() else { return false };
                pool.is_turn_of(queued.place).is_some()
            };
            let (queued, counted) = (exchanges.iter().filter(waits).count(), pool.waiting());
            if queued != counted {
                return Some(format!("{counted} in queues, {queued} wait for a connection"));
            }
            let (idle, all) = (pool.idle(), pool.len());
            (in_use + idle != all)
                .then(|| format!("{all} connections, {in_use} in use, {idle} idle"))
        }

        /// The size of the kept questions, if it differs from the count.
        fn questions_miscounted(&self, exchanges: &[&Exchange]) -> Option<String> {
            let questions = exchanges.iter().filter_map(|exchange| exchange.let_in());
            let questions = questions.filter_map(|let_in| let_in.question.as_ref());
            let kept = questions.map(|kept| kept.question().len()).sum::<usize>();
            let counted = self.shared.auth_requests.kept().get();
            (kept != counted).then(|| format!("{counted} bytes of questions counted, {kept} kept"))
        }

        /// A wrong count of client places or of an api's open streams.
        fn miscounted(&self, exchanges: &[&Exchange]) -> Option<String> {
            if self.shared.loops > 1 {
                return None;
            }
            if let Some([taken, clients]) = self.shared.edge.miscounted_places() {
                return Some(format!("{taken} places taken, {clients} clients"));
            }
            for (_, state) in self.shared.apis.in_order() {
                let permits = exchanges.iter().filter_map(|exchange| exchange.permit.as_ref());
                let held = permits.filter(|permit| permit.is_of(&state.totals)).count();
                let counted = state.totals.streams();
                if held != counted {
                    return Some(format!("{counted} streams counted, {held} open"));
                }
            }
            None
        }

        /// The number of exchanges of earlier configurations that the current one does not admit.
        pub fn unwanted(&self) -> usize {
            let (config, apis) = (&self.shared.config, &self.shared.apis);
            let exchanges = self.tasks.iter().filter_map(|(_, session)| session.exchange());
            let unwanted = exchanges.filter(|exchange| {
                !Rc::ptr_eq(&exchange.config, config)
                    && reload::reason_to_end(exchange, config, apis).is_some()
            });
            unwanted.count()
        }

        /// The readiness that the proxy assumes for each of its sockets, to compare with the
        /// network.
        pub fn beliefs(&self) -> Vec<(SockId, Ready)> {
            let down = self.tasks.iter().map(|(_, session)| session.conn.belief());
            let up = self.shared.pool.iter().map(|connection| connection.conn.belief());
            down.chain(up).collect()
        }

        /// The number of steps that changed something so far. A turn that adds none did nothing.
        pub const fn moves(&self) -> u64 {
            self.moves + self.shared.pool.closed()
        }

        /// The bytes that count towards `max_held_bytes`, and those of all lent buffers.
        pub const fn held(&self) -> (usize, usize) {
            let buffers = &self.shared.memory.buffers;
            (buffers.held_bytes(), buffers.lent_bytes())
        }

        /// The numbers of sessions and checks, upstream connections, and buffers in use.
        pub fn in_use(&self) -> (usize, usize, usize) {
            let Shared { pool, memory, .. } = &self.shared;
            let tasks = self.tasks.len() + self.checks.len() + self.feeds.tasks.len();
            let tasks = tasks + self.shared.auth_requests.len();
            (tasks, pool.len(), memory.buffers.lent())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::streams::StreamState;

    const MANUAL: &str = include_str!("../../doc/millstream.1");

    /// Operators read these names: each has one meaning, and the manual explains those that a
    /// stream can have.
    #[test]
    fn the_manual_has_every_word() {
        let waits = [
            Wait::ClientBytes,
            Wait::ClientRoom,
            Wait::UpstreamHead,
            Wait::UpstreamBytes,
            Wait::Log,
            Wait::UpstreamRoom,
            Wait::UpstreamQueue,
            Wait::UpstreamConnection,
        ];
        let deadlines = [
            Deadline::RequestBody,
            Deadline::RequestStuck,
            Deadline::Queue,
            Deadline::Connect,
            Deadline::ResponseHead,
            Deadline::FirstEvent,
            Deadline::Stall,
            Deadline::StreamSilence,
            Deadline::TunnelIdle,
            Deadline::Heartbeat,
            Deadline::Expiry,
            Deadline::Recheck,
            Deadline::Settle,
            Deadline::AskAgain,
            Deadline::GiveUp,
            Deadline::ResponseStuck,
            Deadline::Flush,
            Deadline::Drain,
        ];
        let (_, section) = MANUAL.split_once("\n.Ss Streams\n").unwrap();
        let (section, _) = section.split_once("\n.S").unwrap();
        let explained: Vec<&str> =
            section.lines().filter_map(|line| line.strip_prefix(".It Li ")).collect();
        let states = StreamState::ALL.map(StreamState::word).into_iter();
        let waits = waits.iter().map(|wait| wait.name());
        let words: Vec<&str> =
            states.chain(waits).chain(deadlines.iter().map(|d| d.name())).collect();
        assert_eq!(explained, words);
    }
}
