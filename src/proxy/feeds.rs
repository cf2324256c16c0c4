//! The feeds by the names of their streams, and who reads which.

use super::Proxy;
use super::feed::{Feed, Name};
use super::fresh;
use super::next::{Action, Next};
use super::shared::Shared;
use crate::admin::metrics::Logs;
use crate::apis::{ApiState, Apis};
use crate::config::{Api, Ids, Join, OnGap, Share, Slow};
use crate::event_log::EventLog;
use crate::exchange::own_ids::{self, OwnIds};
use crate::exchange::{Begin, Exchange, LocalReply, Log, LogState, Outbound, RequestFacts};
use crate::exchange::{Shareable, Source, Stage, Upload};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::session::Session;
use crate::slab::Key;
use crate::tasks::Tasks;
use crate::telemetry::{Cause, Outcome, Veto};
use crate::time::Tick;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The feeds. See the module.
#[derive(Debug)]
pub(super) struct Feeds {
    pub(super) tasks: Tasks<Feed>,
    /// Those whose logs others may read.
    by_name: BTreeMap<Name, Key<Feed>>,
    /// How many more readers this turn wakes.
    pub(super) left: usize,
    /// Set when the last reader of a log has left.
    deserted: Rc<Cell<bool>>,
}

impl Feeds {
    pub(super) fn new(now: Tick) -> Feeds {
        let (tasks, by_name) = (Tasks::new(now), BTreeMap::new());
        Feeds { tasks, by_name, left: 0, deserted: Rc::default() }
    }

    /// What a log sets whose last reader has left.
    pub(super) const fn deserted(&self) -> &Rc<Cell<bool>> {
        &self.deserted
    }

    /// What the clients of an api share.
    pub(super) fn logs(&self, api: Key<ApiState>) -> Logs {
        let mut logs = Logs::default();
        for (_, feed) in self.tasks.iter().filter(|(_, feed)| feed.name.0 == api) {
            logs.count += 1;
            logs.readers += feed.log.readers();
            logs.bytes += feed.log.read(EventLog::memory);
        }
        logs
    }

    /// The number of feeds of an api.
    fn count(&self, name: &Name) -> usize {
        self.tasks.iter().filter(|(_, feed)| feed.name.0 == name.0).count()
    }

    /// The upstream's id of the event that has this id of ours, if it is known: of the last event
    /// of a log that is there, or was a minute ago.
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
            None => apis.get(api)?.last_ids.find(&epoch, now).map(|(n, id)| (n, (*id).into()))?,
        };
        Some(id).filter(|id| last == number && !id.is_empty())
    }

    /// The feed of the stream of this name whose log a request for this api may read. One of
    /// another configuration is left to those who read it.
    fn find(&mut self, name: &Name, api: &Api) -> Option<Key<Feed>> {
        let key = *self.by_name.get(name)?;
        let feed = &self.tasks[key];
        if !feed.is_over() && feed.exchange.api().is_some_and(|own| are_alike(own, api)) {
            return Some(key);
        }
        self.by_name.remove(name);
        None
    }
}

/// True exactly when an upstream stream is the same under both configurations of an api. What
/// concerns each client may differ.
fn are_alike(a: &Api, b: &Api) -> bool {
    let of_upstream = |api: &Api| {
        let streams = &api.streams;
        (
            (streams.resume, streams.resume_timeout, streams.on_outage, streams.event_max),
            (streams.response_timeout, streams.first_event_timeout),
            (streams.stall_timeout, streams.idle_timeout),
            (api.retry_on, api.connect_timeout, api.queue_timeout),
        )
    };
    a.share == b.share && of_upstream(a) == of_upstream(b)
}

impl<N: Net> Proxy<N> {
    /// Lets a session read the log of the stream that it has asked for, which begins if there is
    /// none. Otherwise it asks for itself.
    pub(super) fn share(&mut self, key: Key<Session>, now: Tick) -> Next {
        let Proxy { tasks, feeds, shared, .. } = self;
        let Some(exchange) = tasks[key].exchange_mut() else { return Next::Moved };
        let outbound = exchange.outbound.as_mut();
        let shareable = outbound.and_then(|outbound| outbound.shareable.take());
        let config = Rc::clone(&exchange.config);
        let api = exchange.api.and_then(|index| config.apis.get(usize::from(index)));
        let share = api.and_then(|api| api.share.as_ref());
        let (Some(state), Some(shareable), Some(api), Some(share)) =
            (exchange.api_state, shareable, api, share)
        else {
            return ask_alone(exchange, feeds, &shared.apis, now);
        };
        let (name, id) = ((state, shareable.name), shareable.last_event_id.clone());
        if let Some(veto) = shared.apis.get(state).and_then(|s| s.vetoes.find(&name.1, now)) {
            exchange.count_veto(veto);
            return ask_alone(exchange, feeds, &shared.apis, now);
        }
        let is_own = exchange.outbound.as_ref().is_some_and(|outbound| outbound.own_id.is_some());
        let upstream_id = match &id {
            Some(own) if is_own => feeds.upstream_id(state, own, &shared.apis, now),
            id => id.clone(),
        };
        let feed = match feeds.find(&name, api) {
            Some(feed) => feed,
            None if feeds.count(&name) >= share.max_logs => {
                exchange.count_veto(Veto::MaxLogs);
                return ask_alone(exchange, feeds, &shared.apis, now);
            }
            None => begin(
                feeds,
                (key, exchange),
                *shareable,
                upstream_id.as_deref(),
                share,
                shared,
                now,
            ),
        };
        let log = Rc::clone(&feeds.tasks[feed].log);
        log.expire(now);
        let known = id.as_deref().map(|id| log.read(|events| events.find(id)));
        let join = match (known, share.on_gap) {
            (Some(Some(position)), _) => return self.follow_log(key, feed, position),
            (None, _) => share.join,
            (Some(None), OnGap::Join(join)) => join,
            // An upstream stream of its own would bring no more.
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
            Join::Now | Join::Fresh => self.follow_log(key, feed, log.read(EventLog::end)),
            Join::Log => self.follow_log(key, feed, log.read(EventLog::oldest)),
        }
    }

