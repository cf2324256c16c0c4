//! Clients that were let in by their certificates, when the authorities change or a certificate is
//! revoked.
//!
//! If an api requires a certificate (`client_certificate`), one that was revoked, or whose
//! authority is no longer trusted, is like a revoked key: exchanges that depend on it end. A check
//! costs as much as part of a handshake, so each turn makes only as many checks as it takes
//! handshake steps. A client with no exchange that depends on its certificate is checked when it
//! sends its next request, or when its api begins to require a certificate: revocation lists change
//! every day, and mostly concern other clients.

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
    /// Has all certificates checked again that have let clients in, or would have to now.
    pub(super) fn judge_certificates_again(&mut self) {
        let Proxy { tasks, shared: Shared { apis, config, .. }, .. } = self;
        let certified = tasks.iter().filter(|(_, session)| {
            // A session that is `Served` was checked since the lists last changed.
            session.standing != Standing::Served
                && session.exchange().is_some_and(|exchange| depends(exchange, config, apis))
        });
        self.unjudged = certified.map(|(key, _)| key).collect();
    }

    /// Has each client whose certificate may have been revoked checked again before its next
    /// request.
    pub(super) fn doubt_certificates(&mut self) {
        let Proxy { tasks, .. } = self;
        // A client that has yet to begin its handshake is checked during it.
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

    /// Has streams and tunnels end with their certificates by the wall clock as it is now. An end
    /// that is set already is not put off.
    pub(super) fn expire_certificates(&mut self, now: Now) {
        let Proxy { tasks, shared: Shared { net, apis, config, .. }, .. } = self;
        let mut endless = Vec::new();
        for (key, session) in tasks.iter_mut() {
            if let Session { conn, state: State::Active(exchange), .. } = session
                && exchange.stage().is_endless()
            {
                expire(exchange, conn, net, (config, apis), now);
                endless.push(key);
            }
        }
        endless.into_iter().for_each(|key| tasks.wake(key));
    }

    /// Checks some of them. Returns true if there are more.
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

/// Checks the certificate that a client presented, if any. Returns false if it would not be let in
/// now; its connection then takes no further request.
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

/// True if an exchange was let in by a certificate, or would have to be now.
fn depends(exchange: &Exchange, config: &Config, apis: &Apis) -> bool {
    let present = exchange.api_state.and_then(|key| apis.index_of(key));
    let needs = |index: usize| config.apis[index].client_certificate;
    exchange.is_certified() || exchange.has_certificate() && present.is_some_and(needs)
}

/// Ends an event stream or a tunnel when the certificate expires that has let it in, or would have
/// to now: a client that may not come back then has no reason to stay.
pub(super) fn expire<N: Net>(
    exchange: &mut Exchange,
    conn: &Conn,
    net: &N,
    (config, apis): (&Config, &Apis),
    now: Now,
) {
    // An exchange that is not open yet is checked again when it opens.
    if !exchange.stage().is_endless() || !depends(exchange, config, apis) {
        return;
    }
    let Some(der) = conn.agreed(net).and_then(|agreed| agreed.certificate) else { return };
    let end = tls::last_second_of(der).saturating_add(1).saturating_mul(1000);
    let left = Duration::from_millis(end.saturating_sub(now.unix_ms));
    exchange.expire_stream_at(now.tick.after(left), Outcome::CertificateExpired);
}
