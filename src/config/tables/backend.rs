//! What connections are made to: the targets of an api, or the server that its `auth.url` names.

use crate::config::{Api, Health, RetryOn, Target, UpstreamTls};

/// Servers that do the same, and how they are asked. See the module.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The name of the api.
    pub name: &'a str,
    /// True exactly when it is asked which requests may come in.
    pub is_auth_server: bool,
    /// Its servers: at least one, and at most 64.
    pub targets: &'a [Target],
    /// How they are asked if they speak TLS.
    pub tls: &'a UpstreamTls,
    /// Maximum number of idle connections to each.
    pub idle_max: usize,
    /// Maximum number of connections to each, idle ones included. None: no limit.
    pub max: Option<usize>,
    /// When they are passed over.
    pub health: &'a Health,
    /// After which failures others are asked.
    pub retry_on: RetryOn,
    /// Whose settings say how their health is checked, if it is.
    pub checked: Option<&'a Api>,
}

impl Backend<'_> {
    /// The targets that requests go to, as bits, the first one the lowest: those with a weight.
    pub fn targets_to_ask(&self) -> u64 {
        self.targets_that(|target| target.weight > 0)
    }

    /// The targets that are backups, as bits.
    pub fn backups(&self) -> u64 {
        self.targets_that(|target| target.is_backup)
    }

    fn targets_that(&self, are: impl Fn(&Target) -> bool) -> u64 {
        let targets = (0..).zip(self.targets);
        targets.fold(0, |bits, (index, target): (u32, _)| bits | u64::from(are(target)) << index)
    }
}

impl Api {
    /// True exactly when there is more than one target to ask.
    pub fn has_several_targets(&self) -> bool {
        self.targets.iter().filter(|target| target.weight > 0).nth(1).is_some()
    }

    /// Its targets, as what connections go to.
    pub fn backend(&self) -> Backend<'_> {
        Backend {
            name: &self.name,
            is_auth_server: false,
            targets: &self.targets,
            tls: &self.upstream_tls,
            idle_max: self.keepalive_upstream,
            max: self.max_upstream,
            health: &self.health,
            retry_on: self.retry_on,
            checked: Some(self),
        }
    }
}
