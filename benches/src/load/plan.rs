//! The plan of a load: its command line.
//!
//! ```text
//! load --to ADDR --path PATH  the peer, and the path at the origin
//!      --tls                  use TLS
//!      --resume               each client of a storm uses the tickets of the previous one
//!      --streams N            the number of connections, each with its own request
//!      --post                 POST instead of GET
//!      --rest SECONDS         after opening do nothing, and measure what that costs the peer
//!      --wakes N              make the origin wake all streams this many times
//!      --burst N              the number of events on each stream at a wake
//!      --control ADDR         the origin's address
//!      --seconds N            count and measure for this time
//!      --shared               all connections request the same stream, and may join it late
//!      --stalled N            in addition, this many streams that read nothing
//!      --again WORD           when a response ends, send the request again: keep, on the
//!                             same connection; fresh, on a new one. leave: the client leaves
//!                             after the first event, and reconnects
//!      --events N             the number of events in each response
//!      --raw                  bodies are the origin's short one, without events
//!      --calls                count the peer's system calls, too
//!      --slow N               in addition, this many streams that read 1 KB per second
//!      --visits N             in addition, this many clients per second that open a stream
//!                             and leave after its first event
//!      --storm N              in addition, this many clients that open a stream, all at once
//!      --drain                make the peer drain, and record how the streams end
//!      --reloads N            make the peer reload its configuration this many times
//!      --shorts N             in addition, this many connections with short requests
//!      --tell WORDS           how the peer is told to: the name of a signal, or a command
//!      --watch PID            the peer's process, whose resource usage is reported
//!      --core N               run on this core
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::stream::Role;
use super::tell::Tell;
use super::watch::Watch;
use crate::args::Args;
use crate::sys::{Outcome, SECOND};
use crate::tls;

/// A load's command line.
pub struct Plan {
    /// The address to connect to.
    pub to: SocketAddr,
    /// The configuration for TLS, if it is used.
    pub tls: Option<Arc<ClientConfig>>,
    /// Clients of a storm keep their tickets.
    pub resume: bool,
    /// The target of requests, to which the stream's number is added.
    pub path: String,
    /// The number of connections.
    pub streams: usize,
    /// POST, with a small body.
    pub post: bool,
    /// Nanoseconds of doing nothing.
    pub rest: u64,
    /// How often all streams are woken.
    pub wakes: usize,
    /// Events per stream at each wake.
    pub burst: u64,
    /// The origin's address.
    pub control: Option<SocketAddr>,
    /// Nanoseconds of measuring.
    pub window: u64,
    /// What happens after the end of a response.
    pub again: Again,
    /// Events in a response, if it ends.
    pub events: u32,
    /// Bodies are the origin's short one.
    pub raw: bool,
    /// The peer's system calls are counted.
    pub calls: bool,
    /// The number of slow readers.
    pub slow: usize,
    /// All connections request the same stream.
    pub shared: bool,
    /// The number of readers that read nothing.
    pub stalled: usize,
    /// Clients per second that open a stream and leave after its first event.
    pub visits: usize,
    /// Clients that open a stream, all at once.
    pub storm: usize,
    /// The peer is told to drain.
    pub drain: bool,
    /// How often the peer is told to reload its configuration.
    pub reloads: usize,
    /// The number of connections with short requests during that.
    pub shorts: usize,
    /// How the peer is told to drain or reload.
    pub tell: Option<Tell>,
    /// The peer's process.
    pub watch: Option<Watch>,
}

/// What happens after the end of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: streams do not end.
    Never,
    /// Nothing, but the ends are recorded.
    Noted,
    /// Another request on the same connection.
    Keep,
    /// Another request on a new connection.
    Fresh,
    /// Streams do not end, but clients leave after the first event, and reconnect.
    Leave,
}

impl Plan {
    /// Parses the command line, and moves to the core that it names.
    pub fn from_args(args: Args) -> Outcome<Self> {
        let (mut to, mut core) = (None, None);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut plan = Self {
            to: nowhere,
            tls: None,
            resume: false,
            path: "/idle".into(),
            streams: 1,
            post: false,
            rest: 0,
            wakes: 0,
            burst: 1,
            control: None,
            window: 0,
            again: Again::Never,
            events: 0,
            raw: false,
            calls: false,
            slow: 0,
            shared: false,
            stalled: 0,
            visits: 0,
            storm: 0,
            drain: false,
            reloads: 0,
            shorts: 0,
            tell: None,
            watch: None,
        };
        args.each(|name, option| {
            match name {
                "to" => to = Some(option.parsed()?),
                "tls" => plan.tls = Some(tls::client()?),
                "resume" => plan.resume = true,
                "path" => plan.path = option.text()?,
                "streams" => plan.streams = option.number()?,
                "post" => plan.post = true,
                "rest" => plan.rest = option.number::<u64>()? * SECOND,
                "wakes" => plan.wakes = option.number()?,
                "burst" => plan.burst = option.number()?,
                "control" => plan.control = Some(option.parsed()?),
                "seconds" => plan.window = option.number::<u64>()? * SECOND,
                "again" => plan.again = again(&option.text()?)?,
                "events" => plan.events = option.number()?,
                "raw" => plan.raw = true,
                "calls" => plan.calls = true,
                "slow" => plan.slow = option.number()?,
                "shared" => plan.shared = true,
                "stalled" => plan.stalled = option.number()?,
                "visits" => plan.visits = option.number()?,
                "storm" => plan.storm = option.number()?,
                "drain" => plan.drain = true,
                "reloads" => plan.reloads = option.number()?,
                "shorts" => plan.shorts = option.number()?,
                "tell" => plan.tell = Some(option.parsed()?),
                "watch" => plan.watch = Some(Watch(option.number()?)),
                "core" => core = Some(option.number()?),
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        plan.to = to.ok_or("load: no --to")?;
        if plan.drain || plan.reloads > 0 {
            plan.again = Again::Noted;
        }
        core.map_or(Ok(()), crate::sys::pin_to)?;
        Ok(plan)
    }

    /// True if the main streams have events at a fixed rate, or without a pause, forever, and their
    /// clients do not leave.
    pub fn is_endless(&self) -> bool {
        let has_events = self.path.starts_with("/paced") || self.path.starts_with("/saturate");
        has_events && self.again != Again::Leave
    }

    /// The bytes of a connection's request.
    pub fn request(&self, role: Role, number: usize) -> Vec<u8> {
        let path = match role {
            Role::Main => self.path.as_str(),
            Role::Slow if self.shared => self.path.as_str(),
            Role::Slow => "/saturate?size=16000&room=65536",
            Role::Visitor | Role::Newcomer => "/tokens?n=1000000&gap_ms=60000",
            Role::Short => "/short",
        };
        let number = if self.shared { 0 } else { number };
        let mark = if path.contains('?') { '&' } else { '?' };
        let (method, length, body) = match self.post {
            true => ("POST", "Content-Length: 16\r\n", "{\"stream\": true}"),
            false => ("GET", "", ""),
        };
        format!(
            "{method} {path}{mark}id={number} HTTP/1.1\r\nHost: bench\r\n\
             Accept: text/event-stream\r\n{length}\r\n{body}"
        )
        .into_bytes()
    }
}

fn again(word: &str) -> Outcome<Again> {
    match word {
        "keep" => Ok(Again::Keep),
        "fresh" => Ok(Again::Fresh),
        "leave" => Ok(Again::Leave),
        _ => Err(format!("--again {word}: keep, fresh or leave")),
    }
}
