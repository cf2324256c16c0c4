//! `auth.url`: another server decides which requests are let in.
//!
//! It is asked only after all checks that cost nothing: addresses, pages, keys. The admission
//! limits come after it, and so does everything that may answer in place of an upstream. Until then
//! nothing of the request body is read, and a client that waits for `100 Continue` keeps waiting.
//!
//! An answer may be cached for a while ([`crate::auth::verdicts`]). A failure to answer lets nobody
//! in: the request gets a 503.

use super::ends;
use super::recheck;
use crate::edge::admission;
use crate::exchange::{Authorizing, LetIn, LocalReply, Source, Verdict};
use crate::http::forward::OutboundHead;
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::background::auth_request::{About, Ask, PASSED_MAX};
use crate::proxy::next::{Action, Next};
use crate::proxy::step::Step;
use crate::telemetry::{Answered, Asked, Cause};
use std::rc::Rc;

/// The size that a head written for the upstream may reach, in bytes. If an auth server is `asked`
/// about the request, it may add fields to the head.
pub(crate) const fn size_of(outbound: &OutboundHead, asked: bool) -> usize {
    outbound.size() + if asked { PASSED_MAX } else { 0 }
}

/// Starts asking about a request.
pub(crate) fn ask<N: Net>(step: &mut Step<'_, N>, question: Rc<[u8]>) -> Next {
    let Step { owner, exchange, apis, auth_requests, .. } = step;
    let now = step.io.now;
    let (Some(session), Some(api), Some(api_state)) =
        (owner.key(), exchange.api, exchange.api_state)
    else {
        return refuse_unasked();
    };
    let known = apis.get_mut(api_state).and_then(|state| state.auth.as_mut()).and_then(|auth| {
        let question = auth.verdicts.hash(&question);
        auth.verdicts.find(question, now).map(Box::from)
    });
    if let Some(lines) = known {
        if let Some(stats) = &exchange.record.stats {
            stats.auth.count(Asked::Request, Answered::Cached);
        }
        return let_in(step, &question, &lines);
    }
    let about = About { session, id: exchange.record.id, asked: Asked::Request };
    let (config, asked) = (Rc::clone(&exchange.config), Rc::clone(&question));
    let ask = Ask { about, question: asked, config, api, api_state };
    let Some(request) = auth_requests.begin(ask, apis, now) else { return refuse_unasked() };
    let authorizing = Authorizing { request, question, verdict: None };
    exchange.go_on_with(Source::Authorizing(Box::new(authorizing)));
    Next::Moved
}

/// Refuses a request whose api was removed while it was being received.
const fn refuse_unasked() -> Next {
    let what = "there is no auth server to ask";
    Next::Do(Action::Reply(LocalReply::not_judged(Cause::AuthUnavailable, what)))
}

/// Waits for the answer.
#[inline(never)]
pub(crate) fn run<N: Net>(step: &mut Step<'_, N>) -> Next {
    let authorizing = step.exchange.source().authorizing();
    if authorizing.is_some_and(|authorizing| authorizing.verdict.is_some()) {
        return Next::Do(Action::Judged);
    }
    step.watch_client()
}

/// Acts on the answer.
pub(crate) fn judged<N: Net>(step: &mut Step<'_, N>) -> Next {
    let Some(authorizing) = step.exchange.take_authorizing() else { return Next::Moved };
    let Authorizing { question, verdict, .. } = *authorizing;
    match verdict {
        Some(Verdict::LetIn(lines)) => let_in(step, &question, &lines),
        Some(Verdict::Refused(reply, told)) => {
            let fields: Vec<_> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
            ends::reply_with(step, reply, &fields)
        }
        Some(Verdict::Failed(reply)) => Next::Do(Action::Reply(reply)),
        None => refuse_unasked(),
    }
}

/// Continues with a request that was let in. `lines` are added to its head.
fn let_in<N: Net>(step: &mut Step<'_, N>, question: &Rc<[u8]>, lines: &[u8]) -> Next {
    let question = recheck::keep(step, question);
    let Step { exchange, apis, edge, peer, .. } = step;
    let now = step.io.now;
    exchange.caller.get_or_insert_default().let_in = Some(Box::new(LetIn { question }));
    exchange.note_let_in(now);
    if let Some(outbound) = &mut exchange.outbound {
        outbound.head.add(lines);
    }
    let admitted = admission::admit(exchange, *peer, apis, edge, now);
    Next::Do(admitted.map_or_else(Action::Fail, |()| Action::Connect))
}

impl<N: Net> Proxy<N> {
    /// Hands the answer to the request that waits for it.
    pub(crate) fn authorize(&mut self, about: About, verdict: Verdict) {
        let Some(exchange) = self.tasks.get_mut(about.session).and_then(|s| s.exchange_mut())
        else {
            return;
        };
        if exchange.record.id == about.id
            && let Some(authorizing) = exchange.source_mut().authorizing_mut()
        {
            authorizing.verdict = Some(verdict);
            self.tasks.wake(about.session);
        }
    }
}
