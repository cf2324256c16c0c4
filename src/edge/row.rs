//! A list of sessions in the order in which they were added.
//!
//! It is a ring of links inside the sessions, in the states that have fields for them. So it needs
//! no memory of its own, a session leaves it in constant time, and it never contains stale entries.

use crate::session::{Links, NOBODY, Session};
use crate::slab::Key;
use crate::tasks::Tasks;

/// The list. A session is in at most one, and leaves it before its state changes. See the module.
#[derive(Debug)]
pub struct Row {
    first: u32,
}

impl Default for Row {
    fn default() -> Row {
        Row { first: NOBODY }
    }
}

impl Row {
    /// The session that was added first.
    pub fn first(&self, sessions: &Tasks<Session>) -> Option<Key<Session>> {
        sessions.key_at(self.first)
    }

    /// All sessions, in order.
    #[cfg(feature = "sim")]
    pub fn iter(&self, sessions: &Tasks<Session>) -> impl Iterator<Item = Key<Session>> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let key = sessions.key_at(next)?;
            let links = sessions[key].state.links()?;
            next = if links.next == self.first { NOBODY } else { links.next };
            Some(key)
        })
    }

    /// Adds a session at the end.
    pub fn push(&mut self, sessions: &mut Tasks<Session>, key: Key<Session>) {
        let index = key.index();
        if self.first == NOBODY {
            self.first = index;
            *links(sessions, index) = Links { previous: index, next: index };
            return;
        }
        let next = self.first;
        let previous = std::mem::replace(&mut links(sessions, next).previous, index);
        links(sessions, previous).next = index;
        *links(sessions, index) = Links { previous, next };
    }

    /// Removes a session. Does nothing if it is in no row.
    pub fn remove(&mut self, sessions: &mut Tasks<Session>, key: Key<Session>) {
        let index = key.index();
        let place = std::mem::replace(links(sessions, index), Links::NONE);
        if place == Links::NONE {
            return;
        }
        if place.next == index {
            self.first = NOBODY;
            return;
        }
        links(sessions, place.previous).next = place.next;
        links(sessions, place.next).previous = place.previous;
        if self.first == index {
            self.first = place.next;
        }
    }
}

fn links(sessions: &mut Tasks<Session>, index: u32) -> &mut Links {
    let session = sessions.key_at(index).and_then(|key| sessions.get_mut(key));
    let Some(links) = session.and_then(|session| session.state.links_mut()) else {
        unreachable!("a session leaves its row before its state changes");
    };
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use crate::session::{Service, Standing, State};
    use crate::time::Tick;
    use fastrand::Rng;

    fn session() -> Session {
        let state = State::Idle { since: Tick::ZERO, fresh: true, links: Links::NONE };
        let conn = Conn::unconnected();
        Session {
            conn,
            state,
            service: Service::Apis,
            is_secure: false,
            is_https: false,
            port: 0,
            peer: None,
            is_anonymous: false,
            standing: Standing::Served,
        }
    }

    /// Compares the row with a plain list.
    #[test]
    fn it_is_in_order_whoever_leaves() {
        for seed in 0..50 {
            let mut dice = Rng::with_seed(seed);
            let (mut sessions, mut row) = (Tasks::new(Tick::ZERO), Row::default());
            let (mut model, mut out) = (Vec::new(), Vec::new());
            for _ in 0..8 {
                out.push(sessions.insert(session()));
            }
            for _ in 0..500 {
                if dice.u64(..2) == 0 && !out.is_empty() {
                    let key = out.swap_remove(dice.usize(..out.len()));
                    row.push(&mut sessions, key);
                    model.push(key);
                } else if !model.is_empty() {
                    let key = model.remove(dice.usize(..model.len()));
                    row.remove(&mut sessions, key);
                    row.remove(&mut sessions, key);
                    out.push(key);
                }
                assert_eq!(row.first(&sessions), model.first().copied(), "seed {seed}");
            }
            for key in model {
                assert_eq!(row.first(&sessions), Some(key), "seed {seed}");
                row.remove(&mut sessions, key);
            }
            assert_eq!(row.first(&sessions), None);
        }
    }
}
