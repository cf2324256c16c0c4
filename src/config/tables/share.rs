//! `[api.share]`: one upstream stream for many clients.

use super::fields::names;
use crate::config::error::Wrong;
use crate::config::file::event;
use crate::config::table::Table;
use crate::config::values::value::{
    count, duration, duration_or_zero, flag, list, memory, text, whole_seconds,
};
use crate::config::{Api, OnOutage, Resume, RetryOn};
use crate::event_log::Limits;
use crate::http::abnf::is_token;
use crate::http::fields::{is_reserved, same_to_gateway};
use std::time::Duration;
use toml::de::DeValue;

/// The default of `settle`.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);

/// The largest `max_event_bytes` where streams are shared, because a log holds whole events.
pub(crate) const EVENT_MAX: usize = 256 << 20;

/// `[api.share]`: one upstream stream for many clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What a client gets that names no last event.
    pub join: Join,
    /// With `fresh`: how long a client's own upstream stream must be quiet before the client goes
    /// on with the shared one.
    pub settle: Duration,
    /// The query parameters that distinguish streams and go upstream. None: all.
    pub query: Option<Vec<String>>,
    /// The request fields that distinguish streams and go upstream. None occurs twice.
    pub headers: Vec<String>,
    /// Whether only clients with the same key share.
    pub per_key: bool,
    /// Whose ids the events have.
    pub ids: Ids,
    /// How much is held of a stream.
    pub limits: Limits,
    /// What a client gets whose last event is no longer held.
    pub on_gap: OnGap,
    /// The event that tells a client that it has missed events, if there is one.
    pub gap_event: Option<String>,
    /// What a client gets that reads too slowly.
    pub slow: Slow,
    /// How long the upstream stream is kept after the last client has left.
    pub linger: Duration,
    /// Maximum number of shared upstream streams: 1 to 65,535.
    pub max_logs: usize,
}

/// The settings that must be equal in two configurations of an api, so that clients of both can
/// share an upstream stream. Settings that affect only a client may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    share: Share,
    of_streams: (Resume, Duration, OnOutage, usize),
    timeouts: [Option<Duration>; 4],
    of_requests: (RetryOn, Duration, Duration),
}

impl Api {
    /// The settings under which its clients share streams. None if they do not.
    pub fn sharing(&self) -> Option<Sharing> {
        let streams = &self.streams;
        let (response, first_event) = (streams.response_timeout, streams.first_event_timeout);
        Some(Sharing {
            share: self.share.clone()?,
            of_streams: (
                streams.resume,
                streams.resume_timeout,
                streams.on_outage,
                streams.event_max,
            ),
            timeouts: [response, first_event, streams.stall_timeout, streams.idle_timeout],
            of_requests: (self.retry_on, self.connect_timeout, self.queue_timeout),
        })
    }
}

/// `join`: what a client gets that names no last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// An upstream stream of its own until that is quiet, and then the shared one.
    Fresh,
    /// Events from now on.
    Now,
    /// All events that are held, and those from now on.
    Log,
}

/// `ids`: whose ids the events of a shared stream have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The upstream's.
    Keep,
    /// Ours.
    Own,
}

/// `on_gap`: what a client gets whose last event is no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// An upstream stream of its own.
    Private,
    /// First `gap_event`, and then what this value of `join` gives to a client that names no last
    /// event.
    Join(Join),
    /// An empty stream that says when to reconnect.
    End,
}

/// `slow`: what a client gets that reads so slowly that its next event is no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// The end of its stream.
    End,
    /// `gap_event`, and then what is held.
    Skip,
    /// `gap_event` if there is one, and then the last event of each name.
    Latest,
}

