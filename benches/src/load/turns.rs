//! Connections that act at fixed times: each of a group once per period, one after the other.

use std::ops::Range;

/// Whose turn is next, and when.
pub struct Turns {
    members: Range<usize>,
    /// Nanoseconds between two turns.
    gap: u64,
    next: u64,
    at: usize,
}

impl Turns {
    /// Turns for a group, in which each member has one in `period` nanoseconds, from `now` on.
    pub fn new(members: Range<usize>, period: u64, now: u64) -> Self {
        let gap = period / members.len().max(1) as u64;
        let at = members.start;
        Self {
            members,
            gap,
            next: now,
            at,
        }
    }

    /// When the next turn is.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes a turn that is due at `now`, and returns the member. Call it until there is none;
    /// missed turns are made up for.
    pub fn take(&mut self, now: u64) -> Option<usize> {
        if self.next > now || self.members.is_empty() {
            return None;
        }
        self.next += self.gap;
        let member = self.at;
        self.at += 1;
        if self.at == self.members.end {
            self.at = self.members.start;
        }
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_turn_in_a_period() {
        let mut turns = Turns::new(5..8, 30, 100);
        assert_eq!(turns.take(99), None);
        assert_eq!((turns.take(100), turns.take(100)), (Some(5), None));
        assert_eq!(turns.next(), 110);
        let late = std::iter::from_fn(|| turns.take(140)).collect::<Vec<_>>();
        assert_eq!(late, [6, 7, 5, 6]);
        assert_eq!(Turns::new(3..3, 30, 0).take(1000), None);
    }
}
