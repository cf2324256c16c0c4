//! The load: opens streams through a peer, checks every event, and tells what it cost and how long
//! it took.
//!
//! Its life has four parts: open all streams; rest; wake them, or count for a while; tell. What it
//! tells is one line of `name=value` on standard output. The first wrong byte ends it with an
//! error: a peer that loses, reorders, mixes or breaks events has no speed.

mod check;
mod plan;
mod stream;
mod watch;

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::args::Args;
use crate::histogram::Histogram;
use crate::sys::{self, Events, MILLISECOND, Outcome, Poller, Ready, SECOND};
use plan::{Again, Plan};
use stream::Stream;
use watch::Watch;

/// Connections that are being opened at the same time, at most.
const OPENING: usize = 128;
/// Whatever takes longer than this does not come at all.
const PATIENCE: u64 = 30 * SECOND;

/// What was counted since the last reset.
pub struct Tally {
    /// Events, each of them checked.
    pub events: u64,
    /// Comments, as a proxy's heartbeats.
    pub comments: u64,
    /// Responses that are complete.
    pub responses: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the writing of an event to its reading.
    pub delays: Histogram,
    /// From a request, or the connection it is the first on, to the end of its response.
    pub times: Histogram,
}

/// Until what opening streams set in motion has come to rest.
const SETTLING: u64 = 300 * MILLISECOND;
/// Until the buffers between the origin and a client that does not read are full.
const FILLING: u64 = 2 * SECOND;

struct Load {
    plan: Plan,
    poller: Poller,
    streams: Vec<Stream>,
    open: usize,
    tally: Tally,
    scratch: Vec<u8>,
    events: Events,
}

/// `load ...`: see `plan.rs`.
pub fn main(args: Args) -> Outcome<()> {
    let plan = Plan::from_args(args)?;
    let watch = plan.watch.map(Watch);
    let mut load = Load {
        plan,
        poller: Poller::new()?,
        streams: Vec::new(),
        open: 0,
        tally: Tally::new(),
        scratch: vec![0; 64 * 1024],
        events: Events::new(),
    };
    let mut report = Report(Vec::new());
    let memory_before = watch.map(Watch::memory).transpose()?;
    load.open_all()?;
    load.pump(if load.plan.deaf { FILLING } else { SETTLING })?;
    load.rest(watch, &mut report)?;
    if let (Some(watch), Some(before)) = (watch, memory_before) {
        let now = watch.memory()?;
        report.add("memory_before", before as f64);
        report.add("memory_open", now as f64);
        report.add(
            "memory_stream",
            now.saturating_sub(before) as f64 / load.streams.len() as f64,
        );
    }
    load.measure(watch, &mut report)?;
    println!("{}", report.0.join(" "));
    Ok(())
}

impl Load {
    fn open_all(&mut self) -> Outcome<()> {
        let wanted = self.plan.streams;
        let deadline = sys::now() + PATIENCE;
        while self.open < wanted {
            while self.streams.len() < wanted && self.streams.len() - self.open < OPENING {
                let number = self.streams.len();
                let stream = Stream::connect(&self.plan, number)?;
                self.watch_for_room(&stream, number)?;
                self.streams.push(stream);
            }
            self.turn(deadline)?;
            if sys::now() > deadline {
                return Err(format!("{} of {wanted} streams open after 30 s", self.open));
            }
        }
        Ok(())
    }

    fn watch_for_room(&self, stream: &Stream, number: usize) -> Outcome<()> {
        self.poller
            .add(&stream.socket, number, Ready::OUT)
            .map_err(|error| error.to_string())
    }

    /// Does nothing for a while, which should cost the peer nothing.
    fn rest(&mut self, watch: Option<Watch>, report: &mut Report) -> Outcome<()> {
        if self.plan.rest == 0 {
            return Ok(());
        }
        let before = watch.map(Watch::processor_time).transpose()?;
        self.pump(self.plan.rest)?;
        if let (Some(watch), Some(before)) = (watch, before) {
            let used = watch.processor_time()? - before;
            let seconds = self.plan.rest as f64 / SECOND as f64;
            report.add("rest_us_per_s", used as f64 / 1e3 / seconds);
        }
        Ok(())
    }

    fn measure(&mut self, watch: Option<Watch>, report: &mut Report) -> Outcome<()> {
        if self.plan.wakes == 0 && self.plan.window == 0 {
            return Ok(());
        }
        self.tally = Tally::new();
        let ticks_before = watch.map(Watch::ticks).transpose()?;
        let used_before = watch.map(Watch::processor_time).transpose()?;
        let begun = sys::now();
        if self.plan.wakes > 0 {
            self.wake_all(report)?;
        } else {
            self.pump(self.plan.window)?;
        }
        let seconds = (sys::now() - begun) as f64 / SECOND as f64;
        if let (Some(watch), Some(used), Some(ticks)) = (watch, used_before, ticks_before) {
            let used = (watch.processor_time()? - used) as f64;
            let (user, system) = watch.ticks()?;
            report.add("user_ms", (user - ticks.0) as f64 * 10.0);
            report.add("system_ms", (system - ticks.1) as f64 * 10.0);
            report.add("busy_percent", used / 1e7 / seconds);
            report.add_share("cpu_event_us", used / 1e3, self.tally.events);
            report.add_share("cpu_response_us", used / 1e3, self.tally.responses);
            report.add_share("cpu_mib_us", used / 1e3 * 1048576.0, self.tally.bytes);
        }
        report.add_tally(&self.tally, seconds);
        Ok(())
    }

