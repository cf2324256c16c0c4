//! What a load is to do, as its command line says it.
//!
//!     load --to ADDR --path PATH  through which peer, to which of the origin's paths
//!          --streams N            so many connections, each with a request of its own
//!          --post                 POST instead of GET
//!          --rest SECONDS         after opening do nothing, and see what that costs the peer
//!          --wakes N              so often ask the origin to wake all streams
//!          --burst N              for so many events on each
//!          --control ADDR         the origin's own address
//!          --seconds N            count and measure for so long
//!          --again keep|fresh     when a response ends, send the request again: on the same
//!                                 connection, or on a new one
//!          --events N             so many events in each response
//!          --raw                  bodies hold no events
//!          --deaf                 read nothing behind the heads
//!          --watch PID            the peer's process, whose use of the host is to be told
//!          --core N               run on this core

use std::net::SocketAddr;

use crate::args::Args;
use crate::sys::{Outcome, SECOND};

/// A load's command line.
pub struct Plan {
    /// Where connections go.
    pub to: SocketAddr,
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
    /// Bodies hold no events; the time of a whole response is measured.
    pub raw: bool,
    /// Nothing is read behind the heads.
    pub deaf: bool,
    /// The peer's process.
    pub watch: Option<u32>,
}

/// What follows the end of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: streams do not end.
    Never,
    /// Another request on the same connection.
    Keep,
    /// Another request on a new connection.
    Fresh,
}

impl Plan {
    /// Reads the command line, and moves to the core it names.
    pub fn from_args(args: Args) -> Outcome<Self> {
        let (mut to, mut core) = (None, None);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut plan = Self {
            to: nowhere,
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
            deaf: false,
            watch: None,
        };
        args.each(|name, option| {
            match name {
                "to" => to = Some(option.parsed()?),
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
                "deaf" => plan.deaf = true,
                "watch" => plan.watch = Some(option.number()?),
                "core" => core = Some(option.number()?),
                _ => return option.unknown(),
            }
            Ok(())
        })?;
        plan.to = to.ok_or("load: no --to")?;
        core.map_or(Ok(()), crate::sys::pin_to)?;
        Ok(plan)
    }

    /// The bytes of a stream's request.
    pub fn request(&self, stream: usize) -> Vec<u8> {
        let Self { path, post, .. } = self;
        let mark = if path.contains('?') { '&' } else { '?' };
        let (method, length, body) = match post {
            true => ("POST", "Content-Length: 16\r\n", "{\"stream\": true}"),
            false => ("GET", "", ""),
        };
        format!(
            "{method} {path}{mark}id={stream} HTTP/1.1\r\nHost: bench\r\n\
             Accept: text/event-stream\r\n{length}\r\n{body}"
        )
        .into_bytes()
    }
}

fn again(word: &str) -> Outcome<Again> {
    match word {
        "keep" => Ok(Again::Keep),
        "fresh" => Ok(Again::Fresh),
        _ => Err(format!("--again {word}: keep or fresh")),
    }
}
