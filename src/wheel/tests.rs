//! Tests of the wheel against an ordered map, over long runs with jumps of the clock.

use super::model::Model;
use super::*;
use fastrand::Rng;

/// A wheel and its model, driven by the same random numbers.
struct Run {
    dice: Rng,
    now: u64,
    owners: u64,
    wheel: Wheel,
    model: Model,
}

impl Run {
    fn new(seed: u64, start: u64, owners: u64) -> Run {
        Run {
            dice: Rng::with_seed(seed),
            now: start,
            owners,
            wheel: Wheel::new(Tick::from_millis(start)),
            model: Model::new(start),
        }
    }

    /// A duration of any order of magnitude, up to slightly beyond the reach.
    fn some_time(&mut self) -> u64 {
        let bits = self.dice.u64(..26);
        self.dice.u64(..1 << bits)
    }

    fn step(&mut self) {
        let index = u32::try_from(self.dice.u64(..self.owners)).unwrap();
        match self.dice.u64(..16) {
            0..8 => {
                let at = Tick::from_millis((self.now + self.some_time()).saturating_sub(9));
                self.wheel.at_most(index, at);
                self.model.at_most(index, at);
                assert!(self.wheel.armed(index) <= at);
            }
            8 => self.wheel.at_most(index, Tick::NEVER),
            9 => {
                self.wheel.disarm(index);
                self.model.disarm(index);
            }
            10..14 => self.expire_at_next(),
            _ => {
                self.now += self.some_time();
                self.expire();
            }
        }
        assert_eq!(self.wheel.armed(index), self.model.armed(index));
        assert_eq!(self.wheel.next(), self.model.next());
    }

    /// Sleeps until something is due, and no longer, as the loop does.
    fn expire_at_next(&mut self) {
        if self.wheel.next() == Tick::NEVER {
            assert_eq!(self.expire(), 0);
            return;
        }
        let next = self.wheel.next().as_millis();
        if next > self.now {
            self.now = self.now.max(next - 1);
            assert_eq!(self.expire(), 0, "next() said nothing is due before {next}");
            self.now = next;
        }
        assert!(self.expire() > 0, "next() said something is due at {next}");
    }

    fn expire(&mut self) -> usize {
        let max = if self.dice.u64(..4) == 0 { 1 + self.dice.usize(..5) } else { usize::MAX };
        let now = Tick::from_millis(self.now);
        let promises = self.model.promises.clone();
        let mut due = Vec::new();
        let reported = self.wheel.expire(now, max, |index| due.push(index));
        assert_eq!(due, self.model.expire(now, max));
        assert_eq!(reported, due.len());
        for index in due {
            assert!(promises[&index].0 <= self.now, "early");
            assert_eq!(self.wheel.armed(index), Tick::NEVER);
        }
        reported
    }
}

#[test]
fn a_wheel_is_an_ordered_map_of_rounded_moments() {
    for (seed, owners) in (0..).zip([1, 2, 5, 30, 200]) {
        let mut run = Run::new(seed, seed * 12_345, owners);
        for _ in 0..8_000 {
            run.step();
        }
        assert!(run.now > 2 * REACH, "every level has wrapped");
    }
}

/// Arms one owner `ahead` of `start`, sleeps until it is due, and returns how late that is.
fn lateness(start: u64, ahead: u64) -> u64 {
    let mut wheel = Wheel::new(Tick::from_millis(start));
    let at = start + ahead;
    wheel.at_most(3, Tick::from_millis(at));
    let next = wheel.next();
    let before = Tick::from_millis(next.as_millis().saturating_sub(1));
    if next.as_millis() > 0 {
        assert_eq!(wheel.expire(before, 9, |_| panic!("early")), 0);
    }
    assert_eq!(wheel.expire(next, 9, |index| assert_eq!(index, 3)), 1);
    assert_eq!(wheel.next(), Tick::NEVER);
    next.as_millis().checked_sub(at).expect("never early")
}

