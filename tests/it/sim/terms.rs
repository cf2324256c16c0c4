//! What must be true of a world, which depends on its configuration and its faults.

use super::auth;
use super::loss::Loss;
use super::plan::{Mischief, Plan};
use super::rates::{self, Pace};
use super::room;
use millstream::Config;
use millstream::testing::{Compression, Failed, OnOutage, Resume, RetryOn, StreamKind};
use std::time::Duration;

/// What must be true of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// True if nothing in the world prevents a valid request from being served completely.
    pub(crate) kind: bool,
    /// True if an idle connection is never closed before a client uses it again.
    pub(crate) patient: bool,
    /// True if upstream connections are reused. One of them may then be closed with a request on it
    /// that cannot be sent twice.
    pub(crate) pooling: bool,
    /// True if the proxy may end subscriptions early.
    pub(crate) ends: bool,
    /// True if the proxy may end answers early.
    pub(crate) ends_answers: bool,
    /// The kind of all event streams, unless it depends on the method.
    pub(crate) streams_are: Option<StreamKind>,
    /// True if the world drains, so clients may be refused.
    pub(crate) drains: bool,
    /// True if it drains so late that no new connection is refused.
    pub(crate) awaits_all: bool,
    /// True if the proxy resumes interrupted event streams.
    pub(crate) resumes: bool,
    /// True if requests for event streams do not get the errors of an outage.
    pub(crate) spares: bool,
    /// True if the proxy may respond before the origin.
    pub(crate) early: bool,
    /// True if clients with a session go to its origin.
    pub(crate) heeds_sessions: bool,
    /// True if there may be fewer streams than are requested.
    pub(crate) scarce: bool,
    /// True if a request may have to wait for a connection.
    pub(crate) queues: bool,
    /// True if the api or its key is removed.
    pub(crate) loses: bool,
    /// The rules of the auth server, if there is one.
    pub(crate) auth: Option<auth::Rules>,
    /// The failures of an origin after which the other one is tried, if there is one.
    pub(crate) retries: Option<RetryOn>,
    /// True if every origin accepts connections.
    pub(crate) reachable: bool,
    /// True if an origin is passed over only because it has failed its checks, which fail only if
    /// the origin says so.
    pub(crate) checks_decide: bool,
    /// True if origins use TLS.
    pub(crate) secured: bool,
    /// Its `max_event_bytes`; 0 if even shorter events may be relayed incomplete.
    pub(crate) event_max: usize,
    /// True if the proxy may ask the origin for a compressed event stream.
    pub(crate) passes: bool,
    /// Its heartbeats; empty if they are comments.
    pub(crate) heartbeat: &'static str,
    /// The event inserted before an answer is cut; empty if there is none.
    pub(crate) end: &'static str,
}

/// The events that the proxy may insert.
pub(crate) const HEARTBEAT: &str = "event: ping\ndata: {}\n\n";
pub(crate) const END: &str = "event: end\ndata: early\n\n";

impl Terms {
    pub(crate) fn of(config: &Config, kind: bool) -> Terms {
        let api = &config.apis[0];
        let (streams, health) = (&api.streams, &api.health);
        Terms {
            kind,
            patient: config.server.keepalive_timeout > Duration::from_secs(3600),
            pooling: api.keepalive_upstream > 0 && !api.send_proxy,
            ends: streams.max_age.is_some(),
            ends_answers: false,
            streams_are: streams.kind,
            drains: false,
            awaits_all: false,
            resumes: streams.resume != Resume::Never,
            event_max: streams.event_max,
            spares: streams.on_outage != OnOutage::Error || rates::spares(api),
            early: streams.early_answer.is_some(),
            heeds_sessions: api.sticky.is_some(),
            scarce: streams.max.is_some() || streams.max_per_ip.is_some() || room::is_scarce(api),
            queues: api.max_upstream.is_some(),
            loses: false,
            auth: None,
            passes: streams.compression == Compression::Pass,
            heartbeat: streams.heartbeat_event.as_ref().map_or("", |_| HEARTBEAT),
            end: streams.end_event.as_ref().map_or("", |_| END),
            retries: (api.targets.len() > 1).then_some(api.retry_on),
            reachable: true,
            checks_decide: health.max_fails.is_none()
                && health.checks.as_ref().is_some_and(|c| c.timeout >= Duration::from_secs(5)),
            secured: api.target().is_secure,
        }
    }

    /// Adds the terms of an auth server, a loss, and limits on rates.
    pub(crate) fn expect(
        &mut self,
        auth: Option<auth::Rules>,
        loss: Option<&Loss>,
        paces: &[Pace],
    ) {
        self.auth = auth;
        self.kind &= auth.is_none_or(|auth| auth.is_kind);
        self.scarce |= !paces.is_empty();
        (self.loses, self.ends_answers) = (loss.is_some(), loss.is_some());
        self.ends |= loss.is_some();
        // A session of the lost upstream is unknown to the next.
        self.heeds_sessions &= loss.is_none();
    }

    /// Adds the terms of a low limit on held bytes: events may be relayed incomplete, and the
    /// subrequest of a client may not be kept. A client that cannot be checked again must
    /// reconnect.
    pub(crate) fn hold_little(&mut self, auth: Option<auth::Rules>) {
        self.event_max = 0;
        let asks_again = auth.is_some_and(|rules| rules.recheck.is_some());
        self.ends |= asks_again;
        self.ends_answers |= asks_again;
    }

    /// True if an event stream for this plan is a subscription.
    pub(crate) fn subscribes(self, plan: &Plan) -> bool {
        self.streams_are.map_or(plan.method == "GET", |kind| kind == StreamKind::Subscription)
    }

    /// Notes whether the first origin accepts connections.
    pub(crate) fn note_reachable(&mut self, reachable: bool) {
        self.reachable = reachable;
        let goes_on = self.retries.is_none_or(|retries| retries.has(Failed::Connect));
        self.kind &= reachable || goes_on;
    }

    /// True if the other origin must have been tried after the first one failed. The request has no
    /// body that might not have been kept.
    pub(crate) fn recovers(self, plan: &Plan) -> bool {
        let failed = match plan.mischief {
            Mischief::Silent => Failed::Timeout,
            Mischief::Deaf | Mischief::Garbage => Failed::BadGateway,
            Mischief::Refusal(status) => Failed::of_status(status).unwrap(),
            Mischief::None | Mischief::CutAt(_) | Mischief::ResetAt(_) | Mischief::Flood(_) => {
                return false;
            }
        };
        let listed = self.retries.is_some_and(|retries| retries.has(failed)) && !plan.is_stubborn;
        listed && self.reachable && plan.request.is_none() && !plan.is_bound.get()
    }
}
