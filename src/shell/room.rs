//! Which event loop makes room for a client of another one that has none.
//!
//! Loops are asked one after another, because it is enough if one makes room. A stuck loop is not
//! waited for: after a moment it is skipped, and it is not asked again until it has answered.

use crate::time::Tick;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a loop may take to answer. A turn takes less.
const MOMENT: Duration = Duration::from_millis(100);

/// Which loops were asked to make room. See the module.
#[derive(Debug)]
pub(super) struct Room {
    /// The number of event loops.
    loops: usize,
    /// The loop that was asked last, and until when to wait for it.
    asked: Option<(usize, Tick)>,
    /// The loops that were asked and have not answered.
    owing: BTreeSet<usize>,
}

impl Room {
    /// None of this many loops was asked yet.
    pub(super) const fn of(loops: usize) -> Room {
        Room { loops, asked: None, owing: BTreeSet::new() }
    }

    /// The loop to ask for room for clients of loop `of`. None if an answer is being waited for, or
    /// no loop is left to ask.
    pub(super) fn wanted(&mut self, of: usize, now: Tick) -> Option<usize> {
        if self.asked.is_some_and(|(_, until)| now < until) {
            return None;
        }
        self.ask(of, 0, now)
    }

    /// Records that loop `index` has made room for loop `of`, or cannot. Returns the next loop to
    /// ask, if any.
    pub(super) fn answered(
        &mut self,
        index: usize,
        of: usize,
        made: bool,
        now: Tick,
    ) -> Option<usize> {
        self.owing.remove(&index);
        // Otherwise it was skipped.
        self.asked.take_if(|(asked, _)| *asked == index)?;
        if made { None } else { self.ask(of, index + 1, now) }
    }

    /// Asks the first suitable loop whose number is at least `from`.
    fn ask(&mut self, of: usize, from: usize, now: Tick) -> Option<usize> {
        let may_be_asked = |index: &usize| *index != of && !self.owing.contains(index);
        let index = (from..self.loops).find(may_be_asked);
        self.asked = index.map(|index| (index, now.after(MOMENT)));
        self.owing.extend(index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn one_after_the_other_is_asked() {
        let mut room = Room::of(4);
        assert_eq!(room.wanted(1, at(0)), Some(0));
        // One loop at a time is asked.
        assert_eq!(room.wanted(2, at(0)), None);
        assert_eq!(room.answered(0, 1, false, at(1)), Some(2));
        assert_eq!(room.answered(2, 1, false, at(2)), Some(3));
        assert_eq!(room.answered(3, 1, false, at(3)), None);
        assert_eq!(room.wanted(0, at(3)), Some(1));
        assert_eq!(room.answered(1, 0, true, at(4)), None);
        assert_eq!(room.wanted(0, at(4)), Some(1));
    }

    #[test]
    fn nobody_waits_for_one_that_does_not_answer() {
        let mut room = Room::of(3);
        assert_eq!(room.wanted(2, at(0)), Some(0));
        assert_eq!(room.answered(0, 2, false, at(1)), Some(1));
        assert_eq!(room.wanted(2, at(100)), None);
        // Loop 1 is skipped, and stays skipped when another loop answers.
        assert_eq!(room.wanted(2, at(101)), Some(0));
        assert_eq!(room.answered(0, 2, false, at(102)), None);
        assert_eq!(room.wanted(0, at(102)), Some(2));
        // Its late answer does not end the wait for the loop that was asked after it.
        assert_eq!(room.answered(1, 2, false, at(103)), None);
        assert_eq!(room.wanted(0, at(103)), None);
        assert_eq!(room.answered(2, 0, true, at(104)), None);
        assert_eq!(room.wanted(0, at(104)), Some(1));
    }

    #[test]
    fn one_loop_has_nobody_to_ask() {
        assert_eq!(Room::of(1).wanted(0, at(0)), None);
    }
}
