//! The feeds by the names of their streams, and which client reads which.
//!
//! The [`Directory`] says which event loop has a stream. A client that asks for a stream in another
//! event loop waits until its log was copied ([`LogState::Asked`]); only then is it decided what
//! the client gets.

use super::feed::Feed;
use super::fresh;
use super::mirror::{self, Message, Mirror};
use crate::admin::metrics::Logs;
use crate::apis::{ApiState, Apis, Claimed, Directory, Place};
use crate::config::{Api, Ids, Join, OnGap, Share, Sharing, Slow};
use crate::event_log::EventLog;
use crate::exchange::own_ids::{self, OwnIds};
use crate::exchange::{Begin, Exchange, LocalReply, Log, LogState, Outbound, RequestFacts};
use crate::exchange::{Shareable, Source, Stage, Upload};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::next::{Action, Next};
use crate::proxy::shared::Shared;
use crate::session::Session;
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::telemetry::{Cause, Outcome, Record, Veto};
use crate::time::Tick;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The feeds. See the module docs.
#[derive(Debug)]
pub(crate) struct Feeds {
    pub(crate) tasks: Tasks<Feed>,
    /// The feeds by the ids of their logs.
    by_id: BTreeMap<u64, Key<Feed>>,
    /// The index of this event loop.
    pub(crate) event_loop: usize,
    /// The messages for each event loop.
    pub(crate) outbox: Box<[Vec<Message>]>,
    pub(crate) has_messages: bool,
    /// The number of readers that may still be woken in this turn.
    pub(crate) left: usize,
    /// Set when the last reader of a log has left.
    deserted: Rc<Cell<bool>>,
}

impl Feeds {
    /// No feeds yet, in the event loop with this index.
    pub(crate) fn new(event_loop: usize, loops: usize, now: Tick) -> Feeds {
        Feeds {
            tasks: Tasks::new(now),
            by_id: BTreeMap::new(),
            event_loop,
            outbox: (0..loops).map(|_| Vec::new()).collect(),
            has_messages: false,
            left: 0,
            deserted: Rc::default(),
        }
    }

    /// Queues a message for another event loop.
    pub(crate) fn send(&mut self, to: usize, message: Message) {
        self.outbox[to].push(message);
        self.has_messages = true;
    }

    /// The feed whose log has this id.
    pub(crate) fn of_id(&self, id: u64) -> Option<Key<Feed>> {
        self.by_id.get(&id).copied()
    }

    /// The flag that a log sets when its last reader leaves.
    pub(crate) const fn deserted(&self) -> &Rc<Cell<bool>> {
        &self.deserted
    }

    /// Statistics about the logs of an api.
    pub(crate) fn logs(&self, api: Key<ApiState>) -> Logs {
        let mut logs = Logs::default();
        for (_, feed) in self.tasks.iter().filter(|(_, feed)| feed.name.0 == api) {
            let is_own = feed.mirror.is_none();
            logs.count += usize::from(is_own && !feed.is_over());
            logs.over += usize::from(is_own && feed.is_over());
            logs.readers += feed.log.readers();
            logs.bytes += feed.log.read(EventLog::memory);
        }
        logs
    }

    /// The upstream's id of the event with this id of ours. It is known only for the last event of
    /// a log that exists, or existed recently.
    fn upstream_id(
        &self,
        api: Key<ApiState>,
        own: &[u8],
        apis: &Apis,
        now: Tick,
    ) -> Option<Box<[u8]>> {
        let (epoch, number) = own_ids::parse(own)?;
        let mut logs = self.tasks.iter().filter(|(_, feed)| feed.name.0 == api);
        let present = logs.find_map(|(_, feed)| feed.log.own_ids().filter(|o| o.epoch == epoch));
        let (last, id) = match present {
            Some(own_ids) => own_ids.last(),
            None => {
                let (number, id) = apis.get(api)?.directory.last_id(epoch, now)?;
                (number, (*id).into())
            }
        };
        Some(id).filter(|id| last == number && !id.is_empty())
    }
}

