//! The metrics that say whether targets serve requests. Their samples are written once all event
//! loops have answered, because the last request of all loops decides ([`Health::merge`]).
//!
//! An auth server has no samples, because it serves no requests of clients. A target of weight 0
//! has none that say that it fails: it may never get a request again that would change them.

use super::Process;
use crate::metrics::{Exposition, MetricType, Value};
use crate::pool::Endpoint;
use crate::telemetry::Health;
use crate::time::{Now, Tick, millis};
use std::collections::BTreeMap;

const FAILING: &str = "millstream_upstream_failing";
const SINCE: &str = "millstream_upstream_failing_since_timestamp_seconds";
const LAST_SUCCESS: &str = "millstream_upstream_last_success_timestamp_seconds";

/// The health of all targets, by api and displayed target.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    all: BTreeMap<(String, String), TargetHealth>,
    /// When it was read.
    now: Now,
}

/// The health of one target.
#[derive(Clone, Copy, Debug)]
struct TargetHealth {
    health: Health,
    /// True exactly when its weight is not 0.
    is_asked: bool,
}

impl Targets {
    /// The health of the targets in the current configuration, in this event loop.
    pub(super) fn of(process: &Process<'_>) -> Targets {
        let mut all = BTreeMap::new();
        for (api, upstream) in &process.upstreams {
            for Endpoint { target, stats, .. } in &upstream.endpoints {
                let name = ((*api).to_owned(), target.to_string());
                let is_asked = target.weight > 0;
                all.insert(name, TargetHealth { health: stats.health(), is_asked });
            }
        }
        Targets { all, now: process.now }
    }

    /// Merges the health in another event loop.
    pub(super) fn merge(&mut self, other: &Targets) {
        for (name, seen) in &other.all {
            match self.all.get_mut(name) {
                Some(known) => known.health.merge(seen.health),
                None => {
                    self.all.insert(name.clone(), *seen);
                }
            }
        }
    }

    /// Begins the families, which fixes their place in the text.
    pub(super) fn begin(out: &mut Exposition) {
        let help = "Whether a target failed to serve the last request sent to it.";
        out.family(FAILING, MetricType::Gauge, help);
        let help = "When a failing target began to serve no requests; only while it is failing.";
        out.family(SINCE, MetricType::Gauge, help);
        let help = "When a target last served a request, if it has served one.";
        out.family(LAST_SUCCESS, MetricType::Gauge, help);
    }

