//! The counters of what a server says that is asked which requests may come in.

use crate::metrics::Counter;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A request that has just come.
    Request,
    /// A stream or a tunnel that is open.
    Open,
}

/// What comes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was let in, or may stay.
    LetIn,
    /// The same, because that was said before, and holds.
    Cached,
    /// It was not let in, or may not stay.
    Refused,
    /// Nothing: there was no answer, or none that decides.
    Failed,
}

impl Asked {
    const ALL: [Asked; 2] = [Asked::Request, Asked::Open];

    /// The word in metrics.
    const fn word(self) -> &'static str {
        match self {
            Asked::Request => "request",
            Asked::Open => "recheck",
        }
    }
}

impl Answered {
    const ALL: [Answered; 4] =
        [Answered::LetIn, Answered::Cached, Answered::Refused, Answered::Failed];

    /// The word in metrics.
    const fn word(self) -> &'static str {
        match self {
            Answered::LetIn => "let_in",
            Answered::Cached => "cached",
            Answered::Refused => "refused",
            Answered::Failed => "failed",
        }
    }
}

/// The counters. See the module.
#[derive(Debug, Default)]
pub struct AuthStats([[Counter; Answered::ALL.len()]; Asked::ALL.len()]);

impl AuthStats {
    /// Counts what has come of a question.
    pub fn count(&self, asked: Asked, answered: Answered) {
        self.0[asked as usize][answered as usize].one();
    }

    /// All counters, each with the words for what was asked and what has come of it.
    pub fn all(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        let each = Asked::ALL.into_iter().zip(&self.0).flat_map(|(asked, counters)| {
            let each = Answered::ALL.into_iter().zip(counters);
            each.map(move |(answered, counter)| ((asked, answered), counter.get()))
        });
        // What is open is not judged by what was said before.
        let each = each.filter(|(of, _)| *of != (Asked::Open, Answered::Cached));
        each.map(|((asked, answered), count)| ([asked.word(), answered.word()], count))
    }
}
