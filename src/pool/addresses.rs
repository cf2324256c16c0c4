//! The addresses of a target: which one to try next, and when to resolve the target's name again.
//!
//! Connections go in turn to the addresses of the family that answered last. An address that failed
//! is passed over for a while. The other family is tried only when all addresses of the first have
//! failed: `localhost` has an address of each family, and a service that listens on only one must
//! not cost each request a failure.
//!
//! A name is resolved on demand. When a connection is wanted and the addresses are older than 30 s,
//! the name is resolved in the background, for later requests; if there are no addresses, or none
//! that can be connected to, this happens after 5 s. An idle process resolves nothing. A name
//! without an address is an outage of its endpoint only. It prevents neither startup nor a reload,
//! which wait at most five seconds for all names together.

use super::connection::NO_ADDRESS;
use super::verdict::Verdict;
use crate::config::{Checks, Target};
use crate::net::Address;
use crate::time::Tick;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an address is passed over after a failure to connect.
const PASS_OVER: Duration = Duration::from_secs(10);

/// How old the addresses of a name may be before it is resolved again.
const MAX_AGE: Duration = Duration::from_secs(30);

/// How often to resolve a name that has no addresses, or none that can be connected to.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Which addresses a search has tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// The version of the list that the indices refer to.
    version: u32,
    /// One bit per address.
    bits: u64,
    /// The index of the address tried last.
    last: u8,
}

/// The addresses of a target. See the module.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The addresses, at most as many as [`Tried`] has bits.
    list: Vec<Known>,
    /// The version of the list. It grows with each change.
    version: u32,
    /// The index of the address whose turn is next.
    next: usize,
    /// The family of the address that answered last.
    family: Option<Family>,
    /// True exactly when the target has a name to resolve.
    named: bool,
    /// When the name was resolved or last asked for.
    asked_at: Tick,
    /// True exactly when the name is being resolved.
    resolving: bool,
}

/// An address, and what is known of it.
#[derive(Clone, Debug)]
struct Known {
    address: Address,
    /// A number that no other address in the list has, and that never changes.
    number: u8,
    /// Until when it is passed over.
    passed_over_until: Tick,
    /// The verdict of its health checks.
    verdict: Verdict,
}

impl Known {
    const fn new(address: Address, number: u8) -> Known {
        Known { address, number, passed_over_until: Tick::ZERO, verdict: Verdict::NONE }
    }

    /// True exactly when other addresses are preferred.
    fn is_bad(&self, now: Tick) -> bool {
        self.passed_over_until > now || self.verdict.is_unhealthy()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Unix,
}

impl Family {
    const fn of(address: &Address) -> Family {
        match address {
            Address::Tcp(SocketAddr::V4(_)) => Family::V4,
            Address::Tcp(SocketAddr::V6(_)) => Family::V6,
            Address::Unix(_) => Family::Unix,
        }
    }
}

impl Addresses {
    /// The addresses of a target in the configuration.
    pub(super) fn of(target: &Target, now: Tick) -> Addresses {
        let mut addresses = Addresses {
            list: Vec::new(),
            version: 0,
            next: 0,
            family: None,
            named: target.has_name(),
            asked_at: now,
            resolving: false,
        };
        addresses.replace(&target.addresses);
        addresses
    }

    /// The address to try next. None if all were tried.
    pub(super) fn next(&mut self, tried: &mut Tried, now: Tick) -> Option<Address> {
        self.begin(tried);
        let family = self.family.or_else(|| Some(Family::of(&self.list.first()?.address)));
        let is_foreign = |index: usize| Some(Family::of(&self.list[index].address)) != family;
        let passed_over = |index: usize| self.list[index].is_bad(now);
        let indices = 0..self.list.len();
        let family_failed = indices.clone().all(|index| is_foreign(index) || passed_over(index));
        let rank = |index: &usize| {
            let turn = (index + self.list.len() - self.next) % self.list.len();
            (family_failed && passed_over(*index), is_foreign(*index), passed_over(*index), turn)
        };
        let index = indices.filter(|index| tried.bits >> index & 1 == 0).min_by_key(rank)?;
        self.next = (index + 1) % self.list.len();
        Some(self.try_at(index, tried))
    }

    /// The address with this number, if it was not tried yet.
    pub(super) fn only(&mut self, number: u8, tried: &mut Tried) -> Option<Address> {
        self.begin(tried);
        let index = self.list.iter().position(|known| known.number == number)?;
        (tried.bits >> index & 1 == 0).then(|| self.try_at(index, tried))
    }