impl<N: Net> Proxy<N> {
    /// Lets a session read the log of the stream that it asks for, creating the log if there is
    /// none. If that is impossible, the session asks for itself.
    pub(crate) fn share(&mut self, key: Key<Session>, now: Tick) -> Next {
        let Proxy { tasks, feeds, shared, .. } = self;
        let Some(exchange) = tasks[key].exchange_mut() else { return Next::Moved };
        let shareable = exchange.outbound.as_mut().and_then(|outbound| outbound.shareable.take());
        let config = Rc::clone(&exchange.config);
        let api = exchange.api.and_then(|index| config.apis.get(usize::from(index)));
        let share = api.and_then(|api| api.share.as_ref());
        let directory = exchange.api_state.and_then(|state| shared.apis.get(state));
        let directory = directory.map(|state| Arc::clone(&state.directory));
        let (Some(state), Some(mut shareable), Some(share), Some(sharing), Some(directory)) =
            (exchange.api_state, shareable, share, api.and_then(Api::sharing), directory)
        else {
            return ask_alone(exchange, feeds, &shared.apis, now);
        };
        if let Some(veto) = directory.veto(&shareable.name, now) {
            exchange.count_veto(veto);
            return ask_alone(exchange, feeds, &shared.apis, now);
        }
        let id = shareable.last_event_id.clone();
        let is_own = exchange.outbound.as_ref().is_some_and(|outbound| outbound.own_id.is_some());
        let upstream_id = match &id {
            _ if shareable.head.is_id_ours() => None,
            Some(own) if is_own => feeds.upstream_id(state, own, &shared.apis, now),
            id => id.clone(),
        };
        let asks = Asks { client: key, first: exchange, shareable: &shareable, share, state };
        let found = asks.find(feeds, upstream_id.as_deref(), (&directory, &sharing), shared, now);
        let Some(feed) = found else {
            exchange.count_veto(Veto::MaxLogs);
            return ask_alone(exchange, feeds, &shared.apis, now);
        };
        let has_waited = shareable.asked.replace(feed.to_bits()) == Some(feed.to_bits());
        feeds.tasks[feed].lingers_until = Tick::NEVER;
        let log = Rc::clone(&feeds.tasks[feed].log);
        keep_until_begun(exchange, shareable, log.state());
        if let LogState::Asked = log.state() {
            return self.read_log(key, feed, 0, !has_waited);
        }
        log.expire(now);
        let known = id.as_deref().map(|id| log.read(|events| events.find(id)));
        let join = match (known, share.on_gap) {
            (Some(Some(position)), _) => {
                return self.read_log(key, feed, position, !has_waited);
            }
            (None, _) => share.join,
            (Some(None), OnGap::Join(join)) => join,
            // Asking the upstream by itself would bring no more.
            (Some(None), OnGap::Private) if upstream_id.is_none() => share.join,
            (Some(None), on_gap) => {
                feeds.deserted.set(true);
                note_gap(exchange, &log);
                return match on_gap {
                    OnGap::End => Next::Do(end_at_gap()),
                    OnGap::Private | OnGap::Join(_) => {
                        exchange.count_veto(Veto::LastEventId);
                        log.counts.vetoes.one();
                        ask_alone(exchange, feeds, &shared.apis, now)
                    }
                };
            }
        };
        if known.is_some() {
            note_gap(exchange, &log);
            exchange.extras_mut().has_gap = true;
        }
        match join {
            Join::Fresh if matches!(log.state(), LogState::Open) => fresh::begin(exchange, &log),
            Join::Now | Join::Fresh => {
                self.read_log(key, feed, log.read(EventLog::end), !has_waited)
            }
            Join::Log => self.read_log(key, feed, log.read(EventLog::oldest), !has_waited),
        }
    }

    /// Lets a client read a log from this position on.
    pub(crate) fn follow_log(&mut self, key: Key<Session>, feed: Key<Feed>, position: u64) -> Next {
        self.read_log(key, feed, position, true)
    }

    /// The same. A `new` client is added to the followers.
    fn read_log(&mut self, key: Key<Session>, feed: Key<Feed>, position: u64, new: bool) -> Next {
        let Proxy { tasks, feeds, .. } = self;
        let Feed { log, followers, lingers_until, .. } = &mut feeds.tasks[feed];
        let Some(exchange) = tasks[key].exchange_mut() else { return Next::Moved };
        if let Some(stats) = &exchange.record.stats {
            let replayed = log.read(|log| log.events_from(position));
            stats.replayed.add(replayed);
            log.counts.replayed.add(replayed);
        }
        exchange.response.follow(position);
        exchange.go_on_with(Source::Log(log.reader()));
        let id = exchange.record.id;
        if new {
            followers.add(key, id, tasks, log);
        }
        *lingers_until = Tick::NEVER;
        feeds.tasks.wake(feed);
        Next::Moved
    }

