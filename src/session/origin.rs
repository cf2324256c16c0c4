//! What is known of an api's targets: where they are, who is connected, and which of them fail.
//!
//! Of several targets the one with the fewest connections in use is asked, and of those the one
//! that was not asked last. One that nobody could connect to rests for a while: it is asked only
//! when all others rest as well.
//!
//! Streams that have lost their upstream ask again after waits that grow. When one is answered, the
//! others need not wait on, and ask soon: spread over a time that is the longer the more they are,
//! and doubles as long as no stream that was answered gets on.

use crate::config::{Api, Target};
use crate::cors::grants::Grants;
use crate::net::Address;
use crate::session::addresses::{Addresses, Tried};
use crate::session::idle::Idle;
use crate::session::places::{Counts, Network};
use crate::session::stats::{ApiStats, Stats};
use crate::session::target_stats::TargetStats;
use crate::session::upstream::Upstream;
use crate::time::Tick;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long a target, or an address, is passed over that could not be connected to.
pub(super) const REST: Duration = Duration::from_secs(10);

/// Of the streams that are woken together, one asks in this time, on average.
const WAKE_EACH: Duration = Duration::from_millis(1);

/// They have this long at least,
const WAKE_MIN: Duration = Duration::from_millis(100);

/// and this long at most.
const WAKE_MAX: Duration = Duration::from_secs(5);

/// An api as the proxy knows it: what outlives a configuration that has it, too.
#[derive(Debug)]
pub struct Origin {
    /// The api's name.
    pub name: String,
    /// Its targets, in the configuration's order. Never none.
    pub places: Vec<Place>,
    /// Idle connections that are kept, to each of them.
    pub idle_max: usize,
    /// Event streams that are open, by their clients' addresses; where that is limited.
    pub addresses: Counts<Network>,
    /// What its targets last let pages of other origins read, where no `[api.cors]` says so.
    pub grants: Grants,
    /// Event streams that are open.
    streams: Rc<Cell<usize>>,
    /// What is counted of the api.
    pub stats: Rc<ApiStats>,
    /// True exactly when streams may wait that were not woken yet.
    awaited: bool,
    /// When the last of those that were woken together asks.
    woken_until: Tick,
    /// How often streams were woken since one last got on.
    wakes: u32,
}

/// One of an api's targets.
#[derive(Debug)]
pub struct Place {
    /// Where it is, as it was configured.
    pub target: Target,
    /// Where to connect to, as the name was last resolved.
    pub addresses: Addresses,
    /// What is counted of it.
    pub stats: Rc<TargetStats>,
    /// Idle connections to it.
    pub idle: Idle<Upstream>,
    /// Until when it is passed over.
    rests_until: Tick,
    /// When it was last chosen.
    chosen: u64,
    /// Connections in use.
    in_use: Rc<Cell<usize>>,
}

/// A place among those that are counted, for as long as it is held.
#[derive(Debug)]
pub struct Permit(Rc<Cell<usize>>);

