//! The load: opens streams through a peer, checks every event, and reports costs and delays.
//!
//! It has four phases: open all streams; rest; do what the plan says (`measure.rs`, `arrivals.rs`,
//! `trial.rs`); report. The report is one line of `name=value` on standard output. The first wrong
//! byte ends the load with an error: a peer that loses, reorders, mixes up or damages events has no
//! results. An end of a stream is an error unless ends are measured.

mod arrivals;
mod calls;
mod check;
mod control;
mod measure;
mod plan;
mod stream;
mod tally;
mod tell;
mod trial;
mod turns;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::args::Args;
use crate::sys::{self, Events, MILLISECOND, Outcome, Poller, Ready, SECOND};
use crate::tls;
use check::Check;
use plan::{Again, Plan};
use stream::{Heard, Role, State, Stream};
use tally::{Report, Tally};
use turns::Turns;
use watch::Watch;

/// The maximum number of connections that are being opened at the same time.
const OPENING: usize = 128;
/// After this time, an awaited event or response is missing.
const PATIENCE: u64 = 30 * SECOND;
/// The time in which the effects of a start, or of opening streams, fade.
const SETTLING: u64 = 300 * MILLISECOND;
/// How much a slow reader reads in its turn.
const SIP: usize = 1024;
/// The maximum number of connections, besides the main streams, served between two polls.
const OTHERS: usize = 32;

struct Load {
    plan: Plan,
    poller: Poller,
    /// The main streams, followed by those of other roles.
    streams: Vec<Stream>,
    open: usize,
    /// When connections of other roles act.
    turns: Option<Turns>,
    tally: Tally,
    /// Counts of other roles.
    aside: Tally,
    /// The ends of main streams.
    ends: Vec<End>,
    scratch: Vec<u8>,
    events: Events,
    /// The configuration of each client in a storm, if it keeps its tickets.
    tickets: HashMap<usize, Arc<ClientConfig>>,
}

/// The end of a stream that was expected to continue.
#[derive(Clone, Copy)]
struct End {
    time: u64,
    /// There was no last chunk, so the client can tell that it was cut.
    cut: bool,
    /// The last event is incomplete.
    inside_event: bool,
}

/// `load ...`: see `plan.rs`.
pub fn main(args: Args) -> Outcome<()> {
    let plan = Plan::from_args(args)?;
    sys::sharpen_timers()?;
    let watch = plan.watch;
    let mut load = Load {
        plan,
        poller: Poller::new()?,
        streams: Vec::new(),
        open: 0,
        turns: None,
        tally: Tally::new(),
        aside: Tally::new(),
        ends: Vec::new(),
        scratch: vec![0; 64 * 1024],
        events: Events::new(),
        tickets: HashMap::new(),
    };
    let mut report = Report::new();
    load.pump(SETTLING)?;
    let memory_before = watch.map(Watch::memory).transpose()?;
    let begun = sys::now();
    load.open(load.plan.streams, Role::Main)?;
    report.add("open_s", (sys::now() - begun) as f64 / SECOND as f64);
    load.pump(SETTLING)?;
    load.rest(&mut report)?;
    if let (Some(watch), Some(before)) = (watch, memory_before) {
        let growth = watch.memory()?.saturating_sub(before);
        report.add("memory_before", before as f64);
        report.add_share("memory_stream", growth as f64, load.streams.len() as u64);
    }
    load.work(&mut report)?;
    println!("{}", report.line());
    Ok(())
}

impl Load {
    /// Opens more streams, and waits for their heads.
    fn open(&mut self, more: usize, role: Role) -> Outcome<()> {
        let wanted = self.open + more;
        let deadline = sys::now() + PATIENCE;
        while self.open < wanted {
            while self.streams.len() < wanted && self.streams.len() - self.open < OPENING {
                let stream = self.connect(role, self.streams.len())?;
                self.watch_for_room(&stream, self.streams.len())?;
                self.streams.push(stream);
            }
            self.turn(deadline)?;
            if sys::now() > deadline {
                return Err(format!("{} of {wanted} streams open after 30 s", self.open));
            }
        }
        Ok(())
    }

    fn connect(&mut self, role: Role, number: usize) -> Outcome<Stream> {
        let mut tls = self.plan.tls.as_ref();
        if let Some(config) = tls.filter(|_| self.plan.resume && role == Role::Newcomer) {
            let own = self.tickets.entry(number);
            tls = Some(own.or_insert_with(|| tls::keeping_tickets(config)));
        }
        let check = match self.plan.shared {
            true => Check::of_shared(),
            false => Check::new(number as u32),
        };
        Stream::connect(self.plan.to, tls, role, check)
    }

    fn watch_for_room(&self, stream: &Stream, number: usize) -> Outcome<()> {
        self.poller
            .add(&stream.socket, number, Ready::OUT)
            .map_err(|error| error.to_string())
    }

    /// Serves all streams for this number of nanoseconds.
    fn pump(&mut self, time: u64) -> Outcome<()> {
        let deadline = sys::now() + time;
        while sys::now() < deadline {
            self.turn(deadline)?;
        }
        Ok(())
    }

