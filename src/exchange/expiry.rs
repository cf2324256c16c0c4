//! When an exchange is to end though it could go on.
//!
//! Nobody but its two ends knows how long a stream is to last, so the proxy ends one only where it
//! is told to: at `max_stream_age`, in a drain, by the operator, when its api or its key is gone.
//! When that moment has come, something may still be waited for: an event stream ends behind the
//! event that is on its way, and a client is left the time to take what is pending. That is the
//! *grace*; at its end, whatever is left is cut.

use super::Exchange;
use crate::telemetry::Outcome;
use crate::time::Tick;

/// The end of an exchange, as far as the proxy decides it. See the module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expiry {
    /// It ends at this moment, with this outcome. Next: `At` an earlier moment, `Grace`.
    At(Tick, Outcome),
    /// It is ending: what is still waited for is cut at this moment. Next: it has ended.
    Grace(Tick, Outcome),
}

impl Exchange {
    /// With what outcome it is to end, if it is.
    pub fn expires_with(&self) -> Option<Outcome> {
        match self.expiry.as_deref()? {
            Expiry::At(_, outcome) | Expiry::Grace(_, outcome) => Some(*outcome),
        }
    }

    /// When it is to end though it could go on. An answer that has an end of its own is left alone
    /// by what ends streams, but for an api or a key that is not there any more.
    pub fn expires_at(&self) -> Tick {
        let spares_nothing = self.expires_with().is_some_and(Outcome::spares_nothing);
        match self.expiry.as_deref() {
            Some(Expiry::At(at, _) | Expiry::Grace(at, _))
                if spares_nothing || self.stage().is_endless() =>
            {
                *at
            }
            Some(_) | None => Tick::NEVER,
        }
    }

    /// True exactly when the moment has come, and something is still waited for.
    pub fn is_in_grace(&self) -> bool {
        matches!(self.expiry.as_deref(), Some(Expiry::Grace(..)))
    }

    /// Its event stream, or its tunnel, is to end at this moment, unless it ends earlier.
    pub fn expire_stream_at(&mut self, at: Tick, outcome: Outcome) {
        match self.expiry.as_deref_mut() {
            None => self.expiry = Some(Box::new(Expiry::At(at, outcome))),
            Some(Expiry::At(until, known)) if at < *until => {
                *until = at;
                *known = if known.spares_nothing() { *known } else { outcome };
            }
            Some(Expiry::At(..) | Expiry::Grace(..)) => {}
        }
    }

    /// Its api or its key is gone: it is to end at this moment whatever it is, and no later than it
    /// would have. If it is ending already it has until the `last` moment.
    pub fn expire_at(&mut self, at: Tick, last: Tick, outcome: Outcome) {
        let until = self.expires_at();
        self.expiry = Some(Box::new(match self.expiry.as_deref() {
            Some(Expiry::Grace(..)) => {
                Expiry::Grace(if until == Tick::NEVER { at } else { until.min(last) }, outcome)
            }
            Some(Expiry::At(..)) | None => Expiry::At(until.min(at), outcome),
        }));
    }

    /// The moment has come, and something is waited for until the end of the grace.
    pub fn begin_grace(&mut self, until: Tick) {
        if let Some(expiry) = self.expiry.as_deref_mut()
            && let Expiry::At(_, outcome) = *expiry
        {
            *expiry = Expiry::Grace(until, outcome);
        }
    }
}
