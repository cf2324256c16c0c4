//! How the process's file descriptors are divided, and what is said when they run out.
//!
//! A client may need an upstream connection as well. So clients get half of what is left when
//! everything else has its part: the process itself, the files and sockets of a reload, the
//! operator, and connections that are being refused. Idle upstream connections have no part of
//! their own; they are closed when a client needs the descriptor. With this division nothing that
//! was let in ever fails for want of a descriptor.
//!
//! The division is made beforehand. A limit that is only met when `accept` fails is met by the
//! operator as well.

use nix::errno::Errno;
use std::io;

/// Standard streams, the poll and its waker, and the signals' pipes are 11; and one for a
/// connection that is accepted only to be closed.
const PROCESS: usize = 16;

/// Files of the configuration and whatever the system's resolver opens.
const FILES: usize = 16;

/// Admin connections at a time. They do not count as clients' connections, so that whoever has to
/// find out why there is no room can do so.
pub const OPERATOR: usize = 24;

/// Connections past the limit that are answered with 503 at a time; more are closed unanswered.
const REFUSALS_MAX: usize = 64;

/// What is kept back from clients, unless that would be more than a quarter of the limit.
const KEPT_BACK: usize = 128;

/// What helps against too few descriptors.
pub const REMEDY: &str = "raise the limit on open files (ulimit -n, or LimitNOFILE= of systemd)";

/// Who may have how many descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Client connections at one time. At least 1.
    pub clients: usize,
    /// These client connections and all upstream connections together, idle ones included. At
    /// least two for each client.
    pub connections: usize,
    /// Connections beyond `clients` that are refused with an answer at one time.
    pub refusals: usize,
}

impl Budget {
    /// Divides `limit` descriptors of a process that listens on so many addresses, and that is to
    /// have `max_connections` clients at most.
    pub fn of(limit: u64, listeners: usize, max_connections: Option<usize>) -> Budget {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let fixed = beside_connections(listeners);
        let kept_back = fixed.max(KEPT_BACK.min(limit / 4));
        let room = (limit.saturating_sub(kept_back) / 2).max(1);
        let clients = max_connections.map_or(room, |max| max.min(room));
        let refusals = limit.saturating_sub(fixed + 2 * clients).min(REFUSALS_MAX);
        let connections = limit.saturating_sub(fixed + refusals).max(2 * clients);
        Budget { clients, connections, refusals }
    }

    /// So many clients, and no lack of descriptors: for a network that has none.
    pub const fn unlimited(clients: usize) -> Budget {
        Budget { clients, connections: usize::MAX, refusals: REFUSALS_MAX }
    }
}

/// What is needed beside the connections of clients. A reload opens the new listeners before it
/// closes the old ones.
const fn beside_connections(listeners: usize) -> usize {
    PROCESS + FILES + OPERATOR + 2 * listeners
}

/// The lowest limit at which everybody has enough, and there is room for one client.
pub const fn least(listeners: usize) -> u64 {
    beside_connections(listeners) as u64 + 2
}

/// True exactly when an error says that the process, or the system, has no descriptor left.
pub fn ran_out(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE))
}

/// What an error says, and the remedy if it is a lack of descriptors.
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
        check(1024, 1, None, [448, 902, 64]);
        check(1024, 2, Some(1), [1, 900, 64]);
        check(1024, 2, Some(100), [100, 900, 64]);
        check(1024, 2, Some(449), [448, 900, 64]);
        check(262_144, 3, None, [131_008, 262_018, 64]);
        // A quarter is kept back,
        check(256, 2, None, [96, 192, 4]);
        // but never less than what is needed;
        check(128, 2, None, [34, 68, 0]);
        check(1024, 100, None, [384, 768, 0]);
        // and one client is always served, though that is a promise too much.
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
