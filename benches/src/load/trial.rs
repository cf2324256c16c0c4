//! Trials of a peer by the load: slow readers, a drain, and reloads.

use super::control::Control;
use super::stream::Role;
use super::tally::{Report, Tally};
use super::tell::Telling;
use super::turns::Turns;
use super::watch::Watch;
use super::{End, Load, PATIENCE, SETTLING};
use crate::sys::{self, MILLISECOND, Outcome, SECOND};

/// How long nothing must be sent before the buffers of slow streams are taken to be full.
const STILL: u64 = 100 * MILLISECOND;
/// The minimum time between two reloads.
const RELOAD_GAP: u64 = 400 * MILLISECOND;
/// The time after which a reload's old process is gone, unless something holds it.
const RELOADED: u64 = SECOND;
/// The interval between requests on a connection with short requests.
const SHORT_PERIOD: u64 = 20 * MILLISECOND;

impl Load {
    /// Paced streams alone, and then with streams for which the peer gets much data, and whose
    /// clients read little.
    pub fn slow(&mut self, report: &mut Report) -> Outcome<()> {
        self.alone(report)?;
        let before = self.plan.watch.map(Watch::memory).transpose()?;
        let first = self.streams.len();
        self.open(self.plan.slow, Role::Slow)?;
        self.turns = Some(Turns::new(first..self.streams.len(), SECOND, sys::now()));
        self.fill()?;
        self.tally = Tally::new();
        self.pump(self.plan.window)?;
        self.all_are_open()?;
        report.add_quantiles("beside", &self.tally.delays);
        if let (Some(watch), Some(before)) = (self.plan.watch, before) {
            let growth = watch.memory()?.saturating_sub(before);
            report.add_share("memory_slow", growth as f64, self.plan.slow as u64);
        }
        self.all_go_on()
    }

    /// Paced streams alone, and then with clients that read nothing.
    pub fn stalled(&mut self, report: &mut Report) -> Outcome<()> {
        self.alone(report)?;
        let before = self.plan.watch.map(Watch::memory).transpose()?;
        self.open(self.plan.stalled, Role::Slow)?;
        self.tally = Tally::new();
        self.pump(self.plan.window)?;
        report.add_quantiles("beside", &self.tally.delays);
        if let (Some(watch), Some(before)) = (self.plan.watch, before) {
            let growth = watch.memory()?.saturating_sub(before);
            report.add_share("memory_slow", growth as f64, self.plan.stalled as u64);
        }
        self.all_go_on()
    }

    /// Waits until the buffers between the origin and the slow readers are full.
    fn fill(&mut self) -> Outcome<()> {
        let mut control = Control::connect(self.plan.control)?;
        let deadline = sys::now() + PATIENCE;
        while sys::now() < deadline {
            let sent = control.tally()?.events;
            let read = self.tally.events;
            self.pump(STILL)?;
            let others = (control.tally()?.events - sent).saturating_sub(self.tally.events - read);
            if others < self.plan.slow as u64 {
                return Ok(());
            }
        }
        Err("the buffers of slow readers are not full after 30 s".into())
    }

    /// Asks the origin whether all streams are open: a peer that closed slow readers would have an
    /// advantage, and the clients would notice only after reading all of their buffers.
    fn all_are_open(&self) -> Outcome<()> {
        let open = Control::connect(self.plan.control)?.tally()?.open;
        let wanted = self.streams.len() as u64;
        if open < wanted {
            return Err(format!(
                "{open} of {wanted} streams still open at the origin"
            ));
        }
        Ok(())
    }

    /// Drains the peer, and records when and how its streams end.
    pub fn drain(&mut self, report: &mut Report) -> Outcome<()> {
        self.pump(self.plan.window)?;
        self.nothing_has_ended()?;
        let told = sys::now();
        let deadline = told + PATIENCE;
        let telling = self.tell()?;
        while self.ends.len() < self.streams.len() && sys::now() < deadline {
            self.turn(deadline)?;
        }
        telling.end()?;
        let sent = Control::connect(self.plan.control)?.tally()?.events;
        self.pump(SETTLING)?;
        let count = |of: fn(&End) -> bool| self.ends.iter().filter(|end| of(end)).count() as f64;
        report.add("ended_inside", count(|end| end.inside_event));
        report.add("ended_cut", count(|end| end.cut));
        report.add("still_open", (self.streams.len() - self.ends.len()) as f64);
        report.add("events_lost", sent.saturating_sub(self.tally.events) as f64);
        let times: Vec<u64> = self.ends.iter().map(|end| end.time).collect();
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            report.add("first_end_s", (first - told) as f64 / SECOND as f64);
            report.add("last_end_s", (last - told) as f64 / SECOND as f64);
            let share = most_within(&times, 100 * MILLISECOND) as f64 / self.streams.len() as f64;
            report.add("peak_percent", share * 100.0);
        }
        Ok(())
    }

    /// Makes the peer reload repeatedly, with open streams and new requests.
    pub fn reload(&mut self, report: &mut Report) -> Outcome<()> {
        let first = self.streams.len();
        self.open(self.plan.shorts, Role::Short)?;
        let shorts = first..self.streams.len();
        self.turns = Some(Turns::new(shorts, SHORT_PERIOD, sys::now()));
        self.pump(SETTLING)?;
        self.nothing_has_ended()?;
        (self.tally, self.aside) = (Tally::new(), Tally::new());
        let before = self.plan.watch.map(Watch::memory).transpose()?;
        let begun = sys::now();
        for _ in 0..self.plan.reloads {
            let mut telling = self.tell()?;
            self.pump(RELOAD_GAP)?;
            while !telling.is_over() {
                self.pump(10 * MILLISECOND)?;
            }
            telling.end()?;
        }
        self.turns = None;
        self.pump(RELOADED)?;
        let unanswered = self
            .streams
            .iter()
            .filter(|stream| stream.is_unanswered())
            .count() as u64;
        if let (Some(watch), Some(before)) = (self.plan.watch, before) {
            let growth = watch.memory()? as f64 - before as f64;
            report.add("memory_grown", growth);
        }
        report.add("broken", self.ends.len() as f64);
        report.add("requests", self.aside.responses as f64);
        report.add("requests_failed", (self.aside.failures + unanswered) as f64);
        report.add_tally(&self.tally, (sys::now() - begun) as f64 / SECOND as f64);
        self.all_go_on()
    }

    fn tell(&self) -> Outcome<Telling> {
        let tell = self.plan.tell.as_ref().ok_or("load: no --tell")?;
        tell.tell(self.plan.watch.ok_or("load: no --watch")?)
    }

    fn nothing_has_ended(&self) -> Outcome<()> {
        match self.ends.len() {
            0 => Ok(()),
            ended => Err(format!("{ended} streams ended before anybody was told to")),
        }
    }
}

/// The most times, which are sorted, within any span of this length.
fn most_within(times: &[u64], span: u64) -> usize {
    let within =
        |(index, first): (usize, &u64)| times[index..].partition_point(|time| time - first <= span);
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_span() {
        assert_eq!(most_within(&[], 10), 0);
        assert_eq!(most_within(&[7], 10), 1);
        assert_eq!(most_within(&[0, 5, 11, 12, 13, 15, 40], 10), 5);
    }
}
