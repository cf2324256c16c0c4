//! The events of the live page, and the stream states that they report.

use super::Proxy;
use crate::admin::answer::{self, Around};
use crate::admin::api_now::ApiNow;
use crate::admin::live::{self, DrainNow, LiveNow};
use crate::admin::streams::StreamState;
use crate::event_log::EventLog;
use crate::exchange::{Exchange, Local, Source, Stage};
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::proxy::next::Next;
use crate::proxy::shared::Shared;
use crate::session::Session;
use crate::slab::Key;
use crate::time::{Now, Tick, millis};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How long a client with pending bytes may read nothing before its stream counts as stuck.
const STUCK: Duration = Duration::from_secs(5);

/// How long a stream may have no event before it counts as quiet.
const QUIET: Duration = Duration::from_secs(60);

impl<N: Net> Proxy<N> {
    /// Begins the events of the live page: the kept ticks at once, and then one tick per second.
    pub(super) fn begin_live(&mut self, key: Key<Session>, now: Tick) -> Next {
        let Shared { net, memory, config, date, .. } = &mut self.shared;
        let Some(exchange) = self.tasks[key].exchange_mut() else { return Next::Moved };
        exchange.keep_alive_if(false);
        let (io, out) = memory.split(net, None, now);
        exchange.upload.abandon(io.buffers);
        let to = BodyLength::untold(exchange.facts.version);
        let chunked = to == BodyLength::Chunked && !exchange.facts.is_head();
        answer::write_events_head(out, chunked, Around { date: date.text(), close: true });
        if exchange.facts.is_head() {
            exchange.reply(200, out, io.buffers, now);
            return Next::Moved;
        }
        exchange.record.status = 200;
        exchange.response.begin(to, to, now);
        exchange.response.queue(out, io.buffers, now);
        let names: Vec<&str> = config.apis.iter().map(|api| api.name.as_str()).collect();
        let demo = config.demo.as_ref().and_then(|demo| config.demo_url(demo.listen));
        let hello = live::hello(self.started_unix_ms, demo.as_deref(), &names);
        let log = &self.admin.log;
        exchange.response.follow(log.read(EventLog::oldest));
        exchange.response.outlet.watch_events();
        let preface = Local::Preface(hello.into(), 0, Rc::clone(log));
        exchange.enter(Stage::Body, Source::Local(Box::new(preface)));
        let id = exchange.record.id;
        self.admin.watchers.add(key, id, &self.tasks, &self.admin.log);
        self.admin.ticks.is_heard(now);
        Next::Moved
    }

    /// Makes a tick for all watchers, if one is due. If there are other event loops, the shell asks
    /// them first.
    pub(in crate::proxy) fn make_tick(&mut self, now: Now) {
        if self.admin.ticks.next() > now.tick {
            return;
        }
        self.admin.ticks.begin(now.tick);
        if self.shared.loops == 1 {
            let state = self.live_now(now);
            self.tell_watchers(&state, now);
        } else {
            self.admin.wants_tick = true;
        }
    }

    /// True when the states of all event loops are wanted for a tick. Returns true once per tick.
    pub const fn wants_tick(&mut self) -> bool {
        std::mem::replace(&mut self.admin.wants_tick, false)
    }

    /// Sends the state of all event loops to all watchers of the live page.
    pub fn tell_watchers(&mut self, state: &LiveNow, now: Now) {
        let event = self.admin.ticks.make(state, now);
        self.admin.log.change(|log| log.append(&event, None, now.tick));
        self.moves += 1;
        self.admin.watchers.begin();
        self.admin.log.take_change();
        let all = usize::MAX;
        self.admin.watchers.wake(all, &mut self.tasks, &self.admin.log);
        self.admin.log.note_told();
        if !self.admin.watchers.is_empty() {
            self.admin.ticks.is_heard(now.tick);
        }
    }

    /// The state of this event loop. Visits all sessions.
    pub(super) fn live_now(&self, now: Now) -> LiveNow {
        let at =
            |tick: Tick| (tick != Tick::NEVER).then(|| now.unix_ms + millis(tick.since(now.tick)));
        let states = self.stream_states(now.tick);
        let Shared { pool, apis, telemetry, tls, phase, .. } = &self.shared;
        let present = apis.in_order().zip(states).filter_map(|((_, state), streams)| {
            let auth_server = state.auth.as_ref().and_then(|auth| pool.upstream(auth.upstream));
            let upstream = pool.upstream(state.upstream)?;
            Some(ApiNow::of(state, upstream, auth_server, streams, now.tick))
        });
        let mut state = LiveNow::of(&telemetry.stats, self.connections(), now.tick);
        state.apis = present.collect();
        // What is the same in all event loops is reported by only one.
        if self.shared.number == 0 {
            state.expiries = tls.expiries(now.unix_ms);
            state.reload_refused.clone_from(&self.admin.reload_refused);
        }
        state.workers.extend(self.worker_now());
        state.drain = DrainNow {
            draining: phase.is_draining(),
            closes_at: at(phase.closes_at()),
            ends_at: at(phase.ends_at()),
        };
        state
    }

    /// The number of streams of each api in each state, in the order of the configuration. Visits
    /// all sessions.
    pub(super) fn stream_states(&self, now: Tick) -> Vec<[usize; StreamState::ALL.len()]> {
        let keys = self.shared.apis.in_order().map(|(key, _)| key);
        let index = keys.zip(0..).collect::<BTreeMap<_, usize>>();
        let mut counts = vec![[0; StreamState::ALL.len()]; index.len()];
        for (_, exchange) in self.streams() {
            if let Some(index) = exchange.api_state.and_then(|key| index.get(&key)) {
                counts[*index][self.stream_state(exchange, now) as usize] += 1;
            }
        }
        counts
    }

    /// The state of an event stream or a tunnel. The worse state wins: a held stream whose client
    /// reads nothing is stuck.
    pub(super) fn stream_state(&self, exchange: &Exchange, now: Tick) -> StreamState {
        let quiet = now.since(exchange.quiet_since());
        let waits_for_client =
            exchange.response.outlet.wants_sink(now, self.shared.portions.high_water);
        match exchange.stage() {
            _ if waits_for_client && quiet >= STUCK => StreamState::Stuck,
            Stage::Tunnel => StreamState::Tunnel,
            Stage::Early => StreamState::Early,
            Stage::Held => StreamState::Held,
            Stage::Resuming => StreamState::Resuming,
            _ if quiet >= QUIET => StreamState::Quiet,
            Stage::Unanswered | Stage::Reply | Stage::Body | Stage::Stream | Stage::Delivering => {
                StreamState::Flowing
            }
        }
    }
}