    /// Forgets what was tried if that was in another version of the list.
    const fn begin(&self, tried: &mut Tried) {
        if tried.version != self.version {
            *tried = Tried { version: self.version, bits: 0, last: 0 };
        }
    }

    /// Marks an address as tried, and returns it.
    fn try_at(&self, index: usize, tried: &mut Tried) -> Address {
        tried.bits |= 1 << index;
        tried.last = u8::try_from(index).unwrap_or(u8::MAX);
        self.list[index].address.clone()
    }

    /// The number of the address tried last.
    pub(super) fn number_of_last(&self, tried: Tried) -> Option<u8> {
        Some(self.list[self.last_of(tried)?].number)
    }

    /// The address with this number.
    pub(super) fn numbered(&self, number: u8) -> Option<&Address> {
        Some(&self.list.iter().find(|known| known.number == number)?.address)
    }

    /// All addresses, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Address)> {
        self.list.iter().map(|known| (known.number, &known.address))
    }

    /// The number of addresses that were not tried yet and are no worse than the one tried last:
    /// one that is passed over needs no time while another is tried.
    pub(super) fn left(&self, tried: Tried, now: Tick) -> usize {
        let bits = if tried.version == self.version { tried.bits } else { 0 };
        let last_is_bad = self.last_of(tried).is_some_and(|index| self.list[index].is_bad(now));
        let left = (0..).zip(&self.list).filter(|(index, known): &(u32, _)| {
            bits >> index & 1 == 0 && (last_is_bad || !known.is_bad(now))
        });
        left.count()
    }

    /// Notes that the address tried last could not be connected to. Returns it if there are others.
    pub(super) fn failed(&mut self, tried: Tried, now: Tick) -> Option<&Address> {
        let index = self.last_of(tried)?;
        self.list[index].passed_over_until = now.after(PASS_OVER);
        if self.list.len() > 1 { Some(&self.list[index].address) } else { None }
    }

    /// Notes that a connection to the address tried last was established.
    pub(super) fn answered(&mut self, tried: Tried) {
        if let Some(index) = self.last_of(tried) {
            self.list[index].passed_over_until = Tick::ZERO;
            self.family = Some(Family::of(&self.list[index].address));
        }
    }

    fn last_of(&self, tried: Tried) -> Option<usize> {
        let index = usize::from(tried.last);
        let known = tried.version == self.version && tried.bits != 0;
        if known && index < self.list.len() { Some(index) } else { None }
    }

    /// True if the name should be resolved again. It is then not due until there is an answer.
    pub(super) fn is_due(&mut self, now: Tick) -> bool {
        let all_failed = self.list.iter().all(|known| known.is_bad(now));
        let interval = if all_failed { RETRY_AFTER } else { MAX_AGE };
        let due = self.named && !self.resolving && now.since(self.asked_at) >= interval;
        if due {
            (self.resolving, self.asked_at) = (true, now);
        }
        due
    }

    /// Notes that the name could not be resolved. The addresses stay.
    pub(super) fn not_resolved(&mut self, now: Tick) {
        self.note_answer(now);
    }

    /// Notes an answer for the name, whichever event loop has asked.
    fn note_answer(&mut self, now: Tick) {
        if !std::mem::replace(&mut self.resolving, false) {
            self.asked_at = now;
        }
    }

    /// Takes the result of resolving the name. True if the addresses have changed.
    pub(super) fn resolved(&mut self, addresses: &[Address], now: Tick) -> bool {
        self.note_answer(now);
        self.replace(addresses)
    }

    /// Takes the addresses of a newer configuration. If there are none, the present ones stay. True
    /// if the addresses have changed.
    pub(super) fn update(&mut self, addresses: &[Address], now: Tick) -> bool {
        self.asked_at = now;
        !addresses.is_empty() && self.replace(addresses)
    }

    /// Replaces the list. The order is ignored, because name servers vary it. What is known of an
    /// address is kept if it is also in the new list.
    fn replace(&mut self, addresses: &[Address]) -> bool {
        let known = |address: &Address| self.list.iter().find(|known| known.address == *address);
        if addresses.iter().all(|a| known(a).is_some()) && addresses.len() == self.list.len() {
            return false;
        }
        let addresses = addresses.iter().take(u64::BITS as usize);
        // Connections to removed addresses still have their numbers.
        let taken: Vec<u8> = self.list.iter().map(|known| known.number).collect();
        let mut unused = (0..NO_ADDRESS).filter(|number| !taken.contains(number));
        let mut list = Vec::new();
        for address in addresses {
            let new = || unused.next().map(|number| Known::new(address.clone(), number));
            list.extend(known(address).cloned().or_else(new));
        }
        self.list = list;
        self.version += 1;
        self.next = 0;
        true
    }

