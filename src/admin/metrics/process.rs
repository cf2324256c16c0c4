//! The metrics of the process as a whole.

use crate::admin::streams::StreamState;
use crate::admin::workers::WorkerNow;
use crate::config::{Api, Config};
use crate::confines::Confined;
use crate::metrics::{Exposition, Merge, MetricType, Value};
use crate::pool::{Endpoint, Upstream};
use crate::telemetry::{Cause, Stats};
use crate::time::{Now, millis};
use std::collections::BTreeMap;
use std::time::Duration;

/// The labels of what a sandbox confines.
pub const CONFINED: [&str; 2] = ["files", "calls"];

/// What the process has used, according to the operating system.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The processor time of all threads.
    pub cpu: Duration,
    /// The resident memory in bytes, if the system reports it.
    pub resident_bytes: Option<u64>,
}

/// The shared streams of an api.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs {
    /// The number of upstream streams.
    pub count: usize,
    /// The number of those that have ended, but whose events are still being read.
    pub over: usize,
    /// The number of clients that read them.
    pub readers: usize,
    /// The memory of their events, in bytes.
    pub bytes: usize,
}

/// The process-wide values.
#[derive(Clone, Debug, Default)]
pub struct Process<'a> {
    /// When the process was started, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The time of the request.
    pub now: Now,
    /// The number of event loops.
    pub workers: usize,
    /// The state of this event loop, if there are several.
    pub worker: Option<WorkerNow>,
    /// The number of client connections.
    pub connections: usize,
    /// The maximum number of client connections.
    pub connections_max: usize,
    /// The number of them whose TLS handshake is not complete. None without TLS.
    pub handshakes: Option<usize>,
    /// True exactly when connections at some listener begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The number of addresses whose requests are counted, and how many were forgotten although
    /// they still counted. None if no api counts them.
    pub addresses: Option<(usize, u64)>,
    /// The number of buffers that hold bytes for a slow peer.
    pub buffers: usize,
    /// The memory of these buffers in bytes.
    pub buffer_bytes: usize,
    /// The number of bytes that count towards `max_held_bytes`.
    pub held_bytes: usize,
    /// `max_held_bytes`.
    pub held_bytes_max: usize,
    /// What the process has used, if that is known.
    pub usage: Option<Usage>,
    /// What the system confines, and how many files and sockets outside the sandbox were named.
    /// None if no sandbox was asked for.
    pub sandbox: Option<(Confined, u64)>,
    /// True exactly when the last reload was refused.
    pub reload_refused: bool,
    /// Since when the configuration has been in use, in milliseconds since 1970.
    pub configured_unix_ms: u64,
    /// True exactly when the process is draining.
    pub draining: bool,
    /// True exactly when clients can connect.
    pub accepting: bool,
    /// The number of access log lines dropped for lack of room.
    pub access_lines_dropped: u64,
    /// The upstreams, by api.
    pub upstreams: BTreeMap<&'a str, &'a Upstream>,
    /// The limits that can refuse requests, by api. Those of the process have the empty name.
    pub limits: BTreeMap<&'a str, Vec<Cause>>,
    /// The auth servers, by api, where there is one.
    pub auth_servers: BTreeMap<&'a str, &'a Upstream>,
    /// The number of clients whose replica is known, by api, where `[api.sticky]` is set.
    pub sticky: BTreeMap<&'a str, usize>,
    /// The shared streams, by api, where streams can be shared.
    pub logs: BTreeMap<&'a str, Logs>,
    /// The number of streams in each state, in the order of [`StreamState::ALL`], by api.
    pub states: BTreeMap<&'a str, [usize; StreamState::ALL.len()]>,
    /// The certificates that the proxy shows, and the last second of their validity, since 1970.
    pub certificates: Vec<(&'a str, u64)>,
    /// The issuers of the revocation lists for clients' certificates, and when each list expires,
    /// in seconds since 1970.
    pub revocation_lists: Vec<(&'a str, u64)>,
    /// The payload bytes of unfinished requests, from and to clients, by the name of the key.
    pub key_bytes: BTreeMap<&'a str, [u64; 2]>,
}

impl Process<'_> {
    /// The endpoints of an api: those of its targets and its auth server.
    pub(super) fn endpoints(&self, api: &str) -> impl Iterator<Item = &Endpoint> {
        let upstreams = [&self.upstreams, &self.auth_servers];
        upstreams.into_iter().filter_map(|by_api| by_api.get(api)).flat_map(|u| &u.endpoints)
    }
}

