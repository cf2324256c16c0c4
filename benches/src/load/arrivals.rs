//! Measurements while clients arrive: the delays of events on open streams, and how long the new
//! clients wait for their first event.

use super::measure::Meter;
use super::stream::Role;
use super::tally::{Report, Tally};
use super::turns::Turns;
use super::{Load, PATIENCE, SETTLING};
use crate::sys::{self, MILLISECOND, Outcome, SECOND};

/// The interval between visits of the same client. A longer visit costs it a turn.
const VISIT_PERIOD: u64 = 50 * MILLISECOND;
/// The number of storms.
const STORMS: usize = 10;
/// The connections of a storm that are opened between two polls. The first must not wait for the
/// last, nor other streams' events for all of them.
const STEP: usize = 16;

impl Load {
    /// Paced streams alone, and then with clients that connect and leave after the first event.
    /// They come at fixed times, whatever the peer does.
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

    /// Paced streams alone, and then while many clients open a stream at once. Delayed events must
    /// be counted, too, so after each storm it waits for another event on each stream.
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
            // Clients of the first storm have no tickets yet.
            let comers = (STORMS - 1) * self.plan.storm;
            report.add_share("resumed_percent", resumed as f64 * 100.0, comers as u64);
        }
        Ok(())
    }

    /// Opens the streams of one storm, and returns the time until all have their first event.
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
