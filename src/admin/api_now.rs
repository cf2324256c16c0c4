//! The state of an api in a tick of the live page: its streams, the requests that were not served
//! and why, and targets with problems. Targets of weight 0 are left out.
//!
//! Numbers are totals, and the page computes their growth. The exception are numbers of the last
//! minute, so that a newly opened page can show what is wrong. Zeros and empty values are omitted,
//! because ticks are kept.

use crate::admin::streams::StreamState;
use crate::apis::ApiState;
use crate::json::Json;
use crate::pool::{Endpoint, Upstream};
use crate::telemetry::{ApiStats, Failure, Health, Minute, Unserved};
use crate::time::{Now, Tick, millis};
use std::time::Duration;

/// Maximum number of causes and targets named in one tick. The metrics have them all.
const DETAILS_MAX: usize = 400;

/// The states for which a tick has the number of streams.
const TOLD: [StreamState; 4] =
    [StreamState::Early, StreamState::Held, StreamState::Resuming, StreamState::Stuck];

/// How long a target is named after a failure, even if it works again.
const RECENT: Duration = Duration::from_secs(60);

/// The number of causes and targets that a tick may still name.
#[derive(Debug)]
pub struct Details(usize);

impl Details {
    /// The allowance of a whole tick.
    pub const fn all() -> Details {
        Details(DETAILS_MAX)
    }

