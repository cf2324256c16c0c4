//! `[drain]`: how the process shuts down.

use std::time::Duration;

/// How long the process may take to exit after the drain: clients read their last bytes, and the
/// logs are written.
const MARGIN: Duration = Duration::from_secs(10);

/// `[drain]`: how the process shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long everything is still served before the listeners for clients close.
    pub delay: Duration,
    /// How long subscriptions may last after that. Their ends are spread over this time.
    pub window: Duration,
    /// How long everything else may last after that: answers, tunnels, uploads, downloads.
    pub answers: Duration,
    /// Minimum of the random time after which clients of ended streams are told to reconnect.
    pub retry_min: Duration,
    /// Maximum of that time; at least `retry_min`.
    pub retry_max: Duration,
}

impl Drain {
    /// How long a service manager should wait before it kills the process: no drain takes longer.
    pub fn stop_timeout(&self) -> Duration {
        self.delay + self.window.max(self.answers) + MARGIN
    }

    /// A sentence on what happens when the process is stopped.
    pub fn told(&self) -> String {
        let Drain { delay, window, answers, .. } = self;
        let then = format!("subscriptions have {window:?} to end and all else {answers:?}.");
        if delay.is_zero() {
            return format!("Draining: the port is closed; {then}");
        }
        format!("Draining: everything is served for {delay:?}; then {then}")
    }
}
