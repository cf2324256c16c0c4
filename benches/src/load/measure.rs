//! The measurements of the load: rest, wakes, and events for a given time.

use super::calls::Calls;
use super::control::Control;
use super::plan::Again;
use super::stream::{Role, State};
use super::tally::{Report, Tally};
use super::watch::Watch;
use super::{Load, PATIENCE};
use crate::sys::{self, MILLISECOND, Outcome, SECOND};

/// The time after which the origin must have noticed that a client has left.
const LEAVING: u64 = 300 * MILLISECOND;

/// What the peer had used at the beginning of a measurement.
pub struct Meter {
    begun: u64,
    used: Option<(Watch, u64, (u64, u64))>,
}

impl Meter {
    /// Starts a measurement.
    pub fn start(watch: Option<Watch>) -> Outcome<Self> {
        let used = match watch {
            Some(watch) => Some((watch, watch.processor_time()?, watch.ticks()?)),
            None => None,
        };
        let begun = sys::now();
        Ok(Self { begun, used })
    }

    /// Reports what the peer has used since, in total and for each event and response.
    pub fn tell(self, tally: &Tally, report: &mut Report) -> Outcome<()> {
        let seconds = (sys::now() - self.begun) as f64 / SECOND as f64;
        if let Some((watch, used, ticks)) = self.used {
            let used = watch.processor_time()?.saturating_sub(used) as f64;
            let (user, system) = watch.ticks()?;
            report.add("user_ms", (user - ticks.0) as f64 * 10.0);
            report.add("system_ms", (system - ticks.1) as f64 * 10.0);
            report.add("busy_percent", used / 1e7 / seconds);
            report.add_share("cpu_event_us", used / 1e3, tally.events);
            report.add_share("cpu_response_us", used / 1e3, tally.responses);
            report.add_share("cpu_gb_ms", used / 1e6 * 1e9, tally.bytes);
        }
        report.add_tally(tally, seconds);
        Ok(())
    }
}

impl Load {
    /// Does what the plan says, after all streams are open.
    pub fn work(&mut self, report: &mut Report) -> Outcome<()> {
        if self.plan.drain {
            self.drain(report)
        } else if self.plan.reloads > 0 {
            self.reload(report)
        } else if self.plan.slow > 0 {
            self.slow(report)
        } else if self.plan.stalled > 0 {
            self.stalled(report)
        } else if self.plan.visits > 0 {
            self.visits(report)
        } else if self.plan.storm > 0 {
            self.storm(report)
        } else if self.plan.wakes > 0 {
            self.wake_all(report)
        } else if self.plan.window > 0 {
            self.count(report)
        } else {
            Ok(())
        }
    }

    /// Does nothing for a while, which should cost the peer nothing.
    pub fn rest(&mut self, report: &mut Report) -> Outcome<()> {
        if self.plan.rest == 0 {
            return Ok(());
        }
        self.tally = Tally::new();
        let watch = self.plan.watch;
        let before = watch.map(Watch::processor_time).transpose()?;
        self.pump(self.plan.rest)?;
        let seconds = self.plan.rest as f64 / SECOND as f64;
        if let (Some(watch), Some(before)) = (watch, before) {
            let used = watch.processor_time()?.saturating_sub(before) as f64 / 1e3;
            report.add("rest_us_per_s", used / seconds);
            report.add_share("cpu_comment_us", used, self.tally.comments);
        }
        report.add("comments_s", self.tally.comments as f64 / seconds);
        Ok(())
    }

    /// Measures delays with only the main streams.
    pub fn alone(&mut self, report: &mut Report) -> Outcome<()> {
        self.tally = Tally::new();
        self.pump(self.plan.window)?;
        report.add_quantiles("alone", &self.tally.delays);
        Ok(())
    }

    /// Counts and measures for the planned time.
    fn count(&mut self, report: &mut Report) -> Outcome<()> {
        self.tally = Tally::new();
        let meter = Meter::start(self.plan.watch)?;
        self.pump(self.plan.window)?;
        meter.tell(&self.tally, report)?;
        if self.plan.calls {
            self.count_calls(report)?;
        }
        self.all_go_on()?;
        if self.plan.shared {
            let origin = Control::connect(self.plan.control)?.tally()?;
            report.add("upstreams", origin.open as f64);
        }
        if self.plan.again == Again::Leave {
            self.streams.clear();
            self.pump(LEAVING)?;
            let origin = Control::connect(self.plan.control)?.tally()?;
            report.add("left_open", origin.open as f64);
            let resumed = origin.resumed as f64 * 100.0;
            report.add_share("resumed_percent", resumed, origin.handshakes);
        }
        Ok(())
    }

    /// Waits for one more event on each endless stream. A stream that stands still has no delays by
    /// which it would be noticed.
    pub fn all_go_on(&mut self) -> Outcome<()> {
        if !self.plan.is_endless() {
            return Ok(());
        }
        let reached: Vec<u32> = self
            .streams
            .iter()
            .map(|stream| stream.check.next)
            .collect();
        let deadline = sys::now() + PATIENCE;
        loop {
            let mut pairs = self.streams.iter().zip(&reached);
            let still = pairs.find(|(stream, reached)| {
                let goes_on = stream.role == Role::Main && stream.state != State::Gone;
                goes_on && stream.check.next == **reached
            });
            match still {
                None => return Ok(()),
                Some((stream, _)) if sys::now() > deadline => {
                    return Err(stream.broken("no event for 30 s, and no end"));
                }
                Some(_) => self.pump(10 * MILLISECOND)?,
            }
        }
    }

    /// Counts the peer's system calls while events continue.
    fn count_calls(&mut self, report: &mut Report) -> Outcome<()> {
        let Some(mut calls) = self.plan.watch.and_then(Calls::count) else {
            return Ok(());
        };
        self.tally = Tally::new();
        let begun = sys::now();
        while !calls.is_over() {
            self.pump(10 * MILLISECOND)?;
        }
        let seconds = (sys::now() - begun) as f64 / SECOND as f64;
        let events = self.tally.events as f64 / seconds;
        if let Some(calls) = calls.a_second() {
            report.add("calls_event", calls / events);
        }
        Ok(())
    }

    /// Wakes all streams repeatedly. Each wake begins when the previous one has reached all of
    /// them.
    fn wake_all(&mut self, report: &mut Report) -> Outcome<()> {
        let mut control = Control::connect(self.plan.control)?;
        self.tally = Tally::new();
        let meter = Meter::start(self.plan.watch)?;
        let mut times = Vec::new();
        for _ in 0..self.plan.wakes {
            let wanted = self.tally.events + self.streams.len() as u64 * self.plan.burst;
            let begun = sys::now();
            control.wake()?;
            while self.tally.events < wanted {
                self.turn(begun + PATIENCE)?;
                if sys::now() > begun + PATIENCE {
                    return Err(format!("{} events lost", wanted - self.tally.events));
                }
            }
            times.push(sys::now() - begun);
            self.pump(30 * MILLISECOND)?;
            control.woken()?;
        }
        times.sort_unstable();
        report.add("wake_ms", times[times.len() / 2] as f64 / 1e6);
        meter.tell(&self.tally, report)
    }
}
