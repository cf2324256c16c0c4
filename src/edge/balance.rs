//! How event loops that accept at the same sockets balance the clients.
//!
//! All loops are notified of every connection, and the first to accept gets it. An idle loop is
//! nearly always first, so busy loops get fewer. The rest is chance, but it adds up, because
//! streams last long: so a loop with more than its share lets the others go first for a moment. If
//! none of them accepts by then, because they are busy, it takes one connection, and twice as many
//! after each further moment in which none accepts. So clients do not wait for a stuck loop.

use super::Edge;
use crate::time::Tick;
use std::time::Duration;

/// How long the others may go first.
const MOMENT: Duration = Duration::from_millis(2);

/// The most connections that the loop takes after a moment in which no other accepted.
const TAKES_MAX: usize = 64;

/// How a loop lets others go first. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Balance {
    /// Until when the others may go first.
    waits_until: Option<Tick>,
    /// How many connections the loop was allowed after the last moment. 0 if others accepted in it.
    takes: usize,
    /// How many of these are left.
    left: usize,
}

impl Edge {
    /// Until when the others may accept a connection that is waiting now. None if this loop may.
    pub fn lets_others_go_first(&mut self, now: Tick) -> Option<Tick> {
        if self.loops == 1 || !self.is_ahead() {
            self.balance = Balance::default();
            return None;
        }
        let Balance { waits_until, takes, left } = &mut self.balance;
        match *waits_until {
            Some(until) if until <= now => {
                *takes = (2 * *takes).clamp(1, TAKES_MAX);
                (*waits_until, *left) = (None, *takes - 1);
            }
            None if *left > 0 => *left -= 1,
            Some(_) => {}
            None => *waits_until = Some(now.after(MOMENT)),
        }
        *waits_until
    }

    /// Notes that no connection is waiting: others have accepted those that this loop left to them.
    pub const fn note_nobody_waits(&mut self) {
        (self.balance.takes, self.balance.left) = (0, 0);
    }

    /// True exactly when this loop exceeds the average number of clients by more than an eighth
    /// plus one. Clients of the demo do not count, because only one loop can have them.
    fn is_ahead(&self) -> bool {
        let (own, all) = (self.clients - self.refused - self.demo, self.totals.divisible());
        8 * own * self.loops > 9 * all + 8 * self.loops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::descriptors::Budget;
    use crate::edge::Totals;
    use std::sync::Arc;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    /// A loop with `own` clients, and other loops with these numbers of clients.
    fn edge(own: usize, others: &[usize]) -> Edge {
        let config = Config::to("http://10.0.0.1", None).unwrap();
        let totals = Arc::new(Totals::default());
        let all = own + others.iter().sum::<usize>();
        let budget = Budget { clients: all, connections: 2 * all, refusals: 0 };
        let mut edge = Edge::new(&[], &config, budget, totals, 1 + others.len());
        assert!((0..all).all(|_| edge.take_place()));
        edge.clients = own;
        edge
    }

    #[test]
    fn whoever_has_more_than_its_share_is_ahead() {
        for (own, others, ahead) in [
            (9, &[][..], false),
            (1, &[0], false),
            (2, &[0], false),
            (3, &[0], true),
            (100, &[100, 100, 100], false),
            (114, &[100, 100, 100], false),
            (150, &[100, 100, 100], true),
            (0, &[100, 100, 100], false),
        ] {
            assert_eq!(edge(own, others).is_ahead(), ahead, "{own} {others:?}");
        }
    }

    #[test]
    fn clients_of_the_demo_make_no_loop_fall_behind() {
        // Twenty of the first loop's clients are the demo's. With nine others it is ahead, with
        // none it is not.
        for (own, others, ahead) in [(20, &[3, 3][..], false), (29, &[3, 3], true)] {
            let mut first = edge(own, others);
            first.demo = 20;
            (0..20).for_each(|_| first.totals.note_demo_begun());
            assert_eq!(first.is_ahead(), ahead, "{own} {others:?}");
        }
    }

    #[test]
    fn others_go_first_for_a_moment() {
        let mut ahead = edge(9, &[0]);
        assert_eq!(ahead.lets_others_go_first(at(10)), Some(at(12)));
        assert_eq!(ahead.lets_others_go_first(at(11)), Some(at(12)));
        // None accepted.
        assert_eq!(ahead.lets_others_go_first(at(12)), None);
        assert_eq!(ahead.lets_others_go_first(at(12)), Some(at(14)));
        // Still none: it takes two, and then four.
        for (ms, takes) in [(14, 2), (16, 4)] {
            for _ in 0..takes {
                assert_eq!(ahead.lets_others_go_first(at(ms)), None);
            }
            assert_eq!(ahead.lets_others_go_first(at(ms)), Some(at(ms + 2)));
        }
        // Others have accepted.
        assert_eq!(ahead.lets_others_go_first(at(18)), None);
        ahead.note_nobody_waits();
        assert_eq!(ahead.lets_others_go_first(at(18)), Some(at(20)));
        assert_eq!(ahead.lets_others_go_first(at(20)), None);
        assert_eq!(ahead.lets_others_go_first(at(20)), Some(at(22)));
        // The others have caught up.
        ahead.clients = 4;
        assert_eq!(ahead.lets_others_go_first(at(21)), None);
        ahead.clients = 9;
        assert_eq!(ahead.lets_others_go_first(at(30)), Some(at(32)));
    }
}