    /// Wakes all streams again and again; each wake begins when the one before has reached
    /// everyone.
    fn wake_all(&mut self, report: &mut Report) -> Outcome<()> {
        let address = self.plan.control.ok_or("load: --wakes needs --control")?;
        let mut control = TcpStream::connect(address)
            .and_then(|control| control.set_nonblocking(true).map(|()| control))
            .map_err(|error| format!("cannot reach the origin at {address}: {error}"))?;
        let mut times = Vec::new();
        for _ in 0..self.plan.wakes {
            let wanted = self.tally.events + self.streams.len() as u64 * self.plan.burst;
            let begun = sys::now();
            control
                .write_all(b"GET /wake HTTP/1.1\r\n\r\n")
                .map_err(|error| error.to_string())?;
            while self.tally.events < wanted {
                self.turn(begun + PATIENCE)?;
                if sys::now() > begun + PATIENCE {
                    return Err(format!("{} events lost", wanted - self.tally.events));
                }
            }
            times.push(sys::now() - begun);
            self.pump(30 * MILLISECOND)?;
            let _answers = control.read(&mut self.scratch);
        }
        times.sort_unstable();
        report.add("wake_ms", times[times.len() / 2] as f64 / 1e6);
        Ok(())
    }

    /// Serves all streams for so many nanoseconds.
    fn pump(&mut self, time: u64) -> Outcome<()> {
        let deadline = sys::now() + time;
        while sys::now() < deadline {
            self.turn(deadline)?;
        }
        Ok(())
    }

    fn turn(&mut self, deadline: u64) -> Outcome<()> {
        let mut events = std::mem::take(&mut self.events);
        self.poller.wait(&mut events, Some(deadline))?;
        for (number, ready) in events.iter() {
            if ready.contains(Ready::OUT) {
                self.ask(number)?;
            } else {
                self.read(number)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn ask(&mut self, number: usize) -> Outcome<()> {
        let stream = &mut self.streams[number];
        stream.ask(&self.plan.request(number))?;
        let changed = self.poller.change(&stream.socket, number, Ready::IN);
        changed.map_err(|error| error.to_string())
    }

    fn read(&mut self, number: usize) -> Outcome<()> {
        let stream = &mut self.streams[number];
        let was_open = stream.open;
        let ended = stream.read(&mut self.scratch, &self.plan, &mut self.tally)?;
        if stream.open && !was_open {
            self.opened(number)?;
        }
        if ended { self.again(number) } else { Ok(()) }
    }

    fn opened(&mut self, number: usize) -> Outcome<()> {
        self.open += 1;
        if self.plan.deaf {
            let removed = self.poller.remove(&self.streams[number].socket);
            return removed.map_err(|error| error.to_string());
        }
        Ok(())
    }

    fn again(&mut self, number: usize) -> Outcome<()> {
        match self.plan.again {
            Again::Never => Err(format!("stream {number}: the response ended")),
            Again::Keep => {
                let stream = &mut self.streams[number];
                stream.renew();
                stream.ask(&self.plan.request(number))
            }
            Again::Fresh => {
                let mut stream = Stream::connect(&self.plan, number)?;
                stream.open = true;
                self.watch_for_room(&stream, number)?;
                self.streams[number] = stream;
                Ok(())
            }
        }
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            events: 0,
            comments: 0,
            responses: 0,
            bytes: 0,
            delays: Histogram::new(),
            times: Histogram::new(),
        }
    }
}

/// The line that is told in the end.
struct Report(Vec<String>);

impl Report {
    fn add(&mut self, name: &str, value: f64) {
        self.0.push(format!("{name}={value}"));
    }

    fn add_share(&mut self, name: &str, value: f64, among: u64) {
        if among > 0 {
            self.add(name, value / among as f64);
        }
    }

    fn add_tally(&mut self, tally: &Tally, seconds: f64) {
        self.add("events", tally.events as f64);
        self.add("comments", tally.comments as f64);
        self.add("events_s", tally.events as f64 / seconds);
        self.add("responses_s", tally.responses as f64 / seconds);
        self.add("mib_s", tally.bytes as f64 / 1048576.0 / seconds);
        self.add_quantiles("delay", &tally.delays);
        self.add_quantiles("time", &tally.times);
    }

    fn add_quantiles(&mut self, name: &str, of: &Histogram) {
        if of.total() > 0 {
            for (part, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
                self.add(
                    &format!("{name}_{part}_us"),
                    of.quantile(share) as f64 / 1e3,
                );
            }
        }
    }
}
