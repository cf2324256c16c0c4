//! Clients that were let in by their certificates, when authorities change, or revoke one.
//!
//! Where an api asks for a certificate (`client_certificate`), one that was revoked, or that no
//! authority has issued any more, is as good as a key that was revoked: what runs with it ends. To
//! find out takes as long as a part of a handshake, so in each turn only as many are judged as
//! there are steps for those. Whoever has nothing running that depends on it is judged when it
//! sends its next request: lists of revoked certificates change every day, and mostly for others.

use super::shared::Shared;
use super::{Proxy, reload};
use crate::apis::Apis;
use crate::config::Config;
use crate::conn::Conn;
use crate::exchange::Exchange;
use crate::net::{Net, tls};
use crate::session::{Session, Standing, State};
use crate::telemetry::Outcome;
use crate::time::{Now, Tick};
use std::time::Duration;

impl<N: Net> Proxy<N> {
    /// Has all certificates judged again that have let clients in, or would have to now.
    pub(super) fn judge_certificates_again(&mut self) {
        let Proxy { tasks, shared: Shared { apis, config, .. }, .. } = self;
        let certified = tasks.iter().filter(|(_, session)| {
            session.exchange().is_some_and(|exchange| depends(exchange, config, apis))
        });
        self.unjudged = certified.map(|(key, _)| key).collect();
    }

    /// Has each client whose certificate may have been revoked judged again before its next
    /// request.
    pub(super) fn doubt_certificates(&mut self) {
        let Proxy { tasks, .. } = self;
        // Who has yet to shake hands is judged then.
        let is_in = |session: &Session| {
            session.is_secure && !matches!(session.state, State::ProxyHeader { .. })
        };
        for (_, session) in tasks.iter_mut().filter(|(_, session)| is_in(session)) {
            if session.standing == Standing::Served {
                session.standing = Standing::Unjudged;
            }
        }
        self.judge_certificates_again();
    }

    /// Judges some of them. True if there are more.
    pub(super) fn judge_certificates(&mut self, now: Tick) -> bool {
        let Proxy { tasks, shared, unjudged, .. } = self;
        for _ in 0..shared.portions.handshakes_per_turn.min(unjudged.len()) {
            let Some(key) = unjudged.pop() else { break };
            let Some(session) = tasks.get_mut(key) else { continue };
            let is_accepted = judge(session, shared);
            let Some(exchange) = session.exchange_mut().filter(|_| !is_accepted) else { continue };
            exchange.keep_alive_if(false);
            reload::revoke(exchange, &shared.config, shared.random.f64(), now);
            tasks.wake(key);
        }
        !unjudged.is_empty()
    }
}

/// Judges the certificate that a client has shown, if it has. False if it would not be let in now;
/// then its connection takes no further request.
pub(super) fn judge<N: Net>(session: &mut Session, shared: &Shared<N>) -> bool {
    let Some(server) = &shared.tls.server else { return true };
    let unix_ms = shared.date.second() * 1000;
    let has_shown = session.conn.agreed(&shared.net).is_some_and(|a| a.certificate.is_some());
    let is_accepted = !has_shown || session.conn.is_accepted_by(&shared.net, server, unix_ms);
    session.standing = match session.standing {
        Standing::Served | Standing::Unjudged if !is_accepted => Standing::Outdated,
        Standing::Unjudged => Standing::Served,
        standing @ (Standing::Served | Standing::Outdated | Standing::Refused) => standing,
    };
    is_accepted
}

/// True exactly when a certificate has let an exchange in, or would have to now.
fn depends(exchange: &Exchange, config: &Config, apis: &Apis) -> bool {
    let present = exchange.api_state.and_then(|key| apis.index_of(key));
    let needs = |index: usize| config.apis[index].client_certificate;
    exchange.is_certified() || exchange.has_certificate() && present.is_some_and(needs)
}

/// Has an event stream or a tunnel end when the certificate expires that has let it in, or would
/// have to now: whoever may not come back then has no reason to stay.
pub(super) fn expire<N: Net>(
    exchange: &mut Exchange,
    conn: &Conn,
    net: &N,
    (config, apis): (&Config, &Apis),
    now: Now,
) {
    // What has yet to become one is asked again then.
    if !exchange.stage().is_endless() || !depends(exchange, config, apis) {
        return;
    }
    let Some(der) = conn.agreed(net).and_then(|agreed| agreed.certificate) else { return };
    let end = tls::last_second_of(der).saturating_add(1).saturating_mul(1000);
    let left = Duration::from_millis(end.saturating_sub(now.unix_ms));
    exchange.expire_stream_at(now.tick.after(left), Outcome::CertificateExpired);
}
