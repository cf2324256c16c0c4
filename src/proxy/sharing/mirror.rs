//! A mirror: a feed that fills its log from the log of the same stream in another event loop.
//!
//! The event loop whose client asked for a stream first has its feed. Any other loop has a mirror,
//! which subscribes to that feed ([`Request::Follow`]). It gets what the log holds, and then what
//! is appended ([`Update`]), as values that the shell carries. It takes them as a feed reads a
//! socket: the next one when all readers of the log have been woken. So its clients are served as
//! if the upstream stream ended here, and a position in its log, an id and an epoch mean the same
//! in both.
//!
//! The bytes that a mirror was sent and has not taken are limited by `crossing_max`: at the limit
//! the feed stops reading, as if its own clients were not all woken. A mirror that takes nothing
//! for [`PATIENCE`] is in a saturated loop, and must not stop the others. It gets nothing more
//! until it has caught up, and then what the log holds by then: its readers have missed what is no
//! longer held, like any reader that is too slow.
//!
//! If a loop does not even answer for that long, clients ask for themselves.
//!
//! Each mirror holds a copy of the log, within the limits of the log. A single log for all loops
//! would need a lock for each append and each read, and would save memory only while a stream has
//! clients in several loops. `--check` counts all copies.
//!
//! A mirror without readers lingers like a feed, and then unsubscribes and ends. So clients that
//! come and go do not have the log copied each time, and a client can continue with it once its own
//! stream is quiet ([`super::fresh`]). When the last mirror has left, a feed without readers ends
//! as soon as it has lingered for its own last reader.

use super::feed::Feed;
use super::feeds::Feeds;
use crate::coverage;
use crate::event_log::{Batch, EventLog};
use crate::exchange::{Change, Log, LogState};
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::next::Next;
use crate::slab::Key;
use crate::telemetry::Veto;
use crate::time::Tick;
use crate::work;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a feed waits for a mirror that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message to another event loop. See the module docs.
#[derive(Debug)]
pub struct Message(Content);

#[derive(Debug)]
enum Content {
    /// To the feed whose log has this id.
    ToFeed(u64, Address, Request),
    ToMirror(Key<Feed>, Update),
}

/// The location of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    event_loop: usize,
    feed: Key<Feed>,
}

/// What a mirror asks for.
#[derive(Debug)]
enum Request {
    /// What the log holds, and what is appended from then on.
    Follow,
    /// More events, because it has taken this many bytes.
    More(usize),
    /// Nothing more.
    Unfollow,
}

/// What a mirror gets.
#[derive(Debug)]
enum Update {
    /// The stream is no longer in this event loop.
    Gone,
    /// What the log holds, and the state of the stream.
    Copy(Box<EventLog>, Option<Last>, News),
    /// Appended events.
    Events(Arc<Burst>),
    /// A change of the state of the stream.
    State(News),
}

/// The state of a stream, and its head.
#[derive(Clone, Debug)]
struct News {
    state: LogState,
    head: Arc<[u8]>,
}

/// The number of the last event and the upstream's id, of a log with ids of our own.
type Last = (u64, Box<[u8]>);

/// Events that cross together, for all mirrors of a log.
#[derive(Debug)]
struct Burst {
    batch: Batch,
    last: Option<Last>,
    /// True if all readers of the log have missed events.
    has_gap: bool,
    crossing: Crossing,
}

/// The number of bytes of events in transit between event loops. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing(Arc<AtomicUsize>);

impl Crossing {
    /// The number of bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.crossing.0.fetch_sub(self.batch.len(), Ordering::Relaxed);
    }
}

/// The mirrors of a feed.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    all: Vec<Link>,
    /// The position in the log up to which events were passed to them.
    passed: u64,
}

/// A mirror, as seen by the feed.
#[derive(Debug)]
struct Link {
    mirror: Address,
    /// The number of bytes that it has not taken.
    untaken: usize,
    /// When it last took some, or had nothing to take.
    since: Tick,
    /// True if it gets nothing until it has caught up.
    is_behind: bool,
}

impl Mirrors {
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the feed stops waiting for a mirror with this many bytes to take. [`Tick::NEVER`] if it
    /// does not wait.
    pub(crate) fn waits_until(&self, crossing_max: usize) -> Tick {
        let slow = |link: &&Link| !link.is_behind && link.untaken >= crossing_max;
        let until = self.all.iter().filter(slow).map(|link| link.since.after(PATIENCE));
        until.min().unwrap_or(Tick::NEVER)
    }

    /// Stops waiting for mirrors that have had enough time.
    pub(crate) fn leave_behind(&mut self, crossing_max: usize, now: Tick) {
        for link in self.all.iter_mut().filter(|link| link.untaken >= crossing_max) {
            if link.since.after(PATIENCE) <= now {
                coverage::note("Behind", &[]);
                link.is_behind = true;
            }
        }
    }