    /// Takes one from the allowance. Returns false if it is used up.
    const fn another(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

/// The numbers of an api in a tick, by name and in order.
const NUMBERS: [&str; 10] = [
    "streams",
    "tunnels",
    "events",
    "bytes_out",
    "opened",
    "requests",
    "upstreams",
    "idle_upstreams",
    "queued",
    "targets",
];

/// Those of [`NUMBERS`] that are omitted if they are zero.
const OMITTED: [&str; 1] = ["queued"];

/// The current state of an api, in one event loop or in several.
#[derive(Clone, Debug)]
pub struct ApiNow {
    name: String,
    /// In the order of [`NUMBERS`].
    numbers: [u64; NUMBERS.len()],
    /// The number of its streams in each state, in the order of [`StreamState::ALL`].
    streams: [usize; StreamState::ALL.len()],
    troubles: Troubles,
    targets: Vec<TargetNow>,
}

impl ApiNow {
    /// The state of an api with this upstream and auth server. `streams` has the number of its
    /// streams in each state.
    pub fn of(
        state: &ApiState,
        upstream: &Upstream,
        auth_server: Option<&Upstream>,
        streams: [usize; StreamState::ALL.len()],
        now: Tick,
    ) -> ApiNow {
        let stats = &state.stats;
        let idle = upstream.idle() + auth_server.map_or(0, Upstream::idle);
        let asked = || upstream.endpoints.iter().filter(|endpoint| endpoint.target.weight > 0);
        let servers = auth_server.iter().flat_map(|server| &server.endpoints);
        let servers = servers.map(|endpoint| TargetNow::of(endpoint, true));
        let targets = asked().map(|endpoint| TargetNow::of(endpoint, false)).chain(servers);
        ApiNow {
            name: state.name.clone(),
            numbers: [
                stats.open(),
                stats.open_tunnels(),
                stats.events.get(),
                stats.bytes_out.get(),
                stats.opened(),
                stats.begun(),
                stats.upstream_connections(),
                idle as u64,
                upstream.waiting() as u64,
                asked().count() as u64,
            ],
            streams,
            troubles: Troubles::of(stats, now),
            targets: targets.collect(),
        }
    }

    /// Merges the state of the same api in another event loop.
    pub fn merge(&mut self, other: ApiNow) {
        let each = self.numbers.iter_mut().zip(other.numbers).zip(NUMBERS);
        for ((own, other), name) in each {
            // All loops have the same targets.
            *own = if name == "targets" { *own } else { *own + other };
        }
        self.streams.iter_mut().zip(other.streams).for_each(|(own, other)| *own += other);
        self.troubles.merge(other.troubles);
        for target in other.targets {
            match self.targets.iter_mut().find(|known| known.is(&target)) {
                Some(known) => known.merge(&target),
                None => self.targets.push(target),
            }
        }
    }

    /// True exactly when it has a problem, or had one recently.
    pub fn is_in_trouble(&self, now: Tick) -> bool {
        let bad = [StreamState::Held, StreamState::Resuming, StreamState::Stuck];
        !self.troubles.minute.is_empty()
            || bad.iter().any(|state| self.streams[*state as usize] > 0)
            || self.targets.iter().any(|target| target.is_troubled(now))
    }

    /// Writes the state as a JSON object.
    pub fn write(&self, json: &mut Json<'_>, details: &mut Details, now: Now) {
        json.begin('{');
        json.name("name").string(&self.name);
        for (name, number) in NUMBERS.into_iter().zip(self.numbers) {
            if number > 0 || !OMITTED.contains(&name) {
                json.name(name).number(number);
            }
        }
        for stream in TOLD {
            let count = self.streams[stream as usize];
            if count > 0 {
                json.name(stream.word()).number(count as u64);
            }
        }
        self.troubles.write(json, details, now);
        let troubled = self.targets.iter().filter(|target| target.is_troubled(now.tick));
        let mut troubled = troubled.take_while(|_| details.another()).peekable();
        if troubled.peek().is_some() {
            json.name("troubled").begin('[');
            troubled.for_each(|target| target.write(json, now));
            json.end(']');
        }
        json.end('}');
    }
}

/// Recent problems of an api, or of requests without one, and the last request that was not served.
#[derive(Clone, Debug)]
pub struct Troubles {
    last_unserved: Option<Unserved>,
    minute: Minute,
}

impl Troubles {
    /// The problems counted so far.
    pub fn of(stats: &ApiStats, now: Tick) -> Troubles {
        Troubles { last_unserved: stats.last_unserved(), minute: stats.minute(now) }
    }

    /// Merges those of another event loop.
    pub fn merge(&mut self, other: Troubles) {
        let both = self.last_unserved.into_iter().chain(other.last_unserved);
        self.last_unserved = both.max_by_key(|unserved| unserved.at);
        self.minute.merge(&other.minute);
    }

    /// Writes them as members of an object.
    pub fn write(&self, json: &mut Json<'_>, details: &mut Details, now: Now) {
        if let Some(Unserved { at, cause, status }) = self.last_unserved {
            json.name("last_unserved").begin('{');
            json.name("at").number(unix_ms(at, now));
            json.name("status").number(status.into());
            if let Some(cause) = cause {
                json.name("cause").string(cause.word());
            }
            json.end('}');
        }
        let minute = &self.minute;
        if minute.is_empty() {
            return;
        }
        json.name("minute").begin('{');
        json.name("requests").number(minute.requests);
        if minute.unserved() > 0 {
            json.name("unserved").number(minute.unserved());
        }
        let refused = minute.refused().take_while(|_| details.another());
        write_counts(json, "refused", refused.map(|(cause, count)| (cause.word(), count)));
        write_counts(json, "cut", minute.cut().map(|(outcome, count)| (outcome.word(), count)));
        json.end('}');
    }
}

/// Writes an object with a count for each word, as a member of another object. Omits it if it would
/// be empty.
fn write_counts(
    json: &mut Json<'_>,
    name: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) {
    let mut counts = counts.peekable();
    if counts.peek().is_some() {
        json.name(name).begin('{');
        counts.for_each(|(word, count)| json.name(word).number(count));
        json.end('}');
    }
}

/// A target, or the auth server.
#[derive(Clone, Debug)]
struct TargetNow {
    target: String,
    is_auth_server: bool,
    health: Health,
    failure: Option<(Failure, Tick)>,
    /// Until when other targets are preferred. In the past if they are not.
    passed_over_until: Tick,
    is_unhealthy: bool,
}

impl TargetNow {
    fn of(endpoint: &Endpoint, is_auth_server: bool) -> TargetNow {
        TargetNow {
            target: endpoint.target.to_string(),
            is_auth_server,
            health: endpoint.stats.health(),
            failure: endpoint.stats.last_failure(),
            passed_over_until: endpoint.passed_over_until(),
            is_unhealthy: endpoint.is_unhealthy(),
        }
    }

    /// True exactly when both are about the same server.
    fn is(&self, other: &TargetNow) -> bool {
        (self.is_auth_server, &self.target) == (other.is_auth_server, &other.target)
    }

    /// True exactly when it is failing, passed over or unhealthy, or has failed recently.
    fn is_troubled(&self, now: Tick) -> bool {
        let failed_lately = self.failure.is_some_and(|(_, at)| now.since(at) < RECENT);
        let is_bad = self.passed_over_until > now || self.is_unhealthy;
        self.health.failing_since().is_some() || is_bad || failed_lately
    }

    /// Merges the state of the same target in another event loop.
    fn merge(&mut self, other: &TargetNow) {
        self.health.merge(other.health);
        let both = self.failure.into_iter().chain(other.failure);
        self.failure = both.max_by_key(|(_, at)| *at);
        self.passed_over_until = self.passed_over_until.max(other.passed_over_until);
        self.is_unhealthy |= other.is_unhealthy;
    }

    fn write(&self, json: &mut Json<'_>, now: Now) {
        json.begin('{');
        json.name("target").string(&self.target);
        if self.is_auth_server {
            json.name("auth_server").boolean(true);
        }
        if let Some(since) = self.health.failing_since() {
            json.name("failing_since").number(unix_ms(since, now));
        }
        if let Some((failure, at)) = self.failure {
            json.name("failure").string(failure.word());
            json.name("failed_at").number(unix_ms(at, now));
        }
        if self.passed_over_until > now.tick {
            let left = millis(self.passed_over_until.since(now.tick));
            json.name("passed_over_until").number(now.unix_ms + left);
        }
        if self.is_unhealthy {
            json.name("unhealthy").boolean(true);
        }
        json.end('}');
    }
}

/// Converts a time in the past to wall-clock time, given the current time.
fn unix_ms(at: Tick, now: Now) -> u64 {
    now.unix_ms.saturating_sub(millis(now.tick.since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apis::Totals;
    use crate::config::Config;
    use crate::pool::Role;
    use crate::slab::Slab;
    use crate::telemetry::{Cause, Outcome, Stats};
    use std::rc::Rc;

    fn at(seconds: u64) -> Now {
        let ms = seconds * 1000;
        Now { tick: Tick::from_millis(ms), unix_ms: 1_000_000 + ms }
    }

    type Api = (ApiState, Upstream);

    fn api() -> Api {
        let text = "[[api]]\nname = 'a b'\nlisten_path = '/'\n\
            target_url = ['http://10.0.0.1', 'http://10.0.0.2']";
        let config = Config::parse("x", text).unwrap();
        let mut stats = Stats::new();
        let mut upstream = || Upstream::of(config.apis[0].backend(), &mut stats, Tick::ZERO);
        let (nowhere, upstream) = (Slab::new().insert(upstream()), upstream());
        (ApiState::new(&config.apis[0], nowhere, &Totals::default(), &mut stats), upstream)
    }

    fn text((state, upstream): &Api, streams: [usize; 7], details: usize, now: Now) -> String {
        let mut out = String::new();
        let api = ApiNow::of(state, upstream, None, streams, now.tick);
        api.write(&mut Json::new(&mut out), &mut Details(details), now);
        out
    }

    const QUIET: &str = "{\"name\":\"a b\",\"streams\":0,\"tunnels\":0,\"events\":0,\
        \"bytes_out\":0,\"opened\":0,\"requests\":0,\"upstreams\":0,\"idle_upstreams\":0,\
        \"targets\":2";

    #[test]
    fn what_is_nothing_is_left_out() {
        let mut api = api();
        assert_eq!(text(&api, [9, 9, 0, 0, 0, 0, 9], 9, at(1)), format!("{QUIET}}}"));
        api.1.endpoints[0].stats.mark_answered(at(1).tick);
        assert_eq!(text(&api, [0; 7], 9, at(1)), format!("{QUIET}}}"));
        let want = format!("{QUIET},\"early\":4,\"held\":1,\"resuming\":2,\"stuck\":3}}");
        assert_eq!(text(&api, [0, 0, 4, 1, 2, 3, 0], 9, at(1)), want);
        api.1.note_failure(1, false, Role::Alone, at(1).tick);
        assert!(text(&api, [0; 7], 9, at(1)).len() > QUIET.len() + 1);
    }

    /// A loop whose last request failed may not ask again, because other loops have the clients.
    #[test]
    fn the_last_request_of_all_loops_decides() {
        let told = |first: &Api, second: &Api, seconds| {
            let now = at(seconds);
            let of = |(state, upstream): &Api| ApiNow::of(state, upstream, None, [0; 7], now.tick);
            let (mut all, mut out) = (of(first), String::new());
            all.merge(of(second));
            all.write(&mut Json::new(&mut out), &mut Details(9), now);
            out
        };
        let (one, other) = (api(), api());
        let stats = |(_, upstream): &Api| Rc::clone(&upstream.endpoints[0].stats);
        stats(&one).count_failure(Failure::Refused, at(2).tick);
        stats(&one).mark_failing(at(2).tick);
        let failing = ",\"failing_since\":1002000";
        assert!(told(&one, &other, 90).contains(failing));
        assert!(told(&other, &one, 90).contains(failing));
        stats(&other).mark_answered(at(3).tick);
        assert_eq!(told(&one, &other, 90), format!("{QUIET}}}"));
        assert_eq!(told(&other, &one, 90), format!("{QUIET}}}"));
    }

    /// An auth server and a target of weight 0 are not among the targets that share the requests.
    #[test]
    fn auth_servers_and_emptied_targets_are_not_counted() {
        let text = "[[api]]\nname = 'a b'\nlisten_path = '/'\ntarget_url = ['http://10.0.0.1', \
            'http://10.0.0.2', { url = 'http://10.0.0.3', weight = 0 }]\n\
            [api.auth]\nurl = 'http://10.0.0.4'";
        let config = Config::parse("x", text).unwrap_or_else(|errors| panic!("{errors}"));
        let (mut stats, config) = (Stats::new(), &config.apis[0]);
        let auth = config.forward_auth.as_ref().unwrap().backend("a b");
        let auth = Upstream::of(auth, &mut stats, Tick::ZERO);
        let upstream = Upstream::of(config.backend(), &mut stats, Tick::ZERO);
        let nowhere = Slab::new().insert(Upstream::of(config.backend(), &mut stats, Tick::ZERO));
        let state = ApiState::new(config, nowhere, &Totals::default(), &mut stats);
        let told = || {
            let (mut out, now) = (String::new(), at(90));
            let api = ApiNow::of(&state, &upstream, Some(&auth), [0; 7], now.tick);
            api.write(&mut Json::new(&mut out), &mut Details(9), now);
            (api.is_in_trouble(now.tick), out)
        };
        upstream.endpoints[2].stats.mark_failing(at(1).tick);
        assert_eq!(told(), (false, format!("{QUIET}}}")));
        auth.endpoints[0].stats.mark_failing(at(1).tick);
        let server = "{\"target\":\"http://10.0.0.4/\",\"auth_server\":true,\
            \"failing_since\":1001000}";
        assert_eq!(told(), (true, format!("{QUIET},\"troubled\":[{server}]}}")));
    }

    #[test]
    fn what_is_wrong_is_named_within_bounds() {
        let mut api = api();
        for status in [502, 502] {
            let cause = Some(Cause::UpstreamUnreachable);
            api.0.stats.count_unserved(Unserved { at: at(2).tick, cause, status });
            api.0.stats.count_refusal(Cause::UpstreamUnreachable, at(2).tick);
        }
        api.0.stats.count_refusal(Cause::KeyMaxStreams, at(2).tick);
        api.0.stats.note_end(Outcome::SlowClient, at(2).tick);
        api.0.stats.note_end(Outcome::Drained, at(2).tick);
        let last = ",\"last_unserved\":{\"at\":1002000,\"status\":502,\
            \"cause\":\"upstream_unreachable\"}";
        let minute = ",\"minute\":{\"requests\":0,\"unserved\":2,\
            \"refused\":{\"key.max_streams\":1,\"upstream_unreachable\":2},\
            \"cut\":{\"slow_client\":1}}";
        assert_eq!(text(&api, [0; 7], 9, at(3)), format!("{QUIET}{last}{minute}}}"));
        assert_eq!(text(&api, [0; 7], 9, at(60)), format!("{QUIET}{last}}}"));

        api.1.endpoints[0].stats.count_failure(Failure::Refused, at(2).tick);
        api.1.note_failure(0, false, Role::Alone, at(2).tick);
        api.1.endpoints[1].stats.count_failure(Failure::Closed, at(1).tick);
        let first = "{\"target\":\"http://10.0.0.1/\",\"failing_since\":1002000,\
            \"failure\":\"refused\",\"failed_at\":1002000";
        let second = "{\"target\":\"http://10.0.0.2/\",\"failure\":\"closed\",\
            \"failed_at\":1001000}";
        for (seconds, details, want) in [
            (3, 9, format!("{first},\"passed_over_until\":1012000}},{second}")),
            (3, 3, format!("{first},\"passed_over_until\":1012000}}")),
            (13, 4, format!("{first}}},{second}")),
            (61, 4, format!("{first}}}")),
        ] {
            let minute = if seconds < 60 { minute } else { "" };
            let want = format!("{QUIET}{last}{minute},\"troubled\":[{want}]}}");
            assert_eq!(text(&api, [0; 7], details, at(seconds)), want);
        }
        let one = "\"unserved\":2,\"refused\":{\"key.max_streams\":1},\"cut\"";
        assert!(text(&api, [0; 7], 1, at(3)).contains(one));
        // A local reply without a cause.
        api.0.stats.count_unserved(Unserved { at: at(2).tick, cause: None, status: 500 });
        let text = text(&api, [0; 7], 9, at(3));
        assert!(text.contains("\"last_unserved\":{\"at\":1002000,\"status\":500}"), "{text}");
        assert!(text.contains("\"unserved\":3,"), "{text}");
    }
}