    /// The address to check in this turn, if there is one.
    pub(super) fn to_check(&self, turn: usize) -> Option<&Address> {
        Some(&self.list.get(turn % self.list.len().max(1))?.address)
    }

    /// The number of addresses.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Notes the result of a check of an address. Returns whether it is healthy, if that has
    /// changed or was not known.
    pub(super) fn note_check(
        &mut self,
        address: &Address,
        passed: bool,
        checks: &Checks,
    ) -> Option<bool> {
        let known = self.list.iter_mut().find(|known| known.address == *address)?;
        known.verdict.note(passed, checks)
    }

    /// Sets the verdict on an address, from another event loop.
    pub(super) fn judge(&mut self, address: &Address, is_healthy: bool) {
        if let Some(known) = self.list.iter_mut().find(|known| known.address == *address) {
            known.verdict = Verdict::of(is_healthy);
        }
    }

    /// Forgets all verdicts, because there are no more checks.
    pub(super) fn forget_checks(&mut self) {
        self.list.iter_mut().for_each(|known| known.verdict = Verdict::NONE);
    }

    /// Whether any address is healthy. None if none was checked yet.
    pub(super) fn are_healthy(&self) -> Option<bool> {
        self.list.iter().filter_map(|known| known.verdict.is_healthy()).reduce(|a, b| a || b)
    }

    /// True exactly when there are addresses, and all are unhealthy.
    pub(super) fn are_unhealthy(&self) -> bool {
        !self.list.is_empty() && self.list.iter().all(|known| known.verdict.is_unhealthy())
    }

    /// True exactly when there are no addresses.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [&str; 3] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    const V6: [&str; 2] = ["[::1]:80", "[::2]:80"];

    fn list(addresses: &[&str]) -> Vec<Address> {
        addresses.iter().map(|address| Address::Tcp(address.parse().unwrap())).collect()
    }

    fn addresses(of: &[&str]) -> Addresses {
        let text = "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://backend.test'";
        let config = crate::config::Config::parse("x", text).unwrap();
        let mut target = config.apis[0].targets[0].clone();
        target.addresses = list(of);
        Addresses::of(&target, Tick::ZERO)
    }

    fn at(seconds: u64) -> Tick {
        Tick::from_millis(seconds * 1000)
    }

    /// Connects while the addresses in `up` answer. Returns all addresses that were tried.
    fn attempt(addresses: &mut Addresses, up: &[&str], now: Tick) -> Vec<String> {
        let (mut tried, mut out) = (Tried::default(), Vec::new());
        while let Some(address) = addresses.next(&mut tried, now) {
            let address = address.to_string();
            out.push(address.clone());
            if up.contains(&address.as_str()) {
                addresses.answered(tried);
                break;
            }
            addresses.failed(tried, now);
        }
        out
    }

    #[test]
    fn one_family_is_used_in_turn() {
        let all = [V4.as_slice(), V6.as_slice()].concat();
        for first in [V4.as_slice(), V6.as_slice()] {
            let mixed: Vec<&str> =
                first.iter().chain(all.iter().filter(|a| !first.contains(a))).copied().collect();
            let mut addresses = addresses(&mixed);
            for round in 0..3 {
                for want in first {
                    assert_eq!(attempt(&mut addresses, &all, at(round)), [*want]);
                }
            }
        }
    }

