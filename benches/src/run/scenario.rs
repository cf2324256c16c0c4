//! The scenarios: what is measured, and which figures show it.

use super::column::{
    BUSY, CALLS, CPU_EVENT, CPU_RESPONSE, CPU_STREAM, Column, DELAY, DELAY_99, DELAY_999, EVENTS,
    MEMORY_BEFORE, MEMORY_STREAM, RESPONSES, REST, column, with_ratio,
};
use crate::sys::Outcome;

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// A description, in a sentence.
    pub about: &'static str,
    /// The options of the load (`load/plan.rs`).
    pub load: &'static str,
    /// The columns of the table.
    pub columns: &'static [Column],
    /// The figures with a plot, by the load's names.
    pub drawn: &'static [&'static str],
    /// What a peer must be able to do to take part.
    pub need: Need,
    /// Seconds between heartbeats, for peers that have any; 0: none.
    pub heartbeat: u32,
    /// Seconds that a peer gives its streams in a drain, or after a reload that leaves them with
    /// the old configuration.
    pub window: u32,
    /// Idle connections to the origin that a peer may keep, if it has a limit.
    pub pool: u32,
    /// Clients use TLS.
    pub tls: bool,
    /// The origin uses TLS.
    pub upstream_tls: bool,
    /// What clients get when they join a shared stream, for peers that can share one.
    pub join: Option<&'static str>,
    /// The nice value of the origin. It shares a core with the load; if the load has priority, it
    /// can always read what has arrived.
    pub origin_nice: u32,
}

/// What a peer must do in a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Forward events.
    Nothing,
    /// Heartbeats of its own.
    Heartbeats,
    /// Drain.
    Drain,
    /// Reload its configuration.
    Reload,
}

/// The defaults: millstream's default heartbeat, ten seconds to drain, and a pool with room for the
/// connections of all clients that reconnect.
const PLAIN: Scenario = Scenario {
    name: "",
    about: "",
    load: "",
    columns: &[],
    drawn: &[],
    need: Need::Nothing,
    heartbeat: 15,
    window: 10,
    pool: 256,
    tls: false,
    upstream_tls: false,
    join: None,
    origin_nice: 0,
};

/// All scenarios, in the order in which they are measured.
pub const ALL: &[Scenario] = &[
    IDLE,
    HEARTBEATS,
    PACED,
    SATURATE,
    SATBATCH,
    TOKENS,
    BURST,
    SHORT,
    CROWD,
    POOL,
    FRESH,
    BULK,
    CHURN,
    VISITS,
    STORM,
    SLOW,
    DRAIN,
    RELOAD,
    SHARED,
    UNSHARED,
    SHARED_IDLE,
    REPLAY,
    STALLED,
    TLS_IDLE,
    TLS_BOTH,
    TLS_PACED,
    TLS_FRESH,
    TLS_CHURN,
    TLS_STORM,
    TLS_RETURN,
    TLS_UPSTREAM,
];

const IDLE: Scenario = Scenario {
    name: "idle",
    about: "9,000 quiet streams for 10 s, heartbeats off, then one event on each at once, 5 times",
    load: "--path /idle --streams 9000 --rest 10 --wakes 5",
    columns: &[
        MEMORY_BEFORE,
        MEMORY_STREAM,
        column("open_s", "all open s", 1.0),
        REST,
        CPU_EVENT,
        DELAY,
        column("wake_ms", "all woken ms", 1.0),
    ],
    drawn: &["memory_stream", "cpu_event_us"],
    heartbeat: 0,
    ..PLAIN
};

const HEARTBEATS: Scenario = Scenario {
    name: "heartbeats",
    about: "9,000 quiet streams for 20 s, with heartbeats each 15 s; for peers that have any",
    load: "--path /idle --streams 9000 --rest 20",
    columns: &[
        REST,
        column("comments_s", "heartbeats/s", 1.0),
        column("cpu_comment_us", "CPU µs/heartbeat", 1.0),
        MEMORY_STREAM,
    ],
    drawn: &["rest_us_per_s"],
    need: Need::Heartbeats,
    ..PLAIN
};

const PACED: Scenario = Scenario {
    name: "paced",
    about: "1,000 streams, 10 events of 100 bytes a second on each, each stream with a phase of \
            its own; calls are counted by perf (apt-get install linux-perf, and be root)",
    load: "--path /paced?rate=10&size=100 --streams 1000 --seconds 8 --calls",
    columns: &[CPU_EVENT, CALLS, BUSY, EVENTS, DELAY, DELAY_99, DELAY_999],
    drawn: &["cpu_event_us", "delay_p99_us"],
    ..PLAIN
};

