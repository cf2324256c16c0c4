//! When a client gets the head of an event stream although its upstream has not answered.

use super::{Exchange, Stage};
use crate::time::Tick;

impl Exchange {
    /// Lets the client get the head of an event stream before the upstream has answered, or not.
    pub const fn allow_early_answer(&mut self, allowed: bool) {
        self.may_answer_early = allowed;
    }

    /// When the client gets the head of an event stream although the upstream has not answered.
    /// Never while it waits for leave to send its body.
    pub fn early_answer_at(&self) -> Tick {
        let waits = self.stage() == Stage::Unanswered && !self.awaits_continue;
        if !(self.may_answer_early && waits && self.may_stream()) {
            return Tick::NEVER;
        }
        let after = self.api().and_then(|api| api.streams.early_answer);
        after.map_or(Tick::NEVER, |after| self.began.after(after))
    }

    /// True exactly when the client got the head of an event stream before the upstream has
    /// answered, which it still has not.
    pub fn is_answered_early(&self) -> bool {
        self.stage() == Stage::Early
    }
}
