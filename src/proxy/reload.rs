//! Replacing the configuration of a running proxy.
//!
//! Everything that can fail is done beforehand ([`crate::shell`] reads, resolves and binds); this
//! is only the swap. Each exchange ends under the configuration under which it began. The state of
//! an api (its connections, its open streams) stays with its name, as long as it has the same
//! endpoints.
//!
//! Exchanges of an api that was removed or has other endpoints have the drain window to end,
//! whether event streams, tunnels or ordinary responses. Each ends at its own moment; answers and
//! ordinary responses end in the second half, so that those that are nearly done can finish. If a
//! key is removed, its streams and tunnels end at once, and its other exchanges within a few
//! seconds.
//!
//! A request that waits for a connection (`max_upstream`) or for the auth server was not sent to
//! any of the old endpoints. If nothing but the upstream of its api has changed, it goes on under
//! the new configuration with the new endpoints: an operator may have added a target because the
//! queue is long. Otherwise a request that waits for a connection is refused at once, because the
//! connections that it waits for are no longer counted. A request that is connecting, or is sent
//! again, goes to the endpoints that it began with.
//!
//! Nothing outlives its api or its key: not a download, a long poll or an upload. A client that has
//! no response yet gets a 503, or a 403 if its key was removed; a response in progress is cut
//! visibly. The last tenth of the window is for an event to end and for clients to read what is
//! pending. A key is revoked on purpose, so its streams get no window; the few seconds are what an
//! ordinary request takes. If an api gains an auth server (`auth.url`), its existing exchanges were
//! never let in, so they end as if their keys were removed. If one auth server replaces another,
//! they are not ended, but rechecked with the new one if rechecks are configured
//! ([`super::steps::recheck`]).
//!
//! With TLS, who may come in is decided in the handshake. If a client would have to meet other
//! terms now (`verify_client`, `client_ca`, `min_version`), its connection takes no further
//! request: an idle connection is closed, and any other one after its response. What has begun
//! continues, a stream for as long as it likes. A revoked key names one client that should go;
//! these terms name no one. Authorities are replaced routinely, with the new ones added beside the
//! old ones first, and nearly all clients would be let in again, all at once. Ending their
//! exchanges is left to the operator's command. But if an api requires a certificate, it is like a
//! key and is checked anew ([`super::certificates`]); and so is each one before another request
//! when certificates are revoked (`client_crl`). When our own certificates change or are removed,
//! connections stay: what their clients have verified is still true.
//!
//! A stream that begins is also checked against the current configuration, not only against the one
//! under which it was requested: its upstream may have taken long, and its key may be gone.

use super::phase::within;
use super::shared::Shared;
use super::steps::recheck;
use super::{Proxy, certificates};
use crate::apis::Apis;
use crate::auth;
use crate::config::{Api, Config, Tls};
use crate::descriptors::Budget;
use crate::exchange::{Exchange, LogState, Source};
use crate::net::{ListenerId, Net, Resolution};
use crate::pool::{News, Pool};
use crate::session::{Port, Session, Standing, State};
use crate::telemetry::Outcome;
use crate::time::{Now, Tick};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a response may continue after its key was revoked. Most take less.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

impl<N: Net> Proxy<N> {
    /// Serves `config` from now on, within `budget`. The caller opens and closes listeners.
    pub fn reload(&mut self, config: Config, budget: Budget, now: Tick) {
        let (former, former_tls) = (Rc::clone(&self.shared.config), Arc::clone(&self.shared.tls));
        self.shared.reload(config, budget, now);
        self.outdate_clients_of(&former_tls);
        self.hurry_clients_of(&former);
        self.leave_removed_apis(now);
        let now_of_all = Now { tick: now, unix_ms: self.unix_ms };
        let Proxy { tasks, feeds, shared, .. } = self;
        let Shared { net, pool, apis, config, random, .. } = shared;
        let (mut judged, mut known) = (Vec::new(), None);
        for (key, session) in tasks.iter_mut() {
            if let Session { conn, state: State::Active(exchange), .. } = session
                && exchange.api_state.is_some()
            {
                let has_moved = move_on(exchange, &mut known, config, apis);
                note_weights(exchange, apis, pool);
                certificates::expire(exchange, conn, net, (config, apis), now_of_all);
                judge_anew(exchange, config, apis, random.f64(), now);
                recheck::reschedule(exchange, config, apis, random, now);
                // The pool wakes those that wait, in the order of the queue, and their feed those
                // that share.
                if !has_moved {
                    judged.push(key);
                }
            }
        }
        for (_, feed) in feeds.tasks.iter_mut() {
            note_weights(&mut feed.exchange, apis, pool);
        }
        for key in judged {
            tasks.wake(key);
        }
        self.judge_certificates_again();
        self.update_checks(now);
        self.look_at_feeds(now);
    }

