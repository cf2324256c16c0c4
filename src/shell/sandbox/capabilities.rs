//! Which of root's privileges are kept (`capabilities(7)`).
//!
//! Each thread has its own capabilities, and inherits them from the thread that starts it. So all
//! but a few are dropped while there is only one thread. Those kept are for startup and reloads:
//! low ports, and files and sockets whose modes would deny access, of which Landlock allows only
//! those of the configuration. Switching to another user takes a few more, and the switch drops all
//! of them.

use crate::config::Config;
use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{User, geteuid};

/// What is kept for as long as the process runs.
const KEPT: [Capability; 3] = [
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_DAC_READ_SEARCH,
    // For the sockets of upstreams, and for the folders in which sockets are created.
    Capability::CAP_DAC_OVERRIDE,
];

/// What it takes to switch to another user, and to give it the socket files.
const TO_BECOME_A_USER: [Capability; 3] =
    [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_CHOWN];

/// Drops, for this thread and all threads it starts, what `config` does not need. Returns whether
/// any are kept for as long as the process runs.
///
/// # Errors
/// If the system cannot, why not.
pub(super) fn give_up(config: &Config) -> Result<bool, CapsError> {
    let becomes_user = config.server.user.as_ref().is_some_and(|name| {
        let user = User::from_name(name).ok().flatten();
        user.is_none_or(|user| user.uid != geteuid())
    });
    let needed = KEPT.into_iter().chain(TO_BECOME_A_USER.into_iter().filter(|_| becomes_user));
    let needed: CapsHashSet = needed.collect();
    // The order matters: effective capabilities must be permitted. Inheritable ones are passed on
    // to programs, and none is started.
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        // A process with nothing to drop may not be allowed to call this, as in the systemd unit.
        let has = caps::read(None, set)?;
        if !has.is_subset(&needed) {
            caps::set(None, set, &(&has & &needed))?;
        }
    }
    Ok(!becomes_user && !caps::read(None, CapSet::Permitted)?.is_empty())
}
