//! Which event loop has which shared upstream stream, and what the upstream's responses have shown.
//!
//! The loop whose client asks for a stream first claims it, and has it until the name is given up.
//! Other loops find its [`Place`]. The directory is used when a client asks for a stream and when
//! one begins or ends, and never for an event.

use super::recent::Recent;
use crate::config::{Api, Sharing, Target, UpstreamTls};
use crate::cors::grants::{Grants, Page, UpstreamGrant};
use crate::locked::Locked;
use crate::telemetry::Veto;
use crate::time::Tick;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The name of a stream. Requests with the same name are identical for the upstream.
pub type Name = [u8; 32];

/// What all event loops know of an api's streams, while it has the same endpoints. See the module.
#[derive(Debug, Default)]
pub struct Directory(Locked<Streams>);

#[derive(Debug, Default)]
struct Streams {
    claimed: BTreeMap<Name, Vec<(Sharing, Place)>>,
    /// The number of claimed streams with a name.
    count: usize,
    /// The number of claims whose name was given up: their streams have ended, but are still being
    /// read.
    over: usize,
    /// The names of streams that must not be shared, and why. Only a response shows whether it is
    /// the same for all clients; after one that was not, no client has to wait for the next.
    vetoes: Recent<Name, Veto>,
    /// The numbers of the last events of ended shared streams, and the upstream's ids of these
    /// events, by the epoch of our own ids (`ids = "own"`).
    last_ids: Recent<u64, (u64, Arc<[u8]>)>,
    /// What the upstream last allowed pages of other origins to read, for apis without
    /// `[api.cors]`.
    grants: Grants,
    /// The fingerprints of requests that were answered early as event streams, although the
    /// upstream's response then was not one. They are not answered early again: a browser's
    /// EventSource gives up when it sees such a response, but behind our head it does not see it,
    /// and would reconnect for ever.
    unstreamed: Recent<u64, ()>,
}

/// The location of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The event loop that has it.
    pub event_loop: usize,
    /// The id of the request for the stream.
    pub id: u64,
    /// The epoch of its ids, if these are our own.
    pub epoch: Option<u64>,
}

/// Why a stream cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is claimed already, at this place.
    At(Place),
    /// The limit on shared streams is reached.
    Full,
}

impl Directory {
    /// The place of the stream with this name that is shared under these settings.
    pub fn find(&self, name: &Name, terms: &Sharing) -> Option<Place> {
        self.0.with(|streams| streams.find(name, terms))
    }

    /// Claims the stream with this name, which will be at `place`, if fewer than `max` are claimed.
    /// As many again may have ended and still be read: otherwise clients that reconnect after the
    /// end of a stream would have to wait for the slowest reader.
    ///
    /// # Errors
    /// [`Claimed`].
    pub fn claim(
        self: &Arc<Directory>,
        name: Name,
        terms: Sharing,
        place: Place,
        max: usize,
    ) -> Result<Claim, Claimed> {
        self.0.with(|streams| {
            if let Some(known) = streams.find(&name, &terms) {
                return Err(Claimed::At(known));
            }
            if streams.count >= max || streams.count + streams.over >= 2 * max {
                return Err(Claimed::Full);
            }
            streams.count += 1;
            streams.claimed.entry(name).or_default().push((terms, place));
            Ok(Claim { directory: Arc::clone(self), name, id: place.id })
        })
    }

    /// Remembers that the stream with this name must not be shared.
    pub fn note_veto(&self, name: Name, veto: Veto, now: Tick) {
        self.0.with(|streams| streams.vetoes.note(name, veto, Duration::ZERO, now));
    }

    /// Why the stream with this name must not be shared, if that is known.
    pub fn veto(&self, name: &Name, now: Tick) -> Option<Veto> {
        self.0.with(|streams| streams.vetoes.find(name, now))
    }

    /// Remembers the number of the last event of an ended stream, and the upstream's id of it, by
    /// the epoch of our own ids. The clients of the stream reconnect after at most `told`.
    pub fn note_last_id(&self, epoch: u64, (number, id): (u64, &[u8]), told: Duration, now: Tick) {
        self.0.with(|streams| streams.last_ids.note(epoch, (number, id.into()), told, now));
    }

