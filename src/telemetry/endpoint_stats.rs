//! What is counted of one endpoint of an upstream, and whether it serves.
//!
//! A connection that fails at one address of several is counted. The endpoint is failing when a
//! request could not be served by it, and until a request is.

use super::cause::Cause;
use super::outcome::Outcome;
use crate::metrics::Counter;
use crate::time::Tick;
use std::cell::Cell;
use std::io;

/// Why an endpoint did not serve a request, or did not serve all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An address refused the connection.
    Refused,
    /// An address did not answer in its share of `connect_timeout`.
    ConnectTimeout,
    /// Its name has no addresses.
    Unresolved,
    /// An address cannot be connected to for another reason: no route, or no such socket.
    Unreachable,
    /// It closed the connection before its response head was complete.
    Closed,
    /// Its response head is malformed, too large, or does not fit the request.
    Malformed,
    /// Its response head did not come within `response_timeout`.
    ResponseTimeout,
    /// It took nothing of the request for `write_timeout`.
    WriteTimeout,
    /// It answered that it cannot serve.
    Unavailable,
    /// It broke off within the body, or the body is malformed.
    Cut,
    /// It was silent within the body for `idle_timeout` or `stream_idle_timeout`.
    Idle,
}

// Each has its place in the list, and none was left out: the last is where its number says.
const _: () = assert!(Failure::ALL.len() == Failure::Idle as usize + 1);

impl Failure {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Failure; 11] = [
        Failure::Refused,
        Failure::ConnectTimeout,
        Failure::Unresolved,
        Failure::Unreachable,
        Failure::Closed,
        Failure::Malformed,
        Failure::ResponseTimeout,
        Failure::WriteTimeout,
        Failure::Unavailable,
        Failure::Cut,
        Failure::Idle,
    ];

    /// The word for it, which millstream(1) explains.
    pub const fn word(self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::ConnectTimeout => "connect_timeout",
            Failure::Unresolved => "unresolved",
            Failure::Unreachable => "unreachable",
            Failure::Closed => "closed",
            Failure::Malformed => "malformed",
            Failure::ResponseTimeout => "response_timeout",
            Failure::WriteTimeout => "write_timeout",
            Failure::Unavailable => "unavailable",
            Failure::Cut => "cut",
            Failure::Idle => "idle",
        }
    }

    /// Why an address could not be connected to.
    pub fn of_connect(error: &io::Error) -> Failure {
        let kinds = [
            (io::ErrorKind::ConnectionRefused, Failure::Refused),
            (io::ErrorKind::TimedOut, Failure::ConnectTimeout),
        ];
        let known = kinds.iter().find(|(kind, _)| *kind == error.kind());
        known.map_or(Failure::Unreachable, |(_, failure)| *failure)
    }

    /// Why an endpoint did not serve all of a response that was cut, if it is to blame.
    pub fn of_cut(outcome: Outcome) -> Option<Failure> {
        let outcomes =
            [(Outcome::UpstreamCut, Failure::Cut), (Outcome::UpstreamIdle, Failure::Idle)];
        outcomes.iter().find(|(known, _)| *known == outcome).map(|(_, failure)| *failure)
    }

    /// Why an endpoint that has the request, or a part of it, did not answer it. None for a cause
    /// that is not its own, or that was counted while connecting.
    pub fn of_response(cause: Cause) -> Option<Failure> {
        let causes = [
            (Cause::UpstreamClosed, Failure::Closed),
            (Cause::UpstreamMalformed, Failure::Malformed),
            (Cause::MaxHeadBytes, Failure::Malformed),
            (Cause::MaxHeadFields, Failure::Malformed),
            (Cause::ResponseTimeout, Failure::ResponseTimeout),
            (Cause::WriteTimeout, Failure::WriteTimeout),
            (Cause::UpstreamUnavailable, Failure::Unavailable),
        ];
        causes.iter().find(|(known, _)| *known == cause).map(|(_, failure)| *failure)
    }
}

/// Statuses by which an upstream, or we in its place, says that it cannot serve now.
pub const fn is_outage(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Whether an endpoint serves, as far as the last request shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing was asked of it yet.
    #[default]
    Untried,
    /// It has answered each request since this moment.
    Up(Tick),
    /// It has answered no request since this moment.
    Failing(Tick),
}

/// What is counted of one endpoint. See the module.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Connections that were tried, to any of its addresses.
    pub connects: Counter,
    failures: [Counter; Failure::ALL.len()],
    health: Cell<Health>,
    last_failure: Cell<Option<(Failure, Tick)>>,
    last_success: Cell<Option<Tick>>,
}

impl EndpointStats {
    /// It has failed, which may not be the whole truth about it: it may have other addresses.
    pub fn count_failure(&self, failure: Failure, now: Tick) {
        self.failures[failure as usize].one();
        self.last_failure.set(Some((failure, now)));
    }

    /// A request could not be served by it.
    pub fn mark_failing(&self, now: Tick) {
        if !matches!(self.health.get(), Health::Failing(_)) {
            self.health.set(Health::Failing(now));
        }
    }

    /// A request was answered by it.
    pub fn mark_answered(&self, now: Tick) {
        self.last_success.set(Some(now));
        if !matches!(self.health.get(), Health::Up(_)) {
            self.health.set(Health::Up(now));
        }
    }

    /// Whether it serves, and since when.
    pub const fn health(&self) -> Health {
        self.health.get()
    }

    /// Why it failed last, and when, if it ever did.
    pub const fn last_failure(&self) -> Option<(Failure, Tick)> {
        self.last_failure.get()
    }

    /// When it last answered a request, if it ever did.
    pub const fn last_success(&self) -> Option<Tick> {
        self.last_success.get()
    }

    /// How often it has failed, by reason; also by those that there were not.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        Failure::ALL.into_iter().zip(self.failures.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_failing_from_the_first_failure_to_the_next_answer() {
        let at = Tick::from_millis;
        let endpoint = EndpointStats::default();
        assert_eq!(endpoint.health(), Health::Untried);
        endpoint.count_failure(Failure::Refused, at(1));
        assert_eq!(endpoint.health(), Health::Untried, "there is another address");
        endpoint.mark_answered(at(2));
        endpoint.mark_answered(at(3));
        assert_eq!((endpoint.health(), endpoint.last_success()), (Health::Up(at(2)), Some(at(3))));
        for ms in [4, 5] {
            endpoint.count_failure(Failure::Closed, at(ms));
            endpoint.mark_failing(at(ms));
        }
        assert_eq!(endpoint.health(), Health::Failing(at(4)));
        assert_eq!(endpoint.last_failure(), Some((Failure::Closed, at(5))));
        assert_eq!(endpoint.last_success(), Some(at(3)));
        let failures: Vec<_> = endpoint.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failures, [(Failure::Refused, 1), (Failure::Closed, 2)]);
        endpoint.mark_answered(at(6));
        assert_eq!(endpoint.health(), Health::Up(at(6)));
    }
}
