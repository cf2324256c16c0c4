//! `/metrics`: all counters in the Prometheus text format.

mod health;
mod process;
mod targets;

use super::streams::StreamState;
use crate::config::StreamKind;
use crate::metrics::{Counter, Exposition, Histogram, MetricType};
use crate::telemetry::{ApiStats, Cause, KeyStats, LastingStats, Outcome, Stats};
use health::Targets;
#[cfg(feature = "sim")]
pub use process::CONFINED;
pub use process::{Logs, Process, Usage, limits_of};
#[cfg(feature = "sim")]
pub use targets::{CHECK_RESULTS, CONNECTION_STATES};

/// Selects a counter of an api.
type Of = fn(&ApiStats) -> &Counter;

const COUNTERS: [(&str, Of, &str); 15] = [
    ("millstream_events_total", |s| &s.events, "Events that were passed on."),
    ("millstream_received_bytes_total", |s| &s.bytes_in, "Payload taken from clients."),
    ("millstream_sent_bytes_total", |s| &s.bytes_out, "Payload handed to clients."),
    (
        "millstream_heartbeats_total",
        |s| &s.heartbeats,
        "Heartbeats that were sent to keep quiet event streams alive.",
    ),
    (
        "millstream_retries_total",
        |s| &s.retries,
        "Times that a request was sent to another target after one had failed.",
    ),
    (
        "millstream_resumes_total",
        |s| &s.resumes,
        "Event streams that lost their upstream and had to be resumed.",
    ),
    ("millstream_resumed_total", |s| &s.resumed, "Event streams that were resumed."),
    (
        "millstream_held_total",
        |s| &s.held,
        "Event streams that were opened while there was no upstream for them.",
    ),
    (
        "millstream_queued_total",
        |s| &s.queued,
        "How often a request or an event stream had to wait for an upstream connection.",
    ),
    (
        "millstream_early_answers_total",
        |s| &s.early_answers,
        "Event streams that were opened before the upstream had answered.",
    ),
    (
        "millstream_spared_total",
        |s| &s.spared,
        "Requests for an event stream that were not served but told when to reconnect.",
    ),
    (
        "millstream_unserved_total",
        |s| &s.unserved,
        "Requests that were not served: answered with 500 or above, told to reconnect, held, or \
        answered early and then failed.",
    ),
    (
        "millstream_share_streams_total",
        |s| &s.shared,
        "Event streams whose events came from an upstream stream that others read, too.",
    ),
    (
        "millstream_share_replayed_events_total",
        |s| &s.replayed,
        "Events that were held for clients of a shared stream who came later or came back.",
    ),
    (
        "millstream_share_gaps_total",
        |s| &s.gaps,
        "Clients of a shared stream who had missed more than what was held.",
    ),
];

/// A kind of long-lived exchange of an api, with the label that distinguishes it, if any.
type Part = (Option<(&'static str, &'static str)>, fn(&ApiStats) -> &LastingStats);

