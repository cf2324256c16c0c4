//! The readers that are woken when a log has changed.

use crate::exchange::Log;
use crate::session::Session;
use crate::slab::Key;
use crate::tasks::Tasks;
use std::rc::Rc;

/// A session, and the id of its request that reads a log.
pub(crate) type Follower = (Key<Session>, u64);

/// How many departed followers are tolerated, plus as many as there are readers.
const SPARE: usize = 64;

/// The sessions that read a log. Some may be gone or no longer read it.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    all: Vec<Follower>,
    /// The followers still to be woken are the first this many.
    asleep: usize,
}

impl Followers {
    /// Adds a session whose request with this id begins to read the log. Each reads it once.
    pub(crate) fn add(
        &mut self,
        key: Key<Session>,
        id: u64,
        tasks: &Tasks<Session>,
        log: &Rc<Log>,
    ) {
        // Departed followers are noticed when all are woken, which does not happen while a log is
        // quiet.
        if self.asleep == 0 && self.all.len() > 2 * log.readers() + SPARE {
            self.all.retain(|follower| reads(*follower, tasks, log));
        }
        self.all.push((key, id));
    }

    /// Marks all as to be woken.
    pub(crate) const fn begin(&mut self) {
        self.asleep = self.all.len();
    }

    /// Wakes up to `many` of those to be woken, and forgets those that no longer read the log.
    /// Returns true if there are more.
    pub(crate) fn wake(&mut self, many: usize, tasks: &mut Tasks<Session>, log: &Rc<Log>) -> bool {
        for _ in 0..many.min(self.asleep) {
            self.asleep -= 1;
            let follower = self.all[self.asleep];
            if reads(follower, tasks, log) {
                tasks.wake(follower.0);
            } else {
                self.all.swap_remove(self.asleep);
            }
        }
        self.asleep > 0
    }

    /// True if none were left when they were last woken, and none were added since.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The number of followers. Some may be gone.
    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }
}

/// True if this request still reads the log.
pub(crate) fn reads((key, id): Follower, tasks: &Tasks<Session>, log: &Rc<Log>) -> bool {
    let exchange = tasks.get(key).and_then(Session::exchange);
    exchange.is_some_and(|exchange| exchange.record.id == id && exchange.follows(log))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use crate::event_log::Limits;
    use crate::exchange::LogState;
    use crate::session::{Port, Service};
    use crate::time::Tick;
    use std::time::Duration;

    #[test]
    fn those_who_have_left_a_quiet_log_are_forgotten() {
        let limits = Limits { bytes: 9, events: 9, age: Duration::ZERO };
        let log = Log::new(limits, LogState::Open, &Rc::default());
        let (mut tasks, mut followers) = (Tasks::new(Tick::ZERO), Followers::default());
        for id in 0..1000 {
            let port = Port::plain(Service::Apis);
            let key = tasks.insert(Session::new(Conn::unconnected(), port, None, Tick::ZERO));
            followers.add(key, id, &tasks, &log);
            tasks.remove(key);
            assert!(followers.all.len() <= SPARE + 1);
        }
    }
}