/// Reads the table.
pub(crate) fn share(t: &mut Table<'_, '_>) -> Option<Share> {
    let join =
        t.require("join", "\"now\", \"log\" for a short history, or \"fresh\" for a state", join);
    let settle = t.take("settle", duration).unwrap_or(SETTLE);
    let query = t.take("query", |value| list(value, "[\"room\"], or [\"*\"]", parameter));
    let query = query.unwrap_or_else(|| vec!["*".to_owned()]);
    let headers = t.take("headers", fields).unwrap_or_default();
    let per_key = t.take("per_key", flag).unwrap_or(false);
    let ids = t.take("ids", ids).unwrap_or(Ids::Keep);
    let events = t.take("log_events", count(1..=100_000)).unwrap_or(1024);
    let bytes = t.take("log_bytes", memory(4 << 10..=1 << 30)).unwrap_or(1 << 20);
    let age = t.take("log_age", whole_seconds).unwrap_or(Duration::from_secs(300));
    let age = if age.is_zero() { Duration::MAX } else { age };
    let on_gap = t.take("on_gap", on_gap).unwrap_or(OnGap::Private);
    let has_event = t.has("gap_event");
    let gap_event = t.take("gap_event", event);
    let is_wrong = has_event && gap_event.is_none();
    let gap_event = gap_event.flatten();
    let slow = t.take("slow", slow).unwrap_or(Slow::End);
    let tells = matches!(on_gap, OnGap::Join(_)) || slow == Slow::Skip || ids == Ids::Own;
    if tells && gap_event.is_none() && !is_wrong {
        let what = "missing; a client that misses events has to be told; write gap_event = ";
        t.missing("gap_event", &format!("{what}\"event: gap\\ndata: {{}}\""));
    }
    let linger = t.take("linger", duration_or_zero).unwrap_or(Duration::from_secs(10));
    let max_logs = t.take("max_logs", count(1..=65_535)).unwrap_or(256);
    let query = Some(query).filter(|names| names.iter().all(|name| name != "*"));
    let limits = Limits { bytes, events, age };
    let join = join?;
    Some(Share {
        join,
        settle,
        query,
        headers,
        per_key,
        ids,
        limits,
        on_gap,
        gap_event,
        slow,
        linger,
        max_logs,
    })
}

fn join(value: &DeValue<'_>) -> Result<Join, Wrong> {
    match value.as_str() {
        Some("now") => Ok(Join::Now),
        Some("log") => Ok(Join::Log),
        Some("fresh") => Ok(Join::Fresh),
        _ => Err("not a place to begin; write \"now\", \"log\" or \"fresh\"".into()),
    }
}

fn ids(value: &DeValue<'_>) -> Result<Ids, Wrong> {
    match value.as_str() {
        Some("keep") => Ok(Ids::Keep),
        Some("own") => Ok(Ids::Own),
        _ => Err("not an id policy; write \"keep\" or \"own\"".into()),
    }
}

fn on_gap(value: &DeValue<'_>) -> Result<OnGap, Wrong> {
    match value.as_str() {
        Some("private") => Ok(OnGap::Private),
        Some("now") => Ok(OnGap::Join(Join::Now)),
        Some("log") => Ok(OnGap::Join(Join::Log)),
        Some("fresh") => Ok(OnGap::Join(Join::Fresh)),
        Some("end") => Ok(OnGap::End),
        _ => {
            let words = "\"private\", \"now\", \"log\", \"fresh\" or \"end\"";
            Err(format!("not a gap policy; write {words}").into())
        }
    }
}

fn slow(value: &DeValue<'_>) -> Result<Slow, Wrong> {
    match value.as_str() {
        Some("end") => Ok(Slow::End),
        Some("skip") => Ok(Slow::Skip),
        Some("latest") => Ok(Slow::Latest),
        _ => {
            let words = "\"end\", \"skip\" or \"latest\"";
            Err(format!("not a policy for slow clients; write {words}").into())
        }
    }
}

/// Reads the name of a query parameter, or `*`.
fn parameter(value: &DeValue<'_>) -> Result<String, Wrong> {
    match text(value)? {
        "" => Err("no name; write one like \"room\", or [] for none".into()),
        name => Ok(name.to_owned()),
    }
}

/// Reads the names of fields that clients may send upstream, each once.
fn fields(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    names(value, "[\"Accept-Language\"]", field)
}

fn field(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !is_token(name.as_bytes()) {
        return Err("not a field name; write one like \"Accept-Language\"".into());
    }
    let is = |field: &str| same_to_gateway(name, field);
    if is("Origin") {
        return Err("[api.cors] says which pages may read a shared stream; leave it out".into());
    }
    if is("Accept") || is("Last-Event-ID") || is("Accept-Encoding") || is("Range") {
        return Err("millstream handles this field of a shared stream itself; leave it out".into());
    }
    if is_reserved(name) {
        return Err("millstream handles this field itself; leave it out".into());
    }
    Ok(name.to_owned())
}
