//! The expiry of an exchange: when the proxy ends it, and when it asks the auth server again.
//!
//! Only the client and the upstream know how long a stream should last, so the proxy ends one only
//! where it is told to: at `max_stream_age`, in a drain, by the operator, when its api or key is
//! removed, when its client's certificate expires, or when the auth server that let it in says so
//! (`auth.recheck`). After that there is a *grace*: an event stream ends after the current event,
//! and a client has time to read what is pending. When the grace is over, whatever is left is cut.
//! An answer is cut in any case, but between two events if that is possible in time.

use super::{Exchange, Stage};
use crate::telemetry::Outcome;
use crate::time::Tick;

/// When the proxy ends an exchange, and when it asks about it again. See the module docs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    end: Option<End>,
    /// When the auth server that let it in is asked again.
    recheck_at: Tick,
}

// An allocation of this size takes as much memory as one of a word.
const _: () = assert!(size_of::<Expiry>() <= 24);

/// The end of an exchange as decided by the proxy.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It expires at this moment, with this outcome. Next: `At` an earlier moment, or `Grace`.
    At(Tick, Outcome),
    /// It is ending, and is cut at this moment if it has not ended by then. Next: it has ended.
    Grace(Tick, Outcome),
}

impl Exchange {
    fn end(&self) -> Option<&End> {
        self.expiry.as_deref()?.end.as_ref()
    }

    fn end_mut(&mut self) -> &mut Option<End> {
        &mut self.expiry_mut().end
    }

    fn expiry_mut(&mut self) -> &mut Expiry {
        let none = Expiry { end: None, recheck_at: Tick::NEVER };
        self.expiry.get_or_insert_with(|| Box::new(none))
    }

    /// The outcome with which it will expire, if it will.
    pub fn expires_with(&self) -> Option<Outcome> {
        match self.end()? {
            End::At(_, outcome) | End::Grace(_, outcome) => Some(*outcome),
        }
    }

    /// When it expires. A response that ends by itself expires only if its api or key is removed,
    /// and a request for a subscription also in a drain.
    pub fn expires_at(&self) -> Tick {
        let Some(End::At(at, outcome) | End::Grace(at, outcome)) = self.end() else {
            return Tick::NEVER;
        };
        let asks = self.stage() == Stage::Unanswered && self.is_subscription();
        let expires = self.stage().is_endless()
            || outcome.ends_everything()
            || asks && *outcome == Outcome::Drained;
        if expires { *at } else { Tick::NEVER }
    }

    /// When the auth server that let it in is asked again. [`Tick::NEVER`] if it is not, or is
    /// being asked.
    pub fn recheck_at(&self) -> Tick {
        self.expiry.as_ref().map_or(Tick::NEVER, |expiry| expiry.recheck_at)
    }

    /// When it expires or is asked about.
    pub fn acts_at(&self) -> Tick {
        self.expires_at().min(self.recheck_at())
    }

    /// Sets when the auth server that let it in is asked again.
    pub fn set_recheck(&mut self, at: Tick) {
        if at != self.recheck_at() {
            self.expiry_mut().recheck_at = at;
        }
    }

    /// True if the proxy may act on it by itself: end it, or ask about it again.
    pub const fn has_expiry(&self) -> bool {
        self.expiry.is_some()
    }

    /// True if it has expired and is in its grace.
    pub fn is_in_grace(&self) -> bool {
        matches!(self.end(), Some(End::Grace(..)))
    }

    /// Makes an event stream or a tunnel, or in a drain a request for a subscription, expire at
    /// this moment, unless it expires earlier.
    pub fn expire_stream_at(&mut self, at: Tick, outcome: Outcome) {
        match self.end_mut() {
            none @ None => *none = Some(End::At(at, outcome)),
            Some(End::At(until, known)) if at < *until => {
                *until = at;
                *known = if known.ends_everything() { *known } else { outcome };
            }
            Some(End::At(..) | End::Grace(..)) => {}
        }
    }

    /// Makes an exchange of any kind expire at this moment, because its api or key was removed. An
    /// earlier expiry stays. If it is already ending, it has until the `last` moment.
    pub fn expire_at(&mut self, at: Tick, last: Tick, outcome: Outcome) {
        let until = self.expires_at();
        let end = match self.end() {
            Some(End::Grace(..)) => {
                End::Grace(if until == Tick::NEVER { at } else { until.min(last) }, outcome)
            }
            Some(End::At(..)) | None => End::At(until.min(at), outcome),
        };
        *self.end_mut() = Some(end);
    }

    /// Begins the grace, which ends at `until`.
    pub fn begin_grace(&mut self, until: Tick) {
        if let Some(end) = self.end_mut()
            && let End::At(_, outcome) = *end
        {
            *end = End::Grace(until, outcome);
        }
    }
}