    #[test]
    fn the_other_family_is_tried_when_all_of_one_fail() {
        let mut addresses = addresses(&["[::1]:80", "10.0.0.1:80", "[::2]:80", "10.0.0.2:80"]);
        let v4 = ["10.0.0.1:80", "10.0.0.2:80"];
        let first = attempt(&mut addresses, &v4, at(0));
        assert_eq!(first[..2], V6);
        assert_eq!((first.len(), first.last().unwrap().starts_with("10.")), (3, true));
        // From now on this family is used.
        for second in [1, 100, 1000, 1001] {
            let tried = attempt(&mut addresses, &v4, at(second));
            assert!(tried.len() == 1 && v4.contains(&tried[0].as_str()), "{tried:?}");
        }
        // An address that fails is passed over, and the others of its family are used instead.
        for _ in 0..4 {
            let tried = attempt(&mut addresses, &v4[1..], at(2000));
            assert_eq!(tried.last().unwrap(), v4[1]);
        }
        assert_eq!(attempt(&mut addresses, &v4[1..], at(2001)), [v4[1]]);
        // After a while it is tried again.
        let tried: Vec<_> = (0..2).flat_map(|_| attempt(&mut addresses, &v4, at(2020))).collect();
        assert!(v4.iter().all(|a| tried.contains(&(*a).to_owned())), "{tried:?}");
        // When all addresses of a family have just failed, the other family comes first.
        assert_eq!(attempt(&mut addresses, &[], at(3000)).len(), 4);
        addresses.list[0].passed_over_until = Tick::ZERO;
        assert_eq!(attempt(&mut addresses, &V6, at(3001)), ["[::1]:80"]);
    }

    #[test]
    fn each_address_is_tried_once() {
        let mut addresses = addresses(&[V6[0], V4[0], V4[1], V6[1], V4[2]]);
        for second in 0..30 {
            let mut tried = attempt(&mut addresses, &[], at(second));
            tried.sort();
            assert_eq!(tried, [V4[0], V4[1], V4[2], V6[0], V6[1]]);
        }
    }

    #[test]
    fn another_list_is_tried_from_its_beginning() {
        let mut addresses = addresses(&V4);
        let mut tried = Tried::default();
        addresses.next(&mut tried, at(0));
        addresses.failed(tried, at(0));
        assert_eq!(addresses.left(tried, at(0)), 2);
        assert!(!addresses.resolved(&list(&[V4[2], V4[0], V4[1]]), at(0)), "it is the same list");
        assert_eq!(addresses.left(tried, at(0)), 2);
        assert!(addresses.resolved(&list(&[V6[0], V4[0]]), at(0)));
        assert_eq!(addresses.left(tried, at(10)), 2);
        // The address tried last was in the previous list.
        addresses.answered(tried);
        let until: Vec<_> = addresses.list.iter().map(|known| known.passed_over_until).collect();
        assert_eq!(until, [Tick::ZERO, at(10)]);
        assert_eq!(attempt(&mut addresses, &V6, at(1)), [V6[0]]);
    }

    #[test]
    fn those_passed_over_share_the_time_only_with_each_other() {
        let mut addresses = addresses(&V4);
        attempt(&mut addresses, &V4[1..], at(0));
        let mut tried = Tried::default();
        let mut left = || {
            addresses.next(&mut tried, at(1))?;
            Some(addresses.left(tried, at(1)))
        };
        assert_eq!([(); 4].map(|()| left()), [Some(1), Some(0), Some(0), None]);
        attempt(&mut addresses, &[], at(2));
        addresses.next(&mut Tried::default(), at(3));
        let mut tried = Tried::default();
        addresses.next(&mut tried, at(3));
        assert_eq!(addresses.left(tried, at(3)), 2);
    }

    #[test]
    fn names_are_asked_for_on_demand() {
        let mut some = addresses(&V4);
        assert!(!some.is_due(at(29)) && some.is_due(at(30)));
        assert!(!some.is_due(at(100)), "it is being asked for");
        some.not_resolved(at(100));
        assert!(some.is_due(at(100)) && !some.resolved(&list(&V4), at(100)));
        attempt(&mut some, &[], at(104));
        assert!(!some.is_due(at(104)) && some.is_due(at(105)), "all of them have failed");

        let mut none = addresses(&[]);
        assert!(none.is_empty() && !none.is_due(at(4)) && none.is_due(at(5)));
        none.not_resolved(at(6));
        assert!(!none.is_due(at(9)) && none.is_due(at(10)));
        assert!(none.resolved(&list(&V4), at(11)) && !none.is_empty() && !none.is_due(at(39)));
        none.update(&[], at(40));
        assert!(!none.is_empty(), "known addresses stay");

        // An answer counts even if another event loop has asked.
        some.not_resolved(at(105));
        assert!(!some.resolved(&list(&V4), at(120)) && !some.is_due(at(149)));
        some.not_resolved(at(150));
        assert!(!some.is_due(at(179)) && some.is_due(at(180)));

        let mut fixed = Addresses { named: false, ..addresses(&V4) };
        assert!(!fixed.is_due(at(1000)));
    }
}
