//! Who is woken when a log has changed.

use crate::exchange::Log;
use crate::session::Session;
use crate::slab::Key;
use crate::tasks::Tasks;
use std::rc::Rc;

/// The sessions that read a log. Some may be gone, or read it no more.
#[derive(Debug, Default)]
pub(super) struct Followers {
    sessions: Vec<Key<Session>>,
    /// The number of those, from the first, that have to be woken.
    asleep: usize,
}

impl Followers {
    /// Adds a session. It may have read the log before.
    pub(super) fn add(&mut self, key: Key<Session>) {
        if !self.sessions.contains(&key) {
            self.sessions.push(key);
        }
    }

    /// All have to be woken.
    pub(super) const fn begin(&mut self) {
        self.asleep = self.sessions.len();
    }

    /// Wakes as many as are `left` of those who have to be, and forgets those who do not read the
    /// log any more. True if there are more.
    pub(super) fn wake(
        &mut self,
        left: &mut usize,
        tasks: &mut Tasks<Session>,
        log: &Rc<Log>,
    ) -> bool {
        while *left > 0 && self.asleep > 0 {
            *left -= 1;
            self.asleep -= 1;
            let key = self.sessions[self.asleep];
            let exchange = tasks.get(key).and_then(Session::exchange);
            if exchange.is_some_and(|exchange| exchange.follows(log)) {
                tasks.wake(key);
            } else {
                self.sessions.swap_remove(self.asleep);
            }
        }
        self.asleep > 0
    }

    /// True exactly when there were none when they were last woken, and none came since.
    pub(super) const fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// True exactly when some have to be woken.
    pub(super) const fn is_waking(&self) -> bool {
        self.asleep > 0
    }
}