    /// The number and the upstream's id of the last event of the stream with this epoch, if known.
    pub fn last_id(&self, epoch: u64, now: Tick) -> Option<(u64, Arc<[u8]>)> {
        self.0.with(|streams| streams.last_ids.find(&epoch, now))
    }

    /// Records what the upstream's latest response grants to this page.
    pub fn note_grant(&self, page: &Page) {
        self.0.with(|streams| streams.grants.note(page));
    }

    /// What the upstream last granted to this page.
    pub fn grant(&self, page: &Page) -> Option<UpstreamGrant> {
        self.0.with(|streams| streams.grants.find(page))
    }

    /// Remembers that the request with this fingerprint was answered early, although the upstream
    /// had no event stream for it. Its client reconnects after at most `told`.
    pub fn note_unstreamed(&self, request: u64, told: Duration, now: Tick) {
        self.0.with(|streams| streams.unstreamed.note(request, (), told, now));
    }

    /// True if the request with this fingerprint was recently answered early in vain.
    pub fn is_unstreamed(&self, request: u64, now: Tick) -> bool {
        self.0.with(|streams| streams.unstreamed.find(&request, now).is_some())
    }
}

impl Streams {
    fn find(&self, name: &Name, terms: &Sharing) -> Option<Place> {
        let mut known = self.claimed.get(name)?.iter();
        known.find(|(others, _)| others == terms).map(|(_, place)| *place)
    }

    /// Forgets the place of the stream with this id. False if there is none.
    fn forget(&mut self, name: &Name, id: u64) -> bool {
        let Some(known) = self.claimed.get_mut(name) else { return false };
        let before = known.len();
        known.retain(|(_, place)| place.id != id);
        let is_known = known.len() < before;
        if known.is_empty() {
            self.claimed.remove(name);
        }
        self.count -= usize::from(is_known);
        is_known
    }
}

/// The claim to a stream. The stream's place can be found until the name is given up. The claim
/// counts until it is dropped, because the stream's log takes memory while it is being read.
pub struct Claim {
    directory: Arc<Directory>,
    name: Name,
    id: u64,
}

impl Claim {
    /// [`Directory::note_last_id`], where the stream is claimed.
    pub fn note_last_id(&self, epoch: u64, last: (u64, &[u8]), told: Duration, now: Tick) {
        self.directory.note_last_id(epoch, last, told, now);
    }

    /// Makes sure that the stream is not found from now on. False if that was so before.
    pub fn give_up_name(&self) -> bool {
        self.directory.0.with(|streams| {
            let had_name = streams.forget(&self.name, self.id);
            streams.over += usize::from(had_name);
            had_name
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.directory.0.with(|streams| {
            if !streams.forget(&self.name, self.id) {
                streams.over -= 1;
            }
        });
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:x})", self.id)
    }
}

/// The directories of all apis. Each exists while an event loop serves the api.
#[derive(Debug, Default)]
pub struct Directories(Locked<Vec<Known>>);

#[derive(Debug)]
struct Known {
    name: String,
    targets: Vec<Target>,
    tls: UpstreamTls,
    directory: Weak<Directory>,
}

impl Known {
    fn is_of(&self, api: &Api) -> bool {
        let is_same = |(own, target): (&Target, &Target)| own.is_same_place(target);
        self.name == api.name
            && self.tls == api.upstream_tls
            && self.targets.len() == api.targets.len()
            && self.targets.iter().zip(&api.targets).all(is_same)
    }
}

