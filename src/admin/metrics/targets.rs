//! The metrics of each target: its connections, its failures, and its health.

use super::Process;
use super::health::Targets;
use crate::metrics::{Exposition, Merge, MetricType};
use crate::pool::Endpoint;
use crate::telemetry::Stats;

/// The states of connections to a target, in metrics.
pub const CONNECTION_STATES: [&str; 2] = ["in_use", "idle"];

/// The results of checks of a target, in metrics and in the order in which they are counted.
pub const CHECK_RESULTS: [&str; 2] = ["failed", "passed"];

/// Writes the metrics of targets.
pub(super) fn write(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    of_connections(out, stats, process);
    of_targets(out, stats, process);
    of_clients(out, process);
    of_auth_servers(out, stats, process);
}

/// Writes the numbers of connections to each target, and of requests and streams that wait for one.
fn of_connections(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    let help = "Upstream connections that are open or being established, by target.";
    out.family("millstream_upstream_connections", MetricType::Gauge, help);
    for (api, stats) in stats.all().skip(1) {
        let mut others = stats.upstream_connections();
        for endpoint in process.endpoints(api) {
            let (in_use, open) = (endpoint.in_use() as u64, endpoint.open() as u64);
            let target = endpoint.target.to_string();
            for (state, count) in CONNECTION_STATES.into_iter().zip([in_use, open - in_use]) {
                out.sample(&[("api", api), ("target", &target), ("state", state)], count);
            }
            others = others.saturating_sub(open);
        }
        // The rest are connections to targets that a reload has removed.
        if others > 0 {
            out.sample(&[("api", api), ("target", ""), ("state", CONNECTION_STATES[0])], others);
        }
    }
    let help = "Requests and event streams that wait for an upstream connection.";
    out.family("millstream_queued", MetricType::Gauge, help);
    for (api, _) in stats.all().skip(1) {
        let waiting = process.upstreams.get(api).map_or(0, |upstream| upstream.waiting());
        out.sample(&[("api", api)], waiting);
    }
}

/// Writes how many clients are bound to a target that knows them.
fn of_clients(out: &mut Exposition, process: &Process<'_>) {
    let help = "Clients of which it is known which target knows them.";
    out.family_of(Merge::Largest, "millstream_sticky_clients", MetricType::Gauge, help);
    for (api, count) in &process.sticky {
        out.sample(&[("api", api)], *count);
    }
}

/// Writes what the auth servers answered about requests and open streams.
fn of_auth_servers(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    let help = "Answers of the auth server of an api, by what was asked about, and the result.";
    out.family("millstream_auth_requests_total", MetricType::Counter, help);
    for (api, stats) in stats.all().filter(|(api, _)| process.auth_servers.contains_key(api)) {
        for ([asked, answered], count) in stats.auth.all() {
            out.sample(&[("api", api), ("asked", asked), ("result", answered)], count);
        }
    }
}

/// Writes the metrics of each target in the current configuration.
fn of_targets(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    let help = "Attempts to connect to an upstream, by target.";
    out.family("millstream_upstream_connects_total", MetricType::Counter, help);
    for (api, target, stats) in stats.endpoints() {
        out.sample(&[("api", api), ("target", target)], stats.connects.get());
    }
    let help = "Failures of a target: to connect, to answer, or to complete a response.";
    out.family("millstream_upstream_failures_total", MetricType::Counter, help);
    for (api, target, stats) in stats.endpoints() {
        // Zeros are included: Prometheus sees no increase if a counter first appears with the value
        // 1.
        let secure = target.starts_with("https:");
        for (failure, count) in stats.failures().filter(|(of, _)| secure || !of.is_of_tls()) {
            let labels = [("api", api), ("target", target), ("reason", failure.word())];
            out.sample(&labels, count);
        }
    }
    Targets::begin(out);
    of_health(out, process);
}

/// Writes whether each target is passed over or unhealthy, and how often it was.
fn of_health(out: &mut Exposition, process: &Process<'_>) {
    let each = || {
        let apis = process.upstreams.keys();
        apis.flat_map(|api| process.endpoints(api).map(move |endpoint| (*api, endpoint)))
    };
    let mut family = |merge, name, kind, help, of: &dyn Fn(&Endpoint) -> Option<u64>| {
        out.family_of(merge, name, kind, help);
        for (api, endpoint) in each() {
            let target = endpoint.target.to_string();
            if let Some(value) = of(endpoint) {
                out.sample(&[("api", api), ("target", &target)], value);
            }
        }
    };
    let help = "Whether other targets are preferred, after failures.";
    let is_passed_over = |e: &Endpoint| Some(e.is_passed_over(process.now.tick).into());
    let (gauge, merge) = (MetricType::Gauge, Merge::Largest);
    family(merge, "millstream_upstream_passed_over", gauge, help, &is_passed_over);
    let help = "Times that a target was passed over from then on, after failures in a row.";
    let ejections = |e: &Endpoint| Some(e.stats.passed_over.get());
    let counter = MetricType::Counter;
    family(Merge::Sum, "millstream_upstream_ejections_total", counter, help, &ejections);
    let help = "Whether a target passes its health checks; only if it was checked.";
    let is_healthy = |e: &Endpoint| e.is_healthy().map(u64::from);
    family(Merge::Smallest, "millstream_upstream_healthy", gauge, help, &is_healthy);
    let help = "Health checks of a target, by result; only if it is checked.";
    out.family("millstream_upstream_health_checks_total", MetricType::Counter, help);
    for (api, endpoint) in each().filter(|(_, endpoint)| endpoint.is_checked()) {
        let target = endpoint.target.to_string();
        for (result, count) in CHECK_RESULTS.into_iter().zip(&endpoint.stats.checks) {
            let labels = [("api", api), ("target", &target), ("result", result)];
            out.sample(&labels, count.get());
        }
    }
}
