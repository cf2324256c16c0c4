//! Who comes in: what is decided about a request by who sends it, before anything is done for it.

use super::finish::Refusal;
use crate::auth::{self, Key};
use crate::config::Api;
use crate::http::forward::Handover;
use crate::http::head::RequestHead;
use std::borrow::Cow;
use std::rc::Rc;

/// How a key is asked for (RFC 6750 section 3).
pub(super) const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Bearer realm=\"millstream\"");

/// A request that may go on.
pub(super) struct Pass<'b> {
    /// Whose key it has, if it needs one.
    pub key: Option<Rc<Key>>,
    /// Its query, without the key.
    pub query: Option<Cow<'b, str>>,
    /// The key itself.
    secret: Option<Cow<'b, [u8]>>,
}

impl Pass<'_> {
    /// What becomes of the key on the way upstream.
    pub(super) fn handover<'p>(&'p self, api: &'p Api) -> Option<Handover<'p>> {
        let auth = api.auth.as_ref()?;
        let bearer = self.secret.as_deref().filter(|_| auth.forward);
        Some(Handover { carriers: &auth.carriers, bearer })
    }
}

/// Lets a request in, or says why not. Its connection can be used on: it did nothing wrong.
pub(super) fn admit<'b>(api: &Api, head: &RequestHead<'_, 'b>) -> Result<Pass<'b>, Refusal> {
    let query = head.target.query;
    let Some(auth) = &api.auth else {
        return Ok(Pass { key: None, query: query.map(Cow::Borrowed), secret: None });
    };
    let refuse = |status, what| Refusal { close: false, ..Refusal::closing(status, what) };
    let secret = auth.carriers.find(head.fields, query);
    let secret = secret.map_err(|unclear| refuse(403, unclear.what()))?;
    let key = auth::admit(&auth.keys, secret.as_deref(), &api.name);
    let key = key.map_err(|denied| refuse(denied.status(), denied.what()))?;
    let query = query.and_then(|query| auth.carriers.query_without(query));
    Ok(Pass { key: Some(Rc::clone(key)), query, secret })
}
