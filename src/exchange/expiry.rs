//! The expiry of an exchange: when the proxy ends it.
//!
//! Only its two ends know how long a stream is to last, so the proxy ends one only where it is told
//! to: at `max_stream_age`, in a drain, by the operator, or when its api or its key is gone. After
//! that moment there is a *grace*: an event stream ends after the current event, and a client has
//! time to read what is pending. When the grace is over, whatever is left is cut. An answer is cut
//! in any case, but between two events if that is possible in time.

use super::{Exchange, Stage};
use crate::telemetry::Outcome;
use crate::time::Tick;

/// The end of an exchange that the proxy decides. See the module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expiry {
    /// It expires at this moment, with this outcome. Next: `At` an earlier moment, `Grace`.
    At(Tick, Outcome),
    /// It is ending, and is cut at this moment if it has not ended before. Next: it has ended.
    Grace(Tick, Outcome),
}

impl Exchange {
    /// The outcome with which it will expire, if it will.
    pub fn expires_with(&self) -> Option<Outcome> {
        match self.expiry.as_deref()? {
            Expiry::At(_, outcome) | Expiry::Grace(_, outcome) => Some(*outcome),
        }
    }

    /// When it expires. A response with an end of its own expires only if its api or its key is
    /// gone, and a request for a subscription also in a drain.
    pub fn expires_at(&self) -> Tick {
        let Some(Expiry::At(at, outcome) | Expiry::Grace(at, outcome)) = self.expiry.as_deref()
        else {
            return Tick::NEVER;
        };
        let asks = self.stage() == Stage::Unanswered && self.is_subscription();
        let expires = self.stage().is_endless()
            || outcome.ends_everything()
            || asks && *outcome == Outcome::Drained;
        if expires { *at } else { Tick::NEVER }
    }

    /// True exactly when it has expired and still has its grace.
    pub fn is_in_grace(&self) -> bool {
        matches!(self.expiry.as_deref(), Some(Expiry::Grace(..)))
    }

    /// Makes an event stream or a tunnel, or in a drain a request for a subscription, expire at
    /// this moment, unless it expires earlier.
    pub fn expire_stream_at(&mut self, at: Tick, outcome: Outcome) {
        match self.expiry.as_deref_mut() {
            None => self.expiry = Some(Box::new(Expiry::At(at, outcome))),
            Some(Expiry::At(until, known)) if at < *until => {
                *until = at;
                *known = if known.ends_everything() { *known } else { outcome };
            }
            Some(Expiry::At(..) | Expiry::Grace(..)) => {}
        }
    }

    /// Makes the exchange expire at this moment, of whatever kind it is, because its api or key is
    /// gone. An earlier expiry stays. If it is already ending, it has until the `last` moment.
    pub fn expire_at(&mut self, at: Tick, last: Tick, outcome: Outcome) {
        let until = self.expires_at();
        self.expiry = Some(Box::new(match self.expiry.as_deref() {
            Some(Expiry::Grace(..)) => {
                Expiry::Grace(if until == Tick::NEVER { at } else { until.min(last) }, outcome)
            }
            Some(Expiry::At(..)) | None => Expiry::At(until.min(at), outcome),
        }));
    }

    /// Begins the grace, which ends at `until`.
    pub fn begin_grace(&mut self, until: Tick) {
        if let Some(expiry) = self.expiry.as_deref_mut()
            && let Expiry::At(_, outcome) = *expiry
        {
            *expiry = Expiry::Grace(until, outcome);
        }
    }
}