    /// The event loop of each mirror, and its key there.
    #[cfg(feature = "sim")]
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, Key<Feed>)> {
        self.all.iter().map(|link| (link.mirror.event_loop, link.mirror.feed))
    }
}

/// What makes a feed a mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// The event loop that has the stream.
    owner: usize,
    /// Updates that have arrived and were not taken yet.
    inbox: VecDeque<Update>,
    /// The number of bytes taken and not yet acknowledged.
    taken: usize,
    /// Until when it waits for a first answer.
    waits_until: Tick,
}

impl Mirror {
    /// A mirror of the stream in event loop `owner`, which is asked for it now.
    pub(crate) fn of(owner: usize, now: Tick) -> Mirror {
        Mirror { owner, inbox: VecDeque::new(), taken: 0, waits_until: now.after(PATIENCE) }
    }

    /// Until when it waits for a first answer, if the log is in this state.
    pub(crate) const fn waits_until(&self, state: LogState) -> Tick {
        if let LogState::Asked = state { self.waits_until } else { Tick::NEVER }
    }

    /// The event loop that has the stream.
    #[cfg(feature = "sim")]
    pub(crate) const fn owner(&self) -> usize {
        self.owner
    }

    /// True if an update has arrived.
    pub(crate) fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }
}

impl<N: Net> Proxy<N> {
    /// Takes the messages for the event loop with this index, oldest first.
    pub fn take_messages(&mut self, event_loop: usize) -> Vec<Message> {
        self.feeds.has_messages = false;
        self.feeds.outbox.get_mut(event_loop).map(std::mem::take).unwrap_or_default()
    }

    /// True if there are messages for other event loops.
    pub const fn has_messages(&self) -> bool {
        self.feeds.has_messages
    }

    /// Handles a message from another event loop. A turn must follow.
    pub fn on_message(&mut self, message: Message, now: Tick) {
        if let Content::ToFeed(.., request) = &message.0 {
            coverage::note("Request", &[request]);
        }
        match message.0 {
            Content::ToMirror(key, update) => {
                // The mirror may be gone, for lack of readers.
                let feed = self.feeds.tasks.get_mut(key);
                if let Some(mirror) = feed.and_then(|feed| feed.mirror.as_mut()) {
                    mirror.inbox.push_back(update);
                    self.feeds.tasks.wake(key);
                }
            }
            Content::ToFeed(id, mirror, request) => {
                let key = self.feeds.of_id(id);
                let is_over = key.is_some_and(|key| self.feeds.tasks[key].is_over());
                match (key, request) {
                    (Some(key), Request::Follow) if !is_over => {
                        self.be_followed(key, mirror, now);
                    }
                    (Some(key), Request::More(bytes)) if !is_over => {
                        self.go_on_for(key, mirror, bytes, now);
                    }
                    (Some(key), Request::Unfollow) => {
                        let mirrors = &mut self.feeds.tasks[key].mirrors;
                        mirrors.all.retain(|link| link.mirror != mirror);
                        self.feeds.deserted().set(true);
                        self.feeds.tasks.wake(key);
                    }
                    (_, Request::Follow) => self.tell_mirror(mirror, Update::Gone),
                    (_, Request::More(_)) | (None, Request::Unfollow) => {}
                }
            }
        }
    }

    fn tell_mirror(&mut self, mirror: Address, update: Update) {
        self.feeds.send(mirror.event_loop, Message(Content::ToMirror(mirror.feed, update)));
    }

    /// Unsubscribes a mirror that ends.
    pub(crate) fn leave_owner(&mut self, key: Key<Feed>) {
        ask(&mut self.feeds, key, Request::Unfollow);
    }

    /// Subscribes a mirror.
    fn be_followed(&mut self, key: Key<Feed>, mirror: Address, now: Tick) {
        self.pass_on(key, Change::Events, now);
        let feed = &mut self.feeds.tasks[key];
        feed.mirrors.passed = feed.log.read(EventLog::end);
        feed.mirrors.all.push(Link { mirror, untaken: 0, since: now, is_behind: false });
        let copy = copy(&feed.log);
        self.tell_mirror(mirror, copy);
        self.feeds.tasks.wake(key);
    }

    /// Continues when a mirror has taken some bytes.
    fn go_on_for(&mut self, key: Key<Feed>, mirror: Address, bytes: usize, now: Tick) {
        let crossing_max = self.shared.portions.crossing_max;
        let feed = &mut self.feeds.tasks[key];
        let Some(link) = feed.mirrors.all.iter_mut().find(|link| link.mirror == mirror) else {
            return;
        };
        (link.untaken, link.since) = (link.untaken.saturating_sub(bytes), now);
        if link.is_behind && link.untaken < crossing_max {
            self.pass_on(key, Change::Events, now);
            let feed = &mut self.feeds.tasks[key];
            feed.mirrors.all.iter_mut().filter(|l| l.mirror == mirror).for_each(|link| {
                link.is_behind = false;
            });
            let copy = copy(&feed.log);
            self.tell_mirror(mirror, copy);
        }
        self.feeds.tasks.wake(key);
    }

