//! `last_event_id_query`: the id of the last event in the query, for clients that cannot send the
//! field when they first connect, such as replacements of the browser's EventSource.
//!
//! It is moved to the field that servers and this proxy read. A browser that reconnects by itself
//! sends the field along with its original query, so the field wins.

use crate::config::Api;
use crate::exchange::LocalReply;
use crate::http::abnf::{is_text, trim};
use crate::http::head::RequestHead;
use crate::http::query::{self, Taken};
use crate::telemetry::Cause;
use std::borrow::Cow;

/// A query without the id.
#[derive(Debug)]
pub(crate) struct Lifted<'q> {
    /// The id, if it should be sent. Not empty.
    pub(crate) id: Option<Cow<'q, [u8]>>,
    /// The rest of the query.
    pub(crate) rest: Option<Cow<'q, str>>,
}

/// Takes the id of the last event out of a query.
///
/// # Errors
/// There are several ids, or the id is not a valid field value.
pub(crate) fn lift<'q>(
    api: &Api,
    head: &RequestHead<'_, '_>,
    query: Option<&'q str>,
) -> Result<Lifted<'q>, LocalReply> {
    let untouched = Lifted { id: None, rest: query.map(Cow::Borrowed) };
    let Some((query, name)) = query.zip(api.clients.last_event_id_query.as_deref()) else {
        return Ok(untouched);
    };
    let refused = |what| {
        let reply = LocalReply::refused(Cause::LastEventIdQuery, 400, what);
        Err(reply.closing(!head.length.is_empty() || !head.persistent))
    };
    match query::take(query, name) {
        Err(_) => refused("the id of the last event is in the query more than once"),
        Ok(None) => Ok(untouched),
        Ok(Some(Taken { value, .. }))
            if trim(&value).len() < value.len() || !value.iter().copied().all(is_text) =>
        {
            refused("the id of the last event in the query cannot be a field")
        }
        Ok(Some(Taken { value, rest })) => {
            let is_said = head.fields.get("Last-Event-ID").is_some();
            let id = Some(value).filter(|value| !value.is_empty() && !is_said);
            Ok(Lifted { id, rest })
        }
    }
}
