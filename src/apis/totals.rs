//! What all event loops count and remember together for an api.

use super::directory::Directories;
use crate::locked::{Locked, Places};
use crate::quota::{Network, Quota};
use crate::sticky::{Secret, Sticky};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The totals of all apis, by name. Each exists while an event loop serves the api.
#[derive(Debug, Default)]
pub struct Totals {
    apis: Locked<BTreeMap<String, Weak<ApiTotals>>>,
    /// Which event loops have which shared streams.
    pub directories: Directories,
    /// The key for hashes of replicas.
    pub secret: Secret,
}

/// The totals of an api. See the module.
#[derive(Debug, Default)]
pub struct ApiTotals {
    /// The number of open event streams.
    streams: Places,
    /// The open event streams by client address, where that is limited.
    pub addresses: Quota<Network>,
    /// Which replicas know which clients.
    pub sticky: Locked<Sticky>,
}

impl Totals {
    /// The totals of the api with this name.
    pub fn of(&self, name: &str) -> Arc<ApiTotals> {
        self.apis.with(|apis| {
            apis.retain(|_, known| known.strong_count() > 0);
            if let Some(known) = apis.get(name).and_then(Weak::upgrade) {
                return known;
            }
            let new = Arc::default();
            apis.insert(name.to_owned(), Arc::downgrade(&new));
            new
        })
    }
}

impl ApiTotals {
    /// Counts another event stream as open, if fewer than `max` are open.
    pub fn permit(self: &Arc<Self>, max: usize) -> Option<Permit> {
        self.streams.take(max).then(|| Permit(Arc::clone(self)))
    }

    /// The number of open event streams.
    #[cfg(any(test, feature = "sim"))]
    pub fn streams(&self) -> usize {
        self.streams.taken()
    }
}

/// Counts an event stream of an api as open for as long as the permit exists.
#[derive(Debug)]
pub struct Permit(Arc<ApiTotals>);

impl Permit {
    /// True exactly when it is counted in these totals.
    #[cfg(feature = "sim")]
    pub fn is_of(&self, totals: &Arc<ApiTotals>) -> bool {
        Arc::ptr_eq(&self.0, totals)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.streams.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// However threads interleave, there are never more permits than the maximum.
    #[test]
    fn permits_are_exact_across_threads() {
        let (totals, max) = (Totals::default(), 3);
        let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..2000 {
                        let api = totals.of("a");
                        let Some(permit) = api.permit(max) else { continue };
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= max);
        assert_eq!(totals.of("a").streams(), 0);
    }

    #[test]
    fn permits_count_while_they_are_held() {
        let totals = Totals::default();
        let (one, other) = (totals.of("a"), totals.of("a"));
        let permits = [one.permit(2), other.permit(2)];
        assert!(permits.iter().all(Option::is_some) && other.permit(2).is_none());
        assert_eq!((one.streams(), totals.of("b").streams()), (2, 0));
        drop(permits);
        assert_eq!(other.streams(), 0);
        // Totals that no loop uses any more start from zero.
        let permit = one.permit(1);
        drop((one, other));
        assert!(permit.is_some_and(|permit| permit.0.streams() == 1));
        assert_eq!(totals.of("a").streams(), 0);
    }
}