    /// Lets a client read a log from this position on.
    pub(super) fn follow_log(&mut self, key: Key<Session>, feed: Key<Feed>, position: u64) -> Next {
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
        followers.add(key, id, tasks, log);
        *lingers_until = Tick::NEVER;
        feeds.tasks.wake(feed);
        Next::Moved
    }

    /// Looks after the feeds whose last reader has left.
    pub(super) fn let_linger(&mut self, now: Tick) {
        if !self.feeds.deserted.take() {
            return;
        }
        let Proxy { feeds, shared, .. } = self;
        let mut deserted = Vec::new();
        for (key, feed) in feeds.tasks.iter_mut() {
            if feed.log.readers() == 0 {
                let share = feed.exchange.api().and_then(|api| api.share.as_ref());
                let is_wanted = shared.apis.get(feed.name.0).is_some() && !shared.phase.is_closed();
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

    /// Looks after all feeds that nobody reads, under another configuration.
    pub(super) fn look_at_feeds(&mut self, now: Tick) {
        self.feeds.deserted.set(true);
        self.let_linger(now);
    }

    /// Removes a feed and closes its connection.
    pub(super) fn end_feed(&mut self, key: Key<Feed>, now: Tick) {
        let Some(mut feed) = self.feeds.tasks.remove(key) else { return };
        if self.feeds.by_name.get(&feed.name) == Some(&key) {
            self.feeds.by_name.remove(&feed.name);
        }
        if let Some(own) = feed.log.own_ids()
            && let Some(state) = self.shared.apis.get_mut(feed.name.0)
        {
            let (number, id) = own.last();
            if !id.is_empty() {
                state.last_ids.note(own.epoch, (number, id.into()), now);
            }
        }
        if !feed.is_over() {
            feed.log.enter(LogState::Ended(Outcome::Complete));
        }
        self.shared.close_connection(&mut feed.exchange);
        feed.exchange.upload.abandon(&mut self.shared.memory.buffers);
        feed.exchange.response.abandon(&mut self.shared.memory.buffers);
    }
}

/// Lets a client ask for itself. What a log of ours has given its last event as an id means nothing
/// to the upstream: that is asked for what comes behind the same event if its own id is known, and
/// else the client is told that it has missed some.
fn ask_alone(exchange: &mut Exchange, feeds: &Feeds, apis: &Apis, now: Tick) -> Next {
    let own = exchange.outbound.as_mut().and_then(|outbound| outbound.own_id.take());
    if let Some(own) = own {
        let state = exchange.api_state;
        let known = state.and_then(|state| feeds.upstream_id(state, &own, apis, now));
        if let Some(outbound) = &mut exchange.outbound {
            outbound.ask_behind(known.as_deref());
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

/// Ends a client whose last event is not held any more.
const fn end_at_gap() -> Action {
    let what = "the last event that the client has seen is not held any more";
    Action::ReplyWithRetry(LocalReply::refused(Cause::OnGap, 410, what))
}

/// Begins the feed of a stream that this client is the first to ask for. The upstream is asked for
/// what comes behind the event with `upstream_id`, if that is known.
fn begin<N: Net>(
    feeds: &mut Feeds,
    (client, first): (Key<Session>, &Exchange),
    shareable: Shareable,
    upstream_id: Option<&[u8]>,
    share: &Share,
    shared: &mut Shared<N>,
    now: Tick,
) -> Key<Feed> {
    let Shareable { name, head, last_event_id } = shareable;
    let mut record = shared.telemetry.record(first.record.told.clone(), true, false);
    record.stats.clone_from(&first.record.stats);
    let mut exchange = Exchange::new(Begin {
        facts: RequestFacts::of_feed(),
        keeps_alive: false,
        upload: Upload::unread(BodyLength::Empty),
        config: &first.config,
        record,
        now,
    });
    (exchange.api, exchange.api_state) = (first.api, first.api_state);
    let own_ids = (share.ids == Ids::Own).then(|| OwnIds::new(shared.random.u64(..)));
    let log = Log::with_ids(
        share.limits,
        LogState::Awaited,
        (exchange.record.id, own_ids),
        &feeds.deserted,
    );
    if share.slow == Slow::Latest {
        log.change(EventLog::keep_latest);
    }
    let head = match (&last_event_id, upstream_id) {
        (Some(id), Some(upstream_id)) => {
            log.change(|events| events.begin_behind(id));
            head.continuing(upstream_id)
        }
        _ => head,
    };
    exchange.outbound = Some(Box::new(Outbound::new(head, true)));
    let Some(api) = first.api_state else { unreachable!("an api serves the client") };
    let mut feed = Feed::new(exchange, log, (api, name), (client, first.record.id));
    feed.continues = upstream_id.is_some();
    let key = feeds.tasks.insert(feed);
    feeds.by_name.insert((api, name), key);
    key
}
