//! Why a session is not moving.
//!
//! The stall is *the* bug of event-loop proxies: a session that could move and that nobody looks
//! at. So every session that is not queued must be able to name what it waits for, and the thing
//! named must not be there yet. [`Proxy::waits`] names it; [`Proxy::stall`] checks it. Debug builds
//! check at the end of each advance, and the simulator checks all sessions after each turn.

use super::Proxy;
use super::deadlines::Deadline;
use super::scene::watches;
use crate::conn::Conn;
use crate::net::{Net, Ready};
use crate::session::exchange::{Exchange, Phase};
use crate::session::upload::Upload;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::Tick;

/// Something that a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// More of a request head, or an end, from the client.
    ClientHead,
    /// Bytes of a body, or an end, from the client.
    ClientBytes,
    /// Room in the client's socket.
    ClientRoom,
    /// The client's end of a connection that is closed as soon as it is there.
    ClientEnd,
    /// More of a response head, or an end, from the upstream.
    UpstreamHead,
    /// Bytes of a body, or an end, from the upstream.
    UpstreamBytes,
    /// Room in the upstream's socket.
    UpstreamRoom,
    /// The connection to the upstream.
    UpstreamConnection,
    /// Something to say, from elsewhere in this process.
    Words,
    /// A moment.
    Until(Tick, Deadline),
}

impl Wait {
    /// The word for it in `/streams`, which millstream(1) explains. A moment has that of its
    /// deadline.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Wait::ClientHead => "client_head",
            Wait::ClientBytes => "client_bytes",
            Wait::ClientRoom => "client_room",
            Wait::ClientEnd => "client_end",
            Wait::UpstreamHead => "upstream_head",
            Wait::UpstreamBytes => "upstream_bytes",
            Wait::UpstreamRoom => "upstream_room",
            Wait::UpstreamConnection => "upstream_connection",
            Wait::Words => "words",
            Wait::Until(_, deadline) => deadline.name(),
        }
    }
}

impl<N: Net> Proxy<N> {
    /// What a session waits for. Never empty for a session that is not queued.
    pub(super) fn waits(&self, key: Key<Session>, now: Tick) -> Vec<Wait> {
        let session = &self.sessions[key];
        let mut waits = Vec::new();
        match &session.state {
            State::Idle { .. } | State::Head { .. } => waits.push(Wait::ClientHead),
            State::Lingering { .. } => waits.push(Wait::ClientEnd),
            State::Active(exchange) => self.exchange_waits(exchange, now, &mut waits),
        }
        let (at, deadline) = self.next_deadline(key, now);
        if at != Tick::NEVER {
            waits.push(Wait::Until(at, deadline));
        }
        waits
    }

    fn exchange_waits(&self, exchange: &Exchange, now: Tick, waits: &mut Vec<Wait>) {
        let high_water = self.portions.high_water;
        let towards_upstream = |request: &Upload, waits: &mut Vec<Wait>| {
            let Some(request) = request.pipe() else { return };
            if request.wants_sink(now, high_water) {
                waits.push(Wait::UpstreamRoom);
            }
            if request.wants_source(high_water) {
                waits.push(Wait::ClientBytes);
            }
        };
        if exchange.response.wants_sink(now, high_water) {
            waits.push(Wait::ClientRoom);
        }
        match &exchange.phase {
            Phase::Local(local) if local.is_fed() && exchange.response.pending() == 0 => {
                waits.push(Wait::Words);
            }
            Phase::Answering | Phase::Local(_) | Phase::Holding(_) | Phase::Delivering => {}
            Phase::Connecting(_) => waits.push(Wait::UpstreamConnection),
            Phase::AwaitingHead(_) => {
                towards_upstream(&exchange.request, waits);
                if exchange.response.pending() < high_water {
                    waits.push(Wait::UpstreamHead);
                }
            }
            Phase::Relaying(_) | Phase::Tunnel(_) => {
                towards_upstream(&exchange.request, waits);
                if exchange.response.wants_source(high_water) {
                    waits.push(Wait::UpstreamBytes);
                }
            }
        }
    }

