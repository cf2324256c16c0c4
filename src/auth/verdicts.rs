//! The verdicts of auth servers, kept for as long as the servers allow.
//!
//! Only verdicts that allow a request are kept, with the fields that they add to it. The auth
//! request is kept as a hash with a key that only this process knows, so the table reveals nothing.
//! The hash has 128 bits, so nobody can find another auth request with the same one.
//!
//! The table has a maximum number of entries and of bytes. Beyond that, the oldest entries are
//! dropped. It is tested against a plain list.

use crate::time::Tick;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long a verdict is valid at most, whatever the server says.
pub const AGE_MAX: Duration = Duration::from_secs(60);

/// Maximum number of verdicts kept.
const ENTRIES_MAX: usize = 4096;

/// Maximum number of bytes of the fields that they add.
const BYTES_MAX: usize = 256 << 10;

/// The hash of an auth request.
pub type Question = [u64; 2];

/// The table. See the module docs.
#[derive(Debug, Default)]
pub struct Verdicts {
    keys: [RandomState; 2],
    entries: BTreeMap<Question, Entry>,
    /// The entries in the order in which they were added. Some may have been removed or replaced
    /// since.
    order: VecDeque<(Question, u64)>,
    /// The number of entries ever added.
    came: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// Its number, in the order in which entries were added.
    number: u64,
    /// The field lines to add to the request.
    lines: Box<[u8]>,
    /// When it expires.
    until: Tick,
}

impl Verdicts {
    /// The hash of an auth request.
    pub fn hash(&self, question: &[u8]) -> Question {
        self.keys.each_ref().map(|key| key.hash_one(question))
    }

    /// The field lines to add to the request, if it is known to be allowed.
    pub fn find(&mut self, question: Question, now: Tick) -> Option<&[u8]> {
        if self.entries.get(&question)?.until <= now {
            self.forget(question);
            return None;
        }
        self.entries.get(&question).map(|entry| &*entry.lines)
    }

    /// Notes that a request is allowed for this long, with these lines.
    pub fn note(&mut self, question: Question, lines: &[u8], holds: Duration, now: Tick) {
        self.forget(question);
        if holds.is_zero() || lines.len() > BYTES_MAX {
            return;
        }
        while self.entries.len() >= ENTRIES_MAX || self.bytes + lines.len() > BYTES_MAX {
            self.forget_oldest();
        }
        self.came += 1;
        let (number, until) = (self.came, now.after(holds.min(AGE_MAX)));
        self.bytes += lines.len();
        self.entries.insert(question, Entry { number, lines: lines.into(), until });
        self.order.push_back((question, number));
        // Removed entries must not accumulate.
        if self.order.len() > 2 * ENTRIES_MAX {
            let Verdicts { entries, order, .. } = self;
            order.retain(|(question, number)| {
                entries.get(question).is_some_and(|entry| entry.number == *number)
            });
        }
    }

    /// Forgets the verdict on an auth request.
    pub fn forget(&mut self, question: Question) {
        if let Some(entry) = self.entries.remove(&question) {
            self.bytes -= entry.lines.len();
        }
    }

    fn forget_oldest(&mut self) {
        while let Some((question, number)) = self.order.pop_front() {
            if self.entries.get(&question).is_some_and(|entry| entry.number == number) {
                return self.forget(question);
            }
        }
    }

    /// The number of bytes of all lines.
    #[cfg(test)]
    const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn as_a_plain_list_has_them() {
        for (seed, kinds, most) in [(1, 20, 10), (2, 9000, 10), (3, 400, 3000)] {
            let mut dice = Rng::with_seed(seed);
            let mut verdicts = Verdicts::default();
            // The oldest is first.
            let mut list: Vec<(u64, Vec<u8>, Tick)> = Vec::new();
            let mut now = Tick::ZERO;
            for step in 0..20_000_u32 {
                now = now.after(Duration::from_millis(dice.u64(..3)));
                let kind = dice.u64(..kinds);
                let question = verdicts.hash(&kind.to_le_bytes());
                let known = list.iter().position(|(other, ..)| *other == kind);
                match dice.u8(..8) {
                    0..3 => {
                        let fresh = known.filter(|at| list[*at].2 > now);
                        let found = verdicts.find(question, now).map(<[u8]>::to_vec);
                        assert_eq!(found, fresh.map(|at| list[at].1.clone()), "{step}");
                        if let (Some(at), None) = (known, fresh) {
                            list.remove(at);
                        }
                    }
                    3 => {
                        verdicts.forget(question);
                        known.map(|at| list.remove(at));
                    }
                    _ => {
                        let lines = vec![step.to_le_bytes()[0]; dice.usize(..most)];
                        let holds = Duration::from_secs(dice.u64(..90));
                        verdicts.note(question, &lines, holds, now);
                        known.map(|at| list.remove(at));
                        if !holds.is_zero() {
                            let bytes = |list: &[(u64, Vec<u8>, Tick)]| {
                                list.iter().map(|(_, lines, _)| lines.len()).sum::<usize>()
                            };
                            while list.len() >= ENTRIES_MAX
                                || bytes(&list) + lines.len() > BYTES_MAX
                            {
                                list.remove(0);
                            }
                            list.push((kind, lines, now.after(holds.min(AGE_MAX))));
                        }
                    }
                }
                let bytes = list.iter().map(|(_, lines, _)| lines.len()).sum::<usize>();
                assert_eq!((verdicts.bytes(), verdicts.entries.len()), (bytes, list.len()));
                assert!(verdicts.order.len() <= 2 * ENTRIES_MAX + 1);
            }
        }
    }

    #[test]
    fn another_process_has_other_hashes() {
        let [one, other] = [(); 2].map(|()| Verdicts::default());
        assert_eq!(one.hash(b"a"), one.hash(b"a"));
        assert_ne!(one.hash(b"a"), one.hash(b"b"));
        assert_ne!(one.hash(b"a"), other.hash(b"a"));
        let [half, other_half] = one.hash(b"a");
        assert_ne!(half, other_half);
    }
}
