//! The operator's questions to all event loops, one at a time.
//!
//! A stuck loop delays an answer only briefly. The answer then has what the others reported, names
//! the silent loop, and contains its last known numbers where those only grow. Until that loop has
//! caught up it is neither asked nor waited for.

use super::loops::Loops;
use crate::admin::parts::{Inquiry, Part};
use crate::admin::workers::Asked;
use crate::proxy::Ticket;
use crate::time::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long the loops may take to answer. A kubelet waits for one second.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(900);

/// The questions, and what is known of the answer to the current one.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    /// The number of the latest question.
    last: u64,
    asking: Option<Asking>,
    waiting: VecDeque<(For, Inquiry)>,
    /// The loops that have not answered in time, and since when.
    silent: BTreeMap<usize, Tick>,
    /// Each loop's last answers, where these are kept.
    kept: Vec<(usize, Part)>,
}

/// The recipient of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// The operator whose request waits for the answer.
    Operator(Ticket),
    /// The viewers of the live page.
    Watchers,
}

/// A question that the loops were asked.
#[derive(Debug)]
struct Asking {
    whom: For,
    /// What the loops have answered so far.
    part: Part,
    /// The loops that have answered, other than the first.
    told: BTreeSet<usize>,
    /// The loops that are waited for.
    missing: BTreeSet<usize>,
    /// When they were asked.
    since: Tick,
}

impl Asking {
    /// Until when answers are awaited.
    fn until(&self) -> Tick {
        if self.missing.is_empty() { self.since } else { self.since.after(ANSWER_WITHIN) }
    }
}

impl For {
    fn tell(self, part: Part, asked: &Asked, loops: &mut Loops) {
        match (self, part) {
            (For::Watchers, Part::Live(mut state)) => {
                state.note_silent(asked);
                loops.first.tell_watchers(&state);
            }
            (For::Watchers, other) => debug_assert!(false, "{other:?} is not for watchers"),
            (For::Operator(ticket), part) => {
                loops.first.answer_command(ticket, part.into_answer(asked));
            }
        }
    }
}

impl Inquiries {
    /// True exactly when no question is open.
    pub(super) fn is_empty(&self) -> bool {
        self.asking.is_none() && self.waiting.is_empty()
    }

    /// When to call [`Inquiries::go_on`] if no loop answers before.
    pub(super) fn due(&self) -> Tick {
        self.asking.as_ref().map_or(Tick::NEVER, Asking::until)
    }

    /// Forgets kept answers that list apis in the order of the configuration, because it has been
    /// replaced.
    pub(super) fn note_reload(&mut self) {
        self.kept.retain(|(_, part)| !matches!(part, Part::Live(_)));
    }

    /// Asks all loops, now or when all earlier questions have been answered. One waiting question
    /// for watchers is enough: its answer is the state when it is asked.
    pub(super) fn ask(&mut self, whom: For, inquiry: Inquiry, loops: &mut Loops, now: Tick) {
        let waits = |(whom, _): &(For, Inquiry)| matches!(whom, For::Watchers);
        if matches!(whom, For::Watchers) && self.waiting.iter().any(waits) {
            return;
        }
        self.waiting.push_back((whom, inquiry));
        self.go_on(loops, now);
    }

    /// Takes the answer of the loop with this index to the question with this number.
    pub(super) fn take(
        &mut self,
        (index, number): (usize, u64),
        part: Part,
        loops: &mut Loops,
        now: Tick,
    ) {
        if let Some(kept) = part.to_be_kept() {
            self.kept.retain(|(of, known)| *of != index || !known.is_like(&kept));
            self.kept.push((index, kept));
        }
        // It is not stuck.
        self.silent.remove(&index);
        if let Some(asking) = self.asking.as_mut().filter(|_| number == self.last) {
            asking.missing.remove(&index);
            asking.told.insert(index);
            asking.part.merge(part);
        }
        // Whether time is up is checked only after all answers that have arrived were taken.
        if self.asking.as_ref().is_some_and(|asking| asking.missing.is_empty()) {
            self.go_on(loops, now);
        }
    }

    /// Completes the current question if all loops have answered or their time is up, and asks the
    /// next.
    pub(super) fn go_on(&mut self, loops: &mut Loops, now: Tick) {
        loop {
            let next = match self.asking.take() {
                None => self.waiting.pop_front(),
                Some(asking) if asking.until() > now => {
                    self.asking = Some(asking);
                    return;
                }
                Some(asking) => self.conclude(asking, loops, now),
            };
            let Some((whom, inquiry)) = next else { return };
            let inquiry = inquiry.asked_at(now);
            self.last += 1;
            let mut missing = loops.inquire(inquiry, self.last, |index| {
                // A silent loop still gets commands, which it runs when it can.
                !self.silent.contains_key(&index) || matches!(inquiry, Inquiry::End(_))
            });
            missing.retain(|index| !self.silent.contains_key(index));
            let part = loops.first.part_of(inquiry);
            self.asking = Some(Asking { whom, part, told: BTreeSet::new(), missing, since: now });
        }
    }

    /// Gives the answer as far as it is known, or returns what has to be asked first.
    fn conclude(&mut self, asking: Asking, loops: &mut Loops, now: Tick) -> Option<(For, Inquiry)> {
        let Asking { whom, mut part, told, missing, since } = asking;
        for index in missing {
            self.silent.entry(index).or_insert(since);
        }
        if let Some(inquiry) = part.next() {
            return Some((whom, inquiry));
        }
        // A loop that has caught up meanwhile was not asked this, so it counts as silent too.
        let mut silent = Vec::new();
        for index in (1..loops.count()).filter(|index| !told.contains(index)) {
            let since = self.silent.get(&index).map_or(since, |known| *known);
            silent.push((index + 1, now.since(since)));
            let kept = self.kept.iter().filter(|(of, kept)| *of == index && kept.is_like(&part));
            if let Some(kept) = kept.filter_map(|(_, kept)| kept.to_be_kept()).next() {
                part.merge(kept);
            }
        }
        let asked = Asked { loops: loops.count(), silent };
        whom.tell(part, &asked, loops);
        self.waiting.pop_front()
    }
}
