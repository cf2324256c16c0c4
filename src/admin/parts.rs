//! What the operator asks of every event loop, and how their answers become one.

use super::answer::{Answer, MediaType};
use super::live::LiveNow;
use super::streams::{Page, Query, Rank};
use crate::metrics::Exposition;
use crate::time::Tick;

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
}

/// What one event loop answers, or several together. Those to the same inquiry are alike.
#[derive(Debug)]
pub enum Part {
    /// The metrics.
    Metrics(Exposition),
    /// The page.
    Streams(Page),
    /// The rank of that stream, if it is there, and when it was asked for.
    Rank(Query, Option<Rank>, Tick),
    /// How the stream ends, if it is there.
    Ended(Option<&'static str>),
    /// The state for the live page.
    Live(Box<LiveNow>),
}

impl Part {
    /// Takes in the answer of another event loop.
    pub fn merge(&mut self, other: Part) {
        match (self, other) {
            (Part::Metrics(all), Part::Metrics(more)) => all.merge(more),
            (Part::Streams(all), Part::Streams(more)) => all.merge(more),
            (Part::Rank(_, all, at), Part::Rank(_, Some(found), since)) => {
                (*all, *at) = (Some(found), since);
            }
            (Part::Rank(..), Part::Rank(..)) => {}
            (Part::Ended(all), Part::Ended(more)) => *all = all.or(more),
            (Part::Live(all), Part::Live(more)) => all.merge(*more),
            (all, more) => debug_assert!(false, "{all:?} and {more:?} answer two inquiries"),
        }
    }

    /// What has to be asked next, now that this is known of all.
    pub fn next(&self) -> Option<Inquiry> {
        let Part::Rank(query, rank, at) = self else { return None };
        Some(Inquiry::Streams(query.behind(*rank, *at)))
    }

    /// The answer to the operator who has asked.
    pub fn into_answer(self) -> Answer {
        match self {
            Part::Metrics(all) => {
                Answer::of(200, MediaType::Metrics, all.into_text().into_bytes().into())
            }
            Part::Streams(page) => {
                Answer::of(200, MediaType::Json, page.into_text().into_bytes().into())
            }
            Part::Ended(Some(sentence)) => Answer::text(202, sentence),
            // Nobody waits for what is not an answer.
            Part::Ended(None) | Part::Rank(..) | Part::Live(_) => {
                Answer::text(404, "No open stream has this id.")
            }
        }
    }
}