/// The limits that can refuse requests, by api. Those of the process have the empty name.
pub fn limits_of(config: &Config) -> BTreeMap<&str, Vec<Cause>> {
    let apis = config.apis.iter().map(|api| (api.name.as_str(), limits_of_api(api)));
    let mut all = BTreeMap::from([("", vec![Cause::MaxConnections])]);
    for (name, limits) in apis {
        all.insert(name, limits);
    }
    all
}

fn limits_of_api(api: &Api) -> Vec<Cause> {
    let keys = || api.auth.iter().flat_map(|auth| &*auth.keys);
    let limits = [
        (Cause::MaxRequestsPerIp, api.clients.max_requests_per_ip.is_some()),
        (Cause::KeyMaxRequests, keys().any(|key| key.max_requests.is_some())),
        (Cause::MaxRequests, api.clients.max_requests.is_some()),
        (Cause::QueueTimeout, api.max_upstream.is_some()),
        (Cause::MaxStreams, api.streams.max.is_some()),
        (Cause::MaxStreamsPerIp, api.streams.max_per_ip.is_some()),
        (Cause::KeyMaxStreams, keys().any(|key| key.max_streams.is_some())),
        (Cause::OutOfDescriptors, true),
    ];
    limits.into_iter().filter(|(_, exists)| *exists).map(|(cause, _)| cause).collect()
}

/// Writes what the system confines, if a sandbox was asked for. It is the same for all loops.
fn of_sandbox(out: &mut Exposition, sandbox: Option<(Confined, u64)>) {
    let (Some((confined, refused)), one) = (sandbox, Merge::Largest) else { return };
    let help = "Whether the system confines this of the process, which has asked for a sandbox.";
    out.family_of(one, "millstream_sandboxed", MetricType::Gauge, help);
    for (what, is_confined) in CONFINED.into_iter().zip([confined.files, confined.calls]) {
        out.sample(&[("what", what)], is_confined);
    }
    let help = "Files and sockets that were named and are outside of the sandbox.";
    out.family_of(one, "millstream_sandbox_refused_total", MetricType::Counter, help);
    out.sample(&[], refused);
}

/// Writes the metrics of the process.
pub(super) fn write(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    of_life(out, process);
    of_sandbox(out, process.sandbox);
    of_clients(out, stats, process);
    of_memory(out, process);
    let help = "How often accepting paused because it failed, as without file descriptors.";
    out.family("millstream_accept_pauses_total", MetricType::Counter, help);
    out.sample(&[], stats.accept_pauses.get());
    let help = "Access log lines dropped for lack of room.";
    out.family("millstream_access_lines_dropped_total", MetricType::Counter, help);
    out.sample(&[], process.access_lines_dropped);
    let help = "When a certificate that is shown expires, by the name of its file.";
    let name = "millstream_certificate_expiry_timestamp_seconds";
    out.family_of(Merge::Smallest, name, MetricType::Gauge, help);
    for (file, last) in &process.certificates {
        out.sample(&[("certificate", file)], *last);
    }
    let help = "When a list in tls.client_crl expires, by the name of its issuer.";
    let name = "millstream_client_crl_expiry_timestamp_seconds";
    out.family_of(Merge::Smallest, name, MetricType::Gauge, help);
    for (issuer, next) in &process.revocation_lists {
        out.sample(&[("issuer", issuer)], *next);
    }
    of_usage(out, process.usage);
    if let Some(worker) = &process.worker {
        worker.expose(out);
    }
}

/// Writes what the process is, and how far it has drained.
fn of_life(out: &mut Exposition, process: &Process<'_>) {
    let (gauge, any) = (MetricType::Gauge, Merge::Largest);
    out.family_of(any, "millstream_build_info", gauge, "The running version.");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    let (name, help) = ("millstream_start_time_seconds", "When the process was started.");
    out.family_of(Merge::Smallest, name, gauge, help);
    out.sample(&[], Value::Millis(process.started_unix_ms));
    // Only the first event loop knows of a refused one.
    let help = "Whether the last reload succeeded; 1 before the first one.";
    let name = "millstream_config_last_reload_successful";
    out.family_of(Merge::Smallest, name, gauge, help);
    out.sample(&[], !process.reload_refused);
    let help = "When a configuration was last put in use.";
    let name = "millstream_config_last_reload_success_timestamp_seconds";
    out.family_of(any, name, gauge, help);
    out.sample(&[], Value::Millis(process.configured_unix_ms));
    let help = "Threads that serve clients, each with an event loop of its own.";
    out.family_of(any, "millstream_workers", gauge, help);
    out.sample(&[], process.workers);
    out.family_of(any, "millstream_draining", gauge, "Whether the process is draining.");
    out.sample(&[], process.draining);
    out.family_of(any, "millstream_accepting", gauge, "Whether clients can connect.");
    out.sample(&[], process.accepting);
}

