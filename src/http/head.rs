//! Heads: where one ends, and what it says.
//!
//! A [`HeadSearch`] follows a head as its bytes arrive, and refuses at once what cannot become one:
//! nobody waits for a time limit to learn that a TLS handshake is not HTTP. When the head is
//! complete, [`RequestHead::parse`] or [`ResponseHead::parse`] says what it means, all of it, or
//! why it is refused. Start lines are read here; field lines by httparse, to whom we hand only
//! lines whose ends were checked. Nothing is copied: what a head says points into its bytes.
//!
//! Tested at every cut of every head, against a naive search, and against what smuggling attacks on
//! other proxies looked like. What is understood and written anew is understood in the same
//! way again; that is tested in [`super::forward`].

mod error;
mod fold;
mod request;
mod response;
mod search;
mod start;

#[cfg(test)]
mod tests;

use super::fields::split;
pub use super::fields::{CONNECTION_OPTIONS_MAX, FIELDS_MAX, FieldStore, Fields};
pub use super::version::Version;
pub use error::HeadError;
pub use fold::unfold;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use search::HeadSearch;
pub use start::METHOD_MAX;

use httparse::Status;

/// What a head may come to.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The most bytes of a head, its empty line included. Below 4 GiB.
    pub head_bytes: usize,
    /// The most field lines; never more than [`FIELDS_MAX`].
    pub head_fields: usize,
    /// The most bytes of a request target.
    pub target_bytes: usize,
}

/// Reads field lines, which end with an empty one.
fn fields<'h, 'b>(
    bytes: &'b [u8],
    store: &'h mut FieldStore<'b>,
    limits: &HeadLimits,
) -> Result<Fields<'h, 'b>, HeadError> {
    let fields = match httparse::parse_headers(bytes, store.room_for(bytes, limits.head_fields))? {
        Status::Complete((end, headers)) if end == bytes.len() => Fields::of(headers),
        Status::Complete(_) | Status::Partial => return Err(HeadError::NotOneHead),
    };
    if has_too_many_options(fields) { Err(HeadError::TooManyOptions) } else { Ok(fields) }
}

/// True exactly when `Connection` lists more than [`CONNECTION_OPTIONS_MAX`] options, empty ones
/// included: those mean nothing, and cost as much. Nearly always the length will do to say no.
fn has_too_many_options(fields: Fields<'_, '_>) -> bool {
    let values = || fields.all("Connection");
    let bytes: usize = values().map(|value| value.len() + 1).sum();
    bytes > CONNECTION_OPTIONS_MAX
        && values().flat_map(|value| split(value, b',')).nth(CONNECTION_OPTIONS_MAX).is_some()
}
