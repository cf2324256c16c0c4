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

/// The health of an endpoint, according to the last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// The endpoint has not been asked yet.
    #[default]
    Untried,
    /// The endpoint has answered every request since this moment.
    Up(Tick),
    /// The endpoint has answered no request since this moment.
    Failing(Tick),
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
    last_success: Cell<Option<Tick>>,
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
        if !matches!(self.health.get(), Health::Failing(_)) {
            self.health.set(Health::Failing(now));
        }
    }

    /// Notes that the endpoint answered a request.
    pub fn mark_answered(&self, now: Tick) {
        self.last_success.set(Some(now));
        if !matches!(self.health.get(), Health::Up(_)) {
            self.health.set(Health::Up(now));
        }
    }

    /// The health, and since when.
    pub const fn health(&self) -> Health {
        self.health.get()
    }

    /// The last failure and its time, if there was one.
    pub const fn last_failure(&self) -> Option<(Failure, Tick)> {
        self.last_failure.get()
    }

    /// When the endpoint last answered a request, if it ever did.
    pub const fn last_success(&self) -> Option<Tick> {
        self.last_success.get()
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
