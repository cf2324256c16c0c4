//! Which privileges of root are left (`capabilities(7)`).
//!
//! Each thread has capabilities of its own, and one that is started has those of whom it is started
//! by. So all but a few are given up while there is one thread. What is left is for the start and
//! for reloads: low ports, and files and sockets whose modes keep root out, of which Landlock
//! leaves those of the configuration. Becoming another user takes a few more, which end with that.

use crate::config::Config;
use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{User, geteuid};

/// What is kept for as long as the process runs.
const KEPT: [Capability; 3] = [
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_DAC_READ_SEARCH,
    // For the sockets of upstreams, and for folders in which sockets are made.
    Capability::CAP_DAC_OVERRIDE,
];

/// What it takes to become another user, and to give that the socket files.
const TO_BECOME_A_USER: [Capability; 3] =
    [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_CHOWN];

/// Gives up, in this thread and all that it will start, what `config` has no use for. Returns
/// whether any was left for good.
///
/// # Errors
/// Why the system cannot.
pub(super) fn give_up(config: &Config) -> Result<bool, CapsError> {
    let becomes_user = config.server.user.as_ref().is_some_and(|name| {
        let user = User::from_name(name).ok().flatten();
        user.is_none_or(|user| user.uid != geteuid())
    });
    let needed = KEPT.into_iter().chain(TO_BECOME_A_USER.into_iter().filter(|_| becomes_user));
    let needed: CapsHashSet = needed.collect();
    // The order matters: what is effective has to be permitted. The last one is what is passed on
    // to programs, of which none is started.
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        // Who has nothing to give up may not be allowed to ask, as in the unit of systemd.
        let has = caps::read(None, set)?;
        if !has.is_subset(&needed) {
            caps::set(None, set, &(&has & &needed))?;
        }
    }
    Ok(!becomes_user && !caps::read(None, CapSet::Permitted)?.is_empty())
}
