//! The counters and the health of an upstream's endpoint.
//!
//! A failure to connect to one of several addresses is only counted. The endpoint is failing from
//! the moment it could not serve a request until it answers one.

use super::cause::Cause;
use super::outcome::Outcome;
use crate::metrics::Counter;
use crate::net::{TlsError, TlsFault};
use crate::time::Tick;
use std::cell::Cell;
use std::io;

/// Why an endpoint did not serve a request completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An address refused the connection.
    Refused,
    /// An address did not answer within its share of `connect_timeout`.
    ConnectTimeout,
    /// The name has no addresses.
    Unresolved,
    /// An address cannot be connected to for another reason, such as no route or no such socket.
    Unreachable,
    /// The certificate of an address has expired or is not valid yet.
    CertificateExpired,
    /// The certificate of an address has an issuer that is not trusted.
    CertificateIssuer,
    /// The certificate of an address is for other names.
    CertificateName,
    /// The certificate of an address is missing, or not accepted for another reason.
    Certificate,
    /// An address ended the TLS handshake, with or without a reason.
    TlsAlert,
    /// An address does not use TLS.
    NotTls,
    /// The TLS handshake with an address failed for another reason.
    Tls,
    /// The endpoint closed the connection before its response head was complete.
    Closed,
    /// The response head is malformed, too large, or does not fit the request.
    Malformed,
    /// The response head did not arrive within `response_timeout`.
    ResponseTimeout,
    /// The endpoint accepted no bytes of the request for `write_timeout`.
    WriteTimeout,
    /// The endpoint answered that it is unavailable.
    Unavailable,
    /// The endpoint broke off within the body, or the body is malformed.
    Cut,
    /// The endpoint was silent within the body for `idle_timeout` or `stream_idle_timeout`.
    Idle,
}

// The last variant has the last index, so the list below is complete.
const _: () = assert!(Failure::ALL.len() == Failure::Idle as usize + 1);

impl Failure {
    /// All failures, in the order in which they are counted.
    pub const ALL: [Failure; 18] = [
        Failure::Refused,
        Failure::ConnectTimeout,
        Failure::Unresolved,
        Failure::Unreachable,
        Failure::CertificateExpired,
        Failure::CertificateIssuer,
        Failure::CertificateName,
        Failure::Certificate,
        Failure::TlsAlert,
        Failure::NotTls,
        Failure::Tls,
        Failure::Closed,
        Failure::Malformed,
        Failure::ResponseTimeout,
        Failure::WriteTimeout,
        Failure::Unavailable,
        Failure::Cut,
        Failure::Idle,
    ];

    /// The word in metrics and on the live page. millstream(1) explains each.
    pub const fn word(self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::ConnectTimeout => "connect_timeout",
            Failure::Unresolved => "unresolved",
            Failure::Unreachable => "unreachable",
            Failure::CertificateExpired => "certificate_expired",
            Failure::CertificateIssuer => "certificate_issuer",
            Failure::CertificateName => "certificate_name",
            Failure::Certificate => "certificate",
            Failure::TlsAlert => "tls_alert",
            Failure::NotTls => "not_tls",
            Failure::Tls => "tls",
            Failure::Closed => "closed",
            Failure::Malformed => "malformed",
            Failure::ResponseTimeout => "response_timeout",
            Failure::WriteTimeout => "write_timeout",
            Failure::Unavailable => "unavailable",
            Failure::Cut => "cut",
            Failure::Idle => "idle",
        }
    }

    /// True if only a TLS target can fail like this.
    pub const fn is_of_tls(self) -> bool {
        matches!(
            self,
            Failure::CertificateExpired
                | Failure::CertificateIssuer
                | Failure::CertificateName
                | Failure::Certificate
                | Failure::TlsAlert
                | Failure::NotTls
                | Failure::Tls
        )
    }

    /// The failure for a connect error.
    pub fn of_connect(error: &io::Error) -> Failure {
        if let Some(fault) = TlsError::fault_of(error) {
            return Failure::of_handshake(fault);
        }
        let kinds = [
            (io::ErrorKind::ConnectionRefused, Failure::Refused),
            (io::ErrorKind::TimedOut, Failure::ConnectTimeout),
        ];
        let known = kinds.iter().find(|(kind, _)| *kind == error.kind());
        known.map_or(Failure::Unreachable, |(_, failure)| *failure)
    }

    const fn of_handshake(fault: TlsFault) -> Failure {
        match fault {
            TlsFault::Expired => Failure::CertificateExpired,
            TlsFault::UnknownIssuer => Failure::CertificateIssuer,
            TlsFault::WrongName => Failure::CertificateName,
            TlsFault::Revoked | TlsFault::RevocationUnknown | TlsFault::BadCertificate => {
                Failure::Certificate
            }
            TlsFault::Alert | TlsFault::Closed => Failure::TlsAlert,
            TlsFault::NotTls | TlsFault::PlainHttp => Failure::NotTls,
            TlsFault::Incompatible => Failure::Tls,
        }
    }

    /// The failure for a response that was cut, if the endpoint is at fault.
    pub fn of_cut(outcome: Outcome) -> Option<Failure> {
        let outcomes = [
            (Outcome::UpstreamCut, Failure::Cut),
            (Outcome::UpstreamIdle, Failure::Idle),
            (Outcome::UpstreamStalled, Failure::Idle),
        ];
        outcomes.iter().find(|(known, _)| *known == outcome).map(|(_, failure)| *failure)
    }

    /// The failure for an endpoint that got at least part of the request and did not answer it.
    /// None for a cause that is not the endpoint's fault, or that was counted while connecting.
    pub fn of_response(cause: Cause) -> Option<Failure> {
        let causes = [
            (Cause::UpstreamClosed, Failure::Closed),
            (Cause::UpstreamMalformed, Failure::Malformed),
            (Cause::MaxHeadBytes, Failure::Malformed),
            (Cause::MaxHeadFields, Failure::Malformed),
            (Cause::ResponseTimeout, Failure::ResponseTimeout),
            (Cause::StreamResponseTimeout, Failure::ResponseTimeout),
            (Cause::FirstEventTimeout, Failure::ResponseTimeout),
            (Cause::WriteTimeout, Failure::WriteTimeout),
            (Cause::UpstreamUnavailable, Failure::Unavailable),
        ];
        causes.iter().find(|(known, _)| *known == cause).map(|(_, failure)| *failure)
    }
}