    /// Applies shorter time limits to clients that have no exchange.
    fn hurry_clients_of(&mut self, former: &Config) {
        let (old, new) = (&former.server, &self.shared.config.server);
        let may_wait_as_long = new.read_timeout >= old.read_timeout
            && new.keepalive_timeout >= old.keepalive_timeout
            && self.shared.config.tls.handshake_timeout >= former.tls.handshake_timeout;
        if may_wait_as_long {
            return;
        }
        let waiting = self.tasks.iter().filter(|(_, session)| session.exchange().is_none());
        let waiting: Vec<_> = waiting.map(|(key, _)| key).collect();
        for key in waiting {
            self.tasks.wake(key);
        }
    }

    /// Uses other TLS terms from now on, with clients and with targets.
    pub fn renew(&mut self, tls: Tls) {
        let former = std::mem::replace(&mut self.shared.tls, Arc::new(tls));
        self.shared.pool.renew(&self.shared.tls.upstreams);
        self.outdate_clients_of(&former);
    }

    /// The current TLS terms.
    pub const fn tls(&self) -> &Arc<Tls> {
        &self.shared.tls
    }

    /// Makes each client that was let in on `former` terms, and might not be now, send its next
    /// request on another connection.
    fn outdate_clients_of(&mut self, former: &Tls) {
        let tls = &self.shared.tls;
        let all = !tls.verifies_clients_like(former);
        if !tls.revokes_like(former) {
            self.doubt_certificates();
        }
        let Proxy { tasks, shared: Shared { net, tls, .. }, .. } = self;
        if !all && tls.min_version <= former.min_version {
            return;
        }
        let mut outdated = Vec::new();
        // A client that has yet to begin its handshake gets the current terms.
        let is_in = |session: &Session| {
            session.is_secure && !matches!(session.state, State::ProxyHeader { .. })
        };
        for (key, session) in tasks.iter_mut().filter(|(_, session)| is_in(session)) {
            let speaks_newest = session.conn.agreed(net).is_some_and(|a| a.version == "TLSv1.3");
            if all || !speaks_newest {
                if !session.is_refused() {
                    session.standing = Standing::Outdated;
                }
                if let Some(exchange) = session.exchange_mut() {
                    exchange.keep_alive_if(false);
                }
                outdated.push(key);
            }
        }
        for key in outdated {
            tasks.wake(key);
        }
        if all {
            self.judge_certificates_again();
        }
    }

    /// Adds a listener that was opened.
    pub fn open_listener(&mut self, listener: ListenerId, port: Port) {
        self.shared.edge.listeners.open(listener, port);
    }

    /// Adds a listener at which another event loop accepts. It is emptied and closed like any
    /// other.
    pub fn open_spare(&mut self, listener: ListenerId, port: Port) {
        self.shared.edge.listeners.open_spare(listener, port);
    }

    /// Changes what is expected of the connections that a listener accepts from now on.
    pub fn change_listener(&mut self, listener: ListenerId, port: Port) {
        self.shared.edge.listeners.change(listener, port);
    }

    /// Closes a listener. Connections that it accepted stay, and so do those that wait there. Of
    /// operators' connections only those stay whose requests have begun, until they are answered.
    pub fn close_listener(&mut self, listener: ListenerId, now: Tick) {
        self.empty_queue(listener, Now { tick: now, unix_ms: self.unix_ms });
        let service = self.shared.edge.listeners.close(listener);
        self.shared.net.close_listener(listener);
        if let Some(service) = service.filter(|service| service.is_for_operators()) {
            self.dismiss_operators(service);
        }
    }

    /// True when a client has been refused for lack of room since the last call, so that another
    /// event loop could make room for the next.
    pub const fn wants_room(&mut self) -> bool {
        self.shared.edge.take_lack()
    }

    /// Makes room for a client of another event loop, unless there is some. Returns false if no
    /// session here can be closed for that.
    pub fn make_room(&mut self, now: Tick) -> bool {
        self.shared.edge.has_room() || self.reclaim(now)
    }

    /// Takes the news about targets for the other event loops.
    pub fn take_news(&mut self) -> Vec<News> {
        self.shared.pool.take_news()
    }

    /// Applies news about a target from another event loop. A turn must follow.
    pub fn learn(&mut self, news: &News, now: Tick) {
        self.shared.pool.learn(news, now);
    }

    /// The next name to resolve again, with the port that its addresses get. Each is returned once.
    pub fn next_stale_name(&mut self) -> Option<(String, u16)> {
        self.shared.pool.next_stale_name()
    }

    /// Takes the result of resolving a name, whichever loop asked. If that failed, endpoints keep
    /// their addresses.
    pub fn name_answered(&mut self, name: (&str, u16), answer: &Resolution, now: Tick) {
        let Shared { pool, telemetry, memory, net, .. } = &mut self.shared;
        let (mut io, _) = memory.split(net, None, now);
        pool.name_answered(name, answer, &mut io, &mut telemetry.log);
    }
}

