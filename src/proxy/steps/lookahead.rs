//! Holding back the head of an event stream until its first event, while another target could still
//! be asked instead ([`super::retry`]).
//!
//! The body waits unread with its connection, so nothing has to be undone. Once the waiting part is
//! as long as a head may be, the head is released: an event is on its way.

use super::retry;
use crate::config::Failed;
use crate::conn::{Conn, Read};
use crate::exchange::{Awaiting, Exchange, LocalReply, Lookahead, Source};
use crate::http::framing::BodyLength;
use crate::http::head::{HeadLimits, ResponseHead};
use crate::net::{Net, Ready};
use crate::pipe::Io;
use crate::proxy::deadlines;
use crate::proxy::next::Next;
use crate::telemetry::Cause;
use crate::time::Tick;

/// True if this head should wait for the first event of its stream. It does not if a stream that is
/// being resumed has had its first event, if waiting would be pointless because the response is due
/// before the event, or if the client may be waiting for it before it sends the rest of its
/// request.
pub(crate) fn keeps_back(exchange: &Exchange, head: &ResponseHead<'_, '_>) -> bool {
    let Source::Awaiting(awaiting) = exchange.source() else { return false };
    let due = deadlines::first_event_due(exchange, awaiting);
    exchange.api().is_some_and(|api| api.retry_on.has(Failed::FirstEventTimeout))
        && due != Tick::NEVER
        && !exchange.event_clock().is_some_and(|clock| clock.ticked)
        && head.is_event_stream
        && !head.is_coded
        && head.length != BodyLength::Empty
        && exchange.upload.sent()
        && retry::is_possible(exchange, due)
}

/// Starts waiting for the first event. It may have arrived with the head.
pub(crate) fn begin<N: Net>(
    exchange: &mut Exchange,
    conn: &Conn,
    mut lookahead: Lookahead,
    io: &mut Io<'_, N>,
) -> Next {
    let n = conn.ahead().len();
    io.scratch[..n].copy_from_slice(conn.ahead());
    lookahead.read(&mut io.scratch[..n], io.buffers);
    if let Some(awaiting) = exchange.awaiting_mut() {
        awaiting.lookahead = Some(Box::new(lookahead));
    }
    Next::Moved
}

/// Reads until the first event has arrived, or none can arrive any more, and returns the head.
/// Until then, returns what to do next.
pub(crate) fn await_event<'a, N: Net>(
    conn: &mut Conn,
    awaiting: &mut Awaiting,
    limits: &HeadLimits,
    io: &'a mut Io<'_, N>,
) -> Result<&'a mut [u8], Next> {
    let Some(lookahead) = &mut awaiting.lookahead else { return Err(Next::Blocked) };
    let room = limits.head_bytes.saturating_sub(conn.ahead().len());
    if !lookahead.is_over() && room > 0 {
        if !conn.ready.has(Ready::READ) {
            return Err(Next::Blocked);
        }
        match conn.read(io.net, &mut io.scratch[..room]) {
            Read::Bytes(n) => {
                conn.keep(&io.scratch[..n], io.buffers);
                lookahead.read(&mut io.scratch[..n], io.buffers);
                return Err(Next::Moved);
            }
            Read::Blocked => return Err(Next::Blocked),
            Read::End if lookahead.may_end() => {}
            Read::End | Read::Broken => {
                let what = "the upstream broke off before the first event of its stream";
                return Err(Next::fail(LocalReply::refused(Cause::UpstreamClosed, 502, what)));
            }
        }
    }
    let head = lookahead.head();
    let n = head.len();
    io.scratch[..n].copy_from_slice(head);
    awaiting.lookahead = None;
    Ok(&mut io.scratch[..n])
}
