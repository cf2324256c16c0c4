//! What may be demanded of a world, which its configuration and its faults decide.

use super::auth;
use super::loss::Loss;
use super::plan::{Mischief, Plan};
use super::rates::{self, Pace};
use super::room;
use millstream::Config;
use millstream::testing::{Compression, Failed, OnOutage, Resume, RetryOn, StreamKind};
use std::time::Duration;

/// What may be demanded of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// True exactly when nothing in it keeps an honest exchange from its end.
    pub(crate) kind: bool,
    /// True exactly when an idle connection is never closed under a client that takes its time.
    pub(crate) patient: bool,
    /// True exactly when upstream connections are reused. Then one may die with a request on it
    /// that cannot be sent twice.
    pub(crate) pooling: bool,
    /// True exactly when the proxy may end subscriptions that could go on.
    pub(crate) ends: bool,
    /// True exactly when it may end answers that could.
    pub(crate) ends_answers: bool,
    /// What all its event streams are, if the method does not tell.
    pub(crate) streams_are: Option<StreamKind>,
    /// True exactly when it drains, and so may turn clients away.
    pub(crate) drains: bool,
    /// True exactly when it drains so late that nobody is turned away on a new connection.
    pub(crate) awaits_all: bool,
    /// True exactly when it asks for the rest of event streams that broke.
    pub(crate) resumes: bool,
    /// True exactly when it spares who asks for an event stream the errors of an outage.
    pub(crate) spares: bool,
    /// True exactly when it may answer before the origin.
    pub(crate) early: bool,
    /// True exactly when a client that an origin knows goes to that origin.
    pub(crate) heeds_sessions: bool,
    /// True exactly when there may be fewer streams than are asked for.
    pub(crate) scarce: bool,
    /// True exactly when a request may have to wait for a connection.
    pub(crate) queues: bool,
    /// True exactly when the api, or its key, is taken away.
    pub(crate) loses: bool,
    /// Who is asked which requests may come in, if somebody is.
    pub(crate) auth: Option<auth::Rules>,
    /// After which failures of an origin the other one is asked, if there is one.
    pub(crate) retries: Option<RetryOn>,
    /// True exactly when every origin can be connected to.
    pub(crate) reachable: bool,
    /// True exactly when an origin is passed over only because it has failed its checks, which fail
    /// only where the origin says so.
    pub(crate) checks_decide: bool,
    /// True exactly when its origins speak TLS.
    pub(crate) secured: bool,
    /// Its `max_event_bytes`; 0 if shorter events may be passed on unfinished, too.
    pub(crate) event_max: usize,
    /// True exactly when the origin may be asked for a coded event stream.
    pub(crate) passes: bool,
    /// Its heartbeats; empty if they are comments.
    pub(crate) heartbeat: &'static str,
    /// The event in front of the end of an answer that the proxy ends; empty if there is none.
    pub(crate) end: &'static str,
}

/// The events of ours that may come.
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

    /// Notes who else decides what comes in, and what is taken away.
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
        // Who is answered by an upstream that is gone is not known to the next.
        self.heeds_sessions &= loss.is_none();
    }

    /// Notes that so little can be held that events are passed on unfinished, and that what was
    /// asked about a client may not be kept. Who cannot be asked about again has to come again.
    pub(crate) fn hold_little(&mut self, auth: Option<auth::Rules>) {
        self.event_max = 0;
        let asks_again = auth.is_some_and(|rules| rules.recheck.is_some());
        self.ends |= asks_again;
        self.ends_answers |= asks_again;
    }

    /// True when an event stream that comes of a plan is a subscription.
    pub(crate) fn subscribes(self, plan: &Plan) -> bool {
        self.streams_are.map_or(plan.method == "GET", |kind| kind == StreamKind::Subscription)
    }

    /// Notes whether the first origin can be connected to.
    pub(crate) fn note_reachable(&mut self, reachable: bool) {
        self.reachable = reachable;
        let goes_on = self.retries.is_none_or(|retries| retries.has(Failed::Connect));
        self.kind &= reachable || goes_on;
    }

    /// True exactly when the other origin must have been asked after what the first one did. The
    /// request has nothing that might have been forgotten.
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
