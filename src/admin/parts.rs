//! Questions of the operator to all event loops, and how their answers are merged.

use super::answer::{Answer, MediaType};
use super::live::LiveNow;
use super::metrics::MetricsNow;
use super::streams::{Page, Query, Rank};
use super::workers::Asked;
use crate::time::Tick;
use std::sync::Arc;

/// A question to all event loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// The metrics.
    Metrics,
    /// A page of the open streams.
    Streams(Query),
    /// The rank of the stream after which the page starts.
    Rank(Query),
    /// End the stream with this id.
    End(u64),
    /// The state for the live page.
    Live,
    /// Whether the loop is alive.
    Health,
}

impl Inquiry {
    /// The same question with the time at which it is asked, which is the same for all event loops.
    /// The rank of a stream needs none, because only one loop has the stream.
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

/// The answer of one event loop, or the merged answers of several. Answers to the same inquiry are
/// of the same variant.
#[derive(Debug)]
pub enum Part {
    /// The metrics. Shared, because they are long and kept.
    Metrics(Arc<MetricsNow>),
    /// The page of streams.
    Streams(Page),
    /// The rank of the stream, if this loop has it, and the time for which it was computed.
    Rank(Query, Option<Rank>, Tick),
    /// How the stream ends, if this loop has it.
    Ended(Option<&'static str>),
    /// The state for the live page.
    Live(Box<LiveNow>),
    /// The loop is alive.
    Health,
}

impl Part {
    /// Merges the answer of another event loop.
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

    /// The question to ask next, after this answer of all loops.
    pub fn next(&self) -> Option<Inquiry> {
        let Part::Rank(query, rank, at) = self else { return None };
        Some(Inquiry::Streams(query.behind(*rank, *at)))
    }

    /// True exactly when both answer the same kind of inquiry.
    pub fn is_like(&self, other: &Part) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What stands in for this event loop while it does not answer, so that no counter decreases
    /// meanwhile.
    pub fn to_be_kept(&self) -> Option<Part> {
        match self {
            Part::Metrics(told) => Some(Part::Metrics(Arc::clone(told))),
            Part::Live(state) => Some(Part::Live(state.clone())),
            Part::Streams(_) | Part::Rank(..) | Part::Ended(_) | Part::Health => None,
        }
    }

    /// The response to the operator. Some event loops may not have answered.
    pub fn into_answer(self, asked: &Asked) -> Answer {
        match self {
            Part::Metrics(all) => {
                let mut all = Arc::unwrap_or_clone(all).into_exposition();
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
            // No operator waits for the other two.
            Part::Ended(None) | Part::Rank(..) | Part::Live(_) => {
                Answer::text(404, "No open stream has this id.")
            }
        }
    }
}