impl Permit {
    fn of(count: &Rc<Cell<usize>>) -> Permit {
        count.set(count.get() + 1);
        Permit(Rc::clone(count))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Origin {
    /// The targets of an api, to which nobody has connected yet.
    pub fn of(api: &Api, stats: &mut Stats, now: Tick) -> Origin {
        let place = |target: &Target| Place {
            addresses: Addresses::of(target, now),
            target: target.clone(),
            stats: stats.target(&api.name, target.to_string()),
            idle: Idle::new(),
            rests_until: Tick::ZERO,
            chosen: 0,
            in_use: Rc::default(),
        };
        Origin {
            name: api.name.clone(),
            places: api.targets.iter().map(place).collect(),
            idle_max: api.keepalive_upstream,
            addresses: Counts::default(),
            grants: Grants::default(),
            streams: Rc::default(),
            stats: stats.api(&api.name),
            awaited: false,
            woken_until: Tick::ZERO,
            wakes: 0,
        }
    }

    /// A stream of it waits, and asked in vain before.
    pub fn note_waiting(&mut self) {
        self.awaited = true;
    }

    /// A stream of it got on before it was lost.
    pub fn got_on(&mut self) {
        self.wakes = 0;
    }

    /// True exactly when it has only to answer for streams that wait to be woken. Never while those
    /// that were woken last are still asking.
    pub fn is_to_wake(&self, now: Tick) -> bool {
        self.awaited && self.woken_until <= now
    }

    /// It has answered, and so many streams are woken: over how long a time.
    pub fn wake(&mut self, waiting: usize, now: Tick) -> Duration {
        let each = u32::try_from(waiting).unwrap_or(u32::MAX);
        let time = WAKE_EACH.saturating_mul(each).max(WAKE_MIN);
        let time = time.saturating_mul(1 << self.wakes.min(16)).min(WAKE_MAX);
        self.awaited = false;
        self.woken_until = now.after(time);
        self.wakes += 1;
        time
    }

    /// True when an api, of another configuration perhaps, is this one and leads to the same
    /// places.
    pub fn is_of(&self, api: &Api) -> bool {
        let same = |(place, target): (&Place, &Target)| place.target.is_same_place(target);
        self.name == api.name
            && self.places.len() == api.targets.len()
            && self.places.iter().zip(&api.targets).all(same)
    }

    /// The same api, as a newer configuration has it.
    pub fn update(&mut self, api: &Api, now: Tick) {
        self.idle_max = api.keepalive_upstream;
        for (place, target) in self.places.iter_mut().zip(&api.targets) {
            place.addresses.update(&target.addresses, now);
        }
    }

    /// A place among the streams, if fewer than `max` are open.
    pub fn permit(&self, max: usize) -> Option<Permit> {
        (self.streams() < max).then(|| Permit::of(&self.streams))
    }

    /// Idle connections, to all of its targets.
    pub fn idle(&self) -> usize {
        self.places.iter().map(|place| place.idle.len()).sum()
    }

    /// Event streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.get()
    }

    /// The target to be asked next, by its index, not counting those whose bits are set in `tried`.
    pub fn choose(&mut self, tried: u64, now: Tick) -> Option<usize> {
        let latest = self.places.iter().map(|place| place.chosen).max().unwrap_or(0);
        let untried = (0..).zip(&mut self.places).filter(|(index, _)| tried >> index & 1 == 0);
        let rank = |place: &Place| (place.rests_until.max(now), place.in_use.get(), place.chosen);
        let (index, place) = untried.min_by_key(|(_, place)| rank(place))?;
        place.chosen = latest + 1;
        Some(index)
    }
}

impl Place {
    /// A connection to it is in use for as long as this is held.
    pub fn occupy(&self) -> Permit {
        Permit::of(&self.in_use)
    }

    /// Connections in use.
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// Nobody could connect to it.
    pub fn rest(&mut self, now: Tick) {
        self.rests_until = now.after(REST);
        self.stats.mark_failing(now);
    }

    /// Until when the api's other targets are asked first.
    pub const fn passed_over_until(&self) -> Tick {
        self.rests_until
    }

    /// True exactly when the api's other targets are asked first.
    pub fn is_passed_over(&self, now: Tick) -> bool {
        self.rests_until > now
    }

    /// A connection to the address that was tried last stands.
    pub fn answered(&mut self, tried: Tried) {
        self.addresses.answered(tried);
        self.rests_until = Tick::ZERO;
    }

    /// Its name has these addresses by now. What there is to tell of them: that they are others
    /// than before, and so worth a try.
    pub fn resolved(&mut self, addresses: &[Address]) -> Option<&'static str> {
        let had_none = self.addresses.is_empty();
        let others = self.addresses.resolved(addresses);
        if others {
            self.rests_until = Tick::ZERO;
        }
        let told = if had_none { "is resolved now" } else { "has other addresses" };
        others.then_some(told)
    }
}