    /// What is wrong with a session that is not queued: it waits for nothing, or for what is
    /// already there. None when all is well.
    pub(super) fn stall(&self, key: Key<Session>, now: Tick) -> Option<String> {
        let session = &self.sessions[key];
        let waits = self.waits(key, now);
        if waits.is_empty() {
            return Some("it waits for nothing".to_owned());
        }
        let there = waits.iter().find(|wait| self.is_there(session, **wait));
        if let Some(wait) = there {
            return Some(format!("it waits for {wait:?}, which is there"));
        }
        if let State::Active(exchange) = &session.state
            && watches(&session.conn, exchange, self.portions.ahead_max)
        {
            return Some("the client has sent something that nobody looks at".to_owned());
        }
        None
    }

    fn is_there(&self, session: &Session, wait: Wait) -> bool {
        let upstream = match &session.state {
            State::Active(exchange) => exchange.upstream(),
            State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => None,
        };
        let upstream = upstream.map(|key| &self.upstreams[key].conn);
        let writable = |conn: &Conn| conn.ready.has(Ready::WRITE);
        match wait {
            Wait::ClientHead | Wait::ClientEnd => session.conn.ready.has(Ready::READ),
            Wait::ClientBytes => session.conn.has_input(),
            Wait::ClientRoom => writable(&session.conn),
            Wait::UpstreamHead => upstream.is_none_or(|conn| conn.ready.has(Ready::READ)),
            Wait::UpstreamBytes => upstream.is_none_or(Conn::has_input),
            Wait::UpstreamRoom => upstream.is_none_or(writable),
            Wait::UpstreamConnection => upstream.is_none_or(|c| writable(c) || c.hung_up()),
            Wait::Words => match &session.state {
                State::Active(exchange) => {
                    matches!(&exchange.phase, Phase::Local(local) if local.has_more())
                }
                State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => true,
            },
            // The wheel may be a little late by design; whether it knows is checked elsewhere.
            Wait::Until(..) => false,
        }
    }
}

/// What the simulator asks after each turn.
#[cfg(feature = "sim")]
mod oracle {
    use super::{Conn, Key, Net, Proxy, Ready, Session, State, Tick};
    use crate::net::SockId;
    use crate::session::Service;
    use std::rc::Rc;

    impl<N: Net> Proxy<N> {
        /// Checks everything that must be true between two turns. What is wrong, if anything is.
        pub fn check(&self, now: Tick) -> Option<String> {
            let idle = self.sessions.iter().filter(|(_, session)| !session.queued);
            for (key, _) in idle {
                // Gathered bytes may have become due since it was looked at, which is the wheel's
                // to tell; at the beginning of time only those are due that never had to wait.
                let stall = self.stall(key, Tick::ZERO);
                if let Some(what) = stall.or_else(|| self.unarmed(key, now)) {
                    return Some(format!("session {key:?}: {what}"));
                }
            }
            self.unbalanced()
        }

        /// A deadline that the wheel does not know of, or knows too late.
        fn unarmed(&self, key: Key<Session>, now: Tick) -> Option<String> {
            let (deadline, what) = self.next_deadline(key, now);
            let armed = self.timers.armed(key.index());
            let slack = deadline.as_millis() / 8 + 1;
            let late = armed.as_millis().saturating_sub(deadline.as_millis()) > slack;
            (deadline != Tick::NEVER && late)
                .then(|| format!("{what:?} is due at {deadline:?}, the wheel says {armed:?}"))
        }