/// Writes the metrics of client connections.
fn of_clients(out: &mut Exposition, stats: &Stats, process: &Process<'_>) {
    let help = "Client connections, except those of the admin listener.";
    out.family("millstream_client_connections", MetricType::Gauge, help);
    out.sample(&[], process.connections);
    let help = "How many client connections there may be.";
    out.family_of(Merge::Largest, "millstream_client_connections_max", MetricType::Gauge, help);
    out.sample(&[], process.connections_max);
    if let Some(handshakes) = process.handshakes {
        let help = "Client connections whose TLS handshake is not over.";
        out.family("millstream_handshakes", MetricType::Gauge, help);
        out.sample(&[], handshakes);
        let help = "TLS handshakes with clients, by how they ended.";
        out.family("millstream_handshakes_total", MetricType::Counter, help);
        for (ended, count) in stats.handshakes.all() {
            out.sample(&[("result", ended.word())], count);
        }
    }
    if process.proxy_protocol {
        let help = "Connections that had to begin with a PROXY header, by what came.";
        out.family("millstream_proxy_headers_total", MetricType::Counter, help);
        for (came, count) in stats.proxy_headers.all() {
            out.sample(&[("result", came.word())], count);
        }
    }
    if let Some((known, forgotten)) = process.addresses {
        // They are counted for all event loops together.
        let help = "Client addresses whose requests are counted for max_requests_per_ip.";
        out.family_of(Merge::Largest, "millstream_rate_addresses", MetricType::Gauge, help);
        out.sample(&[], known);
        let help = "Client addresses that were forgotten for lack of room while they counted.";
        let name = "millstream_rate_addresses_forgotten_total";
        out.family_of(Merge::Largest, name, MetricType::Counter, help);
        out.sample(&[], forgotten);
    }
}

/// Writes how much is held for slow readers.
fn of_memory(out: &mut Exposition, process: &Process<'_>) {
    let help = "Buffers that hold bytes for peers that are not reading them.";
    out.family("millstream_buffers", MetricType::Gauge, help);
    out.sample(&[], process.buffers);
    let help = "Memory of the buffers that hold bytes.";
    out.family("millstream_buffers_bytes", MetricType::Gauge, help);
    out.sample(&[], process.buffer_bytes);
    let help = "Bytes that are held for clients, as far as max_held_bytes limits them.";
    out.family("millstream_held_bytes", MetricType::Gauge, help);
    out.sample(&[], process.held_bytes);
    let help = "How many bytes may be held for clients.";
    out.family("millstream_held_bytes_max", MetricType::Gauge, help);
    out.sample(&[], process.held_bytes_max);
}

/// Writes the metrics whose names are the same for all processes, for existing rules and
/// dashboards.
fn of_usage(out: &mut Exposition, usage: Option<Usage>) {
    let help = "Processor time of the process; each worker has one thread.";
    out.family_of(Merge::Largest, "process_cpu_seconds_total", MetricType::Counter, help);
    if let Some(usage) = usage {
        out.sample(&[], Value::Millis(millis(usage.cpu)));
    }
    let help = "Resident memory of the process.";
    out.family_of(Merge::Largest, "process_resident_memory_bytes", MetricType::Gauge, help);
    if let Some(bytes) = usage.and_then(|usage| usage.resident_bytes) {
        out.sample(&[], bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_has_the_limits_that_are_configured() {
        let limits = "max_upstream = 1\nmax_streams = 2\nmax_streams_per_ip = 3\n\
            max_requests = '4/s'\nmax_requests_per_ip = '5/s'\n";
        let api = |name: &str, limits: &str| {
            format!(
                "[[api]]\nname = '{name}'\nlisten_path = '/{name}'\n\
                target_url = 'http://10.0.0.1'\n{limits}"
            )
        };
        let text = api("all", limits) + &api("none", "");
        let config = Config::parse("x", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let words = |name: &str| -> Vec<&'static str> {
            limits_of(&config)[name].iter().map(|cause| cause.word()).collect()
        };
        assert_eq!(words(""), ["server.max_connections"]);
        assert_eq!(words("none"), ["out_of_descriptors"]);
        let all = [
            "api.max_requests_per_ip",
            "api.max_requests",
            "api.queue_timeout",
            "api.max_streams",
            "api.max_streams_per_ip",
            "out_of_descriptors",
        ];
        assert_eq!(words("all"), all);
    }
}