/// The metrics of long-lived exchanges: the families for those that were opened, have ended (by
/// outcome), and are open, each with its name and help text.
struct Lasting {
    opened: [&'static str; 2],
    closed: [&'static str; 2],
    open: [&'static str; 2],
    parts: &'static [Part],
}

const LASTING: [Lasting; 2] = [
    Lasting {
        opened: ["millstream_streams_opened_total", "Event streams that were opened, by kind."],
        closed: ["millstream_streams_closed_total", "Event streams that have ended, by kind."],
        open: ["millstream_streams", "Event streams that are open, by kind."],
        parts: &[
            (Some(("kind", "subscription")), |s| s.streams(StreamKind::Subscription)),
            (Some(("kind", "answer")), |s| s.streams(StreamKind::Answer)),
        ],
    },
    Lasting {
        opened: ["millstream_tunnels_opened_total", "Tunnels that were opened."],
        closed: ["millstream_tunnels_closed_total", "Tunnels that have ended."],
        open: ["millstream_tunnels", "Tunnels that are open."],
        parts: &[(None, |s| &s.tunnels)],
    },
];

/// Selects a number of a key, given the payload bytes of its unfinished requests from and to
/// clients.
type OfKey = fn(&KeyStats, [u64; 2]) -> u64;

const KEYS: [(&str, MetricType, OfKey, &str); 5] = [
    (
        "millstream_key_requests_total",
        MetricType::Counter,
        |s, _| s.requests.get(),
        "Finished requests, by the name of their key.",
    ),
    (
        "millstream_key_streams_opened_total",
        MetricType::Counter,
        |s, _| s.opened.get(),
        "Event streams that were opened with a key.",
    ),
    (
        "millstream_key_streams",
        MetricType::Gauge,
        |s, _| s.open(),
        "Event streams that are open with a key.",
    ),
    (
        "millstream_key_received_bytes_total",
        MetricType::Counter,
        |s, [from, _]| s.bytes_in.get() + from,
        "Payload taken from clients with a key.",
    ),
    (
        "millstream_key_sent_bytes_total",
        MetricType::Counter,
        |s, [_, to]| s.bytes_out.get() + to,
        "Payload handed to clients with a key.",
    ),
];

/// Selects a histogram of an api.
type Took = fn(&ApiStats) -> &Histogram;

const HISTOGRAMS: [(&str, Took, &str); 3] = [
    (
        "millstream_first_event_seconds",
        |s| &s.first_event,
        "Time from a request to the first event of its stream.",
    ),
    ("millstream_stream_duration_seconds", |s| &s.stream_duration, "Duration of event streams."),
    (
        "millstream_request_duration_seconds",
        |s| &s.request_duration,
        "Duration of requests, except event streams and tunnels.",
    ),
];

/// All metrics of one event loop, or the merged metrics of several.
#[derive(Clone, Debug)]
pub struct MetricsNow {
    all: Exposition,
    targets: Targets,
}

impl MetricsNow {
    /// All metrics, with this event loop's numbers.
    pub fn of(stats: &Stats, process: &Process<'_>) -> MetricsNow {
        MetricsNow { all: exposition(stats, process), targets: Targets::of(process) }
    }

    /// Merges the metrics of another event loop.
    pub fn merge(&mut self, other: &MetricsNow) {
        self.all.merge(&other.all);
        self.targets.merge(&other.targets);
    }

    /// All families with their samples.
    pub fn into_exposition(self) -> Exposition {
        let MetricsNow { mut all, targets } = self;
        targets.write(&mut all);
        all
    }
}

/// All metrics but the samples of [`Targets`], with this event loop's numbers.
fn exposition(stats: &Stats, process: &Process<'_>) -> Exposition {
    let mut out = Exposition::default();
    process::write(&mut out, stats, process);
    out.family(
        "millstream_requests_total",
        MetricType::Counter,
        "Finished requests, by the status of the response; 0 if there was none.",
    );
    for (api, stats) in stats.all() {
        for (code, count) in stats.requests.all() {
            out.sample(&[("api", api), ("code", &code.to_string())], count);
        }
    }
    let help = "Requests that were refused, or told to reconnect instead, by reason.";
    out.family("millstream_refusals_total", MetricType::Counter, help);
    for (api, stats) in stats.all() {
        // Prometheus sees the first refusal only as an increase from zero.
        let limits = process.limits.get(api).map_or(&[][..], Vec::as_slice);
        let occurs = |(cause, count): &(Cause, u64)| *count > 0 || limits.contains(cause);
        for (cause, count) in stats.refusals().filter(occurs) {
            out.sample(&[("api", api), ("reason", cause.word())], count);
        }
    }
    let help = "Requests that got an upstream stream of their own despite [api.share], by reason.";
    out.family("millstream_share_vetoes_total", MetricType::Counter, help);
    for (api, stats) in stats.all().skip(1) {
        for (veto, count) in stats.vetoes() {
            out.sample(&[("api", api), ("reason", veto.word())], count);
        }
    }
    of_logs(&mut out, process);
    for of in LASTING {
        of_lasting(&mut out, stats, &of);
    }
    of_states(&mut out, process);
    targets::write(&mut out, stats, process);
    for (name, of, help) in COUNTERS {
        out.family(name, MetricType::Counter, help);
        for (api, stats) in stats.all().skip(1) {
            out.sample(&[("api", api)], of(stats).get());
        }
    }
    for (name, of, help) in HISTOGRAMS {
        out.family(name, MetricType::Histogram, help);
        for (api, stats) in stats.all() {
            out.histogram(&[("api", api)], of(stats));
        }
    }
    of_keys(&mut out, stats, process);
    out
}

/// Writes the numbers of exchanges that were opened, have ended, and are open.
fn of_lasting(out: &mut Exposition, stats: &Stats, of: &Lasting) {
    let each = || {
        let apis = stats.all().skip(1);
        apis.flat_map(|(api, stats)| of.parts.iter().map(move |(part, of)| (api, part, of(stats))))
    };
    let [name, help] = of.opened;
    out.family(name, MetricType::Counter, help);
    for (api, part, stats) in each() {
        let labels: Vec<_> = [("api", api)].into_iter().chain(*part).collect();
        out.sample(&labels, stats.opened.get());
    }
    let [name, help] = of.closed;
    out.family(name, MetricType::Counter, help);
    for (api, part, stats) in each() {
        for outcome in Outcome::ALL.into_iter().filter(|end| end.ends_what_was_open()) {
            let reason = ("reason", outcome.word());
            let labels: Vec<_> = [("api", api)].into_iter().chain(*part).chain([reason]).collect();
            out.sample(&labels, stats.closed[outcome.index()].get());
        }
    }
    let [name, help] = of.open;
    out.family(name, MetricType::Gauge, help);
    for (api, part, stats) in each() {
        let labels: Vec<_> = [("api", api)].into_iter().chain(*part).collect();
        out.sample(&labels, stats.open());
    }
}

/// Writes how many streams and tunnels of each api are in each state.
fn of_states(out: &mut Exposition, process: &Process<'_>) {
    let help = "Open event streams and tunnels, by state.";
    out.family("millstream_stream_states", MetricType::Gauge, help);
    for (api, counts) in &process.states {
        for state in StreamState::ALL {
            let labels = [("api", *api), ("state", state.word())];
            out.sample(&labels, counts[state as usize]);
        }
    }
}

/// Writes the numbers of streams that are shared now.
fn of_logs(out: &mut Exposition, process: &Process<'_>) {
    type Of = fn(&Logs) -> usize;
    let families: [(&str, Of, &str); 4] = [
        ("millstream_share_upstreams", |l| l.count, "Upstream streams that are shared."),
        (
            "millstream_share_ended",
            |l| l.over,
            "Shared upstream streams that are over, and whose events are still read.",
        ),
        ("millstream_share_clients", |l| l.readers, "Clients of shared upstream streams."),
        ("millstream_share_bytes", |l| l.bytes, "Memory of the events of shared streams."),
    ];
    for (name, of, help) in families {
        out.family(name, MetricType::Gauge, help);
        for (api, logs) in &process.logs {
            out.sample(&[("api", api)], of(logs));
        }
    }
}

/// Writes the metrics of each key.
fn of_keys(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    for (name, kind, of, help) in KEYS {
        out.family(name, kind, help);
        for (key, stats) in stats.keys.all() {
            let unfinished = process.key_bytes.get(key).copied().unwrap_or_default();
            out.sample(&[("key", key)], of(stats, unfinished));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::workers::{Asked, WorkerNow};
    use crate::confines::Confined;
    use crate::telemetry::{Failure, Handshake, ProxyHeader};
    use crate::time::Tick;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// A strict parser of format 0.0.4: families in sequence, each with HELP and TYPE before its
    /// samples, no sample twice, histograms cumulative and complete. Returns the samples by name
    /// and labels.
    fn parse(text: &str) -> Result<BTreeMap<String, f64>, String> {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut family = (String::new(), String::new());
        assert!(text.ends_with('\n'));
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').ok_or("no help")?;
                let kind = lines.next().and_then(|l| l.strip_prefix("# TYPE ")).ok_or("no type")?;
                let kind = kind.strip_prefix(name).and_then(|l| l.strip_prefix(' '));
                let kind = kind.ok_or("another type")?;
                assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                family = (name.to_owned(), kind.to_owned());
                if families.insert(family.0.clone(), ()).is_some() {
                    return Err(format!("{name} comes twice"));
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
            let value: f64 = value.parse().map_err(|e| format!("{line}: {e}"))?;
            let name = series.split('{').next().unwrap_or_default();
            let suffixes: &[_] = match family.1.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            if !suffixes.iter().any(|suffix| format!("{}{suffix}", family.0) == name) {
                return Err(format!("{name} is in the family {}", family.0));
            }
            labels(&series[name.len()..])?;
            if samples.insert(series.to_owned(), value).is_some() {
                return Err(format!("{series} comes twice"));
            }
        }
        Ok(samples)
    }

    fn labels(mut text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        text = text.strip_prefix('{').ok_or("no brace")?;
        loop {
            let (name, rest) = text.split_once("=\"").ok_or("no label")?;
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(format!("label {name}"));
            }
            let (mut end, mut escaped) = (None, false);
            for (at, c) in rest.char_indices() {
                match c {
                    '"' if !escaped => {
                        end = Some(at);
                        break;
                    }
                    'n' | '"' | '\\' if escaped => escaped = false,
                    '\\' => escaped = true,
                    _ if escaped => return Err(format!("escape {c}")),
                    _ => {}
                }
            }
            text = &rest[end.ok_or("no quote")? + 1..];
            match text {
                "}" => return Ok(()),
                rest => text = rest.strip_prefix(',').ok_or("no comma")?,
            }
        }
    }

    #[test]
    fn it_is_what_prometheus_reads() {
        let mut stats = Stats::new();
        for name in ["clock", "a b", "x{y}=,z"] {
            let api = stats.api(name);
            let answers = api.streams(StreamKind::Answer);
            answers.opened.add(2);
            answers.closed[Outcome::Drained.index()].one();
            api.tunnels.opened.add(3);
            api.tunnels.closed[Outcome::Revoked.index()].one();
            api.requests.one(200);
            api.requests.one(502);
            api.connects.add(3);
            api.count_refusal(Cause::UpstreamUnreachable, Tick::ZERO);
            for ms in [0, 1, 700, 999_999_999] {
                api.first_event.observe(Duration::from_millis(ms));
                api.stream_duration.observe(Duration::from_millis(ms));
            }
        }
        stats.no_api.requests.one(404);
        let certificates = vec![("/etc/a.pem", 1_800_000_000)];
        let usage = Usage { cpu: Duration::from_millis(1500), resident_bytes: Some(4096) };
        let process = Process {
            started_unix_ms: 1_795_000_000_042,
            certificates,
            usage: Some(usage),
            states: BTreeMap::from([("clock", [0, 1, 2, 3, 4, 5, 6])]),
            limits: BTreeMap::from([("", vec![Cause::MaxConnections])]),
            ..Process::default()
        };
        let text = MetricsNow::of(&stats, &process).into_exposition().into_text();
        let samples = parse(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        for (series, want) in [
            ("millstream_start_time_seconds", 1_795_000_000.042),
            (
                "millstream_certificate_expiry_timestamp_seconds{certificate=\"/etc/a.pem\"}",
                1_800_000_000.0,
            ),
            ("process_cpu_seconds_total", 1.5),
            ("process_resident_memory_bytes", 4096.0),
            ("millstream_stream_states{api=\"clock\",state=\"stuck\"}", 5.0),
            ("millstream_requests_total{api=\"\",code=\"404\"}", 1.0),
            ("millstream_requests_total{api=\"a b\",code=\"502\"}", 1.0),
            ("millstream_streams{api=\"clock\",kind=\"answer\"}", 1.0),
            ("millstream_refusals_total{api=\"clock\",reason=\"upstream_unreachable\"}", 1.0),
            ("millstream_refusals_total{api=\"\",reason=\"server.max_connections\"}", 0.0),
            (
                "millstream_streams_closed_total\
                {api=\"x{y}=,z\",kind=\"answer\",reason=\"drained\"}",
                1.0,
            ),
            (
                "millstream_streams_closed_total\
                {api=\"clock\",kind=\"subscription\",reason=\"idle\"}",
                0.0,
            ),
            ("millstream_tunnels{api=\"clock\"}", 2.0),
            ("millstream_tunnels_opened_total{api=\"a b\"}", 3.0),
            ("millstream_tunnels_closed_total{api=\"a b\",reason=\"revoked\"}", 1.0),
            (
                "millstream_upstream_connections\
                {api=\"clock\",target=\"\",state=\"in_use\"}",
                3.0,
            ),
            ("millstream_queued{api=\"clock\"}", 0.0),
            ("millstream_stream_duration_seconds_bucket{api=\"a b\",le=\"86400\"}", 3.0),
            ("millstream_stream_duration_seconds_bucket{api=\"a b\",le=\"+Inf\"}", 4.0),
            ("millstream_stream_duration_seconds_count{api=\"a b\"}", 4.0),
        ] {
            assert_eq!(samples.get(series), Some(&want), "{series}\n{text}");
        }
        assert!(text.contains("{version=\"0."));
    }

    /// The manual explains exactly these families, and each reason for a target's failure, each
    /// result of a handshake, and each result of reading a PROXY header.
    #[test]
    fn the_manual_has_every_family() {
        let manual = include_str!("../../doc/millstream.1");
        let (_, section) = manual.split_once("\n.Ss Metrics\n").unwrap();
        let (section, _) = section.split_once("\n.Sh ").unwrap();
        let (handshakes, addresses) = (Some(0), Some((0, 0)));
        let sandbox = Some((Confined { files: true, calls: false }, 2));
        let (proxy_protocol, default) = (true, Process::default());
        let cpu = Some(Duration::from_secs(1));
        let worker = Some(WorkerNow { number: 2, cpu, ..WorkerNow::default() });
        let process = Process { handshakes, addresses, proxy_protocol, sandbox, worker, ..default };
        let mut all = MetricsNow::of(&Stats::new(), &process).into_exposition();
        Asked { loops: 2, silent: Vec::new() }.expose(&mut all);
        let text = all.into_text();
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut families: Vec<&str> = families.filter_map(|line| line.split(' ').next()).collect();
        families.sort_unstable();
        let items = section.lines().filter_map(|line| line.strip_prefix(".It Li "));
        let is_family =
            |name: &&str| name.starts_with("millstream_") || name.starts_with("process_");
        let (mut explained, words): (Vec<&str>, Vec<&str>) =
            items.flat_map(|item| item.split(" , ")).partition(is_family);
        explained.sort_unstable();
        assert_eq!(explained, families);
        let known = Failure::ALL.map(Failure::word).into_iter();
        let known = known.chain(Handshake::ALL.map(Handshake::word));
        let known: Vec<&str> = known.chain(ProxyHeader::ALL.map(ProxyHeader::word)).collect();
        assert_eq!(words, known);
    }
}
