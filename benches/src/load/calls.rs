//! System calls of the peer, counted by `perf` in a separate window, because a tracepoint in each
//! call would disturb the timing.

use std::process::{Child, Command, Stdio};

use super::watch::Watch;
use crate::sys::{MILLISECOND, SECOND};

/// Nanoseconds for which calls are counted.
const WINDOW: u64 = 2 * SECOND;

/// A running `perf`.
pub struct Calls(Child);

impl Calls {
    /// Starts counting. None without `perf`, which is in Debian's package linux-perf.
    pub fn count(peer: Watch) -> Option<Self> {
        let processes: Vec<String> = peer.family().iter().map(u32::to_string).collect();
        Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter"])
            .args(["-p", &processes.join(",")])
            .args(["--timeout", &(WINDOW / MILLISECOND).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map(Self)
            .ok()
    }

    /// True if the window is over.
    pub fn is_over(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Calls per second. None if `perf` was not permitted to count them.
    pub fn a_second(self) -> Option<f64> {
        let output = self.0.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
        let calls: f64 = line.split(',').next()?.parse().ok()?;
        Some(calls * SECOND as f64 / WINDOW as f64)
    }
}
