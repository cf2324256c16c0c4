//! What the operator asks of every event loop, and how their answers become one.

use super::answer::{Answer, MediaType};
use super::live::LiveNow;
use super::streams::{Page, Query, Rank};
use super::workers::Asked;
use crate::metrics::Exposition;
use crate::time::Tick;
use std::sync::Arc;

/// What is asked of every event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// The metrics.
    Metrics,
    /// A page of the open streams.
    Streams(Query),
    /// The rank of the stream after which that page starts.
    Rank(Query),
    /// To end the stream with this id.
    End(u64),
    /// The state for the live page.
    Live,
    /// Whether it turns.
    Health,
}

impl Inquiry {
    /// The same, asked of all event loops at this time. A rank is that of one stream, which one
    /// loop has.
    #[must_use]
    pub fn asked_at(self, now: Tick) -> Inquiry {
        match self {
            Inquiry::Streams(query) => Inquiry::Streams(Query { asked_at: Some(now), ..query }),
            Inquiry::Metrics
            | Inquiry::Rank(_)
            | Inquiry::End(_)
            | Inquiry::Live
            | Inquiry::Health => self,
        }
    }
}

/// What one event loop answers, or several together. Those to the same inquiry are alike.
#[derive(Debug)]
pub enum Part {
    /// The metrics. They are long, and kept.
    Metrics(Arc<Exposition>),
    /// The page.
    Streams(Page),
    /// The rank of that stream, if it is there, and when it was asked for.
    Rank(Query, Option<Rank>, Tick),
    /// How the stream ends, if it is there.
    Ended(Option<&'static str>),
    /// The state for the live page.
    Live(Box<LiveNow>),
    /// That it turns.
    Health,
}

impl Part {
    /// Takes in the answer of another event loop.
    pub fn merge(&mut self, other: Part) {
        match (self, other) {
            (Part::Metrics(all), Part::Metrics(more)) => Arc::make_mut(all).merge(&more),
            (Part::Streams(all), Part::Streams(more)) => all.merge(more),
            (Part::Rank(_, all, at), Part::Rank(_, Some(found), since)) => {
                (*all, *at) = (Some(found), since);
            }
            (Part::Rank(..), Part::Rank(..)) => {}
            (Part::Ended(all), Part::Ended(more)) => *all = all.or(more),
            (Part::Live(all), Part::Live(more)) => all.merge(*more),
            (Part::Health, Part::Health) => {}
            (all, more) => debug_assert!(false, "{all:?} and {more:?} answer two inquiries"),
        }
    }

    /// What has to be asked next, now that this is known of all.
    pub fn next(&self) -> Option<Inquiry> {
        let Part::Rank(query, rank, at) = self else { return None };
        Some(Inquiry::Streams(query.behind(*rank, *at)))
    }

    /// True exactly when both answer the same kind of inquiry.
    pub fn is_like(&self, other: &Part) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What is taken of it as long as its event loop does not answer, so that nothing that only
    /// grows is smaller meanwhile.
    pub fn to_be_kept(&self) -> Option<Part> {
        match self {
            Part::Metrics(told) => Some(Part::Metrics(Arc::clone(told))),
            Part::Live(state) => Some(Part::Live(state.clone())),
            Part::Streams(_) | Part::Rank(..) | Part::Ended(_) | Part::Health => None,
        }
    }

    /// The answer to the operator who has asked, of whom some event loops may have told nothing.
    pub fn into_answer(self, asked: &Asked) -> Answer {
        match self {
            Part::Metrics(all) => {
                let mut all = Arc::unwrap_or_clone(all);
                asked.expose(&mut all);
                Answer::of(200, MediaType::Metrics, all.into_text().into_bytes().into())
            }
            Part::Streams(page) => {
                let text = page.into_text(&asked.silent);
                Answer::of(200, MediaType::Json, text.into_bytes().into())
            }
            Part::Health if asked.silent.is_empty() => Answer::text(200, "All loops turn."),
            Part::Health => Answer::text(503, &asked.complaint()),
            Part::Ended(Some(sentence)) => Answer::text(202, sentence),
            Part::Ended(None) if !asked.silent.is_empty() => {
                let silent = asked.complaint();
                Answer::text(202, &format!("It ends if a silent worker has it. {silent}"))
            }
            // Nobody waits for what is not an answer.
            Part::Ended(None) | Part::Rank(..) | Part::Live(_) => {
                Answer::text(404, "No open stream has this id.")
            }
        }
    }
}