    /// Passes changes on to the mirrors of a feed.
    pub(crate) fn pass_on(&mut self, key: Key<Feed>, change: Change, now: Tick) {
        let feed = &mut self.feeds.tasks[key];
        let Feed { log, mirrors, .. } = feed;
        let has_gap = log.take_gap();
        if mirrors.is_empty() {
            return;
        }
        let crossing_max = self.shared.portions.crossing_max;
        let passed = std::mem::replace(&mut mirrors.passed, log.read(EventLog::end));
        let has_more = passed < mirrors.passed;
        let batch = has_more.then(|| log.read(|events| events.events_since(passed)));
        // If the log no longer holds all of it, mirrors get a copy that shows the gap.
        let is_whole = batch.as_ref().is_none_or(Option::is_some);
        let burst = batch.flatten().map(|batch| {
            let crossing = self.shared.crossing.clone();
            crossing.0.fetch_add(batch.len(), Ordering::Relaxed);
            let last = log.own_ids().map(|own| own.last());
            Arc::new(Burst { batch, last, has_gap, crossing })
        });
        let news = (change == Change::State).then(|| news(log));
        let mut updates = Vec::new();
        for link in &mut mirrors.all {
            let catches_up = link.is_behind && log.state().is_over();
            if catches_up || !link.is_behind && !is_whole {
                updates.push((link.mirror, copy(log)));
                continue;
            }
            if link.is_behind {
                continue;
            }
            if let Some(burst) = &burst {
                if link.untaken < crossing_max {
                    link.since = now;
                }
                link.untaken += burst.batch.len();
                updates.push((link.mirror, Update::Events(Arc::clone(burst))));
            }
            updates.extend(news.clone().map(|news| (link.mirror, Update::State(news))));
        }
        updates.into_iter().for_each(|(mirror, update)| self.tell_mirror(mirror, update));
    }

    /// Lets a mirror take its oldest update.
    pub(crate) fn take_update(&mut self, key: Key<Feed>, now: Tick) -> Next {
        let feed = &mut self.feeds.tasks[key];
        let Feed { log, mirror: Some(mirror), exchange, .. } = feed else { return Next::Blocked };
        let Some(update) = mirror.inbox.pop_front() else {
            if mirror.waits_until(log.state()) > now {
                return Next::Blocked;
            }
            coverage::note("Silent", &[]);
            log.enter(LogState::Private(Veto::Worker));
            self.leave_owner(key);
            return Next::Moved;
        };
        // The woken readers have read by now, or are too slow.
        if log.is_told() {
            log.begin_portion();
        }
        coverage::note("Update", &[&update]);
        match update {
            Update::Gone => log.enter(LogState::Gone),
            Update::State(news) => enter(log, &news),
            Update::Copy(events, last, news) => {
                log.replace(*events);
                note_last(log, last.as_ref());
                enter(log, &news);
            }
            Update::Events(burst) => {
                log.take(&burst.batch, now);
                note_last(log, burst.last.as_ref());
                if burst.has_gap {
                    log.note_gap(exchange.record.stats.as_deref());
                    log.take_gap();
                }
                mirror.taken += burst.batch.len();
                if 2 * mirror.taken >= self.shared.portions.crossing_max {
                    let taken = std::mem::take(&mut mirror.taken);
                    ask(&mut self.feeds, key, Request::More(taken));
                }
            }
        }
        Next::Moved
    }
}

/// Subscribes a new mirror to its feed.
pub(crate) fn follow(feeds: &mut Feeds, key: Key<Feed>) {
    ask(feeds, key, Request::Follow);
}

/// Sends a mirror's request to the feed.
fn ask(feeds: &mut Feeds, key: Key<Feed>, request: Request) {
    let (event_loop, feed) = (feeds.event_loop, &feeds.tasks[key]);
    let Some(owner) = feed.mirror.as_ref().map(|mirror| mirror.owner) else { return };
    let from = Address { event_loop, feed: key };
    let content = Content::ToFeed(feed.log.id, from, request);
    feeds.send(owner, Message(content));
}

/// The update that a new mirror needs.
fn copy(log: &Rc<Log>) -> Update {
    let events = Box::new(log.read(EventLog::clone));
    work::note(events.memory());
    Update::Copy(events, log.own_ids().map(|own| own.last()), news(log))
}

fn news(log: &Rc<Log>) -> News {
    News { state: log.state(), head: (*log.head()).into() }
}

fn enter(log: &Rc<Log>, news: &News) {
    log.set_head(&news.head);
    log.enter(news.state);
}

fn note_last(log: &Rc<Log>, last: Option<&Last>) {
    if let (Some(own), Some(last)) = (log.own_ids(), last) {
        own.go_on(last);
    }
}
