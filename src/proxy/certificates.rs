//! Clients that were let in by their certificates, when authorities change.
//!
//! Where an api asks for a certificate (`client_certificate`), one that no authority has issued any
//! more is as good as a key that was revoked: what runs with it ends. To find out takes as long as
//! a part of a handshake, so in each turn only as many are judged as there are steps for those.

use super::shared::Shared;
use super::{Proxy, reload};
use crate::net::Net;
use crate::time::Tick;

impl<N: Net> Proxy<N> {
    /// Has all certificates judged again that have let clients in, or would have to now.
    pub(super) fn judge_certificates_again(&mut self) {
        let Proxy { tasks, shared: Shared { apis, config, .. }, .. } = self;
        let certified = tasks.iter().filter(|(_, session)| {
            session.exchange().is_some_and(|exchange| {
                let present = exchange.api_state.and_then(|key| apis.index_of(key));
                let needs = |index: usize| config.apis[index].client_certificate;
                exchange.is_certified() || exchange.has_certificate() && present.is_some_and(needs)
            })
        });
        self.unjudged = certified.map(|(key, _)| key).collect();
    }

    /// Judges some of them. True if there are more.
    pub(super) fn judge_certificates(&mut self, now: Tick) -> bool {
        let Proxy { tasks, shared, unjudged, unix_ms, .. } = self;
        for _ in 0..shared.portions.handshakes_per_turn.min(unjudged.len()) {
            let Some(key) = unjudged.pop() else { break };
            let (Some(session), Some(server)) = (tasks.get_mut(key), &shared.tls.server) else {
                continue;
            };
            let is_accepted = session.conn.is_accepted_by(&shared.net, server, *unix_ms);
            let Some(exchange) = session.exchange_mut().filter(|_| !is_accepted) else { continue };
            reload::revoke(exchange, &shared.config, shared.random.f64(), now);
            tasks.wake(key);
        }
        !unjudged.is_empty()
    }
}
