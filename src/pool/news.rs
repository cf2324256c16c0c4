//! News about targets that event loops send to each other: the results of health checks, and which
//! targets are passed over.
//!
//! The first loop checks targets for all. A loop that finds that a target has failed too often
//! tells the others, and all pass it over. Only the first loop logs this, so that it is logged
//! once.

use super::Pool;
use super::endpoint::Endpoint;
use super::upstream::Upstream;
use crate::config::Target;
use crate::net::Address;
use crate::slab::Key;
use crate::time::Tick;

/// News about a target. See the module.
#[derive(Clone, Debug)]
pub struct News {
    /// The name of the api.
    api: String,
    /// True exactly when it is the api's auth server.
    is_auth_server: bool,
    target: Target,
    learnt: Learnt,
}

/// The news about an endpoint.
#[derive(Clone, Debug)]
pub enum Learnt {
    /// Health checks found this address healthy or not.
    Healthy(Address, bool),
    /// It is passed over.
    PassedOver {
        /// Until when.
        until: Tick,
        /// True exactly when the reason is how it answered, and not that it could not be connected
        /// to.
        asked: bool,
    },
    /// It can be connected to again.
    Connected,
    /// It answers properly again.
    Answered,
}

impl Pool {
    /// Takes the news for the other event loops.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Sends news about an endpoint to the other event loops.
    pub(super) fn tell(&mut self, key: Key<Upstream>, index: usize, learnt: Learnt) {
        let Some(upstream) = self.upstreams.get(key).filter(|_| self.role.has_others()) else {
            return;
        };
        self.news.push(News {
            api: upstream.name.clone(),
            is_auth_server: upstream.is_auth_server,
            target: upstream.endpoints[index].target.clone(),
            learnt,
        });
    }

    /// Applies news from another event loop. A turn has to follow.
    pub fn learn(&mut self, news: &News, now: Tick) {
        let role = self.role;
        let is_it = |upstream: &Upstream| {
            (&upstream.name, upstream.is_auth_server) == (&news.api, news.is_auth_server)
        };
        let mut changed = Vec::new();
        for (key, upstream) in self.upstreams.iter_mut().filter(|(_, upstream)| is_it(upstream)) {
            let is_it = |endpoint: &Endpoint| endpoint.target.is_same_place(&news.target);
            for index in 0..upstream.endpoints.len() {
                if is_it(&upstream.endpoints[index]) {
                    upstream.learn(index, &news.learnt, role, now);
                    changed.push(key);
                }
            }
        }
        for key in changed {
            self.look_at_endpoints(Some(key), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pool::Role;
    use crate::telemetry::Stats;

    const fn at(seconds: u64) -> Tick {
        Tick::from_millis(seconds * 1000)
    }

    #[test]
    fn what_one_loop_learns_is_counted_by_the_first() {
        let text = "[[api]]\nname = 'a'\nlisten_path = '/'\nmax_fails = 2\n\
            target_url = ['http://10.0.0.1', 'http://10.0.0.2']";
        let config = Config::parse("x", text).unwrap();
        let upstream = || Upstream::of(config.apis[0].backend(), &mut Stats::new(), Tick::ZERO);
        let (mut first, mut other) = (upstream(), upstream());
        assert!(other.note_failure(0, false, Role::Other, at(1)).is_none());
        let learnt = other.note_failure(0, false, Role::Other, at(1)).unwrap();
        for _ in 0..2 {
            first.learn(0, &learnt, Role::First, at(1));
        }
        let counted = |upstream: &Upstream| upstream.endpoints[0].stats.passed_over.get();
        assert!(first.endpoints[0].is_passed_over(at(10)) && counted(&first) == 1);
        assert!(other.endpoints[0].is_passed_over(at(10)) && counted(&other) == 0);
        // It is on probation in all loops.
        let again = first.note_failure(0, false, Role::First, at(12)).unwrap();
        other.learn(0, &again, Role::Other, at(12));
        assert!(other.endpoints[0].is_passed_over(at(20)) && counted(&first) == 2);
        let answered = other.note_answer(0, 200, Role::Other, at(30)).unwrap();
        first.learn(0, &answered, Role::First, at(30));
        assert!(first.note_answer(0, 200, Role::First, at(30)).is_none(), "it is known already");
        assert!(first.note_failure(0, false, Role::First, at(31)).is_none());
    }
}
