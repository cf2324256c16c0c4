//! `auth.recheck`: the auth server is asked again about a request while its stream or tunnel is
//! open.
//!
//! Each is asked about at its own time, 90 to 110 % of the interval after the last. Only a 401 or
//! 403 ends it, according to its kind and like a revoked key. Any other answer, or none, is counted
//! and the question is asked again: an auth server that is down ends no streams.
//!
//! The question is kept for this, up to 4 KiB of it and only while there is room within
//! `max_held_bytes`. If it cannot be kept, the server cannot be asked; so the stream or tunnel ends
//! when the question is due, and its client has to be let in again. Otherwise a client could stay
//! forever by making its question long.
//!
//! The current configuration applies: a reload may change which server is asked, and how often.

use crate::apis::Apis;
use crate::config::{Config, ForwardAuth};
use crate::exchange::{Exchange, Kept, Verdict};
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::background::auth_request::{About, Ask};
use crate::proxy::next::Next;
use crate::proxy::reload;
use crate::proxy::shared::Shared;
use crate::proxy::step::Step;
use crate::telemetry::Asked;
use crate::time::Tick;
use std::rc::Rc;

/// The maximum length of a kept question, in bytes.
const KEPT_MAX: usize = 4096;

/// Keeps a question if it will be asked again and there is room for it.
pub(crate) fn keep<N: Net>(step: &mut Step<'_, N>, question: &Rc<[u8]>) -> Option<Kept> {
    let Step { exchange, io, auth_requests, .. } = step;
    exchange.api()?.forward_auth.as_ref()?.recheck?;
    let fits = question.len() <= KEPT_MAX && io.buffers.may_hold(None, question.len());
    fits.then(|| {
        io.buffers.apart += question.len();
        Kept::new(Rc::clone(question), auth_requests.kept())
    })
}

/// Decides when to ask again about an exchange, if it is open and has an auth server.
pub(crate) fn schedule(
    exchange: &mut Exchange,
    config: &Config,
    apis: &Apis,
    random: &mut fastrand::Rng,
    now: Tick,
) {
    if exchange.let_in().is_none() || !exchange.stage().is_endless() {
        return;
    }
    let every = auth_of(exchange, config, apis).and_then(|(_, auth)| auth.recheck);
    let after = every.map(|every| every.mul_f64(0.9 + random.f64() / 5.0));
    exchange.set_recheck(after.map_or(Tick::NEVER, |after| now.after(after)));
}

/// Decides when to ask again after a reload, which never postpones a question that is due sooner.
pub(crate) fn reschedule(
    exchange: &mut Exchange,
    config: &Config,
    apis: &Apis,
    random: &mut fastrand::Rng,
    now: Tick,
) {
    let before = exchange.recheck_at();
    schedule(exchange, config, apis, random, now);
    if exchange.recheck_at() != Tick::NEVER {
        exchange.set_recheck(exchange.recheck_at().min(before));
    }
}

/// The index of an exchange's api in the current configuration, and its auth server.
fn auth_of<'c>(
    exchange: &Exchange,
    config: &'c Config,
    apis: &Apis,
) -> Option<(u16, &'c ForwardAuth)> {
    let index = apis.index_of(exchange.api_state?)?;
    let auth = config.apis.get(index)?.forward_auth.as_ref()?;
    Some((u16::try_from(index).ok()?, auth))
}

/// Asks again about an open stream or tunnel, because the question is due.
pub(crate) fn ask<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Step { owner, exchange, apis, auth_requests, config, random, telemetry, .. } = step;
    let now = step.io.now;
    exchange.set_recheck(Tick::NEVER);
    // A feed needs no permission: its readers do.
    let Some(session) = owner.key() else { return Next::Moved };
    let (Some((api, _)), Some(api_state)) = (auth_of(exchange, config, apis), exchange.api_state)
    else {
        return Next::Moved;
    };
    let kept = exchange.let_in().and_then(|let_in| let_in.question.as_ref());
    let Some(question) = kept.map(|kept| Rc::clone(kept.question())) else {
        let name = exchange.api_name();
        let what = "what was asked about it is not kept";
        let text = format!("ended, to be let in anew: {what} (auth.recheck), api {name}");
        telemetry.log.log(log::Level::Info, name, "auth.recheck", &text);
        reload::revoke(exchange, config, random.f64(), now);
        return Next::Moved;
    };
    let about = About { session, id: exchange.record.id, asked: Asked::Open };
    let config = Rc::clone(config);
    auth_requests.begin(Ask { about, question, config, api, api_state }, apis, now);
    Next::Moved
}

impl<N: Net> Proxy<N> {
    /// Acts on the answer to a recheck.
    pub(crate) fn rechecked(&mut self, about: About, verdict: &Verdict, now: Tick) {
        let Proxy { tasks, shared: Shared { apis, config, random, telemetry, .. }, .. } = self;
        let exchange = tasks.get_mut(about.session).and_then(|session| session.exchange_mut());
        let Some(exchange) = exchange.filter(|exchange| exchange.record.id == about.id) else {
            return;
        };
        match verdict {
            Verdict::Refused(reply, _) if matches!(reply.status, 401 | 403) => {
                reload::revoke(exchange, config, random.f64(), now);
            }
            Verdict::Refused(reply, _) | Verdict::Failed(reply) => {
                let name = exchange.api_name();
                let (status, what) = (reply.status, reply.what);
                let why = if let Verdict::Failed(_) = verdict {
                    what.to_owned()
                } else {
                    format!("auth.url answered {status}")
                };
                let text = format!("a recheck gave no verdict: {why}, api {name}");
                telemetry.log.log(log::Level::Warn, name, "auth.recheck failed", &text);
                schedule(exchange, config, apis, random, now);
            }
            Verdict::LetIn(_) => schedule(exchange, config, apis, random, now),
        }
        tasks.wake(about.session);
    }
}
