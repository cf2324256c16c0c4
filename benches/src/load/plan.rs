//! What a load is to do, as its command line says it.
//!
//! ```text
//! load --to ADDR --path PATH  through which peer, to which of the origin's paths
//!      --tls                  with TLS
//!      --resume               each client of a storm comes with the tickets of the one before
//!      --streams N            so many connections, each with a request of its own
//!      --post                 POST instead of GET
//!      --rest SECONDS         after opening do nothing, and see what that costs the peer
//!      --wakes N              so often ask the origin to wake all streams
//!      --burst N              for so many events on each
//!      --control ADDR         the origin's own address
//!      --seconds N            count and measure for so long
//!      --shared               all connections ask for the same stream, and may come to it late
//!      --stalled N            beside the streams so many that read nothing
//!      --again WORD           when a response ends, send the request again: keep, on the
//!                             same connection; fresh, on a new one. leave: the client leaves
//!                             behind the first event, and comes back
//!      --events N             so many events in each response
//!      --raw                  bodies are the origin's short one, and hold no events
//!      --calls                count the peer's system calls, too
//!      --slow N               beside the streams so many that read 1 KB a second
//!      --visits N             beside the streams so many clients a second that open a
//!                             stream and leave behind its first event
//!      --storm N              beside the streams so many clients that open one, at once
//!      --drain                have the peer drain, and see how the streams end
//!      --reloads N            have the peer read its configuration again, so often
//!      --shorts N             beside the streams so many connections with short requests
//!      --tell WORDS           how the peer is told to: a signal's name, or a command
//!      --watch PID            the peer's process, whose use of the host is to be told
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
    /// Where connections go.
    pub to: SocketAddr,
    /// How TLS is spoken, if it is.
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
    /// How often to wake all streams.
    pub wakes: usize,
    /// Events on a stream at each wake.
    pub burst: u64,
    /// The origin's own address.
    pub control: Option<SocketAddr>,
    /// Nanoseconds of measuring.
    pub window: u64,
    /// What follows the end of a response.
    pub again: Again,
    /// Events in a response that ends.
    pub events: u32,
    /// Bodies are the origin's short one.
    pub raw: bool,
    /// The peer's system calls are counted.
    pub calls: bool,
    /// The number of slow readers.
    pub slow: usize,
    /// All connections ask for the same stream.
    pub shared: bool,
    /// The number of readers that read nothing.
    pub stalled: usize,
    /// Clients a second that open a stream and leave behind its first event.
    pub visits: usize,
    /// Clients that open a stream, all at once.
    pub storm: usize,
    /// The peer is told to drain.
    pub drain: bool,
    /// How often the peer is told to read its configuration again.
    pub reloads: usize,
    /// The number of connections with short requests beside that.
    pub shorts: usize,
    /// How the peer is told.
    pub tell: Option<Tell>,
    /// The peer's process.
    pub watch: Option<Watch>,
}

/// What follows the end of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: streams do not end.
    Never,
    /// Nothing: it is noted how they end.
    Noted,
    /// Another request on the same connection.
    Keep,
    /// Another request on a new connection.
    Fresh,
    /// Streams do not end, but clients leave behind the first event, and come back.
    Leave,
}

impl Plan {
    /// Reads the command line, and moves to the core it names.
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

    /// True exactly when the main streams have events by the clock, or without a pause, for ever,
    /// and nobody leaves them.
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
