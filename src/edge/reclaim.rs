//! Chooses which session to close when there is no room for a new client: the one that loses least.
//!
//! The order is: sessions in a TLS handshake; sessions that have sent their last response and only
//! wait for the client to close; sessions that are idle between two requests; and sessions that
//! have never received a byte. Of each kind, the one that has been in that state for longest comes
//! first. All but the idle are spared for a second, because what they wait for may still be on its
//! way. So silent connections can fill all places for at most a second.
//!
//! An event loop closes only its own sessions. If it has none to close, another loop makes room for
//! the next client ([`super::Edge::take_lack`]).

use super::row::Row;
use crate::session::{Session, State};
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::time::Tick;
use std::time::Duration;

/// How long to go on reading after our last byte. Closing with unread input would reset the
/// connection, and the byte could be lost.
pub const LINGER: Duration = Duration::from_secs(5);

/// How long a connection is spared after it was accepted, or after its last response.
const GRACE: Duration = Duration::from_secs(1);

/// How many sessions of each kind are examined, at most, to find one that has not just received
/// something.
const LOOKS: usize = 64;

/// The sessions that may be closed to make room for others.
#[derive(Debug, Default)]
pub struct Reclaimable {
    /// Those in a handshake that will be refused for lack of room. They count as handshakes, but
    /// not as clients.
    turned_away: Row,
    shaking: Row,
    lingering: Row,
    idle: Row,
    silent: Row,
}

impl Reclaimable {
    /// The row for a session in this state. None if it is being served, or takes no place from
    /// others.
    fn row_of(&mut self, session: &Session) -> Option<&mut Row> {
        if session.service.is_for_operators() {
            return None;
        }
        match session.state {
            _ if session.is_refused() && session.is_shaking_hands() => Some(&mut self.turned_away),
            _ if session.is_refused() => None,
            State::ProxyHeader { .. } if !session.is_secure => Some(&mut self.silent),
            State::ProxyHeader { .. } | State::Handshake { .. } => Some(&mut self.shaking),
            State::Lingering { .. } => Some(&mut self.lingering),
            State::Idle { fresh: false, .. } => Some(&mut self.idle),
            State::Idle { fresh: true, .. } => Some(&mut self.silent),
            State::Head { .. } | State::Active(_) => None,
        }
    }

    /// Adds a session that has entered a state in which it may be closed to make room.
    pub fn add(&mut self, sessions: &mut Tasks<Session>, key: Key<Session>) {
        if let Some(row) = self.row_of(&sessions[key]) {
            row.push(sessions, key);
        }
    }

    /// Removes a session that is about to leave such a state.
    pub fn remove(&mut self, sessions: &mut Tasks<Session>, key: Key<Session>) {
        if let Some(row) = self.row_of(&sessions[key]) {
            row.remove(sessions, key);
        }
    }

    /// The number of sessions in all rows.
    #[cfg(feature = "sim")]
    pub fn count(&self, sessions: &Tasks<Session>) -> usize {
        [&self.turned_away, &self.shaking, &self.lingering, &self.idle, &self.silent]
            .map(|row| row.iter(sessions).count())
            .iter()
            .sum()
    }

    /// The session that loses least by being closed now.
    pub fn choose(&mut self, sessions: &mut Tasks<Session>, now: Tick) -> Option<Key<Session>> {
        let Reclaimable { turned_away: _, shaking, lingering, idle, silent } = self;
        let mut rows = [shaking, lingering, idle, silent].into_iter();
        rows.find_map(|row| choose(row, sessions, now))
    }

    /// The session that has been in a handshake for longest, if it may be closed to make room for
    /// another. Those that would be refused anyway come first.
    pub fn choose_handshake(
        &mut self,
        sessions: &mut Tasks<Session>,
        now: Tick,
    ) -> Option<Key<Session>> {
        let turned_away = choose(&mut self.turned_away, sessions, now);
        turned_away.or_else(|| choose(&mut self.shaking, sessions, now))
    }
}

/// The first session of a row that may be closed now.
fn choose(row: &mut Row, sessions: &mut Tasks<Session>, now: Tick) -> Option<Key<Session>> {
    for _ in 0..LOOKS {
        let key = row.first(sessions)?;
        if !has_just_spoken(sessions, key) {
            return sessions[key].state.may_be_closed(now).then_some(key);
        }
        row.remove(sessions, key);
        row.push(sessions, key);
    }
    None
}

/// True exactly when a session may just have received a request. Then it is in the run queue, but
/// it may also be there because its socket has become writable, as every new one does.
fn has_just_spoken(sessions: &Tasks<Session>, key: Key<Session>) -> bool {
    let session = &sessions[key];
    sessions.is_queued(key) && (session.is_shaking_hands() || session.conn.has_input())
}

impl State {
    /// True exactly when a session in this state may be closed for lack of room.
    fn may_be_closed(&self, now: Tick) -> bool {
        match self {
            State::Lingering { until, .. } => until.since(now) + GRACE <= LINGER,
            State::ProxyHeader { since, .. } | State::Handshake { since, .. } => {
                now.since(*since) >= GRACE
            }
            State::Idle { since, fresh, .. } => !fresh || now.since(*since) >= GRACE,
            State::Head { .. } | State::Active(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use crate::net::Ready;
    use crate::session::{Port, Service, Standing};

    #[test]
    fn one_that_has_just_sent_something_is_spared() {
        let (mut sessions, mut reclaimable) = (Tasks::new(Tick::ZERO), Reclaimable::default());
        let keys = [(); 2].map(|()| {
            let new =
                Session::new(Conn::unconnected(), Port::plain(Service::Apis), None, Tick::ZERO);
            let key = sessions.insert(Session { state: State::idle(Tick::ZERO), ..new });
            reclaimable.add(&mut sessions, key);
            key
        });
        assert_eq!(reclaimable.choose(&mut sessions, Tick::ZERO), Some(keys[0]));
        // A writable socket says nothing about the client.
        sessions[keys[0]].conn.ready.set(Ready::WRITE);
        sessions.wake(keys[0]);
        assert_eq!(reclaimable.choose(&mut sessions, Tick::ZERO), Some(keys[0]));
        sessions[keys[0]].conn.ready.set(Ready::READ);
        assert_eq!(reclaimable.choose(&mut sessions, Tick::ZERO), Some(keys[1]));
        sessions[keys[1]].conn.ready.set(Ready::READ);
        sessions.wake(keys[1]);
        assert_eq!(reclaimable.choose(&mut sessions, Tick::ZERO), None);
    }

    #[test]
    fn one_that_is_turned_away_keeps_nobody_from_a_handshake() {
        let (mut sessions, mut reclaimable) = (Tasks::new(Tick::ZERO), Reclaimable::default());
        let port = Port::secure(Service::Apis);
        let [let_in, refused] = [Standing::Served, Standing::Refused].map(|standing| {
            let new = Session::new(Conn::unconnected(), port, None, Tick::ZERO);
            let key = sessions.insert(Session { standing, ..new });
            reclaimable.add(&mut sessions, key);
            key
        });
        let later = Tick::ZERO.after(GRACE);
        assert_eq!(reclaimable.choose_handshake(&mut sessions, Tick::ZERO), None);
        assert_eq!(reclaimable.choose_handshake(&mut sessions, later), Some(refused));
        assert_eq!(reclaimable.choose(&mut sessions, later), Some(let_in));
        reclaimable.remove(&mut sessions, let_in);
        assert_eq!(reclaimable.choose(&mut sessions, later), None);
        assert_eq!(reclaimable.choose_handshake(&mut sessions, later), Some(refused));
    }
}