impl Directories {
    /// The directory of an api. It is the same for apis with the same name, endpoints and TLS
    /// settings.
    pub fn of(&self, api: &Api) -> Arc<Directory> {
        self.0.with(|all| {
            all.retain(|known| known.directory.strong_count() > 0);
            let known = all.iter().find(|known| known.is_of(api));
            if let Some(directory) = known.and_then(|known| known.directory.upgrade()) {
                return directory;
            }
            let directory = Arc::default();
            all.push(Known {
                name: api.name.clone(),
                targets: api.targets.clone(),
                tls: api.upstream_tls.clone(),
                directory: Arc::downgrade(&directory),
            });
            directory
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::cors::grants::Credentials;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn api(more: &str) -> Api {
        let text = format!(
            "[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = 'http://10.0.0.1'\n{more}"
        );
        Config::parse("x", &text).unwrap().apis.remove(0)
    }

    fn terms(more: &str) -> Sharing {
        api(&format!("[api.share]\njoin = 'now'\n{more}")).sharing().unwrap()
    }

    const fn place(id: u64) -> Place {
        Place { event_loop: 1, id, epoch: None }
    }

    #[test]
    fn a_stream_is_found_until_its_name_is_given_up() {
        let directory = Arc::new(Directory::default());
        let claim =
            |name: u8, more, id, max| directory.claim([name; 32], terms(more), place(id), max);
        let first = claim(1, "", 1, 9).unwrap();
        assert_eq!(claim(1, "", 2, 9).unwrap_err(), Claimed::At(place(1)));
        // The same name under other settings is another stream.
        let second = claim(1, "log_events = 7", 3, 9).unwrap();
        assert_eq!(claim(2, "", 4, 2).unwrap_err(), Claimed::Full);
        assert_eq!(directory.find(&[1; 32], &terms("")), Some(place(1)));
        assert!(first.give_up_name() && !first.give_up_name());
        assert_eq!(directory.find(&[1; 32], &terms("")), None);
        assert_eq!(directory.find(&[1; 32], &terms("log_events = 7")), Some(place(3)));
        drop((first, second));
        let empty = directory.0.with(|s| (s.claimed.len(), s.count, s.over));
        assert_eq!(empty, (0, 0, 0));
    }

    #[test]
    fn a_stream_that_is_over_counts_until_its_claim_is_dropped() {
        let directory = Arc::new(Directory::default());
        let claim = |name: u8, id| directory.claim([name; 32], terms(""), place(id), 2);
        let mut over = Vec::new();
        for id in 0..3 {
            over.push(claim(0, id).unwrap());
            over[usize::try_from(id).unwrap()].give_up_name();
        }
        let last = claim(1, 3).unwrap();
        assert_eq!(claim(2, 4).unwrap_err(), Claimed::Full);
        over.pop();
        drop(claim(2, 4).unwrap());
        drop((over, last));
        let empty = directory.0.with(|s| (s.claimed.len(), s.count, s.over));
        assert_eq!(empty, (0, 0, 0));
    }

    /// If several threads claim a stream at once, only one gets it.
    #[test]
    fn one_thread_has_a_stream() {
        let directory = Arc::new(Directory::default());
        let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let (directory, held, most) = (&directory, &held, &most);
                threads.spawn(move || {
                    for id in 0..1000 {
                        let id = thread * 1000 + id;
                        let Ok(claim) = directory.claim([0; 32], terms(""), place(id), 9) else {
                            continue;
                        };
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_api_that_leads_elsewhere_has_another_directory() {
        let all = Directories::default();
        let known = all.of(&api(""));
        assert!(Arc::ptr_eq(&known, &all.of(&api("heartbeat = '1s'"))));
        let mut moved = api("");
        moved.targets[0].port = 81;
        assert!(!Arc::ptr_eq(&known, &all.of(&moved)));
        let before = Arc::downgrade(&known);
        drop(known);
        all.of(&api(""));
        assert!(before.upgrade().is_none());
    }

    /// What one event loop learns from a response, all others know.
    #[test]
    fn what_responses_have_shown_is_known_to_all_loops() {
        let all = Directories::default();
        let [one, other] = [all.of(&api("")), all.of(&api(""))];
        let mut page = Page::of(b"https://app.example", Credentials::None).unwrap();
        page.latest = Some(UpstreamGrant::WithoutCredentials);
        one.note_grant(&page);
        assert_eq!(other.grant(&page), page.latest);
        let now = Tick::from_millis(5);
        one.note_unstreamed(7, Duration::ZERO, now);
        assert_eq!([7, 8].map(|request| other.is_unstreamed(request, now)), [true, false]);
        let mut moved = api("");
        moved.targets[0].port = 81;
        let elsewhere = all.of(&moved);
        assert_eq!((elsewhere.grant(&page), elsewhere.is_unstreamed(7, now)), (None, false));
    }
}
