//! The scenarios: what is asked of a peer, and which figures tell how it did.

use crate::sys::Outcome;

/// One arrangement.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The words of the load's command line (`load/plan.rs`).
    pub load: &'static str,
    /// What the table shows.
    pub columns: &'static [Column],
}

/// A figure of the load and how it is shown.
pub struct Column {
    /// The load's name for it.
    pub figure: &'static str,
    /// The heading, with the unit.
    pub title: &'static str,
    /// What the figure is multiplied with.
    pub scale: f64,
    /// True exactly when a column with the ratio to the floor follows.
    pub ratio: bool,
}

const fn column(figure: &'static str, title: &'static str, scale: f64) -> Column {
    Column {
        figure,
        title,
        scale,
        ratio: false,
    }
}

const fn with_ratio(figure: &'static str, title: &'static str, scale: f64) -> Column {
    Column {
        figure,
        title,
        scale,
        ratio: true,
    }
}

const CPU_EVENT: Column = with_ratio("cpu_event_us", "CPU µs/event", 1.0);
const CPU_RESPONSE: Column = with_ratio("cpu_response_us", "CPU µs/response", 1.0);
const BUSY: Column = column("busy_percent", "peer busy %", 1.0);
const DELAY: Column = column("delay_p50_us", "delay p50 µs", 1.0);
const DELAY_99: Column = column("delay_p99_us", "p99 µs", 1.0);
const DELAY_999: Column = column("delay_p999_us", "p99.9 µs", 1.0);
const MEMORY_BEFORE: Column = column("memory_before", "PSS at rest KiB", 1.0 / 1024.0);
const MEMORY_STREAM: Column = with_ratio("memory_stream", "bytes/stream", 1.0);

/// All scenarios, the most telling ones first.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "idle",
        about: "9,000 quiet streams for 10 s, then one event on each at once",
        load: "--path /idle --streams 9000 --rest 10 --wakes 1",
        columns: &[
            MEMORY_BEFORE,
            MEMORY_STREAM,
            column("rest_us_per_s", "CPU µs per quiet second", 1.0),
            CPU_EVENT,
            column("wake_ms", "all woken ms", 1.0),
        ],
    },
    Scenario {
        name: "paced",
        about: "1,000 streams, 10 events of 100 bytes a second on each, never two at once",
        load: "--path /paced?rate=10&size=100 --streams 1000 --seconds 10",
        columns: &[CPU_EVENT, BUSY, DELAY, DELAY_99, DELAY_999],
    },
    Scenario {
        name: "saturate",
        about: "100 streams, events of 100 bytes as fast as anyone can, one write each",
        load: "--path /saturate?size=100 --streams 100 --seconds 5",
        columns: &[CPU_EVENT, BUSY, column("events_s", "events/s ×1000", 1e-3)],
    },
    Scenario {
        name: "burst",
        about: "500 streams, 20 events in one write on each, all streams at once, 20 times",
        load: "--path /burst?n=20&size=100 --streams 500 --wakes 20 --burst 20",
        columns: &[
            CPU_EVENT,
            column("wake_ms", "until all have all ms", 1.0),
            DELAY,
            DELAY_99,
        ],
    },
    Scenario {
        name: "short",
        about: "32 connections that send one small request after the other",
        load: "--path /short --streams 32 --seconds 5 --again keep --raw",
        columns: &[
            CPU_RESPONSE,
            BUSY,
            column("responses_s", "responses/s", 1.0),
            column("time_p50_us", "time p50 µs", 1.0),
            column("time_p99_us", "p99 µs", 1.0),
        ],
    },
    Scenario {
        name: "tokens",
        about: "100 connections that POST, get 200 events, one each 5 ms, and POST again",
        load: "--path /tokens?n=200&gap_ms=5 --events 200 --post --streams 100 --seconds 6 \
               --again keep",
        columns: &[
            CPU_EVENT,
            BUSY,
            DELAY,
            DELAY_99,
            column("events_s", "events/s", 1.0),
        ],
    },
    Scenario {
        name: "bulk",
        about: "8 connections that fetch 64 KiB, again and again",
        load: "--path /bulk?size=65536 --streams 8 --seconds 5 --again keep --raw",
        columns: &[
            with_ratio("cpu_mib_us", "CPU µs/MiB", 1.0),
            BUSY,
            column("mib_s", "MiB/s", 1.0),
        ],
    },
    Scenario {
        name: "churn",
        about: "16 clients that connect, get a stream of one event, leave, and come back",
        load: "--path /tokens?n=1&gap_ms=0 --streams 16 --seconds 5 --again fresh --events 1",
        columns: &[
            CPU_RESPONSE,
            BUSY,
            column("responses_s", "streams/s", 1.0),
            column("time_p50_us", "time p50 µs", 1.0),
            column("time_p99_us", "p99 µs", 1.0),
        ],
    },
    Scenario {
        name: "slow",
        about: "50 streams as fast as can be, 8,000 bytes an event, to clients that read nothing",
        load: "--path /saturate?size=8000 --streams 50 --deaf --rest 5",
        columns: &[
            MEMORY_BEFORE,
            MEMORY_STREAM,
            column("rest_us_per_s", "CPU µs per blocked second", 1.0),
        ],
    },
];

/// The scenario of a name.
pub fn named(name: &str) -> Outcome<&'static Scenario> {
    let names = || {
        ALL.iter()
            .map(|scenario| scenario.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = ALL.iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| format!("--scenario {name}: there are {}", names()))
}
