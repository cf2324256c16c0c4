//! How the process divides its file descriptors, and the error text when they run out.
//!
//! Each client may need an upstream connection, too. So the process itself, the files and sockets
//! of a reload, the operator, and connections that are being refused get their share first, and
//! clients get half of the rest. Idle upstream connections have no share; they are closed when a
//! client needs the descriptor. Divided like this, an accepted client never fails for lack of a
//! descriptor.
//!
//! The shares are fixed in advance. If the limit were noticed only when `accept` fails, the
//! operator could not connect either.

use nix::errno::Errno;
use std::io;

/// Descriptors of the process itself: 17 for the standard streams, the poll, its registry and its
/// waker, the signal pipes, and what Linux reports about the process; 2 for notices of changed
/// files, and the same again while they are renewed; one for a connection that is accepted only to
/// be closed; and some to spare.
pub const PROCESS: usize = 24;

/// The maximum number of names that are resolved at a time: those of a configuration that is being
/// loaded, and as many of the one that is served.
pub const NAMES_AT_ONCE: usize = 16;

/// Descriptors for configuration files, and for the files and sockets of the system's resolver,
/// which has at most one open for each name.
const FILES: usize = 8 + 2 * NAMES_AT_ONCE;

/// The maximum number of connections to the admin listener. They do not count as client
/// connections, so that an operator can connect and see why clients cannot.
pub const ADMIN: usize = 16;

/// The same for the listener for probes. So probes cannot keep the operator out, nor the operator
/// the probes.
pub const PROBES: usize = 8;

/// The maximum number of connections past the limit that are answered with 503 at one time; beyond
/// that, new connections are closed without a response.
const REFUSALS_MAX: usize = 64;

/// The number of connections reserved for checking open streams again (`auth.recheck`), or a
/// sixteenth of the limit if that is less.
pub const RECHECKS: u64 = 64;

/// Descriptors that clients do not get, or a quarter of the limit if that is less.
const KEPT_BACK: usize = 128;

/// What an operator can do about a lack of descriptors; part of error messages.
pub const REMEDY: &str = "raise the limit on open files (ulimit -n, or LimitNOFILE= of systemd)";

/// The limits on connections that follow from the limit on descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The maximum number of client connections. At least 1.
    pub clients: usize,
    /// The maximum number of client and upstream connections together, idle ones included. At least
    /// twice `clients`.
    pub connections: usize,
    /// The maximum number of connections beyond `clients` that are refused with a response at one
    /// time.
    pub refusals: usize,
}

impl Budget {
    /// Divides `limit` descriptors of a process that listens on `listeners` addresses, and accepts
    /// at most `max_connections` clients.
    pub fn of(limit: u64, listeners: usize, max_connections: Option<usize>) -> Budget {
        // An unlimited process has a limit of `u64::MAX`, even on 32-bit hosts.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let fixed = beside_connections(listeners);
        let kept_back = fixed.max(KEPT_BACK.min(limit / 4));
        let room = (limit.saturating_sub(kept_back) / 2).max(1);
        let clients = max_connections.map_or(room, |max| max.min(room));
        let refusals = limit.saturating_sub(fixed + 2 * clients).min(REFUSALS_MAX);
        let connections = limit.saturating_sub(fixed + refusals).max(2 * clients);
        Budget { clients, connections, refusals }
    }

    /// At most `clients` clients, and no limit on descriptors: for a network without them.
    #[cfg(feature = "sim")]
    pub const fn unlimited(clients: usize) -> Budget {
        Budget { clients, connections: usize::MAX, refusals: REFUSALS_MAX }
    }
}

/// Descriptors for everything but client and upstream connections. Listeners count twice because a
/// reload opens the new ones before it closes the old ones.
const fn beside_connections(listeners: usize) -> usize {
    PROCESS + FILES + ADMIN + PROBES + 2 * listeners
}

/// Descriptors of `others` event loops besides the first. Each has the poll, its registry, its
/// waker, and the listeners.
pub const fn of_loops(others: usize, listeners: usize) -> u64 {
    (others * (3 + 2 * listeners)) as u64
}

/// The lowest limit that leaves room for one client after everything else has its share.
pub const fn least(listeners: usize) -> u64 {
    beside_connections(listeners) as u64 + 2
}

/// True if an error means that the process or the system has no descriptor left.
pub fn ran_out(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE))
}

/// The error of a process that has no descriptor left.
pub fn none_left() -> io::Error {
    Errno::EMFILE.into()
}

/// The text of an error, with the [`REMEDY`] if it is a lack of descriptors.
pub fn explain(error: &io::Error) -> String {
    if ran_out(error) { format!("{error}; {REMEDY}") } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_divided() {
        let check = |limit, listeners, max_connections, want: [usize; 3]| {
            let Budget { clients, connections, refusals } =
                Budget::of(limit, listeners, max_connections);
            assert_eq!([clients, connections, refusals], want, "{limit} {max_connections:?}");
        };
        check(1024, 1, None, [448, 896, 38]);
        check(1024, 2, Some(1), [1, 868, 64]);
        check(1024, 2, Some(100), [100, 868, 64]);
        check(1024, 2, Some(449), [448, 896, 36]);
        check(262_144, 3, None, [131_008, 262_016, 34]);
        // A quarter is kept back.
        check(400, 2, None, [150, 300, 8]);
        // Everything needed is kept back, even if that is more than a quarter.
        check(128, 2, None, [18, 36, 0]);
        check(1024, 100, None, [368, 736, 0]);
        // One client is always allowed, even if there may be no descriptor for it.
        check(40, 1, None, [1, 2, 0]);
        check(0, 1, None, [1, 2, 0]);
    }

    #[test]
    fn all_of_them_are_within_the_limit() {
        for listeners in 1..4 {
            for limit in least(listeners)..2000 {
                for max in [None, Some(1), Some(10), Some(10_000)] {
                    let budget = Budget::of(limit, listeners, max);
                    let all = beside_connections(listeners) + budget.connections + budget.refusals;
                    assert!(all as u64 <= limit, "{limit} {listeners} {max:?} {budget:?}");
                    assert!(2 * budget.clients <= budget.connections, "{limit} {budget:?}");
                }
            }
        }
    }

    #[test]
    fn only_a_lack_of_descriptors_has_this_remedy() {
        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert!(explain(&errno.into()).ends_with(REMEDY), "{errno}");
        }
        assert!(!explain(&Errno::EACCES.into()).contains("limit"));
        assert!(!explain(&io::Error::other("too many open files")).contains("limit"));
    }
}
