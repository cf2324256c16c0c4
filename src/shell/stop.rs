//! How the process stops: when the operator is told of the drain, and how long event loops are
//! waited for that do not turn.
//!
//! Nobody waits for them for ever, because whoever stops the process kills it at some time
//! ([`config::Drain::stop_timeout`](crate::config::Drain::stop_timeout)), and with it the last
//! lines of the access log.

use super::inquiries::ANSWER_WITHIN;
use super::loops::{GiveUp, Loops};
use super::service;
use crate::edge::reclaim::LINGER;
use crate::time::Tick;

/// Whether the process stops. See the module.
#[derive(Debug)]
pub(super) struct Stop {
    /// How often it was asked to.
    asked: usize,
    /// True exactly when the loops were told to end everything at once.
    ends: bool,
    /// When the steps of the drain are told, if a loop has not taken them by then.
    tell_at: [Tick; 2],
    /// When loops are given up that do not turn.
    give_up_at: Tick,
}

impl Stop {
    /// Nobody has asked for it.
    pub(super) const fn new() -> Stop {
        Stop { asked: 0, ends: false, tell_at: [Tick::NEVER; 2], give_up_at: Tick::NEVER }
    }

    /// True exactly when somebody has.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked > 0
    }

    /// When [`Stop::go_on`] is to be called.
    pub(super) fn due(&self) -> Tick {
        let [first, second] = self.tell_at;
        first.min(second).min(self.give_up_at)
    }

    /// Takes note that it was asked so many times more: drains as the configuration says at the
    /// first, ends everything at the second, and does not wait for anything at those that come when
    /// the time for that is over.
    pub(super) fn ask(&mut self, times: usize, loops: &mut Loops) {
        self.asked += times;
        let now = loops.first.now();
        if self.asked == 1 {
            self.drain(loops, now);
        } else if !self.ends {
            let connections = loops.first.connections_of_all();
            log::info!("second signal: closing {connections} connections now");
            loops.end();
            (self.ends, self.tell_at) = (true, [Tick::NEVER; 2]);
            self.give_up_at = now.after(ANSWER_WITHIN);
        } else if self.give_up_at == Tick::NEVER {
            loops.give_up(GiveUp::Undrained);
        }
    }

    fn drain(&mut self, loops: &mut Loops, now: Tick) {
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

    /// Tells of the drain, and gives up loops, when that is due.
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

/// What a drain has cut, for the log. Nobody knows how much that is in a loop that was given up.
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