/// The api that has replaced one of an earlier configuration.
struct Successor {
    /// The earlier configuration, and the index of the api in it.
    of: (Rc<Config>, u16),
    /// The index of the new api, if requests can move on to it.
    index: Option<u16>,
}

/// Moves a request that waits for a connection, alone or with others that share its stream, or for
/// the auth server, on to the new targets of its api. Returns whether it did. `known` caches the
/// successor of the last api: many requests wait for the same one.
fn move_on(
    exchange: &mut Exchange,
    known: &mut Option<Successor>,
    config: &Rc<Config>,
    apis: &Apis,
) -> bool {
    let waits = match exchange.source() {
        Source::Queued(_) | Source::Authorizing(_) => true,
        Source::Log(log) => matches!(log.state(), LogState::Gone),
        Source::None
        | Source::Local(_)
        | Source::Waiting(_)
        | Source::Connecting(_)
        | Source::Awaiting(_)
        | Source::Upstream(_) => false,
    };
    let is_removed = exchange.api_state.is_some_and(|key| apis.get(key).is_none());
    let (Some(former), Some(api)) = (exchange.api, exchange.api()) else { return false };
    if !waits || !is_removed {
        return false;
    }
    let is_of =
        |(of, index): &(Rc<Config>, u16)| Rc::ptr_eq(of, &exchange.config) && *index == former;
    let successor = known.take().filter(|known| is_of(&known.of)).unwrap_or_else(|| {
        let index = config.apis.iter().position(|new| api.serves_like(new));
        let index = index.and_then(|index| u16::try_from(index).ok());
        Successor { of: (Rc::clone(&exchange.config), former), index }
    });
    let index = known.insert(successor).index;
    if let Some(index) = index {
        exchange.change_targets(config, index, apis.key_at(index));
    }
    index.is_some()
}

/// Notes which targets of its api an exchange may still be sent to.
fn note_weights(exchange: &mut Exchange, apis: &Apis, pool: &Pool) {
    let state = exchange.api_state.and_then(|key| apis.get(key));
    if let Some(outbound) = &mut exchange.outbound {
        outbound.note_asked(state.and_then(|state| pool.targets_to_ask(state.upstream)));
    }
}

/// Makes an exchange expire if the current configuration does not admit it. `share` (0 to 1) places
/// the end within the remaining time.
pub(super) fn judge_anew(
    exchange: &mut Exchange,
    config: &Config,
    apis: &Apis,
    share: f64,
    now: Tick,
) {
    let Some(outcome) = reason_to_end(exchange, config, apis) else { return };
    // Another reload does not move an end that is already set.
    if exchange.expires_with() == Some(Outcome::Removed) && outcome == Outcome::Removed {
        return;
    }
    end(exchange, outcome, config, share, now);
}

/// Makes an exchange expire that is no longer allowed in: at once if it is open, and otherwise
/// within a few seconds, in which `share` (0 to 1) places the end.
pub(super) fn revoke(exchange: &mut Exchange, config: &Config, share: f64, now: Tick) {
    end(exchange, Outcome::Revoked, config, share, now);
}

/// Ends an exchange that is no longer admitted. A revoked one has less time than the window.
fn end(exchange: &mut Exchange, outcome: Outcome, config: &Config, share: f64, now: Tick) {
    let window = config.drain.window;
    let revoked = outcome == Outcome::Revoked;
    let last = now.after(if revoked { window.min(REVOKED_WITHIN) } else { window });
    let is_answer = exchange.stage().is_stream() && exchange.is_answer();
    let until = match (revoked, exchange.stage().is_endless()) {
        (true, true) => now,
        (false, true) if !is_answer => within(now, last, share),
        (..) => within(now, last, f64::midpoint(1.0, share)),
    };
    exchange.expire_at(until, last, outcome);
}

/// Why the current configuration does not admit an exchange. None if it does.
pub(super) fn reason_to_end(exchange: &Exchange, config: &Config, apis: &Apis) -> Option<Outcome> {
    let index = apis.index_of(exchange.api_state?);
    match index.map(|index| &config.apis[index]).filter(|api| api.active) {
        None => Some(Outcome::Removed),
        Some(api) if may_stay(exchange, api) => None,
        Some(_) => Some(Outcome::Revoked),
    }
}

/// True when `api` still admits the exchange: by its key if the api needs one, by its certificate
/// if it needs one, and by a verdict, given or pending, if it has an auth server.
fn may_stay(exchange: &Exchange, api: &Api) -> bool {
    if api.client_certificate && !exchange.has_certificate() {
        return false;
    }
    let keys = api.auth.as_ref().map(|auth| &auth.keys);
    let has_key = keys.is_none_or(|keys| {
        exchange.key().is_some_and(|key| auth::still_admits(keys, key, &api.name))
    });
    let is_asked_about = || exchange.source().authorizing().is_some();
    has_key && (api.forward_auth.is_none() || exchange.let_in().is_some() || is_asked_about())
}
