//! The expiry of an exchange: when the proxy ends it, and when it asks whether it has to.
//!
//! Only its two ends know how long a stream is to last, so the proxy ends one only where it is told
//! to: at `max_stream_age`, in a drain, by the operator, when its api or its key is gone, when the
//! certificate of its client expires, or when the server that has let it in says so
//! (`auth.recheck`). After that moment there is a *grace*: an
//! event stream ends after the current event, and a client has time to read what is pending. When
//! the grace is over, whatever is left is cut. An answer is cut in any case, but between two events
//! if that is possible in time.

use super::{Exchange, Stage};
use crate::telemetry::Outcome;
use crate::time::Tick;

/// The end of an exchange that the proxy decides, and when it is asked about. See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    end: Option<End>,
    /// When the server is asked again that has let it in.
    recheck_at: Tick,
}

// An allocation of this size takes as much as one of a word.
const _: () = assert!(size_of::<Expiry>() <= 24);

/// The end of an exchange that the proxy decides.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It expires at this moment, with this outcome. Next: `At` an earlier moment, `Grace`.
    At(Tick, Outcome),
    /// It is ending, and is cut at this moment if it has not ended before. Next: it has ended.
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

    /// When it expires. A response with an end of its own expires only if its api or its key is
    /// gone, and a request for a subscription also in a drain.
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

    /// When the server is asked again that has let it in. [`Tick::NEVER`] if it is not, or is being
    /// asked.
    pub fn recheck_at(&self) -> Tick {
        self.expiry.as_ref().map_or(Tick::NEVER, |expiry| expiry.recheck_at)
    }

    /// When it expires, or is asked about.
    pub fn acts_at(&self) -> Tick {
        self.expires_at().min(self.recheck_at())
    }

    /// Has the server asked again at this moment that has let it in.
    pub fn set_recheck(&mut self, at: Tick) {
        if at != self.recheck_at() {
            self.expiry_mut().recheck_at = at;
        }
    }

    /// True exactly when the proxy may act on it by itself: end it, or ask whether it has to.
    pub const fn has_expiry(&self) -> bool {
        self.expiry.is_some()
    }

    /// True exactly when it has expired and still has its grace.
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

    /// Makes the exchange expire at this moment, of whatever kind it is, because its api or key is
    /// gone. An earlier expiry stays. If it is already ending, it has until the `last` moment.
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
