//! How the process stops: when the drain is reported to the operator, and how long stuck event
//! loops are waited for.
//!
//! The wait is limited, because the service manager kills the process after a time
//! ([`config::Drain::stop_timeout`](crate::config::Drain::stop_timeout)), and then the last access
//! log lines are lost.

use super::inquiries::ANSWER_WITHIN;
use super::loops::{GiveUp, Loops};
use super::service;
use crate::edge::reclaim::LINGER;
use crate::time::Tick;

/// The progress of stopping the process. See the module.
#[derive(Debug)]
pub(super) struct Stop {
    /// True exactly when the process was asked to stop, by a signal or a command.
    is_asked: bool,
    /// The number of signals that have asked for it.
    signals: usize,
    /// True exactly when the loops were told to close everything at once.
    ends: bool,
    /// When the steps of the drain are reported, if a loop has not taken them by then.
    tell_at: [Tick; 2],
    /// When stuck loops are given up.
    give_up_at: Tick,
}

impl Stop {
    /// The process was not asked to stop.
    pub(super) const fn new() -> Stop {
        let (tell_at, give_up_at) = ([Tick::NEVER; 2], Tick::NEVER);
        Stop { is_asked: false, signals: 0, ends: false, tell_at, give_up_at }
    }

    /// When to call [`Stop::go_on`].
    pub(super) fn due(&self) -> Tick {
        let [first, second] = self.tell_at;
        first.min(second).min(self.give_up_at)
    }

    /// Handles this many more signals: the first drains as the configuration says, unless a command
    /// has done that, the second closes everything, and those after the time limit of that wait for
    /// nothing more.
    pub(super) fn signal(&mut self, times: usize, loops: &mut Loops) {
        self.signals += times;
        if self.signals == 1 && self.is_asked {
            log::info!("already draining: a second signal closes all connections now");
        } else if self.signals == 1 {
            self.drain(loops);
        } else if !self.ends {
            let connections = loops.first.connections_of_all();
            log::info!("second signal: closing {connections} connections now");
            loops.end();
            (self.is_asked, self.ends, self.tell_at) = (true, true, [Tick::NEVER; 2]);
            self.give_up_at = loops.first.now().after(ANSWER_WITHIN);
        } else if self.give_up_at == Tick::NEVER {
            loops.give_up(GiveUp::Undrained);
        }
    }

    /// Handles a signal that only drains. However often it arrives, it counts as the first one.
    pub(super) fn signal_to_drain(&mut self, loops: &mut Loops) {
        self.signals = self.signals.max(1);
        self.drain(loops);
    }

    /// Drains as the configuration says, unless the process is stopping already.
    pub(super) fn drain(&mut self, loops: &mut Loops) {
        if std::mem::replace(&mut self.is_asked, true) {
            return;
        }
        let now = loops.first.now();
        let drain = loops.config().drain;
        // The service manager need not know the configuration.
        let timeout = drain.stop_timeout().as_micros();
        service::notify(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={timeout}"));
        loops.drain();
        let closes = now.after(drain.delay);
        self.tell_at = [now, closes].map(|step| step.after(ANSWER_WITHIN));
        let last = closes.after(drain.window.max(drain.answers)).after(LINGER);
        self.give_up_at = last.after(ANSWER_WITHIN);
    }

    /// Reports the drain and gives up loops, when that is due.
    pub(super) fn go_on(&mut self, loops: &mut Loops, now: Tick) {
        for at in self.tell_at.iter_mut().filter(|at| **at <= now) {
            *at = Tick::NEVER;
            loops.first.tell_drain();
        }
        if self.give_up_at <= now {
            self.give_up_at = Tick::NEVER;
            loops.give_up(GiveUp::Deaf);
        }
    }
}

/// What the drain has cut, for the log. How much a given-up loop has cut is unknown.
pub(super) fn what_was_cut(loops: &Loops) -> String {
    let known = match loops.cut_in_drain() {
        0 => "nothing was cut".to_owned(),
        1 => "1 stream, tunnel or other request was cut".to_owned(),
        cut => format!("{cut} streams, tunnels or other requests were cut"),
    };
    let workers: Vec<String> = loops.given_up().map(|index| (index + 1).to_string()).collect();
    if workers.is_empty() {
        return known;
    }
    let workers = workers.join(", ");
    format!("{known}, beside what these workers had, which are stuck: {workers}")
}