const SATURATE: Scenario = Scenario {
    name: "saturate",
    about: "100 streams, events of 100 bytes as fast as anyone can, one write each; compare \
            CPU/event only at about as many calls/event, for a read that finds many is cheap",
    load: "--path /saturate?size=100 --streams 100 --seconds 4 --calls",
    columns: &[
        Column {
            ratio: true,
            ..EVENTS
        },
        CPU_EVENT,
        CALLS,
        BUSY,
    ],
    drawn: &["events_s", "cpu_event_us"],
    ..PLAIN
};

const SATBATCH: Scenario = Scenario {
    name: "satbatch",
    about: "100 streams, events of 100 bytes as fast as anyone can, each a chunk of its own, but \
            16 in one write",
    load: "--path /saturate?size=100&batch=16 --streams 100 --seconds 4 --calls",
    ..SATURATE
};

const TOKENS: Scenario = Scenario {
    name: "tokens",
    about: "100 connections that POST, get 200 events, one each 5 ms, and POST again",
    load: "--path /tokens?n=200&gap_ms=5 --events 200 --post --streams 100 --seconds 6 \
           --again keep",
    columns: &[
        CPU_EVENT,
        BUSY,
        EVENTS,
        column("first_p50_us", "first event p50 µs", 1.0),
        column("first_p99_us", "p99 µs", 1.0),
        column("jitter_p50_us", "jitter p50 µs", 1.0),
        column("jitter_p99_us", "p99 µs", 1.0),
    ],
    drawn: &["cpu_event_us", "jitter_p99_us"],
    ..PLAIN
};

const BURST: Scenario = Scenario {
    name: "burst",
    about: "500 streams, 20 events in one write on each, all streams at once, 20 times",
    load: "--path /burst?n=20&size=100 --streams 500 --wakes 20 --burst 20",
    columns: &[
        CPU_EVENT,
        column("wake_ms", "until all have all ms", 1.0),
        DELAY,
        DELAY_99,
    ],
    drawn: &["cpu_event_us", "wake_ms"],
    ..PLAIN
};

const SHORT: Scenario = Scenario {
    name: "short",
    about: "32 connections that send one small request after the other",
    load: "--path /short --streams 32 --seconds 5 --again keep --raw",
    columns: &[CPU_RESPONSE, BUSY, RESPONSES],
    drawn: &["cpu_response_us"],
    ..PLAIN
};

const CROWD: Scenario = Scenario {
    name: "crowd",
    about: "100 connections that send one small request after the other",
    load: "--path /short --streams 100 --seconds 5 --again keep --raw",
    ..SHORT
};

const POOL: Scenario = Scenario {
    name: "pool",
    about: "the same, but peers keep 32 idle connections to the origin at most (lighttpd: none)",
    pool: 32,
    ..CROWD
};

const FRESH: Scenario = Scenario {
    name: "fresh",
    about: "32 clients that connect, send one small request, leave, and come back",
    load: "--path /short --streams 32 --seconds 5 --again fresh --raw",
    columns: &[CPU_RESPONSE, BUSY, RESPONSES],
    drawn: &["cpu_response_us"],
    ..PLAIN
};

const BULK: Scenario = Scenario {
    name: "bulk",
    about: "4 streams, events of 64 KiB as fast as anyone can, one write each",
    load: "--path /saturate?size=65536 --streams 4 --seconds 5",
    columns: &[
        with_ratio("cpu_gb_ms", "CPU ms/GB", 1.0),
        BUSY,
        column("gb_s", "GB/s", 1.0),
    ],
    drawn: &["cpu_gb_ms"],
    ..PLAIN
};

const CHURN: Scenario = Scenario {
    name: "churn",
    about: "16 clients that open an endless stream, leave behind its first event, and come back; \
            0.3 s after the last one the origin is asked how many of its streams are open",
    load: "--path /tokens?n=1000000&gap_ms=1000 --streams 16 --seconds 5 --again leave",
    columns: &[
        CPU_STREAM,
        BUSY,
        Column {
            title: "streams/s",
            ..RESPONSES
        },
        column("left_open", "left open", 1.0),
    ],
    drawn: &["cpu_response_us"],
    ..PLAIN
};

