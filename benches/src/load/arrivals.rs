//! What a load measures while clients come: how long the events of streams that are open take then,
//! and how long the clients wait for theirs.

use super::measure::Meter;
use super::stream::Role;
use super::tally::{Report, Tally};
use super::turns::Turns;
use super::{Load, PATIENCE, SETTLING};
use crate::sys::{self, MILLISECOND, Outcome, SECOND};

/// From one visit to the next of the same client. A visit that takes longer costs it a turn.
const VISIT_PERIOD: u64 = 50 * MILLISECOND;
/// How often a storm comes.
const STORMS: usize = 10;
/// Connections of a storm that are begun between two polls. The first ones must not wait for the
/// last, nor the events of others for all of them.
const STEP: usize = 16;

impl Load {
    /// Paced streams by themselves, and then beside clients that come, and leave behind the first
    /// event. A clock says when they come, however the peer does.
    pub fn visits(&mut self, report: &mut Report) -> Outcome<()> {
        self.alone(report)?;
        let first = self.streams.len();
        let visitors = (self.plan.visits as u64 * VISIT_PERIOD).div_ceil(SECOND) as usize;
        self.open(visitors, Role::Visitor)?;
        let visitors = first..self.streams.len();
        self.turns = Some(Turns::new(visitors, VISIT_PERIOD, sys::now()));
        self.pump(SETTLING)?;
        (self.tally, self.aside) = (Tally::new(), Tally::new());
        let meter = Meter::start(self.plan.watch)?;
        let begun = sys::now();
        self.pump(self.plan.window)?;
        let seconds = (sys::now() - begun) as f64 / SECOND as f64;
        meter.tell(&self.tally, report)?;
        report.add_quantiles("beside", &self.tally.delays);
        report.add("visits_s", self.aside.responses as f64 / seconds);
        report.add_quantiles("visit", &self.aside.firsts);
        self.all_go_on()
    }

    /// Paced streams by themselves, and then while many clients open a stream at once. Events that
    /// the storm has held up count, too, so each stream is waited for once more behind its end.
    pub fn storm(&mut self, report: &mut Report) -> Outcome<()> {
        self.alone(report)?;
        let mut during = Tally::new();
        let mut times = Vec::new();
        let mut resumed = 0;
        for _ in 0..STORMS {
            let before = std::mem::replace(&mut self.tally, during);
            times.push(self.rush()?);
            self.all_go_on()?;
            during = std::mem::replace(&mut self.tally, before);
            let newcomers = self.streams.drain(self.plan.streams..);
            let again = newcomers.filter(|stream| stream.socket.resumed() == Some(true));
            resumed += again.count();
            self.open = self.streams.len();
            self.pump(SETTLING)?;
        }
        times.sort_unstable();
        report.add("storm_ms", times[STORMS / 2] as f64 / MILLISECOND as f64);
        report.add_quantiles("storm", &during.delays);
        if self.plan.resume {
            // Those of the first storm have none to come with.
            let comers = (STORMS - 1) * self.plan.storm;
            report.add_share("resumed_percent", resumed as f64 * 100.0, comers as u64);
        }
        Ok(())
    }

    /// Has the clients of one storm come, and returns the time until all have their first event.
    fn rush(&mut self) -> Outcome<u64> {
        self.aside = Tally::new();
        let (wanted, all) = (self.plan.storm, self.plan.streams + self.plan.storm);
        let begun = sys::now();
        let deadline = begun + PATIENCE;
        while self.aside.firsts.total() < wanted as u64 {
            let first = self.streams.len();
            let last = all.min(first + STEP);
            for number in first..last {
                let stream = self.connect(Role::Newcomer, number)?;
                self.watch_for_room(&stream, number)?;
                self.streams.push(stream);
            }
            self.turn(if last < all { begun } else { deadline })?;
            if sys::now() > deadline {
                let there = self.aside.firsts.total();
                return Err(format!(
                    "{there} of {wanted} clients have an event after 30 s"
                ));
            }
        }
        Ok(sys::now() - begun)
    }
}