    /// Handles the feeds whose last reader in this event loop has left.
    pub(crate) fn let_linger(&mut self, now: Tick) {
        if !self.feeds.deserted.take() {
            return;
        }
        let Proxy { feeds, shared, .. } = self;
        let mut deserted = Vec::new();
        for (key, feed) in feeds.tasks.iter_mut() {
            if feed.log.readers() == 0 {
                let share = feed.exchange.api().and_then(|api| api.share.as_ref());
                let is_wanted = shared.is_served(feed.name.0) && !shared.phase.is_closed();
                let linger = share.filter(|_| is_wanted).map(|share| share.linger);
                let until = now.after(linger.unwrap_or_default());
                feed.lingers_until = feed.lingers_until.min(until);
                deserted.push(key);
            }
        }
        for key in deserted {
            feeds.tasks.wake(key);
        }
    }

    /// Handles all feeds without readers after a change of the configuration.
    pub(crate) fn look_at_feeds(&mut self, now: Tick) {
        self.feeds.deserted.set(true);
        self.let_linger(now);
    }

    /// Handles the feeds whose api was removed, or has other endpoints now. Nobody joins them any
    /// more, even if another reload brings the endpoints back: their own state of the api is gone.
    /// The readers of a feed that has not asked yet ask again.
    pub(crate) fn leave_removed_apis(&mut self, now: Tick) {
        let Proxy { feeds, shared, .. } = self;
        let is_left =
            |feed: &Feed| shared.apis.get(feed.name.0).is_none() && !feed.log.state().is_over();
        let left = feeds.tasks.iter().filter(|(_, feed)| is_left(feed));
        for key in left.map(|(key, _)| key).collect::<Vec<_>>() {
            if self.feeds.tasks[key].has_yet_to_ask() {
                self.leave_stream(key, now);
            } else {
                self.give_up_name(key, now);
            }
        }
    }

    /// Gives up the name of a feed's stream, so that new requests in any event loop begin another
    /// one. Clients that come back are still recognised by the last id of this one.
    pub(crate) fn give_up_name(&mut self, key: Key<Feed>, now: Tick) {
        let Proxy { feeds, shared, .. } = self;
        let Some(feed) = feeds.tasks.get(key) else { return };
        if let Some(claim) = &feed.claim {
            claim.give_up_name();
            if let Some(own) = feed.log.own_ids() {
                let (number, id) = own.last();
                if !id.is_empty() {
                    let told = shared.edge.longest_return(&shared.config, Duration::ZERO, now);
                    claim.note_last_id(own.epoch, (number, &id), told, now);
                }
            }
        }
        // A stream that never opened leaves nothing to read.
        if let Some(feed) = self.feeds.tasks.get_mut(key)
            && feed.is_over()
            && !feed.log.state().has_ended()
        {
            feed.claim = None;
        }
    }

    /// Removes a feed and closes its connection.
    pub(crate) fn end_feed(&mut self, key: Key<Feed>, now: Tick) {
        if self.feeds.tasks.get(key).is_some() {
            self.leave_owner(key);
        }
        self.give_up_name(key, now);
        let Some(mut feed) = self.feeds.tasks.remove(key) else { return };
        if self.feeds.by_id.get(&feed.log.id) == Some(&key) {
            self.feeds.by_id.remove(&feed.log.id);
        }
        if !feed.is_over() {
            feed.log.enter(LogState::Ended(Outcome::Complete));
        }
        self.shared.close_source(&mut feed.exchange);
    }
}

/// Keeps how a client may share a stream until that has begun, because it may have to ask again.
fn keep_until_begun(exchange: &mut Exchange, mut shareable: Box<Shareable>, state: LogState) {
    shareable.is_decided = !matches!(state, LogState::Asked);
    if let (false, Some(outbound)) = (state.has_begun(), &mut exchange.outbound) {
        outbound.shareable = Some(shareable);
    }
}

/// Lets a client ask for itself. The id that one of our logs gave its last event means nothing to
/// the upstream: if the upstream's id of that event is known, the upstream is asked for what
/// follows it, and otherwise the client is told that it has missed events.
fn ask_alone(exchange: &mut Exchange, feeds: &Feeds, apis: &Apis, now: Tick) -> Next {
    let own = exchange.outbound.as_mut().and_then(|outbound| {
        outbound.shareable = None;
        outbound.own_id.take()
    });
    if let Some(own) = own {
        let state = exchange.api_state;
        let mut known = state.and_then(|state| feeds.upstream_id(state, &own, apis, now));
        if let Some(outbound) = &mut exchange.outbound {
            outbound.ask_behind(known.as_deref());
            known = known.filter(|_| !outbound.head.is_id_ours());
        }
        if known.is_none() {
            exchange.extras_mut().has_gap = true;
        }
    }
    let is_held = exchange.stage() == Stage::Held;
    Next::Do(if is_held { Action::AskLater } else { Action::Connect })
}