    /// Waits once, and serves whatever is ready. The main streams come first, and the others in
    /// small portions, so they do not add to the measured delays.
    fn turn(&mut self, mut deadline: u64) -> Outcome<()> {
        if let Some(turns) = &self.turns {
            deadline = deadline.min(turns.next());
        }
        let mut events = std::mem::take(&mut self.events);
        self.poller.wait(&mut events, Some(deadline))?;
        let main = self.plan.streams;
        for (number, ready) in events.iter().filter(|(number, _)| *number < main) {
            self.serve(number, ready)?;
        }
        let others = events.iter().filter(|(number, _)| *number >= main);
        for (number, ready) in others.take(OTHERS) {
            self.serve(number, ready)?;
        }
        self.events = events;
        let now = sys::now();
        while let Some(number) = self.turns.as_mut().and_then(|turns| turns.take(now)) {
            self.act(number)?;
        }
        Ok(())
    }

    fn serve(&mut self, number: usize, ready: Ready) -> Outcome<()> {
        match self.streams[number].state {
            State::Idle if ready.contains(Ready::OUT) => self.ask_first(number),
            _ => self.read(number, self.scratch.len()),
        }
    }

    /// Sends the request of a newly established connection.
    fn ask_first(&mut self, number: usize) -> Outcome<()> {
        let changed = self
            .poller
            .change(&self.streams[number].socket, number, Ready::IN);
        changed.map_err(|error| error.to_string())?;
        self.ask(number)
    }

    fn ask(&mut self, number: usize) -> Outcome<()> {
        let stream = &mut self.streams[number];
        let asked = stream.ask(&self.plan.request(stream.role, number));
        match asked {
            Err(_) if stream.role == Role::Short => self.short_is_gone(number),
            asked => asked,
        }
    }

    /// Reads once, at most `most` bytes.
    fn read(&mut self, number: usize, most: usize) -> Outcome<()> {
        let stream = &mut self.streams[number];
        let was_open = stream.open;
        let (raw, tally) = match stream.role {
            Role::Main => (self.plan.raw, &mut self.tally),
            Role::Slow | Role::Visitor | Role::Newcomer => (false, &mut self.aside),
            Role::Short => (true, &mut self.aside),
        };
        let heard = match stream.read(&mut self.scratch[..most], raw, tally) {
            Err(_) if stream.role == Role::Short => Heard::Cut,
            heard => heard?,
        };
        let left = self.plan.again == Again::Leave && stream.check.next > 0;
        let visited = stream.role == Role::Visitor && stream.check.next > 0;
        if stream.open && !was_open {
            self.opened(number)?;
        }
        match heard {
            Heard::More if left => {
                self.tally.responses += 1;
                self.replace(number)
            }
            Heard::More if visited => {
                self.aside.responses += 1;
                self.streams[number].leave()?;
                self.forget(number)
            }
            Heard::More => Ok(()),
            heard => self.ended(number, heard),
        }
    }

    fn opened(&mut self, number: usize) -> Outcome<()> {
        self.open += 1;
        if self.streams[number].role == Role::Slow {
            return self.forget(number);
        }
        Ok(())
    }

    /// Stops polling a connection.
    fn forget(&self, number: usize) -> Outcome<()> {
        let removed = self.poller.remove(&self.streams[number].socket);
        removed.map_err(|error| error.to_string())
    }

    fn ended(&mut self, number: usize, heard: Heard) -> Outcome<()> {
        let stream = &mut self.streams[number];
        if stream.role == Role::Short {
            return match heard {
                Heard::Cut => self.short_is_gone(number),
                _ => {
                    self.aside.responses += 1;
                    Ok(())
                }
            };
        }
        let events = (!self.plan.raw).then_some(self.plan.events);
        match (self.plan.again, heard) {
            (Again::Noted, heard) => {
                stream.state = State::Gone;
                self.ends.push(End {
                    time: sys::now(),
                    cut: heard == Heard::Cut,
                    inside_event: stream.check.inside_event(),
                });
                self.forget(number)
            }
            (_, Heard::Cut) => Err(stream.broken("the connection ended")),
            (Again::Keep, _) => {
                stream.check.end(events)?;
                self.tally.responses += 1;
                self.ask(number)
            }
            (Again::Fresh, _) => {
                stream.check.end(events)?;
                self.tally.responses += 1;
                self.replace(number)
            }
            (Again::Never | Again::Leave, _) => Err(stream.broken("the response ended")),
        }
    }

    /// Closes a connection and replaces it by a new one.
    fn replace(&mut self, number: usize) -> Outcome<()> {
        let role = self.streams[number].role;
        let mut stream = self.connect(role, number)?;
        stream.open = true;
        self.watch_for_room(&stream, number)?;
        self.streams[number] = stream;
        Ok(())
    }

    /// Does what a connection has to do in its turn.
    fn act(&mut self, number: usize) -> Outcome<()> {
        let Stream { role, state, .. } = self.streams[number];
        match (role, state) {
            (Role::Slow, _) => self.read(number, SIP),
            (Role::Short, State::Idle) => self.ask(number),
            (Role::Short | Role::Visitor, State::Gone) => self.replace(number),
            (Role::Short | Role::Visitor, _) | (Role::Main | Role::Newcomer, _) => Ok(()),
        }
    }

    /// A connection for short requests has ended. That is a failure only if a response was due.
    fn short_is_gone(&mut self, number: usize) -> Outcome<()> {
        let stream = &mut self.streams[number];
        self.aside.failures += u64::from(stream.state == State::Asked);
        stream.state = State::Gone;
        self.forget(number)
    }
}
