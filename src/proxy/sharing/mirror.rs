//! A mirror: a feed that fills its log from the log of the same stream in another event loop.
//!
//! The loop whose client was the first to ask for a stream has its feed, and any other one a mirror
//! of it, which has asked for it ([`Request::Follow`]). It gets what the log holds, and then what
//! comes ([`Update`]), as values that the shell carries. It takes them as a feed reads a socket:
//! the next one when all who read the log have been woken. So its clients are served as if the
//! upstream stream ended here, and a position in its log, an id and an epoch mean the same in both.
//!
//! What has crossed and was not taken is within `crossing_max` for each mirror: at that the feed
//! reads no further, as when its own clients were not all woken. A mirror that takes nothing for
//! [`PATIENCE`] has a loop that is saturated, and must not stop the others. It gets nothing more
//! until it has caught up, and then what the log holds by then: who reads it there has missed what
//! is not held any more, as somebody who reads too slowly.
//!
//! Where a loop does not even answer for so long, clients ask for themselves.
//!
//! Each mirror holds the log once more, within the limits of the log. One that all loops read would
//! need a lock where an event is appended and where it is read, and what it saves is there only
//! while a stream has clients in several loops. `--check` counts all of them.
//!
//! A mirror that nobody reads asks for no more and is gone. So the feed lingers when nobody reads
//! it in any loop.

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
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a feed waits for a mirror that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an event loop tells another one. See the module.
#[derive(Debug)]
pub struct Message(Content);

#[derive(Debug)]
enum Content {
    /// To the feed whose log has this id.
    ToFeed(u64, Address, Request),
    ToMirror(Key<Feed>, Update),
}

/// Where a mirror is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    event_loop: usize,
    feed: Key<Feed>,
}

/// What a mirror asks for.
#[derive(Debug)]
enum Request {
    /// What the log holds, and what comes.
    Follow,
    /// Further events, because it has taken so many bytes.
    More(usize),
    /// No more.
    Unfollow,
}

/// What a mirror gets.
#[derive(Debug)]
enum Update {
    /// The stream is not here any more.
    Gone,
    /// What the log holds, and how far the stream is.
    Copy(Box<EventLog>, Option<Last>, News),
    /// What has come.
    Events(Arc<Burst>),
    /// How far the stream is now.
    State(News),
}

/// How far a stream is, and its head.
#[derive(Clone, Debug)]
struct News {
    state: LogState,
    head: Arc<[u8]>,
}

/// The number of the last event and the upstream's id, of a log with ids of its own.
type Last = (u64, Box<[u8]>);

/// Events that cross together, for all mirrors of a log.
#[derive(Debug)]
struct Burst {
    batch: Batch,
    last: Option<Last>,
    /// All who read the log have missed some.
    has_gap: bool,
    crossing: Crossing,
}

/// How many bytes of events are on their way between event loops. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing(Arc<AtomicUsize>);

impl Crossing {
    /// How many they are.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.crossing.0.fetch_sub(self.batch.len(), Ordering::Relaxed);
    }
}

/// What is known of the mirrors of a feed.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    all: Vec<Link>,
    /// The position in the log up to which they have got what has come.
    passed: u64,
}

/// A mirror, as the feed knows it.
#[derive(Debug)]
struct Link {
    mirror: Address,
    /// The number of bytes that it has not taken.
    untaken: usize,
    /// When it last took some, or had nothing to take.
    since: Tick,
    /// It gets nothing until it has caught up.
    is_behind: bool,
}

impl Mirrors {
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the feed does not wait any more for a mirror that has so many bytes to take.
    /// [`Tick::NEVER`] if it does not wait.
    pub(crate) fn waits_until(&self, crossing_max: usize) -> Tick {
        let slow = |link: &&Link| !link.is_behind && link.untaken >= crossing_max;
        let until = self.all.iter().filter(slow).map(|link| link.since.after(PATIENCE));
        until.min().unwrap_or(Tick::NEVER)
    }

    /// Waits no more for those that had time enough.
    pub(crate) fn leave_behind(&mut self, crossing_max: usize, now: Tick) {
        for link in self.all.iter_mut().filter(|link| link.untaken >= crossing_max) {
            if link.since.after(PATIENCE) <= now {
                coverage::note("Behind", &[]);
                link.is_behind = true;
            }
        }
    }

    /// The event loop of each, and its key there.
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
    /// What has come and was not taken.
    inbox: VecDeque<Update>,
    /// The number of bytes that were taken and not told of.
    taken: usize,
    /// Until when it waits for a first answer.
    waits_until: Tick,
}

impl Mirror {
    /// A mirror of the stream in this event loop, which is asked for it now.
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

    /// True exactly when something has come that it can take.
    pub(crate) fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }
}

impl<N: Net> Proxy<N> {
    /// Takes what is to be carried to the event loop with this index, oldest first.
    pub fn take_messages(&mut self, event_loop: usize) -> Vec<Message> {
        self.feeds.has_messages = false;
        self.feeds.outbox.get_mut(event_loop).map(std::mem::take).unwrap_or_default()
    }

    /// True exactly when something is to be carried to other event loops.
    pub const fn has_messages(&self) -> bool {
        self.feeds.has_messages
    }

    /// Takes note of what another event loop says. A turn has to follow.
    pub fn on_message(&mut self, message: Message, now: Tick) {
        if let Content::ToFeed(.., request) = &message.0 {
            coverage::note("Request", &[request]);
        }
        match message.0 {
            Content::ToMirror(key, update) => {
                // It may be gone, because nobody reads it.
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

    /// Asks for no more, because a mirror ends.
    pub(crate) fn leave_owner(&mut self, key: Key<Feed>) {
        ask(&mut self.feeds, key, Request::Unfollow);
    }

    /// Begins to pass on what comes.
    fn be_followed(&mut self, key: Key<Feed>, mirror: Address, now: Tick) {
        self.pass_on(key, Change::Events, now);
        let feed = &mut self.feeds.tasks[key];
        feed.mirrors.passed = feed.log.read(EventLog::end);
        feed.mirrors.all.push(Link { mirror, untaken: 0, since: now, is_behind: false });
        feed.lingers_until = Tick::NEVER;
        let copy = copy(&feed.log);
        self.tell_mirror(mirror, copy);
        self.feeds.tasks.wake(key);
    }

    /// Goes on where a mirror has taken some.
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

    /// Passes on to the mirrors of a feed what has changed.
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
        // What was not held for them has to be told as such.
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

    /// Lets a mirror take what came first of what it has not taken.
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
        // Those who were woken have read, or are too slow.
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

/// Asks for what a mirror that begins is to have.
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

/// What a mirror needs that knows nothing yet.
fn copy(log: &Rc<Log>) -> Update {
    let events = Box::new(log.read(EventLog::clone));
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
