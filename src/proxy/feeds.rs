//! The feeds by the names of their streams, and who reads which.

use super::Proxy;
use super::feed::{Feed, Name};
use super::next::{Action, Next};
use super::shared::Shared;
use crate::access::Told;
use crate::admin::metrics::Logs;
use crate::apis::ApiState;
use crate::config::{Api, Join, OnGap, Share, Slow};
use crate::event_log::EventLog;
use crate::exchange::{
    Begin, Exchange, LocalReply, Log, LogState, Outbound, RequestFacts, Shareable, Source, Upload,
};
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
        let alone = Next::Do(Action::Connect);
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
            return alone;
        };
        let (name, id) = ((state, shareable.name), shareable.last_event_id.clone());
        if let Some(veto) = shared.apis.get(state).and_then(|s| s.vetoes.find(&name.1, now)) {
            exchange.count_veto(veto);
            return alone;
        }
        let feed = match feeds.find(&name, api) {
            Some(feed) => feed,
            None if feeds.count(&name) >= share.max_logs => {
                exchange.count_veto(Veto::MaxLogs);
                return alone;
            }
            None => begin(feeds, (key, exchange), *shareable, share, shared, now),
        };
        let Feed { log, followers, lingers_until, .. } = &mut feeds.tasks[feed];
        log.expire(now);
        let known = id.as_deref().map(|id| log.read(|events| events.find(id)));
        let position = match (known, share.on_gap) {
            (None, _) => share.join.position(log),
            (Some(Some(position)), _) => position,
            (Some(None), OnGap::Join(join)) => join.position(log),
            (Some(None), _) => return tell_gap(exchange, share.on_gap),
        };
        if let Some(stats) = &exchange.record.stats {
            stats.replayed.add(log.read(|log| log.events_from(position)));
        }
        exchange.response.follow(position);
        if known == Some(None) {
            note_gap(exchange);
            exchange.response.intake.miss(false);
        }
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
    pub(super) fn end_feed(&mut self, key: Key<Feed>) {
        let Some(mut feed) = self.feeds.tasks.remove(key) else { return };
        if self.feeds.by_name.get(&feed.name) == Some(&key) {
            self.feeds.by_name.remove(&feed.name);
        }
        if !feed.is_over() {
            feed.log.enter(LogState::Ended(Outcome::Complete));
        }
        self.shared.close_connection(&mut feed.exchange);
        feed.exchange.upload.abandon(&mut self.shared.memory.buffers);
        feed.exchange.response.abandon(&mut self.shared.memory.buffers);
    }
}

fn note_gap(exchange: &Exchange) {
    if let Some(stats) = &exchange.record.stats {
        stats.gaps.one();
    }
}

/// What becomes of a client whose last event is not held any more, and who does not read the log.
fn tell_gap(exchange: &Exchange, on_gap: OnGap) -> Next {
    note_gap(exchange);
    match on_gap {
        OnGap::Private | OnGap::Join(_) => {
            exchange.count_veto(Veto::LastEventId);
            Next::Do(Action::Connect)
        }
        OnGap::End => {
            let what = "the last event that the client has seen is not held any more";
            Next::Do(Action::ReplyWithRetry(LocalReply::refused(Cause::OnGap, 410, what)))
        }
    }
}

impl Join {
    /// Where a client begins to read.
    fn position(self, log: &Log) -> u64 {
        log.read(|events| match self {
            Join::Now => events.end(),
            Join::Log => events.oldest(),
        })
    }
}

/// Begins the feed of a stream that this client is the first to ask for.
fn begin<N: Net>(
    feeds: &mut Feeds,
    (client, first): (Key<Session>, &Exchange),
    shareable: Shareable,
    share: &Share,
    shared: &mut Shared<N>,
    now: Tick,
) -> Key<Feed> {
    let Shareable { name, head, last_event_id } = shareable;
    let mut record = shared.telemetry.record(Told::default(), true, false);
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
    let log = Log::new(share.limits, LogState::Awaited, &feeds.deserted);
    if share.slow == Slow::Latest {
        log.change(EventLog::keep_latest);
    }
    let head = match &last_event_id {
        Some(id) => {
            log.change(|events| events.begin_behind(id));
            head.continuing(id)
        }
        None => head,
    };
    exchange.outbound = Some(Box::new(Outbound::new(head, true)));
    let Some(api) = first.api_state else { unreachable!("an api serves the client") };
    let mut feed = Feed::new(exchange, log, (api, name), (client, first.record.id));
    feed.continues = last_event_id.is_some();
    let key = feeds.tasks.insert(feed);
    feeds.by_name.insert((api, name), key);
    key
}