const VISITS: Scenario = Scenario {
    name: "visits",
    about: "100 streams with 20 events a second, alone and beside 2,000 clients a second that open \
            an endless stream and leave behind its first event",
    load: "--path /paced?rate=20&size=100 --streams 100 --visits 2000 --seconds 4",
    columns: &[
        with_ratio("busy_percent", "beside: peer busy %", 1.0),
        column("visits_s", "streams/s", 1.0),
        column("visit_p99_us", "their first event p99 µs", 1.0),
        column("alone_p50_us", "alone: delay p50 µs", 1.0),
        column("alone_p99_us", "p99 µs", 1.0),
        column("beside_p50_us", "beside: delay p50 µs", 1.0),
        with_ratio("beside_p99_us", "p99 µs", 1.0),
    ],
    drawn: &["busy_percent", "beside_p99_us"],
    ..PLAIN
};

const STORM: Scenario = Scenario {
    name: "storm",
    about: "100 streams with 100 events a second, alone and while 2,000 clients connect at once \
            and open a stream each, 10 times; a storm ends when all clients have their first event",
    load: "--path /paced?rate=100&size=100 --streams 100 --storm 2000 --seconds 2",
    columns: &[
        column("alone_p50_us", "alone: delay p50 µs", 1.0),
        column("alone_p99_us", "p99 µs", 1.0),
        column("storm_p50_us", "in the storm: delay p50 µs", 1.0),
        column("storm_p99_us", "p99 µs", 1.0),
        column("storm_max_us", "max µs", 1.0),
        with_ratio("storm_ms", "storm ms", 1.0),
    ],
    drawn: &["storm_p99_us", "storm_ms"],
    origin_nice: 19,
    ..PLAIN
};

const SLOW: Scenario = Scenario {
    name: "slow",
    about: "100 streams with 10 events a second, alone and beside 100 more that are saturated, and \
            whose clients read 1 KiB a second",
    load: "--path /paced?rate=10&size=100 --streams 100 --slow 100 --seconds 4",
    columns: &[
        column("memory_slow", "bytes/slow stream", 1.0),
        column("alone_p50_us", "alone: delay p50 µs", 1.0),
        column("alone_p99_us", "p99 µs", 1.0),
        column("beside_p50_us", "beside: delay p50 µs", 1.0),
        column("beside_p99_us", "p99 µs", 1.0),
    ],
    drawn: &["memory_slow", "beside_p99_us"],
    ..PLAIN
};

const DRAIN: Scenario = Scenario {
    name: "drain",
    about: "9,000 streams with one event a second, and 2 s later the peer's graceful end, with a \
            window of 10 s; the ends are timed from when it was told",
    load: "--path /paced?rate=1&size=100 --streams 9000 --seconds 2 --drain",
    columns: &[
        column("first_end_s", "first end s", 1.0),
        column("last_end_s", "last end s", 1.0),
        column("peak_percent", "most ends within 100 ms %", 1.0),
        column("ended_inside", "inside an event", 1.0),
        column("ended_cut", "no last chunk", 1.0),
        column("still_open", "open after 30 s", 1.0),
        column("events_lost", "events lost", 1.0),
    ],
    drawn: &["peak_percent"],
    need: Need::Drain,
    ..PLAIN
};

const RELOAD: Scenario = Scenario {
    name: "reload",
    about: "500 streams with 10 events a second, short requests beside them, and 20 reloads; \
            streams may stay with the old configuration for an hour",
    load: "--path /paced?rate=10&size=100 --streams 500 --shorts 8 --reloads 20",
    columns: &[
        column("broken", "streams broken", 1.0),
        column("requests", "requests", 1.0),
        column("requests_failed", "failed", 1.0),
        EVENTS,
        DELAY,
        DELAY_99,
        column("memory_grown", "PSS grown in 20 reloads KiB", 1.0 / 1024.0),
    ],
    drawn: &["memory_grown", "delay_p99_us"],
    need: Need::Reload,
    window: 3600,
    ..PLAIN
};

const SHARED: Scenario = Scenario {
    name: "shared",
    about: "1,000 clients of one stream with 10 events of 100 bytes a second, which millstream \
            reads once; the others have an upstream stream for each client",
    load: "--path /paced?rate=10&size=100 --shared --streams 1000 --seconds 8 --calls",
    columns: &[
        column("upstreams", "upstream streams", 1.0),
        with_ratio("cpu_event_us", "CPU µs/event", 1.0),
        CALLS,
        BUSY,
        EVENTS,
        DELAY,
        DELAY_99,
        DELAY_999,
    ],
    join: Some("now"),
    ..PACED
};

