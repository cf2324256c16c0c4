//! Telemetry: counters, the access log, and a rate limit for the log.
//!
//! Counters add the difference that a step has made. Nothing here blocks: lines go into a queue in
//! memory, and another thread writes them.

mod auth_stats;
mod cause;
mod endpoint_stats;
mod handshakes;
mod key_stats;
mod lately;
mod log_limit;
mod outcome;
mod proxy_headers;
mod record;
mod stats;
mod veto;

pub use auth_stats::{Answered, Asked};
pub use cause::Cause;
pub use endpoint_stats::{EndpointStats, Failure, Health, is_outage};
pub use handshakes::Handshake;
pub use key_stats::KeyStats;
pub use lately::Minute;
pub use log_limit::LogLimit;
pub use outcome::Outcome;
pub use proxy_headers::ProxyHeader;
pub use record::{Record, Report, Volume};
pub use stats::{ApiStats, LastingStats, Stats, Unserved};
pub use veto::Veto;

use crate::access::{Field, Queue, Told, shown_target};
use crate::config::Config;
use crate::time::{Now, Tick};
use record::FirstEvent;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters and logs of the process. See the module docs.
#[derive(Debug)]
pub struct Telemetry {
    /// The counters.
    pub stats: Stats,
    /// The lines of the access log that wait to be written.
    pub access: Queue,
    /// The rate limit of the log.
    pub log: LogLimit,
    /// The number of exchanges that a drain has cut.
    pub cut_in_drain: u64,
    /// True if the access log or the admin listener reports requests.
    reports: bool,
    /// The query parameters that may hold a key and are omitted from every report.
    secret_parameters: Vec<String>,
    /// The request fields that the access log shows.
    fields: Vec<Field>,
    /// The id of the last request, in any event loop.
    last_id: Arc<AtomicU64>,
    /// The wall-clock time at the beginning of this turn, in milliseconds since 1970.
    unix_ms: u64,
}

impl Telemetry {
    /// Creates empty telemetry. `config` says what is reported, `last_id` is the id of the last
    /// request, and `log` is the rate limit shared with the other event loops.
    pub fn new(config: &Config, last_id: Arc<AtomicU64>, log: LogLimit) -> Telemetry {
        let mut telemetry = Telemetry {
            stats: Stats::new(),
            access: Queue::default(),
            log,
            cut_in_drain: 0,
            reports: false,
            secret_parameters: Vec::new(),
            fields: Vec::new(),
            last_id,
            unix_ms: 0,
        };
        telemetry.update(config);
        telemetry
    }

    /// Adopts another configuration.
    pub fn update(&mut self, config: &Config) {
        self.reports = config.log.access.is_some() || config.admin.is_some();
        self.secret_parameters = config.secret_parameters();
        self.fields.clone_from(&config.log.fields);
        let auths = config.apis.iter().filter_map(|api| api.auth.as_ref());
        let names = auths.flat_map(|auth| &*auth.keys).map(|key| Arc::clone(&key.name));
        self.stats.keys.make_room(names);
    }

    /// Prepares for a turn.
    pub fn begin_turn(&mut self, now: Now) {
        self.unix_ms = now.unix_ms;
        self.log.begin_turn(now.unix_ms);
    }

    /// What logs say about the request that begins with `head`, valid or not, complete or not.
    /// Empty if nothing reports requests.
    pub fn tell(&self, head: &[u8]) -> Told {
        if self.reports || log::log_enabled!(log::Level::Debug) {
            Told::of(head, &self.secret_parameters, &self.fields)
        } else {
            Told::default()
        }
    }

    /// What logs say of a `Location`: no query, and nothing that may be a key.
    pub fn tell_location(&self, location: &[u8]) -> String {
        let path = location.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        shown_target(path, &self.secret_parameters)
    }

    /// Creates the record of a new exchange that logs describe as `told`. If `counted`, it counts
    /// as a request without an api until it has one. If `logged`, it gets a line in the access log.
    pub fn record(&mut self, told: Told, counted: bool, logged: bool) -> Record {
        Record {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            told,
            first_event: FirstEvent::NONE,
            status: 0,
            stats: counted.then(|| Rc::clone(&self.stats.no_api)),
            logged,
            open: false,
        }
    }

    /// Records that an event stream or a tunnel was opened.
    pub fn opened(&mut self, report: &Report<'_>, now: Tick) {
        let Some(stats) = &report.record.stats else { return };
        let tunnel = report.record.is_tunnel();
        if tunnel {
            stats.tunnels.opened.one()
        } else {
            stats.streams(report.kind).opened.one()
        }
        if !tunnel && let Some(name) = report.key {
            self.stats.keys.of(name).opened.one();
        }
        self.log_access(report, "open", None, now);
    }

    /// Records that an exchange has ended.
    pub fn ended(&mut self, report: &Report<'_>, now: Tick) {
        let Record { stats, open, status, logged, .. } = report.record;
        let (open, tunnel) = (*open, report.record.is_tunnel());
        if let Some(stats) = stats {
            let took = now.since(report.began);
            stats.requests.one(*status);
            match (open, tunnel) {
                (true, true) => stats.tunnels.closed[report.outcome.index()].one(),
                (true, false) => {
                    stats.streams(report.kind).closed[report.outcome.index()].one();
                    stats.stream_duration.observe(took);
                }
                (false, _) => stats.request_duration.observe(took),
            }
            // A tunnel that both sides have left unused is no failure.
            if open && !(tunnel && report.outcome == Outcome::UpstreamIdle) {
                stats.note_end(report.outcome, now);
            }
            // A connection beyond the limit was counted when it was accepted.
            if let Some(cause) = report.cause.filter(|cause| *cause != Cause::MaxConnections) {
                stats.count_refusal(cause, now);
            }
            if *status >= 500 {
                stats.count_unserved(Unserved { at: now, cause: report.cause, status: *status });
            }
        }
        if let Some(name) = report.key {
            let stats = self.stats.keys.of(name);
            stats.requests.one();
            stats.closed.add(u64::from(open && !tunnel));
            stats.bytes_in.add(report.volume.bytes_in);
            stats.bytes_out.add(report.volume.bytes_out);
        }
        if *logged {
            let event = if open { "end" } else { "request" };
            self.log_access(report, event, Some(&report.reason()), now);
        }
    }

    fn log_access(
        &mut self,
        report: &Report<'_>,
        event: &'static str,
        reason: Option<&str>,
        now: Tick,
    ) {
        if let Some(form) = report.form {
            self.access.push(&report.line(event, reason, self.unix_ms, now), form);
        }
    }
}
