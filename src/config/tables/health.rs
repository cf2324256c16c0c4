//! When targets are passed over: after failures, and while health checks find them unhealthy.

use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::value::{count, duration, text};
use std::time::Duration;
use toml::de::DeValue;

/// The default of `fail_timeout`.
pub(crate) const FAIL_TIMEOUT: Duration = Duration::from_secs(10);

/// When a target is passed over, and how it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// After how many failures in a row a target is passed over: up to 1000. None: failures are
    /// ignored.
    pub max_fails: Option<usize>,
    /// How long it is passed over.
    pub fail_timeout: Duration,
    /// How targets are checked. None: they are not.
    pub checks: Option<Checks>,
    /// True exactly when there are keys for checks, but no checks.
    pub has_vain_keys: bool,
}

/// How targets are checked: this process sends each a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The path and query to request, as they are sent.
    pub path: String,
    /// The time from one check of an address to the next.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// After how many passed checks in a row an unhealthy address is healthy: 1 to 100.
    pub passes: usize,
    /// After how many failed checks in a row a healthy address is unhealthy: 1 to 100.
    pub fails: usize,
}

/// Reads an api's keys about the health of its targets.
pub(crate) fn health(t: &mut Table<'_, '_>) -> Health {
    let max_fails = t.take("max_fails", count(0..=1000)).unwrap_or(1);
    let fail_timeout = t.take("fail_timeout", duration).unwrap_or(FAIL_TIMEOUT);
    let path = t.take("health_path", path).flatten();
    let of_checks = ["health_interval", "health_timeout", "health_passes", "health_fails"];
    let has_vain_keys = path.is_none() && of_checks.iter().any(|key| t.has(key));
    let interval = t.take("health_interval", duration).unwrap_or(Duration::from_secs(10));
    let timeout = t.take("health_timeout", duration).unwrap_or(Duration::from_secs(5));
    let passes = t.take("health_passes", count(1..=100)).unwrap_or(2);
    let fails = t.take("health_fails", count(1..=100)).unwrap_or(3);
    let checks = path.map(|path| Checks { path, interval, timeout, passes, fails });
    let max_fails = Some(max_fails).filter(|n| *n > 0);
    Health { max_fails, fail_timeout, checks, has_vain_keys }
}

/// Reads the path that a check requests. An empty string means that there are no checks.
fn path(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    let path = text(value)?;
    if path.is_empty() {
        return Ok(None);
    }
    if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        let what = "not a path; write one like \"/healthz\", with percent escapes where they are \
            needed";
        return Err(what.into());
    }
    Ok(Some(path.to_owned()))
}