#[test]
fn late_by_less_than_an_eighth_and_exact_when_near() {
    for start in [0, 1, 63, 64, 511, 4_095, 1 << 24, 987_654_321] {
        for ahead in 0..=63 {
            assert_eq!(lateness(start, ahead), 0);
        }
        for ahead in (64..1_000).chain((6..24).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            let late = lateness(start, ahead.min(REACH));
            assert!(late * 63 <= ahead * 8, "{late} late, {ahead} ahead of {start}");
        }
    }
}

#[test]
fn beyond_the_reach_one_is_reported_at_the_end_of_it() {
    let mut wheel = Wheel::new(Tick::ZERO);
    wheel.at_most(0, Tick::from_millis(u64::MAX - 1));
    assert_eq!(wheel.armed(0), Tick::from_millis(REACH));
    assert_eq!(wheel.next(), Tick::from_millis(REACH));
    const { assert!(REACH > 4 * 3_600_000) };
}

#[test]
fn an_earlier_promise_stays_and_a_later_one_gives_way() {
    let [a, b, c] = [100, 200, 300].map(Tick::from_millis);
    let mut wheel = Wheel::new(Tick::ZERO);
    wheel.at_most(0, b);
    wheel.at_most(0, c);
    assert_eq!(wheel.armed(0), b);
    wheel.at_most(0, a);
    assert_eq!(wheel.armed(0), a);
    assert_eq!(wheel.expire(c, 9, |_| {}), 1);
    assert_eq!(wheel.armed(0), Tick::NEVER);
}

#[test]
fn what_was_over_the_limit_stays_due_in_order() {
    let mut wheel = Wheel::new(Tick::ZERO);
    let at = Tick::from_millis(20);
    for index in [4, 1, 3, 0, 2] {
        wheel.at_most(index, at);
    }
    wheel.disarm(3);
    let mut due = Vec::new();
    let now = Tick::from_millis(1_000_000);
    assert_eq!(wheel.expire(now, 3, |index| due.push(index)), 3);
    assert_eq!(wheel.next(), at);
    wheel.at_most(7, now);
    assert_eq!(wheel.expire(now, 1, |index| due.push(index)), 1);
    assert_eq!(due, [4, 1, 0, 2]);
    // The new promise was made while the wheel lagged behind: at a coarser level, but never early.
    assert!(wheel.next() >= now);
}

#[test]
fn a_moment_that_has_passed_is_due_at_once() {
    let mut wheel = Wheel::new(Tick::ZERO);
    let now = Tick::from_millis(777);
    assert_eq!(wheel.expire(now, 9, |_| {}), 0);
    wheel.at_most(0, Tick::from_millis(5));
    assert!(wheel.next() <= now);
    assert_eq!(wheel.expire(now, 9, |index| assert_eq!(index, 0)), 1);
}

/// An earlier promise in a long slot does not delay a later one that would get a shorter slot by
/// now, even if its own moment has passed. If a new slot would not be earlier, nothing is moved.
#[test]
fn an_earlier_promise_delays_no_later_one() {
    let at = Tick::from_millis;
    let mut wheel = Wheel::new(Tick::ZERO);
    wheel.at_most(0, at(1000));
    wheel.at_most(0, at(1010));
    assert_eq!((wheel.armed(0), wheel.next()), (at(1000), at(1024)));
    wheel.expire(at(990), usize::MAX, |_| panic!("it is not due"));
    wheel.at_most(0, at(1003));
    assert_eq!((wheel.armed(0), wheel.next()), (at(1003), at(1003)));
    wheel.disarm(0);
    wheel.at_most(0, at(2000));
    wheel.expire(at(2010), usize::MAX, |_| panic!("it is not due"));
    assert_eq!((wheel.armed(0), wheel.next()), (at(2000), at(2048)));
    wheel.at_most(0, at(2015));
    assert_eq!((wheel.armed(0), wheel.next()), (at(2015), at(2015)));
}
