//! Counters of the verdicts of auth servers.

use crate::metrics::Counter;

/// What an auth request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new request.
    Request,
    /// An open stream or tunnel.
    Open,
}

/// The result of an auth request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The request was let in, or the stream or tunnel may stay.
    LetIn,
    /// The same, by a cached verdict.
    Cached,
    /// The request was refused, or the stream or tunnel must end.
    Refused,
    /// There was no answer, or one that decides nothing.
    Failed,
}

impl Asked {
    /// All of them.
    pub const ALL: [Asked; 2] = [Asked::Request, Asked::Open];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Asked::Request => "request",
            Asked::Open => "recheck",
        }
    }
}

impl Answered {
    /// All of them.
    pub const ALL: [Answered; 4] =
        [Answered::LetIn, Answered::Cached, Answered::Refused, Answered::Failed];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Answered::LetIn => "let_in",
            Answered::Cached => "cached",
            Answered::Refused => "refused",
            Answered::Failed => "failed",
        }
    }
}

/// The counters. See the module docs.
#[derive(Debug, Default)]
pub struct AuthStats([[Counter; Answered::ALL.len()]; Asked::ALL.len()]);

impl AuthStats {
    /// Counts the result of an auth request.
    pub fn count(&self, asked: Asked, answered: Answered) {
        self.0[asked as usize][answered as usize].one();
    }

    /// All counters, each with the words for what was asked and for the result.
    pub fn all(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        let each = Asked::ALL.into_iter().zip(&self.0).flat_map(|(asked, counters)| {
            let each = Answered::ALL.into_iter().zip(counters);
            each.map(move |(answered, counter)| ((asked, answered), counter.get()))
        });
        // Rechecks never use a cached verdict.
        let each = each.filter(|(of, _)| *of != (Asked::Open, Answered::Cached));
        each.map(|((asked, answered), count)| ([asked.word(), answered.word()], count))
    }
}
