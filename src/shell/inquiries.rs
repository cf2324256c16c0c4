//! What the operator asks of all event loops, one thing after the other.

use super::loops::Loops;
use crate::admin::parts::{Inquiry, Part};
use crate::proxy::Ticket;
use std::collections::VecDeque;

/// The questions, and what is known of the answer to the first.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    asking: Option<Asking>,
    waiting: VecDeque<(For, Inquiry)>,
}

/// For whom it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// The operator whose request waits for the answer.
    Operator(Ticket),
    /// Those who watch the live page.
    Watchers,
}

/// A question that was passed on to all loops.
#[derive(Debug)]
struct Asking {
    whom: For,
    /// What the loops have answered so far.
    part: Part,
    /// The number of loops that have not.
    missing: usize,
}

impl For {
    fn tell(self, part: Part, loops: &mut Loops) {
        match (self, part) {
            (For::Watchers, Part::Live(state)) => loops.first.tell_watchers(&state),
            (For::Watchers, other) => debug_assert!(false, "{other:?} is not for watchers"),
            (For::Operator(ticket), part) => {
                loops.first.answer_command(ticket, part.into_answer());
            }
        }
    }
}

impl Inquiries {
    /// True exactly when nobody waits for an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.asking.is_none() && self.waiting.is_empty()
    }

    /// Asks all loops, now or when what was asked before is answered. Watchers are told what is at
    /// that time, so one question for them is enough.
    pub(super) fn ask(&mut self, whom: For, inquiry: Inquiry, loops: &mut Loops) {
        let waits = |(whom, _): &(For, Inquiry)| matches!(whom, For::Watchers);
        if matches!(whom, For::Watchers) && self.waiting.iter().any(waits) {
            return;
        }
        self.waiting.push_back((whom, inquiry));
        self.go_on(loops);
    }

    /// Takes in what one of the other loops has answered.
    pub(super) fn take(&mut self, part: Part, loops: &mut Loops) {
        let Some(asking) = &mut self.asking else { return };
        asking.part.merge(part);
        asking.missing -= 1;
        self.go_on(loops);
    }

    /// Answers what all loops have answered, and asks them the next.
    fn go_on(&mut self, loops: &mut Loops) {
        loop {
            let next = match self.asking.take() {
                None => self.waiting.pop_front(),
                Some(asking) if asking.missing > 0 => {
                    self.asking = Some(asking);
                    return;
                }
                Some(Asking { whom, part, .. }) => match part.next() {
                    Some(inquiry) => Some((whom, inquiry)),
                    None => {
                        whom.tell(part, loops);
                        self.waiting.pop_front()
                    }
                },
            };
            let Some((whom, inquiry)) = next else { return };
            let missing = loops.inquire(inquiry);
            let part = loops.first.part_of(inquiry);
            self.asking = Some(Asking { whom, part, missing });
        }
    }
}
