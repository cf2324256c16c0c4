//! When a client gets the head of an event stream before its upstream has answered.

use super::{Exchange, Stage};
use crate::time::Tick;

impl Exchange {
    /// Sets whether the client may get the head of an event stream before the upstream has
    /// answered.
    pub const fn allow_early_answer(&mut self, allowed: bool) {
        self.may_answer_early = allowed;
    }

    /// When the client gets the head of an event stream although the upstream has not answered.
    /// Never while it waits for a 100 (Continue), before it is let in, or before it is known what
    /// it gets of a shared stream.
    pub fn early_answer_at(&self) -> Tick {
        let waits = self.stage() == Stage::Unanswered && !self.awaits_continue;
        if !(self.may_answer_early && waits && self.may_stream()) {
            return Tick::NEVER;
        }
        if self.source().authorizing().is_some() || self.is_undecided() {
            return Tick::NEVER;
        }
        let let_in = self.extras().and_then(|extras| extras.let_in);
        let after = self.api().and_then(|api| api.streams.early_answer);
        after.map_or(Tick::NEVER, |after| let_in.unwrap_or(self.began).after(after))
    }

    /// Notes that the client was let in only now, if an early answer depends on it.
    pub fn note_let_in(&mut self, now: Tick) {
        if self.may_answer_early {
            self.extras_mut().let_in = Some(now);
        }
    }

    /// True if the client got the head of an event stream early and the upstream has still not
    /// answered.
    pub fn is_answered_early(&self) -> bool {
        self.stage() == Stage::Early
    }
}