fn note_gap(exchange: &Exchange, log: &Log) {
    log.counts.gaps.one();
    if let Some(stats) = &exchange.record.stats {
        stats.gaps.one();
    }
}

/// Refuses a client whose last event is no longer held.
const fn end_at_gap() -> Action {
    let what = "the client's last event is no longer held";
    Action::ReplyWithRetry(LocalReply::refused(Cause::OnGap, 410, what))
}

/// A client that asks for a stream.
struct Asks<'a> {
    client: Key<Session>,
    first: &'a Exchange,
    shareable: &'a Shareable,
    share: &'a Share,
    state: Key<ApiState>,
}

impl Asks<'_> {
    /// The feed of the stream: the existing one, by way of a mirror if it is in another event loop,
    /// or a new one. A new one asks the upstream for what follows the event with `upstream_id`, if
    /// that is known. None if the limit on logs is reached.
    fn find<N: Net>(
        &self,
        feeds: &mut Feeds,
        upstream_id: Option<&[u8]>,
        (directory, sharing): (&Arc<Directory>, &Sharing),
        shared: &mut Shared<N>,
        now: Tick,
    ) -> Option<Key<Feed>> {
        let name = self.shareable.name;
        if let Some(place) = directory.find(&name, sharing) {
            return Some(self.follow(place, feeds, shared, now));
        }
        let epoch = (self.share.ids == Ids::Own).then(|| shared.random.u64(..));
        let record = self.record(shared);
        let place = Place { event_loop: feeds.event_loop, id: record.id, epoch };
        match directory.claim(name, sharing.clone(), place, self.share.max_logs) {
            Ok(claim) => {
                let mut feed = self.begin(record, place, LogState::Awaited, (&feeds.deserted, now));
                feed.claim = Some(claim);
                self.ask_upstream(&mut feed, upstream_id);
                Some(self.add(feed, feeds))
            }
            Err(Claimed::At(place)) => Some(self.follow(place, feeds, shared, now)),
            Err(Claimed::Full) => None,
        }
    }

    /// The feed of an existing stream.
    fn follow<N: Net>(
        &self,
        place: Place,
        feeds: &mut Feeds,
        shared: &mut Shared<N>,
        now: Tick,
    ) -> Key<Feed> {
        if let Some(known) = feeds.of_id(place.id).filter(|key| !feeds.tasks[*key].is_over()) {
            return known;
        }
        debug_assert_ne!(place.event_loop, feeds.event_loop, "a claim outlives its stream");
        let record = self.record(shared);
        let mut feed = self.begin(record, place, LogState::Asked, (&feeds.deserted, now));
        feed.mirror = Some(Box::new(Mirror::of(place.event_loop, now)));
        let key = self.add(feed, feeds);
        mirror::follow(feeds, key);
        key
    }

    fn record<N: Net>(&self, shared: &mut Shared<N>) -> Record {
        let mut record = shared.telemetry.record(self.first.record.told.clone(), true, false);
        record.stats.clone_from(&self.first.record.stats);
        record
    }

    /// A feed that does nothing yet, for a stream at this place.
    fn begin(
        &self,
        record: Record,
        place: Place,
        state: LogState,
        (deserted, now): (&Rc<Cell<bool>>, Tick),
    ) -> Feed {
        let (first, share) = (self.first, self.share);
        let mut exchange = Exchange::new(Begin {
            facts: RequestFacts::of_feed(),
            keeps_alive: false,
            upload: Upload::unread(BodyLength::Empty),
            config: &first.config,
            record,
            now,
        });
        (exchange.api, exchange.api_state) = (first.api, first.api_state);
        let own_ids = place.epoch.map(OwnIds::new);
        let log = Log::with_ids(share.limits, state, (place.id, own_ids), deserted);
        if share.slow == Slow::Latest {
            log.change(EventLog::keep_latest);
        }
        let client = (self.client, first.record.id);
        Feed::new(exchange, log, (self.state, self.shareable.name), client)
    }

    fn ask_upstream(&self, feed: &mut Feed, upstream_id: Option<&[u8]>) {
        let head = self.shareable.head.clone();
        let head = match (&self.shareable.last_event_id, upstream_id) {
            (Some(id), Some(upstream_id)) => {
                feed.log.change(|events| events.begin_behind(id));
                head.continuing(upstream_id)
            }
            _ => head,
        };
        feed.exchange.outbound = Some(Box::new(Outbound::new(head, true)));
        feed.continues = upstream_id.is_some();
    }

    fn add(&self, feed: Feed, feeds: &mut Feeds) -> Key<Feed> {
        let id = feed.log.id;
        let key = feeds.tasks.insert(feed);
        feeds.by_id.insert(id, key);
        key
    }
}
