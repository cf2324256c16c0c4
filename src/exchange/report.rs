//! What is reported about an exchange: how much has passed, how long it has been quiet, and the
//! report for the access log and the counters.

use super::{Exchange, Resumption};
use crate::telemetry::{Report, Volume};
use crate::time::Tick;
use std::net::IpAddr;

impl Exchange {
    /// Since when nothing has passed: no event of a stream, and no byte of a tunnel in either
    /// direction.
    pub fn quiet_since(&self) -> Tick {
        if self.record.is_tunnel() { self.active_at() } else { self.response.quiet_since() }
    }

    /// When a byte last passed, in either direction.
    pub fn active_at(&self) -> Tick {
        let response = self.response.active_at();
        self.upload.pipe().map_or(response, |request| request.active_at().max(response))
    }

    /// How much has passed so far.
    pub fn volume(&self) -> Volume {
        Volume {
            bytes_in: self.upload.taken(),
            bytes_out: self.response.outlet.given(),
            events: self.response.intake.count().unwrap_or(0),
        }
    }

    /// The report for the access log and the counters. `peer` is the address that the connection
    /// came from, and `tls` the TLS version it uses, if any.
    pub fn report<'a>(&'a self, peer: Option<IpAddr>, tls: Option<&'a str>) -> Report<'a> {
        Report {
            record: &self.record,
            form: self.config.log.access,
            fields: &self.config.log.fields,
            api: self.api().map(|api| api.name.as_str()),
            client: self.client(peer),
            key: self.key_name(),
            caller: self.caller_name(),
            tls,
            subject: self.subject(),
            kind: self.facts.kind,
            began: self.began,
            outcome: self.outcome,
            cause: self.cause,
            held_for: self.resume().and_then(Resumption::held_for),
            queued: self.queued(),
            upstream_status: self.extras().and_then(|extras| extras.upstream_status),
            counts_events: self.response.intake.count().is_some(),
            volume: self.volume(),
            delivered: self.response.delivered(),
        }
    }
}