        /// Buffers lent are buffers held; upstreams are in exchanges or in the pool.
        fn unbalanced(&self) -> Option<String> {
            let (mut buffers, mut in_use) = (0, 0);
            let mut exchanges = Vec::new();
            let mut shares = [0, 0];
            let mut reclaimable = 0;
            for (_, session) in self.sessions.iter() {
                buffers += usize::from(!session.conn.ahead().is_empty());
                let State::Active(exchange) = &session.state else {
                    let counts = session.service != Service::Admin && !session.refused;
                    let begun = matches!(session.state, State::Head { .. });
                    reclaimable += usize::from(counts && !begun);
                    continue;
                };
                exchanges.push(exchange);
                buffers += usize::from(exchange.request.pending() > 0);
                buffers += usize::from(exchange.response.pending() > 0);
                buffers += usize::from(
                    exchange.response.events().is_some_and(|events| events.holds_any()),
                );
                in_use += usize::from(exchange.upstream().is_some());
                let held = exchange.caller.as_ref().map_or([0, 0], |caller| caller.shares.held());
                // The counts of an api that is gone are held by those alone who have their places.
                let counted = exchange.origin.is_some_and(|key| self.origins.get(key).is_some());
                shares = [shares[0] + held[0] * usize::from(counted), shares[1] + held[1]];
            }
            let places = || self.origins.iter().flat_map(|(_, origin)| &origin.places);
            let ahead = |conn: &Conn| usize::from(!conn.ahead().is_empty());
            buffers += self.upstreams.iter().map(|(_, u)| ahead(&u.conn)).sum::<usize>();
            let pooled = places().map(|place| place.idle.len()).sum::<usize>();
            let returned = self.returned.iter().filter(|key| self.upstreams.get(**key).is_some());
            let pooled = pooled + returned.count();
            for (key, origin) in self.origins.iter() {
                let held = exchanges.iter().filter(|e| e.origin == Some(key) && e.permit.is_some());
                let (held, counted) = (held.count(), origin.streams());
                if held != counted {
                    return Some(format!("{counted} streams counted, {held} open"));
                }
            }
            let by_address = self.origins.iter().map(|(_, origin)| origin.addresses.held()).sum();
            let counted = [by_address, self.key_streams.held()];
            if shares != counted {
                return Some(format!("{counted:?} places counted, {shares:?} held"));
            }
            let in_rows = self.reclaimable.count(&self.sessions);
            if reclaimable != in_rows {
                return Some(format!("{in_rows} sessions in rows, {reclaimable} may be closed"));
            }
            if buffers != self.buffers.lent() {
                return Some(format!("{} buffers lent, {buffers} held", self.buffers.lent()));
            }
            (in_use + pooled != self.upstreams.len()).then(|| {
                format!("{} upstreams, {in_use} in use, {pooled} idle", self.upstreams.len())
            })
        }

        /// Exchanges of configurations before that the present one would not have.
        pub fn unwanted(&self) -> usize {
            let unwanted = |session: &Session| match &session.state {
                State::Active(exchange) => {
                    !Rc::ptr_eq(&exchange.config, &self.config)
                        && exchange.reason_to_end(&self.config, &self.api_origins).is_some()
                }
                State::Idle { .. } | State::Head { .. } | State::Lingering { .. } => false,
            };
            self.sessions.iter().filter(|(_, session)| unwanted(session)).count()
        }

        /// What the proxy believes of each of its sockets, for the network to compare.
        pub fn beliefs(&self) -> Vec<(SockId, Ready)> {
            let down = self.sessions.iter().map(|(_, s)| s.conn.belief());
            let up = self.upstreams.iter().map(|(_, u)| u.conn.belief());
            down.chain(up).collect()
        }

        /// Steps that changed something so far: a turn that adds none did nothing.
        pub const fn moves(&self) -> u64 {
            self.moves
        }

        /// The bytes that count towards `max_held_bytes`, and those of all buffers that are lent.
        pub const fn held(&self) -> (usize, usize) {
            (self.buffers.held_bytes(), self.buffers.lent_bytes())
        }

        /// How many sessions, upstream connections and buffers are in use.
        pub fn in_use(&self) -> (usize, usize, usize) {
            (self.sessions.len(), self.upstreams.len(), self.buffers.lent())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::streams::StreamState;

    const MANUAL: &str = include_str!("../../doc/millstream.1");

    /// The words are the operator's: each means one thing, and those that a stream can have are
    /// explained.
    #[test]
    fn the_manual_has_every_word() {
        let waits = [
            Wait::ClientBytes,
            Wait::ClientRoom,
            Wait::UpstreamHead,
            Wait::UpstreamBytes,
            Wait::UpstreamRoom,
            Wait::UpstreamConnection,
        ];
        let deadlines = [
            Deadline::RequestBody,
            Deadline::RequestStuck,
            Deadline::Connect,
            Deadline::ResponseHead,
            Deadline::StreamSilence,
            Deadline::TunnelIdle,
            Deadline::Heartbeat,
            Deadline::StreamEnd,
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
