//! What went wrong in the last minute, for an operator who looks only now.
//!
//! Problems are counted in slots of a few seconds. A slot begins with the first problem in it, and
//! old slots are removed. So an api without problems stores nothing, and no api stores more than
//! one count per kind of problem and slot.

use super::cause::Cause;
use super::outcome::Outcome;
use crate::time::{Tick, millis};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The length of a slot.
const SLOT: Duration = Duration::from_secs(5);

/// The number of slots in a minute. The last one is unfinished, so the minute is up to a slot
/// shorter.
const SLOTS: u64 = 12;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// A request was not served.
    Unserved,
    /// A request was refused.
    Refused(Cause),
    /// An event stream or a tunnel ended abnormally.
    Cut(Outcome),
}

/// The slots of the last minute. They are taken out of the cell while in use. See the module docs.
#[derive(Default)]
pub(super) struct Lately(Cell<VecDeque<Slot>>);

impl fmt::Debug for Lately {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lately").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Slot {
    /// The index of the slot in time.
    number: u64,
    /// The number of requests before the slot's first problem.
    requests: u64,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts(Vec<(Problem, u64)>);

impl Counts {
    fn add(&mut self, problem: Problem, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, known)) => *known += count,
            None => self.0.push((problem, count)),
        }
    }
}

impl Lately {
    /// Counts a problem of one request or of several. `requests` returns the number of requests so
    /// far, including this one.
    pub(super) fn count(&self, problem: Problem, requests: impl FnOnce() -> u64, now: Tick) {
        let mut slots = self.0.take();
        let number = slot_of(now);
        if slots.back().is_none_or(|slot| slot.number != number) {
            slots.retain(|slot| slot.is_recent(number));
            let requests = requests().saturating_sub(1);
            slots.push_back(Slot { number, requests, counts: Counts::default() });
        }
        if let Some(slot) = slots.back_mut() {
            slot.counts.add(problem, 1);
        }
        self.0.set(slots);
    }

    /// What went wrong in the minute before `now`, given the number of `requests` so far.
    pub(super) fn minute(&self, requests: u64, now: Tick) -> Minute {
        let slots = self.0.take();
        let mut minute = Minute::default();
        for slot in slots.iter().filter(|slot| slot.is_recent(slot_of(now))) {
            minute.requests = minute.requests.max(requests.saturating_sub(slot.requests));
            for (problem, count) in &slot.counts.0 {
                minute.counts.add(*problem, *count);
            }
        }
        self.0.set(slots);
        minute
    }
}

impl Slot {
    const fn is_recent(&self, now: u64) -> bool {
        self.number + SLOTS > now
    }
}

fn slot_of(now: Tick) -> u64 {
    now.as_millis() / millis(SLOT)
}

/// What went wrong within a minute.
#[derive(Clone, Debug, Default)]
pub struct Minute {
    /// The number of requests since the first problem. 0 if there was none.
    pub requests: u64,
    counts: Counts,
}

impl Minute {
    /// True if nothing went wrong.
    pub const fn is_empty(&self) -> bool {
        self.counts.0.is_empty()
    }

    /// Adds what went wrong in another event loop.
    pub fn merge(&mut self, other: &Minute) {
        self.requests += other.requests;
        other.counts.0.iter().for_each(|(problem, count)| self.counts.add(*problem, *count));
    }

    /// The number of requests that were not served.
    pub fn unserved(&self) -> u64 {
        self.of(Problem::Unserved)
    }

    /// The numbers of refused requests, by the causes that occurred.
    pub fn refused(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let all = Cause::ALL.into_iter().map(|cause| (cause, self.of(Problem::Refused(cause))));
        all.filter(|(_, count)| *count > 0)
    }

    /// The numbers of streams and tunnels that were cut, by outcome.
    pub fn cut(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let all = Outcome::ALL.into_iter().map(|outcome| (outcome, self.of(Problem::Cut(outcome))));
        all.filter(|(_, count)| *count > 0)
    }

    fn of(&self, problem: Problem) -> u64 {
        self.counts.0.iter().find(|(known, _)| *known == problem).map_or(0, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    const PROBLEMS: [Problem; 3] =
        [Problem::Unserved, Problem::Refused(Cause::NoKey), Problem::Cut(Outcome::UpstreamCut)];

    /// Compares the counts with a list of everything that happened.
    #[test]
    fn a_minute_is_a_minute() {
        for seed in 0..50 {
            let mut dice = Rng::with_seed(seed);
            let (lately, mut happened) = (Lately::default(), Vec::new());
            let (mut ms, mut requests) = (0, 0);
            for _ in 0..300 {
                ms += dice.u64(..4000) * dice.u64(..2) * (1 + 20 * u64::from(dice.u64(..30) == 0));
                let now = Tick::from_millis(ms);
                requests += 1 + dice.u64(..3);
                if dice.u64(..2) == 0 {
                    let problem = PROBLEMS[dice.usize(..3)];
                    lately.count(problem, || requests, now);
                    happened.push((ms, problem));
                }
                let minute = lately.minute(requests, now);
                let since = (ms / 5000 + 1).saturating_sub(12) * 5000;
                let count = |problem| {
                    let recent = happened.iter().filter(|(at, _)| *at >= since);
                    recent.filter(|(_, known)| *known == problem).count() as u64
                };
                assert_eq!(minute.unserved(), count(PROBLEMS[0]), "seed {seed}");
                let refused = minute.refused().map(|(_, count)| count).sum::<u64>();
                assert_eq!(refused, count(PROBLEMS[1]), "seed {seed}");
                let cut = minute.cut().map(|(_, count)| count).sum::<u64>();
                assert_eq!(cut, count(PROBLEMS[2]), "seed {seed}");
                assert_eq!(minute.is_empty(), minute.requests == 0, "seed {seed}");
                let slots = lately.0.take();
                assert!(slots.len() as u64 <= SLOTS);
                lately.0.set(slots);
            }
        }
    }

    #[test]
    fn requests_are_counted_from_the_first_trouble_on() {
        let (lately, at) = (Lately::default(), |seconds: u64| Tick::from_millis(seconds * 1000));
        lately.count(Problem::Unserved, || 100, at(1));
        lately.count(Problem::Unserved, || 103, at(2));
        lately.count(Problem::Unserved, || 110, at(7));
        assert_eq!(lately.minute(110, at(8)).requests, 11);
        assert_eq!(lately.minute(120, at(61)).requests, 11);
        assert_eq!(lately.minute(120, at(65)).requests, 0);
    }
}
