//! Who is woken when a log has grown.

use crate::event_log::LogCell;
use crate::session::Session;
use crate::slab::Key;
use crate::tasks::Tasks;
use std::rc::Rc;

/// The sessions that read a log. Some may be gone, or read it no more.
#[derive(Debug, Default)]
pub(super) struct Followers(Vec<Key<Session>>);

impl Followers {
    /// Adds a session, which is in none yet.
    pub(super) fn add(&mut self, key: Key<Session>) {
        self.0.push(key);
    }

    /// Wakes all that still read the log, and forgets the others.
    pub(super) fn wake(&mut self, tasks: &mut Tasks<Session>, log: &Rc<LogCell>) {
        self.0.retain(|key| {
            let exchange = tasks.get(*key).and_then(Session::exchange);
            let follows = exchange.is_some_and(|exchange| exchange.follows(log));
            if follows {
                tasks.wake(*key);
            }
            follows
        });
    }

    /// True exactly when there were none when they were last woken, and none came since.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