/// True for the statuses with which an upstream, or this process in its place, says that it is
/// unavailable.
pub const fn is_outage(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// The health of an endpoint, according to the last request of one event loop or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When a request was last answered or failed. None before the first one.
    last_result: Option<Tick>,
    last_success: Option<Tick>,
    failing_since: Option<Tick>,
}

impl Health {
    /// Since when the endpoint has answered no request. None if it has answered the last one, or
    /// has not been asked yet.
    pub const fn failing_since(&self) -> Option<Tick> {
        self.failing_since
    }

    /// When the endpoint last answered a request, if it ever did.
    pub const fn last_success(&self) -> Option<Tick> {
        self.last_success
    }

    /// Merges the health in another event loop. The later of both requests decides, because a loop
    /// whose last request failed may not ask again for a long time.
    pub fn merge(&mut self, other: Health) {
        let last = |health: &Health| (health.last_result, health.failing_since.is_some());
        let (last_result, is_failing) = last(self).max(last(&other));
        let last_success = self.last_success.max(other.last_success);
        let since = self.failing_since.into_iter().chain(other.failing_since).min();
        // The first failure in one loop may be older than the last success in the other.
        let since = since.max(last_success);
        *self = Health { last_result, last_success, failing_since: since.filter(|_| is_failing) };
    }
}

/// The counters and the health of one endpoint. See the module docs.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Attempted connections, to any of its addresses.
    pub connects: Counter,
    /// How often it was skipped.
    pub passed_over: Counter,
    /// Health checks: those that failed, and those that passed.
    pub checks: [Counter; 2],
    failures: [Counter; Failure::ALL.len()],
    health: Cell<Health>,
    last_failure: Cell<Option<(Failure, Tick)>>,
}

impl EndpointStats {
    /// Counts a failure. It does not change the health, because the endpoint may have other
    /// addresses.
    pub fn count_failure(&self, failure: Failure, now: Tick) {
        self.failures[failure as usize].one();
        self.last_failure.set(Some((failure, now)));
    }

    /// Notes that the endpoint could not serve a request.
    pub fn mark_failing(&self, now: Tick) {
        let health = self.health.get();
        let failing_since = health.failing_since.or(Some(now));
        self.health.set(Health { last_result: Some(now), failing_since, ..health });
    }

    /// Notes that the endpoint answered a request.
    pub fn mark_answered(&self, now: Tick) {
        let now = Some(now);
        self.health.set(Health { last_result: now, last_success: now, failing_since: None });
    }

    /// The health in this event loop.
    pub const fn health(&self) -> Health {
        self.health.get()
    }

    /// The last failure and its time, if there was one.
    pub const fn last_failure(&self) -> Option<(Failure, Tick)> {
        self.last_failure.get()
    }

    /// The number of failures of each kind, including zeros.
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
        let seen = || (endpoint.health().failing_since(), endpoint.health().last_success());
        assert_eq!(seen(), (None, None));
        endpoint.count_failure(Failure::Refused, at(1));
        assert_eq!(seen(), (None, None), "there is another address");
        endpoint.mark_answered(at(2));
        endpoint.mark_answered(at(3));
        assert_eq!(seen(), (None, Some(at(3))));
        for ms in [4, 5] {
            endpoint.count_failure(Failure::Closed, at(ms));
            endpoint.mark_failing(at(ms));
        }
        assert_eq!(seen(), (Some(at(4)), Some(at(3))));
        assert_eq!(endpoint.last_failure(), Some((Failure::Closed, at(5))));
        let failures: Vec<_> = endpoint.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failures, [(Failure::Refused, 1), (Failure::Closed, 2)]);
        endpoint.mark_answered(at(6));
        assert_eq!(seen(), (None, Some(at(6))));
    }

    /// Two loops have had successes and failures, each in its own order.
    #[test]
    fn the_last_request_of_all_loops_decides() {
        let at = Tick::from_millis;
        let health = |results: &[(u64, bool)]| {
            let endpoint = EndpointStats::default();
            for (ms, is_answered) in results {
                if *is_answered {
                    endpoint.mark_answered(at(*ms));
                } else {
                    endpoint.mark_failing(at(*ms));
                }
            }
            endpoint.health()
        };
        for (one, other, want) in [
            (&[][..], &[][..], (None, None)),
            (&[(1, false)], &[], (Some(1), None)),
            (&[(1, false)], &[(5, true)], (None, Some(5))),
            (&[(1, false), (9, false)], &[(5, true)], (Some(5), Some(5))),
            (&[(1, false), (9, false)], &[(5, true), (7, false)], (Some(5), Some(5))),
            (&[(1, true), (2, false)], &[(4, false)], (Some(2), Some(1))),
            (&[(1, true), (6, false)], &[(1, false), (4, true)], (Some(6), Some(4))),
            (&[(3, false)], &[(3, true)], (Some(3), Some(3))),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let mut both = health(one);
                both.merge(health(other));
                let got = (both.failing_since(), both.last_success());
                assert_eq!(got, (want.0.map(at), want.1.map(at)), "{one:?} {other:?}");
            }
        }
    }
}
