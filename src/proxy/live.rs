//! The live page's events, and what they say of streams: how each of them is.

use super::{Proxy, Step};
use crate::admin::answer::{self, Around};
use crate::admin::api_now::ApiNow;
use crate::admin::live::{self, ProcessNow};
use crate::admin::streams::StreamState;
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::session::exchange::{Exchange, Phase};
use crate::session::local::{Live, Local};
use crate::session::{Session, State};
use crate::slab::Key;
use crate::time::{Now, Tick};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A client that has taken nothing for this long, of what waits for it, makes its stream stuck.
const STUCK: Duration = Duration::from_secs(5);

/// A stream without an event for this long is quiet.
const QUIET: Duration = Duration::from_secs(60);

impl<N: Net> Proxy<N> {
    /// The live page's events: what was, at once, and then a tick each second.
    pub(super) fn begin_live(&mut self, key: Key<Session>, now: Tick) -> Step {
        let date = self.date.text();
        let exchange = self.sessions[key].state.exchange_mut();
        exchange.facts.persistent = false;
        exchange.request.abandon(&mut self.buffers);
        let to = BodyLength::untold(exchange.facts.version);
        self.head_buf.clear();
        let chunked = to == BodyLength::Chunked && !exchange.facts.is_head;
        answer::write_events_head(&mut self.head_buf, chunked, Around { date, close: true });
        if exchange.facts.is_head {
            exchange.answer(200, &self.head_buf, &mut self.buffers, now);
            return Step::Moved;
        }
        exchange.record.status = 200;
        exchange.response.begin(to, to, now);
        exchange.response.queue(&self.head_buf, &mut self.buffers, now);
        let names: Vec<&str> = self.config.apis.iter().map(|api| api.name.as_str()).collect();
        let mut live = Live::default();
        let demo = self.config.demo.as_ref().and_then(|demo| self.config.demo_url(demo.listen));
        live.push(live::hello(self.started_unix_ms, demo.as_deref(), &names).into());
        self.desk.ticks.kept().for_each(|tick| live.push(tick));
        exchange.phase = Phase::Local(Box::new(Local::Live(live)));
        self.desk.listeners.push(key);
        self.desk.ticks.is_heard(now);
        Step::Moved
    }

    /// Makes a tick if one is due, for all who listen.
    pub(super) fn make_tick(&mut self, now: Now) {
        if self.desk.ticks.next() > now.tick {
            return;
        }
        let process =
            ProcessNow { draining: self.drain.is_some(), connections: self.connections() };
        let states = self.stream_states(now.tick);
        let origins = self.api_origins.iter().map(|key| &self.origins[*key]);
        let apis = origins.zip(states).map(|(origin, streams)| ApiNow { origin, streams });
        let apis: Vec<ApiNow<'_>> = apis.collect();
        let event = self.desk.ticks.make(process, &self.stats, &apis, now);
        self.moves += 1;
        for key in std::mem::take(&mut self.desk.listeners) {
            let Some(Session { state: State::Active(exchange), .. }) = self.sessions.get_mut(key)
            else {
                continue;
            };
            if let Some(live) = exchange.live() {
                live.push(Rc::clone(&event));
                self.desk.listeners.push(key);
                self.enqueue(key);
            }
        }
        if !self.desk.listeners.is_empty() {
            self.desk.ticks.is_heard(now.tick);
        }
    }

    /// How many streams of each api are in each state, in the order of the configuration. All
    /// sessions are looked at.
    fn stream_states(&self, now: Tick) -> Vec<[usize; StreamState::ALL.len()]> {
        let index = self.api_origins.iter().zip(0..).collect::<BTreeMap<_, usize>>();
        let mut counts = vec![[0; StreamState::ALL.len()]; index.len()];
        for (_, exchange) in self.streams() {
            if let Some(index) = exchange.origin.and_then(|origin| index.get(&origin)) {
                counts[*index][self.stream_state(exchange, now) as usize] += 1;
            }
        }
        counts
    }

    /// How an event stream or a tunnel is. What is worse comes first: a stream that is held for a
    /// client that takes nothing is stuck.
    pub(super) fn stream_state(&self, exchange: &Exchange, now: Tick) -> StreamState {
        let still = now.since(exchange.still_since());
        let waits_for_client = exchange.response.wants_sink(now, self.portions.high_water);
        let revival = exchange.revival.as_ref().filter(|revival| revival.lost.is_some());
        match revival {
            _ if waits_for_client && still >= STUCK => StreamState::Stuck,
            _ if exchange.record.is_tunnel() => StreamState::Tunnel,
            Some(revival) if revival.gives_up == Tick::NEVER => StreamState::Held,
            Some(_) => StreamState::Resuming,
            None if still >= QUIET => StreamState::Quiet,
            None => StreamState::Flowing,
        }
    }
}
