//! The columns of tables: the load's names of their figures, their headings, and their units.

/// A figure of the load and its heading.
pub struct Column {
    /// The load's name for it.
    pub figure: &'static str,
    /// The heading, with the unit.
    pub title: &'static str,
    /// The factor by which the figure is multiplied.
    pub scale: f64,
    /// True if a column with the ratio to the floor follows.
    pub ratio: bool,
}

/// A figure by itself.
pub const fn column(figure: &'static str, title: &'static str, scale: f64) -> Column {
    Column {
        figure,
        title,
        scale,
        ratio: false,
    }
}

/// A figure that is compared with the floor's.
pub const fn with_ratio(figure: &'static str, title: &'static str, scale: f64) -> Column {
    Column {
        figure,
        title,
        scale,
        ratio: true,
    }
}

/// Processor time for each event.
pub const CPU_EVENT: Column = with_ratio("cpu_event_us", "CPU µs/event", 1.0);
/// Processor time per request and its response.
pub const CPU_RESPONSE: Column = with_ratio("cpu_response_us", "CPU µs/response", 1.0);
/// Processor time per response, each of which is a stream that its client leaves.
pub const CPU_STREAM: Column = with_ratio("cpu_response_us", "CPU µs/stream", 1.0);
/// The share of its core that the peer used.
pub const BUSY: Column = column("busy_percent", "peer busy %", 1.0);
/// System calls of the peer for each event.
pub const CALLS: Column = column("calls_event", "calls/event", 1.0);
/// Events received per second.
pub const EVENTS: Column = column("events_s", "events/s ×1000", 1e-3);
/// Responses completed per second.
pub const RESPONSES: Column = column("responses_s", "responses/s", 1.0);
/// The delay of an event: the median.
pub const DELAY: Column = column("delay_p50_us", "delay p50 µs", 1.0);
/// The 99th percentile.
pub const DELAY_99: Column = column("delay_p99_us", "p99 µs", 1.0);
/// The 99.9th percentile.
pub const DELAY_999: Column = column("delay_p999_us", "p99.9 µs", 1.0);
/// Memory before any stream is open.
pub const MEMORY_BEFORE: Column = column("memory_before", "PSS at rest KiB", 1.0 / 1024.0);
/// The memory that each stream adds.
pub const MEMORY_STREAM: Column = column("memory_stream", "bytes/stream", 1.0);
/// Processor time while nothing is sent.
pub const REST: Column = column("rest_us_per_s", "CPU µs per quiet second", 1.0);
