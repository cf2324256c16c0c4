//! Clients that get the state of things first, from an upstream stream of their own
//! (`join = "fresh"`).
//!
//! Some servers say at the start of a stream how things are, and then what changes. Who joined a
//! shared stream of these would miss the start. So a client asks for itself, and when its stream
//! has been quiet for `settle` it goes on with the log: from where that was when the client asked,
//! so that it misses nothing. What came in between it gets twice. The first client of a log needs
//! no stream of its own, because the log has the start.
//!
//! Until then the client does not keep the log, nor the upstream stream that fills it: its own may
//! never be quiet. If it is, and the log is gone or has dropped the place, the client stays with
//! its own.

use super::share;
use crate::exchange::{Exchange, Fresh, Log, LogState};
use crate::http::head::ResponseHead;
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::next::{Action, Next};
use crate::session::Session;
use crate::slab::Key;
use std::rc::Rc;

/// Lets a client ask for itself and go on with this log later.
pub(crate) fn begin(exchange: &mut Exchange, log: &Rc<Log>) -> Next {
    // If nobody else reads it, it is given up after a while.
    drop(log.reader());
    let position = log.read(|events| events.end());
    exchange.extras_mut().fresh = Some(Fresh { log: Rc::downgrade(log), position });
    if let Some(outbound) = &mut exchange.outbound {
        outbound.own_id = None;
        outbound.ask_behind(None);
    }
    Next::Do(Action::Connect)
}

/// Looks at the answer to a client that asks for itself: if that is not for everybody, it is none
/// that others would get.
pub(crate) fn judge(exchange: &mut Exchange, head: &ResponseHead<'_, '_>) {
    if head.status < 200 || !exchange.is_fresh() {
        return;
    }
    let api = exchange.api();
    let share = api.and_then(|api| Some((api, api.share.as_ref()?)));
    if let Some(veto) = share.and_then(|(api, share)| share::veto_of_answer(head, api, share)) {
        exchange.count_veto(veto);
        let fresh = exchange.extras_mut().fresh.take();
        if let Some(log) = fresh.and_then(|fresh| fresh.log.upgrade()) {
            log.counts.vetoes.one();
        }
    }
}

impl<N: Net> Proxy<N> {
    /// Lets a client whose own stream is quiet go on with the log. Where that is over, or has
    /// dropped what the client would read, it stays with its own.
    pub(crate) fn settle(&mut self, key: Key<Session>) -> Next {
        let Proxy { tasks, feeds, shared, .. } = self;
        let Some(exchange) = tasks[key].exchange_mut() else { return Next::Moved };
        let Some(Fresh { log, position }) = exchange.extras_mut().fresh.take() else {
            return Next::Moved;
        };
        let Some(log) = log.upgrade() else { return Next::Moved };
        let is_held = log.read(|events| events.oldest() <= position);
        let feed = feeds.tasks.iter().find(|(_, feed)| Rc::ptr_eq(&feed.log, &log));
        let Some((feed, _)) = feed.filter(|_| is_held && matches!(log.state(), LogState::Open))
        else {
            return Next::Moved;
        };
        shared.close_connection(exchange);
        exchange.outbound = None;
        exchange.forget_resuming();
        if let Some(stats) = &exchange.record.stats {
            stats.shared.one();
        }
        self.follow_log(key, feed, position)
    }
}
