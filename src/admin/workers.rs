//! The state of each event loop, where there are several, and which of them have not answered.

use crate::json::Json;
use crate::metrics::{Exposition, MetricType, Value};
use crate::time::millis;
use std::fmt::Write;
use std::time::Duration;

/// The state of an event loop.
#[derive(Clone, Debug, Default)]
pub struct WorkerNow {
    /// Its number, counted from 1.
    pub number: usize,
    /// The number of its client connections.
    pub connections: usize,
    /// The number of its open event streams.
    pub streams: u64,
    /// The number of bytes that it holds, as counted for its share of `max_held_bytes`.
    pub held_bytes: usize,
    /// The processor time of its thread, if the system reports it. It grows by at most one second
    /// per second.
    pub cpu: Option<Duration>,
    /// How long it has not answered. None if it has.
    pub silent_for: Option<Duration>,
}

/// How many event loops were asked, and which have not answered in time.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The number of event loops.
    pub loops: usize,
    /// The numbers of those that have not answered, counted from 1 and in ascending order, and for
    /// how long.
    pub silent: Vec<(usize, Duration)>,
}

impl WorkerNow {
    /// Writes totals, from which the page computes rates.
    pub(super) fn write(&self, json: &mut Json<'_>) {
        json.begin('{');
        json.name("number").number(self.number as u64);
        json.name("connections").number(self.connections as u64);
        json.name("streams").number(self.streams);
        if let Some(cpu) = self.cpu {
            json.name("cpu_ms").number(millis(cpu));
        }
        if let Some(time) = self.silent_for {
            json.name("silent_ms").number(millis(time));
        }
        json.end('}');
    }

    /// Writes its metrics, labelled with its number.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let number = self.number.to_string();
        let labels = [("worker", number.as_str())];
        let help = "Client connections of a worker.";
        out.family("millstream_worker_client_connections", MetricType::Gauge, help);
        out.sample(&labels, self.connections);
        out.family("millstream_worker_streams", MetricType::Gauge, "Event streams of a worker.");
        out.sample(&labels, self.streams);
        let help = "Bytes that a worker holds for clients, of its share of max_held_bytes.";
        out.family("millstream_worker_held_bytes", MetricType::Gauge, help);
        out.sample(&labels, self.held_bytes);
        if let Some(cpu) = self.cpu {
            let help = "Processor time of a worker, of which each second has one.";
            out.family("millstream_worker_cpu_seconds_total", MetricType::Counter, help);
            out.sample(&labels, Value::Millis(millis(cpu)));
        }
    }
}

impl Asked {
    /// Writes which workers have answered, where there are several.
    pub(super) fn expose(&self, out: &mut Exposition) {
        if self.loops < 2 {
            return;
        }
        let help = "Whether a worker has answered in time; if not, its numbers are its last ones.";
        out.family("millstream_worker_up", MetricType::Gauge, help);
        for number in 1..=self.loops {
            let is_up = self.silent.iter().all(|(silent, _)| *silent != number);
            out.sample(&[("worker", &number.to_string())], is_up);
        }
    }

    /// A sentence about the workers that have not answered.
    pub(super) fn complaint(&self) -> String {
        let mut text = String::new();
        for (n, (number, time)) in self.silent.iter().enumerate() {
            let before = if n == 0 { "Worker" } else { ", worker" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{before} {number} has been stuck for {time:?}");
        }
        text.push('.');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_named() {
        let silent = vec![(2, Duration::from_millis(900)), (4, Duration::from_secs(12))];
        let asked = Asked { loops: 4, silent };
        let told = "Worker 2 has been stuck for 900ms, worker 4 has been stuck for 12s.";
        assert_eq!(asked.complaint(), told);
        let mut out = Exposition::default();
        asked.expose(&mut out);
        let text = out.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let up = |n, is| format!("millstream_worker_up{{worker=\"{n}\"}} {is}");
        assert_eq!(samples, [up(1, 1), up(2, 0), up(3, 1), up(4, 0)]);
        let mut alone = Exposition::default();
        Asked { loops: 1, silent: Vec::new() }.expose(&mut alone);
        assert!(alone.into_text().is_empty(), "one worker needs no metric");
    }

    #[test]
    fn a_tick_has_what_a_page_needs() {
        let worker = WorkerNow { number: 2, connections: 5, streams: 3, ..WorkerNow::default() };
        let text = |worker: &WorkerNow| {
            let mut text = String::new();
            worker.write(&mut Json::new(&mut text));
            text
        };
        let start = "{\"number\":2,\"connections\":5,\"streams\":3";
        assert_eq!(text(&worker), format!("{start}}}"));
        let (cpu, silent_for) = (Some(Duration::from_millis(7)), Some(Duration::from_secs(1)));
        let silent = WorkerNow { cpu, silent_for, ..worker };
        assert_eq!(text(&silent), format!("{start},\"cpu_ms\":7,\"silent_ms\":1000}}"));
    }
}
