//! What the proxy connects to: the targets of an api, or the server in its `auth.url`.

use crate::config::{Api, Health, RetryOn, Target, UpstreamTls};

/// Equivalent servers, and how to connect to them. See the module.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The name of the api.
    pub name: &'a str,
    /// True exactly when it is the api's auth server.
    pub is_auth_server: bool,
    /// Its servers: 1 to 64.
    pub targets: &'a [Target],
    /// The TLS settings for servers with `https://`.
    pub tls: &'a UpstreamTls,
    /// Maximum number of idle connections to each.
    pub idle_max: usize,
    /// Maximum number of connections to each, idle ones included. None: no limit.
    pub max: Option<usize>,
    /// When they are passed over.
    pub health: &'a Health,
    /// After which failures another server is tried.
    pub retry_on: RetryOn,
    /// The api whose settings say how they are checked. None: they are not.
    pub checked: Option<&'a Api>,
}

impl Backend<'_> {
    /// The targets that get requests, which are those with a weight, as bits. The lowest bit is the
    /// first target's.
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
    /// True exactly when more than one target gets requests.
    pub fn has_several_targets(&self) -> bool {
        self.targets.iter().filter(|target| target.weight > 0).nth(1).is_some()
    }

    /// Its targets as a backend.
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
