//! The progress of a search for a connection: which endpoints may be asked, and which were.

use super::addresses::Tried;
use super::queue::Wants;
use super::upstream::Place;
use crate::config::Backend;
use crate::sticky::Replica;
use crate::time::Tick;

/// The progress of a search for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The addresses of the present endpoint that have been tried.
    pub tried: Tried,
    /// When the search is given up.
    pub gives_up: Tick,
    /// The endpoints not to ask again, as bits: those that could not be connected to, and those
    /// that have failed the request in another way.
    pub failed: u64,
    /// The endpoints that may be asked at all, as bits.
    pub(super) among: u64,
    /// True exactly when these are those of a replica.
    pub(super) is_bound: bool,
    /// The number of the only address that may be tried, if there is such a restriction.
    pub(super) only: Option<u8>,
    /// The replica that knows the client, if any.
    pub(super) bound: Option<Bound>,
    /// The index of the present endpoint.
    pub endpoint: u8,
    /// Its present or former place in the upstream's queue.
    pub place: Option<Place>,
}

/// The replica that knows a client.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The replica.
    pub replica: Replica,
    /// True exactly when no other replica can serve the client.
    pub is_exclusive: bool,
}

impl Search {
    /// A search that has tried nothing, and ends at `gives_up`.
    pub fn new(gives_up: Tick) -> Search {
        let tried = Tried::default();
        Search {
            tried,
            gives_up,
            failed: 0,
            among: u64::MAX,
            is_bound: false,
            only: None,
            bound: None,
            endpoint: 0,
            place: None,
        }
    }

    /// The same search, with this place in the queue.
    #[must_use]
    pub fn at(self, place: Option<Place>) -> Search {
        Search { place, ..self }
    }

    /// The same search among the endpoints whose bits are not set in `failed`.
    #[must_use]
    pub const fn without(self, failed: u64) -> Search {
        Search { failed, ..self }
    }

    /// The same search, for a client that this replica knows.
    #[must_use]
    pub const fn bound_to(self, bound: Option<Bound>) -> Search {
        Search { bound, ..self }
    }

    /// The endpoints that it may use.
    pub(super) const fn wants(&self) -> Wants {
        Wants { among: self.among, failed: self.failed, is_bound: self.is_bound }
    }

    /// The endpoint to ask next if the upstream is gone: the present one, or the first that is
    /// left, backups last. None if all have failed.
    pub(super) fn next_in(&self, backend: Backend<'_>) -> Option<usize> {
        let left = self.wants().left();
        if left >> self.endpoint & 1 != 0 {
            return Some(self.endpoint.into());
        }
        let backups = backend.backups();
        (0..backend.targets.len())
            .filter(|index| left >> index & 1 != 0)
            .min_by_key(|index| backups >> index & 1)
    }

    /// The same search, beginning with this endpoint.
    #[must_use]
    pub fn to(self, endpoint: usize) -> Search {
        Search { endpoint: narrow(endpoint), ..self }
    }
}

/// The index of an endpoint as a search has it.
pub(super) fn narrow(index: usize) -> u8 {
    let Ok(index) = u8::try_from(index) else {
        panic!("an upstream has 64 endpoints at most");
    };
    index
}
