//! Clients that first read the current state from their own upstream stream (`join = "fresh"`).
//!
//! Some servers send the current state at the start of a stream, and then changes. A client that
//! joined such a shared stream would miss the start. So a client asks for itself, and when its
//! stream has been quiet for `settle` it continues with the log, from where that was when the
//! client asked, so that it misses nothing. It gets the events in between twice. The first client
//! of a log does not need its own stream, because the log has the start.
//!
//! Until then the client keeps alive neither the log nor the upstream stream that fills it, because
//! its own stream may never be quiet. If it is quiet, but the log is gone or has dropped that
//! position, the client stays with its own stream.

use super::share;
use crate::exchange::{Exchange, Fresh, Log, LogState};
use crate::http::head::ResponseHead;
use crate::net::Net;
use crate::proxy::Proxy;
use crate::proxy::next::{Action, Next};
use crate::session::Session;
use crate::slab::Key;
use std::rc::Rc;

/// Lets a client ask for itself, to continue with this log later.
pub(crate) fn begin(exchange: &mut Exchange, log: &Rc<Log>) -> Next {
    // A log without other readers is given up after a while.
    drop(log.reader());
    let position = log.read(|events| events.end());
    exchange.extras_mut().fresh = Some(Fresh { log: Rc::downgrade(log), position });
    if let Some(outbound) = &mut exchange.outbound {
        outbound.own_id = None;
        outbound.ask_behind(None);
    }
    Next::Do(Action::Connect)
}

/// Checks the response to a client that asks for itself. If it must not be shared, the client does
/// not continue with the log.
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
    /// Lets a client whose own stream is quiet continue with the log. If the log is over, or has
    /// dropped what the client would read, the client stays with its own stream.
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