const UNSHARED: Scenario = Scenario {
    name: "unshared",
    about: "shared, without [api.share]",
    join: None,
    ..SHARED
};

const SHARED_IDLE: Scenario = Scenario {
    name: "shared-idle",
    about: "idle, with 9,000 clients of one stream",
    load: "--path /idle --shared --streams 9000 --rest 10 --wakes 5",
    join: Some("now"),
    ..IDLE
};

const REPLAY: Scenario = Scenario {
    name: "replay",
    about: "16 clients that join one stream with 1,000 events of 100 bytes a second, get what \
            is held of it (up to 1,024 events), leave, and come back; who shares nothing gives \
            them the next event",
    load: "--path /paced?rate=1000&size=100 --shared --streams 16 --seconds 5 --again leave",
    columns: &[
        CPU_STREAM,
        CPU_EVENT,
        BUSY,
        Column {
            title: "streams/s",
            ..RESPONSES
        },
        EVENTS,
    ],
    join: Some("log"),
    ..CHURN
};

const STALLED: Scenario = Scenario {
    name: "stalled",
    about: "90 clients of one stream with 200 events of 1,000 bytes a second, alone and beside 10 \
            more that read nothing",
    load: "--path /paced?rate=200&size=1000 --shared --streams 90 --stalled 10 --seconds 6",
    columns: &[
        column("memory_slow", "bytes/stalled client", 1.0),
        column("alone_p50_us", "alone: delay p50 µs", 1.0),
        column("alone_p99_us", "p99 µs", 1.0),
        column("beside_p50_us", "beside: delay p50 µs", 1.0),
        column("beside_p99_us", "p99 µs", 1.0),
    ],
    join: Some("now"),
    ..SLOW
};

const TLS_IDLE: Scenario = Scenario {
    name: "tls-idle",
    about: "idle, with clients that come with TLS",
    tls: true,
    ..IDLE
};

const TLS_BOTH: Scenario = Scenario {
    name: "tls-both",
    about: "idle, with clients that come with TLS, and an origin that is asked with TLS",
    upstream_tls: true,
    ..TLS_IDLE
};

const TLS_PACED: Scenario = Scenario {
    name: "tls-paced",
    about: "paced, with clients that come with TLS",
    tls: true,
    ..PACED
};

const TLS_FRESH: Scenario = Scenario {
    name: "tls-fresh",
    about: "fresh, with clients that come with TLS, each with a full handshake (P-256)",
    tls: true,
    ..FRESH
};

const TLS_CHURN: Scenario = Scenario {
    name: "tls-churn",
    about: "churn, with clients that come with TLS, each with a full handshake (P-256)",
    tls: true,
    ..CHURN
};

const TLS_STORM: Scenario = Scenario {
    name: "tls-storm",
    about: "storm, with clients that come with TLS, each with a full handshake (P-256)",
    tls: true,
    ..STORM
};

const TLS_RETURN: Scenario = Scenario {
    name: "tls-return",
    about: "storm, with clients that come with TLS, each with a ticket of the storm before: what a \
            peer is spared whose tickets outlive it",
    load: "--path /paced?rate=100&size=100 --streams 100 --storm 2000 --seconds 2 --resume",
    columns: &[
        column("alone_p99_us", "alone: delay p99 µs", 1.0),
        column("storm_p50_us", "in the storm: delay p50 µs", 1.0),
        column("storm_p99_us", "p99 µs", 1.0),
        column("storm_max_us", "max µs", 1.0),
        with_ratio("storm_ms", "storm ms", 1.0),
        column("resumed_percent", "handshakes resumed %", 1.0),
    ],
    tls: true,
    ..STORM
};

const TLS_UPSTREAM: Scenario = Scenario {
    name: "tls-upstream",
    about: "churn, with an origin that is asked with TLS, each time on a new connection, as the \
            client has left the stream on the one before; the origin counts the handshakes",
    columns: &[
        CPU_STREAM,
        BUSY,
        Column {
            title: "streams/s",
            ..RESPONSES
        },
        column("resumed_percent", "handshakes resumed %", 1.0),
        column("left_open", "left open", 1.0),
    ],
    upstream_tls: true,
    ..CHURN
};

/// The names of all scenarios, separated by commas.
pub fn names() -> String {
    let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
    names.join(",")
}

/// The scenario with this name.
pub fn named(name: &str) -> Outcome<&'static Scenario> {
    let found = ALL.iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| format!("--scenario {name}: there are {}", names()))
}