    /// Writes the samples of these families.
    pub(super) fn write(&self, out: &mut Exposition) {
        let unix = |at: Tick| {
            let age = millis(self.now.tick.since(at));
            Value::Millis(self.now.unix_ms.saturating_sub(age))
        };
        for ((api, target), TargetHealth { health, is_asked }) in &self.all {
            let labels = [("api", api.as_str()), ("target", target.as_str())];
            if *is_asked {
                out.sample_of(FAILING, &labels, health.failing_since().is_some());
            }
            if let Some(since) = health.failing_since().filter(|_| *is_asked) {
                out.sample_of(SINCE, &labels, unix(since));
            }
            if let Some(at) = health.last_success() {
                out.sample_of(LAST_SUCCESS, &labels, unix(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::metrics::{MetricsNow, Process};
    use crate::config::Config;
    use crate::pool::Upstream;
    use crate::telemetry::{Failure, Stats};
    use crate::time::{Now, Tick};
    use std::collections::BTreeMap;

    const SINCE: &str = "failing_since_timestamp_seconds";
    const LAST_SUCCESS: &str = "last_success_timestamp_seconds";

    /// The metrics at second 5 of an event loop whose requests had these results: the number of the
    /// target, the time, and whether it answered. There are two targets, one of weight 0, and an
    /// auth server.
    fn metrics_of(results: &[(usize, u64, bool)]) -> MetricsNow {
        let text = "[[api]]\nname = 'clock'\nlisten_path = '/'\ntarget_url = ['http://up.test', \
            'http://down.test', { url = 'http://emptied.test', weight = 0 }]\n\
            [api.auth]\nurl = 'http://auth.test'";
        let config = Config::parse("x", text).unwrap_or_else(|errors| panic!("{errors}"));
        let (mut stats, api) = (Stats::new(), &config.apis[0]);
        let auth = api.forward_auth.as_ref().unwrap().backend("clock");
        let auth = Upstream::of(auth, &mut stats, Tick::ZERO);
        let upstream = Upstream::of(api.backend(), &mut stats, Tick::ZERO);
        drop(stats.endpoint("clock", "http://gone.test/".to_owned()));
        for (target, ms, is_answered) in results {
            let endpoint = upstream.endpoints.iter().chain(&auth.endpoints).nth(*target).unwrap();
            let at = Tick::from_millis(*ms);
            endpoint.stats.connects.one();
            if *is_answered {
                endpoint.stats.mark_answered(at);
            } else {
                endpoint.stats.count_failure(Failure::Refused, at);
                endpoint.stats.mark_failing(at);
            }
        }
        let now = Now { tick: Tick::from_millis(5000), unix_ms: 1_795_000_005_000 };
        let upstreams = BTreeMap::from([("clock", &upstream)]);
        let auth_servers = BTreeMap::from([("clock", &auth)]);
        MetricsNow::of(&stats, &Process { now, upstreams, auth_servers, ..Process::default() })
    }

    /// The sample of the target with this host.
    fn sample<'t>(text: &'t str, family: &str, host: &str) -> Option<&'t str> {
        let labels = format!("{{api=\"clock\",target=\"http://{host}.test/\"}}");
        let series = format!("millstream_upstream_{family}{labels} ");
        text.lines().find_map(|line| line.strip_prefix(series.as_str()))
    }

    #[test]
    fn it_says_which_target_fails_and_since_when() {
        let mut results = vec![(0, 2000, true), (1, 3500, false), (1, 4000, false)];
        results.extend([(2, 1000, true), (2, 2000, false), (3, 1000, false)]);
        let text = metrics_of(&results).into_exposition().into_text();
        for (family, host, want) in [
            ("connects_total", "down", Some("2")),
            ("connects_total", "auth", Some("1")),
            ("failing", "down", Some("1")),
            ("failing", "up", Some("0")),
            (SINCE, "down", Some("1795000003.5")),
            (SINCE, "up", None),
            (LAST_SUCCESS, "up", Some("1795000002")),
            (LAST_SUCCESS, "down", None),
            // It may get no request that would change that.
            ("failing", "emptied", None),
            (SINCE, "emptied", None),
            (LAST_SUCCESS, "emptied", Some("1795000001")),
            // It is not a target.
            ("failing", "auth", None),
            (SINCE, "auth", None),
        ] {
            assert_eq!(sample(&text, family, host), want, "{family} {host}\n{text}");
        }
        let refused = "millstream_upstream_failures_total{api=\"clock\",\
            target=\"http://down.test/\",reason=\"refused\"} 2\n";
        assert!(text.contains(refused), "{text}");
        assert!(!text.contains("gone.test"), "no configuration has it any more");
    }

    /// A loop whose last request failed may not ask again, because other loops have the clients.
    #[test]
    fn the_last_request_of_all_loops_decides() {
        let one = || metrics_of(&[(0, 1000, false), (1, 1000, true)]);
        let other = || metrics_of(&[(0, 2000, true), (1, 2500, false)]);
        for (mut all, more) in [(one(), other()), (other(), one())] {
            all.merge(&more);
            let text = all.into_exposition().into_text();
            for (family, host, want) in [
                ("failing", "up", Some("0")),
                (SINCE, "up", None),
                ("failing", "down", Some("1")),
                (SINCE, "down", Some("1795000002.5")),
            ] {
                assert_eq!(sample(&text, family, host), want, "{family} {host}\n{text}");
            }
        }
    }
}
