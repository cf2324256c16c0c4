//! Clients that were let in by their certificates, when authorities change.
//!
//! Where an api asks for a certificate (`client_certificate`), one that no authority has issued any
//! more is as good as a key that was revoked: what runs with it ends. To find out takes as long as
//! a part of a handshake, so in each turn only as many are judged as there are steps for those.

use super::{Proxy, reload};
use crate::net::Net;
use crate::time::Tick;

impl<N: Net> Proxy<N> {
    /// Has all certificates judged again that have let clients in.
    pub(super) fn judge_certificates_again(&mut self) {
        let certified = self.tasks.iter().filter(|(_, session)| {
            session.exchange().is_some_and(|exchange| exchange.has_certificate())
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
            let present = exchange.api_state.and_then(|key| shared.apis.index_of(key));
            let present = present.map(|index| &shared.config.apis[index]);
            if exchange.is_certified() || present.is_some_and(|api| api.client_certificate) {
                reload::revoke(exchange, &shared.config, shared.random.f64(), now);
                tasks.wake(key);
            }
        }
        !unjudged.is_empty()
    }
}
